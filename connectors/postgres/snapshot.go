package postgres

import (
	"context"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// snapshot reads the captured tables as they were at one position of the log, by COPY. Its readers are snapshotReaders, goroutines of
// changes.Snapshot; all else here belongs to the goroutine of Poll.
//
// The position and the rows fit exactly: both come from the creation of a slot, of the connector's own when it is new, else of a
// temporary one. Streaming from the connector's slot then starts at that position, or earlier (see position).
type snapshot struct {
	t         *source
	streaming bool // streaming follows
	again     bool // an earlier attempt may have delivered rows: no snapshot was ever completed

	begun *changes.SnapshotProgress // of the attempt before, nil: none that can be gone on with
	base  uint64                    // position of that attempt
	from  identity                  // its server

	opened bool
	tx     *pgx.Conn // the catalog as of the snapshot
	server server
	pos    position
	seen   uint64 // the rows are those of the commits below it
	order  connectors.Order
	seq    string
	plan   *plan
	rows   *changes.Snapshot[*tableRead]
	notes  changes.SnapshotNotes
}

func newSnapshot(t *source, streaming bool) *snapshot { return &snapshot{t: t, streaming: streaming} }

// next returns the next batch. The batch that ends the snapshot says so in its offset, and hands over to the stream.
func (s *snapshot) next(ctx context.Context) (*connectors.Batch, error) {
	if !s.opened {
		if err := s.open(ctx); err != nil {
			return nil, err
		}
		s.read(ctx)
	}
	w, err := s.rows.Next(ctx)
	switch {
	case err != nil:
		return nil, err
	case w == nil:
		return s.end(ctx)
	}
	return s.batch(w)
}

// read starts the readers.
func (s *snapshot) read(ctx context.Context) {
	t := s.t
	s.rows = &changes.Snapshot[*tableRead]{Plan: &s.plan.SnapshotPlan, Log: t.log, Watch: &t.watch.snapshot, Session: t.session, Partition: t.partition}
	readers := make([]changes.SnapshotReader[*tableRead], t.cfg.snapshot.Threads)
	for i := range readers {
		readers[i] = &snapshotReader{cfg: t.cfg, exported: s.plan.exported, pos: s.pos, order: s.order, seq: s.seq}
	}
	s.rows.Begin(ctx, readers)
}

// end makes the last batch and hands over to the stream.
func (s *snapshot) end(ctx context.Context) (*connectors.Batch, error) {
	s.pos.last, s.pos.completed = true, true
	b, err := s.lastBatch(ctx)
	if err != nil {
		return nil, err
	}
	t := s.t
	s.rows.End(pglogrepl.LSN(s.pos.lsn).String())
	s.close()
	t.snapshot = nil
	t.catalog.use(t.meta)
	if s.streaming {
		p := position{lsn: s.pos.lsn, txID: s.pos.txID, micros: s.pos.micros}
		t.beginStream(p, resume{}, s.server, s.identity())
		t.pauseBeforeStream = t.cfg.snapshot.streamingDelay
	}
	return b, nil
}

func (s *snapshot) lastBatch(ctx context.Context) (*connectors.Batch, error) {
	if w := s.rows.Last(); w != nil {
		return s.batch(w)
	}
	w, err := s.t.session.NewBatch(ctx, s.t.partition)
	if err != nil {
		return nil, err
	}
	return s.batch(w)
}

func (s *snapshot) batch(w *connectors.Builder) (*connectors.Batch, error) {
	o := s.pos.offset(nil)
	extra, err := s.note(o)
	if err != nil {
		w.Abandon()
		return nil, err
	}
	b := w.Finish(o, s.order)
	b.Extra = extra
	return b, nil
}

// identity goes beside the offset.
func (s *snapshot) identity() identity {
	return identity{System: s.server.system, Timeline: s.server.timeline, Commit: s.seen - 1, own: true}
}

// close ends the readers and the transaction.
func (s *snapshot) close() {
	if s.rows != nil {
		s.rows.Close()
	}
	if s.tx != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.tx.Close(ctx)
		s.tx = nil
	}
}
