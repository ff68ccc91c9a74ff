package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/connectors/connectortest/conformance"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	plain "github.com/freshet-io/freshet/converters/string"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

func sources() *Sources {
	return &Sources{Converters: converters.Set{json.Kind(), plain.Kind()}, Pool: &kafkaclient.Pool{}}
}

func sourceSettings(servers string, extra ...string) connectors.Settings {
	s := settings(servers, false, extra...)
	s.Worker["key.converter"], s.Worker["value.converter"] = plain.Class, plain.Class
	return s
}

func newSource(t testing.TB, c connectors.Config, s connectors.Settings) connectors.SourceTask {
	t.Helper()
	task, err := sources().NewSource(c, s)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func produce(t testing.TB, servers string, rs ...*kgo.Record) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(limit(t), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestSourceKeepsTheContract(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "in"))
	// The first fetch of the process starts sarama's one ticker of metrics, which never ends.
	warm := newSource(t, connectors.Config{"topics": "in"}, sourceSettings(servers))
	produce(t, servers, &kgo.Record{Topic: "in", Value: []byte("1")})
	if err := warm.Start(limit(t), alone{}); err != nil {
		t.Fatal(err)
	}
	if _, err := warm.Poll(limit(t)); err != nil {
		t.Fatal(err)
	}
	if err := warm.Stop(limit(t)); err != nil {
		t.Fatal(err)
	}
	for _, process := range []bool{false, true} {
		t.Run(fmt.Sprintf("process=%t", process), func(t *testing.T) { conforms(t, process) })
	}
}

func conforms(t *testing.T, process bool) {
	t.Helper()
	var servers string
	connectortest.RunSource(t, connectortest.SourceHarness{
		New: func(t *testing.T) func() connectors.SourceTask {
			servers = cluster(t, kfake.SeedTopics(1, "in"))
			return func() connectors.SourceTask {
				task, err := plugintest.Source(t, sources(), process).NewSource(connectors.Config{"topics": "in"}, sourceSettings(servers))
				if err != nil {
					t.Fatal(err)
				}
				return task
			}
		},
		Write: func(t *testing.T, from, to int) {
			var rs []*kgo.Record
			for n := from; n <= to; n++ {
				rs = append(rs, &kgo.Record{Topic: "in", Value: []byte(strconv.Itoa(n))})
			}
			produce(t, servers, rs...)
		},
		Number: func(b *connectors.Batch, r *connectors.Record) int {
			n, err := strconv.Atoi(b.Bodies[r.Value-1].Value.Value.(string))
			if err != nil {
				t.Error(err)
			}
			return n
		},
		Own: true,
	})
}

// TestSourceGoesOnWhereCommitted: what freshet plugin test checks, where nobody but the group knows the offsets.
func TestSourceGoesOnWhereCommitted(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "in"))
	var report conformance.Report
	factory := sources()
	factory.Version = "1"
	report.Run(t.Context(), conformance.FactorySourceChecks(factory, &conformance.Subject{
		Config: connectors.Config{"topics": "in"}, Settings: sourceSettings(servers), Idle: 100 * time.Millisecond, Seed: 1,
		Write: func(_ context.Context, from, to int) error {
			for n := from; n <= to; n++ {
				produce(t, servers, &kgo.Record{Topic: "in", Value: []byte(strconv.Itoa(n))})
			}
			return nil
		},
	}), nil)
	var left []string
	for _, r := range report.Results {
		if r.Outcome == conformance.NotApplicable {
			left = append(left, r.Check)
		}
		if r.Outcome == conformance.Failed {
			t.Errorf("%s: %q", r.Check, r.Problems)
		}
	}
	if want := []string{"RefusesBadConfig", "ResumesWithoutGap", "ResumesFromEveryOffset", "Poison"}; !slices.Equal(left, want) {
		t.Errorf("left out %v", left)
	}
}

// alone is a session of a source without a runtime.
type alone struct{ connectors.SourceSession }

func (alone) NewBatch(_ context.Context, p offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(p, nil, nil), nil
}

func (alone) Offsets(context.Context, ...offsets.Partition) ([]offsets.Entry, error) { return nil, nil }

func (alone) State(context.Context, ...offsets.Partition) ([]offsets.Entry, error) { return nil, nil }
func (alone) Remember(context.Context, ...offsets.Entry) error                     { return nil }
func (alone) Drain(context.Context, ...offsets.Partition) error                    { return nil }

