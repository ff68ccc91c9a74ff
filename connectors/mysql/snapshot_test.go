package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

func factoryOf(m *testbed.MySQL) Factory { return Factory{Version: "1", MariaDB: m.IsMariaDB()} }

// snapshotRig is a rig that takes a snapshot; more keys come on top.
func snapshotRig(t testing.TB, m *testbed.MySQL, more connectors.Config) *rig {
	t.Helper()
	config := connectors.Config{"snapshot.mode": "initial"}
	maps.Copy(config, more)
	return rigOn(t, m, factoryOf(m), config)
}

// snapshotDone polls until the snapshot is done.
func (r *rig) snapshotDone() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	for r.task.snapshot != nil {
		if err := r.poll(ctx, true); err != nil {
			r.t.Fatalf("poll: %v", err)
		}
	}
}

// TestSnapshot compares records, markers and offsets of a small snapshot with what the reference does.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		r := snapshotRig(t, m, connectors.Config{"include.schema.changes": "true"})
		r.exec("CREATE TABLE b (id int PRIMARY KEY, v varchar(20))", "INSERT INTO b VALUES (1, 'x'), (2, 'y'), (3, NULL)", "CREATE TABLE a (id int PRIMARY KEY)",
			"INSERT INTO a VALUES (7)", "CREATE TABLE c (id int, v int)", "INSERT INTO c VALUES (1, 2), (1, 2)", "CREATE TABLE void (id int PRIMARY KEY)")
		r.start()
		r.snapshotDone()
		var rows []string
		for _, e := range r.events {
			if !strings.HasPrefix(e, " ") {
				rows = append(rows, strings.TrimPrefix(e, r.db+"."))
			}
		}
		want := []string{
			"a r (7) after (7) first", "b r (1) after (1,x) first_in_data_collection", "b r (2) after (2,y) true", "b r (3) after (3,null) last_in_data_collection",
			"c r () after (1,2) first_in_data_collection", "c r () after (1,2) last last.",
		}
		if !slices.Equal(rows, want) {
			t.Errorf("rows\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
		}
		if o := r.offset(); o["snapshot"] != nil || o["file"] == nil || o["pos"] == nil || o["gtids"] == nil {
			t.Errorf("offset at the end %v", o)
		}
		for _, o := range r.written[:len(r.written)-1] {
			if !strings.Contains(string(o), `"snapshot":"INITIAL"`) {
				t.Errorf("offset before the end %s", o)
			}
		}
		n := len(r.events)
		r.exec("INSERT INTO a VALUES (8)", "DELETE FROM b WHERE id = 3")
		r.until(n + 3)
		if got := r.events[n:]; !strings.Contains(got[0], "a c (8) after (8)") || !strings.Contains(got[1], "b d (3)") {
			t.Errorf("streamed %q", got)
		}
		for i := 1; i < len(r.orders); i++ {
			if r.orders[i].Compare(r.orders[i-1]) < 0 {
				t.Errorf("order %v of record %d behind %v", r.orders[i], i, r.orders[i-1])
			}
		}
	})
}

