package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// variety are tables of every kind that a snapshot cuts in its own way, about rows rows in each.
func variety(r *rig, rows int) {
	fill := func(values string) string {
		return fmt.Sprintf("SELECT %s FROM generate_series(1, %d) g", values, rows)
	}
	r.exec(
		"CREATE TABLE ordered (id bigint PRIMARY KEY, v text)", "INSERT INTO ordered "+fill("g, repeat('o', 100)"),
		"CREATE TABLE pairs (a int, b int, v text, PRIMARY KEY (a, b))", "INSERT INTO pairs "+fill("g / 10 - 100, g, repeat('p', 100)"),
		"CREATE TABLE scattered (id uuid PRIMARY KEY, v text)", "INSERT INTO scattered "+fill("gen_random_uuid(), repeat('s', 100)"),
		"CREATE TABLE sorted (id uuid PRIMARY KEY, v text)", "INSERT INTO sorted "+fill("lpad(to_hex(g), 32, '0')::uuid, repeat('s', 100)"),
		"CREATE TABLE keyless (x int, v text)", "INSERT INTO keyless "+fill("g, repeat('k', 100)"),
		`CREATE TABLE "Odd ""name" ("Key ""x" int PRIMARY KEY, v text)`, `INSERT INTO "Odd ""name" `+fill("g, repeat('n', 100)"),
		"CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)", "CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (100)",
		"CREATE TABLE parts2 PARTITION OF parts FOR VALUES FROM (100) TO (10000000)", "INSERT INTO parts "+fill("g, repeat('q', 100)"),
		"CREATE TABLE parent (id int PRIMARY KEY, v text)", "CREATE TABLE child () INHERITS (parent)", "INSERT INTO parent VALUES (1, 'own')", "INSERT INTO child VALUES (2, 'child')",
		"CREATE TABLE empty (id int PRIMARY KEY)", "CREATE TABLE gone (id int PRIMARY KEY, v text)", "INSERT INTO gone "+fill("g, repeat('g', 100)"), "DELETE FROM gone",
		"CREATE TABLE single (id int PRIMARY KEY)", "INSERT INTO single VALUES (1)",
		"CREATE TABLE chosen (id int PRIMARY KEY, v text)", "INSERT INTO chosen "+fill("g, 'c'"), "ANALYZE")
}

// TestParallelSnapshot reads tables of every kind over several connections.
func TestParallelSnapshot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		threads, perTable string
		oneBatch          bool
	}{{"1", "false", false}, {"4", "false", false}, {"4", "false", true}, {"3", "true", false}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			r := newRig(t, connectors.Config{
				"snapshot.max.threads": c.threads, "snapshot.max.threads.multiplier": "2", "legacy.snapshot.max.threads": c.perTable, "snapshot.mode": "initial_only",
				"snapshot.select.statement.overrides": "public.chosen", "snapshot.select.statement.overrides.public.chosen": "SELECT * FROM chosen WHERE id % 2 = 0",
			})
			const rows = 1500
			variety(r, rows)
			r.start()
			r.task.cfg.snapshot.Bytes = 16 << 10
			if c.oneBatch {
				r.task.session = &narrow{rig: r, free: make(chan struct{}, 1)}
			}
			var err error
			for err == nil {
				err = r.poll(t.Context(), true)
			}
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			checkVariety(t, r.events, rows)
			checkMarkers(t, r.events)
			noLeftovers(r, 0)
		})
	}
}

// TestSnapshotWhileATableIsCut: one reader waits for the catalog, which cuts the next table; what the others read comes meanwhile.
func TestSnapshotWhileATableIsCut(t *testing.T) {
	t.Parallel()
	r, m := newRig(t, connectors.Config{"snapshot.max.threads": "3"}), newMirror(t)
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text, w text)", "INSERT INTO a SELECT g, 'v', repeat('w', 1000) FROM generate_series(1, 20000) g",
		"CREATE TABLE b (id int PRIMARY KEY, v text, w text)", "INSERT INTO b SELECT g, 'v', 'w' FROM generate_series(1, 300) g", "ANALYZE")
	r.begin(m, 1)
	r.exec("BEGIN", "LOCK TABLE b")
	done, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		for len(m.reads) < 19000 { // the last rows of a are kept until those of b are there
			if err := r.takeBatch(m, true); err != nil {
				failed <- err
				return
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("the rows that were read do not come")
	}
	r.exec("ROLLBACK")
	<-done
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	r.finish(m)
	m.compare(r, "a", "b")
}

