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
	begin, end := marks(sourceMySQL)
	got, err := between("head\n"+begin+"\nold\n"+end+"\ntail\n", sourceMySQL, "new\n")
	if want := "head\n" + begin + "\nnew\n" + end + "\ntail\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, err := between("head\n"+begin+"\nold\n"+end+"\ntail\n", sourcePostgres, "new"); err == nil {
		t.Error("a page without marks of the source was accepted")
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	s := sample{rows: 1000, elapsed: time.Second, worker: 2 * time.Millisecond, peak: 64 << 20}
	r := report{machine: "a machine"}
	r.addRates("Streaming", "reference", []series{{"reference", []sample{s}}, {toKafka, []sample{s}}}, (*postgres)(nil).limits().stream)
	want := "| " + toKafka + " | 1,000 | 1.00 | 2.00 | – | – | – | 0.0 | 64 MiB | ≥ 0.9 ×; CPU ≤ 2.5 µs; RSS ≤ 256 MiB | met; met; met |\n"
	if got := r.markdown(); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwithout\n%s", got, want)
	}
	for _, line := range strings.Split(r.terminal(), "\n") {
		if strings.HasSuffix(line, " ") {
			t.Errorf("line %q ends in a space", line)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for share, want := range map[float64]float64{0.5: 50, 0.99: 99, 1: 100} {
		if got := percentile(hundred, share); got != want {
			t.Errorf("percentile %g of 1…100 is %g, want %g", share, got, want)
		}
	}
	if got := percentile(nil, 0.5); got != 0 {
		t.Errorf("percentile of nothing is %g", got)
	}
}

// TestSummarize shows that only what was committed within the window counts.
func TestSummarize(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	got := summarize([]arrival{
		{at.Add(-time.Millisecond), at.Add(time.Hour)},
		{at, at.Add(10 * time.Millisecond)},
		{at.Add(time.Second), at.Add(time.Second + 30*time.Millisecond)},
		{at.Add(2 * time.Second), at.Add(time.Hour)},
	}, at, at.Add(2*time.Second), 2, 6*time.Microsecond)
	if want := (latencies{reached: 1, p50: 10, p99: 30, max: 30, cpu: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestCommitTime(t *testing.T) {
	t.Parallel()
	event := `{"before":null,"after":{"note":"\"ts_us\":1"},"source":{"ts_ms":1,"ts_us":1700000000123456,"ts_ns":2},"op":"c","ts_us":9}`
	got, err := commitTime([]byte(event))
	if want := time.UnixMicro(1700000000123456); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"", `{"source":{}}`, `{"ts_us":1}`, `{"source":{"ts_us":x}}`} {
		if _, err := commitTime([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TestCutCopy cuts three rows of two columns, one of them NULL, into blocks of two.
func TestCutCopy(t *testing.T) {
	t.Parallel()
	head := "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	row := func(text string) string { return "\x00\x02\x00\x00\x00\x02" + text + "\xff\xff\xff\xff" }
	const trailer = "\xff\xff"
	got, err := cutCopy([]byte(head+row("aa")+row("bb")+row("cc")+trailer), 2)
	if err != nil || len(got) != 2 || string(got[0]) != head+row("aa")+row("bb")+trailer || string(got[1]) != head+row("cc")+trailer {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := cutCopy([]byte(head+row("aa")), 2); err == nil {
		t.Error("a COPY without its end was accepted")
	}
}

func TestMetric(t *testing.T) {
	t.Parallel()
	out := []byte("goos: linux\nBenchmarkEncode-2   \t 836\t1432345 ns/op\t 143.5 cpu-ns/row\t 0 B/op\t 2 allocs/op\n" +
		"BenchmarkEncode-2   \t 836\t1432345 ns/op\t 150.5 cpu-ns/row\t 0 B/op\t 2 allocs/op\nPASS\n")
	if got, err := metric(out, "cpu-ns/row"); err != nil || got != 147 {
		t.Errorf("%g, %v; want 147", got, err)
	}
	if got, err := metric(out, "allocs/op"); err != nil || got != 2 {
		t.Errorf("%g, %v; want 2", got, err)
	}
	if _, err := metric(out, "ns/doc"); err == nil {
		t.Error("a number that is not there was found")
	}
	if got := benchmarkPattern("BenchmarkBulk/freshet"); got != "^BenchmarkBulk$/^freshet$" {
		t.Errorf("pattern %s", got)
	}
}
