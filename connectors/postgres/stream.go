package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Bounds of one batch. A group of messages with one LSN may exceed them (I3), and one row above them passes alone (I5).
const (
	batchBytes = 512 << 10
	maxRecords = 8192
)

// stream turns the replication stream into batches. A batch grows while data is there and is handed out as soon as
// reading would wait, or at its bounds; never inside a group of messages with one LSN (I3). It belongs to one goroutine.
type stream struct {
	cfg       *config
	log       *slog.Logger
	session   connectors.SourceSession
	catalog   *catalog
	watch     *watch
	partition offsets.Partition
	state     offsets.Partition // of the identity
	server    server
	records   int // bound of a batch

	wal       *walStream
	frame     walFrame
	pending   bool // frame was read and is not handled yet
	msg       pgMessage
	relations map[uint32]*tracked
	recent    *tracked

	b         *connectors.Builder
	build     uint64 // number of the batch being built
	oldest    int64  // commit time of its oldest transaction, µs since 1970; 0: none was committed
	mark      position
	through   connectors.Order
	lastBatch time.Time

	pos       position // after the last message that counts
	commit    uint64   // behind the last commit
	delivered uint64   // commit record of the last transaction of which there is a record
	at        position // handed out last; before that, where it began
	id        identity // beside it
	agreed    bool     // the server has the last commit that was delivered; asked again for each connection
	resume    resume
	tx        transaction
	seq       []byte
	beat      *changes.Heartbeat // nil: no heartbeats
	beaten    time.Time
	reselect  reselect
	logical   *messageStream // nil: logical messages are not asked for
	asked     string         // options of the stream
	txns      *changes.Transactions
	txnID     []byte // scratch
}

// tracked is a relation of the current session; rel is nil for a table that is not captured.
type tracked struct {
	oid    uint32
	rel    *relation
	stream uint32 // index in the batch build
	build  uint64
}

// transaction is the one being read.
type transaction struct {
	open     bool
	xid      uint32
	micros   int64 // commit time, µs since 1970
	order    connectors.Order
	origin   []byte
	originAt uint64
	group    uint64 // LSN of the last message
	count    int    // messages at that LSN
	resumed  bool   // a part of it was delivered before
	skipping bool   // that part is being read
	held     []byte // message at the last delivered LSN of which it is not known whether it was delivered
	inBatch  bool   // the batch being built ends with a record of it
}

// begin positions the stream at p, which id stands beside; what resume names is left out.
func (s *stream) begin(p position, r resume, id identity) {
	s.pos, s.mark, s.commit, s.resume = p, p, p.commit, r
	s.at, s.id, s.delivered = p, id, id.Commit
	if !id.own {
		s.id.Asked = "" // it says nothing of p
	}
	s.pos.snapshot, s.pos.last, s.pos.completed = false, false, false
	s.txns.Restore(p.stored, r.inTx() || p.kind == typeBegin)
	s.lastBatch = time.Now()
}

// attach goes on over a new connection. What the batch being built holds already is not read again.
func (s *stream) attach(w *walStream) {
	if s.tx.open && s.tx.count > 0 && !s.tx.skipping {
		s.resume = resume{xid: s.tx.xid, lsn: s.tx.group, count: s.tx.count}
	}
	if s.tx.open {
		s.txns.Again()
	}
	inBatch := s.tx.inBatch
	s.agreed = false
	s.wal, s.pending, s.tx = w, false, transaction{inBatch: inBatch}
	s.relations, s.recent = map[uint32]*tracked{}, nil
}

// startLSN is where the server is asked to start: every transaction that commits behind it comes whole.
func (s *stream) startLSN() uint64 {
	if s.commit > 0 {
		return s.commit
	}
	return s.pos.confirmable()
}

