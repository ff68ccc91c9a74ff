package elasticsearch

import (
	"fmt"
	"hash/maphash"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// addMirror writes the row as it is now, or its delete. A document whose routing changes is deleted under the old one first; an update
// that does not tell the old one is an error, as it may leave a second document of the row behind.
func (s *sink) addMirror(h *held, p *plan, record int, row *changes.Row) error {
	b := h.batch
	order := b.Records[record].Order
	version, err := versionOf(order)
	if err != nil {
		return err
	}
	id, bad, why := appendID(s.scratch[:0], b, row.Key, p.keys)
	s.scratch = id
	if why != "" {
		return p.explainKey(bad, why)
	}
	w := action{op: opIndex, id: id, version: version, record: uint32(record), fold: true}
	old := p.oldRow(b, record, row)
	switch {
	case row.Kind == changes.RowDelete:
		w.op = opDelete
		return s.write(h, p, &w, nil, old, row.Key)
	case p.routing < 0, row.Op != connectors.OpUpdate:
	case old == nil && p.routed < 0:
		return p.explainRouting()
	case old != nil && !same(b, old[p.routing], row.Row[p.routing]):
		gone := w
		gone.op = opDelete
		if err := s.write(h, p, &gone, nil, old, row.Key); err != nil {
			return err
		}
	}
	return s.write(h, p, &w, row.Row, row.Row, row.Key)
}

// oldRow is the row as it was, nil where the value that routed its document is not known. What a topic has of a deleted row may be the key
// alone, with NULL in place of all else.
func (p *plan) oldRow(b *connectors.Batch, record int, row *changes.Row) []connectors.Cell {
	switch {
	case p.routing < 0 || row.Old == nil:
		return row.Old
	case row.Old[p.routing].Missing():
		return nil
	case row.Kind == changes.RowDelete && row.Old[p.routing].Kind == connectors.KindNull && b.Origin().Records[record].Value != 0:
		return nil
	}
	return row.Old
}

func same(b *connectors.Batch, x, y connectors.Cell) bool {
	one, _ := appendValue(nil, b, x, false)
	two, _ := appendValue(nil, b, y, false)
	return string(one) == string(two)
}

// action is what a line of a bulk request says.
type action struct {
	op       itemOp
	id       []byte // none: the server makes one
	versions string // what introduces the version; "": there is none
	version  uint64
	record   uint32
	fold     bool   // a later action of the same id says all
	alone    bool   // no other action has the id
	more     string // of the action
	before   string // the document
	after    string
}

func (w *action) keyed() bool { return len(w.id) > 0 && !w.alone }

// write appends an action of a mirror, with a document when there is a row.
func (s *sink) write(h *held, p *plan, w *action, row, routed, key []connectors.Cell) error {
	w.versions = versioned
	if row == nil {
		return s.line(h, p, w, routed, key, nil)
	}
	return s.line(h, p, w, routed, key, func(dst []byte) ([]byte, error) {
		at := len(dst)
		dst, bad := p.appendRow(dst, h.batch, row, false)
		if bad.problem != "" {
			return dst, p.explain(bad)
		}
		return append(dst[:at], dst[min(at+1, len(dst)):]...), nil // without the first comma
	})
}

// line appends an action and what body writes of its document to the block of the lane that the id belongs to (I4); without an id to the
// lane whose turn it is.
func (s *sink) line(h *held, p *plan, w *action, routed, key []connectors.Cell, body func(dst []byte) ([]byte, error)) error {
	sum := maphash.Bytes(s.seed, w.id)
	blk := s.lanes[sum%uint64(len(s.lanes))].filling
	if len(w.id) == 0 {
		s.turn++
		blk = s.lanes[s.turn%len(s.lanes)].filling
	}
	start := len(blk.data)
	it := item{start: uint32(start), hash: uint32(sum >> 32), index: p.number, record: w.record, op: w.op, version: w.version}
	dst := append(blk.data, p.first[w.op]...)
	it.id = uint32(len(dst))
	if len(w.id) > 0 {
		dst = changes.AppendJSONString(append(dst, `,"_id":`...), w.id)
	}
	var err error
	if p.routing >= 0 {
		dst, err = p.appendRouting(dst, h.batch, routed, key)
	}
	it.idEnd = uint32(len(dst))
	if w.versions != "" {
		dst = changes.AppendInt(append(dst, w.versions...), int64(w.version))
	}
	dst = append(dst, w.more...)
	dst = append(dst, "}}\n"...)
	if body != nil && err == nil {
		dst, err = body(append(append(dst, w.before...), '{'))
		dst = append(append(dst, '}'), w.after...)
		dst = append(dst, '\n')
	}
	if err == nil && len(dst) > maxBlock {
		err = fmt.Errorf("write to index %s: a document of %s is above 1 GiB", p.index, p.id)
	}
	if err != nil {
		blk.data = dst[:start]
		return err
	}
	blk.data, it.end = dst, uint32(len(dst))
	it.held = blk.hold(h)
	if !blk.add(it, w.keyed(), w.fold) {
		blk.data = dst[:start]
	}
	return nil
}

const maxBlock = 1 << 30

// appendRouting writes the routing value of a document: the text of the column, as in an id.
func (p *plan) appendRouting(dst []byte, b *connectors.Batch, row, key []connectors.Cell) ([]byte, error) {
	cell := connectors.Cell{Kind: connectors.KindUnavailable}
	switch {
	case row != nil:
		cell = row[p.routing]
	case p.routed >= 0 && p.routed < len(key):
		cell = key[p.routed]
	}
	if cell.Kind == connectors.KindNull {
		return dst, nil // by id
	}
	dst = append(dst, `,"routing":`...)
	at := len(dst)
	dst, why := appendPart(dst, b, cell, false)
	if why != "" {
		return dst, p.explainRouting()
	}
	text := append([]byte(nil), dst[at:]...)
	return changes.AppendJSONString(dst[:at], text), nil
}

// explainRouting is the error of a change that does not tell where its document is.
func (p *plan) explainRouting() error {
	name := p.columns[p.routing].name
	return fmt.Errorf("write to index %s: the source did not send column %s of table %s, which routes documents (%s), of the row as it was. Let the source send old rows: in PostgreSQL run ALTER TABLE %s REPLICA IDENTITY FULL, in MySQL set binlog_row_image=FULL; or take the column into the key (message.key.columns of the source)",
		p.index, name, p.id, keyRouting, p.id)
}
