package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFileToFileSurvivesKill kills freshet again and again while it copies a growing file: every line arrives exactly once.
func TestFileToFileSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.txt"), filepath.Join(dir, "out.txt")
	config := `{"name":"copy","connector.class":"FileStreamSource","file":"in.txt","topic":"lines","batch.size":"20","sinks":"out",
		"sinks.out.connector.class":"FileStreamSink","sinks.out.file":"out.txt","sinks.out.format":"value",
		"sinks.out.value.converter":"org.apache.kafka.connect.storage.StringConverter"}`
	if err := os.WriteFile(filepath.Join(dir, "copy.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(in)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	grow := func(n int) {
		t.Helper()
		var text bytes.Buffer
		for range n {
			lines++
			fmt.Fprintf(&text, "line %d\n", lines)
		}
		if _, err := f.Write(text.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	size := func() int64 {
		info, err := os.Stat(out)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for round := range 8 {
		grow(3000)
		before := size()
		p := start(t, dir, "run", "copy.json")
		p.Until("the file does not grow", func() bool { return size() > before+int64(round*1500) })
		p.Kill()
	}
	grow(10)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir, "run", "copy.json")
	want, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	p.Until("the copy is shorter than the file", func() bool { return size() >= int64(len(want)) || time.Now().After(deadline) })
	if code := p.Stop(); code != 0 {
		t.Errorf("freshet ended with %d:\n%s", code, p.Output())
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes were copied of %d; they differ", len(got), len(want))
	}
}
