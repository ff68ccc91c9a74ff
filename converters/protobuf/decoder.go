package protobuf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/registry"
	"github.com/freshet-io/freshet/schemas"
)

// decoder reads messages, each by the schema that it was written with.
type decoder struct {
	options
	registry *registry.Registry
	known    *registry.Cache[*reading]
}

// reading is a schema that messages were written with.
type reading struct {
	parsed  *parsed
	version int
	first   *plan // of the message with the index 0; nil: not made yet
	plans   map[*message]*plan
}

// NewDecoder makes the decoder from the converter's keys.
func NewDecoder(c connectors.Config) (converters.Decoder, error) {
	o, r, err := read(c)
	if err != nil {
		return nil, err
	}
	return &decoder{o, r, registry.NewCache[*reading](o.cache)}, nil
}

// Within implements converters.Waiter.
func (d *decoder) Within(ctx context.Context) { d.registry.Within(ctx) }

// Decode implements converters.Decoder.
func (d *decoder) Decode(data []byte) (schemas.Typed, error) {
	if data == nil {
		return schemas.Typed{}, nil
	}
	id, payload, err := registry.Split(data)
	if err != nil {
		return schemas.Typed{}, err
	}
	s, ok := d.known.Get(id)
	if !ok {
		if s, err = d.load(id); err != nil {
			return schemas.Typed{}, err
		}
	}
	p, payload, err := d.options.plans(s, payload)
	if err != nil {
		return schemas.Typed{}, fmt.Errorf("read Protobuf with schema %d: %w", id, err)
	}
	v, err := d.options.decode(p, payload)
	if err != nil {
		return schemas.Typed{}, fmt.Errorf("read Protobuf with schema %d: %w", id, err)
	}
	return schemas.Typed{Schema: p.schema, Value: v}, nil
}

func (d *decoder) load(id int) (*reading, error) {
	found, err := d.registry.Get(id)
	if err != nil {
		return nil, err
	}
	if found.Type != registry.Protobuf {
		return nil, fmt.Errorf("read schema %d: it is of type %s, and this converter reads Protobuf", id, string(found.Type))
	}
	used, err := d.registry.Referred(found)
	if err != nil {
		return nil, err
	}
	s := &reading{version: found.Version}
	if s.parsed, err = parse(found.Text, used); err != nil {
		return nil, fmt.Errorf("read schema %d: %w", id, err)
	}
	size := len(found.Text)
	for _, u := range used {
		size += len(u.Text)
	}
	d.known.Put(id, size, s)
	return s, nil
}

const maxIndexes = 100 // depth of a nested message

// plans finds the message that the indexes at the start of a message name.
func (o options) plans(s *reading, data []byte) (p *plan, payload []byte, err error) {
	count, n := binary.Varint(data)
	if n <= 0 || count < 0 || count > maxIndexes {
		return nil, nil, errors.New("the message does not begin with the indexes of its type, as messages with a registered Protobuf schema do")
	}
	data = data[n:]
	if count == 0 && s.first != nil {
		return s.first, data, nil
	}
	indexes := []int64{0}
	if count > 0 {
		indexes = make([]int64, count)
	}
	for i := range count {
		if indexes[i], n = binary.Varint(data); n <= 0 {
			return nil, nil, errShort
		}
		data = data[n:]
	}
	m, err := s.parsed.at(indexes)
	if err != nil {
		return nil, nil, err
	}
	if p = s.plans[m]; p == nil {
		if p, err = o.plan(m, s.version); err != nil {
			return nil, nil, err
		}
		if s.plans == nil {
			s.plans = map[*message]*plan{}
		}
		s.plans[m] = p
	}
	if len(indexes) == 1 && indexes[0] == 0 {
		s.first = p
	}
	return p, data, nil
}

func (o options) decode(p *plan, payload []byte) (schemas.Value, error) {
	in := &input{room: minValues + valuesPerByte*len(payload)}
	if p.slot != nil {
		return in.wrapper(p.slot, payload)
	}
	return in.message(p, nil, payload)
}

// input is a message being read. Its depth is that of its schema, which is finite; its values take no more memory than some
// multiple of its length.
type input struct {
	room int // values that may still be made
}

const (
	minValues     = 1_000_000
	valuesPerByte = 64
)

var (
	errShort = errors.New("the message ends too early")
	errRoom  = errors.New("it has too many values for its length")
)

