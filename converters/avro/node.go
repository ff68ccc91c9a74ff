package avro

import (
	"strings"

	"github.com/freshet-io/freshet/changes"
)

// kind is a type of Avro.
type kind uint8

const (
	kNull kind = iota
	kBoolean
	kInt
	kLong
	kFloat
	kDouble
	kBytes
	kString
	kRecord
	kEnum
	kArray
	kMap
	kFixed
	kUnion
)

var kindNames = [...]string{"null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "enum", "array", "map", "fixed", "union"}

// node is an Avro schema. A named type is one node wherever it is used; a tree may lead back into itself.
type node struct {
	kind     kind
	space    string // of named types
	name     string
	doc      *string
	fields   []member
	symbols  []string
	enumElse *string // default symbol
	size     int
	elem     *node // of arrays and maps
	branches []*node
	props    []prop
}

// member is a field of a record; def is rendered JSON, nil for none.
type member struct {
	name  string
	node  *node
	doc   *string
	def   []byte
	props []prop
}

// prop is an attribute that Avro itself does not know; value is rendered JSON.
type prop struct {
	name  string
	value []byte
}

func (n *node) fullName() string {
	switch {
	case n.kind != kRecord && n.kind != kEnum && n.kind != kFixed:
		return kindNames[n.kind]
	case n.space == "":
		return n.name
	}
	return n.space + "." + n.name
}

func (n *node) named() bool { return n.kind == kRecord || n.kind == kEnum || n.kind == kFixed }

// addProp sets an attribute; the first value stays.
func (n *node) addProp(name string, value []byte) {
	if n.prop(name) == nil {
		n.props = append(n.props, prop{name, value})
	}
}

func (n *node) prop(name string) []byte {
	for _, p := range n.props {
		if p.name == name {
			return p.value
		}
	}
	return nil
}

// text is an attribute that is a string; "" for any other.
func (n *node) text(name string) string {
	s, _ := unquote(n.prop(name))
	return s
}

// sansNull is the branch of a union of null and one other type, and the places of both; -1 for what is not there.
func (n *node) sansNull() (other *node, at, null int) {
	if n.kind != kUnion {
		return n, -1, -1
	}
	at, null = -1, -1
	for i, b := range n.branches {
		switch {
		case b.kind == kNull:
			null = i
		case at >= 0:
			return nil, -1, null
		default:
			other, at = b, i
		}
	}
	return other, at, null
}

// String renders the schema as Avro's Java library does: a name is defined where it comes first and only named from there on.
func (n *node) String() string {
	return string(n.render(nil, map[string]bool{}, ""))
}

// structure renders what decides how values are written, without attributes and defaults.
func (n *node) structure() string { return string(n.bare(nil, map[string]bool{})) }

func (n *node) bare(dst []byte, known map[string]bool) []byte {
	full := n.fullName()
	switch {
	case n.named() && known[full]:
		return quote(dst, full)
	case n.kind == kUnion:
		dst = append(dst, '[')
		for i, b := range n.branches {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = b.bare(dst, known)
		}
		return append(dst, ']')
	case n.kind == kArray:
		return append(n.elem.bare(append(dst, `{"type":"array","items":`...), known), '}')
	case n.kind == kMap:
		return append(n.elem.bare(append(dst, `{"type":"map","values":`...), known), '}')
	case n.kind == kRecord:
		known[full] = true
		dst = append(quote(append(dst, `{"type":"record","name":`...), full), `,"fields":[`...)
		for i, f := range n.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(f.node.bare(append(quote(append(dst, `{"name":`...), f.name), `,"type":`...), known), '}')
		}
		return append(dst, `]}`...)
	case n.kind == kEnum || n.kind == kFixed:
		known[full] = true
		plain := *n
		plain.space, plain.name, plain.doc, plain.enumElse, plain.props = "", full, nil, nil, nil
		return plain.renderNamed(dst, known, "")
	}
	return quote(dst, full)
}

func (n *node) render(dst []byte, known map[string]bool, space string) []byte {
	if n.named() {
		full := n.fullName()
		if known[full] {
			if n.space != "" && n.space == space && !isPrimitive(n.name) {
				full = n.name
			}
			return quote(dst, full)
		}
		known[full] = true
	}
	switch n.kind {
	case kUnion:
		dst = append(dst, '[')
		for i, b := range n.branches {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = b.render(dst, known, space)
		}
		return append(dst, ']')
	case kRecord, kEnum, kFixed:
		return n.renderNamed(dst, known, space)
	case kArray, kMap:
		dst = append(append(dst, `{"type":"`...), kindNames[n.kind]...)
		if n.kind == kArray {
			dst = append(dst, `","items":`...)
		} else {
			dst = append(dst, `","values":`...)
		}
		return append(appendProps(n.elem.render(dst, known, space), n.props), '}')
	}
	if len(n.props) == 0 {
		return quote(dst, kindNames[n.kind])
	}
	dst = append(append(append(dst, `{"type":"`...), kindNames[n.kind]...), '"')
	return append(appendProps(dst, n.props), '}')
}

func (n *node) renderNamed(dst []byte, known map[string]bool, space string) []byte {
	dst = append(append(append(dst, `{"type":"`...), kindNames[n.kind]...), `","name":`...)
	dst = quote(dst, n.name)
	if n.space != space {
		dst = quote(append(dst, `,"namespace":`...), n.space)
	}
	if n.doc != nil {
		dst = quote(append(dst, `,"doc":`...), *n.doc)
	}
	switch n.kind {
	case kEnum:
		dst = append(dst, `,"symbols":[`...)
		for i, s := range n.symbols {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = quote(dst, s)
		}
		dst = append(dst, ']')
		if n.enumElse != nil {
			dst = quote(append(dst, `,"default":`...), *n.enumElse)
		}
	case kFixed:
		dst = changes.AppendInt(append(dst, `,"size":`...), int64(n.size))
	default:
		dst = append(dst, `,"fields":[`...)
		for i := range n.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = n.fields[i].render(dst, known, n.space)
		}
		dst = append(dst, ']')
	}
	return append(appendProps(dst, n.props), '}')
}

func (m *member) render(dst []byte, known map[string]bool, space string) []byte {
	dst = m.node.render(append(quote(append(dst, `{"name":`...), m.name), `,"type":`...), known, space)
	if m.doc != nil {
		dst = quote(append(dst, `,"doc":`...), *m.doc)
	}
	if m.def != nil {
		dst = append(append(dst, `,"default":`...), m.def...)
	}
	return append(appendProps(dst, m.props), '}')
}

func appendProps(dst []byte, props []prop) []byte {
	for _, p := range props {
		dst = append(append(quote(append(dst, ','), p.name), ':'), p.value...)
	}
	return dst
}

func quote(dst []byte, s string) []byte { return changes.AppendJSONText(dst, s) }

func isPrimitive(name string) bool {
	for _, k := range kindNames {
		if k == name {
			return true
		}
	}
	return false
}

// split takes a full name apart.
func split(full string) (space, name string) {
	if i := strings.LastIndexByte(full, '.'); i >= 0 {
		return full[:i], full[i+1:]
	}
	return "", full
}
