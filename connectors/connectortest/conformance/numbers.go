package conformance

import (
	"encoding/json"
	"fmt"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// Partition names partition n of the numbers.
func Partition(n int) offsets.Partition { return offsets.Partition(fmt.Sprintf(`{"feed":%d}`, n)) }

// Offset is the offset after number n.
func Offset(n int) offsets.Offset { return offsets.Offset(fmt.Sprintf(`{"n":%d}`, n)) }

// ParseOffset reads what Offset wrote.
func ParseOffset(o offsets.Offset) (int, error) {
	var x struct {
		N int `json:"n"`
	}
	err := json.Unmarshal([]byte(o), &x)
	return x.N, err
}

// Order is the order of number n.
func Order(n int) connectors.Order { return connectors.Order{Epoch: 1, Major: uint64(n), Minor: 1} }

// Numbers is the stream of all numbers: the topic feed, a table public.feed(n bigint key, text text).
func Numbers() *connectors.Stream {
	n := &schemas.Schema{Kind: schemas.Int64}
	text := &schemas.Schema{Kind: schemas.String}
	row := &schemas.Schema{Kind: schemas.Struct, Name: "feed.Value", Fields: []schemas.Field{{Name: "n", Schema: n}, {Name: "text", Schema: text}}}
	return &connectors.Stream{
		Topic: "feed", Key: &schemas.Schema{Kind: schemas.Struct, Name: "feed.Key", Fields: row.Fields[:1]}, Value: row, Row: row,
		KeyFields: []connectors.Field{{Name: "n", Schema: n}},
		Fields:    []connectors.Field{{Name: "n", Schema: n}, {Name: "text", Schema: text, Cell: 1}},
		Table: &schemas.Table{Schema: "public", Name: "feed", Key: []int{0}, Columns: []schemas.Column{
			{Name: "n", Type: schemas.TypeInt64, TypeName: "bigint", Length: -1, Scale: -1},
			{Name: "text", Type: schemas.TypeText, TypeName: "text", Length: -1, Scale: -1},
		}},
	}
}

// AppendNumber adds the creation of number n with a text of width bytes, Letter(n) all over; stream is the index of Numbers in the batch.
func AppendNumber(w *connectors.Builder, stream uint32, n, width int) {
	begin(w, stream, connectors.OpCreate, n, n)
	text := w.Grow(connectors.KindText, max(width, 1))
	for i := range text {
		text[i] = Letter(n)
	}
	w.Commit()
}

// Letter is what the text of number n is made of.
func Letter(n int) byte { return 'a' + byte(n%26) }

// appendChange adds a change of number n: an update to text, or with OpDelete its end.
func appendChange(w *connectors.Builder, stream uint32, op connectors.Op, n, at int, text string) {
	begin(w, stream, op, n, at)
	w.String(text)
	w.Commit()
}

// begin begins a change of number n with the order of number at; its text is still to come.
func begin(w *connectors.Builder, stream uint32, op connectors.Op, n, at int) {
	r := w.Begin(stream, op)
	r.Order, r.Last = Order(at), true
	w.Key()
	w.Int(int64(n))
	if op == connectors.OpDelete {
		w.Before()
	} else {
		w.After()
	}
	w.Int(int64(n))
}

// appendBody adds number n as a materialised record, as one of a topic.
func appendBody(w *connectors.Builder, stream uint32, s *connectors.Stream, n int) {
	r := w.Body(stream, connectors.OpNone, connectors.Body{
		Key:   schemas.Typed{Schema: s.Key, Value: schemas.StructValue{int64(n)}},
		Value: schemas.Typed{Schema: s.Value, Value: schemas.StructValue{int64(n), string(Letter(n))}},
	})
	r.Order, r.Last = Order(n), true
	w.Weigh(64)
}

// poison is a record that many sinks cannot write.
type poison struct {
	what string
	seen bool // the target shows the number, if it took it
	add  func(w *connectors.Builder, n int)
}

func poisons() []poison {
	return []poison{
		{"a text with U+0000", true, func(w *connectors.Builder, n int) {
			appendChange(w, w.Stream(Numbers()), connectors.OpCreate, n, n, "a\x00b")
		}},
		{"a key of null", false, func(w *connectors.Builder, n int) {
			r := w.Begin(w.Stream(Numbers()), connectors.OpCreate)
			r.Order, r.Last = Order(n), true
			w.Key()
			w.Null()
			w.After()
			w.Null()
			w.String("no key")
			w.Commit()
		}},
	}
}
