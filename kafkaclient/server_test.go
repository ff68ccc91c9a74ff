package kafkaclient

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/testbed"
)

// The tests in this file run against a real broker.

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

func realConfig(t testing.TB, k *testbed.Kafka, extra ...string) *Config {
	t.Helper()
	props := map[string]string{"bootstrap.servers": k.Bootstrap()}
	for i := 0; i < len(extra); i += 2 {
		props[extra[i]] = extra[i+1]
	}
	cfg, err := Parse(props)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A transaction that was open for too long is not a take-over: the producer sends it again.
func TestTransactionTimeoutIsNoFence(t *testing.T) {
	k := bed.Kafka(t)
	name := k.NewTopic(t, 1, nil)
	cfg := realConfig(t, k, "transactional.id", "timeout-"+name, "transaction.timeout.ms", "500")
	p := newProducer(t, cfg, ProducerOptions{})
	topic := topicOf(t, p, name)
	s := openSession(t, cfg)
	for i := range 3 {
		appendAll(t, p, topic, 0, strconv.Itoa(2*i))
		p.Mark(1)
		if err := p.Flush(testContext(t)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return describeTxn(t, s, cfg.Producer.TransactionalID) == "CompleteAbort" })
		if i == 1 { // this one is noticed by a partition's leader, the others by the coordinator
			appendAll(t, p, topic, 0, strconv.Itoa(2*i+1))
			p.Mark(2)
		}
		p.Cut()
		commit(t, p)
	}
	if got := readTopic(t, realConfig(t, k), name, 0, sarama.ReadCommitted); strings.Join(got, " ") != "0 2 3 4" {
		t.Errorf("committed %v", got)
	}
}

// What the brokers of today answer when a transaction is ended behind the producer's back, or begun again by it.
func TestAbortAndBeginAgainOnARealBroker(t *testing.T) {
	k := bed.Kafka(t)
	name := k.NewTopic(t, 2, nil)
	p := newProducer(t, realConfig(t, k, "transactional.id", "again-"+name, "batch.size", "200"), ProducerOptions{})
	topic := topicOf(t, p, name)
	var want []string
	for i := range 20 {
		values := numbers(i*10, i*10+10)
		want = append(want, values...)
		appendAll(t, p, topic, 0, values[:5]...)
		p.Mark(1)
		if err := p.Flush(testContext(t)); err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		switch i % 4 {
		case 1:
			p.interrupt(&breach{cause: errors.New("a broker lost it")})
		case 2:
			p.interrupt(&breach{cause: errors.New("an epoch was refused"), code: sarama.ErrInvalidProducerEpoch})
		case 3:
			p.interrupt(&breach{cause: errors.New("the outcome is open"), ended: true})
		}
		p.mu.Unlock()
		appendAll(t, p, topic, 0, values[5:]...)
		p.Mark(2)
		p.Cut()
		commit(t, p)
	}
	if got := readTopic(t, realConfig(t, k), name, 0, sarama.ReadCommitted); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("committed %v", got)
	}
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for !ok() {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			t.Fatal("condition not met in time")
		}
	}
}

