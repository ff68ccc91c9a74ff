package protobuf

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/schemas"
)

// plan says how a message becomes a Connect value.
type plan struct {
	message  *message
	schema   *schemas.Schema
	empty    schemas.StructValue // of a message without fields
	slots    []slot
	small    [64]uint16 // 1 + index into slots by number; 0: none
	large    map[protowire.Number]int
	maps     []int // fields of the struct that are maps
	required []int // slots
	present  []int // fields of the struct that have no default, under generate.struct.for.nulls
	slot     *slot // the message is this field's value: a wrapper
}

// slot is where a field's value goes.
type slot struct {
	field    *field
	at       int             // in the struct
	member   int             // in the union that lies there; -1: none
	width    int             // of that union
	others   []int           // fields that go when this one comes
	schema   *schemas.Schema // of one value
	plan     *plan           // of messages without a form of their own, and of entries
	isMap    bool
	required int // 1 + index into plan.required
	unwrap   bool
	scale    int32
}

// reader makes Connect schemas and plans of messages, as the reference does.
type reader struct {
	options
	made map[*message]*plan
	open map[*message]bool // that are being made
	tags map[*plan]string  // parameter Tag of the first use of a struct, which the reference keeps for later lists of it
	size int
}

const maxFields = 100_000 // of all messages of one schema

// plan makes that of a whole key or value; version is that of the registry, 0 for none.
func (o options) plan(m *message, version int) (*plan, error) {
	r := &reader{options: o, made: map[*message]*plan{}, open: map[*message]bool{}, tags: map[*plan]string{}}
	if k, ok := wrapped(m.full); ok && o.unwrap {
		s := &schemas.Schema{Kind: connectKinds[k], Version: int32(version)}
		f := &field{name: "value", number: 1, kind: k, oneof: -1}
		return &plan{message: m, schema: s, slot: &slot{field: f, member: -1, schema: s}}, nil
	}
	p, err := r.message(m)
	if err == nil && version > 0 {
		out := *p.schema
		out.Version = int32(version)
		p.schema = &out
	}
	return p, err
}

var connectKinds = map[protoreflect.Kind]schemas.Kind{
	protoreflect.Int32Kind: schemas.Int32, protoreflect.Sint32Kind: schemas.Int32, protoreflect.Sfixed32Kind: schemas.Int32,
	protoreflect.Uint32Kind: schemas.Int64, protoreflect.Fixed32Kind: schemas.Int64, protoreflect.Int64Kind: schemas.Int64, protoreflect.Uint64Kind: schemas.Int64,
	protoreflect.Sint64Kind: schemas.Int64, protoreflect.Fixed64Kind: schemas.Int64, protoreflect.Sfixed64Kind: schemas.Int64,
	protoreflect.FloatKind: schemas.Float32, protoreflect.DoubleKind: schemas.Float64, protoreflect.BoolKind: schemas.Boolean,
	protoreflect.StringKind: schemas.String, protoreflect.BytesKind: schemas.Bytes,
}

// message makes the plan and the schema of a message. A message inside of itself would be a schema without end.
func (r *reader) message(m *message) (*plan, error) {
	if r.open[m] {
		return nil, fmt.Errorf("message %s contains itself, and such schemas are not supported", m.full)
	}
	if p := r.made[m]; p != nil {
		return p, nil
	}
	r.open[m] = true
	defer delete(r.open, m)
	p := &plan{message: m, schema: &schemas.Schema{Kind: schemas.Struct, Name: m.name}, large: map[protowire.Number]int{}}
	if r.enhanced {
		p.schema.Name = m.full
	}
	if m.full == variantType {
		p.schema.Name = variantName
	}
	if err := r.oneofs(p, m); err != nil {
		return nil, err
	}
	for _, f := range m.fields {
		if f.oneof >= 0 {
			continue
		}
		s, err := r.slot(f, false)
		if err != nil {
			return nil, err
		}
		s.slot.at = len(p.schema.Fields)
		p.add(s.slot)
		p.schema.Fields = append(p.schema.Fields, schemas.Field{Name: f.name, Schema: s.schema})
		p.empty = append(p.empty, r.absent(f, &s.slot))
		if r.structs && f.kind == protoreflect.MessageKind && !f.repeated && s.slot.noDefault() {
			p.present = append(p.present, s.slot.at)
		}
	}
	if r.size += len(m.fields); r.size > maxFields {
		return nil, fmt.Errorf("its messages have more than %d fields", maxFields)
	}
	if m.full == variantType {
		for i := range p.schema.Fields {
			p.schema.Fields[i].Schema = &schemas.Schema{Kind: schemas.Bytes}
		}
	}
	r.made[m] = p
	return p, nil
}

