package kafka

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/plugintest"
	"github.com/freshet-io/freshet/testbed"
)

// The tests in this file run against a real broker.

var bed testbed.Bed

func TestMain(m *testing.M) {
	if plugintest.Serve(sources(), testFactory()) {
		os.Exit(0)
	}
	os.Exit(bed.Main(m))
}

// resume plays the runtime and a source that goes on after the stored offset: it runs the task until every number up to
// total is committed, with a new instance after each failure, and disturbs once in the middle.
func resume(t *testing.T, servers string, s connectors.Settings, topic string, total int, disturb func()) (instances int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	disturbed := false
	for {
		instances++
		if ctx.Err() != nil {
			t.Fatal("not finished in time")
		}
		if run(t, ctx, s, topic, total, func(n int) {
			if n >= total/3 && !disturbed {
				disturbed = true
				disturb()
			}
		}) {
			return instances
		}
	}
}

// run is one instance; true: everything is committed.
func run(t *testing.T, ctx context.Context, s connectors.Settings, topic string, total int, at func(int)) bool {
	t.Helper()
	task, err := testFactory().NewSink(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	session := newSession()
	defer func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := task.Stop(stop); err != nil {
			t.Log("stop:", err)
		}
	}()
	if err := task.Start(ctx, session); err != nil {
		t.Log("start:", err)
		return false
	}
	progress, err := task.(connectors.OffsetKeeper).Progress(ctx, orders)
	if err != nil {
		t.Log("progress:", err)
		return false
	}
	next := 1
	if len(progress) > 0 {
		if _, err := fmt.Sscanf(string(progress[0].Offset), `{"lsn":%d}`, &next); err != nil {
			t.Fatal(err)
		}
		next++
	}
	str := stream(topic)
	for id := 1; next <= total; id, next = id+1, next+1 {
		w := connectors.NewBuilder(orders, nil, nil)
		str := w.Stream(str)
		for _, part := range []string{"a", "b", "c"} {
			w.Begin(str, connectors.OpCreate)
			w.Key()
			w.String(part)
			w.After()
			w.String(fmt.Sprint(next))
			w.Commit()
		}
		b := w.Finish(offsets.Offset(fmt.Sprintf(`{"lsn":%d}`, next)), connectors.Order{})
		b.ID = connectors.BatchID(id)
		if err := task.Put(ctx, b); err != nil {
			t.Log("put:", err)
			return false
		}
		at(next)
	}
	if err := task.Flush(ctx); err != nil {
		t.Log("flush:", err)
		return false
	}
	return true
}

// history checks that every key has every number once, in order.
func history(t *testing.T, servers, topic string, total int) {
	t.Helper()
	seen := map[string]int{}
	for _, r := range readAll(t, servers, topic, 3*total) {
		seen[string(r.Key)]++
		if want := fmt.Sprint(seen[string(r.Key)]); want != string(r.Value) {
			t.Fatalf("key %s: %s in place of %s (offset %d)", r.Key, r.Value, want, r.Offset)
		}
	}
	for _, key := range []string{"a", "b", "c"} {
		if seen[key] != total {
			t.Fatalf("key %s: %d of %d", key, seen[key], total)
		}
	}
}

// readAll reads a topic that has so many records at least. A commit is answered before its markers are written, and readers of committed
// records stop before them.
func readAll(t *testing.T, servers, topic string, n int) []*kgo.Record {
	t.Helper()
	records, deadline := read(t, servers, topic), limit(t)
	for tick := time.NewTicker(50 * time.Millisecond); len(records) < n; records = read(t, servers, topic) {
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatalf("%d of %d records", len(records), n)
		}
	}
	return records
}

func TestExactlyOnceThroughABrokerThatIsKilled(t *testing.T) {
	k := testbed.StartKafka(t)
	k.CreateTopic(t, "t", 3, nil)
	s := settings(k.Bootstrap(), true)
	back := make(chan struct{})
	n := resume(t, k.Bootstrap(), s, "t", 5000, func() {
		k.Kill(t)
		go func() {
			defer close(back)
			k.Restart(t)
		}()
	})
	<-back
	t.Log("instances:", n)
	history(t, k.Bootstrap(), "t", 5000)
}

