package avro

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/schemas"
)

const (
	namespace     = "io.confluent.connect.avro"
	defaultName   = "ConnectDefault"
	mapEntry      = "MapEntry"
	avroUnion     = namespace + ".Union"
	avroEnum      = namespace + ".Enum"
	avroAnything  = namespace + ".Anything"
	recordDoc     = namespace + ".record.doc"
	enumDoc       = namespace + ".enum.doc."
	enumDefault   = namespace + ".enum.default."
	fieldDoc      = namespace + ".field.doc."
	fieldDefault  = namespace + ".field.default"
	generalUnion  = "org.apache.kafka.connect.data.Union"
	generalEnum   = "org.apache.kafka.connect.data.Enum"
	unionPrefix   = "connect_union_"
	paramFixed    = "connect.fixed.size"
	paramDigits   = "connect.decimal.precision"
	paramScale    = "scale"
	propName      = "connect.name"
	propDoc       = "connect.doc"
	propRecordDoc = "connect.record.doc"
	propEnumDoc   = "connect.enum.doc"
	propVersion   = "connect.version"
	propDefault   = "connect.default"
	propParams    = "connect.parameters"
	propInternal  = "connect.internal.type"
	propType      = "connect.type"
	propLogical   = "logicalType"
	maxDigits     = 64 // precision of a decimal that names none
)

// anything is the schema of values without one.
const anything = `{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[` +
	`{"name":"boolean","type":["null","boolean"],"default":null},{"name":"bytes","type":["null","bytes"],"default":null},` +
	`{"name":"double","type":["null","double"],"default":null},{"name":"float","type":["null","float"],"default":null},` +
	`{"name":"int","type":["null","int"],"default":null},{"name":"long","type":["null","long"],"default":null},` +
	`{"name":"string","type":["null","string"],"default":null},` +
	`{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},` +
	`{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","fields":[` +
	`{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}`

// maker makes the Avro schema of one Connect schema.
type maker struct {
	options
	byName map[string]*node // records, by the name of their Connect schema
	seen   map[string]bool  // names of fields' schemas
	done   []made           // required schemas of named types
	unique int              // unnamed records so far
}

type made struct {
	of   *schemas.Schema
	node *node
}

// fromConnect returns the Avro schema that the reference makes.
func (o options) fromConnect(s *schemas.Schema) (*node, error) {
	if s == nil {
		return parse(anything, nil)
	}
	m := &maker{options: o, byName: map[string]*node{}, seen: map[string]bool{}}
	return m.convert(s, false)
}

// convert is the schema of s; plain leaves its optionality out.
func (m *maker) convert(s *schemas.Schema, plain bool) (*node, error) {
	union := m.isUnion(s)
	if !union && !s.Optional && s.Kind >= schemas.String {
		for _, d := range m.done {
			if reflect.DeepEqual(d.of, s) {
				return d.node, nil
			}
		}
	}
	n, err := m.base(s, union)
	if err != nil {
		return nil, err
	}
	if n.kind != kUnion {
		if err := m.annotate(n, s); err != nil {
			return nil, err
		}
		if !plain {
			n = optional(s, n)
		}
	}
	if !s.Optional && s.Kind >= schemas.String {
		m.done = append(m.done, made{s, n})
	}
	return n, nil
}

// optional is a union with null, which comes second when there is a default.
func optional(s *schemas.Schema, n *node) *node {
	null := &node{kind: kNull}
	switch {
	case !s.Optional:
		return n
	case s.Default != nil:
		return &node{kind: kUnion, branches: []*node{n, null}}
	}
	return &node{kind: kUnion, branches: []*node{null, n}}
}

// below is convert for what lies in an array, a map or a union: there a record that was met before is the same one.
func (m *maker) below(s *schemas.Schema, plain bool) (*node, error) {
	if n := m.byName[s.Name]; n != nil && s.Name != "" {
		if plain {
			return n, nil
		}
		return optional(s, n), nil
	}
	return m.convert(s, plain)
}

func (m *maker) base(s *schemas.Schema, union bool) (*node, error) {
	switch s.Kind {
	case schemas.Int8, schemas.Int16, schemas.Int32:
		return &node{kind: kInt}, nil
	case schemas.Int64:
		return &node{kind: kLong}, nil
	case schemas.Float32:
		return &node{kind: kFloat}, nil
	case schemas.Float64:
		return &node{kind: kDouble}, nil
	case schemas.Boolean:
		return &node{kind: kBoolean}, nil
	case schemas.String:
		return m.text(s)
	case schemas.Bytes:
		return m.bytes(s)
	case schemas.Array:
		elem, err := m.below(s.Elem, false)
		return &node{kind: kArray, elem: elem}, err
	case schemas.Map:
		return m.mapOf(s)
	case schemas.Struct:
		if union {
			return m.unionOf(s)
		}
		return m.record(s)
	}
	return nil, fmt.Errorf("make Avro schema: %s is no type of Connect", s.Kind)
}

