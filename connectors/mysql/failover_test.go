package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// at sends the source to another server.
func (r *rig) at(server *testbed.MySQL) {
	r.t.Helper()
	r.server, r.sql = server, server.Connect(r.t, r.db)
	r.config["database.hostname"], r.config["database.port"] = server.Host(), fmt.Sprint(server.Port())
}

// refused fails unless the start ends with a permanent error that has all the texts.
func (r *rig) refused(texts ...string) {
	r.t.Helper()
	err := r.tryStart()
	if err == nil {
		err = r.pollError()
	}
	if connectors.ClassOf(err) != connectors.Permanent {
		r.t.Fatalf("not permanent: %v", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			r.t.Fatalf("the error does not say %q: %v", text, err)
		}
	}
	r.stop()
}

// TestFailover goes on at a replica by GTIDs, in the middle of a transaction, too; by file and position it refuses to.
func TestFailover(t *testing.T) {
	for _, kind := range []string{"mysql", "mariadb"} {
		t.Run(kind, func(t *testing.T) {
			f, primary := Factory{Version: "1"}, (*testbed.MySQL)(nil)
			if kind == "mariadb" {
				f.MariaDB, primary = true, testbed.StartMariaDB(t)
			} else {
				primary = testbed.StartMySQL(t)
			}
			replica := primary.StartReplica(t)
			r := rigOn(t, primary, f, nil)
			r.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(6000))")
			r.start()
			r.streaming()
			r.exec("INSERT INTO t VALUES (1, 'a')")
			r.until(1)
			r.task.stream.records = 1
			r.exec("BEGIN", "INSERT INTO t VALUES (2, 'b')", "INSERT INTO t VALUES (3, 'c')", "COMMIT")
			r.step() // the first half of it
			if len(r.events) != 2 {
				t.Fatalf("%d records", len(r.events))
			}
			first := r.orders[1]
			r.stop()
			replica.CatchUp(t, primary)
			replica.Promote(t)
			r.at(replica)
			r.config["gtid.ignore.on.recovery"] = "true"
			r.refused("belongs to the server", "gtid_mode=ON")
			delete(r.config, "gtid.ignore.on.recovery")
			r.start()
			r.exec("INSERT INTO t VALUES (4, 'd')")
			r.until(4)
			got := strings.ReplaceAll(strings.Join(r.events, "\n"), " last.", "")
			if want := "t c (1) after (1,a)\nt c (2) after (2,b)\nt c (3) after (3,c)\nt c (4) after (4,d)"; got != want {
				t.Fatalf("%s", got)
			}
			if r.orders[2].Compare(first) <= 0 || r.orders[2].Epoch != first.Epoch+1 {
				t.Errorf("order %v behind %v", r.orders[2], first)
			}
			// The former primary has what the promoted one lacks, and the reverse.
			r.stop()
			r.at(primary)
			r.refused("but this is no longer available on the server", "which changes were delivered")
		})
	}
}

// TestLostBinlog purges, resets and replaces what the connector needs.
func TestLostBinlog(t *testing.T) {
	for _, kind := range []string{"gtid", "position"} {
		t.Run(kind, func(t *testing.T) {
			var settings []string
			if kind == "position" {
				settings = []string{"gtid-mode=OFF", "enforce-gtid-consistency=OFF"}
			}
			server := testbed.StartMySQL(t, settings...)
			r := rigOn(t, server, Factory{Version: "1"}, nil)
			r.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(6000))", "FLUSH BINARY LOGS")
			r.start()
			r.streaming()
			r.exec("INSERT INTO t VALUES (1, 'a')")
			r.until(1)
			r.exec("FLUSH BINARY LOGS", "INSERT INTO t VALUES (2, 'b')") // rotation while it runs
			r.until(2)
			server.Kill(t)
			server.Restart(t)
			r.sql = server.Connect(t, r.db)
			r.exec("INSERT INTO t VALUES (3, 'c')") // and a restart
			r.until(3)
			r.stop()
			r.exec("INSERT INTO t VALUES (4, 'd')", "FLUSH BINARY LOGS")
			last := server.Query(t, "", "SHOW BINARY LOG STATUS")
			r.exec("PURGE BINARY LOGS TO '" + last + "'")
			r.refused("The connector is trying to read change stream starting at", "but this is no longer available on the server. Reconfigure the connector to use a snapshot mode when needed", "purged")
			r.exec("RESET BINARY LOGS AND GTIDS")
			for range 8 {
				r.exec("FLUSH BINARY LOGS")
			}
			r.refused("no longer available on the server")
			r.config["snapshot.mode"] = "when_needed"
			r.start()
			r.until(3 + 4)
			r.exec("INSERT INTO t VALUES (5, 'e')")
			r.until(3 + 4 + 1)
			r.stop()
			r.exec("RESET BINARY LOGS AND GTIDS") // the file numbers fall
			r.start()
			r.until(8 + 5)
			r.exec("INSERT INTO t VALUES (6, 'f')")
			r.until(8 + 5 + 1)
			before := slices.MaxFunc(r.orders[:8], connectors.Order.Compare)
			for _, o := range r.orders[8:] {
				if o.Compare(before) <= 0 {
					t.Errorf("order %v after the new snapshot, and %v before it", o, before)
				}
			}
		})
	}
}

// TestResetUnnoticedByNames lets the server make files of the same names again.
func TestResetUnnoticedByNames(t *testing.T) {
	server := testbed.StartMySQL(t, "gtid-mode=OFF", "enforce-gtid-consistency=OFF")
	r := rigOn(t, server, Factory{Version: "1"}, nil)
	r.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(6000))")
	r.start()
	r.streaming()
	r.exec("INSERT INTO t VALUES (1, 'a')")
	r.until(1)
	file := server.Query(t, "", "SHOW BINARY LOG STATUS")
	r.stop()
	time.Sleep(1100 * time.Millisecond) // files are told apart by the second in which they were made
	r.exec("RESET BINARY LOGS AND GTIDS")
	for server.Query(t, "", "SHOW BINARY LOG STATUS") != file {
		r.exec("FLUSH BINARY LOGS")
	}
	for i := range 20 {
		r.exec(fmt.Sprintf("INSERT INTO t VALUES (%d, '%s')", 10+i, strings.Repeat("x", 3000)))
	}
	r.refused("was made at", "reset")
}

// TestStatements refuses changes of captured tables without their rows.
func TestStatements(t *testing.T) {
	r := newRig(t, nil)
	r.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(6000))")
	other := r.server.NewDatabase(t)
	r.exec("CREATE TABLE " + other + ".o (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.exec("SET SESSION binlog_format = STATEMENT", "INSERT INTO "+other+".o VALUES (1)", "SET SESSION binlog_format = ROW", "INSERT INTO t VALUES (1, 'a')")
	r.until(1)
	r.exec("SET SESSION binlog_format = STATEMENT", "INSERT INTO t VALUES (2, 'b')")
	if err := r.pollError(); connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "binlog_format=ROW") || !strings.Contains(err.Error(), r.db+".t") {
		t.Fatal(err)
	}
}
