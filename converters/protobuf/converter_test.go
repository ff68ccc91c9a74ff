package protobuf

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/convertertest"
	"github.com/freshet-io/freshet/converters/registry/registrytest"
	"github.com/freshet-io/freshet/schemas"
)

const sample = "syntax = \"proto3\";\nmessage M {\n  int32 x = 1;\n  N n = 2;\n\n  message N {\n    string t = 1;\n  }\n}\n"

// TestBadMessages: each is an error of its record, which says what is wrong.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	r := registrytest.New(t)
	r.Add("s", registrytest.Schema{Text: sample, Type: "PROTOBUF"})
	r.Add("s", registrytest.Schema{Text: `"string"`})
	r.Add("s", registrytest.Schema{Text: "syntax = \"proto3\";\nmessage {", Type: "PROTOBUF"})
	r.Add("s", registrytest.Schema{Text: "syntax = \"proto3\";\nmessage M { M again = 1; }", Type: "PROTOBUF"})
	r.Add("s", registrytest.Schema{Text: "syntax = \"proto2\";\nmessage M { optional group G = 1 { optional int32 x = 1; } }", Type: "PROTOBUF"})
	r.Add("s", registrytest.Schema{Text: "syntax = \"proto3\";\nimport \"other.proto\";\nmessage M { int32 x = 1; }", Type: "PROTOBUF"})
	r.Add("s", registrytest.Schema{Text: "CgFhIhEKAU0SDAoBeBgBIAEoBVIBeGIGcHJvdG8z", Type: "PROTOBUF"}) // a descriptor: message M { int32 x = 1; }
	d := decoderOf(t, r.URL, nil)
	frame := func(id byte, rest ...byte) []byte { return append([]byte{0, 0, 0, 0, id}, rest...) }
	for _, c := range []struct {
		name string
		data []byte
		want string // "": it is read
	}{
		{"good", frame(1, 0, 8, 5), ""},
		{"good, with its index", frame(1, 2, 0, 8, 5), ""},
		{"good, nested", frame(1, 4, 0, 0, 10, 1, 'a'), ""},
		{"good, unknown group", frame(1, 0, 0x1b, 8, 1, 0x1c), ""},
		{"a descriptor", frame(7, 0, 8, 5), ""},
		{"no prefix", []byte{0, 0}, "zero byte"},
		{"another magic byte", []byte{1, 0, 0, 0, 1, 0}, "zero byte"},
		{"no indexes", frame(1), "indexes"},
		{"negative count of indexes", frame(1, 1), "indexes"},
		{"large count of indexes", frame(1, 0xff, 0xff, 0xff, 0xff, 0x0f), "indexes"},
		{"indexes that end", frame(1, 4, 0), "too early"},
		{"index that is none", frame(1, 2, 2), "no message with the index"},
		{"negative index", frame(1, 2, 1), "no message with the index"},
		{"nested index that is none", frame(1, 4, 0, 2), "no message with the index"},
		{"unknown id", frame(99, 0), "Schema not found"},
		{"another type", frame(2, 0), "of type AVRO"},
		{"no schema", frame(3, 0), "parse Protobuf schema"},
		{"itself", frame(4, 0), "contains itself"},
		{"a group in the schema", frame(5, 0), "group"},
		{"an import that is nowhere", frame(6, 0), "other.proto"},
		{"cut", frame(1, 0, 8), "too early"},
		{"long field", frame(1, 0, 0x12, 0x7f, 1), "too early"},
		{"a length beyond all", frame(1, 0, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), "too early"},
		{"bad tag", frame(1, 0, 0), "tag"},
		{"end of a group that is none", frame(1, 0, 0x1c), "too early"},
		{"not UTF-8", frame(1, 0, 0x12, 3, 10, 1, 0xff), "not UTF-8"},
	} {
		v, err := d.Decode(c.data)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want == "" && v.Value == nil:
			t.Errorf("%s: nothing was read", c.name)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || connectors.ClassOf(converters.Classify(err)) != connectors.Permanent):
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if v, err := d.Decode(nil); err != nil || v.Value != nil {
		t.Errorf("null: %v %v", v, err)
	}
}

