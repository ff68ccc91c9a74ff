package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/file"
	"github.com/freshet-io/freshet/connectors/kafka"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	plain "github.com/freshet-io/freshet/converters/string"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/testbed"
)

// topicOptions are those of a worker in this process that reads topics into files.
func topicOptions(t *testing.T, servers string) runtime.Options {
	t.Helper()
	set := converters.Set{json.Kind(), plain.Kind()}
	return runtime.Options{
		Catalog: runtime.NewCatalog(
			[]connectors.SourceFactory{&kafka.Sources{Converters: set, Pool: &kafkaclient.Pool{}}},
			[]connectors.SinkFactory{file.Sinks{Converters: set}}),
		Store:  offsets.NewMemory(),
		Logger: testLogger(t),
		Config: connectors.Config{
			"bootstrap.servers": servers, "key.converter": plain.Class, "value.converter": plain.Class, "consumer.session.timeout.ms": "6000",
		},
	}
}

// topicWorker is such a worker, for records of text.
func topicWorker(t *testing.T, servers string) *runtime.Worker {
	t.Helper()
	w := runtime.NewWorker(topicOptions(t, servers))
	closeWorker(t, w)
	return w
}

// closeWorker closes w at the end of the test.
func closeWorker(t *testing.T, w *runtime.Worker) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

func testLogger(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(testWriter{t}, nil)) }

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	end := time.Now().Add(deadline)
	for tick := time.NewTicker(20 * time.Millisecond); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func send(t *testing.T, servers, topic string, partitions, from, to int) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var rs []*kgo.Record
	for n := from; n <= to; n++ {
		rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: fmt.Append(nil, n)})
	}
	if err := c.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// counted is how often each line is in a file.
func counted(t *testing.T, path string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(text)) {
		out[strings.TrimSuffix(line, "\n")]++
	}
	return out
}