// next returns the next batch. errWouldBlock never leaves it; any other error ends the connection, but not what the batch
// being built holds.
func (s *stream) next(ctx context.Context) (*connectors.Batch, error) {
	for {
		if !s.pending {
			wait := s.empty() || s.tx.open || s.torn() // the rest of the transaction is on its way
			f, err := s.wal.next(wait)
			if errors.Is(err, errWouldBlock) {
				if err := s.reselect.Fill(ctx, s.b); err != nil {
					return nil, err
				}
				return s.finish(), nil
			}
			if err != nil {
				return nil, err
			}
			s.frame, s.pending = f, true
		}
		if s.full() && s.boundary() {
			if err := s.reselect.Fill(ctx, s.b); err != nil {
				return nil, err
			}
			return s.finish(), nil
		}
		if s.b == nil && s.frame.kind == 'w' {
			if err := s.newBatch(ctx); err != nil {
				return nil, err
			}
		}
		s.pending = false
		if err := s.handle(ctx); err != nil {
			s.pending = s.msg.kind == msgRelation // the catalog could not be asked: the message is needed again
			return nil, err
		}
		if s.reselect.Due(s.b) {
			if err := s.reselect.Fill(ctx, s.b); err != nil {
				return nil, err
			}
		}
		if !s.tx.open && s.due() {
			if b, err := s.idle(ctx); b != nil || err != nil {
				return b, err
			}
		}
	}
}

func (s *stream) newBatch(ctx context.Context) error {
	b, err := s.session.NewBatch(ctx, s.partition)
	if err != nil {
		return &sessionError{err}
	}
	s.b = b
	s.reselect.Begin()
	s.build++
	return nil
}

// sessionError is an error of the runtime's, not of the connection.
type sessionError struct{ error }

func (e *sessionError) Unwrap() error { return e.error }

func (s *stream) empty() bool { return s.b == nil || s.b.Len() == 0 }

func (s *stream) full() bool {
	return s.b != nil && s.b.Len() > 0 && (s.b.Len() >= s.records || s.b.Size() >= batchBytes)
}

// torn tells that the connection was lost inside a group of which the batch holds a part, and the rest has not come again (I3).
func (s *stream) torn() bool {
	return s.resume.count > 0 && !s.empty() && (!s.tx.open || s.tx.skipping)
}

// boundary tells that the message read last begins a new group: a batch may end before it (I3).
func (s *stream) boundary() bool {
	if s.torn() {
		return false
	}
	if s.frame.kind != 'w' || len(s.frame.data) == 0 {
		return !s.tx.open
	}
	switch s.frame.data[0] {
	case msgBegin:
		return true
	case msgInsert, msgUpdate, msgDelete, msgTruncate, msgMessage:
		return !s.tx.open || s.frame.start != s.tx.group
	}
	return false
}

// finish hands out the batch being built.
func (s *stream) finish() *connectors.Batch {
	o := s.mark.offset(s.txns)
	if s.oldest == 0 && s.tx.inBatch {
		s.oldest = s.tx.micros
	}
	b := s.b.Finish(o, s.through)
	b.Committed, s.oldest = s.oldest, 0
	s.watch.logEnd.Store(max(s.frame.end, s.commit))
	s.watch.read.Store(s.mark.confirmable())
	s.watch.xid.Store(uint32(s.mark.txID))
	asked := s.id.Asked
	if s.delivered != s.id.Commit {
		asked = s.asked
	}
	s.at, s.id = s.mark, identity{System: s.server.system, Timeline: s.server.timeline, Commit: s.delivered, Asked: asked, own: true}
	s.at.stored = o
	b.Extra = []offsets.Entry{{Partition: s.state, Offset: s.id.offset(o)}}
	s.b, s.tx.inBatch, s.lastBatch = nil, false, time.Now()
	return b
}

func (s *stream) handle(ctx context.Context) error {
	if s.frame.kind != 'w' {
		if !s.tx.open && s.frame.end >= max(s.server.end, s.delivered+1) && !s.torn() {
			s.resume = resume{} // it has come, or is not published any more: it was in the log when the stream began
		}
		s.watch.logEnd.Store(s.frame.end)
		return nil
	}
	m := &s.msg
	if err := m.parse(s.frame.data); err != nil {
		return connectors.AsPermanent(err)
	}
	switch m.kind {
	case msgInsert, msgUpdate, msgDelete:
		return s.change(m, s.frame.start)
	case msgBegin:
		s.beginTx(m)
	case msgCommit:
		return s.commitTx(m)
	case msgOrigin:
		s.tx.origin, s.tx.originAt = append(s.tx.origin[:0], m.origin...), m.lsn
	case msgRelation:
		return s.relation(ctx)
	case msgTruncate:
		return s.truncate(m, s.frame.start)
	case msgMessage:
		return s.message(m, s.frame.start)
	case msgType:
	default:
		return connectors.AsPermanent(fmt.Errorf("read from the walsender: message %q is not part of protocol version 1", m.kind))
	}
	return nil
}

