package conformance

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// ahead bounds how many batches a source may have begun while nobody takes one.
const ahead = 64

func (s *sourceCheck) stopBeforeStart() {
	r := s.add()
	for range 2 {
		if err := s.call(s.ctx(), "Stop", r.task.Stop); err != nil {
			s.Errorf("Stop before Start: %v", err)
		}
	}
	r = s.start(nil)
	if err := s.call(s.ctx(), "Stop", r.task.Stop); err != nil {
		s.Errorf("Stop: %v", err)
	}
	// stopAll stops it again.
}

func (s *sourceCheck) cancelledStart() {
	r := s.add()
	// It may succeed when it needs no connection.
	s.innocent("Start", s.call(ended(), "Start", func(ctx context.Context) error { return r.task.Start(ctx, r) }))
}

func (s *sourceCheck) inOrder() {
	some, all := s.sizes(20, 25)
	r := s.first(some, nil)
	r.read(some)
	s.write(some+1, all)
	r.read(all)
	if n := total(r.at); s.h.Write != nil && n != all {
		s.Errorf("%d records came, %d were written", n, all)
	}
}

func (s *sourceCheck) pollEnds() {
	one, _ := s.sizes(1, 1)
	if s.h.Write == nil {
		one = s.h.Have
	}
	r := s.first(one, nil)
	r.read(one)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// By then Poll most likely waits; it must return in any case.
	defer time.AfterFunc(50*time.Millisecond, cancel).Stop()
	for {
		b, err := r.poll(ctx)
		if err == nil {
			r.take(b)
			r.release(b)
			continue
		}
		s.endedWith("Poll", err)
		return
	}
}

// endedWith checks the error of a call whose context has ended.
func (s *sourceCheck) endedWith(name string, err error) {
	s.Helper()
	if !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) && !errors.Is(err, connectors.ErrStopped) {
		s.Errorf("%s returned %v after its context had ended, not the context's error", name, err)
	}
	s.innocent(name, err)
}

// polled is what a Poll beside the check returned.
type polled struct {
	batch *connectors.Batch
	err   error
}

// pollBeside polls in a goroutine.
func (r *sourceRun) pollBeside(ctx context.Context) <-chan polled {
	out := make(chan polled, 1)
	go func() {
		b, err := r.task.Poll(ctx)
		if err == nil && b != nil {
			r.change(func() { r.held++ })
		}
		out <- polled{b, err}
	}()
	return out
}

// asks waits until the source asks for credit, or Poll has returned.
func (r *sourceRun) asks(p <-chan polled) (got polled, returned bool) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	asked := make(chan error, 1)
	go func() { asked <- r.until(ctx, func() bool { return r.waiting > 0 }) }()
	select {
	case got = <-p:
		return got, true
	case err := <-asked:
		if err != nil {
			r.Errorf("Poll neither asks for credit (SourceSession.NewBatch) nor returns, though there is something to read")
		}
		return polled{}, false
	}
}

// result waits for what a Poll beside the check returns in the end.
func (r *sourceRun) result(p <-chan polled) polled {
	r.Helper()
	done := make(chan error, 1)
	var got polled
	go func() { got = <-p; done <- nil }()
	_ = r.wait("Poll", done)
	return got
}

func (s *sourceCheck) waitsForCredit() {
	some, _ := s.sizes(3, 3)
	r := s.first(some, func(r *sourceRun) { r.blocked = true })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := r.pollBeside(ctx)
	got, returned := r.asks(p)
	cancel()
	if !returned {
		got = r.result(p)
	}
	if got.err == nil {
		if got.batch != nil {
			r.release(got.batch)
		}
		s.Fatalf("Poll returned a batch without credit: its builder is not from SourceSession.NewBatch")
	}
	s.innocent("Poll", got.err)
}

