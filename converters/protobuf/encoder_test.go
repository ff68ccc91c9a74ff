package protobuf

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/convertertest"
	"github.com/freshet-io/freshet/converters/registry/registrytest"
	"github.com/freshet-io/freshet/schemas"
)

func encoderOf(t testing.TB, url string, s *connectors.Stream, key bool, more connectors.Config) *encoder {
	t.Helper()
	c := connectors.Config{"schema.registry.url": url}
	for k, v := range more {
		c[k] = v
	}
	conv, err := New(c, key)
	if err != nil {
		t.Fatal(err)
	}
	e, err := conv.Encoder(s)
	if err != nil {
		t.Fatal(err)
	}
	return e.(*encoder)
}

// TestCellsAsValues compares what is written from cells with what is written from the materialised record, and reads it again.
func TestCellsAsValues(t *testing.T) {
	t.Parallel()
	for _, more := range []connectors.Config{nil, {"optional.for.nullables": "true"}, {"wrapper.for.nullables": "true"}} {
		s := convertertest.Ten(t)
		r := registrytest.New(t)
		w := connectors.NewBuilder("{}", nil, nil)
		for i, c := range []convertertest.Cells{
			{ID: 1, Note: "a note", Decimal: "12.50", At: 1_709_210_096_000_000},
			{ID: 2, Null: true, Decimal: "-0.01", At: -1, Snapshot: "true"},
			{ID: 300, Note: string(bytes.Repeat([]byte("x"), 100)), Decimal: "99999999.99", Snapshot: "last"},
			{ID: 5, Note: string(bytes.Repeat([]byte("x"), 40_000)), Decimal: "0", Snapshot: "last"},
			{ID: 0, Note: "é", Decimal: "NaN", At: 1},
			{ID: -4, Decimal: "-123456789012345678901234567890", At: 1},
			{ID: -4, Decimal: "1", At: 1},
		} {
			c.Add(w, s, []connectors.Op{connectors.OpCreate, connectors.OpUpdate, connectors.OpDelete}[i%3])
		}
		b := w.Finish("", connectors.Order{})
		defer b.Release()
		for _, key := range []bool{true, false} {
			e, plain := encoderOf(t, r.URL, s, key, more), encoderOf(t, r.URL, s, key, more)
			d := decoderOf(t, r.URL, more)
			for i := range b.Records {
				got, null, err := e.Append(nil, b, &b.Records[i])
				if err != nil || null {
					t.Fatal(err, null)
				}
				body := changes.Materialize(b, &b.Records[i])
				want := body.Value
				if key {
					want = body.Key
				}
				wanted, _, err := plain.typed(nil, want)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, wanted) {
					t.Fatalf("%v: record %d\ngot  %s\nwant %s", more, i, hex.Dump(got), hex.Dump(wanted))
				}
				if _, err := d.Decode(got); err != nil {
					t.Fatal(err)
				}
				checkWire(t, e, got, want)
			}
		}
		if n := len(r.Subjects()); n != 2 {
			t.Errorf("%d subjects: %v", n, r.Subjects())
		}
	}
}

// checkWire reads a message with protobuf-go and writes it again: what it finds and writes is the same.
func checkWire(t testing.TB, e *encoder, message []byte, v schemas.Typed) {
	t.Helper()
	f, err := e.fromConnect(v.Schema)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parse(f.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := message[len(e.prefix):]
	m := dynamicpb.NewMessage(p.file.Messages().Get(0))
	if err := proto.Unmarshal(body, m); err != nil {
		t.Fatal(err)
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil || !bytes.Equal(again, body) {
		t.Fatalf("protobuf-go writes it otherwise (%v)\ngot  %x\nwant %x", err, body, again)
	}
	if len(m.GetUnknown()) > 0 {
		t.Fatalf("protobuf-go does not know %x", m.GetUnknown())
	}
}

func decoderOf(t testing.TB, url string, more connectors.Config) converters.Decoder {
	t.Helper()
	c := connectors.Config{"schema.registry.url": url}
	for k, v := range more {
		c[k] = v
	}
	d, err := NewDecoder(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func BenchmarkEnvelope(b *testing.B) {
	s := convertertest.Ten(b)
	w := connectors.NewBuilder("{}", nil, nil)
	for i := range 100 {
		convertertest.Cells{ID: int64(i), Note: "some text of a note", Decimal: "12.50", At: 1_709_210_096_000_000}.Add(w, s, connectors.OpCreate)
	}
	batch := w.Finish("", connectors.Order{})
	defer batch.Release()
	e := encoderOf(b, registrytest.New(b).URL, s, false, nil)
	var dst []byte
	var err error
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if dst, _, err = e.Append(dst[:0], batch, &batch.Records[i%100]); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkDecode(b *testing.B) {
	s := convertertest.Ten(b)
	w := connectors.NewBuilder("{}", nil, nil)
	convertertest.Cells{ID: 7, Note: "some text of a note", Decimal: "12.50", At: 1_709_210_096_000_000}.Add(w, s, connectors.OpCreate)
	batch := w.Finish("", connectors.Order{})
	defer batch.Release()
	url := registrytest.New(b).URL
	message, _, err := encoderOf(b, url, s, false, nil).Append(nil, batch, &batch.Records[0])
	if err != nil {
		b.Fatal(err)
	}
	d := decoderOf(b, url, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(message); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	type target struct {
		o options
		p *plan
	}
	var targets []target
	for _, r := range readRecorded(f) {
		data, err := hex.DecodeString(r.Hex)
		if err != nil || r.Error != "" || len(data) == 0 || len(data) > 2000 || r.Uses != nil {
			continue
		}
		text := r.Schema
		if r.Proto != "" {
			text = r.Proto
		}
		p, err := parse(text, nil)
		if err != nil {
			f.Fatal(err)
		}
		o := optionsOf(f, r.Config)
		plan, payload, err := o.plans(&reading{parsed: p}, data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(len(targets), payload)
		targets = append(targets, target{o, plan})
	}
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		s := targets[uint(which)%uint(len(targets))]
		v, err := s.o.decode(s.p, data)
		if err != nil {
			return
		}
		made, out, err := s.o.write(schemas.Typed{Schema: s.p.schema, Value: v})
		if err != nil {
			return // a value that Connect holds and messages made here do not
		}
		back, err := parse(made.String(), nil)
		if err != nil && strings.Contains(err.Error(), "first value of enum") {
			return // an enum of proto2: the reference writes it into proto3 too
		}
		if err != nil {
			t.Fatalf("the schema made here cannot be read: %v\n%s", err, made)
		}
		plan, payload, err := s.o.plans(&reading{parsed: back}, out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.o.decode(plan, payload); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}

func FuzzSchema(f *testing.F) {
	for _, r := range readRecorded(f) {
		if r.Error == "" && len(r.Schema) < 3000 {
			f.Add(r.Schema + r.Proto)
		}
	}
	f.Fuzz(func(_ *testing.T, text string) {
		p, err := parse(text, nil)
		if err != nil {
			return
		}
		if m, err := p.at([]int64{0}); err == nil {
			if plan, err := (options{}).plan(m, 3); err == nil {
				_, _ = (options{}).fromConnect(plan.schema) // must not panic
			}
		}
	})
}
