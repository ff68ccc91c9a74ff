package golden

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
)

type onPostgres struct{ *testbed.Postgres }

// OnPostgres plays on a PostgreSQL.
func OnPostgres(p *testbed.Postgres) Server { return onPostgres{p} }

func (p onPostgres) create(ctx context.Context, database string) error {
	if err := p.DropDatabase(ctx, database); err != nil {
		return err
	}
	conn, err := p.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{database}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", database, err)
	}
	return nil
}

func (p onPostgres) drop(ctx context.Context, database string) error {
	return p.DropDatabase(ctx, database)
}

func (p onPostgres) token(text string, i int) (int, error) { return postgresToken(text, i) }

// run holds the server's background writer meanwhile: statements that follow each other then lie side by side in the log, as they do in
// the recordings.
func (p onPostgres) run(ctx context.Context, database string, statements []statement) (err error) {
	conn, err := p.connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	release, err := p.HoldBackgroundWriter(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	for _, s := range statements {
		if s.copy != "" {
			_, err = conn.PgConn().CopyFrom(ctx, strings.NewReader(s.copy), s.text)
		} else {
			_, err = conn.PgConn().Exec(ctx, s.text).ReadAll()
		}
		if err != nil {
			return fmt.Errorf("run %.200q: %w", s.text, err)
		}
	}
	return nil
}

func (p onPostgres) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(p.DSN(database))
	if err != nil {
		return nil, fmt.Errorf("connect to database %s: %w", database, err)
	}
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["client_min_messages"] = "warning"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to database %s: %w", database, err)
	}
	return conn, nil
}

var notWord = regexp.MustCompile(`\W`)

func (p onPostgres) settings(prefix, database, _, _ string) map[string]string {
	object := notWord.ReplaceAllString(prefix, "_")
	return map[string]string{
		"connector.class":   "io.debezium.connector.postgresql.PostgresConnector",
		"database.hostname": p.Host(), "database.port": strconv.Itoa(p.Port()), "database.dbname": database,
		"database.user": testbed.PostgresUser, "database.password": testbed.PostgresPassword,
		"plugin.name": "pgoutput", "slot.name": object, "publication.name": object + "_pub",
	}
}

func (p onPostgres) streaming(ctx context.Context, database string) (bool, error) {
	conn, err := p.connect(ctx, "postgres")
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var n int
	err = conn.QueryRow(ctx, "SELECT count(*) FROM pg_replication_slots WHERE active AND database = $1", database).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for the slot: %w", err)
	}
	return n > 0, nil
}
