package connectors

import (
	"fmt"
	"math"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// The batches of the recorded messages.

type madeConnection struct {
	name     string
	messages []madeMessage
}

type madeMessage struct {
	name  string
	anew  bool // the writer begins anew
	batch *Batch
}

func goldenBatches() []madeConnection {
	s, again := wireStream(), wireStream()
	return []madeConnection{
		{"definitions are sent once", []madeMessage{
			{"a stream with its schemas", false, wireBatch(s)},
			{"the same stream again", false, wireBatch(s)},
			{"a position without records", false, positionBatch()},
			{"a stream that shares schemas with the first one", false, sharingBatch(s)},
			{"a stream that is equal, but not the same", false, wireBatch(again)},
			{"everything is forgotten and defined anew", true, wireBatch(s)},
			{"an empty batch", false, NewBuilder("{}", nil, nil).Finish("", Order{})},
		}},
		{"cells", []madeMessage{{"all kinds", false, kindsBatch()}, {"lists in lists, and content that is shared", false, nestedBatch()}}},
		{"values", []madeMessage{{"all tags", false, valuesBatch()}}},
		{"streams", []madeMessage{{"all views", false, viewsBatch()}, {"all types of columns and of schemas", false, typesBatch()}}},
		{"records", []madeMessage{{"all operations", false, operationsBatch()}, {"raw records", false, rawsBatch()}}},
	}
}

func positionBatch() *Batch {
	b := NewBuilder(`{"server":"a"}`, nil, nil).Finish(`{"lsn":9,"text":"é"}`, Order{math.MaxUint32, math.MaxUint32, math.MaxUint64})
	b.ID, b.Committed = math.MaxUint64, 1767225600000000
	b.Extra = []offsets.Entry{{Partition: `{"freshet":"state","server":"a"}`, Offset: `{"gtids":"x"}`}}
	return b
}

// sharingBatch has two streams, in an order in which they have not been defined.
func sharingBatch(s *Stream) *Batch {
	w := NewBuilder(`{"server":"a"}`, nil, nil)
	w.Body(w.Stream(&Stream{Topic: "heartbeat", Key: s.Key, Value: s.Value.Fields[2].Schema}), OpNone, Body{Key: schemas.Typed{Schema: s.Key, Value: schemas.StructValue{int64(1)}}})
	w.Body(w.Stream(s), OpTombstone, Body{})
	return w.Finish(`{"lsn":2}`, Order{Major: 7})
}

// goldenStream has nothing but a topic and a table of so many columns.
func goldenStream(columns int) *Stream {
	t := &schemas.Table{Name: "t"}
	for range columns {
		t.Columns = append(t.Columns, schemas.Column{Name: "c"})
	}
	return &Stream{Topic: "t", Table: t}
}

func kindsBatch() *Batch {
	w := NewBuilder("{}", nil, nil)
	w.Begin(w.Stream(&Stream{Topic: "kinds"}), OpCreate)
	w.After()
	w.Absent()
	w.Null()
	w.Unavailable()
	w.Bool(false)
	w.Bool(true)
	for _, v := range []int64{0, -1, math.MinInt64, math.MaxInt64} {
		w.Int(v)
	}
	w.Uint(math.MaxUint64)
	for _, v := range []float32{1.5, -math.MaxFloat32, math.SmallestNonzeroFloat32} {
		w.Float32(v)
	}
	for _, v := range []float64{0.1, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.Float64frombits(0x7ff8000000000001)} {
		w.Float64(v)
	}
	for _, v := range []string{"0", "-12.50", "+1", ".5", "7.", "NaN", "Infinity", "-Infinity", "123456789012345678901234567890.123456789"} {
		w.Text(KindDecimal, []byte(v))
	}
	for _, v := range []string{"", "é", "a\x00b", "not UTF-8: \xff"} {
		w.String(v)
	}
	w.Text(KindBytes, []byte{0, 0xff})
	w.Text(KindBytes, nil)
	for _, k := range []Kind{KindDate, KindTimestamp, KindTimestampTZ} {
		for _, v := range []int64{20000, -1, math.MinInt64, math.MaxInt64} {
			w.Temporal(k, v)
		}
	}
	w.Temporal(KindTime, 86399999999)
	w.Temporal(KindTime, -3020399000000)
	w.TimeTZ(5, 86399)
	w.TimeTZ(86400000000, -86399)
	w.Interval(0, 0, 0)
	w.Interval(math.MinInt32, math.MaxInt32, math.MinInt64)
	w.Text(KindBits, []byte("0110"))
	w.Text(KindBits, nil)
	for _, k := range []Kind{KindList, KindMap} {
		w.BeginList(k)
		w.EndList()
	}
	w.BeginList(KindMap)
	w.String("k")
	w.Null()
	w.String("k")
	w.String("v")
	w.EndList()
	w.BeginList(KindPoint)
	w.Float64(1.25)
	w.Float64(-2)
	w.EndList()
	w.Commit()
	return w.Finish("{}", Order{})
}

func nestedBatch() *Batch {
	w := NewBuilder("{}", nil, nil)
	w.Begin(w.Stream(goldenStream(2)), OpUpdate)
	w.After()
	w.BeginList(KindList)
	for n := range 3 {
		w.BeginList(KindList)
		for i := range n {
			w.Int(int64(i))
		}
		w.BeginList(KindMap)
		w.String("key")
		w.BeginList(KindPoint)
		w.Float64(0)
		w.Float64(1)
		w.EndList()
		w.EndList()
		w.EndList()
	}
	w.EndList()
	w.String("shared")
	row := w.Row(w.Record().After)
	w.Before()
	for _, c := range row {
		w.Cell(c)
	}
	w.Commit()
	return w.Finish("{}", Order{Major: 1, Minor: 2})
}

func valuesBatch() *Batch {
	w := NewBuilder("{}", nil, nil)
	at := w.Stream(&Stream{Topic: "values"})
	item := &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "f", Schema: &schemas.Schema{Kind: schemas.Bytes}}}}
	for _, v := range []schemas.Value{
		nil, false, true, int8(math.MinInt8), int8(math.MaxInt8), int16(math.MinInt16), int16(math.MaxInt16), int32(math.MinInt32), int32(math.MaxInt32),
		int64(math.MinInt64), int64(math.MaxInt64), float32(1.5), float32(math.Inf(-1)), 0.1, math.Copysign(0, -1), math.Inf(1), "", "é\x00",
		[]byte{},
		[]byte{0, 0xff},
		schemas.ArrayValue{},
		schemas.ArrayValue{nil, schemas.ArrayValue{true}},
		schemas.StructValue{},
		schemas.StructValue{int64(1), "x"},
		schemas.MapValue{},
		schemas.MapValue{{Key: "k", Value: nil}, {Key: int32(1), Value: schemas.StructValue{[]byte("b")}}},
	} {
		w.Body(at, OpNone, Body{Key: schemas.Typed{Value: v}})
	}
	w.Body(at, OpNone, Body{Key: schemas.Typed{Schema: item, Value: schemas.StructValue{[]byte("b")}}, Value: schemas.Typed{Schema: item}})
	return w.Finish("{}", Order{})
}

