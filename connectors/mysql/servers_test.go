package mysql

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// TestTaggedGTIDs goes on by GTIDs with tags, in the middle of a transaction, too, and at a replica.
func TestTaggedGTIDs(t *testing.T) {
	primary := testbed.StartMySQL(t)
	replica := primary.StartReplica(t)
	r := rigOn(t, primary, Factory{Version: "1"}, nil)
	r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.exec("INSERT INTO t VALUES (1)", "SET gtid_next = 'AUTOMATIC:blue'", "INSERT INTO t VALUES (2)", "SET gtid_next = 'AUTOMATIC:red'", "INSERT INTO t VALUES (3)")
	r.until(3)
	uuid := primary.Query(t, "", "SELECT @@server_uuid")
	if got := fmt.Sprint(r.offset()["gtids"]); !strings.Contains(got, uuid+":1-") || !strings.Contains(got, ":blue:1-1") {
		t.Errorf("GTIDs of the offset: %s", got)
	}
	r.cut()
	r.exec("SET gtid_next = 'AUTOMATIC:blue'", "ALTER TABLE t ADD COLUMN v INT", "SET gtid_next = 'AUTOMATIC'", "INSERT INTO t VALUES (4, 4)")
	r.until(4)
	r.task.stream.records = 1
	r.exec("SET gtid_next = 'AUTOMATIC:blue'", "BEGIN", "INSERT INTO t VALUES (5, 5)", "INSERT INTO t VALUES (6, 6)", "COMMIT")
	r.step()
	if len(r.events) != 5 {
		t.Fatalf("%d records", len(r.events))
	}
	r.stop()
	r.start()
	r.until(6)
	r.stop()
	replica.CatchUp(t, primary)
	replica.Promote(t)
	r.at(replica)
	r.start()
	r.exec("SET gtid_next = 'AUTOMATIC:blue'", "INSERT INTO t VALUES (7, 7)", "SET gtid_next = 'AUTOMATIC'", "INSERT INTO t VALUES (8, 8)")
	r.until(8)
	got := strings.ReplaceAll(strings.Join(r.events[3:], "\n"), " last.", "")
	want := []string{}
	for i := 4; i <= 8; i++ {
		want = append(want, fmt.Sprintf("t c (%d) after (%d,%d)", i, i, i))
	}
	if got != strings.Join(want, "\n") {
		t.Error(got)
	}
	r.stop()
	r.at(primary)
	r.refused("no longer available on the server")
}

// TestSources leaves out the transactions of servers that gtid.source.includes and gtid.source.excludes name, as the reference does: of two
// servers that replicate from each other, those of one.
func TestSources(t *testing.T) {
	for _, kind := range []string{"mysql", "mariadb"} {
		t.Run(kind, func(t *testing.T) {
			f, primary := Factory{Version: "1"}, (*testbed.MySQL)(nil)
			source := func(m *testbed.MySQL) string { return m.Query(t, "", "SELECT @@server_uuid") }
			if kind == "mariadb" {
				f.MariaDB, primary = true, testbed.StartMariaDB(t)
				source = func(m *testbed.MySQL) string {
					return m.Query(t, "", "SELECT CONCAT(@@gtid_domain_id, '-', @@server_id)")
				}
			} else {
				primary = testbed.StartMySQL(t)
			}
			other := primary.StartReplica(t)
			for name, config := range map[string]connectors.Config{
				"includes": {"gtid.source.includes": "nothing," + source(other)}, "excludes": {"gtid.source.excludes": source(primary)},
				"all": {"gtid.source.excludes": source(primary), "gtid.source.filter.dml.events": "false"},
			} {
				r := rigOn(t, other, f, config)
				other.Exec(t, "", "DROP DATABASE "+r.db)
				primary.Exec(t, "", "CREATE DATABASE "+r.db)
				primary.Exec(t, r.db, "CREATE TABLE t (id INT PRIMARY KEY)")
				other.CatchUp(t, primary)
				r.sql = other.Connect(t, r.db)
				r.start()
				r.streaming()
				primary.Exec(t, r.db, "INSERT INTO t VALUES (1)")
				other.CatchUp(t, primary)
				r.exec("INSERT INTO t VALUES (2)")
				want := 1
				if name == "all" {
					want = 2
				}
				r.until(want)
				r.stop()
				primary.Exec(t, r.db, "INSERT INTO t VALUES (3)")
				other.CatchUp(t, primary)
				r.exec("INSERT INTO t VALUES (4)")
				r.start()
				r.until(2 * want)
				r.quiet(100 * time.Millisecond)
				if all := strings.Join(r.events, " "); !strings.Contains(all, "(2)") || !strings.Contains(all, "(4)") || strings.Contains(all, "(3)") != (name == "all") {
					t.Errorf("%s: %s", name, all)
				}
				r.stop()
			}
		})
	}
}

// TestIncident has the server lose a statement, of which its binlog notes that alone.
func TestIncident(t *testing.T) {
	onNewServers(t, func(t *testing.T, m *testbed.MySQL) {
		r := rigOn(t, m, Factory{Version: "1", MariaDB: m.IsMariaDB()}, nil)
		r.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(8000)) ENGINE=MyISAM", "INSERT INTO t VALUES (1, 'a')")
		r.start()
		r.streaming()
		r.exec("SET GLOBAL max_binlog_stmt_cache_size = 4096", "SET GLOBAL binlog_stmt_cache_size = 4096")
		r.sql = m.Connect(t, r.db)
		if _, err := r.sql.Execute("INSERT INTO t VALUES (2, REPEAT('x', 8000)), (3, REPEAT('x', 8000)), (4, REPEAT('x', 8000))"); err == nil {
			t.Fatal("the server wrote the statement to its binlog")
		}
		err := r.pollError()
		if !strings.Contains(err.Error(), "noted an incident at ") || !strings.Contains(err.Error(), "snapshot.mode=when_needed") || connectors.ClassOf(err) != connectors.Permanent {
			t.Error(err)
		}
	})
}

// TestNoBinlog has a server without a binlog.
func TestNoBinlog(t *testing.T) {
	m := testbed.StartMySQL(t, "skip-log-bin")
	r := rigOn(t, m, Factory{Version: "1"}, nil)
	if err := r.tryStart(); err == nil || !strings.Contains(err.Error(), "writes no binlog (log_bin=OFF)") || connectors.ClassOf(err) != connectors.Permanent {
		t.Error(err)
	}
}
