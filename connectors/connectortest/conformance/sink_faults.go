package conformance

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// Sizes of what is put while the target is stuck.
const (
	stuckBatches = 48
	stuckRecords = 8
	stuckWidth   = 4096
)

// stuck puts batches while the target accepts nothing: until Put blocks, or there are enough. What was taken and is not acknowledged
// must be held, or charged.
func (s *sinkCheck) stuck() {
	if s.h.Stick == nil || s.h.Fill != nil {
		s.NotApplicable("it is not known how to make this target accept nothing")
		return
	}
	u := s.start()
	u.put(1, 1)
	u.flushed()
	release := s.h.Stick(s.T)
	n, rng := 1, s.rand()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	blocked := make(chan error, 1)
	taken, waits := 0, false
	for taken < stuckBatches && !waits {
		from := n + 1
		b := u.build(from, n+stuckRecords, func(w *connectors.Builder) { s.wide(w, rng, from, n+stuckRecords) })
		n += stuckRecords
		go func() {
			err := u.Put(ctx, b)
			if err != nil {
				u.mu.Lock()
				u.refused[b.ID] = true
				u.mu.Unlock()
				b.Release()
			}
			blocked <- err
		}()
		select {
		case err := <-blocked:
			if err != nil {
				release()
				s.Fatalf("Put while the target is stuck: %v", err)
			}
			taken++
		case <-time.After(time.Second):
			waits = true // or is slow: nothing depends on it
		}
	}
	u.mu.Lock()
	held, open := u.charged, 0
	for id := connectors.BatchID(2); id <= u.next; id++ {
		if u.acked[id] == 0 && !u.refused[id] {
			open++
			if u.released[id] == 0 {
				held += stuckRecords * stuckWidth
			}
		}
	}
	u.mu.Unlock()
	if waits {
		open--
		held -= stuckRecords * stuckWidth
	}
	release()
	// The text does not compress to less than a half; some bytes may be in the buffers of a connection.
	if want := (open*stuckRecords*stuckWidth)/2 - 1<<20/4; held < want {
		s.Errorf("%d batches of %d bytes were taken and not acknowledged, but only %d bytes are held or charged (SinkSession.Charge)", open, stuckRecords*stuckWidth, held)
	}
	if waits {
		if err := s.wait("Put", blocked); err != nil {
			s.Fatalf("Put, when the target was free again: %v", err)
		}
	}
	u.flushed()
	s.holds(n)
}

// wide adds numbers with texts that do not compress well.
func (s *sinkCheck) wide(w *connectors.Builder, rng *rand.Rand, from, to int) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	stream := w.Stream(Numbers())
	for n := s.h.Base() + from; n <= s.h.Base()+to; n++ {
		begin(w, stream, connectors.OpCreate, n, n)
		text := w.Grow(connectors.KindText, stuckWidth)
		for i := range text {
			text[i] = letters[rng.IntN(len(letters))]
		}
		w.Commit()
	}
}

// poison finds a record that the sink cannot write and looks at how it says so.
func (s *sinkCheck) poison() {
	list := []poison{{"a record that cannot be written", false, s.h.Poison}}
	if s.h.Poison == nil {
		if s.h.Fill != nil {
			s.NotApplicable("the harness makes records of its own")
			return
		}
		list = poisons()
	}
	n, found := 0, 0
	for i, p := range list {
		rejected := s.tolerated(p, &n, i == 0)
		if !rejected && s.h.Poison != nil {
			s.Errorf("%s was swallowed: the sink rejected nothing (SinkSession.Reject)", p.what)
			return
		}
		if rejected {
			found++
			s.refused(p, n)
			s.settles(p, n)
			break
		}
	}
	if found == 0 {
		s.NotApplicable("the sink takes every record that was tried")
	}
}

// mixed is a batch with the numbers after n, the second of them poison.
func (u *sinkRun) mixed(p poison, n int) *connectors.Batch {
	return u.build(n+1, n+3, func(w *connectors.Builder) {
		u.check.fill(w, n+1, n+1)
		p.add(w, u.check.h.Base()+n+2)
		u.check.fill(w, n+3, n+3)
	})
}

// resume is a task behind number n.
func (s *sinkCheck) resume(n int) *sinkRun {
	s.Helper()
	u := s.add()
	u.start()
	if k, ok := u.keeper(); ok {
		if at := s.position(k); at > n {
			s.Errorf("the sink is at %d, it had %d", at, n)
		}
	}
	return u
}

