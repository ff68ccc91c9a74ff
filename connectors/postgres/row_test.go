package postgres

import (
	"encoding/binary"
	"log/slog"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// builtins are the types that tests of relations without a server use.
func builtins() map[uint32]*pgType {
	out := map[uint32]*pgType{}
	for oid, name := range map[uint32]string{
		oidBool: "bool", oidInt4: "int4", oidInt8: "int8", oidText: "text", oidVarchar: "varchar", oidNumeric: "numeric", oidFloat8: "float8",
		oidTimestampTZ: "timestamptz", oidBytea: "bytea", oidDate: "date", oidUUID: "uuid",
	} {
		out[oid] = &pgType{oid: oid, name: name, schema: "pg_catalog", kind: 'b', modifier: -1}
	}
	return out
}

// offline makes a catalog without a server.
func offline(t testing.TB, pairs ...string) *catalog {
	t.Helper()
	cfg, err := parseConfig(plainConfig(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	c := newCatalog(cfg, nil, "1", nil, slog.New(slog.DiscardHandler))
	c.types = builtins()
	return c
}

func col(name string, oid uint32, notNull, inOld bool) blueprintColumn {
	return blueprintColumn{columnInfo{name: name, typeOID: oid, modifier: -1, notNull: notNull}, inOld}
}

func ordersTable() blueprint {
	return blueprint{oid: 1, id: changes.TableID{Catalog: "d", Schema: "public", Name: "orders"}, identity: 'd', key: []string{"id"}, columns: []blueprintColumn{
		col("id", oidInt4, true, true), col("customer", oidText, true, false), col("note", oidText, false, false), col("total", oidInt4, true, false),
	}}
}

func build(t testing.TB, c *catalog, b blueprint) *relation {
	t.Helper()
	r, err := c.build(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tuple renders TupleData; "-" is NULL, "?" an unchanged value.
func tuple(values ...string) []byte {
	out := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		switch v {
		case "-":
			out = append(out, 'n')
		case "?":
			out = append(out, 'u')
		default:
			out = append(binary.BigEndian.AppendUint32(append(out, 't'), uint32(len(v))), v...)
		}
	}
	return out
}

func cellsText(w *connectors.Batch, r connectors.Row) string {
	var out []string
	for _, c := range w.Cells(r) {
		out = append(out, showCell(w, c))
	}
	return strings.Join(out, " ")
}

// update builds a record of an update and returns it with its batch.
func update(t testing.TB, r *relation, old []byte, tag byte, updated []byte) (*connectors.Batch, bool) {
	t.Helper()
	w := connectors.NewBuilder("", nil, nil)
	rec := w.Begin(w.Stream(r.stream), connectors.OpUpdate)
	changed := false
	if old != nil {
		w.Before()
		if rest, err := r.appendTuple(w, old, tag, connectors.Row{}); err != nil || len(rest) > 0 {
			t.Fatal(err, rest)
		}
	}
	w.After()
	if rest, err := r.appendTuple(w, updated, tupleNew, rec.Before); err != nil || len(rest) > 0 {
		t.Fatal(err, rest)
	}
	if old != nil {
		var err error
		if changed, err = r.keyChanged(w, rec.Before, rec.After, old, updated); err != nil {
			t.Fatal(err)
		}
	}
	w.Key()
	if err := r.appendKey(w, rec.After, updated, tupleNew); err != nil {
		t.Fatal(err)
	}
	w.Commit()
	return w.Finish("", connectors.Order{}), changed
}

func TestUpdateRows(t *testing.T) {
	for name, c := range map[string]struct {
		pairs              []string
		old                []byte
		tag                byte
		updated            []byte
		before, after, key string
		changed            bool
	}{
		"no old row":          {nil, nil, 0, tuple("1", "a", "b", "2"), "", `1 "a" "b" 2`, "1", false},
		"toast stays unknown": {nil, nil, 0, tuple("1", "a", "?", "2"), "", `1 "a" unavailable 2`, "1", false},
		"key tuple":           {nil, tuple("1", "-", "-", "-"), tupleKey, tuple("2", "a", "?", "2"), "1 absent absent absent", `2 "a" unavailable 2`, "2", true},
		"full, toast":         {nil, tuple("1", "a", "long", "1"), tupleOld, tuple("1", "a", "?", "2"), `1 "a" "long" 1`, `1 "a" "long" 2`, "1", false},
		"full, null":          {nil, tuple("1", "a", "-", "1"), tupleOld, tuple("1", "a", "-", "2"), `1 "a" null 1`, `1 "a" null 2`, "1", false},
		"excluded": {
			[]string{"column.exclude.list", "public.orders.(id|note)"},
			tuple("1", "a", "b", "1"), tupleOld, tuple("2", "a", "b", "1"), `"a" 1`, `"a" 1`, "2", true,
		},
		"masked key": {
			[]string{"column.mask.with.3.chars", "public.orders.customer", "message.key.columns", "public.orders:total,customer"},
			tuple("1", "ann", "b", "1"), tupleOld, tuple("1", "bob", "?", "1"), `1 "***" "b" 1`, `1 "***" "b" 1`, `1 "bob"`, true,
		},
		"mask hides null": {
			[]string{"column.mask.with.3.chars", "public.orders.note"},
			nil, 0, tuple("1", "ann", "-", "1"), "", `1 "ann" "***" 1`, "1", false,
		},
		"truncation keeps null": {
			[]string{"column.truncate.to.3.chars", "public.orders.note"},
			nil, 0, tuple("1", "ann", "-", "1"), "", `1 "ann" null 1`, "1", false,
		},
		"key outside the identity": {
			[]string{"message.key.columns", "public.orders:customer,total"},
			tuple("1", "-", "-", "-"), tupleKey, tuple("1", "a", "b", "1"), "1 absent absent absent", `1 "a" "b" 1`, `"a" 1`, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, changed := update(t, build(t, offline(t, c.pairs...), ordersTable()), c.old, c.tag, c.updated)
			r := b.Records[0]
			if got := cellsText(b, r.Before); got != c.before {
				t.Errorf("before: got %s, want %s", got, c.before)
			}
			if got := cellsText(b, r.After); got != c.after {
				t.Errorf("after: got %s, want %s", got, c.after)
			}
			if got := cellsText(b, r.Key); got != c.key {
				t.Errorf("key: got %s, want %s", got, c.key)
			}
			if changed != c.changed {
				t.Errorf("key changed: got %v, want %v", changed, c.changed)
			}
		})
	}
}

func TestKeyOfDelete(t *testing.T) {
	r := build(t, offline(t, "column.mask.with.3.chars", "public.orders.customer", "message.key.columns", "public.orders:customer,id"), ordersTable())
	w := connectors.NewBuilder("", nil, nil)
	rec := w.Begin(w.Stream(r.stream), connectors.OpDelete)
	old := tuple("7", "-", "-", "-")
	w.Before()
	if _, err := r.appendTuple(w, old, tupleKey, connectors.Row{}); err != nil {
		t.Fatal(err)
	}
	w.Key()
	if err := r.appendKey(w, rec.Before, old, tupleKey); err != nil {
		t.Fatal(err)
	}
	w.Commit()
	b := w.Finish("", connectors.Order{})
	if got := cellsText(b, b.Records[0].Key); got != "absent 7" {
		t.Errorf("got %s", got)
	}
}

func TestCopyLines(t *testing.T) {
	r := build(t, offline(t), ordersTable())
	for line, want := range map[string]string{
		"1\ta\\tb\\\\\\n\t\\N\t2\n":   `1 "a\tb\\\n" null 2`,
		"1\t\t\\\\N\t2":               `1 "" "\\N" 2`,
		"-1\té\\b\\f\\r\\v\\x\t\t0\n": `-1 "é\b\f\r\u000bx" "" 0`,
	} {
		fields, err := r.splitCopy([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		w := connectors.NewBuilder("", nil, nil)
		w.Begin(0, connectors.OpRead)
		w.After()
		if err := r.appendTextRow(w, fields); err != nil {
			t.Fatal(err)
		}
		w.Commit()
		b := w.Finish("", connectors.Order{})
		if got := cellsText(b, b.Records[0].After); got != want {
			t.Errorf("%q: got %s, want %s", line, got, want)
		}
	}
	for _, line := range []string{"", "1\ta\tb", "1\ta\tb\t2\t3"} {
		if _, err := r.splitCopy([]byte(line)); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
}

// TestRowErrorsNameTheColumn also makes sure that the value is not shown.
func TestRowErrorsNameTheColumn(t *testing.T) {
	r := build(t, offline(t), ordersTable())
	w := connectors.NewBuilder("", nil, nil)
	w.Begin(0, connectors.OpCreate)
	w.After()
	_, err := r.appendTuple(w, tuple("1", "a", "b", "tell-nobody"), tupleNew, connectors.Row{})
	if err == nil || connectors.ClassOf(err) != connectors.Permanent {
		t.Fatal(err)
	}
	for _, want := range []string{"public.orders", "column total", "integer"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "tell-nobody") {
		t.Errorf("the value is in %q", err)
	}
	for _, data := range [][]byte{nil, {0}, {0, 4}, {0, 3, 'n', 'n', 'n'}, tuple("1", "2", "3", "4")[:12], append(tuple("1", "2", "3")[:2], 'x')} {
		if _, err := r.appendTuple(w, data, tupleNew, connectors.Row{}); err == nil {
			t.Errorf("%x: no error", data)
		}
	}
}

func TestRelationTable(t *testing.T) {
	b := ordersTable()
	b.columns[0].def, b.columns[3].def = "nextval('orders_id_seq'::regclass)", "7"
	r := build(t, offline(t, "column.exclude.list", "public.orders.note"), b)
	table := r.stream.Table
	if len(table.Columns) != 3 || len(table.Key) != 1 || table.Key[0] != 0 || table.Columns[2].Default != "7" || table.Columns[1].TypeName != "text" {
		t.Errorf("table %+v", table)
	}
	if r.stream.Key.Fields[0].Schema.Default != int32(0) || r.stream.Row.Fields[2].Schema.Default != int32(7) {
		t.Errorf("defaults %v, %v", r.stream.Key.Fields[0].Schema.Default, r.stream.Row.Fields[2].Schema.Default)
	}
	if r.selectList() != `"id", "customer", "note", "total"` { // of a stream: what the message has
		t.Errorf("select list %s", r.selectList())
	}
	b.snapshot = true
	if got := build(t, offline(t, "column.exclude.list", "public.orders.note"), b).selectList(); got != `"id", "customer", "total"` {
		t.Errorf("select list %s", got)
	}
}

func TestDefaults(t *testing.T) {
	m := mapper{}
	cfg := offline(t).cfg
	m.modes = cfg.modes
	types := builtins()
	for _, c := range []struct {
		oid      uint32
		modifier int32
		expr     string
		want     schemas.Value
	}{
		{oidText, -1, "'it''s'::text", "it's"},
		{oidText, -1, "''::text", ""},
		{oidText, -1, "('a'::text || 'b'::text)", nil},
		{oidText, -1, "lower('A'::text)", ""},
		{oidText, -1, "NULL::text", nil},
		{oidVarchar, 24, "'x::y'::character varying", "x::y"},
		{oidInt4, -1, "'-1'::integer", int32(-1)},
		{oidInt4, -1, "(-1)", int32(-1)},
		{oidInt4, -1, "(3 * 4)", nil},
		{oidInt8, -1, "'9223372036854775807'::bigint", int64(9223372036854775807)},
		{oidInt8, -1, "(now())::bigint", int64(0)},
		{oidBool, -1, "true", true},
		{oidFloat8, -1, "'25000000000'::numeric", 2.5e10},
		{oidNumeric, 6<<16 | 2 + 4, "12.5", []byte{0x04, 0xe2}},
		{oidNumeric, -1, "1.25", nil},
		{oidDate, -1, "'2020-02-29'::date", int32(18321)},
		{oidDate, -1, "CURRENT_DATE", int32(0)},
		{oidTimestampTZ, -1, "CURRENT_TIMESTAMP", nil},
		{oidTimestampTZ, -1, "now()", "1970-01-01T00:00:00.000000Z"},
		{oidBytea, -1, `'\x01'::bytea`, nil},
		{oidUUID, -1, "gen_random_uuid()", "00000000-0000-0000-0000-000000000000"},
		{oidText, -1, "", nil},
	} {
		_, s, d := m.column(types[c.oid], "c", c.modifier, false)
		got := defaultValue(types[c.oid], s, d, c.expr)
		if !equalValues(got, c.want) {
			t.Errorf("default %q of %s: got %#v, want %#v", c.expr, types[c.oid].name, got, c.want)
		}
	}
}

func equalValues(a, b schemas.Value) bool {
	x, ok := a.([]byte)
	y, ok2 := b.([]byte)
	if ok && ok2 {
		return string(x) == string(y)
	}
	return !ok && !ok2 && a == b
}

// tenColumns is a table and a row of 190 bytes of the kind that the performance page measures.
func tenColumns(b *testing.B) (*relation, []byte, []byte) {
	c := offline(b)
	r := build(b, c, blueprint{oid: 1, id: changes.TableID{Schema: "public", Name: "bets"}, identity: 'd', key: []string{"id"}, columns: []blueprintColumn{
		col("id", oidInt8, true, true), col("customer", oidInt4, true, false), col("race", oidText, true, false), col("stake", oidNumeric, false, false),
		col("odds", oidFloat8, false, false), col("placed", oidTimestampTZ, true, false), col("settled", oidTimestampTZ, false, false),
		col("won", oidBool, false, false), col("channel", oidText, false, false), col("note", oidText, false, false),
	}})
	values := []string{"123456789", "4242", "R1C1-2024-02-29", "12.50", "3.75", "2024-02-29 12:34:56.123456+00", "2024-02-29 12:40:00+00", "t", "web", "a note of a usual length, sixty characters or a bit more"}
	return r, tuple(values...), []byte(strings.Join(values, "\t") + "\n")
}

func BenchmarkAppendTuple(b *testing.B) {
	r, data, _ := tenColumns(b)
	benchmark(b, r, func(w *connectors.Builder) error {
		_, err := r.appendTuple(w, data, tupleNew, connectors.Row{})
		return err
	})
}

func BenchmarkAppendCopyRow(b *testing.B) {
	r, _, line := tenColumns(b)
	benchmark(b, r, func(w *connectors.Builder) error {
		fields, err := r.splitCopy(line)
		if err != nil {
			return err
		}
		return r.appendTextRow(w, fields)
	})
}

// benchmark builds batches of 1000 rows, reusing their memory.
func benchmark(b *testing.B, r *relation, row func(*connectors.Builder) error) {
	pool := &connectors.Pool{}
	b.ReportAllocs()
	for i := 0; i < b.N; {
		w := connectors.NewBuilder("", pool, nil)
		stream := w.Stream(r.stream)
		for n := 0; n < 1000 && i < b.N; n, i = n+1, i+1 {
			rec := w.Begin(stream, connectors.OpCreate)
			w.After()
			if err := row(w); err != nil {
				b.Fatal(err)
			}
			w.Key()
			if err := r.appendKey(w, rec.After, nil, tupleNew); err != nil {
				b.Fatal(err)
			}
			w.Commit()
		}
		w.Finish("", connectors.Order{}).Release()
	}
}