func (alone) Tolerate(_ context.Context, _ *connectors.Raw, _ connectors.Stage, cause error) error {
	return cause
}

// texts are the values of what is read until last has come.
func texts(t *testing.T, task connectors.SourceTask, last string) []string {
	t.Helper()
	var out []string
	for {
		b, err := task.Poll(limit(t))
		if err != nil {
			t.Fatalf("%v after %v", err, out)
		}
		for i := range b.Records {
			out = append(out, fmt.Sprint(b.Bodies[b.Records[i].Value-1].Value.Value))
		}
		b.Release()
		if slices.Contains(out, last) {
			return out
		}
	}
}

func begin(t *testing.T, c connectors.Config, s connectors.Settings, session connectors.SourceSession) connectors.SourceTask {
	t.Helper()
	task := newSource(t, c, s)
	t.Cleanup(func() {
		if err := task.Stop(limit(t)); err != nil {
			t.Error(err)
		}
	})
	if err := task.Start(limit(t), session); err != nil {
		t.Fatal(err)
	}
	return task
}

// A record carries all that Kafka has of it.
func TestSourceRecord(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(2, "in"))
	at := time.UnixMilli(1700000000123)
	produce(t, servers,
		&kgo.Record{Topic: "in", Partition: 1, Key: []byte("k"), Value: []byte("v"), Timestamp: at, Headers: []kgo.RecordHeader{
			{Key: "a", Value: []byte("é")}, {Key: "b", Value: []byte{0xff}}, {Key: "c"},
		}},
		&kgo.Record{Topic: "in", Partition: 1, Value: nil, Timestamp: at})
	task := begin(t, connectors.Config{"topics": "in"}, sourceSettings(servers), alone{})
	b, err := task.Poll(limit(t))
	if err != nil {
		t.Fatal(err)
	}
	next, of, err := parsePosition(b.Offset)
	if b.Source != `{"kafka_partition":1,"kafka_topic":"in"}` || err != nil || next != 2 || of.Epoch != 1 || of.ID == "" || len(b.Records) != 2 || b.Streams[0].Topic != "in" || b.Committed != at.UnixMicro() {
		t.Fatalf("batch %+v", b)
	}
	r := &b.Records[0]
	body := b.Bodies[r.Value-1]
	if body.Key.Value != "k" || body.Value.Value != "v" || r.KafkaPartition != 1 || r.Timestamp != at.UnixNano() || r.Op != connectors.OpNone {
		t.Errorf("record %+v %+v", r, body)
	}
	h := b.Cells(r.Headers)
	if len(h) != 6 || string(b.Bytes(h[0])) != "a" || string(b.Bytes(h[1])) != "é" || h[1].Kind != connectors.KindText ||
		h[3].Kind != connectors.KindBytes || string(b.Bytes(h[3])) != "\xff" || h[5].Kind != connectors.KindNull {
		t.Errorf("headers %+v", h)
	}
	if r := &b.Records[1]; r.Op != connectors.OpTombstone || b.Bodies[r.Value-1].Value.Value != nil || !r.Headers.Absent() || r.Order.Compare(b.Records[0].Order) <= 0 {
		t.Errorf("tombstone %+v", r)
	}
	if b.Size() < 3*bodySize/2 {
		t.Errorf("the batch is charged %d bytes, bodies left out", b.Size())
	}
	b.Release()
}

// counting is alone with a count of drains.
type counting struct {
	alone
	drains *atomic.Int32
}

func (c counting) Drain(context.Context, ...offsets.Partition) error {
	c.drains.Add(1)
	return nil
}

// What is before a record that cannot be read is made durable; then the task fails, and names the record.
func TestSourceStopsAtABadRecord(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "in"))
	s := sourceSettings(servers)
	s.Worker["value.converter"] = json.Class
	good := []byte(`{"schema":{"type":"int32"},"payload":7}`)
	produce(t, servers, &kgo.Record{Topic: "in", Value: good}, &kgo.Record{Topic: "in", Value: []byte(`{"secret":1}`)}, &kgo.Record{Topic: "in", Value: good})
	session := counting{drains: &atomic.Int32{}}
	task := begin(t, connectors.Config{"topics": "in"}, s, session)
	if got := texts(t, task, "7"); len(got) != 1 {
		t.Errorf("read %v", got)
	}
	_, err := task.Poll(limit(t))
	if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), "topic in, partition 0, offset 1: JsonConverter with schemas.enable requires") || strings.Contains(fmt.Sprint(err), "secret") {
		t.Errorf("error %v", err)
	}
	if session.drains.Load() != 1 {
		t.Errorf("%d drains", session.drains.Load())
	}
}

