package connectors

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

func wireStream() *Stream {
	id := &schemas.Schema{Kind: schemas.Int64}
	text := &schemas.Schema{Kind: schemas.String, Optional: true, Name: "io.debezium.data.Enum", Version: 1, Doc: "d", Parameters: []schemas.Parameter{{Name: "allowed", Value: "a,b"}}, Default: "a"}
	list := &schemas.Schema{Kind: schemas.Array, Elem: text, Default: schemas.ArrayValue{"x", nil}}
	m := &schemas.Schema{Kind: schemas.Map, Key: text, Elem: id, Default: schemas.MapValue{{Key: "k", Value: int64(1)}}}
	row := &schemas.Schema{Kind: schemas.Struct, Name: "row", Fields: []schemas.Field{{Name: "id", Schema: id}, {Name: "text", Schema: text}, {Name: "list", Schema: list}, {Name: "map", Schema: m}}}
	block := &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "c", Schema: text}, {Name: "lsn", Schema: id}}}
	envelope := &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{
		{Name: "before", Schema: row},
		{Name: "after", Schema: row},
		{Name: "source", Schema: block},
		{Name: "transaction", Schema: block},
		{Name: "op", Schema: text},
		{Name: "ts_ms", Schema: id},
		{Name: "ts_us", Schema: id},
		{Name: "ts_ns", Schema: id},
	}}
	elem := Field{Name: "e", Schema: text, View: ViewPlain}
	return &Stream{
		Topic: "t", Key: &schemas.Schema{Kind: schemas.Struct, Fields: row.Fields[:1]}, Value: envelope, Row: row,
		KeyFields: []Field{{Name: "id", Schema: id}},
		Fields: []Field{
			{Name: "id", Schema: id, WhenNull: int64(0)},
			{Name: "text", Schema: text, Cell: 1, Scale: -3, WhenUnavailable: "__unavailable"},
			{Name: "list", Schema: list, Cell: 2, View: ViewList, Elem: &elem},
			{Name: "map", Schema: m, Cell: 3, View: ViewMap},
		},
		Table: &schemas.Table{Catalog: "c", Schema: "s", Name: "n", Comment: "about", Key: []int{0}, Columns: []schemas.Column{
			{Name: "id", Type: schemas.TypeInt64, TypeName: "bigint", Length: -1, Scale: -1},
			{Name: "text", Type: schemas.TypeEnum, TypeName: "mood", Allowed: []string{"a", "b"}, Optional: true, Default: "'a'"},
			{Name: "list", Type: schemas.TypeList, Elem: &schemas.Column{Name: "e", Type: schemas.TypeText}, Generated: true, Comment: "x"},
			{Name: "map", Type: schemas.TypeMap},
		}},
		Source:  &SourceBlock{Schema: block, Fields: []SourceField{{Constant: "v", Cell: -1}, {Cell: 0, Divide: 1000, Multiply: 2}}, Transaction: 1},
		Headers: []Header{{"h", "v"}},
	}
}

