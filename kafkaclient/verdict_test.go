package kafkaclient

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
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

// A broker that finds a partition outside of the transaction has ended it; the same records can be sent in another one.
func TestATransactionUnknownToABrokerIsAborted(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidTxnState, Count: 1})
	transact(t, p, 1, "a")
	if err := p.Commit(testContext(t)); !errors.Is(err, ErrTransactionAborted) || Permanent(err) {
		t.Fatalf("commit: %v", err)
	}
	if err := p.Abort(testContext(t)); err != nil {
		t.Fatal(err)
	}
	transact(t, p, 1, "a")
	commit(t, p)
	if got := committed(t, cluster, "t"); got != "a" {
		t.Errorf("committed %q", got)
	}
}
