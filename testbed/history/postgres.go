package history

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
)

type onPostgres struct {
	server   *testbed.Postgres
	database string
}

// OnPostgres is a database of a PostgreSQL; its places are LSNs.
func OnPostgres(p *testbed.Postgres, database string) Database { return onPostgres{p, database} }

func (p onPostgres) create(t testing.TB, n int, first map[string]int) {
	t.Helper()
	p.server.Exec(t, p.database, "CREATE TABLE a (id int PRIMARY KEY, seq int NOT NULL, pad text); ALTER TABLE a REPLICA IDENTITY FULL",
		"CREATE TABLE b (id int PRIMARY KEY, seq int NOT NULL, pad text)")
	for table, from := range first {
		p.server.Exec(t, p.database, fmt.Sprintf("INSERT INTO %s SELECT n, n + %d, repeat('x', 50) FROM generate_series(0, %d) n", table, from, n-1))
	}
}

func (p onPostgres) wholeBefore(table string) bool { return table == "a" }

func (p onPostgres) connect(ctx context.Context) (session, error) {
	conn, err := pgx.Connect(ctx, p.server.DSN(p.database))
	if err != nil {
		return nil, err
	}
	return pgSession{conn}, nil
}

type pgSession struct{ *pgx.Conn }

func (s pgSession) commit(ctx context.Context, sql string) (uint64, error) {
	results, err := s.PgConn().Exec(ctx, sql+"; SELECT pg_current_wal_insert_lsn() - '0/0'").ReadAll()
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(results[len(results)-1].Rows[0][0]), 10, 64)
}

func (s pgSession) last(ctx context.Context) (seq int, end uint64, err error) {
	err = s.QueryRow(ctx, "SELECT seq, (pg_current_wal_insert_lsn() - '0/0')::int8 FROM a WHERE id = 0").Scan(&seq, &end)
	return seq, end, err
}

func (s pgSession) lost(error) bool { return s.IsClosed() }

func (s pgSession) close(ctx context.Context) { _ = s.Close(context.WithoutCancel(ctx)) }
