package avro

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// writer writes materialised values.
type writer struct{ options }

func appendLong(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendText(dst []byte, v string) []byte { return append(appendLong(dst, int64(len(v))), v...) }

func appendBytes(dst, v []byte) []byte { return append(appendLong(dst, int64(len(v))), v...) }

// value writes v, whose Connect schema is s (nil: it has none), as Avro schema n says.
func (w writer) value(dst []byte, n *node, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	if s == nil {
		return w.anything(dst, n, v)
	}
	if n.kind == kUnion {
		return w.union(dst, n, s, v)
	}
	if v == nil && n.kind != kNull {
		return dst, converters.ErrNull
	}
	switch v := v.(type) {
	case nil:
		return dst, nil
	case bool:
		if n.kind == kBoolean {
			if v {
				return append(dst, 1), nil
			}
			return append(dst, 0), nil
		}
	case int8:
		return w.number(dst, n, int64(v))
	case int16:
		return w.number(dst, n, int64(v))
	case int32:
		return w.number(dst, n, int64(v))
	case int64:
		return w.number(dst, n, v)
	case float32:
		return w.float(dst, n, float64(v))
	case float64:
		return w.float(dst, n, v)
	case string:
		return w.text(dst, n, v)
	case []byte:
		return w.bytes(dst, n, s, v)
	case schemas.ArrayValue:
		if n.kind == kArray {
			return w.array(dst, n, s, v)
		}
	case schemas.MapValue:
		return w.mapOf(dst, n, s, v)
	case schemas.StructValue:
		return w.structure(dst, n, s, v)
	}
	return dst, mismatch(n, s)
}

func mismatch(n *node, s *schemas.Schema) error {
	return fmt.Errorf("the Avro schema says %s, which a value of type %s does not fit", n.fullName(), s.Kind)
}

func (w writer) number(dst []byte, n *node, v int64) ([]byte, error) {
	switch n.kind {
	case kInt:
		if v != int64(int32(v)) {
			return dst, errors.New("the Avro schema says int, and the number needs more than 32 bits")
		}
		return appendLong(dst, v), nil
	case kLong:
		return appendLong(dst, v), nil
	}
	return dst, fmt.Errorf("the Avro schema says %s, and the value is an integer", n.fullName())
}

func (w writer) float(dst []byte, n *node, v float64) ([]byte, error) {
	switch n.kind {
	case kFloat:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v))), nil
	case kDouble:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)), nil
	}
	return dst, fmt.Errorf("the Avro schema says %s, and the value is a number", n.fullName())
}

func (w writer) text(dst []byte, n *node, v string) ([]byte, error) {
	switch n.kind {
	case kString:
		return appendText(dst, v), nil
	case kEnum:
		for i, symbol := range n.symbols {
			if symbol == v {
				return appendLong(dst, int64(i)), nil
			}
		}
		return dst, fmt.Errorf("the enum %s has no such symbol", n.fullName())
	}
	return dst, fmt.Errorf("the Avro schema says %s, and the value is a text", n.fullName())
}

func (w writer) bytes(dst []byte, n *node, s *schemas.Schema, v []byte) ([]byte, error) {
	switch {
	case n.kind == kBytes:
		return appendBytes(dst, v), nil
	case n.kind == kFixed && len(v) == n.size:
		return append(dst, v...), nil
	case n.kind == kFixed && len(v) < n.size && isDecimal(s):
		fill := byte(0)
		if len(v) > 0 && v[0] >= 0x80 {
			fill = 0xFF
		}
		for range n.size - len(v) {
			dst = append(dst, fill)
		}
		return append(dst, v...), nil
	case n.kind == kFixed:
		return dst, fmt.Errorf("%d bytes do not fit %s, which has %d", len(v), n.fullName(), n.size)
	}
	return dst, mismatch(n, s)
}

