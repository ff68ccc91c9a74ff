package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
	"github.com/jackc/pgx/v5"
)

// database is one embedded Postgres server.
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

// startDatabases starts the source and the sink side by side from one copy of the binaries.
func startDatabases(ctx context.Context, cache, work string) (source, sink *database, err error) {
	source, err = newDatabase("source", cache, work)
	if err != nil {
		return nil, nil, err
	}
	sink, err = newDatabase("sink", cache, work)
	if err != nil {
		return source, nil, err
	}
	failed := make(chan error, 1)
	go func() { failed <- sink.start() }()
	err = errors.Join(source.start(), <-failed)
	if err == nil {
		err = ctx.Err()
	}
	return source, sink, err
}

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

func (d *database) start() error {
	if err := d.server.Start(); err != nil {
		return fmt.Errorf("start the %s Postgres: %w", d.name, err)
	}
	return nil
}

func (d *database) stop() error {
	if d == nil {
		return nil
	}
	defer func() { _ = d.log.Close() }() // only the server's own words are in it
	if err := d.server.Stop(); err != nil && !errors.Is(err, embeddedpostgres.ErrServerNotStarted) {
		return fmt.Errorf("stop the %s Postgres: %w", d.name, err)
	}
	return nil
}

func (d *database) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, d.dsn)
	if err != nil {
		return fmt.Errorf("connect to the %s Postgres: %w", d.name, err)
	}
	defer func() { _ = conn.Close(ctx) }() // the statement has been answered
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("run statements in the %s Postgres: %w", d.name, err)
	}
	return nil
}

// freePort returns a port of 127.0.0.1 that nobody listens on at the moment.
func freePort() (uint32, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return uint32(port), l.Close()
}
