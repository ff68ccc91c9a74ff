package timescaledb

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// BenchmarkSmall writes transactions of a few rows in one table and in five.
func BenchmarkSmall(b *testing.B) {
	for _, tables := range []int{1, 5} {
		b.Run(fmt.Sprintf("tables=%d", tables), func(b *testing.B) {
			r := newRig(b, bed.Postgres(b))
			var list []*connectors.Stream
			for i := range tables {
				s := bets()
				s.Table.Name = fmt.Sprintf("bets%d", i)
				list = append(list, s)
				r.write(s, insert(0, "a", 1))
			}
			n := 0
			for b.Loop() {
				n++
				err := r.put(func(w *connectors.Builder) {
					for _, s := range list {
						for k := range 4 {
							insert(n*4+k, "comet", n).add(w, s)
						}
						remove(n*4-3).add(w, s)
					}
				})
				if err == nil {
					err = r.flush()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