// transfer moves amounts between accounts of two tables, inserts and deletes, until stop is closed.
func transfer(t testing.TB, m *testbed.MySQL, database string, who int, stop <-chan struct{}) error {
	conn, err := m.Open(context.WithoutCancel(t.Context()), database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for n := 1; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		amount, from, to, extra := rand.IntN(50), 1+rand.IntN(2000), 1+rand.IntN(2000), 100000*(1+who)+n
		for _, sql := range []string{
			"BEGIN", fmt.Sprintf("UPDATE a SET n = n - %d WHERE id = %d", amount, from), fmt.Sprintf("UPDATE b SET n = n + %d WHERE id = %d", amount, to),
			fmt.Sprintf("INSERT INTO a VALUES (%d, 0)", extra), fmt.Sprintf("DELETE FROM a WHERE id = %d", extra-3), "COMMIT",
		} {
			if _, err := conn.Execute(sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
	}
}

const accounts = 4000 * 1000 // all amounts of both tables

func createAccounts(r *rig) {
	r.exec("CREATE TABLE a (id int PRIMARY KEY, n int NOT NULL)", "CREATE TABLE b (id int PRIMARY KEY, n int NOT NULL)")
	insertNumbers(r, "a", "n, 1000", 2000)
	insertNumbers(r, "b", "n, 1000", 2000)
}

// insertNumbers inserts rows made of n, from 1 on.
func insertNumbers(r *rig, table, values string, count int) {
	r.t.Helper()
	depth := "cte_max_recursion_depth"
	if r.server.IsMariaDB() {
		depth = "max_recursive_iterations"
	}
	r.exec("SET SESSION "+depth+" = 1000000", fmt.Sprintf("INSERT INTO %s WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT %s FROM s", table, count, values))
}

// TestSnapshotUnderLoad reads accounts while amounts move between them. Under a lock all rows must be of one moment, and each change
// that follows must fit what is there: none is missing, none comes again. Without one they end right.
func TestSnapshotUnderLoad(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		for _, c := range []struct {
			mode    string
			threads string
			exact   bool
		}{{"minimal", "1", true}, {"minimal", "4", true}, {"extended", "3", true}, {"none", "1", m.IsMariaDB()}, {"none", "3", false}} {
			t.Run(c.mode+" "+c.threads, func(t *testing.T) {
				r := snapshotRig(t, m, connectors.Config{"snapshot.locking.mode": c.mode, "snapshot.max.threads": c.threads})
				createAccounts(r)
				stop, done := make(chan struct{}), make(chan error, 2)
				for who := range 2 {
					go func() { done <- transfer(t, m, r.db, who, stop) }()
				}
				r.start()
				r.task.cfg.snapshot.Bytes = 16 << 10
				target := newMirror(t)
				target.exact = c.exact
				r.takeSnapshot(target)
				if sum := target.total("a") + target.total("b"); c.exact && sum != accounts {
					t.Errorf("the rows of the snapshot add up to %d, want %d", sum, accounts)
				}
				for range 20 {
					if err := r.takeBatch(target, true); err != nil {
						t.Fatal(err)
					}
				}
				close(stop)
				for range 2 {
					if err := <-done; err != nil {
						t.Fatal(err)
					}
				}
				r.exec("INSERT INTO b VALUES (5000, 0)")
				r.takeUntil(target, "b", "(5000)")
				target.compare(r, "a")
				target.compare(r, "b")
				if len(target.misfit) > 0 {
					t.Errorf("%d changes do not fit: %s", len(target.misfit), strings.Join(target.misfit[:min(5, len(target.misfit))], "; "))
				}
				if target.first["first"] != 1 || target.first["last"] != 1 || target.first["first_in_data_collection"] != 1 || target.first["last_in_data_collection"] != 1 {
					t.Errorf("markers %v", target.first)
				}
			})
		}
	})
}

// TestSnapshotRanges cuts tables by keys of all kinds and reads each row once.
func TestSnapshotRanges(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		r := snapshotRig(t, m, connectors.Config{"snapshot.max.threads": "3"})
		tables := map[string]struct{ columns, values string }{
			"dense":     {"id int PRIMARY KEY, v varchar(100)", "n, repeat('v', 90)"},
			"negative":  {"id bigint PRIMARY KEY, v varchar(100)", "(n - 2500) * 1000000007, repeat('v', 90)"},
			"unsigned_": {"id bigint unsigned PRIMARY KEY, v varchar(100)", "18446744073709551615 - n * n, repeat('v', 90)"},
			"gaps":      {"id int PRIMARY KEY, v varchar(100)", "n + (n > 2500) * 2000000000, repeat('v', 90)"},
			"tiny":      {"id tinyint unsigned, n int, v varchar(100), PRIMARY KEY (id, n)", "n % 3, n, repeat('v', 90)"},
			"bin":       {"id binary(16) PRIMARY KEY, v varchar(100)", "unhex(left(sha2(n, 256), 32)), repeat('v', 90)"},
			"words":     {"id varchar(40) PRIMARY KEY, v varchar(100)", "left(sha2(n, 256), 40), repeat('v', 90)"},
			"nokey":     {"id int, v varchar(100)", "n, repeat('v', 90)"},
		}
		for name, c := range tables {
			r.exec(fmt.Sprintf("CREATE TABLE %s (%s)", name, c.columns))
			insertNumbers(r, name, c.values, 5000)
			r.exec("ANALYZE TABLE " + name)
		}
		r.start()
		r.task.cfg.snapshot.Bytes = 64 << 10
		target := newMirror(t)
		r.takeSnapshot(target)
		counts := map[string]int{}
		for _, read := range target.reads {
			name, _, _ := strings.Cut(read, " ")
			counts[name]++
		}
		for name := range tables {
			if counts[name] != 5000 {
				t.Errorf("table %s: %d rows, want 5000", name, counts[name])
			}
			if keys := len(target.table(name)); keys != 5000 && name != "nokey" {
				t.Errorf("table %s: %d keys, want 5000", name, keys)
			}
		}
	})
}

