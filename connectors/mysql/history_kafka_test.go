package mysql

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/testbed"
)

// historyOn returns a history in a topic, open.
func historyOn(t testing.TB, k *testbed.Kafka, topic string, raw connectors.Config) (*kafkaHistory, func() string) {
	t.Helper()
	naming, err := changes.NewNaming(connectors.Config{"topic.prefix": "s"}, defaultNaming)
	if err != nil {
		t.Fatal(err)
	}
	log, said := testLog()
	h, err := newKafkaHistory(&config{raw: raw, naming: naming, history: historyConfig{
		topic: topic, bootstrap: k.Bootstrap(), attempts: 100, poll: 100 * time.Millisecond, queryTimeout: 10 * time.Second, createTimeout: 30 * time.Second,
	}}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	if err := h.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h, said.String
}

func TestKafkaHistory(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	topic := "history." + strings.ToLower(t.Name())
	h, _ := historyOn(t, k, topic, nil)
	if there, err := h.exists(t.Context()); there || err != nil {
		t.Fatalf("exists before the first record: %v, %v", there, err)
	}
	for i := range 3 {
		if err := h.append(t.Context(), numbered(10*i, 10*i+10)); err != nil {
			t.Fatal(err)
		}
		h.close()
		var said func() string
		if h, said = historyOn(t, k, topic, nil); said() != "" {
			t.Error(said())
		}
		if there, err := h.exists(t.Context()); !there || err != nil {
			t.Fatalf("round %d: exists %v, %v", i, there, err)
		}
		if got, want := readAll(t, h), numbered(0, 10*i+10); !reflect.DeepEqual(got, want) {
			t.Fatalf("round %d: read %+v, want %+v", i, got, want)
		}
		if strings.Contains(said(), "not fit") {
			t.Error("a topic of its own: " + said())
		}
	}
	settings, err := h.session.Settings(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"cleanup.policy": "delete", "retention.ms": "9223372036854775807", "retention.bytes": "-1"} {
		if settings[key] != want {
			t.Errorf("%s=%s, want %s", key, settings[key], want)
		}
	}
	for _, r := range k.Read(t, topic) {
		if r.Key != nil || r.Partition != 0 || !strings.HasPrefix(string(r.Value), "{\n  \"source\" : {\n") {
			t.Fatalf("record %q: %.40q in partition %d", r.Key, r.Value, r.Partition)
		}
	}
}

func TestKafkaHistoryInATopicOfSomebodyElse(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	topic := k.NewTopic(t, 2, map[string]string{"cleanup.policy": "delete", "retention.ms": "3600000", "retention.bytes": "1000000"})
	h, said := historyOn(t, k, topic, nil)
	if err := h.append(t.Context(), numbered(0, 3)); err != nil {
		t.Fatal(err)
	}
	if there, err := h.exists(t.Context()); !there || err != nil {
		t.Fatalf("exists %v, %v", there, err)
	}
	for _, want := range []string{"retention.ms=3600000", "retention.bytes=1000000", "it has 2 partitions"} {
		if !strings.Contains(said(), want) {
			t.Errorf("no warning of %q: %s", want, said())
		}
	}
	if got, want := readAll(t, h), numbered(0, 3); !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

func TestKafkaHistoryThatIsGone(t *testing.T) {
	t.Parallel()
	h, _ := historyOn(t, bed.Kafka(t), "history.never.made", nil)
	h.cfg.attempts, h.cfg.poll = 3, 500*time.Millisecond
	err := h.read(t.Context(), func(string, []byte) error { return nil })
	if err == nil {
		t.Fatal("read a topic that does not exist")
	}
	if there, err := h.exists(t.Context()); there || err != nil {
		t.Errorf("reading made the topic: %v, %v", there, err)
	}
}

func TestUnfitTopics(t *testing.T) {
	t.Parallel()
	one := kafkaclient.TopicInfo{Partitions: []int32{0}}
	for name, c := range map[string]struct {
		info     kafkaclient.TopicInfo
		settings map[string]string
		want     string
	}{
		"as it is made": {one, map[string]string{"cleanup.policy": "delete", "retention.ms": "9223372036854775807", "retention.bytes": "-1"}, ""},
		"for ever":      {one, map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}, ""},
		"nothing known": {one, nil, ""},
		"compacted":     {one, map[string]string{"cleanup.policy": "compact"}, "cleanup.policy=compact"},
		"a week":        {one, map[string]string{"retention.ms": "604800000"}, "retention.ms=604800000"},
		"a megabyte":    {one, map[string]string{"retention.bytes": "1000000"}, "retention.bytes=1000000"},
		"two":           {kafkaclient.TopicInfo{Partitions: []int32{0, 1}}, nil, "2 partitions"},
	} {
		if got := strings.Join(unfitTopic(c.info, c.settings), "; "); !strings.HasPrefix(got, c.want) && !strings.Contains(got, c.want) || got != "" && c.want == "" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestPropertiesOfTheHistorysClients(t *testing.T) {
	t.Parallel()
	naming, err := changes.NewNaming(connectors.Config{"topic.prefix": "s"}, defaultNaming)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config{naming: naming, history: historyConfig{bootstrap: "a:1"}, raw: connectors.Config{
		"schema.history.internal.producer.security.protocol": "SASL_SSL", "schema.history.internal.producer.buffer.memory": "5",
		"schema.history.internal.consumer.bootstrap.servers": "b:2", "schema.history.internal.kafka.topic": "x", "schema.history.internal.name": " n ",
	}}
	for prefix, want := range map[string]map[string]string{
		"producer.": {
			"bootstrap.servers": "a:1", "client.id": "n", "security.protocol": "SASL_SSL", "buffer.memory": "5", "batch.size": "32768", "delivery.timeout.ms": "120000",
		},
		"consumer.": {"bootstrap.servers": "b:2", "client.id": "n", "isolation.level": "read_uncommitted"},
	} {
		if got := historyProperties(cfg, prefix); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", prefix, got, want)
		}
	}
	delete(cfg.raw, "schema.history.internal.name")
	if got := historyProperties(cfg, "producer.")["client.id"]; got != "s-schemahistory" {
		t.Errorf("client.id=%s", got)
	}
	cfg.raw["schema.history.internal.producer.security.protocol"] = "NONE"
	log, _ := testLog()
	if _, err := newKafkaHistory(cfg, log); err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "schema.history.internal.producer") {
		t.Errorf("a wrong property: %v", err)
	}
}
