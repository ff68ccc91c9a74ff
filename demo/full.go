package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/examples/full"
)

// FullName is the name that a full demo has by default.
const FullName = "freshet-demo"

// warmUp is how long the load runs before the first look into the targets, so that there is something to see.
const warmUp = 5 * time.Second

// FullOptions says how to run the full demo.
type FullOptions struct {
	Name       string   // begins the names of its containers; one demo of a name runs at a time
	Rate       int      // row changes per second
	Changes    int      // end after so many, when all targets equal the source; 0 goes on until ctx ends
	Seed       uint64   // of the workload
	Out        *os.File // where everything goes
	Executable string   // freshet itself, for the worker
}

// fullDemo is one run of a Postgres into three kinds of targets, all in containers.
//
// Goroutines: one per writer of the workload, one that asks the servers how far they are, one progress display, one watcher of the
// worker; RunFull ends all of them before it returns.
type fullDemo struct {
	FullOptions
	work     string
	progress *progress
	servers  []*container
	source   postgresTarget
	targets  []target
	titles   []string // of the targets
	tables   []table
	load     *load
	worker   *process
	status   atomic.Pointer[string]
	watched  chan struct{} // closed when nobody asks the servers any more; nil before
}

// RunFull runs the full demo until ctx ends, or until it has compared the targets. Its containers, its worker and its files are gone when
// it returns; what a demo of the same name that was killed left behind is removed first.
func RunFull(ctx context.Context, o FullOptions) (err error) {
	if err := needDocker(ctx); err != nil {
		return err
	}
	work, unlock, err := takeName(o.Name)
	if err != nil {
		return err
	}
	defer unlock()
	d := &fullDemo{FullOptions: o, work: work, progress: newProgress(o.Out)}
	d.layout()
	run, cancel := context.WithCancelCause(ctx)
	defer func() {
		cancel(nil)
		err = errors.Join(err, d.close())
	}()
	if n, err := removeContainers(ctx, o.Name); err != nil {
		return err
	} else if n > 0 {
		d.progress.say("removed %d containers of a demo that was killed", n)
	}
	err = d.prepare(run)
	if err == nil {
		err = d.play(run, cancel)
	}
	if ctx.Err() != nil && o.Changes == 0 {
		return nil // Ctrl-C is how this demo ends
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return causeOf(run, err)
}

// takeName takes the demo's name until the process ends in whatever way, and makes its directory, empty.
func takeName(name string) (work string, unlock func(), err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", nil, err
	}
	work = filepath.Join(cache, name)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", nil, fmt.Errorf("make the demo's directory: %w", err)
	}
	f, err := os.OpenFile(work+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("lock the name of the demo: %w", err)
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		err = fmt.Errorf("a demo called %s is running already: end it with Ctrl-C, or give this one another name with --name", name)
	} else if err = errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o700)); err != nil {
		err = fmt.Errorf("make the demo's directory: %w", err)
	}
	unlock = func() { _ = f.Close() } // nothing is written to it
	if err != nil {
		unlock()
	}
	return work, unlock, err
}

// layout names the servers. Ports are those of examples/full/bets.json.
func (d *fullDemo) layout() {
	account := []string{"POSTGRES_USER=" + databaseUser, "POSTGRES_PASSWORD=" + databasePassword, "POSTGRES_DB=" + databaseName}
	source := &container{
		title: "Postgres", name: d.Name + "-postgres", image: imageOf("postgres", "postgres:17"), inside: 5432, port: 15432,
		environment: account,
		command:     []string{"postgres", "-c", "wal_level=logical", "-c", "track_commit_timestamp=on"},
	}
	clickhouse := &container{
		title: "ClickHouse", name: d.Name + "-clickhouse", image: imageOf("clickhouse", "clickhouse/clickhouse-server:26.7"), inside: 8123, port: 18123,
		environment: []string{"CLICKHOUSE_USER=" + databaseUser, "CLICKHOUSE_PASSWORD=" + databasePassword, "CLICKHOUSE_DB=" + databaseName},
	}
	search := &container{
		title: "Elasticsearch", name: d.Name + "-elasticsearch", inside: 9200, port: 19200,
		image: imageOf("elasticsearch", "docker.elastic.co/elasticsearch/elasticsearch:9.5.3"),
		environment: []string{
			"discovery.type=single-node", "xpack.security.enabled=false", "cluster.routing.allocation.disk.threshold_enabled=false", "ES_JAVA_OPTS=-Xms512m -Xmx512m",
		},
	}
	timescale := &container{
		title: "TimescaleDB", name: d.Name + "-timescaledb", image: imageOf("timescaledb", "timescale/timescaledb:2.19.3-pg17"), inside: 5432, port: 15433,
		environment: append(account, "TIMESCALEDB_TELEMETRY=off"),
		command:     []string{"postgres", "-c", "track_commit_timestamp=on"},
	}
	d.source = postgresTarget{&database{name: "source"}, source.name}
	db := postgresTarget{&database{name: "target"}, timescale.name}
	source.ready = func(ctx context.Context) error { return answers(ctx, source) }
	timescale.ready = func(ctx context.Context) error { return answers(ctx, timescale) }
	clickhouse.ready = func(ctx context.Context) error {
		_, err := clickhouseTarget{clickhouse}.query(ctx, "SELECT 1")
		return err
	}
	search.ready = func(ctx context.Context) error {
		_, err := fetch(ctx, "GET", searchTarget{search}.url("/_cluster/health?wait_for_status=yellow&timeout=2s"), "", "")
		return err
	}
	d.servers = []*container{source, clickhouse, search, timescale}
	d.targets = []target{clickhouseTarget{clickhouse}, searchTarget{search}, db}
	d.titles = []string{clickhouse.title, search.title, timescale.title}
}

