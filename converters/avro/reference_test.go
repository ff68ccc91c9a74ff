package avro

import (
	"encoding/hex"
	stdjson "encoding/json"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/convertertest"
	"github.com/freshet-io/freshet/schemas"
)

// recorded is what io.confluent.connect.avro.AvroData (8.5) and Avro 1.12.1 make of a message of JsonConverter.
type recorded struct {
	Name    string             `json:"name"` // without Message: scenario:line:part of testdata/golden
	Config  connectors.Config  `json:"config"`
	Message stdjson.RawMessage `json:"message"`
	Schema  string             `json:"schema"`
	Hex     string             `json:"hex"`
	Back    stdjson.RawMessage `json:"back"` // what it reads then; nil: the message
	Error   string             `json:"error"`
}

func readRecorded(t testing.TB) []recorded {
	t.Helper()
	out := convertertest.Recorded[recorded](t)
	for i, r := range out {
		if r.Message == nil {
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

// TestReference compares schemas, bytes and what is read back with Confluent's converter.
func TestReference(t *testing.T) {
	t.Parallel()
	for _, r := range readRecorded(t) {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			o := optionsOf(t, r.Config)
			in := convertertest.FromJSON(t, r.Message)
			n, err := o.fromConnect(in.Schema)
			if r.Error != "" {
				if err == nil {
					t.Fatalf("the reference refuses this: %s", r.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := n.String(); got != r.Schema {
				t.Fatalf("schema\ngot  %s\nwant %s", got, r.Schema)
			}
			got, err := writer{o}.value(nil, n, in.Schema, in.Value)
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(got) != r.Hex {
				t.Fatalf("bytes\ngot  %x\nwant %s", got, r.Hex)
			}
			readBack(t, o, r, got)
		})
	}
}

func readBack(t *testing.T, o options, r recorded, data []byte) {
	t.Helper()
	n, err := parse(r.Schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n.String() != r.Schema {
		t.Fatalf("parsed and rendered\ngot  %s\nwant %s", n, r.Schema)
	}
	s, err := o.toConnect(n, 0)
	if err != nil {
		t.Fatal(err)
	}
	v, err := o.decode(&reading{n, s}, data)
	if err != nil {
		t.Fatal(err)
	}
	want := r.Back
	if want == nil {
		want = r.Message
	}
	if d := convertertest.Difference("", convertertest.ToJSON(t, schemas.Typed{Schema: s, Value: v}), convertertest.Parsed(t, want)); d != "" {
		t.Error("read back", d)
	}
}
