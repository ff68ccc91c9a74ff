package connectortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// SourceHarness is what RunSource needs of a source with one partition.
type SourceHarness struct {
	// New empties the source and returns what makes tasks that read it.
	New func(t *testing.T) func() connectors.SourceTask
	// Write adds records with the numbers from … to to what the tasks read.
	Write func(t *testing.T, from, to int)
	// Number returns the number of a record; 0: not one of ours (a heartbeat).
	Number func(b *connectors.Batch, r *connectors.Record) int
	// Replays: after a resume records before the offset may come again, with the same Order.
	Replays bool
	// NoOrder: Record.Order says nothing.
	NoOrder bool
	// Patience bounds each wait; 0: 20 s.
	Patience time.Duration
}

// RunSource checks that a source keeps the contract of connectors.SourceTask. Each check is a subtest with a fresh source.
func RunSource(t *testing.T, h SourceHarness) {
	if h.Patience == 0 {
		h.Patience = 20 * time.Second
	}
	for _, c := range []struct {
		name string
		run  func(*sourceCheck)
	}{
		{"StopBeforeStart", (*sourceCheck).stopBeforeStart},
		{"CancelledStart", (*sourceCheck).cancelledStart},
		{"InOrder", (*sourceCheck).inOrder},
		{"PollEndsWithContext", (*sourceCheck).pollEnds},
		{"WaitsForCredit", (*sourceCheck).waitsForCredit},
		{"ResumesWithoutGap", (*sourceCheck).resumes},
		{"ResumesFromEveryOffset", (*sourceCheck).resumesAnywhere},
		{"CommitBesidePoll", (*sourceCheck).commitBesidePoll},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &sourceCheck{T: t, h: h, make: h.New(t), stored: map[offsets.Partition]offsets.Offset{}}
			t.Cleanup(func() { s.stopAll() })
			before := goleak.IgnoreCurrent()
			c.run(s)
			s.stopAll()
			if err := goleak.Find(before); err != nil {
				t.Errorf("after Stop: %v", err)
			}
		})
	}
}

type sourceCheck struct {
	*testing.T
	h     SourceHarness
	make  func() connectors.SourceTask
	tasks []connectors.SourceTask

	mu      sync.Mutex
	stored  map[offsets.Partition]offsets.Offset
	state   map[offsets.Partition]offsets.Offset // of Remember
	open    int                                  // batches not released
	blocked bool
}

// seen is one record as it arrived.
type seen struct {
	n     int
	order connectors.Order
	after offsets.Offset // of the batch, for its last record
}

func (s *sourceCheck) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.h.Patience)
	s.Cleanup(cancel)
	return ctx
}

// NewBatch implements connectors.SourceSession.
func (s *sourceCheck) NewBatch(ctx context.Context, p offsets.Partition) (*connectors.Builder, error) {
	s.mu.Lock()
	blocked := s.blocked
	s.open++
	s.mu.Unlock()
	if blocked {
		<-ctx.Done()
		s.released(nil)
		return nil, ctx.Err()
	}
	return connectors.NewBuilder(p, nil, s.released), nil
}

