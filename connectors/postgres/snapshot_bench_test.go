package postgres

import (
	"context"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// BenchmarkSnapshotRow makes rows of ten columns out of lines of COPY in memory: what one reader does beside the server.
func BenchmarkSnapshotRow(b *testing.B) {
	rel, _, line := tenColumns(b)
	r := &snapshotReader{rel: rel, seq: `[null,"22806528"]`, pos: position{lsn: 22806528, txID: 740, micros: 1700000000000000}}
	own := make([]byte, len(line))
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	var w *connectors.Builder
	for b.Loop() {
		fresh := w == nil
		if fresh {
			w, _ = (&rig{}).NewBatch(context.Background(), "{}")
		}
		copy(own, line) // escapes are removed in place
		if err := r.append(w, fresh, own); err != nil {
			b.Fatal(err)
		}
		if w.Len() >= maxRecords || w.Size() >= batchBytes {
			w.Finish("", connectors.Order{}).Release()
			w = nil
		}
	}
}