// TestSnapshotCuts shows that parts have about as many rows as they should.
func TestSnapshotCuts(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		r := snapshotRig(t, m, nil)
		r.exec("CREATE TABLE gaps (id bigint PRIMARY KEY, v varchar(200))")
		insertNumbers(r, "gaps", "n * n * n - 40 * n, repeat('v', 200)", 20000)
		r.exec("ANALYZE TABLE gaps")
		r.start()
		s := r.task.snapshot
		var err error
		if s.meta, err = r.task.cfg.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		k := keyCutter{s: s, key: changes.ChunkKey{Column: "id", Type: "bigint"}, table: quote(r.db) + ".gaps"}
		cuts, err := k.cuts(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(cuts) < 6 || len(cuts) > 20 {
			t.Errorf("%d cuts, want about 9: %v", len(cuts), cuts)
		}
		for _, part := range k.key.Ranges(cuts, nil) {
			n, err := r.task.cfg.value(t.Context(), s.meta, "SELECT count(*) FROM "+k.table+" WHERE "+strings.Join([]string{"true", k.where(part)}[:1+min(1, len(k.where(part)))], " AND "))
			if err != nil {
				t.Fatal(err)
			}
			var rows int
			if _, err := fmt.Sscan(n, &rows); err != nil || rows > 6000 {
				t.Errorf("part %v has %d rows of 20000, want about 2000", part, rows)
			}
		}
	})
}

// TestSnapshotAltered alters tables that are not read yet: the attempt ends, and the next one goes on.
func TestSnapshotAltered(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		for name, statement := range map[string]string{
			"drop column": "ALTER TABLE b DROP COLUMN w", "change type": "ALTER TABLE b MODIFY w text", "truncate": "TRUNCATE b", "drop": "DROP TABLE b", "rename": "RENAME TABLE b TO c",
		} {
			t.Run(name, func(t *testing.T) {
				r := snapshotRig(t, m, nil)
				r.exec("CREATE TABLE a (id int PRIMARY KEY, v varchar(1000))", "CREATE TABLE b (id int PRIMARY KEY, v varchar(20), w varchar(20))")
				insertNumbers(r, "a", "n, repeat('a', 900)", 20000)
				insertNumbers(r, "b", "n, 'b', 'w'", 100)
				target := newMirror(t)
				r.start()
				for range 2 { // the reader of table a waits for us
					if err := r.takeBatch(target, true); err != nil {
						t.Fatal(err)
					}
				}
				r.exec(statement)
				var err error
				for err == nil && r.task.snapshot != nil {
					err = r.takeBatch(target, true)
				}
				if !errors.Is(err, errAltered) || connectors.ClassOf(err) != connectors.Retriable || !strings.Contains(err.Error(), r.db+".b") {
					t.Fatalf("error %v", err)
				}
				n := len(target.reads)
				r.stop()
				r.start()
				r.takeSnapshot(target)
				for _, read := range target.reads[n:] {
					if strings.HasPrefix(read, "a ") {
						t.Fatalf("%s was read again", read)
					}
				}
				r.exec("INSERT INTO a VALUES (30000, 'end')")
				r.takeUntil(target, "a", "(30000)")
			})
		}
	})
}

