package kafkaclient

import (
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Epochs end; after the last one the producer goes on with another id, whatever happens to the request for it.
func TestTheLastEpoch(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	p := newProducer(t, testConfig(t, cluster), ProducerOptions{})
	topic := topicOf(t, p, "t")
	put := func(part int32, values ...string) {
		t.Helper()
		appendAll(t, p, topic, part, values...)
		p.Mark(1)
		if err := p.Flush(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	first := p.identity.id
	topic.parts[0].identity.epoch = math.MaxInt16
	put(0, "a", "b")
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, Count: 2})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.UnknownProducerID, Count: 1})
	put(0, "c", "d")
	if got := strings.Join(readTopic(t, testConfig(t, cluster), "t", 0, sarama.ReadCommitted), " "); got != "a b c d" {
		t.Errorf("written %q", got)
	}
	if now := topic.parts[0].identity; now.id == first || now.epoch != 0 {
		t.Errorf("identity %v, the first id was %d", now, first)
	}
}

// A broker forgets a producer that was idle for long (producer.id.expiration.ms) and takes any sequence for its first then, so the
// first chunk after that goes alone again.
func TestFirstChunkAfterALongPauseGoesAlone(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	p := newProducer(t, testConfig(t, cluster, "batch.size", "150"), ProducerOptions{})
	topic := topicOf(t, p, "t")
	appendAll(t, p, topic, 0, "before")
	p.Mark(1)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	topic.parts[0].acked = topic.parts[0].acked.Add(-forgottenAfter)
	p.mu.Unlock()
	var once sync.Once
	arrived, release := make(chan struct{}), make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		once.Do(func() { close(arrived) })
		cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	appendAll(t, p, topic, 0, numbers(0, 200)...)
	p.Mark(2)
	<-arrived
	p.mu.Lock()
	pt := topic.parts[0]
	if len(pt.inflight) != 1 || len(pt.queue) == 0 || pt.place != nowhere {
		t.Errorf("%d chunks on their way, %d behind them, place %d; want one alone", len(pt.inflight), len(pt.queue), pt.place)
	}
	p.mu.Unlock()
	close(release)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(readTopic(t, testConfig(t, cluster), "t", 0, sarama.ReadCommitted), " "); got != "before "+strings.Join(numbers(0, 200), " ") {
		t.Errorf("written %q", got)
	}
}
