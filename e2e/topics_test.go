package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
)

// topicWorker runs connectors in this process, as far as they read topics into files.
func topicWorker(t *testing.T, servers string) *runtime.Worker {
	t.Helper()
	set := converters.Set{json.Kind(), plain.Kind()}
	w := runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog(
			[]connectors.SourceFactory{&kafka.Sources{Converters: set, Pool: &kafkaclient.Pool{}}},
			[]connectors.SinkFactory{file.Sinks{Converters: set}}),
		Store:  offsets.NewMemory(),
		Logger: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
		Config: connectors.Config{
			"bootstrap.servers": servers, "key.converter": plain.Class, "value.converter": plain.Class, "consumer.session.timeout.ms": "6000",
		},
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return w
}

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
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "bets"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	servers := strings.Join(c.ListenAddrs(), ",")
	out := filepath.Join(t.TempDir(), "out")
	w := topicWorker(t, servers)
	config := connectors.Config{"connector.class": "FileStreamSink", "topics": "bets", "file": out, "tasks.max": "2"}
	put := func(tasks int) {
		config["tasks.max"] = fmt.Sprint(tasks)
		if err := w.Put(t.Context(), "sink", config, ""); err != nil {
			t.Fatal(err)
		}
	}
	sent := 0
	more := func() {
		send(t, servers, "bets", 3, sent, sent+299)
		sent += 300
		within(t, "records are missing", func() bool { return len(counted(t, out)) == sent })
	}
	positions := func() string {
		return fmt.Sprintf(`{"kafka_partition":0,"kafka_topic":"bets"}{"kafka_offset":%d} {"kafka_partition":1,"kafka_topic":"bets"}{"kafka_offset":%d} {"kafka_partition":2,"kafka_topic":"bets"}{"kafka_offset":%d}`, sent/3, sent/3, sent/3)
	}
	for _, tasks := range []int{2, 1, 3} {
		put(tasks)
		more()
		within(t, "offsets are not committed", func() bool { return offsetText(t, w, "sink") == positions() })
	}
	for line, n := range counted(t, out) {
		if n != 1 {
			t.Errorf("line %s is there %d times", line, n)
		}
	}
	if s, err := w.Status("sink"); err != nil || s.Type != "sink" || len(s.Tasks) != 3 {
		t.Errorf("status %+v %v", s, err)
	}
}
