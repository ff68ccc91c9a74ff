package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// sourceFlaws are ways in which a source breaks the contract, with the check that must find it and what that says.
var sourceFlaws = []struct {
	flaw, check, says string
	hangs             bool // the check waits until its patience is at an end
}{
	{"loses a record", "InOrder", "record 8 came after 6: 1 are missing", false},
	{"a record comes twice", "InOrder", "record 7 came again after 7", false},
	{"two records change places", "InOrder", "record 8 came after 6", false},
	{"stops", "InOrder", "no more than 6 records came", true},
	{"ends too early", "InOrder", "the source has ended (io.EOF) after 6 of 20", false},
	{"Order falls", "InOrder", "does not grow", false},
	{"Through is below the last record", "InOrder", "Through", false},
	{"the offset is no JSON", "InOrder", `offset "7"`, false},
	{"the partition is not canonical", "InOrder", "is not canonical", false},
	{"neither a batch nor an error", "InOrder", "neither a batch nor an error", false},
	{"a batch together with an error", "InOrder", "together with the error", false},
	{"panics", "InOrder", "panicked", false},
	{"keeps a builder", "InOrder", "1 batches were neither handed out nor abandoned", false},
	{"builds batches of its own", "WaitsForCredit", "without credit", false},
	{"builds batches of its own", "ReadsNotAhead", "is not from SourceSession.NewBatch", true},
	{"begins many batches", "ReadsNotAhead", "batches on their way while none is taken", false},
	{"Poll ignores its context", "PollEndsWithContext", "Poll does not return", true},
	{"an ended Poll is permanent", "PollEndsWithContext", "a permanent error", false},
	{"an ended Poll has another error", "PollEndsWithContext", "not the context's error", false},
	{"Start ignores its context", "CancelledStart", "Start does not return", true},
	{"a cancelled Start is fenced", "CancelledStart", "a fenced error when its context had ended", false},
	{"Stop fails the second time", "StopBeforeStart", "Stop: stopped before", false},
	{"Stop before Start panics", "StopBeforeStart", "panicked", false},
	{"leaves a goroutine", "StopBeforeStart", "after Stop: found unexpected goroutines", false},
	{"resumes one late", "ResumesWithoutGap", "record 12 came after 10", false},
	{"resumes one early", "ResumesWithoutGap", "record 10 came again", false},
	{"resumes at the start", "ResumesWithoutGap", "record 1 came again", false},
	{"has no offsets", "ResumesWithoutGap", "no batch of 10 records had an offset", false},
	{"forgets more than was committed", "ResumesWithoutGap", "record 12 came after 10", false},
	{"Order begins anew", "ResumesFromEveryOffset", "before it had", false},
	{"what is read again differs", "ResumesFromEveryOffset", "before it was", false},
	{"resumes one late in the middle", "ResumesFromEveryOffset", "are missing", false},
	{"Commit waits for Poll", "CommitBesidePoll", "Commit does not return", true},
	{"Commit fails", "CommitBesidePoll", "Commit: no", false},
	{"swallows poison", "Poison", "without SourceSession.Tolerate", false},
	{"goes on where nothing is tolerated", "Poison", "went on behind a record that is not tolerated", false},
	{"gives up what came before", "Poison", "of the 2 records before it", false},
	{"tries poison again", "Poison", "not the permanent error of Tolerate", false},
	{"forgets what was polled", "FaultSchedule", "are missing", false},
	{"the fourth task skips a record", "FaultSchedule", "are missing", false},
}

func TestSourceFlaws(t *testing.T) {
	for _, c := range sourceFlaws {
		t.Run(c.flaw, func(t *testing.T) {
			over := make(chan struct{})
			defer close(over)
			h := flawedSources(c.flaw, over)
			if c.hangs {
				h.Patience = 300 * time.Millisecond
			}
			mustFail(t, SourceChecks(h), c.check, c.says)
		})
	}
}

