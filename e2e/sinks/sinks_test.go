package sinks

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/history"
	"github.com/freshet-io/freshet/testbed/rounds"
)

const (
	initial      = 500
	transactions = 1200
	patience     = 3 * time.Minute
)

// targets are the servers that a source feeds, each killed at will.
type targets struct {
	kafka  *testbed.Kafka
	tables *testbed.Postgres
	ch     *testbed.ClickHouse
	search *testbed.Search
}

// copying is one connector from a database into all targets.
type copying struct {
	*testing.T
	targets
	random *rand.Rand
	h      *history.History
	prefix string // of topics and indices: without the table's name
	to     string // database of the tables
	into   string // database in ClickHouse
	rows   func(table string) []string
	again  func() // kills the source and starts it again

	dir  string
	args []string
	p    *testbed.Program
}

// TestEverySinkAtOnce: two sources, each into Kafka, ClickHouse, Elasticsearch and TimescaleDB, while the worker and every server but
// the broker are killed. At the end each sink equals the source row by row, and Kafka has every change once.
func TestEverySinkAtOnce(t *testing.T) {
	t.Parallel()
	all := targets{bed.Kafka(t), testbed.StartTimescale(t), testbed.StartClickHouse(t), testbed.StartElasticsearch(t)}
	seed := uint64(1)
	if text := os.Getenv("FRESHET_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("FRESHET_SEED: %v", err)
		}
	}
	t.Run("Postgres", func(t *testing.T) { ofPostgres(t, all, seed).play() })
	t.Run("MySQL", func(t *testing.T) { ofMySQL(t, all, seed).play() })
}

func ofPostgres(t *testing.T, all targets, seed uint64) *copying {
	pg := testbed.StartPostgres(t)
	database := pg.NewDatabase(t)
	c := &copying{T: t, targets: all, h: history.New(t, history.OnPostgres(pg, database), seed, initial), prefix: "t" + database + ".public."}
	c.rows = func(table string) []string { return tableRows(t, pg, database, table) }
	c.again = func() { pg.Kill(t); pg.Restart(t) }
	c.prepare(seed, pg.Connector(database, "all-"+database, map[string]string{"topic.prefix": "t" + database, "table.include.list": "public.a,public.b"}))
	return c
}

func ofMySQL(t *testing.T, all targets, seed uint64) *copying {
	my := testbed.StartMySQL(t)
	database := my.NewDatabase(t)
	primary := func() *testbed.MySQL { return my }
	c := &copying{T: t, targets: all, h: history.New(t, history.OnMySQL(primary, database), seed, initial), prefix: "t" + database + "." + database + "."}
	c.rows = func(table string) []string {
		result, err := my.Connect(t, database).Execute("SELECT CONCAT(id, ' ', seq, ' ', pad) FROM " + table)
		if err != nil {
			t.Fatal(err)
		}
		defer result.Close()
		var out []string
		for i := range result.RowNumber() {
			text, err := result.GetString(i, 0)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, strings.Clone(text)) // the result's memory is used again
		}
		slices.Sort(out)
		return out
	}
	c.again = func() { my.Kill(t); my.Restart(t) }
	c.prepare(seed, my.Connector("all-"+database, database, testbed.HistoryIn(t.TempDir()+"/history"), nil))
	return c
}

