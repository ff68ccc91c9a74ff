package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/boltstore"
	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/history"
)

// crash is freshet copying a history while it, or a server, is killed.
type crash struct {
	*testing.T
	pg       *testbed.Postgres
	database string
	dir      string
	args     []string
	config   map[string]string
	random   *rand.Rand
	h        *history.History
	p        *testbed.Program
	written  chan error // ends the history's goroutine
	count    int        // of the transactions of the history
	kafka    *testbed.Kafka
	offsets  string // topic of offsets; "": a file
}

const (
	crashRows         = 8000
	crashTransactions = 1500
)

// newCrash prepares a connector; FRESHET_SEED makes the same history and the same choices again.
func newCrash(t *testing.T, pg *testbed.Postgres, kafka *testbed.Kafka, worker string, keys map[string]string) *crash {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("FRESHET_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("FRESHET_SEED: %v", err)
		}
	}
	t.Logf("FRESHET_SEED=%d", seed)
	c := &crash{T: t, count: crashTransactions, pg: pg, kafka: kafka, database: pg.NewDatabase(t), dir: t.TempDir(), random: rand.New(rand.NewPCG(seed, 2)), written: make(chan error, 1)}
	c.h = history.New(t, history.OnPostgres(pg, c.database), seed, crashRows)
	c.config = pg.Connector(c.database, "crash-"+c.database, map[string]string{
		"table.include.list":                        "public.a,public.b",
		"topic.creation.default.partitions":         "3",
		"topic.creation.default.replication.factor": "1",
	})
	maps.Copy(c.config, keys)
	if kafka != nil {
		worker += "\nbootstrap.servers=" + kafka.Bootstrap() + "\ngroup.id=" + c.database
		for _, which := range []string{"key", "value"} {
			worker += "\n" + which + ".converter=org.apache.kafka.connect.json.JsonConverter\n" + which + ".converter.schemas.enable=false"
		}
	}
	if strings.Contains(worker, "exactly.once") {
		c.offsets = "offsets-" + c.database
		worker += "\noffset.storage.topic=" + c.offsets + "\noffset.storage.replication.factor=1\noffset.storage.partitions=1"
	}
	c.args = []string{"run", testbed.WriteConnector(t, c.dir, c.config), "-c", testbed.WriteFile(t, c.dir, "w.properties", worker+"\n")}
	return c
}

func (c *crash) start() { c.p = start(c, c.dir, c.args...) }

// kill kills freshet; what the server may forget by then is stored.
func (c *crash) kill() {
	c.Helper()
	c.p.Kill()
	c.slotIsBehind()
}

// load begins to write the history.
func (c *crash) load() {
	go func() { c.written <- c.h.Write(c.Context(), c.count) }()
}

// progress lets some more transactions come and waits for a random moment among them.
func (c *crash) progress() {
	c.Helper()
	const more = crashTransactions / 8
	allowed := min(c.h.Allowed()+more, c.count)
	c.h.Allow(allowed)
	to := allowed - 1 - c.random.IntN(more)
	c.p.Until("the load does not move", func() bool { return c.h.Done() >= to })
}

// interruptSnapshot kills freshet in its snapshot, while rows are inserted, updated and deleted.
func (c *crash) interruptSnapshot(times int) {
	c.Helper()
	for range times {
		c.h.Allow(c.h.Allowed() + crashTransactions/16)
		c.start()
		c.p.Until("it neither reads a table nor streams", func() bool { // a quick machine has read all before it can be killed
			said := c.p.Output()
			return strings.Contains(said, `msg="reading table"`) || strings.Contains(said, "msg=streaming")
		})
		c.kill()
	}
	c.h.Allow(c.h.Allowed() + crashTransactions/16)
	c.start()
	c.p.Says("msg=streaming")
}