// TestSnapshotRights takes snapshots as users that lack rights. Not parallel: the FLUSH TABLES of other snapshots of the same server would
// wait for what LOCK TABLES holds, behind which the server opens no table, and one of the two would be begun again.
func TestSnapshotRights(t *testing.T) {
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		for i, c := range []struct {
			name, rights, mode string
			want               string // error; "": none
		}{
			{"all", "SELECT, RELOAD, LOCK TABLES, REPLICATION CLIENT, REPLICATION SLAVE", "minimal", ""},
			{"no reload", "SELECT, LOCK TABLES, REPLICATION CLIENT, REPLICATION SLAVE", "minimal", ""},
			{"no locks", "SELECT, REPLICATION CLIENT, REPLICATION SLAVE", "minimal", "LOCK TABLES"},
			{"no locks needed", "SELECT, REPLICATION CLIENT, REPLICATION SLAVE", "none", ""},
			{"no percona", "SELECT, RELOAD, LOCK TABLES, REPLICATION CLIENT, REPLICATION SLAVE", "minimal_percona_no_table_locks", "Percona Server"},
			{"percona falls back", "SELECT, RELOAD, LOCK TABLES, REPLICATION CLIENT, REPLICATION SLAVE", "minimal_percona", ""},
			{"no position", "SELECT, RELOAD, LOCK TABLES", "minimal", "REPLICATION CLIENT"},
		} {
			t.Run(c.name, func(t *testing.T) {
				if m.IsMariaDB() && strings.HasPrefix(c.mode, "minimal_percona") {
					return // the connector of MariaDB has no such mode
				}
				user := fmt.Sprintf("u%08x%d", rand.Uint32(), i)
				r := snapshotRig(t, m, connectors.Config{"snapshot.locking.mode": c.mode, "database.user": user, "database.password": "secret"})
				m.Exec(t, "", fmt.Sprintf("CREATE USER %s IDENTIFIED BY 'secret'", user), fmt.Sprintf("GRANT %s ON *.* TO %s", c.rights, user))
				t.Cleanup(func() { r.exec("DROP USER " + user) })
				r.exec("CREATE TABLE a (id int PRIMARY KEY, v varchar(10))", "INSERT INTO a VALUES (1, 'x'), (2, 'y')")
				target := newMirror(t)
				err := r.tryStart()
				for err == nil && r.task.snapshot != nil {
					err = r.takeBatch(target, true)
				}
				switch {
				case c.want == "" && err != nil:
					t.Fatal(err)
				case c.want == "":
					target.compare(r, "a")
				case err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret"):
					t.Errorf("error %v, want one with %s", err, c.want)
				}
			})
		}
	})
}

// TestSnapshotLockTimeout waits for a lock that another session does not give.
func TestSnapshotLockTimeout(t *testing.T) {
	t.Parallel()
	m := testbed.StartMySQL(t)
	r := snapshotRig(t, m, connectors.Config{"snapshot.lock.timeout.ms": "1000"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1)")
	other := m.Connect(t, r.db)
	done := make(chan error, 1)
	go func() {
		_, err := other.Execute("UPDATE a SET id = id + sleep(1000)")
		done <- err
	}()
	running := "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE a SET%'"
	r.eventually("the statement runs", func() bool { return m.Query(t, "", running) == "1" })
	r.start()
	err := r.pollError()
	if !strings.Contains(err.Error(), "snapshot.lock.timeout.ms") || connectors.ClassOf(err) != connectors.Retriable {
		t.Errorf("error %v", err)
	}
	r.exec(fmt.Sprintf("KILL QUERY %d", other.GetConnectionID()))
	if err := <-done; err == nil {
		t.Error("the statement ended by itself")
	}
	r.stop()
	r.start()
	target := newMirror(t)
	r.takeSnapshot(target)
	target.compare(r, "a")
}

// TestSnapshotModes shows what each mode delivers at the first start and at the next.
func TestSnapshotModes(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		for _, c := range []struct {
			mode          string
			first, second int // rows read
			streams       bool
		}{{"initial", 2, 0, true}, {"initial_only", 2, 0, false}, {"no_data", 0, 0, true}, {"when_needed", 2, 0, true}, {"always", 2, 3, true}} {
			t.Run(c.mode, func(t *testing.T) {
				r := snapshotRig(t, m, connectors.Config{"snapshot.mode": c.mode, "include.schema.changes": "true"})
				r.exec("CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1), (2)")
				target := newMirror(t)
				r.start()
				r.takeSnapshot(target)
				if len(target.reads) != c.first {
					t.Errorf("%d rows at the first start, want %d", len(target.reads), c.first)
				}
				if r.offset()["snapshot"] != nil {
					t.Errorf("offset %v", r.offset())
				}
				r.exec("INSERT INTO a VALUES (3)")
				if c.streams {
					r.takeUntil(target, "a", "(3)")
				} else if err := r.takeBatch(target, true); !errors.Is(err, io.EOF) {
					t.Errorf("the end of the snapshot is followed by %v", err)
				}
				r.stop()
				n := len(target.reads)
				r.start()
				if r.task.snapshot != nil {
					r.takeSnapshot(target)
				}
				if got := len(target.reads) - n; got != c.second {
					t.Errorf("%d rows at the second start, want %d", got, c.second)
				}
				if c.streams {
					r.exec("INSERT INTO a VALUES (4)")
					r.takeUntil(target, "a", "(4)")
				}
			})
		}
	})
}