func TestSourceWithoutFlaws(t *testing.T) {
	mustPass(t, SourceChecks(flawedSources("", nil)))
	h := flawedSources("", nil)
	write := h.Write
	fresh := h.New
	h.New = func(t T) func() connectors.SourceTask {
		out := fresh(t)
		write(t, 1, 50)
		return out
	}
	h.Write, h.Have, h.Poison, h.Number = nil, 50, nil, nil
	checks := SourceChecks(h)
	var r Report
	r.Run(t.Context(), checks, nil)
	for _, got := range r.Results {
		if want := map[bool]Outcome{true: NotApplicable, false: Passed}[got.Check == "Poison"]; got.Outcome != want {
			t.Errorf("a source that is not written to: %s: %s %q %q", got.Check, got.Outcome, got.Problems, got.Skipped)
		}
	}
}

// ownFlaws are those of a source that keeps its offsets itself.
var ownFlaws = []struct{ flaw, check, says string }{
	{"forgets what was polled", "ResumesAtCommit", "record 11 came after 5: 5 are missing"},
	{"forgets what was polled", "FaultSchedule", "are missing"},
	{"forgets more than was committed", "ResumesAtCommit", "record 7 came after 5: 1 are missing"},
	{"hears no Commit", "ResumesAtCommit", "record 1 came again, after a restart behind 5"},
	{"hears no Commit", "FaultSchedule", "came again, after a restart"},
	{"counts anew", "ResumesAtCommit", "record 11 came after 5: 5 are missing"},
	{"what is read again differs", "ResumesAtCommit", "before it was"},
	{"Order begins anew", "ResumesAtCommit", "has order 1:1:1, before it had 1:6:1"},
	{"Order begins anew at Commit", "ResumesAtCommit", "before the restart there was 1:12:1: sinks that go by it take the record for an old one"},
	{"does not ask for offsets", "InOrder", `the source has not asked for the offset of {"feed":1}`},
}

func TestOwnFlaws(t *testing.T) {
	for _, c := range ownFlaws {
		t.Run(c.flaw+" "+c.check, func(t *testing.T) { mustFail(t, SourceChecks(ownSources(c.flaw)), c.check, c.says) })
	}
}

// Sound sources may wait for Commit, and may give another order to what comes again.
func TestOwnSourceWithoutFlaws(t *testing.T) {
	for _, kind := range []string{"", "waits for Commit", "Order grows with each start"} {
		t.Run(kind, func(t *testing.T) {
			allBut(t, SourceChecks(ownSources(kind)), map[string]Outcome{
				"ResumesWithoutGap": NotApplicable, "ResumesFromEveryOffset": NotApplicable,
			})
		})
	}
}

// ownSources are flawed sources that keep their offsets themselves.
func ownSources(flaw string) Source {
	h := flawedSources(flaw, nil)
	h.Own, h.NoResume = true, true
	fresh := h.New
	h.New = func(t T) func() connectors.SourceTask {
		task := fresh(t)
		return func() connectors.SourceTask {
			s := task()
			s.(*flawedSource).own = true //nolint:errcheck,forcetypeassert // of flawedSources
			return s
		}
	}
	return h
}

func flawedSources(flaw string, over chan struct{}) Source {
	var log *flawedLog
	return Source{
		New: func(T) func() connectors.SourceTask {
			log = &flawedLog{poison: map[int]bool{}, changed: make(chan struct{})}
			return func() connectors.SourceTask { return &flawedSource{flaw: flaw, log: log, over: over} }
		},
		Write:  func(_ T, _, to int) { log.change(func() { log.length = to }) },
		Poison: func(_ T, n int) { log.change(func() { log.poison[n], log.length = true, n }) },
		Number: func(b *connectors.Batch, r *connectors.Record) int { return int(b.Cells(r.Key)[0].Int()) },
		Seed:   1,
	}
}

// flawedLog has the records 1 … length.
type flawedLog struct {
	mu      sync.Mutex
	length  int
	poison  map[int]bool
	forgot  int // records up to it can be read no more
	own     int // what a source that keeps its offsets itself was told
	starts  int
	changed chan struct{}

	processes []*exec.Cmd // that were left
}

