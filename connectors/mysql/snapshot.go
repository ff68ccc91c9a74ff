package mysql

import (
	"context"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
	"github.com/freshet-io/freshet/offsets"
)

// snapshotKind is what a snapshot is for.
type snapshotKind uint8

const (
	snapshotRows     snapshotKind = iota // the schema and the rows
	snapshotSchema                       // the schema only: snapshot.mode=no_data
	snapshotRecovery                     // the schema only, as of the stored offset: snapshot.mode=recovery
)

// snapshot reads the schema of all tables and the rows of the captured ones, as they were at one position of the binlog. Its readers are
// snapshotReaders, goroutines of changes.Snapshot; all else here belongs to the goroutine of Poll, but for what opens tables, which the
// readers call one at a time.
//
// The position and the rows fit exactly while a lock keeps others from writing: under it the position is read, and each reader opens
// a transaction of its own. Without such a lock the rows may be newer than the position, never older: what they have already comes again.
type snapshot struct {
	t         *source
	kind      snapshotKind
	streaming bool // the stream follows

	stored  position                  // the offset there is; no file: none
	from    identity                  // what is known beside it
	begun   *changes.SnapshotProgress // of that attempt; nil: none that can be gone on with
	resumed bool                      // stored is that attempt's position and is kept: its schema is in the history, rows were delivered

	opened   bool
	meta     *client.Conn // for the schema, sizes and cuts
	locker   *client.Conn // has the lock
	lock     tableLock
	locked   time.Time
	pos      position
	id       identity
	captured []changes.TableID         // whose rows are read, in order
	current  *ddl.Catalog              // resumed: what the tables look like now
	sizes    map[changes.TableID]int64 // bytes
	readers  []*snapshotReader

	events []schemaEvent // whose records were not handed out
	plan   *changes.SnapshotPlan[*tableRead]
	rows   *changes.Snapshot[*tableRead]
	notes  changes.SnapshotNotes
	noted  bool                // an attempt before has stored progress
	ahead  *connectors.Builder // the first rows, while they are announced

	announced, secured bool // that rows come is told; durably
}

func newSnapshot(t *source, kind snapshotKind) *snapshot {
	return &snapshot{t: t, kind: kind, streaming: t.cfg.snapshot.mode != "initial_only"}
}

// resumes says which offset is stored, and what is known beside it: that of an attempt that was interrupted, or the one to recover at.
func (s *snapshot) resumes(_ context.Context, stored *position, id identity) error {
	s.from = id
	if stored != nil {
		s.stored = *stored
	}
	return nil
}

func (s *snapshot) recovering() bool { return s.kind == snapshotRecovery }

// next returns the next batch. The batch that ends the snapshot says so in its offset, and hands over to the stream.
func (s *snapshot) next(ctx context.Context) (*connectors.Batch, error) {
	if !s.opened {
		if err := s.open(ctx); err != nil {
			err = s.blocked(ctx, err)
			s.close()
			return nil, err
		}
		s.opened = true
	}
	if len(s.events) > 1 {
		return s.schemaBatch(ctx, len(s.events)-1, changes.SnapshotTrue)
	}
	w, err := s.nextRows(ctx)
	if err != nil {
		return nil, s.blocked(ctx, err)
	}
	if w == nil && (len(s.events) == 0 || s.rows == nil || !s.rows.HasLast()) {
		return s.end(ctx)
	}
	if len(s.events) > 0 || !s.announced && w != nil && s.streaming {
		s.ahead = w
		return s.announce(ctx)
	}
	if w == nil {
		return s.end(ctx)
	}
	s.announced = true
	return s.batch(w, s.progress())
}

// announce makes the batch before the first rows: the last event, when there is one. Its progress tells a later attempt that rows may have been
// delivered, so that it keeps the position.
func (s *snapshot) announce(ctx context.Context) (*connectors.Batch, error) {
	s.announced = true
	w, err := s.t.session.NewBatch(ctx, s.t.partition)
	if err != nil {
		return nil, err
	}
	s.appendEvents(w, len(s.events), changes.SnapshotTrue)
	return s.batch(w, &changes.SnapshotProgress{})
}

// progress is that of the rows; nil when nothing would tell what changed between two attempts.
func (s *snapshot) progress() *changes.SnapshotProgress {
	if !s.streaming {
		return nil
	}
	read := s.plan.Progress()
	return &read
}

// nextRows returns the next rows, nil when there are none left.
func (s *snapshot) nextRows(ctx context.Context) (*connectors.Builder, error) {
	if s.rows == nil {
		return nil, nil
	}
	if s.announced && !s.secured && s.streaming { // what is announced is durable before a row is delivered
		if err := s.t.session.Drain(ctx, s.t.partition); err != nil {
			return nil, err
		}
		s.secured = true
	}
	if w := s.ahead; w != nil {
		s.ahead = nil
		return w, nil
	}
	return s.rows.Next(ctx)
}

