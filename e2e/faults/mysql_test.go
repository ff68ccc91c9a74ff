package faults

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/history"
	"github.com/freshet-io/freshet/testbed/rounds"
)

// historySuffix is behind the database's name in that of the topic of its schema history.
const historySuffix = "-history"

// onMySQL reads a MySQL or MariaDB that has a replica.
type onMySQL struct {
	mu               sync.Mutex
	primary, replica *testbed.MySQL
}

func newMySQL(t *testing.T, primary *testbed.MySQL) *onMySQL {
	t.Helper()
	primary.Exec(t, "", "CREATE USER reader@'%' IDENTIFIED BY 'reader'",
		"GRANT SELECT, RELOAD, SHOW DATABASES, LOCK TABLES, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO reader@'%'")
	return &onMySQL{primary: primary, replica: primary.StartReplica(t)}
}

func (m *onMySQL) now() *testbed.MySQL {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.primary
}

func (m *onMySQL) address() string { return m.now().Address() }

// newDatabase is dropped where the primary is by then.
func (m *onMySQL) newDatabase(t *testing.T) string {
	t.Helper()
	name := m.now().CreateDatabase(t)
	t.Cleanup(func() { m.now().DropDatabase(t, name) })
	return name
}

func (m *onMySQL) history(database string) history.Database { return history.OnMySQL(m.now, database) }

func (m *onMySQL) connector(r *round) map[string]string {
	history := testbed.HistoryIn(r.file + ".history")
	if r.plan.usesKafka() {
		history = testbed.HistoryOn(r.proxies["kafka"].Listen, r.database+historySuffix)
	}
	return m.now().Connector("faults-"+r.database, r.database, history, map[string]string{
		"database.user": "reader", "database.password": "reader",
		"include.schema.changes": "false", // a file has one kind of event
	})
}

func (m *onMySQL) schema(r *round) string { return r.database }
func (m *onMySQL) kill(r *round)          { r.Helper(); m.now().Kill(r) }
func (m *onMySQL) restart(r *round)       { r.Helper(); m.now().Restart(r) }

func (m *onMySQL) endSessions(r *round) {
	r.Helper()
	conn := m.now().Connect(r, "")
	result, err := conn.Execute("SELECT id FROM information_schema.processlist WHERE user = 'reader'")
	if err != nil {
		r.Fatal(err)
	}
	for i := range result.RowNumber() {
		id, err := result.GetInt(i, 0)
		if err != nil {
			r.Fatal(err)
		}
		_, _ = conn.Execute(fmt.Sprintf("KILL %d", id)) // it may just have ended
	}
}

func (m *onMySQL) begin(r *round, s step) func() {
	r.Helper()
	switch s.kind {
	case rotate:
		for range 4 {
			m.now().Exec(r, "", "FLUSH BINARY LOGS")
			rounds.Pass(r.Context(), s.delay)
		}
	case purge:
		m.purge(r)
	case alter:
		for _, table := range tables() {
			m.now().Exec(r, r.database, fmt.Sprintf("ALTER TABLE %s ADD COLUMN more%d INT DEFAULT 7", table, s.amount))
		}
	case failover:
		m.failover(r, s)
	default:
		r.Fatalf("unknown fault %s", s.kind)
	}
	return func() {}
}

// purge removes every file of the binlog that no sink needs any more.
func (m *onMySQL) purge(r *round) {
	r.Helper()
	m.now().Exec(r, "", "FLUSH BINARY LOGS")
	needed := ""
	for _, sink := range r.plan.sinks {
		var o struct{ File string }
		if text := r.position(sink); text == "" || json.Unmarshal([]byte(text), &o) != nil || o.File == "" {
			return // a snapshot is going on
		}
		if needed == "" || o.File < needed {
			needed = o.File
		}
	}
	m.now().Exec(r, "", "PURGE BINARY LOGS TO '"+needed+"'")
}

// failover makes the replica the primary, and what was the primary its replica.
func (m *onMySQL) failover(r *round, s step) {
	r.Helper()
	old, next := m.primary, m.replica
	testbed.Cut(r, r.proxies["source"])
	next.TakeOver(r, old)
	old.Kill(r)
	m.mu.Lock()
	m.primary, m.replica = next, old
	m.mu.Unlock()
	proxy := r.proxies["source"]
	proxy.Upstream = next.Address()
	if err := proxy.Save(); err != nil {
		r.Fatalf("point the proxy at the new primary: %v", err)
	}
	rounds.Pass(r.Context(), s.long)
	testbed.Heal(r, proxy)
	old.Restart(r)
	old.Follow(r, next)
}

// delivered waits until every sink has what is committed now, and something of the stream: what comes before that, as a snapshot that is not
// stored yet, is read again when the worker is killed.
func (m *onMySQL) delivered(r *round) {
	r.Helper()
	through := r.h.Done()
	for _, sink := range r.plan.sinks {
		var complaint string
		r.wait(fmt.Sprintf("transaction %d in %s", through, sink), func() bool {
			rounds.Pass(r.Context(), 300*time.Millisecond)
			complaint = r.behind(sink, through)
			return complaint == "" && r.streamed(sink)
		})
	}
}

// left checks that nobody reads the binlog but the replica.
func (m *onMySQL) left(r *round) {
	r.Helper()
	readers := ""
	testbed.Eventually(r, func() string { return "readers of the binlog that are left: " + readers }, func() bool {
		readers = m.now().Query(r, "", "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'reader' AND command LIKE 'Binlog Dump%'")
		return readers == "0"
	})
}

func (m *onMySQL) place(text offsets.Offset) (uint64, bool, error) {
	var o struct {
		GTIDs    string
		Snapshot any
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return 0, false, err
	}
	n, err := history.Transactions(o.GTIDs)
	return n, o.Snapshot == nil, err
}

// forgotten: a binlog is kept for a time, whoever reads it.
func (m *onMySQL) forgotten(*round) uint64 { return 0 }

func (m *onMySQL) rows(r *round, table string) map[int]string {
	r.Helper()
	result, err := m.now().Connect(r, r.database).Execute("SELECT id, CONCAT(seq, ' ', pad) FROM " + table)
	if err != nil {
		r.Fatal(err)
	}
	defer result.Close()
	out := map[int]string{}
	for i := range result.RowNumber() {
		id, err := result.GetInt(i, 0)
		if err != nil {
			r.Fatal(err)
		}
		text, err := result.GetString(i, 1)
		if err != nil {
			r.Fatal(err)
		}
		out[int(id)] = strings.Clone(text) // the result's memory is used again
	}
	return out
}
