package jsonschema

import (
	"errors"
	"fmt"
)

var (
	wordsOfArrays  = []string{"items", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains"}
	wordsOfObjects = []string{"properties", "required", "minProperties", "maxProperties", "dependencies", "patternProperties", "additionalProperties", "propertyNames"}
	wordsOfNumbers = []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
	wordsOfTexts   = []string{"minLength", "maxLength", "pattern", "format"}
	formats        = map[string]bool{
		"date-time": true, "uri": true, "email": true, "ipv4": true, "ipv6": true, "hostname": true, "json-pointer": true, "uri-reference": true, "uri-template": true,
		"date": true, "time": true, "regex": true, "relative-json-pointer": true,
	}
)

// aspects are the parts of a schema that say something of their own: a type, an enum, a choice. Words that belong to the type are
// part of it.
func (p *parser) aspects(o object, document string) ([]*node, error) {
	var out []*node
	if v, ok := o.get("enum"); ok {
		values, ok := v.([]any)
		if !ok {
			return nil, errors.New("its enum is no array")
		}
		out = append(out, &node{kind: kEnum, symbols: values})
	}
	for _, word := range []string{"allOf", "anyOf", "oneOf"} {
		if v, ok := o.get(word); ok {
			n, err := p.choice(word, v, document)
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
	}
	if o.any("not") {
		out = append(out, &node{kind: kOther})
	}
	if v, ok := o.get("const"); ok {
		out = append(out, &node{kind: kEnum, symbols: []any{v}, constant: true})
	}
	typed, err := p.typed(o, document)
	if err != nil {
		return nil, err
	}
	if typed != nil {
		out = append(out, typed)
	}
	for _, more := range []struct {
		words []string
		kind  kind
	}{{wordsOfArrays, kArray}, {wordsOfObjects, kObject}, {wordsOfNumbers, kNumber}, {wordsOfTexts, kString}} {
		if !o.any(more.words...) || typed.says(more.kind) || more.kind == kNumber && typed.says(kInteger) {
			continue
		}
		n, err := p.ofType(kindNames[more.kind], o, document)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	if o.any("if", "then", "else") {
		out = append(out, &node{kind: kOther})
	}
	return out, nil
}

// says tells whether a type, or one of several, is k.
func (n *node) says(k kind) bool {
	if n == nil {
		return false
	}
	for _, part := range n.parts {
		if part.kind == k {
			return true
		}
	}
	return n.kind == k
}

func (p *parser) choice(word string, v any, document string) (*node, error) {
	parts, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("its %s is no array", word)
	}
	n := &node{kind: kOne}
	if word == "allOf" {
		n.kind = kAll
	}
	for _, part := range parts {
		c, err := p.child(part, document)
		if err != nil {
			return nil, err
		}
		n.parts = append(n.parts, c)
	}
	return n, nil
}

// typed is what the type of a schema says; nil without one.
func (p *parser) typed(o object, document string) (*node, error) {
	v, ok := o.get("type")
	if !ok {
		return nil, nil
	}
	if name, ok := v.(string); ok {
		return p.ofType(name, o, document)
	}
	names, ok := v.([]any)
	if !ok {
		return nil, errors.New("its type is no text")
	}
	n := &node{kind: kOne}
	for _, v := range names {
		name, _ := v.(string)
		part, err := p.ofType(name, o, document)
		if err != nil {
			return nil, err
		}
		part.index = -1
		n.parts = append(n.parts, part)
	}
	return n, nil
}

func (p *parser) ofType(name string, o object, document string) (*node, error) {
	switch name {
	case "null":
		return &node{kind: kNull}, nil
	case "boolean":
		return &node{kind: kBoolean}, nil
	case "integer":
		return &node{kind: kInteger}, nil
	case "number":
		return &node{kind: kNumber}, nil
	case "string":
		return &node{kind: kString, format: formats[o.text("format")]}, nil
	case "array":
		return p.array(o, document)
	case "object":
		return p.object(o, document)
	}
	return nil, fmt.Errorf("its type %q is none of JSON Schema", name)
}

func (p *parser) array(o object, document string) (*node, error) {
	n := &node{kind: kArray}
	v, ok := o.get("items")
	if _, several := v.([]any); !ok || several {
		return n, nil
	}
	var err error
	if n.items, err = p.child(v, document); err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	return n, nil
}

func (p *parser) object(o object, document string) (*node, error) {
	n := &node{kind: kObject, required: map[string]bool{}}
	v, there := o.get("properties")
	properties, ok := v.(object)
	if there && !ok {
		return nil, errors.New("its properties are no object")
	}
	seen := map[string]int{}
	for _, m := range properties {
		c, err := p.child(m.value, document)
		if err != nil {
			return nil, fmt.Errorf("property %s: %w", m.name, err)
		}
		if at, again := seen[m.name]; again {
			n.fields[at].node = c
			continue
		}
		seen[m.name] = len(n.fields)
		n.fields = append(n.fields, field{m.name, c})
	}
	sortHashed(n.fields, 16, func(f field) string { return f.name })
	if v, ok = o.get("additionalProperties"); ok {
		if all, plain := v.(bool); plain {
			n.closed = !all
		} else {
			var err error
			if n.extra, err = p.child(v, document); err != nil {
				return nil, fmt.Errorf("additionalProperties: %w", err)
			}
		}
	}
	v, _ = o.get("required")
	names, _ := v.([]any)
	for _, v := range names {
		name, _ := v.(string)
		n.required[name] = true
	}
	return n, nil
}