func offsetText(t *testing.T, w *runtime.Worker, name string) string {
	t.Helper()
	list, err := w.Offsets(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, string(e.Partition)+string(e.Offset))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// A sink connector reads a topic with two tasks; its offsets are shown, altered and reset; each change of the number of tasks hands
// partitions over without repeating a record.
func TestTopicIntoFile(t *testing.T) {
	t.Parallel()
	t.Run("fake broker", func(t *testing.T) {
		t.Parallel()
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "bets"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		topicIntoFile(t, strings.Join(c.ListenAddrs(), ","), "bets")
	})
	t.Run("broker", func(t *testing.T) {
		t.Parallel()
		k := bed.Kafka(t)
		topicIntoFile(t, k.Bootstrap(), k.NewTopic(t, 3, nil))
	})
}

func topicIntoFile(t *testing.T, servers, topic string) {
	t.Helper()
	name := "sink-" + topic
	out := filepath.Join(t.TempDir(), "out")
	w := topicWorker(t, servers)
	config := connectors.Config{"connector.class": "FileStreamSink", "topics": topic, "file": out, "tasks.max": "2"}
	put := func(tasks int) {
		config["tasks.max"] = fmt.Sprint(tasks)
		if err := w.Put(t.Context(), name, config, ""); err != nil {
			t.Fatal(err)
		}
	}
	sent := 0
	more := func() {
		send(t, servers, topic, 3, sent, sent+299)
		sent += 300
		within(t, "records are missing", func() bool { return len(counted(t, out)) == sent })
	}
	positions := func() string {
		var list []string
		for n := range 3 {
			list = append(list, fmt.Sprintf(`{"kafka_partition":%d,"kafka_topic":%q}{"kafka_offset":%d}`, n, topic, sent/3))
		}
		return strings.Join(list, " ")
	}
	for _, tasks := range []int{2, 1, 3} {
		put(tasks)
		more()
		within(t, "offsets are not committed", func() bool { return offsetText(t, w, name) == positions() })
	}
	for line, n := range counted(t, out) {
		if n != 1 {
			t.Errorf("line %s is there %d times", line, n)
		}
	}
	if s, err := w.Status(name); err != nil || s.Type != "sink" || len(s.Tasks) != 3 {
		t.Errorf("status %+v %v", s, err)
	}
	alterAndReset(t, w, name, topic, sent, func(want map[int]int) {
		t.Helper()
		within(t, "records do not come again", func() bool {
			seen := counted(t, out)
			for line, n := range seen {
				if i, err := strconv.Atoi(line); err != nil || n < want[i] {
					return false
				}
			}
			return len(seen) == sent
		})
		for line, n := range counted(t, out) {
			if i, err := strconv.Atoi(line); err != nil || n != want[i] {
				t.Errorf("line %s is there %d times, want %d", line, n, want[i])
			}
		}
	})
}

// alterAndReset moves the offsets of a connector, which has read the numbers below sent once; come is told how often each is to come.
func alterAndReset(t *testing.T, w *runtime.Worker, name, topic string, sent int, come func(want map[int]int)) {
	t.Helper()
	partition := func(n int) offsets.Partition {
		return offsets.Partition(fmt.Sprintf(`{"kafka_partition":%d,"kafka_topic":%q}`, n, topic))
	}
	entries := []offsets.Entry{{Partition: partition(0), Offset: `{"kafka_offset":"7"}`}, {Partition: partition(1)}}
	if _, err := w.AlterOffsets(t.Context(), name, entries); err == nil || !strings.Contains(err.Error(), "must be in the STOPPED state") {
		t.Errorf("altered while it runs: %v", err)
	}
	want := map[int]int{}
	change := func(do func() (string, error), message, positions string) {
		t.Helper()
		if err := w.Stop(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if got, err := do(); err != nil || got != "The offsets for this connector have been "+message+" successfully" {
			t.Errorf("%s %v", got, err)
		}
		if got := offsetText(t, w, name); got != positions {
			t.Errorf("%s: offsets %s, want %s", message, got, positions)
		}
		if err := w.Resume(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		come(want)
	}
	for n := range sent {
		want[n] = 1
		if n%3 == 1 || n%3 == 0 && n/3 >= 7 {
			want[n]++
		}
	}
	change(func() (string, error) { return w.AlterOffsets(t.Context(), name, entries) }, "altered",
		fmt.Sprintf(`%s{"kafka_offset":7} %s{"kafka_offset":%d}`, partition(0), partition(2), sent/3))
	for n := range sent {
		want[n]++
	}
	reset := func() (string, error) { return w.ResetOffsets(t.Context(), name) }
	change(reset, "reset", "")
}

// replaceInTurn runs two programs; in each round one of them is killed or stopped, in turn, after more was there to do, and another one takes
// its place. It returns those that run at the end.
func replaceInTurn(t *testing.T, rounds int, run func(i int) *testbed.Program, more func()) []*testbed.Program {
	t.Helper()
	members := []*testbed.Program{run(0), run(1)}
	for round := range rounds {
		more()
		i := round % 2
		if round%3 == 2 {
			if code := members[i].Stop(); code != 0 {
				t.Errorf("exit code %d: %s", code, members[i].Output())
			}
		} else {
			members[i].Kill()
		}
		members[i] = run(round)
	}
	return members
}

// Two workers share the topic of one connector; each is killed, stopped and started again while records arrive. Every record
// reaches its file, and the group's offsets are where the topic ends.
func TestTopicIntoFilesThroughKills(t *testing.T) {
	t.Parallel()
	const partitions, rounds, perRound = 4, 6, 3000
	k := bed.Kafka(t)
	topic := k.NewTopic(t, partitions, nil)
	name := "kills-" + topic
	var files []string
	run := func(i int) *testbed.Program {
		dir := t.TempDir()
		out := filepath.Join(dir, "out")
		files = append(files, out)
		worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+k.Bootstrap()+
			"\nvalue.converter="+plain.Class+"\nkey.converter="+plain.Class+"\nconsumer.session.timeout.ms=6000\nconsumer.heartbeat.interval.ms=500\n")
		c := testbed.WriteConnector(t, dir, map[string]string{
			"name": name, "connector.class": "FileStreamSink", "topics": topic, "file": out, "tasks.max": strconv.Itoa(1 + i%2),
		})
		return start(t, dir, "run", c, "-c", worker)
	}
	all := func() map[string]int {
		out := map[string]int{}
		for _, f := range files {
			for line, n := range counted(t, f) {
				out[line] += n
			}
		}
		return out
	}
	sent := 0
	members := replaceInTurn(t, rounds, run, func() {
		send(t, k.Bootstrap(), topic, partitions, sent, sent+perRound-1)
		sent += perRound
		before := len(all())
		within(t, "nothing arrives", func() bool { return len(all()) > before })
	})
	within(t, "records are missing", func() bool { return len(all()) == sent })
	s := groupSession(t, k.Bootstrap())
	within(t, "offsets are not committed", func() bool {
		at, err := s.GroupOffsets(t.Context(), "connect-"+name)
		if err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, n := range at {
			total += n.Next
		}
		return total == int64(sent)
	})
	again := 0
	for _, n := range all() {
		again += n - 1
	}
	t.Logf("%d records, %d of them again", sent, again)
	for _, p := range members {
		if code := p.Stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.Output())
		}
	}
}