// oneofs makes the unions of a message, or with flatten.unions their members as fields.
func (r *reader) oneofs(p *plan, m *message) error {
	for i, name := range m.oneofs {
		var fields []schemas.Field
		var slots []slot
		for _, f := range m.fields {
			if f.oneof != i {
				continue
			}
			s, err := r.slot(f, true)
			if err != nil {
				return err
			}
			fields, slots = append(fields, schemas.Field{Name: f.name, Schema: s.schema}), append(slots, s.slot)
		}
		at := len(p.schema.Fields)
		for j := range slots {
			if r.flatten {
				slots[j].at = at + j
				for k := range slots {
					if k != j {
						slots[j].others = append(slots[j].others, at+k)
					}
				}
			} else {
				slots[j].at, slots[j].member, slots[j].width = at, j, len(slots)
			}
			p.add(slots[j])
		}
		if r.flatten {
			p.schema.Fields = append(p.schema.Fields, fields...)
			p.empty = append(p.empty, make([]schemas.Value, len(fields))...)
			continue
		}
		union := &schemas.Schema{Kind: schemas.Struct, Optional: true, Fields: fields}
		switch {
		case r.general:
			union.Name, union.Parameters = name, []schemas.Parameter{{Name: generalUnion, Value: name}}
		case r.enhanced:
			union.Name = protoUnion + "." + m.full + "." + name
		default:
			union.Name = protoUnion + "." + name
		}
		field := name
		if r.numbered {
			field += "_" + strconv.Itoa(i)
		}
		p.schema.Fields = append(p.schema.Fields, schemas.Field{Name: field, Schema: union})
		p.empty = append(p.empty, nil)
	}
	return nil
}

func (p *plan) add(s slot) {
	n := len(p.slots)
	if s.isMap {
		p.maps = append(p.maps, s.at)
	}
	if s.field.required {
		p.required = append(p.required, n)
		s.required = len(p.required)
	}
	p.slots = append(p.slots, s)
	if s.field.number < protowire.Number(len(p.small)) && n < math.MaxUint16 {
		p.small[s.field.number] = uint16(n + 1)
	} else {
		p.large[s.field.number] = n
	}
}

func (p *plan) find(n protowire.Number) *slot {
	if n < protowire.Number(len(p.small)) {
		if i := p.small[n]; i > 0 {
			return &p.slots[i-1]
		}
	}
	if i, ok := p.large[n]; ok {
		return &p.slots[i]
	}
	return nil
}

// made is a slot with the schema of its field.
type made struct {
	slot   slot
	schema *schemas.Schema
}

func (r *reader) slot(f *field, member bool) (made, error) {
	out := made{slot: slot{field: f, member: -1}}
	s, err := r.schema(f, &out.slot)
	if err != nil {
		return out, fmt.Errorf("field %s: %w", f.name, err)
	}
	out.slot.schema = s
	tag := strconv.Itoa(int(f.number))
	if p := out.slot.plan; p != nil && !out.slot.isMap {
		first, used := r.tags[p]
		switch {
		case !used && f.repeated:
			r.tags[p] = ""
		case !used:
			r.tags[p] = tag
		case f.repeated && first != "":
			setParameter(s, protoTag, first)
		}
	}
	if f.repeated && !out.slot.isMap {
		s.Optional = true
		s = &schemas.Schema{Kind: schemas.Array, Optional: true, Elem: s}
	}
	switch {
	case member:
		s.Optional = true
		if r.wrap && out.slot.unwrap {
			setParameter(s, protoWrapper, "true")
		}
	case r.optional:
		s.Optional = s.Optional || f.optional
	case !r.wrap:
		s.Optional = true
	}
	setParameter(s, protoTag, tag)
	out.schema = s
	return out, nil
}

// schema is that of one value of a field.
func (r *reader) schema(f *field, s *slot) (*schemas.Schema, error) {
	switch f.kind {
	case protoreflect.GroupKind:
		return nil, errors.New("it is a group, which is not supported")
	case protoreflect.EnumKind:
		return r.enum(f.enum), nil
	case protoreflect.MessageKind:
		return r.structure(f, s)
	}
	out := &schemas.Schema{Kind: connectKinds[f.kind]}
	if out.Kind == schemas.Int32 {
		switch param(f, paramType) {
		case schemas.Int8.String():
			out.Kind = schemas.Int8
			return out, nil
		case schemas.Int16.String():
			out.Kind = schemas.Int16
			return out, nil
		}
	}
	if (out.Kind == schemas.Int32 || out.Kind == schemas.Int64) && f.kind != protoreflect.Int32Kind && f.kind != protoreflect.Int64Kind {
		setParameter(out, protoType, f.kind.String())
	}
	return out, nil
}

