package json

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

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
		if j.Type == "" {
			return nil, "", errors.New("Schema must contain 'type' field") //nolint:staticcheck // the reference's text
		}
		return nil, "", fmt.Errorf("Unknown schema type: %s", j.Type) //nolint:staticcheck // the reference's text
	case schemas.Array:
		if len(j.Items) == 0 {
			return nil, "", errors.New("Array schema did not specify the element type") //nolint:staticcheck // the reference's text
		}
		s.Elem, err = ParseSchema(j.Items)
	case schemas.Map:
		if len(j.Keys) == 0 || len(j.Values) == 0 {
			return nil, "", errors.New("Map schema did not specify the type of its keys or values")
		}
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
		if s.Default, err = (options{}).reader(j.Default).value(s); err != nil {
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
