package connectors_test

import (
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
)

const benchRows = 2048

// TestWireAllocations: a batch costs a few allocations to read, its rows none.
func TestWireAllocations(t *testing.T) {
	for _, rows := range []int{10, 1000} {
		batch := connectortest.TenBatch(connectortest.Ten(), 0, rows)
		w, r, pool := connectors.NewWireWriter(), connectors.NewWireReader(), &connectors.Pool{}
		var text []byte
		write := func() {
			var err error
			if text, err = w.Append(text[:0], batch); err != nil {
				t.Fatal(err)
			}
		}
		read := func() {
			b, err := r.Decode(text, pool, nil)
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
		}
		write()
		read()
		if n := testing.AllocsPerRun(20, write); n > 0 {
			t.Errorf("%d rows: %v allocations to write", rows, n)
		}
		if n := testing.AllocsPerRun(20, read); n > 16 {
			t.Errorf("%d rows: %v allocations to read", rows, n)
		}
	}
}

func perRow(b *testing.B, bytes int) {
	b.Helper()
	b.SetBytes(int64(bytes))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
}

// BenchmarkWireWrite writes rows of ten columns.
func BenchmarkWireWrite(b *testing.B) {
	batch := connectortest.TenBatch(connectortest.Ten(), 0, benchRows)
	w := connectors.NewWireWriter()
	text, err := w.Append(nil, batch)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if text, err = w.Append(text[:0], batch); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, len(text))
}

// BenchmarkWireParts is BenchmarkWireWrite without a copy of the data.
func BenchmarkWireParts(b *testing.B) {
	batch := connectortest.TenBatch(connectortest.Ten(), 0, benchRows)
	w := connectors.NewWireWriter()
	front, data, err := w.Parts(nil, batch)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if front, data, err = w.Parts(front[:0], batch); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, len(front)+len(data))
}

// BenchmarkWireRead reads them, with all checks.
func BenchmarkWireRead(b *testing.B) {
	batch := connectortest.TenBatch(connectortest.Ten(), 0, benchRows)
	w, r, pool := connectors.NewWireWriter(), connectors.NewWireReader(), &connectors.Pool{}
	text, err := w.Append(nil, batch)
	if err != nil {
		b.Fatal(err)
	}
	first, err := r.Decode(text, pool, nil)
	if err != nil {
		b.Fatal(err)
	}
	first.Release()
	if text, err = w.Append(text[:0], batch); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		got, err := r.Decode(text, pool, nil)
		if err != nil {
			b.Fatal(err)
		}
		got.Release()
	}
	perRow(b, len(text))
}
