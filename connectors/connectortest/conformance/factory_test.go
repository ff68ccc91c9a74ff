package conformance

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

func TestParseItems(t *testing.T) {
	got, err := ParseItems(strings.NewReader(`7

{"n":8,"text":"a"}
{"topic":"t","key":{"n":1},"value":{"before":{"n":2},"after":{"n":9,"text":"b"}}}
{"key":{"n":null},"row":{"n":null,"text":"c"}}
`))
	want := []Item{{Number: 7}, {Number: 8, Text: "a", Texted: true}, {Number: 9, Text: "b", Texted: true}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"x", "{}", `{"n":"1"}`, "1.5", "[1]", `"1"`} {
		if got, err := ParseItems(strings.NewReader("1\n" + text + "\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

// flawedFactory makes flawed sinks or sources out of a configuration: log.url (required), size (a number), secret (a password).
type flawedFactory struct {
	flaw   string
	source bool
	own    bool // of a source: OwnOffsets
	sink   Sink
	log    *flawedLog
	over   chan struct{}
}

func (f *flawedFactory) Describe() connectors.Description {
	d := connectors.Description{Class: "Flawed", Version: "1", Doc: "Has one flaw, or none.", Source: f.source, Sink: !f.source, Keeper: !f.source, OwnOffsets: f.own, FromTopics: !f.source, Config: &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "log.url", Type: connectors.TypeString, Required: true, Importance: "HIGH"},
		{Name: "size", Type: connectors.TypeInt, Default: "1", HasDefault: true, Importance: "LOW"},
		{Name: "secret", Type: connectors.TypePassword, Importance: "LOW"},
	}}}
	switch f.flaw {
	case "has no version":
		d.Version = ""
	case "says that it is the other kind":
		d.Source, d.Sink = d.Sink, d.Source
	case "defines a key twice":
		d.Config.Keys = append(d.Config.Keys, d.Config.Keys[1])
	case "has no positions":
		d.Resumes = func(connectors.Config) bool { return false }
	}
	return d
}

func (f *flawedFactory) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	values, _ := f.Describe().Config.Validate(c)
	switch f.flaw {
	case "shows a password":
		values[0].Errors = append(values[0].Errors, "cannot log in with "+c["secret"])
	case "leaves out a key":
		values = values[:2]
	case "finds nothing wrong":
		for i := range values {
			values[i].Errors = nil
		}
	}
	return values
}

func (f *flawedFactory) Tasks(_ context.Context, c connectors.Config, most int) ([]connectors.Config, error) {
	if f.flaw == "makes too many tasks" && most > 1 {
		return slices.Repeat([]connectors.Config{c}, most+1), nil
	}
	return []connectors.Config{c}, nil
}

func (f *flawedFactory) check(c connectors.Config) error {
	if _, err := strconv.Atoi(c["size"]); c["log.url"] == "" || c["size"] != "" && err != nil {
		err := errors.New("the configuration is not in order")
		if f.flaw == "tries a bad configuration for ever" {
			return err
		}
		return connectors.AsPermanent(err)
	}
	return nil
}

func (f *flawedFactory) NewSink(c connectors.Config, _ connectors.Settings) (connectors.SinkTask, error) {
	if err := f.check(c); err != nil {
		return nil, err
	}
	return f.sink.New(nil)(), nil
}

func (f *flawedFactory) NewSource(c connectors.Config, _ connectors.Settings) (connectors.SourceTask, error) {
	if err := f.check(c); err != nil {
		return nil, err
	}
	s := &flawedSource{flaw: f.flaw, log: f.log, over: f.over, own: f.own}
	if f.flaw == "has no positions" {
		f.log.mu.Lock()
		s.at = f.log.length
		f.log.mu.Unlock()
		s.live = true
	}
	return s, nil
}

func goodConfig() connectors.Config {
	return connectors.Config{"log.url": "x", "size": "3", "secret": "hunter22"}
}

