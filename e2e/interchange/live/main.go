// Command live hands connectors to and fro between the real Debezium in Kafka Connect and Freshet, and compares the topics with
// what the server decoded. It needs Java, a folder with Kafka Connect (libs/) and Debezium (plugins/), a broker and PostgreSQL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/e2e/interchange"
)

type options struct {
	home, bootstrap, postgres, only, record, keep string
	rest, offsetTopic, mode                       string
	seed                                          uint64
	turns, rows                                   int
}

func main() {
	var o options
	flag.StringVar(&o.home, "home", os.Getenv("ORACLE_HOME"), "folder with libs/ and plugins/")
	flag.StringVar(&o.bootstrap, "bootstrap", env("ORACLE_BOOTSTRAP", "127.0.0.1:19092"), "Kafka's bootstrap.servers")
	flag.StringVar(&o.postgres, "postgres", env("ORACLE_POSTGRES", "postgres://postgres:postgres@127.0.0.1:15432/postgres"), "a database in which databases can be created")
	flag.StringVar(&o.rest, "rest", "", "a running Connect worker to use in place of one of its own; it cannot be killed")
	flag.StringVar(&o.offsetTopic, "offset-topic", "", "with -rest: the worker's offset.storage.topic")
	flag.StringVar(&o.mode, "exactly-once", "", "disabled or enabled: only with this exactly.once.source.support")
	flag.StringVar(&o.only, "run", ".", "exchanges to run, a regular expression")
	flag.StringVar(&o.record, "record", "", "folder for recordings")
	flag.StringVar(&o.keep, "logs", "", "folder for the logs; by default they are removed after success")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64(), "of the load and of the moments of hand-over")
	flag.IntVar(&o.turns, "turns", 8, "of the exchanges without kills")
	flag.IntVar(&o.rows, "rows", 20000, "of a long transaction and of a snapshot")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "interchange:", err)
		os.Exit(1)
	}
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// session is one run of the command.
type session struct {
	options
	dir    string
	binary string
	random *rand.Rand
	table  *tabwriter.Writer
	wanted *regexp.Regexp
	failed []string
}

func run(ctx context.Context, o options) (err error) {
	s := &session{options: o, dir: o.keep, random: rand.New(rand.NewPCG(o.seed, 3)), table: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	if s.wanted, err = regexp.Compile(o.only); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "freshet-interchange-"); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
	} else if err = os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	if jars, _ := filepath.Glob(filepath.Join(o.home, "libs", "connect-runtime-*.jar")); len(jars) == 0 {
		return fmt.Errorf("-home %q has no libs/connect-runtime-*.jar: name a folder with Kafka Connect's jars in libs/ and Debezium in plugins/", o.home)
	}
	if s.binary, err = interchange.Build(ctx, s.dir); err != nil {
		return err
	}
	fmt.Printf("seed %d, logs in %s\n", o.seed, s.dir)
	fmt.Fprintln(s.table, "mode\texchange\thand-overs\tsnapshot rows\tevents\tlost\tagain at the last LSN\tagain otherwise\tunknown\tnew snapshot rows\tresult")
	for _, mode := range []string{"disabled", "enabled"} {
		if o.mode != "" && o.mode != mode {
			continue
		}
		if err := s.mode(ctx, mode); err != nil {
			return err
		}
	}
	if err := s.table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if len(s.failed) > 0 {
		return fmt.Errorf("failed: %s; logs are in %s", strings.Join(s.failed, ", "), s.dir)
	}
	if o.keep == "" {
		return os.RemoveAll(s.dir)
	}
	return nil
}

// exchange is one row of the table.
type exchange struct {
	name  string
	kills bool // without exactly once, what came since the last stored offset comes again
	rows  int
	state bool // compare the end state: a snapshot was interrupted
	keys  map[string]string
	run   func(context.Context, *interchange.Exchange, interchange.Writer, interchange.Writer) error
	to    string // with -record: the recording's folder
}

