package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// ledger is what all members of a group have delivered to their sinks.
type ledger struct {
	mu      sync.Mutex
	next    map[offsets.Partition]int64
	gaps    []string
	repeats int64
	records int64
}

// deliver notes a batch of contiguous offsets.
func (l *ledger) deliver(b *connectors.Batch) {
	first, last := int64(b.Records[0].Order.Major), int64(b.Records[len(b.Records)-1].Order.Major)
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.next[b.Source]
	switch {
	case last-first+1 != int64(len(b.Records)):
		l.gaps = append(l.gaps, fmt.Sprintf("%s: %d records from %d to %d", b.Source, len(b.Records), first, last))
	case first > next:
		l.gaps = append(l.gaps, fmt.Sprintf("%s: %d follows on %d", b.Source, first, next-1))
	case first < next:
		l.repeats += min(next, last+1) - first
	}
	l.records += max(last+1-max(next, first), 0)
	l.next[b.Source] = max(next, last+1)
}

// groupMember is a member of the group with a sink that is durable at once; offsets are committed now and then, and when partitions are given away.
type groupMember struct {
	alone
	ledger *ledger
	task   connectors.SourceTask
	cancel context.CancelFunc
	done   chan error

	mu      sync.Mutex
	pending map[offsets.Partition]offsets.Offset
	dead    bool
}

// Drain implements connectors.SourceSession.
func (m *groupMember) Drain(ctx context.Context, ps ...offsets.Partition) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errors.New("killed")
	}
	return m.commit(ctx)
}

// commit stores what is pending; the lock is held.
func (m *groupMember) commit(ctx context.Context) error {
	var entries []offsets.Entry
	for p, o := range m.pending {
		entries = append(entries, offsets.Entry{Partition: p, Offset: o})
	}
	err := m.task.Commit(ctx, entries)
	if err == nil { // else, as when the member leaves meanwhile, the next one stores it
		clear(m.pending)
	}
	return err
}

func join(t *testing.T, l *ledger, c connectors.Config, s connectors.Settings) *groupMember {
	t.Helper()
	m := &groupMember{ledger: l, task: newSource(t, c, s), done: make(chan error, 1), pending: map[offsets.Partition]offsets.Offset{}}
	if err := m.task.Start(limit(t), m); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() { m.done <- m.run(ctx) }()
	return m
}

func (m *groupMember) run(ctx context.Context) error {
	for {
		b, err := m.task.Poll(ctx)
		if ctx.Err() != nil {
			if b != nil {
				b.Release()
			}
			return nil
		}
		if err != nil {
			return err
		}
		m.mu.Lock()
		m.ledger.deliver(b)
		m.pending[b.Source] = b.Offset
		b.Release()
		if rand.IntN(8) == 0 {
			err = m.commit(ctx)
		}
		m.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// leave ends the member: with a last commit, or as a kill does.
func (m *groupMember) leave(t *testing.T, kill bool) {
	t.Helper()
	if kill {
		m.mu.Lock()
		m.dead = true
		m.mu.Unlock()
	}
	m.cancel()
	if err := <-m.done; err != nil {
		t.Error(err)
	}
	if !kill {
		if err := m.Drain(limit(t)); err != nil {
			t.Error(err)
		}
	}
	if err := m.task.Stop(limit(t)); err != nil {
		t.Error(err)
	}
}

// Members come, go and are killed while records come in: none is left out, and one that leaves properly gives away what it has, so that
// nothing is repeated.
func TestSourceThroughRebalances(t *testing.T) {
	for _, kills := range []bool{false, true} {
		t.Run(fmt.Sprintf("kills %v", kills), func(t *testing.T) { throughRebalances(t, kills, 10*time.Second) })
	}
}

func throughRebalances(t *testing.T, kills bool, length time.Duration) {
	const partitions = 6
	k := bed.Kafka(t)
	topic := k.NewTopic(t, partitions, nil)
	session := "45000" // a member that is thrown out repeats what it had
	if kills {
		session = "6000"
	}
	s := sourceSettings(k.Bootstrap(), "consumer.heartbeat.interval.ms", "100", "consumer.session.timeout.ms", session)
	s.Connector = topic
	l := &ledger{next: map[offsets.Partition]int64{}}
	client := k.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	stop, written := make(chan struct{}), make(chan int64)
	go func() {
		n := int64(0)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				_ = client.Flush(context.Background())
				written <- n
				return
			case <-tick.C:
				for range 1 + rand.IntN(40) {
					client.Produce(context.Background(), &kgo.Record{Topic: topic, Partition: rand.Int32N(partitions), Value: strconv.AppendInt(nil, n, 10)}, nil)
					n++
				}
			}
		}
	}()
	c := connectors.Config{"topics": topic}
	members := []*groupMember{join(t, l, c, s)}
	for end := time.After(length); ; {
		select {
		case <-end:
		case <-time.After(time.Duration(300+rand.IntN(700)) * time.Millisecond):
			if len(members) > 1 && rand.IntN(2) == 0 || len(members) == 4 {
				i := rand.IntN(len(members))
				members[i].leave(t, kills && rand.IntN(2) == 0)
				members = append(members[:i], members[i+1:]...)
			} else {
				s.Task++
				members = append(members, join(t, l, c, s))
			}
			continue
		}
		break
	}
	close(stop)
	total := <-written
	deadline := limit(t)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		l.mu.Lock()
		got := l.records
		l.mu.Unlock()
		if got >= total {
			break
		}
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatalf("%d of %d records came", got, total)
		}
	}
	for _, m := range members {
		m.leave(t, false)
	}
	t.Logf("%d records, %d repeated", l.records, l.repeats)
	if len(l.gaps) > 0 || l.records != total {
		t.Errorf("%d of %d records, gaps: %s", l.records, total, strings.Join(l.gaps[:min(len(l.gaps), 10)], "; "))
	}
	if !kills && l.repeats > 0 {
		t.Errorf("%d records were repeated though every member left properly", l.repeats)
	}
}