func viewsBatch() *Batch {
	s := &Stream{Topic: "views", Row: &schemas.Schema{Kind: schemas.Struct}, Headers: []Header{{"é", ""}, {"", "v"}}}
	text := &schemas.Schema{Kind: schemas.String}
	for v := range ViewGeometryPoint + 1 {
		f := Field{Name: fmt.Sprint("f", v), Schema: text, Cell: int(v), View: v, Scale: int32(v) - 5}
		switch v {
		case ViewPlain:
			f.WhenNull, f.WhenUnavailable = "null", []byte("__debezium_unavailable_value")
		case ViewList:
			inner := Field{Name: "inner", Schema: text, View: ViewHex}
			f.Elem = &Field{Schema: text, View: ViewList, Elem: &inner, WhenUnavailable: schemas.ArrayValue{"x"}}
		}
		s.Fields = append(s.Fields, f)
		s.Row.Fields = append(s.Row.Fields, schemas.Field{Name: f.Name, Schema: text})
	}
	w := NewBuilder("{}", nil, nil)
	w.Stream(s)
	return w.Finish("{}", Order{})
}

func typesBatch() *Batch {
	s := &Stream{Topic: "types", Table: &schemas.Table{Catalog: "c", Schema: "s", Name: "types", Key: []int{2, 0}, Comment: "é"}}
	for c := range schemas.TypeRange + 1 {
		column := schemas.Column{Name: fmt.Sprint("c", c), Type: c, TypeName: "t", Length: int32(c), Scale: -1}
		switch c {
		case schemas.TypeEnum:
			column.Allowed, column.Default, column.Optional = []string{"", "a,b"}, "'a,b'::mood", true
		case schemas.TypeList:
			column.Elem = &schemas.Column{Name: "e", Type: schemas.TypeList, Elem: &schemas.Column{Type: schemas.TypeInt16, Length: -1}}
		case schemas.TypeText:
			column.Generated, column.Comment, column.Length = true, "about", math.MaxInt32
		}
		s.Table.Columns = append(s.Table.Columns, column)
	}
	var kinds []schemas.Field
	for k := schemas.Int8; k < schemas.Array; k++ {
		kinds = append(kinds, schemas.Field{Name: k.String(), Schema: &schemas.Schema{Kind: k, Optional: k%2 == 0, Version: int32(k) - 4}})
	}
	kinds[0].Schema.Default, kinds[7].Schema.Default = int8(-1), "d"
	list := &schemas.Schema{Kind: schemas.Array, Elem: kinds[7].Schema, Name: "n", Doc: "d", Parameters: []schemas.Parameter{{Name: "a", Value: "1"}, {Name: "a", Value: ""}}}
	s.Key = &schemas.Schema{Kind: schemas.Map, Key: kinds[7].Schema, Elem: list}
	s.Value = &schemas.Schema{Kind: schemas.Struct, Name: "io.x.Value", Version: 2, Fields: append(kinds, schemas.Field{Name: "map", Schema: s.Key}, schemas.Field{Name: "again", Schema: list})}
	block := &schemas.Schema{Kind: schemas.Struct, Fields: kinds[:3]}
	s.Source = &SourceBlock{Schema: block, Fields: []SourceField{{Constant: int8(3), Cell: -1}, {Cell: 2, Divide: 1000, Multiply: -1}, {Cell: -1}}}
	w := NewBuilder("{}", nil, nil)
	w.Stream(s)
	return w.Finish("{}", Order{})
}