func (s *session) exchanges() []exchange {
	type x = *interchange.Exchange
	type w = interchange.Writer
	small := map[string]string{"max.batch.size": "1024", "max.queue.size": "2048"}
	// A turn is D (Debezium) or F (Freshet) and ends orderly, or with ! by kill -9.
	ends := func(turns string, d, f w) []interchange.End {
		var out []interchange.End
		for turn := range strings.FieldsSeq(turns) {
			end := interchange.End{Writer: d, How: "stop"}
			if turn[0] == 'F' {
				end.Writer = f
			}
			if strings.HasSuffix(turn, "!") {
				end.How = "kill -9"
			}
			out = append(out, end)
		}
		return out
	}
	inside := func(turns string) func(context.Context, x, w, w) error {
		return func(ctx context.Context, e x, d, f w) error { return e.Inside(ctx, ends(turns, d, f), s.rows) }
	}
	snapshot := func(turns string) func(context.Context, x, w, w) error {
		return func(ctx context.Context, e x, d, f w) error { return e.Snapshot(ctx, ends(turns, d, f), s.rows/2) }
	}
	return []exchange{
		{name: "quiet", rows: 20, run: func(ctx context.Context, e x, d, f w) error { return e.Quiet(ctx, []w{d, f}, s.turns) }},
		{name: "under load", rows: 200, run: func(ctx context.Context, e x, d, f w) error { return e.Moving(ctx, []w{d, f}, s.turns, 400) }},
		{name: "in a transaction, stopped", rows: 20, keys: small, run: inside("D F D F D")},
		{name: "in a transaction, killed", kills: true, rows: 20, keys: small, run: inside("F! D! F! D! F")},
		{name: "in a snapshot, Debezium first", rows: s.rows / 2, state: true, keys: small, run: snapshot("D F! F")},
		{name: "in a snapshot, Freshet first", rows: 2 * s.rows, state: true, keys: small, run: snapshot("F! D F")},
	}
}

// recorded are the exchanges that -record keeps. Debezium does all of them alone: what it goes on with is what Freshet must go on with.
func (s *session) recorded() []exchange {
	type x = *interchange.Exchange
	type w = interchange.Writer
	plain := map[string]string{
		"max.batch.size": "4", "max.queue.size": "8",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	}
	twice := func(d w) []interchange.End {
		return []interchange.End{{Writer: d, How: "stop"}, {Writer: d, How: "stop"}}
	}
	return []exchange{
		{name: "quiet", to: "quiet", rows: 10, run: func(ctx context.Context, e x, d, _ w) error { return e.Quiet(ctx, []w{d}, 4) }},
		{name: "transaction", to: "transaction", rows: 5, keys: plain, run: func(ctx context.Context, e x, d, _ w) error { return e.Inside(ctx, twice(d), 300) }},
		{name: "snapshot", to: "snapshot", rows: 150, state: true, keys: plain, run: func(ctx context.Context, e x, d, _ w) error { return e.Snapshot(ctx, twice(d), 150) }},
	}
}

