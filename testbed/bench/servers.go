//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/freshet-io/freshet/testbed"
)

// database is where the benchmark's tables live, in the source and in the target.
const database = "freshet_bench"

// server is one PostgreSQL server.
type server struct {
	dsn       *url.URL // of the benchmark's database
	container string   // "": not ours
	process   int      // the postmaster; 0: not to be seen
}

// servers is what the measurements run against.
type servers struct {
	local     *testbed.Local
	source    origin
	target    server              // TimescaleDB; its dsn is nil when the run does not write into tables
	ch        *testbed.ClickHouse // nil when the run does not write into it
	chProcess int                 // process; 0: not to be seen
	es        *testbed.Search     // Elasticsearch; nil when the run does not write into it
	esProcess int                 // process; 0: not to be seen
	brokers   string
	broker    int // process; 0: not to be seen
	kafka     *kgo.Client
}

// loadSettings are the source's and the target's settings beside testbed's defaults. Autovacuum and checkpoints would fall into
// one round and not into another; commits are not delayed, as the freshness of a source that delays them is its own.
func loadSettings() []string {
	return []string{
		"shared_buffers=512MB", "max_wal_size=32GB", "checkpoint_timeout=1h", "autovacuum=off", "synchronous_commit=on", "wal_compression=off",
	}
}

func startServers(ctx context.Context, o options) (*servers, error) {
	s := &servers{}
	err := s.start(ctx, o)
	if err != nil {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(err, s.close(limit))
	}
	return s, nil
}

func (s *servers) start(ctx context.Context, o options) (err error) {
	if s.local, err = testbed.NewLocal(ctx); err != nil {
		return err
	}
	if err := s.startSource(ctx, o); err != nil {
		return err
	}
	s.brokers = o.kafka
	if s.brokers == "" {
		// Deleted topics go at once: a run writes several gigabytes.
		k, err := s.local.Kafka(ctx, map[string]string{
			"KAFKA_LOG_SEGMENT_DELETE_DELAY_MS": "1000", "KAFKA_HEAP_OPTS": "-Xms1g -Xmx1g", "KAFKA_NUM_PARTITIONS": "1",
		})
		if err != nil {
			return err
		}
		s.brokers = k.Bootstrap()
	}
	if s.kafka, err = kgo.NewClient(kgo.SeedBrokers(s.brokers)); err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	if err := s.kafka.Ping(ctx); err != nil {
		return fmt.Errorf("reach Kafka at %s: %w", s.brokers, err)
	}
	s.broker = listenerAt(s.brokers)
	return nil
}

// startSource starts the source, and for Postgres the databases that it is written into.
func (s *servers) startSource(ctx context.Context, o options) error {
	if o.origin == sourceMySQL {
		m, err := s.local.MySQL(ctx, "mysql", mysqlSettings()...)
		if err != nil {
			return err
		}
		source, err := openMySQL(ctx, m)
		if err == nil {
			s.source = source
		}
		return err
	}
	dsn, container := o.postgres, ""
	if dsn == "" {
		p, err := s.local.Postgres(ctx, "postgres", loadSettings()...)
		if err != nil {
			return err
		}
		dsn, container = p.DSN("postgres"), p.ContainerName()
	}
	p, err := openPostgres(ctx, dsn)
	if err != nil {
		return err
	}
	p.container = container
	s.source = p
	t, err := s.local.Postgres(ctx, "timescaledb", loadSettings()...)
	if err != nil {
		return err
	}
	if s.target, err = existing(ctx, t.DSN("postgres")); err != nil {
		return err
	}
	if s.ch, err = s.local.ClickHouse(ctx); err != nil {
		return err
	}
	if s.chProcess, err = s.ch.Process(ctx); err != nil {
		return err
	}
	if s.es, err = s.local.Elasticsearch(ctx); err != nil {
		return err
	}
	s.esProcess, err = s.es.Process(ctx)
	return err
}

// existing makes the benchmark's database on a server that runs.
func existing(ctx context.Context, dsn string) (server, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		return server{}, errors.New("read the source's DSN: postgres://user:password@host:port/database is expected")
	}
	p := server{dsn: u, process: listenerAt(u.Host)}
	if err := p.exec(ctx, "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)", "CREATE DATABASE "+database); err != nil {
		return server{}, err
	}
	u.Path = "/" + database
	return p, nil
}