func operationsBatch() *Batch {
	w := NewBuilder("{}", nil, nil)
	at, plain := w.Stream(goldenStream(1)), w.Stream(&Stream{Topic: "u"})
	for op := range OpTombstone + 1 {
		r := w.Begin(at, op)
		r.Last, r.Timestamp, r.KafkaPartition = op%2 == 0, math.MinInt64+int64(op), math.MaxInt32-int32(op)
		r.Order = Order{uint32(op), math.MaxUint32, math.MaxUint64}
		if op == OpUpdate {
			w.Headers()
			w.String("h")
			w.Null()
			w.After()
			w.Int(1)
			w.Before()
			w.Int(2)
		}
		w.Commit()
	}
	w.Begin(plain, OpMessage)
	w.Key()
	w.Commit() // an absent row that begins behind the cells
	return w.Finish("{}", Order{})
}

func rawsBatch() *Batch {
	w := NewBuilder("{}", nil, nil)
	at := w.Stream(&Stream{Topic: "t"})
	for n := range 5 {
		w.Begin(at, OpNone)
		w.Commit()
		switch n {
		case 1:
			w.Raw(Raw{Topic: "in", Partition: 1, Offset: math.MaxInt64, Timestamp: -1})
		case 2:
			w.Raw(Raw{Topic: "in", Partition: math.MaxInt32, Offset: 0, Timestamp: 1767225600000, Key: []byte{}, Value: []byte{0xff}, Headers: []RawHeader{
				{[]byte("h"), nil}, {[]byte("h"), []byte{}}, {[]byte{}, []byte("v")},
			}})
		case 3:
			w.Raw(Raw{Topic: "other", Key: []byte("k"), Value: []byte("v")})
		}
	}
	return w.Finish("{}", Order{})
}