// A transaction that the coordinator ends while the sink cannot reach it is written again by the next instance.
func TestExactlyOnceThroughATransactionTimeout(t *testing.T) {
	k := testbed.StartKafka(t)
	k.CreateTopic(t, "t", 3, nil)
	s := settings(k.Bootstrap(), true, "producer.transaction.timeout.ms", "1000")
	back := make(chan struct{})
	resume(t, k.Bootstrap(), s, "t", 3000, func() {
		k.Kill(t)
		go func() {
			defer close(back)
			k.Restart(t)
		}()
	})
	<-back
	history(t, k.Bootstrap(), "t", 3000)
}

func TestExactlyOnceThroughTakeOvers(t *testing.T) {
	k := bed.Kafka(t)
	topic := k.NewTopic(t, 3, nil)
	s := settings(k.Bootstrap(), true)
	s.Connector = topic
	zombie, fenced := start(t, nil, s)
	put(t, zombie, batch(1, stream(topic), "a=1", "b=1", "c=1"))
	flush(t, zombie)
	n := resume(t, k.Bootstrap(), s, topic, 300, func() {
		if err := zombie.Put(limit(t), batch(2, stream(topic), "a=zombie")); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-fenced.failed:
			if connectors.ClassOf(err) != connectors.Fenced {
				t.Errorf("the zombie failed with %v", err)
			}
		case <-limit(t).Done():
			t.Error("the zombie was not fenced")
		}
	})
	if n != 1 {
		t.Errorf("the zombie disturbed the new owner: %d instances", n)
	}
	history(t, k.Bootstrap(), topic, 300)
}

// A task that fails for good in the middle of a batch holds back no reader: its transaction ends with it, not with its time-out.
func TestAFailedTaskLeavesNoTransactionOpen(t *testing.T) {
	k := bed.Kafka(t)
	for _, process := range []bool{false, true} {
		t.Run(fmt.Sprint("process ", process), func(t *testing.T) {
			topic := k.NewTopic(t, 1, nil)
			s := settings(k.Bootstrap(), true, "producer.transaction.timeout.ms", "600000", "producer.batch.size", "10000")
			s.Connector = topic
			task, run := newTaskOf(t, plugintest.Sink(t, testFactory(), process), nil, s), newSession()
			if err := task.Start(limit(t), run); err != nil {
				t.Fatal(err)
			}
			put(t, task, batch(1, stream(topic), "k=1"))
			flush(t, task)
			values := slices.Repeat([]string{"k=" + strings.Repeat("x", 1000)}, 100) // several requests
			err := task.Put(limit(t), batch(2, stream(topic), append(values, "k=bad")...))
			if process && err == nil {
				err = <-run.failed
			}
			if connectors.ClassOf(err) != connectors.Permanent {
				t.Fatalf("put: %v", err)
			}
			all, ctx := k.Client(t, kgo.ConsumeTopics(topic)), limit(t)
			for n := 0; n < 2; n += all.PollFetches(ctx).NumRecords() {
				if ctx.Err() != nil {
					t.Fatal("nothing of the batch was written")
				}
			}
			if err := task.Stop(limit(t)); err != nil {
				t.Error(err)
			}
			if err := k.Client(t).ProduceSync(limit(t), &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("behind")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if got := text(readAll(t, k.Bootstrap(), topic, 2)); got != "k=1 k=behind" {
				t.Error(got)
			}
		})
	}
}

func TestTopicCreationOnARealBroker(t *testing.T) {
	k := bed.Kafka(t)
	topic := "made-" + k.NewTopic(t, 1, nil)
	task, _ := start(t, connectors.Config{
		"topic.creation.default.partitions": "4", "topic.creation.default.replication.factor": "-1", "topic.creation.default.cleanup.policy": "compact",
	}, settings(k.Bootstrap(), false))
	put(t, task, batch(1, stream(topic), "k=1"))
	flush(t, task)
	parts, err := testbed.Partitions(limit(t), k.Client(t))
	if err != nil || parts[topic] != 4 {
		t.Errorf("%d partitions, %v", parts[topic], err)
	}
	task, _ = start(t, connectors.Config{
		"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "3",
	}, settings(k.Bootstrap(), false))
	if err := task.Put(limit(t), batch(1, stream(topic+"x"), "k=1")); err == nil || !strings.Contains(err.Error(), "replication factor") {
		t.Errorf("error %v", err)
	}
}
