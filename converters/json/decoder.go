package json

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// errEnvelope is the reference's text.
var errEnvelope = errors.New("JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional fields. " +
	"If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.")

// maxDepth bounds how deep values nest.
const maxDepth = 1000

// decoder reads messages. Those of a topic have few schemas, so each is parsed once.
type decoder struct {
	options
	known map[string]*schemas.Schema
	room  int             // schemas that are kept
	text  []byte          // of the schema read last
	last  *schemas.Schema // the same, parsed
}

// NewDecoder makes the decoder from the converter's keys.
func NewDecoder(c connectors.Config) (converters.Decoder, error) {
	made, err := New(c, false)
	if err != nil {
		return nil, err
	}
	return &decoder{options: made.(*converter).options, known: map[string]*schemas.Schema{}, room: int(config().Values(c).Int("schemas.cache.size"))}, nil
}

// Decode implements converters.Decoder.
func (d *decoder) Decode(data []byte) (schemas.Typed, error) {
	if data == nil {
		return schemas.Typed{}, nil
	}
	var schema *schemas.Schema
	payload := data
	if d.options.schemas {
		var err error
		if schema, payload, err = d.envelope(data); err != nil {
			return schemas.Typed{}, err
		}
	}
	r := d.reader(payload)
	v, err := r.value(schema)
	if err != nil {
		if !d.options.schemas && errors.Is(err, io.EOF) && len(bytes.TrimSpace(payload)) == 0 {
			return schemas.Typed{}, nil // an empty message has no value
		}
		return schemas.Typed{}, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := r.tokens.Token(); !errors.Is(err, io.EOF) {
		return schemas.Typed{}, errors.New("read JSON: there is text behind the value")
	}
	return schemas.Typed{Schema: schema, Value: v}, nil
}

// envelope takes a message with its schema apart.
func (d *decoder) envelope(data []byte) (*schemas.Schema, []byte, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			return nil, nil, errEnvelope
		}
		return nil, nil, fmt.Errorf("read JSON: %w", err)
	}
	text, one := parts["schema"]
	payload, two := parts["payload"]
	if !one || !two || len(parts) != 2 {
		return nil, nil, errEnvelope
	}
	if string(text) == "null" {
		return nil, payload, nil
	}
	if d.last != nil && bytes.Equal(text, d.text) {
		return d.last, payload, nil
	}
	s := d.known[string(text)]
	if s == nil {
		var err error
		if s, err = ParseSchema(text); err != nil {
			return nil, nil, err
		}
		if len(d.known) >= d.room {
			clear(d.known)
		}
		d.known[string(text)] = s
	}
	d.text, d.last = append(d.text[:0], text...), s
	return s, payload, nil
}

// reader makes values of JSON. What a schema does not allow is an error.
type reader struct {
	options
	tokens *json.Decoder
	depth  int
}

func (o options) reader(text []byte) *reader {
	r := &reader{options: o, tokens: json.NewDecoder(bytes.NewReader(text))}
	r.tokens.UseNumber()
	return r
}

// value reads the next value; s nil: of any type.
func (r *reader) value(s *schemas.Schema) (schemas.Value, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	defer func() { r.depth-- }()
	if r.isUnion(s) {
		return r.choose(s)
	}
	t, err := r.tokens.Token()
	if err != nil {
		return nil, err
	}
	switch {
	case t == nil:
		return r.null(s)
	case s == nil:
		return r.plain(t)
	}
	switch v := t.(type) {
	case json.Delim:
		return r.nested(s, v)
	case json.Number:
		return number(s, string(v))
	case bool:
		if s.Kind == schemas.Boolean {
			return v, nil
		}
	case string:
		return textual(s, v)
	}
	return nil, mismatch(s, t)
}

func (r *reader) null(s *schemas.Schema) (schemas.Value, error) {
	switch {
	case s == nil || s.Default == nil && s.Optional:
		return nil, nil
	case s.Default != nil && r.nullDefault:
		return s.Default, nil
	case s.Optional:
		return nil, nil
	}
	return nil, fmt.Errorf("Invalid null value for required %s field", strings.ToUpper(s.Kind.String())) //nolint:staticcheck // the reference's text
}