// TestSnapshotRecovery loses the schema history and makes it anew from the tables as they are.
func TestSnapshotRecovery(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		r := snapshotRig(t, m, nil)
		r.exec("CREATE TABLE a (id int PRIMARY KEY, v varchar(10))", "INSERT INTO a VALUES (1, 'x')")
		target := newMirror(t)
		target.exact = true
		r.start()
		r.takeSnapshot(target)
		r.exec("INSERT INTO a VALUES (2, 'y')")
		r.takeUntil(target, "a", "(2)")
		r.stop()
		r.exec("INSERT INTO a VALUES (3, 'z')")
		r.config["schema.history.internal.file.filename"] += "2"
		if err := r.tryStart(); err == nil {
			t.Error("the history is gone, and the source starts")
		}
		r.stop()
		r.config["snapshot.mode"] = "recovery"
		r.start()
		n := len(target.reads)
		r.takeUntil(target, "a", "(3)")
		target.compare(r, "a")
		if len(target.misfit) > 0 || len(target.reads) != n {
			t.Errorf("misfits %v, %d rows read", target.misfit, len(target.reads)-n)
		}
	})
}

// TestSnapshotSelection reads what is asked for only, by the statements that are given.
func TestSnapshotSelection(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		r := snapshotRig(t, m, connectors.Config{"snapshot.max.threads": "2"})
		maps.Copy(r.config, connectors.Config{
			"snapshot.include.collection.list": r.db + ".[ab]", "snapshot.select.statement.overrides": r.db + ".a", "column.exclude.list": r.db + ".b.w",
			"snapshot.select.statement.overrides." + r.db + ".a": "SELECT * FROM " + r.db + ".a WHERE id > 1",
		})
		r.exec("CREATE TABLE a (id int PRIMARY KEY, v varchar(10))", "INSERT INTO a VALUES (1, 'x'), (2, 'y')", "CREATE TABLE b (id int PRIMARY KEY, v varchar(10), w longblob, f float)",
			"INSERT INTO b VALUES (1, 'é', 'w', 1.1234567)", "CREATE TABLE c (id int PRIMARY KEY)", "INSERT INTO c VALUES (1)")
		r.start()
		target := newMirror(t)
		r.takeSnapshot(target)
		slices.Sort(target.reads)
		if want := []string{"a (2)", "b (1)"}; !slices.Equal(target.reads, want) {
			t.Errorf("read %q, want %q", target.reads, want)
		}
		r.exec("INSERT INTO c VALUES (2)")
		r.takeUntil(target, "c", "(2)")
	})
}

// TestSnapshotCancelled stops while a statement runs that gives no row for long: neither the task nor the server goes on with it.
func TestSnapshotCancelled(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		r := snapshotRig(t, m, nil)
		maps.Copy(r.config, connectors.Config{
			"snapshot.select.statement.overrides":                r.db + ".a",
			"snapshot.select.statement.overrides." + r.db + ".a": "SELECT * FROM " + r.db + ".a WHERE sleep(1000) = 0",
		})
		r.exec("CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1), (2)")
		r.start()
		running := fmt.Sprintf("SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%%FROM %s.a WHERE sleep%%' AND INFO NOT LIKE '%%PROCESSLIST%%'", r.db)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.poll(ctx, true) }()
		r.eventually("the statement runs", func() bool { return m.Query(t, "", running) == "1" })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("poll: %v", err)
		}
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("stopping took %v", took)
		}
		r.eventually("the statement has ended", func() bool { return m.Query(t, "", running) == "0" })
	})
}

// eventually waits for a condition.
func (r *rig) eventually(what string, done func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			r.t.Fatalf("not reached: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
