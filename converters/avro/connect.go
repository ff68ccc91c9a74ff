package avro

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/schemas"
)

// reader makes Connect schemas of Avro schemas, as the reference does.
type reader struct {
	options
	cycles map[*node]*schemas.Schema // records that are being made
	unions int
}

// toConnect is the Connect schema of n; version is that of the registry, 0 for none. nil: values without schema.
func (o options) toConnect(n *node, version int) (*schemas.Schema, error) {
	if n.kind == kRecord && n.fullName() == avroAnything {
		return nil, nil
	}
	r := &reader{options: o, cycles: map[*node]*schemas.Schema{}}
	s, err := r.schema(n, false, nil, nil)
	if err != nil {
		return nil, err
	}
	if version > 0 && s.Version == 0 && n.kind != kUnion {
		out := *s
		out.Version = int32(version)
		return &out, nil
	}
	return s, nil
}

// schema converts n. optional makes it so; def and doc are those of the field that has it, nil for none.
func (r *reader) schema(n *node, optional bool, def []byte, doc *string) (*schemas.Schema, error) {
	if n.kind == kUnion {
		return r.union(n, def, doc)
	}
	s := &schemas.Schema{Optional: optional}
	if err := r.physical(s, n); err != nil {
		return nil, err
	}
	delete(r.cycles, n)
	r.document(s, n, doc)
	if err := r.annotations(s, n); err != nil {
		return nil, err
	}
	if err := r.name(s, n); err != nil {
		return nil, err
	}
	own := n.prop(propDefault)
	if def == nil {
		def = own
	} else if !r.discard && r.meta && own == nil && string(def) != "null" {
		setParameter(s, fieldDefault, "true")
	}
	if def != nil && string(def) != "null" {
		if v, err := r.defaultOf(n, s, def); err == nil { // else the default is left out, as in the reference
			s.Default = v
		}
	}
	return s, nil
}

func (r *reader) physical(s *schemas.Schema, n *node) error {
	logical := n.text(propLogical)
	switch n.kind {
	case kBoolean:
		s.Kind = schemas.Boolean
	case kBytes, kFixed:
		s.Kind = schemas.Bytes
		if strings.EqualFold(logical, "decimal") {
			decimal(s, n)
		}
		if n.kind == kFixed {
			setParameter(s, paramFixed, strconv.Itoa(n.size))
		}
	case kDouble:
		s.Kind = schemas.Float64
	case kFloat:
		s.Kind = schemas.Float32
	case kInt:
		return integer(s, n, logical)
	case kLong:
		s.Kind = schemas.Int64
		if strings.EqualFold(logical, "timestamp-millis") {
			s.Name, s.Version = changes.NameConnectTS, 1
		}
	case kString:
		s.Kind = schemas.String
	case kEnum:
		r.enum(s, n)
	case kArray:
		return r.array(s, n)
	case kMap:
		s.Kind, s.Key = schemas.Map, &schemas.Schema{Kind: schemas.String}
		var err error
		s.Elem, err = r.below(n.elem, false)
		return err
	case kRecord:
		return r.record(s, n)
	case kNull:
		return errors.New("Standalone null schemas are not supported by this converter") //nolint:staticcheck // the reference's text
	}
	return nil
}

func decimal(s *schemas.Schema, n *node) {
	s.Name, s.Version = changes.NameConnectDecimal, 1
	scale, err := strconv.Atoi(string(n.prop("scale")))
	if err != nil {
		scale = 0
	}
	setParameter(s, paramScale, strconv.Itoa(scale))
	if digits, err := strconv.Atoi(string(n.prop("precision"))); err == nil && digits != maxDigits {
		setParameter(s, paramDigits, strconv.Itoa(digits))
	}
}

func integer(s *schemas.Schema, n *node, logical string) error {
	s.Kind = schemas.Int32
	switch {
	case strings.EqualFold(logical, "date"):
		s.Name, s.Version = changes.NameConnectDate, 1
	case strings.EqualFold(logical, "time-millis"):
		s.Name, s.Version = changes.NameConnectTime, 1
	case logical != "":
	default:
		switch t := n.text(propType); t {
		case "":
		case "int8":
			s.Kind = schemas.Int8
		case "int16":
			s.Kind = schemas.Int16
		default:
			return errors.New("Connect type annotation for Avro int field is null") //nolint:staticcheck // the reference's text
		}
	}
	return nil
}

func (r *reader) enum(s *schemas.Schema, n *node) {
	s.Kind = schemas.String
	if r.meta {
		switch {
		case n.doc != nil && r.discard:
			setParameter(s, propEnumDoc, *n.doc)
		case n.doc != nil:
			setParameter(s, enumDoc+n.name, *n.doc)
		}
		if !r.discard && n.enumElse != nil {
			setParameter(s, enumDefault+n.name, *n.enumElse)
		}
	}
	param := r.enumParameter()
	setParameter(s, param, n.fullName())
	for i, symbol := range n.symbols {
		v := symbol
		if r.general {
			v = strconv.Itoa(i)
		}
		setParameter(s, param+"."+symbol, v)
	}
}

