// Package bytes is Kafka Connect's ByteArrayConverter: keys and values that are bytes already, as they are.
package bytes

import (
	"fmt"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// Class is the reference's name of the converter.
const Class = "org.apache.kafka.connect.converters.ByteArrayConverter"

// Kind is the entry for converters.Set.
func Kind() converters.Kind {
	return converters.Kind{Class: Class, Aliases: []string{"ByteArrayConverter", "bytes"}, Config: config(), New: New, Decode: NewDecoder}
}

func config() *connectors.ConfigDef {
	return &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: []connectors.Key{converters.TypeKey()}}
}

type converter struct{ key bool }

// New makes the converter; it has no keys of its own.
func New(_ connectors.Config, key bool) (converters.Converter, error) { return converter{key}, nil }

// Encoder returns the encoder, which is the same for every stream.
func (c converter) Encoder(*connectors.Stream) (converters.Encoder, error) { return c, nil }

// Append passes bytes on; everything else is an error that names the schema.
func (c converter) Append(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, bool, error) {
	t, part := converters.Part(b, r, c.key)
	if t.Value == nil {
		return dst, true, nil
	}
	v, ok := t.Value.([]byte)
	if !ok || t.Schema != nil && t.Schema.Kind != schemas.Bytes {
		kind := "no schema"
		if t.Schema != nil {
			kind = "type " + t.Schema.Kind.String()
		}
		return dst, false, connectors.AsPermanent(fmt.Errorf("write %s of topic %s: ByteArrayConverter takes bytes only, but the %s has %s; use another %s.converter", part, b.Streams[r.Stream].Topic, part, kind, part))
	}
	return append(dst, v...), false, nil
}

type decoder struct{}

var optional = &schemas.Schema{Kind: schemas.Bytes, Optional: true}

// NewDecoder makes the decoder; it has no keys of its own.
func NewDecoder(connectors.Config) (converters.Decoder, error) { return decoder{}, nil }

// Decode implements converters.Decoder.
func (decoder) Decode(data []byte) (schemas.Typed, error) {
	if data == nil {
		return schemas.Typed{Schema: optional}, nil
	}
	return schemas.Typed{Schema: optional, Value: append([]byte{}, data...)}, nil
}
