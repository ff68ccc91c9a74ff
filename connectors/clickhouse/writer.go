package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// inserters is how many tables of a block are inserted into at a time.
const inserters = 4

// writer inserts one block after the other.
type writer struct {
	sink   *sink
	ctx    context.Context // of the goroutine
	cancel context.CancelFunc
	spare  *block
	next   time.Time // when the next block that is not full may be inserted
	blocks uint64

	work  chan struct{} // something was taken, or somebody waits
	moved chan struct{} // a block was begun or is durable
	ended chan struct{}
}

func newWriter(s *sink) *writer {
	w := &writer{sink: s, spare: &block{}, work: make(chan struct{}, 1), moved: make(chan struct{}, 1), ended: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *writer) wake() {
	select {
	case w.work <- struct{}{}:
	default:
	}
}

func (w *writer) stir() {
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

// run is the goroutine.
func (w *writer) run() {
	defer close(w.ended)
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.work:
			if !w.drain() {
				return
			}
		}
	}
}

// linger waits until the block is to be inserted: at once when the last insert began long enough ago, when the block is full, or
// when somebody waits. false: the goroutine is to end.
func (w *writer) linger() bool {
	for {
		w.sink.mu.Lock()
		now, rest := w.sink.mayGo(w.next)
		w.sink.mu.Unlock()
		if now {
			return true
		}
		timer := time.NewTimer(rest)
		select {
		case <-timer.C:
		case <-w.work:
		case <-w.ctx.Done():
		}
		timer.Stop()
		if w.ctx.Err() != nil {
			return false
		}
	}
}

// drain inserts what was taken; false: the writer has ended.
func (w *writer) drain() bool {
	s := w.sink
	for {
		s.mu.Lock()
		blk := s.filling
		idle := len(blk.taken) == 0 || s.failed != nil
		s.mu.Unlock()
		if idle {
			return true
		}
		if !w.linger() {
			return false
		}
		s.mu.Lock()
		if s.failed != nil {
			s.mu.Unlock()
			return true
		}
		s.filling, s.writing = w.spare, true
		s.mu.Unlock()
		w.next = time.Now().Add(s.cfg.interval)
		w.stir()
		err := w.write(blk)
		if err != nil && w.ctx.Err() != nil {
			err = connectors.ErrStopped
		}
		s.mu.Lock()
		s.writing = false
		if err != nil {
			s.failed = err
		}
		s.mu.Unlock()
		if err == nil {
			for _, id := range blk.taken {
				s.task.Ack(id) // I1
			}
		}
		s.task.Charge(-blk.charged)
		blk.reset(s.cfg.bytes)
		w.spare = blk
		if err != nil {
			if !errors.Is(err, connectors.ErrStopped) {
				s.task.Fail(err)
			}
			return false
		}
		w.stir()
	}
}

// write makes a block durable, however often it takes (I1); an error means that it cannot be.
func (w *writer) write(blk *block) error {
	w.blocks++
	var live []*section
	for i, sec := range blk.sections {
		if sec.rows == 0 && !sec.truncate {
			continue
		}
		// One token for one content: sending it again is the same insert, and an equal block of later rows is another one.
		sec.token = fmt.Sprintf("%s-%d-%d", w.sink.token, w.blocks, i)
		live = append(live, sec)
	}
	if len(live) == 1 {
		return w.table(w.ctx, live[0])
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var group sync.WaitGroup
	errs := make([]error, len(live))
	places := make(chan struct{}, inserters)
	for i, sec := range live {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			if errs[i] = w.table(ctx, sec); errs[i] != nil {
				cancel()
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, connectors.ErrStopped) {
			return err
		}
	}
	return errors.Join(errs...)
}

// table truncates a table where that is asked, then inserts its rows.
func (w *writer) table(ctx context.Context, sec *section) error {
	s := w.sink
	what := "write to table " + sec.plan.target
	if sec.truncate {
		err := w.insist(ctx, what, func(ctx context.Context) error {
			_, err := s.server.statement(ctx, sec.plan.truncate, url.Values{"max_table_size_to_drop": {"0"}})
			return err
		})
		if err != nil || sec.rows == 0 {
			return err
		}
	}
	return w.insist(ctx, what, func(ctx context.Context) error { return s.server.insert(ctx, sec) })
}

const (
	firstPause = 50 * time.Millisecond
	busyPause  = time.Second // of a server that says it has too much to do
	longPause  = 30 * time.Second
)

// insist calls do until it succeeds or cannot, with pauses that grow.
func (w *writer) insist(ctx context.Context, what string, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	undo := context.AfterFunc(w.ctx, cancel)
	defer undo()
	for attempt := 0; ; attempt++ {
		err := do(ctx)
		switch {
		case err == nil:
			return nil
		case w.ctx.Err() != nil:
			return connectors.ErrStopped
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case connectors.ClassOf(err) != connectors.Retriable:
			return connectors.AsPermanent(fmt.Errorf("%s: %w", what, err))
		}
		pause := pauseAfter(err, attempt)
		if attempt > 0 || pause >= busyPause {
			w.sink.log.Warn("ClickHouse refused or did not answer, and is tried again", "what", what, "error", err, "attempt", attempt+1, "in", pause)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pauseAfter grows with the attempts, with jitter; it begins long where the server needs time to merge or to free memory.
func pauseAfter(err error, attempt int) time.Duration {
	first := firstPause
	if code := codeOf(err); code == codeTooManyParts || code == codeMemory {
		first = busyPause
	}
	limit := min(first<<min(attempt, 12), longPause)
	return limit/2 + time.Duration(rand.Int64N(int64(limit/2)+1))
}

// stop ends the goroutine and drops what is not durable.
func (w *writer) stop(ctx context.Context) error {
	w.cancel()
	select {
	case <-w.ended:
	case <-ctx.Done():
		return fmt.Errorf("stop the writer: %w", ctx.Err())
	}
	s := w.sink
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = connectors.ErrStopped
	}
	s.task.Charge(-s.filling.charged)
	s.filling.reset(0)
	return nil
}
