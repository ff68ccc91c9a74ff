package replay

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/rounds"
)

// changesKey asks for so many changes, on a tenth as many keys.
const changesKey = "FRESHET_REPLAY_CHANGES"

const partitions = 4

// sink is a connector that reads the topic into a server.
type sink struct {
	name   string
	config map[string]string
	rows   func() []string // that it shows, as the source's query does
	newest bool            // what it shows never goes back while changes come again
	size   func() int      // how many changes it keeps; nil: only rows
}

// play is the worker, and what it reads.
type play struct {
	*testing.T
	url      string
	worker   *testbed.Program
	client   *kgo.Client
	topic    string
	patience time.Duration
}

type entry struct {
	Partition struct {
		Topic     string `json:"kafka_topic"`
		Partition int32  `json:"kafka_partition"`
	} `json:"partition"`
	Offset struct {
		Offset int64 `json:"kafka_offset"`
	} `json:"offset"`
}

// TestReplay: changes of Postgres go through a topic into each sink, which then is sent them again, from earlier offsets and from the beginning. Each time it ends equal to the source, row by row.
func TestReplay(t *testing.T) {
	t.Parallel()
	changes := 60000
	if text := os.Getenv(changesKey); text != "" {
		var err error
		if changes, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", changesKey, err)
		}
	}
	source, kafka, registry, ch, ts := bed.Postgres(t), bed.Kafka(t), bed.Registry(t), bed.ClickHouse(t), testbed.StartTimescale(t)
	from, dir := source.NewDatabase(t), t.TempDir()
	p := &play{T: t, client: kafka.Client(t), topic: "t" + from + ".public.bets", patience: 2*time.Minute + time.Duration(changes)*500*time.Microsecond}
	kafka.CreateTopic(t, p.topic, partitions, nil)
	testbed.WriteWorker(t, dir, kafka.Bootstrap(), from, map[string]string{
		"key.converter": "io.confluent.connect.avro.AvroConverter", "key.converter.schema.registry.url": registry.URL(),
		"value.converter": "io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url": registry.URL(),
		"offset.flush.interval.ms": "200",
	})
	p.worker = bed.Freshet(t, dir, "worker", "-c", "worker.properties")
	p.url, _ = p.worker.Ready()

	conn := source.Connect(t, from)
	source.Exec(t, from, table)
	p.apply(source.Connector(from, "bets", map[string]string{"snapshot.mode": "no_data"}))
	p.until("the slot is not in use", func() bool {
		return lines(t, conn, "SELECT count(*)::text FROM pg_replication_slots WHERE active AND database = current_database()")[0] == "1"
	})
	done := write(t, conn, changes, changes/10)
	p.until("records are missing in the topic", func() bool { return total(p.ends()) >= int64(done.records) })
	if n := total(p.ends()); n != int64(done.records) {
		t.Fatalf("%d records in the topic, want %d", n, done.records)
	}
	want := lines(t, conn, "SELECT concat_ws(' ', id, seq, coalesce(stake::text, '-'), coalesce(note, '-'), (extract(epoch FROM at) * 1000000)::bigint) FROM bets ORDER BY id")
	t.Logf("%d changes, %d records, %d rows at the end", done.changes, done.records, len(want))

	sinks := []*sink{p.mirror(ch), p.changes(ch), p.tables(ts)}
	for _, s := range sinks {
		p.apply(s.config)
	}
	for _, s := range sinks {
		p.check(s, want, done, "at first")
	}
	for _, s := range sinks {
		p.again(s, want, done)
	}
	if code := p.worker.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, p.worker.Output())
	}
}

// sinkOf has the keys that all sink connectors share.
func (p *play) sinkOf(name, class string, more map[string]string) map[string]string {
	c := map[string]string{"name": name, "connector.class": class, "topics": p.topic, "tasks.max": "2"}
	maps.Copy(c, more)
	return c
}

const clickHouseRow = "concat(toString(id), ' ', toString(seq), ' ', ifNull(toDecimalString(stake, 2), '-'), ' ', ifNull(note, '-'), ' ', ifNull(toString(toUnixTimestamp64Micro(at)), '-'))"

func (p *play) clickHouse(name string, ch *testbed.ClickHouse, mode, current string) *sink {
	database := ch.NewDatabase(p)
	return &sink{
		name: name,
		config: p.sinkOf(name, "clickhouse", map[string]string{
			"hostname": ch.Host(), "port": strconv.Itoa(ch.Port()), "database": database, "username": testbed.ClickHouseUser, "password": testbed.ClickHousePassword,
			"freshet.mode": mode,
		}),
		newest: true,
		rows: func() []string {
			return strings.Split(ch.Query(p, database, "SELECT "+clickHouseRow+" FROM "+current+" ORDER BY id FORMAT TSVRaw"), "\n")
		},
		size: func() int {
			n, err := strconv.Atoi(ch.Query(p, database, "SELECT count() FROM bets FINAL"))
			if err != nil {
				p.Fatal(err)
			}
			return n
		},
	}
}

func (p *play) mirror(ch *testbed.ClickHouse) *sink {
	s := p.clickHouse("mirror", ch, "mirror", "bets_current")
	s.size = nil
	return s
}

