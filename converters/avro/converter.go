package avro

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/avro"

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
	writer *format                                   // not nil: changes are materialised, as the registered schema is not the one made here
	bodies registry.Recent[*schemas.Schema, *format] // of materialised records
}

// format is a schema as it is registered.
type format struct {
	node   *node
	prefix []byte
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
	if e.writer != nil {
		body := changes.Materialize(b, r)
		if e.key {
			return e.write(dst, e.writer, body.Key)
		}
		return e.write(dst, e.writer, body.Value)
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
	f, made, err := e.format(e.schema)
	if err != nil {
		return err
	}
	e.prefix = f.prefix
	if f.node != made {
		e.writer, e.ready = f, true
		return nil
	}
	if e.envelope {
		err = e.compileEnvelope(made)
	} else {
		err = e.rows.compile(made, e.fields, writer{e.options})
	}
	e.ready = err == nil
	return err
}

// format finds the registered schema of a Connect schema; made is the one made here, the same node unless use.latest.version found another.
func (e *encoder) format(s *schemas.Schema) (f *format, made *node, err error) {
	if made, err = e.fromConnect(s); err != nil {
		return nil, nil, fmt.Errorf("make the Avro schema of topic %s: %w", e.topic, err)
	}
	record := ""
	if made.kind == kRecord {
		record = made.fullName()
	}
	subject, err := e.registry.Subject(e.topic, record, e.key)
	if err != nil {
		return nil, nil, err
	}
	own := registry.Schema{Type: registry.Avro, Text: made.String()}
	found, err := e.registry.ID(subject, own, func(newest registry.Schema) error { return e.reads(newest, own) })
	if err != nil {
		return nil, nil, err
	}
	f = &format{made, registry.AppendPrefix(nil, found.ID)}
	if found.Text != own.Text {
		used, err := e.registry.Referred(found)
		if err != nil {
			return nil, nil, err
		}
		if f.node, err = parse(found.Text, used); err != nil {
			return nil, nil, err
		}
	}
	return f, made, nil
}

// reads tells what keeps a registered schema from reading what another one writes.
func (e *encoder) reads(registered, own registry.Schema) error {
	used, err := e.registry.Referred(registered)
	if err != nil {
		return err
	}
	n, err := parse(registered.Text, used)
	if err != nil {
		return err
	}
	lax := avro.WithLaxNames(nil)
	reader, err := avro.Parse(n.String(), lax)
	if err != nil {
		return err
	}
	writer, err := avro.Parse(own.Text, lax)
	if err != nil {
		return err
	}
	return avro.CheckCompatibility(writer, reader)
}

// typed writes a materialised value.
func (e *encoder) typed(dst []byte, t schemas.Typed) ([]byte, bool, error) {
	if t.Value == nil && (t.Schema == nil || t.Schema.Optional) {
		return dst, true, nil
	}
	f, known := e.bodies.Find(t.Schema)
	if !known {
		var err error
		if f, _, err = e.format(t.Schema); err != nil {
			return dst, false, err
		}
		e.bodies.Add(t.Schema, f)
	}
	return e.write(dst, f, t)
}

func (e *encoder) write(dst []byte, f *format, t schemas.Typed) ([]byte, bool, error) {
	if t.Value == nil {
		if t.Schema == nil || t.Schema.Optional {
			return dst, true, nil
		}
		return dst, false, errors.New("Found null value for non-optional schema") //nolint:staticcheck // the reference's text
	}
	dst = append(dst, f.prefix...)
	if f.node.kind == kBytes { // alone they have no length, as in the reference
		if v, ok := t.Value.([]byte); ok {
			return append(dst, v...), false, nil
		}
	}
	dst, err := writer{e.options}.value(dst, f.node, t.Schema, t.Value)
	return dst, false, err
}