// finish waits until everything was delivered, stops freshet and looks at what is stored.
func (c *crash) finish() {
	c.Helper()
	c.h.Allow(c.count)
	if err := <-c.written; err != nil {
		c.Fatal(err)
	}
	conn := c.pg.Connect(c, c.database)
	var end string
	if err := conn.QueryRow(c.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		c.Fatal(err)
	}
	c.p.Until("the slot is not confirmed up to "+end, func() bool {
		var reached bool
		err := conn.QueryRow(c.Context(), "SELECT confirmed_flush_lsn >= $1::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", end, c.config["slot.name"]).Scan(&reached)
		if err != nil {
			c.Fatal(err)
		}
		return reached
	})
	if code := c.p.Stop(); code != 0 {
		c.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	c.slotIsBehind()
	if c.Failed() {
		c.Logf("freshet said:\n%s", c.p.Output())
	}
}

// slotIsBehind checks that the slot is confirmed only up to the stored offset (I7). Freshet does not run.
func (c *crash) slotIsBehind() {
	c.Helper()
	var confirmed int64
	err := c.pg.Connect(c, c.database).QueryRow(c.Context(), `SELECT coalesce(max(confirmed_flush_lsn - '0/0'), 0)::int8 FROM pg_replication_slots
WHERE slot_name = $1`, c.config["slot.name"]).Scan(&confirmed)
	if err != nil {
		c.Fatal(err)
	}
	text := c.stored()
	var o struct {
		LSN    int64 `json:"lsn"`
		Commit int64 `json:"lsn_commit"`
		Done   *bool `json:"snapshot_completed"`
	}
	if text == "" {
		return // the slot stands where it was made
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		c.Fatal(err)
	}
	if confirmed > max(o.LSN, o.Commit) && (o.Done == nil || *o.Done) {
		c.Errorf("the slot is confirmed up to %d, the stored offset is %s", confirmed, text)
	}
}

// stored is the connector's stored offset, "" for none.
func (c *crash) stored() offsets.Offset {
	c.Helper()
	name := c.config["name"]
	partition := offsets.Partition(`{"server":"` + c.config["topic.prefix"] + `"}`)
	if c.offsets != "" {
		key, err := offsets.EncodeKey(name, partition)
		if err != nil {
			c.Fatal(err)
		}
		var last offsets.Offset
		for _, r := range c.kafka.Read(c, c.offsets) {
			if string(r.Key) == string(key) {
				last = offsets.Offset(r.Value)
			}
		}
		return last
	}
	store, err := boltstore.Open(filepath.Join(c.dir, "freshet-offsets.db"))
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	entries, err := store.Load(c.Context(), name, partition)
	if err != nil {
		c.Fatal(err)
	}
	for _, e := range entries {
		if e.Partition == partition {
			return e.Offset
		}
	}
	return ""
}

// topics reads the committed records.
func (c *crash) topics() []history.Seen {
	c.Helper()
	var out []history.Seen
	for _, r := range c.kafka.Read(c, c.config["topic.prefix"]+".public.a", c.config["topic.prefix"]+".public.b") {
		event, err := history.Understand(r.Topic, r.Key, r.Value)
		if err != nil {
			c.Fatal(err)
		}
		out = append(out, event)
	}
	return out
}

const exactlyOnce = "exactly.once.source.support=enabled"

// The worker is killed again and again, also in its snapshot: a reader of committed records gets every change once, in order.
func TestCrashExactlyOnce(t *testing.T) {
	t.Parallel()
	c := newCrash(t, bed.Postgres(t), bed.Kafka(t), exactlyOnce, nil)
	c.load()
	c.interruptSnapshot(2)
	for range 4 {
		c.progress()
		c.kill()
		c.start()
	}
	c.finish()
	c.once(c.topics())
}

// The same without transactions: nothing is lost, a window may come again.
func TestCrashAtLeastOnce(t *testing.T) {
	t.Parallel()
	c := newCrash(t, bed.Postgres(t), bed.Kafka(t), "", nil)
	c.load()
	c.interruptSnapshot(1)
	for range 4 {
		c.progress()
		c.kill()
		c.start()
	}
	c.finish()
	c.h.Check(c.topics(), true, true).Report(t)
}

// The same into a file: every change is one line.
func TestCrashFile(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out.jsonl")
	c := newCrash(t, bed.Postgres(t), nil, "", testbed.ToFile(out))
	c.load()
	c.interruptSnapshot(2)
	for range 4 {
		c.progress()
		c.kill()
		c.start()
	}
	c.finish()
	c.checkFile(out)
}

// checkFile compares the lines of a file with the history: every change is one line, in order.
func (c *crash) checkFile(out string) {
	c.Helper()
	f, err := os.Open(out)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var got []history.Seen
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		event, err := history.UnderstandLine(lines.Bytes())
		if err != nil {
			c.Fatal(err)
		}
		got = append(got, event)
	}
	if err := lines.Err(); err != nil {
		c.Fatal(err)
	}
	c.once(got)
}

