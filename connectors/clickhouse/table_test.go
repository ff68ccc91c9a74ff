package clickhouse

import (
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

const current = "SELECT id, horse, stake FROM bets_current ORDER BY id"

func TestMirror(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t))
	s := connectortest.Bets()
	r.Write(s, insert(1, "a", 1), insert(2, "b", 2), update(1, "a2", nil), remove(2, nil, nil), insert(3, "c", 3), remove(3, nil, nil), insert(3, "c2", 4))
	r.expect(current, `1 a2 \N | 3 c2 4`)
	r.Write(s, change{Op: connectors.OpTombstone, Row: []any{3, nil, nil}}, remove(3, nil, nil), insert(4, nil, 4))
	r.expect(current, `1 a2 \N | 4 \N 4`)
	r.expect("SELECT id, horse FROM bets FINAL ORDER BY id", `1 a2 | 4 \N`)
	r.expect("SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'bets'", "ReplacingMergeTree(_version, _is_deleted) ORDER BY id SETTINGS index_granularity = 8192")
	r.Write(s, insert(5, "gone", 5), change{Op: connectors.OpTruncate}, insert(6, "f", 6))
	r.expect(current, "6 f 6")
	// An older change that comes late has no effect.
	if err := r.Put(func(w *connectors.Builder) {
		insert(6, "old", 1).Append(w, s, connectors.Order{Epoch: 1, Major: 1, Minor: 1})
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	r.expect(current, "6 f 6")
	// A later one of another epoch wins over all.
	if err := r.Put(func(w *connectors.Builder) {
		remove(6, nil, nil).Append(w, s, connectors.Order{Epoch: 2, Major: 1, Minor: 1})
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	r.expect(current, "")
}

func TestAppend(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t), keyMode, "append")
	s := connectortest.Bets()
	all := "SELECT id, horse, stake, _op, _partition, bitShiftRight(_order, 96), toString(bitAnd(bitShiftRight(_order, 32), 18446744073709551615)), toString(bitAnd(_order, 4294967295)) FROM bets FINAL ORDER BY _order"
	want := `1 a 1 c {"feed":1} 1 1 1 | 1 b 2 u {"feed":1} 1 1 3 | 1 \N \N d {"feed":1} 1 1 5 | 0 \N \N t {"feed":1} 1 1 7`
	for range 2 { // and the same positions again
		if err := r.Put(func(w *connectors.Builder) {
			for i, c := range []change{insert(1, "a", 1), update(1, "b", 2), remove(1, nil, nil), {Op: connectors.OpTruncate}} {
				c.Append(w, s, connectors.Order{Epoch: 1, Major: 1, Minor: uint32(2*i + 1)})
			}
		}); err != nil {
			t.Fatal(err)
		}
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
		r.expect(all, want)
	}
}

func TestWithoutKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t))
	s := connectortest.Table("log", 0, connectortest.Column("line", schemas.TypeText, "text", false))
	same := connectors.Order{Epoch: 1, Major: 7}
	for range 2 { // a snapshot that is read twice at one position
		r.start()
		if err := r.Put(func(w *connectors.Builder) {
			for range 3 {
				read("equal").Append(w, s, same)
			}
			insert("equal").Append(w, s, connectors.Order{Epoch: 1, Major: 8, Minor: 1})
		}); err != nil {
			t.Fatal(err)
		}
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
		r.expect("SELECT count(), any(line) FROM log_current", "4 equal")
	}
	r.Refused(r.TryWrite(s, update("x")), "public.log has no key", "append")
}
