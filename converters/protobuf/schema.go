package protobuf

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/schemas"
)

const (
	namespace      = "io.confluent.connect.protobuf"
	defaultName    = "ConnectDefault"
	protoUnion     = namespace + ".Union"
	protoEnum      = namespace + ".Enum"
	protoTag       = namespace + ".Tag"
	protoType      = namespace + ".Type"
	protoWrapper   = namespace + ".Wrapper"
	generalUnion   = "org.apache.kafka.connect.data.Union"
	generalEnum    = "org.apache.kafka.connect.data.Enum"
	variantName    = "org.apache.kafka.connect.data.Variant"
	entrySuffix    = "Entry"
	messageSuffix  = "Message"
	paramPrecision = "precision"
	paramScale     = "scale"
	paramDigits    = "connect.decimal.precision"
	paramType      = "connect.type"
)

// maker makes the messages of one Connect schema.
type maker struct {
	options
	file    *file
	unnamed int
}

// fromConnect returns the schema that the reference makes.
func (o options) fromConnect(s *schemas.Schema) (*file, error) {
	if s == nil {
		return nil, errors.New("make Protobuf schema: the value has no schema, and this converter needs one: set schemas.enable in what reads it, or use another converter")
	}
	m := &maker{options: o, file: &file{}}
	name := m.nameOr(s.Name)
	if k, ok := plainKinds[s.Kind]; ok {
		if _, logical := m.logical(s); logical || o.isEnum(s) {
			return nil, fmt.Errorf("make Protobuf schema: a %s that is a whole key or value has no schema in the reference: put it into a field of a struct", s.Name)
		}
		return &file{message: wrapperOf(k), whole: wrappersText}, nil
	}
	if s.Kind != schemas.Struct || o.isUnion(s) {
		return nil, fmt.Errorf("make Protobuf schema: a whole key or value cannot be of type %s: put it into a field of a struct", s.Kind)
	}
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = o.scrubbed(parts[i])
	}
	m.file.space = strings.Join(parts[:len(parts)-1], ".")
	var err error
	if m.file.message, err = m.message(parts[len(parts)-1], m.file.space, s); err != nil {
		return nil, fmt.Errorf("make Protobuf schema: %w", err)
	}
	return m.file, nil
}

// plainKinds are the kinds of scalars.
var plainKinds = map[schemas.Kind]protoreflect.Kind{
	schemas.Int8: protoreflect.Int32Kind, schemas.Int16: protoreflect.Int32Kind, schemas.Int32: protoreflect.Int32Kind, schemas.Int64: protoreflect.Int64Kind,
	schemas.Float32: protoreflect.FloatKind, schemas.Float64: protoreflect.DoubleKind, schemas.Boolean: protoreflect.BoolKind,
	schemas.String: protoreflect.StringKind, schemas.Bytes: protoreflect.BytesKind,
}

func (m *maker) nameOr(name string) string {
	if name != "" {
		return name
	}
	m.unnamed++
	return defaultName + strconv.Itoa(m.unnamed)
}

// unqualified is the last part of a name.
func (m *maker) unqualified(name string) string {
	name = m.nameOr(name)
	return m.scrubbed(name[strings.LastIndexByte(name, '.')+1:])
}

func (m *maker) message(name, scope string, s *schemas.Schema) (*message, error) {
	out := &message{name: name, full: name, seen: map[string]bool{}}
	if scope != "" {
		out.full = scope + "." + name
	}
	next := 1
	for _, f := range s.Fields {
		number, err := m.number(f.Schema, &next)
		if err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", f.Name, out.full, err)
		}
		made, err := m.field(out, f.Schema, m.scrubbed(f.Name), number, false)
		if err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", f.Name, out.full, err)
		}
		if made == nil {
			continue
		}
		made.optional = m.optional && f.Schema.Optional && !made.repeated
		out.fields = append(out.fields, made)
	}
	out.sorted()
	return out, out.check()
}

// number is that of a field: its own, or the next one.
func (m *maker) number(s *schemas.Schema, next *int) (protowire.Number, error) {
	if text := parameter(s, protoTag); text != nil {
		n, err := strconv.ParseInt(*text, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("its parameter %s is no number: %.20q", protoTag, *text)
		}
		return protowire.Number(n), nil
	}
	*next++
	return protowire.Number(*next - 1), nil
}