// plain reads a value without schema: numbers become int64 or float64, objects maps.
func (r *reader) plain(t json.Token) (schemas.Value, error) {
	switch v := t.(type) {
	case json.Delim:
		if v == '[' {
			return r.array(nil)
		}
		return r.object(nil)
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			return parseInteger(&schemas.Schema{Kind: schemas.Int64}, string(v))
		}
		return strconv.ParseFloat(string(v), 64)
	}
	return t, nil // bool, string
}

func (r *reader) nested(s *schemas.Schema, start json.Delim) (schemas.Value, error) {
	switch {
	case s.Kind == schemas.Array && start == '[':
		return r.array(s.Elem)
	case s.Kind == schemas.Map && start == '{':
		return r.object(s)
	case s.Kind == schemas.Map && start == '[':
		return r.pairs(s)
	case s.Kind == schemas.Struct && start == '{':
		return r.structure(s)
	}
	return nil, mismatch(s, start)
}

func (r *reader) array(elem *schemas.Schema) (schemas.Value, error) {
	out := schemas.ArrayValue{}
	for r.tokens.More() {
		v, err := r.value(elem)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := r.tokens.Token()
	return out, err
}

// object reads a map whose keys are texts; s nil: of any values.
func (r *reader) object(s *schemas.Schema) (schemas.Value, error) {
	var elem *schemas.Schema
	if s != nil {
		if elem = s.Elem; s.Key.Kind != schemas.String || r.union != nil && s.Key.Optional {
			return nil, errors.New("Maps with non-string fields should be encoded as JSON arrays of tuples, but found OBJECT") //nolint:staticcheck // the reference's text
		}
	}
	out := schemas.MapValue{}
	for r.tokens.More() {
		name, err := r.tokens.Token()
		if err != nil {
			return nil, err
		}
		v, err := r.value(elem)
		if err != nil {
			return nil, fmt.Errorf("key %v: %w", name, err)
		}
		out = append(out, schemas.MapEntry{Key: name, Value: v})
	}
	_, err := r.tokens.Token()
	return out, err
}

// pairs reads a map that is written as [[key,value],…].
func (r *reader) pairs(s *schemas.Schema) (schemas.Value, error) {
	out := schemas.MapValue{}
	for r.tokens.More() {
		if r.union != nil {
			e, err := r.entry(s)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
			continue
		}
		if t, err := r.tokens.Token(); err != nil || t != json.Delim('[') {
			return nil, errors.Join(err, fmt.Errorf("Found invalid map entry instead of array tuple: %v", t)) //nolint:staticcheck // the reference's text
		}
		var e schemas.MapEntry
		var err error
		if e.Key, err = r.value(s.Key); err != nil {
			return nil, err
		}
		if e.Value, err = r.value(s.Elem); err != nil {
			return nil, err
		}
		if t, err := r.tokens.Token(); err != nil || t != json.Delim(']') {
			return nil, errors.Join(err, errors.New("Found invalid map entry, expected length 2")) //nolint:staticcheck // the reference's text
		}
		out = append(out, e)
	}
	_, err := r.tokens.Token()
	return out, err
}

// entry reads an element of a map that a dialect writes as [{"key":…,"value":…},…].
func (r *reader) entry(s *schemas.Schema) (e schemas.MapEntry, err error) {
	both := schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "key", Schema: s.Key}, {Name: "value", Schema: s.Elem}}}
	v, err := r.value(&both)
	if err != nil {
		return e, fmt.Errorf("entry of a map: %w", err)
	}
	parts, ok := v.(schemas.StructValue)
	if !ok || parts[0] == nil && !s.Key.Optional {
		return e, errors.New("Found invalid map entry instead of object") //nolint:staticcheck // the reference's text
	}
	return schemas.MapEntry{Key: parts[0], Value: parts[1]}, nil
}

// structure reads the fields of a struct; what the schema does not name is left out.
func (r *reader) structure(s *schemas.Schema) (schemas.Value, error) {
	out := make(schemas.StructValue, len(s.Fields))
	seen := make([]bool, len(s.Fields))
	for r.tokens.More() {
		name, err := r.tokens.Token()
		if err != nil {
			return nil, err
		}
		i := s.Field(name.(string))
		if i < 0 {
			if err := r.skip(); err != nil {
				return nil, err
			}
			continue
		}
		if out[i], err = r.value(s.Fields[i].Schema); err != nil {
			return nil, fmt.Errorf("field %s: %w", s.Fields[i].Name, err)
		}
		seen[i] = true
	}
	for i, there := range seen {
		if there || r.union != nil && r.depth == 1 && s.Fields[i].Schema.Default == nil { // the reference checks what lies in a struct only
			continue
		}
		var err error
		if out[i], err = r.null(s.Fields[i].Schema); err != nil {
			return nil, fmt.Errorf("field %s: %w", s.Fields[i].Name, err)
		}
	}
	_, err := r.tokens.Token()
	return out, err
}