func (l *flawedLog) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
	close(l.changed)
	l.changed = make(chan struct{})
}

// flawedSource reads it, three records a batch. It has one flaw, or none.
type flawedSource struct {
	flaw    string
	log     *flawedLog
	over    chan struct{}
	session connectors.SourceSession
	at      int
	begin   int
	live    bool // reads what is new only, and has no offsets
	own     bool // keeps its offsets itself
	stops   atomic.Int32
	start   int
	polling sync.Mutex
}

func (s *flawedSource) Start(ctx context.Context, session connectors.SourceSession) error {
	s.session = session
	if s.flaw != "does not ask for offsets" {
		list, err := session.Offsets(ctx, Partition(1))
		if err != nil {
			return err
		}
		for _, e := range list {
			if s.at, err = ParseOffset(e.Offset); err != nil {
				return connectors.AsPermanent(err)
			}
		}
	}
	s.log.change(func() {
		s.log.starts++
		s.start = s.log.starts
		if s.own {
			s.at = s.log.own
		}
	})
	switch {
	case s.flaw == "Start ignores its context":
		<-s.over
	case s.flaw == "a cancelled Start is fenced":
		return connectors.AsFenced(ctx.Err())
	case s.flaw == "leaves a goroutine":
		go func() { <-s.over }()
	case s.flaw == "leaves a process":
		c := exec.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			return err
		}
		s.log.change(func() {
			s.log.processes = append(s.log.processes, c)
		})
	case s.at > 0 && (s.flaw == "resumes one late" || s.flaw == "resumes one late in the middle" && s.at < 6 || s.flaw == "the fourth task skips a record" && s.start > 3):
		s.at++
	case s.flaw == "resumes one early" && s.at > 0:
		s.at--
	case s.flaw == "resumes at the start":
		s.at = 0
	}
	s.begin = s.at
	return ctx.Err()
}

// more waits for records behind the last one.
func (s *flawedSource) more(ctx context.Context) (length int, err error) {
	for {
		l := s.log
		l.mu.Lock()
		length, changed := l.length, l.changed
		s.at = max(s.at, l.forgot)
		if s.flaw == "waits for Commit" {
			length = min(length, l.own+15)
		}
		l.mu.Unlock()
		if s.at < length && (s.flaw != "stops" || s.at < 6) {
			return length, nil
		}
		done := ctx.Done()
		if s.flaw == "Poll ignores its context" {
			done = s.over
		}
		select {
		case <-changed:
		case <-done:
			switch s.flaw {
			case "an ended Poll is permanent":
				return 0, connectors.AsPermanent(ctx.Err())
			case "an ended Poll has another error":
				return 0, errors.New("broken pipe")
			}
			return 0, ctx.Err()
		}
	}
}

func (s *flawedSource) builder(ctx context.Context) (*connectors.Builder, error) {
	p := Partition(1)
	switch s.flaw {
	case "the partition is not canonical":
		p = `{ "feed":1}`
	case "builds batches of its own":
		return connectors.NewBuilder(p, nil, nil), nil
	case "keeps a builder":
		if s.at == 0 {
			if _, err := s.session.NewBatch(ctx, p); err != nil {
				return nil, err
			}
		}
	case "begins many batches":
		if s.at == 0 {
			for range 3 * ahead {
				if _, err := s.session.NewBatch(ctx, p); err != nil {
					return nil, err
				}
			}
		}
	}
	return s.session.NewBatch(ctx, p)
}