func tableRows(t testing.TB, pg *testbed.Postgres, database, table string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pg.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var there bool
	if err := conn.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
		t.Fatal(err)
	}
	if !there {
		return nil
	}
	rows, err := conn.Query(t.Context(), "SELECT concat_ws(' ', id, seq, pad) FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// prepare writes the files of the program.
func (c *copying) prepare(seed uint64, config map[string]string) {
	c.random, c.dir = rand.New(rand.NewPCG(seed, 2)), c.TempDir()
	c.to, c.into = c.tables.NewDatabase(c), c.ch.NewDatabase(c)
	maps.Copy(config, c.tables.ToTable(c.to, map[string]string{
		"sinks.db.collection.name.format":           "${source.table}",
		"sinks":                                     "events,ch,es,db",
		"sinks.events.connector.class":              "kafka",
		"topic.creation.default.partitions":         "2",
		"topic.creation.default.replication.factor": "1",
		"sinks.ch.connector.class":                  "ClickHouseSinkConnector",
		"sinks.ch.hostname":                         c.ch.Host(),
		"sinks.ch.port":                             strconv.Itoa(c.ch.Port()),
		"sinks.ch.username":                         testbed.ClickHouseUser,
		"sinks.ch.password":                         testbed.ClickHousePassword,
		"sinks.ch.database":                         c.into,
		"sinks.es.connector.class":                  "ElasticsearchSinkConnector",
		"sinks.es.connection.url":                   c.search.URL(),
	}))
	worker := "bootstrap.servers=" + c.kafka.Bootstrap() + "\nexactly.once.source.support=enabled\ngroup.id=" + c.to +
		"\noffset.storage.topic=offsets-" + c.to + "\noffset.storage.replication.factor=1\noffset.storage.partitions=1" +
		"\nkey.converter=json\nkey.converter.schemas.enable=false\nvalue.converter=json\nvalue.converter.schemas.enable=false\n"
	c.args = []string{"run", testbed.WriteConnector(c, c.dir, config), "-c", testbed.WriteFile(c, c.dir, "w.properties", worker)}
}

func (c *copying) start() { c.p = bed.Freshet(c, c.dir, c.args...) }

// play writes the history, with a fault after each share of it, and compares.
func (c *copying) play() {
	faults := map[string]func(){
		"kill the worker":                          func() { c.p.Kill(); c.start() },
		"kill the worker, start it after a while":  func() { c.p.Kill(); rounds.Pass(c.Context(), time.Second); c.start() },
		"kill ClickHouse":                          func() { c.ch.Kill(c); rounds.Pass(c.Context(), time.Second); c.ch.Restart(c) },
		"kill Elasticsearch":                       func() { c.search.Kill(c); c.search.Restart(c) },
		"kill TimescaleDB":                         func() { c.tables.Kill(c); rounds.Pass(c.Context(), time.Second); c.tables.Restart(c) },
		"kill the source":                          c.again,
		"kill the worker while ClickHouse is away": func() { c.ch.Kill(c); c.p.Kill(); c.start(); rounds.Pass(c.Context(), time.Second); c.ch.Restart(c) },
		"kill the worker while Elasticsearch is away": func() {
			c.search.Kill(c)
			c.p.Kill()
			c.start()
			c.search.Restart(c)
		},
	}
	names := slices.Sorted(maps.Keys(faults))
	c.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	c.start()
	c.equal() // a snapshot that is interrupted may show a row again
	written := make(chan error, 1)
	c.h.Pace(2 * time.Millisecond)
	go func() { written <- c.h.Write(c.Context(), transactions) }()
	for i, name := range names {
		share := transactions * (i + 1) / (len(names) + 1)
		c.h.Allow(share)
		c.until("the load does not move", func() bool { return c.h.Done() >= share-transactions/(2*(len(names)+1)) })
		c.Log(name)
		faults[name]()
	}
	c.h.Allow(transactions)
	if err := <-written; err != nil {
		c.Fatal(err)
	}
	c.equal()
	if code := c.p.Stop(); code != 0 {
		c.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	c.checkKafka()
	if c.Failed() {
		c.Logf("freshet said:\n%s", c.p.Output())
	}
}

// equal waits until every sink has the rows of the source, while nobody writes there.
func (c *copying) equal() {
	c.Helper()
	for _, table := range []string{"a", "b"} {
		want := c.rows(table)
		for sink, rows := range map[string]func(string) []string{"ClickHouse": c.inClickHouse, "Elasticsearch": c.inSearch, "TimescaleDB": c.inTables} {
			diff := ""
			if c.until("", func() bool { diff = difference(want, rows(table)); return diff == "" }); diff != "" {
				c.Fatalf("table %s in %s: %s\nfreshet said:\n%s", table, sink, diff, c.p.Output())
			}
		}
	}
}

// until waits; without a complaint the caller finds out whether it was for nothing.
func (c *copying) until(complaint string, ok func() bool) {
	c.Helper()
	for end := time.Now().Add(patience); !ok(); rounds.Pass(c.Context(), 100*time.Millisecond) {
		if c.p.Ended() {
			c.Fatalf("freshet ended:\n%s", c.p.Output())
		}
		if time.Now().After(end) {
			if complaint != "" {
				c.Fatalf("%s\nfreshet said:\n%s", complaint, c.p.Output())
			}
			return
		}
	}
}

func (c *copying) inTables(table string) []string { return tableRows(c, c.tables, c.to, table) }

func (c *copying) inClickHouse(table string) []string { return clickHouseRows(c, c.ch, c.into, table) }

func clickHouseRows(t testing.TB, ch *testbed.ClickHouse, database, table string) []string {
	t.Helper()
	if ch.Query(t, database, "EXISTS "+table+"_current") != "1" {
		return nil
	}
	text := ch.Query(t, database, "SELECT concat(toString(id), ' ', toString(seq), ' ', ifNull(pad, '')) FROM "+table+"_current FORMAT TSVRaw")
	out := strings.Split(text, "\n")
	slices.Sort(out)
	return out
}

func (c *copying) inSearch(table string) []string {
	return searchRows(c, c.search, strings.ToLower(c.prefix)+table)
}

func searchRows(t testing.TB, search *testbed.Search, index string) []string {
	t.Helper()
	var out []string
	for id, source := range search.Documents(t, index) {
		var d struct {
			ID, Seq int
			Pad     string
		}
		if err := json.Unmarshal(source, &d); err != nil || strconv.Itoa(d.ID) != id {
			t.Fatalf("document %s: %s %v", id, source, err)
		}
		out = append(out, fmt.Sprintf("%d %d %s", d.ID, d.Seq, d.Pad))
	}
	slices.Sort(out)
	return out
}

// checkKafka compares the topics with the history, event by event.
func (c *copying) checkKafka() {
	c.Helper()
	var seen []history.Seen
	for _, r := range c.kafka.Read(c, c.prefix+"a", c.prefix+"b") {
		s, err := history.Understand(r.Topic, r.Key, r.Value)
		if err != nil {
			c.Fatal(err)
		}
		seen = append(seen, s)
	}
	c.h.Check(seen, false, false).Report(c)
}

// difference says how two sorted lists differ; "" when they do not.
func difference(want, got []string) string {
	missing, extra := lacks(got, want), lacks(want, got)
	if len(missing) == 0 && len(extra) == 0 {
		return ""
	}
	return fmt.Sprintf("%d rows, want %d; %d are missing: %.300q; %d should not be there: %.300q", len(got), len(want), len(missing), missing, len(extra), extra)
}

func lacks(list, of []string) (out []string) {
	for _, s := range of {
		if _, found := slices.BinarySearch(list, s); !found {
			out = append(out, s)
		}
	}
	return out
}
