package changes

import (
	"math"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// TableStream declares a table of a source that has no keys of its own for names, types and masks: topic is used as it is, and
// columns look in events as Debezium's sources show them by default. Columns of t need a name, a type and Optional; Length and Scale are -1
// where there is none.
//
// Without a source block the value of a record is its new row, and a delete has none. With one (NewSourceBlock) it is Debezium's envelope,
// and each record needs the cells of Record.Source: SourceTime, SourceSnapshot, SourceSequence.
func TableStream(topic string, t *schemas.Table, source *connectors.SourceBlock) *connectors.Stream {
	s := &connectors.Stream{
		Topic: topic, Table: t, Source: source,
		Row: &schemas.Schema{Kind: schemas.Struct, Optional: true, Name: topic + ".Value"},
	}
	for i := range t.Columns {
		f := DefaultField(&t.Columns[i])
		f.Cell = i
		s.Fields = append(s.Fields, f)
		s.Row.Fields = append(s.Row.Fields, schemas.Field{Name: f.Name, Schema: f.Schema})
	}
	if len(t.Key) > 0 {
		s.Key = &schemas.Schema{Kind: schemas.Struct, Name: topic + ".Key"}
	}
	for cell, column := range t.Key {
		f := s.Fields[column]
		f.Cell = cell
		s.KeyFields = append(s.KeyFields, f)
		s.Key.Fields = append(s.Key.Fields, schemas.Field{Name: f.Name, Schema: f.Schema})
	}
	if s.Value = s.Row; source != nil {
		s.Value = Envelope(topic+".Envelope", s.Row, source.Schema)
	}
	return s
}

// DefaultField is how events show a column under the default modes: the schema and the view of the cells of its type (schemas.Type).
func DefaultField(c *schemas.Column) connectors.Field {
	f := defaultShape(c)
	f.Name, f.WhenNull = c.Name, Zero(f.Schema)
	if f.WhenUnavailable = f.WhenNull; f.Schema.Kind == schemas.String {
		f.WhenUnavailable = DefaultUnavailable
	}
	return f
}

// defaultModes are those of sources whose columns have no more than microseconds.
var defaultModes = Modes{time: "adaptive", decimal: "precise", binary: "bytes", interval: "numeric", hstore: "json"}

func defaultShape(c *schemas.Column) connectors.Field {
	m, digits := defaultModes, c.Scale
	if digits < 0 {
		digits = 6
	}
	text := func(name string) connectors.Field {
		return connectors.Field{Schema: Logical(schemas.String, name, c.Optional)}
	}
	switch c.Type {
	case schemas.TypeDecimal, schemas.TypeMoney:
		if c.Scale < 0 {
			return m.VariableDecimal(c.Optional)
		}
		return m.Decimal(c.Length, c.Scale, c.Optional)
	case schemas.TypeBytes:
		return m.Binary(c.Optional)
	case schemas.TypeDate:
		return m.Date(c.Optional)
	case schemas.TypeTime:
		return m.TimeOfDay(digits, c.Optional)
	case schemas.TypeTimeTZ:
		return m.ZonedTime(c.Optional)
	case schemas.TypeTimestamp:
		return m.Timestamp(digits, c.Optional)
	case schemas.TypeTimestampTZ:
		return m.ZonedTimestamp(digits, c.Optional)
	case schemas.TypeInterval:
		return m.Interval(c.Optional)
	case schemas.TypeUUID:
		return text(NameUUID)
	case schemas.TypeJSON:
		return text(NameJSON)
	case schemas.TypeXML:
		return text(NameXML)
	case schemas.TypeEnum:
		return connectors.Field{Schema: EnumSchema(c.Allowed, c.Optional)}
	case schemas.TypeBits:
		if c.Length < 0 {
			return m.Bits(math.MaxInt32, c.Optional)
		}
		return m.Bits(c.Length, c.Optional)
	case schemas.TypeList:
		return m.List(DefaultField(c.Elem), c.Optional)
	case schemas.TypeMap:
		return m.TextMap(c.Optional)
	case schemas.TypePoint:
		return m.Point(c.Optional)
	}
	kind := map[schemas.Type]schemas.Kind{
		schemas.TypeBool: schemas.Boolean, schemas.TypeInt16: schemas.Int16, schemas.TypeInt32: schemas.Int32, schemas.TypeInt64: schemas.Int64,
		schemas.TypeUint64: schemas.Int64, schemas.TypeFloat32: schemas.Float32, schemas.TypeFloat64: schemas.Float64,
	}[c.Type]
	if kind == 0 {
		kind = schemas.String
	}
	return connectors.Field{Schema: Plain(kind, c.Optional)}
}
