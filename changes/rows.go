package changes

import (
	"fmt"
	"slices"

	"github.com/freshet-io/freshet/connectors"
)

// RowKind is what a table sink does with a record.
type RowKind uint8

// The kinds.
const (
	RowNone     RowKind = iota // nothing: a tombstone, a heartbeat, a logical message
	RowWrite                   // Row is the row as it is now
	RowDelete                  // the row with Key is gone
	RowTruncate                // all rows are gone
)

// Row is a record as a table sink reads it. Cells are views into the batch.
type Row struct {
	Kind RowKind
	Op   connectors.Op
	Key  []connectors.Cell // one per Stream.KeyFields; nil for a table without key
	Row  []connectors.Cell // one per Stream.Table column; unavailable where Old does not have the value either; nil for a delete
	Old  []connectors.Cell // likewise, the row as it was; nil when that is not known
}

// RowOf returns record r of the batch as a row. A record that holds a body in place of a change is an error: Rows comes first.
func RowOf(b *connectors.Batch, r *connectors.Record) (Row, error) {
	s := b.Streams[r.Stream]
	if s.Table == nil {
		return Row{Op: r.Op}, nil
	}
	if r.Value != 0 {
		return Row{}, fmt.Errorf("read row of %s: its record holds no change but a value that a transform or a topic has made of one", s.Table.ID())
	}
	out := Row{Op: r.Op}
	switch r.Op {
	case connectors.OpRead, connectors.OpCreate, connectors.OpUpdate:
		out.Kind, out.Row = RowWrite, cells(b, r.After)
		if out.Row == nil {
			return Row{}, fmt.Errorf("read row of %s: a change of kind %c has no row", s.Table.ID(), r.Op.Letter())
		}
	case connectors.OpDelete:
		out.Kind = RowDelete
	case connectors.OpTruncate:
		out.Kind = RowTruncate
		return out, nil
	default:
		return out, nil
	}
	out.Key, out.Old = cells(b, r.Key), cells(b, r.Before)
	out.complete()
	return out, nil
}

// complete takes values that were not sent, as they did not change, from the old row. NULL there may stand for a value that is not known;
// a value that was not sent is none. The batch stays as it is (I9): the row becomes a copy when there is such a value.
func (r *Row) complete() {
	copied := false
	for i := range r.Row {
		if r.Row[i].Kind != connectors.KindUnavailable || i >= len(r.Old) || r.Old[i].Missing() || r.Old[i].Kind == connectors.KindNull {
			continue
		}
		if !copied {
			r.Row, copied = slices.Clone(r.Row), true
		}
		r.Row[i] = r.Old[i]
	}
}

func cells(b *connectors.Batch, r connectors.Row) []connectors.Cell {
	if r.Absent() {
		return nil
	}
	return b.Cells(r)
}
