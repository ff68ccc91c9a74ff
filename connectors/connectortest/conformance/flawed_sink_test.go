package conformance

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// sinkFlaws are ways in which a sink breaks the contract, with the check that must find it and what that says.
var sinkFlaws = []struct {
	flaw, check, says string
	hangs             bool // the check waits until its patience is at an end
}{
	{"loses a record", "FlushMakesDurable", "the target holds [1 2 3 4 5 6 8", false},
	{"writes a record twice", "FlushMakesDurable", "the target holds [1 2 3 4 5 6 7 7", false},
	{"writes the last batch first", "FlushMakesDurable", "the target holds", false},
	{"reads after Release", "FlushMakesDurable", "the target holds", false},
	{"acknowledges twice", "FlushMakesDurable", "was acknowledged 2 times", false},
	{"acknowledges never", "FlushMakesDurable", "is not acknowledged after Flush", false},
	{"acknowledges an unknown batch", "FlushMakesDurable", "batch 1000 was acknowledged", false},
	{"releases never", "FlushMakesDurable", "was released 0 times", false},
	{"releases twice", "FlushMakesDurable", "released more often", false},
	{"keeps a charge", "FlushMakesDurable", "charged bytes were not given back", false},
	{"gives back more than it charged", "FlushMakesDurable", "more were given back than charged", false},
	{"does not flush", "FlushMakesDurable", "is not acknowledged after Flush", false},
	{"panics", "FlushMakesDurable", "panicked", false},
	{"Put blocks", "FlushMakesDurable", "Put does not return", true},
	{"acknowledges before it is durable", "AcksWhatIsDurable", "was acknowledged while the target holds", false},
	{"acknowledges positions at once", "PositionsWaitTheirTurn", "a position comes after the batches before it", false},
	{"positions are not acknowledged", "PositionsWaitTheirTurn", "is not acknowledged", false},
	{"does not delete", "Changes", "the target holds", false},
	{"an update is another row", "Changes", "the target holds", false},
	{"ignores bodies", "Bodies", "the target holds", false},
	{"Start ignores its context", "CancelledStart", "Start does not return", true},
	{"a cancelled Start is permanent", "CancelledStart", "a permanent error when its context had ended", false},
	{"a cancelled Put is fenced", "CancelledPut", "a fenced error when its context had ended", false},
	{"takes a batch and returns an error", "CancelledPut", "it was not taken", false},
	{"Flush ignores its context", "CancelledFlush", "Flush does not return", true},
	{"a cancelled Flush fails the task", "CancelledFlush", "SinkSession.Fail returned a permanent error", false},
	{"a cancelled Flush drops what it had", "CancelledFlush", "the target holds", false},
	{"Stop keeps what it has", "StopReleases", "was released 0 times after Stop", false},
	{"Stop fails the second time", "StopBeforeStart", "Stop: stopped before", false},
	{"Stop before Start panics", "StopBeforeStart", "panicked", false},
	{"Stop hangs", "StopBeforeStart", "Stop does not return", true},
	{"leaves a goroutine", "StopBeforeStart", "after Stop: found unexpected goroutines", false},
	{"hoards", "BoundedWhenStuck", "are held or charged", false},
	{"drops when it is stuck", "BoundedWhenStuck", "the target holds", false},
	{"keeps the position before the data", "SentAgain", "the target holds", false},
	{"appends what comes again", "SentFromEarlier", "the target holds", false},
	{"forgets its position", "KeepsOffsets", "the position is lost after a restart", false},
	{"keeps another order", "KeepsOffsets", "comes with order 9:0:0", false},
	{"does not fence", "Fences", "not a fenced error", false},
	{"is fenced with a retriable error", "Fences", "not a fenced error", false},
	{"does not set positions", "SetProgress", "the position is 3 after it was set to 2", false},
	{"swallows poison", "Poison", "rejected nothing", false},
	{"writes poison", "Poison", "rejected nothing", false},
	{"fails with poison", "Poison", "it has rejected 0 records", false},
	{"rejects the whole batch", "Poison", "3 records were rejected", false},
	{"rejects another record", "Poison", "the first was record 0", false},
	{"rejects and writes", "Poison", "the target holds", false},
	{"rejects after the acknowledgement", "Poison", "after the batch was acknowledged", false},
	{"goes on where nothing is tolerated", "Poison", "does not fail with the error of SinkSession.Reject", false},
	{"tries poison again", "Poison", "Reject's is permanent", false},
	{"does not settle", "Poison", "without SinkSession.Settle before it", false},
	{"does not wait for Settle", "Poison", "though SinkSession.Settle had failed", false},
	{"the third task skips its first batch", "FaultSchedule", "the target holds", false},
	{"a restart loses what was flushed", "FaultSchedule", "", false},
}

