package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

func txnConfig(t testing.TB, cluster *kfake.Cluster, extra ...string) *Config {
	return testConfig(t, cluster, append([]string{"transactional.id", "group-connector-0"}, extra...)...)
}

// transact appends values to partition 0 of topic t as one transaction, without committing.
func transact(t *testing.T, p *Producer, token uint64, values ...string) {
	t.Helper()
	appendAll(t, p, topicOf(t, p, "t"), 0, values...)
	p.Mark(token)
	p.Cut()
}

func commit(t *testing.T, p *Producer) {
	t.Helper()
	if err := p.Commit(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func committed(t *testing.T, cluster *kfake.Cluster, topic string) string {
	t.Helper()
	return strings.Join(readTopic(t, testConfig(t, cluster), topic, 0, sarama.ReadCommitted), " ")
}

func TestTransactionIsVisibleAfterCommitOnly(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t", "offsets"))
	p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	appendAll(t, p, topicOf(t, p, "t"), 0, "a", "b")
	appendAll(t, p, topicOf(t, p, "offsets"), 0, "1")
	p.Mark(1)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	// Its own isolation level tells "written" from "committed" here; a committed read would wait for the transaction's end.
	if got := readTopic(t, testConfig(t, cluster), "t", 0, sarama.ReadUncommitted); len(got) < 2 {
		t.Fatalf("written: %v", got)
	}
	if info := cluster.PartitionInfo("t", 0); info.LastStableOffset != 0 {
		t.Fatalf("visible before commit: %+v", info)
	}
	p.Cut()
	commit(t, p)
	if got := committed(t, cluster, "t"); got != "a b" {
		t.Fatalf("after commit: %q", got)
	}
	if got := committed(t, cluster, "offsets"); got != "1" {
		t.Fatalf("offsets: %q", got)
	}
}

func TestWhatArrivesDuringCommitGoesIntoTheNextTransaction(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	release := make(chan struct{})
	ending := make(chan struct{})
	cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.DropControl()
		close(ending)
		cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	transact(t, p, 1, "a")
	done := make(chan error, 1)
	go func() { done <- p.Commit(testContext(t)) }()
	<-ending
	transact(t, p, 2, "b", "c")
	if info := cluster.PartitionInfo("t", 0); info.HighWatermark != 1 {
		t.Errorf("the next transaction's records were sent during the commit: %+v", info)
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	commit(t, p)
	if got := committed(t, cluster, "t"); got != "a b c" {
		t.Errorf("committed %q", got)
	}
}

// The refused chunk must not wait behind a chunk of the next transaction, which waits for its commit.
func TestRetryWithTheNextTransactionBehindIt(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	transact(t, p, 0, "0")
	commit(t, p)
	release := make(chan struct{})
	arrived := make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(arrived)
		cluster.SleepControl(func() { <-release })
		return nil, errors.New("cut"), true
	})
	transact(t, p, 1, "1")
	<-arrived
	appendAll(t, p, topicOf(t, p, "t"), 0, "2")
	p.Mark(2)
	close(release)
	commit(t, p)
	p.Cut()
	commit(t, p)
	if got := committed(t, cluster, "t"); got != "0 1 2" {
		t.Errorf("committed %q", got)
	}
}

func TestAbortThenTheSameRecordsAgain(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	transact(t, p, 1, "before")
	commit(t, p)
	transact(t, p, 2, "a", "b")
	if err := p.Abort(testContext(t)); err != nil {
		t.Fatal(err)
	}
	transact(t, p, 2, "a", "b")
	commit(t, p)
	transact(t, p, 3, "after")
	commit(t, p)
	if got := committed(t, cluster, "t"); got != "before a b after" {
		t.Errorf("committed %q", got)
	}
}

func TestAbortAfterARefusedRecord(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	transact(t, p, 1, "before")
	commit(t, p)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord})
	transact(t, p, 2, "bad")
	var re *RecordError
	if err := p.Commit(testContext(t)); !errors.As(err, &re) {
		t.Fatalf("commit: %v", err)
	}
	if err := p.Abort(testContext(t)); err != nil {
		t.Fatal(err)
	}
	transact(t, p, 3, "good")
	commit(t, p)
	if got := committed(t, cluster, "t"); got != "before good" {
		t.Errorf("committed %q", got)
	}
}

func TestASecondProducerFencesTheFirst(t *testing.T) {
	for _, at := range []string{"append", "commit"} {
		t.Run(at, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
			cfg := txnConfig(t, cluster)
			first := newProducer(t, cfg, ProducerOptions{})
			if at == "commit" {
				transact(t, first, 1, "lost")
				if err := first.Flush(testContext(t)); err != nil {
					t.Fatal(err)
				}
			}
			second := newProducer(t, cfg, ProducerOptions{})
			if at == "append" {
				transact(t, first, 1, "lost")
			}
			if err := first.Commit(testContext(t)); !errors.Is(err, ErrFenced) {
				t.Fatalf("commit of the first: %v", err)
			}
			if err := first.Abort(testContext(t)); !errors.Is(err, ErrFenced) {
				t.Errorf("abort of the first: %v", err)
			}
			if err := first.Append(testContext(t), topicOf(t, second, "t"), 0, &Record{}); !errors.Is(err, ErrFenced) {
				t.Errorf("append to the first: %v", err)
			}
			transact(t, second, 1, "kept")
			commit(t, second)
			if got := committed(t, cluster, "t"); got != "kept" {
				t.Errorf("committed %q", got)
			}
		})
	}
}

