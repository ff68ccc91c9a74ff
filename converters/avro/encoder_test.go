package avro

import (
	"bytes"
	"encoding/hex"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/convertertest"
	"github.com/freshet-io/freshet/converters/registry/registrytest"
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
	for _, more := range []connectors.Config{nil, {"connect.meta.data": "false"}, {"discard.type.doc.default": "true"}} {
		s := convertertest.Ten(t)
		r := registrytest.New(t)
		w := connectors.NewBuilder("{}", nil, nil)
		for i, c := range []convertertest.Cells{
			{ID: 1, Note: "a note", Decimal: "12.50", At: 1_709_210_096_000_000},
			{ID: 2, Null: true, Decimal: "-0.01", At: -1, Snapshot: "true"},
			{ID: 300, Note: string(bytes.Repeat([]byte("x"), 100)), Decimal: "99999999.99", Snapshot: "last"},
			{ID: 4, Note: "é", Decimal: "NaN", At: 1},
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
					t.Fatalf("record %d\ngot  %s\nwant %s", i, hex.Dump(got), hex.Dump(wanted))
				}
				back, err := d.Decode(got)
				if err != nil {
					t.Fatal(err)
				}
				again, _, err := plain.typed(nil, back)
				if err != nil || more == nil && !bytes.Equal(again[5:], got[5:]) { // else the schema lacks what was not kept
					t.Errorf("%v: record %d is not the same when it was read and written again (%v)\n%x\n%x", more, i, err, again, got)
				}
			}
		}
		if n := len(r.Subjects()); n != 2 {
			t.Errorf("%d subjects: %v", n, r.Subjects())
		}
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
	spent := cpu(b)
	for i := 0; b.Loop(); i++ {
		if dst, _, err = e.Append(dst[:0], batch, &batch.Records[i%100]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu(b)-spent)/float64(b.N), "cpu-ns/op")
	b.SetBytes(int64(len(dst)))
}

// cpu is what this process has used: the budget is CPU time, and the machine may have other work.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
	var readings []*reading
	o := options{meta: true, flatten: true}
	for _, r := range readRecorded(f) {
		if r.Error != "" || len(r.Hex) > 4000 {
			continue
		}
		n, err := parse(r.Schema, nil)
		if err != nil {
			f.Fatal(err)
		}
		s, err := o.toConnect(n, 0)
		if err != nil {
			f.Fatal(err)
		}
		data, _ := hex.DecodeString(r.Hex)
		f.Add(len(readings), data)
		readings = append(readings, &reading{n, s})
	}
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		s := readings[uint(which)%uint(len(readings))]
		v, err := o.decode(s, data)
		if err != nil || s.schema == nil {
			return
		}
		out, err := writer{o}.value(nil, s.node, s.schema, v)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := o.decode(s, out)
		if err != nil {
			t.Fatal(err)
		}
		if third, err := (writer{o}).value(nil, s.node, s.schema, again); err != nil || !bytes.Equal(third, out) {
			t.Fatalf("read and written again it differs: %v", err)
		}
	})
}

func FuzzSchema(f *testing.F) {
	for _, r := range readRecorded(f) {
		if r.Error == "" && len(r.Schema) < 3000 {
			f.Add(r.Schema)
		}
	}
	f.Add(`{"type":"record","name":"A","fields":[{"name":"a","type":["null","A"]}]}`)
	f.Fuzz(func(_ *testing.T, text string) {
		n, err := parse(text, nil)
		if err != nil {
			return
		}
		if s, err := (options{meta: true, flatten: true}).toConnect(n, 3); err == nil {
			_, _ = (options{meta: true}).fromConnect(s) // must not panic
		}
	})
}
