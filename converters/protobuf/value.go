package protobuf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/freshet-io/freshet/schemas"
)

// writer writes materialised values.
type writer struct{ options }

// open begins a part with a length before it, which it leaves room bytes for; shut fills them in. Lengths are written as short as
// they can be, so what follows is moved when the room was not what the length takes.
func open(dst []byte, tag uint64, room int) (out []byte, start int) {
	dst = appendVarint(dst, tag)
	dst = append(dst, "\x00\x00\x00\x00\x00"[:room]...)
	return dst, len(dst)
}

// shut returns how many bytes the length took.
func shut(dst []byte, start, room int) (out []byte, took int) {
	n := len(dst) - start
	took = protowire.SizeVarint(uint64(n))
	if took != room {
		switch {
		case took > room:
			dst = append(dst, "\x00\x00\x00\x00\x00"[:took-room]...)
			copy(dst[start-room+took:], dst[start:start+n])
		default:
			copy(dst[start-room+took:], dst[start:])
			dst = dst[:start-room+took+n]
		}
	}
	binary.PutUvarint(dst[start-room:start-room+took], uint64(n))
	return dst, took
}

// appendVarint is protowire.AppendVarint in a form that is put in line.
func appendVarint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// whole writes a key or value: a message, or the content of a wrapper.
func (w writer) whole(dst []byte, m *message, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	if m.leaf == leafWrapper {
		return w.scalar(dst, m.fields[0], s, v, false)
	}
	return w.message(dst, m, s, v)
}

