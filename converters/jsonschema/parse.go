package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/converters/registry"
	"github.com/freshet-io/freshet/schemas"
)

const (
	maxDepth = 500     // nesting of schemas
	maxNodes = 100_000 // schemas in one, with those that it refers to
)

// kind is what a schema says first of its values.
type kind uint8

const (
	kAny kind = iota
	kNothing
	kNull
	kBoolean
	kInteger
	kNumber
	kString
	kArray
	kObject
	kEnum
	kOne // one of several, or any of them
	kAll
	kRef
	kOther // it restricts other schemas
)

var kindNames = [...]string{"any", "false", "null", "boolean", "integer", "number", "string", "array", "object", "enum", "oneOf", "allOf", "$ref", "not, if or const"}

// node is a schema. One that is referred to is the same node everywhere; a tree may lead back into itself.
type node struct {
	kind     kind
	title    string
	doc      string
	def      any // read by readTree
	hasDef   bool
	index    int // connect.index; -1: none
	version  int
	typ      string // connect.type
	params   []schemas.Parameter
	fields   []field // of an object, in the order of the reference
	required map[string]bool
	closed   bool  // additionalProperties: false
	extra    *node // schema of further properties
	items    *node
	symbols  []any
	constant bool    // the only symbol is that of a const
	parts    []*node // of a choice
	format   bool    // a text of a format that is known
	to       *node   // of a reference
}

type field struct {
	name string
	node *node
}

// object is a JSON object with its members in their order.
type object []property

type property struct {
	name  string
	value any
}

func (o object) get(name string) (any, bool) {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].name == name {
			return o[i].value, true
		}
	}
	return nil, false
}

func (o object) text(name string) string {
	v, _ := o.get(name)
	s, _ := v.(string)
	return s
}

func (o object) any(names ...string) bool {
	for _, name := range names {
		if _, ok := o.get(name); ok {
			return true
		}
	}
	return false
}

// readTree reads a JSON value: nil, bool, string, json.Number, []any or object.
func readTree(d *json.Decoder, depth int) (any, error) {
	if depth > 2*maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		out := []any{}
		for d.More() {
			v, err := readTree(d, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		_, err = d.Token()
		return out, err
	case json.Delim('{'):
		out := object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := readTree(d, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, property{name.(string), v})
		}
		_, err = d.Token()
		return out, err
	}
	return t, nil
}

// parser reads one schema with those that it refers to.
type parser struct {
	documents map[string]any   // by the name under which they are referred to; "" is the schema itself
	known     map[string]*node // referred to, by document and fragment
	depth     int
	nodes     int
}