func wireBatch(s *Stream) *Batch {
	w := NewBuilder(`{"server":"a"}`, nil, nil)
	at := w.Stream(s)
	for n := range 3 {
		r := w.Begin(at, OpUpdate)
		r.Last, r.Timestamp, r.Order, r.KafkaPartition = n == 2, int64(-n), Order{1, uint32(n), 1 << 60}, int32(n-1)
		w.Key()
		w.Int(int64(n))
		for _, row := range []func(){w.Before, w.After} {
			row()
			w.Int(int64(n))
			w.String(strings.Repeat("é", n))
			w.BeginList(KindList)
			w.BeginList(KindPoint)
			w.Float64(1)
			w.Float64(2)
			w.EndList()
			w.Null()
			w.EndList()
			w.BeginList(KindMap)
			w.String("k")
			w.Int(1)
			w.EndList()
		}
		w.Source()
		w.Int(5000)
		if n > 0 {
			w.BeginList(KindList)
			w.String("id")
			w.Int(1)
			w.Int(2)
			w.EndList()
		}
		w.Headers()
		w.String("own")
		w.Interval(1, 2, 3)
		w.Commit()
		if n == 1 {
			w.Raw(Raw{Topic: "in", Partition: 3, Offset: 1 << 40, Timestamp: -1, Key: []byte{}, Headers: []RawHeader{{[]byte("h"), nil}, {[]byte{}, []byte("v")}}})
		}
	}
	w.Body(at, OpNone, Body{Key: schemas.Typed{Schema: s.Key, Value: schemas.StructValue{int64(1)}}, Value: schemas.Typed{Value: schemas.MapValue{
		{Key: "a", Value: []byte{1}},
		{Key: "b", Value: true},
		{Key: "c", Value: int8(1)},
		{Key: "d", Value: int16(2)},
		{Key: "e", Value: int32(3)},
		{Key: "f", Value: float32(1.5)},
		{Key: "g", Value: 2.5},
		{Key: "h", Value: nil},
		{Key: "i", Value: false},
	}}})
	w.Raw(Raw{Topic: "in", Partition: 1<<31 - 1, Offset: 5, Timestamp: 1, Value: []byte("value")})
	b := w.Finish(`{"lsn":1}`, Order{1, 2, 3})
	b.ID, b.Committed = 42, -1
	b.Extra = []offsets.Entry{{Partition: "{}", Offset: ""}, {Partition: `{"x":1}`, Offset: "{}"}}
	return b
}

func same(t *testing.T, got, want *Batch) {
	t.Helper()
	for _, x := range []struct {
		what      string
		got, want any
	}{
		{"id", got.ID, want.ID},
		{"source", got.Source, want.Source},
		{"offset", got.Offset, want.Offset},
		{"through", got.Through, want.Through},
		{"committed", got.Committed, want.Committed},
		{"extra", got.Extra, want.Extra},
		{"streams", got.Streams, want.Streams},
		{"records", got.Records, want.Records},
		{"bodies", got.Bodies, want.Bodies},
		{"cells", got.cells, want.cells},
		{"nested", got.nested, want.nested},
		{"data", string(got.data), string(want.data)},
		{"raws", got.raws, want.raws},
	} {
		if !reflect.DeepEqual(x.got, x.want) {
			t.Errorf("%s: got %+v, want %+v", x.what, x.got, x.want)
		}
	}
}

func TestWire(t *testing.T) {
	w, r := NewWireWriter(), NewWireReader()
	s := wireStream()
	var sizes []int
	var streams []*Stream
	for _, stream := range []*Stream{s, s, wireStream(), s} {
		b := wireBatch(stream)
		text, err := w.Append([]byte("before"), b)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.TrimPrefix(text, []byte("before"))
		sizes = append(sizes, len(text))
		released := false
		got, err := r.Decode(text, &Pool{}, func(*Batch) { released = true })
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, b)
		streams = append(streams, got.Streams[0])
		got.Release()
		if !released {
			t.Error("not released")
		}
	}
	if sizes[1] >= sizes[0]/2*2 || sizes[1] != sizes[3] {
		t.Errorf("streams are sent more than once: %v", sizes)
	}
	if streams[0] != streams[1] || streams[0] == streams[2] || streams[0] != streams[3] {
		t.Error("streams are not the same objects")
	}
}

