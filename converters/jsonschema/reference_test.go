package jsonschema

import (
	stdjson "encoding/json"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/convertertest"
	"github.com/freshet-io/freshet/schemas"
)

// recorded is what io.confluent.connect.json.JsonSchemaData (8.5), printed as JsonSchemaConverter does, makes of a message of
// JsonConverter; or, with JSON, what it reads of a payload with that schema.
type recorded struct {
	Name    string             `json:"name"` // without Message and JSON: scenario:line:part of testdata/golden
	Config  connectors.Config  `json:"config"`
	Message stdjson.RawMessage `json:"message"`
	JSON    string             `json:"json"`
	Schema  string             `json:"schema"`
	Payload *string            `json:"payload"` // nil: there is no message
	Back    stdjson.RawMessage `json:"back"`    // what it reads then; nil: the message
	Error   string             `json:"error"`   // with Schema: it cannot read what it has written
}

func readRecorded(t testing.TB) []recorded {
	t.Helper()
	out := convertertest.Recorded[recorded](t)
	for i, r := range out {
		if r.Message == nil && r.JSON == "" {
			out[i].Message = convertertest.Golden(t, r.Name)
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

// TestReference compares schemas, messages and what is read back with Confluent's converter.
func TestReference(t *testing.T) {
	t.Parallel()
	for _, r := range readRecorded(t) {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			o := optionsOf(t, r.Config)
			if r.JSON != "" {
				readBack(t, o, r, r.JSON, *r.Payload)
				return
			}
			in := convertertest.FromJSON(t, r.Message)
			got, _, err := o.fromConnect(in.Schema)
			if r.Error != "" && r.Schema == "" {
				if err == nil {
					t.Fatalf("the reference refuses this: %s", r.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != r.Schema {
				t.Fatalf("schema\ngot  %s\nwant %s", got, r.Schema)
			}
			payload, missing, err := o.writing().Append(nil, in)
			if err != nil {
				t.Fatal(err)
			}
			if missing != (r.Payload == nil) || !missing && string(payload) != *r.Payload {
				t.Fatalf("payload\ngot  %s\nwant %v", payload, r.Payload)
			}
			if !missing && r.Error == "" {
				readBack(t, o, r, got, *r.Payload)
			}
		})
	}
}

func readBack(t *testing.T, o options, r recorded, schema, payload string) {
	t.Helper()
	v, err := decodeText(o, schema, payload)
	if r.Error != "" {
		if err == nil {
			t.Fatalf("the reference refuses this: %s", r.Error)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want := r.Back
	if want == nil {
		want = r.Message
	}
	if d := convertertest.Difference("", convertertest.ToJSON(t, v), convertertest.Parsed(t, want)); d != "" {
		t.Error("read back", d)
	}
}

func decodeText(o options, schema, payload string) (schemas.Typed, error) {
	n, err := parse(schema, nil)
	if err != nil {
		return schemas.Typed{}, err
	}
	s, err := o.toConnect(n, 0)
	if err != nil {
		return schemas.Typed{}, err
	}
	v, err := reading().Read(s, []byte(payload))
	return schemas.Typed{Schema: s, Value: v}, err
}
