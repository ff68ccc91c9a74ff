package postgres

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// change handles one row message.
func (s *stream) change(m *pgMessage, lsn uint64) error {
	t, err := s.track(m.relation)
	if err != nil {
		return err
	}
	order, delivered, err := s.arrived(lsn, minors(m))
	if err != nil || delivered || t.rel == nil {
		return err
	}
	ops := s.cfg.operations
	switch m.kind {
	case msgInsert:
		if !ops.Skips(connectors.OpCreate) {
			err = s.insert(t, m, lsn, order)
		}
	case msgUpdate:
		if !ops.Skips(connectors.OpUpdate) {
			err = s.update(t, m, lsn, order)
		}
	case msgDelete:
		if !ops.Skips(connectors.OpDelete) {
			err = s.delete(t, m, lsn, order)
		}
	}
	if err != nil {
		s.b.Discard()
	}
	return err
}

func (s *stream) insert(t *tracked, m *pgMessage, lsn uint64, order connectors.Order) error {
	w := s.b
	rec := w.Begin(s.index(t), connectors.OpCreate)
	w.After()
	if _, err := t.rel.appendTuple(w, m.tuples, tupleNew, connectors.Row{}); err != nil {
		return err
	}
	if err := s.key(t.rel, rec, rec.After, m.tuples, tupleNew); err != nil {
		return err
	}
	s.source(lsn, int64(s.tx.xid), t.rel)
	s.emit(rec, lsn, typeInsert, order)
	return nil
}

func (s *stream) update(t *tracked, m *pgMessage, lsn uint64, order connectors.Order) error {
	w, rel := s.b, t.rel
	rec := w.Begin(s.index(t), connectors.OpUpdate)
	updated := m.tuples
	if m.tag != tupleNew {
		w.Before()
		rest, err := rel.appendTuple(w, m.tuples, m.tag, connectors.Row{})
		if err != nil {
			return err
		}
		if len(rest) == 0 || rest[0] != tupleNew {
			return connectors.AsPermanent(fmt.Errorf("read row of %s: an update without its new row", rel.id))
		}
		updated = rest[1:]
	}
	w.After()
	if _, err := rel.appendTuple(w, updated, tupleNew, rec.Before); err != nil {
		return err
	}
	if m.tag != tupleNew {
		if !s.cfg.operations.Unchanged && changes.Equal(w, w.Row(rec.Before), w.Row(rec.After)) {
			w.Discard()
			return nil
		}
		if !rel.keyless() {
			changed, err := rel.keyChanged(w, rec.Before, rec.After, m.tuples, updated)
			if err != nil {
				return err
			}
			if changed {
				return s.moveKey(rel, rec, m, updated, lsn, order)
			}
		}
	}
	if err := s.key(rel, rec, rec.After, updated, tupleNew); err != nil {
		return err
	}
	s.source(lsn, int64(s.tx.xid), rel)
	s.emit(rec, lsn, typeUpdate, order)
	return nil
}

// moveKey emits an update that changed the key: a delete and a tombstone of the old key, and a create of the new one, each
// naming the other key in a header (Debezium, "Change events", primary key updates).
func (s *stream) moveKey(rel *relation, rec *connectors.Record, m *pgMessage, updated []byte, lsn uint64, order connectors.Order) error {
	w := s.b
	after := rec.After
	if err := s.key(rel, rec, after, updated, tupleNew); err != nil {
		return err
	}
	created := rec.Key
	if err := s.key(rel, rec, rec.Before, m.tuples, m.tag); err != nil {
		return err
	}
	deleted := rec.Key
	s.source(lsn, int64(s.tx.xid), rel)
	stream, source := rec.Stream, rec.Source
	s.keyHeader(changes.HeaderNewKey, created)
	rec.Op, rec.After = connectors.OpDelete, connectors.Row{}
	headers := rec.Headers
	s.emit(rec, lsn, typeUpdate, order)
	if s.cfg.operations.Tombstones {
		s.tombstone(stream, deleted, headers, source, lsn, typeUpdate, order)
	}
	rec = w.Begin(stream, connectors.OpCreate)
	rec.Key, rec.After, rec.Source = created, after, source
	if s.txns != nil {
		s.source(lsn, int64(s.tx.xid), rel) // an event of its own
	}
	s.keyHeader(changes.HeaderOldKey, deleted)
	order.Minor += 2
	s.emit(rec, lsn, typeUpdate, order)
	return nil
}