// mode runs the exchanges of one setting of exactly.once.source.support.
func (s *session) mode(ctx context.Context, mode string) (err error) {
	listener, err := freePort()
	if err != nil {
		return err
	}
	group := fmt.Sprintf("interchange-%s-%d", mode, time.Now().Unix())
	if s.offsetTopic == "" {
		s.offsetTopic = group + "-offsets"
		defer func() { s.offsetTopic = "" }()
	}
	properties := filepath.Join(s.dir, group+".properties")
	worker := map[string]string{
		"bootstrap.servers": s.bootstrap, "group.id": group, "exactly.once.source.support": mode,
		"config.storage.topic": group + "-configs", "offset.storage.topic": s.offsetTopic, "status.storage.topic": group + "-status",
	}
	own := filepath.Join(s.dir, group+".freshet.properties") // the Connect worker, which runs on between its turns, has the listener
	if err := interchange.Properties(own, worker); err != nil {
		return err
	}
	worker["listeners"], worker["plugin.path"] = "http://"+listener, filepath.Join(s.home, "plugins")
	if err := interchange.Properties(properties, worker); err != nil {
		return err
	}
	connect := &interchange.Connect{Home: s.home, Properties: properties, REST: "http://" + listener, Log: filepath.Join(s.dir, group+".connect.log")}
	if s.rest != "" {
		connect = &interchange.Connect{Running: true, REST: s.rest}
	}
	defer func() { err = errors.Join(err, connect.Close(context.WithoutCancel(ctx))) }()
	list := s.exchanges()
	if s.record != "" {
		list = s.recorded()
	}
	for i, e := range list {
		if !s.wanted.MatchString(e.name + ", " + mode) {
			continue
		}
		if err := s.one(ctx, e, mode, fmt.Sprintf("ix%d_%s_%d", i, mode[:2], time.Now().Unix()), group, connect); err != nil {
			return fmt.Errorf("%s, %s: %w", e.name, mode, err)
		}
	}
	return nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func (s *session) one(ctx context.Context, e exchange, mode, name, group string, connect *interchange.Connect) (err error) {
	ctx, cancel := context.WithTimeout(ctx, interchange.Deadline)
	defer cancel()
	began := time.Now()
	rig, err := s.rig(ctx, e, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rig.Close(context.WithoutCancel(ctx))) }()
	d := &interchange.Debezium{Worker: connect, Config: rig.Config}
	f := &interchange.Freshet{Binary: s.binary, Properties: filepath.Join(s.dir, group+".freshet.properties"), Config: rig.Config, Dir: s.dir}
	x := &interchange.Exchange{Rig: rig, Random: s.random}
	if err := e.run(ctx, x, d, f); err != nil {
		if f.Running() {
			err = errors.Join(err, f.Kill())
		}
		return err
	}
	counts, err := s.compare(ctx, e, x)
	if err != nil {
		return err
	}
	if e.to != "" {
		r, err := x.Record(ctx, e.keys)
		if err != nil {
			return err
		}
		if err := r.Save(filepath.Join(s.record, e.to)); err != nil {
			return err
		}
	}
	result := "ok"
	if !counts.Clean(e.kills && mode == "disabled") {
		result = "FAILED"
		s.failed = append(s.failed, e.name+" ("+mode+")")
	}
	fmt.Fprintf(s.table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", mode, e.name, len(x.Kinds)-1, counts.Rows, counts.Events, counts.Lost, counts.AtLast, counts.Repeated, counts.Unknown, counts.Snapshots, result)
	fmt.Printf("%s, exactly.once %s: %s in %s\n  turns: %s\n", e.name, mode, result, time.Since(began).Round(time.Second), strings.Join(x.Kinds, ", "))
	for i, t := range x.Turns {
		fmt.Printf("  offset %d: %s, slot at %d\n", i, t.Offset, t.Confirmed)
	}
	for _, p := range counts.Problems {
		fmt.Println("  " + p)
	}
	return nil
}

func (s *session) rig(ctx context.Context, e exchange, name string) (*interchange.Rig, error) {
	admin, err := pgx.Connect(ctx, s.postgres)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	_, err = admin.Exec(ctx, "CREATE DATABASE "+name)
	if err := errors.Join(err, admin.Close(ctx)); err != nil {
		return nil, fmt.Errorf("create database %s: %w", name, err)
	}
	at, err := pgx.ParseConfig(s.postgres)
	if err != nil {
		return nil, fmt.Errorf("-postgres: %w", err)
	}
	dsn := fmt.Sprintf("postgres://%s:%s@%s/%s", at.User, at.Password, net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))), name)
	rig, err := interchange.NewRig(ctx, dsn, s.bootstrap, name, s.offsetTopic, s.seed, e.rows, e.keys)
	if err != nil {
		return nil, err
	}
	return rig, rig.Prepare(ctx)
}

func (s *session) compare(ctx context.Context, e exchange, x *interchange.Exchange) (*interchange.Counts, error) {
	h, err := x.History(ctx)
	if err != nil {
		return nil, err
	}
	if !e.state {
		return interchange.Compare(h, x.Tail.Events(), x.HandOvers()), nil
	}
	rows, err := x.Rows(ctx)
	if err != nil {
		return nil, err
	}
	return interchange.CompareState(h, x.Tail.Events(), x.HandOvers(), rows), nil
}
