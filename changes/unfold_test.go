package changes

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// topicBatch is a batch as the Kafka source makes it, of one partition of the topic, from the offset on.
func topicBatch(topic string, offset int64, bodies ...connectors.Body) *connectors.Batch {
	w := connectors.NewBuilder(`{"kafka_partition":0,"kafka_topic":"t"}`, nil, nil)
	at := w.Stream(&connectors.Stream{Topic: topic})
	for i, body := range bodies {
		op := connectors.OpNone
		if body.Value.Value == nil {
			op = connectors.OpTombstone
		}
		r := w.Body(at, op, body)
		r.KafkaPartition, r.Order = 3, connectors.Order{Epoch: 1, Major: uint64(offset) + uint64(i), Minor: 1}
	}
	return w.Finish(`{"kafka_offset":9}`, connectors.Order{Epoch: 1, Major: uint64(offset) + uint64(len(bodies)) - 1, Minor: 1})
}

// showCell writes a cell for comparison.
func showCell(b *connectors.Batch, c connectors.Cell) string {
	switch c.Kind {
	case connectors.KindNull:
		return "null"
	case connectors.KindAbsent:
		return "absent"
	case connectors.KindUnavailable:
		return "unavailable"
	case connectors.KindText:
		return fmt.Sprintf("%q", b.Bytes(c))
	case connectors.KindDecimal, connectors.KindBits:
		return string(b.Bytes(c))
	case connectors.KindBytes:
		return fmt.Sprintf("x%x", b.Bytes(c))
	case connectors.KindFloat32, connectors.KindFloat64:
		return fmt.Sprintf("%gf", c.Float())
	case connectors.KindInterval:
		months, days, micros := b.Interval(c)
		return fmt.Sprintf("%d/%d/%d", months, days, micros)
	case connectors.KindTimeTZ:
		return fmt.Sprintf("tz%d%+d", c.Int(), c.Offset())
	case connectors.KindList, connectors.KindMap, connectors.KindPoint:
		var out []string
		for _, e := range b.List(c) {
			out = append(out, showCell(b, e))
		}
		return "[" + strings.Join(out, " ") + "]"
	case connectors.KindBool:
		return fmt.Sprint(c.Bool())
	}
	return fmt.Sprintf("%d", c.Int())
}

func showCells(b *connectors.Batch, cells []connectors.Cell) string {
	var out []string
	for _, c := range cells {
		out = append(out, showCell(b, c))
	}
	return strings.Join(out, " ")
}

// showRow writes record i as a table sink sees it: kind, table(columns*), key | row | old @order.
func showRow(t *testing.T, b *connectors.Batch, i int) string {
	t.Helper()
	r := &b.Records[i]
	row, err := RowOf(b, r)
	if err != nil {
		t.Fatal(err)
	}
	s := b.Streams[r.Stream]
	if row.Kind == RowNone {
		return "none"
	}
	var columns []string
	for j := range s.Table.Columns {
		c := s.Table.Columns[j].Name
		if s.Table.IsKey(j) {
			c += "*"
		}
		columns = append(columns, c)
	}
	out := fmt.Sprintf("%c %s(%s)", row.Op.Letter(), s.Table.ID(), strings.Join(columns, ","))
	if row.Key != nil {
		out += " key " + showCells(b, row.Key)
	}
	if row.Row != nil {
		out += " row " + showCells(b, row.Row)
	}
	if row.Old != nil {
		out += " old " + showCells(b, row.Old)
	}
	return fmt.Sprintf("%s @%d/%d", out, r.Order.Major, r.Order.Minor)
}

func noReject(t *testing.T) func(int, error) error {
	return func(i int, cause error) error {
		t.Helper()
		t.Errorf("record %d: %v", i, cause)
		return cause
	}
}

func expectRows(t *testing.T, rows *Rows, b *connectors.Batch, want ...string) {
	t.Helper()
	out, err := rows.Batch(b, noReject(t))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	if out.Source != b.Source || out.Offset != b.Offset || out.Through != b.Through || out.ID != b.ID || out.Origin() != b || len(out.Records) != len(b.Records) {
		t.Fatalf("batch %+v", out)
	}
	for i := range out.Records {
		if got := showRow(t, out, i); got != want[i] {
			t.Errorf("record %d\ngot  %s\nwant %s", i, got, want[i])
		}
	}
}

func structure(name string, fields ...schemas.Field) *schemas.Schema {
	return &schemas.Schema{Kind: schemas.Struct, Name: name, Optional: true, Fields: fields}
}

