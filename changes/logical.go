package changes

import (
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/schemas"
)

// Names of logical schemas (all of version 1).
const (
	NameDate            = "io.debezium.time.Date"
	NameTime            = "io.debezium.time.Time"
	NameMicroTime       = "io.debezium.time.MicroTime"
	NameNanoTime        = "io.debezium.time.NanoTime"
	NameTimestamp       = "io.debezium.time.Timestamp"
	NameMicroTimestamp  = "io.debezium.time.MicroTimestamp"
	NameNanoTimestamp   = "io.debezium.time.NanoTimestamp"
	NameZonedTimestamp  = "io.debezium.time.ZonedTimestamp"
	NameZonedTime       = "io.debezium.time.ZonedTime"
	NameIsoDate         = "io.debezium.time.IsoDate"
	NameIsoTime         = "io.debezium.time.IsoTime"
	NameIsoTimestamp    = "io.debezium.time.IsoTimestamp"
	NameInterval        = "io.debezium.time.Interval"
	NameMicroDuration   = "io.debezium.time.MicroDuration"
	NameYear            = "io.debezium.time.Year"
	NameBits            = "io.debezium.data.Bits"
	NameEnum            = "io.debezium.data.Enum"
	NameEnumSet         = "io.debezium.data.EnumSet"
	NameJSON            = "io.debezium.data.Json"
	NameXML             = "io.debezium.data.Xml"
	NameUUID            = "io.debezium.data.Uuid"
	NameLtree           = "io.debezium.data.Ltree"
	NameTsvector        = "io.debezium.data.Tsvector"
	NameVariableDecimal = "io.debezium.data.VariableScaleDecimal"
	NameFloatVector     = "io.debezium.data.FloatVector"
	NameGeometry        = "io.debezium.data.geometry.Geometry"
	NamePoint           = "io.debezium.data.geometry.Point"
	NameConnectDecimal  = "org.apache.kafka.connect.data.Decimal"
	NameConnectDate     = "org.apache.kafka.connect.data.Date"
	NameConnectTime     = "org.apache.kafka.connect.data.Time"
	NameConnectTS       = "org.apache.kafka.connect.data.Timestamp"
)

// Plain is a schema without a logical name.
func Plain(k schemas.Kind, optional bool) *schemas.Schema {
	return &schemas.Schema{Kind: k, Optional: optional}
}

// Logical is a schema with a logical name, version 1.
func Logical(k schemas.Kind, name string, optional bool) *schemas.Schema {
	return &schemas.Schema{Kind: k, Name: name, Version: 1, Optional: optional}
}

// DecimalSchema is Connect's Decimal; a negative precision leaves the precision out.
func DecimalSchema(precision, scale int32, optional bool) *schemas.Schema {
	s := Logical(schemas.Bytes, NameConnectDecimal, optional)
	s.Parameters = []schemas.Parameter{{Name: "scale", Value: strconv.Itoa(int(scale))}}
	if precision >= 0 {
		s.Parameters = append(s.Parameters, schemas.Parameter{Name: "connect.decimal.precision", Value: strconv.Itoa(int(precision))})
	}
	return s
}

// VariableDecimalSchema is the struct of scale and unscaled value.
func VariableDecimalSchema(optional bool) *schemas.Schema {
	s := Logical(schemas.Struct, NameVariableDecimal, optional)
	s.Doc = "Variable scaled decimal"
	s.Fields = []schemas.Field{
		{Name: "scale", Schema: Plain(schemas.Int32, false)},
		{Name: "value", Schema: Plain(schemas.Bytes, false)},
	}
	return s
}

// PointSchema is the struct of x, y, wkb and srid.
func PointSchema(optional bool) *schemas.Schema {
	s := Logical(schemas.Struct, NamePoint, optional)
	s.Doc = "Geometry (POINT)"
	s.Fields = []schemas.Field{
		{Name: "x", Schema: Plain(schemas.Float64, false)},
		{Name: "y", Schema: Plain(schemas.Float64, false)},
		{Name: "wkb", Schema: Plain(schemas.Bytes, true)},
		{Name: "srid", Schema: Plain(schemas.Int32, true)},
	}
	return s
}

