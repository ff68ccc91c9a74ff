package kafkaclient

import (
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

const (
	encodedRecords = 1000 // in one request
	encodedValue   = 490
)

// discard is a connection that takes everything.
type discard struct{ net.Conn }

func (discard) Write(p []byte) (int, error)      { return len(p), nil }
func (discard) Read([]byte) (int, error)         { select {} }
func (discard) Close() error                     { return nil }
func (discard) SetDeadline(time.Time) error      { return nil }
func (discard) SetReadDeadline(time.Time) error  { return nil }
func (discard) SetWriteDeadline(time.Time) error { return nil }

type nowhereDialer struct{}

func (nowhereDialer) Dial(string, string) (net.Conn, error) { return discard{}, nil }

// sample is a value of the benchmarks: it is written by a converter, so each of them copies it from here once.
func sample() []byte {
	value := make([]byte, encodedValue)
	for i := range value {
		value[i] = byte('a' + i*i%23)
	}
	return value
}

// BenchmarkEncode renders 1,000 records of 500 bytes into one record batch, uncompressed: by Append's chunks, and by sarama's encoder of the
// same request.
func BenchmarkEncode(b *testing.B) {
	value, key := sample(), []byte("0000000000")
	now := time.UnixMilli(1_700_000_000_000)
	b.Run("chunk", func(b *testing.B) {
		c := &chunk{size: batchOverhead, plain: true}
		k := &packer{codec: sarama.CompressionNone}
		scratch := make([]byte, 0, encodedValue)
		b.SetBytes(encodedRecords * 500)
		b.ReportAllocs()
		for range b.N {
			for range encodedRecords {
				scratch = append(scratch[:0], value...)
				r := &Record{Key: key, Value: scratch, Timestamp: now.UnixMilli()}
				if page, _ := c.turn(recordSize(r), 1_000_000); page > 0 {
					c.grow(page)
				}
				c.append(r)
			}
			c.sequenced = true
			if err := c.seal(k, false); err != nil {
				b.Fatal(err)
			}
			c.reset()
			c.plain = true
		}
	})
	b.Run("sarama", func(b *testing.B) {
		conf := sarama.NewConfig()
		conf.Version, conf.ApiVersionsRequest = sarama.V2_1_0_0, false
		conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, nowhereDialer{}
		broker := sarama.NewBroker("nowhere:1")
		if err := broker.Open(conf); err != nil {
			b.Fatal(err)
		}
		defer func() { _ = broker.Close() }()
		b.SetBytes(encodedRecords * 500)
		b.ReportAllocs()
		for range b.N {
			batch := &sarama.RecordBatch{Version: 2, ProducerID: 1, FirstTimestamp: now, MaxTimestamp: now, LastOffsetDelta: encodedRecords - 1}
			for i := range encodedRecords {
				batch.Records = append(batch.Records, &sarama.Record{Key: key, Value: append([]byte(nil), value...), OffsetDelta: int64(i)})
			}
			req := &sarama.ProduceRequest{RequiredAcks: sarama.NoResponse, Timeout: 30000, Version: 7}
			req.AddBatch("t", 0, batch)
			if _, err := broker.Produce(req); err != nil {
				b.Fatal(err)
			}
		}
	})
}
