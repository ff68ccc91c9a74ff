package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/schemas"
)

const (
	namespace    = "io.confluent.connect.json"
	paramID      = namespace + ".Id"
	jsonEnum     = namespace + ".Enum"
	jsonUnion    = namespace + ".OneOf"
	generalUnion = "org.apache.kafka.connect.data.Union"
	generalEnum  = "org.apache.kafka.connect.data.Enum"
	unionPrefix  = "connect_union_"
	variant      = "org.apache.kafka.connect.data.Variant"
	propType     = "connect.type"
	propVersion  = "connect.version"
	propIndex    = "connect.index"
	propParams   = "connect.parameters"
	nullSymbol   = "<NULL>"
	nullType     = `{"type":"null"}`
)

// fromConnect returns the JSON Schema that the reference makes, and its title.
func (o options) fromConnect(s *schemas.Schema) (text, title string, err error) {
	m := &maker{options: o, ids: map[string]bool{}}
	out, err := m.schema(nil, s, place{index: -1})
	if !s.Optional && !isUnion(s) {
		title = s.Name
	}
	return string(out), title, err
}

// maker renders the JSON Schema of one Connect schema. Members are in the order of the reference: that of its printer, and of Java's
// HashMap for everything that has names.
type maker struct {
	options
	ids   map[string]bool // of schemas rendered so far
	depth int
}

// place is where a schema is used.
type place struct {
	index int  // in its struct; -1: in none
	bare  bool // its optionality is left out
}

