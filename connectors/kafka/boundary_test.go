package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/connectors"
)

// watched is a fake cluster that counts the transactions it is asked to end, and holds each of them back until hold returns.
func watched(t *testing.T, hold func(), topics ...string) (servers string, ended *atomic.Int64, c *kfake.Cluster) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ended = &atomic.Int64{}
	c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(hold) // how long this broker takes to write its markers
		ended.Add(1)
		return nil, nil, false
	})
	return strings.Join(c.ListenAddrs(), ","), ended, c
}

// transactions returns for each record of a topic, as key=value, the transaction that it came with: how many of them had ended
// in its partition before.
func transactions(t *testing.T, c *kfake.Cluster, topic string) map[string]int {
	t.Helper()
	left := map[int32]int64{}
	for _, p := range c.PartitionInfos(topic) {
		left[p.Partition] = p.HighWatermark
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	out, ended := map[string]int{}, map[int32]int{}
	for len(left) > 0 {
		for p, end := range left {
			if end == 0 {
				delete(left, p)
			}
		}
		fetches := client.PollFetches(limit(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Attrs.IsControl() {
				ended[r.Partition]++
			} else {
				out[string(r.Key)+"="+string(r.Value)] = ended[r.Partition]
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return out
}

func awaitAcks(t *testing.T, run *session, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := limit(t)
	for run.acknowledged() < n {
		select {
		case <-tick.C:
		case err := <-run.failed:
			t.Fatal(err)
		case <-deadline.Done():
			t.Fatalf("%d of %d batches acknowledged", run.acknowledged(), n)
		}
	}
}

func (s *session) acknowledged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

// Nothing waits for company: a batch that comes alone is committed at once, one that comes while a transaction is being
// committed in the next one, whole.
func TestTrickle(t *testing.T) {
	const alone, total, company = 10, 150, 7
	var sent atomic.Int64
	var trickles atomic.Bool
	servers, ended, c := watched(t, func() {
		<-time.After(20 * time.Millisecond)
		for enough := min(sent.Load()+company, total-alone); trickles.Load() && sent.Load() < enough; {
			<-time.After(time.Millisecond)
		}
	}, "a")
	task, run := start(t, nil, settings(servers, true))
	s := stream("a")
	rows := func(i int) *connectors.Batch {
		return batch(i, s, fmt.Sprintf("a=%d", i), fmt.Sprintf("b=%d", i), fmt.Sprintf("c=%d", i), fmt.Sprintf("d=%d", i))
	}
	began := time.Now()
	for i := 1; i <= alone; i++ {
		put(t, task, rows(i))
		awaitAcks(t, run, i)
	}
	if took := time.Since(began); took > alone*positionPause/2 {
		t.Errorf("%d batches, each alone, took %v", alone, took)
	}
	if n := ended.Load(); n != alone {
		t.Errorf("%d transactions for %d batches that came alone", n, alone)
	}
	trickles.Store(true) // that many batches come while one transaction is being committed
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	taken := make([]int64, total+1) // transactions that had ended when the sink had taken the batch
	for i := alone + 1; i <= total; i++ {
		<-tick.C
		put(t, task, rows(i))
		taken[i] = ended.Load()
		sent.Add(1)
	}
	awaitAcks(t, run, total)
	run.check(t, total)
	at := transactions(t, c, "a")
	for i := 1; i <= total; i++ {
		n := at[fmt.Sprintf("a=%d", i)]
		for _, key := range []string{"b", "c", "d"} {
			if other, ok := at[fmt.Sprintf("%s=%d", key, i)]; !ok || other != n {
				t.Fatalf("batch %d is split: transactions %d and %d", i, n, other)
			}
		}
		if i > alone && int64(n) > taken[i]+1 {
			t.Errorf("batch %d, taken before %d transactions had ended, is in transaction %d", i, taken[i]+1, n)
		}
	}
	if n := ended.Load(); n > total/2 {
		t.Errorf("%d transactions for %d batches", n, total)
	}
}

func TestTransactionBoundaryInterval(t *testing.T) {
	servers, ended, _ := watched(t, func() {}, "a")
	s := stream("a")
	c := connectors.Config{"transaction.boundary": "interval", "transaction.boundary.interval.ms": "300"}
	task, run := start(t, c, settings(servers, true))
	const total = 60
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 1; i <= total; i++ {
		<-tick.C
		put(t, task, batch(i, s, fmt.Sprintf("k=%d", i)))
	}
	awaitAcks(t, run, total)
	run.check(t, total)
	took := time.Since(began)
	if n := ended.Load(); n < 2 || n > 2+int64(took/(300*time.Millisecond)) {
		t.Errorf("%d transactions of 300 ms in %s", n, took)
	}

	// Whoever waits in Flush, as the engine does when its memory is full, does not wait for the interval.
	c["transaction.boundary.interval.ms"] = "3600000"
	st := settings(servers, true)
	st.Connector = "other"
	task, run = start(t, c, st)
	put(t, task, batch(1, s, "k=1"))
	flush(t, task)
	run.check(t, 1)
}

func TestTransactionBoundaryIsChecked(t *testing.T) {
	for want, c := range map[string]connectors.Config{
		"transaction.boundary: connector is not supported": {"transaction.boundary": "connector"},
		`transaction.boundary: "batch" is not known`:       {"transaction.boundary": "batch"},
		`interval.ms: "-1" is not a number`:                {"transaction.boundary": "interval", "transaction.boundary.interval.ms": "-1"},
	} {
		if texts := connectors.Errors(testFactory().Validate(limit(t), c)); len(texts) != 1 || !strings.Contains(texts[0], want) {
			t.Errorf("validation %v, want %s", texts, want)
		}
		if _, err := testFactory().NewSink(c, settings("b:1", true)); err == nil || !strings.Contains(err.Error(), want) || connectors.ClassOf(err) != connectors.Permanent {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	for _, x := range []struct {
		c, worker connectors.Config
		want      time.Duration
	}{
		{nil, nil, 0},
		{connectors.Config{"transaction.boundary": "POLL"}, nil, 0},
		{connectors.Config{"transaction.boundary": "interval"}, nil, time.Minute},
		{connectors.Config{"transaction.boundary": "interval"}, connectors.Config{"offset.flush.interval.ms": "5000"}, 5 * time.Second},
		{connectors.Config{"transaction.boundary": "Interval", "transaction.boundary.interval.ms": "7"}, connectors.Config{"offset.flush.interval.ms": "5000"}, 7 * time.Millisecond},
	} {
		if got, err := readBoundary(x.c, x.worker); got != x.want || err != nil {
			t.Errorf("%v %v: %v %v", x.c, x.worker, got, err)
		}
	}
}

// levels counts log records by level.
type levels struct{ warnings atomic.Int64 }

func (l *levels) Enabled(context.Context, slog.Level) bool { return true }
func (l *levels) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *levels) WithGroup(string) slog.Handler            { return l }
func (l *levels) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		l.warnings.Add(1)
	}
	return nil
}

func TestANewTopicIsNoWarning(t *testing.T) {
	servers, _, c := watched(t, func() {}, "a")
	refused := 0
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if refused++; refused > 2 {
			return nil, nil, false
		}
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range r.(*kmsg.ProduceRequest).Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic = topic.Topic
			for _, p := range topic.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, 6 // NOT_LEADER_OR_FOLLOWER
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	log := &levels{}
	st := settings(servers, false)
	st.Logger = slog.New(log)
	task, run := start(t, nil, st)
	put(t, task, batch(1, stream("a"), "k=1"))
	flush(t, task)
	run.check(t, 1)
	if refused < 2 || log.warnings.Load() > 0 {
		t.Errorf("%d refusals, %d warnings", refused, log.warnings.Load())
	}
}
