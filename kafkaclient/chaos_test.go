package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// chaos makes one in ten requests of a producer fail, in ways that a broker's crash, a slow replica, a moved leader or a moved
// coordinator show.
func chaos(cluster *kfake.Cluster, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1)) // control functions run one at a time
	codes := []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.KafkaStorageError}
	txn := []*kerr.Error{kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.CoordinatorNotAvailable}
	cluster.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		key := kmsg.Key(r.Key())
		if rng.IntN(10) > 0 {
			return nil, nil, false
		}
		switch key {
		case kmsg.Produce:
			switch rng.IntN(4) {
			case 0:
				return nil, errors.New("cut"), true
			case 1:
				go cluster.ShufflePartitionLeaders()
			default:
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: codes[rng.IntN(len(codes))], Partitions: []int32{rng.Int32N(4)}, Count: 1 + rng.IntN(3)})
			}
		case kmsg.AddPartitionsToTxn, kmsg.EndTxn:
			switch rng.IntN(4) {
			case 0:
				return nil, errors.New("cut"), true
			case 1:
				go cluster.RehashCoordinators()
			default:
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: txn[rng.IntN(len(txn))]})
			}
		}
		return nil, nil, false
	})
}

func TestOrderUnderChaos(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			cluster := fakeCluster(t, kfake.SeedTopics(4, "t"))
			chaos(cluster, seed)
			if p := produceNumbered(t, cluster, 4, 1000, "batch.size", "200", "buffer.memory", "60000"); p.Stats().Retries == 0 {
				t.Error("nothing went wrong")
			}
		})
	}
}

// One goroutine appends, another cuts and commits, as the exactly-once sink does.
func TestTransactionsUnderChaos(t *testing.T) {
	const total, parts = 600, 4
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			cluster := fakeCluster(t, kfake.SeedTopics(parts, "t"))
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			p := newProducer(t, txnConfig(t, cluster, "batch.size", "200", "buffer.memory", "60000"), ProducerOptions{})
			topic := topicOf(t, p, "t")
			chaos(cluster, seed)
			var mu sync.Mutex
			ready, finished := make(chan struct{}, 1), make(chan error, 1)
			appended := 0
			go func() {
				for done := 0; done < total; {
					<-ready
					mu.Lock()
					n := appended
					p.Cut()
					mu.Unlock()
					if err := p.Commit(ctx); err != nil {
						finished <- err
						return
					}
					done = n
				}
				finished <- nil
			}()
			for i := range total {
				mu.Lock()
				for part := range int32(parts) {
					if i%int(part+1) == 0 {
						if err := p.Append(ctx, topic, part, &Record{Value: fmt.Append(nil, i), Timestamp: time.Now().UnixMilli()}); err != nil {
							t.Error(err)
						}
					}
				}
				p.Mark(uint64(i))
				appended++
				mu.Unlock()
				signal(ready)
			}
			if err := <-finished; err != nil {
				t.Fatal(err)
			}
			cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) { return nil, nil, false })
			for part := range parts {
				var want []string
				for i := 0; i < total; i += part + 1 {
					want = append(want, fmt.Sprint(i))
				}
				if got := readTopic(t, testConfig(t, cluster), "t", int32(part), sarama.ReadCommitted); strings.Join(got, " ") != strings.Join(want, " ") {
					t.Errorf("partition %d: %d of %d records, or out of order: %.300v", part, len(got), len(want), got)
				}
			}
		})
	}
}