// message reads into out, the struct of what came before of the same message, or nil.
func (in *input) message(p *plan, out schemas.StructValue, data []byte) (schemas.StructValue, error) {
	if out == nil {
		if in.room -= len(p.empty); in.room < 0 {
			return nil, errRoom
		}
		out = make(schemas.StructValue, len(p.empty))
		copy(out, p.empty)
	}
	var seen []bool
	if len(p.required) > 0 {
		seen = make([]bool, len(p.required))
	}
	for len(data) > 0 {
		n, t, size := protowire.ConsumeTag(data)
		if size < 0 {
			return nil, errors.New("a tag is not valid")
		}
		data = data[size:]
		s := p.find(n)
		size = protowire.ConsumeFieldValue(n, t, data)
		if size < 0 {
			return nil, errShort
		}
		if s != nil {
			known, err := in.field(p, s, out, t, data[:size])
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", s.field.name, err)
			}
			if known && s.required > 0 {
				seen[s.required-1] = true
			}
		}
		data = data[size:]
	}
	for i, ok := range seen {
		if !ok {
			return nil, fmt.Errorf("message %s lacks its required field %s", p.message.full, p.slots[p.required[i]].field.name)
		}
	}
	for _, at := range p.present {
		if out[at] == nil {
			return nil, fmt.Errorf("field %s of message %s is absent and has no default: set generate.struct.for.nulls=false", p.schema.Fields[at].Name, p.message.full)
		}
	}
	for _, at := range p.maps {
		if m := out[at].(schemas.MapValue); len(m) > 1 {
			out[at] = unique(m)
		}
	}
	return out, nil
}

// unique keeps the last value of each key.
func unique(m schemas.MapValue) schemas.MapValue {
	places := make(map[schemas.Value]int, len(m))
	out := m[:0]
	for _, e := range m {
		key := e.Key
		switch k := key.(type) { // messages that stand for entries may have keys that cannot be compared
		case []byte:
			key = [1]string{string(k)}
		case schemas.StructValue, schemas.ArrayValue, schemas.MapValue:
			key = [1]string{fmt.Sprint(k)}
		}
		if at, ok := places[key]; ok {
			out[at] = e
			continue
		}
		places[key] = len(out)
		out = append(out, e)
	}
	return out
}

// field reads one occurrence of a field, data being its value; false when the field is none of this type.
func (in *input) field(p *plan, s *slot, out schemas.StructValue, t protowire.Type, data []byte) (bool, error) {
	if s.isMap {
		if t != protowire.BytesType {
			return false, nil
		}
		entry, err := in.entry(s, data)
		if err == nil {
			m, _ := out[s.at].(schemas.MapValue)
			out[s.at] = append(m, entry)
		}
		return true, err
	}
	if s.field.repeated {
		return in.element(s, out, t, data)
	}
	if t != wireOf(s.field.kind) {
		return false, nil
	}
	v, ok, err := in.value(s, s.before(p, out), data)
	if err != nil || !ok {
		return false, err
	}
	for _, i := range s.others {
		out[i] = nil
	}
	if s.member < 0 {
		out[s.at] = v
		return true, nil
	}
	if in.room -= s.width; in.room < 0 {
		return false, errRoom
	}
	union := make(schemas.StructValue, s.width)
	union[s.member] = v
	out[s.at] = union
	return true, nil
}

// before is what an earlier occurrence of a message has left, which a later one adds to.
func (s *slot) before(p *plan, out schemas.StructValue) schemas.Value {
	v := out[s.at]
	switch {
	case s.field.kind != protoreflect.MessageKind || v == nil:
		return nil
	case s.member >= 0:
		return v.(schemas.StructValue)[s.member]
	case s.plan == nil && reflect.DeepEqual(v, p.empty[s.at]):
		return nil
	}
	return v
}

func (in *input) entry(s *slot, data []byte) (schemas.MapEntry, error) {
	_, n := protowire.ConsumeVarint(data)
	if in.room--; in.room < 0 {
		return schemas.MapEntry{}, errRoom
	}
	v, err := in.message(s.plan, nil, data[n:])
	if err != nil {
		return schemas.MapEntry{}, err
	}
	if v[1] == nil {
		v[1] = s.plan.find(2).zero()
	}
	return schemas.MapEntry{Key: v[0], Value: v[1]}, nil
}

// element adds to a list.
func (in *input) element(s *slot, out schemas.StructValue, t protowire.Type, data []byte) (bool, error) {
	list, _ := out[s.at].(schemas.ArrayValue)
	own := wireOf(s.field.kind)
	if t == own {
		v, ok, err := in.value(s, nil, data)
		if err != nil || !ok {
			return false, err
		}
		out[s.at] = append(list, v)
		return true, nil
	}
	if t != protowire.BytesType {
		return false, nil
	}
	data, _ = protowire.ConsumeBytes(data)
	for len(data) > 0 {
		size := protowire.ConsumeFieldValue(s.field.number, own, data)
		if size < 0 {
			return false, errShort
		}
		v, ok, err := in.value(s, nil, data[:size])
		if err != nil {
			return false, err
		}
		if ok {
			list = append(list, v)
		}
		data = data[size:]
	}
	out[s.at] = list
	return true, nil
}

