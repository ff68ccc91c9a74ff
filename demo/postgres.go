package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// database is one embedded Postgres server, the sink or the source.
type database struct {
	name   string
	dsn    string
	port   uint32
	server *embeddedpostgres.EmbeddedPostgres
	log    *os.File
}

const (
	databaseUser     = "bookmaker"
	databasePassword = "paddock"
	databaseName     = "bets"
)

func newDatabase(name, cache, work string) (*database, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(work, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of the %s database: %w", name, err)
	}
	config := embeddedpostgres.DefaultConfig().
		Version(embeddedpostgres.V17).
		Port(port).
		Username(databaseUser).Password(databasePassword).Database(databaseName).
		CachePath(cache).
		BinariesPath(filepath.Join(work, "postgres")).
		RuntimePath(filepath.Join(work, name)).
		DataPath(dataPath(work, name)).
		Locale("C.UTF-8").Encoding("UTF8").
		StartTimeout(60 * time.Second).
		StartParameters(map[string]string{
			"listen_addresses":        "127.0.0.1",
			"unix_socket_directories": "",
			"wal_level":               "logical",
			"max_replication_slots":   "10",
			"max_wal_senders":         "10",
			"track_commit_timestamp":  "on",
			"timezone":                "UTC",
			"max_wal_size":            "2GB",
		}).
		Logger(log)
	return &database{
		name: name, port: port, log: log,
		dsn:    fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", databaseUser, databasePassword, port, databaseName),
		server: embeddedpostgres.NewDatabase(config),
	}, nil
}

func dataPath(work, name string) string { return filepath.Join(work, name+".data") }

func (d *database) start(ctx context.Context) error {
	if err := d.server.Start(); err != nil {
		return fmt.Errorf("start the %s Postgres: %w", d.name, err)
	}
	return ctx.Err()
}

func (d *database) stop() error {
	defer func() { _ = d.log.Close() }() // only the server's own words are in it
	if err := d.server.Stop(); err != nil && !errors.Is(err, embeddedpostgres.ErrServerNotStarted) {
		return fmt.Errorf("stop the %s Postgres: %w", d.name, err)
	}
	return nil
}

// create implements source. Some values lie outside of their rows, and one table tells whole rows before a change.
func (d *database) create(ctx context.Context, tables []table) error {
	conn, err := pgx.Connect(ctx, d.dsn)
	if err != nil {
		return fmt.Errorf("connect to the %s Postgres: %w", d.name, err)
	}
	defer func() { _ = conn.Close(ctx) }() // the statement has been answered
	sql := schemaSQL(tables, postgresType) +
		"ALTER TABLE customers ALTER notes SET STORAGE EXTERNAL; ALTER TABLE bets REPLICA IDENTITY FULL;"
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("create tables in the %s Postgres: %w", d.name, err)
	}
	return nil
}

func (d *database) connector(name string, tables []table) map[string]string {
	return map[string]string{
		"connector.class":    "io.debezium.connector.postgresql.PostgresConnector",
		"plugin.name":        "pgoutput",
		"database.hostname":  "127.0.0.1",
		"database.port":      fmt.Sprint(d.port),
		"database.user":      databaseUser,
		"database.password":  databasePassword,
		"database.dbname":    databaseName,
		"slot.name":          name,
		"publication.name":   name,
		"table.include.list": included(tables),
	}
}

func (d *database) space() string { return "public" }

func (d *database) hint() string { return "psql " + d.dsn }

func postgresType(k kind) string {
	switch k {
	case bigint:
		return "bigint"
	case integer:
		return "integer"
	case boolean:
		return "boolean"
	case money:
		return "numeric(14,2)"
	case single:
		return "real"
	case double:
		return "double precision"
	case document:
		return "jsonb"
	case uuid:
		return "uuid"
	case day:
		return "date"
	case moment:
		return "timestamptz"
	}
	return "text"
}

// postgresSession is a writer's connection to a Postgres.
type postgresSession struct{ conn *pgx.Conn }

func (d *database) open(ctx context.Context) (session, error) {
	conn, err := pgx.Connect(ctx, d.dsn)
	if err != nil {
		return nil, fmt.Errorf("connect to the %s Postgres: %w", d.name, err)
	}
	return postgresSession{conn}, nil
}

// run implements session. The server tells the time of the commit.
func (s postgresSession) run(ctx context.Context, statements []statement, commit bool) (time.Time, error) {
	var batch pgx.Batch
	batch.Queue("BEGIN")
	for _, st := range statements {
		var args []any
		sql := st.sql(func(c *column, value *string) string {
			args = append(args, value)
			return fmt.Sprintf("$%d::text::%s", len(args), postgresType(c.kind))
		})
		batch.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error { return st.changed(tag.RowsAffected()) })
	}
	end := "COMMIT"
	if !commit {
		end = "ROLLBACK"
	}
	batch.Queue(end)
	return time.Time{}, s.conn.SendBatch(ctx, &batch).Close()
}

func (s postgresSession) close() { _ = s.conn.Close(context.Background()) } // nothing is lost with it

// postgresSelection reads all rows: when the row's newest version was committed (track_commit_timestamp), and the canonical
// texts of the columns. It serves source and sink: casts bring a column to the type that it has in a Postgres source.
func postgresSelection(t *table) string {
	out := []string{"pg_xact_commit_timestamp(xmin)"}
	for _, c := range t.columns {
		v := c.name + "::" + postgresType(c.kind)
		switch c.kind {
		case boolean:
			v = c.name + "::integer"
		case day:
			v = "(" + v + " - date '1970-01-01')"
		case moment:
			v = "(extract(epoch FROM " + v + ") * 1000000)::bigint"
		}
		out = append(out, "("+v+")::text")
	}
	return "SELECT " + strings.Join(out, ", ") + " FROM public." + t.name
}

// rows implements source; it reads the sink, too.
func (d *database) rows(ctx context.Context, t *table, r *report) (map[string]stored, error) {
	conn, err := pgx.Connect(ctx, d.dsn)
	if err != nil {
		return nil, fmt.Errorf("connect to the %s Postgres: %w", d.name, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // only reads
	rows, err := conn.Query(ctx, postgresSelection(t))
	if err != nil {
		return nil, fmt.Errorf("read table %s of the %s Postgres: %w", t.name, d.name, err)
	}
	defer rows.Close()
	out := map[string]stored{}
	for rows.Next() {
		s := stored{row: make([]*string, len(t.columns))}
		var committed *time.Time
		into := []any{&committed}
		for i := range s.row {
			into = append(into, &s.row[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read table %s of the %s Postgres: %w", t.name, d.name, err)
		}
		if committed != nil {
			s.committed = *committed
		}
		if err := r.enter(out, t, d.name, s); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read table %s of the %s Postgres: %w", t.name, d.name, err)
	}
	return out, nil
}

// freePort returns a port of 127.0.0.1 that nobody listens on at the moment, below the range from which outgoing connections take theirs: a
// server listens there only when its data is made.
func freePort() (uint32, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if free(port) {
			return uint32(port), nil
		}
	}
	return 0, errors.New("find a free port: none in 20000-31999")
}
