package connectortest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
)

// SinkHarness is what RunSink needs of a sink.
type SinkHarness struct {
	// New empties the target and returns what makes tasks that write to it.
	New func(t *testing.T) func() connectors.SinkTask
	// Fill adds records with the numbers from … to to the batch; nil: AppendFeedRecord.
	Fill func(w *connectors.Builder, from, to int)
	// Read returns the numbers that the target holds, in its order; nil: what the target holds is not looked at.
	Read func(t *testing.T) []int
	// ExactlyOnce: no number is there twice, even after batches were sent again from the sink's own position.
	ExactlyOnce bool
	// Patience bounds each wait; 0: 20 s.
	Patience time.Duration
	// Target tells goroutines of a target in the test's own process, which may outlive a stopped sink; nil: none.
	Target []goleak.Option
}

// RunSink checks that a sink keeps the contract of connectors.SinkTask. Each check is a subtest with a fresh target.
func RunSink(t *testing.T, h SinkHarness) {
	if h.Patience == 0 {
		h.Patience = 20 * time.Second
	}
	if h.Fill == nil {
		h.Fill = fillFeed
	}
	for _, c := range []struct {
		name string
		run  func(*sinkCheck)
	}{
		{"StopBeforeStart", (*sinkCheck).stopBeforeStart},
		{"CancelledStart", (*sinkCheck).cancelledStart},
		{"FlushMakesDurable", (*sinkCheck).flushMakesDurable},
		{"PositionsWaitTheirTurn", (*sinkCheck).positions},
		{"CancelledPut", (*sinkCheck).cancelledPut},
		{"StopReleases", (*sinkCheck).stopReleases},
		{"SentAgain", (*sinkCheck).sentAgain},
		{"KeepsOffsets", (*sinkCheck).keepsOffsets},
		{"Fences", (*sinkCheck).fences},
		{"SetProgress", (*sinkCheck).setProgress},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &sinkCheck{T: t, h: h, make: h.New(t)}
			t.Cleanup(func() { s.stopAll() })
			before := goleak.IgnoreCurrent()
			c.run(s)
			s.stopAll()
			if err := goleak.Find(append(h.Target, before)...); err != nil {
				t.Errorf("after Stop: %v", err)
			}
		})
	}
}

func fillFeed(w *connectors.Builder, from, to int) {
	stream := w.Stream(FeedStream())
	for n := from; n <= to; n++ {
		AppendFeedRecord(w, stream, n, 20)
	}
}

type sinkCheck struct {
	*testing.T
	h     SinkHarness
	make  func() connectors.SinkTask
	tasks []*sinkUnderTest
}

// sinkUnderTest is a task with its session.
type sinkUnderTest struct {
	connectors.SinkTask
	check *sinkCheck

	mu       sync.Mutex
	next     connectors.BatchID
	acked    map[connectors.BatchID]int
	released map[connectors.BatchID]int
	order    []connectors.BatchID
	failed   error
	charged  int
}

func (s *sinkCheck) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.h.Patience)
	s.Cleanup(cancel)
	return ctx
}

func (s *sinkCheck) start() *sinkUnderTest {
	s.Helper()
	u := s.add()
	if err := u.Start(s.ctx(), u); err != nil {
		s.Fatalf("Start: %v", err)
	}
	if k, ok := u.SinkTask.(connectors.OffsetKeeper); ok {
		if _, err := k.Progress(s.ctx()); err != nil {
			s.Fatalf("Progress: %v", err)
		}
	}
	return u
}

func (s *sinkCheck) add() *sinkUnderTest {
	u := &sinkUnderTest{SinkTask: s.make(), check: s, acked: map[connectors.BatchID]int{}, released: map[connectors.BatchID]int{}}
	s.tasks = append(s.tasks, u)
	return u
}

func (s *sinkCheck) stopAll() {
	for _, u := range s.tasks {
		if err := u.Stop(s.ctx()); err != nil {
			s.Errorf("Stop: %v", err)
		}
		u.mu.Lock()
		for id := range u.next {
			if u.released[id+1] != 1 {
				s.Errorf("batch %d was released %d times after Stop", id+1, u.released[id+1])
			}
		}
		if u.charged != 0 {
			s.Errorf("%d charged bytes were not given back after Stop", u.charged)
		}
		u.mu.Unlock()
	}
	s.tasks = nil
}

// Ack implements connectors.SinkSession.
func (u *sinkUnderTest) Ack(id connectors.BatchID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.acked[id]++
	if u.acked[id] > 1 || id > u.next {
		u.check.Errorf("batch %d was acknowledged %d times", id, u.acked[id])
	}
	u.order = append(u.order, id)
}

// Retrying implements connectors.SinkSession.
func (*sinkUnderTest) Retrying(error) {}