func (w writer) message(dst []byte, m *message, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	values, ok := v.(schemas.StructValue)
	if !ok || s.Kind != schemas.Struct || len(values) != len(s.Fields) {
		return dst, fmt.Errorf("the schema says message %s, which a value of type %s does not fit", m.name, s.Kind)
	}
	left := 0
	for i, e := range values {
		if e != nil || !w.ignoreDefaults && s.Fields[i].Schema.Default != nil {
			left++
		}
	}
	for i, f := range m.order {
		schema, e, err := w.pick(f, s, values, i)
		if err == nil && e != nil {
			left--
			dst, err = w.field(dst, f, schema, e)
		}
		if err != nil {
			return dst, fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	if left > 0 {
		return dst, w.surplus(m, s, values)
	}
	return dst, nil
}

// surplus is the error of a value that the message has no field for.
func (w writer) surplus(m *message, s *schemas.Schema, values schemas.StructValue) error {
	for i, f := range s.Fields {
		found := values[i] == nil && f.Schema.Default == nil
		for _, have := range m.fields {
			found = found || have.oneof < 0 && have.name == w.scrubbed(f.Name)
		}
		if !found && w.isUnion(f.Schema) {
			return errors.New("Cannot find non-null field") //nolint:staticcheck // the reference's text
		}
		if !found {
			return fmt.Errorf("Cannot find field with name %s in message %s: two structs of the same name have different fields", f.Name, m.full) //nolint:staticcheck // the reference's text
		}
	}
	return fmt.Errorf("message %s lacks a field of its value", m.full)
}

// pick finds the value of a field, and its schema; guess is where it likely is.
func (w writer) pick(f *field, s *schemas.Schema, values schemas.StructValue, guess int) (*schemas.Schema, schemas.Value, error) {
	if f.oneof >= 0 {
		return w.pickMember(f, s, values)
	}
	at := -1
	if guess < len(s.Fields) && w.scrubbed(s.Fields[guess].Name) == f.name {
		at = guess
	}
	for i := 0; at < 0 && i < len(s.Fields); i++ {
		if w.scrubbed(s.Fields[i].Name) == f.name && !w.isUnion(s.Fields[i].Schema) {
			at = i
		}
	}
	if at < 0 {
		return nil, nil, nil
	}
	schema, v := s.Fields[at].Schema, values[at]
	if v == nil && !w.ignoreDefaults {
		v = schema.Default
	}
	return schema, v, nil
}

// pickMember is pick for a member of a oneof: it has a value when it is the first one of its union that has.
func (w writer) pickMember(f *field, s *schemas.Schema, values schemas.StructValue) (*schemas.Schema, schemas.Value, error) {
	for i, outer := range s.Fields {
		union, ok := values[i].(schemas.StructValue)
		if !ok || !w.isUnion(outer.Schema) {
			continue
		}
		for j, v := range union {
			member := outer.Schema.Fields[j]
			if v == nil && !w.ignoreDefaults {
				v = member.Schema.Default
			}
			if v == nil {
				continue
			}
			if w.scrubbed(member.Name) == f.name {
				return member.Schema, v, nil
			}
			break
		}
	}
	return nil, nil, nil
}

// field writes a value with its tag, as often as it takes. v is not nil.
func (w writer) field(dst []byte, f *field, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	if !f.repeated {
		return w.single(dst, f, s, v, f.presence())
	}
	switch v := v.(type) {
	case schemas.ArrayValue:
		if s.Kind == schemas.Array {
			return w.array(dst, f, s.Elem, v)
		}
	case schemas.MapValue:
		if s.Kind == schemas.Map && f.message != nil && f.message.entry {
			return w.mapOf(dst, f, s, v)
		}
	}
	return dst, mismatch(f, s)
}

func mismatch(f *field, s *schemas.Schema) error {
	return fmt.Errorf("the schema says %s, which a value of type %s does not fit", f.kind, s.Kind)
}

func (w writer) array(dst []byte, f *field, s *schemas.Schema, v schemas.ArrayValue) ([]byte, error) {
	if len(v) == 0 {
		return dst, nil
	}
	packed, start := wireOf(f.kind) != protowire.BytesType, 0
	if packed {
		dst, start = open(dst, protowire.EncodeTag(f.number, protowire.BytesType), 1)
	}
	for i, e := range v {
		if e == nil {
			return dst, fmt.Errorf("element %d is null, which a list in Protobuf cannot hold", i)
		}
		var err error
		if packed {
			dst, err = w.payload(dst, f, s, e)
		} else {
			dst, err = w.single(dst, f, s, e, true)
		}
		if err != nil {
			return dst, fmt.Errorf("element %d: %w", i, err)
		}
	}
	if packed {
		dst, _ = shut(dst, start, 1)
	}
	return dst, nil
}

func (w writer) mapOf(dst []byte, f *field, s *schemas.Schema, v schemas.MapValue) ([]byte, error) {
	for _, e := range v {
		var start int
		dst, start = open(dst, f.wire(), 1)
		for i, part := range [...]schemas.Value{e.Key, e.Value} {
			schema := s.Key
			if i == 1 {
				schema = s.Elem
			}
			if part == nil {
				continue
			}
			var err error
			if dst, err = w.field(dst, f.message.fields[i], schema, part); err != nil {
				return dst, fmt.Errorf("%s of a map: %w", f.message.fields[i].name, err)
			}
		}
		dst, _ = shut(dst, start, 1)
	}
	return dst, nil
}

// single writes one value; always: a zero too.
func (w writer) single(dst []byte, f *field, s *schemas.Schema, v schemas.Value, always bool) ([]byte, error) {
	if f.kind != protoreflect.MessageKind {
		return w.scalar(dst, f, s, v, always)
	}
	var err error
	var start int
	dst, start = open(dst, f.wire(), 1)
	switch f.message.leaf {
	case leafNone:
		dst, err = w.message(dst, f.message, s, v)
	case leafWrapper:
		dst, err = w.wrapper(dst, f.message.fields[0], s, v)
	case leafDecimal:
		unscaled, ok := v.([]byte)
		if !ok {
			return dst, mismatch(f, s)
		}
		dst, err = appendDecimal(dst, unscaled, scaleOf(s))
	default:
		n, ok := integer(v)
		if !ok {
			return dst, mismatch(f, s)
		}
		dst, err = appendMoment(dst, f.message.leaf, n)
	}
	if err != nil {
		return dst, err
	}
	dst, _ = shut(dst, start, 1)
	return dst, nil
}

// wrapper writes the content of a wrapper. The reference writes a wrapped uint32 as an int32: a large one has ten bytes.
func (w writer) wrapper(dst []byte, f *field, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	if n, ok := v.(int64); ok && f.kind == protoreflect.Uint32Kind {
		if n != int64(uint32(n)) {
			return dst, errRange
		}
		if n != 0 {
			dst = appendVarint(appendVarint(dst, f.wire()), uint64(int64(int32(n))))
		}
		return dst, nil
	}
	return w.scalar(dst, f, s, v, false)
}

// scalar writes a value that is no message; always: a zero too.
func (w writer) scalar(dst []byte, f *field, s *schemas.Schema, v schemas.Value, always bool) ([]byte, error) {
	if !always && f.zero(v) {
		return dst, nil
	}
	return w.payload(appendVarint(dst, f.wire()), f, s, v)
}

// zero tells what is left out where presence is not told. A negative zero is none.
func (f *field) zero(v schemas.Value) bool {
	switch v := v.(type) {
	case bool:
		return !v
	case float32:
		return math.Float32bits(v) == 0
	case float64:
		return math.Float64bits(v) == 0
	case []byte:
		return len(v) == 0
	case string:
		if f.kind != protoreflect.EnumKind {
			return v == ""
		}
		n, ok := f.enum.number(v)
		return ok && n == f.enum.values[0].number
	}
	n, ok := integer(v)
	if f.kind == protoreflect.EnumKind {
		return ok && n == int64(f.enum.values[0].number)
	}
	return ok && n == 0
}

var errRange = errors.New("the number does not fit its type in Protobuf")

// payload writes a value that is no message, without its tag.
func (w writer) payload(dst []byte, f *field, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	switch v := v.(type) {
	case bool:
		if f.kind == protoreflect.BoolKind {
			return appendVarint(dst, protowire.EncodeBool(v)), nil
		}
	case float32:
		return float(dst, f, s, float64(v))
	case float64:
		return float(dst, f, s, v)
	case string:
		switch f.kind {
		case protoreflect.StringKind:
			return append(appendVarint(dst, uint64(len(v))), v...), nil
		case protoreflect.EnumKind:
			if n, ok := f.enum.number(v); ok {
				return appendVarint(dst, uint64(int64(n))), nil
			}
			return dst, fmt.Errorf("the enum %s has no such symbol", f.enum.full)
		}
	case []byte:
		if f.kind == protoreflect.BytesKind {
			return append(appendVarint(dst, uint64(len(v))), v...), nil
		}
	}
	if n, ok := integer(v); ok {
		return number(dst, f, s, n)
	}
	return dst, mismatch(f, s)
}

func integer(v schemas.Value) (int64, bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}

func float(dst []byte, f *field, s *schemas.Schema, v float64) ([]byte, error) {
	switch f.kind {
	case protoreflect.FloatKind:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v))), nil
	case protoreflect.DoubleKind:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)), nil
	}
	return dst, mismatch(f, s)
}

func number(dst []byte, f *field, s *schemas.Schema, n int64) ([]byte, error) {
	switch f.kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind, protoreflect.EnumKind:
		if n != int64(int32(n)) {
			return dst, errRange
		}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		if n != int64(uint32(n)) {
			return dst, errRange
		}
	}
	switch f.kind {
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return appendVarint(dst, uint64(n)), nil
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return appendVarint(dst, protowire.EncodeZigZag(n)), nil
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return binary.LittleEndian.AppendUint32(dst, uint32(n)), nil
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return binary.LittleEndian.AppendUint64(dst, uint64(n)), nil
	case protoreflect.EnumKind:
		for _, v := range f.enum.values {
			if int64(v.number) == n {
				return appendVarint(dst, uint64(n)), nil
			}
		}
		return dst, fmt.Errorf("the enum %s has no number %d", f.enum.full, n)
	}
	return dst, mismatch(f, s)
}

func (e *enum) number(symbol string) (int32, bool) {
	for _, v := range e.values {
		if v.name == symbol {
			return v.number, true
		}
	}
	return 0, false
}
