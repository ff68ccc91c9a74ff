package postgres

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// TestSnapshotOfTablesWrittenAnew alters tables after the snapshot began and before they are read: to an older snapshot
// such a table is empty. The snapshot has to be taken again, and nothing may be missing at the end.
func TestSnapshotOfTablesWrittenAnew(t *testing.T) {
	t.Parallel()
	fill := func(table string) string {
		return "INSERT INTO " + table + " SELECT g, 'new', 'w' FROM generate_series(1, 400) g"
	}
	for name, c := range map[string]struct {
		ddl    []string
		tables []string // besides a
		same   bool     // the snapshot may end in the first attempt
	}{
		"type":              {ddl: []string{"ALTER TABLE b ALTER id TYPE bigint"}, tables: []string{"b", "p"}},
		"truncated":         {ddl: []string{"TRUNCATE b", fill("b")}, tables: []string{"b", "p"}},
		"made anew":         {ddl: []string{"DROP TABLE b", "CREATE TABLE b (id int PRIMARY KEY, v text, w text)", fill("b")}, tables: []string{"b", "p"}},
		"swapped":           {ddl: []string{"CREATE TABLE b1 (id int PRIMARY KEY, v text, w text)", fill("b1"), "ALTER TABLE b RENAME TO b2", "ALTER TABLE b1 RENAME TO b"}, tables: []string{"b", "b2", "p"}},
		"dropped":           {ddl: []string{"DROP TABLE b"}, tables: []string{"p"}},
		"column renamed":    {ddl: []string{"ALTER TABLE b RENAME v TO x", "ALTER TABLE b ADD v text DEFAULT 'x'"}, tables: []string{"p"}, same: true},
		"vacuum":            {ddl: []string{"VACUUM FULL b", "CLUSTER b USING b_pkey"}, tables: []string{"b", "p"}, same: true},
		"partition":         {ddl: []string{"TRUNCATE p1", "INSERT INTO p SELECT g, 'new', 'w' FROM generate_series(1, 50) g"}, tables: []string{"b", "p"}},
		"partition dropped": {ddl: []string{"DROP TABLE p1"}, tables: []string{"b", "p"}},
		"detached":          {ddl: []string{"ALTER TABLE p DETACH PARTITION p1"}, tables: []string{"b", "p", "p1"}},
	} {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s %d", name, threads), func(t *testing.T) {
				t.Parallel()
				config := connectors.Config{"snapshot.max.threads": fmt.Sprint(threads), "publish.via.partition.root": "true", "skipped.operations": "none"}
				r, m := newRig(t, config), newMirror(t)
				r.exec("CREATE TABLE a (id int PRIMARY KEY, v text, w text)", "INSERT INTO a SELECT g, 'v', repeat('w', 1000) FROM generate_series(1, 20000) g",
					"CREATE TABLE b (id int PRIMARY KEY, v text, w text)", "INSERT INTO b SELECT g, 'v', 'w' FROM generate_series(1, 300) g",
					"CREATE TABLE p (id int PRIMARY KEY, v text, w text) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100)",
					"CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (1000)", "INSERT INTO p SELECT g, 'v', 'w' FROM generate_series(1, 300) g", "ANALYZE")
				r.begin(m, 1)
				r.exec(c.ddl...)
				var err error
				for err == nil && r.task.snapshot != nil {
					err = r.takeBatch(m, true)
				}
				switch {
				case err == nil && !c.same:
					t.Error("the snapshot ended as if nothing had happened")
				case err != nil && (connectors.ClassOf(err) != connectors.Retriable || !strings.Contains(err.Error(), "snapshot.locking.mode=shared")):
					t.Errorf("%s error: %v", connectors.ClassOf(err), err)
				}
				if err != nil {
					r.stop()
					r.begin(m, 0)
					r.finish(m)
				}
				r.exec("INSERT INTO a VALUES (30000, 'end', 'end')")
				for m.tables["a"]["(30000)"] == nil {
					if err := r.takeBatch(m, true); err != nil {
						t.Fatal(err)
					}
				}
				m.compare(r, append(c.tables, "a")...)
			})
		}
	}
}

// TestSnapshotLocksTables keeps tables from being altered between the beginning of the snapshot and their turn.
func TestSnapshotLocksTables(t *testing.T) {
	t.Parallel()
	r, m := newRig(t, connectors.Config{"snapshot.locking.mode": "shared", "snapshot.lock.timeout.ms": "60000"}), newMirror(t)
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text, w text)", "INSERT INTO a SELECT g, 'v', repeat('w', 1000) FROM generate_series(1, 20000) g",
		"CREATE TABLE b (id int PRIMARY KEY, v text, w text)", "INSERT INTO b SELECT g, 'v', 'w' FROM generate_series(1, 300) g")
	r.begin(m, 1)
	if _, err := r.sql.Exec(t.Context(), "SET lock_timeout = 100"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.sql.Exec(t.Context(), "TRUNCATE b"); sqlState(err) != "55P03" {
		t.Errorf("a table that is to be read is truncated: %v", err)
	}
	r.finish(m)
	m.compare(r, "a", "b")
	r.stop()

	// One that was written anew before the lock was there is noticed at once.
	late := newMirror(t)
	r.config = maps.Clone(r.config)
	r.config["snapshot.locking.mode"], r.config["snapshot.mode"] = "none", "always"
	r.begin(late, 1)
	r.exec("ALTER TABLE b ALTER id TYPE bigint")
	s := r.task.snapshot
	if err := s.lock(t.Context(), []changes.TableID{{Catalog: r.db, Schema: "public", Name: "a"}, {Catalog: r.db, Schema: "public", Name: "b"}}); err == nil ||
		connectors.ClassOf(r.task.classify(err)) != connectors.Retriable || !strings.Contains(err.Error(), "table public.b") {
		t.Errorf("locked a table that was written anew: %v", err)
	}
}