// text is a string, or the enum that its parameters describe.
func (m *maker) text(s *schemas.Schema) (*node, error) {
	if !m.general && !m.enhanced || !has(s, generalEnum) && !has(s, avroEnum) {
		return &node{kind: kString}, nil
	}
	param := m.enumParameter()
	n := &node{kind: kEnum}
	for _, p := range s.Parameters {
		if symbol, ok := strings.CutPrefix(p.Name, param+"."); ok {
			n.symbols = append(n.symbols, symbol)
		}
	}
	_, short := m.nameOf(s)
	n.space, n.name = split(s.Parameter(param))
	if m.discard {
		n.doc = parameter(s, propEnumDoc)
	} else {
		n.doc, n.enumElse = parameter(s, enumDoc+short), parameter(s, enumDefault+short)
	}
	return n, m.checkName(n.name)
}

func (o options) enumParameter() string {
	if o.general {
		return generalEnum
	}
	return avroEnum
}

func (m *maker) bytes(s *schemas.Schema) (*node, error) {
	n := &node{kind: kBytes}
	if isFixed(s) {
		n.kind = kFixed
		n.space, n.name = m.nameOf(s)
		var err error
		if n.size, err = strconv.Atoi(s.Parameter(paramFixed)); err != nil {
			return nil, fmt.Errorf("make Avro schema: parameter %s of %s is not a number", paramFixed, s.Name)
		}
	}
	if isDecimal(s) {
		scale, digits, err := decimalOf(s)
		if err != nil {
			return nil, err
		}
		n.addProp("scale", strconv.AppendInt(nil, int64(scale), 10))
		n.addProp("precision", strconv.AppendInt(nil, int64(digits), 10))
	}
	return n, nil
}

func isDecimal(s *schemas.Schema) bool { return s.Name == changes.NameConnectDecimal }

func decimalOf(s *schemas.Schema) (scale, digits int, err error) {
	digits = maxDigits
	if scale, err = strconv.Atoi(s.Parameter(paramScale)); err == nil && has(s, paramDigits) {
		digits, err = strconv.Atoi(s.Parameter(paramDigits))
	}
	if err != nil {
		return 0, 0, fmt.Errorf("make Avro schema: the scale or precision of a Decimal is not a number")
	}
	return scale, digits, nil
}

func isFixed(s *schemas.Schema) bool {
	return s.Kind == schemas.Bytes && s.Name != "" && has(s, paramFixed)
}

func (o options) plainMap(s *schemas.Schema) bool {
	return s.Key.Kind == schemas.String && (!s.Key.Optional || o.optionalKeys)
}

// mapOf is a map, or an array of records when its keys are no texts.
func (m *maker) mapOf(s *schemas.Schema) (*node, error) {
	if m.plainMap(s) {
		elem, err := m.below(s.Elem, false)
		return &node{kind: kMap, elem: elem}, err
	}
	entry := &node{kind: kRecord, space: namespace, name: mapEntry}
	if s.Name != "" {
		entry.space, entry.name = m.nameOf(s)
		entry.addProp(propInternal, quote(nil, mapEntry))
	}
	if err := m.checkName(entry.name); err != nil {
		return nil, err
	}
	for _, f := range []schemas.Field{{Name: "key", Schema: s.Key}, {Name: "value", Schema: s.Elem}} {
		if err := m.field(entry, f.Name, f.Schema, nil); err != nil {
			return nil, err
		}
	}
	return &node{kind: kArray, elem: entry}, nil
}

func (m *maker) unionOf(s *schemas.Schema) (*node, error) {
	n := &node{kind: kUnion}
	if s.Optional {
		n.branches = append(n.branches, &node{kind: kNull})
	}
	for _, f := range s.Fields {
		b, err := m.below(required(f.Schema), true)
		if err != nil {
			return nil, err
		}
		n.branches = append(n.branches, b)
	}
	return n, nil
}

func required(s *schemas.Schema) *schemas.Schema {
	out := *s
	out.Optional = false
	return &out
}

