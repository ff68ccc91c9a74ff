package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Bounds of one batch: an event may exceed them, and one row above them passes alone (I5).
const (
	batchBytes = 512 << 10
	maxRecords = 8192
	// walkBytes of events behind the last record are read before a batch is handed out without waiting for more.
	walkBytes = 1 << 20
	// idlePause is how often the position of a log without records is handed out.
	idlePause = 10 * time.Second
	// restPause is how long a batch waits for the rest of a transaction.
	restPause = 100 * time.Millisecond
)

// stream turns the events of the binlog into batches. A batch grows while events are there and is handed out as soon as there
// are none, or at its bounds; it ends inside a transaction, between two events, where that is large or its rest does not come. It belongs to the goroutine of Poll.
type stream struct {
	cfg       *config
	log       *slog.Logger
	session   connectors.SourceSession
	schema    *schema
	watch     *watch
	version   string // of the connector
	headers   []connectors.Header
	partition offsets.Partition
	state     offsets.Partition // of the identity
	records   int               // bound of a batch

	binlog    *binlog
	events    []logEvent // received; those before next are handled
	next      int
	payload   *payload // compressed transaction whose events are being read; nil: none is
	unpacker  *payload // the same, kept for the next one
	patience  *time.Timer
	rows      rowsReader
	rowsEvent rowsEvent // being handled
	tables    map[uint64]*tracked
	known     map[changes.TableID]*tracked
	recent    *tracked
	recentID  uint64

	b         *connectors.Builder
	build     uint64 // number of the batch being built
	walked    int    // bytes of events since its first record
	oldest    int64  // commit time of its oldest transaction, µs since 1970
	mark      mark   // after its last record
	through   connectors.Order
	lastBatch time.Time
	gtidCell  sharedCell
	fileCell  sharedCell
	queryCell sharedCell

	mariadb bool
	gtidOn  bool      // the server gives commit times with its GTIDs
	adopts  bool      // the server has GTIDs, which are used as soon as it says which transactions are done
	heard   int64     // when something came that the server does not make up, ns since 1970
	looked  time.Time // at the server, whether it is the one it was
	file    string
	at      uint64 // position of the event being handled
	size    uint64
	opened  uint64   // end of the event that begins the file, where it was read
	high    uint64   // what 32-bit positions lack behind 4 GiB of one file
	pos     position // where the reference would go on; its GTIDs are in done
	done    *gtidSet // nil: the server has no GTIDs
	later   []gtid   // completed behind mark: not in done yet
	current gtid     // of the open transaction, or the last one, which may not be in done
	counted bool     // current is in done, or in later
	// announced tells that of current nothing came but its GTID, at announcedAt: until more is handled it has to come again (I1).
	announced   bool
	announcedAt uint64
	gtid        []byte // current, rendered
	micros      int64  // time of changes, µs since 1970; 0: no event had one yet
	created     int64  // when file was made, seconds since 1970
	tx          transaction
	resume      resume
	id          identity // of the server
	handed      handed
	beat        *changes.Heartbeat // nil: no heartbeats
	beaten      time.Time
	txns        *changes.Transactions // nil: no transaction metadata
	txnID       []byte                // what txns calls the open transaction
	text        []byte                // scratch
	reselect    reselect
}

// mark is a position to go on at. Its GTIDs are those of stream.done when it was made.
type mark struct {
	pos   position // as the reference has it
	exact position // where this connector goes on, on the same server
	whole bool     // the transaction of current is complete, though pos says otherwise
	gtid  gtid     // of the transaction
	rows  int64    // that were read of it
	meta  bool     // inside of a transaction, or at its end: what was counted in it belongs to the offset
}

// handed is what the last batch said; before the first one, where the stream began.
type handed struct {
	pos   position
	exact position
	id    identity
	plain offsets.Offset // pos as it was written; "": nothing was handed out yet
}

