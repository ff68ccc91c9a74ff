package plugins

import (
	"context"
	"sync"

	"github.com/freshet-io/freshet/connectors"
)

// room bounds bytes. What enters is charged as much as the newest that was settled, until its own size is known.
type room struct {
	limit int64

	mu       sync.Mutex
	used     int64
	estimate int64
	freed    chan struct{} // closed and made again when bytes were given back
}

const leastRoom = 16 << 10

func newRoom(limit int64) *room {
	return &room{limit: max(limit, leastRoom), estimate: leastRoom, freed: make(chan struct{})}
}

// enter waits until there is room, or nothing else is inside, and returns what is charged.
func (r *room) enter(ctx, task context.Context) (int64, error) {
	for {
		r.mu.Lock()
		n := min(r.estimate, r.limit/4)
		if r.used == 0 || r.used+n <= r.limit {
			r.used += n
			r.mu.Unlock()
			return n, nil
		}
		freed := r.freed
		r.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-task.Done():
			return 0, connectors.ErrStopped
		}
	}
}

// settle changes the charge to what it really is.
func (r *room) settle(charged, size int64) int64 {
	size = max(size, 1)
	r.mu.Lock()
	r.estimate = max(size, leastRoom)
	r.mu.Unlock()
	r.leave(charged - size)
	return size
}

func (r *room) leave(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= n
	close(r.freed)
	r.freed = make(chan struct{})
}
