package kafka

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// BenchmarkSink puts batches of 1 and of 1,000 records of 500 bytes; with one record per batch it reports how long a batch
// takes to be durable.
func BenchmarkSink(b *testing.B) {
	k := bed.Kafka(b)
	for _, exactly := range []bool{false, true} {
		for _, size := range []int{1, 1000} {
			b.Run(fmt.Sprintf("exactly once %v/%d per batch", exactly, size), func(b *testing.B) {
				s := settings(k.Bootstrap(), exactly)
				s.Connector = k.NewTopic(b, 1, nil)
				task, _ := start(b, nil, s)
				str := stream(s.Connector)
				value := make([]byte, 480)
				b.ResetTimer()
				id := 0
				for n := 0; n < b.N; n += size {
					id++
					w := connectors.NewBuilder(orders, nil, nil)
					at := w.Stream(str)
					for range size {
						w.Begin(at, connectors.OpCreate)
						w.Key()
						w.String("key")
						w.After()
						w.Text(connectors.KindText, value)
						w.Commit()
					}
					batch := w.Finish(offsets.Offset(`{"lsn":1}`), connectors.Order{})
					batch.ID = connectors.BatchID(id)
					put(b, task, batch)
					if size == 1 {
						flush(b, task)
					}
				}
				flush(b, task)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}