// once checks that every change was seen once, in order; a snapshot was interrupted.
func (c *crash) once(got []history.Seen) {
	c.Helper()
	v := c.h.Check(got, true, false)
	c.Logf("%d events, lost %d, twice %d", v.Events, v.Lost, v.Twice)
	v.Report(c)
}

// The servers are killed under load, the worker goes on by itself.
func TestCrashServers(t *testing.T) {
	t.Parallel()
	c := newCrash(t, testbed.StartPostgres(t), testbed.StartKafka(t), exactlyOnce, nil)
	c.load()
	c.interruptSnapshot(0)
	c.progress()
	c.pg.Kill(t)
	c.pg.Restart(t)
	c.progress()
	c.kafka.Kill(t) // the worker finds both gone, in either order
	c.pg.Kill(t)
	c.pg.Restart(t)
	c.kafka.Restart(t)
	c.progress()
	c.finish()
	c.h.Check(c.topics(), false, false).Report(t)
}

// Tables that are kept equal are equal after kills of the worker and of the target.
func TestCrashTables(t *testing.T) {
	t.Parallel()
	pg, target := bed.Postgres(t), testbed.StartTimescale(t)
	to := target.NewDatabase(t)
	c := newCrash(t, pg, nil, "", target.ToTable(to, nil))
	c.load()
	c.interruptSnapshot(2)
	for round := range 4 {
		c.progress()
		if round%2 == 0 {
			c.kill()
			c.start()
		} else {
			target.Kill(t)
			target.Restart(t)
		}
	}
	c.finish()
	c.checkTables(target, to)
}

// checkTables compares tables that are kept equal with those of the history.
func (c *crash) checkTables(target *testbed.Postgres, to string) {
	c.Helper()
	from, there := c.pg.Connect(c, c.database), target.Connect(c, to)
	for _, table := range []string{"a", "b"} {
		for _, column := range []string{"seq", "pad"} {
			want, got := contents(c, from, table, "id", column), contents(c, there, table, "id", column)
			if text := firstDifference(want, got); text != "" {
				c.Errorf("%s.%s: %s", table, column, text)
			}
		}
		n := len(contents(c, from, table, "id", "seq"))
		if n != len(c.h.Rows(table)) {
			c.Errorf("table %s has %d rows, want %d", table, n, len(c.h.Rows(table)))
		}
		c.Logf("table %s: %d rows were compared", table, n)
	}
}

// A table that keeps every change has each of them once, after kills of the worker and of the target.
func TestCrashAppend(t *testing.T) {
	t.Parallel()
	target := testbed.StartTimescale(t)
	to := target.NewDatabase(t)
	c := newCrash(t, bed.Postgres(t), nil, "", target.ToTable(to, map[string]string{"sinks.db.freshet.mode": "append", "sinks.db.hypertable.time.column": "_time"}))
	c.load()
	c.interruptSnapshot(2)
	for round := range 4 {
		c.progress()
		if round%2 == 0 {
			c.kill()
			c.start()
		} else {
			target.Kill(t)
			target.Restart(t)
		}
	}
	c.finish()
	rows, err := target.Connect(t, to).Query(t.Context(), `SELECT name || id, _op || coalesce(seq, 0) FROM (SELECT 'a' AS name, * FROM a UNION ALL SELECT 'b', * FROM b) x ORDER BY _order`)
	if err != nil {
		t.Fatal(err)
	}
	var got []history.Seen
	var s history.Seen
	if _, err := pgx.ForEachRow(rows, []any{&s.Key, &s.Text}, func() error {
		if got = append(got, s); s.Text[0] == 'd' { // a tombstone is no change
			got = append(got, history.Seen{Key: s.Key, Text: "t"})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c.once(got)
}

func firstDifference(want, got []string) string {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return fmt.Sprintf("want %s, got %s (%d and %d rows)", want[i], got[i], len(want), len(got))
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d rows, want %d", len(got), len(want))
	}
	return ""
}