// Topics that match a pattern are read as they come; internal ones are not.
func TestSourceFollowsAPattern(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "bets.a", "other"))
	produce(t, servers, &kgo.Record{Topic: "other", Value: []byte("no")}, &kgo.Record{Topic: "bets.a", Value: []byte("1")})
	task := begin(t, connectors.Config{"topics.regex": `bets\..*`}, sourceSettings(servers, "consumer.metadata.max.age.ms", "50"), alone{})
	texts(t, task, "1")
	create(t, servers, "bets.b")
	produce(t, servers, &kgo.Record{Topic: "bets.b", Value: []byte("2")})
	if got := texts(t, task, "2"); slices.Contains(got, "no") {
		t.Errorf("read %v", got)
	}
}

// A named topic that does not exist is waited for, and the log says so once.
func TestSourceWaitsForATopic(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "a"))
	produce(t, servers, &kgo.Record{Topic: "a", Value: []byte("1")})
	log := &levels{}
	s := sourceSettings(servers, "consumer.allow.auto.create.topics", "false")
	s.Logger = slog.New(log)
	task := begin(t, connectors.Config{"topics": "a,b"}, s, alone{})
	texts(t, task, "1")
	if n := log.warnings.Load(); n != 1 {
		t.Errorf("%d warnings", n)
	}
	create(t, servers, "b")
	produce(t, servers, &kgo.Record{Topic: "b", Value: []byte("2")})
	texts(t, task, "2")
}

func create(t *testing.T, servers, topic string) {
	t.Helper()
	c, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": servers})
	if err != nil {
		t.Fatal(err)
	}
	s, err := (&kafkaclient.Pool{}).Open(limit(t), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Create(limit(t), kafkaclient.NewTopic{Name: topic, Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
}

// auto.offset.reset of the connector counts; none fails where nothing is committed.
func TestSourceWithoutOffsets(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "in"))
	task := begin(t, connectors.Config{"topics": "in", "consumer.override.auto.offset.reset": "none"}, sourceSettings(servers), alone{})
	_, err := task.Poll(limit(t))
	if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), "consumer group connect-orders has no committed offset there, and auto.offset.reset is none") {
		t.Errorf("error %v", err)
	}
}

func TestConsumerProperties(t *testing.T) {
	s := connectors.Settings{Connector: "c", Task: 2, Worker: connectors.Config{
		"bootstrap.servers": "a:1", "sasl.mechanism": "PLAIN", "group.id": "workers", "consumer.fetch.min.bytes": "2", "consumer.client.rack": "r", "producer.acks": "1",
	}}
	got := consumerProperties(connectors.Config{"consumer.override.fetch.min.bytes": "3", "consumer.override.group.id": "mine"}, s)
	want := map[string]string{
		"bootstrap.servers": "a:1", "sasl.mechanism": "PLAIN", "client.id": "connector-consumer-c-2", "group.id": "mine",
		"auto.offset.reset": "earliest", "fetch.min.bytes": "3", "client.rack": "r",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := consumerProperties(nil, s)["group.id"]; got != "connect-c" {
		t.Error(got)
	}
}

// The texts are those of the recordings (golden/rest 07).
func TestChangesOfOffsetsAreChecked(t *testing.T) {
	const partition, offset = `{"kafka_partition":0,"kafka_topic":"t"}`, `{"kafka_offset":1}`
	for _, c := range []struct {
		partition offsets.Partition
		offset    offsets.Offset
		want      string
	}{
		{partition, offset, ""},
		{partition, "", ""},
		{`{"kafka_partition":"0","kafka_topic":"t"}`, `{"kafka_offset":"1","m":2}`, ""},
		{"", offset, "The partition for a sink connector offset cannot be null or missing"},
		{`{}`, offset, "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'"},
		{`{"kafka_partition":0}`, offset, "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'"},
		{`{"kafka_partition":0,"kafka_topic":null}`, offset, "Kafka topic names must be valid strings and may not be null"},
		{`{"kafka_partition":null,"kafka_topic":"t"}`, offset, "Kafka partitions must be valid numbers and may not be null"},
		{`{"kafka_partition":"x","kafka_topic":"t"}`, offset, "Failed to parse the following Kafka partition value in the provided offsets: 'x'. Partition values for sink connectors need to be integers."},
		{partition, `{"x":1}`, "The offset for a sink connector should either be null or contain the key 'kafka_offset'"},
		{partition, `{"kafka_offset":null}`, "Failed to parse the following Kafka offset value in the provided offsets: 'null'. Offset values for sink connectors need to be integers."},
		{partition, `{"kafka_offset":1.5}`, "Failed to parse the following Kafka offset value in the provided offsets: '1.5'. Offset values for sink connectors need to be integers."},
	} {
		err := sources().CheckOffsets(nil, []offsets.Entry{{Partition: c.partition, Offset: c.offset}})
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want || !connectors.IsRequest(err)) {
			t.Errorf("%s %s: %v, want %s", c.partition, c.offset, err, c.want)
		}
	}
}

