package conformance

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Source is what the checks need of a source.
type Source struct {
	// New empties the source and returns what makes tasks that read it.
	New func(t T) func() connectors.SourceTask
	// Write adds records with the numbers from … to to what the tasks read; nil: the source has the records 1 … Have, and gets no more.
	Write func(t T, from, to int)
	Have  int
	// Number returns the number of a record; 0: not one of ours (a heartbeat). nil: every record counts, in the order of its partition.
	Number func(b *connectors.Batch, r *connectors.Record) int
	// At is where a fresh source begins; nil: at its start.
	At func() []offsets.Entry
	// Started: what is written before the first Start does not come.
	Started bool
	// Poison adds, as number n, something that cannot be turned into a record; nil: nothing is known that could not.
	Poison func(t T, n int)
	// Replays: after a resume records before the offset may come again, with the same Order.
	Replays bool
	// NoOrder: Record.Order says nothing.
	NoOrder bool
	// NoResume: the source cannot be resumed at an offset of the session.
	NoResume bool
	// Own: the source goes on behind what Commit said, also without an offset of the session (Description.OwnOffsets). Such a source may
	// wait for Commit after twenty records; records that come again may have another Order, above all that there were.
	Own bool
	// Offsets bounds from how many offsets the source is resumed; 0: from all.
	Offsets int
	// Patience bounds each wait; 0: 20 s.
	Patience time.Duration
	// Seed makes the schedule of faults.
	Seed uint64
	// Processes: the tasks start processes, which end with them.
	Processes bool
	// Ignore tells goroutines of a server in this process, which may outlive a stopped source.
	Ignore []goleak.Option

	after func(*sourceCheck) // sees a check that has ended
}

// SourceChecks checks the contract of connectors.SourceTask. Each check has a fresh source.
func SourceChecks(h Source) []Check {
	if h.Patience == 0 {
		h.Patience = defaultPatience
	}
	list := []checkOf[*sourceCheck]{
		{"StopBeforeStart", "Stop is safe before Start and twice", (*sourceCheck).stopBeforeStart},
		{"CancelledStart", "Start returns when its context ends, and does not call that its own failure", (*sourceCheck).cancelledStart},
		{"InOrder", "every record comes once, in order; Order grows; partitions and offsets are well formed", (*sourceCheck).inOrder},
		{"PollEndsWithContext", "a Poll that waits returns when its context ends", (*sourceCheck).pollEnds},
		{"WaitsForCredit", "no batch comes without credit", (*sourceCheck).waitsForCredit},
		{"ReadsNotAhead", "with the credit used up nothing more comes until a batch is released", (*sourceCheck).readsNotAhead},
		{"ResumesWithoutGap", "a restart goes on behind the last offset, with what was written meanwhile", (*sourceCheck).resumes},
		{"ResumesFromEveryOffset", "from every offset that was handed out the same records follow, with the same Order", (*sourceCheck).resumesAnywhere},
		{"CommitBesidePoll", "Commit runs beside Poll", (*sourceCheck).commitBesidePoll},
		{"Poison", "what cannot be read is handed out, and left out where that is tolerated", (*sourceCheck).poison},
		{"FaultSchedule", "nothing is lost or repeated through random stops, restarts, cancelled calls and resumes", (*sourceCheck).schedule},
	}
	if h.Own {
		list = append(list, checkOf[*sourceCheck]{"ResumesAtCommit", "after a restart what was committed does not come again, and all else does", (*sourceCheck).resumesAtCommit})
	}
	return checksOf(list, func(t T) *sourceCheck {
		s := newSourceCheck(t, h)
		t.Cleanup(func() {
			if h.after != nil {
				h.after(s)
			}
			if s.replayed > 0 {
				t.Logf("%d records came again behind an offset, with the Order that they had", s.replayed)
			}
		})
		return s
	}, h.Processes, h.Ignore)
}

// waits tells that the source may wait for Commit.
func (h *Source) waits() bool { return h.Own && h.NoResume && h.Write != nil }

func newSourceCheck(t T, h Source) *sourceCheck {
	s := &sourceCheck{
		scope: scope{t, h.Patience}, h: h, known: map[string][]seen{}, keys: map[string][]int{},
		stored: map[offsets.Partition]offsets.Offset{}, state: map[offsets.Partition]offsets.Offset{},
		highest: map[offsets.Partition]connectors.Order{}, began: time.Now(), asRead: h.waits(), kept: mark{at: map[string]int{}},
		lenient: h.Number == nil && h.Poison != nil, // what an earlier check has left comes, too
	}
	s.make = h.New(t)
	if h.At != nil {
		for _, e := range h.At() {
			s.stored[e.Partition] = e.Offset
		}
	}
	return s
}