func (m *maker) schema(dst []byte, s *schemas.Schema, at place) ([]byte, error) {
	if m.depth++; m.depth > maxDepth {
		return dst, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	defer func() { m.depth-- }()
	id := s.Parameter(paramID)
	if id != "" {
		m.ids[id] = true
	}
	var err error
	switch {
	case s.Name == variant:
		return dst, errors.New("values of any type (Variant) are not supported")
	case isUnion(s):
		dst = append(m.outer(dst, id, at), `"oneOf":[`...)
		if s.Optional {
			dst = append(dst, nullType...)
		}
		for i, f := range s.Fields {
			if i > 0 || s.Optional {
				dst = append(dst, ',')
			}
			if dst, err = m.schema(dst, required(f.Schema), place{i, true}); err != nil {
				return dst, fmt.Errorf("member %s: %w", f.Name, err)
			}
		}
		return append(dst, `]}`...), nil
	case s.Optional && (!at.bare || s.Kind == schemas.Struct):
		dst = append(m.outer(dst, id, at), `"oneOf":[`+nullType+`,`...)
		if s.Kind == schemas.Struct {
			dst, err = m.schema(dst, required(s), place{index: -1})
		} else {
			dst, err = m.plain(dst, s, "", place{index: -1})
		}
		return append(dst, `]}`...), err
	}
	return m.plain(dst, s, id, at)
}

// outer begins a schema that is only a choice of others.
func (m *maker) outer(dst []byte, id string, at place) []byte {
	dst = append(dst, '{')
	if id != "" {
		dst = append(changes.AppendJSONText(append(dst, `"id":`...), id), ',')
	}
	if at.index >= 0 {
		dst = append(changes.AppendInt(append(dst, `"`+propIndex+`":`...), int64(at.index)), ',')
	}
	return dst
}

// plain renders a schema without its optionality.
func (m *maker) plain(dst []byte, s *schemas.Schema, id string, at place) ([]byte, error) {
	var err error
	switch s.Kind {
	case schemas.Boolean:
		if dst, err = m.common(append(dst, '{'), s, id, "", at); err != nil {
			return dst, err
		}
		return append(member(dst, "type"), `"boolean"}`...), nil
	case schemas.Int8, schemas.Int16, schemas.Int32, schemas.Int64:
		dst, err = m.common(append(dst, `{"type":"integer"`...), s, id, s.Kind.String(), at)
	case schemas.Float32:
		dst, err = m.common(append(dst, `{"type":"number"`...), s, id, "float32", at)
	case schemas.Float64:
		dst, err = m.common(append(dst, `{"type":"number"`...), s, id, "float64", at)
	case schemas.String:
		if has(s, generalEnum) || has(s, jsonEnum) {
			dst = m.enum(append(dst, '{'), s)
		} else {
			dst = append(dst, `{"type":"string"`...)
		}
		dst, err = m.common(dst, s, id, "", at)
	case schemas.Bytes:
		dst = append(dst, `{"type":"string"`...)
		if m.numeric && s.Name == changes.NameConnectDecimal {
			dst = append(dst[:len(dst)-len(`"string"`)], `"number"`...)
		}
		dst, err = m.common(dst, s, id, "bytes", at)
	case schemas.Array:
		if dst, err = m.common(append(dst, `{"type":"array"`...), s, id, "", at); err == nil {
			dst, err = m.refer(member(dst, "items"), s.Elem, place{index: -1})
		}
	case schemas.Map:
		dst, err = m.mapOf(dst, s, id, at)
	case schemas.Struct:
		dst, err = m.structure(dst, s, id, at)
	default:
		return dst, fmt.Errorf("%s is no type of Connect", s.Kind)
	}
	return append(dst, '}'), err
}

// refer renders a schema, or names it when it has an id that was rendered before.
func (m *maker) refer(dst []byte, s *schemas.Schema, at place) ([]byte, error) {
	if id := s.Parameter(paramID); id != "" && m.ids[id] {
		return append(changes.AppendJSONText(append(dst, `{"$ref":`...), id), '}'), nil
	}
	return m.schema(dst, s, at)
}

// common renders what every schema may have.
func (m *maker) common(dst []byte, s *schemas.Schema, id, kind string, at place) ([]byte, error) {
	if s.Name != "" {
		dst = changes.AppendJSONText(member(dst, "title"), s.Name)
	}
	if s.Doc != "" {
		dst = changes.AppendJSONText(member(dst, "description"), s.Doc)
	}
	if s.Default != nil {
		text, _, err := m.writing().Append(nil, schemas.Typed{Schema: s, Value: s.Default})
		if err == nil {
			dst, err = appendDefault(member(dst, "default"), text)
		}
		if err != nil {
			return dst, fmt.Errorf("default: %w", err)
		}
	}
	if id != "" {
		dst = changes.AppendJSONText(member(dst, "id"), id)
	}
	if at.index >= 0 {
		dst = changes.AppendInt(member(dst, propIndex), int64(at.index))
	}
	if s.Version != 0 {
		dst = changes.AppendInt(member(dst, propVersion), int64(s.Version))
	}
	if kind != "" {
		dst = changes.AppendJSONText(member(dst, propType), kind)
	}
	return appendParameters(dst, s), nil
}

// appendParameters leaves out the converter's own ones.
func appendParameters(dst []byte, s *schemas.Schema) []byte {
	var kept []schemas.Parameter
	for _, p := range s.Parameters {
		if !strings.HasPrefix(p.Name, namespace) {
			kept = append(kept, p)
		}
	}
	if kept == nil {
		return dst
	}
	name := func(p schemas.Parameter) string { return p.Name }
	sortHashed(kept, 16, name)
	sortHashed(kept, 1, name) // copied into a map of their number
	dst = append(member(dst, propParams), '{')
	for _, p := range kept {
		dst = changes.AppendJSONText(member(dst, p.Name), p.Value)
	}
	return append(dst, '}')
}

func (m *maker) enum(dst []byte, s *schemas.Schema) []byte {
	param := jsonEnum
	if m.general {
		param = generalEnum
	}
	var symbols []string
	for _, p := range s.Parameters {
		if symbol, ok := strings.CutPrefix(p.Name, param+"."); ok {
			symbols = append(symbols, symbol)
		}
	}
	sortHashed(symbols, 16, func(symbol string) string {
		if symbol == nullSymbol {
			return "" // null, like an empty text, has the hash 0
		}
		return symbol
	})
	dst = append(dst, `"enum":[`...)
	for i, symbol := range symbols {
		if i > 0 {
			dst = append(dst, ',')
		}
		if symbol == nullSymbol {
			dst = append(dst, "null"...)
		} else {
			dst = changes.AppendJSONText(dst, symbol)
		}
	}
	return append(dst, ']')
}

// mapOf is an object, or an array of objects when its keys are no texts.
func (m *maker) mapOf(dst []byte, s *schemas.Schema, id string, at place) ([]byte, error) {
	var err error
	if s.Key.Kind == schemas.String && !s.Key.Optional {
		if dst, err = m.common(append(dst, `{"type":"object"`...), s, id, "map", at); err != nil {
			return dst, err
		}
		return m.schema(member(dst, "additionalProperties"), s.Elem, place{index: -1})
	}
	if dst, err = m.common(append(dst, `{"type":"array"`...), s, id, "map", at); err != nil {
		return dst, err
	}
	entry := schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "key", Schema: s.Key}, {Name: "value", Schema: s.Elem}}}
	dst = append(member(dst, "items"), `{"type":"object"`...)
	dst, err = m.properties(dst, &entry)
	return append(dst, '}'), err
}

