package postgres

import (
	"context"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// BenchmarkSnapshotRow makes rows of ten columns out of lines of COPY in memory: what one reader does beside the server.
func BenchmarkSnapshotRow(b *testing.B) {
	rel, _, line := tenColumns(b)
	r := &snapshotReader{session: &rig{}, partition: "{}", rel: rel, seq: `[null,"22806528"]`, pos: position{lsn: 22806528, txID: 740, micros: 1700000000000000}}
	own := make([]byte, len(line))
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if r.b != nil && (r.b.Len() >= maxRecords || r.b.Size() >= batchBytes) {
			r.b.Finish("", connectors.Order{}).Release()
			r.b = nil
		}
		copy(own, line) // escapes are removed in place
		if err := r.append(context.Background(), own); err != nil {
			b.Fatal(err)
		}
	}
}
