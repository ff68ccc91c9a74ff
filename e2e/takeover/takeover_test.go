package takeover

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
)

// TestTakeOver: connectors made on the real Kafka Connect go on under Freshet, on the same topics, and go back. Two of Debezium's run
// under load all the time; one reads a file; one is of a class that Freshet lacks.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	java := testbed.StartConnect(t, c.kafka, group, map[string]string{
		"offset.flush.interval.ms": "500", "scheduled.rebalance.max.delay.ms": "0",
		"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
	})
	c.base = java.URL()
	lines := testbed.WriteFile(t, c.dir, "lines.txt", "")
	for _, name := range c.names {
		c.create(name, c.postgres.Connector(c.databases[name], name, map[string]string{
			"plugin.name": "pgoutput", "topic.prefix": name, "table.include.list": "public.load", "poll.interval.ms": "50",
		}))
	}
	c.create("file", map[string]string{"connector.class": "FileStreamSource", "file": lines, "topic": "lines"})
	c.create("foreign", map[string]string{"connector.class": foreignClass})
	c.running(append(c.names, "file", "foreign")...)
	c.load()
	c.moves()
	before := c.records()

	// While a worker of the JVM is in the group, Freshet waits outside and says so.
	worker, url := c.freshet()
	worker.Says("JVM", group)
	if strings.Contains(worker.Output(), "panic") {
		t.Fatalf("freshet said:\n%s", worker.Output())
	}
	java.Stop(t)
	c.base = url
	c.running(append(c.names, "file")...)
	if s := c.status("foreign"); s.Connector.State != "FAILED" || !strings.Contains(s.Connector.Trace, foreignClass) {
		t.Errorf("a connector of a class that is not here: %+v", s)
	}
	c.moves()
	for range 3 {
		c.moves()
	}
	if code := worker.Stop(); code != 0 {
		t.Errorf("exit code %d; freshet said:\n%s", code, worker.Output())
	}

	// And back.
	java.Restart(t)
	c.base = java.URL()
	c.running(append(c.names, "file", "foreign")...)
	c.moves()
	c.endLoad()
	c.check(before)
}

const (
	group        = "shop-cluster"
	foreignClass = "org.apache.kafka.connect.tools.VerifiableSourceConnector"
)

// cluster is what both kinds of worker share.
type cluster struct {
	t         *testing.T
	kafka     *testbed.Kafka
	postgres  *testbed.Postgres
	dir       string
	base      string // REST API in charge
	names     []string
	databases map[string]string

	stop    context.CancelFunc
	ended   chan error
	written atomic.Int64 // rows in each database, and updates of row 0
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{
		t: t, kafka: bed.Kafka(t), postgres: bed.Postgres(t, "wal_level=logical"), dir: t.TempDir(), names: []string{"bets", "odds"},
		databases: map[string]string{},
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		c.t.Fatal(err)
	}
	file := testbed.WriteFile(c.t, c.dir, "connect-distributed.properties", strings.Join([]string{
		"bootstrap.servers=" + c.kafka.Bootstrap(),
		"group.id=" + group,
		"key.converter=org.apache.kafka.connect.json.JsonConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable=false",
		"value.converter.schemas.enable=false",
		"config.storage.topic=" + group + "-configs",
		"offset.storage.topic=" + group + "-offsets",
		"status.storage.topic=" + group + "-status",
		"config.storage.replication.factor=1",
		"offset.storage.replication.factor=1",
		"status.storage.replication.factor=1",
		"offset.flush.interval.ms=500",
		"scheduled.rebalance.max.delay.ms=0",
		"plugin.path=/usr/share/java",
		"listeners=" + url,
	}, "\n"))
	return bed.Freshet(c.t, c.dir, "worker", "-c", filepath.Base(file)), url
}

type status struct {
	Connector struct{ State, Trace string }
	Tasks     []struct{ State, Trace string }
}

// call asks the REST API in charge; a rebalance is waited out.
func (c *cluster) call(method, path string, body, answer any) int {
	c.t.Helper()
	var text []byte
	var code int
	testbed.Eventually(c.t, func() string { return fmt.Sprintf("%s %s: %d %s", method, path, code, text) }, func() bool {
		var in io.Reader
		if body != nil {
			b, err := json.Marshal(body)
			if err != nil {
				c.t.Fatal(err)
			}
			in = bytes.NewReader(b)
		}
		req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, in)
		if err != nil {
			c.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		text, err = io.ReadAll(resp.Body)
		code = resp.StatusCode
		return err == nil && code != http.StatusConflict && code < 500
	})
	if answer != nil && code < 300 {
		if err := json.Unmarshal(text, answer); err != nil {
			c.t.Fatalf("%s %s: %s: %v", method, path, text, err)
		}
	}
	return code
}

func (c *cluster) create(name string, config map[string]string) {
	c.t.Helper()
	config = maps.Clone(config)
	delete(config, "sinks")
	config["name"] = name
	if code := c.call(http.MethodPut, "/connectors/"+name+"/config", config, nil); code != http.StatusCreated {
		c.t.Fatalf("create connector %s: %d", name, code)
	}
}

func (c *cluster) status(name string) (s status) {
	c.t.Helper()
	c.call(http.MethodGet, "/connectors/"+name+"/status", nil, &s)
	return s
}

// running waits until connectors and their tasks run.
func (c *cluster) running(names ...string) {
	c.t.Helper()
	for _, name := range names {
		var s status
		testbed.Eventually(c.t, func() string { return fmt.Sprintf("%s: %+v", name, s) }, func() bool {
			s = status{}
			c.call(http.MethodGet, "/connectors/"+name+"/status", nil, &s)
			if s.Connector.State != "RUNNING" || len(s.Tasks) == 0 {
				return false
			}
			for _, task := range s.Tasks {
				if task.State != "RUNNING" {
					return false
				}
			}
			return true
		})
	}
}
