package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mustFail runs the check of that name, which must fail and say so.
func mustFail(t *testing.T, checks []Check, name, says string) {
	t.Helper()
	checks = slices.DeleteFunc(checks, func(c Check) bool { return c.Name != name })
	if len(checks) != 1 {
		t.Fatalf("%d checks of the name %s", len(checks), name)
	}
	var r Report
	r.Run(t.Context(), checks, nil)
	got := r.Results[0]
	if got.Outcome != Failed || !strings.Contains(strings.Join(got.Problems, "\n"), says) {
		t.Errorf("%s: %s %q (not applicable: %q), want a failure that says %q", name, got.Outcome, got.Problems, got.Skipped, says)
	}
}

// mustPass runs checks, all of which must pass.
func mustPass(t *testing.T, checks []Check) {
	t.Helper()
	r := Report{Connector: "x"}
	r.Run(t.Context(), checks, nil)
	for _, got := range r.Results {
		if got.Outcome != Passed {
			t.Errorf("%s: %s %q %q", got.Check, got.Outcome, got.Problems, got.Skipped)
		}
	}
	if !r.OK() {
		t.Errorf("the report is not OK: %d passed, %d failed", r.Count(Passed), r.Count(Failed))
	}
}

func bodyNumber(b *connectors.Body) int { return int(b.Key.Value.(schemas.StructValue)[0].(int64)) }

func TestReport(t *testing.T) {
	var order []string
	checks := []Check{
		{"A", "a holds", func(t T) {
			t.Cleanup(func() { order = append(order, "first") })
			t.Cleanup(func() {
				order = append(order, "second")
				if t.Context().Err() == nil {
					t.Errorf("the context has not ended")
				}
			})
			t.Logf("n = %d", 1)
		}},
		{"B", "b holds", func(t T) {
			t.Errorf("one")
			t.Fatalf("two")
			t.Errorf("three")
		}},
		{"C", "c holds", func(t T) { t.NotApplicable("no c") }},
		{"D", "d holds", func(T) { panic(errors.New("oh")) }},
		{"E", "e holds", func(t T) { t.NotApplicable(partly + "half of it") }},
		{"F", "f holds", func(t T) { t.NotApplicable("no f"); t.Errorf("but") }},
	}
	r := Report{Connector: "X", Kind: "sink", Seed: 7}
	var text bytes.Buffer
	r.Run(t.Context(), checks, func(x Result) {
		if err := x.Text(&text); err != nil {
			t.Error(err)
		}
	})
	if err := r.Text(&text); err != nil {
		t.Error(err)
	}
	if r.OK() || !slices.Equal(order, []string{"second", "first"}) {
		t.Errorf("OK %v, cleanups %v", r.OK(), order)
	}
	for _, want := range []string{
		"ok    A ", "n = 1", "FAIL  B ", "        one\n        two\n", "n/a   C ", "not applicable: no c", "FAIL  D ", "panic: oh", "ok    E ", "FAIL  F ", "X: 2 passed, 3 failed, 1 not applicable; seed 7",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "three") {
		t.Error("Fatalf returned")
	}
	var out bytes.Buffer
	var back Report
	if err := r.JSON(&out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || len(back.Results) != len(checks) || back.Results[1].Outcome != Failed || back.Seed != 7 {
		t.Errorf("%v: %s", err, &out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	early := Report{}
	early.Run(ctx, checks, nil)
	if early.OK() || !early.Ended || len(early.Results) != 0 {
		t.Errorf("a run whose context had ended: %+v", early)
	}
	if (&Report{}).OK() {
		t.Error("a report without checks is OK")
	}
}
