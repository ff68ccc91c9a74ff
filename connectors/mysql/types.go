package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
	"github.com/freshet-io/freshet/schemas"
)

// shape is what a type means: in tables, in events, and how its values become cells.
type shape struct {
	typ   schemas.Type
	op    op
	field connectors.Field
}

// mapper makes shapes under the configured modes.
type mapper struct {
	modes       changes.Modes
	precise     bool // bigint.unsigned.handling.mode=precise
	mariadb     bool
	placeholder []byte
}

// baseType takes the attributes off a type: INT UNSIGNED ZEROFILL is an unsigned INT. ZEROFILL alone means UNSIGNED, too.
func baseType(typ string) (base string, unsigned bool) {
	typ, _, _ = strings.Cut(strings.ToUpper(typ), "(")
	var kept []string
	for i, word := range strings.Fields(typ) {
		switch word {
		case "UNSIGNED", "ZEROFILL":
			unsigned = true
		case "SIGNED", "COMPRESSED":
		case "BINARY": // CHAR BINARY is a collation
			if i == 0 {
				kept = append(kept, word)
			}
		default:
			kept = append(kept, word)
		}
	}
	return strings.Join(kept, " "), unsigned
}

// shapeOf returns the shape of a column's type.
func (m mapper) shapeOf(c *ddl.Column) shape {
	base, unsigned := baseType(c.Type)
	if s, ok := m.integer(base, unsigned, c.Optional); ok {
		return s
	}
	if s, ok := m.temporal(base, max(c.Length, 0), c.Optional); ok {
		return s
	}
	plain := func(typ schemas.Type, o op, k schemas.Kind) shape {
		return shape{typ, o, connectors.Field{Schema: changes.Plain(k, c.Optional)}}
	}
	switch base {
	case "BOOL", "BOOLEAN":
		return plain(schemas.TypeBool, opBool, schemas.Boolean)
	case "FLOAT", "FLOAT4":
		if c.Scale < 0 && c.Length <= 24 {
			return plain(schemas.TypeFloat32, opFloat32, schemas.Float32)
		}
		return plain(schemas.TypeFloat64, opFloat64, schemas.Float64)
	case "DOUBLE", "DOUBLE PRECISION", "REAL", "FLOAT8":
		return plain(schemas.TypeFloat64, opFloat64, schemas.Float64)
	case "DECIMAL", "DEC", "NUMERIC", "FIXED":
		precision, scale := precisionOf(c)
		return shape{schemas.TypeDecimal, opDecimal, m.modes.Decimal(precision, scale, c.Optional)}
	case "BIT":
		return shape{schemas.TypeBits, opBits, m.modes.WholeBits(digitsOf(c), c.Optional)}
	case "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "LONG VARBINARY", "CHAR BYTE":
		return shape{schemas.TypeBytes, opBytes, m.modes.Binary(c.Optional)}
	case "ENUM":
		return shape{schemas.TypeEnum, opEnum, connectors.Field{Schema: changes.EnumSchema(escapeLabels(c.Labels), c.Optional)}}
	case "SET":
		return shape{schemas.TypeText, opSet, connectors.Field{Schema: changes.EnumSetSchema(escapeLabels(c.Labels), c.Optional)}}
	case "JSON":
		s := shape{schemas.TypeJSON, opJSON, connectors.Field{Schema: changes.Logical(schemas.String, changes.NameJSON, c.Optional)}}
		if m.mariadb {
			s.op = opText // another name of LONGTEXT there
		}
		return s
	case "POINT":
		return shape{schemas.TypeBytes, opPoint, m.modes.GeometryPoint(c.Optional)}
	case "GEOMETRY", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION", "GEOMCOLLECTION":
		return shape{schemas.TypeBytes, opGeometry, m.modes.Geometry(c.Optional)}
	case "VECTOR":
		return shape{schemas.TypeList, opVector, m.modes.FloatVector(c.Optional)}
	}
	if s, ok := m.mariadbOnly(base, c.Optional); ok {
		return s
	}
	if c.Charset == "binary" { // CHAR and TEXT become BINARY and BLOB
		return shape{schemas.TypeBytes, opBytes, m.modes.Binary(c.Optional)}
	}
	return plain(schemas.TypeText, opText, schemas.String)
}

func (m mapper) integer(base string, unsigned, optional bool) (shape, bool) {
	typ, kind := schemas.TypeInt32, schemas.Int32
	switch base {
	case "TINYINT", "INT1":
		typ, kind = schemas.TypeInt16, schemas.Int16
	case "SMALLINT", "INT2":
		if !unsigned {
			typ, kind = schemas.TypeInt16, schemas.Int16
		}
	case "MEDIUMINT", "MIDDLEINT", "INT3":
	case "INT", "INTEGER", "INT4":
		if unsigned {
			typ, kind = schemas.TypeInt64, schemas.Int64
		}
	case "BIGINT", "INT8":
		if unsigned {
			return shape{schemas.TypeUint64, opUint, m.modes.UnsignedLong(m.precise, optional)}, true
		}
		typ, kind = schemas.TypeInt64, schemas.Int64
	case "SERIAL":
		return shape{schemas.TypeUint64, opUint, m.modes.UnsignedLong(m.precise, optional)}, true
	default:
		return shape{}, false
	}
	return shape{typ, opInt, connectors.Field{Schema: changes.Plain(kind, optional)}}, true
}

