package e2e

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/kafka"
	"github.com/freshet-io/freshet/connectors/timescaledb"
	"github.com/freshet-io/freshet/converters"
	jsonconverter "github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/testbed"
)

// toTable are the keys of a sink connector that keeps every record of a topic as a row, so that one that comes twice shows.
func toTable(pg *testbed.Postgres, database, name, topic string) map[string]string {
	return map[string]string{
		"name": name, "connector.class": "TimescaleDbSinkConnector", "topics": topic, "tasks.max": "2",
		"connection.url": "jdbc:postgresql://" + pg.Address() + "/" + database + "?sslmode=disable", "connection.username": testbed.PostgresUser, "connection.password": testbed.PostgresPassword,
		"insert.mode": "insert", "primary.key.mode": "none", "delete.enabled": "false",
		"collection.name.format": "feed", "value.converter": jsonconverter.Class, "value.converter.schemas.enable": "false",
		"key.converter": jsonconverter.Class, "key.converter.schemas.enable": "false",
	}
}

// sendJSON sends {"n":…} to each partition in turn.
func sendJSON(t *testing.T, servers, topic string, partitions, from, to int) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var rs []*kgo.Record
	for n := from; n < to; n++ {
		rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	if err := c.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// feed is how many rows there are, and how many different ones.
func feed(t *testing.T, conn *pgx.Conn) (rows, different int) {
	t.Helper()
	var there bool
	if err := conn.QueryRow(t.Context(), "SELECT to_regclass('feed') IS NOT NULL").Scan(&there); err != nil {
		t.Fatal(err)
	}
	if !there {
		return 0, 0
	}
	if err := conn.QueryRow(t.Context(), "SELECT count(*), count(DISTINCT n) FROM feed").Scan(&rows, &different); err != nil {
		t.Fatal(err)
	}
	return rows, different
}

// Two workers, with one task and with two, share a topic; each is killed, stopped and started again while records arrive, so that
// partitions move between tasks and workers all the time. Every record is in the table exactly once, without a key that would hide
// it.
func TestTopicIntoTableThroughKills(t *testing.T) {
	t.Parallel()
	const partitions, rounds, perRound = 4, 9, 3000
	k, pg := bed.Kafka(t), bed.Postgres(t)
	topic, database := k.NewTopic(t, partitions, nil), pg.NewDatabase(t)
	conn := pg.Connect(t, database)
	run := func(i int) *testbed.Program {
		dir := t.TempDir()
		worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+k.Bootstrap()+"\nconsumer.session.timeout.ms=6000\nconsumer.heartbeat.interval.ms=500\n")
		c := toTable(pg, database, "kills-"+topic, topic)
		c["tasks.max"] = strconv.Itoa(1 + i%2)
		return start(t, dir, "run", testbed.WriteConnector(t, dir, c), "-c", worker)
	}
	sent := 0
	members := replaceInTurn(t, rounds, run, func() {
		sendJSON(t, k.Bootstrap(), topic, partitions, sent, sent+perRound)
		sent += perRound
		before, _ := feed(t, conn)
		within(t, "nothing arrives", func() bool { rows, _ := feed(t, conn); return rows > before })
	})
	testbed.Eventually(t, func() string {
		rows, different := feed(t, conn)
		return fmt.Sprintf("%d rows of %d records, %d different ones; freshet said:\n%s\n%s", rows, sent, different, members[0].Output(), members[1].Output())
	}, func() bool { _, different := feed(t, conn); return different == sent })
	for _, p := range members {
		if code := p.Stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.Output())
		}
	}
	if rows, different := feed(t, conn); rows != sent || different != sent {
		t.Errorf("%d rows of %d records, %d different ones", rows, sent, different)
	}
}

