package protobuf

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
		if r.Message == nil && r.Proto == "" {
			r.Message, r.golden = goldenMessage(t, r.Name), true
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

func asJSON(t testing.TB, v schemas.Typed) ([]byte, error) {
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
	return out, err
}

func fromText(t testing.TB, text []byte) any {
	t.Helper()
	var v any
	if err := stdjson.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
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
			in := fromJSON(t, r.Message)
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
	got, err := asJSON(t, v)
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
	if d := difference("", fromText(t, got), fromText(t, r.Back)); d != "" {
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
