package protobuf

import (
	"sort"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/freshet-io/freshet/schemas"
)

// file is a schema made here: one message in a package, or wrappers.proto with one of its messages.
type file struct {
	space   string // package, "" for none
	imports []string
	message *message
	whole   string // the text, when it is one that is known
}

// message is a type of message. A tree of messages may lead back into itself.
type message struct {
	name   string
	full   string // with its package and what it lies in
	leaf   leaf
	entry  bool     // an entry of a map
	fields []*field // as declared
	order  []*field // by number
	oneofs []string // those that are written as such
	nested []*message
	enums  []*enum
	seen   map[string]bool // types of fields defined here so far, while it is made
}

// field is a field of a message.
type field struct {
	name     string
	number   protowire.Number
	kind     protoreflect.Kind
	written  string // the type as the text has it
	message  *message
	enum     *enum
	repeated bool
	optional bool // null and zero are told apart
	required bool // proto2
	proto2   bool
	oneof    int // index into message.oneofs; -1: none
	params   []schemas.Parameter
	def      schemas.Value // proto2's default
}

type enum struct {
	name   string
	full   string
	closed bool // numbers that are not listed are no values of it
	values []enumValue
}

type enumValue struct {
	name   string
	number int32
}

// leaf tells messages that stand for one Connect value.
type leaf uint8

const (
	leafNone leaf = iota
	leafDecimal
	leafDate
	leafTime
	leafTimestamp
	leafWrapper // of one scalar, in field 1
)

const (
	decimalType   = "confluent.type.Decimal"
	variantType   = "confluent.type.Variant"
	dateType      = "google.type.Date"
	timeType      = "google.type.TimeOfDay"
	timestampType = "google.protobuf.Timestamp"
	wrapperPrefix = "google.protobuf."
	wrapperFile   = "google/protobuf/wrappers.proto"
)

// known are the files of the messages that stand for values.
var known = map[string]string{
	decimalType: "confluent/type/decimal.proto", variantType: "confluent/type/variant.proto", dateType: "google/type/date.proto", timeType: "google/type/timeofday.proto",
	timestampType: "google/protobuf/timestamp.proto",
}

var leaves = map[string]leaf{decimalType: leafDecimal, dateType: leafDate, timeType: leafTime, timestampType: leafTimestamp}

// wrappers are the messages of wrappers.proto, in its order.
var wrappers = []struct {
	name string
	kind protoreflect.Kind
}{
	{"DoubleValue", protoreflect.DoubleKind},
	{"FloatValue", protoreflect.FloatKind},
	{"Int64Value", protoreflect.Int64Kind},
	{"UInt64Value", protoreflect.Uint64Kind},
	{"Int32Value", protoreflect.Int32Kind},
	{"UInt32Value", protoreflect.Uint32Kind},
	{"BoolValue", protoreflect.BoolKind},
	{"StringValue", protoreflect.StringKind},
	{"BytesValue", protoreflect.BytesKind},
}

// wrapped is the kind of the value in a wrapper.
func wrapped(full string) (protoreflect.Kind, bool) {
	name, ok := strings.CutPrefix(full, wrapperPrefix)
	for _, w := range wrappers {
		if ok && w.name == name {
			return w.kind, true
		}
	}
	return 0, false
}

func wrapperOf(k protoreflect.Kind) *message {
	for _, w := range wrappers {
		if w.kind == k {
			return &message{name: w.name, full: wrapperPrefix + w.name, leaf: leafWrapper, fields: []*field{{name: "value", number: 1, kind: k, oneof: -1}}}
		}
	}
	return nil
}

// sorted fills order.
func (m *message) sorted() {
	m.order = append([]*field(nil), m.fields...)
	sort.SliceStable(m.order, func(i, j int) bool { return m.order[i].number < m.order[j].number })
}

// wire is the tag that comes before a value.
func (f *field) wire() uint64 { return protowire.EncodeTag(f.number, wireOf(f.kind)) }

func wireOf(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	}
	return protowire.VarintType
}

// presence tells that a zero is written too.
func (f *field) presence() bool {
	return f.optional || f.oneof >= 0 || f.kind == protoreflect.MessageKind
}