func (s *sourceCheck) readsNotAhead() {
	some, all := s.sizes(5, 40)
	r := s.first(some, func(r *sourceRun) { r.bounded = true })
	var held []*connectors.Batch
	defer func() {
		for _, b := range held {
			r.release(b)
		}
	}()
	ctx := s.ctx()
	for total(r.at) == 0 {
		b, err := r.poll(ctx)
		if err != nil {
			s.Fatalf("Poll: %v", err)
		}
		r.take(b)
		if total(r.at) == 0 {
			r.release(b) // a position
			continue
		}
		held = append(held, b)
	}
	s.write(some+1, all)
	p := r.pollBeside(ctx)
	for {
		got, returned := r.asks(p)
		if !returned {
			break
		}
		if got.err != nil {
			if errors.Is(got.err, io.EOF) && total(r.at) >= all {
				s.NotApplicable("all records came in batches that were begun before the credit was used up")
				return
			}
			s.Fatalf("Poll: %v", got.err)
		}
		// It was begun while there was credit.
		r.take(got.batch)
		held = append(held, got.batch)
		if total(r.at) >= all && s.h.Write == nil {
			s.NotApplicable("all %d records came in batches that were begun before the credit was used up; more records would show it", all)
			return
		}
		if len(held) > ahead {
			s.Fatalf("%d batches came while none was released", len(held))
		}
		p = r.pollBeside(ctx)
	}
	r.mu.Lock()
	if r.open > len(held)+ahead {
		s.Errorf("the source has %d batches on their way while none is taken", r.open-len(held))
	}
	r.mu.Unlock()
	for _, b := range held {
		r.release(b)
	}
	held = nil
	got := r.result(p)
	if got.err != nil {
		s.Fatalf("Poll: %v, when there was credit again", got.err)
	}
	r.take(got.batch)
	r.release(got.batch)
	r.read(all)
}

// positions tells whether the source can be resumed.
func (s *sourceCheck) positions() bool {
	s.Helper()
	switch {
	case s.h.NoResume && s.h.Own:
		s.NotApplicable("the source keeps its positions itself: see ResumesAtCommit")
	case s.h.NoResume:
		s.NotApplicable("the source has no positions to resume at")
	}
	return !s.h.NoResume
}

func (s *sourceCheck) resumes() {
	if !s.positions() {
		return
	}
	some, all := s.sizes(10, 15)
	r := s.first(some, nil)
	r.read(some)
	if len(s.marks) == 0 {
		s.Fatalf("no batch of %d records had an offset to resume at", some)
	}
	r.commit()
	r.stop()
	s.write(some+1, all)
	s.start(nil).read(all)
}

// uncommitted is how many records a source may have sent that waits for Commit, with some to spare: mosquitto's 20 are the fewest known.
const uncommitted = 12

// again starts another task: where Commit has the source, the session having no offset, or where the session has it.
func (s *sourceCheck) again(own bool) *sourceRun {
	s.Helper()
	if own {
		s.mu.Lock()
		clear(s.stored)
		s.mu.Unlock()
		s.marks = nil
	}
	return s.start(nil)
}

func (s *sourceCheck) resumesAtCommit() {
	if s.h.Write == nil {
		s.NotApplicable("what is committed does not come again: it takes a source that can be written to")
		return
	}
	s.asRead = false
	r := s.first(5, nil)
	r.read(5)
	r.commit()
	s.write(6, 10)
	r.read(10)
	r.stop()
	s.write(11, uncommitted)
	for range 2 {
		r = s.again(true)
		r.read(uncommitted)
		// As of a sink that keeps the offset: it says nothing of what this task has read.
		r.forget(s.kept.stored)
		r.stop()
	}
	r = s.again(true)
	r.read(uncommitted)
	r.commit()
	r.stop()
	s.write(uncommitted+1, uncommitted+1)
	r = s.again(true)
	r.read(uncommitted + 1)
	r.commit()
}

func (s *sourceCheck) resumesAnywhere() {
	if !s.positions() {
		return
	}
	some, all := s.sizes(6, 12)
	r := s.first(some, nil)
	r.read(some)
	s.write(some+1, all)
	r.read(all)
	r.stop()
	marks := slices.DeleteFunc(slices.Clone(s.marks), func(m mark) bool { return total(m.at) >= all })
	if len(s.marks) == 0 {
		s.Fatalf("no batch of %d records had an offset to resume at", all)
	}
	if len(marks) == 0 {
		s.NotApplicable("all records came as one batch, whose offset is behind all of them")
		return
	}
	if n := len(marks); s.h.Offsets > 0 && n > s.h.Offsets {
		s.Logf("resumed at %d of %d offsets", s.h.Offsets, n)
		rng := s.rand()
		rng.Shuffle(n, func(i, j int) { marks[i], marks[j] = marks[j], marks[i] })
		marks = marks[:s.h.Offsets]
	}
	for _, m := range marks {
		r := s.resume(m)
		r.read(all)
		r.stop()
	}
}

