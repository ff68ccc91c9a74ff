package boltstore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/freshet-io/freshet/offsets"
)

// FuzzFile: a file of which bytes were changed or cut off opens, or an error names it; reading and writing it do not end the
// process.
func FuzzFile(f *testing.F) {
	sound := soundFile(f)
	f.Add(uint32(0), []byte{}, uint32(len(sound)))
	f.Add(uint32(0), []byte{}, uint32(0))
	f.Add(uint32(0), []byte{}, uint32(4096+100))
	f.Add(uint32(16), []byte("wrong"), uint32(len(sound)))
	for page := range uint32(len(sound) / 4096) {
		f.Add(page*4096, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), uint32(len(sound)))
		f.Add(page*4096+8, []byte("\x10\x00\xff\xff"), uint32(len(sound)))
		f.Add(page*4096+16, []byte("\xff\xff\xff\x7f\xff\xff\xff\x7f"), uint32(len(sound)))
		f.Add(page*4096+4000, []byte("changed"), uint32(len(sound)))
	}
	f.Fuzz(func(t *testing.T, at uint32, change []byte, size uint32) {
		if size > uint32(len(sound)) {
			size = uint32(len(sound))
		}
		text := append([]byte(nil), sound[:size]...)
		if int(at) < len(text) {
			copy(text[at:], change)
		}
		path := filepath.Join(t.TempDir(), "o.db")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		check := func(err error) {
			if err != nil && (!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "offset file")) {
				t.Fatalf("the error does not name the file: %v", err)
			}
		}
		s, err := openWith(path, bolt.Options{Timeout: lockWait, NoSync: true})
		if check(err); err != nil {
			return
		}
		ctx := context.Background()
		_, err = s.Load(ctx, "c")
		check(err)
		check(s.Save(ctx, "c", []offsets.Entry{{Partition: `{"p":1}`, Offset: `{"x":2}`}}))
		_, err = s.Load(ctx, "c", `{"p":1}`)
		check(err)
		check(s.Close())
	})
}

// soundFile is an offset file with a history.
func soundFile(f *testing.F) []byte {
	f.Helper()
	path := filepath.Join(f.TempDir(), "o.db")
	s, err := Open(path)
	if err != nil {
		f.Fatal(err)
	}
	for _, connector := range []string{"c", "d"} {
		for _, o := range []offsets.Offset{`{"x":1}`, `{"x":2}`, "", offsets.Offset(`{"x":"` + strings.Repeat("long ", 1500) + `"}`)} {
			if err := s.Save(context.Background(), connector, []offsets.Entry{{Partition: `{"p":1}`, Offset: o}, {Partition: `{"p":2}`, Offset: `{"y":1}`}}); err != nil {
				f.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return text
}
