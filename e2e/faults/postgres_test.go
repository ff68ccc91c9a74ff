package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/history"
)

// onPostgres reads a PostgreSQL.
type onPostgres struct{ server *testbed.Postgres }

func (p *onPostgres) address() string { return p.server.Address() }

func (p *onPostgres) newDatabase(t *testing.T) string { t.Helper(); return p.server.NewDatabase(t) }

func (p *onPostgres) history(database string) history.Database {
	return history.OnPostgres(p.server, database)
}

func (p *onPostgres) connector(r *round) map[string]string {
	return p.server.Connector(r.database, "faults-"+r.database, map[string]string{
		"table.include.list":        "public.a,public.b",
		"slot.retry.delay.ms":       "500",
		"slot.max.retries":          "120",
		"status.update.interval.ms": "500", // how often an idle slot moves
	})
}

func (p *onPostgres) schema(*round) string { return "public" }
func (p *onPostgres) kill(r *round)        { r.Helper(); p.server.Kill(r) }
func (p *onPostgres) restart(r *round)     { r.Helper(); p.server.Restart(r) }
func (p *onPostgres) endSessions(r *round) { r.Helper(); endSessions(r, p.server, r.database) }

func (p *onPostgres) begin(r *round, s step) func() {
	r.Helper()
	r.Fatalf("unknown fault %s", s.kind)
	return nil
}

// delivered waits until the slot is confirmed up to what is now the end of the WAL.
func (p *onPostgres) delivered(r *round) {
	r.Helper()
	conn := p.server.Connect(r, r.database)
	defer func() { _ = conn.Close(r.Context()) }()
	var end string
	if err := conn.QueryRow(r.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		r.Fatal(err)
	}
	r.wait("the slot to be confirmed up to "+end, func() bool {
		var reached bool
		err := conn.QueryRow(r.Context(), `SELECT coalesce(bool_and(confirmed_flush_lsn >= $1::text::pg_lsn), false) FROM pg_replication_slots
WHERE slot_name = $2`, end, r.config["slot.name"]).Scan(&reached)
		if err != nil {
			r.Fatal(err)
		}
		return reached
	})
}

// left checks that the round leaves one slot that nobody reads.
func (p *onPostgres) left(r *round) {
	r.Helper()
	conn := p.server.Connect(r, r.database)
	var left []string
	testbed.Eventually(r, func() string { return fmt.Sprintf("replication slots that are left: %v", left) }, func() bool {
		rows, err := conn.Query(r.Context(), "SELECT format('%s temporary=%s active=%s', slot_name, temporary, active) FROM pg_replication_slots WHERE database = $1", r.database)
		if err == nil {
			left, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			r.Fatal(err)
		}
		return slices.Equal(left, []string{r.config["slot.name"] + " temporary=f active=f"})
	})
}

func (p *onPostgres) place(text offsets.Offset) (uint64, bool, error) {
	var o struct {
		LSN    uint64 `json:"lsn"`
		Commit uint64 `json:"lsn_commit"`
		Done   *bool  `json:"snapshot_completed"`
	}
	err := json.Unmarshal([]byte(text), &o)
	return max(o.LSN, o.Commit), o.Done == nil || *o.Done, err
}

// forgotten is up to where the slot is confirmed, which is never ahead of what is stored (I7).
func (p *onPostgres) forgotten(r *round) uint64 {
	r.Helper()
	conn := p.server.Connect(r, r.database)
	defer func() { _ = conn.Close(r.Context()) }()
	var confirmed int64
	err := conn.QueryRow(r.Context(), `SELECT coalesce(max(confirmed_flush_lsn - '0/0'), 0)::int8 FROM pg_replication_slots
WHERE slot_name = $1`, r.config["slot.name"]).Scan(&confirmed)
	if err != nil {
		r.Fatal(err)
	}
	return uint64(confirmed)
}

func (p *onPostgres) rows(r *round, table string) map[int]string {
	r.Helper()
	return rows(r, p.server.Connect(r, r.database), table)
}
