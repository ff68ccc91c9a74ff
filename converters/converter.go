// Package converters turns records into the bytes of Kafka keys, values and headers and back, as Kafka Connect's converters do.
// The converters lie in the folders below it; here is what they have in common.
package converters

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// Converter makes encoders. One is made for keys and one for values, each from its own configuration.
// It belongs to one sink task and is not safe for concurrent use.
type Converter interface {
	// Encoder returns the encoder of a stream; called once per stream and kept by the caller as long as the stream lives.
	Encoder(s *connectors.Stream) (Encoder, error)
}

// Encoder appends the bytes of records of one stream. Errors are about the record (permanent).
type Encoder interface {
	// Append appends key or value (as the converter was made for) to dst; null tells that the record has none.
	Append(dst []byte, b *connectors.Batch, r *connectors.Record) (out []byte, null bool, err error)
}

// Reference is the version of Kafka Connect whose converters these stand for.
const Reference = "4.3.0"

// Kind is one converter class.
type Kind struct {
	Class   string   // the reference's class name
	Aliases []string // short names
	Version string   // as plugins show it
	Config  *connectors.ConfigDef
	New     func(c connectors.Config, key bool) (Converter, error)
	Decode  func(c connectors.Config) (Decoder, error) // nil: it only writes
}

// Set is the list of converters that a program has.
type Set []Kind

// New makes the converter that prefix names ("key.converter", "value.converter"): its class is the value of prefix itself, its
// configuration the keys below `prefix.`. Values are looked up in the connector's configuration first, then in the
// worker's; a connector that names a class brings its whole configuration with it.
func (s Set) New(prefix string, connector, worker connectors.Config) (Converter, error) {
	kind, c, err := s.choose(prefix, connector, worker)
	if err != nil {
		return nil, err
	}
	out, err := kind.New(c, prefix == "key.converter")
	if err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("configure %s %s: %w", prefix, kind.Class, err))
	}
	return out, nil
}

// TypeKey is converter.type, which says what a converter is used for.
func TypeKey() connectors.Key {
	return connectors.Key{Name: "converter.type", Type: connectors.TypeString, Required: true, Importance: "LOW", Doc: "key, value or header; set by the worker."}
}

// Part materialises a record and returns its key or value, and which of them: "key" or "value".
func Part(b *connectors.Batch, r *connectors.Record, key bool) (schemas.Typed, string) {
	body := changes.Materialize(b, r)
	if key {
		return body.Key, "key"
	}
	return body.Value, "value"
}

// WithType adds converter.type, which every converter has and the worker sets: key or value.
func WithType(c connectors.Config, key bool) connectors.Config {
	out := maps.Clone(c)
	if out == nil {
		out = connectors.Config{}
	}
	out["converter.type"] = "value"
	if key {
		out["converter.type"] = "key"
	}
	return out
}

func (s Set) find(class string) *Kind {
	for i := range s {
		simple := s[i].Class[strings.LastIndexByte(s[i].Class, '.')+1:]
		if class == s[i].Class || class == simple || class == strings.TrimSuffix(simple, "Converter") || slices.Contains(s[i].Aliases, class) {
			return &s[i]
		}
	}
	return nil
}

func (s Set) classes() []string {
	var out []string
	for _, k := range s {
		out = append(out, k.Class)
	}
	sort.Strings(out)
	return out
}

// Unavailable is the error of a converter whose server does not answer: the record is not at fault, and trying again later helps.
type Unavailable struct{ Err error }

func (e *Unavailable) Error() string { return e.Err.Error() }
func (e *Unavailable) Unwrap() error { return e.Err }

// Waiter is a converter or decoder that may wait for a server.
type Waiter interface {
	// Within sets what ends such a wait: the context of the calls that follow.
	Within(ctx context.Context)
}

// Within tells those that may wait what ends it.
func Within(ctx context.Context, parts ...any) {
	for _, p := range parts {
		if w, ok := p.(Waiter); ok {
			w.Within(ctx)
		}
	}
}

// Classify makes the error of a record permanent, unless a server was missing.
func Classify(err error) error {
	if err == nil || errors.As(err, new(*Unavailable)) {
		return err
	}
	return connectors.AsPermanent(err)
}
