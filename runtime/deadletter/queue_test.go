package deadletter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/runtime"
)

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func queues() *Queues {
	return &Queues{Converters: converters.Set{json.Kind()}, Pool: &kafkaclient.Pool{}}
}

func settings(servers string) connectors.Settings {
	return connectors.Settings{Connector: "orders", Task: 3, Worker: connectors.Config{"bootstrap.servers": servers}}
}

func open(t testing.TB, c connectors.Config, s connectors.Settings) runtime.DeadLetterQueue {
	t.Helper()
	q, err := queues().Open(limit(t), c, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(limit(t)); err != nil {
			t.Error(err)
		}
	})
	return q
}

func put(t testing.TB, q runtime.DeadLetterQueue, l *runtime.DeadLetter) {
	t.Helper()
	if err := errors.Join(q.Add(limit(t), l), q.Flush(limit(t))); err != nil {
		t.Fatal(err)
	}
}

func cluster(t testing.TB, opts ...kfake.Opt) string {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return strings.Join(c.ListenAddrs(), ",")
}

func consume(t testing.TB, servers, topic string, n int) []*kgo.Record {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out []*kgo.Record
	for len(out) < n {
		f := c.PollFetches(limit(t))
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		out = append(out, f.Records()...)
	}
	return out
}

// poison is a record of a topic that could not be converted.
func poison() *runtime.DeadLetter {
	return &runtime.DeadLetter{
		Stage: connectors.StageValueConverter, Class: "org.apache.kafka.connect.json.JsonConverter",
		Cause: connectors.AsPermanent(fmt.Errorf("convert the value: %w", errors.New("unexpected end"))),
		Raw: &connectors.Raw{
			Topic: "bets", Partition: 2, Offset: 41, Timestamp: 1700000000123, Key: []byte("k"), Value: []byte(`{"id":`),
			Headers: []connectors.RawHeader{{Key: []byte("own"), Value: []byte("1")}, {Key: []byte("none")}},
		},
	}
}

// change is a change of a table that a sink refused.
func change(t testing.TB, n int) *runtime.DeadLetter {
	t.Helper()
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	connectortest.AppendFeedRecord(w, w.Stream(connectortest.FeedStream()), n, 3)
	return &runtime.DeadLetter{
		Stage: connectors.StagePut, Class: "TargetConnector", Sink: "ts", Cause: errors.New("does not fit"),
		Batch: w.Finish(connectortest.FeedOffset(n), connectors.Order{}),
	}
}

func headers(r *kgo.Record) []string {
	var out []string
	for _, h := range r.Headers {
		text := string(h.Value)
		if h.Value == nil {
			text = "NULL"
		}
		out = append(out, h.Key+"="+text)
	}
	return out
}

// The headers are those of org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter, in its order, behind the record's own.
func TestTopic(t *testing.T) {
	servers := cluster(t)
	c := connectors.Config{keyTopic: "dead", keyFactor: "1", keyHeaders: "true"}
	q := open(t, c, settings(servers))
	put(t, q, poison())
	r := consume(t, servers, "dead", 1)[0]
	if string(r.Key) != "k" || string(r.Value) != `{"id":` || r.Timestamp.UnixMilli() != 1700000000123 {
		t.Errorf("record %s: %s at %s", r.Key, r.Value, r.Timestamp)
	}
	want := []string{
		"own=1", "none=NULL", "__connect.errors.topic=bets", "__connect.errors.partition=2", "__connect.errors.offset=41",
		"__connect.errors.connector.name=orders", "__connect.errors.task.id=3", "__connect.errors.stage=VALUE_CONVERTER",
		"__connect.errors.class.name=org.apache.kafka.connect.json.JsonConverter",
		"__connect.errors.exception.class.name=org.apache.kafka.connect.errors.DataException",
		"__connect.errors.exception.message=convert the value: unexpected end",
		"__connect.errors.exception.stacktrace=org.apache.kafka.connect.errors.DataException: convert the value: unexpected end\nCaused by: unexpected end\n",
	}
	if got := headers(r); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Without context.headers.enable a record of a sink connector has its own headers only, as in the reference.
func TestTopicWithoutHeaders(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(3, "dead"))
	s := settings(servers)
	s.KeepRaw, s.Shared = true, true
	q := open(t, connectors.Config{keyTopic: "dead"}, s)
	l := poison()
	l.Raw.Value = nil
	put(t, q, l)
	r := consume(t, servers, "dead", 1)[0]
	if got := headers(r); !slices.Equal(got, []string{"own=1", "none=NULL"}) || r.Value != nil {
		t.Errorf("headers %q, value %q", got, r.Value)
	}
}

