package kafkaclient

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// BenchmarkProducer writes records of 500 bytes in batches of 1,000 to six partitions.
func BenchmarkProducer(b *testing.B) {
	for _, codec := range []string{"none", "lz4"} {
		b.Run(codec, func(b *testing.B) {
			cluster := fakeCluster(b, kfake.NumBrokers(1), kfake.SeedTopics(6, "t"), kfake.BlackholeProduce())
			cfg := testConfig(b, cluster, "compression.type", codec)
			p := newProducer(b, cfg, ProducerOptions{})
			topic := topicOf(b, p, "t")
			r := &Record{Value: make([]byte, 490), Timestamp: time.Now().UnixMilli()}
			for i := range r.Value {
				r.Value[i] = byte('a' + i*i%23)
			}
			key := []byte("0000000000")
			r.Key = key
			ctx := b.Context()
			b.SetBytes(500)
			b.ReportAllocs()
			for i := range b.N {
				key[i%10] = byte(i)
				if err := p.Append(ctx, topic, -1, r); err != nil {
					b.Fatal(err)
				}
				if i%1000 == 999 {
					p.Mark(uint64(i))
				}
			}
			p.Mark(0)
			if err := p.Flush(ctx); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(p.Stats().Records)/float64(p.Stats().Requests), "records/request")
		})
	}
}
