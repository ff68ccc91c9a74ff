// Package number is Kafka Connect's converters of plain numbers and booleans: BooleanConverter, ShortConverter, IntegerConverter,
// LongConverter, FloatConverter and DoubleConverter. Keys and values are what Kafka's serializers of these types make: big-endian,
// 2, 4 or 8 bytes, IEEE 754 for the last two; a boolean is one byte, 0 or 1.
package number

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// form is how one type is written.
type form struct {
	name   string // of the class
	schema *schemas.Schema
	size   int // bytes
	append func(dst []byte, v schemas.Value) ([]byte, bool)
	read   func(data []byte) (schemas.Value, bool)
}

func forms() []*form {
	order := binary.BigEndian
	return []*form{
		{
			"BooleanConverter", optional(schemas.Boolean), 1,
			func(dst []byte, v schemas.Value) ([]byte, bool) { return appendBool(dst, v) },
			func(data []byte) (schemas.Value, bool) { return data[0] == 1, data[0] <= 1 },
		},
		{
			"ShortConverter", optional(schemas.Int16), 2,
			func(dst []byte, v schemas.Value) ([]byte, bool) {
				n, ok := v.(int16)
				return order.AppendUint16(dst, uint16(n)), ok
			},
			func(data []byte) (schemas.Value, bool) { return int16(order.Uint16(data)), true },
		},
		{
			"IntegerConverter", optional(schemas.Int32), 4,
			func(dst []byte, v schemas.Value) ([]byte, bool) {
				n, ok := v.(int32)
				return order.AppendUint32(dst, uint32(n)), ok
			},
			func(data []byte) (schemas.Value, bool) { return int32(order.Uint32(data)), true },
		},
		{
			"LongConverter", optional(schemas.Int64), 8,
			func(dst []byte, v schemas.Value) ([]byte, bool) {
				n, ok := v.(int64)
				return order.AppendUint64(dst, uint64(n)), ok
			},
			func(data []byte) (schemas.Value, bool) { return int64(order.Uint64(data)), true },
		},
		{
			"FloatConverter", optional(schemas.Float32), 4,
			func(dst []byte, v schemas.Value) ([]byte, bool) {
				n, ok := v.(float32)
				return order.AppendUint32(dst, math.Float32bits(n)), ok
			},
			func(data []byte) (schemas.Value, bool) { return math.Float32frombits(order.Uint32(data)), true },
		},
		{
			"DoubleConverter", optional(schemas.Float64), 8,
			func(dst []byte, v schemas.Value) ([]byte, bool) {
				n, ok := v.(float64)
				return order.AppendUint64(dst, math.Float64bits(n)), ok
			},
			func(data []byte) (schemas.Value, bool) { return math.Float64frombits(order.Uint64(data)), true },
		},
	}
}

func optional(kind schemas.Kind) *schemas.Schema { return &schemas.Schema{Kind: kind, Optional: true} }

func appendBool(dst []byte, v schemas.Value) ([]byte, bool) {
	b, ok := v.(bool)
	if b {
		return append(dst, 1), ok
	}
	return append(dst, 0), ok
}

// Kinds are the entries for converters.Set.
func Kinds() []converters.Kind {
	var out []converters.Kind
	for _, f := range forms() {
		out = append(out, converters.Kind{
			Class:  "org.apache.kafka.connect.converters." + f.name,
			Config: config(),
			New:    func(_ connectors.Config, key bool) (converters.Converter, error) { return converter{f, key}, nil },
			Decode: func(connectors.Config) (converters.Decoder, error) { return decoder{f}, nil },
		})
	}
	return out
}

func config() *connectors.ConfigDef {
	return &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: []connectors.Key{converters.TypeKey()}}
}

type converter struct {
	*form
	key bool
}

// Encoder returns the encoder, which is the same for every stream. It materialises each record.
func (c converter) Encoder(*connectors.Stream) (converters.Encoder, error) { return c, nil }

// Append writes a value of the type; everything else is an error that names the type it has. A number that stands for a date or a time
// is none here, as it is none in the reference.
func (c converter) Append(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, bool, error) {
	t, part := converters.Part(b, r, c.key)
	if t.Value == nil {
		return dst, true, nil
	}
	out, ok := c.append(dst, t.Value)
	if !ok || t.Schema != nil && isDate(t.Schema.Name) {
		return dst, false, connectors.AsPermanent(fmt.Errorf("write %s of topic %s: %s takes %s only, but the %s has %s; use another %s.converter",
			part, b.Streams[r.Stream].Topic, c.name, c.schema.Kind, part, describe(t), part))
	}
	return out, false, nil
}

func isDate(name string) bool {
	return name == changes.NameConnectDate || name == changes.NameConnectTime || name == changes.NameConnectTS
}

func describe(t schemas.Typed) string {
	switch {
	case t.Schema == nil:
		return "no schema"
	case t.Schema.Name != "":
		return "type " + t.Schema.Kind.String() + " (" + t.Schema.Name + ")"
	}
	return "type " + t.Schema.Kind.String()
}

type decoder struct{ *form }

// Decode implements converters.Decoder.
func (d decoder) Decode(data []byte) (schemas.Typed, error) {
	if data == nil {
		return schemas.Typed{Schema: d.schema}, nil
	}
	if len(data) != d.size {
		return schemas.Typed{}, fmt.Errorf("read %s: %s takes %d bytes, and there are %d; use the converter that the topic was written with", d.schema.Kind, d.name, d.size, len(data))
	}
	v, ok := d.read(data)
	if !ok {
		return schemas.Typed{}, fmt.Errorf("read %s: %s takes 0 or 1, and there is %d; use the converter that the topic was written with", d.schema.Kind, d.name, data[0])
	}
	return schemas.Typed{Schema: d.schema, Value: v}, nil
}