func TestWirePositionOnly(t *testing.T) {
	b := NewBuilder("{}", nil, nil).Finish(`{"lsn":9}`, Order{Major: 9})
	text, err := NewWireWriter().Append(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewWireReader().Decode(text, nil, nil)
	if err != nil || got.Offset != `{"lsn":9}` || len(got.Records) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestWireDepth: a value that a reader would refuse is not written.
func TestWireDepth(t *testing.T) {
	for _, deep := range []int{wireDepth, wireDepth + 1} {
		v := schemas.Value(schemas.ArrayValue{})
		for range deep - 1 {
			v = schemas.ArrayValue{v}
		}
		b := NewBuilder("{}", nil, nil).Finish("", Order{})
		b.Bodies = []Body{{Value: schemas.Typed{Value: v}}}
		text, err := NewWireWriter().Append(nil, b)
		if err == nil {
			_, err = NewWireReader().Decode(text, nil, nil)
		} else if text != nil {
			t.Errorf("%d deep: %d bytes beside the error %v", deep, len(text), err)
		}
		if (err != nil) != (deep > wireDepth) {
			t.Errorf("%d deep: %v", deep, err)
		}
	}
}

func TestWireRefusesForeignValues(t *testing.T) {
	b := NewBuilder("{}", nil, nil).Finish("", Order{})
	b.Bodies = []Body{{Value: schemas.Typed{Value: struct{}{}}}}
	if _, err := NewWireWriter().Append(nil, b); err == nil {
		t.Error("no error")
	}
}

// TestWireAnyBatch sends batches of random cells, several over one connection.
func TestWireAnyBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, r := NewWireWriter(), NewWireReader()
		streams := []*Stream{{Topic: "a"}, {Topic: "b", Headers: []Header{{"h", "v"}}}}
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			b := NewBuilder(`{"p":1}`, nil, nil)
			for range rapid.IntRange(0, 5).Draw(t, "records") {
				rec := b.Begin(b.Stream(rapid.SampledFrom(streams).Draw(t, "stream")), Op(rapid.IntRange(0, int(OpTombstone)).Draw(t, "op")))
				rec.Order = Order{rapid.Uint32().Draw(t, "epoch"), rapid.Uint32().Draw(t, "minor"), rapid.Uint64().Draw(t, "major")}
				rec.Timestamp, rec.KafkaPartition = rapid.Int64().Draw(t, "ts"), rapid.Int32Min(-1).Draw(t, "partition")
				for _, row := range []func(){b.Key, b.Before, b.After, b.Source} {
					row()
					for range rapid.IntRange(0, 4).Draw(t, "cells") {
						randomCell(t, b, 3)
					}
				}
				b.Commit()
			}
			batch := b.Finish(rapid.SampledFrom([]offsets.Offset{"", "{}", `{"é":1}`}).Draw(t, "offset"), Order{Major: rapid.Uint64().Draw(t, "through")})
			text, err := w.Append(nil, batch)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Decode(text, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Offset != batch.Offset || got.Through != batch.Through || !reflect.DeepEqual(got.Records, batch.Records) || !reflect.DeepEqual(got.cells, batch.cells) ||
				!reflect.DeepEqual(got.nested, batch.nested) || !bytes.Equal(got.data, batch.data) {
				t.Fatalf("got %+v, want %+v", got, batch)
			}
		}
	})
}

func randomCell(t *rapid.T, b *Builder, depth int) {
	switch k := Kind(rapid.IntRange(0, int(KindPoint)).Draw(t, "kind")); k {
	case KindText, KindBytes:
		b.Text(k, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case KindDecimal:
		b.Text(k, []byte(rapid.StringMatching(`[-+]?[0-9]+(\.[0-9]*)?|\.[0-9]+|NaN|-?Infinity`).Draw(t, "decimal")))
	case KindBits:
		b.Text(k, []byte(rapid.StringMatching(`[01]*`).Draw(t, "bits")))
	case KindAbsent, KindNull, KindUnavailable:
		b.Cell(Cell{Kind: k})
	case KindBool:
		b.Bool(rapid.Bool().Draw(t, "bool"))
	case KindFloat32:
		b.Float32(rapid.Float32().Draw(t, "float"))
	case KindInterval:
		b.Interval(rapid.Int32().Draw(t, "months"), rapid.Int32().Draw(t, "days"), rapid.Int64().Draw(t, "us"))
	case KindTimeTZ:
		b.TimeTZ(rapid.Int64().Draw(t, "us"), rapid.Int32Range(-86399, 86399).Draw(t, "zone"))
	case KindList, KindMap, KindPoint:
		if depth == 0 {
			b.Null()
			return
		}
		b.BeginList(k)
		switch k {
		case KindPoint:
			b.Float64(rapid.Float64().Draw(t, "x"))
			b.Float64(rapid.Float64().Draw(t, "y"))
		case KindMap:
			b.String(rapid.String().Draw(t, "key"))
			randomCell(t, b, depth-1)
		default:
			for range rapid.IntRange(0, 3).Draw(t, "n") {
				randomCell(t, b, depth-1)
			}
		}
		b.EndList()
	default:
		b.Cell(Cell{Kind: k, word: rapid.Uint64().Draw(t, "word")})
	}
}
