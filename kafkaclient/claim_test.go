package kafkaclient

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// An owner that was stopped for a while and starts again in place must not take the id back (I6), and does not so much as disturb
// whoever has it now.
func TestARestartInPlaceTakesNothingBack(t *testing.T) {
	k := bed.Kafka(t)
	for name, c := range map[string]struct{ zombieBegan, ownerBegan bool }{
		"both idle":                     {},
		"the owner has something open":  {false, true},
		"the zombie had something open": {true, false},
		"both had something open":       {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			topic := k.NewTopic(t, 1, nil)
			cfg := realConfig(t, k, "transactional.id", "claim-"+topic)
			fill := func(p *Producer, value string) {
				appendAll(t, p, topicOf(t, p, topic), 0, value)
				p.Mark(1)
				if err := p.Flush(testContext(t)); err != nil {
					t.Fatal(err)
				}
			}
			zombie := newProducer(t, cfg, ProducerOptions{})
			if c.zombieBegan {
				fill(zombie, "lost")
			}
			claim := zombie.Claim()
			zombie.Close()
			owner := newProducer(t, cfg, ProducerOptions{})
			mine := owner.Claim()
			if c.ownerBegan {
				fill(owner, "a")
			}
			_, err := NewProducer(testContext(t), openSession(t, cfg), cfg.Producer, ProducerOptions{Claim: claim})
			if !errors.Is(err, ErrFenced) {
				t.Fatalf("a restart in place: %v", err)
			}
			fill(owner, "b")
			owner.Cut()
			commit(t, owner)
			if now := owner.Claim(); now.Epoch != mine.Epoch {
				t.Errorf("the owner was disturbed: epoch %d became %d", mine.Epoch, now.Epoch)
			}
			want := "b"
			if c.ownerBegan {
				want = "a b"
			}
			if got := strings.Join(readTopic(t, cfg, topic, 0, sarama.ReadCommitted), " "); got != want {
				t.Errorf("committed %q, want %q", got, want)
			}
		})
	}
}

// Where nobody took over, a restart in place goes on: idle, in a transaction, after a time-out, and when the answer to the request
// for the id was lost.
func TestARestartInPlaceGoesOn(t *testing.T) {
	k := bed.Kafka(t)
	topic := k.NewTopic(t, 1, nil)
	cfg := realConfig(t, k, "transactional.id", "again-"+topic, "transaction.timeout.ms", "500")
	s := openSession(t, cfg)
	claim, told := Claim{}, Claim{}
	restart := func() *Producer {
		t.Helper()
		p, err := NewProducer(testContext(t), s, cfg.Producer, ProducerOptions{Claim: claim, Claimed: func(_ context.Context, c Claim) { told = c }})
		if err != nil {
			t.Fatalf("with claim %+v: %v", claim, err)
		}
		t.Cleanup(p.Close)
		return p
	}
	put := func(p *Producer, value string) {
		t.Helper()
		appendAll(t, p, topicOf(t, p, topic), 0, value)
		p.Mark(1)
		if err := p.Flush(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	p := restart()
	put(p, "a")
	p.Cut()
	commit(t, p)
	claim = p.Claim()
	p.Close()

	p = restart()
	put(p, "open")
	claim = p.Claim()
	p.Close()

	p = restart()
	put(p, "times out")
	claim = p.Claim()
	p.Close()
	waitFor(t, func() bool { return describeTxn(t, s, cfg.Producer.TransactionalID) == "CompleteAbort" })
	old, tells := claim, 0
	short, err := NewProducer(testContext(t), s, cfg.Producer, ProducerOptions{Claim: old, Claimed: func(_ context.Context, c Claim) {
		if tells++; tells == 1 {
			claim = c
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	short.Close()
	claim.Open = true
	if tells != 2 || claim == old { // it is killed before it hears that it holds the id
		t.Fatalf("told %d times, first of %+v", tells, claim)
	}
	for range 2 { // it is killed as soon as it holds the id
		restart().Close()
		claim, told.Open = told, true
	}

	p = restart()
	claim = p.Claim()
	if err := p.initProducerID(testContext(t), p.identity); err != nil { // its answer is lost
		t.Fatal(err)
	}
	p.Close()

	p = restart()
	put(p, "b")
	p.Cut()
	commit(t, p)
	if got := strings.Join(readTopic(t, cfg, topic, 0, sarama.ReadCommitted), " "); got != "a b" {
		t.Errorf("committed %q", got)
	}
}

// An idle owner has nothing that a coordinator could have ended: a raised epoch is a take-over, whatever its state.
func TestAnIdleOwnerIsNotTimedOut(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	first := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	transact(t, first, 1, "a")
	commit(t, first)
	newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	mine, asked := first.identity, 0
	cluster.ControlKey(int16(kmsg.DescribeTransactions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		asked++
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
		s := kmsg.NewDescribeTransactionsResponseTransactionState()
		s.TransactionalID, s.State, s.ProducerID, s.ProducerEpoch = "group-connector-0", "CompleteAbort", mine.id, mine.epoch+1
		resp.TransactionStates = append(resp.TransactionStates, s)
		return resp, nil, true
	})
	transact(t, first, 2, "lost")
	if err := first.Commit(testContext(t)); !errors.Is(err, ErrFenced) {
		t.Errorf("commit: %v", err)
	}
	claim := first.Claim()
	ctx, cancel := context.WithTimeout(testContext(t), 10*time.Second)
	defer cancel()
	if _, err := NewProducer(ctx, first.session, first.cfg, ProducerOptions{Claim: claim}); !errors.Is(err, ErrFenced) {
		t.Errorf("a restart in place: %v", err)
	}
	if asked != 2 {
		t.Errorf("the coordinator was asked %d times", asked)
	}
}
