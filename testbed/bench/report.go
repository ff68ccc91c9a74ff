//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// marks are the lines between which the tables of a source stand in docs/performance.md.
func marks(source string) (begin, end string) {
	return "<!-- bench " + source + ": begin -->", "<!-- bench " + source + ": end -->"
}

// report is what the run found.
type report struct {
	machine string
	tables  []table
}

// table is one table; every row has as many cells as the header.
type table struct {
	title  string
	header []string
	rows   [][]string
}

// check is a number beside its budget.
type check struct {
	text  string // of the budget
	value float64
	limit float64
	least bool // the value must be at least the limit, not at most
}

func (c check) met() bool {
	if c.least {
		return c.value >= c.limit
	}
	return c.value <= c.limit
}

// verdict renders the budgets of a row and whether they are met.
func verdict(checks []check) (budget, met string) {
	var texts, results []string
	for _, c := range checks {
		texts = append(texts, c.text)
		if c.met() {
			results = append(results, "met")
		} else {
			results = append(results, "NOT MET")
		}
	}
	return strings.Join(texts, "; "), strings.Join(results, "; ")
}

// budgets gives, by the name of a row, what it must reach. ratio is that to the reference.
type budgets map[string]func(s series, ratio float64) []check

func cpuBudget(limit float64) func(series) check {
	return func(s series) check {
		return check{fmt.Sprintf("CPU ≤ %g µs", limit), s.medianOf(func(one sample) float64 { return one.perRow(one.worker) }), limit, false}
	}
}

func ratioBudget(value, limit float64) check {
	return check{fmt.Sprintf("≥ %g ×", limit), value, limit, true}
}

func memoryBudget(s series) check {
	return check{"RSS ≤ 256 MiB", s.medianOf(sample.mebibytes), 256, false}
}

// streamBudget is what streaming into Kafka must reach: a share of the reference's rate, CPU in µs a row, memory.
func streamBudget(share float64) func(cpu float64) func(series, float64) []check {
	return func(cpu float64) func(series, float64) []check {
		return func(s series, ratio float64) []check {
			return []check{ratioBudget(ratio, share), cpuBudget(cpu)(s), memoryBudget(s)}
		}
	}
}

// addTargets adds what the sinks into tables and documents must reach beside the same by hand. ClickHouse takes rows faster than a database
// sends them: then the source alone is the limit.
func (l budgets) addTargets(all []series) {
	if hand := find(all, tablesByHand); hand != nil {
		l[toTables] = func(s series, _ float64) []check {
			return []check{{"≥ 0.9 × by hand", s.ratio(*hand), 0.9, true}, memoryBudget(s)}
		}
	}
	bare, source := find(all, bareClickHouse), find(all, toNothing)
	if bare != nil && source != nil {
		l[toClickHouse] = func(s series, _ float64) []check {
			return []check{{"≥ 0.8 × bare inserts or × the source alone", max(s.ratio(*bare), s.ratio(*source)), 0.8, true}, memoryBudget(s)}
		}
	}
	if find(all, toElastic) != nil {
		l[toElastic] = func(s series, _ float64) []check { return []check{memoryBudget(s)} }
	}
}

// addRates adds a table of throughputs. The first series is the reference.
func (r *report) addRates(title, reference string, all []series, limits budgets) {
	t := table{title: title + "; CPU in µs a row", header: []string{
		"what", "rows/s", "× " + reference, "worker", "source", "broker", "target", "cores busy", "peak RSS", "budget", "",
	}}
	for _, s := range all {
		ratio := s.ratio(all[0])
		row := []string{
			s.name, thousands(s.medianOf(sample.rate)), fmt.Sprintf("%.2f", ratio),
			shown("%.2f", s.medianOf(func(one sample) float64 { return one.perRow(one.worker) })),
			shown("%.2f", s.medianOf(func(one sample) float64 { return one.perRow(one.source) })),
			shown("%.2f", s.medianOf(func(one sample) float64 { return one.perRow(one.broker) })),
			shown("%.2f", s.medianOf(func(one sample) float64 { return one.perRow(one.target) })),
			shown("%.1f", s.medianOf(sample.busy)),
			shown("%.0f MiB", s.medianOf(sample.mebibytes)),
		}
		var checks []check
		if limit := limits[s.name]; limit != nil {
			checks = limit(s, ratio)
		}
		budget, met := verdict(checks)
		t.rows = append(t.rows, append(row, budget, met))
	}
	r.tables = append(r.tables, t)
}

// shown renders a number; what was not measured is a dash.
func shown(format string, v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// terminal renders the tables in columns.
func (r *report) terminal() string {
	var b strings.Builder
	for _, t := range r.tables {
		width := make([]int, len(t.header))
		lines := append([][]string{t.header}, t.rows...)
		for _, row := range lines {
			for i, cell := range row {
				width[i] = max(width[i], utf8.RuneCountInString(cell))
			}
		}
		fmt.Fprintf(&b, "%s\n", t.title)
		for _, row := range lines {
			var line strings.Builder
			for i, cell := range row {
				fill := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
				if i == 0 || i >= len(row)-2 {
					line.WriteString("  " + cell + fill)
				} else {
					line.WriteString("  " + fill + cell)
				}
			}
			fmt.Fprintln(&b, strings.TrimRight(line.String(), " "))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// markdown renders the tables for docs/performance.md.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.machine)
	for _, t := range r.tables {
		fmt.Fprintf(&b, "\n**%s**\n\n| %s |\n|%s\n", t.title, strings.Join(t.header, " | "), strings.Repeat("---|", len(t.header)))
		for _, row := range t.rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	return b.String()
}

// writeTo puts the tables of a source between its markers in a file.
func (r *report) writeTo(path, source string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the page for the tables: %w", err)
	}
	page, err := between(string(text), source, r.markdown())
	if err != nil {
		return fmt.Errorf("write the tables into %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		return fmt.Errorf("write the tables: %w", err)
	}
	return nil
}

// between replaces what stands between the marks of a source in a page.
func between(page, source, text string) (string, error) {
	beginMark, endMark := marks(source)
	before, rest, ok := strings.Cut(page, beginMark)
	_, after, closed := strings.Cut(rest, endMark)
	if !ok || !closed {
		return "", fmt.Errorf("it lacks the lines %s and %s", beginMark, endMark)
	}
	return before + beginMark + "\n" + text + endMark + after, nil
}

// median of an odd number of values is the middle one, of an even number the mean of the two in the middle; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// thousands writes a number without fraction, its thousands apart.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