func (s *sourceCheck) released(*connectors.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// Offsets implements connectors.SourceSession.
func (s *sourceCheck) Offsets(_ context.Context, p ...offsets.Partition) ([]offsets.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []offsets.Entry
	for name, o := range s.stored {
		if len(p) == 0 || slices.Contains(p, name) {
			out = append(out, offsets.Entry{Partition: name, Offset: o})
		}
	}
	return out, nil
}

// Reached implements connectors.SourceSession.
func (s *sourceCheck) Reached(offsets.Partition) []connectors.Reached { return nil }

// Anew implements connectors.SourceSession.
func (s *sourceCheck) Anew(offsets.Partition) {}

// State implements connectors.SourceSession.
func (s *sourceCheck) State(_ context.Context, p ...offsets.Partition) ([]offsets.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []offsets.Entry
	for _, name := range p {
		if o, ok := s.state[name]; ok {
			out = append(out, offsets.Entry{Partition: name, Offset: o})
		}
	}
	return out, nil
}

// Remember implements connectors.SourceSession.
func (s *sourceCheck) Remember(_ context.Context, state ...offsets.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil {
		s.state = map[offsets.Partition]offsets.Offset{}
	}
	for _, e := range state {
		s.state[e.Partition] = e.Offset
	}
	return nil
}

// Tolerate implements connectors.SourceSession: nothing is tolerated.
func (s *sourceCheck) Tolerate(_ context.Context, _ *connectors.Raw, _ connectors.Stage, cause error) error {
	return cause
}

// Drain implements connectors.SourceSession.
func (s *sourceCheck) Drain(context.Context, ...offsets.Partition) error { return nil }

func (s *sourceCheck) start() connectors.SourceTask {
	s.Helper()
	task := s.make()
	s.tasks = append(s.tasks, task)
	if err := task.Start(s.ctx(), s); err != nil {
		s.Fatalf("Start: %v", err)
	}
	return task
}

func (s *sourceCheck) stopAll() {
	for _, task := range s.tasks {
		if err := task.Stop(s.ctx()); err != nil {
			s.Errorf("Stop: %v", err)
		}
	}
	s.tasks = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != 0 {
		s.Errorf("%d batches were neither handed out nor abandoned after Stop", s.open)
	}
}

// read polls until number last has come.
func (s *sourceCheck) read(task connectors.SourceTask, last int) []seen {
	s.Helper()
	ctx := s.ctx()
	var out []seen
	for {
		b, err := task.Poll(ctx)
		if err == io.EOF { //nolint:errorlint // as the runtime has it
			return out
		}
		if err != nil {
			s.Fatalf("Poll: %v after %v", err, out)
		}
		done := s.note(b, last, &out)
		b.Release()
		if done {
			return out
		}
	}
}

// note takes down what a batch brings, and its offset as durable.
func (s *sourceCheck) note(b *connectors.Batch, last int, out *[]seen) (done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b.Records {
		r := &b.Records[i]
		if n := s.h.Number(b, r); n > 0 {
			*out = append(*out, seen{n: n, order: r.Order})
			done = done || n >= last
		}
		if !s.h.NoOrder && r.Order.Compare(b.Through) > 0 {
			s.Errorf("record %d has order %v, above Through %v of its batch", i, r.Order, b.Through)
		}
	}
	if b.Offset != "" {
		if _, err := offsets.ParseOffset([]byte(b.Offset)); err != nil {
			s.Errorf("offset %q: %v", b.Offset, err)
		}
		s.stored[b.Source] = b.Offset
		if len(*out) > 0 {
			(*out)[len(*out)-1].after = b.Offset
		}
	}
	if p, err := offsets.Canonical([]byte(b.Source)); err != nil || p != b.Source {
		s.Errorf("partition %q is not canonical: %q, %v", b.Source, p, err)
	}
	for _, e := range b.Extra {
		if _, err := offsets.ParseOffset([]byte(e.Offset)); e.Offset != "" && err != nil {
			s.Errorf("entry %s beside the offset: %q: %v", e.Partition, e.Offset, err)
		}
		s.stored[e.Partition] = e.Offset
	}
	return done
}

// are checks that the numbers are from … to.
func (s *sourceCheck) are(got []seen, from, to int) {
	s.Helper()
	next := from
	for _, r := range got {
		switch {
		case r.n == next:
			next++
		case r.n < next && s.h.Replays && next == from:
		default:
			s.Fatalf("got %s, want %d…%d", numbers(got), from, to)
		}
	}
	if next != to+1 {
		s.Fatalf("got %s, want %d…%d", numbers(got), from, to)
	}
}

func numbers(got []seen) string {
	var out []int
	for _, r := range got {
		out = append(out, r.n)
	}
	return fmt.Sprint(out)
}

func (s *sourceCheck) stopBeforeStart() {
	task := s.make()
	for range 2 {
		if err := task.Stop(s.ctx()); err != nil {
			s.Errorf("Stop before Start: %v", err)
		}
	}
	task = s.start()
	for range 2 {
		if err := task.Stop(s.ctx()); err != nil {
			s.Errorf("Stop: %v", err)
		}
	}
}

func (s *sourceCheck) cancelledStart() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	task := s.make()
	s.tasks = append(s.tasks, task)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = task.Start(ctx, s) // it may succeed when it needs no connection
	}()
	select {
	case <-done:
	case <-s.ctx().Done():
		s.Fatal("Start does not return when its context has ended")
	}
}

