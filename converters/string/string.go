// Package string is Kafka Connect's StringConverter: keys and values as the text that Java's toString gives.
package string

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// Class is the reference's name of the converter.
const Class = "org.apache.kafka.connect.storage.StringConverter"

// Kind is the entry for converters.Set.
func Kind() converters.Kind {
	return converters.Kind{Class: Class, Aliases: []string{"StringConverter", "string"}, Config: config(), New: New, Decode: NewDecoder}
}

func config() *connectors.ConfigDef {
	utf8 := []string{"UTF8", "UTF-8"}
	return &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: []connectors.Key{
		converters.TypeKey(),
		{Name: "converter.encoding", Type: connectors.TypeString, Default: "UTF-8", HasDefault: true, Importance: "HIGH", Width: "MEDIUM", Display: "Encoding", Doc: "The character set.", Unsupported: "only UTF-8 is written", Harmless: utf8},
	}}
}

type converter struct{ key bool }

// New makes the converter from its own keys.
func New(c connectors.Config, key bool) (converters.Converter, error) {
	values, _ := config().Validate(converters.WithType(c, key))
	if problems := connectors.Errors(values); len(problems) > 0 {
		return nil, fmt.Errorf("read configuration: %s", strings.Join(problems, "; "))
	}
	return converter{key}, nil
}

// Encoder returns the encoder, which is the same for every stream. It materialises each record.
func (c converter) Encoder(*connectors.Stream) (converters.Encoder, error) { return c, nil }

// Append encodes the key or value of a record.
func (c converter) Append(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, bool, error) {
	t, _ := converters.Part(b, r, c.key)
	if t.Value == nil {
		return dst, true, nil
	}
	return appendValue(dst, t.Schema, t.Value), false, nil
}

// appendValue writes a value as Java's toString does for the class that Connect holds it in.
func appendValue(dst []byte, s *schemas.Schema, v schemas.Value) []byte {
	name := ""
	if s != nil {
		name = s.Name
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int8:
		return strconv.AppendInt(dst, int64(v), 10)
	case int16:
		return strconv.AppendInt(dst, int64(v), 10)
	case int32:
		if name == changes.NameConnectDate {
			return changes.AppendJavaToString(dst, int64(v)*86_400_000)
		}
		if name == changes.NameConnectTime {
			return changes.AppendJavaToString(dst, int64(v))
		}
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		if name == changes.NameConnectTS {
			return changes.AppendJavaToString(dst, v)
		}
		return strconv.AppendInt(dst, v, 10)
	case float32:
		return changes.AppendJavaDouble(dst, float64(v), 32)
	case float64:
		return changes.AppendJavaDouble(dst, v, 64)
	case string:
		return append(dst, v...)
	case []byte:
		if name == changes.NameConnectDecimal {
			scale, _ := strconv.ParseInt(s.Parameter("scale"), 10, 32) // written by whoever made the schema
			return changes.AppendDecimal(dst, v, int32(scale))
		}
		return fmt.Appendf(dst, "java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]", len(v), len(v))
	}
	return appendNested(dst, s, v)
}

func appendNested(dst []byte, s *schemas.Schema, v schemas.Value) []byte {
	var elem *schemas.Schema
	if s != nil {
		elem = s.Elem
	}
	switch v := v.(type) {
	case schemas.ArrayValue:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendValue(dst, elem, e)
		}
		return append(dst, ']')
	case schemas.MapValue:
		dst = append(dst, '{')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendValue(append(appendValue(dst, nil, e.Key), '='), elem, e.Value)
		}
		return append(dst, '}')
	case schemas.StructValue:
		dst = append(dst, "Struct{"...)
		first := true
		for i, e := range v {
			if e == nil {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(append(dst, s.Fields[i].Name...), '=')
			dst = appendValue(dst, s.Fields[i].Schema, e)
		}
		return append(dst, '}')
	}
	return dst
}

type decoder struct{}

var optional = &schemas.Schema{Kind: schemas.String, Optional: true}

// NewDecoder makes the decoder from the converter's keys.
func NewDecoder(c connectors.Config) (converters.Decoder, error) {
	if _, err := New(c, false); err != nil {
		return nil, err
	}
	return decoder{}, nil
}

// Decode implements converters.Decoder. What is not UTF-8 becomes U+FFFD, as Java reads it; else the text is data itself.
func (decoder) Decode(data []byte) (schemas.Typed, error) {
	if data == nil {
		return schemas.Typed{Schema: optional}, nil
	}
	if !utf8.Valid(data) {
		return schemas.Typed{Schema: optional, Value: strings.ToValidUTF8(string(data), "\uFFFD")}, nil
	}
	return schemas.Typed{Schema: optional, Value: unsafe.String(unsafe.SliceData(data), len(data))}, nil
}
