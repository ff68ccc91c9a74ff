package avro

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/avro"

	"github.com/freshet-io/freshet/converters/registry"
)

const maxDepth = 500 // nesting of schemas and of values

// parse reads a schema; used are those that it names, each after what it uses itself. twmb/avro says whether its structure is valid;
// attributes and defaults may be anything, as for the reference.
func parse(text string, used []registry.Named) (*node, error) {
	p := &parser{known: map[string]*node{}}
	for _, u := range used {
		if _, err := p.text(u.Text); err != nil {
			return nil, fmt.Errorf("parse Avro schema %s: %w", u.Name, err)
		}
	}
	n, err := p.text(text)
	if err != nil {
		return nil, fmt.Errorf("parse Avro schema: %w", err)
	}
	if _, err := avro.Parse(n.structure(), avro.WithLaxNames(nil)); err != nil {
		return nil, fmt.Errorf("parse Avro schema: %w", err)
	}
	return n, nil
}

type parser struct {
	known map[string]*node // named types
	depth int
}

func (p *parser) text(text string) (*node, error) { return p.schema([]byte(text), "") }

// pairs are the members of a JSON object in their order.
type pairs []prop

func (o pairs) get(name string) json.RawMessage {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func (o pairs) text(name string) string {
	s, _ := unquote(o.get(name))
	return s
}

func (o pairs) maybe(name string) *string {
	if s, ok := unquote(o.get(name)); ok {
		return &s
	}
	return nil
}

func readPairs(text []byte) (pairs, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(err, errors.New("an object is expected"))
	}
	var out pairs
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		out = append(out, prop{name.(string), value})
	}
	return out, nil
}

func (p *parser) schema(text json.RawMessage, space string) (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, errors.New("a type is missing")
	}
	switch text[0] {
	case '"':
		s, _ := unquote(text)
		return p.named(s, space)
	case '[':
		return p.union(text, space)
	}
	o, err := readPairs(text)
	if err != nil {
		return nil, err
	}
	kindText := o.get("type")
	if len(kindText) > 0 && kindText[0] != '"' {
		return p.schema(kindText, space) // a type in a type
	}
	return p.object(o, o.text("type"), space)
}

func (p *parser) named(s, space string) (*node, error) {
	for k := kNull; k < kUnion; k++ {
		if kindNames[k] == s && (k < kRecord) {
			return &node{kind: k}, nil
		}
	}
	if space != "" {
		if n := p.known[space+"."+s]; n != nil {
			return n, nil
		}
	}
	if n := p.known[s]; n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("type %s is not known", s)
}

func (p *parser) union(text json.RawMessage, space string) (*node, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, err
	}
	n := &node{kind: kUnion}
	for _, part := range parts {
		b, err := p.schema(part, space)
		if err != nil {
			return nil, err
		}
		n.branches = append(n.branches, b)
	}
	return n, nil
}

func (p *parser) object(o pairs, kind, space string) (*node, error) {
	var n *node
	switch kind {
	case "record", "error", "enum", "fixed":
		return p.definition(o, kind, space)
	case "array", "map":
		n = &node{kind: kArray}
		part := "items"
		if kind == "map" {
			n.kind, part = kMap, "values"
		}
		var err error
		if n.elem, err = p.schema(o.get(part), space); err != nil {
			return nil, err
		}
		n.props = rest(o, "type", part)
		return n, nil
	}
	n, err := p.named(kind, space)
	if err != nil || n.named() {
		return n, err
	}
	n.props = rest(o, "type")
	return n, nil
}

func (p *parser) definition(o pairs, kind, space string) (*node, error) {
	n := &node{kind: kRecord, doc: o.maybe("doc")}
	n.space, n.name = split(o.text("name"))
	if n.space == "" {
		n.space = space
		if s := o.maybe("namespace"); s != nil {
			n.space = *s
		}
	}
	p.known[n.fullNameOfDefinition()] = n
	switch kind {
	case "enum":
		n.kind, n.enumElse = kEnum, o.maybe("default")
		if err := json.Unmarshal(o.get("symbols"), &n.symbols); err != nil {
			return nil, err
		}
		n.props = rest(o, "type", "name", "namespace", "doc", "aliases", "symbols", "default")
		return n, nil
	case "fixed":
		n.kind = kFixed
		var err error
		if n.size, err = strconv.Atoi(string(o.get("size"))); err != nil {
			return nil, fmt.Errorf("the size of %s is not a number", n.name)
		}
		n.props = rest(o, "type", "name", "namespace", "doc", "aliases", "size")
		return n, nil
	}
	n.props = rest(o, "type", "name", "namespace", "doc", "aliases", "fields")
	var fields []json.RawMessage
	if err := json.Unmarshal(o.get("fields"), &fields); err != nil {
		return nil, err
	}
	for _, text := range fields {
		f, err := readPairs(text)
		if err != nil {
			return nil, err
		}
		m := member{name: f.text("name"), doc: f.maybe("doc"), def: f.get("default")}
		if m.node, err = p.schema(f.get("type"), n.space); err != nil {
			return nil, fmt.Errorf("field %s: %w", m.name, err)
		}
		m.props = rest(f, "name", "type", "doc", "default", "order", "aliases")
		n.fields = append(n.fields, m)
	}
	return n, nil
}

func (n *node) fullNameOfDefinition() string {
	if n.space == "" {
		return n.name
	}
	return n.space + "." + n.name
}

func rest(o pairs, known ...string) []prop {
	var out []prop
next:
	for _, m := range o {
		for _, k := range known {
			if m.name == k {
				continue next
			}
		}
		var compact bytes.Buffer
		if json.Compact(&compact, m.value) == nil {
			out = append(out, prop{m.name, compact.Bytes()})
		}
	}
	return out
}
