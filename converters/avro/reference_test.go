package avro

import (
	"bufio"
	"encoding/hex"
	stdjson "encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
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
	f, err := os.Open("testdata/reference.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []recorded
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var r recorded
		if err := stdjson.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Message == nil {
			r.Message = goldenMessage(t, r.Name)
		}
		out = append(out, r)
	}
	if lines.Err() != nil || len(out) < 100 {
		t.Fatal(lines.Err(), len(out))
	}
	return out
}

func goldenMessage(t testing.TB, name string) stdjson.RawMessage {
	t.Helper()
	at := strings.Split(name, ":")
	text, err := os.ReadFile("../../testdata/golden/" + at[0] + "/golden/records.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	line, _ := strconv.Atoi(at[1])
	var record map[string]stdjson.RawMessage
	if err := stdjson.Unmarshal([]byte(strings.Split(string(text), "\n")[line]), &record); err != nil {
		t.Fatal(err)
	}
	return record[at[2]]
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

func fromJSON(t testing.TB, message []byte) schemas.Typed {
	t.Helper()
	d, err := json.NewDecoder(connectors.Config{"replace.null.with.default": "false"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := d.Decode(message)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func toJSON(t testing.TB, v schemas.Typed) any {
	t.Helper()
	c, err := json.New(connectors.Config{"replace.null.with.default": "false"}, false)
	if err != nil {
		t.Fatal(err)
	}
	s := &connectors.Stream{Topic: "t"}
	e, err := c.Encoder(s)
	if err != nil {
		t.Fatal(err)
	}
	w := connectors.NewBuilder("{}", nil, nil)
	w.Body(w.Stream(s), connectors.OpNone, connectors.Body{Value: v})
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	out, _, err := e.Append(nil, b, &b.Records[0])
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, out)
}

func parsed(t testing.TB, text []byte) any {
	t.Helper()
	var v any
	if err := stdjson.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

var _ converters.Decoder = (*decoder)(nil)

// TestReference compares schemas, bytes and what is read back with Confluent's converter.
func TestReference(t *testing.T) {
	t.Parallel()
	for _, r := range readRecorded(t) {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			o := optionsOf(t, r.Config)
			in := fromJSON(t, r.Message)
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
	if d := difference("", toJSON(t, schemas.Typed{Schema: s, Value: v}), parsed(t, want)); d != "" {
		t.Error("read back", d)
	}
}

// difference names the first place where two JSON values differ.
func difference(path string, got, want any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: got %v, want %v", path, got, want)
		}
		for name := range w {
			if d := difference(path+"/"+name, g[name], w[name]); d != "" {
				return d
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: got %v, want %v", path, got, want)
		}
		for i := range w {
			if d := difference(fmt.Sprintf("%s/%d", path, i), g[i], w[i]); d != "" {
				return d
			}
		}
		return ""
	}
	g, one := got.(float64)
	w, two := want.(float64)
	if one && two && float32(g) == float32(w) && g != w {
		return "" // a FLOAT32, which the recording has with more digits
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("%s: got %v, want %v", path, got, want)
	}
	return ""
}