// Every codec is read, what was aborted is not, and a record above any fetch comes alone.
func TestSourceReadsTransactionsAndCodecs(t *testing.T) {
	k := bed.Kafka(t)
	topic := k.NewTopic(t, 1, map[string]string{"max.message.bytes": "16777216"})
	var want []string
	large := string(bytes.Repeat([]byte("large"), 1<<20))
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		client := k.Client(t, kgo.TransactionalID(fmt.Sprint(topic, i)), kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(12<<20), kgo.BrokerMaxWriteBytes(64<<20))
		for round := range 6 {
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			var rs []*kgo.Record
			for n := range 50 {
				value := fmt.Sprintf("%d/%d/%d", i, round, n)
				if n == 25 && round == 0 {
					value = large + value
				}
				rs = append(rs, &kgo.Record{Topic: topic, Value: []byte(value)})
			}
			if err := client.ProduceSync(limit(t), rs...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			keep := round%3 != 1
			if err := client.EndTransaction(limit(t), kgo.TransactionEndTry(keep)); err != nil {
				t.Fatal(err)
			}
			for _, r := range rs {
				if keep {
					want = append(want, string(r.Value))
				}
			}
		}
	}
	s := sourceSettings(k.Bootstrap(), "consumer.max.partition.fetch.bytes", "65536", "consumer.fetch.max.bytes", "131072")
	s.Connector = topic
	got := texts(t, begin(t, connectors.Config{"topics": topic}, s, alone{}), want[len(want)-1])
	if len(got) != len(want) {
		t.Fatalf("%d of %d records", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("record %d is %.20q…, not %.20q…", i, got[i], want[i])
		}
	}
}

// An offset that the log no longer has is reset, as auto.offset.reset says; with none the task fails and says what to do.
func TestSourceOutOfRange(t *testing.T) {
	k := bed.Kafka(t)
	topic := k.NewTopic(t, 1, nil)
	for n := range 20 {
		produce(t, k.Bootstrap(), &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(n))})
	}
	gone := kmsg.NewPtrDeleteRecordsRequest()
	gone.TimeoutMillis = 10_000
	gone.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 10}}}}
	if _, err := gone.RequestWith(limit(t), k.Client(t)); err != nil {
		t.Fatal(err)
	}
	commit := func(connector string) {
		t.Helper()
		s := sourceSettings(k.Bootstrap())
		s.Connector = connector
		at := offsets.Partition(fmt.Sprintf(`{"kafka_partition":0,"kafka_topic":%q}`, topic))
		if _, err := sources().SetOffsets(limit(t), nil, s, []offsets.Entry{{Partition: at, Offset: `{"kafka_offset":3}`}}); err != nil {
			t.Fatal(err)
		}
	}
	s := sourceSettings(k.Bootstrap())
	s.Connector = topic
	commit(topic)
	if got := texts(t, begin(t, connectors.Config{"topics": topic}, s, alone{}), "19"); len(got) != 10 || got[0] != "10" {
		t.Errorf("read %v", got)
	}
	s.Connector += "-none"
	commit(s.Connector)
	task := begin(t, connectors.Config{"topics": topic, "consumer.override.auto.offset.reset": "none"}, s, alone{})
	_, err := task.Poll(limit(t))
	if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), "topic "+topic+", partition 0") {
		t.Errorf("error %v", err)
	}
}