// Offsets that are set through REST's operations are where the sink goes on, which keeps positions of its own; changes of the number of
// tasks repeat nothing.
func TestTopicIntoTable(t *testing.T) {
	t.Parallel()
	k, pg := bed.Kafka(t), bed.Postgres(t)
	topic, database := k.NewTopic(t, 3, nil), pg.NewDatabase(t)
	conn := pg.Connect(t, database)
	set := converters.Set{jsonconverter.Kind()}
	w := runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog([]connectors.SourceFactory{&kafka.Sources{Converters: set, Pool: &kafkaclient.Pool{}}}, []connectors.SinkFactory{timescaledb.Factory{}}),
		Store:   offsets.NewMemory(), Logger: testLogger(t),
		Config: connectors.Config{"bootstrap.servers": k.Bootstrap(), "consumer.session.timeout.ms": "6000"},
	})
	closeWorker(t, w)
	config := connectors.Config(toTable(pg, database, "", topic))
	delete(config, "name")
	name := "table-" + topic
	sent := 0
	for _, tasks := range []int{2, 1, 3, 2} {
		config["tasks.max"] = strconv.Itoa(tasks)
		if err := w.Put(t.Context(), name, maps.Clone(config), ""); err != nil {
			t.Fatal(err)
		}
		sendJSON(t, k.Bootstrap(), topic, 3, sent, sent+300)
		sent += 300
		within(t, "records are missing", func() bool { _, different := feed(t, conn); return different == sent })
		if rows, _ := feed(t, conn); rows != sent {
			t.Errorf("%d rows of %d records", rows, sent)
		}
	}
	alterAndReset(t, w, name, topic, sent, func(want map[int]int) {
		t.Helper()
		counts := func() map[int]int {
			rows, err := conn.Query(t.Context(), "SELECT n, count(*) FROM feed GROUP BY n")
			if err != nil {
				t.Fatal(err)
			}
			out := map[int]int{}
			var n, count int
			if _, err := pgx.ForEachRow(rows, []any{&n, &count}, func() error { out[n] = count; return nil }); err != nil {
				t.Fatal(err)
			}
			return out
		}
		within(t, "records do not come again", func() bool {
			for n, count := range counts() {
				if count < want[n] {
					return false
				}
			}
			return true
		})
		if got := counts(); !maps.Equal(got, want) {
			t.Errorf("rows %v\nwant %v", got, want)
		}
	})
}

// A topic that is deleted and made again, while the sink runs and while it does not, is another one for a sink that has positions in the
// old one: every record of each is in the table exactly once.
func TestTopicMadeAgainIntoTable(t *testing.T) {
	t.Parallel()
	const partitions = 2
	k, pg := bed.Kafka(t), bed.Postgres(t)
	topic, database := k.NewTopic(t, partitions, nil), pg.NewDatabase(t)
	conn := pg.Connect(t, database)
	dir := t.TempDir()
	worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+k.Bootstrap()+"\noffset.storage.file.filename="+dir+
		"/offsets\nconsumer.metadata.max.age.ms=500\nconsumer.allow.auto.create.topics=false\n")
	file := testbed.WriteConnector(t, dir, toTable(pg, database, "again-"+topic, topic))
	p := start(t, dir, "run", file, "-c", worker)
	sent := 0
	send := func(n int) {
		sendJSON(t, k.Bootstrap(), topic, partitions, sent, sent+n)
		sent += n
	}
	exact := func(when string) {
		t.Helper()
		testbed.Eventually(t, p.Output, func() bool { _, different := feed(t, conn); return different == sent })
		if rows, _ := feed(t, conn); rows != sent {
			t.Errorf("%s: %d rows of %d records", when, rows, sent)
		}
	}
	send(200)
	exact("at first")
	k.MakeTopicAgain(t, topic, partitions)
	send(100)
	exact("made again while the sink runs")
	for _, n := range []int{80, 500} { // fewer than there were, and more
		if code := p.Stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.Output())
		}
		k.MakeTopicAgain(t, topic, partitions)
		send(n)
		p = start(t, dir, "run", file, "-c", worker)
		exact("made again meanwhile")
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Output())
	}
}

// A record that does not fit the table is left out with errors.tolerance=all and told in the dead-letter queue; those around it are
// written, and the partition goes on behind it after a restart.
func TestRecordThatDoesNotFitTheTable(t *testing.T) {
	t.Parallel()
	k, pg := bed.Kafka(t), bed.Postgres(t)
	topic, database := k.NewTopic(t, 1, nil), pg.NewDatabase(t)
	pg.Exec(t, database, "CREATE TABLE feed (n smallint)")
	conn := pg.Connect(t, database)
	dir := t.TempDir()
	c := toTable(pg, database, "fit-"+topic, topic)
	maps.Copy(c, map[string]string{
		"schema.evolution": "none", "errors.tolerance": "all", "errors.deadletterqueue.topic.name": topic + "-dead", "errors.deadletterqueue.topic.replication.factor": "1",
		"errors.deadletterqueue.context.headers.enable": "true",
	})
	file := testbed.WriteConnector(t, dir, c)
	worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+k.Bootstrap()+"\n")
	sendJSON(t, k.Bootstrap(), topic, 1, 32760, 32770) // two of them above the range
	for _, want := range []int{8, 9} {
		p := start(t, dir, "run", file, "-c", worker)
		testbed.Eventually(t, p.Output, func() bool { rows, _ := feed(t, conn); return rows >= want })
		if code := p.Stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.Output())
		}
		if rows, different := feed(t, conn); rows != want || different != want {
			t.Errorf("%d rows, %d different, want %d", rows, different, want)
		}
		if want == 8 {
			sendJSON(t, k.Bootstrap(), topic, 1, 1, 2)
		}
	}
	dead := k.Read(t, topic+"-dead")
	if len(dead) != 2 || string(dead[0].Value) != `{"n":32768}` || !strings.Contains(fmt.Sprintf("%s", dead[0].Headers), "out of the column's range") {
		t.Errorf("the dead-letter queue has %d records: %v", len(dead), dead)
	}
}

