//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %g, want %g", c.values, got, c.want)
		}
	}
}

// TestRatio shows that a round is compared with the reference of the same round: a slow machine slows both.
func TestRatio(t *testing.T) {
	t.Parallel()
	reference := series{samples: []sample{{rows: 100, elapsed: time.Second}, {rows: 100, elapsed: 4 * time.Second}, {rows: 100, elapsed: 2 * time.Second}}}
	half := series{samples: []sample{{rows: 100, elapsed: 2 * time.Second}, {rows: 100, elapsed: 8 * time.Second}, {rows: 100, elapsed: 2 * time.Second}}}
	if got := half.ratio(reference); got != 0.5 {
		t.Errorf("ratio %g, want 0.5", got)
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.4: "1,234,567"} {
		if got := thousands(v); got != want {
			t.Errorf("%g is written %s, want %s", v, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	budget, met := verdict([]check{{"≥ 0.9 ×", 0.91, 0.9, true}, {"CPU ≤ 2.5 µs", 2.6, 2.5, false}})
	if budget != "≥ 0.9 ×; CPU ≤ 2.5 µs" || met != "met; NOT MET" {
		t.Errorf("%q is %q", budget, met)
	}
}

func TestBetween(t *testing.T) {
	t.Parallel()
	got, err := between("head\n"+beginMark+"\nold\n"+endMark+"\ntail\n", "new\n")
	if want := "head\n" + beginMark + "\nnew\n" + endMark + "\ntail\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, err := between("no marks", "new"); err == nil {
		t.Error("a page without marks was accepted")
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	s := sample{rows: 1000, elapsed: time.Second, worker: 2 * time.Millisecond, peak: 64 << 20}
	r := report{machine: "a machine"}
	r.addRates("Streaming", "reference", []series{{"reference", []sample{s}}, {toKafka, []sample{s}}}, streamBudgets())
	want := "| " + toKafka + " | 1,000 | 1.00 | 2.00 | 0.00 | 0.00 | 0.00 | 64 | ≥ 0.9 ×; CPU ≤ 2.5 µs; RSS ≤ 256 MiB | met; met; met |\n"
	if got := r.markdown(); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwithout\n%s", got, want)
	}
	for _, line := range strings.Split(r.terminal(), "\n") {
		if strings.HasSuffix(line, " ") {
			t.Errorf("line %q ends in a space", line)
		}
	}
}
