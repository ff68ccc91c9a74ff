package mysql

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// restartable are the ways to go on: servers with GTIDs, without, and a connector that does not use them.
func restartable(t *testing.T, f func(t *testing.T, make func(t *testing.T) *rig)) {
	for _, c := range []struct {
		name string
		make func(t *testing.T) *rig
	}{
		{"gtid", func(t *testing.T) *rig { return newRig(t, nil) }},
		{"ignored", func(t *testing.T) *rig { return newRig(t, connectors.Config{"gtid.ignore.on.recovery": "true"}) }},
		{"without", func(t *testing.T) *rig {
			return rigOn(t, bed.MySQL(t, "gtid-mode=OFF", "enforce-gtid-consistency=OFF"), Factory{Version: "1"}, nil)
		}},
		{"mariadb", func(t *testing.T) *rig { return newMariaDBRig(t, nil) }},
		{"mariadb ignored", func(t *testing.T) *rig { return newMariaDBRig(t, connectors.Config{"gtid.ignore.on.recovery": "true"}) }},
	} {
		t.Run(c.name, func(t *testing.T) { f(t, c.make) })
	}
}

// changes makes transactions of every form in table t (id, v), and returns how many records they give.
func (r *rig) changes() int {
	r.t.Helper()
	long := strings.Repeat("x", 5000) // two rows do not fit into one event
	many := make([]string, 0, 7)
	for i := range 7 {
		many = append(many, fmt.Sprintf("(%d, '%s')", 100+i, long))
	}
	r.exec("INSERT INTO t VALUES (1, 'a')",
		"INSERT INTO t VALUES (2, 'b'), (3, 'c'), (4, 'd')",
		"INSERT INTO t VALUES "+strings.Join(many, ","),
		"BEGIN", "UPDATE t SET v = 'e' WHERE id = 2", "UPDATE t SET id = 5 WHERE id = 4", "INSERT INTO t VALUES "+strings.ReplaceAll(strings.Join(many, ","), "(10", "(20"), "COMMIT",
		"BEGIN", "DELETE FROM t WHERE id >= 100", "COMMIT",
		"XA START 'x'", "INSERT INTO t VALUES (30, 'x'), (31, 'y')", "UPDATE t SET v = 'z' WHERE id = 30", "INSERT INTO t VALUES "+strings.ReplaceAll(strings.Join(many, ","), "(10", "(30"),
		"XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'",
		"DELETE FROM t WHERE id = 1")
	n := 1 + 3 + 7 + (1 + 3 + 7) + 14*2 + (2 + 1 + 7) + 2
	if !r.made.MariaDB {
		r.exec("SET SESSION binlog_transaction_compression = ON", "BEGIN", "UPDATE t SET v = CONCAT(v, 'p')", "INSERT INTO t VALUES "+strings.ReplaceAll(strings.Join(many, ","), "(10", "(40"), "COMMIT",
			"SET SESSION binlog_transaction_compression = OFF", "INSERT INTO t VALUES (99, 'end')")
		n += 3 + 2 + 7 + 7 + 1
	}
	return n
}

// TestResumeAnywhere stops behind every batch of every event, and goes on there: each change comes exactly once.
func TestResumeAnywhere(t *testing.T) {
	restartable(t, func(t *testing.T, make func(t *testing.T) *rig) {
		r := make(t)
		r.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(6000))")
		r.start()
		r.streaming()
		r.task.stream.records = 1
		n := r.changes()
		type place struct {
			events int
			store  map[offsets.Partition]offsets.Offset
		}
		var places []place
		for len(r.events) < n {
			r.step()
			places = append(places, place{len(r.events), clone(r.store)})
		}
		r.until(n)
		r.stop()
		want, orders := slices.Clone(r.events), slices.Clone(r.orders)
		for i, p := range places {
			r.events, r.orders, r.store = slices.Clone(want[:p.events]), slices.Clone(orders[:p.events]), clone(p.store)
			r.start()
			r.until(n)
			r.stop()
			if diff := unlike(r.events, want); diff != "" {
				t.Fatalf("resumed behind batch %d (%s), %s: %s", i, p.store[r.partition()], p.store[r.statePartition()], diff)
			}
			if !slices.Equal(r.orders, orders) {
				t.Fatalf("resumed behind batch %d: the orders differ", i)
			}
		}
	})
}

// TestResumeFromThePlainOffset goes on from offsets alone, as the reference leaves them: nothing is lost, and outside of XA
// nothing comes twice.
func TestResumeFromThePlainOffset(t *testing.T) {
	restartable(t, func(t *testing.T, make func(t *testing.T) *rig) {
		r := make(t)
		r.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(6000))")
		r.start()
		r.streaming()
		r.task.stream.records = 1
		n := r.changes()
		type place struct {
			events int
			offset offsets.Offset
		}
		var places []place
		for len(r.events) < n {
			r.step()
			places = append(places, place{len(r.events), r.store[r.partition()]})
		}
		r.stop()
		want := slices.Clone(r.events)
		for i, p := range places {
			inXA := !r.made.MariaDB && p.events > 50 && p.events <= 60
			if inXA && (!strings.Contains(string(p.offset), "gtids") || r.config["gtid.ignore.on.recovery"] != "") {
				continue // it lies between rows and what describes them
			}
			r.events, r.store = slices.Clone(want[:p.events]), map[offsets.Partition]offsets.Offset{r.partition(): p.offset}
			r.start()
			for len(r.events) == 0 || unlike(r.events[len(r.events)-1:], want[n-1:]) != "" || len(r.events) < n {
				r.step()
			}
			r.stop()
			again := len(r.events) - n
			if again > 0 && !inXA {
				t.Fatalf("resumed behind batch %d (%s): %d records came again", i, p.offset, again)
			}
			if diff := unlike(r.events[p.events+again:], want[p.events:]); diff != "" {
				t.Fatalf("resumed behind batch %d (%s): %s", i, p.offset, diff)
			}
		}
	})
}

