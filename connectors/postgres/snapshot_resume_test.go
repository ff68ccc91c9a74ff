package postgres

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// mirror is a sink with one row per key, which leaves a value that was not sent as it is.
type mirror struct {
	t       *testing.T
	blind   bool // it keeps no rows
	tables  map[string]map[string][]string
	reads   []string // table and key of every snapshot row
	changes []string // every other record
}

func newMirror(t *testing.T) *mirror { return &mirror{t: t, tables: map[string]map[string][]string{}} }

func (m *mirror) apply(b *connectors.Batch) {
	m.t.Helper()
	for i := range b.Records {
		rec := &b.Records[i]
		table := strings.TrimPrefix(b.Streams[rec.Stream].Topic, "p.public.")
		if m.tables[table] == nil {
			m.tables[table] = map[string][]string{}
		}
		rows, key := m.tables[table], row(b, rec.Key)
		if rec.Op == connectors.OpRead {
			m.reads = append(m.reads, table+" "+key)
		} else {
			m.changes = append(m.changes, describe(b, rec))
		}
		if m.blind {
			continue
		}
		switch rec.Op {
		case connectors.OpDelete:
			delete(rows, key)
		case connectors.OpTruncate:
			clear(rows)
		case connectors.OpRead, connectors.OpCreate, connectors.OpUpdate:
			var values []string
			for c, v := range b.Cells(rec.After) {
				text := cell(b, v)
				if v.Kind == connectors.KindUnavailable {
					if rows[key] == nil {
						m.t.Errorf("the value of column %d of %s %s is not known", c, table, key)
					} else {
						text = rows[key][c]
					}
				}
				values = append(values, text)
			}
			rows[key] = values
		}
	}
}

// compare compares the mirror with the database.
func (m *mirror) compare(r *rig, tables ...string) {
	m.t.Helper()
	for _, table := range tables {
		rows, err := r.sql.Query(m.t.Context(), "SELECT id, v, w FROM "+table)
		if err != nil {
			m.t.Fatal(err)
		}
		want := map[string][]string{}
		for rows.Next() {
			var id, v, w string
			if err := rows.Scan(&id, &v, &w); err != nil {
				m.t.Fatal(err)
			}
			want["("+id+")"] = []string{id, v, w}
		}
		if rows.Err() != nil {
			m.t.Fatal(rows.Err())
		}
		wrong := 0
		for key := range maps.Keys(want) {
			if !slices.Equal(want[key], m.tables[table][key]) {
				wrong++
			}
		}
		for key := range m.tables[table] {
			if want[key] == nil {
				wrong++
			}
		}
		if wrong > 0 || len(want) == 0 {
			m.t.Errorf("table %s: %d of %d keys are wrong", table, wrong, len(want))
		}
	}
}

// takeBatch polls one batch into the mirror.
func (r *rig) takeBatch(m *mirror, durable bool) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	b, err := r.task.Poll(ctx)
	if err != nil {
		return err
	}
	m.apply(b)
	if durable {
		r.save(b)
	}
	b.Release()
	return nil
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

// between changes every table while no snapshot is under way.
func between(r *rig, round int) {
	r.exec(
		"DELETE FROM ordered WHERE id % 7 = 3", "DELETE FROM scattered WHERE v LIKE '%3'", "DELETE FROM wide WHERE id % 5 = 2",
		fmt.Sprintf("UPDATE ordered SET id = id + 1000000 * %d WHERE id %% 11 = 5 AND id < 10000", round), "UPDATE ordered SET id = -id WHERE id % 13 = 6",
		"UPDATE ordered SET w = w || 'x' WHERE id % 4 = 1", "UPDATE scattered SET w = w || 'x' WHERE v LIKE '%5'",
		"UPDATE wide SET v = v || 'x' WHERE id % 3 = 1", "UPDATE wide SET w = repeat(md5(random()::text), 200) WHERE id % 10 = 4",
		"DELETE FROM wide WHERE id = 11", "INSERT INTO wide VALUES (11, 'again', 'short')",
		"BEGIN; TRUNCATE emptied; INSERT INTO emptied SELECT g, 'new', 'new' FROM generate_series(1, 50) g; COMMIT",
		"INSERT INTO ordered SELECT g, 'in', 'in' FROM generate_series(1, 4000) g WHERE g % 7 = 3 ON CONFLICT DO NOTHING",
		fmt.Sprintf("INSERT INTO wide SELECT g, 'in', repeat('i', 5000) FROM generate_series(10000 * %d, 10000 * %d + 20) g", round, round),
		"INSERT INTO scattered SELECT gen_random_uuid(), 'in3', 'in' FROM generate_series(1, 50)",
		"VACUUM FULL ordered", "VACUUM FULL wide", "VACUUM FULL scattered", "ANALYZE")
}