// value reads one value of the type of a field; false for a number that a closed enum does not have.
func (in *input) value(s *slot, before schemas.Value, data []byte) (schemas.Value, bool, error) {
	switch wireOf(s.field.kind) {
	case protowire.VarintType:
		v, _ := protowire.ConsumeVarint(data)
		return s.varint(v)
	case protowire.Fixed32Type:
		v := binary.LittleEndian.Uint32(data)
		switch s.field.kind {
		case protoreflect.FloatKind:
			return math.Float32frombits(v), true, nil
		case protoreflect.Fixed32Kind:
			return int64(v), true, nil
		}
		out, err := s.narrow(int64(int32(v)))
		return out, true, err
	case protowire.Fixed64Type:
		v := binary.LittleEndian.Uint64(data)
		if s.field.kind == protoreflect.DoubleKind {
			return math.Float64frombits(v), true, nil
		}
		return int64(v), true, nil
	}
	content, _ := protowire.ConsumeBytes(data)
	switch s.field.kind {
	case protoreflect.StringKind:
		if !utf8.Valid(content) {
			return nil, false, errors.New("a text is not UTF-8")
		}
		return string(content), true, nil
	case protoreflect.BytesKind:
		return append([]byte{}, content...), true, nil
	}
	out, err := in.nested(s, before, content)
	return out, true, err
}

// varint reads numbers as the reference does: the low bits of those that are too long.
func (s *slot) varint(v uint64) (schemas.Value, bool, error) {
	switch s.field.kind {
	case protoreflect.BoolKind:
		return v != 0, true, nil
	case protoreflect.EnumKind:
		n := int32(v)
		for _, e := range s.field.enum.values {
			if e.number == n {
				return s.symbol(e), true, nil
			}
		}
		if s.field.enum.closed {
			return nil, false, nil
		}
		return s.symbol(enumValue{"UNKNOWN_ENUM_VALUE_" + s.field.enum.name + "_" + strconv.Itoa(int(n)), n}), true, nil
	case protoreflect.Int32Kind:
		out, err := s.narrow(int64(int32(v)))
		return out, true, err
	case protoreflect.Sint32Kind:
		out, err := s.narrow(protowire.DecodeZigZag(v & math.MaxUint32))
		return out, true, err
	case protoreflect.Uint32Kind:
		return int64(uint32(v)), true, nil
	case protoreflect.Sint64Kind:
		return protowire.DecodeZigZag(v), true, nil
	}
	return int64(v), true, nil
}

// narrow makes a number one of the field's type.
func (s *slot) narrow(v int64) (schemas.Value, error) {
	switch s.schema.Kind {
	case schemas.Int8:
		if v != int64(int8(v)) {
			return nil, fmt.Errorf("%d needs more than 8 bits", v)
		}
		return int8(v), nil
	case schemas.Int16:
		if v != int64(int16(v)) {
			return nil, fmt.Errorf("%d needs more than 16 bits", v)
		}
		return int16(v), nil
	}
	return int32(v), nil
}

// nested reads a message in a field.
func (in *input) nested(s *slot, before schemas.Value, data []byte) (schemas.Value, error) {
	if s.plan != nil {
		earlier, _ := before.(schemas.StructValue)
		if earlier != nil {
			if in.room -= len(earlier); in.room < 0 {
				return nil, errRoom
			}
			earlier = append(schemas.StructValue(nil), earlier...)
		}
		return in.message(s.plan, earlier, data)
	}
	if before != nil {
		return nil, errors.New("it comes twice, in parts, which is not supported for its type")
	}
	if s.unwrap {
		return in.wrapper(&slot{field: s.field.message.fields[0], schema: s.schema, member: -1}, data)
	}
	return moment(s, data)
}

// wrapper reads the content of a wrapper.
func (in *input) wrapper(s *slot, data []byte) (schemas.Value, error) {
	out := zeroOf(s.schema)
	for len(data) > 0 {
		n, t, size := protowire.ConsumeTag(data)
		if size < 0 {
			return nil, errors.New("a tag is not valid")
		}
		data = data[size:]
		if size = protowire.ConsumeFieldValue(n, t, data); size < 0 {
			return nil, errShort
		}
		if n == 1 && t == wireOf(s.field.kind) {
			v, _, err := in.value(s, nil, data[:size])
			if err != nil {
				return nil, err
			}
			out = v
		}
		data = data[size:]
	}
	return out, nil
}
