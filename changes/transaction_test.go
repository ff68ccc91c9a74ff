package changes

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// TestTransactions begins a transaction, counts, stops in the middle, and goes on from the stored offset.
func TestTransactions(t *testing.T) {
	c := connectors.Config{"topic.prefix": "p", "provide.transaction.metadata": "true"}
	n, err := NewNaming(c, "io.debezium.schema.DefaultTopicNamingStrategy")
	if err != nil {
		t.Fatal(err)
	}
	var pool connectors.Pool
	var out []string
	event := func(w *connectors.Builder, x *Transactions, table string) {
		r := w.Begin(w.Stream(&connectors.Stream{Topic: table}), connectors.OpCreate)
		w.Source()
		x.Event(w, table, []byte("7:1"))
		w.Commit()
		block := w.List(w.Row(r.Source)[0])
		out = append(out, fmt.Sprintf("%s %s %d %d", table, w.Bytes(block[0]), block[1].Int(), block[2].Int()))
	}
	boundary := func(w *connectors.Builder, r *connectors.Record) {
		if r == nil {
			out = append(out, "nothing")
			return
		}
		b := w.Finish("{}", connectors.Order{})
		out = append(out, fmt.Sprint(b.Streams[0].Topic, b.Bodies[0].Key.Value, b.Bodies[0].Value.Value))
		b.Release()
	}
	x := NewTransactions(c, n)
	batch := func() *connectors.Builder { return connectors.NewBuilder("{}", &pool, func(*connectors.Batch) {}) }
	w := batch()
	boundary(w, x.Begin(w, "7", "7:0", 1_500))
	w = batch()
	event(w, x, "d.a")
	event(w, x, "d.b")
	event(w, x, "d.a")
	stored := offsets.Offset("{" + string(x.AppendCounts(x.AppendID(nil)))[1:] + "}")
	if want := `{"transaction_id":"7","transaction_data_collection_order_d.a":2,"transaction_data_collection_order_d.b":1}`; string(stored) != want {
		t.Errorf("stored %s, want %s", stored, want)
	}

	x = NewTransactions(c, n)
	x.Restore(stored, true)
	w = batch()
	boundary(w, x.Begin(w, "7", "7:0", 1_500)) // it comes again
	event(w, x, "d.b")
	w = batch()
	boundary(w, x.End(w, "7:9", 1_500))
	w = batch()
	boundary(w, x.Begin(w, "8", "8:0", 2_500))
	w = batch()
	boundary(w, x.End(w, "8:1", 2_500))
	want := []string{
		"p.transaction[7:0] [BEGIN 7:0 <nil> <nil> 1]", "d.a 7:1 1 1", "d.b 7:1 2 1", "d.a 7:1 3 2",
		"nothing", "d.b 7:1 4 2", "p.transaction[7:9] [END 7:9 4 [[d.a 2] [d.b 2]] 1]",
		"p.transaction[8:0] [BEGIN 8:0 <nil> <nil> 2]", "p.transaction[8:1] [END 8:1 0 [] 2]",
	}
	if fmt.Sprint(out) != fmt.Sprint(want) {
		t.Errorf("got\n%q, want\n%q", out, want)
	}

	x.Restore(stored, false) // at its end: should the same id come, it is another transaction
	w = batch()
	boundary(w, x.Begin(w, "7", "7:0", 1_500))
	if last := out[len(out)-1]; last != want[0] {
		t.Errorf("got %s", last)
	}
	if off := NewTransactions(connectors.Config{}, n); off != nil || off.Begin(nil, "", "", 0) != nil || off.End(nil, "", 0) != nil || len(off.AppendCounts(off.AppendID(nil))) > 0 {
		t.Error("it is off by default")
	}
}
