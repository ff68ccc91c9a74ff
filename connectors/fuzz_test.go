package connectors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed/heap"
)

// FuzzWire: two messages of a connection. What is understood can be walked, is written so that it means the same, and no length in it
// makes the reader ask for memory that the bytes do not fill.
func FuzzWire(f *testing.F) {
	var g goldenWire
	text, err := os.ReadFile(goldenFile)
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		f.Fatal(err)
	}
	seed := func(text string) []byte {
		out, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		return out
	}
	for _, c := range g.Connections {
		for i := range c.Messages {
			f.Add(seed(c.Messages[0].Hex), seed(c.Messages[i].Hex))
		}
	}
	for _, x := range g.Refused {
		f.Add(seed(x.Hex), []byte{})
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		r := NewWireReader()
		for _, text := range [][]byte{first, second} {
			var b *Batch
			var err error
			if n := heap.Allocated(func() { b, err = r.Decode(text, nil, nil) }); n > 1<<20+160*uint64(len(text)) {
				t.Fatalf("%d bytes of text, %d bytes of memory", len(text), n)
			}
			if err != nil {
				return
			}
			if len(text) < 8<<10 {
				showBatch(r, b, false, 0, 0)
			}
			for i := range b.Records {
				x := &b.Records[i]
				for _, row := range []Row{x.Key, x.Before, x.After, x.Source, x.Headers} {
					b.Cells(row)
				}
				b.Raw(i)
				_ = x.Op.Letter()
			}
			writeAgain(t, text, b)
		}
	})
}

// writeAgain: what was read is written, read and written as the same.
func writeAgain(t *testing.T, text []byte, b *Batch) {
	t.Helper()
	again, err := NewWireWriter().Append(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewWireReader().Decode(again, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	third, err := NewWireWriter().Append(nil, c)
	if err != nil || !bytes.Equal(again, third) {
		t.Fatalf("%x was written as %x, then as %x, %v", text, again, third, err)
	}
	end := func(text []byte) []byte { return text[wireHeader+binary.LittleEndian.Uint32(text[4:]):] }
	if !bytes.Equal(end(again), end(text)) || c.ID != b.ID || c.Source != b.Source || c.Offset != b.Offset || c.Through != b.Through ||
		c.Committed != b.Committed || !reflect.DeepEqual(c.Extra, b.Extra) || !reflect.DeepEqual(c.raws, b.raws) || len(c.Streams) != len(b.Streams) {
		t.Fatalf("%x was written as %x, which is another batch", text, again)
	}
}

// FuzzSinkEntry: the record of one of several sinks comes back, and one that is understood is written as the same position.
func FuzzSinkEntry(f *testing.F) {
	f.Add("ch", `{"server":"orders"}`, `{"lsn":1}`, `{"offset":"{\"lsn\":1}","order":"1/4242/7"}`)
	f.Add("", `{}`, "", `{"offset":"","order":"4294967295/18446744073709551615/4294967295"}`)
	f.Add("é\"", `{"sink":"x","a":null}`, "x", `{"offset":"{}","order":"4294967296/1/1"}`)
	f.Add("a", `{"z":1,"a":"<"}`, "{}", `{"order":"-1/0/0"}`)
	f.Fuzz(func(t *testing.T, sink, partition, offset, stored string) {
		if p, err := ParseSinkEntry("{}", offsets.Offset(stored)); err == nil && p.Offset != "" {
			e, err := p.Entry("s")
			if err != nil {
				t.Fatal(err)
			}
			if q, err := ParseSinkEntry("{}", e.Offset); err != nil || q != p {
				t.Fatalf("%s: %+v became %+v, %v", stored, p, q, err)
			}
		}
		plain, err := offsets.Canonical([]byte(partition))
		if err != nil || !utf8.ValidString(sink) || !utf8.ValidString(offset) || !utf8.ValidString(partition) || OwnPartition(plain) {
			return
		}
		p := Progress{Partition: plain, Offset: offsets.Offset(offset), Through: Order{Epoch: uint32(len(sink)), Major: 1<<64 - 1, Minor: 7}}
		e, err := p.Entry(sink)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid([]byte(e.Partition)) || !OwnPartition(e.Partition) || e.Partition == plain {
			t.Fatalf("partition %s of sink %q is %s", plain, sink, e.Partition)
		}
		if back, err := PlainPartition(e.Partition, sink); err != nil || back != plain {
			t.Fatalf("partition %s of sink %q is %s, and back %s, %v", plain, sink, e.Partition, back, err)
		}
		if other, err := PlainPartition(e.Partition, sink+"x"); err != nil || other != "" {
			t.Fatalf("partition %s is taken for one of sink %q: %s, %v", e.Partition, sink+"x", other, err)
		}
		if offset == "" {
			return
		}
		if q, err := ParseSinkEntry(plain, e.Offset); err != nil || q != p {
			t.Fatalf("%+v was stored as %s: %+v, %v", p, e.Offset, q, err)
		}
	})
}
