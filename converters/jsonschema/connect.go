package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/schemas"
)

// reader makes Connect schemas of JSON Schemas, as the reference does.
type reader struct {
	options
	within map[*node]bool // schemas that are being made
	unions int
	made   int
}

// toConnect is the Connect schema of n; version is that of the registry, 0 for none.
func (o options) toConnect(n *node, version int) (*schemas.Schema, error) {
	r := &reader{options: o, within: map[*node]bool{}}
	return r.schema(n, version, false)
}

func unsupported(n *node) error {
	return fmt.Errorf("a schema of type %s has no type in Connect", kindNames[n.kind])
}

func (r *reader) schema(n *node, version int, optional bool) (*schemas.Schema, error) {
	if r.made++; r.made > maxNodes {
		return nil, fmt.Errorf("it has more than %d schemas", maxNodes)
	}
	if r.within[n] {
		return nil, errors.New("it contains itself, which is not supported")
	}
	r.within[n] = true
	defer delete(r.within, n)

	s := &schemas.Schema{Optional: optional}
	switch n.kind {
	case kRef:
		return r.schema(n.to, version, optional)
	case kAll:
		return r.all(n, version, optional)
	case kOne:
		if single, ok, err := r.single(n, version); ok || err != nil {
			return single, err
		}
		if err := r.union(s, n); err != nil {
			return nil, err
		}
	default:
		if err := r.physical(s, n); err != nil {
			return nil, err
		}
	}
	if s.Name == "" {
		s.Name = n.title
	}
	s.Doc, s.Version = n.doc, int32(n.version)
	if s.Version == 0 {
		s.Version = int32(version)
	}
	s.Parameters = append(s.Parameters, n.params...)
	if n.hasDef {
		text, err := appendTree(nil, n.def, false)
		if err == nil {
			if v, err := reading().Read(s, text); err == nil { // else it is left out: no value stands for it
				s.Default = v
			}
		}
	}
	return s, nil
}

func (r *reader) physical(s *schemas.Schema, n *node) error {
	var err error
	switch n.kind {
	case kBoolean:
		s.Kind = schemas.Boolean
	case kInteger, kNumber:
		return number(s, n)
	case kString:
		s.Kind = schemas.String
		if n.typ == "bytes" {
			s.Kind = schemas.Bytes
		}
	case kEnum:
		s.Kind = schemas.String
		return r.enum(s, n)
	case kArray:
		return r.array(s, n)
	case kObject:
		if n.typ == "map" {
			if n.extra == nil {
				return errors.New("a map says nothing of its values")
			}
			s.Kind, s.Key = schemas.Map, &schemas.Schema{Kind: schemas.String}
			s.Elem, err = r.schema(n.extra, 0, false)
			return err
		}
		return r.structure(s, n)
	case kAny:
		return errors.New("it allows values of any type, which is not supported: say its type")
	default:
		return unsupported(n)
	}
	return nil
}

func number(s *schemas.Schema, n *node) error {
	switch n.typ {
	case "":
		s.Kind = schemas.Float64
		if n.kind == kInteger {
			s.Kind = schemas.Int64
		}
		return nil
	case "float32":
		s.Kind = schemas.Float32
	case "float64":
		s.Kind = schemas.Float64
	case "bytes":
		s.Kind = schemas.Bytes // a Decimal
	default:
		for k := schemas.Int8; k <= schemas.Int64; k++ {
			if k.String() == n.typ {
				s.Kind = k
				return nil
			}
		}
		return fmt.Errorf("Unsupported type %s", n.typ) //nolint:staticcheck // the reference's text
	}
	return nil
}

func (r *reader) enum(s *schemas.Schema, n *node) error {
	param := jsonEnum
	if r.general {
		param = generalEnum
	}
	s.Parameters = append(s.Parameters, schemas.Parameter{Name: param})
	for i, v := range n.symbols {
		symbol := nullSymbol
		switch v := v.(type) {
		case nil:
		case string:
			symbol = v
		case json.Number:
			symbol = string(v)
		default:
			text, err := appendTree(nil, v, false)
			if err != nil {
				return err
			}
			symbol = string(text)
		}
		value := symbol
		if r.general {
			value = strconv.Itoa(i)
		}
		s.Parameters = append(s.Parameters, schemas.Parameter{Name: param + "." + symbol, Value: value})
	}
	return nil
}

func (r *reader) array(s *schemas.Schema, n *node) error {
	if n.items == nil {
		return errors.New("Array schema did not specify the items type") //nolint:staticcheck // the reference's text
	}
	var err error
	if n.typ != "map" || n.items.kind != kObject {
		s.Kind = schemas.Array
		s.Elem, err = r.schema(n.items, 0, false)
		return err
	}
	s.Kind = schemas.Map
	for _, f := range n.items.fields {
		switch f.name {
		case "key":
			s.Key, err = r.schema(f.node, 0, false)
		case "value":
			s.Elem, err = r.schema(f.node, 0, false)
		}
		if err != nil {
			return fmt.Errorf("%s of a map: %w", f.name, err)
		}
	}
	if s.Key == nil || s.Elem == nil {
		return errors.New("a map says nothing of its keys or values")
	}
	return nil
}