// Changes of a Postgres go into topics and from there into tables: a mirror under the short name; under the reference's, with its
// defaults, rows are inserted into tables that are there, named after the topic; in mode append every change is a row.
func TestPostgresThroughTopicsIntoTables(t *testing.T) {
	t.Parallel()
	k, pg := bed.Kafka(t), bed.Postgres(t)
	from, to := pg.NewDatabase(t), pg.NewDatabase(t)
	pg.Exec(t, from, "CREATE TABLE bets (id int PRIMARY KEY, horse text, stake numeric(10,2) NOT NULL DEFAULT 1, at timestamptz); INSERT INTO bets SELECT i, 'h' || i, i, now() FROM generate_series(1, 50) i")
	pg.Exec(t, to, fmt.Sprintf("CREATE TABLE t%s_public_bets (id int, horse text, stake numeric(10,2), at timestamptz, state text)", from))
	dir := t.TempDir()
	source := pg.Connector(from, "source-"+from, map[string]string{"producer.override.bootstrap.servers": k.Bootstrap()})
	sink := func(name, class string, more map[string]string) string {
		c := map[string]string{
			"name": name + from, "connector.class": class, "topics": "t" + from + ".public.bets", "tasks.max": "2",
			"connection.url": "jdbc:postgresql://" + pg.Address() + "/" + to + "?sslmode=disable", "connection.username": testbed.PostgresUser, "connection.password": testbed.PostgresPassword,
		}
		maps.Copy(c, more)
		return testbed.WriteConnector(t, dir, c)
	}
	worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+k.Bootstrap()+"\noffset.storage.file.filename="+dir+"/offsets\n")
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, source), sink("mirror", "timescaledb", nil), sink("reference", "io.debezium.connector.jdbc.JdbcSinkConnector", nil),
		sink("every", "timescaledb", map[string]string{"freshet.mode": "append", "collection.name.format": "log.${source.table}"}), "-c", worker)
	a, b := pg.Connect(t, from), pg.Connect(t, to)
	text := func(conn *pgx.Conn, table string) string {
		rows, err := conn.Query(t.Context(), "SELECT to_jsonb(b)::text FROM "+table+" b ORDER BY id")
		if err != nil {
			return err.Error() // there may be no table yet
		}
		out, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err.Error()
		}
		return strings.Join(out, "\n")
	}
	equal := func() {
		t.Helper()
		testbed.Eventually(t, func() string {
			return "source:\n" + text(a, "bets") + "\ntarget:\n" + text(b, "public.bets") + p.Output()
		}, func() bool {
			return text(a, "bets") == text(b, "public.bets")
		})
	}
	equal()
	inserted := func() (n int) {
		if err := b.QueryRow(t.Context(), "SELECT count(*) FROM t"+from+"_public_bets").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	testbed.Eventually(t, p.Output, func() bool { return inserted() == 50 })
	pg.Exec(t, from, `UPDATE bets SET stake = stake + 0.5 WHERE id % 2 = 0; DELETE FROM bets WHERE id % 5 = 0; UPDATE bets SET id = id + 100 WHERE id = 1;
ALTER TABLE bets ADD COLUMN state text; INSERT INTO bets (id, state) VALUES (60, 'new')`)
	equal()
	const want = "c 2, d 11, r 50, u 25" // the change of a key is a delete and an insert
	var kept string
	testbed.Eventually(t, func() string { return "want " + want + ", got " + kept + p.Output() }, func() bool {
		err := b.QueryRow(t.Context(), "SELECT string_agg(concat_ws(' ', _op, n), ', ' ORDER BY _op) FROM (SELECT _op, count(*) AS n FROM log.bets GROUP BY 1) x").Scan(&kept)
		return err == nil && kept == want
	})
	var times int // the commit's, not those of the records
	if err := b.QueryRow(t.Context(), "SELECT count(DISTINCT _time) FROM log.bets WHERE _op <> 'r'").Scan(&times); err != nil || times != 1 {
		t.Errorf("the changes of one transaction have %d times: %v", times, err)
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Output())
	}
}
