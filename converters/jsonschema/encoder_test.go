package jsonschema

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/convertertest"
	"github.com/freshet-io/freshet/converters/registry"
	"github.com/freshet-io/freshet/converters/registry/registrytest"
	"github.com/freshet-io/freshet/schemas"
)

func with(url string, more connectors.Config) connectors.Config {
	c := connectors.Config{"schema.registry.url": url}
	for k, v := range more {
		c[k] = v
	}
	return c
}

func encoderOf(t testing.TB, url string, s *connectors.Stream, key bool, more connectors.Config) *encoder {
	t.Helper()
	conv, err := New(with(url, more), key)
	if err != nil {
		t.Fatal(err)
	}
	e, err := conv.Encoder(s)
	if err != nil {
		t.Fatal(err)
	}
	return e.(*encoder)
}

func decoderOf(t testing.TB, url string, more connectors.Config) converters.Decoder {
	t.Helper()
	d, err := NewDecoder(with(url, more))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCellsAsValues compares what is written from cells with what is written from the materialised record, and reads it again.
func TestCellsAsValues(t *testing.T) {
	t.Parallel()
	for _, more := range []connectors.Config{nil, {"decimal.format": "NUMERIC"}, {"object.additional.properties": "false"}} {
		s := convertertest.Ten(t)
		r := registrytest.New(t)
		w := connectors.NewBuilder("{}", nil, nil)
		for i, c := range []convertertest.Cells{
			{ID: 1, Note: "a note", Decimal: "12.50", At: 1_709_210_096_000_000},
			{ID: 2, Null: true, Decimal: "-0.01", At: -1, Snapshot: "true"},
			{ID: 300, Note: strings.Repeat("x", 100), Decimal: "99999999.99", Snapshot: "last"},
			{ID: 4, Note: "é\"", Decimal: "NaN", At: 1},
		} {
			c.Add(w, s, []connectors.Op{connectors.OpCreate, connectors.OpUpdate, connectors.OpDelete}[i%3])
		}
		w.Begin(w.Stream(s), connectors.OpTombstone)
		w.Key()
		w.Int(4)
		w.Commit()
		b := w.Finish("", connectors.Order{})
		defer b.Release()
		for _, key := range []bool{true, false} {
			e, plain := encoderOf(t, r.URL, s, key, more), encoderOf(t, r.URL, s, key, more)
			d := decoderOf(t, r.URL, more)
			for i := range b.Records {
				got, null, err := e.Append([]byte("before"), b, &b.Records[i])
				if tombstone := !key && b.Records[i].Op == connectors.OpTombstone; err != nil || null != tombstone || !bytes.HasPrefix(got, []byte("before")) {
					t.Fatal(err, null, string(got))
				} else if tombstone {
					continue
				}
				got = got[len("before"):]
				body := changes.Materialize(b, &b.Records[i])
				want := body.Value
				if key {
					want = body.Key
				}
				wanted, _, err := plain.typed(nil, want)
				if err != nil || !bytes.Equal(got, wanted) {
					t.Fatalf("record %d: %v\ngot  %s\nwant %s", i, err, got, wanted)
				}
				back, err := d.Decode(got)
				if err != nil {
					t.Fatal(err)
				}
				if again, _, err := plain.typed(nil, back); err != nil || !bytes.Equal(again[5:], got[5:]) {
					t.Errorf("%v: record %d is not the same when it was read and written again (%v)\n%s\n%s", more, i, err, again, got)
				}
			}
		}
		subjects := r.Subjects()
		if len(subjects) != 2 || len(subjects["pg.public.bets-value"]) != 1 || !strings.HasPrefix(subjects["pg.public.bets-key"][0], `{"type":"object",`) {
			t.Errorf("subjects %v", subjects)
		}
	}
}

func body(t testing.TB, e *encoder, v schemas.Typed) ([]byte, bool, error) {
	t.Helper()
	w := connectors.NewBuilder("{}", nil, nil)
	w.Body(w.Stream(&connectors.Stream{Topic: "t"}), connectors.OpNone, connectors.Body{Value: v})
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	return e.Append(nil, b, &b.Records[0])
}

func TestNothingToWrite(t *testing.T) {
	t.Parallel()
	r := registrytest.New(t)
	e := encoderOf(t, r.URL, &connectors.Stream{Topic: "t"}, false, nil)
	if out, null, err := body(t, e, schemas.Typed{}); err != nil || !null || len(out) != 0 || r.Requests() != 0 {
		t.Errorf("null: %q %v %v, %d requests", out, null, err, r.Requests())
	}
	if _, _, err := body(t, e, schemas.Typed{Value: "x"}); err == nil || !strings.Contains(err.Error(), "has no schema") {
		t.Errorf("a value without schema: %v", err)
	}
	if out, null, err := body(t, e, schemas.Typed{Schema: &schemas.Schema{Kind: schemas.Int32, Optional: true}}); err != nil || null || string(out[5:]) != "null" {
		t.Errorf("null of an optional schema, which the reference writes: %q %v %v", out, null, err)
	}
	if out, null, err := body(t, e, schemas.Typed{Schema: &schemas.Schema{Kind: schemas.Int32}}); err != nil || !null || len(out) != 0 {
		t.Errorf("null of a required schema: %q %v %v", out, null, err)
	}
}

func TestBadMessages(t *testing.T) {
	t.Parallel()
	r := registrytest.New(t)
	add := func(kind, text string) []byte {
		return registry.AppendPrefix(nil, r.Add("t-value", registrytest.Schema{Type: kind, Text: text}))
	}
	number := add("JSON", `{"type":"integer"}`)
	d := decoderOf(t, r.URL, nil)
	if v, err := d.Decode(append(number, "7"...)); err != nil || v.Value != int64(7) {
		t.Errorf("%v %v", v, err)
	}
	if v, err := d.Decode(nil); err != nil || v.Schema != nil || v.Value != nil {
		t.Errorf("%v %v", v, err)
	}
	for want, message := range map[string][]byte{
		"does not begin with a zero byte": []byte("{}"),
		"does not begin":                  append([]byte{1}, append(number[1:], '7')...),
		"Schema not found":                append(registry.AppendPrefix(nil, 999), '7'),
		"reads JSON Schema":               append(add("", `"string"`), `"x"`...),
		"nested deeper":                   append(add("JSON", strings.Repeat(`{"type":"array","items":`, 600)+`{}`+strings.Repeat(`}`, 600)), '1'),
		"contains itself":                 append(add("JSON", `{"type":"object","properties":{"next":{"$ref":"#"}}}`), `{}`...),
		"there is no #/definitions/x":     append(add("JSON", `{"$ref":"#/definitions/x"}`), `{}`...),
		"no reference of the schema":      append(add("JSON", `{"$ref":"http://localhost:1/x.json"}`), `{}`...),
		"parse JSON Schema":               append(add("JSON", `{"type":`), `{}`...),
		"values of any type":              append(add("JSON", `{}`), `{}`...),
		"schema says int64":               append(bytes.Clone(number), `"x"`...),
		"text behind the value":           append(bytes.Clone(number), `7 8`...),
		"read JSON":                       bytes.Clone(number),
	} {
		if v, err := d.Decode(message); err == nil || !strings.Contains(err.Error(), want) || connectors.ClassOf(converters.Classify(err)) != connectors.Permanent {
			t.Errorf("%s: %v, %v", want, v, err)
		}
	}
}

// TestReferences reads a schema that uses another one of the registry.
func TestReferences(t *testing.T) {
	t.Parallel()
	r := registrytest.New(t)
	r.Add("money", registrytest.Schema{Type: "JSON", Text: `{"type":"object","title":"Money","properties":{"cents":{"type":"integer"}},"$defs":{"unit":{"type":"string"}}}`})
	id := r.Add("t-value", registrytest.Schema{
		Type: "JSON", Text: `{"$id":"http://x/bet.json","type":"object","properties":{"stake":{"$ref":"money.json"},"unit":{"$ref":"money.json#/$defs/unit"}}}`,
		References: []registrytest.Reference{{Name: "money.json", Subject: "money", Version: 1}},
	})
	v, err := decoderOf(t, r.URL, nil).Decode(append(registry.AppendPrefix(nil, id), `{"stake":{"cents":5},"unit":"EUR"}`...))
	if err != nil {
		t.Fatal(err)
	}
	at := v.Schema.Field("stake")
	if got := v.Value.(schemas.StructValue)[at].(schemas.StructValue)[0]; got != int64(5) || v.Schema.Fields[at].Schema.Name != "Money" {
		t.Errorf("%v of %+v", got, v.Schema)
	}
}

// TestNewestVersion writes under the newest version of the subject, when that one can read the records.
func TestNewestVersion(t *testing.T) {
	t.Parallel()
	s := &schemas.Schema{Kind: schemas.Struct, Name: "a.R", Fields: []schemas.Field{{Name: "id", Schema: &schemas.Schema{Kind: schemas.Int32, Optional: true}}}}
	v := schemas.Typed{Schema: s, Value: schemas.StructValue{int32(7)}}
	for text, want := range map[string]string{
		`{"type":"object","properties":{"id":{"type":["null","number"]},"more":{"type":"string"}}}`:      "",
		`{"type":"object","additionalProperties":false,"properties":{"id":{"type":["null","integer"]}}}`: "",
		`true`: "",
		`{"type":"object","additionalProperties":false,"properties":{"x":{"type":"integer"}}}`:    "does not allow property id",
		`{"type":"object","properties":{"id":{"type":["null","string"]}}}`:                        "property id",
		`{"type":"object","properties":{"id":{"type":"integer"}}}`:                                "property id",
		`{"type":"object","properties":{"id":{"type":["null","integer"]}},"required":["id","x"]}`: "requires property x",
		`{"type":"array","items":{"type":"integer"}}`:                                             "says array, where records have object",
	} {
		r := registrytest.New(t)
		id := r.Add("t-value", registrytest.Schema{Type: "JSON", Text: text})
		newest := connectors.Config{"auto.register.schemas": "false", "use.latest.version": "true"}
		out, _, err := body(t, encoderOf(t, r.URL, &connectors.Stream{Topic: "t"}, false, newest), v)
		if want == "" && (err != nil || !bytes.Equal(out, append(registry.AppendPrefix(nil, id), `{"id":7}`...))) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q %v", text, out, err)
		}
		newest["latest.compatibility.strict"] = "false"
		if _, _, err := body(t, encoderOf(t, r.URL, &connectors.Stream{Topic: "t"}, false, newest), v); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestRegistryAway is told apart from a registry that refuses.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	r := registrytest.New(t)
	e := encoderOf(t, r.URL, &connectors.Stream{Topic: "t"}, false, connectors.Config{"max.retries": "0"})
	v := schemas.Typed{Schema: &schemas.Schema{Kind: schemas.String}, Value: "x"}
	r.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return true
	})
	if _, _, err := body(t, e, v); err == nil || connectors.ClassOf(converters.Classify(err)) != connectors.Retriable {
		t.Errorf("away: %v", err)
	}
	r.Before(nil)
	if out, _, err := body(t, e, v); err != nil || string(out[5:]) != `"x"` {
		t.Errorf("back: %q %v", out, err)
	}
	r.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"error_code":409,"message":"no"}`))
		return true
	})
	v.Schema = &schemas.Schema{Kind: schemas.Int32}
	v.Value = int32(1)
	if _, _, err := body(t, e, v); err == nil || connectors.ClassOf(converters.Classify(err)) != connectors.Permanent || !strings.Contains(err.Error(), "not compatible") {
		t.Errorf("refused: %v", err)
	}
}

func BenchmarkEnvelope(b *testing.B) {
	s := convertertest.Ten(b)
	w := connectors.NewBuilder("{}", nil, nil)
	for i := range 100 {
		convertertest.Cells{ID: int64(i), Note: "some text of a note", Decimal: "12.50", At: 1_709_210_096_000_000}.Add(w, s, connectors.OpCreate)
	}
	batch := w.Finish("", connectors.Order{})
	defer batch.Release()
	e := encoderOf(b, registrytest.New(b).URL, s, false, nil)
	var dst []byte
	var err error
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if dst, _, err = e.Append(dst[:0], batch, &batch.Records[i%100]); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkDecode(b *testing.B) {
	s := convertertest.Ten(b)
	w := connectors.NewBuilder("{}", nil, nil)
	convertertest.Cells{ID: 7, Note: "some text of a note", Decimal: "12.50", At: 1_709_210_096_000_000}.Add(w, s, connectors.OpCreate)
	batch := w.Finish("", connectors.Order{})
	defer batch.Release()
	url := registrytest.New(b).URL
	message, _, err := encoderOf(b, url, s, false, nil).Append(nil, batch, &batch.Records[0])
	if err != nil {
		b.Fatal(err)
	}
	d := decoderOf(b, url, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(message); err != nil {
			b.Fatal(err)
		}
	}
}
