package takeover

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/rest/client"
	"github.com/freshet-io/freshet/testbed"
)

// TestTakeOver: connectors made on the real Kafka Connect go on under Freshet, on the same topics, and go back. Two of Debezium's run
// under load all the time; one reads a file; one is of a class that neither has.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for _, support := range []string{"disabled", "enabled"} {
		t.Run("exactly once "+support, func(t *testing.T) {
			t.Parallel()
			takeOver(t, newCluster(t, support))
		})
	}
}

func takeOver(t *testing.T, c *cluster) {
	t.Helper()
	java := testbed.StartConnect(t, c.kafka, c.group, c.properties)
	c.ask(java.URL())
	lines := testbed.WriteFile(t, c.dir, "lines.txt", "")
	for _, name := range c.names {
		c.create(name, c.postgres.Connector(c.databases[name], name, map[string]string{
			"plugin.name": "pgoutput", "topic.prefix": name, "table.include.list": "public.load", "poll.interval.ms": "50",
		}))
	}
	c.create("file", map[string]string{"connector.class": "FileStreamSource", "file": lines, "topic": c.group + "-lines"})
	c.running(append(c.names, "file")...)
	c.foreign()
	c.load()
	c.moves()
	before := c.records()

	// While a worker of the JVM is in the group, Freshet waits outside and says so.
	worker, url := c.freshet()
	worker.Says("JVM", c.group, "connect-"+java.Address())
	if strings.Contains(worker.Output(), "panic") {
		t.Fatalf("freshet said:\n%s", worker.Output())
	}
	java.Stop(t)
	c.ask(url)
	c.running(append(c.names, "file")...)
	c.refused()
	c.moves()
	for range 3 {
		c.moves()
	}
	if code := worker.Stop(); code != 0 {
		t.Errorf("exit code %d; freshet said:\n%s", code, worker.Output())
	}

	// And back.
	java.Restart(t)
	c.ask(java.URL())
	c.running(append(c.names, "file")...)
	c.moves()
	c.endLoad()
	c.check(before)
	if got := c.recordsOfForeign(); !slices.Equal(got, foreignRecords) {
		t.Errorf("the records of a connector that cannot run here: %q", got)
	}
}

const foreignClass = "com.example.ForeignSourceConnector"

// foreignRecords are a connector of a class that neither has, in the config topic: key and value in turns.
var foreignRecords = []string{
	"connector-foreign", `{"properties":{"connector.class":"` + foreignClass + `","tasks.max":"1","name":"foreign"}}`,
	"task-foreign-0", `{"properties":{"connector.class":"` + foreignClass + `","task.class":"com.example.ForeignTask","name":"foreign"}}`,
	"commit-foreign", `{"tasks":1}`,
}

// foreign writes them, as another cluster's worker would have.
func (c *cluster) foreign() {
	c.t.Helper()
	client := c.kafka.Client(c.t)
	for i := 0; i < len(foreignRecords); i += 2 {
		record := &kgo.Record{Topic: c.group + "-configs", Key: []byte(foreignRecords[i]), Value: []byte(foreignRecords[i+1])}
		if err := client.ProduceSync(c.t.Context(), record).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *cluster) recordsOfForeign() (out []string) {
	c.t.Helper()
	for _, r := range c.kafka.Read(c.t, c.group+"-configs") {
		if strings.Contains(string(r.Key), "-foreign") {
			out = append(out, string(r.Key), string(r.Value))
		}
	}
	return out
}

// refused waits until the connector of a class that is not here has failed and says why.
func (c *cluster) refused() {
	c.t.Helper()
	var s herder.Status
	testbed.Eventually(c.t, func() string { return fmt.Sprintf("a connector of a class that is not here: %+v", s) }, func() bool {
		s = c.status("foreign")
		return s.Connector.State == runtime.Failed && strings.Contains(s.Connector.Trace, foreignClass)
	})
}

// cluster is what both kinds of worker share.
type cluster struct {
	t          *testing.T
	group      string
	properties map[string]string // of every worker, beside the usual ones
	kafka      *testbed.Kafka
	postgres   *testbed.Postgres
	dir        string
	api        *client.Client // in charge
	names      []string
	databases  map[string]string

	stop    context.CancelFunc
	ended   chan error
	written atomic.Int64 // rows in each database, and updates of row 0
}

func newCluster(t *testing.T, exactlyOnce string) *cluster {
	c := &cluster{
		t: t, kafka: bed.Kafka(t), postgres: bed.Postgres(t), dir: t.TempDir(), group: "shop-" + exactlyOnce,
		names: []string{"bets-" + exactlyOnce, "odds-" + exactlyOnce}, databases: map[string]string{},
		properties: map[string]string{
			"exactly.once.source.support": exactlyOnce, "offset.flush.interval.ms": "500", "scheduled.rebalance.max.delay.ms": "0",
			// A task of the reference that is not stopped, or has not flushed, in time repeats records.
			"task.shutdown.graceful.timeout.ms": "60000", "offset.flush.timeout.ms": "60000",
			"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
		},
	}
	for _, name := range c.names {
		db := c.postgres.NewDatabase(t)
		c.databases[name] = db
		c.postgres.Exec(t, db, "CREATE TABLE load (id int PRIMARY KEY, n int)", "INSERT INTO load VALUES (0, 0)")
	}
	return c
}

// load writes one row and one update after the other into each database, until endLoad.
func (c *cluster) load() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop, c.ended = stop, make(chan error, 1)
	c.t.Cleanup(stop)
	var conns []*pgx.Conn
	for _, name := range c.names {
		conns = append(conns, c.postgres.Connect(c.t, c.databases[name]))
	}
	go func() {
		c.ended <- func() error {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for n := 1; ; n++ {
				for _, conn := range conns {
					batch := &pgx.Batch{}
					batch.Queue("INSERT INTO load VALUES ($1, $1)", n)
					batch.Queue("UPDATE load SET n = $1 WHERE id = 0", n)
					if err := conn.SendBatch(context.Background(), batch).Close(); err != nil {
						return err
					}
				}
				c.written.Store(int64(n))
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
			}
		}()
	}()
}

