// Package interchange hands one connector to and fro between Debezium in Kafka Connect and Freshet: same slot, publication,
// topics and offsets. It knows what the server decoded (History), what the topics hold (Tail), and compares them. The command
// live does it with the real Connect; the package's tests play a recording of it.
package interchange

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// Change is an event that the topics must hold.
type Change struct {
	Table string
	Key   string // the id
	Op    string // c, u, d as in the envelope; t: the tombstone after a delete
	LSN   uint64
	Tx    int // index in History.Txs
}

// Tx is a transaction that the server decoded.
type Tx struct {
	XID    uint32
	End    uint64 // LSN behind its commit
	Micros int64  // of its commit, µs since 1970
}

// History is what the server decoded, in the order of commits. A second slot of the same server tells it, so it does not depend
// on either writer.
type History struct {
	Changes []Change
	Txs     []Tx
}

// ReadHistory reads the audit slot from where it was created, without moving it.
func ReadHistory(ctx context.Context, conn *pgx.Conn, slot, publication string) (*History, error) {
	rows, err := conn.Query(ctx, `SELECT (lsn - '0/0')::int8, data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)`, slot, publication)
	if err != nil {
		return nil, fmt.Errorf("peek slot %s: %w", slot, err)
	}
	h, tables := &History{}, map[uint32]string{}
	var lsn int64
	var data []byte
	_, err = pgx.ForEachRow(rows, []any{&lsn, &data}, func() error {
		m, err := pglogrepl.Parse(data)
		if err != nil {
			return fmt.Errorf("parse a message: %w", err)
		}
		if r, ok := m.(*pglogrepl.RelationMessage); ok {
			tables[r.RelationID] = r.RelationName
			return nil
		}
		h.add(m, uint64(lsn), tables)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("peek slot %s: %w", slot, err)
	}
	return h, nil
}

func (h *History) add(m pglogrepl.Message, lsn uint64, tables map[uint32]string) {
	put := func(relation uint32, op string, tuple *pglogrepl.TupleData) {
		h.Changes = append(h.Changes, Change{Table: tables[relation], Key: string(tuple.Columns[0].Data), Op: op, LSN: lsn, Tx: len(h.Txs) - 1})
	}
	switch m := m.(type) {
	case *pglogrepl.BeginMessage:
		h.Txs = append(h.Txs, Tx{XID: m.Xid, Micros: m.CommitTime.UnixMicro()})
	case *pglogrepl.CommitMessage:
		h.Txs[len(h.Txs)-1].End = uint64(m.TransactionEndLSN)
	case *pglogrepl.InsertMessage:
		put(m.RelationID, "c", m.Tuple)
	case *pglogrepl.DeleteMessage:
		put(m.RelationID, "d", m.OldTuple)
		put(m.RelationID, "t", m.OldTuple)
	case *pglogrepl.UpdateMessage:
		if m.OldTuple == nil || string(m.OldTuple.Columns[0].Data) == string(m.NewTuple.Columns[0].Data) {
			put(m.RelationID, "u", m.NewTuple)
			return
		}
		put(m.RelationID, "d", m.OldTuple) // the key changed
		put(m.RelationID, "t", m.OldTuple)
		put(m.RelationID, "c", m.NewTuple)
	}
}

// Of returns the changes of one table.
func (h *History) Of(table string) []Change {
	var out []Change
	for _, c := range h.Changes {
		if c.Table == table {
			out = append(out, c)
		}
	}
	return out
}

// mark names the place of an LSN in the history, so that two servers' can be compared: "x3" is behind the commit of
// transaction 3 and before the next commit; "s" is before the first.
func (h *History) mark(lsn uint64) string {
	at, found := slices.BinarySearchFunc(h.Txs, lsn, func(t Tx, lsn uint64) int { return cmp.Compare(t.End, lsn) })
	switch {
	case found:
		return fmt.Sprintf("x%d", at)
	case at == 0:
		return "s"
	}
	return fmt.Sprintf("x%d", at-1)
}

// change names the first change at an LSN: "c17"; without one it is mark's name.
func (h *History) change(lsn uint64) string {
	if at := slices.IndexFunc(h.Changes, func(c Change) bool { return c.LSN == lsn }); at >= 0 {
		return fmt.Sprintf("c%d", at)
	}
	return h.mark(lsn)
}

// at is the LSN of a name of another server's history; start stands for "s".
func (h *History) at(name string, start uint64) (uint64, error) {
	var n int
	switch {
	case name == "s":
		return start, nil
	case strings.HasPrefix(name, "x"):
		if _, err := fmt.Sscanf(name, "x%d", &n); err != nil || n >= len(h.Txs) {
			return 0, fmt.Errorf("find place %s: the history has %d transactions", name, len(h.Txs))
		}
		return h.Txs[n].End, nil
	}
	if _, err := fmt.Sscanf(name, "c%d", &n); err != nil || n >= len(h.Changes) {
		return 0, fmt.Errorf("find place %s: the history has %d changes", name, len(h.Changes))
	}
	return h.Changes[n].LSN, nil
}
