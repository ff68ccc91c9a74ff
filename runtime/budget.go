package runtime

import (
	"context"
	"errors"
	"sync"
)

// budget counts bytes on their way (I5): of one task, and through parent of all tasks of the worker. A task that holds
// nothing always passes, so that one row above the bound passes alone and no task can be starved by the others.
type budget struct {
	parent *budget
	limit  int64
	full   chan struct{} // signalled when somebody has to wait; nil for the worker's

	mu      sync.Mutex
	used    int64
	waiters int
	closed  bool
	changed chan struct{} // closed and replaced when bytes come back that somebody wanted
	wanted  bool
}

func newBudget(limit int64, parent *budget) *budget {
	return &budget{parent: parent, limit: limit, full: make(chan struct{}, 1), changed: make(chan struct{})}
}

// acquire waits until n bytes fit, ctx ends or stopped is closed.
func (b *budget) acquire(ctx context.Context, stopped <-chan struct{}, n int64) error {
	for {
		own, all, err := b.try(n)
		if !errors.Is(err, errFull) {
			return err
		}
		if err := b.wait(ctx, stopped, own, all); err != nil {
			return err
		}
	}
}

func (b *budget) wait(ctx context.Context, stopped, own, all <-chan struct{}) error {
	b.count(1)
	defer b.count(-1)
	select {
	case b.full <- struct{}{}:
	default:
	}
	select {
	case <-own:
	case <-all:
	case <-stopped:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (b *budget) count(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiters += n
}

// waiting is how many wait for room.
func (b *budget) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiters
}

var errFull = errors.New("the window is full")

// try takes n bytes if they fit; with errFull it returns what to wait for. A closed budget gives nothing: nobody would give
// it back to the parent.
func (b *budget) try(n int64) (own, all <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, errStopping
	}
	if b.used > 0 && b.used+n > b.limit {
		b.wanted = true
		return b.changed, nil, errFull
	}
	if b.parent != nil {
		b.parent.mu.Lock()
		defer b.parent.mu.Unlock()
		if b.used > 0 && b.parent.used+n > b.parent.limit {
			b.wanted, b.parent.wanted = true, true
			return b.changed, b.parent.changed, errFull
		}
		b.parent.used += n
	}
	b.used += n
	return nil, nil, nil
}

// charge adds n bytes without waiting; negative ones come back.
func (b *budget) charge(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.used += n
	if n < 0 && b.wanted {
		b.wanted = false
		close(b.changed)
		b.changed = make(chan struct{})
	}
	if b.parent != nil {
		b.parent.charge(n)
	}
}

// close gives everything back to the parent; what comes later is ignored.
func (b *budget) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	if b.parent != nil {
		b.parent.charge(-b.used)
	}
	b.used = 0
}

// level is how many bytes are in use, and how many may be.
func (b *budget) level() (used, limit int64) { return b.inUse(), b.limit }

func (b *budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
