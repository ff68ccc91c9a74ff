package conformance

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// reading is what is known of a source by having read it.
type reading struct {
	*Subject
	factory connectors.SourceFactory

	read      bool // FirstRun has ended
	have      int  // records
	offsets   bool // some batch had one
	ordered   bool // some record had an Order
	own       bool // Description.OwnOffsets
	resumable bool
	at        map[offsets.Partition]offsets.Offset // behind what was read, where records can be written
	open      int                                  // records that were written and lie behind at
	next      int                                  // the next number to write
}

// FactorySourceChecks checks a source of which only this is known. Its records are told apart by partition and content. Without
// Subject.Write each check reads what there is anew; with it, what it writes, behind all that was there.
func FactorySourceChecks(f connectors.SourceFactory, s *Subject) []Check {
	s.prepare()
	d := f.Describe()
	r := &reading{Subject: s, factory: f, own: d.OwnOffsets, next: s.First + 1}
	r.resumable = !d.OwnOffsets && (d.Resumes == nil || d.Resumes(s.Config))
	out := s.factoryChecks(f, true, func(t *scope, c connectors.Config) error {
		task, err := f.NewSource(c, s.settings())
		return attempt(t, task, err, func(ctx context.Context) error {
			return task.Start(ctx, &sourceRun{sourceCheck: &sourceCheck{scope: *t}, changed: make(chan struct{}), blocked: true})
		})
	})
	out = append(out, Check{Name: "FirstRun", Shows: "records come, in order, with offsets", Run: r.first})
	if s.Write == nil {
		out = append(out, Check{Name: "ReadsTheSame", Shows: "what is read from the start again is the same", Run: r.same})
	}
	for _, c := range SourceChecks(Source{Own: r.own}) {
		out = append(out, Check{Name: c.Name, Shows: c.Shows, Run: func(t T) { r.run(t, c.Name) }})
	}
	return out
}

// harness is that of the source as it is known by now.
func (r *reading) harness() Source {
	h := Source{
		New: func(t T) func() connectors.SourceTask {
			config := r.task(t, r.factory)
			return func() connectors.SourceTask {
				task, err := r.factory.NewSource(config, r.settings())
				if err != nil {
					t.Fatalf("make a source: %v", err)
				}
				return task
			}
		},
		Have: min(r.have, r.Records), NoOrder: r.read && !r.ordered, Replays: r.ordered && !r.own, Own: r.own, NoResume: !r.resumable || r.read && !r.offsets,
		Offsets: 20, Patience: r.Patience, Seed: r.Seed, Processes: r.Processes,
	}
	if r.Subject.Write == nil {
		return h
	}
	h.Started = h.NoResume && !r.own
	if !r.own {
		h.At = func() []offsets.Entry {
			var out []offsets.Entry
			for p, o := range r.at {
				out = append(out, offsets.Entry{Partition: p, Offset: o})
			}
			return out
		}
	}
	write := func(t T, n int, do func(ctx context.Context, from, to int) error) {
		t.Helper()
		sc := &scope{t, r.Patience}
		if err := sc.call(sc.ctx(), "the command that writes to the source", func(ctx context.Context) error {
			return do(ctx, r.next, r.next+n-1)
		}); err != nil {
			t.Fatalf("%v", err)
		}
		r.next += n
	}
	h.Write = func(t T, from, to int) {
		t.Helper()
		write(t, to-from+1, r.Subject.Write)
		r.open += to - from + 1
	}
	if r.Subject.Poison != nil && !h.Started {
		h.Poison = func(t T, _ int) {
			t.Helper()
			write(t, 1, func(ctx context.Context, n, _ int) error { return r.Subject.Poison(ctx, n) })
		}
	}
	h.after = r.keep
	return h
}

// keep keeps the place behind what a check has read.
func (r *reading) keep(s *sourceCheck) {
	if r.own {
		r.open -= total(s.kept.at)
		return
	}
	for i := len(s.marks) - 1; i >= 0; i-- {
		m := s.marks[i]
		if n := s.wrote - total(m.at); n >= 0 {
			r.at, r.open = m.stored, r.open-total(m.at)
			return
		}
	}
}

