package boltstore

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/freshet-io/freshet/offsets"
)

func entry(p, o string) offsets.Entry {
	return offsets.Entry{Partition: offsets.Partition(p), Offset: offsets.Offset(o)}
}

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSaveLoadDelete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	s := open(t, path)
	ctx := context.Background()
	if err := s.Save(ctx, "a", []offsets.Entry{entry(`{"p":1}`, `{"x":1}`), entry(`{"p":2}`, `{"x":2}`)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(ctx, "", []offsets.Entry{entry(`{"p":1}`, `{"x":9}`)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	got, err := s.Load(ctx, "a")
	if err != nil || fmt.Sprint(got) != `[{{"p":1} {"x":1}} {{"p":2} {"x":2}}]` {
		t.Fatalf("got %v, %v", got, err)
	}
	got, err = s.Load(ctx, "a", `{"p":2}`, `{"p":3}`)
	if err != nil || fmt.Sprint(got) != `[{{"p":2} {"x":2}}]` {
		t.Fatalf("got %v, %v", got, err)
	}
	if err := s.Save(ctx, "a", []offsets.Entry{entry(`{"p":1}`, "")}); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Load(ctx, "a"); err != nil || len(got) != 1 {
		t.Fatalf("got %v, %v", got, err)
	}
	if got, err = s.Load(ctx, "unknown"); err != nil || len(got) != 0 {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked.db")
	open(t, locked)
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	writeFormat(t, newer, "7")
	for path, want := range map[string]string{
		locked:                             "is in use by another freshet",
		dir:                                "it is a directory",
		filepath.Join(dir, "none", "o.db"): "the directory does not exist",
		text:                               "it is not an offset file of freshet",
		newer:                              `it has format "7"`,
	} {
		_, err := Open(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("open %s: got %v, want %q", path, err, want)
		}
	}
}

func TestNotWritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	err := explain("open", path, &os.PathError{Op: "open", Path: path, Err: syscall.EACCES})
	if !strings.Contains(err.Error(), "it cannot be written") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if os.Geteuid() == 0 {
		return // root may write everywhere; the open itself is tested as another user
	}
	if err := os.WriteFile(path, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "it cannot be written") {
		t.Errorf("got %v", err)
	}
}

// TestDiskFull limits the size of files in a process of its own.
func TestDiskFull(t *testing.T) {
	out := child(t, "full", filepath.Join(t.TempDir(), "o.db"))
	text, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "offset file") || !strings.Contains(text, "o.db") || !strings.Contains(text, "kept 1") {
		t.Errorf("got %s", text)
	}
}

// TestKill kills a process that writes, and finds the last entry that it reported.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.db")
	for range 3 {
		r := bufio.NewReader(child(t, "write", path))
		last := ""
		for range 50 {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			last = strings.TrimSpace(line)
		}
		stopChild(t)
		s := open(t, path)
		got, err := s.Load(context.Background(), "c", `{"p":1}`)
		if err != nil || len(got) != 1 {
			t.Fatalf("got %v, %v", got, err)
		}
		if len(got[0].Offset) < len(last) || len(got[0].Offset) == len(last) && string(got[0].Offset) < last {
			t.Errorf("stored %s, but %s was reported", got[0].Offset, last)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
