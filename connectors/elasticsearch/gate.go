package elasticsearch

import (
	"context"
	"sync"
)

// gate bounds how many requests are under way: one more after as many good answers as there may be, half as many when the server
// pushes back (AIMD).
type gate struct {
	mu    sync.Mutex
	most  int
	limit float64
	busy  int
	free  chan struct{} // closed when somebody may go on
}

func newGate(most int) *gate {
	return &gate{most: most, limit: float64(most), free: make(chan struct{})}
}

// enter waits for a place.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.busy == 0 || float64(g.busy+1) <= g.limit {
			g.busy++
			g.mu.Unlock()
			return nil
		}
		free := g.free
		g.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave gives the place back.
func (g *gate) leave(pushedBack bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	if pushedBack {
		g.limit = max(1, g.limit/2)
	} else {
		g.limit = min(float64(g.most), g.limit+1/g.limit)
	}
	close(g.free)
	g.free = make(chan struct{})
}
