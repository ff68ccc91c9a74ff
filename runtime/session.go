package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

var errStopping = connectors.ErrStopped

// sourceSession is what an instance lends to its source.
type sourceSession struct {
	run      *instance
	estimate atomic.Int64 // size of the newest batch: what the next one reserves before it is known
}

const (
	smallBatch    = 16 << 10
	batchOverhead = 512 // what a batch without records is charged, so that positions are bounded, too
)

// NewBatch implements connectors.SourceSession. A batch is charged an estimate when it is begun and its size when it is
// finished.
func (s *sourceSession) NewBatch(ctx context.Context, p offsets.Partition) (*connectors.Builder, error) {
	r := s.run
	charged := min(max(s.estimate.Load(), smallBatch), r.budget.limit/4+1)
	if err := r.budget.acquire(ctx, r.hard.Done(), charged); err != nil {
		return nil, err
	}
	w := connectors.NewBuilder(p, r.pool, func(*connectors.Batch) {
		r.budget.charge(-charged)
		r.moved.Add(1)
	})
	w.OnFinish(func(b *connectors.Batch) {
		size := int64(b.Size()) + batchOverhead
		r.budget.charge(size - charged)
		charged = size
		s.estimate.Store(size)
	})
	return w, nil
}

// Offsets implements connectors.SourceSession.
func (s *sourceSession) Offsets(ctx context.Context, p ...offsets.Partition) ([]offsets.Entry, error) {
	return s.run.resume(ctx, p)
}

// Reached implements connectors.SourceSession.
func (s *sourceSession) Reached(p offsets.Partition) []connectors.Reached {
	var out []connectors.Reached
	for _, k := range s.run.sinks {
		k.mu.Lock()
		if has, ok := k.has[p]; ok {
			out = append(out, connectors.Reached{Sink: k.plan.alias, Through: has})
		}
		k.mu.Unlock()
	}
	return out
}

// Anew implements connectors.SourceSession.
func (s *sourceSession) Anew(p offsets.Partition) {
	for _, k := range s.run.sinks {
		k.mu.Lock()
		delete(k.has, p)
		k.mu.Unlock()
	}
}

// State implements connectors.SourceSession.
func (s *sourceSession) State(ctx context.Context, p ...offsets.Partition) ([]offsets.Entry, error) {
	out, err := s.run.store.Load(ctx, s.run.connector, p...)
	if err != nil {
		return nil, fmt.Errorf("load offsets of connector %s: %w", s.run.connector, err)
	}
	return out, nil
}

// Remember implements connectors.SourceSession.
func (s *sourceSession) Remember(ctx context.Context, state ...offsets.Entry) error {
	r := s.run
	r.committing.Lock()
	defer r.committing.Unlock()
	if r.fenced() || r.abandoned.Load() {
		return context.Cause(r.hard) // I6
	}
	return r.save(ctx, state)
}

// Tolerate implements connectors.SourceSession. What it takes is durable before the next batch is delivered.
func (s *sourceSession) Tolerate(ctx context.Context, raw *connectors.Raw, at connectors.Stage, cause error) error {
	r := s.run
	return r.rejects.take(ctx, &DeadLetter{Stage: at, Class: r.classes[at], Cause: cause, Raw: raw})
}