func member(name string, s *schemas.Schema) schemas.Field {
	return schemas.Field{Name: name, Schema: s}
}

var (
	keySchema = structure("t.Key", member("id", Plain(schemas.Int32, false)))
	rowSchema = structure("t.Value", member("id", Plain(schemas.Int32, false)), member("name", Plain(schemas.String, true)))
)

func typed(s *schemas.Schema, v schemas.Value) schemas.Typed {
	return schemas.Typed{Schema: s, Value: v}
}

func sourceSchema() *schemas.Schema {
	text, number := Plain(schemas.String, true), Plain(schemas.Int64, true)
	return structure("", member("connector", text), member("snapshot", text), member("db", text), member("schema", text), member("table", text),
		member("sequence", text), member("lsn", number), member("file", text), member("pos", number))
}

// event is an envelope of Postgres.
func event(op string, before, after schemas.Value, snapshot, sequence string, lsn int64) connectors.Body {
	s := Envelope("t.Envelope", rowSchema, sourceSchema())
	key := after
	if key == nil {
		key = before
	}
	body := connectors.Body{Value: typed(s, schemas.StructValue{
		before, after,
		schemas.StructValue{"postgresql", snapshot, "shop", "public", "users", sequence, lsn, nil, nil},
		nil, op, int64(5), nil, nil,
	})}
	if key != nil {
		body.Key = typed(keySchema, schemas.StructValue{key.(schemas.StructValue)[0]})
	}
	return body
}

func user(id int32, name schemas.Value) schemas.StructValue { return schemas.StructValue{id, name} }

func tombstone(id int32) connectors.Body {
	return connectors.Body{Key: typed(keySchema, schemas.StructValue{id})}
}

// Envelopes are what they say; their order is the log's.
func TestRowsOfEnvelopes(t *testing.T) {
	rows := NewRows(RowsOptions{})
	expectRows(t, rows, topicBatch("shop.users", 100,
		tombstone(9),
		event("r", nil, user(1, "a"), "first", `[null,"1000"]`, 1000),
		event("c", nil, user(2, "b"), "false", `[null,"1010"]`, 1010),
		event("u", user(2, "b"), user(2, nil), "false", `["1050","1060"]`, 1060),
		event("d", user(2, nil), nil, "false", `["1100","1090"]`, 1090),
		tombstone(2),
		event("t", nil, nil, "false", `["1200","1210"]`, 1210),
	),
		`d public.users(id*,name) key 9 @1000/101`,
		`r public.users(id*,name) key 1 row 1 "a" @1000/0`,
		`c public.users(id*,name) key 2 row 2 "b" @1010/103`,
		`u public.users(id*,name) key 2 row 2 null old 2 "b" @1050/104`,
		`d public.users(id*,name) key 2 old 2 null @1100/105`,
		`d public.users(id*,name) key 2 @1100/106`,
		`t public.users(id*,name) @1200/107`,
	)
	expectRows(t, NewRows(RowsOptions{}), topicBatch("shop.users", 100, event("t", nil, nil, "false", `["1200","1210"]`, 1210), event("c", nil, user(2, "b"), "false", `["1300","1310"]`, 1310)),
		`t public.users(id*,name) @1200/101`, `c public.users(id*,name) key 2 row 2 "b" @1300/102`)
	// Where the sink keeps every change, the tombstone says nothing more.
	expectRows(t, NewRows(RowsOptions{Events: true}), topicBatch("shop.users", 100, event("d", user(2, nil), nil, "false", `["1100","1090"]`, 1090), tombstone(2)),
		`d public.users(id*,name) key 2 old 2 null @1100/101`, "none")
}

