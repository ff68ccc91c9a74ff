package json

import (
	"math"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// viewsBatch has a stream with a field of every view, and rows of usual, extreme and missing values.
func viewsBatch(t testing.TB, c connectors.Config) *connectors.Batch {
	t.Helper()
	c["topic.prefix"] = "views"
	naming, err := changes.NewNaming(c, "io.debezium.schema.SchemaTopicNamingStrategy")
	if err != nil {
		t.Fatal(err)
	}
	modes, err := changes.NewModes(c, "adaptive")
	if err != nil {
		t.Fatal(err)
	}
	plain := func(k schemas.Kind) connectors.Field { return connectors.Field{Schema: changes.Plain(k, true)} }
	withDefault := plain(schemas.Int32)
	withDefault.Schema.Default = int32(42)
	toast := plain(schemas.String)
	toast.WhenUnavailable = "placeholder"
	fields := []connectors.Field{
		plain(schemas.Boolean), plain(schemas.Int16), withDefault, plain(schemas.Int64), plain(schemas.Float32), plain(schemas.Float64), toast,
		modes.Decimal(10, 2, true), modes.VariableDecimal(true), modes.Date(true), modes.TimeOfDay(3, true), modes.TimeOfDay(6, true),
		modes.Timestamp(3, true), modes.Timestamp(6, true), modes.ZonedTimestamp(3, true), modes.ZonedTime(true), modes.Interval(true),
		modes.Binary(true), modes.Bits(1, true), modes.Bits(20, true), modes.TextMap(true), modes.Point(true),
		modes.List(modes.Decimal(10, 2, true), true), modes.List(plain(schemas.String), true),
		modes.WholeBits(20, true), modes.Geometry(true), modes.GeometryPoint(true), modes.FloatVector(true), modes.UnsignedLong(false, true), modes.UnsignedLong(true, true),
		modes.TimeOfDay(3, true),
	}
	table := &schemas.Table{Schema: "public", Name: "views"}
	for i := range fields {
		table.Columns = append(table.Columns, schemas.Column{Name: string(rune('a' + i))})
	}
	s := changes.NewStream(changes.StreamSpec{Table: table, Fields: fields, Source: pgSource("views", "public", "views"), Naming: naming})
	w := connectors.NewBuilder("{}", nil, nil)
	at := w.Stream(s)
	for _, big := range []bool{false, true} {
		r := w.Begin(at, connectors.OpCreate)
		r.Timestamp = 1795207386161700756
		w.After()
		viewsRow(w, big)
		source(w, 1795207386107195, "true", `[null,"1"]`, 7, 8)
		w.Commit()
	}
	w.Begin(at, connectors.OpUpdate)
	w.Before()
	for range fields {
		w.Null()
	}
	w.After()
	for i := range fields {
		if i == 6 {
			w.Unavailable()
		} else {
			w.Absent()
		}
	}
	source(w, 999, "", `[null,"1"]`, 7, 8)
	w.Commit()
	return w.Finish("", connectors.Order{})
}

func viewsRow(w *connectors.Builder, big bool) {
	moment, day, decimal := int64(1709210096123456), int64(19782), "123.45"
	if big {
		moment, day, decimal = math.MaxInt64, math.MaxInt64, "NaN"
	}
	w.Bool(big)
	w.Int(-7)
	w.Int(5)
	w.Int(math.MinInt64)
	w.Float32(1.5e-45)
	w.Float64(math.Inf(1))
	w.String("é\x01\"\\ and more than eight characters")
	w.Text(connectors.KindDecimal, []byte(decimal))
	w.Text(connectors.KindDecimal, []byte("12345678901234567890.1200"))
	w.Temporal(connectors.KindDate, day)
	w.Temporal(connectors.KindTime, 45296123456)
	w.Temporal(connectors.KindTime, 86400000000)
	w.Temporal(connectors.KindTimestamp, moment)
	w.Temporal(connectors.KindTimestamp, moment)
	w.Temporal(connectors.KindTimestampTZ, moment)
	w.TimeTZ(3723123456, -19800)
	w.Interval(14, 3, -14706789000)
	w.Text(connectors.KindBytes, []byte{0xDE, 0xAD, 0})
	w.Text(connectors.KindBits, []byte("1"))
	w.Text(connectors.KindBits, []byte("10000000000000000001"))
	w.BeginList(connectors.KindMap)
	w.String("b c")
	w.Null()
	w.String("a")
	w.String(`x"y`)
	w.EndList()
	w.BeginList(connectors.KindPoint)
	w.Float64(1)
	w.Float64(-1.5e300)
	w.EndList()
	w.BeginList(connectors.KindList)
	w.Text(connectors.KindDecimal, []byte("-1.5"))
	w.Null()
	w.EndList()
	w.BeginList(connectors.KindList)
	w.String("a,b")
	w.BeginList(connectors.KindList) // an array in an array
	w.String("c")
	w.EndList()
	w.EndList()
	mysqlCells(w, big)
}

// mysqlCells are values of kinds that only MySQL has.
func mysqlCells(w *connectors.Builder, big bool) {
	geometry := []byte{0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0xC0}
	moment := int64(45296123456)
	if big {
		geometry[0], geometry[1] = 0xE6, 0x10
		moment = -moment
	}
	w.Text(connectors.KindBits, []byte("00000000000000000001"))
	w.Text(connectors.KindBytes, geometry)
	w.Text(connectors.KindBytes, geometry)
	w.BeginList(connectors.KindList)
	w.Float32(1.5)
	w.Float32(-2e30)
	w.EndList()
	w.Uint(math.MaxUint64)
	w.Uint(math.MaxUint64)
	w.Temporal(connectors.KindTime, moment)
}

// A time that is none of a day stops the writing of a required field that holds only such: nothing right can be written.
func TestMisfit(t *testing.T) {
	for _, mode := range []string{"connect", "isostring"} {
		modes, err := changes.NewModes(connectors.Config{"time.precision.mode": mode}, "")
		if err != nil {
			t.Fatal(err)
		}
		naming, err := changes.NewNaming(connectors.Config{"topic.prefix": "p"}, "io.debezium.schema.SchemaTopicNamingStrategy")
		if err != nil {
			t.Fatal(err)
		}
		table := &schemas.Table{Schema: "public", Name: "laps", Columns: []schemas.Column{{Name: "t"}}}
		s := changes.NewStream(changes.StreamSpec{Table: table, Fields: []connectors.Field{modes.TimeOfDay(0, false)}, Source: pgSource("p", "public", "laps"), Naming: naming})
		w := connectors.NewBuilder("{}", nil, nil)
		at := w.Stream(s)
		for _, v := range []int64{86400000000, -1, 86400000001} {
			w.Begin(at, connectors.OpCreate)
			w.After()
			w.Temporal(connectors.KindTime, v)
			source(w, 1, "true", `[null,"1"]`, 7, 8)
			w.Commit()
		}
		b := w.Finish("", connectors.Order{})
		_, e := encoders(t, connectors.Config{}, s)
		for i := range b.Records {
			if _, _, err := e.Append(nil, b, &b.Records[i]); (err == nil) != (i == 0) {
				t.Errorf("%s, record %d: %v", mode, i, err)
			}
		}
	}
}

// Written from cells, a record is what it is when materialised first; and writing from cells does not allocate.
func TestCellsAsMaterialised(t *testing.T) {
	for _, modes := range []connectors.Config{
		{},
		{"decimal.handling.mode": "string", "time.precision.mode": "connect", "binary.handling.mode": "base64", "hstore.handling.mode": "map", "interval.handling.mode": "string"},
		{"decimal.handling.mode": "double", "time.precision.mode": "isostring", "binary.handling.mode": "hex"},
		{"time.precision.mode": "nanoseconds", "binary.handling.mode": "base64-url-safe"},
		{"time.precision.mode": "microseconds"},
	} {
		for _, c := range []connectors.Config{{}, {"schemas.enable": "false", "decimal.format": "NUMERIC"}, {"replace.null.with.default": "false"}} {
			b := viewsBatch(t, modes)
			_, e := encoders(t, c, b.Streams[0])
			generic := &e.(*envelopeEncoder).materialised
			for i := range b.Records {
				want, _, err := generic.typed(nil, changes.Materialize(b, &b.Records[i]).Value)
				if err != nil {
					t.Fatal(err)
				}
				if got := encode(t, e, b, i); got != string(want) {
					at := strings.Index(got, `"payload":`) + 1 // leaves the schema out
					t.Errorf("%v %v record %d:\ngot  %s\nwant %s", modes, c, i, got[at:], want[at:])
				}
				buf := make([]byte, 0, 1<<16)
				if n := testing.AllocsPerRun(10, func() { buf, _, _ = e.Append(buf[:0], b, &b.Records[i]) }); n != 0 {
					t.Errorf("%v %v record %d: %v allocations", modes, c, i, n)
				}
			}
			b.Release()
		}
	}
}
