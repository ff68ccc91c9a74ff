package mysql

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// between changes every table while no snapshot is under way.
func between(r *rig, round int) {
	r.exec("DELETE FROM a WHERE id % 7 = 3", fmt.Sprintf("UPDATE a SET id = id + 1000000 * %d WHERE id %% 11 = 5 AND id < 10000", round), "UPDATE a SET id = -id WHERE id % 13 = 6 AND id > 0",
		"UPDATE a SET v = concat(v, 'x') WHERE id % 4 = 1", "DELETE FROM b WHERE id % 5 = 2", "UPDATE b SET v = concat(v, 'y') WHERE id % 3 = 1",
		fmt.Sprintf("INSERT INTO b VALUES (%d, 'new')", 100000+round), "INSERT IGNORE INTO a VALUES (3, 'again'), (10, 'again')")
}

// TestSnapshotResumes interrupts a snapshot at random places, changes the tables, and compares what arrives with the tables.
func TestSnapshotResumes(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		for _, threads := range []string{"1", "3"} {
			t.Run(threads, func(t *testing.T) { resumeOnce(t, m, threads) })
		}
	})
}

func resumeOnce(t *testing.T, m *testbed.MySQL, threads string) {
	r := snapshotRig(t, m, connectors.Config{"snapshot.max.threads": threads, "include.schema.changes": "true"})
	r.exec("CREATE TABLE a (id bigint PRIMARY KEY, v varchar(1000))", "CREATE TABLE b (id int PRIMARY KEY, v varchar(1000))")
	insertNumbers(r, "a", "n, repeat('a', 300)", 20000)
	insertNumbers(r, "b", "n, repeat('b', 300)", 6000)
	r.exec("ANALYZE TABLE a, b")
	target := newMirror(t)
	resumed := 0
	for round := 1; round <= 3; round++ {
		before := r.progress()
		first, firsts := len(target.reads), target.first["first"]
		r.start()
		r.task.cfg.snapshot.Bytes = 256 << 10
		for n := 4 + rand.IntN(6); n > 0 && r.task.snapshot != nil; n-- {
			if err := r.takeBatch(target, n > 2); err != nil { // the last two are not stored
				t.Fatal(err)
			}
		}
		if before.Offset != "" {
			resumed++
			if !r.task.snapshot.resumed {
				t.Error("the snapshot did not go on")
			}
		}
		if len(before.Tables)+len(before.Parts) > 0 && target.first["first"] != firsts {
			t.Errorf("markers %v", target.first)
		}
		checkReads(t, before, target.reads[first:])
		if r.task.snapshot == nil {
			break
		}
		r.stop()
		between(r, round)
	}
	if r.task == nil {
		r.start()
		r.task.cfg.snapshot.Bytes = 256 << 10
	}
	r.takeSnapshot(target)
	if resumed == 0 {
		t.Error("no attempt went on")
	}
	if p := r.progress(); p.Offset != "" {
		t.Errorf("progress is kept after the end: %+v", p)
	}
	r.exec("INSERT INTO b VALUES (200000, 'end')")
	r.takeUntil(target, "b", "(200000)")
	target.compare(r, "a")
	target.compare(r, "b")
}

// TestSnapshotWithoutItsHistory: the schema history is lost in the middle of a snapshot, which is then taken from its beginning.
func TestSnapshotWithoutItsHistory(t *testing.T) {
	t.Parallel()
	r := snapshotRig(t, bed.MySQL(t), nil)
	r.exec("CREATE TABLE a (id bigint PRIMARY KEY, v varchar(1000))", "CREATE TABLE b (id int PRIMARY KEY, v varchar(1000))")
	insertNumbers(r, "a", "n, repeat('a', 300)", 20000)
	insertNumbers(r, "b", "n, repeat('b', 300)", 6000)
	target := newMirror(t)
	r.start()
	r.task.cfg.snapshot.Bytes = 256 << 10
	for range 5 {
		if err := r.takeBatch(target, true); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	r.config["schema.history.internal.file.filename"] += "2"
	mode := r.config["snapshot.mode"]
	r.config["snapshot.mode"] = "recovery"
	if err := r.tryStart(); connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "in the middle of a snapshot") {
		t.Errorf("recovery: %v", err)
	}
	r.stop()
	r.config["snapshot.mode"] = mode
	r.start()
	if r.task.snapshot.resumed {
		t.Error("the snapshot goes on without its history")
	}
	r.takeSnapshot(target)
	r.exec("INSERT INTO b VALUES (200000, 'end')")
	r.takeUntil(target, "b", "(200000)")
	target.compare(r, "a")
	target.compare(r, "b")
}

func (r *rig) progress() (p changes.SnapshotProgress) {
	r.t.Helper()
	plain, _ := partitionOf("p")
	state, _ := changes.SnapshotPartition(plain)
	if text := r.store[state]; text != "" {
		read, err := changes.ParseSnapshotProgress(text)
		if err != nil {
			r.t.Fatal(err)
		}
		return *read
	}
	return p
}

// checkReads fails when rows that an attempt before had finished were read again.
func checkReads(t *testing.T, before changes.SnapshotProgress, reads []string) {
	t.Helper()
	name := func(table string) string { _, n, _ := strings.Cut(table, "."); return n }
	for _, read := range reads {
		table, key, _ := strings.Cut(read, " ")
		key = strings.Trim(key, "()")
		if slices.ContainsFunc(before.Tables, func(n string) bool { return name(n) == table }) {
			t.Fatalf("%s was read again although its table was finished", read)
		}
		for _, part := range before.Parts {
			k := changes.ChunkKey{Column: part.Column, Type: part.Type}
			if name(part.Table) == table && slices.ContainsFunc(part.Done, func(d changes.KeyRange) bool {
				return (d.From == "" || k.Compare(d.From, key) <= 0) && (d.To == "" || k.Compare(key, d.To) < 0)
			}) {
				t.Fatalf("%s was read again although %v was finished", read, part.Done)
			}
		}
	}
}