func TestCommitGetsOverFaults(t *testing.T) {
	cut := func(cluster *kfake.Cluster, key kmsg.Key, apply bool) {
		n := 0
		cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if n++; n%3 == 1 {
				return nil, errors.New("cut"), true
			}
			return nil, nil, false
		})
	}
	for name, inject := range map[string]func(*kfake.Cluster){
		"answer to EndTxn lost":   func(c *kfake.Cluster) { cut(c, kmsg.EndTxn, false) },
		"answer to AddPartitions": func(c *kfake.Cluster) { cut(c, kmsg.AddPartitionsToTxn, false) },
		"produce cut":             func(c *kfake.Cluster) { cut(c, kmsg.Produce, false) },
		"coordinator moves":       func(c *kfake.Cluster) { c.RehashCoordinators() },
		"concurrent transactions": func(c *kfake.Cluster) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ConcurrentTransactions, Count: 5})
		},
		"coordinator loads": func(c *kfake.Cluster) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.CoordinatorLoadInProgress, Count: 3})
		},
		"not coordinator": func(c *kfake.Cluster) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.NotCoordinator, Count: 3})
		},
		"concurrent when adding": func(c *kfake.Cluster) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Err: kerr.ConcurrentTransactions, Count: 5})
		},
		"time-out after the commit": func(c *kfake.Cluster) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.RequestTimedOut, Count: 2})
		},
		"leader unknown while open": func(c *kfake.Cluster) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.LeaderNotAvailable, Count: 4})
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
			p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
			transact(t, p, 0, "0")
			commit(t, p)
			inject(cluster)
			for i := 1; i < 20; i++ {
				transact(t, p, uint64(i), fmt.Sprint(i))
				commit(t, p)
			}
			if got, want := committed(t, cluster, "t"), strings.Join(numbers(0, 20), " "); got != want {
				t.Errorf("committed %q", got)
			}
		})
	}
}

func TestCommitWithoutAnAnswerIsAnUnknownOutcome(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	transact(t, p, 1, "a")
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		cancel()
		return nil, errors.New("cut"), true
	})
	if err := p.Commit(ctx); !errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("commit: %v", err)
	}
}

func TestOldBrokers(t *testing.T) {
	for name, versions := range map[string]*kversion.Versions{"2.8": kversion.V2_8_0(), "3.3": kversion.V3_3_0()} {
		t.Run(name, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "t"), kfake.MaxVersions(versions))
			p := newProducer(t, txnConfig(t, cluster, "compression.type", "zstd"), ProducerOptions{})
			transact(t, p, 1, "a")
			commit(t, p)
			transact(t, p, 2, "b")
			if err := p.Abort(testContext(t)); err != nil {
				t.Fatal(err)
			}
			transact(t, p, 2, "b")
			commit(t, p)
			if got := committed(t, cluster, "t"); got != "a b" {
				t.Errorf("committed %q", got)
			}
			s := openSession(t, testConfig(t, cluster))
			if err := s.Create(testContext(t), NewTopic{Name: "new", Partitions: 1, Replication: 1}); err != nil {
				t.Error(err)
			}
			newer := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
			transact(t, p, 3, "c")
			if err := p.Commit(testContext(t)); !errors.Is(err, ErrFenced) {
				t.Errorf("commit after a take-over: %v", err)
			}
			newer.Close()
		})
	}
}

func TestEmptyTransactionsCostNothing(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	p := newProducer(t, txnConfig(t, cluster), ProducerOptions{})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.InvalidTxnState, Count: -1})
	p.Mark(1)
	p.Cut()
	commit(t, p)
}

// Whoever waits while a transaction is sent again hears of Close, not only of the end of its context.
func TestCloseDuringAResend(t *testing.T) {
	for _, waiter := range []string{"commit", "flush", "append", "abort"} {
		t.Run(waiter, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
			p := newProducer(t, txnConfig(t, cluster, "buffer.memory", "40000", "batch.size", "10000"), ProducerOptions{})
			busy := make(chan struct{})
			var once sync.Once
			cluster.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				once.Do(func() { close(busy) })
				resp := r.ResponseKind().(*kmsg.InitProducerIDResponse)
				resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
				return resp, nil, true
			})
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidTxnState, Count: -1})
			transact(t, p, 1, "a")
			<-busy
			topic := topicOf(t, p, "t")
			done := make(chan error, 1)
			go func() {
				switch waiter {
				case "commit":
					done <- p.Commit(context.Background())
				case "flush":
					done <- p.Flush(context.Background())
				case "append":
					var err error
					for err == nil {
						err = p.Append(context.Background(), topic, 0, &Record{Value: make([]byte, 5000)})
					}
					done <- err
				case "abort":
					done <- p.Abort(context.Background())
				}
			}()
			waitFor(t, func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.watchers > 0 || waiter == "abort" && p.broke == nil
			})
			p.Close()
			select {
			case err := <-done:
				if !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", waiter, err)
				}
			case <-testContext(t).Done():
				t.Fatalf("%s hears nothing of Close", waiter)
			}
			if err := p.Err(); err == nil {
				t.Error("the closed producer has no error")
			}
		})
	}
}
