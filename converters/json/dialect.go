package json

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// Dialect is JSON without schemas as Confluent's JsonSchemaConverter writes and reads it: a union is written as its member, a map whose
// keys are no texts as an array of {"key":…,"value":…}, and a required field without a value is left out of its struct.
type Dialect struct {
	Numeric     bool // decimal.format=NUMERIC
	NullDefault bool // write the default of a schema for null
	Union       func(*schemas.Schema) bool
}

func (d Dialect) options() options {
	return options{numeric: d.Numeric, nullDefault: d.NullDefault, union: d.Union}
}

// Encoder writes the keys or values of a stream.
func (d Dialect) Encoder(s *connectors.Stream, key bool) (converters.Encoder, error) {
	c := converter{d.options(), key}
	return c.Encoder(s)
}

// Append writes a value; missing tells that it is null where nothing stands for null.
func (d Dialect) Append(dst []byte, t schemas.Typed) (out []byte, missing bool, err error) {
	o := d.options()
	if o.leftOut(t.Schema, t.Value) {
		return dst, true, nil
	}
	out, err = o.appendValue(dst, t.Schema, t.Value)
	return out, false, err
}

// Read reads a value. What its schema does not allow is an error.
func (d Dialect) Read(s *schemas.Schema, data []byte) (schemas.Value, error) {
	r := d.options().reader(data)
	v, err := r.value(s)
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := r.tokens.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read JSON: there is text behind the value")
	}
	return v, nil
}

func (o options) isUnion(s *schemas.Schema) bool { return o.union != nil && s != nil && o.union(s) }

// member is what is set of a union; nil when nothing is.
func (o options) member(s *schemas.Schema, v schemas.StructValue) (*schemas.Schema, schemas.Value) {
	for i, e := range v {
		if e == nil && o.nullDefault {
			e = s.Fields[i].Schema.Default
		}
		if e != nil {
			return s.Fields[i].Schema, e
		}
	}
	return nil, nil
}

func (o options) appendMember(dst []byte, s *schemas.Schema, v schemas.StructValue) ([]byte, error) {
	of, e := o.member(s, v)
	if e == nil {
		return o.appendNull(dst, s)
	}
	return o.appendValue(dst, of, e)
}

// leftOut tells that nothing is written of a field: in a dialect, a required one without value.
func (o options) leftOut(s *schemas.Schema, v schemas.Value) bool {
	if o.union == nil || s == nil {
		return false
	}
	if set, ok := v.(schemas.StructValue); ok && o.union(s) && len(set) == len(s.Fields) {
		of, e := o.member(s, set)
		if e != nil {
			return o.leftOut(of, e)
		}
		v = nil
	}
	return v == nil && !s.Optional && (s.Default == nil || !o.nullDefault)
}

// choose reads a union: the first member of a simple type that fits, else the struct of which most fields are there.
func (r *reader) choose(s *schemas.Schema) (schemas.Value, error) {
	var text json.RawMessage
	if err := r.tokens.Decode(&text); err != nil {
		return nil, err
	}
	if string(text) == "null" {
		return r.null(s)
	}
	at, most := -1, 0
	for i := range s.Fields {
		if fits(s.Fields[i].Schema, text) {
			at = i
			break
		}
		if n := r.alike(s.Fields[i].Schema, text); n > most {
			at, most = i, n
		}
	}
	if at < 0 {
		return nil, errors.New("Did not find matching oneof field for data") //nolint:staticcheck // the reference's text
	}
	below := r.options.reader(text)
	below.depth = r.depth
	out := make(schemas.StructValue, len(s.Fields))
	var err error
	out[at], err = below.value(s.Fields[at].Schema)
	return out, err
}

// fits tells whether a JSON value is of a simple type; a struct is none.
func fits(s *schemas.Schema, text []byte) bool {
	switch text[0] {
	case '{':
		return s.Kind == schemas.Map
	case '[':
		return s.Kind == schemas.Array || s.Kind == schemas.Map
	case '"':
		return s.Kind == schemas.String
	case 't', 'f':
		return s.Kind == schemas.Boolean
	}
	whole := !bytes.ContainsAny(text, ".eE")
	switch s.Kind {
	case schemas.Int8, schemas.Int16, schemas.Int32, schemas.Int64:
		return whole
	case schemas.Bytes:
		return !whole // a Decimal
	}
	return s.Kind == schemas.Float32 || s.Kind == schemas.Float64
}

// alike counts the members of a JSON object, and those within them, that a struct has.
func (r *reader) alike(s *schemas.Schema, text []byte) int {
	var members map[string]json.RawMessage
	if s.Kind != schemas.Struct || text[0] != '{' || json.Unmarshal(text, &members) != nil {
		return 0
	}
	n := 0
	for i := range s.Fields {
		if m, ok := members[s.Fields[i].Name]; ok {
			n += 1 + r.alike(s.Fields[i].Schema, m)
		}
	}
	return n
}
