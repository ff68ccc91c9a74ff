package protobuf

import (
	"encoding/hex"
	stdjson "encoding/json"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/convertertest"
	"github.com/freshet-io/freshet/converters/registry"
	"github.com/freshet-io/freshet/schemas"
)

// recorded is what io.confluent.connect.protobuf.ProtobufData (8.5) and protobuf-java 4.34.0 make of a message of JsonConverter, or of
// a schema and bytes (Proto).
type recorded struct {
	Name    string             `json:"name"` // without Message: scenario:line:part of testdata/golden
	Config  connectors.Config  `json:"config"`
	Message stdjson.RawMessage `json:"message"`
	Proto   string             `json:"proto"`
	Uses    map[string]string  `json:"uses"`
	Schema  string             `json:"schema"`
	Record  string             `json:"record"`
	Hex     string             `json:"hex"`  // indexes and message
	Back    stdjson.RawMessage `json:"back"` // what it reads then; nil: not recorded
	Error   string             `json:"error"`

	golden bool // the message is one of testdata/golden
}

func readRecorded(t testing.TB) []recorded {
	t.Helper()
	out := convertertest.Recorded[recorded](t)
	for i := range out {
		if r := &out[i]; r.Message == nil && r.Proto == "" {
			r.Message, r.golden = convertertest.Golden(t, r.Name), true
		}
	}
	return out
}

func optionsOf(t testing.TB, c connectors.Config) options {
	t.Helper()
	with := connectors.Config{"schema.registry.url": "http://localhost:1"}
	for k, v := range c {
		with[k] = v
	}
	o, _, err := read(with)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

var _ converters.Decoder = (*decoder)(nil)

// TestReference compares schemas, bytes and what is read with Confluent's converter.
func TestReference(t *testing.T) {
	t.Parallel()
	for _, r := range readRecorded(t) {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			o := optionsOf(t, r.Config)
			if r.Proto != "" {
				data, err := hex.DecodeString(r.Hex)
				if err != nil {
					t.Fatal(err)
				}
				readBack(t, o, r, data)
				return
			}
			in := convertertest.FromJSON(t, r.Message)
			if r.Schema == "" && r.Error == "" {
				t.Fatal("the recording says nothing")
			}
			f, got, err := o.write(in)
			if r.Error != "" && r.Hex == "" {
				if err == nil {
					t.Fatalf("the reference refuses this: %s", r.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.String() != r.Schema || f.record() != r.Record {
				t.Fatalf("schema %s\ngot  %s\nwant %s", f.record(), f, r.Schema)
			}
			if hex.EncodeToString(got) != r.Hex {
				t.Fatalf("bytes\ngot  %x\nwant %s", got, r.Hex)
			}
			if r.Hex != "" {
				readBack(t, o, r, got)
			}
		})
	}
}

// write is what a value is without the id of its schema; nothing for null.
func (o options) write(in schemas.Typed) (*file, []byte, error) {
	f, err := o.fromConnect(in.Schema)
	if err != nil || in.Value == nil {
		return f, nil, err
	}
	out, err := writer{o}.whole(appendIndexes(nil, f.indexes()), f.message, in.Schema, in.Value)
	return f, out, err
}

func readBack(t *testing.T, o options, r recorded, data []byte) {
	t.Helper()
	v, err := o.readAs(r, data)
	if err != nil {
		if r.Error == "" {
			t.Fatal(err)
		}
		return
	}
	got, err := convertertest.JSON(t, v)
	switch {
	case r.Error != "" && err == nil:
		t.Fatalf("the reference refuses this: %s", r.Error)
	case r.Error == "" && err != nil:
		t.Fatal(err)
	case r.Error != "":
		return
	}
	if r.golden && r.Back == nil {
		return // what is read is recorded for one in four of these
	}
	if d := convertertest.Difference("", convertertest.Parsed(t, got), convertertest.Parsed(t, r.Back)); d != "" {
		t.Error("read back", d)
	}
}

func (o options) readAs(r recorded, data []byte) (schemas.Typed, error) {
	var used []registry.Named
	for name, text := range r.Uses {
		used = append(used, registry.Named{Name: name, Schema: registry.Schema{Text: text}})
	}
	text := r.Schema
	if r.Proto != "" {
		text = r.Proto
	}
	p, err := parse(text, used)
	if err != nil {
		return schemas.Typed{}, err
	}
	plan, payload, err := o.plans(&reading{parsed: p}, data)
	if err != nil {
		return schemas.Typed{}, err
	}
	v, err := o.decode(plan, payload)
	return schemas.Typed{Schema: plan.schema, Value: v}, err
}
