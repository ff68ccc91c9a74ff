package runtime

import (
	"fmt"
	"strings"
	"time"
)

// Stall is a task that runs, has something to move, and has moved nothing for longer than it may.
type Stall struct {
	Connector string
	Task      int
	For       time.Duration
	Waits     string // what waits for whom
}

func (s *Stall) String() string {
	return fmt.Sprintf("task %d of connector %s has moved nothing for %s, although %s", s.Task, s.Connector, s.For.Round(time.Second), s.Waits)
}

const (
	keyStall     = "freshet.health.stall.ms"
	defaultStall = time.Minute
)

// Stalled lists the tasks that do not move: no batch was taken from the source and none became durable in a sink for
// freshet.health.stall.ms (0: this is not looked at), and with transaction.boundary=interval for that interval more.
func (w *Worker) Stalled() []Stall {
	var out []Stall
	for _, name := range w.Names() {
		c := w.find(name)
		if c == nil {
			continue
		}
		c.mu.Lock()
		tasks, target := c.tasks, c.target
		c.mu.Unlock()
		if target != Running {
			continue
		}
		for _, k := range tasks {
			if s := k.stalled(); s != nil {
				out = append(out, *s)
			}
		}
	}
	return out
}

// stalled is nil for a task that moves, has nothing to move, or is not running.
func (k *task) stalled() *Stall {
	k.mu.Lock()
	state, in, ending, paused := k.state, k.current, k.ending, k.paused
	k.mu.Unlock()
	if in == nil || state != Running || ending || paused || in.limits.stall <= 0 || !in.connected.Load() {
		return nil
	}
	still := time.Since(time.UnixMilli(k.meter.progress.Load()))
	if still <= in.limits.stall {
		return nil
	}
	waits := in.waits()
	if waits == "" {
		return nil
	}
	return &Stall{k.of.name, k.id, still, waits}
}

// waits tells what there is to move; "" for nothing.
func (t *instance) waits() string {
	var waiting []string
	for _, s := range t.sinks {
		s.mu.Lock()
		batches, records := len(s.held), 0
		for _, w := range s.held {
			records += w.records
		}
		s.mu.Unlock()
		if batches > 0 {
			text := fmt.Sprintf("%d records in %d batches wait for sink %s", records, batches, s.name())
			if why := s.trouble.said(); why != "" {
				text += ", which " + why
			}
			waiting = append(waiting, text)
		}
	}
	if used, limit := t.budget.level(); len(waiting) == 0 && t.budget.waiting() > 0 {
		waiting = append(waiting, fmt.Sprintf("the source waits for memory (%d bytes of %d are in use)", used, limit))
	}
	if o, ok := t.observe(); ok && len(waiting) == 0 && o.Connected && o.Sent > o.Read {
		waiting = append(waiting, fmt.Sprintf("the server has sent %d bytes of its log that were not read", o.Sent-o.Read))
	}
	return strings.Join(waiting, ", ")
}