// Offsets of a group that is in use, of unknown topics, or below zero are not set.
func TestOffsetsThatCannotBeChanged(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "in"))
	s := sourceSettings(servers)
	set := func(partition offsets.Partition, o offsets.Offset) error {
		_, err := sources().SetOffsets(limit(t), nil, s, []offsets.Entry{{Partition: partition, Offset: o}})
		return err
	}
	const in = `{"kafka_partition":0,"kafka_topic":"in"}`
	if err := set(in, `{"kafka_offset":-1}`); err == nil || err.Error() != "Failed to modify offsets for sink connector orders" {
		t.Error(err)
	}
	if err := set(`{"kafka_partition":0,"kafka_topic":"none"}`, `{"kafka_offset":1}`); err == nil || err.Error() != "Failed to alter consumer group offsets for connector orders" {
		t.Error(err)
	}
	reset := func() error {
		_, err := sources().SetOffsets(limit(t), nil, s, nil)
		return err
	}
	if err := reset(); err != nil {
		t.Errorf("reset of a group that is not there: %v", err)
	}
	produce(t, servers, &kgo.Record{Topic: "in", Value: []byte("1")})
	texts(t, begin(t, connectors.Config{"topics": "in"}, s, alone{}), "1")
	for what, err := range map[string]error{"alter": set(in, `{"kafka_offset":0}`), "reset": reset()} {
		if err == nil || !strings.HasPrefix(err.Error(), "Failed to "+what+" consumer group offsets for connector orders either because its tasks haven't stopped completely yet") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSourceValidation(t *testing.T) {
	for _, c := range []struct {
		config connectors.Config
		want   string
	}{
		{connectors.Config{"topics": "a", "consumer.override.fetch.min.bytes": "7"}, ""},
		{connectors.Config{"topics.regex": "("}, "Invalid value ( for configuration topics.regex: Invalid regex: Unclosed group near index 1\n("},
		{connectors.Config{"topics": "a", "consumer.override.isolation.level": "x"}, `isolation.level: "x" is not one of read_committed, read_uncommitted`},
		{connectors.Config{"topics": "a", "consumer.override.bootstrap.servers": "localhost:1"}, "connect to Kafka at localhost:1"},
	} {
		got := strings.Join(connectors.Errors(sources().Validate(limit(t), c.config)), "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%v: %s", c.config, got)
		}
	}
}

// What passes by itself is waited for; a group of another kind is not.
func TestWhatEndsASource(t *testing.T) {
	for err, want := range map[error]bool{
		sarama.ErrUnknownMemberId: false, sarama.ErrRebalanceInProgress: false, sarama.ErrOutOfBrokers: false, sarama.ErrUnknownTopicOrPartition: false,
		fmt.Errorf("join: %w", sarama.ErrGroupAuthorizationFailed): true, sarama.ErrInconsistentGroupProtocol: true, kafkaclient.ErrLogin: true,
		connectors.AsPermanent(errors.New("x")): true,
	} {
		if hopeless(err) != want {
			t.Errorf("%v: %t", err, !want)
		}
	}
}