func (s *sourceCheck) inOrder() {
	s.h.Write(s.T, 1, 20)
	task := s.start()
	got := s.read(task, 20)
	s.are(got, 1, 20)
	s.h.Write(s.T, 21, 25)
	more := s.read(task, 25)
	s.are(more, 21, 25)
	if s.h.NoOrder {
		return
	}
	all := append(got, more...)
	for i := 1; i < len(all); i++ {
		if c := all[i].order.Compare(all[i-1].order); c < 0 || c == 0 && all[i].order.Minor != 0 {
			s.Errorf("order %v of %d does not follow %v of %d", all[i].order, all[i].n, all[i-1].order, all[i-1].n)
		}
	}
}

func (s *sourceCheck) pollEnds() {
	s.h.Write(s.T, 1, 1)
	task := s.start()
	s.read(task, 1)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		for {
			b, err := task.Poll(ctx)
			if err != nil {
				result <- err
				return
			}
			b.Release() // positions
		}
	}()
	cancel()
	select {
	case err := <-result:
		if !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) && !errors.Is(err, connectors.ErrStopped) {
			s.Errorf("Poll returned %v after its context had ended", err)
		}
	case <-s.ctx().Done():
		s.Fatal("Poll does not return when its context has ended")
	}
}

func (s *sourceCheck) waitsForCredit() {
	s.h.Write(s.T, 1, 3)
	s.mu.Lock()
	s.blocked = true
	s.mu.Unlock()
	task := s.make()
	s.tasks = append(s.tasks, task)
	start, cancelStart := context.WithTimeout(context.Background(), s.h.Patience)
	defer cancelStart()
	if err := task.Start(start, s); err != nil {
		s.Fatalf("Start: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		_, err := task.Poll(ctx)
		result <- err
	}()
	cancel()
	select {
	case err := <-result:
		if err == nil {
			s.Error("Poll returned a batch without credit")
		}
	case <-s.ctx().Done():
		s.Fatal("Poll does not return while it waits for credit")
	}
}

func (s *sourceCheck) resumes() {
	s.h.Write(s.T, 1, 10)
	task := s.start()
	s.are(s.read(task, 10), 1, 10)
	s.commit(task)
	if err := task.Stop(s.ctx()); err != nil {
		s.Fatalf("Stop: %v", err)
	}
	s.h.Write(s.T, 11, 15)
	s.are(s.read(s.start(), 15), 11, 15)
}

// commit tells the task that everything read is durable.
func (s *sourceCheck) commit(task connectors.SourceTask) {
	s.Helper()
	list, _ := s.Offsets(context.Background())
	if len(list) == 0 {
		return
	}
	if err := task.Commit(s.ctx(), list); err != nil {
		s.Fatalf("Commit: %v", err)
	}
}

// resumesAnywhere starts a task from every offset that was handed out: nothing is missing after it, and what comes again has the
// same order.
func (s *sourceCheck) resumesAnywhere() {
	s.h.Write(s.T, 1, 6)
	task := s.start()
	first := s.read(task, 6)
	s.are(first, 1, 6)
	s.h.Write(s.T, 7, 12)
	first = append(first, s.read(task, 12)...)
	if err := task.Stop(s.ctx()); err != nil {
		s.Fatalf("Stop: %v", err)
	}
	s.mu.Lock()
	if len(s.stored) != 1 {
		s.Logf("%d records of offsets; resumed from the last only", len(s.stored))
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	for _, r := range first {
		if r.after == "" || r.n == 12 {
			continue
		}
		s.mu.Lock()
		for p := range s.stored {
			s.stored[p] = r.after
		}
		s.mu.Unlock()
		task := s.start()
		again := s.read(task, 12)
		s.are(again, r.n+1, 12)
		for _, a := range again {
			if want := first[a.n-1].order; !s.h.NoOrder && a.order != want {
				s.Errorf("record %d has order %v, before it had %v", a.n, a.order, want)
			}
		}
		if err := task.Stop(s.ctx()); err != nil {
			s.Fatalf("Stop: %v", err)
		}
	}
}

func (s *sourceCheck) commitBesidePoll() {
	task := s.start()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			b, err := task.Poll(ctx)
			if err != nil {
				return
			}
			var out []seen
			s.note(b, 1<<30, &out)
			b.Release()
		}
	}()
	for n := 1; n <= 5; n++ {
		s.h.Write(s.T, n, n)
		s.commit(task)
	}
	cancel()
	select {
	case <-done:
	case <-s.ctx().Done():
		s.Fatal("Poll does not return when its context has ended")
	}
	s.commit(task)
}