// GeometrySchema is the struct of wkb and srid.
func GeometrySchema(optional bool) *schemas.Schema {
	s := Logical(schemas.Struct, NameGeometry, optional)
	s.Doc = "Geometry"
	s.Fields = []schemas.Field{
		{Name: "wkb", Schema: Plain(schemas.Bytes, false)},
		{Name: "srid", Schema: Plain(schemas.Int32, true)},
	}
	return s
}

// FloatVectorSchema is an array of single-precision numbers.
func FloatVectorSchema(optional bool) *schemas.Schema {
	s := Logical(schemas.Array, NameFloatVector, optional)
	s.Elem = Plain(schemas.Float32, false)
	return s
}

// EnumSetSchema is a text of members, separated by commas, with the list of allowed ones.
func EnumSetSchema(allowed []string, optional bool) *schemas.Schema {
	s := EnumSchema(allowed, optional)
	s.Name = NameEnumSet
	return s
}

// EnumSchema is a text with the list of allowed members.
func EnumSchema(allowed []string, optional bool) *schemas.Schema {
	s := Logical(schemas.String, NameEnum, optional)
	s.Parameters = []schemas.Parameter{{Name: "allowed", Value: strings.Join(allowed, ",")}}
	return s
}

// BitsSchema is a string of length bits; unbounded ones have length 2147483647.
func BitsSchema(length int32, optional bool) *schemas.Schema {
	s := Logical(schemas.Bytes, NameBits, optional)
	s.Parameters = []schemas.Parameter{{Name: "length", Value: strconv.Itoa(int(length))}}
	return s
}

// ListSchema is an array.
func ListSchema(elem *schemas.Schema, optional bool) *schemas.Schema {
	return &schemas.Schema{Kind: schemas.Array, Elem: elem, Optional: optional}
}

// TextMapSchema is a map from text to optional text.
func TextMapSchema(optional bool) *schemas.Schema {
	return &schemas.Schema{Kind: schemas.Map, Key: Plain(schemas.String, false), Elem: Plain(schemas.String, true), Optional: optional}
}

// Zero is what the reference writes in a required field for NULL when there is no default: 0, "", false, an empty list,
// the epoch, `{}` for JSON. nil for optional schemas.
func Zero(s *schemas.Schema) schemas.Value {
	if s.Optional {
		return nil
	}
	if s.Default != nil {
		return s.Default
	}
	switch s.Name {
	case NameConnectDecimal:
		return []byte{0}
	case NameJSON:
		return "{}"
	case NameZonedTimestamp:
		return "1970-01-01T00:00:00Z"
	case NameZonedTime, NameIsoTime:
		return "00:00:00Z"
	case NameIsoDate:
		return "1970-01-01Z"
	case NameIsoTimestamp:
		return "1970-01-01T00:00:00Z"
	}
	switch s.Kind {
	case schemas.Boolean:
		return false
	case schemas.Int8:
		return int8(0)
	case schemas.Int16:
		return int16(0)
	case schemas.Int32:
		return int32(0)
	case schemas.Int64:
		return int64(0)
	case schemas.Float32:
		return float32(0)
	case schemas.Float64:
		return float64(0)
	case schemas.String:
		return ""
	case schemas.Bytes:
		return []byte{}
	case schemas.Array:
		return schemas.ArrayValue{}
	case schemas.Map:
		return schemas.MapValue{}
	case schemas.Struct:
		return zeroStruct(s)
	}
	return nil
}

func zeroStruct(s *schemas.Schema) schemas.Value {
	out := make(schemas.StructValue, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = Zero(f.Schema)
	}
	if s.Name == NameVariableDecimal {
		out[1] = []byte{0}
	}
	return out
}