func TestNewestVersion(t *testing.T) {
	t.Parallel()
	s := convertertest.Ten(t)
	w := connectors.NewBuilder("{}", nil, nil)
	convertertest.Cells{ID: 1, Note: "a note", Decimal: "12.50"}.Add(w, s, connectors.OpCreate)
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	own, err := (options{}).fromConnect(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	latest := connectors.Config{"auto.register.schemas": "false", "use.latest.version": "true"}
	for _, c := range []struct{ name, text, strict, want string }{
		{"a field more", strings.Replace(own.String(), "= 1;\n", "= 1;\n  string more = 2;\n", 1), "true", ""},
		{"another message first", own.String() + "message Other {\n  int32 x = 1;\n}\n", "true", ""},
		{"another type", strings.Replace(own.String(), "int32 id", "string id", 1), "true", "cannot read"},
		{"another type, not strict", strings.Replace(own.String(), "int32 id", "string id", 1), "false", ""},
		{"another message", strings.Replace(own.String(), "message Key", "message Lock", 1), "true", "no message"},
		{"another message, not strict", strings.Replace(own.String(), "message Key", "message Lock", 1), "false", "no message"},
	} {
		r := registrytest.New(t)
		r.Add(s.Topic+"-key", registrytest.Schema{Text: c.text, Type: "PROTOBUF"})
		latest["latest.compatibility.strict"] = c.strict
		out, _, err := encoderOf(t, r.URL, s, true, latest).Append(nil, b, &b.Records[0])
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(out, []byte{0, 0, 0, 0, 1, 0, 8, 1}) {
			t.Errorf("%s: %x %v", c.name, out, err)
		}
	}
}

// TestRegistryAway: nothing is lost, and what is known needs no registry.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	r := registrytest.New(t)
	s := convertertest.Ten(t)
	w := connectors.NewBuilder("{}", nil, nil)
	convertertest.Cells{ID: 1, Note: "a note", Decimal: "12.50"}.Add(w, s, connectors.OpCreate)
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	e := encoderOf(t, r.URL, s, false, connectors.Config{"max.retries": "0"})
	away := func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	r.Before(away)
	if _, _, err := e.Append(nil, b, &b.Records[0]); connectors.ClassOf(converters.Classify(err)) != connectors.Retriable || err == nil {
		t.Fatalf("away: %v", err)
	}
	r.Before(nil)
	first, _, err := e.Append(nil, b, &b.Records[0])
	if err != nil {
		t.Fatal(err)
	}
	r.Before(away)
	if again, _, err := e.Append(nil, b, &b.Records[0]); err != nil || !bytes.Equal(first, again) {
		t.Fatalf("a known schema: %v", err)
	}
	r.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"error_code":409,"message":"incompatible"}`))
		return true
	})
	_, _, err = encoderOf(t, r.URL, s, false, nil).Append(nil, b, &b.Records[0])
	if err == nil || connectors.ClassOf(converters.Classify(err)) != connectors.Permanent || !strings.Contains(err.Error(), s.Topic+"-value") || !strings.Contains(err.Error(), "not compatible") {
		t.Errorf("a refusal: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	field := func(s *schemas.Schema) *schemas.Schema {
		return &schemas.Schema{Kind: schemas.Struct, Name: "a.B", Fields: []schemas.Field{{Name: "f", Schema: s}}}
	}
	color := &schemas.Schema{Kind: schemas.Int32, Name: "Color", Parameters: []schemas.Parameter{{Name: protoEnum, Value: "Color"}, {Name: protoEnum + ".RED", Value: "0"}}}
	for _, c := range []struct {
		name string
		s    *schemas.Schema
		v    schemas.Value
		want string
	}{
		{"number that an enum lacks", field(color), schemas.StructValue{int32(7)}, "no number 7"},
		{"time of 24 hours", field(&schemas.Schema{Kind: schemas.Int32, Name: "org.apache.kafka.connect.data.Time"}), schemas.StructValue{int32(86_400_000)}, "not within a day"},
		{"date before the year 1", field(&schemas.Schema{Kind: schemas.Int32, Name: "org.apache.kafka.connect.data.Date"}), schemas.StructValue{int32(-800_000)}, "before the year 1"},
		{"value of another kind", field(&schemas.Schema{Kind: schemas.Int32}), schemas.StructValue{"text"}, "does not fit"},
		{"large number", field(&schemas.Schema{Kind: schemas.Int32}), schemas.StructValue{int64(1) << 40}, "does not fit"},
		{"a date alone", &schemas.Schema{Kind: schemas.Int32, Name: "org.apache.kafka.connect.data.Date"}, int32(5), "field of a struct"},
		{"a Variant", field(&schemas.Schema{Kind: schemas.Struct, Name: variantName}), schemas.StructValue{nil}, "Variant"},
		{"maps in a list", field(&schemas.Schema{Kind: schemas.Array, Elem: &schemas.Schema{Kind: schemas.Map, Key: &schemas.Schema{Kind: schemas.String}, Elem: &schemas.Schema{Kind: schemas.String}}}), schemas.StructValue{schemas.ArrayValue{schemas.MapValue{}}}, "does not fit"},
	} {
		if _, _, err := (options{}).write(schemas.Typed{Schema: c.s, Value: c.v}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestKeysOfEntries: what the reference takes for a map has keys of any type.
func TestKeysOfEntries(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"bytes", "Key", "double"} {
		p, err := parse("syntax = \"proto3\";\nmessage M { repeated E_Entry m = 1; message E_Entry { "+key+" key = 1; int32 value = 2; } message Key { string key = 1; } }", nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.at([]int64{0})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := (options{}).plan(m, 0)
		if err != nil {
			t.Fatal(err)
		}
		entry := []byte{10, 5, 10, 1, 'a', 16, 1}
		if key == "Key" {
			entry = []byte{10, 7, 10, 3, 10, 1, 'a', 16, 1}
		}
		if key == "double" {
			entry = []byte{10, 11, 9, 0, 0, 0, 0, 0, 0, 0, 1, 16, 1}
		}
		v, err := (options{}).decode(plan, append(entry, entry...))
		if err != nil || len(v.(schemas.StructValue)[0].(schemas.MapValue)) != 1 {
			t.Errorf("%s: %v %v", key, v, err)
		}
	}
}

// scalarSchemas are what TestRoundTrip makes structs of.
var scalarSchemas = []struct {
	kind schemas.Kind
	draw func(t *rapid.T) schemas.Value
}{
	{schemas.Int8, func(t *rapid.T) schemas.Value { return rapid.Int8().Draw(t, "int8") }},
	{schemas.Int16, func(t *rapid.T) schemas.Value { return rapid.Int16().Draw(t, "int16") }},
	{schemas.Int32, func(t *rapid.T) schemas.Value { return rapid.Int32().Draw(t, "int32") }},
	{schemas.Int64, func(t *rapid.T) schemas.Value { return rapid.Int64().Draw(t, "int64") }},
	{schemas.Float32, func(t *rapid.T) schemas.Value { return rapid.Float32().Draw(t, "float") }},
	{schemas.Float64, func(t *rapid.T) schemas.Value { return rapid.Float64().Draw(t, "double") }},
	{schemas.Boolean, func(t *rapid.T) schemas.Value { return rapid.Bool().Draw(t, "bool") }},
	{schemas.String, func(t *rapid.T) schemas.Value { return rapid.String().Draw(t, "text") }},
	{schemas.Bytes, func(t *rapid.T) schemas.Value { return rapid.SliceOf(rapid.Byte()).Draw(t, "bytes") }},
}

func drawSchema(t *rapid.T, name string, depth int) (*schemas.Schema, func() schemas.Value) {
	optional := rapid.Bool().Draw(t, "optional")
	kind := rapid.IntRange(0, 11).Draw(t, "kind")
	if depth == 0 {
		kind %= 9
	}
	var s *schemas.Schema
	var draw func() schemas.Value
	switch {
	case kind < 9:
		c := scalarSchemas[kind]
		s, draw = &schemas.Schema{Kind: c.kind}, func() schemas.Value { return c.draw(t) }
	case kind == 9:
		c := scalarSchemas[rapid.IntRange(0, 8).Draw(t, "elem")]
		s = &schemas.Schema{Kind: schemas.Array, Elem: &schemas.Schema{Kind: c.kind}}
		draw = func() schemas.Value {
			out := schemas.ArrayValue{}
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				out = append(out, c.draw(t))
			}
			return out
		}
	case kind == 10:
		c := scalarSchemas[rapid.IntRange(0, 8).Draw(t, "value")]
		s = &schemas.Schema{Kind: schemas.Map, Name: name + "M", Key: &schemas.Schema{Kind: schemas.Int32}, Elem: &schemas.Schema{Kind: c.kind}}
		draw = func() schemas.Value {
			out := schemas.MapValue{}
			for i := range rapid.IntRange(0, 3).Draw(t, "length") {
				out = append(out, schemas.MapEntry{Key: int32(i), Value: c.draw(t)})
			}
			return out
		}
	default:
		s, draw = drawStruct(t, name+"S", depth-1)
	}
	s.Optional = optional
	return s, func() schemas.Value {
		if optional && rapid.Bool().Draw(t, "null") {
			return nil
		}
		return draw()
	}
}

func drawStruct(t *rapid.T, name string, depth int) (*schemas.Schema, func() schemas.Value) {
	s := &schemas.Schema{Kind: schemas.Struct, Name: "p." + name}
	var draws []func() schemas.Value
	for i := range rapid.IntRange(1, 5).Draw(t, "fields") {
		field, draw := drawSchema(t, name+string(rune('a'+i)), depth)
		s.Fields = append(s.Fields, schemas.Field{Name: "f" + string(rune('a'+i)), Schema: field})
		draws = append(draws, draw)
	}
	return s, func() schemas.Value {
		out := make(schemas.StructValue, len(draws))
		for i, draw := range draws {
			out[i] = draw()
		}
		return out
	}
}

// TestRoundTrip: with labels of optional fields, every value comes back; protobuf-go writes the same bytes.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := options{optional: true, proto2: true, numbered: true, wrap: rapid.Bool().Draw(t, "wrappers")}
		s, draw := drawStruct(t, "T", 2)
		v := draw()
		f, data, err := o.write(schemas.Typed{Schema: s, Value: v})
		if err != nil {
			t.Fatal(err)
		}
		p, err := parse(f.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		m := dynamicpb.NewMessage(p.file.Messages().Get(0))
		if err := proto.Unmarshal(data[1:], m); err != nil || len(m.GetUnknown()) > 0 {
			t.Fatal(err, m.GetUnknown())
		}
		if again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(m); err != nil || !bytes.Equal(again, data[1:]) {
			t.Fatalf("protobuf-go writes it otherwise (%v)\ngot  %x\nwant %x", err, data[1:], again)
		}
		plan, payload, err := o.plans(&reading{parsed: p}, data)
		if err != nil {
			t.Fatal(err)
		}
		back, err := o.decode(plan, payload)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := (writer{o}).whole(nil, f.message, s, back); err != nil || !bytes.Equal(again, payload) {
			t.Fatalf("read and written again it differs (%v)\ngot  %x\nwant %x", err, again, payload)
		}
		same(t, "", s, v, back)
	})
}

func same(t *rapid.T, path string, s *schemas.Schema, want, got schemas.Value) {
	t.Helper()
	if w, ok := want.(schemas.StructValue); ok {
		g, ok := got.(schemas.StructValue)
		if !ok || len(g) != len(w) {
			t.Fatalf("%s: got %v, want %v", path, got, want)
		}
		for i := range w {
			same(t, path+"/"+s.Fields[i].Name, s.Fields[i].Schema, w[i], g[i])
		}
		return
	}
	if want == nil && s.Kind == schemas.Array {
		want = schemas.ArrayValue{}
	}
	if want == nil && s.Kind == schemas.Map {
		want = schemas.MapValue{}
	}
	if !reflect.DeepEqual(want, got) && fmt.Sprint(want) != fmt.Sprint(got) { // NaN and nil slices
		t.Fatalf("%s: got %#v, want %#v", path, got, want)
	}
}
