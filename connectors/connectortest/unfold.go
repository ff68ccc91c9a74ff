package connectortest

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest/conformance"
	"github.com/freshet-io/freshet/schemas"
)

// Unfolded reads the events of a batch of changes as a sink of a topic does (changes.Rows); event makes them, changes.Materialize or a
// way through a converter. What an event shows must be kept. Unfolded calls differs for each cell that comes out other than it was, as
// events show less than the database has, with the column's name and both cells as text.
func Unfolded(t testing.TB, b *connectors.Batch, placeholder string, event func(*connectors.Batch, *connectors.Record) connectors.Body, differs func(column, was, is string)) {
	t.Helper()
	w := connectors.NewBuilder(b.Source, nil, nil)
	for i := range b.Records {
		r := &b.Records[i]
		out := w.Body(w.Stream(&connectors.Stream{Topic: b.Streams[r.Stream].Topic}), r.Op, event(b, r))
		out.Order = connectors.Order{Epoch: 1, Major: uint64(i), Minor: 1}
	}
	rows, err := changes.NewRows(changes.RowsOptions{Unavailable: placeholder}).Batch(w.Finish(b.Offset, b.Through), func(i int, cause error) error {
		t.Errorf("record %d: %v", i, cause)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	events := rows.Origin()
	for i := range rows.Records {
		was, is := &b.Records[i], &rows.Records[i]
		if was.Op == connectors.OpTombstone || was.Op == connectors.OpMessage {
			continue
		}
		if is.Op != was.Op {
			t.Errorf("record %d is a change of kind %c, was %c", i, is.Op.Letter(), was.Op.Letter())
		}
		from, to := b.Streams[was.Stream], rows.Streams[is.Stream]
		if to.Table == nil || len(to.KeyFields) != len(from.KeyFields) {
			t.Errorf("record %d has no table, or another key than in %s", i, from.Table.ID())
			continue
		}
		for j := range from.KeyFields {
			if was, is := Show(b, b.Cells(was.Key)[from.KeyFields[j].Cell]), Show(rows, rows.Cells(is.Key)[j]); was != is {
				differs("key "+from.KeyFields[j].Name, was, is)
			}
		}
		value := events.Bodies[i].Value
		for k, pair := range [][2]connectors.Row{{was.Before, is.Before}, {was.After, is.After}} {
			if pair[0].Absent() {
				continue
			}
			shown := value.Value.(schemas.StructValue)[k].(schemas.StructValue)
			old, now := b.Cells(pair[0]), rows.Cells(pair[1])
			for j := range from.Fields {
				f := &from.Fields[j]
				if was, is := Show(b, old[f.Cell]), Show(rows, now[j]); was != is {
					differs(f.Name, was, is)
				}
				if got := changes.Value(rows, &to.Fields[j], now[j]); !now[j].Missing() && !same(shown[j], got) && f.Schema.Kind == to.Fields[j].Schema.Kind {
					t.Errorf("record %d column %s: the event shows %v, and what was read of it %v", i, f.Name, shown[j], got)
				}
			}
		}
	}
}

// same compares values. NaN equals itself. Zero bytes at the end of bits and zeros at the end of a fraction say nothing.
func same(a, b schemas.Value) bool {
	switch x := a.(type) {
	case []byte:
		y, _ := b.([]byte)
		return bytes.Equal(x, y) || bytes.Equal(bytes.TrimRight(x, "\x00"), y)
	case string:
		y, _ := b.(string)
		return x == y || strings.HasSuffix(x, "Z") && shortest(x) == shortest(y)
	}
	return reflect.DeepEqual(a, b) || fmt.Sprintf("%T %v", a, a) == fmt.Sprintf("%T %v", b, b)
}

// shortest is the text of a time without zeros at the end of its fraction.
func shortest(text string) string {
	text = strings.TrimSuffix(text, "Z")
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// Show writes a cell as text that tells it from every other one.
func Show(b *connectors.Batch, c connectors.Cell) string { return conformance.Show(b, c) }
