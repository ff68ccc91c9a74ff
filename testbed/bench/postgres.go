//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	postgresClass = "io.debezium.connector.postgresql.PostgresConnector"
	publication   = "bench"
	pgRecvlogical = "pg_recvlogical"
	copyOut       = "COPY … TO STDOUT"
)

// postgres is an origin.
type postgres struct {
	server
	watch *pgx.Conn // for questions
}

// openPostgres makes the benchmark's database on a server that runs.
func openPostgres(ctx context.Context, dsn string) (*postgres, error) {
	s, err := existing(ctx, dsn)
	if err != nil {
		return nil, err
	}
	p := &postgres{server: s}
	if p.watch, err = pgx.Connect(ctx, s.dsn.String()); err != nil {
		return nil, fmt.Errorf("connect to the source: %w", err)
	}
	return p, nil
}

func (p *postgres) close(ctx context.Context) error {
	err := p.watch.Close(ctx)
	if p.container == "" {
		err = errors.Join(err, p.drop(ctx))
	}
	return err
}

func (p *postgres) title(ctx context.Context) string {
	var version string
	_ = p.one(ctx, "SHOW server_version", &version) // the description goes without it
	return "PostgreSQL " + version
}

func (p *postgres) pid() int { return p.process }

func (*postgres) limits() limits {
	kafka := streamBudget(0.9)
	return limits{
		log: "one range of WAL", streamTool: pgRecvlogical, snapshotTool: copyOut, snapshot: "COPY", rates: []int{1000, 10_000},
		stream: budgets{toKafka: kafka(2.5), toKafkaOnce: kafka(2.5), toKafkaSchemas: kafka(5), toKafkaLZ4: kafka(4)},
	}
}

// columns are the ten columns of the load, with what makes a row of number n: about 190 bytes in a pgoutput message.
func columns() [10][3]string {
	return [10][3]string{
		{"id", "bigint PRIMARY KEY", "n"},
		{"customer", "integer NOT NULL", "(n * 7919 % 100000)::int"},
		{"account", "bigint NOT NULL", "100000000000 + n * 31"},
		{"amount", "numeric(12,2) NOT NULL", "((n % 1000000) / 100.0)::numeric(12,2)"},
		{"odds", "double precision NOT NULL", "(1 + n % 997 / 8.0)::double precision"},
		{"state", "text NOT NULL", "(ARRAY['open','won','lost','void'])[1 + n % 4]"},
		{"note", "text", "'selection ' || n % 5000 || ' in race ' || n % 97"},
		{"live", "boolean NOT NULL", "n % 3 = 0"},
		{"placed", "timestamptz NOT NULL", "timestamptz '2026-01-01 00:00:00.123456Z' + n * interval '1 second'"},
		{"sent", "timestamptz NOT NULL", "clock_timestamp()"},
	}
}

// createTables also makes their publication anew.
func (p *postgres) createTables(ctx context.Context) error {
	var list []string
	for _, c := range columns() {
		list = append(list, c[0]+" "+c[1])
	}
	return p.exec(ctx,
		"DROP PUBLICATION IF EXISTS "+publication, "DROP SCHEMA IF EXISTS bench CASCADE", "CREATE SCHEMA bench",
		"CREATE TABLE bench.rows ("+strings.Join(list, ", ")+")",
		"CREATE TABLE bench.marker (id bigint PRIMARY KEY)",
		"CREATE PUBLICATION "+publication+" FOR TABLE bench.rows, bench.marker")
}

// made is the query that makes rows from to to.
func made(from, to int) string {
	var values []string
	for _, c := range columns() {
		values = append(values, c[2])
	}
	return fmt.Sprintf("SELECT %s FROM generate_series(%d::bigint, %d) n", strings.Join(values, ", "), from, to)
}

func (p *postgres) fill(ctx context.Context, rows int) error {
	return p.exec(ctx, "INSERT INTO bench.rows "+made(1, rows), "VACUUM (FREEZE, ANALYZE) bench.rows")
}

func (p *postgres) load(ctx context.Context, keep string, rows, size int) (logRange, error) {
	r := logRange{rows: rows, slot: keep}
	err := p.session(ctx, func(conn *pgx.Conn) error {
		var begin string
		if err := conn.QueryRow(ctx, "SELECT lsn::text FROM pg_create_logical_replication_slot($1, 'pgoutput')", r.slot).Scan(&begin); err != nil {
			return fmt.Errorf("create slot: %w", err)
		}
		for from := 1; from <= rows; from += size {
			if _, err := conn.Exec(ctx, "INSERT INTO bench.rows "+made(from, min(from+size-1, rows))); err != nil {
				return fmt.Errorf("load: %w", err)
			}
		}
		if _, err := conn.Exec(ctx, "INSERT INTO bench.marker SELECT coalesce(max(id), 0) + 1 FROM bench.marker"); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		// With commits that are not waited for, the write position would be behind.
		if err := conn.QueryRow(ctx, "SELECT l::text, (l - $1::pg_lsn)::bigint FROM pg_current_wal_insert_lsn() l", begin).Scan(&r.end, &r.size); err != nil {
			return fmt.Errorf("read the end of WAL: %w", err)
		}
		if _, err := conn.Exec(ctx, "INSERT INTO bench.marker SELECT max(id) + 1 FROM bench.marker"); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		_, err := conn.Exec(ctx, "ANALYZE bench.rows")
		return err
	})
	return r, err
}

