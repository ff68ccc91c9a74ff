package changes

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// Operations says which kinds of change are emitted. Immutable.
type Operations struct {
	skip       [16]bool
	Tombstones bool // tombstones.on.delete
	Unchanged  bool // updates without a change are emitted (not skip.messages.without.change)
}

// NewOperations reads skipped.operations (default t; c, u, d, t or none), tombstones.on.delete and skip.messages.without.change.
func NewOperations(c connectors.Config) (*Operations, error) {
	o := &Operations{
		Tombstones: !strings.EqualFold(strings.TrimSpace(c["tombstones.on.delete"]), "false"),
		Unchanged:  !strings.EqualFold(strings.TrimSpace(c["skip.messages.without.change"]), "true"),
	}
	for _, item := range connectors.SplitList(orDefault(c["skipped.operations"], "t")) {
		switch strings.ToLower(item) {
		case "c":
			o.skip[connectors.OpCreate] = true
		case "u":
			o.skip[connectors.OpUpdate] = true
		case "d":
			o.skip[connectors.OpDelete] = true
		case "t":
			o.skip[connectors.OpTruncate] = true
		case "none":
		default:
			return nil, fmt.Errorf("read skipped.operations: %q is not one of c, u, d, t, none", item)
		}
	}
	return o, nil
}

// Skips tells that changes of this kind are not emitted. A key change counts as an update.
func (o *Operations) Skips(op connectors.Op) bool { return o.skip[op&15] }

// Cells gives access to what is behind cells: a Batch or the Builder of one.
type Cells interface {
	Bytes(connectors.Cell) []byte
	List(connectors.Cell) []connectors.Cell
}

// Equal tells whether two rows of the same stream hold the same values; absent and unavailable cells are skipped.
// It is what skip.messages.without.change compares.
func Equal(at Cells, before, after []connectors.Cell) bool {
	if len(before) != len(after) {
		return false
	}
	for i := range before {
		if !equalCell(at, before[i], after[i]) {
			return false
		}
	}
	return true
}

func equalCell(at Cells, a, b connectors.Cell) bool {
	if a.Missing() || b.Missing() {
		return true
	}
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case connectors.KindNull:
		return true
	case connectors.KindDecimal, connectors.KindText, connectors.KindBytes, connectors.KindBits, connectors.KindInterval:
		return bytes.Equal(at.Bytes(a), at.Bytes(b))
	case connectors.KindList, connectors.KindMap, connectors.KindPoint:
		return equalLists(at, at.List(a), at.List(b))
	case connectors.KindTimeTZ:
		return a.Int() == b.Int() && a.Offset() == b.Offset()
	}
	return a.Uint() == b.Uint()
}

func equalLists(at Cells, a, b []connectors.Cell) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Kind != b[i].Kind || !equalCell(at, a[i], b[i]) {
			return false
		}
	}
	return true
}