func (n *node) isMapEntry() bool {
	return n.kind == kRecord && (n.space == namespace && n.name == mapEntry || n.text(propInternal) == mapEntry)
}

func (r *reader) array(s *schemas.Schema, n *node) error {
	var err error
	if !n.elem.isMapEntry() {
		s.Kind = schemas.Array
		s.Elem, err = r.below(n.elem, false)
		return err
	}
	if len(n.elem.fields) != 2 || n.elem.fields[0].name != "key" || n.elem.fields[1].name != "value" {
		return errors.New("Found map encoded as array of key-value pairs, but array elements do not match the expected format.") //nolint:staticcheck // the reference's text
	}
	s.Kind = schemas.Map
	if s.Key, err = r.below(n.elem.fields[0].node, false); err != nil {
		return err
	}
	s.Elem, err = r.below(n.elem.fields[1].node, false)
	return err
}

func (r *reader) record(s *schemas.Schema, n *node) error {
	s.Kind = schemas.Struct
	r.cycles[n] = s
	if !r.discard && r.meta && n.doc != nil {
		setParameter(s, recordDoc, *n.doc)
	}
	for i := range n.fields {
		m := &n.fields[i]
		if !r.discard && r.meta && m.doc != nil {
			setParameter(s, fieldDoc+m.name, *m.doc)
		}
		f, err := r.field(m)
		if err != nil {
			return fmt.Errorf("field %s: %w", m.name, err)
		}
		s.Fields = append(s.Fields, schemas.Field{Name: m.name, Schema: f})
	}
	return nil
}

func (r *reader) field(m *member) (*schemas.Schema, error) {
	if r.cycles[m.node] != nil {
		return nil, errors.New("the record contains itself")
	}
	s, err := r.schema(m.node, false, m.def, m.doc)
	if err != nil || !r.meta {
		return s, err
	}
	for _, p := range m.props {
		if p.name != propParams {
			continue
		}
		params, err := readPairs(p.value)
		if err != nil {
			break
		}
		out := *s
		out.Parameters = append([]schemas.Parameter(nil), s.Parameters...)
		for _, q := range params {
			if v, ok := unquote(q.value); ok {
				setParameter(&out, q.name, v)
			}
		}
		return &out, nil
	}
	return s, nil
}

// below is schema for what lies in an array, a map or a union. A record inside of itself would be a schema without end.
func (r *reader) below(n *node, optional bool) (*schemas.Schema, error) {
	if r.cycles[n] != nil {
		return nil, fmt.Errorf("record %s contains itself, and such schemas are not supported", n.fullName())
	}
	return r.schema(n, optional, nil, nil)
}

func (r *reader) union(n *node, def []byte, doc *string) (*schemas.Schema, error) {
	if len(n.branches) == 1 && r.flatten {
		return r.schema(n.branches[0], false, nil, doc)
	}
	if other, at, null := n.sansNull(); len(n.branches) == 2 && null >= 0 && at >= 0 {
		if r.cycles[other] != nil {
			return nil, fmt.Errorf("record %s contains itself, and such schemas are not supported", other.fullName())
		}
		return r.schema(other, true, nil, doc)
	}
	s := &schemas.Schema{Kind: schemas.Struct, Name: avroUnion}
	if r.general {
		s.Name = unionPrefix + strconv.Itoa(r.unions)
		r.unions++
		setParameter(s, generalUnion, s.Name)
	}
	for i, b := range n.branches {
		if b.kind == kNull {
			s.Optional = true
			continue
		}
		name := r.memberName(b, i)
		if s.Field(name) >= 0 {
			return nil, errors.New("Multiple union schemas map to the Connect union field name") //nolint:staticcheck // the reference's text
		}
		f, err := r.below(b, true)
		if err != nil {
			return nil, err
		}
		s.Fields = append(s.Fields, schemas.Field{Name: name, Schema: f})
	}
	if def != nil && r.meta && !r.discard { // the default itself is left out: which of the types it is of is not said
		setParameter(s, fieldDefault, "true")
	}
	return s, nil
}

func (o options) memberName(n *node, index int) string {
	switch {
	case o.general:
		return unionPrefix + "field_" + strconv.Itoa(index)
	case n.named() && o.enhanced:
		return n.fullName()
	case n.named():
		return n.name
	}
	return kindNames[n.kind]
}

func (r *reader) document(s *schemas.Schema, n *node, doc *string) {
	if !r.discard {
		if text := n.text(propDoc); r.meta && text != "" {
			s.Doc = text
		}
		return
	}
	switch {
	case doc != nil:
		s.Doc = *doc
	case n.doc != nil:
		s.Doc = *n.doc
	default:
		s.Doc = n.text(propDoc)
	}
	if r.meta && n.doc != nil {
		setParameter(s, propRecordDoc, *n.doc)
	}
}