// check refuses what protoc refuses.
func (m *message) check() error {
	names := map[string]bool{}
	add := func(name string) error {
		if !isName(name) {
			return fmt.Errorf("%q is no name in Protobuf: set scrub.invalid.names=true in the converter, or "+
				"schema.name.adjustment.mode=avro and field.name.adjustment.mode=avro in the connector", name)
		}
		if names[name] {
			return fmt.Errorf("message %s has two definitions of the name %s", m.full, name)
		}
		names[name] = true
		return nil
	}
	errs := []error{}
	if !isName(m.name) {
		errs = append(errs, add(m.name))
	}
	for i, f := range m.order {
		errs = append(errs, add(f.name))
		if f.optional {
			errs = append(errs, add("_"+f.name))
		}
		if !f.number.IsValid() || f.number >= protowire.FirstReservedNumber && f.number <= protowire.LastReservedNumber {
			errs = append(errs, fmt.Errorf("field %s of %s has the number %d, which Protobuf does not allow", f.name, m.full, f.number))
		}
		if i > 0 && m.order[i-1].number == f.number {
			errs = append(errs, fmt.Errorf("fields %s and %s of %s have the same number", m.order[i-1].name, f.name, m.full))
		}
	}
	for _, name := range m.oneofs {
		errs = append(errs, add(name))
	}
	for _, n := range m.nested {
		errs = append(errs, add(n.name))
	}
	for _, e := range m.enums {
		errs = append(errs, add(e.name))
		if len(e.values) == 0 {
			errs = append(errs, fmt.Errorf("enum %s has no values", e.full))
		}
		for _, v := range e.values {
			errs = append(errs, add(v.name))
		}
	}
	return errors.Join(errs...)
}

func isName(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (i == 0 || !isDigit(s[i])) {
			return false
		}
	}
	return s != ""
}

// field makes the field of a schema in message in; nil for a union, whose members it adds.
func (m *maker) field(in *message, s *schemas.Schema, name string, number protowire.Number, member bool) (*field, error) {
	f := &field{name: name, number: number, oneof: -1, repeated: s.Kind == schemas.Array || s.Kind == schemas.Map}
	if s.Kind == schemas.Array {
		if s = s.Elem; s.Kind == schemas.Array || m.isUnion(s) { // a list of maps has a form, but no values that can be written
			return nil, fmt.Errorf("a list of type %s has no form in Protobuf", s.Kind)
		}
	}
	if err := m.typ(f, s, member); err != nil {
		return nil, err
	}
	switch {
	case f.message != nil && f.message.leaf != leafNone: // also a logical type that is a struct
		m.depend(f.message.full)
		return f, nil
	case s.Kind == schemas.Struct && m.isUnion(s):
		return nil, m.union(in, s)
	case s.Kind == schemas.Struct:
		return f, m.structure(in, f, s)
	case s.Kind == schemas.Map:
		return f, m.entry(in, f, s)
	case m.isEnum(s):
		return f, m.enum(in, f, s)
	}
	return f, nil
}

func (m *maker) depend(full string) {
	name := known[full]
	if name == "" {
		name = wrapperFile
	}
	for _, have := range m.file.imports {
		if have == name {
			return
		}
	}
	m.file.imports = append(m.file.imports, name)
}

// logical is the message of a logical type.
func (m *maker) logical(s *schemas.Schema) (string, bool) {
	switch s.Name {
	case changes.NameConnectDecimal:
		return decimalType, true
	case changes.NameConnectDate:
		return dateType, true
	case changes.NameConnectTime:
		return timeType, true
	case changes.NameConnectTS:
		return timestampType, true
	}
	return "", false
}

