package postgres

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
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
	const rows = 3000
	for threads := range 5 {
		for _, perTable := range []string{"false", "true"} {
			if threads == 0 || threads == 1 && perTable == "true" {
				continue
			}
			t.Run(fmt.Sprint(threads, perTable), func(t *testing.T) {
				r := newRig(t, connectors.Config{
					"snapshot.max.threads": fmt.Sprint(threads), "snapshot.max.threads.multiplier": "2", "legacy.snapshot.max.threads": perTable, "snapshot.mode": "initial_only",
					"snapshot.select.statement.overrides": "public.chosen", "snapshot.select.statement.overrides.public.chosen": "SELECT * FROM chosen WHERE id % 2 = 0",
				})
				variety(r, rows)
				r.start()
				r.task.cfg.snapshot.chunk = 32 << 10
				if err := r.pollError(); err != io.EOF {
					t.Fatal(err)
				}
				counts, tables := map[string]int{}, []string{}
				for _, e := range r.events {
					table, _, _ := strings.Cut(e, " r ")
					if counts[table] == 0 {
						tables = append(tables, table)
					}
					counts[table]++
				}
				slices.Sort(tables)
				for _, table := range tables {
					want := rows
					switch table {
					case "public.single", "public.child":
						want = 1
					case "public.parent":
						want = 2
					case "public.chosen":
						want = rows / 2
					case "public.parts1":
						want = 99
					case "public.parts2":
						want = rows - 99
					}
					if counts[table] != want {
						t.Errorf("%d rows of %s, want %d", counts[table], table, want)
					}
				}
				if len(tables) != 12 {
					t.Errorf("tables %v", tables)
				}
				distinct := map[string]bool{}
				for _, e := range r.events {
					distinct[e[:strings.LastIndex(e, ")")]] = true
				}
				if len(distinct) != len(r.events) {
					t.Errorf("%d of %d rows are different", len(distinct), len(r.events))
				}
				checkMarkers(t, r.events)
				noLeftovers(r, 0)
			})
		}
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
