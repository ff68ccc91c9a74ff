package changes

import (
	"testing"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// chooser makes schemas and values out of bytes.
type chooser struct{ data []byte }

func (c *chooser) next() byte {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return b
}

func (c *chooser) text() string {
	n := min(int(c.next())%40, len(c.data))
	s := string(c.data[:n])
	c.data = c.data[n:]
	if !utf8.ValidString(s) {
		return "x"
	}
	return s
}

func (c *chooser) number() (v int64) {
	for range 8 {
		v = v<<8 | int64(c.next())
	}
	return v >> (c.next() % 64)
}

func fuzzNames() []string {
	return []string{
		"", NameDate, NameTime, NameMicroTime, NameNanoTime, NameTimestamp, NameMicroTimestamp, NameNanoTimestamp, NameZonedTimestamp, NameZonedTime, NameIsoDate, NameIsoTime,
		NameIsoTimestamp, NameInterval, NameMicroDuration, NameYear, NameBits, NameEnum, NameEnumSet, NameJSON, NameXML, NameUUID, NameLtree, NameTsvector, NameVariableDecimal,
		NameFloatVector, NameGeometry, NamePoint, NameConnectDecimal, NameConnectDate, NameConnectTime, NameConnectTS, nameNanoDuration,
	}
}

func (c *chooser) schema(depth int) *schemas.Schema {
	names := fuzzNames()
	s := &schemas.Schema{Kind: schemas.Kind(c.next()%12) + 1, Name: names[int(c.next())%len(names)], Optional: c.next()%2 == 0}
	if c.next()%4 == 0 {
		s.Parameters = []schemas.Parameter{
			{Name: "scale", Value: c.text()},
			{Name: "length", Value: c.text()},
			{Name: "allowed", Value: c.text()},
			{Name: "__debezium.source.column.type", Value: c.text()},
			{Name: "__debezium.source.column.length", Value: c.text()},
		}
	}
	if depth > 2 && s.Kind >= schemas.Array {
		s.Kind = schemas.String
	}
	switch s.Kind {
	case schemas.Array:
		s.Elem = c.schema(depth + 1)
	case schemas.Map:
		s.Key, s.Elem = c.schema(depth+1), c.schema(depth+1)
	case schemas.Struct:
		for range c.next() % 5 {
			s.Fields = append(s.Fields, schemas.Field{Name: c.text(), Schema: c.schema(depth + 1)})
		}
	}
	return s
}

// value makes a value of a schema; nil: of any kind.
func (c *chooser) value(s *schemas.Schema, depth int) schemas.Value {
	kind := schemas.Kind(c.next()%12) + 1
	if s != nil {
		if kind = s.Kind; s.Optional && c.next()%5 == 0 {
			return nil
		}
	} else if depth > 3 || kind == schemas.Struct {
		return nil
	}
	switch kind {
	case schemas.Int8:
		return int8(c.number())
	case schemas.Int16:
		return int16(c.number())
	case schemas.Int32:
		return int32(c.number())
	case schemas.Int64:
		return c.number()
	case schemas.Float32:
		return float32(c.number())
	case schemas.Float64:
		return float64(c.number()) / 8
	case schemas.Boolean:
		return c.next()%2 == 0
	case schemas.String:
		return c.text()
	case schemas.Bytes:
		return []byte(c.text())
	case schemas.Array:
		out := schemas.ArrayValue{}
		for range c.next() % 4 {
			out = append(out, c.value(elemOf(s), depth+1))
		}
		return out
	case schemas.Map:
		out := schemas.MapValue{}
		for range c.next() % 4 {
			e := schemas.MapEntry{Key: c.text(), Value: c.value(elemOf(s), depth+1)}
			if s != nil {
				e.Key = c.value(s.Key, depth+1)
			}
			out = append(out, e)
		}
		return out
	}
	out := schemas.StructValue{}
	for _, f := range s.Fields {
		out = append(out, c.value(f.Schema, depth+1))
	}
	return out
}

// Whatever a record holds, it becomes a row whose cells its stream describes, or is rejected; never both, and nothing stays charged.
func FuzzRows(f *testing.F) {
	for _, seed := range []string{"", "\x0b\x00\x00\x01\x03\x02id\x03\x01\x00\x01", "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &chooser{data}
		charged := 0
		modes := []string{"", KeyNone, KeyKafka, KeyRecord, KeyValue, KeyHeader}
		rows := NewRows(RowsOptions{
			KeyMode: modes[int(c.next())%len(modes)], Unavailable: c.text(), KeysApart: c.next()%2 == 0, Events: c.next()%2 == 0, Nulls: c.next()%2 == 0,
			Charge: func(n int) { charged += n },
		})
		var bodies []connectors.Body
		for range 1 + c.next()%6 {
			var body connectors.Body
			if c.next()%3 > 0 {
				body.Key.Schema, body.Value.Schema = c.schema(0), c.schema(0)
			}
			body.Key.Value, body.Value.Value = c.value(body.Key.Schema, 0), c.value(body.Value.Schema, 0)
			if c.next()%2 == 0 {
				row := c.schema(0)
				source := schemas.StructValue{"postgresql", c.text(), c.text(), c.text(), c.text(), c.text(), c.number(), c.text(), c.number()}
				body.Value = typed(Envelope("e", row, sourceSchema()), schemas.StructValue{c.value(row, 0), c.value(row, 0), source, nil, string("rcudtmx"[c.next()%7]), nil, nil, c.number()})
			}
			bodies = append(bodies, body)
		}
		rejected := map[int]bool{}
		out, err := rows.Batch(topicBatch("t", c.number()&0xffffff, bodies...), func(i int, _ error) error { rejected[i] = true; return nil })
		if err != nil {
			t.Fatal(err)
		}
		for i := range out.Records {
			s := out.Streams[out.Records[i].Stream]
			row, err := RowOf(out, &out.Records[i])
			if err != nil || rejected[i] && row.Kind != RowNone || !rejected[i] && len(out.Records) != len(bodies) {
				t.Fatal(i, row.Kind, err)
			}
			if row.Key != nil && len(row.Key) != len(s.KeyFields) || row.Row != nil && len(row.Row) != len(s.Table.Columns) || row.Old != nil && len(row.Old) != len(s.Table.Columns) {
				t.Fatalf("record %d does not fit its stream", i)
			}
			for j, cell := range row.Row {
				_ = Value(out, &s.Fields[j], cell)
			}
		}
		out.Release()
		if charged != 0 {
			t.Fatalf("%d bytes are still charged", charged)
		}
	})
}