// TestCutAnywhere loses the connection behind every event.
func TestCutAnywhere(t *testing.T) {
	restartable(t, func(t *testing.T, make func(t *testing.T) *rig) {
		r := make(t)
		r.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(6000))")
		r.start()
		r.streaming()
		before := clone(r.store)
		n := r.changes()
		r.until(n)
		want := slices.Clone(r.events)
		r.stop()
		r.events, r.orders, r.store = nil, nil, before
		r.start()
		r.task.stream.records = 1
		for len(r.events) < n {
			r.step()
			r.cut()
			if s := r.task.stream; s.binlog != nil {
				s.events = s.events[:min(s.next, len(s.events))] // what was received and is not handled is lost
				s.payload = nil
				r.task.disconnect(0)
			}
		}
		if diff := unlike(r.events, want); diff != "" {
			t.Fatal(diff)
		}
	})
}

// step takes one batch.
func (r *rig) step() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	if err := r.poll(ctx, true); err != nil {
		r.t.Fatalf("poll: %v after %d records", err, len(r.events))
	}
}

func (r *rig) partition() offsets.Partition {
	p, _ := partitionOf(r.config["topic.prefix"])
	return p
}

func (r *rig) statePartition() offsets.Partition {
	p, _ := identityPartition(r.partition())
	return p
}

func clone(m map[offsets.Partition]offsets.Offset) map[offsets.Partition]offsets.Offset {
	out := map[offsets.Partition]offsets.Offset{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// unlike says where two lists begin to differ. Whether a record ended its transaction may be missing where a batch ended before it was known.
func unlike(got, want []string) string {
	short := func(s string) string { return fmt.Sprintf("%.60s", strings.TrimSuffix(s, " last.")) }
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("record %d is missing: %s", i, short(want[i]))
		case i >= len(want):
			return fmt.Sprintf("record %d is too many: %s", i, short(got[i]))
		case strings.TrimSuffix(got[i], " last.") != strings.TrimSuffix(want[i], " last."):
			return fmt.Sprintf("record %d is %s, want %s", i, short(got[i]), short(want[i]))
		}
	}
	return ""
}

// inGroup is a place within a transaction.
type inGroup struct{ event, row int64 }

// recordedPlaces returns the place of each streamed record of a recording, by table, and how many there are.
func recordedPlaces(t *testing.T, dir string) (map[string][]inGroup, int) {
	t.Helper()
	out, n := map[string][]inGroup{}, 0
	data, err := os.ReadFile(dir + "/golden/record_offsets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var m struct {
			Topic  string
			Source struct {
				Offset struct {
					Event, Row int64
					ServerID   int64 `json:"server_id"`
				}
			}
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		if _, table, ok := strings.Cut(m.Topic, "."); ok && m.Source.Offset.ServerID != 0 {
			out[table] = append(out[table], inGroup{m.Source.Offset.Event, m.Source.Offset.Row})
			n++
		}
	}
	return out, n
}

// TestOffsetsAgainstRecordings compares where the reference says that each record ends with where we do: how many events of the
// transaction were read, and how many rows of the event.
func TestOffsetsAgainstRecordings(t *testing.T) {
	for scenario, streams := range map[string][]string{
		"crud": {"stream1.sql", "stream2.sql"}, "include-query": {"stream1.sql"}, "skip-updates": {"stream1.sql"}, "restart": {"stream1.sql", "stream2.sql", "stream3.sql", "stream4.sql", "stream5.sql"},
		"crud-truncate": {"stream1.sql"},
	} {
		t.Run(scenario, func(t *testing.T) {
			dir := golden + "/" + scenario
			want, n := recordedPlaces(t, dir)
			var spec struct{ Connector connectors.Config }
			data, err := os.ReadFile(dir + "/scenario.json")
			if err == nil {
				err = json.Unmarshal(data, &spec)
			}
			if err != nil {
				t.Fatal(err)
			}
			spec.Connector["database.include.list"] = "pmu"
			r := rigOn(t, bed.MySQL(t, "binlog-rows-query-log-events=ON"), Factory{Version: "1"}, spec.Connector)
			sql := func(file string) {
				text, err := os.ReadFile(dir + "/" + file)
				if err != nil {
					t.Fatal(err)
				}
				r.server.Exec(t, "pmu", string(text))
			}
			r.server.Exec(t, "", "DROP DATABASE IF EXISTS pmu", "CREATE DATABASE pmu")
			sql("setup.sql")
			r.start()
			r.streaming()
			r.task.stream.records = 1
			for _, file := range streams {
				sql(file)
			}
			got := map[string][]inGroup{}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for seen := 0; seen < n; {
				b, err := r.task.Poll(ctx)
				if err != nil {
					t.Fatalf("%v; %d of %d records: %v", err, seen, n, got)
				}
				p, err := parsePosition(b.Offset)
				if err != nil {
					t.Fatal(err)
				}
				for i := range b.Records {
					rec := &b.Records[i]
					_, table, _ := strings.Cut(b.Streams[rec.Stream].Topic, ".")
					at := inGroup{p.event, p.row}
					if rec.Op != connectors.OpTruncate {
						at.row = b.Cells(rec.Source)[sourceRow].Int() + 1
					}
					got[table] = append(got[table], at)
					seen++
				}
				b.Release()
			}
			if !reflect.DeepEqual(got, want) {
				for table := range want {
					if !reflect.DeepEqual(got[table], want[table]) {
						t.Errorf("%s:\n%v, want\n%v", table, got[table], want[table])
					}
				}
			}
		})
	}
}
