package e2e

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	plain "github.com/freshet-io/freshet/converters/string"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/deadletter"
	"github.com/freshet-io/freshet/testbed"
)

// letterWorker is a worker with dead-letter queues that reads topics of JSON into files.
func letterWorker(t *testing.T, servers string) *runtime.Worker {
	t.Helper()
	o := topicOptions(t, servers)
	o.DeadLetters = &deadletter.Queues{Converters: converters.Set{json.Kind(), plain.Kind()}, Pool: &kafkaclient.Pool{}}
	for _, name := range []string{"key.converter", "value.converter"} {
		o.Config[name], o.Config[name+".schemas.enable"] = json.Class, "false"
	}
	return runtime.NewWorker(o)
}

// Records of a topic that cannot be converted are in the dead-letter queue as they were, the others in the file, and the group's
// offset is behind all of them; through kills of the worker none is lost.
func TestPoisonInATopic(t *testing.T) {
	t.Parallel()
	t.Run("fake broker", func(t *testing.T) {
		t.Parallel()
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "bets"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		poisonInATopic(t, strings.Join(c.ListenAddrs(), ","), "bets")
	})
	t.Run("broker", func(t *testing.T) {
		t.Parallel()
		k := bed.Kafka(t)
		poisonInATopic(t, k.Bootstrap(), k.NewTopic(t, 2, nil))
	})
}

func poisonInATopic(t *testing.T, servers, topic string) {
	t.Helper()
	const total, every = 600, 7
	dead, out := topic+"-dead", filepath.Join(t.TempDir(), "out")
	sent := sendPoison(t, servers, topic, total, every)
	config := connectors.Config{
		"connector.class": "FileStreamSink", "topics": topic, "file": out, "errors.tolerance": "all",
		"errors.deadletterqueue.topic.name": dead, "errors.deadletterqueue.topic.replication.factor": "1",
		"errors.deadletterqueue.context.headers.enable": "true",
	}
	name := "sink-" + topic
	for kill := range 3 {
		w := letterWorker(t, servers)
		if err := w.Put(t.Context(), name, config, ""); err != nil {
			t.Fatal(err)
		}
		if kill < 2 {
			within(t, "nothing was written", func() bool { return len(counted(t, out)) > 0 })
			cut, cancel := context.WithCancel(t.Context())
			cancel()
			_ = w.Close(cut) // at once: nothing is flushed
			continue
		}
		within(t, "not everything was committed", func() bool {
			text := offsetText(t, w, name)
			return strings.Count(text, fmt.Sprintf(`"kafka_offset":%d}`, total/2)) == 2
		})
		if m := w.Metrics()[0]; m.Skipped != m.Letters || m.FailedLetters > 0 {
			t.Errorf("metrics %+v", m)
		}
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		if err := w.Close(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
	letters := readAll(t, servers, dead)
	lines := counted(t, out)
	for n, want := range sent {
		got, isDead := letters[string(want.Key)]
		if poisoned := n%every == 0; isDead != poisoned || poisoned == (lines[fmt.Sprintf("{n=%d}", n)] > 0) {
			t.Errorf("record %d: in the dead-letter queue %t, in the file %d times", n, isDead, lines[fmt.Sprintf("{n=%d}", n)])
			continue
		}
		if isDead {
			checkLetter(t, name, topic, want, got)
		}
	}
}

// sendPoison sends records to two partitions of a topic; every so many of them have values that are no JSON.
func sendPoison(t *testing.T, servers, topic string, total, every int) []*kgo.Record {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out []*kgo.Record
	for n := range total {
		r := &kgo.Record{
			Topic: topic, Partition: int32(n % 2), Key: fmt.Appendf(nil, `{"n":%d}`, n), Value: fmt.Appendf(nil, `{"n":%d}`, n),
			Timestamp: time.UnixMilli(1_700_000_000_000 + int64(n)), Headers: []kgo.RecordHeader{{Key: "own", Value: []byte{0xff, byte(n)}}, {Key: "none"}},
		}
		if n%every == 0 {
			r.Value = []byte("{\"n\":\xff")
		}
		out = append(out, r)
	}
	if err := c.ProduceSync(t.Context(), out...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return out
}

// readAll returns the committed records of a topic by key, the newest of each.
func readAll(t *testing.T, servers, topic string) map[string]*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	records, err := testbed.ReadTopics(ctx, servers, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*kgo.Record{}
	for _, r := range records {
		out[string(r.Key)] = r
	}
	return out
}

func checkLetter(t *testing.T, connector, topic string, want, got *kgo.Record) {
	t.Helper()
	if string(got.Value) != string(want.Value) || !got.Timestamp.Equal(want.Timestamp) {
		t.Errorf("record %s is %q at %s in the dead-letter queue", got.Key, got.Value, got.Timestamp)
	}
	var names []string
	headers := map[string]string{}
	for _, h := range got.Headers {
		names = append(names, strings.TrimPrefix(h.Key, "__connect.errors."))
		headers[h.Key] = string(h.Value)
	}
	if !slices.Equal(names, []string{"own", "none", "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name", "exception.class.name", "exception.message", "exception.stacktrace"}) {
		t.Errorf("headers %q", names)
	}
	const p = "__connect.errors."
	for name, value := range map[string]string{
		"own": string(want.Headers[0].Value), p + "topic": topic, p + "partition": fmt.Sprint(want.Partition), p + "offset": fmt.Sprint(want.Offset),
		p + "connector.name": connector, p + "task.id": "0", p + "stage": "VALUE_CONVERTER", p + "class.name": json.Class,
	} {
		if headers[name] != value {
			t.Errorf("header %s is %q, want %q of %v", name, headers[name], value, slices.Sorted(maps.Keys(headers)))
		}
	}
	if m := headers[p+"exception.message"]; !strings.Contains(m, fmt.Sprintf("convert the value of a record of topic %s, partition %d, offset %d", topic, want.Partition, want.Offset)) {
		t.Errorf("message %q", m)
	}
}