// temporal maps the types of time; digits are the fractional digits of seconds.
func (m mapper) temporal(base string, digits int, optional bool) (shape, bool) {
	scale := int32(digits)
	switch base {
	case "YEAR":
		return shape{schemas.TypeInt32, opYear, connectors.Field{Schema: changes.Logical(schemas.Int32, changes.NameYear, optional)}}, true
	case "DATE":
		return shape{schemas.TypeDate, opDate, m.modes.Date(optional)}, true
	case "TIME":
		return shape{schemas.TypeTime, opTime, m.modes.TimeOfDay(scale, optional)}, true
	case "DATETIME":
		return shape{schemas.TypeTimestamp, opDatetime, m.modes.Timestamp(scale, optional)}, true
	case "TIMESTAMP":
		return shape{schemas.TypeTimestampTZ, opTimestamp, m.modes.ZonedTimestamp(scale, optional)}, true
	}
	return shape{}, false
}

// precisionOf is the precision and the scale of a DECIMAL.
func precisionOf(c *ddl.Column) (precision, scale int32) {
	if c.Length <= 0 {
		return 10, 0
	}
	return int32(c.Length), int32(max(c.Scale, 0))
}

func digitsOf(c *ddl.Column) int32 { return int32(max(c.Length, 1)) }

// escapeLabels makes labels that hold a comma recognisable in a list separated by commas.
func escapeLabels(labels []string) []string {
	out := make([]string, len(labels))
	for i, label := range labels {
		out[i] = strings.ReplaceAll(label, ",", `\,`)
	}
	return out
}

// column makes the column of a table and how its values become cells.
func (m mapper) column(c *ddl.Column, s shape) (schemas.Column, column) {
	base, unsigned := baseType(c.Type)
	out := schemas.Column{
		Name: c.Name, Type: s.typ, TypeName: typeName(c), Length: -1, Scale: -1, Optional: c.Optional,
		Generated: c.Generated && !c.AutoIncrement, Comment: c.Comment,
	}
	col := column{
		name: c.Name, op: s.op, unsigned: unsigned, length: -1, charset: c.Charset, labels: c.Labels, optional: c.Optional, cell: -1,
	}
	if c.Default != nil {
		out.Default = *c.Default
	}
	switch s.op {
	case opText:
		out.Length = int32(c.Length)
		col.length = c.Length
	case opFloat32, opFloat64:
		col.float = base == "FLOAT" || base == "FLOAT4"
	case opDecimal:
		out.Length, out.Scale = precisionOf(c)
		col.scale = int(out.Scale)
	case opBits:
		out.Length = digitsOf(c)
		col.length = int(out.Length)
	case opBytes:
		out.Length = int32(c.Length)
		if !strings.Contains(base, "VAR") && !strings.Contains(base, "BLOB") && !strings.Contains(base, "TEXT") {
			col.length = max(c.Length, 1)
		}
	case opTime, opDatetime, opTimestamp:
		col.scale = max(c.Length, 0)
		out.Scale = int32(col.scale)
	case opEnum:
		out.Allowed = c.Labels
	case opVector:
		out.Elem = &schemas.Column{Type: schemas.TypeFloat32, TypeName: "float", Length: -1, Scale: -1}
	}
	return out, col
}

// typeName is a type as SQL writes it, e.g. decimal(10,2) unsigned.
func typeName(c *ddl.Column) string {
	base, _ := baseType(c.Type)
	base = strings.ToLower(base)
	attributes := strings.TrimPrefix(strings.ToLower(c.Type), base)
	switch {
	case len(c.Labels) > 0:
		quoted := make([]string, len(c.Labels))
		for i, label := range c.Labels {
			quoted[i] = "'" + strings.ReplaceAll(label, "'", "''") + "'"
		}
		base += "(" + strings.Join(quoted, ",") + ")"
	case c.Length >= 0 && c.Scale >= 0:
		base += fmt.Sprintf("(%d,%d)", c.Length, c.Scale)
	case c.Length >= 0:
		base += "(" + strconv.Itoa(c.Length) + ")"
	}
	return base + attributes
}

// sourceType is what propagated source types say of a column.
func sourceType(c *ddl.Column) changes.SourceType {
	return changes.SourceType{Name: c.Type, Length: int32(c.Length), Scale: int32(c.Scale)}
}

// unavailable is what an event shows for a value that the server did not log.
func (m mapper) unavailable(s shape) schemas.Value {
	switch {
	case s.op.text():
		return string(m.placeholder)
	case s.op == opBytes:
		v, _ := oneValue(s.field, func(w *connectors.Builder) error {
			w.Text(connectors.KindBytes, m.placeholder)
			return nil
		})
		return v
	}
	return nil
}
