package kafka

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

// BenchmarkSource reads records of 500 bytes from three partitions into nothing, beside sarama's own consumer group with a handler
// that counts; it reports records a second and CPU a record of each.
func BenchmarkSource(b *testing.B) {
	k := bed.Kafka(b)
	topic := k.NewTopic(b, 3, nil)
	client := k.Client(b)
	const total = 300_000
	value := make([]byte, 480)
	for range total {
		client.Produce(context.Background(), &kgo.Record{Topic: topic, Key: []byte("0123456789abcdefghij"), Value: value}, nil)
	}
	if err := client.Flush(limit(b)); err != nil {
		b.Fatal(err)
	}
	for _, side := range []struct {
		name string
		read func(b *testing.B, servers, topic, group string, n int)
	}{{"sarama", readBare}, {"source", readSource}, {"sarama again", readBare}, {"source again", readSource}} {
		b.Run(side.name, func(b *testing.B) {
			read := 0
			before := cpu()
			for range b.N {
				side.read(b, k.Bootstrap(), topic, "bench-"+time.Now().Format("150405.000000000"), total)
				read += total
			}
			b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(read), "cpu-ns/record")
		})
	}
}

// cpu is the time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pooled is a session whose batches use memory again, as the runtime's do.
type pooled struct {
	alone
	pool connectors.Pool
}

func (p *pooled) NewBatch(_ context.Context, of offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(of, &p.pool, nil), nil
}

func readSource(b *testing.B, servers, topic, group string, n int) {
	s := sourceSettings(servers)
	s.Connector = group
	task := newSource(b, connectors.Config{"topics": topic}, s)
	if err := task.Start(limit(b), &pooled{}); err != nil {
		b.Fatal(err)
	}
	for n > 0 {
		batch, err := task.Poll(limit(b))
		if err != nil {
			b.Fatal(err)
		}
		n -= len(batch.Records)
		batch.Release()
	}
	if err := task.Stop(limit(b)); err != nil {
		b.Fatal(err)
	}
}

// bareHandler counts records.
type bareHandler struct {
	once sync.Once
	left chan int
	done chan struct{}
}

func (*bareHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*bareHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *bareHandler) ConsumeClaim(_ sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for range claim.Messages() {
		n := <-h.left - 1
		h.left <- n
		if n == 0 {
			h.once.Do(func() { close(h.done) })
		}
	}
	return nil
}

func readBare(b *testing.B, servers, topic, group string, n int) {
	s := sourceSettings(servers)
	s.Connector = group
	config, err := kafkaclient.Parse(consumerProperties(nil, s))
	if err != nil {
		b.Fatal(err)
	}
	members, err := sarama.NewConsumerGroup([]string{servers}, group, config.Sarama())
	if err != nil {
		b.Fatal(err)
	}
	h := &bareHandler{left: make(chan int, 1), done: make(chan struct{})}
	h.left <- n
	ended := make(chan error, 1)
	go func() { ended <- members.Consume(context.Background(), []string{topic}, h) }()
	<-h.done
	if err := members.Close(); err != nil {
		b.Error(err)
	}
	if err := <-ended; err != nil && !errors.Is(err, sarama.ErrClosedConsumerGroup) {
		b.Error(err)
	}
}