// Drain implements connectors.SourceSession. It drains everything, whatever the partitions.
func (s *sourceSession) Drain(ctx context.Context, _ ...offsets.Partition) error {
	r := s.run
	done := make(chan error, 1)
	select {
	case r.drains <- done:
	case <-r.hard.Done():
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sinkRun is one sink of an instance, and what the instance lends to it.
type sinkRun struct {
	run    *instance
	plan   sinkPlan
	task   connectors.SinkTask
	keeper connectors.OffsetKeeper // nil when it stores no offsets
	copied bool                    // its positions are the store's own records: the runtime writes none for it

	tracker *offsets.Tracker                                // its own position; nil when it is the only sink
	lane    *lane                                           // nil when it is the only sink
	renew   func(claim string) (connectors.SinkTask, error) // another task for the same target; nil: there is none
	out     *dropout                                        // with the instance's members: the others went on without it
	placed  bool                                            // it has a stored record
	acks    atomic.Uint64
	taken   time.Time    // of the goroutine that puts: when the batch at hand came from the source
	inside  atomic.Int32 // calls of the sink that have not returned

	rejects *rejects
	class   string // of what a record is rejected by

	fresh *Histogram

	trouble trouble

	mu     sync.Mutex
	held   map[connectors.BatchID]weight          // taken and not acknowledged
	traces map[connectors.BatchID]BatchTrace      // of what is held, with a tracer
	has    map[offsets.Partition]connectors.Order // one of several sinks: what it already had at the start
}

// weight is what is remembered of a batch until it is acknowledged.
type weight struct {
	records   int
	committed int64 // Batch.Committed
}

func (s *sinkRun) name() string {
	if s.plan.alias != "" {
		return s.plan.alias
	}
	return s.plan.factory.Describe().Class
}

// Ack implements connectors.SinkSession.
func (s *sinkRun) Ack(id connectors.BatchID) {
	s.mu.Lock()
	w, ok := s.held[id]
	delete(s.held, id)
	s.mu.Unlock()
	if !ok {
		s.run.fail(connectors.AsPermanent(fmt.Errorf("sink %s acknowledged batch %d, which it does not hold", s.name(), id)))
		return
	}
	now := time.Now()
	s.run.meter.progress.Store(now.UnixMilli())
	s.acks.Add(1)
	s.recovered()
	if w.committed > 0 {
		s.fresh.add(float64(now.UnixMicro()-w.committed)/1e6, uint64(w.records))
	}
	if s.run.tracer != nil {
		s.trace(id, nil)
	}
	s.acknowledge(id, w.records)
}

func (s *sinkRun) acknowledge(id connectors.BatchID, records int) {
	r := s.run
	r.unsettled.Add(-int64(records))
	r.meter.settled.Add(int64(records))
	r.moved.Add(1)
	r.repay(records, 1)
	grew := s.tracker != nil && s.tracker.Ack(uint64(id))
	if r.tracker.Ack(uint64(id)) || grew {
		r.progressed.Store(true)
		r.stir()
	}
}

// Reject implements connectors.SinkSession. What it takes is durable before an offset behind it is stored: see commit.
func (s *sinkRun) Reject(ctx context.Context, b *connectors.Batch, record int, cause error) error {
	if !s.rejects.all {
		return connectors.AsPermanent(fmt.Errorf("sink %s cannot write a record of %s: %w", s.name(), topicOf(b, record), cause))
	}
	l := &DeadLetter{Stage: connectors.StageOf(cause), Class: s.class, Sink: s.plan.alias, Cause: cause, Batch: b.Origin(), Index: record}
	if class := s.run.classes[l.Stage]; class != "" {
		l.Class = class
	}
	if raw, ok := b.Raw(record); ok {
		l.Raw = raw
	}
	return s.rejects.take(ctx, l)
}

// Settle implements connectors.SinkSession.
func (s *sinkRun) Settle(ctx context.Context) error { return s.rejects.settle(ctx) }

// Fail implements connectors.SinkSession.
func (s *sinkRun) Fail(err error) {
	if err == nil {
		err = errors.New("no cause was given")
	}
	s.ends(fmt.Errorf("sink %s: %w", s.name(), err))
}

// Charge implements connectors.SinkSession.
func (s *sinkRun) Charge(n int) {
	s.run.budget.charge(int64(n))
	if n < 0 {
		s.run.moved.Add(1)
	}
}

// put hands a batch (or the part of it that the sink has not got) to the sink. It uses up one reference of b.
func (s *sinkRun) put(ctx context.Context, b *connectors.Batch) error {
	skip, all := s.skips(b)
	if all {
		n := len(b.Records)
		id := b.ID
		b.Release()
		s.acknowledge(id, n)
		return nil
	}
	if skip > 0 || s.tracker != nil {
		b = b.From(skip) // its own: a sink that releases too often takes nothing from another one
	}
	s.mu.Lock()
	s.held[b.ID] = weight{len(b.Records) + skip, b.Committed}
	s.mu.Unlock()
	if s.run.tracer != nil {
		s.traced(b)
	}
	id := b.ID
	err := s.call("put", func() error { return s.task.Put(ctx, b) })
	if err == nil {
		return nil
	}
	if s.run.tracer != nil {
		s.trace(id, err)
	}
	s.mu.Lock()
	delete(s.held, b.ID) // it was not taken: a later acknowledgement says nothing
	s.mu.Unlock()
	twice := guard("release", func() error { b.Release(); return nil })
	if twice != nil && connectors.ClassOf(err) != connectors.Fenced {
		err = connectors.AsPermanent(fmt.Errorf("it released a batch that it did not take: %w", err))
	}
	return fmt.Errorf("put batch into sink %s: %w", s.name(), err)
}

// call is guard for a sink; it remembers where the instance is, for when the sink does not return.
func (s *sinkRun) call(what string, f func() error) error {
	s.inside.Add(1)
	defer s.inside.Add(-1)
	return guard(what, f)
}

// skips tells how many leading records of b the sink already has, or that it has all of b.
func (s *sinkRun) skips(b *connectors.Batch) (n int, all bool) {
	if s.has == nil {
		return 0, false
	}
	s.mu.Lock()
	has, ok := s.has[b.Source]
	s.mu.Unlock()
	if !ok || has == (connectors.Order{}) {
		return 0, false
	}
	if covers(has, b.Through) {
		return 0, true
	}
	for n < len(b.Records) && covers(has, b.Records[n].Order) {
		n++
	}
	return n, false
}

// covers tells that a sink at position has got o. Minor 0 belongs to snapshots, all of whose rows share one position: having
// one of them says nothing about the others.
func covers(has, o connectors.Order) bool {
	c := o.Compare(has)
	return c < 0 || c == 0 && o.Minor != 0
}
