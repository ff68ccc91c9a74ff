package elasticsearch

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// cellOf makes one cell.
func cellOf(fill func(w *connectors.Builder)) (*connectors.Batch, connectors.Cell) {
	w := connectors.NewBuilder("{}", nil, nil)
	w.Begin(w.Stream(&connectors.Stream{}), connectors.OpCreate)
	w.After()
	fill(w)
	w.Commit()
	b := w.Finish("", connectors.Order{})
	return b, b.Cells(b.Records[0].After)[0]
}

func text(k connectors.Kind, v string) func(w *connectors.Builder) {
	return func(w *connectors.Builder) { w.Text(k, []byte(v)) }
}

func temporal(k connectors.Kind, v int64) func(w *connectors.Builder) {
	return func(w *connectors.Builder) { w.Temporal(k, v) }
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		fill func(w *connectors.Builder)
		raw  bool
		want string
	}{
		{func(w *connectors.Builder) { w.Null() }, false, `null`},
		{func(w *connectors.Builder) { w.Int(math.MinInt64) }, false, `-9223372036854775808`},
		{func(w *connectors.Builder) { w.Uint(math.MaxUint64) }, false, `18446744073709551615`},
		{func(w *connectors.Builder) { w.Float32(0.1) }, false, `0.1`},
		{func(w *connectors.Builder) { w.Float64(math.NaN()) }, false, `"NaN"`},
		{func(w *connectors.Builder) { w.Float64(math.Inf(-1)) }, false, `"-Infinity"`},
		{text(connectors.KindDecimal, "12.30"), false, `"12.30"`},
		{text(connectors.KindText, "a\"\\\n\x01é"), false, `"a\"\\\n\u0001é"`},
		{text(connectors.KindText, "{\"a\":\n[1,\r 2]}"), true, `{"a": [1,  2]}`},
		{text(connectors.KindText, `{"a":1,"b":{"a":2}}`), true, `{"a":1,"b":{"a":2}}`},
		{text(connectors.KindText, `[{"a":1},{"a":1}]`), true, `[{"a":1},{"a":1}]`},
		{text(connectors.KindText, `{"a":"a","b":1,"\u0061":2}`), true, `"{\"a\":\"a\",\"b\":1,\"\\u0061\":2}"`},
		{text(connectors.KindBytes, "\x00\xff"), false, `"AP8="`},
		{text(connectors.KindBits, "0101"), false, `"0101"`},
		{temporal(connectors.KindDate, 19782), false, `"2024-02-29"`},
		{temporal(connectors.KindDate, math.MaxInt64), false, `"infinity"`},
		{temporal(connectors.KindTime, -3020399000001), false, `"-838:59:59.000001"`},
		{temporal(connectors.KindTime, 3600_000_000), false, `"01:00:00"`},
		{temporal(connectors.KindTimestamp, 1709210096123000), false, `"2024-02-29T12:34:56.123"`},
		{temporal(connectors.KindTimestampTZ, 1709210096123456), false, `"2024-02-29T12:34:56.123456Z"`},
		{func(w *connectors.Builder) { w.TimeTZ(45296500000, -19800) }, false, `"12:34:56.5-05:30"`},
		{func(w *connectors.Builder) { w.Interval(14, -3, 14706789000) }, false, `"P1Y2M-3DT4H5M6.789S"`},
		{func(w *connectors.Builder) {
			w.BeginList(connectors.KindList)
			w.Int(1)
			w.Null()
			w.BeginList(connectors.KindList)
			w.EndList()
			w.EndList()
		}, false, `[1,null,[]]`},
		{func(w *connectors.Builder) {
			w.BeginList(connectors.KindMap)
			w.String("k")
			w.Null()
			w.EndList()
		}, false, `{"k":null}`},
		{func(w *connectors.Builder) {
			w.BeginList(connectors.KindPoint)
			w.Float64(1)
			w.Float64(-2.5)
			w.EndList()
		}, false, `{"x":1.0,"y":-2.5}`},
	} {
		b, cell := cellOf(c.fill)
		got, why := appendValue(nil, b, cell, c.raw)
		if why != "" || string(got) != c.want {
			t.Errorf("got %s %s, want %s", got, why, c.want)
		}
	}
	for v, want := range map[string]problem{"\xff": problemUTF8, "{": problemJSON} {
		b, cell := cellOf(text(connectors.KindText, v))
		if _, why := appendValue(nil, b, cell, true); why != want {
			t.Errorf("%q: %q, want %q", v, why, want)
		}
	}
}

