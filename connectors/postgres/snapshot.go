package postgres

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// progressPause is how often the log tells how far a snapshot is.
const progressPause = 10 * time.Second

// snapshot reads the captured tables as they were at one position of the log, by COPY. Readers, goroutines of its own
// (snapshotReader), fill batches from the chunks that the plan gives them; the goroutine of Poll, to which all else here
// belongs, hands the batches out in the order in which they come.
//
// The position and the rows fit exactly: both come from the creation of a slot, of the connector's own when it is new, else of a
// temporary one. Streaming from the connector's slot then starts at that position, or earlier (see position).
type snapshot struct {
	t         *source
	streaming bool // streaming follows
	again     bool // an earlier attempt may have delivered rows: no snapshot was ever completed

	begun *progress // of the attempt before, nil: none that can be gone on with
	base  uint64    // position of that attempt
	from  identity  // its server

	opened bool
	tx     *pgx.Conn // the catalog as of the snapshot
	server server
	pos    position
	seen   uint64 // the rows are those of the commits below it
	order  connectors.Order
	seq    string
	plan   *plan

	pieces  chan piece // of the readers; closed when the last of them ends
	cancel  context.CancelFunc
	readers sync.WaitGroup
	running atomic.Int32

	out   []piece // to be handed out
	final *piece  // rows after which none may come; no chunk has begun rows that are still to come
	live  int     // chunks that have rows still to come
	total int64

	state   offsets.Partition // of progress
	digest  string
	noted   offsets.Offset // progress that was handed out last
	notedAt time.Time
	since   time.Time // when reading began
	told    time.Time // when progress was logged
}

func newSnapshot(t *source, streaming bool) *snapshot { return &snapshot{t: t, streaming: streaming} }

// piece is what a reader tells of its chunk: that it has rows (no builder, more), some of them, the last of them or none
// (more is false), or why it cannot be read.
type piece struct {
	chunk *chunk
	b     *connectors.Builder
	more  bool // rows of the chunk are still to come
	err   error

	lastOfTable, last bool // the last row is
}