func (s *flawedSource) Poll(ctx context.Context) (*connectors.Batch, error) {
	s.polling.Lock()
	defer s.polling.Unlock()
	if s.flaw == "panics" {
		panic("as a flaw")
	}
	length, err := s.more(ctx)
	if err != nil {
		return nil, err
	}
	w, err := s.builder(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case s.flaw == "neither a batch nor an error":
		w.Abandon()
		return nil, nil
	case s.flaw == "ends too early" && s.at >= 6:
		w.Abandon()
		return nil, io.EOF
	}
	stream := w.Stream(Numbers())
	for s.at < length && w.Len() < 3 && (w.Len() == 0 || !s.log.poisoned(s.at+1) || s.flaw == "gives up what came before") {
		s.at++
		if err := s.record(ctx, w, stream, s.at); err != nil {
			w.Abandon()
			return nil, err
		}
	}
	b := s.finish(w)
	if s.flaw == "forgets what was polled" {
		s.log.change(func() { s.log.forgot = s.at })
	}
	if s.flaw == "a batch together with an error" {
		return b, errors.New("both")
	}
	return b, nil
}

func (l *flawedLog) poisoned(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.poison[n]
}

// record adds record n, or hands it out.
func (s *flawedSource) record(ctx context.Context, w *connectors.Builder, stream uint32, n int) error {
	if s.log.poisoned(n) {
		cause := fmt.Errorf("record %d cannot be read", n)
		if s.flaw == "swallows poison" {
			return nil
		}
		err := s.session.Tolerate(ctx, &connectors.Raw{}, connectors.StageValueConverter, cause)
		if err != nil && s.flaw == "tries poison again" {
			return cause
		}
		if s.flaw == "goes on where nothing is tolerated" {
			return nil
		}
		return err
	}
	width := 10
	if s.flaw == "what is read again differs" {
		width += s.start
	}
	switch {
	case s.flaw == "loses a record" && n%50 == 7:
	case s.flaw == "a record comes twice" && n == 7:
		AppendNumber(w, stream, n, width)
		AppendNumber(w, stream, n, width)
	case s.flaw == "two records change places" && n == 7:
		AppendNumber(w, stream, 8, width)
	case s.flaw == "two records change places" && n == 8:
		AppendNumber(w, stream, 7, width)
	default:
		AppendNumber(w, stream, n, width)
	}
	switch records := w.Records(); {
	case s.flaw == "Order falls" && n == 7:
		records[len(records)-1].Order = Order(1)
	case strings.HasPrefix(s.flaw, "Order "):
		records[len(records)-1].Order = s.order(n)
	}
	return nil
}

func (s *flawedSource) finish(w *connectors.Builder) *connectors.Batch {
	offset, through := Offset(s.at), s.order(s.at)
	switch s.flaw {
	case "Through is below the last record":
		through = Order(s.at - 1)
	case "the offset is no JSON":
		offset = "7"
	case "has no offsets", "has no positions":
		offset = ""
	case "counts anew":
		offset = Offset(s.at - s.begin)
	}
	return w.Finish(offset, through)
}

func (s *flawedSource) order(n int) connectors.Order {
	switch {
	case s.flaw == "Order begins anew", s.flaw == "Order begins anew at Commit" && s.begin >= 12:
		return Order(n - s.begin)
	case s.flaw == "Order grows with each start":
		return Order(1000*s.start + n)
	}
	return Order(n)
}

func (s *flawedSource) Commit(_ context.Context, upTo []offsets.Entry) error {
	switch s.flaw {
	case "Commit waits for Poll":
		s.polling.Lock()
		defer s.polling.Unlock()
	case "Commit fails":
		return errors.New("no")
	case "forgets more than was committed":
		n, err := ParseOffset(upTo[0].Offset)
		s.log.change(func() { s.log.forgot = n + 1 })
		return err
	}
	if s.own && s.flaw != "hears no Commit" {
		n, err := ParseOffset(upTo[0].Offset)
		if s.flaw == "counts anew" {
			n += s.begin
		}
		s.log.change(func() { s.log.own = n })
		return err
	}
	return nil
}

func (s *flawedSource) Stop(context.Context) error {
	stops := s.stops.Add(1)
	switch {
	case s.flaw == "Stop fails the second time" && stops > 1:
		return errors.New("stopped before")
	case s.flaw == "Stop before Start panics" && s.session == nil:
		panic("as a flaw")
	}
	return nil
}
