package kafkaclient

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// A coordinator that fences shows, for a moment, what it shows after a time-out: the transaction aborted, the epoch raised by one. Who
// takes that for a time-out begins again and throws out the one who has just taken over (I6).
func TestATakeOverInItsMiddleIsNoTimeout(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	first := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	transact(t, first, 1, "lost")
	if err := first.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	mine := first.identity
	cluster.ControlKey(int16(kmsg.DescribeTransactions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
		s := kmsg.NewDescribeTransactionsResponseTransactionState()
		s.TransactionalID, s.State, s.ProducerID, s.ProducerEpoch = "group-connector-0", "CompleteAbort", mine.id, mine.epoch+1
		resp.TransactionStates = append(resp.TransactionStates, s)
		return resp, nil, true
	})
	if err := first.Commit(testContext(t)); !errors.Is(err, ErrFenced) {
		t.Errorf("commit: %v", err)
	}
}

// What ends a transaction without a take-over is mended by the producer: the same records, in the same order, once.
func TestAnAbortedTransactionIsSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		key kmsg.Key
		err *kerr.Error
	}{
		"partition unknown to its leader":    {kmsg.Produce, kerr.InvalidTxnState},
		"produce abortable":                  {kmsg.Produce, kerr.TransactionAbortable},
		"epoch refused without a take-over":  {kmsg.Produce, kerr.InvalidProducerEpoch},
		"producer unknown":                   {kmsg.Produce, kerr.UnknownProducerID},
		"sequence lost":                      {kmsg.Produce, kerr.OutOfOrderSequenceNumber},
		"adding refused":                     {kmsg.AddPartitionsToTxn, kerr.InvalidTxnState},
		"adding abortable":                   {kmsg.AddPartitionsToTxn, kerr.TransactionAbortable},
		"adding with an epoch refused":       {kmsg.AddPartitionsToTxn, kerr.ProducerFenced},
		"adding with a mapping lost":         {kmsg.AddPartitionsToTxn, kerr.InvalidProducerIDMapping},
		"commit of an unknown transaction":   {kmsg.EndTxn, kerr.InvalidTxnState},
		"commit abortable":                   {kmsg.EndTxn, kerr.TransactionAbortable},
		"commit with an epoch refused":       {kmsg.EndTxn, kerr.InvalidProducerEpoch},
		"coordinator is moving while adding": {kmsg.AddPartitionsToTxn, kerr.NotCoordinator},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.SeedTopics(2, "t"))
			p := newProducer(t, txnConfig(t, cluster, "batch.size", "150"), ProducerOptions{})
			transact(t, p, 1, "before")
			commit(t, p)
			hit := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{c.key}, Err: c.err, Count: 3})
			transact(t, p, 2, numbers(0, 50)...)
			done := make(chan error, 1)
			go func() { done <- p.Commit(testContext(t)) }()
			appendAll(t, p, topicOf(t, p, "t"), 0, "next")
			p.Mark(3)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			p.Cut()
			commit(t, p)
			if got, want := committed(t, cluster, "t"), "before "+strings.Join(numbers(0, 50), " ")+" next"; got != want {
				t.Errorf("committed %q", got)
			}
			if hit.Hits() == 0 {
				t.Error("nothing went wrong")
			}
			if s := p.Stats(); s.Buffered != 0 || len(p.retained) != 0 || p.spare != 0 {
				t.Errorf("%d bytes and %d chunks are kept", s.Buffered, len(p.retained))
			}
		})
	}
}

func TestATransactionThatIsAlwaysAbortedIsGivenUp(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.TransactionAbortable, Count: -1, When: func(r kmsg.Request) bool {
		return r.(*kmsg.EndTxnRequest).Commit
	}})
	transact(t, p, 1, "a")
	if err := p.Commit(testContext(t)); !errors.Is(err, ErrTransactionAborted) || Permanent(err) {
		t.Errorf("commit: %v", err)
	}
}

// Somebody who took over and committed while the epoch seemed to be this producer's: what is read back tells.
func TestWhatIsReadBackDecides(t *testing.T) {
	for name, c := range map[string]struct {
		committed bool
		err       error
		want      string
	}{
		"committed after all": {true, nil, "0 a 2"},
		"not committed":       {false, nil, "0 a a 2"}, // the fake commit was one
		"somebody else's":     {false, ErrFenced, "0 a"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
			asked := 0
			p := newProducer(t, txnConfig(t, cluster), ProducerOptions{Recall: func(_ context.Context, ended bool) (bool, error) {
				if asked++; !ended {
					t.Error("the commit is not known to be open")
				}
				return c.committed, c.err
			}})
			transact(t, p, 0, "0")
			commit(t, p)
			transact(t, p, 1, "a")
			other, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MaxVersions(kversion.V3_3_0()))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			// It is done, the answer is lost, and the next one says that there is nothing to commit.
			n := 0
			cluster.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				switch n++; n {
				case 1:
					req := *r.(*kmsg.EndTxnRequest)
					cluster.SleepControl(func() {
						if _, err := req.RequestWith(testContext(t), other); err != nil {
							t.Error(err)
						}
					})
					return nil, errors.New("cut"), true
				case 3:
					resp := r.ResponseKind().(*kmsg.EndTxnResponse)
					resp.ErrorCode = kerr.InvalidTxnState.Code
					return resp, nil, true
				}
				return nil, nil, false
			})
			err = p.Commit(testContext(t))
			if !errors.Is(err, c.err) || asked != 1 {
				t.Fatalf("commit: %v, asked %d times", err, asked)
			}
			if err == nil {
				transact(t, p, 2, "2")
				commit(t, p)
			}
			if got := committed(t, cluster, "t"); got != c.want {
				t.Errorf("committed %q, want %q", got, c.want)
			}
		})
	}
}

func TestABusyCoordinatorIsNotWaitedForWithoutEnd(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.EndTxn} {
		cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
		p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
		p.busyLimit = 50 * time.Millisecond
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.ConcurrentTransactions, Count: -1})
		transact(t, p, 1, "a")
		err := p.Commit(testContext(t))
		if !errors.Is(err, ErrCoordinatorBusy) || Permanent(err) || !strings.Contains(err.Error(), "kafka-transactions.sh") {
			t.Errorf("commit: %v", err)
		}
	}
}
