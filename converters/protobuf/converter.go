package protobuf

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
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
	e := &encoder{converter: c, topic: s.Topic, stream: s}
	switch {
	case c.key && s.Key != nil && len(s.KeyFields) > 0:
		e.schema, e.fields = s.Key, s.KeyFields
	case c.key:
	case changes.IsEnvelope(s):
		e.schema, e.fields, e.envelope = s.Value, s.Fields, true
	case s.Value != nil && s.Value == s.Row:
		e.schema, e.fields = s.Value, s.Fields
	}
	return e, nil
}

// encoder writes the keys or values of one stream.
type encoder struct {
	*converter
	topic    string
	stream   *connectors.Stream
	schema   *schemas.Schema // of changes; nil: it has none
	fields   []connectors.Field
	envelope bool

	ready  bool
	prefix []byte // of a change
	rows   row
	frame  frame
	bodies registry.Recent[*schemas.Schema, *format] // of materialised records
}

// format is a schema as it is registered.
type format struct {
	message *message
	prefix  []byte
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
	from := r.After
	if e.key {
		from = r.Key
	}
	if e.schema == nil || r.Op == connectors.OpTombstone && !e.key || !e.envelope && from.Absent() {
		return dst, true, nil
	}
	if !e.ready {
		if err := e.prepare(); err != nil {
			return dst, false, err
		}
	}
	dst = append(dst, e.prefix...)
	var err error
	if e.envelope {
		dst, err = e.change(dst, b, r)
	} else {
		dst, err = e.rows.append(dst, b, from)
	}
	return dst, false, err
}

// prepare registers the schema of changes and compiles how they are written.
func (e *encoder) prepare() error {
	f, err := e.format(e.schema)
	if err != nil {
		return err
	}
	e.prefix = f.prefix
	if e.envelope {
		err = e.compileEnvelope(f.message)
	} else {
		err = e.rows.compile(f.message, e.fields, writer{e.options})
	}
	e.ready = err == nil
	return err
}

// format finds the registered schema of a Connect schema. As in the reference, records are written by the schema that is made here,
// also when use.latest.version gives them the id of another one, which reads them.
func (e *encoder) format(s *schemas.Schema) (*format, error) {
	made, err := e.fromConnect(s)
	if err != nil {
		return nil, fmt.Errorf("make the Protobuf schema of topic %s: %w", e.topic, err)
	}
	subject, err := e.registry.Subject(e.topic, made.record(), e.key)
	if err != nil {
		return nil, err
	}
	own := registry.Schema{Type: registry.Protobuf, Text: made.String()}
	found, err := e.registry.ID(subject, own, func(newest registry.Schema) error { return e.reads(newest, made) })
	if err != nil {
		return nil, err
	}
	indexes := made.indexes()
	if found.Text != own.Text {
		p, err := e.parsed(found)
		if err != nil {
			return nil, err
		}
		if indexes = p.indexes(made.record()); len(indexes) == 0 {
			return nil, fmt.Errorf("use the newest version of subject %s: it has no message %s", subject, made.record())
		}
	}
	return &format{made.message, appendIndexes(registry.AppendPrefix(nil, found.ID), indexes)}, nil
}

func (e *encoder) parsed(s registry.Schema) (*parsed, error) {
	used, err := e.registry.Referred(s)
	if err != nil {
		return nil, err
	}
	return parse(s.Text, used)
}

// reads tells what keeps a registered schema from reading what another one writes.
func (e *encoder) reads(registered registry.Schema, own *file) error {
	p, err := e.parsed(registered)
	if err != nil {
		return err
	}
	indexes := p.indexes(own.record())
	if len(indexes) == 0 {
		return fmt.Errorf("it has no message %s", own.record())
	}
	m, err := p.at(indexes)
	if err != nil {
		return err
	}
	return compatible(m, own.message, map[[2]*message]bool{})
}

// appendIndexes writes the place of a message in its file; a single zero stands for the first one.
func appendIndexes(dst []byte, indexes []int64) []byte {
	if len(indexes) == 1 && indexes[0] == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(len(indexes)))
	for _, i := range indexes {
		dst = binary.AppendVarint(dst, i)
	}
	return dst
}

// typed writes a materialised value.
func (e *encoder) typed(dst []byte, t schemas.Typed) ([]byte, bool, error) {
	if t.Value == nil {
		return dst, true, nil
	}
	f, known := e.bodies.Find(t.Schema)
	if !known {
		var err error
		if f, err = e.format(t.Schema); err != nil {
			return dst, false, err
		}
		e.bodies.Add(t.Schema, f)
	}
	dst, err := writer{e.options}.whole(append(dst, f.prefix...), f.message, t.Schema, t.Value)
	return dst, false, err
}
