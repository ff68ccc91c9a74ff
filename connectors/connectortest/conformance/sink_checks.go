package conformance

import (
	"context"
	"slices"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// unread says that the target is not known.
func (s *sinkCheck) unread(what string) {
	if s.h.Read == nil {
		s.NotApplicable(partly+"what the target holds is not known, so %s is not checked", what)
	}
}

func (s *sinkCheck) stopBeforeStart() {
	u := s.add()
	for range 2 {
		u.stop()
	}
	u = s.start()
	for range 2 {
		u.stop()
	}
}

func (s *sinkCheck) cancelledStart() {
	u := s.add()
	// It may succeed when it needs no connection.
	s.innocent("Start", s.call(ended(), "Start", func(ctx context.Context) error { return u.Start(ctx, u) }))
}

func (s *sinkCheck) flushMakesDurable() {
	s.unread("that it holds what was flushed")
	u := s.start()
	u.flush() // nothing
	n := 0
	for size := 1; size <= 64; size *= 4 {
		u.put(n+1, n+size)
		n += size
	}
	u.put(n+1, n+1)
	u.flushed()
	s.holds(n + 1)
	u.put(n+2, n+2)
	u.flushed()
	s.holds(n + 2)
}

// acksWhatIsDurable reads the target while the sink waits in Ack.
func (s *sinkCheck) acksWhatIsDurable() {
	if s.h.Read == nil {
		s.NotApplicable("what the target holds is not known")
		return
	}
	u := s.start()
	acks, seen := make(chan connectors.BatchID), make(chan struct{})
	over := make(chan struct{})
	defer close(over)
	u.onAck = func(id connectors.BatchID) {
		select {
		case acks <- id:
			select {
			case <-seen:
			case <-over:
			}
		case <-over:
		}
	}
	batches := []*connectors.Batch{u.batch(1, 3), u.batch(4, 9), u.batch(10, 10)}
	done := make(chan error, 1)
	go func() {
		for i, b := range batches {
			if err := u.Put(s.ctx(), b); err != nil {
				for _, rest := range batches[i:] {
					rest.Release()
				}
				done <- err
				return
			}
		}
		done <- u.Flush(s.ctx())
	}()
	for {
		select {
		case id := <-acks:
			held := s.h.Read(s.T)
			u.mu.Lock()
			span := u.spans[id]
			u.mu.Unlock()
			for n := span[0]; n <= span[1]; n++ {
				if !slices.Contains(held, n) {
					s.Errorf("number %d was acknowledged while the target holds %v", n, held)
					break
				}
			}
			seen <- struct{}{}
		case err := <-done:
			if err != nil {
				s.Fatalf("Put and Flush: %v", err)
			}
			return
		case <-s.ctx().Done():
			s.Fatalf("Put and Flush do not return")
		}
	}
}

func (s *sinkCheck) positions() {
	u := s.start()
	first := u.put(1, 3)
	position := u.put(4, 3)
	u.flushed()
	u.mu.Lock()
	at, before := slices.Index(u.order, position), slices.Index(u.order, first)
	order := slices.Clone(u.order)
	u.mu.Unlock()
	if at < 0 || before < 0 || at < before {
		s.Errorf("acknowledged %v: a position comes after the batches before it", order)
	}
	alone := u.put(4, 3)
	u.flush()
	if !u.wasAcked(alone) {
		s.Errorf("a position alone is not acknowledged by Flush")
	}
	s.holds(3)
}

// changes creates 1 … 9, updates 1 … 6 and deletes 7 … 9; then it creates 10, and 7 again.
func (s *sinkCheck) changes() {
	if s.h.Fill != nil {
		s.NotApplicable("the harness makes records of its own")
		return
	}
	u := s.start()
	u.tolerant = true
	base, at := s.h.Base(), 9
	u.put(1, 9)
	put := func(op connectors.Op, text string, from, to int) {
		b := u.build(1, at+to-from+1, func(w *connectors.Builder) {
			stream := w.Stream(Numbers())
			for n := from; n <= to; n++ {
				at++
				appendChange(w, stream, op, base+n, base+at, text)
			}
		})
		if err := u.try(s.ctx(), b); err != nil {
			s.Fatalf("Put of changes of kind %c: %v", op.Letter(), err)
		}
	}
	put(connectors.OpUpdate, "changed", 1, 6)
	put(connectors.OpDelete, "gone", 7, 9)
	u.flushed()
	for _, e := range u.events {
		if e.what == "reject" {
			s.NotApplicable(partly+"the sink rejects changes that are not creates: %v", e.cause)
			return
		}
	}
	want := []int{1, 2, 3, 4, 5, 6}
	if s.h.Mirror {
		s.has(want, true)
	}
	put(connectors.OpCreate, "new", 10, 10)
	put(connectors.OpCreate, "again", 7, 7)
	u.flushed()
	if s.h.Texts != nil {
		texts := s.h.Texts(s.T)
		for n, want := range map[int]string{1: "changed", 6: "changed", 7: "again", 10: "new"} {
			if texts != nil && texts[n] != want {
				s.Errorf("the newest text of number %d in the target is %q, not %q", n, texts[n], want)
			}
		}
	}
	switch {
	case s.h.Read == nil:
		s.unread("what became of them")
	case s.h.Mirror && s.h.Unordered:
		s.has([]int{1, 2, 3, 4, 5, 6, 7, 10}, true)
	case s.h.Mirror:
		got := s.h.Read(s.T)
		slices.Sort(got)
		if !slices.Equal(got, []int{1, 2, 3, 4, 5, 6, 7, 10}) {
			s.Errorf("the target holds %v, not 1…7 and 10", got)
		}
	default:
		got := s.h.Read(s.T)
		for _, n := range append(want, 7, 10) {
			if !slices.Contains(got, n) {
				s.Errorf("the target holds %v: number %d is missing", got, n)
			}
		}
	}
}

func (s *sinkCheck) bodies() {
	if !s.h.Topics {
		s.NotApplicable("the sink does not say that it takes records of topics (Description.FromTopics)")
		return
	}
	u := s.start()
	base := s.h.Base()
	b := u.build(1, 5, func(w *connectors.Builder) {
		numbers := Numbers()
		topic := &connectors.Stream{Topic: numbers.Topic}
		stream := w.Stream(topic)
		for n := 1; n <= 5; n++ {
			appendBody(w, stream, numbers, base+n)
		}
	})
	if err := u.try(s.ctx(), b); err != nil {
		s.Fatalf("Put of materialised records: %v", err)
	}
	u.flushed()
	s.unread("that they are there")
	s.holds(5)
}

func (s *sinkCheck) cancelledPut() {
	u := s.start()
	if err := u.try(ended(), u.batch(1, 3)); err != nil {
		s.innocent("Put", err)
		u.put(1, 3)
	}
	u.flushed()
	s.holds(3)
}

func (s *sinkCheck) cancelledFlush() {
	u := s.start()
	u.put(1, 20)
	err := u.tryFlush(ended())
	s.innocent("Flush", err)
	s.innocent("SinkSession.Fail", u.failure())
	if err == nil {
		u.mu.Lock()
		if u.acked[1] != 1 {
			s.Errorf("Flush returned nil, and the batch is not acknowledged")
		}
		u.mu.Unlock()
	}
	durable := u.durable(0)
	u.stop()
	u = s.add()
	u.start()
	from := durable + 1
	if k, ok := u.keeper(); ok {
		if from = s.position(k) + 1; from <= durable {
			s.Errorf("the sink is at %d, it had acknowledged %d", from-1, durable)
		}
	}
	if from <= 20 {
		u.put(from, 20)
	}
	u.flushed()
	s.holds(20)
}

func (s *sinkCheck) stopReleases() {
	u := s.start()
	u.put(1, 5)
	u.put(6, 10)
	u.stop() // sees to it that everything was released, once
	before := u.durable(0)
	if n := len(u.order); n > 0 {
		s.Logf("%d of 2 batches were durable before Stop", n)
	}
	if s.h.Read == nil {
		return
	}
	held := s.h.Read(s.T)
	for n := 1; n <= before; n++ {
		if !slices.Contains(held, n) {
			s.Errorf("number %d was acknowledged, and the target holds %v after Stop", n, held)
		}
	}
}

func (s *sinkCheck) sentAgain() {
	u := s.start()
	u.put(1, 5)
	u.flushed()
	u.put(6, 9)
	u.stop()
	from := 6
	u = s.add()
	u.start()
	if k, ok := u.keeper(); ok {
		from = s.position(k) + 1
		if from < 6 {
			s.Errorf("the sink is at %d, it had acknowledged 5", from-1)
		}
	}
	u.put(from, 12)
	u.flushed()
	s.unread("that nothing is missing or twice")
	s.holds(12)
}

// sentFromEarlier sends everything once more, as after a user has set the offsets back.
func (s *sinkCheck) sentFromEarlier() {
	if s.h.Read == nil {
		s.NotApplicable("what the target holds is not known")
		return
	}
	u := s.start()
	u.put(1, 5)
	u.put(6, 10)
	u.flushed()
	u.stop()
	u = s.add()
	u.start()
	if k, ok := u.keeper(); ok {
		s.set(k, 0)
		u.stop()
		u = s.start()
	}
	u.put(1, 4)
	u.put(5, 12)
	u.flushed()
	want := make([]int, 12)
	for i := range want {
		want[i] = i + 1
	}
	s.has(want, s.h.Mirror)
	if !s.h.Mirror {
		s.NotApplicable(partly + "the sink does not say that what comes again is there once")
	}
}

// position is what a keeper says of the partition.
func (s *sinkCheck) position(k connectors.OffsetKeeper) int {
	s.Helper()
	p := s.h.Partition()
	for _, at := range s.progress(k) {
		if at.Partition != p || at.Offset == "" {
			continue
		}
		n, err := ParseOffset(at.Offset)
		if err != nil {
			s.Fatalf("Progress: offset %s: %v", at.Offset, err)
		}
		if none := (connectors.Order{}); at.Through != Order(n) && at.Through != none { // an only sink may keep none
			s.Errorf("Progress: offset %s comes with order %s", at.Offset, at.Through.Text())
		}
		return n - s.h.Base()
	}
	return 0
}

func (s *sinkCheck) progress(k connectors.OffsetKeeper, p ...offsets.Partition) []connectors.Progress {
	s.Helper()
	var list []connectors.Progress
	if err := s.call(s.ctx(), "Progress", func(ctx context.Context) (err error) {
		list, err = k.Progress(ctx, p...)
		return err
	}); err != nil {
		s.Fatalf("Progress: %v", err)
	}
	return list
}

// set sets the position of the partition; 0 deletes it.
func (s *sinkCheck) set(k connectors.OffsetKeeper, n int) {
	s.Helper()
	at := connectors.Progress{Partition: s.h.Partition()}
	if n > 0 {
		at.Offset, at.Through = Offset(s.h.Base()+n), Order(s.h.Base()+n)
	}
	if err := s.call(s.ctx(), "SetProgress", func(ctx context.Context) error { return k.SetProgress(ctx, []connectors.Progress{at}) }); err != nil {
		s.Fatalf("SetProgress: %v", err)
	}
}

// needsKeeper tells whether the sink keeps positions.
func (s *sinkCheck) needsKeeper(u *sinkRun) (connectors.OffsetKeeper, bool) {
	k, ok := u.keeper()
	if !ok {
		s.NotApplicable("the sink does not keep positions (OffsetKeeper)")
	}
	return k, ok
}

func (s *sinkCheck) keepsOffsets() {
	u := s.start()
	k, ok := s.needsKeeper(u)
	if !ok {
		return
	}
	if n := s.position(k); n != 0 {
		s.Errorf("a fresh target is at %d", n)
	}
	u.put(1, 7)
	u.put(8, 7)
	u.flushed()
	if n := s.position(k); n != 7 {
		s.Errorf("the sink is at %d after 7", n)
	}
	if none := s.progress(k, offsets.Partition(`{"feed":"unknown"}`)); len(none) != 0 {
		s.Errorf("Progress of an unknown partition: %v", none)
	}
	u.stop()
	if again, ok := s.start().keeper(); !ok || s.position(again) != 7 {
		s.Errorf("the position is lost after a restart")
	}
}

// fences checks I6: once another task has asked for the positions, the earlier one changes nothing any more. A sink that holds
// a lock refuses the second start instead.
func (s *sinkCheck) fences() {
	old := s.start()
	if _, ok := s.needsKeeper(old); !ok {
		return
	}
	old.put(1, 3)
	old.flushed()
	u := s.add()
	if err := s.call(s.ctx(), "Start", func(ctx context.Context) error { return u.Start(ctx, u) }); err != nil {
		s.Logf("a second task is refused: %v", err)
		return
	}
	k, _ := u.keeper()
	from := s.position(k) + 1
	stale := old.batch(4, 4)
	id := stale.ID
	err := old.try(s.ctx(), stale)
	if err == nil {
		err = old.tryFlush(s.ctx())
	}
	if err == nil {
		err = old.failure()
	}
	if err == nil || connectors.ClassOf(err) != connectors.Fenced {
		s.Errorf("a stale sink got %v, not a fenced error", err)
	}
	if old.wasAcked(id) {
		s.Errorf("a stale sink acknowledged a batch")
	}
	u.put(from, 6)
	u.flushed()
	s.holds(6)
}

func (s *sinkCheck) setProgress() {
	u := s.start()
	k, ok := s.needsKeeper(u)
	if !ok {
		return
	}
	u.put(1, 3)
	u.flushed()
	for _, n := range []int{2, 0} {
		s.set(k, n)
		if got := s.position(k); got != n {
			s.Errorf("the position is %d after it was set to %d", got, n)
		}
	}
}