// connectionTo is how the demo reaches a Postgres in a container.
func connectionTo(c *container) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", databaseUser, databasePassword, c.address(), databaseName)
}

func answers(ctx context.Context, c *container) error {
	conn, err := pgx.Connect(ctx, connectionTo(c))
	if err != nil {
		return err
	}
	return errors.Join(conn.Ping(ctx), conn.Close(ctx))
}

// prepare starts the servers and fills the source.
func (d *fullDemo) prepare(ctx context.Context) error {
	d.progress.phase("starting Postgres, ClickHouse, Elasticsearch and TimescaleDB in containers (the first run gets their images)")
	for _, c := range d.servers {
		if err := c.fetch(ctx); err != nil {
			return err
		}
	}
	for _, c := range d.servers {
		if err := c.start(ctx, d.Name); err != nil {
			return err
		}
	}
	for _, c := range d.servers {
		if err := c.await(ctx); err != nil {
			return err
		}
	}
	d.source.dsn = connectionTo(d.servers[0])
	db := d.targets[2].(postgresTarget)
	db.dsn = connectionTo(d.servers[3])
	if err := execute(ctx, db.dsn, "CREATE EXTENSION IF NOT EXISTS timescaledb"); err != nil {
		return err
	}
	d.progress.phase("filling the source")
	d.tables = tables(d.source.space())
	if err := d.source.create(ctx, d.tables); err != nil {
		return err
	}
	// A hypertable's time is never NULL, and whole old rows let every target know the values that an update leaves alone.
	more := "ALTER TABLE transactions ALTER created_at SET NOT NULL;"
	for _, t := range d.tables {
		more += "ALTER TABLE " + t.name + " REPLICA IDENTITY FULL;"
	}
	if err := execute(ctx, d.source.dsn, more); err != nil {
		return err
	}
	var err error
	if d.load, err = newLoad(ctx, d.source, d.tables, d.Seed); err != nil {
		return err
	}
	for _, w := range d.load.writers {
		w.forgetful = true
	}
	return d.load.fill(ctx)
}

func execute(ctx context.Context, dsn, sql string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the statements have been answered
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("run %.100q: %w", sql, err)
	}
	return nil
}

// connectorFile writes examples/full/bets.json, with other ports where those of the file are taken.
func (d *fullDemo) connectorFile() (string, error) {
	var c map[string]string
	if err := json.Unmarshal(full.Connector, &c); err != nil {
		return "", fmt.Errorf("read the example's connector: %w", err)
	}
	text := string(full.Connector)
	for key, value := range map[string]string{
		"database.port":           strconv.Itoa(d.servers[0].port),
		"sinks.ch.port":           strconv.Itoa(d.servers[1].port),
		"sinks.es.connection.url": "http://" + d.servers[2].address(),
		"sinks.db.connection.url": "jdbc:postgresql://" + d.servers[3].address() + "/" + databaseName,
	} {
		text = strings.Replace(text, strconv.Quote(c[key]), strconv.Quote(value), 1)
	}
	path := filepath.Join(d.work, "bets.json")
	return path, writeFile(path, []byte(text))
}