// parse reads a schema; used are those that it refers to.
func parse(text string, used []registry.Named) (*node, error) {
	p := &parser{documents: map[string]any{}, known: map[string]*node{}}
	for _, d := range append([]registry.Named{{Schema: registry.Schema{Text: text}}}, used...) {
		tokens := json.NewDecoder(bytes.NewReader([]byte(d.Text)))
		tokens.UseNumber()
		v, err := readTree(tokens, 0)
		if err == nil {
			if _, err = tokens.Token(); errors.Is(err, io.EOF) {
				err = nil
			} else if err == nil {
				err = errors.New("there is text behind it")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("parse JSON Schema %s: %w", d.Name, err)
		}
		p.documents[strings.TrimPrefix(d.Name, "./")] = v
	}
	n, err := p.reference("#", "")
	if err != nil {
		return nil, fmt.Errorf("parse JSON Schema: %w", err)
	}
	return n, nil
}

// reference finds what a $ref in a document leads to.
func (p *parser) reference(ref, document string) (*node, error) {
	name, fragment, _ := strings.Cut(ref, "#")
	if name == "" {
		name = document
	} else if name = p.document(name, document); name == "?" {
		return nil, fmt.Errorf("%s refers to %s, which is no reference of the schema", document, ref)
	}
	key := name + "#" + fragment
	if n := p.known[key]; n != nil {
		return n, nil
	}
	v, ok := find(p.documents[name], fragment)
	if !ok {
		return nil, fmt.Errorf("there is no %s in the schema", ref)
	}
	n := &node{}
	p.known[key] = n // before it is read: it may lead back to itself
	return n, p.schema(n, v, name)
}

// document is the name under which a document is known; "?" for none.
func (p *parser) document(name, from string) string {
	base := from
	if o, ok := p.documents[from].(object); ok && o.any("$id", "id") {
		base = o.text("$id") + o.text("id")
	}
	full := name
	if b, err := url.Parse(base); err == nil {
		if r, err := b.Parse(name); err == nil {
			full = r.String()
		}
	}
	for known, d := range p.documents {
		o, _ := d.(object)
		id := o.text("$id") + o.text("id")
		if known != "" && (known == name || known == strings.TrimPrefix(name, "./") || known == full) || id != "" && (id == full || id == name) {
			return known
		}
	}
	return "?"
}

// find follows the fragment of a reference: a JSON pointer, or the name of an anchor.
func find(v any, fragment string) (any, bool) {
	if text, err := url.PathUnescape(fragment); err == nil {
		fragment = text
	}
	if fragment != "" && fragment[0] != '/' {
		return anchor(v, fragment)
	}
	steps := strings.Split(fragment, "/")[1:]
	if fragment == "" {
		return v, true
	}
	for i, step := range steps {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		var ok bool
		switch at := v.(type) {
		case object:
			if v, ok = at.get(step); !ok && i == 0 && step == "$defs" { // as the reference has it
				v, ok = at.get("definitions")
			}
		case []any:
			n, err := strconv.Atoi(step)
			if ok = err == nil && n >= 0 && n < len(at); ok {
				v = at[n]
			}
		}
		if !ok {
			return nil, false
		}
	}
	return v, true
}

func anchor(v any, name string) (any, bool) {
	switch v := v.(type) {
	case object:
		if v.text("$anchor") == name || v.text("$id") == "#"+name || v.text("id") == "#"+name {
			return v, true
		}
		for _, m := range v {
			if found, ok := anchor(m.value, name); ok {
				return found, true
			}
		}
	case []any:
		for _, e := range v {
			if found, ok := anchor(e, name); ok {
				return found, true
			}
		}
	}
	return nil, false
}

func (p *parser) child(v any, document string) (*node, error) {
	n := &node{}
	return n, p.schema(n, v, document)
}

func (p *parser) schema(n *node, v any, document string) error {
	if p.nodes++; p.nodes > maxNodes {
		return fmt.Errorf("it has more than %d schemas", maxNodes)
	}
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	n.index = -1
	if all, ok := v.(bool); ok {
		if !all {
			n.kind = kNothing
		}
		return nil
	}
	o, ok := v.(object)
	if !ok {
		return errors.New("a schema is an object, true or false")
	}
	if ref := o.text("$ref"); ref != "" {
		n.kind = kRef
		var err error
		if n.to, err = p.reference(ref, document); err != nil {
			return err
		}
		return n.annotate(o)
	}
	parts, err := p.aspects(o, document)
	if err != nil {
		return err
	}
	switch len(parts) {
	case 0:
	case 1:
		*n = *parts[0]
		n.index = -1
	default: // each says something of the value
		n.kind, n.parts = kAll, parts
	}
	return n.annotate(o)
}

// annotate reads what every schema may have.
func (n *node) annotate(o object) error {
	n.title, n.doc, n.typ = o.text("title"), o.text("description"), o.text(propType)
	n.def, n.hasDef = o.get("default")
	n.hasDef = n.hasDef && n.def != nil
	var err error
	if v, ok := o.get(propIndex); ok {
		if n.index, err = whole(v); err != nil || n.index < 0 {
			return fmt.Errorf("its %s is no place", propIndex)
		}
	}
	if v, ok := o.get(propVersion); ok {
		if n.version, err = whole(v); err != nil {
			return fmt.Errorf("its %s is no number", propVersion)
		}
	}
	v, _ := o.get(propParams)
	params, _ := v.(object)
	for _, m := range params {
		text, ok := m.value.(string)
		if !ok {
			return fmt.Errorf("parameter %s is no text", m.name)
		}
		n.params = append(n.params, schemas.Parameter{Name: m.name, Value: text})
	}
	return nil
}

func whole(v any) (int, error) {
	text, _ := v.(json.Number)
	n, err := strconv.ParseInt(string(text), 10, 32)
	return int(n), err
}