// A value without an envelope is the row as it is now; the topic names the table.
func TestRowsOfRows(t *testing.T) {
	unwrapped := structure("t.Value", append([]schemas.Field{}, append(rowSchema.Fields, member("__deleted", Plain(schemas.String, true)), member("__op", Plain(schemas.String, true)))...)...)
	flat := func(id int32, name schemas.Value, deleted, op string) connectors.Body {
		return connectors.Body{Key: typed(keySchema, schemas.StructValue{id}), Value: typed(unwrapped, schemas.StructValue{id, name, deleted, op})}
	}
	expectRows(t, NewRows(RowsOptions{}), topicBatch("users", 7,
		flat(1, "a", "false", "c"), flat(1, "b", "false", "u"), flat(1, nil, "true", "d"), tombstone(1)),
		`c .users(id*,name) key 1 row 1 "a" @7/1`, `u .users(id*,name) key 1 row 1 "b" @8/1`,
		`d .users(id*,name) key 1 old 1 null @9/1`, `d .users(id*,name) key 1 @10/1`)
	// A key that is no struct becomes a column, the first one.
	name := typed(structure("", member("name", Plain(schemas.String, true))), schemas.StructValue{"x"})
	text := func(k string) schemas.Typed { return typed(Plain(schemas.String, false), k) }
	expectRows(t, NewRows(RowsOptions{KeyFields: []string{"id"}}), topicBatch("users", 7, connectors.Body{Key: text("k"), Value: name}, connectors.Body{Key: text("k")}),
		`u .users(id*,name) key "k" row "k" "x" @7/1`, `d .users(id*,name) key "k" @8/1`)
	expectRows(t, NewRows(RowsOptions{KeysApart: true}), topicBatch("users", 7, connectors.Body{Key: text("k"), Value: name}), `u .users(name) key "k" row "x" @7/1`)
	expectRows(t, NewRows(RowsOptions{}), topicBatch("users", 7, connectors.Body{Key: text("k"), Value: typed(Plain(schemas.Int32, false), int32(4))}), `u .users(key*,value) key "k" row "k" 4 @7/1`)
	// Without a value of the topic only the key is known.
	rows := NewRows(RowsOptions{})
	out, err := rows.Batch(topicBatch("users", 7, tombstone(5)), noReject(t))
	if err != nil || showRow(t, out, 0) != `d .users(id*) key 5 @7/1` || !KeysOnly(out.Streams[out.Records[0].Stream]) {
		t.Errorf("%s %v", showRow(t, out, 0), err)
	}
}

