package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/boltstore"
	"github.com/freshet-io/freshet/testbed/history"
)

// Sinks of a round.
const (
	exactSink = "kafka-exactly-once"
	looseSink = "kafka-at-least-once"
	tableSink = "tables"
	fileSink  = "file"
)

// aliases are the names of sinks in the configuration.
var aliases = map[string]string{exactSink: "events", looseSink: "events", tableSink: "db", fileSink: "out"}

// several tells whether the connector has more than one sink, and so a position for each.
func (r *round) several() bool { return len(r.plan.sinks) > 1 }

func (r *round) topics() []string {
	var out []string
	for _, table := range tables() {
		out = append(out, r.config["topic.prefix"]+"."+r.source.schema(r)+"."+table)
	}
	return out
}

func (r *round) partition() offsets.Partition {
	return offsets.Partition(`{"server":"` + r.config["topic.prefix"] + `"}`)
}

// position is what is stored for a sink, "" for nothing. The worker does not run.
func (r *round) position(sink string) offsets.Offset {
	r.Helper()
	var out offsets.Offset
	var err error
	switch sink {
	case tableSink:
		out, err = r.tablePosition()
	case fileSink:
		out, err = r.filePosition()
	default:
		out, err = r.storedPosition(sink)
	}
	if err != nil {
		r.Fatal(err)
	}
	return out
}

func (r *round) tablePosition() (offsets.Offset, error) {
	conn, err := pgx.Connect(r.Context(), r.target.DSN(r.copy))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(r.Context()) }()
	var there bool
	if err := conn.QueryRow(r.Context(), "SELECT to_regclass('freshet_offsets') IS NOT NULL").Scan(&there); err != nil || !there {
		return "", err
	}
	var text string
	err = conn.QueryRow(r.Context(), `SELECT coalesce(max("offset"), '') FROM freshet_offsets WHERE partition = $1`, string(r.partition())).Scan(&text)
	return offsets.Offset(text), err
}

func (r *round) filePosition() (offsets.Offset, error) {
	text, err := os.ReadFile(r.file + ".freshet")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	var side struct {
		Positions []struct {
			Partition offsets.Partition
			Offset    offsets.Offset
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &side)
	}
	for _, p := range side.Positions {
		if p.Partition == r.partition() {
			return p.Offset, err
		}
	}
	return "", err
}

// storedPosition is what the worker's store has.
func (r *round) storedPosition(sink string) (offsets.Offset, error) {
	name, partition := r.config["name"], r.partition()
	if r.several() {
		var err error
		if partition, err = connectors.SinkPartition(partition, aliases[sink]); err != nil {
			return "", err
		}
	}
	var last offsets.Offset
	if r.plan.store == "topic" {
		key, err := offsets.EncodeKey(name, partition)
		if err != nil {
			return "", err
		}
		for _, record := range r.kafka.Read(r, r.offsets) {
			if string(record.Key) == string(key) {
				last = offsets.Offset(record.Value)
			}
		}
	} else {
		store, err := boltstore.Open(filepath.Join(r.dir, "freshet-offsets.db"))
		if err != nil {
			return "", err
		}
		defer func() { _ = store.Close() }()
		entries, err := store.Load(r.Context(), name, partition)
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			if e.Partition == partition {
				last = e.Offset
			}
		}
	}
	if !r.several() || last == "" {
		return last, nil
	}
	p, err := connectors.ParseSinkEntry(r.partition(), last)
	return p.Offset, err
}

// events reads all that a sink holds.
func (r *round) events(sink string) []history.Seen {
	r.Helper()
	var out []history.Seen
	add := func(e history.Seen, err error) {
		if err != nil {
			r.Fatal(err)
		}
		out = append(out, e)
	}
	if sink != fileSink {
		for _, record := range r.kafka.Read(r, r.topics()...) {
			add(history.Understand(record.Topic, record.Key, record.Value))
		}
		return out
	}
	text, err := os.ReadFile(r.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if bytes.HasSuffix(line, []byte("\n")) { // a torn one is cut off by the next start
			add(history.UnderstandLine(line))
		}
	}
	return out
}

// behind says in what way a sink lacks something of the first transactions; "" when it lacks nothing.
func (r *round) behind(sink string, through int) string {
	r.Helper()
	if sink != tableSink {
		return r.h.Lacks(r.events(sink), through)
	}
	want, got := r.h.Seq(through), 0
	conn := r.target.Connect(r, r.copy)
	defer func() { _ = conn.Close(r.Context()) }()
	if err := conn.QueryRow(r.Context(), "SELECT seq FROM "+r.source.schema(r)+".a WHERE id = 0").Scan(&got); err != nil {
		return err.Error()
	}
	if got < want {
		return fmt.Sprintf("row 0 of table a has seq %d, want at least %d", got, want)
	}
	return ""
}

// streamed tells whether a sink of events has a change that was streamed.
func (r *round) streamed(sink string) bool {
	r.Helper()
	return sink == tableSink || slices.ContainsFunc(r.events(sink), func(e history.Seen) bool { return e.Key == "a0" && e.Text[0] == 'u' })
}

// compare compares a sink with the history when all is written.
func (r *round) compare(sink string) history.Verdict {
	r.Helper()
	if sink == tableSink {
		return r.compareTables()
	}
	return r.h.Check(r.events(sink), len(r.plan.snapshot) > 0, sink == looseSink)
}

func (r *round) compareTables() history.Verdict {
	r.Helper()
	v := history.Verdict{}
	to := r.target.Connect(r, r.copy)
	for _, table := range tables() {
		want, got := r.source.rows(r, table), rows(r, to, r.source.schema(r)+"."+table)
		if n := len(r.h.Rows(table)); n != len(want) {
			r.Fatalf("table %s has %d rows in the source, want %d", table, len(want), n)
		}
		v.Events += len(got)
		for id, row := range want {
			if got[id] != row {
				v.Lost++
				v.Problems = append(v.Problems, fmt.Sprintf("%s%d: want %q, got %q", table, id, row, got[id]))
			}
		}
		for id, row := range got {
			if _, there := want[id]; !there {
				v.Twice++
				v.Problems = append(v.Problems, fmt.Sprintf("%s%d: %q is in the target only", table, id, row))
			}
		}
	}
	slices.Sort(v.Problems)
	return v
}

// rows is a table of a PostgreSQL as id: seq and pad.
func rows(r *round, conn *pgx.Conn, table string) map[int]string {
	r.Helper()
	rows, err := conn.Query(r.Context(), "SELECT id, format('%s %s', seq, pad) FROM "+table)
	if err != nil {
		r.Fatal(err)
	}
	out := map[int]string{}
	var id int
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&id, &text}, func() error { out[id] = text; return nil }); err != nil {
		r.Fatalf("read table %s: %v", table, err)
	}
	return out
}
