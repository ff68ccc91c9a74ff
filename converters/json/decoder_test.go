package json

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

func newDecoder(t testing.TB, c connectors.Config) converters.Decoder {
	t.Helper()
	d, err := NewDecoder(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What the reference wrote, with its schemas, is read and written again as it was.
func TestRecordingsAreReadBack(t *testing.T) {
	files, err := filepath.Glob("../../testdata/golden/postgres/*/golden/records.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no recordings", err)
	}
	d := newDecoder(t, nil)
	n := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var r struct{ Key, Value json.RawMessage }
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			for _, part := range []json.RawMessage{r.Key, r.Value} {
				if !bytes.HasPrefix(part, []byte(`{"schema":{`)) {
					continue
				}
				typed, err := d.Decode(part)
				if err != nil {
					t.Fatalf("%s: %v: %s", file, err, part)
				}
				m := materialised{options: options{schemas: true, nullDefault: true}}
				got, _, err := m.typed(nil, typed)
				if err != nil {
					t.Fatalf("%s: %v: %s", file, err, part)
				}
				if canonical(t, got) != canonical(t, part) {
					t.Errorf("%s:\ngot  %s\nwant %s", file, got, part)
				}
				n++
			}
		}
	}
	if n < 2800 {
		t.Fatalf("only %d messages were compared", n)
	}
}

// canonical has one form for equal JSON: the recordings' numbers are not always written as Java does.
func canonical(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestDecodeWithoutSchemas(t *testing.T) {
	d := newDecoder(t, connectors.Config{"schemas.enable": "false"})
	for text, want := range map[string]schemas.Value{
		`null`: nil, ``: nil, ` 7 `: int64(7), `1.5`: 1.5, `1e3`: 1000.0, `"x"`: "x", `true`: true, `-9223372036854775808`: int64(-1 << 63),
		`[1,"a",[]]`:       schemas.ArrayValue{int64(1), "a", schemas.ArrayValue{}},
		`{"b":1,"a":null}`: schemas.MapValue{{Key: "b", Value: int64(1)}, {Key: "a", Value: nil}},
	} {
		got, err := d.Decode([]byte(text))
		if err != nil || got.Schema != nil || !reflect.DeepEqual(got.Value, want) {
			t.Errorf("%s: %#v %v, want %#v", text, got, err, want)
		}
	}
	if got, err := d.Decode(nil); err != nil || got != (schemas.Typed{}) {
		t.Error("null:", got, err)
	}
	for _, text := range []string{`{`, `{"a":}`, `1 2`, `9223372036854775808`, `nil`, strings.Repeat("[", 2000)} {
		if got, err := d.Decode([]byte(text)); err == nil {
			t.Errorf("%.20s: read as %#v", text, got)
		}
	}
}

func TestDecodeBySchema(t *testing.T) {
	d := newDecoder(t, nil)
	for _, c := range []struct {
		schema, payload string
		want            schemas.Value
	}{
		{`{"type":"int8"}`, `-128`, int8(-128)},
		{`{"type":"int32"}`, `7.0`, int32(7)},
		{`{"type":"int64","default":5}`, `null`, int64(5)},
		{`{"type":"string","optional":true}`, `null`, nil},
		{`{"type":"double"}`, `"NaN"`, "NaN"},
		{`{"type":"float"}`, `3`, float32(3)},
		{`{"type":"bytes"}`, `"AQI="`, []byte{1, 2}},
		{`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}`, `-1.5`, []byte{0xff, 0x6a}},
		{`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}`, `"AQI="`, []byte{1, 2}},
		{`{"type":"map","keys":{"type":"string"},"values":{"type":"int32"}}`, `{"a":1}`, schemas.MapValue{{Key: "a", Value: int32(1)}}},
		{`{"type":"map","keys":{"type":"int32"},"values":{"type":"boolean"}}`, `[[1,true]]`, schemas.MapValue{{Key: int32(1), Value: true}}},
		{`{"type":"struct","fields":[{"type":"int32","field":"a"},{"type":"string","optional":true,"field":"b"}]}`, `{"x":[{}],"a":1}`, schemas.StructValue{int32(1), nil}},
		{`null`, `{"a":1}`, schemas.MapValue{{Key: "a", Value: int64(1)}}},
	} {
		got, err := d.Decode([]byte(`{"schema":` + c.schema + `,"payload":` + c.payload + `}`))
		if f, ok := got.Value.(float64); ok {
			got.Value = fmt.Sprint(f)
		}
		if err != nil || !reflect.DeepEqual(got.Value, c.want) {
			t.Errorf("%s %s: %#v %v, want %#v", c.schema, c.payload, got.Value, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	d := newDecoder(t, nil)
	for text, want := range map[string]string{
		`{"a":1}`:                                errEnvelope.Error(),
		`7`:                                      errEnvelope.Error(),
		`null`:                                   errEnvelope.Error(),
		`{"schema":null,"payload":1,"x":1}`:      errEnvelope.Error(),
		`{"schema":{},"payload":1}`:              "Schema must contain 'type' field",
		`{"schema":{"type":"int9"},"payload":1}`: "Unknown schema type: int9",
		`{"schema":{"type":"int32"},"payload":null}`:                                        "Invalid null value for required INT32 field",
		`{"schema":{"type":"int32"},"payload":"secret"}`:                                    "the schema says int32, but there is a text",
		`{"schema":{"type":"int8"},"payload":128}`:                                          "the number 128 is no int8",
		`{"schema":{"type":"int32"},"payload":1.5}`:                                         "the number 1.5 is no int32",
		`{"schema":{"type":"bytes"},"payload":"!"}`:                                         "Invalid bytes field",
		`{"schema":{"type":"array"},"payload":[]}`:                                          "Array schema did not specify the element type",
		`{"schema":{"type":"struct","fields":[{"type":"int32","field":"a"}]},"payload":{}}`: "field a: Invalid null value for required INT32 field",
		`{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"0"}},"payload":1e99999999}`: "is no Decimal",
	} {
		got, err := d.Decode([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %#v %v, want %s", text, got.Value, err, want)
		}
	}
}

// Reading never panics, and what was read can be written and read again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schema":{"type":"struct","fields":[{"type":"int32","field":"a","default":1}]},"payload":{"a":1}}`), true)
	f.Add([]byte(`{"a":[1,2.5,null,{"b":"c"}]}`), false)
	f.Add([]byte(`{"schema":{"type":"map","keys":{"type":"int8"},"values":{"type":"bytes","optional":true}},"payload":[[1,"AQ=="]]}`), true)
	f.Fuzz(func(t *testing.T, data []byte, with bool) {
		d := newDecoder(t, connectors.Config{"schemas.enable": fmt.Sprint(with)})
		first, err := d.Decode(data)
		if err != nil {
			return
		}
		m := materialised{options: options{schemas: with, nullDefault: true}}
		text, null, err := m.typed(nil, first)
		if err != nil || null {
			return // a default of its own that cannot be written
		}
		second, err := d.Decode(text)
		if err != nil {
			t.Fatalf("%v: %s, written of %s", err, text, data)
		}
		again, _, err := (&materialised{options: m.options}).typed(nil, second)
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%v: %s became %s", err, text, again)
		}
	})
}
