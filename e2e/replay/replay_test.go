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
	rows   func(testing.TB) []string // that it shows, as the source's query does
	newest bool                      // what it shows never goes back while changes come again
	size   func(testing.TB) int      // how many changes it keeps; nil: only rows
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
	source, kafka, registry, ch := bed.Postgres(t), bed.Kafka(t), bed.Registry(t), bed.ClickHouse(t)
	ts, es := testbed.StartTimescale(t), bed.Elasticsearch(t)
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
	want := lines(t, conn, "SELECT "+rowText+" FROM bets ORDER BY id")
	t.Logf("%d changes, %d records, %d rows at the end", done.changes, done.records, len(want))

	t.Run("sinks", func(t *testing.T) {
		for _, s := range []*sink{mirror(p, ch), everything(p, ch), tables(p, ts), documents(p, es)} {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				p := *p
				p.T = t
				maps.Copy(s.config, map[string]string{"name": s.name, "topics": p.topic, "tasks.max": "2"})
				p.apply(s.config)
				p.check(s, want, done, "at first")
				p.again(s, want, done)
			})
		}
	})
	if code := p.worker.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, p.worker.Output())
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
			if diff := difference(want, s.rows(p)); diff != "" {
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
	if diff := difference(want, s.rows(p)); diff != "" {
		p.Errorf("%s %s: %s", s.name, what, diff)
	}
	if s.size != nil {
		if n := s.size(p); n != done.changes {
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

// until waits for as long as so many changes may take. It looks less often in a long run: each look is a process beside what is looked at.
func (p *play) until(complaint string, ok func() bool) {
	p.Helper()
	pause := max(200*time.Millisecond, p.patience/2000)
	for end := time.Now().Add(p.patience); !ok(); rounds.Pass(p.Context(), pause) {
		if time.Now().After(end) {
			p.Fatalf("%s; freshet said:\n%s", complaint, p.worker.Output())
		}
	}
}