// A change of a direct connector is its envelope as JsonConverter writes it, with its place in the source.
func TestChange(t *testing.T) {
	servers := cluster(t)
	q := open(t, connectors.Config{keyTopic: "dead", keyFactor: "1"}, settings(servers))
	put(t, q, change(t, 5))
	r := consume(t, servers, "dead", 1)[0]
	if string(r.Key) != `{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"n"}],"optional":false,"name":"feed.Key"},"payload":{"n":5}}` {
		t.Errorf("key %s", r.Key)
	}
	if !strings.HasPrefix(string(r.Value), `{"schema":{"type":"struct"`) || !strings.Contains(string(r.Value), "payload") {
		t.Errorf("value %s", r.Value)
	}
	got := headers(r)
	for _, want := range []string{"__connect.errors.topic=feed", "__connect.errors.stage=TASK_PUT", `__freshet.errors.source.partition={"feed":1}`, "__freshet.errors.source.order=1:5:1", "__freshet.errors.sink=ts"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
	if slices.ContainsFunc(got, func(h string) bool { return strings.HasPrefix(h, "__connect.errors.offset") }) {
		t.Errorf("an offset in Kafka: %q", got)
	}
}

func TestTopicCannotBeMade(t *testing.T) {
	servers := cluster(t)
	_, err := queues().Open(limit(t), connectors.Config{keyTopic: "dead"}, settings(servers))
	if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), "(errors.deadletterqueue.topic.replication.factor=3)") {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		config, worker connectors.Config
		want           string
	}{
		{connectors.Config{keyTopic: "dead"}, connectors.Config{"bootstrap.servers": "a:1"}, ""},
		{connectors.Config{keyTopic: "dead", "producer.override.bootstrap.servers": "a:1"}, nil, ""},
		{connectors.Config{keyFile: "dead"}, nil, ""},
		{connectors.Config{keyTopic: "dead"}, nil, "no Kafka brokers are named for the dead-letter queue"},
		{connectors.Config{keyTopic: "dead", keyFile: "dead"}, nil, "a queue is one of the two"},
		{connectors.Config{keyTopic: "dead"}, connectors.Config{"bootstrap.servers": "a:1", "producer.compression.type": "x"}, "compression.type"},
	} {
		got := ""
		for _, err := range queues().Check(c.config, c.worker) {
			got += err.Error()
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%v: %s", c.config, got)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	if err := os.WriteFile(path, []byte(`{"headers":[],"value":{"torn`), 0o600); err != nil {
		t.Fatal(err)
	}
	q := open(t, connectors.Config{keyFile: path}, settings(""))
	put(t, q, poison())
	put(t, q, change(t, 5))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%q", lines)
	}
	for i, want := range []string{`"value_text":"{\"id\":"`, `"payload":{"n":5}`} {
		if !strings.Contains(lines[i+1], want) || !strings.Contains(lines[i+1], `{"name":"__connect.errors.connector.name","value":"orders"}`) {
			t.Errorf("line %s", lines[i+1])
		}
	}
}

// A file that was moved away is another queue, however long the next one is; nothing is known where the place was lost.
func TestPlaceInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	r, err := queues().Reader(connectors.Config{keyFile: path}, settings(""))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want int64) {
		t.Helper()
		if m, err := r.Replayed(limit(t)); err != nil || m[0] != want {
			t.Errorf("replayed up to line %v, %v; want %d", m, err, want)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect(0)
	write("first\nsecond\n")
	if err := r.SetReplayed(limit(t), Marks{0: 3}); err != nil {
		t.Fatal(err)
	}
	expect(3)
	write("first\nsecond\nthird\n")
	expect(3)
	write("first\n")
	expect(0)
	write("another\nfirst\nsecond\nthird\n")
	expect(0)
	write("first\nsecond\n")
	expect(3)
	if err := os.WriteFile(r.side(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(0)
	if err := os.WriteFile(r.side(), []byte(`{"lines":2,"bytes":5}`), 0o600); err != nil { // as it was written before
		t.Fatal(err)
	}
	expect(2)
	if err := os.WriteFile(r.side(), []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Replayed(limit(t)); err == nil || !strings.Contains(err.Error(), "delete it to replay") {
		t.Error(err)
	}
}

// A full file refuses a record, and says what to do.
func TestFileIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	q := open(t, connectors.Config{keyFile: path, keyFileSize: "2000"}, settings(""))
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = q.Add(limit(t), poison())
	}
	if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), "is full: it has") {
		t.Fatal(err)
	}
	info, serr := os.Stat(path)
	if serr != nil || info.Size() > 2000 || n < 3 {
		t.Errorf("%d records, %v, %v", n, info.Size(), serr)
	}
}

func TestFileCannotBeMade(t *testing.T) {
	_, err := queues().Open(limit(t), connectors.Config{keyFile: filepath.Join(t.TempDir(), "no", "dead")}, settings(""))
	if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "make the directory") {
		t.Error(err)
	}
}

// A flush does not wait for records that are added while it waits.
func TestFlushBesideAdd(t *testing.T) {
	servers := cluster(t)
	q := open(t, connectors.Config{keyTopic: "dead", keyFactor: "1"}, settings(servers))
	ended := make(chan error, 1)
	go func() {
		for range 500 {
			if err := q.Add(limit(t), poison()); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for range 20 {
		put(t, q, poison())
	}
	if err := errors.Join(<-ended, q.Flush(limit(t))); err != nil {
		t.Fatal(err)
	}
	if n := len(consume(t, servers, "dead", 520)); n != 520 {
		t.Errorf("%d records", n)
	}
}
