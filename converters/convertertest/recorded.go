// Package convertertest is what the tests of converters with a Schema Registry have in common: recordings of the reference, messages of
// JsonConverter to compare values with, and changes of a table of ten columns.
package convertertest

import (
	"bufio"
	stdjson "encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/schemas"
)

// Recorded reads the lines of testdata/reference.jsonl, which are of type T.
func Recorded[T any](t testing.TB) []T {
	t.Helper()
	f, err := os.Open("testdata/reference.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var r T
		if err := stdjson.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if lines.Err() != nil || len(out) < 100 {
		t.Fatal(lines.Err(), len(out))
	}
	return out
}

// Golden is a message of testdata/golden; name is scenario:line:part.
func Golden(t testing.TB, name string) stdjson.RawMessage {
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

// FromJSON reads a message of JsonConverter.
func FromJSON(t testing.TB, message []byte) schemas.Typed {
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

// ToJSON is a value as JsonConverter writes it, parsed.
func ToJSON(t testing.TB, v schemas.Typed) any {
	t.Helper()
	out, err := JSON(t, v)
	if err != nil {
		t.Fatal(err)
	}
	if out == nil {
		return nil
	}
	return Parsed(t, out)
}

// JSON is a value as JsonConverter writes it, nil for a null record, or why it does not.
func JSON(t testing.TB, v schemas.Typed) ([]byte, error) {
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

// Parsed is what a JSON text says.
func Parsed(t testing.TB, text []byte) any {
	t.Helper()
	var v any
	if err := stdjson.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// Difference names the first place where two JSON values differ.
func Difference(path string, got, want any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: got %v, want %v", path, got, want)
		}
		for name := range w {
			if d := Difference(path+"/"+name, g[name], w[name]); d != "" {
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
			if d := Difference(fmt.Sprintf("%s/%d", path, i), g[i], w[i]); d != "" {
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
