package kafkaclient

import (
	"context"
	"errors"
	"os"
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

// A transaction that was open for too long is not a take-over: the same producer goes on after Abort.
func TestTransactionTimeoutIsNoFence(t *testing.T) {
	k := bed.Kafka(t)
	name := k.NewTopic(t, 1, nil)
	cfg := realConfig(t, k, "transactional.id", "timeout-"+name, "transaction.timeout.ms", "500")
	p := newProducer(t, cfg, ProducerOptions{})
	topic := topicOf(t, p, name)
	appendAll(t, p, topic, 0, "lost")
	p.Mark(1)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	s := openSession(t, cfg)
	waitFor(t, func() bool { return describeTxn(t, s, cfg.Producer.TransactionalID) == "CompleteAbort" })
	err := p.Commit(testContext(t))
	if !errors.Is(err, ErrTransactionAborted) || errors.Is(err, ErrFenced) {
		t.Fatalf("commit: %v", err)
	}
	if err := p.Abort(testContext(t)); err != nil {
		t.Fatal(err)
	}
	appendAll(t, p, topic, 0, "kept")
	p.Mark(2)
	p.Cut()
	commit(t, p)
	if got := readTopic(t, realConfig(t, k), name, 0, sarama.ReadCommitted); strings.Join(got, " ") != "kept" {
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