func (m *maker) record(s *schemas.Schema) (*node, error) {
	if s.Optional {
		n, err := m.below(required(s), false)
		return &node{kind: kUnion, branches: []*node{{kind: kNull}, n}}, err
	}
	n := &node{kind: kRecord}
	n.space, n.name = m.nameOf(s)
	if err := m.checkName(n.name); err != nil {
		return nil, err
	}
	n.doc = parameter(s, recordDoc)
	if m.discard {
		n.doc = parameter(s, propRecordDoc)
	}
	if s.Name != "" {
		m.byName[s.Name] = n
	}
	for _, f := range s.Fields {
		var doc *string
		if !m.discard {
			doc = parameter(s, fieldDoc+f.Name)
		}
		if err := m.field(n, m.scrubbed(f.Name), f.Schema, doc); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return n, nil
}

func (m *maker) field(of *node, name string, s *schemas.Schema, doc *string) error {
	if err := m.checkName(name); err != nil {
		return err
	}
	out := member{name: name, doc: doc}
	if m.discard && s.Doc != "" {
		out.doc = &s.Doc
	}
	seen := false
	if full := m.fullName(s.Name); full != "" {
		seen = m.seen[full]
		m.seen[full] = true
	}
	var err error
	if out.node, err = m.convert(s, false); err != nil {
		return err
	}
	switch {
	case s.Default != nil:
		if out.def, err = m.jsonOf(nil, s, s.Default); err != nil {
			return err
		}
	case s.Optional:
		out.def = []byte("null")
	}
	if m.meta && seen && out.node.hasNamed() {
		if params := m.parameters(s); params != nil {
			out.props = []prop{{propParams, params}}
		}
	}
	of.fields = append(of.fields, out)
	return nil
}

func (n *node) hasNamed() bool {
	for _, b := range n.branches {
		if b.named() {
			return true
		}
	}
	return n.named()
}

// annotate adds what Avro has no place for.
func (m *maker) annotate(n *node, s *schemas.Schema) error {
	if m.meta {
		if err := m.addMeta(n, s); err != nil {
			return err
		}
	}
	switch s.Name {
	case changes.NameConnectDecimal:
		n.addProp(propLogical, []byte(`"decimal"`))
	case changes.NameConnectTime:
		n.addProp(propLogical, []byte(`"time-millis"`))
	case changes.NameConnectTS:
		n.addProp(propLogical, []byte(`"timestamp-millis"`))
	case changes.NameConnectDate:
		n.addProp(propLogical, []byte(`"date"`))
	}
	for _, p := range s.Parameters {
		if strings.HasPrefix(p.Name, "avro") {
			n.addProp(p.Name, quote(nil, p.Value))
		}
	}
	return nil
}

func (m *maker) addMeta(n *node, s *schemas.Schema) error {
	if s.Doc != "" {
		n.addProp(propDoc, quote(nil, s.Doc))
	}
	if s.Version != 0 {
		n.addProp(propVersion, strconv.AppendInt(nil, int64(s.Version), 10))
	}
	if params := m.parameters(s); params != nil {
		n.addProp(propParams, params)
	}
	if s.Default != nil && (m.discard || !has(s, fieldDefault)) {
		def, err := m.jsonOf(nil, s, s.Default)
		if err != nil {
			return err
		}
		n.addProp(propDefault, def)
	}
	if s.Name != "" {
		n.addProp(propName, quote(nil, s.Name))
	}
	switch s.Kind {
	case schemas.Int8, schemas.Int16:
		n.addProp(propType, quote(nil, s.Kind.String()))
	}
	return nil
}

// parameters renders them; nil when there are none.
func (m *maker) parameters(s *schemas.Schema) []byte {
	var out []byte
	for _, p := range s.Parameters {
		if p.Name == fieldDefault && !m.discard {
			continue
		}
		if out == nil {
			out = []byte{'{'}
		} else {
			out = append(out, ',')
		}
		out = quote(append(quote(out, p.Name), ':'), p.Value)
	}
	if out == nil {
		return nil
	}
	return append(out, '}')
}

func (m *maker) nameOf(s *schemas.Schema) (space, name string) {
	if s.Name != "" {
		return split(m.fullName(s.Name))
	}
	m.unique++
	if m.unique > 1 {
		return namespace, defaultName + strconv.Itoa(m.unique)
	}
	return namespace, defaultName
}

func (o options) fullName(name string) string {
	if !o.scrub {
		return name
	}
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = scrub(parts[i])
	}
	return strings.Join(parts, ".")
}

func (o options) scrubbed(name string) string {
	if o.scrub {
		return scrub(name)
	}
	return name
}

// scrub replaces what Avro does not allow as the reference does: percent-encoded, then every other character is an underscore.
func scrub(name string) string {
	ok := true
	for i := range len(name) {
		ok = ok && (isLetter(name[i]) || isDigit(name[i]))
	}
	if name == "" || ok && !isDigit(name[0]) {
		return name
	}
	out := []byte(strings.NewReplacer("~", "%7E", "%2A", "*").Replace(url.QueryEscape(name)))
	if isDigit(out[0]) {
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

// checkName refuses what Avro's Java library refuses.
func (m *maker) checkName(name string) error {
	for i, c := range name {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return fmt.Errorf("make Avro schema: %q is no name in Avro: set scrub.invalid.names=true in the converter, or "+
				"schema.name.adjustment.mode=avro and field.name.adjustment.mode=avro in the connector", name)
		}
	}
	if name == "" {
		return fmt.Errorf("make Avro schema: a name is empty")
	}
	return nil
}

func (o options) isUnion(s *schemas.Schema) bool {
	return s.Name == avroUnion || s.Kind == schemas.Struct && has(s, generalUnion)
}

func has(s *schemas.Schema, parameter string) bool {
	for _, p := range s.Parameters {
		if p.Name == parameter {
			return true
		}
	}
	return false
}

func parameter(s *schemas.Schema, name string) *string {
	for i := range s.Parameters {
		if s.Parameters[i].Name == name {
			return &s.Parameters[i].Value
		}
	}
	return nil
}

func unquote(text []byte) (string, bool) {
	var s string
	if len(text) == 0 || text[0] != '"' || json.Unmarshal(text, &s) != nil {
		return "", false
	}
	return s, true
}