// read starts the readers.
func (s *snapshot) read(ctx context.Context) {
	t := s.t
	s.rows = &changes.Snapshot[*tableRead]{Plan: s.plan, Log: t.log, Watch: &t.watch.snapshot, Session: t.session, Partition: t.partition}
	source := sourceValues{micros: s.pos.seconds * 1e6, marker: changes.SnapshotTrue, file: s.pos.file, pos: s.pos.pos, thread: -1}
	readers := make([]changes.SnapshotReader[*tableRead], len(s.readers))
	for i, r := range s.readers {
		r.source, r.order = source, s.order()
		readers[i] = r
	}
	s.rows.Begin(ctx, readers)
}

// order is below that of every change behind the position.
func (s *snapshot) order() connectors.Order { return order(s.id.Epoch, s.pos.file, s.pos.pos, 0) }

// end makes the last batch and hands over to the stream.
func (s *snapshot) end(ctx context.Context) (*connectors.Batch, error) {
	s.pos.snapshot = ""
	b, err := s.lastBatch(ctx)
	if err != nil {
		return nil, err
	}
	t := s.t
	where := fmt.Sprintf("%s:%d", s.pos.file, s.pos.pos)
	if s.rows != nil {
		s.rows.End(where)
	} else {
		t.log.Info("schema was read", "position", where)
	}
	s.close()
	t.snapshot = nil
	if s.streaming {
		t.pauseBeforeStream = t.cfg.snapshot.streamingDelay
		return b, t.beginStream(ctx, s.pos, s.id)
	}
	return b, nil
}

func (s *snapshot) lastBatch(ctx context.Context) (*connectors.Batch, error) {
	if len(s.events) > 0 {
		return s.schemaBatch(ctx, len(s.events), changes.SnapshotLast)
	}
	if s.rows != nil {
		if w := s.rows.Last(); w != nil {
			return s.batch(w, nil)
		}
	}
	w, err := s.t.session.NewBatch(ctx, s.t.partition)
	if err != nil {
		return nil, err
	}
	return s.batch(w, nil)
}

// schemaBatch makes a batch of the next n events at most.
func (s *snapshot) schemaBatch(ctx context.Context, n int, marker string) (*connectors.Batch, error) {
	w, err := s.t.session.NewBatch(ctx, s.t.partition)
	if err != nil {
		return nil, err
	}
	s.appendEvents(w, n, marker)
	return s.batch(w, nil)
}

func (s *snapshot) appendEvents(w *connectors.Builder, n int, marker string) {
	for ; n > 0 && (w.Len() == 0 || w.Size() < batchBytes); n-- {
		now := time.Now()
		v := sourceValues{micros: now.UnixMicro(), marker: marker, file: s.pos.file, pos: s.pos.pos, thread: -1}
		s.t.schema.appendEvent(w, &s.events[0], v.values, now).Order = s.order()
		s.events = s.events[1:]
	}
}

// batch finishes a batch, with the progress that is true when it is durable; nil: none.
func (s *snapshot) batch(w *connectors.Builder, read *changes.SnapshotProgress) (*connectors.Batch, error) {
	o := s.pos.offset(nil)
	extra := []offsets.Entry{{Partition: s.t.state, Offset: s.id.offset(o)}}
	var more []offsets.Entry
	var err error
	switch {
	case !s.pos.unfinished():
		more = s.notes.End()
	case read != nil && s.streaming:
		more, err = s.notes.Note(o, *read)
	}
	if err != nil {
		w.Abandon()
		return nil, err
	}
	b := w.Finish(o, s.order())
	b.Extra = append(extra, more...)
	return b, nil
}

// close ends the readers and what they run, and the connections, with the lock.
func (s *snapshot) close() {
	if s.ahead != nil {
		s.ahead.Abandon()
		s.ahead = nil
	}
	if s.rows != nil {
		s.rows.Close()
		s.killReaders()
	} else {
		for _, r := range s.readers {
			r.Close()
		}
	}
	s.readers = nil
	for _, conn := range []**client.Conn{&s.meta, &s.locker} {
		if *conn != nil {
			_ = (*conn).Close()
			*conn = nil
		}
	}
}

// killReaders ends statements of readers that were interrupted: the server would notice that nobody reads any more only when it has a row.
func (s *snapshot) killReaders() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, r := range s.readers {
		if r.result.busy && s.meta != nil {
			_ = s.exec(ctx, fmt.Sprintf("KILL %d", r.id)) // it may have ended by itself
		}
	}
}

// exec runs a statement over the connection of the schema.
func (s *snapshot) exec(ctx context.Context, statement string) error {
	result, err := s.t.cfg.execute(ctx, s.meta, statement)
	if err == nil {
		result.Close()
	}
	return err
}