// Settle implements connectors.SinkSession.
func (*sinkUnderTest) Settle(context.Context) error { return nil }

// Reject implements connectors.SinkSession.
func (u *sinkUnderTest) Reject(_ context.Context, _ *connectors.Batch, _ int, cause error) error {
	return connectors.AsPermanent(cause)
}

// Fail implements connectors.SinkSession.
func (u *sinkUnderTest) Fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failed = err
}

// Charge implements connectors.SinkSession.
func (u *sinkUnderTest) Charge(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.charged += n
}

func (u *sinkUnderTest) wasAcked(id connectors.BatchID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.acked[id] == 1
}

// batch builds a batch with the numbers from … to (none when to < from) whose memory is spoilt at the last Release.
func (u *sinkUnderTest) batch(from, to int) *connectors.Batch {
	u.mu.Lock()
	u.next++
	id := u.next
	u.mu.Unlock()
	w := connectors.NewBuilder(Partition(1), nil, func(b *connectors.Batch) {
		spoil(b)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.released[id]++
	})
	if from <= to {
		u.check.h.Fill(w, from, to)
	}
	b := w.Finish(FeedOffset(to), feedOrder(to))
	b.ID = id
	return b
}

// spoil overwrites everything that views could still show.
func spoil(b *connectors.Batch) {
	for i := range b.Records {
		r := &b.Records[i]
		for _, row := range []connectors.Row{r.Key, r.Before, r.After, r.Source, r.Headers} {
			cells := b.Cells(row)
			for j, c := range cells {
				switch c.Kind {
				case connectors.KindText, connectors.KindBytes, connectors.KindDecimal, connectors.KindBits:
					for k := range b.Bytes(c) {
						b.Bytes(c)[k] = 0xDB
					}
				}
				cells[j] = connectors.Cell{}
			}
		}
	}
}

// put hands over the numbers from … to and returns the id of the batch.
func (u *sinkUnderTest) put(from, to int) connectors.BatchID {
	u.check.Helper()
	b := u.batch(from, to)
	id := b.ID
	if err := u.Put(u.check.ctx(), b); err != nil {
		b.Release()
		u.check.Fatalf("Put %d…%d: %v", from, to, err)
	}
	return id
}

func (u *sinkUnderTest) flush() {
	u.check.Helper()
	if err := u.Flush(u.check.ctx()); err != nil {
		u.check.Fatalf("Flush: %v", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed != nil {
		u.check.Fatalf("the sink failed: %v", u.failed)
	}
}

// holds checks that the target has 1 … n, in order.
func (s *sinkCheck) holds(n int) {
	s.Helper()
	if s.h.Read == nil {
		return
	}
	got := s.h.Read(s.T)
	if !s.h.ExactlyOnce {
		got = firsts(got)
	}
	want := make([]int, n)
	for i := range want {
		want[i] = i + 1
	}
	if !slices.Equal(got, want) {
		s.Errorf("the target holds %v, not 1…%d", got, n)
	}
}

// firsts drops numbers that were there before.
func firsts(list []int) []int {
	seen := map[int]bool{}
	out := []int{}
	for _, n := range list {
		if !seen[n] {
			out = append(out, n)
		}
		seen[n] = true
	}
	return out
}

func (s *sinkCheck) stopBeforeStart() {
	u := s.add()
	for range 2 {
		if err := u.Stop(s.ctx()); err != nil {
			s.Errorf("Stop before Start: %v", err)
		}
	}
	u = s.start()
	for range 2 {
		if err := u.Stop(s.ctx()); err != nil {
			s.Errorf("Stop: %v", err)
		}
	}
}

func (s *sinkCheck) cancelledStart() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	u := s.add()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = u.Start(ctx, u) // it may succeed when it needs no connection
	}()
	select {
	case <-done:
	case <-s.ctx().Done():
		s.Fatal("Start does not return when its context has ended")
	}
}

func (s *sinkCheck) flushMakesDurable() {
	u := s.start()
	u.flush() // nothing
	n := 0
	for size := 1; size <= 64; size *= 4 {
		u.put(n+1, n+size)
		n += size
	}
	last := u.put(n+1, n+1)
	u.flush()
	for id := range last {
		if !u.wasAcked(id + 1) {
			s.Errorf("batch %d is not acknowledged after Flush", id+1)
		}
	}
	s.holds(n + 1)
	u.put(n+2, n+2)
	u.flush()
	s.holds(n + 2)
}

func (s *sinkCheck) positions() {
	u := s.start()
	first := u.put(1, 3)
	position := u.put(4, 3)
	u.flush()
	u.mu.Lock()
	at, before := slices.Index(u.order, position), slices.Index(u.order, first)
	u.mu.Unlock()
	if at < 0 || before < 0 || at < before {
		s.Errorf("acknowledged %v: a position comes after the batches before it", u.order)
	}
	alone := u.put(4, 3)
	u.flush()
	if !u.wasAcked(alone) {
		s.Error("a position alone is not acknowledged by Flush")
	}
	s.holds(3)
}