func (s *stream) relation(ctx context.Context) error {
	m, err := parseRelation(s.frame.data)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	rel, err := s.catalog.relation(ctx, m)
	if err != nil {
		return err
	}
	s.relations[m.oid] = &tracked{oid: m.oid, rel: rel}
	s.recent = nil
	return nil
}

func (s *stream) beginTx(m *pgMessage) {
	s.tx = transaction{
		open: true, xid: m.xid, micros: m.timestamp + postgresEpoch, origin: s.tx.origin[:0],
		order: connectors.Order{Epoch: s.server.epoch(m.lsn), Major: m.lsn, Minor: 1}, // 0 is the snapshot's
	}
	s.tx.resumed = s.resume.inTx() && s.resume.xid == m.xid
	s.tx.skipping = s.tx.resumed
	if s.txns == nil || s.tx.resumed {
		return
	}
	if r := s.txns.Begin(s.b, strconv.FormatUint(uint64(m.xid), 10), string(s.transactionID(s.frame.start)), s.tx.micros); r != nil {
		order := s.tx.order
		order.Minor = 0 // before its first row, behind all transactions before it
		s.boundaryRecord(r, position{proc: s.pos.proc, kind: typeBegin, commit: s.commit, lsn: s.frame.start, txID: int64(m.xid), micros: s.tx.micros}, order)
	}
}

// boundaryRecord commits a record of transaction metadata, behind which the offset is p.
func (s *stream) boundaryRecord(r *connectors.Record, p position, order connectors.Order) {
	r.Timestamp, r.Order = s.wal.read.Load(), order
	s.pos, s.mark, s.through, s.delivered, s.tx.inBatch = p, p, order, order.Major, true
}

// transactionID is what records call the open transaction: its xid and their own LSN (reference 3.8).
func (s *stream) transactionID(lsn uint64) []byte {
	s.txnID = strconv.AppendUint(s.txnID[:0], uint64(s.tx.xid), 10)
	s.txnID = strconv.AppendUint(append(s.txnID, ':'), lsn, 10)
	return s.txnID
}

func (s *stream) commitTx(m *pgMessage) error {
	s.tx.held = nil // alone at its LSN: it was delivered
	end := position{proc: m.endLSN, kind: typeCommit, commit: m.endLSN, lsn: m.endLSN, txID: int64(s.tx.xid), micros: s.tx.micros}
	if r := s.txns.End(s.b, string(s.transactionID(m.endLSN)), s.tx.micros); r != nil {
		s.boundaryRecord(r, end, s.tx.order)
	}
	if s.tx.inBatch {
		r := s.b.Records()
		r[len(r)-1].Last = true
		if s.oldest == 0 {
			s.oldest = s.tx.micros
		}
	}
	// The transaction to be resumed is the first that is sent; without lsn_commit (older offsets) others may come before it.
	if s.tx.resumed || s.commit > 0 {
		s.resume = resume{}
	}
	s.commit = m.endLSN
	s.pos = end
	s.tx.open, s.tx.inBatch = false, false
	return nil
}

// arrived counts a message of the open transaction and tells whether it was delivered before.
func (s *stream) arrived(lsn uint64, records uint32) (order connectors.Order, delivered bool, err error) {
	t := &s.tx
	order = t.order
	t.order.Minor += records
	if lsn == t.group {
		t.count++
	} else {
		t.group, t.count = lsn, 1
	}
	if !t.skipping {
		return order, false, nil
	}
	switch r := &s.resume; {
	case lsn < r.lsn:
		return order, true, nil
	case lsn > r.lsn:
		t.held, t.skipping = nil, false
	case r.whole || t.count <= r.count:
		return order, true, nil
	case r.count > 0:
		t.skipping = false
	case t.count == 1:
		// Written by somebody who does not count: a message that is alone at this LSN was delivered; of several, not all may have been.
		t.held = append([]byte(nil), s.frame.data...)
		return order, true, nil
	default:
		return order, false, s.release(order)
	}
	return order, false, nil
}