func (w writer) array(dst []byte, n *node, s *schemas.Schema, v schemas.ArrayValue) ([]byte, error) {
	if len(v) > 0 {
		dst = appendLong(dst, int64(len(v)))
		for i, e := range v {
			var err error
			if dst, err = w.value(dst, n.elem, s.Elem, e); err != nil {
				return dst, fmt.Errorf("element %d: %w", i, err)
			}
		}
	}
	return append(dst, 0), nil
}

func (w writer) mapOf(dst []byte, n *node, s *schemas.Schema, v schemas.MapValue) ([]byte, error) {
	if n.kind != kMap && (n.kind != kArray || n.elem.kind != kRecord || len(n.elem.fields) != 2) {
		return dst, mismatch(n, s)
	}
	if len(v) > 0 {
		dst = appendLong(dst, int64(len(v)))
		for _, e := range v {
			value := n.elem
			var err error
			if n.kind == kMap {
				name, ok := e.Key.(string)
				if !ok {
					return dst, errors.New("a key of the map is not a text")
				}
				dst = appendText(dst, name)
			} else {
				value = n.elem.fields[1].node
				if dst, err = w.value(dst, n.elem.fields[0].node, s.Key, e.Key); err != nil {
					return dst, fmt.Errorf("key: %w", err)
				}
			}
			if dst, err = w.value(dst, value, s.Elem, e.Value); err != nil {
				return dst, fmt.Errorf("value of a map: %w", err)
			}
		}
	}
	return append(dst, 0), nil
}

