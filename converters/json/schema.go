package json

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/schemas"
)

// ParseSchema reads a schema as this converter writes it, members in any order.
func ParseSchema(text []byte) (*schemas.Schema, error) {
	s, _, err := parseSchema(text)
	return s, err
}

type schemaJSON struct {
	Type       string            `json:"type"`
	Items      json.RawMessage   `json:"items"`
	Keys       json.RawMessage   `json:"keys"`
	Values     json.RawMessage   `json:"values"`
	Fields     []json.RawMessage `json:"fields"`
	Optional   bool              `json:"optional"`
	Name       string            `json:"name"`
	Version    int32             `json:"version"`
	Doc        string            `json:"doc"`
	Parameters json.RawMessage   `json:"parameters"`
	Default    json.RawMessage   `json:"default"`
	Field      string            `json:"field"`
}

func parseSchema(text []byte) (*schemas.Schema, string, error) {
	var j schemaJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, "", fmt.Errorf("parse schema: %w", err)
	}
	s := &schemas.Schema{Optional: j.Optional, Name: j.Name, Version: j.Version, Doc: j.Doc}
	for k := schemas.Int8; k <= schemas.Struct; k++ {
		if k.String() == j.Type {
			s.Kind = k
		}
	}
	var err error
	switch s.Kind {
	case 0:
		return nil, "", fmt.Errorf("parse schema: type %q is unknown", j.Type)
	case schemas.Array:
		s.Elem, err = ParseSchema(j.Items)
	case schemas.Map:
		if s.Key, err = ParseSchema(j.Keys); err == nil {
			s.Elem, err = ParseSchema(j.Values)
		}
	case schemas.Struct:
		for _, f := range j.Fields {
			var member schemas.Field
			if member.Schema, member.Name, err = parseSchema(f); err != nil {
				return nil, "", err
			}
			s.Fields = append(s.Fields, member)
		}
	}
	if err != nil {
		return nil, "", err
	}
	if s.Parameters, err = parseParameters(j.Parameters); err != nil {
		return nil, "", err
	}
	if len(j.Default) > 0 && !bytes.Equal(j.Default, []byte("null")) {
		if s.Default, err = parseValue(s, j.Default); err != nil {
			return nil, "", fmt.Errorf("parse default of field %s: %w", j.Field, err)
		}
	}
	return s, j.Field, nil
}

func parseParameters(text []byte) ([]schemas.Parameter, error) {
	if len(text) == 0 || bytes.Equal(text, []byte("null")) {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("parse schema parameters: %w", err)
	}
	var out []schemas.Parameter
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("parse schema parameters: %w", err)
		}
		var value string
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("parse schema parameter %v: %w", name, err)
		}
		out = append(out, schemas.Parameter{Name: fmt.Sprint(name), Value: value})
	}
	return out, nil
}

// parseValue reads a value of a schema that is neither a struct nor a map: what defaults are.
func parseValue(s *schemas.Schema, text []byte) (schemas.Value, error) {
	bits := map[schemas.Kind]int{schemas.Int8: 8, schemas.Int16: 16, schemas.Int32: 32, schemas.Int64: 64}[s.Kind]
	if bits > 0 {
		v, err := strconv.ParseInt(string(text), 10, bits)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", s.Kind, err)
		}
		return map[int]schemas.Value{8: int8(v), 16: int16(v), 32: int32(v), 64: v}[bits], nil
	}
	switch s.Kind {
	case schemas.Float32, schemas.Float64:
		return parseFloat(s.Kind, text)
	case schemas.Boolean:
		var v bool
		err := json.Unmarshal(text, &v)
		return v, err
	case schemas.String:
		var v string
		err := json.Unmarshal(text, &v)
		return v, err
	case schemas.Bytes:
		var v []byte
		err := json.Unmarshal(text, &v)
		return v, err
	case schemas.Array:
		var items []json.RawMessage
		if err := json.Unmarshal(text, &items); err != nil {
			return nil, fmt.Errorf("parse array: %w", err)
		}
		out := schemas.ArrayValue{}
		for _, item := range items {
			v, err := parseValue(s.Elem, item)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a value of type %s is not read yet", s.Kind)
}

func parseFloat(k schemas.Kind, text []byte) (schemas.Value, error) {
	v, err := strconv.ParseFloat(string(bytes.Trim(text, `"`)), 64)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", k, err)
	}
	if k == schemas.Float32 {
		return float32(v), nil
	}
	return v, nil
}
