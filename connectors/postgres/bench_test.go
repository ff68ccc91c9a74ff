package postgres

import (
	"context"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

const benchRows = 200_000

const benchTable = `CREATE TABLE t (id bigint PRIMARY KEY, a int, b int, c text, d text, e numeric(12,2), f timestamptz, g bool, h double precision, i date)`

const benchFill = `DO $$ BEGIN FOR k IN 0..199 LOOP
INSERT INTO t SELECT k*1000+g, g, g*2, 'customer ' || g, repeat('n', 20), g*1.25, '2024-01-01 00:00:00.123456+00', g % 2 = 0, g/3.0, '2024-02-03' FROM generate_series(1, 1000) g;
COMMIT; END LOOP; END $$`

// BenchmarkStream drains the same transactions of 1000 rows from a slot, without a sink.
func BenchmarkStream(b *testing.B) {
	r := newRig(b, connectors.Config{"snapshot.mode": "no_data", "lsn.flush.mode": "manual"})
	r.exec(benchTable)
	r.start()
	r.stop()
	r.exec(benchFill)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		clear(r.store)
		r.start()
		drain(b, r, benchRows)
		b.StopTimer()
		r.crash()
		b.StartTimer()
	}
	b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkSnapshot reads a table by COPY, without a sink.
func BenchmarkSnapshot(b *testing.B) {
	r := newRig(b, connectors.Config{"snapshot.mode": "initial_only"})
	r.exec(benchTable, benchFill)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		clear(r.store)
		r.start()
		drain(b, r, benchRows)
		b.StopTimer()
		r.stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

func drain(b *testing.B, r *rig, n int) {
	b.Helper()
	batches := 0
	for got := 0; got < n; {
		batch, err := r.task.Poll(context.Background())
		if err != nil {
			b.Fatalf("poll: %v after %d of %d rows", err, got, n)
		}
		batches++
		got += len(batch.Records)
		batch.Release()
	}
	b.ReportMetric(float64(n)/float64(batches), "rows/batch")
}