type sourceCheck struct {
	scope
	h        Source
	make     func() connectors.SourceTask
	runs     []*sourceRun
	known    map[string][]seen                      // by group: what came first as its number 1, 2, …
	keys     map[string][]int                       // numbers of a group and content, where Source.Number is nil
	left     map[int]bool                           // numbers that cannot be read
	replayed int                                    // records that came again, as they may
	wrote    int                                    // the last number of Write
	kept     mark                                   // what the source was told to forget
	marks    []mark                                 // where the source can be resumed, in the order in which that was handed out
	highest  map[offsets.Partition]connectors.Order // of all that came
	began    time.Time                              // the check
	asRead   bool                                   // what was read is committed at once
	lenient  bool                                   // tasks may leave out what cannot be read

	mu     sync.Mutex
	stored map[offsets.Partition]offsets.Offset
	state  map[offsets.Partition]offsets.Offset // of Remember
}

// seen is one record as it arrived.
type seen struct {
	order connectors.Order
	text  string // what it holds
}

// mark is a place between two batches.
type mark struct {
	stored map[offsets.Partition]offsets.Offset
	at     map[string]int
}

// sourceRun is a task from Start to Stop, and its session.
type sourceRun struct {
	*sourceCheck
	task      connectors.SourceTask
	stopped   bool
	at        map[string]int                         // the last number of each group
	fresh     map[string]bool                        // groups of which something new has come
	last      map[offsets.Partition]connectors.Order // of the last record
	before    map[offsets.Partition]connectors.Order // the highest of the runs before
	marked    bool                                   // it has handed out a place to resume at
	tolerant  bool
	tolerated []error

	changed chan struct{}       // guarded by mu, as what follows; closed and replaced when something changes
	asked   []offsets.Partition // whose offset the source has asked for
	blocked bool                // there is no credit
	bounded bool                // what was handed out uses the credit up
	open    int                 // builders and batches that were not released
	held    int                 // batches that Poll returned and that were not released
	waiting int                 // callers of NewBatch
}

// total is how many records a place is behind.
func total(at map[string]int) int {
	n := 0
	for _, v := range at {
		n += v
	}
	return n
}

// write adds the numbers from … to, where the source can be written to.
func (s *sourceCheck) write(from, to int) {
	if s.h.Write != nil && from <= to {
		s.wrote = to
		s.h.Write(s.T, from, to)
	}
}

// sizes are how many records a check works with: of a source that is not written to, half of what there is, and all.
func (s *sourceCheck) sizes(some, all int) (int, int) {
	if s.h.Write == nil {
		return max(1, s.h.Have/2), s.h.Have
	}
	return some, all
}

// first starts the first task of a check, with some numbers to read.
func (s *sourceCheck) first(numbers int, prepare func(*sourceRun)) *sourceRun {
	s.Helper()
	if s.h.Started {
		r := s.start(prepare)
		s.write(1, numbers)
		return r
	}
	s.write(1, numbers)
	return s.start(prepare)
}

// start starts a task where the stored offsets are.
func (s *sourceCheck) start(prepare func(*sourceRun)) *sourceRun {
	s.Helper()
	r := s.add()
	r.at = maps.Clone(s.kept.at)
	if len(s.marks) > 0 {
		r.at = maps.Clone(s.marks[len(s.marks)-1].at)
	}
	if prepare != nil {
		prepare(r)
	}
	if err := s.call(s.ctx(), "Start", func(ctx context.Context) error { return r.task.Start(ctx, r) }); err != nil {
		s.Fatalf("Start: %v", err)
	}
	return r
}

func (s *sourceCheck) add() *sourceRun {
	r := &sourceRun{
		sourceCheck: s, task: s.make(), at: map[string]int{}, fresh: map[string]bool{}, last: map[offsets.Partition]connectors.Order{},
		before: maps.Clone(s.highest), changed: make(chan struct{}),
		tolerant: s.lenient,
	}
	s.runs = append(s.runs, r)
	return r
}

// resume stores the place that m is and starts a task there.
func (s *sourceCheck) resume(m mark) *sourceRun {
	s.Helper()
	s.mu.Lock()
	s.stored = maps.Clone(m.stored)
	s.mu.Unlock()
	return s.start(func(r *sourceRun) { r.at = maps.Clone(m.at) })
}

func (s *sourceCheck) stopAll() {
	for _, r := range s.runs {
		r.stop()
	}
	s.runs = nil
}

func (r *sourceRun) stop() {
	r.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	if err := r.call(r.ctx(), "Stop", r.task.Stop); err != nil {
		r.Errorf("Stop: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open != 0 {
		r.Errorf("%d batches were neither handed out nor abandoned after Stop", r.open)
	}
}

// change does something with what is guarded by mu and wakes up who waits for it.
func (r *sourceRun) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
	close(r.changed)
	r.changed = make(chan struct{})
}