// TestExportedSnapshotIsGone: the connection that exported the snapshot was lost before another one imports it.
func TestExportedSnapshotIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.start()
	r.exec("BEGIN ISOLATION LEVEL REPEATABLE READ")
	var name string
	if err := r.sql.QueryRow(t.Context(), "SELECT pg_export_snapshot()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	reader := &snapshotReader{cfg: r.task.cfg, exported: name}
	if err := reader.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = reader.copy.conn.Close()
	r.exec("ROLLBACK")
	for _, name := range []string{name, "00000000-00000000-1"} {
		reader := &snapshotReader{cfg: r.task.cfg, exported: name}
		if err := reader.connect(t.Context()); err == nil || connectors.ClassOf(r.task.classify(err)) != connectors.Retriable || !strings.Contains(err.Error(), name) {
			t.Errorf("%s error: %v", connectors.ClassOf(r.task.classify(err)), err)
		}
	}
}

// narrow is a session with memory for one batch.
type narrow struct {
	*rig
	free chan struct{}
}

// NewBatch implements connectors.SourceSession.
func (n *narrow) NewBatch(ctx context.Context, p offsets.Partition) (*connectors.Builder, error) {
	select {
	case n.free <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return connectors.NewBuilder(p, &n.pool, func(*connectors.Batch) { <-n.free }), nil
}

// checkVariety fails unless every row of variety came once.
func checkVariety(t *testing.T, events []string, rows int) {
	t.Helper()
	counts, distinct := map[string]int{}, map[string]bool{}
	for _, e := range events {
		table, _, _ := strings.Cut(e, " r ")
		counts[table]++
		distinct[e[:strings.LastIndex(e, ")")]] = true
	}
	want := map[string]int{
		"public.single": 1, "public.child": 1, "public.parent": 2, "public.chosen": rows / 2, "public.parts1": 99, "public.parts2": rows - 99,
		"public.ordered": rows, "public.pairs": rows, "public.scattered": rows, "public.sorted": rows, "public.keyless": rows, "public.Odd__name": rows,
	}
	if !maps.Equal(counts, want) || len(distinct) != len(events) {
		t.Errorf("%d rows, %d of them different: %v, want %v", len(events), len(distinct), counts, want)
	}
}

// checkMarkers compares the markers of a whole snapshot with those that follow from the order of its rows.
func checkMarkers(t *testing.T, events []string) {
	t.Helper()
	type span struct{ first, last int }
	tables := map[string]*span{}
	for i, e := range events {
		table, _, _ := strings.Cut(e, " r ")
		if tables[table] == nil {
			tables[table] = &span{i, i}
		}
		tables[table].last = i
	}
	for i, e := range events {
		table, _, _ := strings.Cut(e, " r ")
		at, want := tables[table], "true"
		switch {
		case i == len(events)-1:
			want = "last last."
		case i == 0:
			want = "first"
		case i == at.last:
			want = "last_in_data_collection"
		case i == at.first:
			want = "first_in_data_collection"
		}
		if got := strings.TrimSpace(e[strings.LastIndex(e, ")")+1:]); got != want {
			t.Errorf("record %d of %d of %s (%d to %d) has the marker %q, want %q", i, len(events), table, at.first, at.last, got, want)
		}
	}
}

// leftovers counts the connections and temporary slots of others than the rig's own connection.
func leftovers(r *rig) (n int) {
	r.t.Helper()
	const sql = `SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()) + (SELECT count(*) FROM pg_replication_slots WHERE temporary AND database = $1)`
	if err := r.sql.QueryRow(r.t.Context(), sql, r.db).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// noLeftovers stops the task and waits until nothing of it is left.
func noLeftovers(r *rig, others int) {
	r.t.Helper()
	r.stop()
	r.eventually("connections and temporary slots are gone", func() bool { return leftovers(r) == others })
}
