package mysql

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/freshet-io/freshet/connectors"
)

// TestSnapshotBesideAFlush has somebody's FLUSH TABLES wait, behind which the server opens no table: for the lock of a snapshot without
// RELOAD itself, and for somebody else's. No session of the snapshot waits longer than it may, and the next snapshot has every row.
// MariaDB tells what a table looks like all the same. Not parallel: see TestSnapshotRights.
func TestSnapshotBesideAFlush(t *testing.T) {
	m := bed.MySQL(t)
	user := fmt.Sprintf("u%08x", rand.Uint32())
	r := snapshotRig(t, m, connectors.Config{"database.user": user, "database.password": "secret", "snapshot.lock.timeout.ms": "1000"})
	r.config["table.include.list"] = r.db + ".a"
	m.Exec(t, "", fmt.Sprintf("CREATE USER %s IDENTIFIED BY 'secret'", user),
		fmt.Sprintf("GRANT SELECT, LOCK TABLES, REPLICATION CLIENT, REPLICATION SLAVE, PROCESS ON *.* TO %s", user))
	t.Cleanup(func() { r.exec("DROP USER " + user) })
	r.exec("CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1), (2)", "CREATE TABLE b (id int PRIMARY KEY)")
	flush := func(table string) (ended chan error) {
		other := m.Connect(t, r.db)
		ended = make(chan error, 1)
		go func() {
			_, err := other.Execute("FLUSH TABLES " + table)
			ended <- err
		}()
		r.eventually("the statement waits", func() bool {
			return m.Query(t, "", fmt.Sprintf("SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID = %d AND STATE LIKE 'Waiting for table%%'", other.GetConnectionID())) == "1"
		})
		return ended
	}
	check := func(err error, texts ...string) {
		t.Helper()
		if err == nil || connectors.ClassOf(r.task.classify(err)) != connectors.Retriable {
			t.Fatalf("error %v", err)
		}
		for _, want := range append(texts, "snapshot.lock.timeout.ms", "FLUSH TABLES of user ") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %s", err, want)
			}
		}
	}

	r.start()
	s := r.task.snapshot
	s.meta = must(s.connect(t.Context()))(t)
	described := s.choose(must(s.readTables(t.Context()))(t))
	if err := s.takeLock(t.Context()); err != nil || s.lock != lockTables {
		t.Fatalf("lock %v, %v", s.lock, err)
	}
	ended := flush("a")
	err := s.fix(t.Context())
	if err == nil {
		err = s.describe(t.Context(), described)
	}
	check(s.blocked(t.Context(), err), "perhaps for the lock of this snapshot", "GRANT RELOAD ON *.* TO "+user)
	s.close()
	if err := <-ended; err != nil {
		t.Errorf("the statement that waited: %v", err)
	}
	r.stop()

	holder := m.Connect(t, r.db)
	lock(t, holder, "LOCK TABLES b READ")
	ended = flush("b")
	r.start()
	check(r.pollError(), "ALTER TABLE, FLUSH TABLES or LOCK TABLES")
	lock(t, holder, "UNLOCK TABLES")
	if err := <-ended; err != nil {
		t.Errorf("the statement that waited: %v", err)
	}
	r.stop()

	r.start()
	target := newMirror(t)
	r.takeSnapshot(target)
	target.compare(r, "a")
}

func lock(t *testing.T, conn *client.Conn, statement string) {
	t.Helper()
	if _, err := conn.Execute(statement); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