// until waits for a condition about what is guarded by mu.
func (r *sourceRun) until(ctx context.Context, what func() bool) error {
	for {
		r.mu.Lock()
		ok, changed := what(), r.changed
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// NewBatch implements connectors.SourceSession.
func (r *sourceRun) NewBatch(ctx context.Context, p offsets.Partition) (*connectors.Builder, error) {
	r.change(func() { r.waiting++ })
	err := r.until(ctx, func() bool { return !r.blocked && (!r.bounded || r.held == 0) })
	r.change(func() {
		r.waiting--
		if err == nil {
			r.open++
		}
	})
	if err != nil {
		return nil, err
	}
	return connectors.NewBuilder(p, nil, func(*connectors.Batch) { r.change(func() { r.open-- }) }), nil
}

// Offsets implements connectors.SourceSession.
func (r *sourceRun) Offsets(_ context.Context, p ...offsets.Partition) ([]offsets.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, p...)
	var out []offsets.Entry
	for name, o := range r.stored {
		if len(p) == 0 || slices.Contains(p, name) {
			out = append(out, offsets.Entry{Partition: name, Offset: o})
		}
	}
	return out, nil
}

// Reached implements connectors.SourceSession.
func (r *sourceRun) Reached(offsets.Partition) []connectors.Reached { return nil }

// Anew implements connectors.SourceSession.
func (r *sourceRun) Anew(offsets.Partition) {}

// State implements connectors.SourceSession.
func (r *sourceRun) State(_ context.Context, p ...offsets.Partition) ([]offsets.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []offsets.Entry
	for _, name := range p {
		if o, ok := r.state[name]; ok {
			out = append(out, offsets.Entry{Partition: name, Offset: o})
		}
	}
	return out, nil
}

// Remember implements connectors.SourceSession.
func (r *sourceRun) Remember(_ context.Context, state ...offsets.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range state {
		r.state[e.Partition] = e.Offset
	}
	return nil
}

// Tolerate implements connectors.SourceSession.
func (r *sourceRun) Tolerate(_ context.Context, _ *connectors.Raw, _ connectors.Stage, cause error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tolerated = append(r.tolerated, cause)
	if r.tolerant {
		return nil
	}
	return connectors.AsPermanent(cause)
}

// Drain implements connectors.SourceSession: what was read counts as durable at once.
func (r *sourceRun) Drain(context.Context, ...offsets.Partition) error { return nil }

// poll returns the next batch, and keeps it as held until release.
func (r *sourceRun) poll(ctx context.Context) (*connectors.Batch, error) {
	r.Helper()
	var b *connectors.Batch
	err := r.call(ctx, "Poll", func(ctx context.Context) (err error) {
		b, err = r.task.Poll(ctx)
		return err
	})
	if err != nil {
		if b != nil {
			r.Errorf("Poll returned a batch together with the error %v", err)
			b.Release()
		}
		return nil, err
	}
	if b == nil {
		r.Fatalf("Poll returned neither a batch nor an error")
	}
	r.change(func() {
		r.held++
		if r.open < r.held {
			r.Errorf("Poll returned a batch whose builder is not from SourceSession.NewBatch: its memory is not bounded")
		}
	})
	return b, nil
}

func (r *sourceRun) release(b *connectors.Batch) {
	r.change(func() { r.held-- })
	b.Release()
}

// next polls one batch, takes it down and releases it; false: the source has ended.
func (r *sourceRun) next(ctx context.Context) bool {
	r.Helper()
	b, err := r.poll(ctx)
	if err == io.EOF { //nolint:errorlint // as the runtime has it
		return false
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			r.Fatalf("no more than %d records came, %s", total(r.at), r.place())
		}
		r.Fatalf("Poll: %v after %d records", err, total(r.at))
	}
	r.took(b)
	return true
}

// took takes a batch down, releases it and commits it where that is done at once.
func (r *sourceRun) took(b *connectors.Batch) {
	r.Helper()
	r.take(b)
	r.release(b)
	if r.asRead {
		r.commit()
	}
}

// read polls until so many records have come.
func (r *sourceRun) read(numbers int) {
	r.Helper()
	ctx := r.ctx()
	for total(r.at) < numbers {
		if !r.next(ctx) {
			r.Fatalf("the source has ended (io.EOF) after %d of %d records", total(r.at), numbers)
		}
	}
}

// commit tells the task that everything read is durable.
func (r *sourceRun) commit() {
	r.Helper()
	r.mu.Lock()
	stored := maps.Clone(r.stored)
	r.mu.Unlock()
	r.forget(stored)
	if n := len(r.marks); r.marked { // one that has read nothing yet may not have what it would commit to
		r.kept = r.marks[n-1]
	}
}

// forget tells the task that everything up to these positions is durable.
func (r *sourceRun) forget(upTo map[offsets.Partition]offsets.Offset) {
	r.Helper()
	var list []offsets.Entry
	for p, o := range upTo {
		if !connectors.OwnPartition(p) {
			list = append(list, offsets.Entry{Partition: p, Offset: o})
		}
	}
	if len(list) == 0 {
		return
	}
	if err := r.call(r.ctx(), "Commit", func(ctx context.Context) error { return r.task.Commit(ctx, list) }); err != nil {
		r.Fatalf("Commit: %v", err)
	}
}
