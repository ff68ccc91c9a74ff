package changes

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

const (
	// progressPause is how often the log tells how far a snapshot is.
	progressPause = 10 * time.Second
	// Bounds of a batch of rows.
	snapshotBytes   = 512 << 10
	snapshotRecords = 8192
)

// Snapshot hands out the rows of a plan's chunks in batches, with the markers of the source block. Readers, goroutines of its own, fill
// batches from the chunks that the plan gives them; the goroutine of Poll, to which all else here belongs, hands the batches out in the
// order in which they come. T is what a connector reads a table with.
type Snapshot[T any] struct {
	Plan    *SnapshotPlan[T]
	Log     *slog.Logger
	Watch   *SnapshotWatch
	Session connectors.SourceSession
	// Partition of the batches.
	Partition offsets.Partition
	// Rows counts what was handed out.
	Rows int64

	pieces  chan piece[T] // of the readers; closed when the last of them ends
	cancel  context.CancelFunc
	readers sync.WaitGroup
	running atomic.Int32

	out   []piece[T] // to be handed out
	final *piece[T]  // rows after which none may come; no chunk has begun rows that are still to come
	live  int        // chunks that have rows still to come

	failed error // of a reader; what is finished goes out before it

	since time.Time // when reading began
	told  time.Time // when progress was logged
}

// SnapshotReader reads chunks over a connection of its own.
type SnapshotReader[T any] interface {
	// Read reads c and puts its rows out.
	Read(ctx context.Context, c *SnapshotChunk[T], out *SnapshotOutput[T]) error
	// Close ends the connection.
	Close()
}

// piece is what a reader tells of its chunk: that it has rows (no builder, more), some of them, the last of them or none
// (more is false), or why it cannot be read.
type piece[T any] struct {
	chunk *SnapshotChunk[T]
	b     *connectors.Builder
	more  bool // rows of the chunk are still to come
	err   error

	lastOfTable, last bool // the last row is
}

// Begin starts the readers. They live until Close, beyond this call of Poll.
func (s *Snapshot[T]) Begin(ctx context.Context, readers []SnapshotReader[T]) {
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.pieces, s.since = make(chan piece[T], len(readers)), time.Now()
	s.told = s.since
	s.Watch.reading(len(s.Plan.tables), s.Plan.estimate)
	s.running.Store(int32(len(readers)))
	if len(readers) == 0 {
		close(s.pieces)
	}
	for _, r := range readers {
		s.readers.Go(func() {
			s.read(ctx, r)
			if s.running.Add(-1) == 0 {
				close(s.pieces)
			}
		})
	}
}

// read reads until there is nothing left, ctx ends or something fails.
func (s *Snapshot[T]) read(ctx context.Context, r SnapshotReader[T]) {
	out := &SnapshotOutput[T]{s: s}
	var err error
	for err == nil {
		var c *SnapshotChunk[T]
		if c, err = s.Plan.Next(ctx); c == nil || err != nil {
			break
		}
		out.chunk, out.began = c, false
		if err = r.Read(ctx, c, out); err == nil {
			err = out.send(ctx, piece[T]{chunk: c, b: out.b})
		}
	}
	r.Close()
	if out.b != nil {
		out.b.Discard()
		out.b.Abandon()
		out.b = nil
	}
	if err != nil {
		_ = out.send(ctx, piece[T]{err: err}) // it fails only when nobody listens any more
	}
}

// SnapshotOutput is where a reader puts the rows of its chunk.
type SnapshotOutput[T any] struct {
	s     *Snapshot[T]
	chunk *SnapshotChunk[T]
	began bool
	b     *connectors.Builder
}

// Row returns the builder for a row that is there, and whether it is a new one. Memory is asked for only then, and rows are
// handed over only when the next one is there, so that whoever gets them knows whether they are the last ones (I5: the row lies in the
// reader's buffer).
func (o *SnapshotOutput[T]) Row(ctx context.Context) (w *connectors.Builder, fresh bool, err error) {
	full := o.b != nil && o.b.Len() > 0 && (o.b.Len() >= snapshotRecords || o.b.Size() >= snapshotBytes)
	if full || !o.began {
		if err := o.send(ctx, piece[T]{chunk: o.chunk, b: o.b, more: true}); err != nil {
			return nil, false, err
		}
		o.began = true
	}
	if o.b != nil {
		return o.b, false, nil
	}
	o.b, err = o.s.Session.NewBatch(ctx, o.s.Partition)
	return o.b, true, err
}

