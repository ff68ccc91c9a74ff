package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/plugintest"
	"github.com/freshet-io/freshet/schemas"
	"github.com/freshet-io/freshet/testbed"
)

// cells is a converter that writes the first cell of the key, or of the new row; no new row is null, "bad" cannot be converted.
type cells struct{ key bool }

func (c cells) Encoder(*connectors.Stream) (converters.Encoder, error) { return c, nil }

func (c cells) Append(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, bool, error) {
	row := r.After
	if c.key {
		row = r.Key
	}
	if row.Absent() {
		return dst, true, nil
	}
	text := b.Bytes(b.Cells(row)[0])
	if string(text) == "bad" {
		return dst, false, errors.New("it is bad")
	}
	return append(dst, text...), false, nil
}

func testFactory() *Factory {
	kind := converters.Kind{Class: "cells", New: func(_ connectors.Config, key bool) (converters.Converter, error) { return cells{key}, nil }}
	return &Factory{Converters: converters.Set{kind, json.Kind()}, Pool: &kafkaclient.Pool{}}
}

// session is the runtime's side.
type session struct {
	mu      sync.Mutex
	acked   []connectors.BatchID
	charged int
	failed  chan error
	reject  func(cause error) error
}

func newSession() *session {
	return &session{failed: make(chan error, 10), reject: func(cause error) error { return cause }}
}

func (s *session) Ack(id connectors.BatchID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = append(s.acked, id)
}

func (*session) Retrying(error)               {}
func (*session) Settle(context.Context) error { return nil }

func (s *session) Reject(_ context.Context, _ *connectors.Batch, _ int, cause error) error {
	return s.reject(cause)
}
func (s *session) Fail(err error) { s.failed <- err }
func (s *session) Charge(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.charged += n
}

func (s *session) check(t *testing.T, n int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.acked) != n || s.charged != 0 {
		t.Fatalf("%d of %d batches acknowledged, %d bytes charged", len(s.acked), n, s.charged)
	}
	for i := range s.acked {
		if s.acked[i] != connectors.BatchID(i+1) {
			t.Fatalf("acknowledged %v", s.acked)
		}
	}
}

const orders = offsets.Partition(`{"server":"orders"}`)

func stream(topic string) *connectors.Stream {
	id, price := &schemas.Schema{Kind: schemas.String}, changes.DecimalSchema(10, 2, false)
	return &connectors.Stream{
		Topic: topic,
		KeyFields: []connectors.Field{
			{Name: "id", Cell: 0, View: connectors.ViewPlain, Schema: id},
			{Name: "price", Cell: 1, View: connectors.ViewDecimal, Scale: 2, Schema: price},
		},
		Headers: []connectors.Header{{Name: "context", Value: "c"}},
		Key:     &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "id", Schema: id}, {Name: "price", Schema: price}}},
	}
}

// batch has one record per value, "key=value"; "key=" is a tombstone.
func batch(id int, s *connectors.Stream, values ...string) *connectors.Batch {
	w := connectors.NewBuilder(orders, nil, nil)
	at := w.Stream(s)
	for _, v := range values {
		key, value, _ := strings.Cut(v, "=")
		w.Begin(at, connectors.OpCreate)
		w.Key()
		w.String(key)
		w.Null()
		if value != "" {
			w.After()
			w.String(value)
		}
		w.Commit()
	}
	b := w.Finish(offsets.Offset(fmt.Sprintf(`{"lsn":%d}`, id)), connectors.Order{Major: uint64(id)})
	b.ID = connectors.BatchID(id)
	return b
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func cluster(t testing.TB, opts ...kfake.Opt) string {
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return strings.Join(c.ListenAddrs(), ",")
}

func settings(servers string, exactly bool, extra ...string) connectors.Settings {
	worker := connectors.Config{"bootstrap.servers": servers, "key.converter": "cells", "value.converter": "cells", "offset.storage.replication.factor": "1", "offset.storage.partitions": "2"}
	for i := 0; i < len(extra); i += 2 {
		worker[extra[i]] = extra[i+1]
	}
	return connectors.Settings{Connector: "orders", GroupID: "group", Worker: worker, ExactlyOnce: exactly}
}

func newTask(t testing.TB, c connectors.Config, s connectors.Settings) connectors.SinkTask {
	t.Helper()
	return newTaskOf(t, testFactory(), c, s)
}

func newTaskOf(t testing.TB, f connectors.SinkFactory, c connectors.Config, s connectors.Settings) connectors.SinkTask {
	t.Helper()
	task, err := f.NewSink(c, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := task.Stop(limit(t)); err != nil {
			t.Error(err)
		}
	})
	return task
}

