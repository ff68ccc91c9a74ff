package mysql

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// withoutGTIDs starts a MySQL that has executed transactions with GTIDs and gives them no more.
func withoutGTIDs(t *testing.T, settings ...string) *testbed.MySQL {
	t.Helper()
	m := testbed.StartMySQL(t, settings...)
	m.Exec(t, "", "CREATE DATABASE before_gtids_went", "SET GLOBAL gtid_mode = ON_PERMISSIVE", "SET GLOBAL gtid_mode = OFF_PERMISSIVE",
		"SET GLOBAL gtid_mode = OFF", "SET GLOBAL enforce_gtid_consistency = OFF")
	return m
}

// TestSnapshotBesideACommit takes a snapshot without a lock while a transaction is in the binlog and cannot be seen yet. Its row must come:
// from the table, or from the binlog.
func TestSnapshotBesideACommit(t *testing.T) {
	t.Parallel()
	m := withoutGTIDs(t)
	r := snapshotRig(t, m, connectors.Config{"snapshot.locking.mode": "none"})
	r.exec("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	m.Exec(t, "", "SET GLOBAL binlog_group_commit_sync_delay = 1000000") // µs between binlog and commit
	end := func() string { return logPosition(t, m) }
	before := end()
	conn, err := m.Open(t.Context(), r.db)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	done := make(chan error, 1)
	go func() {
		_, err := conn.Execute("INSERT INTO t VALUES (2)")
		done <- err
	}()
	for deadline := time.Now().Add(time.Minute); end() == before; {
		if time.Now().After(deadline) {
			t.Fatal("the binlog does not grow")
		}
	}
	r.start()
	r.snapshotDone()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.exec("INSERT INTO t VALUES (3)")
	r.until(3)
	if got := strings.Join(r.events, "\n"); strings.Count(got, "(1)") != 2 || strings.Count(got, "(2)") != 2 || strings.Count(got, "(3)") != 2 {
		t.Errorf("records\n%s", got)
	}
}

// logPosition is the end of the newest binlog file.
func logPosition(t *testing.T, m *testbed.MySQL) string {
	t.Helper()
	rows, err := m.Connect(t, "").Execute("SHOW BINARY LOG STATUS")
	if err != nil {
		t.Fatal(err)
	}
	pos, err := rows.GetString(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	return pos
}