func TestDocumentID(t *testing.T) {
	long := strings.Repeat("x", 513)
	for _, c := range []struct {
		want string
		key  []func(w *connectors.Builder)
	}{
		{"7", []func(w *connectors.Builder){func(w *connectors.Builder) { w.Int(7) }}},
		{`a,b`, []func(w *connectors.Builder){text(connectors.KindText, "a,b")}},
		{`a\\b`, []func(w *connectors.Builder){text(connectors.KindText, `a\b`)}},
		{`a\,b,c`, []func(w *connectors.Builder){text(connectors.KindText, "a,b"), text(connectors.KindText, "c")}},
		{`\N,`, []func(w *connectors.Builder){func(w *connectors.Builder) { w.Null() }, text(connectors.KindText, "")}},
		{`\e`, []func(w *connectors.Builder){text(connectors.KindText, "")}},
		{`1.5,100`, []func(w *connectors.Builder){text(connectors.KindDecimal, "1.500"), text(connectors.KindDecimal, "100")}},
		{`2024-02-29,true`, []func(w *connectors.Builder){temporal(connectors.KindDate, 19782), func(w *connectors.Builder) { w.Bool(true) }}},
		{"sha256-da6d44dba7abd1ce38cfc6dad5c9c9da11e4d4c8a9ed9c4ba3ce8b8a3ec4c3dd", nil},
	} {
		if c.key == nil {
			c.key = []func(w *connectors.Builder){text(connectors.KindText, long)}
		}
		b, _ := cellOf(func(w *connectors.Builder) {
			for _, f := range c.key {
				f(w)
			}
		})
		var fields []int
		for i := range c.key {
			fields = append(fields, i)
		}
		got, _, why := appendID(nil, b, b.Cells(b.Records[0].After), fields)
		if why != "" || string(got) != c.want && !(strings.HasPrefix(c.want, "sha256-") && len(got) == len(c.want) && bytes.HasPrefix(got, []byte("sha256-"))) {
			t.Errorf("got %s %s, want %s", got, why, c.want)
		}
	}
}

// Whatever a cell holds, a document is one line of JSON, or there is a problem; a text comes back as it was.
func FuzzDocument(f *testing.F) {
	f.Add("text", int64(5), 1.5, false)
	f.Add("{\"a\":1,\n\"a\":2}", int64(math.MinInt64), math.Inf(1), true)
	f.Add("\x00\xff\u2028", int64(-1), math.NaN(), true)
	f.Fuzz(func(t *testing.T, v string, n int64, x float64, raw bool) {
		w := connectors.NewBuilder("{}", nil, nil)
		w.Begin(w.Stream(&connectors.Stream{}), connectors.OpCreate)
		w.After()
		w.String(v)
		for _, k := range []connectors.Kind{connectors.KindBytes, connectors.KindDecimal, connectors.KindBits} {
			w.Text(k, []byte(v))
		}
		for _, k := range []connectors.Kind{connectors.KindDate, connectors.KindTime, connectors.KindTimestamp, connectors.KindTimestampTZ} {
			w.Temporal(k, n%(1<<58))
		}
		w.TimeTZ(n, int32(n))
		w.Interval(int32(n), int32(n>>32), n)
		w.Float64(x)
		w.Float32(float32(x))
		w.Uint(uint64(n))
		w.BeginList(connectors.KindList)
		w.String(v)
		w.Float64(x)
		w.EndList()
		w.BeginList(connectors.KindMap)
		w.String(v)
		w.String(v)
		w.EndList()
		w.Commit()
		b := w.Finish("", connectors.Order{})
		cells := b.Cells(b.Records[0].After)
		for i, c := range cells {
			got, why := appendValue(nil, b, c, raw)
			if why == "" && (!json.Valid(got) || bytes.ContainsAny(got, "\n\r") || !utf8.Valid(got)) {
				t.Fatalf("cell %d: %q", i, got)
			}
			if why != "" && utf8.ValidString(v) && !raw {
				t.Fatalf("cell %d: %s", i, why)
			}
			if i == 0 && why == "" && !raw {
				var back string
				if err := json.Unmarshal(got, &back); err != nil || back != v {
					t.Fatalf("%q became %s", v, got)
				}
			}
		}
		for i := range cells {
			if id, _, why := appendID(nil, b, cells, []int{i, 0}); why == "" && (len(id) == 0 || len(id) > maxID) {
				t.Fatalf("id %q", id)
			}
		}
	})
}