// structure orders the fields by connect.index; one without is at the place of its turn, as in the reference, unless that is taken.
func (r *reader) structure(s *schemas.Schema, n *node) error {
	s.Kind = schemas.Struct
	at := map[int]int{} // places of fields
	last := -1
	for i, f := range n.fields {
		place := f.node.index
		if place < 0 {
			place = len(at)
		}
		for _, taken := at[place]; taken; _, taken = at[place] {
			place++
		}
		at[place] = i
		last = max(last, place)
	}
	for place := 0; len(s.Fields) < len(n.fields) && place <= last; place++ {
		i, ok := at[place]
		if !ok {
			continue
		}
		if err := r.field(s, n.fields[i], !n.required[n.fields[i].name]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) field(s *schemas.Schema, f field, nonrequired bool) error {
	of, err := r.schema(f.node, 0, r.nonrequired && nonrequired)
	if err != nil {
		return fmt.Errorf("field %s: %w", f.name, err)
	}
	s.Fields = append(s.Fields, schemas.Field{Name: f.name, Schema: of})
	return nil
}

// single is the type of a choice that leaves none: of one schema, or of one and null.
func (r *reader) single(n *node, version int) (*schemas.Schema, bool, error) {
	if len(n.parts) == 1 && r.flatten {
		s, err := r.schema(n.parts[0], 0, false)
		return s, true, err
	}
	if len(n.parts) == 2 {
		for i, part := range n.parts {
			if part.kind == kNull {
				r.unions++
				s, err := r.schema(n.parts[1-i], version, true)
				return s, true, err
			}
		}
	}
	return nil, false, nil
}

func (r *reader) union(s *schemas.Schema, n *node) error {
	s.Kind, s.Name = schemas.Struct, jsonUnion
	prefix := jsonUnion + ".field."
	if r.general {
		s.Name = unionPrefix + strconv.Itoa(r.unions)
		prefix = unionPrefix + "field_"
		s.Parameters = append(s.Parameters, schemas.Parameter{Name: generalUnion, Value: s.Name})
	}
	r.unions++
	for _, part := range n.parts {
		if part.kind == kNull {
			s.Optional = true
			continue
		}
		member, err := r.schema(part, 0, true)
		if err != nil {
			return fmt.Errorf("member %d of a choice: %w", len(s.Fields), err)
		}
		s.Fields = append(s.Fields, schemas.Field{Name: prefix + strconv.Itoa(len(s.Fields)), Schema: member})
	}
	return nil
}

// all is the type of schemas that hold together: a struct of all their properties, or what says most of a simple value.
func (r *reader) all(n *node, version int, optional bool) (*schemas.Schema, error) {
	c := collected{visited: map[*node]bool{}, at: map[string]int{}}
	var of [kOther + 1]*node
	var constant *node
	for _, part := range n.parts {
		of[part.kind] = part
		if part.constant {
			constant = part
		}
		c.collect(part)
	}
	text, whole := of[kString], of[kNumber]
	if whole == nil {
		whole = of[kInteger]
	}
	switch {
	case len(c.fields) > 0:
		s := &schemas.Schema{Kind: schemas.Struct, Optional: optional}
		for i, f := range c.fields {
			if err := r.field(s, f, !c.required[i]); err != nil {
				return nil, err
			}
		}
		return s, nil
	case of[kOne] != nil:
		return r.schema(of[kOne], version, optional)
	case of[kAll] != nil:
		return r.schema(of[kAll], version, optional)
	case constant != nil && text != nil:
		return r.schema(text, version, optional)
	case of[kEnum] != nil && text != nil:
		return r.schema(of[kEnum], version, optional)
	case of[kEnum] != nil && whole != nil:
		return r.schema(whole, version, optional)
	case text != nil && text.format && whole != nil:
		return r.schema(whole, version, optional)
	case text != nil && text.format:
		return r.schema(text, version, optional)
	case of[kRef] != nil:
		return r.schema(of[kRef].to, version, optional)
	}
	return nil, unsupported(n)
}

// collected are the properties of schemas that hold together.
type collected struct {
	visited  map[*node]bool
	fields   []field
	required []bool
	at       map[string]int
}

func (c *collected) collect(n *node) {
	if c.visited[n] {
		return
	}
	c.visited[n] = true
	switch n.kind {
	case kAll:
		for _, part := range n.parts {
			c.collect(part)
		}
	case kRef:
		c.collect(n.to)
	case kObject:
		for _, f := range n.fields {
			at, ok := c.at[f.name]
			if !ok {
				at = len(c.fields)
				c.at[f.name] = at
				c.fields = append(c.fields, f)
				c.required = append(c.required, false)
			}
			c.fields[at].node, c.required[at] = f.node, n.required[f.name]
		}
	}
}
