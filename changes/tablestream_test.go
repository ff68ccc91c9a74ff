package changes_test

import (
	"reflect"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

// A row of every type in an envelope reads back as the cells that it was made of.
func TestTableStreamShowsEveryType(t *testing.T) {
	text := func(k connectors.Kind, v string) func(*connectors.Builder) {
		return func(w *connectors.Builder) { w.Text(k, []byte(v)) }
	}
	temporal := func(k connectors.Kind, v int64) func(*connectors.Builder) {
		return func(w *connectors.Builder) { w.Temporal(k, v) }
	}
	with := func(typ schemas.Type, length, scale int32) schemas.Column {
		return schemas.Column{Type: typ, Length: length, Scale: scale, Optional: true}
	}
	elem := with(schemas.TypeText, -1, -1)
	list := with(schemas.TypeList, -1, -1)
	list.Elem = &elem
	enum := with(schemas.TypeEnum, -1, -1)
	enum.Allowed = []string{"won", "lost"}
	rows := []struct {
		column schemas.Column
		cell   func(*connectors.Builder)
	}{
		{schemas.Column{Type: schemas.TypeInt64, Length: -1, Scale: -1}, func(w *connectors.Builder) { w.Int(7) }}, // the key
		{with(schemas.TypeBool, -1, -1), func(w *connectors.Builder) { w.Bool(true) }},
		{with(schemas.TypeInt16, -1, -1), func(w *connectors.Builder) { w.Int(-3) }},
		{with(schemas.TypeInt32, -1, -1), func(w *connectors.Builder) { w.Int(1 << 30) }},
		{with(schemas.TypeFloat32, -1, -1), func(w *connectors.Builder) { w.Float32(1.5) }},
		{with(schemas.TypeFloat64, -1, -1), func(w *connectors.Builder) { w.Float64(2.25) }},
		{with(schemas.TypeDecimal, 12, 2), text(connectors.KindDecimal, "123.45")},
		{with(schemas.TypeDecimal, -1, -1), text(connectors.KindDecimal, "1.005")},
		{with(schemas.TypeText, -1, -1), text(connectors.KindText, "Comet")},
		{with(schemas.TypeBytes, -1, -1), text(connectors.KindBytes, "\x00\xff")},
		{with(schemas.TypeDate, -1, -1), temporal(connectors.KindDate, 20000)},
		{with(schemas.TypeTime, -1, -1), temporal(connectors.KindTime, 45296000001)},
		{with(schemas.TypeTimestamp, -1, -1), temporal(connectors.KindTimestamp, 1767225600000001)},
		{with(schemas.TypeTimestamp, -1, 3), temporal(connectors.KindTimestamp, 1767225600001000)},
		{with(schemas.TypeTimestampTZ, -1, -1), temporal(connectors.KindTimestampTZ, 1767225600000001)},
		{with(schemas.TypeInterval, -1, -1), func(w *connectors.Builder) { w.Interval(0, 0, 5) }},
		{with(schemas.TypeUUID, -1, -1), text(connectors.KindText, "6f9619ff-8b86-d011-b42d-00c04fc964ff")},
		{with(schemas.TypeJSON, -1, -1), text(connectors.KindText, `{"a":1}`)},
		{with(schemas.TypeXML, -1, -1), text(connectors.KindText, "<a/>")},
		{enum, text(connectors.KindText, "won")},
		{with(schemas.TypeBits, -1, -1), text(connectors.KindBits, "0000000110000001")},
		{list, func(w *connectors.Builder) {
			w.BeginList(connectors.KindList)
			w.String("a")
			w.Null()
			w.EndList()
		}},
		{with(schemas.TypeText, -1, -1), func(w *connectors.Builder) { w.Null() }},
	}
	table := &schemas.Table{Name: "every", Key: []int{0}}
	for i, r := range rows {
		r.column.Name = string(rune('a' + i))
		table.Columns = append(table.Columns, r.column)
	}
	source := changes.NewSourceBlock(changes.SourceSpec{Schema: "every.Source", Version: "1", Connector: "test", Server: "s", Database: "d"})
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	w.Begin(w.Stream(changes.TableStream("every", table, source)), connectors.OpCreate)
	w.Source()
	w.Int(1)
	w.Null()
	w.Null()
	w.Key()
	rows[0].cell(w)
	w.After()
	for _, r := range rows {
		r.cell(w)
	}
	w.Commit()
	b := w.Finish("{}", connectors.Order{})
	connectortest.Unfolded(t, b, changes.DefaultUnavailable, changes.Materialize, func(column, was, is string) {
		t.Errorf("column %s (%v): was %s, is %s", column, table.Columns[max(table.Column(column), 0)].Type, was, is)
	})
}

// Without a source block a value is the row itself.
func TestTableStreamWithoutEnvelope(t *testing.T) {
	table := &schemas.Table{Name: "bets", Key: []int{1}, Columns: []schemas.Column{
		{Name: "horse", Type: schemas.TypeText, Length: -1, Scale: -1, Optional: true},
		{Name: "id", Type: schemas.TypeInt64, Length: -1, Scale: -1},
	}}
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	at := w.Stream(changes.TableStream("bets", table, nil))
	w.Begin(at, connectors.OpCreate)
	w.Key()
	w.Int(7)
	w.After()
	w.String("Comet")
	w.Int(7)
	w.Commit()
	w.Begin(at, connectors.OpDelete)
	w.Key()
	w.Int(7)
	w.Commit()
	b := w.Finish("{}", connectors.Order{})
	created, deleted := changes.Materialize(b, &b.Records[0]), changes.Materialize(b, &b.Records[1])
	if want := (schemas.StructValue{"Comet", int64(7)}); !reflect.DeepEqual(created.Value.Value, want) || created.Value.Schema.Name != "bets.Value" {
		t.Errorf("value %v of %s, want %v", created.Value.Value, created.Value.Schema.Name, want)
	}
	if want := (schemas.StructValue{int64(7)}); !reflect.DeepEqual(created.Key.Value, want) || !reflect.DeepEqual(deleted.Key.Value, want) {
		t.Errorf("keys %v and %v, want %v", created.Key.Value, deleted.Key.Value, want)
	}
	if deleted.Value.Value != nil {
		t.Errorf("the value of a delete is %v", deleted.Value.Value)
	}
}
