package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// instance is one run of a task: a source, its sinks and what is on its way between them. It ends with the first error or
// when it is stopped, and is never used again.
type instance struct {
	connector string
	task      int
	log       *slog.Logger
	source    connectors.SourceTask
	sinks     []*sinkRun
	store     offsets.Store
	limits    limits
	pool      *connectors.Pool
	budget    *budget
	tracker   *offsets.Tracker // plain positions: acknowledged by every sink
	topic     func(string)     // called for every topic of a batch; nil: nobody asks
	changed   func()           // called when everything is connected, and when the source has ended
	meter     *meter
	tracer    Tracer       // nil: none
	taken     time.Time    // with a tracer: when the newest batch came from the source
	unsettled atomic.Int64 // records taken and not acknowledged, once for each sink
	external  bool         // committing to the source is the durable write: nothing is stored (OwnOffsets)

	rejects   *rejects                    // of the source's records
	classes   map[connectors.Stage]string // of its converters
	openQueue func(context.Context, connectors.Config) (DeadLetterQueue, error)
	queues    []DeadLetterQueue

	hard   context.Context // ends with the instance; its cause is the error
	cancel context.CancelCauseFunc

	polled  chan polled
	drains  chan chan error
	owed    atomic.Int64  // batches with records that poll handed over and sinks have not acknowledged, once for each sink
	settled chan struct{} // nothing is owed any more
	wake    chan struct{} // something was acknowledged
	paused  atomic.Bool   // nothing is taken from the source, which stays connected
	nudge   chan struct{} // paused has changed

	next       connectors.BatchID
	newest     offsets.Partition // of the batch before
	moved      atomic.Uint64     // counts everything that makes room or is acknowledged
	abandoned  atomic.Bool       // nobody waits for it any more: it writes nothing
	progressed atomic.Bool
	connected  atomic.Bool
	idle       atomic.Bool

	mu      sync.Mutex
	sources map[offsets.Partition]bool // that batches came from
	unsplit map[offsets.Partition]bool // stored without a record for any of several sinks
	begun   bool                       // the only sink keeps offsets and has some

	members  sync.Mutex // for sinkRun.out: who is in it
	ending   bool
	dropping sync.WaitGroup // goroutines "drop"
	rejoin   chan struct{}  // a sink that dropped out can be reached again

	committing sync.Mutex                           // one write of offsets in flight
	frozen     map[offsets.Partition]offsets.Offset // plain positions that wait for a sink that has dropped out
	unforgot   map[offsets.Partition]offsets.Offset // stored, and the source does not know it yet
}

type polled struct {
	batch  *connectors.Batch
	err    error
	waited time.Duration
}

// errGrace is the cause of a hard stop after the grace period.
var errGrace = errors.New("the graceful stop took too long")

func newInstance(parent context.Context, connector string, l limits, store offsets.Store, memory *budget, log *slog.Logger) *instance {
	t := &instance{
		connector: connector, log: log, store: store, limits: l,
		pool: &connectors.Pool{}, budget: newBudget(l.budget, memory), tracker: offsets.NewTracker(),
		unsplit: map[offsets.Partition]bool{}, sources: map[offsets.Partition]bool{},
		unforgot: map[offsets.Partition]offsets.Offset{}, frozen: map[offsets.Partition]offsets.Offset{}, rejoin: make(chan struct{}),
		polled: make(chan polled), drains: make(chan chan error), settled: make(chan struct{}, 1), wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1),
		changed: func() {}, meter: &meter{},
	}
	t.rejects = &rejects{run: t}
	t.hard, t.cancel = context.WithCancelCause(parent)
	return t
}

// addSink adds a sink; fanOut tells that there are several.
func (t *instance) addSink(plan sinkPlan, task connectors.SinkTask, exactlyOnce, fanOut bool) {
	s := &sinkRun{run: t, plan: plan, task: task, held: map[connectors.BatchID]weight{}}
	s.fresh = t.meter.histogram(s.name())
	d := plan.factory.Describe()
	s.rejects = &rejects{tolerance: plan.tolerance, run: t}
	if s.class = d.Class; t.external {
		s.class = sinkTaskClass
	}
	if k, ok := task.(connectors.OffsetKeeper); ok && d.Keeper && (!d.OwnRecords || exactlyOnce) {
		s.keeper, s.copied = k, d.OwnRecords
	}
	if fanOut {
		s.tracker = offsets.NewTracker()
		s.has = map[offsets.Partition]connectors.Order{}
	}
	t.sinks = append(t.sinks, s)
}