func start(t testing.TB, c connectors.Config, s connectors.Settings) (connectors.SinkTask, *session) {
	t.Helper()
	task, run := newTask(t, c, s), newSession()
	if err := task.Start(limit(t), run); err != nil {
		t.Fatal(err)
	}
	return task, run
}

func put(t testing.TB, task connectors.SinkTask, batches ...*connectors.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := task.Put(limit(t), b); err != nil {
			t.Fatal(err)
		}
	}
}

func flush(t testing.TB, task connectors.SinkTask) {
	t.Helper()
	if err := task.Flush(limit(t)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, servers string, topics ...string) []*kgo.Record {
	t.Helper()
	rs, err := testbed.ReadTopics(limit(t), servers, topics)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func text(rs []*kgo.Record) string {
	var out []string
	for _, r := range rs {
		value := string(r.Value)
		if r.Value == nil {
			value = "null"
		}
		out = append(out, string(r.Key)+"="+value)
	}
	return strings.Join(out, " ")
}

func TestSinkWritesInOrderAndAcknowledges(t *testing.T) {
	for _, exactly := range []bool{false, true} {
		t.Run(fmt.Sprint("exactly once ", exactly), func(t *testing.T) {
			servers := cluster(t, kfake.SeedTopics(1, "a"))
			task, run := start(t, nil, settings(servers, exactly))
			s := stream("a")
			put(t, task, batch(1, s, "k=1", "k=2"), batch(2, s), batch(3, s, "k=3", "k="))
			flush(t, task)
			run.check(t, 3)
			if got := text(read(t, servers, "a")); got != "k=1 k=2 k=3 k=null" {
				t.Error(got)
			}
		})
	}
}

func TestSinkWritesHeaders(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "a"))
	task, _ := start(t, nil, settings(servers, false))
	w := connectors.NewBuilder(orders, nil, nil)
	w.Begin(w.Stream(stream("a")), connectors.OpDelete)
	w.Key()
	w.String("k")
	w.Headers()
	w.String("newkey")
	w.BeginList(connectors.KindList)
	w.String(`a"b`)
	w.Text(connectors.KindDecimal, []byte("1"))
	w.EndList()
	w.String("number")
	w.Int(-5)
	w.String("none")
	w.Null()
	w.Commit()
	put(t, task, w.Finish(`{}`, connectors.Order{}))
	flush(t, task)
	var got []string
	for _, h := range read(t, servers, "a")[0].Headers {
		v := string(h.Value)
		if h.Value == nil {
			v = "null"
		}
		got = append(got, h.Key+"="+v)
	}
	if strings.Join(got, " ") != `newkey={"id":"a\"b","price":1.00} number=-5 none=null context=c` {
		t.Error(got)
	}
}

func TestSinkRejectsWhatCannotBeConverted(t *testing.T) {
	for _, exactly := range []bool{false, true} {
		servers := cluster(t, kfake.SeedTopics(1, "a"))
		task, run := start(t, nil, settings(servers, exactly))
		s := stream("a")
		run.reject = func(cause error) error {
			if connectors.ClassOf(cause) != connectors.Permanent || !strings.Contains(cause.Error(), "topic a: it is bad") {
				t.Errorf("cause %v", cause)
			}
			return nil
		}
		put(t, task, batch(1, s, "k=1", "k=bad", "k=2"))
		flush(t, task)
		run.check(t, 1)
		run.reject = func(cause error) error { return cause }
		if err := task.Put(limit(t), batch(2, s, "k=3", "k=bad")); connectors.ClassOf(err) != connectors.Permanent {
			t.Errorf("error %v", err)
		}
		if exactly {
			if err := task.Flush(limit(t)); err == nil {
				t.Error("a batch was split")
			}
		}
		if got := text(read(t, servers, "a")); got != "k=1 k=2" {
			t.Error(got)
		}
	}
}

