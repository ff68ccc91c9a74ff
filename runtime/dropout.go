package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// The keys of a direct sink, sinks.<alias>.…, that the runtime reads.
const (
	keyOnFailure = "on.failure"
	keyHoldMs    = "hold.max.ms"
	keyHoldBytes = "hold.max.bytes"
)

// policy is what becomes of the others when one of several sinks fails or stands still.
type policy struct {
	stop     bool          // it drops out; else they wait for it
	patience time.Duration // how long it may acknowledge nothing, although it has something
	log      int64         // bytes of changes that pass by it until its place in the log is given up
}

// readPolicy reads the keys of one sink; names and values that are wrong come back as errors by key.
func readSinkPolicy(own connectors.Config, several bool) (policy, map[string]error) {
	p := policy{patience: time.Minute, log: 1 << 30}
	wrong := map[string]error{}
	switch v := strings.ToLower(strings.TrimSpace(own[keyOnFailure])); v {
	case "", "hold":
	case "stop":
		p.stop = true
	default:
		wrong[keyOnFailure] = fmt.Errorf("%s is %q; it is hold (the other sinks wait for this one) or stop (they go on without it)", keyOnFailure, v)
	}
	if p.stop && !several {
		wrong[keyOnFailure] = fmt.Errorf("%s=stop lets the other sinks go on, and there is no other one", keyOnFailure)
	}
	for _, name := range []string{keyHoldMs, keyHoldBytes} {
		if strings.TrimSpace(own[name]) == "" {
			continue
		}
		n, ok := number(own, name)
		switch {
		case !ok || n <= 0:
			wrong[name] = fmt.Errorf("%s is %q; it is a number above 0", name, own[name])
		case !p.stop:
			wrong[name] = fmt.Errorf("%s has a meaning only with %s=stop", name, keyOnFailure)
		case name == keyHoldMs:
			p.patience = time.Duration(n) * time.Millisecond
		default:
			p.log = n
		}
	}
	return p, wrong
}

// dropout is a sink that the others went on without. Its place in the source's log is held until too much has passed by.
type dropout struct {
	cause  error
	bytes  int64 // of changes that passed by
	gone   bool  // its place is given up: only a resync helps
	marked bool  // and the store says so
}

func (d *dropout) describe(s *sinkRun) string {
	if d.gone {
		return fmt.Sprintf("sink %s needs resync: %v", s.name(), d.cause)
	}
	again := "it is tried again by itself"
	if connectors.ClassOf(d.cause) == connectors.Permanent {
		again = "restart the task when that is mended"
	}
	return fmt.Sprintf("sink %s has dropped out, and the others go on (%s; the log is kept for it until %d bytes of changes have passed by): %v", s.name(), again, s.plan.policy.log, d.cause)
}

// errRejoin ends an instance so that the next one has a sink again that had dropped out.
var errRejoin = errors.New("a sink that dropped out can be reached again")

// ends is what an error of a sink that has a lane does: the sink drops out, or the instance ends.
func (s *sinkRun) ends(err error) {
	if !s.plan.policy.stop || connectors.ClassOf(err) == connectors.Fenced || s.run.hard.Err() != nil || s.lane == nil {
		s.run.fail(err)
		return
	}
	s.run.members.Lock()
	defer s.run.members.Unlock()
	if !s.run.ending {
		s.run.dropping.Add(1)
		s.run.spawn("drop", func() { defer s.run.dropping.Done(); s.run.drop(s, err) })
	}
}

// drop lets the others go on without s. What s has not acknowledged is not waited for any more, and the plain position stays where
// it is (commit) as long as its place is held.
func (t *instance) drop(s *sinkRun, cause error) {
	t.members.Lock()
	if s.out != nil || t.hard.Err() != nil {
		t.members.Unlock()
		return
	}
	s.out = &dropout{cause: cause}
	left := 0
	for _, other := range t.sinks {
		if other.out == nil {
			left++
		}
	}
	text := s.out.describe(s)
	t.members.Unlock()
	if left == 0 {
		t.fail(fmt.Errorf("no sink is left; the last one to drop out: %w", cause))
		return
	}
	t.log.Error(text)
	if s.lane != nil {
		if err := s.lane.stop(2 * t.limits.grace); err != nil {
			t.fail(connectors.AsPermanent(fmt.Errorf("sink %s dropped out: %w", s.name(), err)))
			return
		}
	}
	t.stopOut(s)
	s.mu.Lock()
	held := s.held
	s.held = map[connectors.BatchID]weight{}
	s.mu.Unlock()
	for id, w := range held {
		s.forgo(id, w.records)
	}
	t.changed()
	t.moved.Add(1)
	t.stir()
}