func (p *postgres) forget(ctx context.Context, r logRange) error { return p.dropSlot(ctx, r.slot) }

// config is a connector whose slot has its name.
func (p *postgres) config(name string) reading {
	password, _ := p.dsn.User.Password()
	c := tableKeys(name)
	maps.Copy(c, map[string]string{
		"connector.class": postgresClass, "plugin.name": "pgoutput", "database.hostname": p.dsn.Hostname(), "database.port": p.port(),
		"database.user": p.dsn.User.Username(), "database.password": password, "database.dbname": database,
		"slot.name": name, "snapshot.mode": "no_data", "publication.name": publication, "publication.autocreate.mode": "disabled",
	})
	return reading{name: name, config: c}
}

func (p *postgres) stream(ctx context.Context, name string, r *logRange) (reading, error) {
	sql := fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", name)
	if r != nil {
		sql = fmt.Sprintf("SELECT pg_copy_logical_replication_slot('%s', '%s')", r.slot, name)
	}
	return p.config(name), p.exec(ctx, sql)
}

func (p *postgres) snapshot(name string) reading { return p.config(name).with(snapshotKeys()) }

func (p *postgres) release(ctx context.Context, name string) error { return p.dropSlot(ctx, name) }

// sends asks whether the slot has a reader.
func (p *postgres) sends(name string) question {
	return p.ask("SELECT active FROM pg_replication_slots WHERE slot_name = '" + name + "'")
}

// reads asks whether a table of the benchmark is being read by COPY.
func (p *postgres) reads() question {
	return p.ask("SELECT EXISTS (SELECT FROM pg_stat_progress_copy WHERE datname = current_database())")
}

// ask is a question over a session that stays open. No row is no.
func (p *postgres) ask(sql string) question {
	return func(ctx context.Context) (yes bool, err error) {
		err = p.watch.QueryRow(ctx, sql, pgx.QueryExecModeSimpleProtocol).Scan(&yes)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return false, fmt.Errorf("run %.100q: %w", sql, err)
		}
		return yes, nil
	}
}

// streamTool is pg_recvlogical over TCP to /dev/null.
func (p *postgres) streamTool(ctx context.Context, name string, r *logRange) (*exec.Cmd, error) {
	if _, err := p.stream(ctx, name, r); err != nil {
		return nil, err
	}
	args := []string{
		"-d", p.connection(), "--slot", name, "--start",
		"-o", "proto_version=1", "-o", "publication_names=" + publication, "--no-loop", "-f", "/dev/null",
	}
	if r != nil {
		args = append(args, "--endpos", r.end)
	}
	return p.tool(ctx, "pg_recvlogical", args...)
}

func (p *postgres) snapshotTool(ctx context.Context) (*exec.Cmd, error) {
	return p.tool(ctx, "psql", "-X", "-q", "-d", p.connection(), "-c", "COPY bench.rows TO STDOUT", "-o", "/dev/null")
}

// tool makes the command of a PostgreSQL client program: the machine's, else the server's own.
func (p *postgres) tool(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	password, _ := p.dsn.User.Password()
	if path, err := exec.LookPath(name); err == nil {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
		return cmd, nil
	}
	if p.container == "" {
		return nil, fmt.Errorf("find %s: it is not in PATH; install PostgreSQL's client programs", name)
	}
	args = append([]string{"exec", "-e", "PGPASSWORD=" + password, p.container, name}, args...)
	return exec.CommandContext(ctx, "docker", args...), nil
}

// connection is how client programs are told where the source is.
func (p *postgres) connection() string {
	return fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", p.dsn.Hostname(), p.port(), p.dsn.User.Username(), database)
}

// pacedInsert makes one row; every statement is its own transaction.
const pacedInsert = "INSERT INTO bench.rows VALUES ($1, 1, 2, 3.5, 2.25, 'open', 'selection 17 in race 3', true, " +
	"timestamptz '2026-01-01 00:00:00.123456Z', clock_timestamp())"

type postgresWriter struct{ conn *pgx.Conn }

func (p *postgres) writer(ctx context.Context) (writer, error) {
	conn, err := pgx.Connect(ctx, p.dsn.String())
	if err != nil {
		return nil, fmt.Errorf("connect a writer: %w", err)
	}
	if _, err := conn.PgConn().Prepare(ctx, "insert", pacedInsert, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the load: %w", err), conn.Close(ctx))
	}
	return postgresWriter{conn}, nil
}

func (w postgresWriter) close() error { return w.conn.Close(context.Background()) }

func (w postgresWriter) write(ctx context.Context, first, n int) error {
	p := w.conn.PgConn().StartPipeline(ctx)
	for id := first; id < first+n; id++ {
		p.SendQueryPrepared("insert", [][]byte{strconv.AppendInt(nil, int64(id), 10)}, nil, nil)
		p.SendPipelineSync() // ends the transaction
	}
	err := p.Flush()
	for synced := 0; err == nil && synced < n; {
		var result any
		if result, err = p.GetResults(); err != nil {
			break
		}
		switch result := result.(type) {
		case *pgconn.PipelineSync:
			synced++
		case *pgconn.ResultReader:
			_, err = result.Close()
		}
	}
	return errors.Join(err, p.Close())
}
