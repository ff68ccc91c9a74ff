package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Outcome is what became of a check.
type Outcome string

// The outcomes.
const (
	Passed        Outcome = "passed"
	Failed        Outcome = "failed"
	NotApplicable Outcome = "not applicable" // to this connector, or with what is known of it
)

// Result is what one check found.
type Result struct {
	Check    string   `json:"check"`
	Shows    string   `json:"shows"`
	Outcome  Outcome  `json:"outcome"`
	Problems []string `json:"problems,omitempty"` // why it failed
	Skipped  []string `json:"not_applicable,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	Seconds  float64  `json:"seconds"`
}

// Report is what a run found.
type Report struct {
	Connector string   `json:"connector"` // its class
	Kind      string   `json:"kind"`      // source or sink
	Version   string   `json:"version,omitempty"`
	Seed      uint64   `json:"seed"`
	Results   []Result `json:"results"`
	Ended     bool     `json:"ended_early,omitempty"` // the context ended: not every check ran
}

// Run runs the checks one after the other and adds their results; progress hears of each.
func (r *Report) Run(ctx context.Context, checks []Check, progress func(Result)) {
	for _, c := range checks {
		if ctx.Err() != nil {
			r.Ended = true
			return
		}
		result := run(ctx, c)
		r.Results = append(r.Results, result)
		if progress != nil {
			progress(result)
		}
	}
}

// Count is how many checks had this outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Outcome == o {
			n++
		}
	}
	return n
}

// OK tells that checks ran, and that none failed.
func (r *Report) OK() bool { return !r.Ended && r.Count(Failed) == 0 && r.Count(Passed) > 0 }

// JSON writes the report as one JSON object.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report for people, without the results, which Text of each has told.
func (r *Report) Text(w io.Writer) error {
	text := fmt.Sprintf("%s: %d passed, %d failed, %d not applicable; seed %d", r.Connector, r.Count(Passed), r.Count(Failed), r.Count(NotApplicable), r.Seed)
	if r.Ended {
		text += "; ended early"
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// Text writes the result for people: a line, and one for each thing to know.
func (r *Result) Text(w io.Writer) error {
	mark := map[Outcome]string{Passed: "ok    ", Failed: "FAIL  ", NotApplicable: "n/a   "}[r.Outcome]
	var b strings.Builder
	fmt.Fprintf(&b, "%s%-24s %6.2fs  %s\n", mark, r.Check, r.Seconds, r.Shows)
	for _, list := range []struct {
		what  string
		lines []string
	}{{"", r.Problems}, {"not applicable: ", r.Skipped}, {"note: ", r.Notes}} {
		for _, line := range list.lines {
			fmt.Fprintf(&b, "        %s%s\n", list.what, strings.ReplaceAll(line, "\n", "\n        "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// recorder is a T that keeps what it hears. Safe for concurrent use.
type recorder struct {
	ctx context.Context

	mu       sync.Mutex
	result   Result
	cleanups []func()
}

// maxLines bounds each list of a result.
const maxLines = 20

func run(ctx context.Context, c Check) Result {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &recorder{ctx: inner, result: Result{Check: c.Name, Shows: c.Shows}}
	start := time.Now()
	r.alone(func() { c.Run(r) })
	cancel()
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			break
		}
		last := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		r.alone(last)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.result
	out.Seconds = time.Since(start).Seconds()
	switch {
	case len(out.Problems) > 0:
		out.Outcome = Failed
	case len(out.Skipped) > 0 && !strings.HasPrefix(out.Skipped[0], partly):
		out.Outcome = NotApplicable
	default:
		out.Outcome = Passed
	}
	return out
}

// partly begins the reason of a part of a check that is not applicable, while the rest of it is.
const partly = "in part: "

// alone runs f in a goroutine that Fatalf may end.
func (r *recorder) alone(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		f()
	}()
	<-done
}

func (r *recorder) add(list *[]string, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n := len(*list); {
	case n < maxLines:
		*list = append(*list, fmt.Sprintf(format, args...))
	case n == maxLines:
		*list = append(*list, "… and more")
	}
}

func (r *recorder) Helper()                           {}
func (r *recorder) Logf(format string, args ...any)   { r.add(&r.result.Notes, format, args...) }
func (r *recorder) Errorf(format string, args ...any) { r.add(&r.result.Problems, format, args...) }

func (r *recorder) NotApplicable(format string, args ...any) {
	r.add(&r.result.Skipped, format, args...)
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Context() context.Context { return r.ctx }