// typ fills the type of f.
func (m *maker) typ(f *field, s *schemas.Schema, member bool) error {
	if full, ok := m.logical(s); ok {
		if s.Kind != map[string]schemas.Kind{decimalType: schemas.Bytes, dateType: schemas.Int32, timeType: schemas.Int32, timestampType: schemas.Int64}[full] {
			return fmt.Errorf("its type is %s, which %s cannot have", s.Kind, s.Name)
		}
		f.kind, f.written, f.message = protoreflect.MessageKind, full, &message{name: full[strings.LastIndexByte(full, '.')+1:], full: full, leaf: leaves[full]}
		if full == decimalType {
			f.params = decimalParams(s)
		}
		return nil
	}
	switch {
	case s.Name == variantName:
		return errors.New("a Variant cannot be written: the reference has no valid schema for it")
	case s.Kind == schemas.Struct:
		f.kind, f.written = protoreflect.MessageKind, m.unqualified(s.Name)
		if f.written == f.name {
			f.written += messageSuffix
		}
		return nil
	case s.Kind == schemas.Map:
		f.kind, f.written = protoreflect.MessageKind, toMapEntry(m.unqualified(s.Name))
		return nil
	case m.isEnum(s):
		f.kind, f.written = protoreflect.EnumKind, s.Parameter(protoEnum)
		if has(s, generalEnum) && s.Kind == schemas.String {
			f.written = s.Parameter(generalEnum)
		}
		return nil
	}
	f.kind = plainKinds[s.Kind]
	if f.kind == 0 {
		return fmt.Errorf("type %s has no form in Protobuf", s.Kind)
	}
	if own := parameter(s, protoType); own != nil && (s.Kind == schemas.Int32 || s.Kind == schemas.Int64) {
		if f.kind = integerKind(s.Kind, *own); f.kind == 0 {
			return fmt.Errorf("its parameter %s says %.40q, which is no type for %s", protoType, *own, s.Kind)
		}
	}
	switch s.Kind {
	case schemas.Int8, schemas.Int16:
		f.params = []schemas.Parameter{{Name: paramType, Value: s.Kind.String()}}
	}
	f.written = f.kind.String()
	if m.wrap && s.Optional && (!member || s.Parameter(protoWrapper) == "true") {
		f.wrapped(s)
	}
	return nil
}

// wrapped makes the field one of a wrapper message.
func (f *field) wrapped(s *schemas.Schema) {
	kind := plainKinds[s.Kind]
	if s.Kind == schemas.Int64 {
		switch f.kind {
		case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
			kind = protoreflect.Uint32Kind
		case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
			kind = protoreflect.Uint64Kind
		}
	}
	f.kind, f.message = protoreflect.MessageKind, wrapperOf(kind)
	f.written = f.message.full
}

func integerKind(k schemas.Kind, name string) protoreflect.Kind {
	narrow := []protoreflect.Kind{protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind}
	wide := []protoreflect.Kind{
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind, protoreflect.Uint32Kind, protoreflect.Fixed32Kind,
	}
	kinds := narrow
	if k == schemas.Int64 {
		kinds = wide
	}
	for _, k := range kinds {
		if k.String() == name {
			return k
		}
	}
	return 0
}

func decimalParams(s *schemas.Schema) []schemas.Parameter {
	var out []schemas.Parameter
	if v := parameter(s, paramDigits); v != nil {
		out = append(out, schemas.Parameter{Name: paramPrecision, Value: *v})
	}
	if v := parameter(s, paramScale); v != nil {
		out = append(out, schemas.Parameter{Name: paramScale, Value: *v})
	}
	return out
}

// union adds the members of a oneof.
func (m *maker) union(in *message, s *schemas.Schema) error {
	name := s.Parameter(generalUnion)
	if !m.general {
		name = m.unqualified(strings.TrimPrefix(s.Name, protoUnion+"."))
	}
	at := len(in.oneofs)
	in.oneofs = append(in.oneofs, name)
	for _, f := range s.Fields {
		zero := 0
		number, err := m.number(f.Schema, &zero)
		if err != nil {
			return fmt.Errorf("member %s: %w", f.Name, err)
		}
		made, err := m.field(in, f.Schema, m.scrubbed(f.Name), number, true)
		if err != nil {
			return fmt.Errorf("member %s: %w", f.Name, err)
		}
		if made == nil || made.repeated {
			return fmt.Errorf("member %s: its type cannot be in a oneof", f.Name)
		}
		made.oneof = at
		in.fields = append(in.fields, made)
	}
	return nil
}

func (m *maker) structure(in *message, f *field, s *schemas.Schema) error {
	if f.written == in.name { // the reference takes it for the message itself
		f.message = in
		return nil
	}
	if in.seen[f.written] {
		for _, n := range in.nested {
			if n.name == f.written {
				f.message = n
			}
		}
		return nil
	}
	in.seen[f.written] = true
	var err error
	if f.message, err = m.message(f.written, in.full, s); err == nil {
		in.nested = append(in.nested, f.message)
	}
	return err
}

