package clickhouse

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/testbed"
)

var runs atomic.Int64

// rig is a running sink into a database of its own.
type rig struct {
	connectortest.Rig
	server   *testbed.ClickHouse
	database string
}

func newRig(t testing.TB, server *testbed.ClickHouse, more ...string) *rig {
	t.Helper()
	r := emptyRig(t, server)
	r.start(more...)
	return r
}

// emptyRig has no sink yet.
func emptyRig(t testing.TB, server *testbed.ClickHouse) *rig {
	t.Helper()
	return &rig{connectortest.Rig{TB: t, Session: &connectortest.Session{}}, server, server.NewDatabase(t)}
}

// start starts a sink, in place of the one before.
func (r *rig) start(more ...string) {
	r.Helper()
	if r.Task != nil {
		if err := r.Task.Stop(r.Context()); err != nil {
			r.Fatal(err)
		}
	}
	r.Start(newTask(r.TB, settings(r.server, r.database, more...)))
}

// query is an answer, a line per row.
func (r *rig) query(sql string) string {
	r.Helper()
	return strings.ReplaceAll(strings.ReplaceAll(r.server.Query(r.TB, r.database, sql), "\t", " "), "\n", " | ")
}

func (r *rig) expect(sql, want string) {
	r.Helper()
	if got := r.query(sql); got != want {
		r.Errorf("%s:\n got %s\nwant %s", sql, got, want)
	}
}

type change = connectortest.Change

func insert(row ...any) change { return change{Op: connectors.OpCreate, Row: row} }
func update(row ...any) change { return change{Op: connectors.OpUpdate, Row: row} }
func remove(row ...any) change { return change{Op: connectors.OpDelete, Row: row} }
func read(row ...any) change   { return change{Op: connectors.OpRead, Row: row} }

func temporal(kind connectors.Kind, v int64) any { return connectortest.Temporal{Kind: kind, V: v} }
func decimal(v string) any                       { return connectortest.Text{Kind: connectors.KindDecimal, V: v} }