func (t *instance) stopOut(s *sinkRun) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.hard), t.limits.grace)
	defer cancel()
	if err := s.call("stop", func() error { return s.task.Stop(ctx) }); err != nil {
		t.log.Warn("stop sink", "sink", s.name(), "error", err)
	}
}

// forgo counts a batch as passed that the sink will not get in this instance.
func (s *sinkRun) forgo(id connectors.BatchID, records int) {
	r := s.run
	r.unsettled.Add(-int64(records))
	r.moved.Add(1)
	r.repay(records, 1)
	if r.dropped(s) && r.tracker.Ack(uint64(id)) {
		r.stir()
	}
}

// dropped tells that s has dropped out.
func (t *instance) dropped(s *sinkRun) bool {
	t.members.Lock()
	defer t.members.Unlock()
	return s.out != nil
}

// holds tells that the plain position must stay for a sink that has dropped out.
func (t *instance) holds() bool {
	t.members.Lock()
	defer t.members.Unlock()
	for _, s := range t.sinks {
		if s.out != nil && !(s.out.gone && s.out.marked) {
			return true
		}
	}
	return false
}

// outs describes the sinks that have dropped out, and those that try again; "" for none.
func (t *instance) outs() string {
	t.members.Lock()
	defer t.members.Unlock()
	var list []string
	for _, s := range t.sinks {
		if s.out != nil {
			list = append(list, s.out.describe(s))
		} else if why := s.trouble.said(); why != "" {
			list = append(list, "sink "+s.name()+" "+why)
		}
	}
	return strings.Join(list, "; ")
}

// standings tells of each of several sinks whether it has dropped out.
func (t *instance) standings() []SinkStanding {
	if len(t.sinks) < 2 {
		return nil
	}
	t.members.Lock()
	defer t.members.Unlock()
	var list []SinkStanding
	for _, s := range t.sinks {
		at := SinkStanding{Sink: s.name()}
		if s.out != nil {
			at.Out, at.NeedsResync, at.Passed = true, s.out.gone, s.out.bytes
		}
		list = append(list, at)
	}
	return list
}

// passes counts what goes by the sinks that have dropped out. The caller has members.
func (t *instance) passes(b *connectors.Batch) {
	for _, s := range t.sinks {
		if s.out == nil || s.out.gone {
			continue
		}
		if s.out.bytes += int64(b.Size()); s.out.bytes > s.plan.policy.log {
			s.out.gone = true
			s.out.cause = fmt.Errorf("%d bytes of changes passed by while it was out, more than %s%s.%s=%d, so its place in the log was given up; "+
				"reset the offsets of the connector (a new snapshot for all sinks), or take it out of sinks and give it a connector of its own. It dropped out because: %w",
				s.out.bytes, prefixSinks, s.name(), keyHoldBytes, s.plan.policy.log, s.out.cause)
			t.log.Error(s.out.describe(s))
			t.stir()
		}
	}
}

// mark stores that sinks need a resync, before the plain position goes on without them. The caller has committing.
func (t *instance) mark(ctx context.Context) error {
	t.members.Lock()
	lost := map[*sinkRun]string{}
	for _, s := range t.sinks {
		if s.out != nil && s.out.gone && !s.out.marked {
			lost[s] = s.out.cause.Error()
		}
	}
	t.members.Unlock()
	for s, why := range lost {
		var entries []offsets.Entry
		t.mu.Lock()
		for p := range t.sources {
			e, err := connectors.ResyncEntry(p, s.plan.alias, why)
			if err != nil {
				t.mu.Unlock()
				return connectors.AsPermanent(err)
			}
			entries = append(entries, e)
		}
		t.mu.Unlock()
		if err := t.save(ctx, entries); err != nil {
			return err
		}
		t.members.Lock()
		s.out.marked = true
		t.members.Unlock()
		t.changed()
	}
	return nil
}

// marked tells whether the store says that a sink needs a resync.
func (t *instance) marked(s *sinkRun) bool {
	t.members.Lock()
	defer t.members.Unlock()
	return s.out != nil && s.out.marked
}

