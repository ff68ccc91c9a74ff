package elasticsearch

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/schemas"
)

// values writes record values as the documents of the reference: as JsonConverter does without schemas, but for decimals, which are
// doubles, and maps.
type values struct{ compact bool }

const (
	nameDecimal   = "org.apache.kafka.connect.data.Decimal"
	nameDate      = "org.apache.kafka.connect.data.Date"
	nameTime      = "org.apache.kafka.connect.data.Time"
	nameTimestamp = "org.apache.kafka.connect.data.Timestamp"
)

// append writes a value; sc nil: it has no schema.
func (v values) append(dst []byte, sc *schemas.Schema, value schemas.Value) ([]byte, error) {
	if value == nil {
		switch {
		case sc == nil || sc.Optional && sc.Default == nil:
			return append(dst, "null"...), nil
		case sc.Default == nil:
			return dst, fmt.Errorf("null value for field that is required and has no default value")
		}
		value = sc.Default
	}
	switch x := value.(type) {
	case bool:
		return strconv.AppendBool(dst, x), nil
	case int8:
		return changes.AppendInt(dst, int64(x)), nil
	case int16:
		return changes.AppendInt(dst, int64(x)), nil
	case int32:
		return changes.AppendInt(dst, int64(x)), nil
	case int64:
		return changes.AppendInt(dst, x), nil
	case float32:
		return appendFloat(dst, float64(x), 32), nil
	case float64:
		return appendFloat(dst, x, 64), nil
	case string:
		return changes.AppendJSONText(dst, x), nil
	case []byte:
		if sc != nil && sc.Name == nameDecimal {
			return appendDouble(dst, sc, x)
		}
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), x), '"'), nil
	case schemas.ArrayValue:
		return v.list(dst, sc, x)
	case schemas.MapValue:
		return v.entries(dst, sc, x)
	case schemas.StructValue:
		return v.fields(dst, sc, x)
	}
	return dst, fmt.Errorf("a value of Go type %T has no JSON form", value)
}

func appendDouble(dst []byte, sc *schemas.Schema, unscaled []byte) ([]byte, error) {
	scale, err := strconv.ParseInt(sc.Parameter("scale"), 10, 32)
	if err != nil {
		return dst, fmt.Errorf("read the scale of a decimal: %w", err)
	}
	f, err := strconv.ParseFloat(string(changes.AppendDecimal(nil, unscaled, int32(scale))), 64)
	if err != nil && f == 0 {
		return dst, fmt.Errorf("read a decimal: %w", err)
	}
	return appendFloat(dst, f, 64), nil
}

func (v values) list(dst []byte, sc *schemas.Schema, list schemas.ArrayValue) (_ []byte, err error) {
	var elem *schemas.Schema
	if sc != nil {
		elem = sc.Elem
	}
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = v.append(dst, elem, e); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// entries writes a map: an object when its keys are texts (and, with a schema, maps are compact); else a list of {key, value}, without a
// schema of [key, value].
func (v values) entries(dst []byte, sc *schemas.Schema, list schemas.MapValue) (_ []byte, err error) {
	var key, elem *schemas.Schema
	object := true
	if sc != nil {
		key, elem = sc.Key, sc.Elem
		object = v.compact && key != nil && key.Kind == schemas.String
	}
	for _, e := range list {
		if _, text := e.Key.(string); !text {
			object = false
		}
	}
	open, middle, end := `{"key":`, `,"value":`, "}"
	switch {
	case object:
		open, middle, end = "", ":", ""
	case sc == nil:
		open, middle, end = "[", ",", "]"
	}
	first, last := byte('['), byte(']')
	if object {
		first, last = '{', '}'
	}
	dst = append(dst, first)
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = v.append(append(dst, open...), key, e.Key); err != nil {
			return dst, err
		}
		if dst, err = v.append(append(dst, middle...), elem, e.Value); err != nil {
			return dst, err
		}
		dst = append(dst, end...)
	}
	return append(dst, last), nil
}

func (v values) fields(dst []byte, sc *schemas.Schema, list schemas.StructValue) (_ []byte, err error) {
	if sc == nil || len(sc.Fields) != len(list) {
		return dst, fmt.Errorf("a struct does not fit its schema")
	}
	dst = append(dst, '{')
	for i := range sc.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(changes.AppendJSONText(dst, sc.Fields[i].Name), ':')
		if dst, err = v.append(dst, sc.Fields[i].Schema, list[i]); err != nil {
			return dst, fmt.Errorf("field %s: %w", sc.Fields[i].Name, err)
		}
	}
	return append(dst, '}'), nil
}

// referenceMapping is the mapping that the reference makes of a schema.
func referenceMapping(dst []byte, sc *schemas.Schema) ([]byte, error) {
	if sc == nil {
		return dst, fmt.Errorf("Cannot infer mapping without schema.") //nolint:staticcheck // the reference's text
	}
	switch sc.Name {
	case nameDate, nameTime, nameTimestamp:
		return appendPrimitive(dst, "date", sc)
	case nameDecimal:
		return appendPrimitive(dst, "double", sc)
	}
	switch sc.Kind {
	case schemas.Array:
		return referenceMapping(dst, sc.Elem)
	case schemas.Map:
		return appendProperties(dst, []schemas.Field{{Name: "key", Schema: sc.Key}, {Name: "value", Schema: sc.Elem}})
	case schemas.Struct:
		return appendProperties(dst, sc.Fields)
	}
	kind := map[schemas.Kind]string{
		schemas.Boolean: "boolean", schemas.Int8: "byte", schemas.Int16: "short", schemas.Int32: "integer", schemas.Int64: "long",
		schemas.Float32: "float", schemas.Float64: "double", schemas.String: "text", schemas.Bytes: "binary",
	}[sc.Kind]
	return appendPrimitive(dst, kind, sc)
}

func appendProperties(dst []byte, fields []schemas.Field) (_ []byte, err error) {
	dst = append(dst, `{"properties":{`...)
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(changes.AppendJSONText(dst, f.Name), ':')
		if dst, err = referenceMapping(dst, f.Schema); err != nil {
			return dst, err
		}
	}
	return append(dst, "}}"...), nil
}

func appendPrimitive(dst []byte, kind string, sc *schemas.Schema) (_ []byte, err error) {
	dst = append(append(append(dst, `{"type":"`...), kind...), '"')
	switch {
	case kind == "text":
		dst = append(append(dst, ','), keywordField...)
	case sc.Default != nil && kind != "binary":
		if dst, err = (values{}).append(append(dst, `,"null_value":`...), sc, sc.Default); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}