func TestSinkFlaws(t *testing.T) {
	for _, c := range sinkFlaws {
		t.Run(c.flaw, func(t *testing.T) {
			over := make(chan struct{})
			defer close(over)
			h := flawedSinks(c.flaw, over)
			if c.hangs {
				h.Patience = 300 * time.Millisecond
			}
			mustFail(t, SinkChecks(h), c.check, c.says)
		})
	}
}

func TestSinkWithoutFlaws(t *testing.T) { mustPass(t, SinkChecks(flawedSinks("", nil))) }

func flawedSinks(flaw string, over chan struct{}) Sink {
	var target *flawedTarget
	h := Sink{
		New: func(T) func() connectors.SinkTask {
			target = &flawedTarget{free: make(chan struct{})}
			close(target.free)
			return func() connectors.SinkTask {
				return &flawedSink{flaw: flaw, target: target, over: over, acked: map[connectors.BatchID]bool{}}
			}
		},
		Read: func(T) []int {
			target.mu.Lock()
			defer target.mu.Unlock()
			return slices.Clone(target.rows)
		},
		Poison: func(w *connectors.Builder, n int) {
			appendChange(w, w.Stream(Numbers()), connectors.OpCreate, n, n, "\x00")
		},
		Stick: func(T) func() {
			free := make(chan struct{})
			target.mu.Lock()
			target.free = free
			target.mu.Unlock()
			return func() { close(free) }
		},
		ExactlyOnce: true, Mirror: true, Topics: true, Seed: 1,
	}
	return h
}

// flawedTarget is a table of numbers.
type flawedTarget struct {
	mu       sync.Mutex
	rows     []int
	position connectors.Progress
	epoch    int
	starts   int
	free     chan struct{} // closed: it accepts rows
}

// flawedSink writes to it in blocks of three batches and keeps its position there. It has one flaw, or none.
type flawedSink struct {
	flaw     string
	target   *flawedTarget
	over     chan struct{}
	session  connectors.SinkSession
	epoch    int
	held     []*connectors.Batch
	left     map[*connectors.Batch]int // index + 1 of a rejected record
	acked    map[connectors.BatchID]bool
	copied   [][]int
	stops    atomic.Int32
	skipped  bool
	released []*connectors.Batch
}

func (s *flawedSink) Start(ctx context.Context, session connectors.SinkSession) error {
	s.session, s.left = session, map[*connectors.Batch]int{}
	s.target.mu.Lock()
	s.target.starts++
	s.target.mu.Unlock()
	switch s.flaw {
	case "Start ignores its context":
		<-s.over
	case "a cancelled Start is permanent":
		return connectors.AsPermanent(ctx.Err())
	case "leaves a goroutine":
		go func() { <-s.over }()
	case "forgets its position", "a restart loses what was flushed":
		s.target.mu.Lock()
		if s.target.starts > 1 && s.flaw == "forgets its position" {
			s.target.position = connectors.Progress{}
		}
		if n := len(s.target.rows); s.target.starts > 3 && n > 0 && s.flaw != "forgets its position" {
			s.target.rows = s.target.rows[:n-1]
		}
		s.target.mu.Unlock()
	}
	return ctx.Err()
}

