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

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/boltstore"
	"github.com/freshet-io/freshet/testbed"
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
	h        *history
	p        *program
	written  chan error // ends the history's goroutine
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
	c := &crash{T: t, pg: pg, kafka: kafka, database: pg.NewDatabase(t), dir: t.TempDir(), random: rand.New(rand.NewPCG(seed, 2)), written: make(chan error, 1)}
	c.h = newHistory(t, pg, c.database, seed, crashRows)
	c.config = source(t, pg, c.database, "crash-"+c.database, map[string]string{
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
	c.args = []string{"run", writeConnector(t, c.dir, c.config), "-c", write(t, c.dir, "w.properties", worker+"\n")}
	return c
}

func (c *crash) start() { c.p = start(c, c.dir, c.args...) }

// kill kills freshet; what the server may forget by then is stored.
func (c *crash) kill() {
	c.Helper()
	c.p.kill()
	c.slotIsBehind()
}

// load begins to write the history.
func (c *crash) load() {
	go func() { c.written <- c.h.write(c.Context(), c.pg.DSN(c.database), crashTransactions) }()
}

// progress lets some more transactions come and waits for a random moment among them.
func (c *crash) progress() {
	c.Helper()
	const more = crashTransactions / 8
	allowed := min(c.h.allowed.Load()+more, crashTransactions)
	c.h.allowed.Store(allowed)
	to := allowed - 1 - int64(c.random.IntN(more))
	c.p.until("the load does not move", func() bool { return c.h.done.Load() >= to })
}

// interruptSnapshot kills freshet in its snapshot, while rows are inserted, updated and deleted.
func (c *crash) interruptSnapshot(times int) {
	c.Helper()
	for range times {
		c.h.allowed.Add(crashTransactions / 16)
		c.start()
		c.p.says(`msg="reading table"`)
		c.kill()
	}
	c.h.allowed.Add(crashTransactions / 16)
	c.start()
	c.p.says("msg=streaming")
}

// finish waits until everything was delivered, stops freshet and looks at what is stored.
func (c *crash) finish() {
	c.Helper()
	c.h.allowed.Store(crashTransactions)
	if err := <-c.written; err != nil {
		c.Fatal(err)
	}
	conn := c.pg.Connect(c, c.database)
	var end string
	if err := conn.QueryRow(c.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		c.Fatal(err)
	}
	c.p.until("the slot is not confirmed up to "+end, func() bool {
		var reached bool
		err := conn.QueryRow(c.Context(), "SELECT confirmed_flush_lsn >= $1::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", end, c.config["slot.name"]).Scan(&reached)
		if err != nil {
			c.Fatal(err)
		}
		return reached
	})
	if code := c.p.stop(); code != 0 {
		c.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	c.slotIsBehind()
	if c.Failed() {
		c.Logf("freshet said:\n%s", c.p.output())
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

// understand takes an event from its key and value as JSON without schemas.
func (c *crash) understand(topic string, key, value []byte) seen {
	c.Helper()
	var k struct{ ID int }
	if err := json.Unmarshal(key, &k); err != nil {
		c.Fatalf("key %q: %v", key, err)
	}
	s := seen{key: topic[strings.LastIndexByte(topic, '.')+1:] + strconv.Itoa(k.ID), text: "t"}
	if len(value) == 0 || string(value) == "null" {
		return s
	}
	var v struct {
		Op            string
		Before, After *struct{ Seq int }
		Source        struct{ LSN int64 }
	}
	if err := json.Unmarshal(value, &v); err != nil {
		c.Fatalf("value %q: %v", value, err)
	}
	row := v.After
	if v.Op == "d" {
		row = v.Before
	}
	if row == nil {
		c.Fatalf("value %q has no row", value)
	}
	s.text, s.lsn = v.Op+strconv.Itoa(row.Seq), v.Source.LSN
	return s
}

// topics reads the committed records.
func (c *crash) topics() []seen {
	c.Helper()
	var out []seen
	for _, r := range c.kafka.Read(c, c.config["topic.prefix"]+".public.a", c.config["topic.prefix"]+".public.b") {
		out = append(out, c.understand(r.Topic, r.Key, r.Value))
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
	c.h.check(t, c.topics(), true, false)
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
	c.h.check(t, c.topics(), true, true)
}

// The same into a file: every change is one line.
func TestCrashFile(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out.jsonl")
	c := newCrash(t, bed.Postgres(t), nil, "", toFile(out))
	c.load()
	c.interruptSnapshot(2)
	for range 4 {
		c.progress()
		c.kill()
		c.start()
	}
	c.finish()
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var got []seen
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var line struct {
			Topic      string
			Key, Value json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("line %q: %v", lines.Text(), err)
		}
		got = append(got, c.understand(line.Topic, line.Key, line.Value))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	c.h.check(t, got, true, false)
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
	c.h.check(t, c.topics(), false, false)
}

// Tables that are kept equal are equal after kills of the worker and of the target.
func TestCrashTables(t *testing.T) {
	t.Parallel()
	pg, target := bed.Postgres(t), testbed.StartTimescale(t)
	to := target.NewDatabase(t)
	c := newCrash(t, pg, nil, "", toTable(target, to, nil))
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
	from, there := pg.Connect(t, c.database), target.Connect(t, to)
	for _, table := range []string{"a", "b"} {
		for _, column := range []string{"seq", "pad"} {
			want, got := contents(t, from, table, "id", column), contents(t, there, table, "id", column)
			if text := firstDifference(want, got); text != "" {
				t.Errorf("%s.%s: %s", table, column, text)
			}
		}
		if n := len(contents(t, from, table, "id", "seq")); n != len(c.h.rows[table]) {
			t.Errorf("table %s has %d rows, want %d", table, n, len(c.h.rows[table]))
		}
	}
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