// TestSnapshotResumes interrupts a snapshot at random places, changes the tables, and compares what arrives with the database
// and with what another connector's stream has.
func TestSnapshotResumes(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	for _, threads := range []int{1, 3} {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("%d threads %d", threads, seed), func(t *testing.T) { resumeOnce(t, pg.NewDatabase(t), threads, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func resumeOnce(t *testing.T, db string, threads int, random *rand.Rand) {
	pg := bed.Postgres(t)
	config := connectors.Config{"topic.prefix": "p", "snapshot.max.threads": fmt.Sprint(threads), "skipped.operations": "none", "table.include.list": "public.*"}
	r := rigOn(t, pg, db, config)
	r.exec("CREATE TABLE ordered (id int PRIMARY KEY, v text, w text)", "INSERT INTO ordered SELECT g, 'v' || g, repeat('w', 100) FROM generate_series(1, 4000) g",
		"CREATE TABLE scattered (id uuid PRIMARY KEY, v text, w text)", "INSERT INTO scattered SELECT gen_random_uuid(), 'v' || g, repeat('w', 100) FROM generate_series(1, 2000) g",
		"CREATE TABLE wide (id bigint PRIMARY KEY, v text, w text)", "ALTER TABLE wide ALTER w SET STORAGE EXTERNAL", "INSERT INTO wide SELECT g, 'v' || g, repeat(md5(g::text), 200) FROM generate_series(1, 300) g",
		"CREATE TABLE emptied (id int PRIMARY KEY, v text, w text)", "INSERT INTO emptied SELECT g, 'v', 'w' FROM generate_series(1, 2000) g", "ANALYZE")
	tables := []string{"ordered", "scattered", "wide", "emptied"}
	control := rigOn(t, pg, db, connectors.Config{"snapshot.mode": "no_data", "slot.name": "control_" + db, "skipped.operations": "none", "table.include.list": "public.*"})
	control.start()

	m := newMirror(t)
	resumed := false
	for round := 1; round <= 2; round++ {
		others := leftovers(r)
		r.start()
		r.task.cfg.snapshot.Bytes = 16 << 10
		before := r.progress()
		first := len(m.reads)
		for n := 3 + random.IntN(20); n > 0 && r.task.snapshot != nil; n-- {
			if err := r.takeBatch(m, n > 2); err != nil { // the last two are not stored
				t.Fatal(err)
			}
		}
		if r.task.snapshot == nil {
			break
		}
		if random.IntN(2) == 0 {
			r.crash()
		}
		noLeftovers(r, others)
		checkReads(t, r, before, m.reads[first:])
		resumed = resumed || len(before.Tables)+len(before.Parts) > 0
		between(r, round)
	}
	if r.task == nil {
		r.start()
		r.task.cfg.snapshot.Bytes = 16 << 10
	}
	before, first := r.progress(), len(m.reads)
	ended := r.task.snapshot == nil // with a batch that was not stored, perhaps
	for r.task.snapshot != nil {
		if err := r.takeBatch(m, true); err != nil {
			t.Fatal(err)
		}
	}
	if plain, _ := partitionOf("p"); before.Offset != "" && !ended {
		checkReads(t, r, before, m.reads[first:])
		if state, _ := changes.SnapshotPartition(plain); r.store[state] != "" {
			t.Error("the progress of the snapshot is kept after its end")
		}
	}
	r.exec("INSERT INTO emptied VALUES (100000, 'end', 'end')")
	c := newMirror(t)
	c.blind = true
	for _, side := range []struct {
		r *rig
		m *mirror
	}{{r, m}, {control, c}} {
		for len(side.m.changes) == 0 || !strings.Contains(side.m.changes[len(side.m.changes)-1], "(100000,end,end)") {
			if err := side.r.takeBatch(side.m, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.compare(r, tables...)
	if !slices.Equal(m.changes, c.changes) {
		t.Errorf("%d changes arrived, want the %d that another connector got", len(m.changes), len(c.changes))
	}
	t.Logf("resumed %v, %d rows read, %d changes", resumed, len(m.reads), len(m.changes))
}

// checkReads fails when rows that an attempt before had finished were read again.
func checkReads(t *testing.T, r *rig, before changes.SnapshotProgress, reads []string) {
	t.Helper()
	oids := map[string]string{}
	for _, read := range reads {
		table, key, _ := strings.Cut(read, " ")
		oid, ok := oids[table]
		if !ok {
			if err := r.sql.QueryRow(t.Context(), "SELECT $1::regclass::oid::text", table).Scan(&oid); err != nil {
				t.Fatal(err)
			}
			oids[table] = oid
		}
		if slices.Contains(before.Tables, oid) {
			t.Fatalf("%s was read again although table %s was finished", read, table)
		}
		for _, part := range before.Parts {
			k, one := changes.ChunkKey{Column: part.Column, Type: part.Type}, strings.Trim(key, "()")
			if part.Table != oid {
				continue
			}
			if slices.ContainsFunc(part.Done, func(d changes.KeyRange) bool {
				return (d.From == "" || k.Compare(d.From, one) <= 0) && (d.To == "" || k.Compare(one, d.To) < 0)
			}) {
				t.Fatalf("%s was read again although %v of table %s was finished", read, part.Done, table)
			}
		}
	}
}

// interrupted begins the snapshot of a table over several connections and stops after n batches.
func interrupted(t *testing.T, config connectors.Config, n int) (*rig, *mirror) {
	t.Helper()
	r, m := newRig(t, config), newMirror(t)
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text, w text)", "INSERT INTO a SELECT g, 'v', repeat('w', 1000) FROM generate_series(1, 20000) g", "ANALYZE")
	r.begin(m, n)
	return r, m
}

func (r *rig) begin(m *mirror, n int) {
	r.t.Helper()
	r.start()
	r.task.cfg.snapshot.Bytes = 1 << 20
	for range n {
		if err := r.takeBatch(m, true); err != nil {
			r.t.Fatal(err)
		}
	}
}

// finish polls to the end of the snapshot and returns how many rows came.
func (r *rig) finish(m *mirror) int {
	r.t.Helper()
	first := len(m.reads)
	for r.task.snapshot != nil {
		if err := r.takeBatch(m, true); err != nil {
			r.t.Fatal(err)
		}
	}
	return len(m.reads) - first
}

// TestSnapshotStartsAnew changes what progress is bound to: then nothing that was read before counts. Without the slot nothing tells what was
// deleted since, which is said.
func TestSnapshotStartsAnew(t *testing.T) {
	t.Parallel()
	threads := connectors.Config{"snapshot.max.threads": "2"}
	for name, change := range map[string]func(*rig){
		"nothing": func(*rig) {},
		"slot": func(r *rig) {
			r.exec("SELECT pg_drop_replication_slot(slot_name), pg_create_logical_replication_slot(slot_name, 'pgoutput') FROM pg_replication_slots WHERE slot_name = '" + r.config["slot.name"] + "'")
		},
		"dropped": func(r *rig) { r.exec("SELECT pg_drop_replication_slot('" + r.config["slot.name"] + "')") },
		"columns": func(r *rig) { r.config["column.exclude.list"] = "public.a.w" },
		"offset": func(r *rig) { // as if the reference had begun a snapshot since
			plain, _ := partitionOf("p")
			r.store[plain] = `{"last_snapshot_record":false,"lsn":1000,"txId":1,"ts_usec":1,"snapshot":"INITIAL","snapshot_completed":false}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, m := interrupted(t, threads, 12)
			r.stop()
			change(r)
			r.begin(m, 0)
			if n := r.finish(m); (n == 20000) != (name != "nothing") || n == 0 {
				t.Errorf("%d rows were read in the second attempt", n)
			}
			if lost := r.task.Observe().Lost; (len(lost) == 1 && strings.Contains(lost[0].Text, "deleted since")) != (name == "slot" || name == "dropped") {
				t.Errorf("lost ranges: %+v", lost)
			}
		})
	}
}

// TestSnapshotOfAnotherServer: rows of an interrupted snapshot are in the targets of a direct connector, and the stream that
// would correct them is gone. It stops as it does behind a snapshot, unless a new snapshot is asked for.
func TestSnapshotOfAnotherServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(r *rig, state *string)
		says   []string
	}{
		"slot dropped": {
			func(r *rig, _ *string) { r.exec("SELECT pg_drop_replication_slot('" + r.config["slot.name"] + "')") },
			[]string{"does not exist", "snapshot.mode=when_needed"},
		},
		"slot made anew": {func(r *rig, _ *string) {
			r.exec("SELECT pg_drop_replication_slot(slot_name), pg_create_logical_replication_slot(slot_name, 'pgoutput') FROM pg_replication_slots WHERE slot_name = '" + r.config["slot.name"] + "'")
		}, []string{"no longer in the server's log", "created the slot anew", "snapshot.mode=when_needed"}},
		"system": {
			func(_ *rig, state *string) { *state = strings.Replace(*state, `"system":"`, `"system":"1`, 1) },
			[]string{"belongs to the database system", "take a new snapshot"},
		},
		"timeline": {
			func(_ *rig, state *string) { *state = strings.Replace(*state, `"timeline":1`, `"timeline":7`, 1) },
			[]string{"timeline 7, which is not in the history", "take a new snapshot"},
		},
		"log": {
			func(_ *rig, state *string) { *state = strings.Replace(*state, `"commit":`, `"commit":9`, 1) },
			[]string{"beyond the end", "take a new snapshot"},
		},
		"nothing": {func(*rig, *string) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, m := interrupted(t, connectors.Config{"snapshot.max.threads": "2", "sinks": "x"}, 12)
			r.stop()
			plain, _ := partitionOf("p")
			state, _ := identityPartition(plain)
			text := string(r.store[state])
			c.change(r, &text)
			r.store[state] = offsets.Offset(text)
			if c.says != nil {
				permanent(t, r.tryStart(), c.says...)
				r.stop()
				r.config["snapshot.mode"] = "when_needed"
			}
			r.begin(m, 0)
			if n := r.finish(m); (n == 20000) != (c.says != nil) || n == 0 {
				t.Errorf("%d rows were read in the second attempt", n)
			}
		})
	}
}

// TestSnapshotWithoutStream takes no up snapshot that no stream follows, since nothing would tell what changed meanwhile.
func TestSnapshotWithoutStream(t *testing.T) {
	t.Parallel()
	r, m := interrupted(t, connectors.Config{"snapshot.max.threads": "2", "snapshot.mode": "initial_only"}, 12)
	if len(r.store) != 2 {
		t.Errorf("progress is stored: %v", r.store)
	}
	r.stop()
	r.begin(m, 0)
	if n := r.finish(m); n != 20000 {
		t.Errorf("%d rows were read in the second attempt, want all", n)
	}
}

// TestSnapshotReaderKilled ends the connection of one reader.
func TestSnapshotReaderKilled(t *testing.T) {
	t.Parallel()
	r, m := interrupted(t, connectors.Config{"snapshot.max.threads": "3"}, 12)
	r.exec("SELECT pg_terminate_backend(max(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%COPY (SELECT%' AND pid <> pg_backend_pid()")
	var err error
	for err == nil && r.task.snapshot != nil {
		err = r.takeBatch(m, true)
	}
	if err == nil || connectors.ClassOf(err) != connectors.Retriable {
		t.Fatalf("error %v", err)
	}
	first := len(m.reads)
	noLeftovers(r, 0)
	r.exec("DELETE FROM a WHERE id % 100 = 1")
	r.begin(m, 0)
	if n := r.finish(m); n == 0 || n > 20000-first/2 {
		t.Errorf("%d rows were read again after %d", n, first)
	}
	r.exec("INSERT INTO a VALUES (30000, 'end', 'end')")
	for m.tables["a"]["(30000)"] == nil {
		if err := r.takeBatch(m, true); err != nil {
			t.Fatal(err)
		}
	}
	m.compare(r, "a")
}

// TestAnotherAttemptKeepsThePosition interrupts a snapshot that was taken beside an older slot, before a table was read to its
// end. Its rows must not be ordered before those that a sink may have.
func TestAnotherAttemptKeepsThePosition(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"snapshot.mode": "always", "table.include.list": "public.a"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a SELECT g, 'x' FROM generate_series(1, 20000) g")
	read := func(n int) {
		t.Helper()
		for ; n > 0; n-- {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			err := r.poll(ctx, true)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	r.start()
	for r.task.snapshot != nil {
		read(1)
	}
	r.stop()
	r.exec("INSERT INTO a SELECT g, 'x' FROM generate_series(20001, 21000) g")
	r.start() // a snapshot at the end of the log; the slot stays behind
	read(1)
	before := r.orders[len(r.orders)-1]
	r.stop()
	r.start()
	read(1)
	if after := r.orders[len(r.orders)-1]; after.Compare(before) < 0 {
		t.Errorf("the rows of the next attempt are ordered at %v, before %v", after, before)
	}
}