// changes keeps every change; the newest one of each key is its row.
func (p *play) changes(ch *testbed.ClickHouse) *sink {
	return p.clickHouse("changes", ch, "append", "(SELECT * FROM (SELECT * FROM bets FINAL ORDER BY _order DESC LIMIT 1 BY id) WHERE _op != 'd')")
}

func (p *play) tables(ts *testbed.Postgres) *sink {
	database := ts.NewDatabase(p)
	conn := ts.Connect(p, database)
	return &sink{
		name: "tables",
		config: p.sinkOf("tables", "TimescaleDbSinkConnector", map[string]string{
			"connection.url": "jdbc:postgresql://" + ts.Address() + "/" + database, "connection.username": testbed.PostgresUser, "connection.password": testbed.PostgresPassword,
		}),
		rows: func() []string {
			return lines(p, conn, "SELECT concat_ws(' ', id, seq, coalesce(stake::text, '-'), coalesce(note, '-'), (extract(epoch FROM at) * 1000000)::bigint) FROM public.bets ORDER BY id")
		},
	}
}

// again sends s what it has had: from somewhere in each partition but one, which stays where it is, then everything.
func (p *play) again(s *sink, want []string, done written) {
	p.Helper()
	earlier := p.ends()
	for i := 1; i < partitions; i++ {
		earlier[i] = earlier[i] * int64(i) / partitions
	}
	for _, begin := range [][]int64{earlier, make([]int64, partitions)} {
		what := fmt.Sprintf("from offsets %v", begin)
		p.ask("connectors", "stop", s.name, "--wait")
		if total(begin) > 0 {
			p.set(s.name, begin)
		} else {
			p.ask("offsets", "reset", s.name)
		}
		if at := p.at(s.name); !slices.Equal(at, begin) {
			p.Fatalf("%s %s: offsets %v, want %v", s.name, what, at, begin)
		}
		p.ask("connectors", "resume", s.name)
		if s.newest {
			p.until(s.name+" does not begin again", func() bool { return total(p.at(s.name)) > total(begin) })
			if diff := difference(want, s.rows()); diff != "" {
				p.Errorf("%s while it is sent changes %s: %s", s.name, what, diff)
			}
		}
		p.check(s, want, done, what)
	}
}

// check waits until a sink has what the topic has, and compares it with the source.
func (p *play) check(s *sink, want []string, done written, what string) {
	p.Helper()
	began := time.Now()
	ends := p.ends()
	p.until(s.name+" is not at the end "+what, func() bool { return slices.Equal(p.at(s.name), ends) })
	p.Logf("%s %s: at the end after %s", s.name, what, time.Since(began).Round(time.Millisecond))
	if diff := difference(want, s.rows()); diff != "" {
		p.Errorf("%s %s: %s", s.name, what, diff)
	}
	if s.size != nil {
		if n := s.size(); n != done.changes {
			p.Errorf("%s %s: %d changes, want %d", s.name, what, n, done.changes)
		}
	}
}

// ask runs a command that has to be done.
func (p *play) ask(args ...string) string {
	p.Helper()
	c := bed.Freshet(p, p.TempDir(), append(args, "--url", p.url)...)
	if code := c.Ends(); code != 0 {
		p.Fatalf("freshet %s: exit code %d:\n%s\nthe worker said:\n%s", strings.Join(args, " "), code, c.Output(), p.worker.Output())
	}
	return c.Output()
}

func (p *play) apply(config map[string]string) {
	p.Helper()
	p.ask("connectors", "apply", "--wait", "-f", testbed.WriteConnector(p, p.TempDir(), config))
}

// at are the offsets of a sink connector by partition.
func (p *play) at(name string) []int64 {
	p.Helper()
	var list struct{ Offsets []entry }
	if err := json.Unmarshal([]byte(p.ask("offsets", "get", name, "-o", "json")), &list); err != nil {
		p.Fatal(err)
	}
	out := make([]int64, partitions)
	for _, e := range list.Offsets {
		out[e.Partition.Partition] = e.Offset.Offset
	}
	return out
}

func (p *play) set(name string, at []int64) {
	p.Helper()
	list := make([]entry, partitions)
	for i := range list {
		list[i].Partition.Topic, list[i].Partition.Partition, list[i].Offset.Offset = p.topic, int32(i), at[i]
	}
	text, err := json.Marshal(map[string]any{"offsets": list})
	if err != nil {
		p.Fatal(err)
	}
	p.ask("offsets", "set", name, "-f", testbed.WriteFile(p, p.TempDir(), "offsets.json", string(text)))
}

// ends are the offsets after the last record of each partition.
func (p *play) ends() []int64 {
	p.Helper()
	list, err := testbed.EndOffsets(p.Context(), p.client, []string{p.topic})
	if err != nil {
		p.Fatal(err)
	}
	out := make([]int64, partitions)
	for at, n := range list {
		out[at.Partition] = n
	}
	return out
}

func total(list []int64) (sum int64) {
	for _, n := range list {
		sum += n
	}
	return sum
}

// until waits for as long as so many changes may take.
func (p *play) until(complaint string, ok func() bool) {
	p.Helper()
	for end := time.Now().Add(p.patience); !ok(); rounds.Pass(p.Context(), 200*time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("%s; freshet said:\n%s", complaint, p.worker.Output())
		}
	}
}