// The modes of keys are those of the JDBC sink.
func TestRowsKeys(t *testing.T) {
	body := connectors.Body{Key: typed(keySchema, schemas.StructValue{int32(1)}), Value: typed(rowSchema, user(1, "a"))}
	for _, c := range []struct {
		o    RowsOptions
		want string
	}{
		{RowsOptions{KeyMode: KeyNone}, `u .t(id,name) row 1 "a" @4/1`},
		{RowsOptions{KeyMode: KeyKafka}, `u .t(__connect_topic*,__connect_partition*,__connect_offset*,id,name) key "t" 3 4 row "t" 3 4 1 "a" @4/1`},
		{RowsOptions{KeyMode: KeyValue, KeyFields: []string{"name"}}, `u .t(id,name*) key "a" row 1 "a" @4/1`},
		{RowsOptions{KeyMode: KeyValue}, `u .t(id*,name*) key 1 "a" row 1 "a" @4/1`},
		{RowsOptions{KeyMode: KeyHeader, KeyFields: []string{"h"}}, `u .t(h*,id,name) key "v" row "v" 1 "a" @4/1`},
	} {
		w := connectors.NewBuilder("{}", nil, nil)
		r := w.Body(w.Stream(&connectors.Stream{Topic: "t"}), connectors.OpNone, body)
		r.KafkaPartition, r.Order = 3, connectors.Order{Epoch: 1, Major: 4, Minor: 1}
		w.Headers()
		w.String("h")
		w.String("v")
		w.Records()[0].Headers = w.Record().Headers
		expectRows(t, NewRows(c.o), w.Finish("{}", connectors.Order{}), c.want)
	}
	for _, c := range []struct {
		o    RowsOptions
		want string
	}{
		{RowsOptions{KeyFields: []string{"x"}}, "primary.key.fields names x, and the key of the record has no such field"},
		{RowsOptions{KeyMode: KeyHeader, KeyFields: []string{"h"}}, "key field h: the record has no header of this name"},
	} {
		_, err := NewRows(c.o).Batch(topicBatch("t", 4, body), func(_ int, cause error) error { return cause })
		if err == nil || !strings.Contains(err.Error(), c.want) || connectors.ClassOf(err) != connectors.Permanent {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

// document is JSON as a decoder without schemas reads it.
func document(t *testing.T, text string) schemas.Value {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var read func() schemas.Value
	read = func() schemas.Value {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '[' {
				out := schemas.ArrayValue{}
				for d.More() {
					out = append(out, read())
				}
				_, _ = d.Token()
				return out
			}
			out := schemas.MapValue{}
			for d.More() {
				name, _ := d.Token()
				out = append(out, schemas.MapEntry{Key: name, Value: read()})
			}
			_, _ = d.Token()
			return out
		case json.Number:
			if n, err := v.Int64(); err == nil {
				return n
			}
			f, _ := v.Float64()
			return f
		}
		return token
	}
	return read()
}

// Records without schemas give a table that only grows.
func TestRowsWithoutSchemas(t *testing.T) {
	body := func(key, value string) connectors.Body {
		return connectors.Body{Key: schemas.Typed{Value: document(t, key)}, Value: schemas.Typed{Value: document(t, value)}}
	}
	rows := NewRows(RowsOptions{})
	expectRows(t, rows, topicBatch("t", 4,
		body(`{"id":1}`, `{"id":1,"a":null,"b":true}`),
		body(`{"id":1}`, `{"id":1,"b":false,"a":"x"}`),
		body(`{"id":1}`, `{"id":2,"n":3}`),
		body(`{"id":1}`, `{"id":2,"n":3.5,"deep":{"x":[1,"y",null,1e300]}}`),
		body(`{"id":1}`, `{"n":4}`),
		body(`{"id":1}`, `null`),
		body(`7`, `{"n":5}`),
	),
		`u .t(id*,b) key 1 row 1 true @4/1`,
		`u .t(id*,a,b) key 1 row 1 "x" false @5/1`,
		`u .t(id*,a,b,n) key 1 row 2 null null 3 @6/1`,
		`u .t(id*,a,b,n,deep) key 1 row 2 null null 3.5f "{\"x\":[1,\"y\",null,1e+300]}" @7/1`,
		`u .t(id*,a,b,n,deep) key 1 row null null null 4f null @8/1`,
		`d .t(id*,a,b,n,deep) key 1 @9/1`,
		`u .t(key*,id,a,b,n,deep) key 7 row 7 null null null 5f null @10/1`,
	)
	expectRows(t, NewRows(RowsOptions{Nulls: true}), topicBatch("t", 4, body(`{"id":1}`, `{"id":1,"a":null}`)), `u .t(id*,a) key 1 row 1 null @4/1`)
	expectRows(t, NewRows(RowsOptions{}), topicBatch("t", 4, body(`{"id":1}`,
		`{"before":null,"after":{"id":1,"v":2},"source":{"connector":"mysql","db":"d","table":"u","file":"bin.000003","pos":77,"snapshot":"false"},"op":"c","ts_ms":8}`)),
		`c d.u(id*,v) key 1 row 1 2 @12884901965/5`)
	for _, c := range []struct{ one, two, want string }{
		{`{"v":1}`, `{"v":"x"}`, "field v: the field held values of another kind before"},
		{`{"v":1.5}`, `{"v":9007199254740993}`, "field v: the number was an integer before"},
	} {
		_, err := rows.Batch(topicBatch("t"+c.want, 4, body(`1`, c.one), body(`1`, c.two)), func(_ int, cause error) error { return cause })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.one, c.two, err)
		}
	}
}