// claims notes what the sinks hold, for the next instance (I6).
func (t *instance) claims(into map[string]string) {
	for _, s := range t.sinks {
		if c, ok := s.task.(connectors.Claimant); ok && !t.abandoned.Load() {
			into[s.plan.alias] = c.Claim()
		}
	}
}

// stir wakes the committer.
func (t *instance) stir() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// pause makes the loop stop, or go on, taking from the source.
func (t *instance) pause(on bool) {
	t.paused.Store(on)
	select {
	case t.nudge <- struct{}{}:
	default:
	}
}

// active is how many records are not durable everywhere yet.
func (t *instance) active() int64 {
	n := int64(max(len(t.sinks), 1))
	return (t.unsettled.Load() + n - 1) / n
}

func (t *instance) fail(err error) { t.cancel(err) }

// spawn starts a goroutine of the instance under a name that profiles show.
func (t *instance) spawn(name string, f func()) {
	go pprof.Do(context.Background(), pprof.Labels("connector", t.connector, "goroutine", name), func(context.Context) { f() })
}

// supervised is run for a caller that goes on when a connector ignores that it was told to end: after several grace periods
// the goroutine is left behind. It stores nothing more, for the next instance may do so.
func (t *instance) supervised(stop context.Context) error {
	ended := make(chan error, 1)
	t.spawn("deliver", func() { ended <- t.run(stop) })
	select {
	case err := <-ended:
		return err
	case <-t.hard.Done():
	}
	patience := time.NewTimer(abandonAfter * t.limits.grace)
	defer patience.Stop()
	select {
	case err := <-ended:
		return err
	case <-patience.C:
	}
	t.abandoned.Store(true)
	who := "the source"
	for _, s := range t.sinks {
		if s.inside.Load() > 0 {
			who = "sink " + s.name()
			break
		}
	}
	return connectors.AsPermanent(fmt.Errorf("%s did not return within %s after it was told to end; it is left behind with its memory until the worker is restarted. "+
		"What was not durable is sent again. It was told to end because: %w", who, abandonAfter*t.limits.grace, context.Cause(t.hard)))
}

// abandonAfter is how many grace periods the end of an instance may take: more than its parts together that have a limit.
const abandonAfter = 6

// run starts everything, moves batches until stop ends or something fails, and stops everything. nil: it was stopped, and all
// that was taken is durable and committed.
func (t *instance) run(stop context.Context) error {
	grace := context.AfterFunc(stop, func() {
		timer := time.NewTimer(t.limits.grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			t.cancel(errGrace)
		case <-t.hard.Done():
		}
	})
	defer grace()
	defer t.cancel(errStopping)
	err := t.start(stop)
	if err != nil && t.hard.Err() != nil {
		err = context.Cause(t.hard) // a sink has failed meanwhile, which ended the start of the rest
	}
	if err == nil {
		err = t.work(stop)
	}
	return t.stop(err)
}

// start connects the sinks, then the source: the sinks fence earlier owners before offsets are read (I11).
func (t *instance) start(stop context.Context) error {
	ctx, cancel := both(t.hard, stop)
	defer cancel()
	if err := t.openQueues(ctx); err != nil {
		return err
	}
	if err := t.startSinks(ctx); err != nil {
		return err
	}
	if err := t.resumeAll(ctx); err != nil {
		return err
	}
	if err := guard("start", func() error { return t.source.Start(ctx, &sourceSession{run: t}) }); err != nil {
		return fmt.Errorf("start source: %w", err)
	}
	if t.hard.Err() != nil {
		return context.Cause(t.hard)
	}
	t.meter.progress.Store(time.Now().UnixMilli())
	t.connected.Store(true)
	t.changed()
	return nil
}

// both returns a context that ends with either.
func both(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(a)
	undo := context.AfterFunc(b, cancel)
	return ctx, func() { undo(); cancel() }
}