// play runs the load and the worker.
func (d *fullDemo) play(ctx context.Context, cancel context.CancelCauseFunc) error {
	file, err := d.connectorFile()
	if err != nil {
		return err
	}
	properties := filepath.Join(d.work, "worker.properties")
	if err := writeFile(properties, []byte("offset.storage.file.filename="+filepath.Join(d.work, "offsets.db")+"\n")); err != nil {
		return err
	}
	if d.worker, err = startWorker(ctx, cancel, filepath.Join(d.work, "worker.log"), d.Executable, "run", file, "-c", properties); err != nil {
		return err
	}
	d.progress.say("freshet run %s  (examples/full/bets.json; its log is worker.log beside it)", file)
	d.progress.say("from now on, a line shows the rows of the source and of each target, and how old the newest row is there")
	d.progress.phase("rows")
	d.watched = make(chan struct{})
	d.look(ctx)
	go d.lookAgain(ctx)
	d.progress.watch(func() string { return *d.status.Load() })
	began, filled := time.Now(), d.load.changes()
	d.load.start(ctx, d.Rate, cancel)
	if err := d.arrived(ctx, began.Add(warmUp)); err != nil {
		return d.failed(ctx, err)
	}
	if err := d.showExamples(ctx); err != nil {
		return d.failed(ctx, err)
	}
	if d.Changes == 0 {
		d.progress.say("inserts, updates and deletes go on; Ctrl-C ends everything and removes the containers")
		<-ctx.Done()
		return d.failed(ctx, ctx.Err())
	}
	for d.load.changes()-filled < int64(d.Changes) {
		if err := until(ctx, time.Now().Add(50*time.Millisecond)); err != nil {
			return d.failed(ctx, err)
		}
	}
	d.load.stop()
	return d.failed(ctx, d.compare(ctx, d.load.changes()-filled))
}

// failed adds the worker's last words to an error.
func (d *fullDemo) failed(ctx context.Context, err error) error {
	if err = causeOf(ctx, err); err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrMismatch) {
		return err
	}
	return fmt.Errorf("%w%s", err, d.worker.lastWords("the worker"))
}

// arrived returns when every target has a row that was written after that moment, and nearly as many rows as the source has by then:
// tables come one by one, and a slow target comes late.
func (d *fullDemo) arrived(ctx context.Context, moment time.Time) error {
	for i, t := range d.targets {
		var last error
		err := poll(ctx, func() (bool, error) {
			var newest time.Time
			var rows int64
			if rows, newest, last = t.state(ctx, d.tables); last != nil || !newest.After(moment) {
				return false, nil
			}
			all, _, err := d.source.state(ctx, d.tables)
			last = err
			return err == nil && rows >= all/20*19, nil
		})
		if err != nil {
			return fmt.Errorf("wait for changes to arrive in %s: %w", d.titles[i], errors.Join(err, last))
		}
	}
	return nil
}

// lookAgain asks the servers every second how far they are, until ctx ends.
func (d *fullDemo) lookAgain(ctx context.Context) {
	defer close(d.watched)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.look(ctx)
		}
	}
}

func (d *fullDemo) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	line := "source " + d.glance(ctx, d.source, false)
	for i, t := range d.targets {
		line += " | " + d.titles[i] + " " + d.glance(ctx, t, true)
	}
	d.status.Store(&line)
}

// glance is how many rows a server has, and how old its newest one is.
func (d *fullDemo) glance(ctx context.Context, t target, age bool) string {
	asked := time.Now()
	rows, newest, err := t.state(ctx, d.tables)
	switch {
	case err != nil:
		return "-" // not there yet, or away
	case !age || newest.IsZero():
		return strconv.FormatInt(rows, 10)
	}
	return fmt.Sprintf("%d, %.1f s", rows, max(0, asked.Sub(newest).Seconds()))
}

// showExamples prints a query for each target, and what it answers now.
func (d *fullDemo) showExamples(ctx context.Context) error {
	for i, t := range d.targets {
		e := t.example()
		answer, err := e.answer(ctx)
		if err != nil {
			return fmt.Errorf("ask %s: %w", d.titles[i], err)
		}
		d.progress.text(fmt.Sprintf("\n%s: %s\n\n%s\n\n%s\n", d.titles[i], e.what, e.command, strings.TrimRight(answer, "\n")))
	}
	return nil
}

// close ends what runs, in the order in which data flows, and removes containers and files.
func (d *fullDemo) close() error {
	d.progress.phase("ending everything")
	if d.load != nil {
		d.load.close()
	}
	if d.worker != nil {
		d.worker.stop()
	}
	if d.watched != nil {
		<-d.watched
	}
	d.progress.stop()
	n, err := removeContainers(context.Background(), d.Name)
	if err != nil {
		err = fmt.Errorf("%w; docker rm -fv $(docker ps -aq --filter label=%s=%s) does it by hand", err, containerLabel, d.Name)
	} else {
		d.progress.say("removed %d containers", n)
	}
	if e := os.RemoveAll(d.work); e != nil {
		err = errors.Join(err, fmt.Errorf("remove the demo's directory: %w", e))
	}
	return err
}
