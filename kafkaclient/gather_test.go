package kafkaclient

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A small batch joins the one before it while a request is on its way; half a batch goes at once, and so do many small ones together.
func TestBatchesFormWhileARequestIsUnderWay(t *testing.T) {
	for _, c := range []struct {
		name       string
		partitions int32
		record     int // bytes
		marks      int
		under      int // requests on their way when everything is marked
		requests   int64
	}{
		{"small batches of one partition", 1, 10, 20, 1, 2},
		{"half a batch", 1, 600, 1, 2, 2},
		{"as often as there is half a batch", 1, 300, 4, 3, 3},
		{"many small ones together", 5, 250, 1, 2, 2},
		{"few small ones together", 2, 100, 1, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(8, "t"))
			cfg := testConfig(t, cluster, "batch.size", "1000")
			var got completions
			p := newProducer(t, cfg, ProducerOptions{Done: got.done})
			topic := topicOf(t, p, "t")
			for part := range int32(8) { // the first batch of a partition goes alone
				appendAll(t, p, topic, part, "first")
			}
			p.Mark(0)
			if err := p.Flush(testContext(t)); err != nil {
				t.Fatal(err)
			}
			release := make(chan struct{})
			cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				cluster.SleepControl(func() { <-release })
				return nil, nil, false
			})
			before := p.Stats().Requests
			appendAll(t, p, topic, 7, "the one under way")
			p.Mark(1)
			underWay(t, p, 1)
			for i := range c.marks {
				for part := range c.partitions {
					appendAll(t, p, topic, part, strings.Repeat("x", c.record))
				}
				p.Mark(uint64(2 + i))
			}
			underWay(t, p, c.under)
			close(release)
			if err := p.Flush(testContext(t)); err != nil {
				t.Fatal(err)
			}
			if n := p.Stats().Requests - before; n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			for i, token := range got.tokens {
				if token != uint64(i) {
					t.Fatalf("done in the order %v", got.tokens)
				}
			}
			want := fmt.Sprint(append([]string{"first"}, strings.Fields(strings.Repeat(strings.Repeat("x", c.record)+" ", c.marks))...))
			if have := fmt.Sprint(readTopic(t, cfg, "t", 0, sarama.ReadUncommitted)); have != want {
				t.Errorf("partition 0 has %.200s", have)
			}
		})
	}
}

// underWay waits until so many requests are on their way, and no more for a moment.
func underWay(t *testing.T, p *Producer, n int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for p.Stats().InFlight < n && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	if got := p.Stats().InFlight; got != n {
		t.Fatalf("%d requests are on their way, want %d", got, n)
	}
}