func (s *stream) keyHeader(name string, key connectors.Row) {
	w := s.b
	w.Headers()
	w.String(name)
	w.BeginList(connectors.KindList)
	for i := range key.Count {
		w.Cell(w.Row(key)[i])
	}
	w.EndList()
}

func (s *stream) delete(t *tracked, m *pgMessage, lsn uint64, order connectors.Order) error {
	w := s.b
	rec := w.Begin(s.index(t), connectors.OpDelete)
	w.Before()
	if _, err := t.rel.appendTuple(w, m.tuples, m.tag, connectors.Row{}); err != nil {
		return err
	}
	if err := s.key(t.rel, rec, rec.Before, m.tuples, m.tag); err != nil {
		return err
	}
	s.source(lsn, int64(s.tx.xid), t.rel)
	stream, key, source := rec.Stream, rec.Key, rec.Source
	s.emit(rec, lsn, typeDelete, order)
	if s.cfg.operations.Tombstones {
		s.tombstone(stream, key, connectors.Row{}, source, lsn, typeDelete, order)
	}
	return nil
}

func (s *stream) tombstone(stream uint32, key, headers, source connectors.Row, lsn uint64, kind string, order connectors.Order) {
	rec := s.b.Begin(stream, connectors.OpTombstone)
	rec.Key, rec.Headers, rec.Source = key, headers, source
	order.Minor++
	s.emit(rec, lsn, kind, order)
}

// truncate emits one event per captured table of the command.
func (s *stream) truncate(m *pgMessage, lsn uint64) error {
	order, delivered, err := s.arrived(lsn, minors(m))
	if err != nil || delivered || s.cfg.operations.Skips(connectors.OpTruncate) {
		return err
	}
	for at := 0; at < len(m.truncated); at += 4 {
		t, err := s.track(binary.BigEndian.Uint32(m.truncated[at:]))
		if err != nil {
			return err
		}
		if t.rel != nil {
			rec := s.b.Begin(s.index(t), connectors.OpTruncate)
			s.source(lsn, int64(s.tx.xid), t.rel)
			s.emit(rec, lsn, typeTruncate, order)
		}
		order.Minor++
	}
	return nil
}

func (s *stream) key(rel *relation, rec *connectors.Record, row connectors.Row, tuple []byte, tag byte) error {
	if rel.keyless() {
		return nil
	}
	s.b.Key()
	return rel.appendKey(s.b, row, tuple, tag)
}

// source writes the per-record fields of the source block.
func (s *stream) source(lsn uint64, txID int64, rel *relation) {
	w := s.b
	w.Source()
	w.Int(s.tx.micros)
	w.Null() // snapshot
	w.Text(connectors.KindText, s.sequence(lsn))
	if txID != 0 {
		w.Int(txID)
	} else {
		w.Null()
	}
	w.Int(int64(lsn))
	w.Null() // xmin
	if len(s.tx.origin) > 0 {
		w.Text(connectors.KindText, s.tx.origin)
		w.Int(int64(s.tx.originAt))
	} else {
		w.Null()
		w.Null()
	}
	if s.txns != nil {
		s.txns.Event(w, rel.name, s.transactionID(lsn))
	}
}

// sequence is the source block's sequence: the last commit and this event, decimal, as a JSON array of texts.
func (s *stream) sequence(lsn uint64) []byte {
	b := append(s.seq[:0], '[')
	if s.commit > 0 {
		b = append(strconv.AppendUint(append(b, '"'), s.commit, 10), '"')
	} else {
		b = append(b, "null"...)
	}
	b = append(strconv.AppendUint(append(b, `,"`...), lsn, 10), `"]`...)
	s.seq = b
	return b
}

// emit commits the record and notes the offset after it.
func (s *stream) emit(rec *connectors.Record, lsn uint64, kind string, order connectors.Order) {
	rec.Timestamp, rec.Order = s.wal.read.Load(), order
	s.b.Commit()
	s.pos = position{proc: lsn, kind: kind, commit: s.commit, lsn: lsn, txID: int64(s.tx.xid), micros: s.tx.micros}
	s.mark, s.through, s.delivered, s.tx.inBatch = s.pos, order, order.Major, true
}
