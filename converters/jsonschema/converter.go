package jsonschema

import (
	"context"
	"fmt"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/converters/registry"
	"github.com/freshet-io/freshet/schemas"
)

type converter struct {
	options
	registry *registry.Registry
	key      bool
}

// New makes the converter from its own keys (without the key.converter. or value.converter. prefix).
func New(c connectors.Config, key bool) (converters.Converter, error) {
	o, r, err := read(c)
	if err != nil {
		return nil, err
	}
	return &converter{o, r, key}, nil
}

// Within implements converters.Waiter.
func (c *converter) Within(ctx context.Context) { c.registry.Within(ctx) }

// Encoder returns the encoder of a stream. It asks the registry when it meets its first record.
func (c *converter) Encoder(s *connectors.Stream) (converters.Encoder, error) {
	e := &encoder{converter: c, topic: s.Topic, values: c.writing()}
	switch {
	case c.key && s.Key != nil && len(s.KeyFields) > 0:
		e.schema = s.Key
	case !c.key && (changes.IsEnvelope(s) || s.Value != nil && s.Value == s.Row):
		e.schema = s.Value
	}
	var err error
	e.changes, err = e.values.Encoder(s, c.key)
	return e, err
}

// encoder writes the keys or values of one stream: the id of their schema, then their JSON.
type encoder struct {
	*converter
	topic   string
	schema  *schemas.Schema    // of changes; nil: they have none
	changes converters.Encoder // their JSON
	values  json.Dialect       // that of materialised records

	prefix []byte                                   // of a change; nil: not asked for yet
	bodies registry.Recent[*schemas.Schema, []byte] // prefixes of materialised records
}

// Append implements converters.Encoder.
func (e *encoder) Append(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, bool, error) {
	if r.Value != 0 {
		body := &b.Bodies[r.Value-1]
		if e.key {
			return e.typed(dst, body.Key)
		}
		return e.typed(dst, body.Value)
	}
	start := len(dst)
	out, null, err := e.changes.Append(append(dst, e.prefix...), b, r)
	if err != nil || null {
		return out[:start], null, err
	}
	if e.prefix != nil {
		return out, false, nil
	}
	if e.prefix, err = e.register(e.schema); err != nil {
		return out[:start], false, err
	}
	out, _, err = e.changes.Append(append(out[:start], e.prefix...), b, r)
	return out, false, err
}

// register returns what comes before messages of a schema.
func (e *encoder) register(s *schemas.Schema) ([]byte, error) {
	text, title, err := e.fromConnect(s)
	if err != nil {
		return nil, fmt.Errorf("make the JSON Schema of topic %s: %w", e.topic, err)
	}
	subject, err := e.registry.Subject(e.topic, title, e.key)
	if err != nil {
		return nil, err
	}
	own := registry.Schema{Type: registry.JSON, Text: text}
	found, err := e.registry.ID(subject, own, func(newest registry.Schema) error { return e.reads(newest, own) })
	if err != nil {
		return nil, err
	}
	return registry.AppendPrefix(nil, found.ID), nil
}

// typed writes a materialised value.
func (e *encoder) typed(dst []byte, t schemas.Typed) ([]byte, bool, error) {
	if t.Schema == nil {
		if t.Value == nil {
			return dst, true, nil
		}
		return dst, false, fmt.Errorf("write a record of topic %s: it has no schema, and a JSON Schema is made from one", e.topic)
	}
	prefix, known := e.bodies.Find(t.Schema)
	if !known {
		var err error
		if prefix, err = e.register(t.Schema); err != nil {
			return dst, false, err
		}
		e.bodies.Add(t.Schema, prefix)
	}
	out, missing, err := e.values.Append(append(dst, prefix...), t)
	if err != nil || missing {
		return out[:len(dst)], missing, err
	}
	return out, false, nil
}