// String is the text of the schema as the reference's registry client renders it.
func (f *file) String() string {
	if f.whole != "" {
		return f.whole
	}
	var b strings.Builder
	b.WriteString("syntax = \"proto3\";\n")
	if f.space != "" {
		b.WriteString("package " + f.space + ";\n")
	}
	for i, name := range f.imports {
		if i == 0 {
			b.WriteByte('\n')
		}
		b.WriteString("import \"" + name + "\";\n")
	}
	b.WriteByte('\n')
	f.message.render(&b, "")
	return b.String()
}

// record is the full name of the schema, by which subjects may be named.
func (f *file) record() string { return f.message.full }

func (m *message) render(b *strings.Builder, indent string) {
	b.WriteString(indent + "message " + m.name + " {")
	in := indent + "  "
	between := "" // sections; the reference indents empty lines too
	section := func(found bool, each func()) {
		if found {
			b.WriteString(between + "\n")
			each()
			between = indent
		}
	}
	plain := 0
	for _, f := range m.fields {
		if f.oneof < 0 {
			plain++
		}
	}
	section(plain > 0, func() {
		for _, f := range m.fields {
			if f.oneof < 0 {
				f.render(b, in)
			}
		}
	})
	section(len(m.fields) > plain, func() {
		for i, name := range m.oneofs {
			m.renderOneof(b, in, name, i)
		}
	})
	section(len(m.nested)+len(m.enums) > 0, func() {
		for _, n := range m.nested {
			n.render(b, in)
		}
		for _, e := range m.enums {
			e.render(b, in)
		}
	})
	if len(m.fields)+len(m.nested)+len(m.enums) == 0 {
		b.WriteString("}\n")
		return
	}
	b.WriteString(indent + "}\n")
}

func (m *message) renderOneof(b *strings.Builder, indent, name string, at int) {
	first := true
	for _, f := range m.fields {
		if f.oneof != at {
			continue
		}
		if first {
			b.WriteString(indent + "oneof " + name + " {\n")
			first = false
		}
		f.render(b, indent+"  ")
	}
	if !first {
		b.WriteString(indent + "}\n")
	}
}

func (f *field) render(b *strings.Builder, indent string) {
	b.WriteString(indent)
	switch {
	case f.repeated:
		b.WriteString("repeated ")
	case f.optional:
		b.WriteString("optional ")
	}
	b.WriteString(f.written + " " + f.name + " = " + strconv.Itoa(int(f.number)))
	if len(f.params) > 0 {
		b.WriteString(" [(confluent.field_meta) = {\n" + indent + "  params: [\n")
		for i, p := range f.params {
			end := ","
			if i == len(f.params)-1 {
				end = ""
			}
			first, second := "key: "+quote(p.Name), "value: "+quote(p.Value)
			if p.Name == paramPrecision || p.Name == paramScale { // as the reference orders these two
				first, second = second, first
			}
			in := indent + "    "
			b.WriteString(in + "{\n" + in + "  " + first + ",\n" + in + "  " + second + "\n" + in + "}" + end + "\n")
		}
		b.WriteString(indent + "  ]\n" + indent + "}]")
	}
	b.WriteString(";\n")
}

func (e *enum) render(b *strings.Builder, indent string) {
	b.WriteString(indent + "enum " + e.name + " {\n")
	for _, v := range e.values {
		b.WriteString(indent + "  " + v.name + " = " + strconv.Itoa(int(v.number)) + ";\n")
	}
	b.WriteString(indent + "}\n")
}

var escapes = strings.NewReplacer("\a", `\a`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`, `\`, `\\`, `'`, `\'`, `"`, `\"`)

func quote(s string) string { return `"` + escapes.Replace(s) + `"` }

// indexes is the place of the message in the file, as the reference finds it: part by part of its full name, whatever the parts
// stand for.
func (f *file) indexes() []int64 {
	if f.message.leaf == leafWrapper {
		for i, w := range wrappers {
			if w.name == f.message.name {
				return []int64{int64(i)}
			}
		}
	}
	list := []*message{f.message}
	var out []int64
	for _, part := range strings.Split(f.message.full, ".") {
		for i, m := range list {
			if m.name == part {
				out, list = append(out, int64(i)), m.nested
				break
			}
		}
	}
	return out
}
