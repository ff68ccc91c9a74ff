package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// report is the outcome of the comparison.
type report struct {
	rows, changes, events int64
	load                  time.Duration
	lost, duplicated      int
	reordered, different  int
	problems              []string        // the first few, in words
	tables, topics        []time.Duration // how old changes were when they arrived
	byWriter              bool            // their commits are dated by the workload, not by the server
}

const maxProblems = 10

func (r *report) note(format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, fmt.Sprintf(format, args...))
	}
}

func (r *report) good() bool { return r.lost+r.duplicated+r.reordered+r.different == 0 }

func (r *report) verdict() string {
	return fmt.Sprintf("lost %d, duplicated %d", r.lost, r.duplicated)
}

// stored is a row as it lies in a database.
type stored struct {
	row       []*string
	committed time.Time // of the transaction that wrote this version; zero where the server does not tell
}

// compare compares the tables row by row, and the topics' history with that of the workload.
func (d *demo) compare(ctx context.Context) (*report, error) {
	d.progress.phase("comparing")
	r := &report{changes: d.load.changes() - d.filled, load: d.Duration}
	expected, commit := d.load.histories(), d.load.commitTimes()
	r.byWriter = commit != nil
	d.events.mu.Lock()
	defer d.events.mu.Unlock()
	cuts := snapshotCuts(expected, d.events.keys)
	for i, t := range d.tables {
		source, err := d.source.rows(ctx, &t, r)
		if err != nil {
			return nil, err
		}
		sink, err := d.sink.rows(ctx, &t, r)
		if err != nil {
			return nil, err
		}
		r.rows += int64(len(source))
		r.compareRows(&t, source, sink)
		r.compareHistory(&t, expected[i], d.events.keys[i], cuts)
		r.compareReplay(&t, source, d.events.keys[i])
		for key, s := range source {
			version, err := t.versionOf(s.row)
			if err != nil {
				return nil, err
			}
			committed := commit.of(version, s.committed)
			if k, ok := sink[key]; ok && d.undisturbed(committed, k.committed) {
				r.tables = append(r.tables, k.committed.Sub(committed))
			}
		}
	}
	r.events = d.events.events
	for _, a := range d.events.arrivals {
		if committed := commit.of(a.version, a.committed); d.undisturbed(committed, a.seen) {
			r.topics = append(r.topics, a.seen.Sub(committed))
		}
	}
	return r, nil
}

// undisturbed tells whether a change was committed while the worker was up and had caught up, and was not on its way when the
// worker was killed.
func (d *demo) undisturbed(committed, arrived time.Time) bool {
	for _, s := range d.steady {
		if !committed.Before(s.from) && committed.Before(s.to) {
			return !s.killed || arrived.Before(s.to)
		}
	}
	return false
}

// enter enters a row that was selected from a server. A key that is there twice is a duplicate.
func (r *report) enter(rows map[string]stored, t *table, server string, s stored) error {
	for i := range s.row {
		var err error
		if s.row[i], err = t.columns[i].fromSQL(s.row[i]); err != nil {
			return err
		}
	}
	key := t.keyOf(s.row)
	if _, twice := rows[key]; twice {
		r.duplicated++
		r.note("table %s of the %s: key %s is there twice", t.name, server, key)
	}
	rows[key] = s
	return nil
}

func (r *report) compareRows(t *table, source, sink map[string]stored) {
	for key, s := range source {
		k, ok := sink[key]
		if !ok {
			r.lost++
			r.note("table %s: row %s is missing in the sink", t.name, key)
			continue
		}
		if c := t.difference(s.row, k.row); c != "" {
			r.different++
			r.note("table %s, row %s: %s", t.name, key, c)
		}
	}
	for key := range sink {
		if _, ok := source[key]; !ok {
			r.duplicated++
			r.note("table %s: row %s is in the sink only", t.name, key)
		}
	}
}

// difference names the first column in which two rows differ.
func (t *table) difference(source, copied []*string) string {
	for i := range t.columns {
		if text(source[i]) != text(copied[i]) {
			return fmt.Sprintf("column %s is %.60q in the source and %.60q in the copy", t.columns[i].name, text(source[i]), text(copied[i]))
		}
	}
	return ""
}

func text(v *string) string {
	if v == nil {
		return "NULL"
	}
	return "=" + *v
}

// compareReplay compares the rows of the source with those that the events of each key lead to.
func (r *report) compareReplay(t *table, source map[string]stored, keys map[string]*keyLog) {
	for key, s := range source {
		log := keys[key]
		if log == nil || log.row == nil {
			r.note("topic %s: the events of key %s do not lead to the row that is in the source", t.topic(), key)
			r.different++
			continue
		}
		if c := t.difference(s.row, log.row); c != "" {
			r.different++
			r.note("topic %s, key %s: %s", t.topic(), key, c)
		}
	}
	for key, log := range keys {
		if _, ok := source[key]; !ok && log.row != nil {
			r.different++
			r.note("topic %s: the events of key %s lead to a row that is not in the source", t.topic(), key)
		}
	}
}

func (r *report) print(out io.Writer, tables int, took time.Duration) {
	inTables, inTopics := "commit in the source to commit in the sink, by both servers' commit timestamps", "commit in the source to the consumer, by source.ts_us"
	if r.byWriter {
		inTables, inTopics = "COMMIT sent by the writer to commit in the sink, by its commit timestamps", "COMMIT sent by the writer to the consumer"
	}
	fmt.Fprintf(out, "\nrows      %d in %d tables, compared row by row\n", r.rows, tables)
	fmt.Fprintf(out, "events    %d in %d topics, read_committed, compared with the history of every key\n", r.events, tables)
	fmt.Fprintf(out, "changes   %d while the worker ran, %.0f/s\n", r.changes, float64(r.changes)/r.load.Seconds())
	fmt.Fprintf(out, "freshness tables p50 %s p99 %s (%s)\n", quantile(r.tables, 50), quantile(r.tables, 99), inTables)
	fmt.Fprintf(out, "          topics p50 %s p99 %s (%s)\n", quantile(r.topics, 50), quantile(r.topics, 99), inTopics)
	fmt.Fprintf(out, "          over %d rows and %d events, without those that the kill and the catching up delayed\n", len(r.tables), len(r.topics))
	fmt.Fprintf(out, "took      %.1f s\n", took.Seconds())
	for _, p := range r.problems {
		fmt.Fprintln(out, "  WRONG: "+p)
	}
	if r.reordered+r.different > 0 {
		fmt.Fprintf(out, "  WRONG: %d keys out of order, %d rows different\n", r.reordered, r.different)
	}
}

// quantile returns the p-th percentile in milliseconds, "-" without samples.
func quantile(samples []time.Duration, p int) string {
	if len(samples) == 0 {
		return "-"
	}
	slices.Sort(samples)
	return fmt.Sprintf("%.1f ms", float64(samples[min(len(samples)-1, len(samples)*p/100)].Microseconds())/1000)
}
