package mysql

import (
	"strconv"

	"github.com/freshet-io/freshet/connectors"
)

// beginRecord appends the BEGIN of transaction metadata. Behind it the reference would read the transaction from its start.
func (s *stream) beginRecord(e *logEvent) {
	if s.txns == nil {
		return
	}
	s.txnID = append(s.txnID[:0], s.gtid...)
	if len(s.txnID) == 0 {
		s.txnID = append(append(append(s.txnID, "file="...), s.file...), ",pos="...)
		s.txnID = strconv.AppendUint(s.txnID, s.at, 10)
	}
	id := string(s.txnID)
	r := s.txns.Begin(s.b, id, id, s.micros)
	if r == nil {
		return
	}
	s.boundary(r, e, 0)
	m := mark{pos: s.pos, gtid: s.current, meta: true}
	m.exact = m.pos
	m.exact.file, m.exact.pos, m.exact.event = s.tx.file, s.tx.start, s.tx.events+1
	s.mark = m
}

// endRecord appends the END of the open transaction and tells whether there is one; the mark is the caller's to set.
func (s *stream) endRecord(e *logEvent) bool {
	if r := &s.resume; !s.tx.open || r.armed && (s.tx.events < r.events || r.plain && s.tx.events == r.events) {
		return false // it was delivered
	}
	r := s.txns.End(s.b, string(s.txnID), s.micros)
	if r == nil {
		return false
	}
	s.boundary(r, e, s.tx.minor)
	return true
}

func (s *stream) boundary(r *connectors.Record, e *logEvent, minor uint32) {
	r.Timestamp, r.Order = e.at, s.order(minor)
	s.flush()
	s.through, s.tx.inBatch, s.tx.records = r.Order, true, true
}