// Sinks that keep every change get the time of the commit, from the source block; else it is when the source read the change.
func TestCommitTimeOfRows(t *testing.T) {
	for source, want := range map[string]int64{`"ts_ms":5,"ts_us":5001`: 5001, `"ts_ms":6`: 6000, `"lsn":1`: 9000} {
		value := `{"before":null,"after":{"id":1},"source":{"connector":"postgresql","db":"d","schema":"s","table":"u",` + source + `},"op":"c","ts_ms":9}`
		body := connectors.Body{Key: schemas.Typed{Value: document(t, `{"id":1}`)}, Value: schemas.Typed{Value: document(t, value)}}
		out, err := NewRows(RowsOptions{Events: true}).Batch(topicBatch("t", 1, body), noReject(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := CommitTimeOf(out.Streams[out.Records[0].Stream]).Micros(out, &out.Records[0]); got != want {
			t.Errorf("%s: %d, want %d", source, got, want)
		}
		out.Release()
	}
}

// A record that is no row keeps its place, and what the rows take is given back.
func TestRowsReject(t *testing.T) {
	bad := connectors.Body{Key: typed(keySchema, schemas.StructValue{int32(1)}), Value: typed(rowSchema, schemas.StructValue{"no number", "a"})}
	charged, released := 0, false
	rows := NewRows(RowsOptions{Charge: func(n int) { charged += n }})
	w := connectors.NewBuilder("{}", nil, func(*connectors.Batch) { released = true })
	at := w.Stream(&connectors.Stream{Topic: "t"})
	for _, body := range []connectors.Body{tombstone(1), bad, {Key: bad.Key, Value: typed(rowSchema, user(1, "a"))}} {
		w.Body(at, connectors.OpNone, body)
	}
	b := w.Finish("{}", connectors.Order{})
	var asked []int
	out, err := rows.Batch(b, func(i int, _ error) error { asked = append(asked, i); return nil })
	if err != nil || fmt.Sprint(asked) != "[1]" || showRow(t, out, 1) != "none" || showRow(t, out, 2) != `u .t(id*,name) key 1 row 1 "a" @0/0` {
		t.Fatal(err, asked)
	}
	if charged != out.Size() || charged == 0 || released {
		t.Errorf("charged %d of %d", charged, out.Size())
	}
	out.Release()
	if charged != 0 || !released {
		t.Errorf("%d bytes are still charged", charged)
	}
	refused := errors.New("refused")
	b = topicBatch("t", 0, bad)
	if _, err := rows.Batch(b, func(int, error) error { return refused }); !errors.Is(err, refused) || charged != 0 {
		t.Error(err, charged)
	}
	b.Release() // it is still the caller's
}

// What was not sent is taken from the old row where that tells it.
func TestRowsUnavailable(t *testing.T) {
	rows := NewRows(RowsOptions{Unavailable: DefaultUnavailable})
	long := strings.Repeat("x", 3000)
	expectRows(t, rows, topicBatch("t", 1,
		event("u", user(2, long), user(2, DefaultUnavailable), "false", `["10","1"]`, 1),
		event("u", user(2, nil), user(2, DefaultUnavailable), "false", `["10","1"]`, 1),
		event("u", nil, user(2, DefaultUnavailable), "false", `["10","1"]`, 1)),
		fmt.Sprintf(`u public.users(id*,name) key 2 row 2 %q old 2 %q @10/2`, long, long),
		`u public.users(id*,name) key 2 row 2 unavailable old 2 absent @10/3`,
		`u public.users(id*,name) key 2 row 2 unavailable @10/4`)
	p := newPlaceholder(DefaultUnavailable)
	for _, v := range []schemas.Value{
		[]byte(DefaultUnavailable), "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
		schemas.ArrayValue{DefaultUnavailable},
		schemas.ArrayValue{[]byte(DefaultUnavailable)},
		schemas.MapValue{{Key: DefaultUnavailable, Value: DefaultUnavailable}},
		`{"__debezium_unavailable_value":"__debezium_unavailable_value"}`,
		"5f5f646562657a69756d5f756e617661696c61626c655f76616c7565",
	} {
		if !p.is(v) {
			t.Errorf("%v is not recognised", v)
		}
	}
	for _, v := range []schemas.Value{nil, "", int32(1), []byte{}, schemas.ArrayValue{}, schemas.MapValue{}, "__debezium_unavailable_valuE"} {
		if p.is(v) {
			t.Errorf("%v is taken for it", v)
		}
	}
}

// Propagated types are spelled as SQL has them: without a length where the source has none, with the scale that the reference writes as one
// above 1000.
func TestPropagatedTypes(t *testing.T) {
	for _, c := range []struct{ name, length, scale, want string }{
		{"BPCHAR", "5", "0", "character(5)"},
		{"BPCHAR", "2147483647", "0", "bpchar"},
		{"_BPCHAR", "3", "0", "bpchar[]"},
		{"VARCHAR", "2000", "0", "character varying(2000)"},
		{"NUMERIC", "10", "2", "numeric(10,2)"},
		{"NUMERIC", "3", "2046", "numeric(3,-2)"},
		{"NUMERIC", "131089", "0", "numeric"},
		{"NUMERIC", "0", "", "numeric"},
	} {
		s := Plain(schemas.String, true)
		if strings.HasPrefix(c.name, "_") {
			s = &schemas.Schema{Kind: schemas.Array, Optional: true, Elem: Plain(schemas.String, true)}
		}
		s.Parameters = []schemas.Parameter{{Name: "__debezium.source.column.type", Value: c.name}, {Name: "__debezium.source.column.length", Value: c.length}}
		if c.scale != "" {
			s.Parameters = append(s.Parameters, schemas.Parameter{Name: "__debezium.source.column.scale", Value: c.scale})
		}
		if got := columnOf("v", s, "postgresql").TypeName; got != c.want {
			t.Errorf("%s of length %s, scale %s: %s, want %s", c.name, c.length, c.scale, got, c.want)
		}
	}
}