func groupSession(t *testing.T, servers string) *kafkaclient.Session {
	t.Helper()
	c, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": servers})
	if err != nil {
		t.Fatal(err)
	}
	s, err := (&kafkaclient.Pool{}).Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A paused task gives partitions away in time, without losing or repeating what it had read of them.
func TestPausedTaskGivesPartitionsAway(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "bets"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	servers := strings.Join(c.ListenAddrs(), ",")
	one, two := topicWorker(t, servers), topicWorker(t, servers)
	files := []string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
	put := func(w *runtime.Worker, out string) {
		if err := w.Put(t.Context(), "sink", connectors.Config{"connector.class": "FileStreamSink", "topics": "bets", "file": out}, ""); err != nil {
			t.Fatal(err)
		}
	}
	put(one, files[0])
	send(t, servers, "bets", 2, 0, 99)
	within(t, "nothing arrives", func() bool { return len(counted(t, files[0])) == 100 })
	if err := one.Pause(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	send(t, servers, "bets", 2, 100, 199)
	put(two, files[1])
	send(t, servers, "bets", 2, 200, 299) // what came before may be read already
	within(t, "the second worker got nothing", func() bool { return len(counted(t, files[1])) > 0 })
	if err := one.Resume(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	all := func() map[string]int {
		out := counted(t, files[0])
		for line, n := range counted(t, files[1]) {
			out[line] += n
		}
		return out
	}
	within(t, "records are missing", func() bool { return len(all()) == 300 })
	for line, n := range all() {
		if n != 1 {
			t.Errorf("line %s is there %d times", line, n)
		}
	}
}

// A broker that is killed is waited for: nothing is lost, and the task goes on by itself.
func TestTopicOfABrokerThatIsKilled(t *testing.T) {
	t.Parallel()
	k := testbed.StartKafka(t)
	topic := k.NewTopic(t, 2, nil)
	out := filepath.Join(t.TempDir(), "out")
	w := topicWorker(t, k.Bootstrap())
	if err := w.Put(t.Context(), "sink", connectors.Config{"connector.class": "FileStreamSink", "topics": topic, "file": out}, ""); err != nil {
		t.Fatal(err)
	}
	for sent := 0; sent < 1500; sent += 500 {
		if sent > 0 {
			k.Kill(t)
			k.Restart(t)
		}
		send(t, k.Bootstrap(), topic, 2, sent, sent+499)
		within(t, "records are missing", func() bool { return len(counted(t, out)) == sent+500 })
	}
	within(t, "offsets are not committed", func() bool {
		return offsetText(t, w, "sink") == fmt.Sprintf(`{"kafka_partition":0,"kafka_topic":%[1]q}{"kafka_offset":750} {"kafka_partition":1,"kafka_topic":%[1]q}{"kafka_offset":750}`, topic)
	})
}