// work runs the three goroutines of an instance: this one ("deliver") moves batches, "poll" waits for the source, "commit" writes offsets.
func (t *instance) work(stop context.Context) error {
	pollCtx, endPoll := both(t.hard, stop)
	commitCtx, endCommit := context.WithCancel(t.hard)
	polling, committing, watching := make(chan struct{}), make(chan struct{}), make(chan struct{})
	watchCtx, endWatch := both(t.hard, stop)
	if len(t.sinks) > 1 {
		for _, s := range t.sinks {
			if s.out == nil {
				s.openLane()
			}
		}
	}
	t.spawn("watch", func() {
		defer close(watching)
		if slices.ContainsFunc(t.sinks, func(s *sinkRun) bool { return s.plan.policy.stop }) {
			t.watch(watchCtx)
		}
	})
	t.spawn("poll", func() { defer close(polling); t.poll(pollCtx) })
	t.spawn("commit", func() { defer close(committing); t.committer(commitCtx) })

	err := t.loop(stop)
	if err != nil {
		t.cancel(err)
	}
	endPoll()
	endWatch()
	t.await(polling)
	t.await(watching)
	if err == nil {
		err = t.flush(t.hard)
	}
	endCommit()
	t.await(committing)
	return t.lastCommit(err)
}

// await waits for a goroutine that was told to end, answering the drains it may be waiting for; not longer than twice the grace
// period, for a connector that ignores its context must not stop the worker.
func (t *instance) await(done <-chan struct{}) {
	timer := time.NewTimer(2 * t.limits.grace)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case req := <-t.drains:
			req <- errStopping
		case <-timer.C:
			t.log.Error("a connector did not return after its context ended; its goroutine is left behind")
			t.cancel(errGrace)
			return
		}
	}
}

// lastCommit stores what was acknowledged before the end.
func (t *instance) lastCommit(err error) error {
	if connectors.ClassOf(err) == connectors.Fenced && err != nil {
		return err // I6
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.hard), t.limits.grace)
	defer cancel()
	defer context.AfterFunc(t.hard, func() {
		if t.fenced() {
			cancel() // I6
		}
	})()
	if cerr := t.commit(ctx); cerr != nil {
		if err == nil {
			return cerr
		}
		t.log.Warn("the last offsets were not written; what they cover will be sent again", "error", cerr)
	}
	return err
}

// stop ends the connectors and the goroutines.
func (t *instance) stop(err error) error {
	t.cancel(errStopping) // a cause set before stays
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.hard), t.limits.grace)
	defer cancel()
	if serr := guard("stop", func() error { return t.source.Stop(ctx) }); serr != nil {
		t.log.Warn("stop source", "error", serr)
	}
	t.members.Lock()
	t.ending = true
	t.members.Unlock()
	t.dropping.Wait()
	for _, s := range t.sinks {
		if s.lane != nil {
			if serr := s.lane.stop(t.limits.grace); serr != nil {
				t.log.Error("stop sink", "sink", s.name(), "error", serr)
			}
		}
		if t.dropped(s) {
			continue
		}
		if serr := s.call("stop", func() error { return s.task.Stop(ctx) }); serr != nil {
			t.log.Warn("stop sink", "sink", s.name(), "error", serr)
		}
	}
	t.closeQueues(ctx)
	t.endTraces(err)
	t.budget.close()
	return err
}

// poll is the goroutine that waits for the source.
func (t *instance) poll(ctx context.Context) {
	limit := time.NewTimer(gatherLimit)
	defer limit.Stop()
	armed := true
	for size := largeBatch; ; {
		if size < largeBatch && t.owed.Load() > 0 {
			if !armed { // one that runs is good enough, and setting it for every batch is not cheap
				limit.Reset(gatherLimit)
			}
			armed = t.gather(ctx, limit.C)
		}
		began := time.Now()
		b, err := guarded("poll", func() (*connectors.Batch, error) { return t.source.Poll(ctx) })
		if ctx.Err() != nil {
			if b != nil {
				b.Release()
			}
			return
		}
		if b == nil && err == nil {
			err = connectors.AsPermanent(errors.New("poll source: it returned neither a batch nor an error"))
		}
		if err == nil {
			size = b.Size()
			if len(b.Records) > 0 {
				t.owed.Add(int64(len(t.sinks)))
			}
		}
		select {
		case t.polled <- polled{b, err, time.Since(began)}:
		case <-ctx.Done():
			if b != nil {
				b.Release()
			}
			return
		}
		if err != nil {
			return
		}
	}
}

const (
	largeBatch  = 64 << 10 // bytes: what a batch costs beside its records counts for little from here on
	gatherLimit = 2 * time.Millisecond
)

// repay counts a batch as acknowledged by n sinks.
func (t *instance) repay(records, n int) {
	if records > 0 && n > 0 && t.owed.Add(-int64(n)) == 0 {
		select {
		case t.settled <- struct{}{}:
		default:
		}
	}
}

