package changes

import (
	"fmt"

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
	Row  []connectors.Cell // one per Stream.Table column, some perhaps unavailable; nil for a delete
	Old  []connectors.Cell // likewise, the row as it was; nil when that is not known
}

// RowOf returns record r of the batch as a row. A record that no longer holds a change, because a transform made something
// else of it, is an error.
func RowOf(b *connectors.Batch, r *connectors.Record) (Row, error) {
	s := b.Streams[r.Stream]
	if s.Table == nil {
		return Row{Op: r.Op}, nil
	}
	if r.Value != 0 {
		return Row{}, fmt.Errorf("read row of %s: a transform has changed its shape, and tables are written from unchanged rows", s.Table.ID())
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
	return out, nil
}

func cells(b *connectors.Batch, r connectors.Row) []connectors.Cell {
	if r.Absent() {
		return nil
	}
	return b.Cells(r)
}