// transaction is the one being read.
type transaction struct {
	open       bool // BEGIN was read (the reference's inTransaction)
	group      bool // rows may follow: open, or XA START was read
	file       string
	start      uint64 // position of its first event, not counting the one with the GTID
	events     int64  // that were handled, the first one included
	minor      uint32 // of the next row
	thread     int64  // -1: none
	query      string
	filtered   bool // by gtid.source.includes and gtid.source.excludes
	standalone bool // MariaDB: one statement, after which no COMMIT comes
	inBatch    bool // the batch being built ends with a record of it
	records    bool // there is one
}

// resume is what to leave out of the transaction that comes first.
type resume struct {
	events int64
	rows   int64  // of the event after those
	gtid   string // of the transaction; "": not known
	total  int64  // rows of the transaction, on a server where events are other ones; 0: events and rows say it
	armed  bool
	plain  bool // by the reference's members alone, which say the same in front of COMMIT and behind it
}

// sharedCell is a text that many records of a batch have; it is written into each batch once.
type sharedCell struct {
	cell  connectors.Cell
	build uint64
}

// begin positions the stream behind p, on the server that id names.
func (s *stream) begin(p position, id identity) error {
	p.snapshot = ""
	exact := p
	if id.own && id.Restart != "" {
		var err error
		if exact, err = parsePosition(offsets.Offset(id.Restart)); err != nil {
			return connectors.AsPermanent(err)
		}
	}
	id.Epoch = max(id.Epoch, 1)
	s.pos, s.id, s.handed = p, id, handed{pos: p, exact: exact, id: id}
	if exact.gtids != "" {
		var err error
		if s.done, err = parseGTIDSet(exact.gtids, s.mariadb); err != nil {
			return connectors.AsPermanent(err)
		}
	}
	s.pos.file, s.pos.pos, s.pos.event, s.pos.row, s.pos.gtids = exact.file, exact.pos, 0, 0, ""
	// Rows without events are the reference's in XA: which event they belong to is not known, and the transaction comes whole.
	s.resume = resume{events: exact.event, rows: exact.row, armed: exact.event > 0, plain: !id.own}
	if id.own && s.done != nil {
		s.resume.gtid = id.GTID
		if s.resume.total = id.Rows; !s.resume.armed && id.Rows > 0 { // another server: its events are others, its rows are the same
			s.resume.armed = true
		} else {
			s.resume.total = 0
		}
	}
	s.file, s.tx, s.counted = exact.file, transaction{thread: -1}, true
	s.mark = s.place(s.pos)
	s.lastBatch = time.Now()
	return nil
}

// attach goes on over a new connection: events that were handled of an open transaction are left out.
func (s *stream) attach(l *binlog) {
	if s.tx.group {
		if r := &s.resume; !r.armed || r.events < s.tx.events { // else more of it was delivered than was read again
			s.resume = resume{events: s.tx.events, gtid: string(s.gtid), armed: true, total: s.resume.total}
		}
		s.pos.file, s.pos.pos = s.tx.file, s.tx.start
		s.current, s.counted = gtid{}, true // it is not complete, and comes again
		s.txns.Again()
	}
	if s.announced {
		s.current, s.counted, s.announced = gtid{}, true, false
	}
	inBatch, records := s.tx.inBatch, s.tx.records
	s.binlog, s.events, s.next, s.payload = l, s.events[:0], 0, nil
	s.at, s.size, s.high = 0, 0, 0
	s.tx = transaction{thread: -1, inBatch: inBatch, records: records}
	s.tables, s.recent = map[uint64]*tracked{}, nil
}

// place is a mark at p outside of a transaction.
func (s *stream) place(p position) mark {
	exact := p
	if behind := s.behind(); !s.tx.group && s.done == nil && behind.file != "" {
		exact.file, exact.pos = behind.file, behind.pos
	}
	m := mark{pos: p, exact: exact, whole: true}
	if !s.announced {
		m.gtid = s.current
	}
	return m
}

// sessionError is an error of the runtime's or of the schema history, not of the connection.
type sessionError struct{ error }

func (e *sessionError) Unwrap() error { return e.error }

