package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

func limit(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// options are those of a log on a broker.
func options(t testing.TB, bootstrap, topic string, partitions int32) LogOptions {
	t.Helper()
	cfg, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": bootstrap})
	if err != nil {
		t.Fatal(err)
	}
	var pool kafkaclient.Pool
	session, err := pool.Open(limit(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return LogOptions{Session: session, Config: cfg, Topic: kafkaclient.LogOptions{Topic: topic, Partitions: partitions, Replication: 1}}
}

func fake(t testing.TB) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// view is what one worker has applied.
type view struct {
	mu   sync.Mutex
	all  []string
	last map[string]string
	old  int // applied before it was live
}

func (v *view) apply(m herder.Message, live bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last == nil {
		v.last = map[string]string{}
	}
	v.all = append(v.all, m.Key+"="+string(m.Value))
	v.last[m.Key] = string(m.Value)
	if !live {
		v.old++
	}
}

func (v *view) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.all, " ")
}

func (v *view) newest() map[string]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.last)
}

func openConfig(t testing.TB, o LogOptions) (*ConfigLog, *view) {
	t.Helper()
	c, err := OpenConfigLog(limit(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	v := &view{}
	if err := c.Start(limit(t), func(_ int64, m herder.Message, live bool) { v.apply(m, live) }); err != nil {
		t.Fatal(err)
	}
	return c, v
}

func text(key, value string) herder.Message { return herder.Message{Key: key, Value: []byte(value)} }

func mustAppend(t testing.TB, c *ConfigLog, ms ...herder.Message) {
	t.Helper()
	if err := c.Append(limit(t), ms...); err != nil {
		t.Fatal(err)
	}
}

func mustSync(t testing.TB, c *ConfigLog) {
	t.Helper()
	if err := c.Sync(limit(t)); err != nil {
		t.Fatal(err)
	}
}

// What one worker appends has been applied by it when Append returns, and by another one after Sync.
func TestConfigLog(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	o := options(t, k.Bootstrap(), "configs-"+unique(t), 25)
	o.Topic.Settings = map[string]string{"min.insync.replicas": "1", "segment.bytes": "1048576", "cleanup.policy": "delete"}
	a, av := openConfig(t, o)
	b, bv := openConfig(t, o)
	mustAppend(t, a, text("connector-x", "1"), text("target-state-x", "2"))
	if got, want := av.text(), "connector-x=1 target-state-x=2"; got != want || av.old != 0 {
		t.Errorf("after Append the writer has %q (%d as history), want %q", got, av.old, want)
	}
	mustAppend(t, b, herder.Message{Key: "connector-x"})
	mustSync(t, a)
	mustSync(t, b)
	want := "connector-x=1 target-state-x=2 connector-x="
	if av.text() != want || bv.text() != want {
		t.Errorf("the two have %q and %q, want %q", av.text(), bv.text(), want)
	}
	_, cv := openConfig(t, o)
	if cv.text() != want || cv.old != 3 {
		t.Errorf("a third one has %q, %d as history, want %q, 3", cv.text(), cv.old, want)
	}
	info, err := o.Session.Describe(limit(t), o.Topic.Topic)
	if err != nil || len(info.Partitions) != 1 {
		t.Errorf("the topic has partitions %v (%v), want one", info.Partitions, err)
	}
	settings, err := o.Session.Settings(limit(t), o.Topic.Topic)
	if err != nil || settings["cleanup.policy"] != "compact" || settings["segment.bytes"] != "1048576" {
		t.Errorf("settings %v, %v", settings, err)
	}
}

func TestConfigTopicWithSeveralPartitionsIsRefused(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	name := k.NewTopic(t, 2, map[string]string{"cleanup.policy": "compact"})
	_, err := OpenConfigLog(limit(t), options(t, k.Bootstrap(), name, 1))
	if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "config.storage.topic") || !strings.Contains(err.Error(), "2 partitions") {
		t.Errorf("got %v", err)
	}
}

// With exactly-once a leader fences the one before; what any worker may write goes on.
func TestLeadFences(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	o := options(t, k.Bootstrap(), "configs-"+unique(t), 1)
	o.LeaderID = LeaderID(unique(t))
	a, av := openConfig(t, o)
	b, bv := openConfig(t, o)
	if err := a.Append(limit(t), text("connector-x", "0")); !errors.Is(err, herder.ErrFenced) {
		t.Errorf("without the lead: %v", err)
	}
	lead := func(c *ConfigLog) {
		t.Helper()
		if err := c.Lead(limit(t)); err != nil {
			t.Fatal(err)
		}
	}
	lead(a)
	mustAppend(t, a, text("connector-x", "1"), text("commit-x", "1"))
	mustAppend(t, b, text("target-state-x", "2"))
	lead(b)
	if err := a.Append(limit(t), text("connector-x", "3")); !errors.Is(err, herder.ErrFenced) {
		t.Errorf("after another one led: %v", err)
	}
	if err := a.Append(limit(t), text("connector-x", "4")); !errors.Is(err, herder.ErrFenced) {
		t.Errorf("the second time: %v", err)
	}
	mustAppend(t, a, text("restart-connector-x", "5"))
	mustAppend(t, b, text("connector-x", "6"))
	mustSync(t, a)
	want := "connector-x=1 commit-x=1 target-state-x=2 restart-connector-x=5 connector-x=6"
	if av.text() != want || bv.text() != want {
		t.Errorf("the two have %q and %q, want %q", av.text(), bv.text(), want)
	}
	lead(a)
	mustAppend(t, a, text("connector-x", "7"))
}

// A leader whose producer failed goes on by itself, but not when another one has led meanwhile.
func TestLeaderGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	k := testbed.StartKafka(t)
	o := options(t, k.Bootstrap(), "configs", 1)
	o.LeaderID = LeaderID(unique(t))
	a, av := openConfig(t, o)
	b, _ := openConfig(t, o)
	if err := a.Lead(limit(t)); err != nil {
		t.Fatal(err)
	}
	fail := func() {
		t.Helper()
		k.Kill(t)
		a.limit = time.Second
		if err := a.Append(limit(t), text("connector-x", "lost?")); err == nil {
			t.Fatal("written without a broker")
		}
		a.limit = appendLimit
		k.Restart(t)
	}
	fail()
	mustAppend(t, a, text("connector-x", "2"))
	if got := av.newest()["connector-x"]; got != "2" {
		t.Errorf("read %s back, want 2", got)
	}
	fail()
	if err := b.Lead(limit(t)); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(limit(t), text("connector-x", "4")); !errors.Is(err, herder.ErrFenced) {
		t.Errorf("after another one led: %v", err)
	}
	mustAppend(t, b, text("connector-x", "5"))
}