// next returns the next batch. The batch that ends the snapshot says so in its offset, and hands over to the stream.
func (s *snapshot) next(ctx context.Context) (*connectors.Batch, error) {
	if !s.opened {
		if err := s.open(ctx); err != nil {
			return nil, err
		}
		s.read(ctx)
	}
	for {
		if len(s.out) > 0 {
			p := s.out[0]
			s.out = s.out[1:]
			return s.handOut(&p)
		}
		select {
		case p, ok := <-s.pieces:
			if !ok {
				return s.end(ctx)
			}
			if p.err != nil {
				return nil, p.err
			}
			s.take(p)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// read starts the readers. They live until close, beyond this call of Poll.
func (s *snapshot) read(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	n := s.t.cfg.snapshot.threads
	s.pieces, s.since = make(chan piece, n), time.Now()
	s.told = s.since
	s.t.watch.reading(len(s.plan.tables), s.plan.estimate)
	s.running.Store(int32(n))
	for range n {
		r := &snapshotReader{
			cfg: s.t.cfg, session: s.t.session, partition: s.t.partition, plan: s.plan, exported: s.plan.exported,
			pos: s.pos, order: s.order, seq: s.seq, pieces: s.pieces,
		}
		s.readers.Go(func() {
			r.run(ctx)
			if s.running.Add(-1) == 0 {
				close(s.pieces)
			}
		})
	}
}

// take finds out which markers the last row of a piece gets, and queues the piece as soon as that is certain. To know it, it
// needs to hear only whether other chunks have rows, which their readers tell before they ask for memory: nothing held back
// here can keep them from that.
func (s *snapshot) take(p piece) {
	c, t := p.chunk, p.chunk.table
	if p.more && !c.live {
		c.live = true
		s.live++
		t.live++
		s.release(&t.held)
		s.release(&s.final)
	}
	if p.more {
		if p.b != nil {
			s.out = append(s.out, p)
		}
		return
	}
	if c.live {
		s.live--
		t.live--
	}
	t.left--
	switch {
	case p.b == nil:
		s.finish(c)
		if t.left == 0 && t.held != nil {
			s.endTable(*t.held)
			t.held = nil
		}
	case t.live > 0:
		s.out = append(s.out, p)
	case t.left == 0:
		s.endTable(p)
	default:
		t.held = &p
	}
}

// release queues a piece that was held back.
func (s *snapshot) release(held **piece) {
	if *held != nil {
		s.out = append(s.out, **held)
		*held = nil
	}
}

// endTable takes the piece with the last row of a table.
func (s *snapshot) endTable(p piece) {
	p.lastOfTable = true
	s.release(&s.final)
	if s.final = &p; s.live > 0 {
		s.release(&s.final)
	}
}

// handOut marks the rows of a piece and makes its batch. A chunk is finished when its last row is handed out.
func (s *snapshot) handOut(p *piece) (*connectors.Batch, error) {
	t, n := p.chunk.table, p.b.Len()
	first := s.total == 0 && s.begun == nil
	switch {
	case first:
		mark(p.b, 0, changes.SnapshotFirst)
	case t.rows == 0:
		mark(p.b, 0, changes.SnapshotFirstTable)
	}
	switch {
	case p.last:
		mark(p.b, n-1, changes.SnapshotLast)
		p.b.Records()[n-1].Last = true
	case p.lastOfTable && (n > 1 || !first):
		mark(p.b, n-1, changes.SnapshotLastTable)
	}
	t.rows += int64(n)
	s.total += int64(n)
	s.t.watch.rows(t.id.String(), int64(n), false)
	if !p.more {
		s.finish(p.chunk)
	}
	s.tell()
	return s.batch(p.b)
}

// mark gives row i source cells of its own, with another snapshot marker.
func mark(w *connectors.Builder, i int, marker string) {
	rec := &w.Records()[i]
	w.Source()
	for c := range rec.Source.Count {
		if c == changes.SourceSnapshot {
			w.String(marker)
		} else {
			w.Cell(w.Row(rec.Source)[c])
		}
	}
	rec.Source = w.Record().Source
}

// finish notes that every row of a chunk was handed out.
func (s *snapshot) finish(c *chunk) {
	if t := c.table; s.plan.finish(c) {
		s.t.watch.rows(t.id.String(), 0, true)
		s.t.log.Info("table was read", "table", t.id.String(), "rows", t.rows)
	}
}

// end makes the last batch and hands over to the stream.
func (s *snapshot) end(ctx context.Context) (*connectors.Batch, error) {
	s.pos.last, s.pos.completed = true, true
	b, err := s.lastBatch(ctx)
	if err != nil {
		return nil, err
	}
	t := s.t
	t.log.Info("snapshot completed", "tables", len(s.plan.done), "rows", s.total, "position", pglogrepl.LSN(s.pos.lsn).String(),
		"took", time.Since(s.since).Round(time.Millisecond))
	t.watch.ended(true)
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
	if p := s.final; p != nil {
		s.final = nil
		p.last = true
		return s.handOut(p)
	}
	w, err := s.t.session.NewBatch(ctx, s.t.partition)
	if err != nil {
		return nil, err
	}
	return s.batch(w)
}

func (s *snapshot) batch(w *connectors.Builder) (*connectors.Batch, error) {
	o := s.pos.offset()
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

// tell logs how far the snapshot is, by the planner's estimates of rows.
func (s *snapshot) tell() {
	now := time.Now()
	if now.Sub(s.told) < progressPause {
		return
	}
	s.told = now
	rate := float64(s.total) / now.Sub(s.since).Seconds()
	about := []any{"rows", s.total, "rows_per_second", int64(rate)}
	if all := s.plan.estimate; all > float64(s.total) {
		left := time.Duration((all - float64(s.total)) / rate * float64(time.Second))
		about = append(about, "percent", math.Round(1000*float64(s.total)/all)/10, "left", left.Round(time.Second))
	}
	s.t.log.Info("reading the snapshot", about...)
}

// close ends the readers and the transaction.
func (s *snapshot) close() {
	if s.cancel != nil {
		s.cancel()
		s.readers.Wait()
		for p := range s.pieces {
			p.abandon()
		}
	}
	for i := range s.out {
		s.out[i].abandon()
	}
	s.out = nil
	if s.final != nil {
		s.final.abandon()
		s.final = nil
	}
	if s.plan != nil {
		s.plan.abandon()
	}
	if s.tx != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.tx.Close(ctx)
		s.tx = nil
	}
}

func (p *piece) abandon() {
	if p.b != nil {
		p.b.Abandon()
	}
}