// factorySinks are the checks of a factory of flawed sinks with one target.
func factorySinks(flaw string, over chan struct{}, read bool) []Check {
	h := flawedSinks(flaw, over)
	first := h.New(nil)
	h.New = func(T) func() connectors.SinkTask { return first }
	s := &Subject{Config: goodConfig(), Seed: 1, First: 5000, Mirror: true}
	if over != nil {
		s.Patience = time.Second
	}
	if read {
		s.Read = func(context.Context) ([]Item, error) {
			var text strings.Builder
			for _, n := range h.Read(nil) {
				fmt.Fprintln(&text, n)
			}
			return ParseItems(strings.NewReader(text.String()))
		}
	}
	return FactorySinkChecks(&flawedFactory{flaw: flaw, sink: h, over: over}, s)
}

// factorySources are the checks of a factory of flawed sources with one log, of 50 records or to which Write adds.
func factorySources(flaw string, over chan struct{}, write bool) []Check {
	return factorySourcesOf(&flawedFactory{flaw: flaw, source: true, over: over}, write)
}

func factorySourcesOf(f *flawedFactory, write bool) []Check {
	log := &flawedLog{length: 50, poison: map[int]bool{}, changed: make(chan struct{})}
	s := &Subject{Config: goodConfig(), Seed: 1, First: 5000, Idle: 100 * time.Millisecond, Records: 30}
	f.log = log
	if f.over != nil {
		s.Patience = time.Second // a check that waits in vain has found something
	}
	if write {
		s.Write = func(_ context.Context, from, to int) error {
			log.change(func() { log.length += to - from + 1 })
			return nil
		}
		s.Poison = func(context.Context, int) error {
			log.change(func() {
				log.length++
				log.poison[log.length] = true
			})
			return nil
		}
	}
	return FactorySourceChecks(f, s)
}

func TestFactoryFlaws(t *testing.T) {
	for _, c := range []struct{ flaw, check, says string }{
		{"has no version", "Describes", "Version is empty"},
		{"says that it is the other kind", "Describes", "Description.Source is"},
		{"defines a key twice", "Describes", "is there twice"},
		{"shows a password", "Validates", "shows the password secret"},
		{"leaves out a key", "Validates", "says nothing of the key secret"},
		{"finds nothing wrong", "RefusesBadConfig", "without log.url has no error"},
		{"tries a bad configuration for ever", "RefusesBadConfig", "with size=nonsense fails with a retriable error"},
		{"makes too many tasks", "SplitsWork", "5 configurations for at most 4 tasks"},
	} {
		for _, source := range []bool{false, true} {
			t.Run(fmt.Sprint(c.flaw, " ", source), func(t *testing.T) {
				checks := factorySinks(c.flaw, nil, true)
				if source {
					checks = factorySources(c.flaw, nil, false)
				}
				mustFail(t, checks, c.check, c.says)
			})
		}
	}
}

// A target that stays as it is between the checks is read by numbers of their own.
func TestFactorySinks(t *testing.T) {
	allBut(t, factorySinks("", nil, true), map[string]Outcome{"BoundedWhenStuck": NotApplicable})
	allBut(t, factorySinks("", nil, false), map[string]Outcome{
		"BoundedWhenStuck": NotApplicable, "AcksWhatIsDurable": NotApplicable, "SentFromEarlier": NotApplicable,
	})
	for _, flaw := range []string{"loses a record", "acknowledges twice", "swallows poison", "does not fence", "appends what comes again"} {
		t.Run(flaw, func(t *testing.T) {
			over := make(chan struct{})
			defer close(over)
			var r Report
			r.Run(t.Context(), factorySinks(flaw, over, true), nil)
			if r.Count(Failed) == 0 || r.OK() {
				t.Error("no check failed")
			}
		})
	}
}