func (w writer) structure(dst []byte, n *node, s *schemas.Schema, v schemas.StructValue) ([]byte, error) {
	if n.kind != kRecord || len(v) != len(s.Fields) {
		return dst, mismatch(n, s)
	}
	for i := range n.fields {
		f := &n.fields[i]
		at := w.place(s, f.name, i)
		if at < 0 {
			if len(f.def) == 0 {
				return dst, fmt.Errorf("field %s of the registered schema is not in the record, and has no default", f.name)
			}
			out, err := w.standIn(dst, f)
			if err != nil {
				return dst, fmt.Errorf("field %s: %w", f.name, err)
			}
			dst = out
			continue
		}
		e, schema := v[at], s.Fields[at].Schema
		if e == nil && !w.ignoreDefaults {
			e = schema.Default
		}
		var err error
		if dst, err = w.value(dst, f.node, schema, e); err != nil {
			return dst, fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	return dst, nil
}

// place finds the field of a struct that a field of a record is made from; guess is where it likely is.
func (o options) place(s *schemas.Schema, name string, guess int) int {
	if guess < len(s.Fields) && o.scrubbed(s.Fields[guess].Name) == name {
		return guess
	}
	for i := range s.Fields {
		if o.scrubbed(s.Fields[i].Name) == name {
			return i
		}
	}
	return -1
}

// standIn writes the default of a field that the record lacks.
func (w writer) standIn(dst []byte, f *member) ([]byte, error) {
	r := &reader{options: w.options, cycles: map[*node]*schemas.Schema{}}
	s, err := r.schema(f.node, false, nil, nil)
	if err != nil {
		return dst, err
	}
	v, err := r.defaultOf(f.node, s, f.def)
	if err != nil {
		return dst, err
	}
	return w.value(dst, f.node, s, v)
}

// union picks a branch: null, the one of a struct that stands for a union, or the first that fits.
func (w writer) union(dst []byte, n *node, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	if w.isUnion(s) {
		if fields, ok := v.(schemas.StructValue); ok {
			return w.unionOf(dst, n, s, fields)
		}
	}
	for i, b := range n.branches {
		if (v == nil) != (b.kind == kNull) || v != nil && !w.fits(b, s) {
			continue
		}
		return w.value(appendLong(dst, int64(i)), b, s, v)
	}
	if v == nil {
		return dst, converters.ErrNull
	}
	return dst, mismatch(n, s)
}

func (w writer) unionOf(dst []byte, n *node, s *schemas.Schema, fields schemas.StructValue) ([]byte, error) {
	for at, v := range fields {
		if v == nil {
			continue
		}
		f := s.Fields[at]
		for i, b := range n.branches {
			if b.kind != kNull && w.fits(b, f.Schema) {
				return w.value(appendLong(dst, int64(i)), b, f.Schema, v)
			}
		}
		return dst, fmt.Errorf("member %s is not in the union", f.Name)
	}
	for i, b := range n.branches {
		if b.kind == kNull {
			return appendLong(dst, int64(i)), nil
		}
	}
	return dst, converters.ErrNull
}

// fits tells that values of s may be written as n.
func (w writer) fits(n *node, s *schemas.Schema) bool {
	switch n.kind {
	case kBoolean:
		return s.Kind == schemas.Boolean
	case kInt:
		return s.Kind == schemas.Int8 || s.Kind == schemas.Int16 || s.Kind == schemas.Int32
	case kLong:
		return s.Kind == schemas.Int64
	case kFloat:
		return s.Kind == schemas.Float32
	case kDouble:
		return s.Kind == schemas.Float64
	case kString:
		return s.Kind == schemas.String && !w.isEnum(s)
	case kEnum:
		return s.Kind == schemas.String && (!w.isEnum(s) || s.Parameter(w.enumParameter()) == n.fullName())
	case kBytes:
		return s.Kind == schemas.Bytes && !isFixed(s)
	case kFixed:
		return s.Kind == schemas.Bytes
	case kArray:
		return s.Kind == schemas.Array || s.Kind == schemas.Map && !w.plainMap(s)
	case kMap:
		return s.Kind == schemas.Map && w.plainMap(s)
	case kRecord:
		if s.Kind != schemas.Struct {
			return false
		}
		return s.Name == "" && strings.HasPrefix(n.fullName(), namespace+"."+defaultName) || w.fullName(s.Name) == n.fullName()
	}
	return false
}

func (o options) isEnum(s *schemas.Schema) bool {
	return (o.general || o.enhanced) && (has(s, generalEnum) || has(s, avroEnum))
}

// anything writes a value without schema: a record of which one member is set.
func (w writer) anything(dst []byte, n *node, v schemas.Value) ([]byte, error) {
	if n.kind != kRecord || n.fullName() != avroAnything {
		return dst, errors.New("the registered schema is not that of values without schema")
	}
	field := ""
	switch v.(type) {
	case nil:
	case bool:
		field = "boolean"
	case []byte:
		field = "bytes"
	case float64:
		field = "double"
	case float32:
		field = "float"
	case int8, int16, int32:
		field = "int"
	case int64:
		field = "long"
	case string:
		field = "string"
	case schemas.ArrayValue:
		field = "array"
	case schemas.MapValue:
		field = "map"
	default:
		return dst, fmt.Errorf("a value of Go type %T has no Connect type", v)
	}
	for i := range n.fields {
		f := &n.fields[i]
		if f.name != field {
			dst = append(dst, 0) // null
			continue
		}
		var err error
		if dst, err = w.plain(append(dst, 2), f.node.branches[1], v); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (w writer) plain(dst []byte, n *node, v schemas.Value) ([]byte, error) {
	kinds := map[kind]schemas.Kind{kBoolean: schemas.Boolean, kBytes: schemas.Bytes, kDouble: schemas.Float64, kFloat: schemas.Float32, kInt: schemas.Int32, kLong: schemas.Int64, kString: schemas.String}
	switch v := v.(type) {
	case schemas.ArrayValue:
		return w.array(dst, n, &schemas.Schema{Kind: schemas.Array}, v)
	case schemas.MapValue:
		return w.mapOf(dst, n, &schemas.Schema{Kind: schemas.Map}, v)
	}
	return w.value(dst, n, &schemas.Schema{Kind: kinds[n.kind]}, v)
}