func (c *cluster) endLoad() {
	c.t.Helper()
	c.stop()
	if err := <-c.ended; err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// topic is where the load of a connector goes.
func (c *cluster) topic(name string) string { return name + ".public.load" }

// event is what is compared.
type event struct {
	Op    string              `json:"op"`
	After struct{ ID, N int } `json:"after"`
}

// events are those of a connector, in order.
func (c *cluster) events(name string) []event {
	c.t.Helper()
	var out []event
	for _, r := range c.kafka.Read(c.t, c.topic(name)) {
		var e event
		if err := json.Unmarshal(r.Value, &e); err != nil {
			c.t.Fatalf("event %s: %v", r.Value, err)
		}
		out = append(out, e)
	}
	return out
}

// records counts the snapshot's rows.
func (c *cluster) records() map[string]int {
	out := map[string]int{}
	for _, name := range c.names {
		for _, e := range c.events(name) {
			if e.Op == "r" {
				out[name]++
			}
		}
	}
	return out
}

// moves waits until what is written from now on arrives.
func (c *cluster) moves() {
	c.t.Helper()
	from := int(c.written.Load())
	for _, name := range c.names {
		testbed.Eventually(c.t, func() string { return fmt.Sprintf("connector %s does not move: %+v", name, c.status(name)) }, func() bool {
			list := c.events(name)
			for i := len(list) - 1; i >= 0; i-- {
				if list[i].Op == "u" {
					return list[i].After.N > from
				}
			}
			return false
		})
	}
}

// check: every row and every update came once and in order, and no snapshot was taken again.
func (c *cluster) check(snapshots map[string]int) {
	c.t.Helper()
	last := int(c.written.Load())
	for _, name := range c.names {
		testbed.Eventually(c.t, func() string { return name + ": the last change does not come" }, func() bool {
			list := c.events(name)
			return len(list) > 0 && list[len(list)-1].After.N == last
		})
		rows, updates := 0, 0
		for _, e := range c.events(name) {
			switch {
			case e.Op == "c" && e.After.ID == rows+1:
				rows++
			case e.Op == "u" && e.After.N == updates+1:
				updates++
			case e.Op != "r":
				c.t.Fatalf("%s: after %d rows and %d updates comes %+v", name, rows, updates, e)
			}
		}
		if rows != last || updates != last {
			c.t.Errorf("%s: %d rows and %d updates, want %d", name, rows, updates, last)
		}
	}
	if after := c.records(); !maps.Equal(after, snapshots) {
		c.t.Errorf("rows of snapshots: %v, before the take-over %v", after, snapshots)
	}
}

// freshet starts a worker with the properties of the group, as connect-distributed.properties has them.
func (c *cluster) freshet() (*testbed.Program, string) {
	c.t.Helper()
	url := "http://" + testbed.FreeAddress(c.t)
	properties := map[string]string{"plugin.path": "/usr/share/java", "listeners": url}
	maps.Copy(properties, c.properties)
	return bed.Freshet(c.t, c.dir, "worker", "-c", testbed.WriteWorker(c.t, c.dir, c.kafka.Bootstrap(), c.group, properties)), url
}

func (c *cluster) create(name string, config map[string]string) {
	c.t.Helper()
	config = maps.Clone(config)
	delete(config, "sinks")
	config["name"] = name
	if _, err := c.api.Create(c.t.Context(), name, config, ""); err != nil {
		c.t.Fatalf("create connector %s: %v", name, err)
	}
}

// status is that of a connector; empty when there is none, and while the API does not answer.
func (c *cluster) status(name string) herder.Status {
	s, err := c.api.Status(c.t.Context(), name)
	if err != nil {
		return herder.Status{}
	}
	return s
}

// running waits until connectors and their tasks run.
func (c *cluster) running(names ...string) {
	c.t.Helper()
	for _, name := range names {
		var s herder.Status
		testbed.Eventually(c.t, func() string { return fmt.Sprintf("%s: %+v", name, s) }, func() bool {
			s = c.status(name)
			return s.Connector.State == runtime.Running && len(s.Tasks) > 0 &&
				!slices.ContainsFunc(s.Tasks, func(t herder.TaskStatus) bool { return t.State != runtime.Running })
		})
	}
}

// ask makes a URL the API in charge.
func (c *cluster) ask(url string) {
	c.t.Helper()
	api, err := client.New(client.Options{URL: url, Patience: time.Minute})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(api.Close)
	c.api = api
}