// tolerated puts a poisoned batch to a session that tolerates it; it tells whether the record was rejected.
func (s *sinkCheck) tolerated(p poison, n *int, fresh bool) bool {
	s.Helper()
	var u *sinkRun
	if fresh {
		u = s.start()
	} else {
		u = s.resume(*n)
	}
	defer u.stop()
	u.tolerant = true
	b := u.mixed(p, *n)
	id := b.ID
	err := u.try(s.ctx(), b)
	if err == nil {
		err = u.tryFlush(s.ctx())
	}
	if err == nil {
		err = u.failure()
	}
	u.mu.Lock()
	events := slices.Clone(u.events)
	u.mu.Unlock()
	first := slices.IndexFunc(events, func(e event) bool { return e.what == "reject" })
	if err != nil {
		s.Fatalf("%s: the sink failed with %v; it has rejected %d records (SinkSession.Reject), all of which were tolerated", p.what, err, u.rejected)
	}
	if !u.wasAcked(id) {
		s.Errorf("%s: the batch is not acknowledged after Flush, though the record is tolerated", p.what)
	}
	if first < 0 {
		if s.h.Read != nil && p.seen && !slices.Contains(s.h.Read(s.T), *n+2) {
			s.Errorf("%s was swallowed: it is neither in the target nor was it rejected (SinkSession.Reject)", p.what)
		}
		*n += 3
		return false
	}
	if e := events[first]; e.batch != id || e.index != 1 || u.rejected != 1 {
		s.Errorf("%s is record 1 of batch %d; %d records were rejected, the first was record %d of batch %d", p.what, id, u.rejected, e.index, e.batch)
	}
	if _, ok := u.keeper(); ok {
		settled := slices.IndexFunc(events[first:], func(e event) bool { return e.what == "settle" })
		ack := slices.IndexFunc(events[first:], func(e event) bool { return e.what == "ack" && e.batch == id })
		if settled < 0 || settled > ack {
			s.Errorf("%s: the position behind a rejected record became durable without SinkSession.Settle before it (I1)", p.what)
		}
	}
	if s.h.Read != nil {
		held := s.h.Read(s.T)
		if slices.Contains(held, *n+2) || !slices.Contains(held, *n+1) || !slices.Contains(held, *n+3) {
			s.Errorf("%s was rejected as number %d; the target holds %v", p.what, *n+2, held)
		}
	}
	*n += 3
	return true
}

// refused puts a poisoned batch to a session that tolerates nothing.
func (s *sinkCheck) refused(p poison, n int) {
	s.Helper()
	u := s.resume(n)
	defer u.stop()
	b := u.mixed(p, n)
	id := b.ID
	err := u.try(s.ctx(), b)
	if err == nil {
		if err = u.tryFlush(s.ctx()); err == nil || u.failure() != nil {
			err = u.failure()
		}
	}
	switch {
	case u.rejected == 0:
		s.Errorf("%s was not rejected the second time", p.what)
	case err == nil:
		s.Errorf("%s is not tolerated, and the sink does not fail with the error of SinkSession.Reject", p.what)
	case connectors.ClassOf(err) != connectors.Permanent:
		s.Errorf("%s is not tolerated; the sink failed with the %s error %v, Reject's is permanent", p.what, connectors.ClassOf(err), err)
	}
	if u.wasAcked(id) {
		s.Errorf("%s is not tolerated, and its batch was acknowledged", p.what)
	}
}

var errNotSettled = errors.New("the dead-letter queue cannot be reached")

// settles checks that no position passes a rejected record that is not durable in the dead-letter queue (I1).
func (s *sinkCheck) settles(p poison, n int) {
	s.Helper()
	u := s.resume(n)
	if _, ok := u.keeper(); !ok {
		return
	}
	u.tolerant, u.settle = true, errNotSettled
	b := u.mixed(p, n)
	id := b.ID
	err := u.try(s.ctx(), b)
	if err == nil {
		if err = u.tryFlush(s.ctx()); err == nil || u.failure() != nil {
			err = u.failure()
		}
	}
	if err == nil {
		s.Errorf("SinkSession.Settle failed, and the sink did not")
	}
	if u.wasAcked(id) {
		s.Errorf("a batch was acknowledged though SinkSession.Settle had failed")
	}
	u.stop()
	u = s.resume(n) // looks at the position
	u.stop()
}

// schedule plays random steps: put, put a position, flush, cancel, stop, restart, send again.
func (s *sinkCheck) schedule() {
	s.unread("that nothing is lost")
	rng := s.rand()
	u, n, durable := s.start(), 0, 0
	const all = 100
	restart := func() {
		durable = u.durable(durable)
		u.stop()
		durable = u.durable(durable)
		u = s.add()
		u.start()
		switch k, ok := u.keeper(); {
		case ok:
			n = s.position(k)
			if n < durable {
				s.Fatalf("the sink is at %d, it had acknowledged %d", n, durable)
			}
		case s.h.Mirror || !s.h.ExactlyOnce:
			n = rng.IntN(durable + 1) // the offset may be stored later than the data
		default:
			n = durable
		}
	}
	for step := 0; step < 60 && (step < 30 || n < all); step++ {
		switch k := rng.IntN(20); {
		case k < 9 && n < all:
			to := min(all, n+1+rng.IntN(20))
			u.put(n+1, to)
			n = to
		case k < 11:
			u.put(n+1, n)
		case k < 14:
			u.flushed()
		case k < 16 && n < all:
			if err := u.try(ended(), u.batch(n+1, n+1)); err == nil {
				n++
			} else {
				s.innocent("Put", err)
			}
		case k == 16:
			s.innocent("Flush", u.tryFlush(ended()))
			restart()
		default:
			restart()
		}
	}
	for n < all {
		to := min(all, n+40)
		u.put(n+1, to)
		n = to
	}
	u.flushed()
	s.holds(all)
}