func (s *sourceCheck) commitBesidePoll() {
	r := s.start(nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	got := make(chan polled)
	go func() {
		defer close(got)
		for ctx.Err() == nil {
			b, err := r.task.Poll(ctx)
			select {
			case got <- polled{b, err}:
			case <-ctx.Done():
				if b != nil {
					b.Release()
				}
			}
			if err != nil {
				return
			}
		}
	}()
	_, all := s.sizes(5, 5)
	limit := s.ctx()
	for n := 1; n <= 5; n++ {
		s.write(n, n)
		for total(r.at) < min(n, all) {
			select {
			case p := <-got:
				if p.err != nil || p.batch == nil {
					s.Fatalf("Poll: %v", p.err)
				}
				r.take(p.batch)
				p.batch.Release()
			case <-limit.Done():
				s.Fatalf("no more than %d records came beside Commit, %s", total(r.at), r.place())
			}
		}
		r.commit()
	}
	cancel()
	done := make(chan error, 1)
	go func() {
		for p := range got {
			if p.batch != nil {
				p.batch.Release()
			}
		}
		done <- nil
	}()
	_ = s.wait("Poll", done)
	r.commit()
}

func (s *sourceCheck) poison() {
	if s.h.Poison == nil || s.h.Write == nil {
		s.NotApplicable("nothing is known that this source could not read")
		return
	}
	s.asRead = false
	all := 4
	if s.h.Number != nil { // else records are counted as they come
		s.left, all = map[int]bool{3: true}, 5
	}
	s.write(1, 2)
	s.h.Poison(s.T, 3)
	s.write(4, 5)
	begin := mark{stored: map[offsets.Partition]offsets.Offset{}, at: map[string]int{}}
	for p, o := range s.stored {
		begin.stored[p] = o
	}
	s.lenient = true
	r := s.start(nil)
	r.read(all)
	if len(r.tolerated) == 0 {
		s.Errorf("record 3 was left out without SourceSession.Tolerate")
	}
	r.stop()
	s.lenient = false
	r = s.resume(begin)
	ctx := s.ctx()
	for {
		b, err := r.poll(ctx)
		if err != nil {
			if c := connectors.ClassOf(err); len(r.tolerated) == 0 || c != connectors.Permanent {
				s.Errorf("Poll returned %v (%s), not the permanent error of Tolerate", err, c)
			}
			if n := total(r.at); s.left != nil && n < 2 {
				s.Errorf("a record is not tolerated, and %d of the 2 records before it came", n)
			}
			return
		}
		r.take(b)
		r.release(b)
		if s.left != nil && total(r.at) > 3 {
			s.Fatalf("the source went on behind a record that is not tolerated")
		}
	}
}

// rand makes the random numbers of a check.
func (s *sourceCheck) rand() *rand.Rand { return rand.New(rand.NewPCG(s.h.Seed, 2)) }

// schedule plays random steps: read, commit, stop, restart, resume at an older offset that is not committed, cancel a Poll, write.
func (s *sourceCheck) schedule() {
	own := s.h.waits()
	if !own && !s.positions() {
		return
	}
	s.asRead = false
	rng := s.rand()
	_, all := s.sizes(0, 40)
	written, committed := all, 0 // committed: index in marks + 1
	if s.h.Write != nil {
		written = 1 + rng.IntN(5)
	}
	r := s.first(written, nil)
	for step := 0; step < 60 && (step < 25 || total(r.at) < all); step++ {
		switch k := rng.IntN(10); {
		case k < 2 && written < all && s.h.Write != nil:
			n := min(all, written+1+rng.IntN(6))
			s.write(written+1, n)
			written = n
		case k < 6:
			if own && total(r.at)-total(s.kept.at) >= uncommitted {
				r.commit()
			}
			if total(r.at) < written {
				r.read(total(r.at) + 1)
			}
		case k == 6:
			r.commit()
			committed = len(s.marks)
		case k == 7:
			if r.cancelledPoll(rng) {
				continue
			}
			r.stop()
			r = s.again(own)
		case k == 8:
			r.stop()
			r = s.again(own)
		default:
			r.stop()
			if own || s.h.Own && rng.IntN(2) == 0 {
				r, committed = s.again(true), 0
			} else if n := len(s.marks); n > 0 {
				at := max(committed-1, 0) + rng.IntN(n-max(committed-1, 0))
				s.marks = s.marks[:at+1] // what came later was never stored
				committed = min(committed, at+1)
				r = s.resume(s.marks[at])
			} else {
				r = s.start(nil)
			}
		}
	}
	s.write(written+1, all)
	s.asRead = own
	r.read(all)
}

// cancelledPoll polls with a context that ends meanwhile; it tells whether there was a batch.
func (r *sourceRun) cancelledPoll(rng *rand.Rand) bool {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := r.pollBeside(ctx)
	if rng.IntN(2) == 0 {
		time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
	}
	cancel()
	got := r.result(p)
	if got.err != nil {
		r.endedWith("Poll", got.err)
		return false
	}
	r.take(got.batch)
	r.release(got.batch)
	return true
}
