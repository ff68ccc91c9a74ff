package mysql

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func testLog() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

// numbered are records that differ in their statement.
func numbered(from, to int) (out []historyRecord) {
	for i := from; i < to; i++ {
		out = append(out, historyRecord{
			server: "s", position: position{file: "b.000001", pos: uint64(100 * i)}, time: time.UnixMilli(int64(i)).UTC(), database: "d", ddl: fmt.Sprintf("statement %d é\n", i),
		})
	}
	return out
}

func readAll(t testing.TB, h history) (out []historyRecord) {
	t.Helper()
	d := newHistoryReader()
	if err := h.read(t.Context(), func(_ string, data []byte) error {
		r, err := d.decode(data)
		out = append(out, r)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFileHistory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "history.jsonl")
	for i := range 3 {
		log, _ := testLog()
		h := &fileHistory{path: path, log: log}
		if there, err := h.exists(t.Context()); there != (i > 0) || err != nil {
			t.Fatalf("round %d: exists %v, %v", i, there, err)
		}
		if got, want := readAll(t, h), numbered(0, 3*i); !reflect.DeepEqual(got, want) {
			t.Fatalf("round %d: read %+v, want %+v", i, got, want)
		}
		for _, part := range [][]historyRecord{numbered(3*i, 3*i+1), numbered(3*i+1, 3*i+3)} {
			if err := h.append(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
		h.close()
	}
}

// A write that was interrupted at any byte costs its own record and no other, and one that only lacks the end of its line costs nothing.
func TestTornFileHistory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var whole []byte
	for _, r := range numbered(0, 2) {
		whole = append(append(whole, r.encode(false)...), '\n')
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for cut := 0; cut <= len(whole); cut++ {
		path := filepath.Join(dir, fmt.Sprint(cut))
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		records := 0
		switch {
		case cut >= len(whole)-1:
			records = 2
		case cut >= first-1:
			records = 1
		}
		log, said := testLog()
		h := &fileHistory{path: path, log: log}
		want := numbered(0, records)
		if got := readAll(t, h); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d: read %+v, want %+v", cut, got, want)
		}
		torn := cut != 0 && cut != first-1 && cut != first && cut < len(whole)-1
		if strings.Contains(said.String(), "cut off") != torn {
			t.Errorf("cut at %d: said %q", cut, said)
		}
		if err := h.append(t.Context(), numbered(7, 8)); err != nil {
			t.Fatal(err)
		}
		h.close()
		if got, want := readAll(t, &fileHistory{path: path, log: log}), append(want, numbered(7, 8)...); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d: read %+v, want %+v", cut, got, want)
		}
	}
}

func TestBrokenFileHistory(t *testing.T) {
	t.Parallel()
	record := string(numbered(0, 1)[0].encode(false))
	for name, c := range map[string]struct{ content, want string }{
		"a broken line":           {record + "\n" + record[:30] + "\n" + record + "\n", "line 2: "},
		"a tail that is no start": {record + "\n\x00\x00\x00", "neither a record nor the beginning of one"},
		"two on a line":           {record + record + "\n", "line 1: "},
	} {
		path := filepath.Join(t.TempDir(), "history")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		log, _ := testLog()
		h := &fileHistory{path: path, log: log}
		d := newHistoryReader()
		err := h.read(context.Background(), func(at string, data []byte) error {
			if _, err := d.decode(data); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != c.content {
			t.Errorf("%s: the file was changed: %q, %v", name, now, err)
		}
	}
}

func TestMemoryHistory(t *testing.T) {
	t.Parallel()
	m := &memoryHistory{}
	if err := m.append(t.Context(), numbered(0, 2)); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, m); !reflect.DeepEqual(got, numbered(0, 2)) {
		t.Errorf("read %+v", got)
	}
	m.bytes = maxMemoryHistory
	if err := m.append(t.Context(), numbered(2, 3)); err == nil {
		t.Error("more than fits")
	}
}
