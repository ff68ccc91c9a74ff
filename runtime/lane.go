package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// lane carries batches to one of several sinks, in a goroutine of its own ("sink"): one that is slow or away keeps the others
// waiting only when the task's memory is used up (I5).
type lane struct {
	of     *sinkRun
	ctx    context.Context // ends with the instance, and when the sink drops out
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	queue  []carried
	closed bool
	more   chan struct{} // something was queued
}

// carried is a batch, or the wish to have everything before it durable.
type carried struct {
	batch   *connectors.Batch
	taken   time.Time // with a tracer: when it came from the source
	flushed chan error
}

func (s *sinkRun) openLane() {
	l := &lane{of: s, ended: make(chan struct{}), more: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(s.run.hard)
	s.lane = l
	s.run.spawn("sink", func() { defer close(l.ended); l.carry() })
}

// add queues c; false: the lane is closed.
func (l *lane) add(c carried) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.queue = append(l.queue, c)
	select {
	case l.more <- struct{}{}:
	default:
	}
	return true
}

// close takes what is queued; nothing can be added any more.
func (l *lane) close() []carried {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	rest := l.queue
	l.queue = nil
	return rest
}

func (l *lane) next() (carried, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return carried{}, false
	}
	c := l.queue[0]
	l.queue[0] = carried{}
	l.queue = l.queue[1:]
	return c, true
}

// queued is how many batches the sink was not given yet.
func (l *lane) queued() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// carry is the lane's goroutine. It ends with an error of the sink, and with the lane's context.
func (l *lane) carry() {
	for {
		c, ok := l.next()
		if !ok {
			select {
			case <-l.ctx.Done():
				return
			case <-l.more:
			}
			continue
		}
		if l.ctx.Err() != nil {
			l.leave(c)
			return
		}
		if c.batch != nil {
			id, records := c.batch.ID, len(c.batch.Records)
			l.of.taken = c.taken
			if err := l.of.put(l.ctx, c.batch); err != nil {
				l.of.mu.Lock()
				l.of.held[id] = weight{records: records} // to be given up with the rest when the sink drops out
				l.of.mu.Unlock()
				l.of.ends(err)
				return
			}
			continue
		}
		err := l.of.call("flush", func() error { return l.of.task.Flush(l.ctx) })
		c.flushed <- err
		if err != nil && l.ctx.Err() == nil {
			l.of.ends(fmt.Errorf("flush sink %s: %w", l.of.name(), err))
			return
		}
	}
}

// leave gives up what the sink was not given.
func (l *lane) leave(c carried) {
	if c.batch == nil {
		return
	}
	id, records := c.batch.ID, len(c.batch.Records)
	c.batch.Release()
	l.of.forgo(id, records)
}

// stop ends the lane and waits for its goroutine, which a sink may hold up. What was queued is given up.
func (l *lane) stop(patience time.Duration) error {
	l.cancel()
	for _, c := range l.close() {
		l.leave(c)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.ended:
		return nil
	case <-timer.C:
		return errors.New("the sink did not return after its context ended; its goroutine is left behind")
	}
}

// fanOut registers a batch and hands it to every sink that has not dropped out.
func (t *instance) fanOut(b *connectors.Batch) error {
	t.members.Lock()
	t.passes(b)
	to := make([]*sinkRun, 0, len(t.sinks))
	for _, s := range t.sinks {
		if s.out == nil {
			to = append(to, s)
		}
	}
	if len(to) == 0 {
		t.members.Unlock()
		b.Release()
		return nil // the instance ends
	}
	t.repay(len(b.Records), len(t.sinks)-len(to))
	if err := t.register(b, to); err != nil {
		t.members.Unlock()
		b.Release()
		return err
	}
	b.Retain(len(to) - 1)
	lanes := to[0].lane != nil
	for _, s := range to {
		if lanes {
			s.lane.add(carried{batch: b, taken: t.taken})
		}
	}
	t.members.Unlock()
	for i, s := range to {
		if lanes {
			break
		}
		s.taken = t.taken
		if err := s.put(t.hard, b); err != nil {
			for range to[i+1:] {
				b.Release()
			}
			return t.cause(err)
		}
	}
	return nil
}

// register notes a batch before any sink gets it. The caller has members.
func (t *instance) register(b *connectors.Batch, to []*sinkRun) error {
	for _, s := range to {
		e, err := connectors.Progress{Partition: b.Source, Offset: b.Offset, Through: b.Through}.Entry(s.plan.alias)
		if err != nil {
			return connectors.AsPermanent(err)
		}
		if _, all := s.skips(b); all {
			e.Offset = "" // it is further: its position stays
		}
		s.tracker.Add(uint64(b.ID), e, 1)
	}
	t.tracker.Add(uint64(b.ID), offsets.Entry{Partition: b.Source, Offset: b.Offset}, len(to), b.Extra...)
	t.unsettled.Add(int64(len(b.Records) * len(to)))
	return nil
}

// flushAll makes everything that was queued durable in every sink that has not dropped out.
func (t *instance) flushAll(ctx context.Context) error {
	type wish struct {
		of   *lane
		done chan error
	}
	var wishes []wish
	for _, s := range t.sinks {
		if s.lane == nil {
			continue
		}
		if w := (wish{s.lane, make(chan error, 1)}); s.lane.add(carried{flushed: w.done}) {
			wishes = append(wishes, w)
		}
	}
	for _, w := range wishes {
		select {
		case err := <-w.done:
			if err != nil && w.of.ctx.Err() == nil {
				return fmt.Errorf("flush sink %s: %w", w.of.of.name(), err)
			}
		case <-w.of.ctx.Done(): // it dropped out, or the instance ends
		case <-w.of.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return context.Cause(t.hard)
}
