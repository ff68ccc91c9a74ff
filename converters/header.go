package converters

import (
	"encoding/base64"
	"strconv"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// AppendHeader writes the value of one of a record's own headers (the second cell of each pair in Record.Headers) as
// Connect's SimpleHeaderConverter does: text as it is, a key row (KindList) as its struct. null tells that there is none.
func AppendHeader(dst []byte, b *connectors.Batch, s *connectors.Stream, value connectors.Cell) (out []byte, null bool) {
	switch value.Kind {
	case connectors.KindText, connectors.KindBytes:
		return append(dst, b.Bytes(value)...), false
	case connectors.KindBool:
		return strconv.AppendBool(dst, value.Bool()), false
	case connectors.KindInt:
		return strconv.AppendInt(dst, value.Int(), 10), false
	case connectors.KindList:
		return appendStruct(dst, s.Key, changes.Struct(b, s.KeyFields, b.List(value))), false
	}
	return dst, true
}

// AppendTyped writes a materialised value as SimpleHeaderConverter does.
func AppendTyped(dst []byte, t schemas.Typed) (out []byte, null bool) {
	if t.Value == nil {
		return dst, true
	}
	if v, ok := t.Value.(string); ok {
		return append(dst, v...), false
	}
	if v, ok := t.Value.([]byte); ok && !isDecimal(t.Schema) {
		return base64.StdEncoding.AppendEncode(dst, v), false
	}
	return appendValue(dst, t.Schema, t.Value), false
}

func isDecimal(s *schemas.Schema) bool { return s != nil && s.Name == changes.NameConnectDecimal }

// appendValue writes a value inside of a struct, list or map: JSON but for the text of Connect's dates.
func appendValue(dst []byte, s *schemas.Schema, v schemas.Value) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int8:
		return strconv.AppendInt(dst, int64(v), 10)
	case int16:
		return strconv.AppendInt(dst, int64(v), 10)
	case int32:
		return appendNumber(dst, s, int64(v))
	case int64:
		return appendNumber(dst, s, v)
	case float32:
		return changes.AppendJavaDouble(dst, float64(v), 32)
	case float64:
		return changes.AppendJavaDouble(dst, v, 64)
	case string:
		return appendQuoted(dst, v)
	case []byte:
		if isDecimal(s) {
			n, _ := strconv.ParseInt(s.Parameter("scale"), 10, 32) // written by whoever made the schema
			return changes.AppendDecimal(dst, v, int32(n))
		}
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"')
	case schemas.ArrayValue:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, elemOf(s), e)
		}
		return append(dst, ']')
	case schemas.MapValue:
		dst = append(dst, '{')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(append(appendValue(dst, nil, e.Key), ':'), elemOf(s), e.Value)
		}
		return append(dst, '}')
	case schemas.StructValue:
		return appendStruct(dst, s, v)
	}
	return dst
}

func elemOf(s *schemas.Schema) *schemas.Schema {
	if s == nil {
		return nil
	}
	return s.Elem
}

func appendStruct(dst []byte, s *schemas.Schema, v schemas.StructValue) []byte {
	dst = append(dst, '{')
	for i := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, s.Fields[i].Name), ':')
		dst = appendValue(dst, s.Fields[i].Schema, v[i])
	}
	return append(dst, '}')
}

// appendQuoted escapes quotes and backslashes only, as the reference does here.
func appendQuoted(dst []byte, v string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(v); i++ {
		if v[i] == '"' || v[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, v[i])
	}
	return append(dst, '"')
}

const millisPerDay = 86_400_000

// appendNumber writes an integer, or the text of a Connect Date, Time or Timestamp: a time when it is below one day, a date at
// midnight, else both.
func appendNumber(dst []byte, s *schemas.Schema, v int64) []byte {
	if s == nil {
		return strconv.AppendInt(dst, v, 10)
	}
	switch s.Name {
	case changes.NameConnectDate:
		v *= millisPerDay
	case changes.NameConnectTime, changes.NameConnectTS:
	default:
		return strconv.AppendInt(dst, v, 10)
	}
	return changes.AppendJavaDate(dst, v, v >= millisPerDay, v < millisPerDay || v%millisPerDay != 0)
}