func (s *flawedSink) Put(ctx context.Context, b *connectors.Batch) error {
	if err := ctx.Err(); err != nil {
		switch s.flaw {
		case "a cancelled Put is fenced":
			return connectors.AsFenced(err)
		case "takes a batch and returns an error":
			s.session.Ack(b.ID)
		}
		return err
	}
	switch s.flaw {
	case "Put blocks":
		<-s.over
	case "panics":
		panic("as a flaw")
	}
	if err := s.reject(ctx, b); err != nil {
		return err
	}
	s.target.mu.Lock()
	free, third := s.target.free, s.target.starts > 2
	s.target.mu.Unlock()
	if s.flaw == "the third task skips its first batch" && third && !s.skipped && len(b.Records) > 0 {
		s.skipped = true
		s.left[b] = -1
	}
	select {
	case <-free:
	default:
		switch s.flaw {
		case "hoards":
			s.copied = append(s.copied, numbersOf(b))
			b.Release()
			s.released = append(s.released, b)
			return nil
		case "drops when it is stuck":
			s.session.Ack(b.ID)
			b.Release()
			return nil
		}
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.held = append(s.held, b)
	switch {
	case s.flaw == "acknowledges before it is durable", s.flaw == "acknowledges positions at once" && len(b.Records) == 0:
		s.session.Ack(b.ID)
		s.acked[b.ID] = true
	case s.flaw == "keeps the position before the data":
		s.keep(b)
	case s.flaw == "reads after Release":
		b.Retain(1)
		b.Release() // the other end of the batch's life is the check's: see write
	}
	if len(s.held) >= 3 {
		return s.write()
	}
	return nil
}

// reject looks for records that the target does not take.
func (s *flawedSink) reject(ctx context.Context, b *connectors.Batch) error {
	for i := range b.Records {
		r := &b.Records[i]
		if r.Value > 0 || r.Op == connectors.OpDelete || !bytes.Contains(b.Bytes(b.Cells(r.After)[1]), []byte{0}) {
			continue
		}
		cause := errors.New("U+0000 does not fit")
		switch s.flaw {
		case "swallows poison":
			s.left[b] = i + 1
			return nil
		case "writes poison":
			return nil
		case "fails with poison":
			return connectors.AsPermanent(cause)
		case "rejects another record":
			i--
		case "rejects the whole batch":
			for j := range b.Records {
				if err := s.session.Reject(ctx, b, j, cause); err != nil {
					return err
				}
			}
			s.left[b] = -1
			return nil
		case "rejects after the acknowledgement":
			s.session.Ack(b.ID)
			s.acked[b.ID] = true
		}
		if err := s.session.Reject(ctx, b, i, cause); err != nil {
			switch s.flaw {
			case "goes on where nothing is tolerated":
			case "tries poison again":
				return cause
			default:
				return err
			}
		}
		if s.flaw != "rejects and writes" {
			s.left[b] = i + 1
		}
		if s.flaw == "does not settle" {
			continue
		}
		if err := s.session.Settle(ctx); err != nil && s.flaw != "does not wait for Settle" {
			return err
		}
	}
	return nil
}

func numbersOf(b *connectors.Batch) []int {
	var out []int
	for i := range b.Records {
		out = append(out, int(b.Cells(b.Records[i].Key)[0].Int()))
	}
	return out
}

// write makes durable what is held.
func (s *flawedSink) write() error {
	if n := len(s.held); s.flaw == "writes the last batch first" && n > 1 {
		s.held[0], s.held[n-1] = s.held[n-1], s.held[0]
	}
	for len(s.held) > 0 {
		b := s.held[0]
		s.held = s.held[1:]
		s.target.mu.Lock()
		if s.epoch != s.target.epoch && s.flaw != "does not fence" {
			s.target.mu.Unlock()
			s.held = append([]*connectors.Batch{b}, s.held...)
			err := errors.New("another task took over")
			if s.flaw != "is fenced with a retriable error" {
				err = connectors.AsFenced(err)
			}
			s.session.Fail(err)
			return nil
		}
		s.target.mu.Unlock()
		if s.flaw == "reads after Release" {
			spoil(b)
		}
		s.rows(b)
		s.keep(b)
		s.finish(b)
	}
	return nil
}

// rows writes the rows of a batch.
func (s *flawedSink) rows(b *connectors.Batch) {
	t := s.target
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range b.Records {
		r := &b.Records[i]
		if s.left[b] == i+1 || s.left[b] == -1 {
			continue
		}
		var n int
		if r.Value > 0 {
			if s.flaw == "ignores bodies" {
				continue
			}
			n = bodyNumber(&b.Bodies[r.Value-1])
		} else {
			n = int(b.Cells(r.Key)[0].Int())
		}
		at := slices.Index(t.rows, n)
		switch {
		case s.flaw == "loses a record" && n%span == 7:
		case s.flaw == "writes a record twice" && n == 7:
			t.rows = append(t.rows, n, n)
		case r.Op == connectors.OpDelete && at >= 0 && s.flaw != "does not delete":
			t.rows = slices.Delete(t.rows, at, at+1)
		case r.Op == connectors.OpDelete:
		case at < 0, s.flaw == "appends what comes again", r.Op == connectors.OpUpdate && s.flaw == "an update is another row":
			t.rows = append(t.rows, n)
		}
	}
}

func (s *flawedSink) keep(b *connectors.Batch) {
	s.target.mu.Lock()
	defer s.target.mu.Unlock()
	s.target.position = connectors.Progress{Partition: b.Source, Offset: b.Offset, Through: b.Through}
	if s.flaw == "keeps another order" {
		s.target.position.Through = connectors.Order{Epoch: 9}
	}
}

// finish acknowledges and releases a batch.
func (s *flawedSink) finish(b *connectors.Batch) {
	id := b.ID
	switch {
	case s.acked[id], s.flaw == "acknowledges never", s.flaw == "positions are not acknowledged" && len(b.Records) == 0:
	case s.flaw == "acknowledges an unknown batch":
		s.session.Ack(1000)
	case s.flaw == "acknowledges twice":
		s.session.Ack(id)
		s.session.Ack(id)
	default:
		s.session.Ack(id)
	}
	switch s.flaw {
	case "keeps a charge":
		s.session.Charge(8)
	case "gives back more than it charged":
		s.session.Charge(-8)
	case "releases never":
		return
	case "releases twice":
		b.Release()
	}
	b.Release()
}

func (s *flawedSink) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		switch s.flaw {
		case "Flush ignores its context":
			<-s.over
		case "a cancelled Flush fails the task":
			s.session.Fail(connectors.AsPermanent(err))
		case "a cancelled Flush drops what it had":
			for _, b := range s.held {
				s.keep(b)
				s.finish(b)
			}
			s.held = nil
		}
		return err
	}
	for i, list := range s.copied {
		s.target.mu.Lock()
		s.target.rows = append(s.target.rows, list...)
		s.target.mu.Unlock()
		s.session.Ack(s.released[i].ID)
	}
	s.copied = nil
	if s.flaw == "does not flush" {
		return nil
	}
	return s.write()
}

func (s *flawedSink) Stop(context.Context) error {
	stops := s.stops.Add(1)
	switch {
	case s.flaw == "Stop hangs":
		<-s.over
		return nil // others may be in here
	case s.flaw == "Stop fails the second time" && stops > 1:
		return errors.New("stopped before")
	case s.flaw == "Stop before Start panics" && s.session == nil:
		panic("as a flaw")
	case s.flaw == "Stop keeps what it has":
		return nil
	}
	for _, b := range s.held {
		b.Release()
	}
	s.held = nil
	return nil
}

// Progress implements connectors.OffsetKeeper.
func (s *flawedSink) Progress(_ context.Context, p ...offsets.Partition) ([]connectors.Progress, error) {
	t := s.target
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch++
	s.epoch = t.epoch
	if t.position.Offset == "" || len(p) > 0 && !slices.Contains(p, t.position.Partition) {
		return nil, nil
	}
	return []connectors.Progress{t.position}, nil
}

// SetProgress implements connectors.OffsetKeeper.
func (s *flawedSink) SetProgress(_ context.Context, p []connectors.Progress) error {
	s.target.mu.Lock()
	defer s.target.mu.Unlock()
	if s.flaw != "does not set positions" {
		s.target.position = p[0]
	}
	return nil
}
