package changes

import (
	"math"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// form is how a Connect value becomes a cell: what a View does, turned round. Chosen once per column.
type form uint8

const (
	formJSON form = iota // of any value that has no column type: its JSON text
	formBool
	formInt
	formUint // an int64 that holds the 64 bits of an unsigned one
	formFloat32
	formFloat64
	formText
	formBytes
	formDate
	formMillis // time of day
	formMicros
	formNanos
	formTSMillis // timestamp
	formTSMicros
	formTSNanos
	formIsoDate
	formIsoTime
	formIsoTS
	formZonedTS
	formZonedTime
	formInterval
	formDuration
	formNanoDuration
	formDecimal
	formDecimalUint
	formDecimalText
	formVariable
	formBits
	formBitBool
	formPoint
	formGeometry
	formGeometryPoint
	formMap
	formList
	formLoose // without schema: as the column's type says
)

// column is how one column of a table is read from a Connect value.
type column struct {
	schemas.Column
	field connectors.Field // how events show it
	form  form
	scale int32
	elem  *column
	whole *schemas.Schema // of the value as it comes
}

// names of logical types that no source here makes.
const (
	nameNanoDuration = "io.debezium.time.NanoDuration"
	nameDoubleVector = "io.debezium.data.DoubleVector"
)

// logical are the forms of the logical types, with the kind of schema that each must have.
func logical(name string) (kind schemas.Kind, typ schemas.Type, f form, v connectors.View, scale int32) {
	switch name {
	case NameDate, NameConnectDate:
		return schemas.Int32, schemas.TypeDate, formDate, connectors.ViewDays, -1
	case NameTime, NameConnectTime:
		return schemas.Int32, schemas.TypeTime, formMillis, connectors.ViewTimeMillis, 3
	case NameMicroTime:
		return schemas.Int64, schemas.TypeTime, formMicros, connectors.ViewTimeMicros, 6
	case NameNanoTime:
		return schemas.Int64, schemas.TypeTime, formNanos, connectors.ViewTimeNanos, 6
	case NameTimestamp, NameConnectTS:
		return schemas.Int64, schemas.TypeTimestamp, formTSMillis, connectors.ViewTimestampMillis, 3
	case NameMicroTimestamp:
		return schemas.Int64, schemas.TypeTimestamp, formTSMicros, connectors.ViewTimestampMicros, 6
	case NameNanoTimestamp:
		return schemas.Int64, schemas.TypeTimestamp, formTSNanos, connectors.ViewTimestampNanos, 6
	case NameIsoDate:
		return schemas.String, schemas.TypeDate, formIsoDate, connectors.ViewIsoDate, -1
	case NameIsoTime:
		return schemas.String, schemas.TypeTime, formIsoTime, connectors.ViewIsoTime, -1
	case NameIsoTimestamp:
		return schemas.String, schemas.TypeTimestamp, formIsoTS, connectors.ViewIsoTimestamp, -1
	case NameZonedTimestamp:
		return schemas.String, schemas.TypeTimestampTZ, formZonedTS, connectors.ViewZonedTimestamp, -1
	case NameZonedTime:
		return schemas.String, schemas.TypeTimeTZ, formZonedTime, connectors.ViewZonedTime, -1
	case NameInterval:
		return schemas.String, schemas.TypeInterval, formInterval, connectors.ViewIntervalText, -1
	case NameMicroDuration:
		return schemas.Int64, schemas.TypeInterval, formDuration, connectors.ViewDuration, -1
	case nameNanoDuration:
		return schemas.Int64, schemas.TypeInterval, formNanoDuration, connectors.ViewDuration, -1
	case NameJSON:
		return schemas.String, schemas.TypeJSON, formText, connectors.ViewPlain, -1
	case NameXML:
		return schemas.String, schemas.TypeXML, formText, connectors.ViewPlain, -1
	case NameUUID:
		return schemas.String, schemas.TypeUUID, formText, connectors.ViewPlain, -1
	case NameEnum:
		return schemas.String, schemas.TypeEnum, formText, connectors.ViewPlain, -1
	case NameEnumSet:
		return schemas.String, schemas.TypeText, formText, connectors.ViewPlain, -1
	case NameLtree, NameTsvector:
		return schemas.String, schemas.TypeOther, formText, connectors.ViewPlain, -1
	case NameConnectDecimal:
		return schemas.Bytes, schemas.TypeDecimal, formDecimal, connectors.ViewDecimal, 0
	case NameVariableDecimal:
		return schemas.Struct, schemas.TypeDecimal, formVariable, connectors.ViewVariableDecimal, -1
	case NameBits:
		return schemas.Bytes, schemas.TypeBits, formBits, connectors.ViewBits, -1
	case NamePoint:
		return schemas.Struct, schemas.TypePoint, formPoint, connectors.ViewPoint, -1
	case NameGeometry:
		return schemas.Struct, schemas.TypeBytes, formGeometry, connectors.ViewGeometry, -1
	}
	return 0, schemas.TypeOther, formJSON, connectors.ViewPlain, -1
}

// columnOf describes the column of values of a schema. connector is the name in the source block, "" when there is none.
func columnOf(name string, s *schemas.Schema, connector string) column {
	c := column{
		Column: schemas.Column{Name: name, Length: -1, Scale: -1, Optional: s.Optional, Comment: s.Doc},
		field:  connectors.Field{Name: name, Schema: s, Scale: -1, WhenNull: Zero(s)}, scale: -1, whole: s,
	}
	if kind, typ, f, v, scale := logical(s.Name); kind == s.Kind {
		c.Type, c.form, c.field.View, c.Scale = typ, f, v, scale
		c.logicalDetails(s, connector)
	} else {
		c.plain(s, connector)
	}
	c.restore(s, connector)
	if c.field.Scale = c.Scale; c.form == formDecimal {
		c.field.Scale = c.scale
	}
	return c
}

// logicalDetails reads the parameters of a logical type.
func (c *column) logicalDetails(s *schemas.Schema, connector string) {
	switch s.Name {
	case NameConnectDecimal:
		c.Scale = number(s.Parameter("scale"), 0)
		c.Length = number(s.Parameter("connect.decimal.precision"), -1)
		if c.scale = c.Scale; c.Scale > 1000 && strings.HasPrefix(connector, "postgres") {
			c.Scale -= 2048 // a negative one, as the reference writes it
		}
	case NameBits:
		if c.Length = number(s.Parameter("length"), -1); c.Length == math.MaxInt32 {
			c.Length = -1
		}
	case NameEnum, NameEnumSet:
		c.Allowed = labels(s.Parameter("allowed"))
	case NameLtree:
		c.TypeName = "ltree"
	case NameTsvector:
		c.TypeName = "tsvector"
	case NamePoint:
		if isMySQL(connector) {
			c.Type, c.form, c.field.View = schemas.TypeBytes, formGeometryPoint, connectors.ViewGeometryPoint
		}
	}
}

// plain is for schemas without a logical name that is known.
func (c *column) plain(s *schemas.Schema, connector string) {
	switch s.Kind {
	case schemas.Int8, schemas.Int16:
		c.Type, c.form = schemas.TypeInt16, formInt
	case schemas.Int32:
		c.Type, c.form = schemas.TypeInt32, formInt
	case schemas.Int64:
		c.Type, c.form = schemas.TypeInt64, formInt
	case schemas.Float32:
		c.Type, c.form = schemas.TypeFloat32, formFloat32
	case schemas.Float64:
		c.Type, c.form = schemas.TypeFloat64, formFloat64
	case schemas.Boolean:
		c.Type, c.form = schemas.TypeBool, formBool
	case schemas.String:
		c.Type, c.form = schemas.TypeText, formText
	case schemas.Bytes:
		c.Type, c.form, c.field.View = schemas.TypeBytes, formBytes, connectors.ViewTextBytes
	case schemas.Array:
		if elem := columnOf("", s.Elem, connector); elem.form != formJSON && elem.form != formList && elem.form != formMap {
			c.Type, c.form, c.elem, c.Elem, c.field.View, c.field.Elem = schemas.TypeList, formList, &elem, &elem.Column, connectors.ViewList, &elem.field
			return
		}
		c.nested()
	case schemas.Map:
		if isText(s.Key) && isText(s.Elem) {
			c.Type, c.form, c.field.View = schemas.TypeMap, formMap, connectors.ViewMap
			return
		}
		c.nested()
	default:
		c.nested()
	}
}

func isText(s *schemas.Schema) bool { return s != nil && s.Kind == schemas.String && s.Name == "" }

// nested is for values that are kept as JSON.
func (c *column) nested() {
	c.Type, c.form = schemas.TypeJSON, formJSON
	c.field.Schema = Logical(schemas.String, NameJSON, c.Optional)
	c.field.WhenNull = Zero(c.field.Schema)
}

const maxDigits = 1000 // of a numeric of PostgreSQL that has a precision

// restore uses what the propagated type of the database's column says beyond the schema.
func (c *column) restore(s *schemas.Schema, connector string) {
	name := s.Parameter("__debezium.source.column.type")
	if name == "" {
		return
	}
	length, scale := number(s.Parameter("__debezium.source.column.length"), -1), number(s.Parameter("__debezium.source.column.scale"), 0)
	if scale > 1000 && strings.HasPrefix(connector, "postgres") {
		scale -= 2048 // a negative one, as the reference writes it
	}
	c.TypeName = strings.ToLower(name)
	switch base := strings.ToUpper(name); {
	case (base == "BIGINT UNSIGNED" || base == "BIGINT UNSIGNED ZEROFILL" || base == "SERIAL") && c.form == formInt && s.Kind == schemas.Int64:
		c.Type, c.form = schemas.TypeUint64, formUint
	case (base == "BIGINT UNSIGNED" || base == "BIGINT UNSIGNED ZEROFILL" || base == "SERIAL") && c.form == formDecimal && c.scale == 0:
		c.Type, c.form = schemas.TypeUint64, formDecimalUint
	case (base == "BIT" || base == "VARBIT") && c.form == formBool:
		c.Type, c.form, c.field.View, c.Length = schemas.TypeBits, formBitBool, connectors.ViewBitBool, 1
	case base == "MONEY" && c.form == formDecimal:
		c.Type = schemas.TypeMoney
	case isDecimal(base) && c.form == formText:
		c.Type, c.form, c.field.View = schemas.TypeDecimal, formDecimalText, connectors.ViewDecimalText
		if length > 0 && length <= maxDigits { // without precision it is 0 or 131089
			c.Length, c.Scale = length, scale
		}
	case strings.HasSuffix(base, "RANGE") && c.form == formText:
		c.Type = schemas.TypeRange
	case (base == "INET" || base == "CIDR" || strings.HasPrefix(base, "MACADDR")) && c.form == formText:
		c.Type = schemas.TypeOther
	case c.form == formText && c.Type == schemas.TypeText && strings.Contains(base, "CHAR"), c.form == formBytes && strings.Contains(base, "BINARY"):
		if length > 0 && length < math.MaxInt32 {
			c.Length = length
		}
	case len(c.Allowed) > 0 && isMySQL(connector):
		c.TypeName += "('" + strings.ReplaceAll(strings.ReplaceAll(strings.Join(c.Allowed, "\x00"), "'", "''"), "\x00", "','") + "')"
	}
	if strings.HasPrefix(connector, "postgres") {
		c.TypeName = PostgresName(c.TypeName)
	}
	switch {
	case c.TypeName == "character" && c.Length <= 0:
		c.TypeName = "bpchar"
	case c.Type == schemas.TypeDecimal && c.Length > 0:
		c.TypeName += "(" + strconv.Itoa(int(c.Length)) + "," + strconv.Itoa(int(c.Scale)) + ")"
	case (c.Type == schemas.TypeText || c.Type == schemas.TypeBits || c.Type == schemas.TypeBytes) && c.Length > 0:
		c.TypeName += "(" + strconv.Itoa(int(c.Length)) + ")"
	}
}

func isDecimal(base string) bool {
	base, _, _ = strings.Cut(base, " ")
	return base == "NUMERIC" || base == "DECIMAL" || base == "DEC" || base == "FIXED"
}

func isMySQL(connector string) bool { return connector == "mysql" || connector == "mariadb" }

// PostgresName is how SQL spells a type of PostgreSQL's catalog (int4: integer); others as they are.
func PostgresName(name string) string {
	brackets := ""
	if rest, ok := strings.CutPrefix(name, "_"); ok {
		name, brackets = rest, "[]"
	}
	switch name {
	case "bool":
		name = "boolean"
	case "int2":
		name = "smallint"
	case "int4":
		name = "integer"
	case "int8":
		name = "bigint"
	case "float4":
		name = "real"
	case "float8":
		name = "double precision"
	case "bpchar":
		if brackets == "" { // character alone has one character
			name = "character"
		}
	case "varchar":
		name = "character varying"
	case "varbit":
		name = "bit varying"
	case "time":
		name = "time without time zone"
	case "timetz":
		name = "time with time zone"
	case "timestamp":
		name = "timestamp without time zone"
	case "timestamptz":
		name = "timestamp with time zone"
	case "char":
		name = `"char"`
	}
	return name + brackets
}

// number reads a parameter.
func number(text string, otherwise int32) int32 {
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return otherwise
	}
	return int32(v)
}

// labels splits the members of an enumeration; a comma inside one is written as \,.
func labels(text string) []string {
	if text == "" {
		return nil
	}
	var out []string
	var member strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == ',':
			member.WriteByte(',')
			i++
		case text[i] == ',':
			out = append(out, member.String())
			member.Reset()
		default:
			member.WriteByte(text[i])
		}
	}
	return append(out, member.String())
}
