package standalone

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed/heap"
)

// FuzzConnectorFile: a file is a connector or an error that names the file; a connector of JSON has the texts that encoding/json
// finds, and a name.
func FuzzConnectorFile(f *testing.F) {
	for _, s := range []string{
		`{"name":"a","connector.class":"X","tasks.max":1,"on":true}`, ` {"name":"a","config":{"connector.class":"X"},"initial_state":"stopped"}`,
		`{"name":"a","config":{"name":"b"}}`, `{"name":"a","config":"a key of that name"}`, `{"name":"a","x":null}`, `{"name":"a"} x`, `{"name":"a",}`, `[1]`, "name=a\nk: v",
		`{"name":"a","x":"\ud83d\ude00","y":1e400,"config":[]}`, "\ufeff{\"name\":\"a\"}",
	} {
		f.Add([]byte(s))
	}
	examples, err := filepath.Glob("../../examples/*")
	if err != nil || len(examples) == 0 {
		f.Fatal("no examples", err)
	}
	for _, name := range examples {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "c.file")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := ReadConnector(path)
		if err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if c.Name == "" || c.Name != strings.TrimSpace(c.Name) || c.Config == nil {
			t.Fatalf("%q: %+v", text, c)
		}
		var whole map[string]any
		if json.Unmarshal(text, &whole) != nil {
			return
		}
		config, nested := whole["config"].(map[string]any)
		if !nested {
			config = whole
		}
		if len(config) != len(c.Config) {
			t.Fatalf("%q: %v", text, c.Config)
		}
		for k, v := range config {
			if s, ok := v.(string); ok && c.Config[k] != s {
				t.Fatalf("%q: key %s is %q, want %q", text, k, c.Config[k], s)
			}
		}
	})
}

// FuzzJava: a damaged file is an error, and no length in it makes the reader ask for memory that the file does not fill.
// Entries that are written as FileOffsetBackingStore does come back.
func FuzzJava(f *testing.F) {
	text, err := os.ReadFile("testdata/connect.offsets")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, "c", "orders", int64(1))
	for _, n := range []int{0, 4, 30, len(text) / 2, len(text) - 1} {
		if _, _, err := parseJava(text[:n]); err == nil {
			f.Errorf("%d bytes: no error", n)
		}
		f.Add(text[:n], "", "é\"<\u2028", int64(-1))
	}
	f.Fuzz(func(t *testing.T, text []byte, connector, server string, lsn int64) {
		if n := heap.Allocated(func() { _, _, _ = parseJava(text) }); n > 4<<20+1024*uint64(len(text)) {
			t.Fatalf("%d bytes of file, %d bytes of memory", len(text), n)
		}
		if !utf8.ValidString(connector) || !utf8.ValidString(server) {
			return
		}
		quoted, _ := json.Marshal(server)
		p, err := offsets.Canonical([]byte(`{"server":` + string(quoted) + `}`))
		if err != nil {
			t.Fatal(err)
		}
		key, err := offsets.EncodeKey(connector, p)
		if err != nil {
			t.Fatal(err)
		}
		value, _ := json.Marshal(map[string]int64{"lsn": lsn})
		entries, n, err := parseJava(javaMap(key, value))
		if want := map[string][]offsets.Entry{connector: {{Partition: p, Offset: offsets.Offset(value)}}}; err != nil || n != 1 || !reflect.DeepEqual(entries, want) {
			t.Fatalf("got %v, %d, %v, want %v", entries, n, err, want)
		}
	})
}

// javaMap serialises a HashMap<byte[], byte[]> of one entry.
func javaMap(key, value []byte) []byte {
	text := func(b []byte, s string) []byte { return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...) }
	b := append([]byte(javaMagic), tcObject, tcClassDesc)
	b = text(b, "java.util.HashMap")
	b = append(b, 5, 7, 0xda, 0xc1, 0xc3, 0x16, 0x60, 0xd1, 3, 0, 2)
	b = text(append(b, 'F'), "loadFactor")
	b = text(append(b, 'I'), "threshold")
	b = append(b, tcEnd, tcNull, 0x3f, 0x40, 0, 0, 0, 0, 0, 12, tcBlock, 8, 0, 0, 0, 16, 0, 0, 0, 1)
	b = text(append(b, tcArray, tcClassDesc), "[B")
	b = append(b, 0xac, 0xf3, 0x17, 0xf8, 6, 8, 0x54, 0xe0, 2, 0, 0, tcEnd, tcNull)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(key))), key...)
	b = append(b, tcArray, tcReference, 0, 0x7e, 0, 2)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
	return append(b, tcEnd)
}
