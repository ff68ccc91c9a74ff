package avro

import (
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/schemas"
)

// jsonOf renders a default.
func (o options) jsonOf(dst []byte, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int8:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int16:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float32:
		return changes.AppendJavaDouble(dst, float64(v), 32), nil
	case float64:
		return changes.AppendJavaDouble(dst, v, 64), nil
	case string:
		return quote(dst, v), nil
	case []byte:
		return quote(dst, latin1(v)), nil
	case schemas.ArrayValue:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = o.jsonOf(dst, s.Elem, e); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case schemas.MapValue:
		return o.jsonOfMap(dst, s, v)
	case schemas.StructValue:
		return o.jsonOfStruct(dst, s, v)
	}
	return dst, fmt.Errorf("make Avro schema: a default of Go type %T has no Connect type", v)
}

func (o options) jsonOfStruct(dst []byte, s *schemas.Schema, v schemas.StructValue) ([]byte, error) {
	union := o.isUnion(s)
	if !union {
		dst = append(dst, '{')
	}
	for i, e := range v {
		f := s.Fields[i]
		if e == nil {
			e = f.Schema.Default
		}
		if union {
			return o.jsonOf(dst, f.Schema, e)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = o.jsonOf(append(quote(dst, o.scrubbed(f.Name)), ':'), f.Schema, e); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func (o options) jsonOfMap(dst []byte, s *schemas.Schema, v schemas.MapValue) ([]byte, error) {
	open, between, closing := "{", ":", "}"
	if !o.plainMap(s) {
		open, between, closing = "[", ",", "]"
	}
	dst = append(dst, open...)
	for i, e := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if open == "[" {
			dst = append(dst, '[')
		}
		if dst, err = o.jsonOf(dst, s.Key, e.Key); err == nil {
			dst, err = o.jsonOf(append(dst, between...), s.Elem, e.Value)
		}
		if err != nil {
			return dst, err
		}
		if open == "[" {
			dst = append(dst, ']')
		}
	}
	return append(dst, closing...), nil
}

// latin1 is a text with one character a byte.
func latin1(b []byte) string {
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c)
	}
	return string(out)
}

// fromLatin1 is the reverse; false when a character is no byte.
func fromLatin1(s string) ([]byte, bool) {
	out := make([]byte, 0, len(s))
	for _, c := range s {
		if c > 0xFF {
			return nil, false
		}
		out = append(out, byte(c))
	}
	return out, true
}