func TestReferenceValues(t *testing.T) {
	row := &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{
		{Name: "n", Schema: &schemas.Schema{Kind: schemas.Int32}},
		{Name: "price", Schema: &schemas.Schema{Kind: schemas.Bytes, Name: nameDecimal, Parameters: []schemas.Parameter{{Name: "scale", Value: "2"}}}},
		{Name: "map", Schema: &schemas.Schema{Kind: schemas.Map, Key: &schemas.Schema{Kind: schemas.String}, Elem: &schemas.Schema{Kind: schemas.Int64}}},
		{Name: "other", Schema: &schemas.Schema{Kind: schemas.Map, Key: &schemas.Schema{Kind: schemas.Int32}, Elem: &schemas.Schema{Kind: schemas.String, Optional: true}}},
		{Name: "day", Schema: &schemas.Schema{Kind: schemas.Int32, Name: nameDate}},
		{Name: "none", Schema: &schemas.Schema{Kind: schemas.String, Optional: true}},
		{Name: "some", Schema: &schemas.Schema{Kind: schemas.String, Default: "x"}},
		{Name: "list", Schema: &schemas.Schema{Kind: schemas.Array, Elem: &schemas.Schema{Kind: schemas.Float64}}},
	}}
	value := schemas.StructValue{
		int32(7), []byte{0x04, 0xce}, schemas.MapValue{{Key: "a", Value: int64(1)}}, schemas.MapValue{{Key: int32(1), Value: nil}}, int32(19782), nil, nil, schemas.ArrayValue{1.5, math.NaN()},
	}
	for compact, want := range map[bool]string{
		true:  `{"n":7,"price":12.3,"map":{"a":1},"other":[{"key":1,"value":null}],"day":19782,"none":null,"some":"x","list":[1.5,"NaN"]}`,
		false: `{"n":7,"price":12.3,"map":[{"key":"a","value":1}],"other":[{"key":1,"value":null}],"day":19782,"none":null,"some":"x","list":[1.5,"NaN"]}`,
	} {
		got, err := values{compact}.append(nil, row, value)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	got, err := values{true}.append(nil, nil, schemas.MapValue{{Key: "a", Value: schemas.ArrayValue{true, nil}}})
	if err != nil || string(got) != `{"a":[true,null]}` {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := (values{}).append(nil, row, schemas.StructValue{nil, nil, nil, nil, nil, nil, nil, nil}); err == nil {
		t.Error("NULL in a required field is accepted")
	}
	mapping, err := referenceMapping(nil, row)
	want := `{"properties":{"n":{"type":"integer"},"price":{"type":"double"},"map":{"properties":{"key":{"type":"text",` + keywordField + `},"value":{"type":"long"}}},` +
		`"other":{"properties":{"key":{"type":"integer"},"value":{"type":"text",` + keywordField + `}}},"day":{"type":"date"},"none":{"type":"text",` + keywordField + `},"some":{"type":"text",` + keywordField + `},"list":{"type":"double"}}}`
	if err != nil || string(mapping) != want {
		t.Errorf("got %s, %v; want %s", mapping, err, want)
	}
}