// send hands a piece over, with the builder in it.
func (o *SnapshotOutput[T]) send(ctx context.Context, p piece[T]) error {
	select {
	case o.s.pieces <- p:
		o.b = nil
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Next returns the rows to be handed out next, marked; nil when all were.
func (s *Snapshot[T]) Next(ctx context.Context) (*connectors.Builder, error) {
	for {
		if len(s.out) > 0 {
			p := s.out[0]
			s.out = s.out[1:]
			return s.handOut(&p), nil
		}
		if s.failed != nil {
			return nil, s.failed
		}
		select {
		case p, ok := <-s.pieces:
			if !ok {
				return nil, nil
			}
			if p.err == nil {
				s.take(p)
				continue
			}
			s.failed = p.err
			s.release(&s.final) // other tables were to follow: it is not the end

		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// HasLast tells, after Next has returned nil, whether Last returns rows.
func (s *Snapshot[T]) HasLast() bool { return s.final != nil }

// Last returns, after Next has returned nil, the rows that end the snapshot; nil when there are none.
func (s *Snapshot[T]) Last() *connectors.Builder {
	p := s.final
	if p == nil {
		return nil
	}
	s.final = nil
	p.last = true
	return s.handOut(p)
}

// take finds out which markers the last row of a piece gets, and queues the piece as soon as that is certain. To know it, it
// needs to hear only whether other chunks have rows, which their readers tell before they ask for memory: nothing held back
// here can keep them from that.
func (s *Snapshot[T]) take(p piece[T]) {
	c, t := p.chunk, p.chunk.Table
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
func (s *Snapshot[T]) release(held **piece[T]) {
	if *held != nil {
		s.out = append(s.out, **held)
		*held = nil
	}
}

// endTable takes the piece with the last row of a table.
func (s *Snapshot[T]) endTable(p piece[T]) {
	p.lastOfTable = true
	s.release(&s.final)
	if s.final = &p; s.live > 0 {
		s.release(&s.final)
	}
}

// handOut marks the rows of a piece. A chunk is finished when its last row is handed out.
func (s *Snapshot[T]) handOut(p *piece[T]) *connectors.Builder {
	t, n := p.chunk.Table, p.b.Len()
	first := s.Rows == 0 && !s.Plan.resumed
	switch {
	case first:
		mark(p.b, 0, SnapshotFirst)
	case t.rows == 0:
		mark(p.b, 0, SnapshotFirstTable)
	}
	switch {
	case p.last:
		mark(p.b, n-1, SnapshotLast)
		p.b.Records()[n-1].Last = true
	case p.lastOfTable && (n > 1 || !first):
		mark(p.b, n-1, SnapshotLastTable)
	}
	t.rows += int64(n)
	s.Rows += int64(n)
	s.Watch.rows(t.ID.String(), int64(n), false)
	if !p.more {
		s.finish(p.chunk)
	}
	s.tell()
	return p.b
}

// mark gives row i source cells of its own, with another snapshot marker.
func mark(w *connectors.Builder, i int, marker string) {
	rec := &w.Records()[i]
	w.Source()
	for c := range rec.Source.Count {
		if c == SourceSnapshot {
			w.String(marker)
		} else {
			w.Cell(w.Row(rec.Source)[c])
		}
	}
	rec.Source = w.Record().Source
}

// finish notes that every row of a chunk was handed out.
func (s *Snapshot[T]) finish(c *SnapshotChunk[T]) {
	if t := c.Table; s.Plan.finish(c) {
		s.Watch.rows(t.ID.String(), 0, true)
		s.Log.Info("table was read", "table", t.ID.String(), "rows", t.rows)
	}
}

// End logs and notes that the snapshot is completed; position is how its source writes it.
func (s *Snapshot[T]) End(position string) {
	s.Log.Info("snapshot completed", "tables", len(s.Plan.done), "rows", s.Rows, "position", position,
		"took", time.Since(s.since).Round(time.Millisecond))
	s.Watch.ended(true)
}

// tell logs how far the snapshot is, by the server's estimates of rows.
func (s *Snapshot[T]) tell() {
	now := time.Now()
	if now.Sub(s.told) < progressPause {
		return
	}
	s.told = now
	rate := float64(s.Rows) / now.Sub(s.since).Seconds()
	about := []any{"rows", s.Rows, "rows_per_second", int64(rate)}
	if all := s.Plan.estimate; all > float64(s.Rows) {
		left := time.Duration((all - float64(s.Rows)) / rate * float64(time.Second))
		about = append(about, "percent", math.Round(1000*float64(s.Rows)/all)/10, "left", left.Round(time.Second))
	}
	s.Log.Info("reading the snapshot", about...)
}

// Close ends the readers and gives back what was not handed out.
func (s *Snapshot[T]) Close() {
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
	for _, t := range s.Plan.open {
		if t.held != nil {
			t.held.abandon()
			t.held = nil
		}
	}
}

func (p *piece[T]) abandon() {
	if p.b != nil {
		p.b.Abandon()
	}
}