func (m *maker) structure(dst []byte, s *schemas.Schema, id string, at place) ([]byte, error) {
	dst = append(dst, `{"type":"object"`...)
	if !m.open {
		dst = append(member(dst, "additionalProperties"), "false"...)
	}
	dst, err := m.common(dst, s, id, "", at)
	if err != nil || len(s.Fields) == 0 {
		return dst, err
	}
	return m.properties(dst, s)
}

func (m *maker) properties(dst []byte, s *schemas.Schema) ([]byte, error) {
	// Children are rendered in their order, which decides what is a reference, and put down in that of the map.
	type child struct {
		name string
		text []byte
	}
	children := make([]child, len(s.Fields))
	for i, f := range s.Fields {
		text, err := m.refer(nil, f.Schema, place{index: i})
		if err != nil {
			return dst, fmt.Errorf("field %s: %w", f.Name, err)
		}
		children[i] = child{f.Name, text}
	}
	sortHashed(children, 16, func(c child) string { return c.name })
	dst = append(member(dst, "properties"), '{')
	for _, c := range children {
		dst = append(member(dst, c.name), c.text...)
	}
	return append(dst, '}'), nil
}

// member begins a member of an object.
func member(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(changes.AppendJSONText(dst, name), ':')
}

// sortHashed brings elements into the order of a Java HashMap that began with so many buckets.
func sortHashed[T any](of []T, buckets int, name func(T) string) {
	for len(of) > buckets*3/4 {
		buckets *= 2
	}
	bucket := func(e T) int {
		h := changes.JavaHash([]byte(name(e)))
		return int(h^h>>16) & (buckets - 1)
	}
	slices.SortStableFunc(of, func(a, b T) int { return bucket(a) - bucket(b) })
}

// appendDefault writes a default as the reference's printer does: members in the order of a HashMap, numbers without zeros at the end.
func appendDefault(dst, text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := readTree(d, 0)
	if err != nil {
		return dst, err
	}
	return appendTree(dst, v, true)
}

// appendTree renders what readTree has read; printed: as the reference prints a default.
func appendTree(dst []byte, v any, printed bool) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return changes.AppendJSONText(dst, v), nil
	case json.Number:
		if printed {
			return appendPrinted(dst, string(v))
		}
		return append(dst, v...), nil
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendTree(dst, e, printed); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case object:
		if printed {
			v = slices.Clone(v)
			sortHashed(v, 16, func(p property) string { return p.name })
		}
		dst = append(dst, '{')
		for _, p := range v {
			if dst, err = appendTree(member(dst, p.name), p.value, printed); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
	return dst, fmt.Errorf("%T is nothing in JSON", v)
}

// appendPrinted writes a number as org.json prints it and Jackson writes it again.
func appendPrinted(dst []byte, text string) ([]byte, error) {
	if strings.Contains(text, ".") && !strings.ContainsAny(text, "eE") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	mantissa, exponent, scientific := strings.Cut(strings.ToUpper(text), "E")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if !scientific && fraction == "" {
		if text == "-0" {
			text = "0"
		}
		return append(dst, text...), nil
	}
	scale := len(fraction)
	if scientific {
		e, err := strconv.Atoi(exponent)
		if err != nil {
			return dst, fmt.Errorf("the exponent of a number is too large")
		}
		scale -= e
	}
	unscaled, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return dst, fmt.Errorf("it is no number")
	}
	b, _ := changes.AppendUnscaled(nil, unscaled.Append(nil, 10), 0) // an integer always has one
	return changes.AppendDecimal(dst, b, int32(scale)), nil
}

func required(s *schemas.Schema) *schemas.Schema {
	out := *s
	out.Optional = false
	return &out
}

func isUnion(s *schemas.Schema) bool {
	return s.Kind == schemas.Struct && (s.Name == jsonUnion || has(s, generalUnion))
}

func has(s *schemas.Schema, parameter string) bool {
	for _, p := range s.Parameters {
		if p.Name == parameter {
			return true
		}
	}
	return false
}