// first reads the source for the first time; where records can be written, it reads what is there and then what it writes.
func (r *reading) first(t T) {
	s := newSourceCheck(t, r.harness())
	t.Cleanup(func() { s.stopAll() })
	compare := s.leftBehind(r.Processes, nil)
	run, ended := r.untilIdle(s.start(nil))
	r.have, r.offsets = total(run.at), len(s.marks) > 0
	if n := len(s.marks); n > 0 {
		r.at = s.marks[n-1].stored
	}
	if r.Subject.Write != nil && !ended {
		was := total(run.at)
		s.write(1, r.Records)
		run.read(was + r.Records)
		r.have, r.offsets, r.open = total(run.at), len(s.marks) > 0, 0
		if r.have != was+r.Records {
			t.Errorf("%d records came, %d were written", r.have-was, r.Records)
		}
		if n := len(s.marks); n > 0 {
			r.at, r.open = s.marks[n-1].stored, r.have-total(s.marks[n-1].at)
		}
	}
	for _, list := range s.known {
		for _, rec := range list {
			r.ordered = r.ordered || rec.order != connectors.Order{}
		}
	}
	r.read = true
	s.stopAll()
	compare()
	r.tell(t, ended)
}

// tell says what was found.
func (r *reading) tell(t T, ended bool) {
	switch {
	case r.have == 0:
		t.NotApplicable("no record came within %s; a configuration whose source has some, or --write, would show more", r.Idle)
		return
	case ended:
		t.Logf("%d records came, then the source ended", r.have)
	default:
		t.Logf("%d records came", r.have)
	}
	if !r.ordered {
		t.Logf("records have no Order: of several sinks, each may get again what another one lacks")
	}
	switch {
	case r.own:
		t.Logf("the source keeps its offsets itself")
	case !r.resumable:
		t.Logf("the source says that this configuration has no positions to resume at")
	case !r.offsets:
		t.Errorf("no batch of %d records had an offset, and Description.Resumes does not say that there are none", r.have)
	}
}

// untilIdle polls until nothing comes for a while or the source has ended; where nothing can be written, until there are enough records.
func (r *reading) untilIdle(run *sourceRun) (now *sourceRun, ended bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for r.Subject.Write != nil || total(run.at) < r.Records {
		p := run.pollBeside(ctx)
		timer := time.NewTimer(r.Idle)
		var got polled
		select {
		case got = <-p:
		case <-timer.C:
			cancel()
			if got = run.result(p); got.err != nil {
				run.endedWith("Poll", got.err)
				return r.again(run), false
			}
		}
		timer.Stop()
		if got.err == io.EOF { //nolint:errorlint // as the runtime has it
			return run, true
		}
		if got.err != nil || got.batch == nil {
			run.Fatalf("Poll: %v after %d records", got.err, total(run.at))
		}
		run.took(got.batch)
	}
	return run, false
}

// again starts a task where this one was, of which a Poll was ended, if there is more to read.
func (r *reading) again(run *sourceRun) *sourceRun {
	if r.Subject.Write == nil {
		return run
	}
	run.stop()
	if r.own || !r.resumable {
		run.known, run.keys, run.marks = map[string][]seen{}, map[string][]int{}, nil // what comes now is new
	}
	return run.again(r.own)
}

// same reads from the start again.
func (r *reading) same(t T) {
	if r.have == 0 || !r.resumable && !r.own {
		t.NotApplicable("the source has no records, or none that come again")
		return
	}
	s := newSourceCheck(t, r.harness())
	t.Cleanup(func() { s.stopAll() })
	s.start(nil).read(s.h.Have)
	s.stopAll()
	first := s.known
	s.known, s.marks = map[string][]seen{}, nil
	clear(s.stored)
	clear(s.highest)
	s.start(nil).read(s.h.Have)
	for group, list := range s.known {
		for i := range list {
			if was := first[group]; i < len(was) && was[i].text != list[i].text {
				t.Errorf("record %d of %s is %s, at the first reading it was %s", i+1, group, list[i].text, was[i].text)
				return
			}
		}
	}
}

var errNothing = errors.New("the source has no records; a configuration whose source has some, or --write, would show it")

// run runs one check of SourceChecks.
func (r *reading) run(t T, name string) {
	h := r.harness()
	for _, c := range SourceChecks(h) {
		if c.Name != name {
			continue
		}
		if name != "StopBeforeStart" && name != "CancelledStart" {
			switch {
			case !r.read:
				t.NotApplicable("the source could not be read: see FirstRun")
				return
			case h.Write == nil && (r.have == 0 || h.NoResume && !r.own):
				t.NotApplicable("%v", errNothing)
				return
			}
			if h.Write != nil {
				r.catchUp(t, h)
			}
		}
		c.Run(t)
	}
}

// catchUp reads what earlier checks have written and not read, or not committed.
func (r *reading) catchUp(t T, h Source) {
	t.Helper()
	if r.open <= 0 || h.Started {
		return
	}
	s := newSourceCheck(t, h)
	defer s.stopAll()
	run := s.start(nil)
	run.read(r.open)
	if n := len(s.marks); n > 0 {
		r.at = s.marks[n-1].stored
	}
	r.open = 0
}
