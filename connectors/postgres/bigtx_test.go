package postgres

import (
	"context"
	"runtime"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// TestBigTransaction streams one transaction of a million rows: batches end inside it, memory stays small.
// The heap is that of the process: no other test runs beside it.
func TestBigTransaction(t *testing.T) {
	const rows = 1_000_000
	r := newRig(t, connectors.Config{"snapshot.mode": "no_data"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)")
	r.start()
	r.exec("INSERT INTO a SELECT g, 'value ' || g FROM generate_series(1, 1000000) g")
	n, last, largest := 0, 0, uint64(0)
	var order connectors.Order
	for n < rows {
		b, err := r.task.Poll(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Records {
			rec := &b.Records[i]
			if rec.Order.Compare(order) <= 0 {
				t.Fatalf("record %d: order %v after %v", n+i, rec.Order, order)
			}
			order = rec.Order
			if rec.Last {
				last++
			}
		}
		n += len(b.Records)
		if b.Size() > 2*batchBytes {
			t.Fatalf("a batch of %d bytes", b.Size())
		}
		b.Release()
		if n%100_000 < len(b.Records) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			largest = max(largest, m.HeapAlloc)
		}
	}
	if n != rows || last != 1 {
		t.Errorf("%d rows, %d marked as the last", n, last)
	}
	if largest > 64<<20 {
		t.Errorf("heap of %d bytes", largest)
	}
}