// A leader that was killed in the middle of a transaction holds up no worker that starts; the next leader ends the transaction.
func TestKilledLeader(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	o := options(t, k.Bootstrap(), "configs-"+unique(t), 1)
	o.LeaderID = LeaderID(unique(t))
	a, _ := openConfig(t, o)
	mustAppend(t, a, text("target-state-x", "1"))
	killed := k.Client(t, kgo.TransactionalID(o.LeaderID), kgo.DefaultProduceTopic(o.Topic.Topic))
	if err := killed.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := killed.ProduceSync(limit(t), &kgo.Record{Key: []byte("connector-x"), Value: []byte("lost")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b, bv := openConfig(t, o)
	mustSync(t, b)
	if err := b.Lead(limit(t)); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, b, text("connector-x", "2"))
	if got, want := bv.text(), "target-state-x=1 connector-x=2"; got != want {
		t.Errorf("applied %q, want %q", got, want)
	}
}

// A broker that is away makes an append fail in the end, with what to look at, and is followed again when it is back.
func TestConfigLogThroughARestart(t *testing.T) {
	t.Parallel()
	k := testbed.StartKafka(t)
	c, v := openConfig(t, options(t, k.Bootstrap(), "configs", 1))
	mustAppend(t, c, text("connector-x", "1"))
	k.Kill(t)
	c.limit = 2 * time.Second
	err := c.Append(limit(t), text("connector-x", "2"))
	if err == nil || !errors.Is(err, errTooLate) || !strings.Contains(err.Error(), "configs") {
		t.Errorf("without a broker: %v", err)
	}
	k.Restart(t)
	c.limit = appendLimit
	mustAppend(t, c, text("connector-x", "3"))
	if got := v.newest()["connector-x"]; got != "3" {
		t.Errorf("read %s back, want 3", got)
	}
}

func openStatus(t testing.TB, o LogOptions) (*StatusLog, *view) {
	t.Helper()
	s, err := OpenStatusLog(limit(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	v := &view{}
	if err := s.Start(limit(t), func(m herder.Message) { v.apply(m, true) }); err != nil {
		t.Fatal(err)
	}
	return s, v
}

// The newest status of every key arrives, at the writer and at others, in order.
func TestStatusLog(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	o := options(t, k.Bootstrap(), "status-"+unique(t), 5)
	a, av := openStatus(t, o)
	_, bv := openStatus(t, o)
	const keys, rounds = 1200, 5
	want := map[string]string{}
	for round := range rounds {
		for i := range keys {
			key, value := fmt.Sprintf("status-connector-c%d", i), fmt.Sprint(round)
			a.Put(text(key, value))
			want[key] = value
		}
	}
	if err := a.Flush(limit(t)); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(av.newest(), want) {
		t.Errorf("after Flush the writer has %d keys, want %d with the newest value", len(av.newest()), keys)
	}
	last := map[string]string{}
	av.mu.Lock()
	for _, kv := range av.all {
		key, value, _ := strings.Cut(kv, "=")
		if value < last[key] {
			t.Errorf("%s went from %s back to %s", key, last[key], value)
		}
		last[key] = value
	}
	av.mu.Unlock()
	waitFor(t, func() bool { return maps.Equal(bv.newest(), want) })
}

// What a broker refuses for a while is written in the end, the newest value only; what it can never take is dropped.
func TestStatusLogTriesAgain(t *testing.T) {
	t.Parallel()
	c := fake(t)
	s, v := openStatus(t, options(t, strings.Join(c.ListenAddrs(), ","), "status", 5))
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: 3})
	s.Put(text("a", "1"))
	s.Put(text("b", "1"))
	s.Put(text("large", strings.Repeat("x", 2<<20)))
	s.Put(text("a", "2"))
	if err := s.Flush(limit(t)); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"a": "2", "b": "1"}; !maps.Equal(v.newest(), want) {
		t.Errorf("have %v, want %v", v.newest(), want)
	}
}

// unique is a name for what this run of a test has in a broker.
func unique(t testing.TB) string {
	return fmt.Sprintf("%s-%x", strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), time.Now().UnixNano())
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("condition not met in time")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