// release delivers the message that was held back.
func (s *stream) release(order connectors.Order) error {
	held, frame := s.tx.held, s.frame
	s.tx.held, s.tx.skipping = nil, false
	if held == nil {
		return nil
	}
	m := &pgMessage{}
	if err := m.parse(held); err != nil {
		return err
	}
	// It was counted when it was held back: take that back, and count it and the one after it again.
	t := &s.tx
	after := t.order
	t.group, t.count = 0, 0
	t.order.Minor = 1
	if order.Minor > minors(m) {
		t.order.Minor = order.Minor - minors(m)
	}
	s.frame.data = held
	err := s.replay(m)
	s.frame = frame
	t.order, t.count = after, 2
	return err
}

func (s *stream) replay(m *pgMessage) error {
	switch m.kind {
	case msgTruncate:
		return s.truncate(m, s.frame.start)
	case msgMessage:
		return s.message(m, s.frame.start)
	}
	return s.change(m, s.frame.start)
}

// minors is how many places in the order a message takes: its records at the most, so that the order is the same
// whatever is filtered. (A key change is a delete, a tombstone and a create.)
func minors(m *pgMessage) uint32 {
	switch m.kind {
	case msgUpdate:
		return 3
	case msgDelete:
		return 2
	case msgTruncate:
		return uint32(len(m.truncated) / 4)
	}
	return 1
}

func (s *stream) track(oid uint32) (*tracked, error) {
	if s.recent != nil && s.recent.oid == oid {
		return s.recent, nil
	}
	t := s.relations[oid]
	if t == nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read from the walsender: a row of relation %d came before the relation was described", oid))
	}
	s.recent = t
	return t, nil
}

// index is the stream's number in the batch being built.
func (s *stream) index(t *tracked) uint32 {
	if t.build != s.build {
		t.stream, t.build = s.b.Stream(t.rel.stream), s.build
		s.reselect.note(t.rel)
	}
	return t.stream
}

// due tells that a heartbeat, or a position without records, should be sent. Not before the rest of a transaction that is being
// resumed has come: the position would forget what was delivered of it, or claim more of it than was.
func (s *stream) due() bool {
	if s.resume.inTx() {
		return false
	}
	now := time.Now()
	return s.beat != nil && now.Sub(s.beaten) >= s.cfg.heartbeat ||
		s.empty() && now.Sub(s.lastBatch) >= s.cfg.statusInterval && s.reached() > s.mark.confirmable()
}

// reached is up to where everything has been read, outside of a transaction. The server sends a keepalive only after
// everything below its position.
func (s *stream) reached() uint64 {
	if s.frame.kind == 'k' {
		return max(s.frame.end, s.commit)
	}
	return s.commit
}

// idle sends a heartbeat; or, when there was nothing to send for a while, how far the server's log has moved, so that the slot
// does not hold it back.
func (s *stream) idle(ctx context.Context) (*connectors.Batch, error) {
	if s.b == nil {
		if err := s.newBatch(ctx); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	if s.beat != nil && now.Sub(s.beaten) >= s.cfg.heartbeat {
		s.beaten = now
		s.beat.Append(s.b, now.UnixNano())
		s.mark = s.pos
		if s.through == (connectors.Order{}) {
			s.through = s.before(s.pos.lsn)
		}
		r := s.b.Records()
		r[len(r)-1].Order = s.through
		return nil, nil
	}
	end := s.reached()
	s.commit = end
	s.pos = position{proc: end, kind: typeCommit, commit: end, lsn: end, txID: s.pos.txID, micros: s.pos.micros}
	s.mark, s.through = s.pos, s.before(end)
	return s.finish(), nil
}

// before is the order below every commit at lsn or later and above every earlier one.
func (s *stream) before(lsn uint64) connectors.Order {
	if lsn == 0 {
		return connectors.Order{}
	}
	return connectors.Order{Epoch: s.server.epoch(lsn), Major: lsn - 1, Minor: math.MaxUint32}
}
