package jsonschema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/schemas"
)

// schemaOf draws a schema; deep: how many levels may follow.
func schemaOf(t *rapid.T, deep int) *schemas.Schema {
	last := schemas.Bytes
	if deep > 0 {
		last = schemas.Struct
	}
	s := &schemas.Schema{Kind: schemas.Kind(rapid.IntRange(int(schemas.Int8), int(last)).Draw(t, "kind")), Optional: rapid.Bool().Draw(t, "optional")}
	if rapid.IntRange(0, 3).Draw(t, "named") == 0 {
		s.Name, s.Version = rapid.StringMatching(`[a-z]\.[A-Zé"]{1,8}`).Draw(t, "name"), int32(rapid.IntRange(0, 9).Draw(t, "version"))
		s.Doc = rapid.String().Draw(t, "doc")
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "parameters") {
		s.Parameters = append(s.Parameters, schemas.Parameter{Name: rapid.StringMatching(`[a-zß]{0,9}`).Draw(t, "parameter") + fmt.Sprint(i), Value: rapid.String().Draw(t, "value")})
	}
	switch s.Kind {
	case schemas.Array:
		s.Elem = schemaOf(t, deep-1)
	case schemas.Map:
		s.Key, s.Elem = &schemas.Schema{Kind: schemas.String}, schemaOf(t, deep-1)
		if rapid.Bool().Draw(t, "pairs") {
			s.Key = &schemas.Schema{Kind: schemas.Int32, Name: "a.Key"}
		}
	case schemas.Struct:
		for i := range rapid.IntRange(0, 15).Draw(t, "fields") {
			s.Fields = append(s.Fields, schemas.Field{Name: rapid.StringMatching(`[a-zA-Z_ü ]{0,12}`).Draw(t, "field") + fmt.Sprint(i), Schema: schemaOf(t, deep-1)})
		}
	default:
		if rapid.IntRange(0, 3).Draw(t, "with default") == 0 {
			s.Default = valueOf(t, s, true)
		}
	}
	return s
}

func valueOf(t *rapid.T, s *schemas.Schema, there bool) schemas.Value {
	if !there && s.Optional && s.Default == nil && rapid.IntRange(0, 3).Draw(t, "null") == 0 {
		return nil
	}
	switch s.Kind {
	case schemas.Int8:
		return rapid.Int8().Draw(t, "int8")
	case schemas.Int16:
		return rapid.Int16().Draw(t, "int16")
	case schemas.Int32:
		return rapid.Int32().Draw(t, "int32")
	case schemas.Int64:
		return rapid.Int64().Draw(t, "int64")
	case schemas.Float32:
		return rapid.Float32().Draw(t, "float")
	case schemas.Float64:
		return rapid.Float64().Draw(t, "double")
	case schemas.Boolean:
		return rapid.Bool().Draw(t, "boolean")
	case schemas.String:
		return rapid.String().Draw(t, "string")
	case schemas.Bytes:
		return rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
	case schemas.Array:
		out := schemas.ArrayValue{}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			out = append(out, valueOf(t, s.Elem, false))
		}
		return out
	case schemas.Map:
		out := schemas.MapValue{}
		for i := range rapid.IntRange(0, 3).Draw(t, "entries") {
			var key schemas.Value = int32(i)
			if s.Key.Kind == schemas.String {
				key = fmt.Sprint(i, rapid.String().Draw(t, "key"))
			}
			out = append(out, schemas.MapEntry{Key: key, Value: valueOf(t, s.Elem, false)})
		}
		return out
	}
	out := make(schemas.StructValue, len(s.Fields))
	for i := range out {
		out[i] = valueOf(t, s.Fields[i].Schema, false)
	}
	return out
}

// sorted has the parameters of all schemas in one order: that of the reference is not the one in which they were given.
func sorted(s *schemas.Schema) *schemas.Schema {
	if s == nil {
		return nil
	}
	out := *s
	out.Parameters = slices.SortedFunc(slices.Values(s.Parameters), func(a, b schemas.Parameter) int { return strings.Compare(a.Name, b.Name) })
	out.Key, out.Elem = sorted(s.Key), sorted(s.Elem)
	out.Fields = slices.Clone(s.Fields)
	for i := range out.Fields {
		out.Fields[i].Schema = sorted(s.Fields[i].Schema)
	}
	return &out
}

// TestRoundTrip writes schemas and values of every shape and reads them as they were.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	o := optionsOf(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		in := schemas.Typed{Schema: schemaOf(t, 3)}
		in.Value = valueOf(t, in.Schema, false)
		text, _, err := o.fromConnect(in.Schema)
		if err != nil {
			t.Fatal(err)
		}
		payload, missing, err := o.writing().Append(nil, in)
		if err != nil || missing {
			t.Fatal(err, missing)
		}
		back, err := decodeText(o, text, string(payload))
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, text, payload)
		}
		if !reflect.DeepEqual(sorted(back.Schema), sorted(in.Schema)) {
			again, _, _ := o.fromConnect(back.Schema)
			t.Fatalf("schema\ngot  %s\nwant %s", again, text)
		}
		if !reflect.DeepEqual(back.Value, in.Value) {
			t.Fatalf("value\ngot  %#v\nwant %#v\n%s", back.Value, in.Value, payload)
		}
	})
}

func FuzzDecode(f *testing.F) {
	var made []*schemas.Schema
	o := options{open: true, flatten: true}
	for _, r := range readRecorded(f) {
		text := r.Schema + r.JSON
		if r.Error != "" || len(text) > 6000 || r.Payload == nil {
			continue
		}
		n, err := parse(text, nil)
		if err != nil {
			f.Fatal(err)
		}
		s, err := o.toConnect(n, 0)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(len(made), *r.Payload)
		made = append(made, s)
	}
	f.Fuzz(func(t *testing.T, which int, data string) {
		s := made[uint(which)%uint(len(made))]
		v, err := reading().Read(s, []byte(data))
		if err != nil {
			return
		}
		out, missing, err := o.writing().Append(nil, schemas.Typed{Schema: s, Value: v})
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if missing {
			return
		}
		again, err := reading().Read(s, out)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if third, _, err := o.writing().Append(nil, schemas.Typed{Schema: s, Value: again}); err != nil || string(third) != string(out) {
			t.Fatalf("read and written again it differs: %v\n%s\n%s", err, out, third)
		}
	})
}

func FuzzSchema(f *testing.F) {
	for _, r := range readRecorded(f) {
		if text := r.Schema + r.JSON; r.Error == "" && len(text) < 4000 {
			f.Add(text)
		}
	}
	f.Add(`{"$ref":"#"}`)
	f.Add(`{"allOf":[{"$ref":"#"},{"anyOf":[{"$ref":"#/allOf/0"}]}]}`)
	f.Fuzz(func(_ *testing.T, text string) {
		n, err := parse(text, nil)
		if err != nil {
			return
		}
		if s, err := (options{open: true, flatten: true}).toConnect(n, 3); err == nil {
			_, _, _ = (options{open: true}).fromConnect(s) // must not panic
		}
		_ = accepts(n, n, 0)
	})
}
