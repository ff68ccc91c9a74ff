package herder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/runtime"
)

// Offset implements Member: the offset behind the last record of the config log that was applied.
func (h *Herder) Offset() int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.desired.offset
}

// Sync implements Member.
func (h *Herder) Sync(ctx context.Context, offset int64) error {
	if h.Offset() >= offset {
		return nil
	}
	if err := h.o.Config.Sync(ctx); err != nil {
		return fmt.Errorf("read the config log: %w", err)
	}
	if now := h.Offset(); now < offset {
		return fmt.Errorf("read the config log: it ends at %d, before %d", now, offset)
	}
	return nil
}

// Work implements Member.
func (h *Herder) Work() []TaskID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var out []TaskID
	for name, e := range h.desired.connectors {
		out = append(out, TaskID{name, -1})
		if e.target == runtime.Stopped {
			continue
		}
		for id := range e.tasks {
			out = append(out, TaskID{name, id})
		}
	}
	slices.SortFunc(out, compareIDs)
	return out
}

func compareIDs(a, b TaskID) int {
	if c := strings.Compare(a.Connector, b.Connector); c != 0 {
		return c
	}
	return a.Task - b.Task
}

// Running implements Member.
func (h *Herder) Running() []TaskID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var out []TaskID
	for name, s := range h.shares {
		if s.connector {
			out = append(out, TaskID{name, -1})
		}
		for id := range s.held {
			out = append(out, TaskID{name, id})
		}
	}
	slices.SortFunc(out, compareIDs)
	return out
}

// afterRevoke is how long tasks that were ended at once may take after the context of Revoke.
const afterRevoke = 10 * time.Second

var (
	errRevoked = errors.New("the task was given to another worker before it had stopped gracefully")
	errLost    = errors.New("this worker has lost its place in the group; another one may have the task")
)

// Revoke implements Member. What has not stopped gracefully when ctx ends is ended at once.
func (h *Herder) Revoke(ctx context.Context, ids []TaskID) {
	h.mu.Lock()
	h.stats.Rebalancing = true
	for _, id := range ids {
		delete(h.membership.assigned[id.Connector], id.Task)
		h.queue.add(id.Connector)
	}
	h.mu.Unlock()
	h.stir()
	if h.awaitGone(ctx, ids) {
		return
	}
	for _, id := range ids {
		h.o.Worker.Kill(id.Connector, id.Task, errRevoked)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterRevoke)
	defer cancel()
	if !h.awaitGone(last, ids) {
		h.log.Error("tasks that were given away do not end; they write nothing more", "tasks", ids)
	}
}

func (h *Herder) awaitGone(ctx context.Context, ids []TaskID) bool {
	for {
		h.mu.RLock()
		settled := h.settled
		there := slices.ContainsFunc(ids, func(id TaskID) bool { return h.here(id) || h.queue.holds(id.Connector) })
		h.mu.RUnlock()
		if !there {
			return true
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return false
		}
	}
}

// here has mu.
func (h *Herder) here(id TaskID) bool {
	s := h.shares[id.Connector]
	return s != nil && (id.Task < 0 && s.connector || s.held[id.Task])
}

// Assigned implements Member.
func (h *Herder) Assigned(a Assignment) {
	assigned := map[string]map[int]bool{}
	for _, id := range a.Tasks {
		if assigned[id.Connector] == nil {
			assigned[id.Connector] = map[int]bool{}
		}
		assigned[id.Connector][id.Task] = true
	}
	h.mu.Lock()
	m := &h.membership
	for name, ids := range m.assigned {
		if !maps.Equal(ids, assigned[name]) {
			h.queue.add(name)
		}
	}
	for name, ids := range assigned {
		if !maps.Equal(ids, m.assigned[name]) {
			h.queue.add(name)
		}
	}
	*m = membership{joined: true, Assignment: a, assigned: assigned, led: m.led && a.Leader}
	h.queue.add(upkeep)
	h.stats.round(a.Began)
	h.settle()
	h.mu.Unlock()
	h.stir()
	h.log.Info("the group has shared out the work", "generation", a.Generation, "leader", a.Leader, "tasks", len(a.Tasks))
}

// Lost implements Member.
func (h *Herder) Lost() {
	h.mu.Lock()
	h.membership = membership{}
	h.stats.Rebalancing = true
	h.endSession()
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), afterRevoke)
	defer cancel()
	if err := h.o.Worker.Abort(ctx, errLost); err != nil { // I6
		h.log.Error("tasks do not end after this worker has lost its place in the group; they write nothing more", "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.session, h.endSession = context.WithCancel(context.Background())
	for name, s := range h.shares {
		s.tasks, s.held = nil, nil
		h.queue.add(name)
	}
	h.stir()
}