func (r *reader) skip() error {
	var ignored json.RawMessage
	return r.tokens.Decode(&ignored)
}

func number(s *schemas.Schema, text string) (schemas.Value, error) {
	switch s.Kind {
	case schemas.Int8, schemas.Int16, schemas.Int32, schemas.Int64:
		return parseInteger(s, text)
	case schemas.Float32, schemas.Float64:
		return parseFloat(s.Kind, text)
	case schemas.Bytes:
		if s.Name == changes.NameConnectDecimal {
			return unscaled(s, text)
		}
	}
	return nil, mismatch(s, json.Number(text))
}

func textual(s *schemas.Schema, text string) (schemas.Value, error) {
	switch s.Kind {
	case schemas.String:
		return text, nil
	case schemas.Bytes:
		v, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("Invalid bytes field") //nolint:staticcheck // the reference's text
		}
		return v, nil
	case schemas.Float32, schemas.Float64:
		switch text {
		case "NaN", "Infinity", "-Infinity":
			return parseFloat(s.Kind, text)
		}
	}
	return nil, mismatch(s, text)
}

// parseInteger also reads a number with a fraction of zeros, or an exponent.
func parseInteger(s *schemas.Schema, text string) (schemas.Value, error) {
	bits := map[schemas.Kind]int{schemas.Int8: 8, schemas.Int16: 16, schemas.Int32: 32, schemas.Int64: 64}[s.Kind]
	v, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
		if !strings.ContainsAny(text, ".eE") || ferr != nil || f != math.Trunc(f) || math.Abs(f) >= math.Exp2(float64(min(bits-1, 53))) {
			return nil, fmt.Errorf("the number %.40s is no %s", text, s.Kind)
		}
		v = int64(f)
	}
	switch s.Kind {
	case schemas.Int8:
		return int8(v), nil
	case schemas.Int16:
		return int16(v), nil
	case schemas.Int32:
		return int32(v), nil
	}
	return v, nil
}

func parseFloat(k schemas.Kind, text string) (schemas.Value, error) {
	bits := 64
	if k == schemas.Float32 {
		bits = 32
	}
	v, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return nil, fmt.Errorf("the number %.40s is no %s", text, k)
	}
	if k == schemas.Float32 {
		return float32(v), nil
	}
	return v, nil
}

// mismatch names types and no value: it may be secret.
func mismatch(s *schemas.Schema, t json.Token) error {
	found := map[bool]string{true: "an array", false: "an object"}[t == json.Delim('[')]
	switch t.(type) {
	case json.Number:
		found = "a number"
	case string:
		found = "a text"
	case bool:
		found = "a boolean"
	}
	return fmt.Errorf("the schema says %s, but there is %s", s.Kind, found)
}

// unscaled reads a Decimal that is written as a number (decimal.format=NUMERIC).
func unscaled(s *schemas.Schema, text string) (schemas.Value, error) {
	_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if n, err := strconv.Atoi(cmp.Or(exponent, "0")); err != nil || n < -maxScale || n > maxScale {
		return nil, fmt.Errorf("the number %.40s is no Decimal", text)
	}
	v, ok := new(big.Rat).SetString(text)
	scale := scaleOf(s)
	if !ok || scale < -maxScale || scale > maxScale {
		return nil, fmt.Errorf("the number %.40s is no Decimal of scale %d", text, scale)
	}
	ten := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, -scale))), nil))
	if scale < 0 {
		v.Quo(v, ten)
	} else {
		v.Mul(v, ten)
	}
	if !v.IsInt() {
		return nil, fmt.Errorf("the number %.40s has more digits than a Decimal of scale %d", text, scale)
	}
	out, _ := changes.AppendUnscaled(nil, []byte(v.Num().String()), 0) // an integer always has one
	return out, nil
}

// maxScale bounds exponents, so that no short text becomes a large number.
const maxScale = 10_000