func (m *maker) entry(in *message, f *field, s *schemas.Schema) error {
	e := &message{name: f.written, full: in.full + "." + f.written, entry: true, seen: map[string]bool{}}
	for i, part := range []*schemas.Schema{s.Key, s.Elem} {
		made, err := m.field(e, part, []string{"key", "value"}[i], protowire.Number(i+1), false)
		if err != nil {
			return err
		}
		if made == nil || made.repeated && i == 0 {
			return errors.New("a map cannot have this type of key or value")
		}
		e.fields = append(e.fields, made)
	}
	e.sorted()
	f.message = e
	in.nested = append(in.nested, e)
	return e.check()
}

func (m *maker) enum(in *message, f *field, s *schemas.Schema) error {
	name := m.unqualified(s.Name)
	for _, e := range in.enums {
		if e.name == name {
			f.enum = e
		}
	}
	if f.enum == nil {
		e := &enum{name: m.unqualified(s.Name), full: in.full + "." + name}
		prefix := m.enumParameter() + "."
		for _, p := range s.Parameters {
			symbol, ok := strings.CutPrefix(p.Name, prefix)
			if !ok {
				continue
			}
			number, err := strconv.ParseInt(p.Value, 10, 32)
			if err != nil {
				return fmt.Errorf("its value %s has no number", symbol)
			}
			e.values = append(e.values, enumValue{symbol, int32(number)})
		}
		in.enums = append(in.enums, e)
		f.enum = e
	}
	if f.written != f.enum.name {
		return fmt.Errorf("the name of its enum is %s in one place and %s in another", f.written, f.enum.name)
	}
	return nil
}

func (o options) enumParameter() string {
	if o.general {
		return generalEnum
	}
	return protoEnum
}

func (o options) isEnum(s *schemas.Schema) bool {
	return (s.Kind == schemas.String || s.Kind == schemas.Int32) && has(s, protoEnum) || s.Kind == schemas.String && has(s, generalEnum)
}

func (o options) isUnion(s *schemas.Schema) bool {
	return strings.HasPrefix(s.Name, protoUnion) || s.Kind == schemas.Struct && has(s, generalUnion)
}

// toMapEntry is the name of the message that the entries of a map are.
func toMapEntry(s string) string {
	if !strings.Contains(s, "_") {
		return s + entrySuffix
	}
	var out strings.Builder
	for _, word := range strings.Split(s, "_") {
		if word != "" {
			out.WriteString(upper(word[:1]) + lower(word[1:]))
		}
	}
	return out.String() + entrySuffix
}

// toMapField is its reverse, for the last part of a name.
func toMapField(s string) string {
	at := strings.LastIndexByte(s, '.') + 1
	name, ok := strings.CutSuffix(s[at:], entrySuffix)
	if !ok {
		return s
	}
	var out strings.Builder
	for i := range len(name) {
		if i > 0 && name[i] >= 'A' && name[i] <= 'Z' {
			out.WriteByte('_')
		}
		out.WriteString(lower(name[i : i+1]))
	}
	return s[:at] + out.String()
}

func upper(s string) string { return strings.Map(shift('a', 'z', 'A'-'a'), s) }

func lower(s string) string { return strings.Map(shift('A', 'Z', 'a'-'A'), s) }

// shift moves ASCII letters only, as the reference's library.
func shift(from, to, by rune) func(rune) rune {
	return func(r rune) rune {
		if r >= from && r <= to {
			return r + by
		}
		return r
	}
}

// scrubbed replaces what names in Protobuf may not have, when that is configured.
func (o options) scrubbed(name string) string {
	if !o.scrub || name == "" || isName(name) && name[0] != '_' {
		return name
	}
	out := []byte(strings.NewReplacer("~", "%7E", "%2A", "*").Replace(url.QueryEscape(name)))
	if isDigit(out[0]) || out[0] == '_' {
		out = append([]byte{'x'}, out...)
	}
	for i, c := range out {
		if !isLetter(c) && !isDigit(c) {
			out[i] = '_'
		}
	}
	return string(out)
}

func isLetter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func has(s *schemas.Schema, name string) bool { return parameter(s, name) != nil }

func parameter(s *schemas.Schema, name string) *string {
	for i := range s.Parameters {
		if s.Parameters[i].Name == name {
			return &s.Parameters[i].Value
		}
	}
	return nil
}
