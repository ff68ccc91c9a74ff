package json

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/schemas"
)

// appendSchema renders a schema with its members in the reference's order; field is its name within a struct.
func (o options) appendSchema(dst []byte, s *schemas.Schema, field string) ([]byte, error) {
	var err error
	dst = append(append(append(dst, `{"type":"`...), s.Kind.String()...), '"')
	switch s.Kind {
	case schemas.Array:
		if dst, err = o.appendSchema(append(dst, `,"items":`...), s.Elem, ""); err != nil {
			return dst, err
		}
	case schemas.Map:
		if dst, err = o.appendSchema(append(dst, `,"keys":`...), s.Key, ""); err != nil {
			return dst, err
		}
		if dst, err = o.appendSchema(append(dst, `,"values":`...), s.Elem, ""); err != nil {
			return dst, err
		}
	case schemas.Struct:
		dst = append(dst, `,"fields":[`...)
		for i := range s.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = o.appendSchema(dst, s.Fields[i].Schema, s.Fields[i].Name); err != nil {
				return dst, err
			}
		}
		dst = append(dst, ']')
	}
	dst = strconv.AppendBool(append(dst, `,"optional":`...), s.Optional)
	if s.Name != "" {
		dst = changes.AppendWireText(append(dst, `,"name":`...), s.Name)
	}
	if s.Version != 0 {
		dst = changes.AppendInt(append(dst, `,"version":`...), int64(s.Version))
	}
	if s.Doc != "" {
		dst = changes.AppendWireText(append(dst, `,"doc":`...), s.Doc)
	}
	if len(s.Parameters) > 0 {
		dst = append(dst, `,"parameters":{`...)
		for i, p := range s.Parameters {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = changes.AppendWireText(append(changes.AppendWireText(dst, p.Name), ':'), p.Value)
		}
		dst = append(dst, '}')
	}
	if s.Default != nil {
		if dst, err = o.appendValue(append(dst, `,"default":`...), s, s.Default); err != nil {
			return dst, fmt.Errorf("write default of field %s: %w", field, err)
		}
	}
	if field != "" {
		dst = changes.AppendWireText(append(dst, `,"field":`...), field)
	}
	return append(dst, '}'), nil
}

// appendValue renders a materialised value. s may be nil (schemaless).
func (o options) appendValue(dst []byte, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return o.appendNull(dst, s)
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int8:
		return changes.AppendInt(dst, int64(v)), nil
	case int16:
		return changes.AppendInt(dst, int64(v)), nil
	case int32:
		return changes.AppendInt(dst, int64(v)), nil
	case int64:
		return changes.AppendInt(dst, v), nil
	case float32:
		return appendFloat(dst, float64(v), 32), nil
	case float64:
		return appendFloat(dst, v, 64), nil
	case string:
		return changes.AppendWireText(dst, v), nil
	case []byte:
		if o.numeric && s != nil && s.Name == changes.NameConnectDecimal {
			return changes.AppendDecimal(dst, v, scaleOf(s)), nil
		}
		return appendBase64(dst, v), nil
	case schemas.ArrayValue:
		return o.appendArray(dst, s, v)
	case schemas.MapValue:
		return o.appendMap(dst, s, v)
	case schemas.StructValue:
		return o.appendStruct(dst, s, v)
	}
	return dst, fmt.Errorf("write JSON: a value of Go type %T has no Connect type", v)
}

func (o options) appendNull(dst []byte, s *schemas.Schema) ([]byte, error) {
	if s != nil && s.Default != nil && o.nullDefault {
		return o.appendValue(dst, s, s.Default)
	}
	if s != nil && !s.Optional && o.union == nil {
		return dst, fmt.Errorf("write JSON: null value for a field that is required and has no default value")
	}
	return append(dst, "null"...), nil
}

func (o options) appendArray(dst []byte, s *schemas.Schema, v schemas.ArrayValue) ([]byte, error) {
	var elem *schemas.Schema
	if s != nil {
		elem = s.Elem
	}
	var err error
	dst = append(dst, '[')
	for i, e := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = o.appendValue(dst, elem, e); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// tuple is how an entry is written of a map that is no object.
type tuple struct{ start, between, end string }

var (
	pair  = tuple{"[", ",", "]"}
	named = tuple{`{"key":`, `,"value":`, "}"} // of a dialect
)

// appendMap writes an object when all keys are text, else an array of its entries.
func (o options) appendMap(dst []byte, s *schemas.Schema, v schemas.MapValue) ([]byte, error) {
	var key, elem *schemas.Schema
	object := true
	if s != nil {
		key, elem = s.Key, s.Elem
		object = key.Kind == schemas.String && (o.union == nil || !key.Optional)
	} else {
		for _, e := range v {
			_, text := e.Key.(string)
			object = object && text
		}
	}
	start, end, entry := byte('{'), byte('}'), tuple{between: ":"}
	if !object {
		start, end, entry = '[', ']', pair
		if o.union != nil {
			entry = named
		}
	}
	var err error
	dst = append(dst, start)
	for i, e := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = o.appendValue(append(dst, entry.start...), key, e.Key); err != nil {
			return dst, err
		}
		if dst, err = o.appendValue(append(dst, entry.between...), elem, e.Value); err != nil {
			return dst, err
		}
		dst = append(dst, entry.end...)
	}
	return append(dst, end), nil
}

func (o options) appendStruct(dst []byte, s *schemas.Schema, v schemas.StructValue) ([]byte, error) {
	if s == nil || len(s.Fields) != len(v) {
		return dst, fmt.Errorf("write JSON: a struct of %d values does not match its schema", len(v))
	}
	if o.isUnion(s) {
		return o.appendMember(dst, s, v)
	}
	var err error
	dst = append(dst, '{')
	start := len(dst)
	for i := range v {
		if o.leftOut(s.Fields[i].Schema, v[i]) {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(changes.AppendWireText(dst, s.Fields[i].Name), ':')
		if dst, err = o.appendValue(dst, s.Fields[i].Schema, v[i]); err != nil {
			return dst, fmt.Errorf("field %s: %w", s.Fields[i].Name, err)
		}
	}
	return append(dst, '}'), nil
}

func appendFloat(dst []byte, v float64, bits int) []byte {
	if v-v != 0 { // NaN and infinities are texts in JSON
		return append(changes.AppendJavaDouble(append(dst, '"'), v, bits), '"')
	}
	return changes.AppendJavaDouble(dst, v, bits)
}

func appendBase64(dst, v []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"')
}

func scaleOf(s *schemas.Schema) int32 {
	n, _ := strconv.ParseInt(s.Parameter("scale"), 10, 32) // written by whoever made the schema
	return int32(n)
}
