package herder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// asLeader runs a change that only the leader may make, one at a time.
func (h *Herder) asLeader(ctx context.Context, f func() error) error {
	if err := h.leads(); err != nil {
		return err
	}
	select {
	case h.ops <- struct{}{}:
		defer func() { <-h.ops }()
	case <-ctx.Done():
		return fmt.Errorf("wait for the changes before: %w", ctx.Err())
	}
	if err := h.claim(ctx); err != nil {
		return err
	}
	return f()
}

// leads returns nil for the leader, else *NotLeader.
func (h *Herder) leads() error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.membership.Leader {
		return nil
	}
	return &NotLeader{h.membership.LeaderURL}
}

// claim makes this worker the one that appends as leader; it is so until Assigned or Lost say otherwise.
func (h *Herder) claim(ctx context.Context) error {
	h.mu.RLock()
	m := h.membership
	h.mu.RUnlock()
	if !m.Leader {
		return &NotLeader{m.LeaderURL}
	}
	if m.led {
		return nil
	}
	if err := h.o.Config.Lead(ctx); err != nil {
		return fmt.Errorf("become the writer of the config log: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.membership.Leader && h.membership.Generation == m.Generation {
		h.membership.led = true
	}
	return nil
}

// append writes to the config log. When another worker has led it since, the group tells whether this one still leads.
func (h *Herder) append(ctx context.Context, ms ...Message) error {
	err := h.o.Config.Append(ctx, ms...)
	if errors.Is(err, ErrFenced) {
		h.log.Warn("another worker has written to the config log as leader; the group is asked who leads", "error", err)
		if err = h.rejoin(ctx); err == nil {
			if err = h.claim(ctx); err == nil {
				err = h.o.Config.Append(ctx, ms...)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("write to the config log: %w", err)
	}
	return nil
}

// rejoin waits for the next generation.
func (h *Herder) rejoin(ctx context.Context) error {
	h.mu.Lock()
	before := h.membership.Generation
	h.membership.led = false
	h.mu.Unlock()
	h.o.Group.Rejoin()
	ctx, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	for {
		h.mu.RLock()
		settled, m := h.settled, h.membership
		h.mu.RUnlock()
		if m.joined && m.Generation != before {
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return &NotLeader{}
		}
	}
}

// keepUp is done now and then: it looks whether the config log can be read, and as leader makes and replaces the session key and
// removes statuses of what is no more.
func (h *Herder) keepUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, healthy)
	defer cancel()
	h.mu.Lock()
	leader, stray := h.membership.Leader, h.membership.Leader && !h.membership.cleaned
	h.membership.cleaned = h.membership.cleaned || stray
	h.mu.Unlock()
	h.checkLog(ctx, stray) // a status may have come before the record of the connector that it is about
	h.mu.Lock()
	key := h.desired.session
	var orphans []Message
	switch {
	case stray && h.unread == nil:
		orphans = h.orphans()
	case stray:
		h.membership.cleaned = false
	}
	h.mu.Unlock()
	if !leader {
		return
	}
	for _, m := range orphans {
		h.o.Status.Put(m)
	}
	if key != nil && key.Algorithm == h.o.KeyAlgorithm && time.Since(time.UnixMilli(key.Created)) < h.o.KeyTTL {
		return
	}
	err := h.asLeader(ctx, func() error { return h.append(ctx, newSessionKey(h.o.KeyAlgorithm)) })
	if err != nil && !errors.Is(err, context.Canceled) {
		h.log.Warn("the key for requests between workers is not written yet", "error", err)
	}
}

// checkLog finds out for Health, now and then or at once, whether the config log can be read to its end.
func (h *Herder) checkLog(ctx context.Context, now bool) {
	h.mu.RLock()
	due := now || time.Since(h.read) > readEvery
	h.mu.RUnlock()
	if !due {
		return
	}
	err := h.o.Config.Sync(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unread = err
	if err == nil {
		h.read = time.Now()
	}
}

// orphans has mu. They are statuses and topics of connectors and tasks that are no more and run nowhere.
func (h *Herder) orphans() []Message {
	var out []Message
	for name := range h.statuses.topics {
		if h.desired.connectors[name] == nil {
			out = append(out, h.statuses.topicDeletions(name)...)
		}
	}
	for name, parts := range h.statuses.parts {
		e := h.desired.connectors[name]
		if e == nil {
			for id := range parts {
				out = append(out, Message{Key: statusKey(TaskID{name, id})})
			}
			continue
		}
		for id := range parts {
			if id >= len(e.tasks) && !e.inconsistent && !h.somewhere(TaskID{name, id}) {
				out = append(out, Message{Key: statusKey(TaskID{name, id})})
			}
		}
	}
	return out
}

// somewhere has mu. It tells the leader that a worker may run a task still, and will remove its status when the task has ended.
func (h *Herder) somewhere(id TaskID) bool {
	_, owned := h.membership.Owners[id]
	return owned || h.membership.Ran[id] || h.here(id)
}

// fenced ends the producers of the tasks of the generation before, through the leader.
func (h *Herder) fenced(ctx context.Context, name string, g *goal) error {
	var err error
	switch {
	case g.leader:
		err = h.Fence(ctx, name)
	case g.leaderURL == "" || h.o.ForwardFence == nil:
		err = &NotLeader{g.leaderURL}
	default:
		err = h.o.ForwardFence(ctx, g.leaderURL, name)
	}
	if err != nil {
		return fmt.Errorf("fence the earlier tasks of connector %s: %w", name, err)
	}
	return nil
}

// Fence makes sure that no producer of an earlier generation of tasks of a source connector writes any more; for the leader.
func (h *Herder) Fence(ctx context.Context, name string) error {
	return h.asLeader(ctx, func() error {
		h.mu.RLock()
		e, ok := h.desired.connectors[name]
		var config connectors.Config
		var unfenced bool
		var now int
		if ok {
			config, unfenced, now = e.config, e.unfenced, len(e.tasks)
		}
		before, known := h.desired.fenced[name]
		h.mu.RUnlock()
		switch {
		case !ok:
			return notFound("Connector %s not found", name)
		case !h.exactlyOnce(config):
			return badRequest("Cannot perform a round of zombie fencing for connector %s: it is not a source, or this worker has no exactly-once support", name)
		case !unfenced:
			return nil
		}
		// One task alone fences the one before it when its producer starts.
		if known && !(before == 1 && now == 1) {
			if err := h.o.Fence(ctx, h.transactionalIDs(name, config, before)); err != nil {
				return fmt.Errorf("fence %d earlier producers of connector %s: %w", before, name, err)
			}
		}
		return h.append(ctx, Message{keyFencing + name, encode(fencingRecord{now})})
	})
}

// transactionalIDs are those of the first n tasks of a connector: <group.id>-<connector>-<task>, and with several sinks their aliases.
func (h *Herder) transactionalIDs(name string, config connectors.Config, n int) []string {
	aliases := connectors.SplitList(config["sinks"])
	if len(aliases) < 2 {
		aliases = []string{""}
	}
	var out []string
	for id := range n {
		for _, a := range aliases {
			t := h.o.GroupID + "-" + name + "-" + strconv.Itoa(id)
			if a != "" {
				t += "-" + a
			}
			out = append(out, t)
		}
	}
	return slices.Clip(out)
}
