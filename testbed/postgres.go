package testbed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The superuser of every server.
const (
	PostgresUser     = "postgres"
	PostgresPassword = "postgres"
)

// Postgres is a PostgreSQL server in a container, wal_level=logical, UTC.
type Postgres struct{ *server }

// StartPostgres starts a PostgreSQL for this test alone. Settings are server settings as name=value; later ones win over the
// defaults (wal_level=logical, fsync=off, 40 slots and senders, 200 connections).
func StartPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*Postgres, error) {
		return startPostgres(ctx, e, "postgres", settings)
	})
}

// StartTimescale is StartPostgres with TimescaleDB created in every new database.
func StartTimescale(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*Postgres, error) {
		return startPostgres(ctx, e, "timescaledb", settings)
	})
}

func startPostgres(ctx context.Context, e *engine, image string, settings []string) (*Postgres, error) {
	s, err := e.start(ctx, spec{
		server:      image,
		inside:      "5432/tcp",
		environment: postgresEnvironment,
		command:     func(int) []string { return postgresCommand(settings) },
		ready:       postgresReady,
	})
	if err != nil {
		return nil, err
	}
	return &Postgres{s}, nil
}

func postgresEnvironment(string, int) map[string]string {
	return map[string]string{"POSTGRES_PASSWORD": PostgresPassword}
}

// postgresCommand is the server's command line; of two settings of one name the later one counts.
func postgresCommand(settings []string) []string {
	defaults := []string{
		"wal_level=logical", "fsync=off", "max_replication_slots=40", "max_wal_senders=40", "max_connections=200", "timezone=UTC", "log_timezone=UTC",
	}
	command := []string{"postgres"}
	for _, s := range append(defaults, settings...) {
		command = append(command, "-c", s)
	}
	return command
}

// postgresReady succeeds when the server accepts connections; while it is being created it listens on no TCP port.
func postgresReady(ctx context.Context, address string) error {
	conn, err := pgx.Connect(ctx, dsn(address, "postgres"))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	return errors.Join(conn.Ping(ctx), conn.Close(ctx))
}

func dsn(address, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(PostgresUser, PostgresPassword), Host: address, Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// DSN is the superuser's connection string for a database.
func (p *Postgres) DSN(database string) string { return dsn(p.Address(), database) }

// Connect opens a connection that is closed at the end of the test.
func (p *Postgres) Connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.DSN(database))
	if err != nil {
		t.Fatalf("connect to database %s: %v", database, err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// Exec runs SQL texts, each of which may hold several statements, in one session.
func (p *Postgres) Exec(t testing.TB, database string, sql ...string) {
	t.Helper()
	if err := p.exec(t.Context(), database, sql...); err != nil {
		t.Fatal(err)
	}
}

func (p *Postgres) exec(ctx context.Context, database string, sql ...string) error {
	conn, err := pgx.Connect(ctx, p.DSN(database))
	if err != nil {
		return fmt.Errorf("connect to database %s: %w", database, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, text := range sql {
		if _, err := conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
			return fmt.Errorf("run %.200q in database %s: %w", text, database, err)
		}
	}
	return nil
}

// NewDatabase creates a database for this test. At its end the database and its replication slots are dropped.
func (p *Postgres) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("t%08x", rand.Uint32())
	p.Exec(t, "postgres", "CREATE DATABASE "+name)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanUpWithin)
		defer cancel()
		if err := p.DropDatabase(ctx, name); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return name
}

// DropDatabase drops a database, its sessions and its replication slots.
func (p *Postgres) DropDatabase(ctx context.Context, name string) error {
	literal := "'" + strings.ReplaceAll(name, "'", "''") + "'"
	return poll(ctx, func() (bool, error) {
		// A walsender takes a moment to go; until then its slot cannot be dropped.
		err := p.exec(ctx, "postgres",
			"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = "+literal+" AND active_pid IS NOT NULL",
			"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = "+literal,
			"DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
		if err != nil {
			return false, retryable{err}
		}
		return true, nil
	})
}

// Kill ends the server as kill -9 does.
func (p *Postgres) Kill(t testing.TB) {
	t.Helper()
	if err := p.kill(t.Context()); err != nil {
		t.Fatalf("kill PostgreSQL: %v", err)
	}
}

// Restart starts a killed server again, on the same port.
func (p *Postgres) Restart(t testing.TB) {
	t.Helper()
	if err := p.restart(t.Context(), postgresReady); err != nil {
		t.Fatalf("restart PostgreSQL: %v", err)
	}
}

// Connector is the configuration of a connector that reads tables of a database: by default public.bets. More keys come on top.
func (p *Postgres) Connector(database, name string, more map[string]string) map[string]string {
	slot := strings.ReplaceAll(name, "-", "_") + "_" + database
	c := map[string]string{
		"name":                        name,
		"connector.class":             "io.debezium.connector.postgresql.PostgresConnector",
		"database.hostname":           p.Host(),
		"database.port":               strconv.Itoa(p.Port()),
		"database.user":               PostgresUser,
		"database.password":           PostgresPassword,
		"database.dbname":             database,
		"topic.prefix":                "t" + database,
		"slot.name":                   slot,
		"publication.name":            slot,
		"publication.autocreate.mode": "filtered",
		"table.include.list":          "public.bets",
	}
	maps.Copy(c, more)
	return c
}

// ToFile are the keys of a direct file sink.
func ToFile(path string) map[string]string {
	return map[string]string{"sinks": "out", "sinks.out.connector.class": "FileStreamSinkConnector", "sinks.out.file": path}
}

// ToTable are the keys of a direct table sink into a database of this server. More keys come on top.
func (p *Postgres) ToTable(database string, more map[string]string) map[string]string {
	c := map[string]string{
		"sinks":                        "db",
		"sinks.db.connector.class":     "TimescaleDbSinkConnector",
		"sinks.db.connection.url":      "jdbc:postgresql://" + p.Address() + "/" + database,
		"sinks.db.connection.username": PostgresUser,
		"sinks.db.connection.password": PostgresPassword,
	}
	maps.Copy(c, more)
	return c
}
