package connectors

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed/heap"
)

// FuzzWire: bytes that are understood are written so that they mean the same, and no length in them makes the reader ask for
// memory that the bytes do not fill.
func FuzzWire(f *testing.F) {
	text, err := NewWireWriter().Append(nil, wireBatch(wireStream()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, n := range []int{0, 1, 10, len(text) / 2, len(text) - 1} {
		f.Add(text[:n])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var b *Batch
		var err error
		if n := heap.Allocated(func() { b, err = NewWireReader().Decode(text, nil, nil) }); n > 4<<20+256*uint64(len(text)) {
			t.Fatalf("%d bytes of text, %d bytes of memory", len(text), n)
		}
		if err != nil {
			return
		}
		for i := range b.Records {
			r := &b.Records[i]
			for _, row := range []Row{r.Key, r.Before, r.After, r.Source, r.Headers} {
				show(b, row)
			}
		}
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
			t.Fatalf("%q was written as %q, then as %q, %v", text, again, third, err)
		}
	})
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
