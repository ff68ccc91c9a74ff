package timescaledb

import (
	"math/big"
	"testing"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

var truncate = change{Op: connectors.OpTruncate}

func TestAppend(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t), keyMode, modeAppend)
	s := connectortest.Bets()
	s.Table.Columns[1].Optional = false // but a delete may know the key alone
	gone := remove(1)
	gone.Old = []any{1, "c", nil}
	r.Write(s, insert(1, "a", 1), update(1, "b", 2), remove(1), insert(1, "c", nil), gone, change{Op: connectors.OpTombstone, Row: []any{1}}, truncate)
	all := "SELECT concat_ws(' ', coalesce(id::text, '-'), coalesce(horse, '-'), coalesce(stake::text, '-'), _op, _partition) FROM bets ORDER BY _order"
	r.expect(all, `1 a 1 c {"feed":1} | 1 b 2 u {"feed":1} | 1 - - d {"feed":1} | 1 c - c {"feed":1} | 1 c - d {"feed":1} | - - - t {"feed":1}`)
	r.expect("SELECT DISTINCT _time::text FROM bets", "1970-01-01 00:00:00+00")
	r.expect("SELECT string_agg(attname || ' ' || attnotnull, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'bets'::regclass AND attnum > 0",
		"id false, horse false, stake false, _op true, _time true, _partition true, _order true")
	r.expect("SELECT count(*)::text FROM pg_index WHERE indrelid = 'bets'::regclass", "0")

	// Columns that come later are NULL in the changes from before; what was NOT NULL becomes nullable.
	wide := connectortest.Bets()
	wide.Table.Columns = append(wide.Table.Columns, connectortest.Column("odds", schemas.TypeFloat64, "double precision", false))
	wide.Table.Columns[3].Default = "1.5"
	r.Write(wide, update(2, "w", 2, 2.5), remove(2))
	r.expect("SELECT concat_ws(' ', id, coalesce(odds::text, '-'), _op) FROM bets WHERE id = 2 OR _op = 'c' ORDER BY _order", "1 - c | 1 - c | 2 2.5 u | 2 - d")
	r.Refused(r.TryWrite(wide, update(2, connectortest.Unavailable{}, 3, 2.5)), `"public"."bets"`, "column horse", "REPLICA IDENTITY FULL")
}

// Changes from before and after a column grew are in one batch, in any order: each is kept as it was.
func TestAppendWhileAColumnGrows(t *testing.T) {
	t.Parallel()
	table := func(c schemas.Column) *connectors.Stream {
		return connectortest.Table("bets", 1, connectortest.Column("id", schemas.TypeInt32, "integer", false), c)
	}
	column := func(typ schemas.Type, spelled string) schemas.Column {
		return connectortest.Column("stake", typ, spelled, true)
	}
	for name, c := range map[string]struct {
		before, after schemas.Column
		grown         any
		want          string
	}{
		"bigint": {column(schemas.TypeInt64, "bigint"), column(schemas.TypeDecimal, "numeric"), connectortest.Text{Kind: connectors.KindDecimal, V: "2.5"}, "5 | 2.5 | 7"},
		"int4":   {column(schemas.TypeInt32, "integer"), column(schemas.TypeInt64, "bigint"), 1 << 40, "5 | 1099511627776 | 7"},
		"float4": {column(schemas.TypeFloat32, "real"), column(schemas.TypeFloat64, "double precision"), 1.25, "5 | 1.25 | 7"},
	} {
		for _, known := range []bool{false, true} {
			r := newRig(t, bed.Postgres(t), keyMode, modeAppend)
			v1, v2 := table(c.before), table(c.after)
			value := func(n int) any {
				if name == "float4" {
					return float64(n)
				}
				return n
			}
			want := c.want
			if known { // the plan of before is in use
				r.Write(v1, insert(1, value(4)))
				want = "4 | " + want
			}
			at := func(n uint32) connectors.Order { return connectors.Order{Epoch: 1, Major: 1 << 20, Minor: n} }
			err := r.Put(func(w *connectors.Builder) {
				insert(1, value(5)).Append(w, v1, at(1))
				insert(1, c.grown).Append(w, v2, at(2))
				insert(1, value(7)).Append(w, v1, at(3))
			})
			must(t, err, r.Flush())
			r.expect("SELECT trim_scale(stake::numeric)::text FROM bets ORDER BY _order", want)
		}
	}
}

// A type of the target's own goes through the staging table.
func TestAppendThroughStaging(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t), keyMode, modeAppend, keyPrefix, "freshet_")
	r.server.Exec(t, r.database, "CREATE TYPE mood AS ENUM ('zen', 'angry')")
	s := connectortest.Table("people", 1, connectortest.Column("id", schemas.TypeInt32, "integer", false), connectortest.Column("mood", schemas.TypeEnum, "public.mood", true))
	r.Write(s, insert(1, "zen"), update(1, "angry"), remove(1), truncate)
	r.expect("SELECT concat_ws(' ', coalesce(id::text, '-'), coalesce(mood::text, '-'), freshet_op) FROM people ORDER BY freshet_order", "1 zen c | 1 angry u | 1 - d | - - t")
}

func TestAppendWithoutKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t), keyMode, modeAppend, keyTruncate, "false")
	s := connectortest.Table("log", 0, connectortest.Column("line", schemas.TypeText, "text", false))
	gone := change{Op: connectors.OpDelete, Row: []any{"x"}, Old: []any{"x"}}
	r.Write(s, insert("x"), insert("x"), gone, truncate)
	r.expect("SELECT line || _op FROM log ORDER BY _order", "xc | xc | xd")
}

// A table that is there must be able to take every change.
func TestAppendIntoATableThatIsThere(t *testing.T) {
	t.Parallel()
	const own = "_op text, _time timestamptz, _partition text, _order numeric"
	for ddl, want := range map[string][]string{
		"id int, horse text, stake int":                                        {"no column _op of type text", "ADD COLUMN"},
		"id int, horse text, stake int, _op int":                               {"no column _op of type text"},
		"id int PRIMARY KEY, horse text, stake int, " + own:                    {"unique index on (id)", "drop the index"},
		"id int, horse text, stake int, " + own + ", UNIQUE (_order, id)":      nil,
		"n serial PRIMARY KEY, id int NOT NULL, horse text, stake int, " + own: nil,
	} {
		r := newRig(t, bed.Postgres(t), keyMode, modeAppend)
		r.server.Exec(t, r.database, "CREATE TABLE bets ("+ddl+")")
		err := r.TryWrite(connectortest.Bets(), insert(1, "a", 1), update(1, "b", 1), truncate)
		if want != nil {
			r.Refused(err, append(want, "public.bets")...)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", ddl, err)
		}
		r.expect("SELECT string_agg(_op, '' ORDER BY _order) FROM bets", "cut")
	}
	r := newRig(t, bed.Postgres(t), keyMode, modeAppend)
	r.Refused(r.TryWrite(connectortest.Table("t", 1, connectortest.Column("_op", schemas.TypeText, "text", false)), insert("x")), "column _op", keyPrefix)
}

func TestAppendHypertable(t *testing.T) {
	t.Parallel()
	at := func(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }
	ticks := connectortest.Table("ticks", 1, connectortest.Column("id", schemas.TypeInt32, "integer", false), connectortest.Column("at", schemas.TypeTimestampTZ, "timestamp with time zone", false))
	r := newRig(t, bed.Timescale(t), keyMode, modeAppend, keyChunk, "1 day")
	r.Write(ticks, insert(1, at(1)), update(1, at(2)), remove(1), truncate)
	r.expect("SELECT hypertable_name || ' ' || column_name FROM timescaledb_information.dimensions", "ticks _time")
	r.expect("SELECT string_agg(_op, '' ORDER BY _order) FROM ticks", "cudt")

	// By a column of the source: a change that does not know it is refused.
	r = newRig(t, bed.Timescale(t), keyMode, modeAppend, keyTime, "at", keyChunk, "1 day")
	gone := remove(1)
	gone.Old = []any{1, at(2)}
	r.Write(ticks, insert(1, at(1)), update(1, at(2)), gone)
	r.expect("SELECT hypertable_name || ' ' || num_chunks FROM timescaledb_information.hypertables", "ticks 2")
	r.Refused(r.TryWrite(ticks, remove(1)), "column at", "REPLICA IDENTITY FULL", keyTime+"=_time")
}

func TestOrderAsNumber(t *testing.T) {
	t.Parallel()
	conn := bed.Postgres(t).Connect(t, bed.Postgres(t).NewDatabase(t))
	for _, o := range []connectors.Order{{}, {Minor: 1}, {Minor: 10000}, {Major: 1}, {Epoch: 1}, {Epoch: 1<<32 - 1, Major: 1<<64 - 1, Minor: 1<<32 - 1}, {Epoch: 3, Major: 1 << 50, Minor: 7}} {
		want := new(big.Int).SetUint64(uint64(o.Epoch))
		want.Lsh(want, 64).Add(want, new(big.Int).SetUint64(o.Major)).Lsh(want, 32).Add(want, big.NewInt(int64(o.Minor)))
		binary := appendOrder(nil, o)[4:]
		var equal bool
		if err := conn.QueryRow(t.Context(), "SELECT numeric_send($1::text::numeric) = $2::bytea", want.String(), binary).Scan(&equal); err != nil {
			t.Fatal(err)
		}
		if !equal {
			t.Errorf("%s: %x is not %s", o.Text(), binary, want)
		}
	}
}

// BenchmarkAppend encodes every change; the budget is that of BenchmarkSection.
func BenchmarkAppend(b *testing.B) {
	s := connectortest.Ten()
	p := tenPlan(s)
	p.mode, p.straight, p.timeColumn = modeAppend, true, -1
	const rows = 5000
	to, batch := newSection(p), connectortest.TenBatch(s, 0, rows)
	b.ReportAllocs()
	for b.Loop() {
		to.reset()
		for i := range batch.Records {
			row, err := changes.RowOf(batch, &batch.Records[i])
			if err == nil {
				err = to.keep(batch, i, &row)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}