func TestFactorySources(t *testing.T) {
	allBut(t, factorySources("", nil, false), map[string]Outcome{"Poison": NotApplicable})
	allBut(t, factorySources("", nil, true), nil)
	for _, flaw := range []string{"swallows poison", "goes on where nothing is tolerated", "tries poison again"} {
		over := make(chan struct{})
		var r Report
		r.Run(t.Context(), factorySources(flaw, over, true), nil)
		close(over)
		i := slices.IndexFunc(r.Results, func(got Result) bool { return got.Check == "Poison" })
		if got := r.Results[i]; got.Outcome != Failed || !strings.Contains(strings.Join(got.Problems, "\n"), "Tolerate") || r.Count(Failed) > 1 {
			t.Errorf("%s: %s %q, %d failed", flaw, got.Outcome, got.Problems, r.Count(Failed))
		}
	}
	for _, write := range []bool{false, true} {
		for _, flaw := range []string{"loses a record", "a record comes twice", "resumes one late", "what is read again differs", "Order begins anew", "has no offsets"} {
			t.Run(fmt.Sprint(flaw, " ", write), func(t *testing.T) {
				over := make(chan struct{})
				defer close(over)
				var r Report
				r.Run(t.Context(), factorySources(flaw, over, write), nil)
				if lost := strings.HasSuffix(flaw, "a record") || flaw == "a record comes twice"; lost && !write {
					return // nobody knows what there was
				}
				if r.Count(Failed) == 0 || r.OK() {
					t.Error("no check failed")
				}
			})
		}
	}
}

// A source that keeps its offsets itself goes on between the checks where it was told.
func TestFactorySourcesOfTheirOwn(t *testing.T) {
	but := map[string]Outcome{"ResumesWithoutGap": NotApplicable, "ResumesFromEveryOffset": NotApplicable}
	for _, kind := range []string{"", "waits for Commit", "Order grows with each start"} {
		allBut(t, factorySourcesOf(&flawedFactory{flaw: kind, source: true, own: true}, true), but)
	}
	over := make(chan struct{})
	defer close(over)
	for _, flaw := range []string{"forgets what was polled", "hears no Commit", "counts anew", "Order begins anew"} {
		var r Report
		r.Run(t.Context(), factorySourcesOf(&flawedFactory{flaw: flaw, source: true, own: true, over: over}, true), nil)
		if last := r.Results[len(r.Results)-1]; last.Check != "ResumesAtCommit" || last.Outcome != Failed {
			t.Errorf("%s: %s %s %q", flaw, last.Check, last.Outcome, last.Skipped)
		}
	}
	but["FaultSchedule"], but["ResumesAtCommit"], but["Poison"] = NotApplicable, NotApplicable, NotApplicable
	allBut(t, factorySourcesOf(&flawedFactory{source: true, own: true}, false), but)
}

// A source without positions hears only what comes while it runs.
func TestFactorySourceWithoutPositions(t *testing.T) {
	none := map[string]Outcome{"ResumesWithoutGap": NotApplicable, "ResumesFromEveryOffset": NotApplicable, "FaultSchedule": NotApplicable, "Poison": NotApplicable}
	allBut(t, factorySources("has no positions", nil, true), none)
	var r Report
	r.Run(t.Context(), factorySources("has no positions", nil, false), nil)
	if r.Count(Failed) > 0 || r.Count(NotApplicable) < 8 {
		t.Errorf("%d failed, %d not applicable", r.Count(Failed), r.Count(NotApplicable))
	}
}

// allBut runs checks, which must pass but for those named.
func allBut(t *testing.T, checks []Check, but map[string]Outcome) {
	t.Helper()
	var r Report
	r.Run(t.Context(), checks, nil)
	for _, got := range r.Results {
		want := Passed
		if o, ok := but[got.Check]; ok {
			want = o
		}
		if got.Outcome != want {
			t.Errorf("%s: %s %q %q, want %s", got.Check, got.Outcome, got.Problems, got.Skipped, want)
		}
	}
}

func TestFactorySourceLeavesProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there is no /proc: nobody can know
	}
	log := &flawedLog{length: 50, changed: make(chan struct{})}
	s := &Subject{Config: goodConfig(), Seed: 1, Patience: 100 * time.Millisecond, Processes: true}
	defer func() {
		for _, c := range log.processes {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}()
	mustFail(t, FactorySourceChecks(&flawedFactory{flaw: "leaves a process", source: true, log: log}, s), "StopBeforeStart", "sleep")
}
