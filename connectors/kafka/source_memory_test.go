package kafka

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// limited is a session with a budget, as the runtime's: a batch is charged an estimate when it is begun, and what it weighs from then on.
type limited struct {
	alone
	limit int

	mu      sync.Mutex
	used    int
	most    int
	waiting int
	freed   chan struct{}
}

const estimate = 64 << 10

func (l *limited) NewBatch(ctx context.Context, p offsets.Partition) (*connectors.Builder, error) {
	for {
		l.mu.Lock()
		if l.used == 0 || l.used+estimate <= l.limit {
			break
		}
		freed := l.freed
		l.waiting++
		l.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	l.mu.Unlock()
	charged := 0
	charge := func(n int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.used += n - charged
		if charged = n; n == 0 {
			l.waiting = 0
			close(l.freed)
			l.freed = make(chan struct{})
		}
		l.most = max(l.most, l.used)
	}
	charge(estimate)
	w := connectors.NewBuilder(p, nil, func(*connectors.Batch) { charge(0) })
	w.OnFinish(func(b *connectors.Batch) { charge(b.Size()) })
	return w, nil
}

// full tells that somebody waits for room.
func (l *limited) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting > 0
}

func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Large records of many partitions, far more than the budget: what is in memory is what is charged, whoever is slow, and in the end all of
// them have come.
func TestSourceIsBoundedInMemory(t *testing.T) {
	const partitions, each, size, budget = 8, 8, 1_000_000, 4 << 20
	k := bed.Kafka(t)
	topic := k.NewTopic(t, partitions, map[string]string{"max.message.bytes": "4194304"})
	client := k.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(2<<20))
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	for n := range partitions * each {
		if err := client.ProduceSync(limit(t), &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	s := sourceSettings(k.Bootstrap())
	s.Connector = topic
	session := &limited{limit: budget, freed: make(chan struct{})}
	before := live()
	task := begin(t, connectors.Config{"topics": topic}, s, session)
	ctx, cancel := context.WithCancel(limit(t))
	defer cancel()
	batches := make(chan *connectors.Batch, partitions*each)
	go func() {
		defer close(batches)
		for {
			b, err := task.Poll(ctx)
			if err != nil {
				return
			}
			batches <- b
		}
	}()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !session.full() { // nobody takes anything, so everything has come that is going to
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatal("the budget was not used up")
		}
	}
	if held := live() - before; held > 2*budget {
		t.Errorf("%d bytes are in memory, and %d may be", held, budget)
	}
	peak := int64(0)
	for n := 0; n < partitions*each; {
		select {
		case b := <-batches:
			n += len(b.Records)
			b.Release()
		case <-ctx.Done():
			t.Fatalf("%d of %d records came", n, partitions*each)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, int64(m.HeapInuse)-before)
	}
	session.mu.Lock()
	defer session.mu.Unlock()
	t.Logf("%d bytes were charged at most, %d in use by the heap, of %d", session.most, peak, partitions*each*size)
	if session.most > budget+3*size {
		t.Errorf("%d bytes were charged, and %d may be", session.most, budget)
	}
}
