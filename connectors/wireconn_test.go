package connectors

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/schemas"
)

// TestWireFill: a batch lands in a builder that somebody else made, who learns of its end and its size.
func TestWireFill(t *testing.T) {
	b := wireBatch(wireStream())
	writer, r, pool := NewWireWriter(), NewWireReader(), &Pool{}
	for range 3 {
		front, data, err := writer.Parts([]byte("x"), b)
		if err != nil {
			t.Fatal(err)
		}
		text := append(front, data...)[1:]
		head, err := r.Head(text)
		if err != nil || head.Source != b.Source || head.Records != 4 || head.Size != b.Size() {
			t.Fatalf("head %+v, %v, of a batch of %d bytes", head, err, b.Size())
		}
		finished, released := 0, false
		w := NewBuilder(head.Source, pool, func(*Batch) { released = true })
		w.OnFinish(func(b *Batch) { finished = b.Size() })
		offset, through, err := r.Fill(w, text)
		if err != nil {
			t.Fatal(err)
		}
		got := w.Finish(offset, through)
		same(t, got, b)
		if least := b.Size() + 9*valueSize + 2*bodySize + 4*rawSize; finished < least || finished > 3*least {
			t.Errorf("charged %d bytes, at least %d are right", finished, least)
		}
		clear(text)
		same(t, got, b)
		if got.Release(); !released {
			t.Error("not released")
		}
	}
}

func TestWireFillRefuses(t *testing.T) {
	text, err := NewWireWriter().Append(nil, wireBatch(wireStream()))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewWireReader().Fill(NewBuilder("{}", nil, nil), text); err == nil || !strings.Contains(err.Error(), "partition") {
		t.Errorf("into another partition: %v", err)
	}
	w := NewBuilder(`{"server":"a"}`, nil, nil)
	w.Body(w.Stream(&Stream{}), OpNone, Body{})
	if _, _, err := NewWireReader().Fill(w, text); err == nil {
		t.Error("into a builder with records: no error")
	}
	released := false
	w = NewBuilder(`{"server":"a"}`, nil, func(*Batch) { released = true })
	r := NewWireReader()
	if _, _, err := r.Fill(w, text[:len(text)-1]); err == nil {
		t.Error("cut: no error")
	}
	if w.Abandon(); !released {
		t.Error("the builder is not the caller's any more")
	}
	if _, err := r.Head(text); err == nil {
		t.Error("the reader goes on after an error")
	}
}

// TestWireStartsAnew: streams without end pass through a connection whose ends remember no more than the bound.
func TestWireStartsAnew(t *testing.T) {
	w, r := NewWireWriter(), NewWireReader()
	w.bound, r.bound = 2000, 2000
	again := 0
	for n := range 100 {
		build := NewBuilder("{}", nil, nil)
		for i := range 4 {
			s := &schemas.Schema{Kind: schemas.String, Doc: strings.Repeat("d", 50)}
			build.Body(build.Stream(&Stream{Topic: fmt.Sprint("topic-", n, "-", i), Key: s}), OpNone, Body{Key: schemas.Typed{Schema: s, Value: "k"}})
		}
		b := build.Finish("{}", Order{Major: uint64(n)})
		text, err := w.Append(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if text[1] == 1 {
			again++
		}
		got, err := r.Decode(text, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, b)
		if w.known != r.known || w.known > 2000 || len(r.streams) != len(w.streams) || len(r.schemas) != len(w.schemas) {
			t.Fatalf("the writer knows %d bytes, %d streams and %d schemas, the reader %d, %d and %d", w.known, len(w.streams), len(w.schemas), r.known, len(r.streams), len(r.schemas))
		}
	}
	if again == 0 || again > 50 {
		t.Errorf("it began anew %d times", again)
	}
	build := NewBuilder("{}", nil, nil)
	build.Body(build.Stream(&Stream{Topic: strings.Repeat("t", 2001)}), OpNone, Body{})
	b := build.Finish("{}", Order{})
	if _, err := w.Append(nil, b); err == nil {
		t.Error("a stream above the bound is written")
	}
	w.bound = 4000
	text, err := w.Append(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decode(text, nil, nil); err == nil || !strings.Contains(err.Error(), "more than 2000") {
		t.Errorf("a stream above the bound is read: %v", err)
	}
}

// TestWireGoesOnAfterABadBatch: what a batch that could not be written has defined is defined again.
func TestWireGoesOnAfterABadBatch(t *testing.T) {
	w, r := NewWireWriter(), NewWireReader()
	s := wireStream()
	for n := range 6 {
		b := wireBatch(s)
		if n%2 == 0 {
			b.Bodies[0].Value.Value = struct{}{}
			if text, err := w.Append([]byte("x"), b); err == nil || string(text) != "x" {
				t.Fatalf("%q, %v", text, err)
			}
			s = wireStream()
			continue
		}
		text, err := w.Append(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Decode(text, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, b)
	}
}

// TestWireRefusesDeepSchemas: a schema that refers twice to one that refers twice to one … is small, and stands for a great many.
func TestWireRefusesDeepSchemas(t *testing.T) {
	for what, parts := range map[string]int{"wide": 2, "deep": 1} {
		w := NewWireWriter()
		s := &schemas.Schema{Kind: schemas.Int64}
		for range wireDepth {
			w.schema(s, 0) // what is known already has no depth for the writer
			up := &schemas.Schema{Kind: schemas.Struct}
			for range parts {
				up.Fields = append(up.Fields, schemas.Field{Schema: s})
			}
			s = up
		}
		f := &w.fresh
		if w.schema(s, 0); f.schemas.err != nil || f.nSchemas != wireDepth+1 {
			t.Fatalf("%d schemas, %v", f.nSchemas, f.schemas.err)
		}
		e := &wireEncoder{}
		e.uint(f.nSchemas)
		e.out = append(append(e.out, f.schemas.out...), 0)
		d := &wireDecoder{rest: e.out, reader: NewWireReader()}
		if d.definitions(); d.err == nil || !strings.Contains(d.err.Error(), "a schema that stands for more") {
			t.Errorf("%s: %v", what, d.err)
		}
	}
	s := &schemas.Schema{Kind: schemas.Array}
	s.Elem = s
	b := NewBuilder("{}", nil, nil).Finish("", Order{})
	b.Streams = []*Stream{{Key: s}}
	if _, err := NewWireWriter().Append(nil, b); err == nil {
		t.Error("a schema that holds itself is written")
	}
}

func TestWireBare(t *testing.T) {
	b := wireBatch(wireStream())
	w := NewWireWriter()
	w.Bare = true
	text, err := w.Append(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewWireReader().Decode(text, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.raws) == 0 || len(got.raws) != 0 {
		t.Errorf("%d of %d raw records", len(got.raws), len(b.raws))
	}
	b.raws = got.raws
	same(t, got, b)
}