// readMarks finds the sinks of which the store says that they need a resync.
func (t *instance) readMarks(ctx context.Context) error {
	stored, err := t.store.Load(ctx, t.connector)
	if err != nil {
		return fmt.Errorf("load offsets of connector %s: %w", t.connector, err)
	}
	for _, s := range t.sinks {
		for _, e := range stored {
			plain, err := connectors.PlainPartition(e.Partition, s.plan.alias)
			if err != nil {
				return connectors.AsPermanent(err)
			}
			if plain == "" {
				continue
			}
			s.placed = true
			if why := connectors.ResyncOf(e.Offset); why != "" {
				s.out = &dropout{cause: errors.New(why), gone: true, marked: true}
			}
		}
	}
	return nil
}

// startSinks starts the sinks, which fence earlier owners before anything is read from the store (I11). One that may drop out, and has a
// place to come back to, does so when it cannot be started.
func (t *instance) startSinks(ctx context.Context) error {
	failed := map[*sinkRun]error{}
	for _, s := range t.sinks {
		err := s.call("start", func() error { return s.task.Start(ctx, s) })
		if err == nil {
			continue
		}
		err = fmt.Errorf("start sink %s: %w", s.name(), err)
		if !s.plan.policy.stop || connectors.ClassOf(err) == connectors.Fenced || ctx.Err() != nil {
			return err
		}
		failed[s] = err
	}
	if len(t.sinks) == 1 {
		return nil
	}
	if err := t.readMarks(ctx); err != nil {
		return err
	}
	left := 0
	for _, s := range t.sinks {
		err := failed[s]
		switch {
		case s.out == nil && err == nil:
			left++
			continue
		case s.out == nil && !s.placed:
			return err
		case s.out == nil:
			s.out = &dropout{cause: err}
		}
		t.log.Error(s.out.describe(s))
		t.stopOut(s)
	}
	if left == 0 {
		return fmt.Errorf("no sink is left: %w", t.sinks[0].out.cause)
	}
	return nil
}

// watch is the goroutine that sees sinks that stand still, and those that can be reached again. It runs where a sink may drop out.
func (t *instance) watch(ctx context.Context) {
	type seen struct {
		acks  uint64
		since time.Time
		tries int
		next  time.Time
	}
	state := map[*sinkRun]*seen{}
	for _, s := range t.sinks {
		state[s] = &seen{since: time.Now(), next: time.Now().Add(backoff(1, t.limits.delay))}
	}
	for pause(ctx, watchEvery) {
		for _, s := range t.sinks {
			if !s.plan.policy.stop {
				continue
			}
			at, now := state[s], time.Now()
			in, waits := t.standing(s)
			switch {
			case in:
				if n := s.acks.Load(); n != at.acks || !s.busy() || t.paused.Load() {
					at.acks, at.since = n, now
				} else if now.Sub(at.since) > s.plan.policy.patience {
					why := s.trouble.said()
					if why != "" {
						why = "; it " + why
					}
					t.drop(s, fmt.Errorf("it has acknowledged nothing for %s, although it has records%s", now.Sub(at.since).Round(time.Millisecond), why))
				}
				at.next = now.Add(backoff(1, t.limits.delay))
			case waits && now.After(at.next):
				at.tries++
				at.next = now.Add(backoff(at.tries, t.limits.delay))
				if !t.reachable(ctx, s) {
					continue
				}
				select {
				case t.rejoin <- struct{}{}:
				case <-ctx.Done():
				}
				return
			}
		}
	}
}

// standing tells that s has not dropped out, or that it has and may be reached again.
func (t *instance) standing(s *sinkRun) (in, waits bool) {
	t.members.Lock()
	defer t.members.Unlock()
	return s.out == nil, s.out != nil && !s.out.gone && connectors.ClassOf(s.out.cause) == connectors.Retriable
}

const watchEvery = 100 * time.Millisecond

// reachable tries to start a sink that has dropped out. What it holds of its target from then on is for the next instance.
func (t *instance) reachable(ctx context.Context, s *sinkRun) bool {
	claim := ""
	if c, ok := s.task.(connectors.Claimant); ok {
		claim = c.Claim()
	}
	task, err := s.renew(claim)
	if err != nil {
		return false
	}
	s.task = task
	err = s.call("start", func() error { return task.Start(ctx, s) })
	t.stopOut(s)
	return err == nil && ctx.Err() == nil
}

// busy tells that the sink has something that it did not acknowledge.
func (s *sinkRun) busy() bool {
	s.mu.Lock()
	n := len(s.held)
	s.mu.Unlock()
	return n > 0 || s.lane != nil && s.lane.queued() > 0
}
