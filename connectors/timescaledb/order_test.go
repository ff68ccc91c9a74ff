package timescaledb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

// of is a change and the table that it is of.
type of struct {
	*connectors.Stream
	change
}

func (r *rig) together(list ...of) {
	r.Helper()
	major := uint64(r.Session.Next())
	err := r.Put(func(w *connectors.Builder) {
		for i, x := range list {
			x.Append(w, x.Stream, connectors.Order{Epoch: 1, Major: major, Minor: uint32(2*i + 1)})
		}
	})
	must(r.TB, err, r.Flush())
}

// Two versions of a table in one transaction: the last change of a row wins, whichever version was first used.
func TestOrderOfVersions(t *testing.T) {
	t.Parallel()
	v1, v2 := connectortest.Bets(), connectortest.Bets()
	v2.Table.Columns = append(v2.Table.Columns, connectortest.Column("odds", schemas.TypeFloat64, "double precision", true))
	all := "SELECT id || ' ' || coalesce(horse, '-') || ' ' || coalesce(odds::text, '-') FROM bets ORDER BY id"
	for _, more := range [][]string{{keyTruncate, "true"}, {keyTruncate, "true", keyInsert, "insert", keyDelete, "true"}} {
		r := newRig(t, bed.Postgres(t), more...)
		gone := of{v1, change{Op: connectors.OpTruncate}}
		for range 3 { // blocks are used again
			r.together(of{v1, insert(9, "x", 1)}, of{v2, insert(1, "a", 1, 1.5)}, of{v1, remove(1)}, of{v2, insert(1, "b", 1, 0.5)}, of{v1, insert(2, "c", 1)})
			r.expect(all, "1 b 0.5 | 2 c - | 9 x -")
			r.together(of{v1, remove(9)}, of{v2, insert(3, "d", 1, 1.5)}, of{v1, remove(3)}, of{v2, insert(4, "e", 1, 2.5)})
			r.expect(all, "1 b 0.5 | 2 c - | 4 e 2.5")
			r.together(of{v1, remove(1)}, of{v2, insert(5, "f", 1, 1.5)}, gone, of{v1, insert(6, "g", 1)}, of{v2, insert(7, "h", 1, 3.5)}, of{v1, remove(6)})
			r.expect(all, "7 h 3.5")
			r.together(gone)
			r.expect(all, "")
		}
	}
	r := newRig(t, bed.Postgres(t))
	r.together(of{v1, insert(9, "x", 1)}, of{v2, insert(1, "a", 1, 1.5)}, of{v1, update(1, "b", 1)}, of{v2, update(1, connectortest.Unavailable{}, 2, 2.5)}, of{v1, update(9, connectortest.Unavailable{}, 2)})
	r.expect(all, "1 b 2.5 | 9 x -")
}

// A row that moves between two partitions of a table, which are one table of the target.
func TestOrderOfTablesWithOneTarget(t *testing.T) {
	t.Parallel()
	pa, pb := connectortest.Bets(), connectortest.Bets()
	pa.Table.Name, pb.Table.Name = "pa", "pb"
	r := newRig(t, bed.Postgres(t), keyFormat, "bets")
	r.Write(pa, insert(1, "a", 1))
	r.together(of{pb, insert(9, "x", 1)}, of{pa, remove(1)}, of{pb, insert(1, "moved", 1)})
	r.expect("SELECT id || horse FROM bets ORDER BY id", "1moved | 9x")
	r.together(of{pa, insert(2, "b", 1)}, of{pb, remove(1)}, of{pa, insert(1, "back", 1)}, of{pb, insert(3, "c", 1)})
	r.expect("SELECT id || horse FROM bets ORDER BY id", "1back | 2b | 3c | 9x")
}

// Rows of different keys need no order: tables that share a target have one section each, however they alternate.
func TestSectionsOfOneTarget(t *testing.T) {
	t.Parallel()
	s := connectortest.Ten()
	blk := &block{}
	sink := newSink(&config{mode: "upsert", deletes: true}, connectors.Settings{}, nil)
	sink.task = &connectortest.Session{}
	a, b := tenPlan(s), tenPlan(s)
	for _, p := range []*plan{a, b} {
		p.mode, p.target = "upsert", `"ten"`
	}
	put := func(from, rows int, p *plan) {
		sink.used = []*plan{p}
		if err := sink.take(t.Context(), blk, connectortest.TenBatch(s, from, rows)); err != nil {
			t.Fatal(err)
		}
	}
	shape := func() string {
		var out []string
		for _, x := range blk.sections {
			out = append(out, fmt.Sprintf("%t %d", x.plan == a, len(x.rows)))
		}
		return strings.Join(out, ", ")
	}
	for range 2 {
		for n := range 100 {
			put(2*n, 1, a)
			put(2*n+1, 1, b)
		}
		put(2, 1, b)
		if got := shape(); got != "true 100, false 101" {
			t.Errorf("sections: %s", got)
		}
		put(2, 1, a)
		put(1000, 1, a)
		if got := shape(); got != "true 100, false 101, true 2" {
			t.Errorf("sections behind: %s", got)
		}
		blk.Reset(1 << 20)
		if got := shape(); got != "true 0, false 0" {
			t.Errorf("sections after: %s", got)
		}
	}
}