// gather holds the source back after a small batch until the sinks have what they were given: what is committed meanwhile comes as one
// batch, not as many. The first change after a pause and a stream of large batches never wait, and a sink that acknowledges late lets
// the source be asked all the same at limit. False: that was reached.
func (t *instance) gather(ctx context.Context, limit <-chan time.Time) bool {
	for t.owed.Load() > 0 {
		select {
		case <-t.settled:
		case <-limit:
			return false
		case <-ctx.Done():
			return true
		}
	}
	return true
}

// loop moves batches from the source to the sinks. It is the half of I1 that lies before the sinks: a batch is registered,
// then put; nothing of it is committed before all sinks have acknowledged it (commit).
func (t *instance) loop(stop context.Context) error {
	var stalled <-chan time.Time
	var seen uint64
	for {
		from, full := t.polled, t.budget.full
		if t.paused.Load() {
			from, full = nil, nil // poll keeps what it has until the pause ends
		}
		select {
		case <-stop.Done():
			return nil
		case <-t.hard.Done():
			return context.Cause(t.hard)
		case <-t.nudge:
		case p := <-from:
			if err := t.take(p); err != nil {
				return err
			}
		case <-t.rejoin:
			if err := t.settle(); err != nil {
				return err
			}
			return errRejoin
		case done := <-t.drains:
			err := t.drain()
			done <- err
			if err != nil {
				return err
			}
		case <-full:
			// The window is full. Sinks that are busy make room by themselves; flush only when nothing moves.
			if stalled == nil {
				seen, stalled = t.moved.Load(), time.After(stallPause)
			}
		case <-stalled:
			stalled = nil
			if t.budget.waiting() == 0 {
				continue
			}
			if now := t.moved.Load(); now != seen {
				seen, stalled = now, time.After(stallPause)
				continue
			}
			if err := t.flush(t.hard); err != nil {
				return err
			}
		}
	}
}

const stallPause = 10 * time.Millisecond

func (t *instance) take(p polled) error {
	if p.err == nil {
		t.meter.took(p.batch, p.waited)
		if t.tracer != nil {
			t.taken = time.Now()
		}
		return t.deliver(p.batch)
	}
	if p.err != io.EOF { //nolint:errorlint // a server that closes a connection puts one into the chain
		return fmt.Errorf("poll source: %w", p.err)
	}
	if err := t.settle(); err != nil {
		return err
	}
	t.idle.Store(true)
	t.changed()
	t.log.Info("the source has ended; everything is durable")
	return nil
}

// drain settles with what poll has in hand: it waits there while the task is paused.
func (t *instance) drain() error {
	select {
	case p := <-t.polled:
		if err := t.take(p); err != nil {
			return err
		}
	default:
	}
	return t.settle()
}

// settle makes everything that was taken durable and committed.
func (t *instance) settle() error {
	if err := t.flush(t.hard); err != nil {
		return err
	}
	return t.commit(t.hard)
}

func (t *instance) flush(ctx context.Context) error {
	if len(t.sinks) > 1 {
		return t.flushAll(ctx)
	}
	for _, s := range t.sinks {
		if err := s.call("flush", func() error { return s.task.Flush(ctx) }); err != nil {
			if cause := context.Cause(t.hard); cause != nil {
				return cause
			}
			return fmt.Errorf("flush sink %s: %w", s.name(), err)
		}
	}
	return nil
}

// deliver registers a batch and hands it to every sink.
func (t *instance) deliver(b *connectors.Batch) error {
	if !t.note(b.Source) {
		b.Release()
		return t.needsResync(t.sinks[0], b.Source)
	}
	if err := t.rejects.settle(t.hard); err != nil { // I1: the batch's offset is behind what the source has left out
		b.Release()
		return err
	}
	if t.topic != nil && len(b.Records) > 0 {
		for _, s := range b.Streams {
			t.topic(s.Topic)
		}
	}
	t.next++
	b.ID = t.next
	if len(t.sinks) > 1 {
		return t.fanOut(b)
	}
	t.tracker.Add(uint64(b.ID), offsets.Entry{Partition: b.Source, Offset: b.Offset}, 1, b.Extra...)
	t.unsettled.Add(int64(len(b.Records)))
	t.sinks[0].taken = t.taken
	return t.cause(t.sinks[0].put(t.hard, b))
}

// cause is why the instance ends, when it does; else err.
func (t *instance) cause(err error) error {
	if cause := context.Cause(t.hard); err != nil && cause != nil {
		return cause
	}
	return err
}