func (r *reader) annotations(s *schemas.Schema, n *node) error {
	if v := n.prop(propVersion); v != nil {
		version, err := strconv.ParseInt(string(v), 10, 32)
		if err != nil {
			return fmt.Errorf("Invalid Connect version found: %.40s", v) //nolint:staticcheck // the reference's text
		}
		if s.Version != 0 && int64(s.Version) != version {
			return fmt.Errorf("version %d of the Avro schema differs from %d, which its logical type has", version, s.Version)
		}
		s.Version = int32(version)
	}
	if text := n.prop(propParams); r.meta && text != nil {
		params, err := readPairs(text)
		if err != nil {
			return errors.New("the parameters of the Avro schema are no JSON object")
		}
		for _, p := range params {
			v, ok := unquote(p.value)
			if !ok {
				return errors.New("a parameter of the Avro schema is not a text")
			}
			setParameter(s, p.name, v)
		}
	}
	for _, p := range n.props {
		if strings.HasPrefix(p.name, "avro") {
			v, ok := unquote(p.value)
			if !ok {
				v = string(p.value)
			}
			setParameter(s, p.name, v)
		}
	}
	return nil
}

func (r *reader) name(s *schemas.Schema, n *node) error {
	name := ""
	if text := n.prop(propName); text != nil {
		var ok bool
		if name, ok = unquote(text); !ok {
			return fmt.Errorf("Invalid schema name: %.40s", text) //nolint:staticcheck // the reference's text
		}
	} else if n.kind == kRecord || n.kind == kEnum || n.kind == kFixed && s.Name != changes.NameConnectDecimal {
		name = n.fullName()
	}
	if name == "" || strings.HasPrefix(name, namespace+"."+defaultName) {
		return nil
	}
	if s.Name != "" && s.Name != name {
		return fmt.Errorf("name %s of the Avro schema differs from %s, which its logical type has", name, s.Name)
	}
	s.Name = name
	return nil
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

// defaultOf reads a default in Avro's JSON.
func (r *reader) defaultOf(n *node, s *schemas.Schema, text []byte) (schemas.Value, error) {
	if string(text) == "null" {
		return nil, nil
	}
	var err error
	switch n.kind {
	case kUnion:
		if other, at, null := n.sansNull(); other != nil && at >= 0 && (null >= 0 || len(n.branches) == 1) {
			return r.defaultOf(other, s, text)
		}
		return nil, errors.New("a default of a union")
	case kBoolean:
		var v bool
		err = json.Unmarshal(text, &v)
		return v, err
	case kInt, kLong:
		return integerOf(s.Kind, text)
	case kFloat:
		var v float64
		err = json.Unmarshal(text, &v)
		return float32(v), err
	case kDouble:
		var v float64
		err = json.Unmarshal(text, &v)
		return v, err
	case kString, kEnum, kBytes, kFixed:
		v, ok := unquote(text)
		if !ok {
			return nil, errors.New("a text is expected")
		}
		if n.kind == kString || n.kind == kEnum {
			return v, nil
		}
		b, ok := fromLatin1(v)
		if !ok {
			return nil, errors.New("bytes are expected")
		}
		return b, nil
	case kArray:
		return r.defaultArray(n, s, text)
	}
	return r.defaultObject(n, s, text)
}

func integerOf(k schemas.Kind, text []byte) (schemas.Value, error) {
	bits := map[schemas.Kind]int{schemas.Int8: 8, schemas.Int16: 16, schemas.Int32: 32, schemas.Int64: 64}[k]
	v, err := strconv.ParseInt(string(text), 10, bits)
	switch k {
	case schemas.Int8:
		return int8(v), err
	case schemas.Int16:
		return int16(v), err
	case schemas.Int32:
		return int32(v), err
	}
	return v, err
}

func (r *reader) defaultArray(n *node, s *schemas.Schema, text []byte) (schemas.Value, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil || s.Kind != schemas.Array {
		return nil, errors.Join(err, errors.New("an array is expected"))
	}
	out := make(schemas.ArrayValue, len(parts))
	for i, part := range parts {
		var err error
		if out[i], err = r.defaultOf(n.elem, s.Elem, part); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *reader) defaultObject(n *node, s *schemas.Schema, text []byte) (schemas.Value, error) {
	o, err := readPairs(text)
	if err != nil {
		return nil, err
	}
	if n.kind == kMap {
		out := make(schemas.MapValue, len(o))
		for i, m := range o {
			out[i].Key = m.name
			if out[i].Value, err = r.defaultOf(n.elem, s.Elem, m.value); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if n.kind != kRecord || s.Kind != schemas.Struct {
		return nil, errors.New("no default of this type")
	}
	out := make(schemas.StructValue, len(s.Fields))
	for i := range n.fields {
		m := &n.fields[i]
		v := o.get(m.name)
		if v == nil {
			v = m.def
		}
		if v == nil {
			return nil, fmt.Errorf("field %s has no default", m.name)
		}
		if out[i], err = r.defaultOf(m.node, s.Fields[i].Schema, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}
