package timescaledb

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
)

// BenchmarkSmall writes transactions of a few rows in one table and in five.
func BenchmarkSmall(b *testing.B) {
	for _, tables := range []int{1, 5} {
		b.Run(fmt.Sprintf("tables=%d", tables), func(b *testing.B) {
			r := newRig(b, bed.Postgres(b))
			var list []*connectors.Stream
			for i := range tables {
				s := connectortest.Bets()
				s.Table.Name = fmt.Sprintf("bets%d", i)
				list = append(list, s)
				r.Write(s, insert(0, "a", 1))
			}
			n := 0
			for b.Loop() {
				n++
				err := r.Put(func(w *connectors.Builder) {
					for _, s := range list {
						for k := range 4 {
							insert(n*4+k, "comet", n).Append(w, s, connectors.Order{})
						}
						remove(n*4-3).Append(w, s, connectors.Order{})
					}
				})
				if err == nil {
					err = r.Flush()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