func describeTxn(t testing.TB, s *Session, id string) string {
	t.Helper()
	b, err := s.client.TransactionCoordinator(id)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.DescribeTransactions(&sarama.DescribeTransactionsRequest{TransactionalIDs: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	st := resp.TransactionStates[0]
	return st.TransactionState
}

// A broker that is killed and comes back costs time, and no record and no order.
func TestBrokerKilledUnderLoad(t *testing.T) {
	k := testbed.StartKafka(t)
	const parts, total = 3, 4000
	k.CreateTopic(t, "t", parts, nil)
	var got completions
	cfg := realConfig(t, k, "batch.size", "2000")
	p := newProducer(t, cfg, ProducerOptions{Done: got.done})
	topic := topicOf(t, p, "t")
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	back := make(chan struct{})
	for i := range total {
		for part := range int32(parts) {
			if err := p.Append(ctx, topic, part, &Record{Value: []byte(strconv.Itoa(i)), Timestamp: time.Now().UnixMilli()}); err != nil {
				t.Fatal(err)
			}
		}
		p.Mark(uint64(i))
		if i == total/3 {
			k.Kill(t)
			go func() {
				defer close(back)
				k.Restart(t)
			}()
		}
	}
	<-back
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if p.Stats().Retries == 0 || len(got.tokens) != total {
		t.Errorf("%d retries, %d batches done", p.Stats().Retries, len(got.tokens))
	}
	for part := range int32(parts) {
		if have := readTopic(t, cfg, "t", part, sarama.ReadCommitted); strings.Join(have, " ") != strings.Join(numbers(0, total), " ") {
			t.Errorf("partition %d has %d records", part, len(have))
		}
	}
}

func TestATakeOverFencesOnARealBroker(t *testing.T) {
	k := bed.Kafka(t)
	for _, begun := range []bool{false, true} {
		name := k.NewTopic(t, 1, nil)
		cfg := realConfig(t, k, "transactional.id", "fence-"+name)
		first := newProducer(t, cfg, ProducerOptions{})
		topic := topicOf(t, first, name)
		if begun {
			appendAll(t, first, topic, 0, "lost")
			first.Mark(1)
			if err := first.Flush(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}
		second := newProducer(t, cfg, ProducerOptions{})
		appendAll(t, first, topic, 0, "lost too")
		first.Mark(2)
		first.Cut()
		if err := first.Commit(testContext(t)); !errors.Is(err, ErrFenced) {
			t.Fatalf("commit: %v", err)
		}
		if err := first.Append(testContext(t), topic, 0, &Record{}); !errors.Is(err, ErrFenced) {
			t.Fatalf("append: %v", err)
		}
		for i := range 50 {
			appendAll(t, second, topicOf(t, second, name), 0, strconv.Itoa(i))
			second.Mark(uint64(i))
			second.Cut()
			commit(t, second)
		}
		if got := readTopic(t, cfg, name, 0, sarama.ReadCommitted); strings.Join(got, " ") != strings.Join(numbers(0, 50), " ") {
			t.Errorf("committed %v", got)
		}
	}
}

func TestTopicsOnARealBroker(t *testing.T) {
	k := bed.Kafka(t)
	cfg := realConfig(t, k)
	s := openSession(t, cfg)
	name := "made-" + k.NewTopic(t, 1, nil)
	if _, err := s.Describe(testContext(t), name); !errors.Is(err, ErrTopicMissing) {
		t.Fatalf("describe: %v", err)
	}
	err := s.Create(testContext(t), NewTopic{Name: name, Partitions: 3, Replication: -1, Settings: map[string]string{"cleanup.policy": "compact"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Describe(testContext(t), name)
	if err != nil || len(info.Partitions) != 3 || info.Replication != 1 {
		t.Fatalf("describe: %+v %v", info, err)
	}
	if settings, err := s.Settings(testContext(t), name); err != nil || settings["cleanup.policy"] != "compact" {
		t.Fatalf("settings: %v %v", settings["cleanup.policy"], err)
	}
	if err := s.Create(testContext(t), NewTopic{Name: name, Partitions: 9, Replication: 1}); err != nil {
		t.Errorf("create again: %v", err)
	}
	for want, bad := range map[string]NewTopic{
		"larger than the number of brokers": {Name: name + "a", Partitions: 1, Replication: 3},
		"topic names may have":              {Name: "no/name", Partitions: 1, Replication: 1},
		"no.such.setting":                   {Name: name + "b", Partitions: 1, Replication: 1, Settings: map[string]string{"no.such.setting": "1"}},
	} {
		if err := s.Create(testContext(t), bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func BenchmarkRealBroker(b *testing.B) {
	k := bed.Kafka(b)
	for _, codec := range []string{"none", "lz4"} {
		b.Run(codec, func(b *testing.B) {
			p := newProducer(b, realConfig(b, k, "compression.type", codec), ProducerOptions{})
			topic := topicOf(b, p, k.NewTopic(b, 6, nil))
			r := &Record{Key: []byte("0000000000"), Value: []byte(strings.Repeat("abcdefghij", 49)), Timestamp: time.Now().UnixMilli()}
			b.SetBytes(500)
			b.ReportAllocs()
			for i := range b.N {
				r.Key[i%10] = byte(i)
				if err := p.Append(b.Context(), topic, -1, r); err != nil {
					b.Fatal(err)
				}
				if i%1000 == 999 {
					p.Mark(uint64(i))
				}
			}
			p.Mark(0)
			if err := p.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// What lies behind a transaction that does not end cannot be read; whoever waits for it hears of that.
func TestAnOpenTransactionIsNotWaitedForWithoutEnd(t *testing.T) {
	k := bed.Kafka(t)
	name := k.NewTopic(t, 1, nil)
	p := newProducer(t, realConfig(t, k, "transactional.id", "open-"+name), ProducerOptions{})
	appendAll(t, p, topicOf(t, p, name), 0, "held")
	p.Mark(1)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	l := &Log{cfg: realConfig(t, k), topic: name, isolation: sarama.ReadCommitted, patience: 300 * time.Millisecond}
	err := l.ReadToEnd(testContext(t), func(int32, Message) error { return nil })
	if !errors.Is(err, errOpen) || !strings.Contains(err.Error(), "partition 0 at offset 0 of 1") || Permanent(err) {
		t.Errorf("while it is open: %v", err)
	}
	p.Cut()
	if err := p.Commit(testContext(t)); err != nil {
		t.Fatal(err)
	}
	l.patience = 0 // the broker answers a commit before it ends the transaction in the partition
	read := 0
	if err := l.ReadToEnd(testContext(t), func(int32, Message) error { read++; return nil }); err != nil || read != 1 {
		t.Errorf("after its end: %d records, %v", read, err)
	}
}