func TestSinkCreatesTopics(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	servers := strings.Join(c.ListenAddrs(), ",")
	task, _ := start(t, connectors.Config{
		"topic.creation.default.partitions": "2", "topic.creation.default.replication.factor": "-1", "topic.creation.groups": "logs,big",
		"topic.creation.default.retention.ms": "1000",
		"topic.creation.logs.include":         "log.*", "topic.creation.logs.exclude": "logbook", "topic.creation.logs.cleanup.policy": "compact",
		"topic.creation.big.include": "log.*,big", "topic.creation.big.partitions": "5",
	}, settings(servers, false))
	put(t, task, batch(1, stream("log1"), "k=1"), batch(2, stream("logbook"), "k=1"), batch(3, stream("other"), "k=1"))
	flush(t, task)
	for topic, want := range map[string]string{"log1": "2 compact", "logbook": "5 ", "other": "2 "} {
		info := c.TopicInfo(topic)
		policy := ""
		if v := info.Configs["cleanup.policy"]; v != nil {
			policy = *v
		}
		if got := fmt.Sprint(len(c.PartitionInfos(topic)), " ", policy); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	if v := c.TopicInfo("other").Configs["retention.ms"]; v == nil || *v != "1000" {
		t.Error("retention.ms is missing")
	}
}

func TestTopicCreationIsChecked(t *testing.T) {
	for want, c := range map[string]connectors.Config{
		"default.partitions is required": nil,
		"logs.include is required":       {"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1", "topic.creation.groups": "logs"},
		"replication.factor: \"0\"":      {"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "0"},
		"error parsing regexp":           {"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1", "topic.creation.groups": "l", "topic.creation.l.include": "("},
	} {
		if c == nil {
			c = connectors.Config{"topic.creation.default.replication.factor": "1"}
		}
		if _, err := readCreation(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
		if texts := connectors.Errors(testFactory().Validate(limit(t), c)); len(texts) != 1 || !strings.Contains(texts[0], want) {
			t.Errorf("validation %v, want %s", texts, want)
		}
	}
}

func TestOffsetsAreCommittedWithTheData(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "a"))
	c := settings(servers, true)
	task, run := start(t, nil, c)
	s := stream("a")
	b := batch(2, s, "k=2")
	b.Extra = []offsets.Entry{{Partition: `{"server":"orders","state":"x"}`, Offset: `{"v":1}`}}
	put(t, task, batch(1, s, "k=1"), b, batch(3, s))
	flush(t, task)
	run.check(t, 3)
	want := `[{{"server":"orders","state":"x"} {"v":1} {0 0 0}} {{"server":"orders"} {"lsn":3} {0 0 0}}]`
	keeper := task.(connectors.OffsetKeeper)
	if got, err := keeper.Progress(limit(t)); err != nil || fmt.Sprint(got) != want {
		t.Errorf("progress %v %v", got, err)
	}
	for _, r := range read(t, servers, "connect-offsets") {
		if k := string(r.Key); k != `["orders",{"server":"orders"}]` && k != `["orders",{"server":"orders","state":"x"}]` {
			t.Errorf("key %s", k)
		}
	}
	if err := task.Stop(limit(t)); err != nil {
		t.Fatal(err)
	}
	next, _ := start(t, nil, c)
	if got, err := next.(connectors.OffsetKeeper).Progress(limit(t), orders); err != nil || fmt.Sprint(got) != `[{{"server":"orders"} {"lsn":3} {0 0 0}}]` {
		t.Errorf("progress after a restart %v %v", got, err)
	}
	if err := next.(connectors.OffsetKeeper).SetProgress(limit(t), []connectors.Progress{{Partition: orders}}); err != nil {
		t.Fatal(err)
	}
	if got, err := next.(connectors.OffsetKeeper).Progress(limit(t), orders); err != nil || len(got) != 0 {
		t.Errorf("progress after a reset %v %v", got, err)
	}
}

// A process may be killed when its sink has begun a new epoch by itself (I6).
func TestClaimOfAKilledProcess(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c := settings(strings.Join(fake.ListenAddrs(), ","), true)
	for n := range 3 {
		task := newTaskOf(t, plugintest.Sink(t, testFactory(), true), nil, c)
		if err := task.Start(limit(t), newSession()); err != nil {
			t.Fatalf("instance %d: %v", n, err)
		}
		put(t, task, batch(1, stream("a"), fmt.Sprint("k=", 2*n)))
		flush(t, task)
		hit := fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.TransactionAbortable, Count: 2, When: func(r kmsg.Request) bool {
			return r.(*kmsg.EndTxnRequest).Commit
		}})
		put(t, task, batch(2, stream("a"), fmt.Sprint("k=", 2*n+1)))
		flush(t, task)
		if hit.Hits() != 2 {
			t.Errorf("%d commits were refused", hit.Hits())
		}
		c.Claim = task.(connectors.Claimant).Claim()
	}
	if got := text(read(t, c.Worker["bootstrap.servers"], "a")); got != "k=0 k=1 k=2 k=3 k=4 k=5" {
		t.Error(got)
	}
}

func TestOneOfSeveralSinksKeepsItsOwnRecord(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "a"))
	c := settings(servers, true)
	c.Sink = "k"
	task, _ := start(t, nil, c)
	put(t, task, batch(7, stream("a"), "k=1"))
	flush(t, task)
	for _, p := range [][]offsets.Partition{nil, {orders}} {
		got, err := task.(connectors.OffsetKeeper).Progress(limit(t), p...)
		if err != nil || fmt.Sprint(got) != `[{{"server":"orders"} {"lsn":7} {0 0 7}}]` {
			t.Errorf("progress %v %v", got, err)
		}
	}
	if key := string(read(t, servers, "connect-offsets")[0].Key); key != `["orders",{"server":"orders","sink":"k"}]` {
		t.Errorf("key %s", key)
	}
}

