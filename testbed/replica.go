package testbed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// cloneScript makes a replica of the primary at the first start, and starts the server that its arguments name.
const cloneScript = `as() { exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
install -d -o postgres -g postgres -m 0700 "$PGDATA"
install -d -o postgres -g postgres /var/run/postgresql
[ -s "$PGDATA/PG_VERSION" ] || (as pg_basebackup -d "$PRIMARY" -D "$PGDATA" -X stream -c fast -R -C -S "$SLOT")
as "$@"`

// StartReplica starts a physical streaming replica for this test alone: a hot standby with a slot of its own on p and with what
// the synchronisation of failover slots needs (PostgreSQL 17). A replica can have replicas.
func (p *Postgres) StartReplica(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*Postgres, error) {
		conninfo, err := p.conninfo(ctx)
		if err != nil {
			return nil, err
		}
		s, err := e.start(ctx, spec{
			server: "postgres",
			inside: "5432/tcp",
			environment: func(string, int) map[string]string {
				return map[string]string{"PRIMARY": conninfo, "SLOT": fmt.Sprintf("replica_%08x", rand.Uint32())}
			},
			command: func(int) []string {
				return append([]string{"bash", "-ec", cloneScript, "replica"}, postgresCommand(append([]string{"hot_standby_feedback=on"}, settings...))...)
			},
			ready: postgresReady,
		})
		if err != nil {
			return nil, err
		}
		return &Postgres{s}, nil
	})
}

// StopReceiving cuts a replica off: it gets nothing more from its primary. What it has received it replays.
func (p *Postgres) StopReceiving(t testing.TB) {
	t.Helper()
	p.Exec(t, "postgres", "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	p.until(t, "the replica receives nothing more", "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
}

// Follow makes a replica receive from another server, on whatever timeline that is, without a slot there.
func (p *Postgres) Follow(t testing.TB, primary *Postgres) {
	t.Helper()
	conninfo, err := primary.conninfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Exec(t, "postgres", "ALTER SYSTEM SET primary_slot_name = ''", "ALTER SYSTEM SET primary_conninfo = '"+conninfo+"'", "SELECT pg_reload_conf()")
}

// conninfo is how other containers connect.
func (p *Postgres) conninfo(ctx context.Context) (string, error) {
	ip, err := p.container.ContainerIP(ctx)
	if err != nil {
		return "", fmt.Errorf("find the container's address: %w", err)
	}
	return fmt.Sprintf("host=%s user=%s password=%s dbname=postgres", ip, PostgresUser, PostgresPassword), nil
}

// Promote makes a replica a primary, on a timeline of its own.
func (p *Postgres) Promote(t testing.TB) {
	t.Helper()
	p.until(t, "the replica is promoted", "SELECT pg_promote(true, 60)")
}

// Writable waits until the server is no standby and recovers nothing any more.
func (p *Postgres) Writable(t testing.TB) {
	t.Helper()
	p.until(t, "the server can be written", "SELECT NOT pg_is_in_recovery()")
}

// until repeats a query until it answers true.
func (p *Postgres) until(t testing.TB, what, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	conn := p.Connect(t, "postgres")
	err := poll(ctx, func() (done bool, err error) {
		err = conn.QueryRow(ctx, sql).Scan(&done)
		return done, err
	})
	if err != nil {
		t.Fatalf("wait until %s: %v", what, err)
	}
}

// SyncSlots makes a replica keep the primary's failover slots, all of which must be in use, and waits until it has n of them and
// everything else there is (PostgreSQL 17). meanwhile lets their readers go on.
func (p *Postgres) SyncSlots(t testing.TB, primary *Postgres, n int, meanwhile func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	conn := p.Connect(t, "postgres")
	err := poll(ctx, func() (bool, error) {
		// A point from which a slot can be read, and something behind it to confirm, without a transaction: a standby can take that up.
		if err := primary.exec(ctx, "postgres", "CHECKPOINT"); err != nil {
			return false, err
		}
		meanwhile()
		if _, err := conn.Exec(ctx, "SELECT pg_sync_replication_slots()"); err != nil {
			return false, retryable{err} // a slot may be ahead of what the replica has received
		}
		var kept int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary").Scan(&kept); err != nil {
			return false, fmt.Errorf("count synchronised slots: %w", err)
		}
		return kept == n, retryable{fmt.Errorf("%d slots of %d are synchronised", kept, n)}
	})
	if err != nil {
		t.Fatalf("synchronise slots: %v", err)
	}
	p.CatchUp(t, primary)
}

// CatchUp waits until a replica has replayed what the primary's log holds now.
func (p *Postgres) CatchUp(t testing.TB, primary *Postgres) {
	t.Helper()
	var end string
	if err := primary.Connect(t, "postgres").QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		t.Fatal(err)
	}
	p.until(t, "the replica has caught up", "SELECT pg_last_wal_replay_lsn() >= '"+end+"'")
}
