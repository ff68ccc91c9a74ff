package runtime

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// commit is the other half of I1: what every sink has made durable is stored, and only then may the source forget it. It writes
// the newest acknowledged prefix of each partition (I2), one write in flight.
func (t *instance) commit(ctx context.Context) error {
	t.committing.Lock()
	defer t.committing.Unlock()
	if t.fenced() || t.abandoned.Load() {
		return context.Cause(t.hard) // I6
	}
	// The plain positions first: those of the sinks are then at least as far, and are written before.
	plain := t.tracker.Take()
	err := t.settleLetters(ctx)
	if err == nil {
		err = t.mark(ctx)
	}
	if err != nil {
		t.tracker.Putback(plain)
		return err
	}
	plain = t.freeze(plain)
	for _, s := range t.sinks {
		if s.tracker == nil {
			continue
		}
		own := s.tracker.Take()
		if s.copied || len(own) == 0 || t.marked(s) { // the mark stands in place of the position
			continue
		}
		err := t.settleLetters(ctx)
		if err == nil {
			err = t.save(ctx, own)
		}
		if err != nil {
			s.tracker.Putback(own)
			t.tracker.Putback(plain)
			return err
		}
	}
	if len(plain) > 0 && !t.external && !(len(t.sinks) == 1 && t.sinks[0].copied) {
		if err := t.save(ctx, plain); err != nil {
			t.tracker.Putback(plain)
			return err
		}
		clear(t.frozen) // nothing is kept back when there is something to store
	}
	return t.forget(ctx, plain)
}

// freeze keeps the plain positions back while a sink that has dropped out may come back; when none may any longer, what was kept is given.
func (t *instance) freeze(plain []offsets.Entry) []offsets.Entry {
	hold := t.holds()
	if !hold && len(t.frozen) == 0 {
		return plain
	}
	for _, e := range plain {
		t.frozen[e.Partition] = e.Offset
	}
	if hold {
		return nil
	}
	out := make([]offsets.Entry, 0, len(t.frozen))
	for p, o := range t.frozen {
		out = append(out, offsets.Entry{Partition: p, Offset: o})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Partition < out[j].Partition })
	return out
}

func (t *instance) save(ctx context.Context, entries []offsets.Entry) error {
	began := time.Now()
	err := t.store.Save(ctx, t.connector, entries)
	t.meter.stored(time.Since(began), err)
	if err != nil {
		return fmt.Errorf("store offsets of connector %s: %w", t.connector, err)
	}
	return nil
}

// forget tells the source what is durable; what it could not take is told again with the next commit.
func (t *instance) forget(ctx context.Context, plain []offsets.Entry) error {
	t.mu.Lock()
	for _, e := range plain {
		if t.sources[e.Partition] { // not the source's extra records
			t.unforgot[e.Partition] = e.Offset
		}
	}
	t.mu.Unlock()
	if len(t.unforgot) == 0 {
		return nil
	}
	upTo := make([]offsets.Entry, 0, len(t.unforgot))
	for p, o := range t.unforgot {
		upTo = append(upTo, offsets.Entry{Partition: p, Offset: o})
	}
	sort.Slice(upTo, func(i, j int) bool { return upTo[i].Partition < upTo[j].Partition })
	if err := guard("commit", func() error { return t.source.Commit(ctx, upTo) }); err != nil {
		return fmt.Errorf("commit offsets to source: %w", err)
	}
	clear(t.unforgot)
	return nil
}

// note remembers the partitions that batches came from; false: its position cannot be split by sink.
func (t *instance) note(p offsets.Partition) bool {
	if t.newest == p {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.newest = p
	t.sources[p] = true
	return !t.unsplit[p]
}

func (t *instance) fenced() bool {
	cause := context.Cause(t.hard)
	return cause != nil && connectors.ClassOf(cause) == connectors.Fenced
}

// committer is the goroutine that writes offsets, at most once per interval and never on the way of the data.
func (t *instance) committer(ctx context.Context) {
	var last time.Time
	if t.limits.lazy {
		last = time.Now()
	}
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		if !pause(ctx, t.limits.interval-time.Since(last)) {
			return
		}
		err := t.commit(ctx)
		last = time.Now()
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if connectors.ClassOf(err) != connectors.Retriable {
			t.fail(err)
			return
		}
		// Nothing is lost: the entries are written with the next attempt, and the window bounds what piles up meanwhile.
		failures++
		t.log.Warn("offsets were not written; trying again", "error", err, "attempt", failures)
		if !pause(ctx, backoff(failures, t.limits.delay)) {
			return
		}
		t.stir()
	}
}