func listenerAt(address string) int {
	i := strings.LastIndexByte(address, ':')
	port, err := strconv.Atoi(address[i+1:])
	if err != nil {
		return 0
	}
	return listener(port)
}

// close removes what the run made.
func (s *servers) close(ctx context.Context) error {
	var errs []error
	if s.source != nil {
		errs = append(errs, s.source.close(ctx))
	}
	if s.kafka != nil {
		errs = append(errs, s.deleteTopics(ctx, topicsOfRun()))
		s.kafka.Close()
	}
	if s.local != nil {
		errs = append(errs, s.local.Close(ctx))
	}
	return errors.Join(errs...)
}

// drop removes the benchmark's database and its slots from a server that is not ours.
func (p *server) drop(ctx context.Context) error {
	err := p.dropSlot(ctx, "bench_%")
	dsn := *p.dsn
	dsn.Path = "/postgres"
	admin := server{dsn: &dsn}
	return errors.Join(err, admin.exec(ctx, "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)"))
}

// exec runs statements in one session.
func (p *server) exec(ctx context.Context, statements ...string) error {
	return p.session(ctx, func(conn *pgx.Conn) error {
		for _, sql := range statements {
			if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
				return fmt.Errorf("run %.100q: %w", sql, err)
			}
		}
		return nil
	})
}

// one scans the row that a query gives.
func (p *server) one(ctx context.Context, sql string, into ...any) error {
	return p.session(ctx, func(conn *pgx.Conn) error {
		if err := conn.QueryRow(ctx, sql).Scan(into...); err != nil {
			return fmt.Errorf("run %.100q: %w", sql, err)
		}
		return nil
	})
}

func (p *server) session(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, p.dsn.String())
	if err != nil {
		return fmt.Errorf("connect to %s: %w", p.dsn.Host, err)
	}
	return errors.Join(do(conn), conn.Close(context.WithoutCancel(ctx)))
}

// dropSlot drops the slots whose names match, ending their readers.
func (p *server) dropSlot(ctx context.Context, like string) error {
	for {
		err := p.exec(ctx,
			"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND slot_name LIKE '"+like+"'",
			"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE '"+like+"'")
		if err == nil || !strings.Contains(err.Error(), "is active for PID") {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func (p *server) port() string {
	if port := p.dsn.Port(); port != "" {
		return port
	}
	return "5432"
}

// pause waits, or returns the error of a context that ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// build makes the program that is measured.
func (b *bench) build(ctx context.Context) error {
	if b.binary != "" {
		return nil
	}
	root, err := testbed.Root()
	if err != nil {
		return err
	}
	b.say("building freshet")
	b.binary = filepath.Join(b.work, "freshet")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.binary, "./cmd/freshet")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build freshet: %w", err)
	}
	return nil
}

// describeMachine says what the numbers were measured on, without names of hosts or folders.
func describeMachine(ctx context.Context, s *servers, o options) string {
	databases := s.source.title(ctx)
	if s.target.dsn != nil {
		var version string
		_ = s.target.one(ctx, "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'", &version) // the description goes without it
		databases += ", TimescaleDB " + version
	}
	if s.ch != nil {
		version, _ := s.ch.Ask(ctx, "", "SELECT version()") // likewise
		databases += ", ClickHouse " + version
	}
	if s.es != nil {
		databases += ", Elasticsearch " + s.elasticVersion(ctx)
	}
	kafka := "unknown"
	if v, err := s.kafkaVersion(ctx); err == nil {
		kafka = v
	}
	var kib int
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, _ = fmt.Sscanf(string(text), "MemTotal: %d kB", &kib)
	}
	return fmt.Sprintf("%s; %d cores, %d GiB; %s, Kafka %s, %s; every server, the worker and the load on this machine, loopback TCP. "+
		"%d rounds, %d rows in transactions of %d.", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), kib>>20, databases, kafka, runtime.Version(),
		o.rounds, o.rows, o.transaction)
}

func (s *servers) kafkaVersion(ctx context.Context) (string, error) {
	versions, err := kversionOf(ctx, s.kafka)
	if err != nil {
		return "", err
	}
	return versions.VersionGuess(kversion.SkipKeys()), nil
}
