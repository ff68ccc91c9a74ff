// Package json is Kafka Connect's JsonConverter: keys and values as JSON, with or without their schema, byte for byte as the
// reference writes them (org.apache.kafka.connect.json.JsonConverter of Kafka 4.3).
package json

import (
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// Class is the reference's name of the converter.
const Class = "org.apache.kafka.connect.json.JsonConverter"

// Kind is the entry for converters.Set.
func Kind() converters.Kind {
	return converters.Kind{Class: Class, Aliases: []string{"JsonConverter", "json"}, Config: config(), New: New, Decode: NewDecoder}
}

func config() *connectors.ConfigDef {
	const schemas, serialization = "Schemas", "Serialization"
	return &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: []connectors.Key{
		converters.TypeKey(),
		{Name: "schemas.enable", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "HIGH", Group: schemas, Width: "MEDIUM", Display: "Enable Schemas", Doc: "Write the schema into every key and value."},
		{Name: "schemas.cache.size", Type: connectors.TypeInt, Default: "1000", HasDefault: true, Importance: "HIGH", Group: schemas, Order: 1, Width: "MEDIUM", Display: "Schema Cache Size", Doc: "Accepted; rendered schemas are kept as long as their stream."},
		{Name: "schema.content", Type: connectors.TypeString, Importance: "HIGH", Group: schemas, Order: 2, Width: "MEDIUM", Display: "Schema Content", Doc: "The schema of all messages read.", Unsupported: "reading messages with a fixed schema"},
		{Name: "decimal.format", Type: connectors.TypeString, Default: "BASE64", HasDefault: true, Importance: "LOW", Group: serialization, Width: "MEDIUM", Display: "Decimal Format", Check: connectors.OneOfFold("BASE64", "NUMERIC"), Doc: "How Decimal values are written: BASE64 or NUMERIC."},
		{Name: "replace.null.with.default", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "LOW", Group: serialization, Order: 1, Width: "MEDIUM", Display: "Replace null with default", Doc: "Write the default of a field whose value is null."},
	}}
}

// options are the settings that change what is written.
type options struct {
	schemas     bool
	numeric     bool // decimal.format=NUMERIC
	nullDefault bool // replace.null.with.default
	union       func(*schemas.Schema) bool
}

type converter struct {
	options
	key bool
}

// New makes the converter from its own keys (without the key.converter. or value.converter. prefix).
func New(c connectors.Config, key bool) (converters.Converter, error) {
	def := config()
	values, _ := def.Validate(converters.WithType(c, key)) // like the reference, keys that are not known are left alone
	if problems := connectors.Errors(values); len(problems) > 0 {
		return nil, fmt.Errorf("read configuration: %s", strings.Join(problems, "; "))
	}
	v := def.Values(c)
	o := options{schemas: v.Bool("schemas.enable"), numeric: v.Enum("decimal.format") == "numeric", nullDefault: v.Bool("replace.null.with.default")}
	return &converter{o, key}, nil
}

// Encoder compiles the encoder of a stream.
func (c *converter) Encoder(s *connectors.Stream) (converters.Encoder, error) {
	m := materialised{options: c.options, key: c.key}
	if c.key {
		return c.keyEncoder(s, m)
	}
	switch {
	case changes.IsEnvelope(s):
		return c.envelopeEncoder(s, m)
	case s.Value != nil && s.Value == s.Row:
		e := &rowEncoder{materialised: m}
		if err := e.compile(s.Value, s.Fields); err != nil {
			return nil, fmt.Errorf("compile value of topic %s: %w", s.Topic, err)
		}
		return e, nil
	}
	return &m, nil
}

func (c *converter) keyEncoder(s *connectors.Stream, m materialised) (converters.Encoder, error) {
	if s.Key == nil || len(s.KeyFields) == 0 {
		return &m, nil
	}
	e := &rowEncoder{materialised: m, isKey: true}
	if err := e.compile(s.Key, s.KeyFields); err != nil {
		return nil, fmt.Errorf("compile key of topic %s: %w", s.Topic, err)
	}
	return e, nil
}

// materialised encodes the bodies of records; what is not one has no key and no value.
type materialised struct {
	options
	key    bool
	schema *schemas.Schema // of the body encoded last
	head   []byte          // its rendered start
}

// Append encodes the key or value of a materialised record.
func (m *materialised) Append(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, bool, error) {
	if r.Value == 0 {
		return dst, true, nil
	}
	body := &b.Bodies[r.Value-1]
	if m.key {
		return m.typed(dst, body.Key)
	}
	return m.typed(dst, body.Value)
}

func (m *materialised) typed(dst []byte, t schemas.Typed) ([]byte, bool, error) {
	if t.Value == nil && (t.Schema == nil || !m.options.schemas) {
		return dst, true, nil
	}
	if !m.options.schemas {
		dst, err := m.appendValue(dst, t.Schema, t.Value)
		return dst, false, err
	}
	if m.schema != t.Schema || m.head == nil {
		head, err := m.head0(t.Schema)
		if err != nil {
			return dst, false, err
		}
		m.schema, m.head = t.Schema, head
	}
	dst, err := m.appendValue(append(dst, m.head...), t.Schema, t.Value)
	return append(dst, '}'), false, err
}

// head0 renders everything before the payload of a message with schema.
func (o options) head0(s *schemas.Schema) ([]byte, error) {
	if !o.schemas {
		return nil, nil
	}
	out := []byte(`{"schema":`)
	if s == nil {
		return append(out, `null,"payload":`...), nil
	}
	out, err := o.appendSchema(out, s, "")
	return append(out, `,"payload":`...), err
}