func TestASecondTaskFencesTheFirst(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "a"))
	c := settings(servers, true)
	s := stream("a")
	first, run := start(t, nil, c)
	put(t, first, batch(1, s, "k=1"))
	flush(t, first)
	second, _ := start(t, nil, c)
	put(t, first, batch(2, s, "k=lost"))
	select {
	case err := <-run.failed:
		if connectors.ClassOf(err) != connectors.Fenced {
			t.Errorf("class %v of %v", connectors.ClassOf(err), err)
		}
	case <-limit(t).Done():
		t.Fatal("not fenced")
	}
	if err := first.Put(limit(t), batch(3, s, "k=lost")); connectors.ClassOf(err) != connectors.Fenced {
		t.Errorf("put of a fenced task: %v", err)
	}
	put(t, second, batch(2, s, "k=2"))
	flush(t, second)
	if got := text(read(t, servers, "a")); got != "k=1 k=2" {
		t.Error(got)
	}
}

func TestStopIsSafeAtAnyTime(t *testing.T) {
	for _, exactly := range []bool{false, true} {
		task := newTask(t, nil, settings(cluster(t), exactly))
		for range 2 {
			if err := task.Stop(limit(t)); err != nil {
				t.Error(err)
			}
		}
		if err := task.Start(limit(t), newSession()); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := task.Stop(limit(t)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestClientPropertiesAreConnects(t *testing.T) {
	s := settings("worker:1", true, "producer.compression.type", "lz4", "producer.batch.size", "1000", "consumer.x", "1")
	s.Task = 2
	got := properties(connectors.Config{"producer.override.batch.size": "2000", "producer.override.transactional.id": "mine"}, s, true)
	want := map[string]string{"bootstrap.servers": "worker:1", "compression.type": "lz4", "batch.size": "2000", "transactional.id": "group-orders-2"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("properties %v", got)
	}
}

func TestSinkNamesWhatIsWrong(t *testing.T) {
	f := testFactory()
	for want, c := range map[string]connectors.Config{
		"header.converter x.Y is not supported": {"header.converter": "x.Y"},
		"class none is not here":                {"key.converter": "none"},
		"compression.type: \"brotli\"":          {"producer.override.compression.type": "brotli"},
		"sasl.jaas.config is not set":           {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"},
	} {
		if _, err := f.NewSink(c, settings("b:1", false)); err == nil || !strings.Contains(err.Error(), want) || connectors.ClassOf(err) != connectors.Permanent {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	for _, v := range f.Validate(limit(t), connectors.Config{"bootstrap.servers": "b:1", "producer.override.compression.type": "brotli"}) {
		if wrong := v.Name == "producer.override.compression.type"; wrong != (len(v.Errors) == 1) {
			t.Errorf("validation of %s: %v", v.Name, v.Errors)
		}
	}
	texts := connectors.Errors(f.Validate(limit(t), connectors.Config{"bootstrap.servers": "127.0.0.1:1"}))
	if len(texts) != 1 || !strings.Contains(texts[0], "connect to Kafka at 127.0.0.1:1") {
		t.Errorf("validation %v", texts)
	}
}

// The producer may read offsets back while the sink is being stopped, and goes on with that when Stop has run out of time.
func TestStopWhileOffsetsAreReadBack(t *testing.T) {
	task, _ := start(t, nil, settings(cluster(t, kfake.SeedTopics(1, "a")), true))
	s := task.(*exactSink)
	begun, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			if i == 1 {
				close(begun)
			}
			if _, err := s.recall(limit(t), false); err != nil {
				t.Error(err)
			}
		}
	}()
	<-begun
	if err := task.Stop(limit(t)); err != nil {
		t.Error(err)
	}
	<-done
}

// What another task of the connector commits in its own partitions is no take-over of this one's.
func TestOtherTasksMoveOtherPartitions(t *testing.T) {
	c := settings(cluster(t, kfake.SeedTopics(1, "a")), true)
	task, _ := start(t, nil, c)
	put(t, task, batch(1, stream("a"), "k=1"))
	flush(t, task)
	c.Task = 1
	other, _ := start(t, nil, c)
	b := batch(1, stream("a"), "k=2")
	b.Source = `{"server":"payments"}`
	put(t, other, b)
	flush(t, other)
	if committed, err := task.(*exactSink).recall(limit(t), false); committed || err != nil {
		t.Errorf("committed %v, %v", committed, err)
	}
	b = batch(2, stream("a"), "k=3")
	put(t, other, b)
	flush(t, other)
	if _, err := task.(*exactSink).recall(limit(t), false); !errors.Is(err, kafkaclient.ErrFenced) {
		t.Errorf("its own partition was moved: %v", err)
	}
}
