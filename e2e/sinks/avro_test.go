package sinks

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/history"
)

// avroChain is a database whose changes go to topics in Avro, and from there into three kinds of targets, by four connectors of one
// program.
type avroChain struct {
	*testing.T
	pg       *testbed.Postgres
	ch       *testbed.ClickHouse
	search   *testbed.Search
	kafka    *testbed.Kafka
	registry *testbed.Registry

	from, to, into, index string // databases of the source, the tables and ClickHouse; what names of indices begin with
	dir                   string
	args                  []string
	h                     *history.History
	p                     *testbed.Program
}

// TestAvroThroughTopics: the Schema Registry is killed under the connectors while a new column needs another schema, and while the worker
// starts. The status of the task that needs it says so, nothing is lost, and each target equals the source row by row.
func TestAvroThroughTopics(t *testing.T) {
	t.Parallel()
	c := &avroChain{T: t, pg: bed.Postgres(t), ch: bed.ClickHouse(t), search: bed.Elasticsearch(t), kafka: bed.Kafka(t), registry: testbed.StartRegistry(t), dir: t.TempDir()}
	c.from, c.to, c.into, c.index = c.pg.NewDatabase(t), c.pg.NewDatabase(t), c.ch.NewDatabase(t), c.search.NewPrefix(t)
	c.h = history.New(t, history.OnPostgres(c.pg, c.from), 7, 200)
	c.configure()
	const each = 60
	written := make(chan error, 1)
	go func() { written <- c.h.Write(t.Context(), 4*each) }()
	c.start()
	c.h.Allow(each)
	c.equal()

	topics := []string{"t" + c.from + ".public.a", "t" + c.from + ".public.b"}
	before := len(c.kafka.Read(t, topics...))
	c.registry.Kill(t)
	c.h.Allow(2 * each)
	c.kafka.WaitRecords(t, before+1, patience, topics...) // in schemas that the writer knows
	c.pg.Exec(t, c.from, "ALTER TABLE a ADD COLUMN note text DEFAULT 'fair'")
	c.h.Allow(3 * each)
	name := "avro-" + c.from
	c.p.Until("the status does not tell of the registry", func() bool {
		task := c.p.Task("connectors/" + name + "/status")
		return task.State == "RESTARTING" && strings.Contains(task.Trace, c.registry.Address()) && strings.Contains(task.Trace, "register a schema under subject t"+c.from+".public.a-value")
	})
	c.registry.Restart(t)
	c.equal()

	c.p.Kill()
	before = len(c.kafka.Read(t, topics...))
	c.p = bed.Freshet(t, c.dir, c.args[:4]...) // the writer alone
	c.h.Allow(4 * each)
	c.kafka.WaitRecords(t, before+1, patience, topics...) // that no reader has read
	c.p.Kill()
	c.registry.Kill(t)
	c.start() // readers know no schema any more
	c.p.Until("the status of a reader does not tell of the registry", func() bool {
		task := c.p.Task("connectors/search-" + c.from + "/status")
		return task.State == "RESTARTING" && strings.Contains(task.Trace, c.registry.Address()) && strings.Contains(task.Trace, "read the schema with id")
	})
	c.registry.Restart(t)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	c.equal()
	if got := c.ch.Query(t, c.into, "SELECT count() > 0, countIf(note != 'fair') FROM a_current WHERE note IS NOT NULL"); got != "1\t0" {
		t.Errorf("rows with the new column, and others: %q", got)
	}
	if code := c.p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	if strings.Contains(c.p.Output(), testbed.ClickHousePassword+`"`) {
		t.Error("the log has a password")
	}
}

func (c *avroChain) configure() {
	worker := map[string]string{
		"bootstrap.servers": c.kafka.Bootstrap(), "group.id": "avro-" + c.from, "listeners": "http://127.0.0.1:0",
		"offset.storage.topic": "offsets-" + c.from, "offset.storage.replication.factor": "1", "offset.storage.partitions": "1",
		"exactly.once.source.support": "enabled", "consumer.session.timeout.ms": "6000",
	}
	for _, which := range []string{"key", "value"} {
		maps.Copy(worker, map[string]string{
			which + ".converter": "io.confluent.connect.avro.AvroConverter", which + ".converter.schema.registry.url": c.registry.URL(),
			which + ".converter.max.retries": "1", which + ".converter.retries.wait.ms": "50",
		})
	}
	var text strings.Builder
	for name, value := range worker {
		fmt.Fprintf(&text, "%s=%s\n", name, value)
	}
	topics := `t` + c.from + `\.public\..*`
	c.args = []string{"run", "-c", testbed.WriteFile(c, c.dir, "w.properties", text.String())}
	for _, config := range []map[string]string{
		c.pg.Connector(c.from, "avro-"+c.from, map[string]string{
			"table.include.list": "public.a,public.b", "topic.creation.default.partitions": "2", "topic.creation.default.replication.factor": "1",
		}),
		{
			"name": "clickhouse-" + c.from, "connector.class": "ClickHouseSinkConnector", "topics.regex": topics, "hostname": c.ch.Host(),
			"port": strconv.Itoa(c.ch.Port()), "username": testbed.ClickHouseUser, "password": testbed.ClickHousePassword, "database": c.into,
		},
		{
			"name": "search-" + c.from, "connector.class": "ElasticsearchSinkConnector", "topics.regex": topics, "connection.url": c.search.URL(),
			"index.name.format": c.index + "-${source.table}",
		},
		{
			"name": "tables-" + c.from, "connector.class": "TimescaleDbSinkConnector", "topics.regex": topics, "tasks.max": "2",
			"connection.url": "jdbc:postgresql://" + c.pg.Address() + "/" + c.to, "connection.username": testbed.PostgresUser, "connection.password": testbed.PostgresPassword,
			"collection.name.format": "${source.table}",
		},
	} {
		config["errors.retry.delay.max.ms"] = "500"
		config["consumer.override.metadata.max.age.ms"] = "500" // topics are found soon
		c.args = append(c.args, testbed.WriteConnector(c, c.dir, config))
	}
}

func (c *avroChain) start() { c.p = bed.Freshet(c, c.dir, c.args...) }

// equal waits until what was allowed is written and each target has the rows of the source.
func (c *avroChain) equal() {
	c.Helper()
	c.p.Until("the load does not end", func() bool { return c.h.Done() == c.h.Allowed() })
	for _, table := range []string{"a", "b"} {
		want := tableRows(c, c.pg, c.from, table)
		for sink, rows := range map[string]func() []string{
			"ClickHouse":    func() []string { return clickHouseRows(c, c.ch, c.into, table) },
			"Elasticsearch": func() []string { return searchRows(c, c.search, c.index+"-"+table) },
			"TimescaleDB":   func() []string { return tableRows(c, c.pg, c.to, table) },
		} {
			diff := ""
			testbed.Eventually(c, func() string {
				return fmt.Sprintf("table %s in %s: %s\nfreshet said:\n%s", table, sink, diff, c.p.Output())
			}, func() bool {
				diff = difference(want, rows())
				return diff == ""
			})
		}
	}
}