// nextBatch returns the next batch. An error ends the connection, but not what the batch being built holds.
func (s *stream) nextBatch(ctx context.Context) (*connectors.Batch, error) {
	for {
		if s.full() {
			return s.whole(ctx)
		}
		e, err := s.nextEvent(ctx)
		if err != nil {
			return nil, err
		}
		if e == nil {
			if !s.empty() {
				if s.restComes(ctx) {
					continue
				}
				return s.whole(ctx)
			}
			if !s.tx.group && s.due() {
				if b, err := s.idle(ctx); b != nil || err != nil {
					return b, err
				}
				continue
			}
			if s.lookDue() {
				return nil, errQuiet
			}
			if err := s.wait(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if s.b == nil {
			if err := s.newBatch(ctx); err != nil {
				return nil, err
			}
		}
		if err := s.handle(ctx, e); err != nil {
			return nil, err
		}
		if s.payload == nil {
			s.next++
		}
		if s.reselect.Due(s.b) {
			if err := s.reselect.Fill(ctx, s.b); err != nil {
				return nil, err
			}
		}
		if !s.empty() {
			s.walked += int(e.size)
		}
		if s.beat != nil && !s.tx.group && s.due() {
			if b, err := s.idle(ctx); b != nil || err != nil {
				return b, err
			}
		}
	}
}

// nextEvent returns the next event that was received, nil when there is none at the moment.
func (s *stream) nextEvent(context.Context) (*logEvent, error) {
	if s.payload != nil {
		e, err := s.payload.next()
		if e != nil || err != nil {
			return e, err
		}
		s.payload = nil
		s.next++
	}
	if s.next >= len(s.events) {
		taken, err := s.binlog.take(s.events)
		if err != nil {
			if !s.empty() {
				return nil, nil // the batch first; the error is still there
			}
			return nil, err
		}
		if len(taken) == 0 {
			return nil, nil
		}
		s.events, s.next = taken, 0
	}
	return &s.events[s.next], nil
}

// wait returns when something was received or is due.
func (s *stream) wait(ctx context.Context) error {
	pause := idlePause
	if s.beat != nil {
		pause = min(pause, max(s.cfg.heartbeat-time.Since(s.beaten), time.Millisecond))
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.binlog.ready:
	case <-timer.C:
	}
	return nil
}

// restComes waits for more of an open transaction: the server sends one as a whole, so that the rest is on its way. False: there is
// no open one, or the rest does not come, as at the end of a connection.
func (s *stream) restComes(ctx context.Context) bool {
	if !s.tx.group {
		return false
	}
	s.patience.Reset(restPause)
	defer s.patience.Stop()
	select {
	case <-s.binlog.ready:
		return true
	case <-s.patience.C:
	case <-ctx.Done():
	}
	return false
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

func (s *stream) empty() bool { return s.b == nil || s.b.Len() == 0 }

func (s *stream) full() bool {
	return s.b != nil && s.b.Len() > 0 && (s.b.Len() >= s.records || s.b.Size() >= batchBytes || s.walked >= walkBytes)
}

// whole hands out the batch being built, with what a post-processor reads again.
func (s *stream) whole(ctx context.Context) (*connectors.Batch, error) {
	if err := s.reselect.Fill(ctx, s.b); err != nil {
		return nil, err
	}
	return s.finish(), nil
}

// finish hands out the batch being built.
func (s *stream) finish() *connectors.Batch {
	m := &s.mark
	h := handed{pos: m.pos, exact: m.exact, id: s.id}
	if s.done != nil {
		h.pos.gtids = s.done.String()
		h.exact.gtids = h.pos.gtids
		if m.whole && !m.gtid.none() && !s.done.has(&m.gtid) {
			with := s.done.merge(&gtidSet{mariadb: s.mariadb})
			with.add(&m.gtid)
			h.exact.gtids = with.String()
		}
	}
	var txns *changes.Transactions
	if m.meta {
		txns = s.txns
	}
	s.text = h.pos.append(s.text[:0], txns)
	o := offsets.Offset(s.text)
	h.plain = o
	if !m.gtid.none() {
		s.text = m.gtid.append(s.text[:0], s.mariadb)
		h.id.GTID = string(s.text)
	}
	h.id.Rows = 0
	if !m.whole {
		h.id.Rows = m.rows
	}
	h.id.Created = s.created
	if m.exact.file != s.file {
		h.id.Created = 0
	}
	h.id.Restart = ""
	if h.exact != h.pos {
		h.id.Restart = string(h.exact.offset(nil))
	}
	if s.oldest == 0 && s.tx.inBatch {
		s.oldest = s.micros
	}
	b := s.b.Finish(o, s.through)
	b.Committed = s.oldest
	h.id.Offset = string(o)
	s.text = h.id.append(s.text[:0])
	b.Extra = []offsets.Entry{{Partition: s.state, Offset: offsets.Offset(s.text)}}
	h.id.own = true
	s.handed = h
	s.watch.passed(&h.pos, h.id.GTID)
	s.b, s.oldest, s.walked, s.tx.inBatch, s.lastBatch = nil, 0, 0, false, time.Now()
	s.flush()
	return b
}

// flush lets done catch up with what was completed behind the mark.
func (s *stream) flush() {
	for i := range s.later {
		s.done.add(&s.later[i])
	}
	s.later = s.later[:0]
}

// completed are the transactions that need not come again at the place where the stream is; "" without GTIDs.
func (s *stream) completed() string {
	if s.done == nil {
		return ""
	}
	if len(s.later) == 0 {
		return s.done.String()
	}
	with := s.done.merge(&gtidSet{mariadb: s.mariadb})
	for i := range s.later {
		with.add(&s.later[i])
	}
	return with.String()
}

// complete notes that the transaction of current needs not come again.
func (s *stream) complete() {
	if s.counted || s.done == nil || s.current.none() {
		s.counted = true
		return
	}
	s.counted = true
	if s.empty() {
		s.done.add(&s.current)
		return
	}
	s.later = append(s.later, s.current)
}

// order is that of the next row of the transaction.
func (s *stream) order(minor uint32) connectors.Order {
	return order(s.id.Epoch, s.tx.file, s.tx.start, minor)
}

// due tells that a heartbeat, or a position without records, should be handed out. Not before the rest of a transaction that is being
// resumed has come: the position would forget what was delivered of it.
func (s *stream) due() bool {
	if s.resume.armed {
		return false
	}
	if s.beat != nil && time.Since(s.beaten) >= s.cfg.heartbeat {
		return true
	}
	if !s.empty() || time.Since(s.lastBatch) < idlePause {
		return false
	}
	p, q := &s.pos, &s.handed.pos
	return p.file != q.file || p.pos != q.pos || s.done != nil && s.handed.exact.gtids != s.done.String()
}

// idle hands out a heartbeat, or the position that was reached without any record.
func (s *stream) idle(ctx context.Context) (*connectors.Batch, error) {
	if s.b == nil {
		if err := s.newBatch(ctx); err != nil {
			return nil, err
		}
	}
	p := s.pos
	if !s.tx.open {
		p.event, p.row = 0, 0
	}
	if now := time.Now(); s.beat != nil && now.Sub(s.beaten) >= s.cfg.heartbeat {
		s.beaten = now
		s.beat.Append(s.b, now.UnixNano())
		s.flush()
		s.mark = s.place(p)
		if s.through == (connectors.Order{}) {
			s.through = s.before()
		}
		r := s.b.Records()
		r[len(r)-1].Order = s.through
		return nil, nil
	}
	s.mark, s.through = s.place(p), s.before()
	return s.finish(), nil
}

// before is the order below every transaction behind the position and above every one before it.
func (s *stream) before() connectors.Order {
	return order(s.id.Epoch, s.pos.file, max(s.pos.pos, 1)-1, math.MaxUint32)
}

// handle follows the reference's BinlogStreamingChangeEventSource.handleEvent.
func (s *stream) handle(ctx context.Context, e *logEvent) error {
	s.pos.serverID = e.server
	if e.kind != replication.ROTATE_EVENT && s.payload == nil {
		s.advance(e)
	}
	switch e.kind {
	case replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2, replication.TRANSACTION_PAYLOAD_EVENT, replication.ROTATE_EVENT, replication.FORMAT_DESCRIPTION_EVENT:
	default:
		s.announced = false // unless this announces the next one
	}
	var err error
	switch kind := byte(e.kind); {
	case isRowsEvent(kind):
		err = s.rowsOf(e)
	case e.kind == replication.TABLE_MAP_EVENT:
		err = s.tableMap(e)
	default:
		err = s.control(ctx, e)
	}
	if err != nil {
		return err
	}
	if s.tx.group && (s.cfg.query || e.kind != replication.MARIADB_ANNOTATE_ROWS_EVENT) { // the reference is not sent statements then
		s.tx.events++
		s.pos.event++
	}
	if !e.artificial() && !heartbeatEvent(e.kind) {
		s.heard = e.at
	}
	if e.time != 0 && !heartbeatEvent(e.kind) && (s.mariadb || !s.gtidOn || s.micros == 0) {
		s.micros = int64(e.time) * 1e6
	}
	return nil
}

// control handles an event that is neither a row's nor a table's.
func (s *stream) control(ctx context.Context, e *logEvent) error {
	switch e.kind {
	case replication.GTID_EVENT, replication.ANONYMOUS_GTID_EVENT:
		return s.gtidEvent(e)
	case replication.GTID_TAGGED_LOG_EVENT:
		return s.taggedEvent(e)
	case replication.MARIADB_GTID_EVENT:
		return s.mariadbEvent(e)
	case replication.QUERY_EVENT, replication.MARIADB_QUERY_COMPRESSED_EVENT:
		return s.query(ctx, e)
	case replication.XID_EVENT:
		s.commit(e)
	case replication.XA_PREPARE_LOG_EVENT:
		s.endGroup()
	case replication.ROTATE_EVENT:
		return s.rotate(e)
	case replication.PREVIOUS_GTIDS_EVENT, replication.MARIADB_GTID_LIST_EVENT:
		s.adopt(e)
	case replication.FORMAT_DESCRIPTION_EVENT:
		return s.format(e)
	case replication.TRANSACTION_PAYLOAD_EVENT:
		if s.payload != nil {
			return badEvent("TRANSACTION_PAYLOAD", errors.New("it is inside of another one"))
		}
		return s.open(e)
	case replication.ROWS_QUERY_EVENT, replication.MARIADB_ANNOTATE_ROWS_EVENT:
		s.statement(e)
	case replication.EXECUTE_LOAD_QUERY_EVENT:
		return s.loadQuery(e)
	case replication.INCIDENT_EVENT:
		return connectors.AsPermanent(fmt.Errorf("read the binlog: the server noted an incident at %s:%d: it lost events, which are in no binlog. "+
			"Take a new snapshot (start once with snapshot.mode=when_needed after deleting the connector's offsets)", s.file, s.at))
	case replication.STOP_EVENT, replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2,
		replication.MARIADB_BINLOG_CHECKPOINT_EVENT, replication.MARIADB_START_ENCRYPTION_EVENT,
		replication.INTVAR_EVENT, replication.RAND_EVENT, replication.USER_VAR_EVENT, replication.IGNORABLE_EVENT, replication.TRANSACTION_CONTEXT_EVENT,
		replication.VIEW_CHANGE_EVENT, replication.BEGIN_LOAD_QUERY_EVENT, replication.APPEND_BLOCK_EVENT, replication.DELETE_FILE_EVENT:
	default:
		if e.flags&replication.LOG_EVENT_IGNORABLE_F == 0 {
			return connectors.AsPermanent(fmt.Errorf("read the binlog: event type %d at %s:%d is not known, and the server does not say that it may be ignored", e.kind, s.file, s.at))
		}
	}
	return nil
}

// abandon gives back the memory of the batch being built and of the decoder.
func (s *stream) abandon() {
	if s.b != nil {
		s.b.Abandon()
		s.b = nil
	}
	s.unpacker.close()
	s.unpacker = nil
}