func (s *sinkCheck) cancelledPut() {
	u := s.start()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := u.batch(1, 3)
	id := b.ID
	if err := u.Put(ctx, b); err != nil {
		b.Release()
		if u.wasAcked(id) {
			s.Error("a batch that was not taken was acknowledged")
		}
		u.put(1, 3)
	}
	u.flush()
	s.holds(3)
}

func (s *sinkCheck) stopReleases() {
	u := s.start()
	u.put(1, 5)
	u.put(6, 10)
	if err := u.Stop(s.ctx()); err != nil {
		s.Errorf("Stop: %v", err)
	}
	// stopAll sees to it that everything was released, once.
}

func (s *sinkCheck) sentAgain() {
	u := s.start()
	u.put(1, 5)
	u.flush()
	u.put(6, 9)
	if err := u.Stop(s.ctx()); err != nil {
		s.Errorf("Stop: %v", err)
	}
	from := 6
	u = s.add()
	if err := u.Start(s.ctx(), u); err != nil {
		s.Fatalf("Start: %v", err)
	}
	if k, ok := u.SinkTask.(connectors.OffsetKeeper); ok {
		from = s.position(k) + 1
	}
	u.put(from, 12)
	u.flush()
	s.holds(12)
}

// position is what a keeper says of the partition.
func (s *sinkCheck) position(k connectors.OffsetKeeper) int {
	s.Helper()
	list, err := k.Progress(s.ctx())
	if err != nil {
		s.Fatalf("Progress: %v", err)
	}
	for _, p := range list {
		if p.Partition != Partition(1) || p.Offset == "" {
			continue
		}
		n, err := parseFeedOffset(p.Offset)
		if err != nil {
			s.Fatalf("Progress: offset %s: %v", p.Offset, err)
		}
		return n
	}
	return 0
}

func (s *sinkCheck) keepsOffsets() {
	u := s.start()
	k, ok := u.SinkTask.(connectors.OffsetKeeper)
	if !ok {
		return
	}
	if n := s.position(k); n != 0 {
		s.Errorf("a fresh target is at %d", n)
	}
	u.put(1, 7)
	u.put(8, 7)
	u.flush()
	if n := s.position(k); n != 7 {
		s.Errorf("the sink is at %d after 7", n)
	}
	none, err := k.Progress(s.ctx(), Partition(2))
	if err != nil || len(none) != 0 {
		s.Errorf("Progress of an unknown partition: %v, %v", none, err)
	}
	if err := u.Stop(s.ctx()); err != nil {
		s.Errorf("Stop: %v", err)
	}
	again, ok := s.start().SinkTask.(connectors.OffsetKeeper)
	if !ok || s.position(again) != 7 {
		s.Error("the position is lost after a restart")
	}
}

// fences checks I6: once another task has asked for the positions, the earlier one changes nothing any more. A sink that holds
// a lock refuses the second start instead.
func (s *sinkCheck) fences() {
	old := s.start()
	if _, ok := old.SinkTask.(connectors.OffsetKeeper); !ok {
		return
	}
	old.put(1, 3)
	old.flush()
	u := s.add()
	if err := u.Start(s.ctx(), u); err != nil {
		return // locked
	}
	k, _ := u.SinkTask.(connectors.OffsetKeeper)
	from := s.position(k) + 1
	stale := old.batch(4, 4)
	id := stale.ID
	err := old.Put(s.ctx(), stale)
	if err != nil {
		stale.Release()
	} else {
		err = old.Flush(s.ctx())
	}
	old.mu.Lock()
	if err == nil {
		err = old.failed
	}
	old.mu.Unlock()
	if err == nil || connectors.ClassOf(err) != connectors.Fenced {
		s.Errorf("a stale sink got %v, not a fenced error", err)
	}
	if old.wasAcked(id) {
		s.Error("a stale sink acknowledged a batch")
	}
	u.put(from, 6)
	u.flush()
	s.holds(6)
}

func (s *sinkCheck) setProgress() {
	u := s.start()
	k, ok := u.SinkTask.(connectors.OffsetKeeper)
	if !ok {
		return
	}
	u.put(1, 3)
	u.flush()
	for _, n := range []int{2, 0} {
		at := connectors.Progress{Partition: Partition(1)}
		if n > 0 {
			at.Offset, at.Through = FeedOffset(n), feedOrder(n)
		}
		if err := k.SetProgress(s.ctx(), []connectors.Progress{at}); err != nil {
			s.Fatalf("SetProgress: %v", err)
		}
		if got := s.position(k); got != n {
			s.Errorf("the position is %d after it was set to %d", got, n)
		}
	}
}