func param(f *field, name string) string {
	for _, p := range f.params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func (r *reader) enum(e *enum) *schemas.Schema {
	out := &schemas.Schema{Kind: schemas.String, Name: e.name, Optional: true}
	if r.intEnums {
		out.Kind = schemas.Int32
	}
	if r.enhanced {
		out.Name = e.full
	}
	param := r.enumParameter()
	setParameter(out, param, e.name)
	for _, v := range e.values {
		setParameter(out, param+"."+v.name, strconv.Itoa(int(v.number)))
	}
	return out
}

func (r *reader) structure(f *field, s *slot) (*schemas.Schema, error) {
	out := &schemas.Schema{Optional: true, Version: 1}
	switch m := f.message; m.leaf {
	case leafDecimal:
		out.Kind, out.Name = schemas.Bytes, changes.NameConnectDecimal
		scale, err := strconv.ParseInt(param(f, paramScale), 10, 32)
		if err == nil {
			s.scale = int32(scale)
		}
		setParameter(out, paramScale, strconv.Itoa(int(s.scale)))
		if n, err := strconv.ParseInt(param(f, paramPrecision), 10, 32); err == nil {
			setParameter(out, paramDigits, strconv.Itoa(int(n)))
		}
		return out, nil
	case leafDate:
		out.Kind, out.Name = schemas.Int32, changes.NameConnectDate
		return out, nil
	case leafTime:
		out.Kind, out.Name = schemas.Int32, changes.NameConnectTime
		return out, nil
	case leafTimestamp:
		out.Kind, out.Name = schemas.Int64, changes.NameConnectTS
		return out, nil
	}
	out.Version = 0
	if k, ok := wrapped(f.message.full); ok && (r.wrap || r.unwrap) {
		out.Kind, s.unwrap = connectKinds[k], true
		return out, nil
	}
	p, err := r.message(f.message)
	if err != nil {
		return nil, err
	}
	s.plan = p
	if s.isMap = f.repeated && isEntry(f.message); s.isMap {
		out.Kind, out.Key, out.Elem, out.Name = schemas.Map, p.schema.Fields[0].Schema, p.schema.Fields[1].Schema, r.mapName(f)
		return out, nil
	}
	*out = *p.schema
	out.Optional, out.Parameters = true, append([]schemas.Parameter(nil), p.schema.Parameters...)
	return out, nil
}

func (r *reader) mapName(f *field) string {
	name := f.message.name
	if f.message.entry { // of a map<…>, which the reference names after its field
		name = toMapEntry(f.name)
	}
	if r.enhanced {
		name = f.message.full[:len(f.message.full)-len(f.message.name)] + name
	}
	return toMapField(name)
}

// isEntry tells messages that are entries of a map, also when the text does not say so.
func isEntry(m *message) bool {
	n := len(m.name) - len(entrySuffix)
	return n >= 0 && m.name[n:] == entrySuffix && len(m.fields) == 2 && m.fields[0].name == "key" && m.fields[1].name == "value" &&
		!m.fields[0].repeated && !m.fields[1].repeated && m.fields[0].oneof < 0 && m.fields[1].oneof < 0
}

// absent is what a field is whose message has none.
func (r *reader) absent(f *field, s *slot) schemas.Value {
	switch {
	case s.isMap:
		return schemas.MapValue{}
	case f.repeated:
		return schemas.ArrayValue{}
	case f.kind == protoreflect.MessageKind:
		if !r.structs {
			return nil
		}
		return s.zero()
	case f.optional && !r.structs && (r.proto2 || !f.proto2):
		return nil
	}
	return s.zero()
}

// noDefault tells messages that the reference cannot make out of nothing: dates, decimals and structs with one.
func (s *slot) noDefault() bool {
	l := s.field.message.leaf
	return l == leafDate || l == leafDecimal || s.plan != nil && len(s.plan.present) > 0
}

// zero is the value of a field that is there and has no content; nil for what cannot be without.
func (s *slot) zero() schemas.Value {
	f := s.field
	if f.kind == protoreflect.MessageKind {
		switch {
		case f.message.leaf == leafTime:
			return int32(0)
		case f.message.leaf == leafTimestamp:
			return int64(0)
		case s.plan != nil && len(s.plan.present) == 0:
			return s.plan.empty
		case s.unwrap:
			return zeroOf(s.schema)
		}
		return nil
	}
	if f.kind == protoreflect.EnumKind {
		first := f.enum.values[0]
		if name, ok := f.def.(string); ok {
			n, _ := f.enum.number(name)
			first = enumValue{name, n}
		}
		return s.symbol(first)
	}
	if n, ok := f.def.(int32); ok {
		v, err := s.narrow(int64(n))
		if err == nil {
			return v
		}
	} else if f.def != nil {
		return f.def
	}
	return zeroOf(s.schema)
}

func (s *slot) symbol(v enumValue) schemas.Value {
	if s.schema.Kind == schemas.Int32 {
		return v.number
	}
	return v.name
}

func zeroOf(s *schemas.Schema) schemas.Value {
	required := *s
	required.Optional, required.Name = false, ""
	return changes.Zero(&required)
}

func setParameter(s *schemas.Schema, name, value string) {
	for i := range s.Parameters {
		if s.Parameters[i].Name == name {
			s.Parameters[i].Value = value
			return
		}
	}
	s.Parameters = append(s.Parameters, schemas.Parameter{Name: name, Value: value})
}
