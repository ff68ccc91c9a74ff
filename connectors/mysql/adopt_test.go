package mysql

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// onNewServers runs a test on a MySQL and a MariaDB of its own.
func onNewServers(t *testing.T, test func(t *testing.T, m *testbed.MySQL)) {
	t.Helper()
	onNewServersWith(t, nil, test)
}

func onNewServersWith(t *testing.T, settings []string, test func(t *testing.T, m *testbed.MySQL)) {
	t.Helper()
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		test(t, testbed.StartMySQL(t, settings...))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		test(t, testbed.StartMariaDB(t, settings...))
	})
}

func reset(r *rig) {
	r.t.Helper()
	if r.server.IsMariaDB() {
		r.exec("RESET MASTER")
		return
	}
	r.exec("RESET BINARY LOGS AND GTIDS")
}

// TestFirstGTIDs begins where the server has executed nothing: the first transaction is known by its GTID.
func TestFirstGTIDs(t *testing.T) {
	t.Parallel()
	onNewServers(t, func(t *testing.T, m *testbed.MySQL) {
		r := snapshotRig(t, m, nil)
		r.exec("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
		reset(r)
		r.start()
		r.snapshotDone()
		r.streaming()
		if o := r.offset(); o["gtids"] != nil {
			t.Errorf("offset %v", o)
		}
		r.cut() // still nothing
		r.exec("INSERT INTO t VALUES (2)")
		r.until(2)
		r.exec("INSERT INTO t VALUES (3)")
		r.until(3)
		if o := r.offset(); o["gtids"] == nil { // of the first transaction
			t.Errorf("offset %v", o)
		}
		r.stop()
		r.start()
		r.exec("INSERT INTO t VALUES (4)")
		r.until(4)
	})
}

// TestGTIDsComeLater goes on by GTIDs after they were switched on: from the next binlog file on, and through a restart of the connector.
func TestGTIDsComeLater(t *testing.T) {
	t.Parallel()
	m := withoutGTIDs(t)
	r := snapshotRig(t, m, nil)
	r.exec("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	r.start()
	r.exec("INSERT INTO t VALUES (2)")
	r.until(2)
	m.Exec(t, "", "SET GLOBAL enforce_gtid_consistency = ON", "SET GLOBAL gtid_mode = OFF_PERMISSIVE", "SET GLOBAL gtid_mode = ON_PERMISSIVE")
	r.exec("INSERT INTO t VALUES (3)")
	r.until(3)
	r.stop()
	m.Exec(t, "", "SET GLOBAL gtid_mode = ON")
	r.start()
	r.exec("INSERT INTO t VALUES (4)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (5)")
	r.until(5)
	if o := r.offset(); o["gtids"] == nil {
		t.Errorf("offset %v", o)
	}
	r.stop()
	r.exec("INSERT INTO t VALUES (6)")
	r.start()
	r.until(6)
	m.Exec(t, "", "SET GLOBAL gtid_mode = ON_PERMISSIVE", "SET GLOBAL gtid_mode = OFF_PERMISSIVE")
	r.exec("INSERT INTO t VALUES (7)")
	if err := r.pollError(); !strings.Contains(err.Error(), "Cannot replicate anonymous transaction") { // who asked by GTIDs is told so
		t.Fatal(err)
	}
	r.stop()
	r.start()
	r.until(7)
	r.stop()
	r.exec("INSERT INTO t VALUES (8)")
	r.start()
	r.until(8)
}

// TestResetWhileQuiet resets the binlog under a connector that has nothing to read, of which the server does not tell its readers.
func TestResetWhileQuiet(t *testing.T) {
	t.Parallel()
	onNewServers(t, func(t *testing.T, m *testbed.MySQL) {
		r := snapshotRig(t, m, nil)
		r.exec("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
		r.start()
		r.until(1)
		r.exec("INSERT INTO t VALUES (2)")
		r.until(2)
		reset(r)
		s := r.task.stream
		s.heard, s.looked = 0, time.Time{} // as if it were quiet for long
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var err error
		for err == nil {
			err = r.poll(ctx, true)
		}
		if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "no longer available on the server") {
			t.Errorf("error %v", err)
		}
	})
}
