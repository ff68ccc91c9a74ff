package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// TestARefusedRecordIsLeftOut has records that only the broker can tell to be too large, among others in the same batches: it is asked
// about each of them once, and everything else is written once and in order, while more is on its way.
func TestARefusedRecordIsLeftOut(t *testing.T) {
	k := bed.Kafka(t)
	for _, codec := range []string{"none", "zstd"} {
		for _, exactly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in transactions: %v", codec, exactly), func(t *testing.T) {
				const partitions, records = 3, 600
				name := k.NewTopic(t, partitions, map[string]string{"max.message.bytes": "3000"})
				props := []string{"compression.type", codec, "retry.backoff.ms", "20"}
				if exactly {
					props = append(props, "transactional.id", "refused-"+name)
				}
				cfg := realConfig(t, k, props...)
				var mu sync.Mutex
				refused, wanted := []uint64{}, []uint64{}
				p := newProducer(t, cfg, ProducerOptions{Refused: func(_ context.Context, ref uint64, err *RecordError) error {
					mu.Lock()
					defer mu.Unlock()
					refused = append(refused, ref)
					if !errors.Is(err, sarama.ErrMessageSizeTooLarge) || err.Topic != name || err.Records != 1 || err.Bytes < 4000 || !strings.Contains(err.Error(), "max.message.bytes") {
						t.Errorf("refused with %v", err)
					}
					return nil
				}})
				topic := topicOf(t, p, name)
				rng := rand.New(rand.NewPCG(177, uint64(len(codec))))
				noise := func(n int) string { // cannot be compressed below its half
					b := make([]byte, n)
					for i := range b {
						b[i] = byte('!' + rng.IntN(90))
					}
					return string(b)
				}
				var want [partitions][]string
				for i := range records {
					at, text := rng.Int32N(partitions), fmt.Sprint(i, " ", noise(rng.IntN(400)))
					if rng.IntN(25) == 0 {
						text = fmt.Sprint(i, " ", noise(4000+rng.IntN(4000)))
						wanted = append(wanted, uint64(i+1))
					} else {
						want[at] = append(want[at], text)
					}
					if err := p.Append(testContext(t), topic, at, &Record{Value: []byte(text), Timestamp: time.Now().UnixMilli(), Ref: uint64(i + 1)}); err != nil {
						t.Fatal(err)
					}
					if rng.IntN(30) == 0 {
						p.Mark(uint64(i))
					}
					if exactly && rng.IntN(150) == 0 {
						p.Mark(uint64(i))
						p.Cut()
						commit(t, p)
					}
				}
				p.Mark(records)
				if exactly {
					p.Cut()
					commit(t, p)
				} else if err := p.Flush(testContext(t)); err != nil {
					t.Fatal(err)
				}
				for at := range want {
					if got := readTopic(t, realConfig(t, k), name, int32(at), sarama.ReadCommitted); !slices.Equal(got, want[at]) {
						t.Errorf("partition %d has %d records, want %d", at, len(got), len(want[at]))
					}
				}
				slices.Sort(refused)
				if !slices.Equal(refused, wanted) {
					t.Errorf("refused: %v, want %v", refused, wanted)
				}
				if s := p.Stats(); int(s.Records) != records-len(wanted) {
					t.Errorf("%d records are counted, want %d", s.Records, records-len(wanted))
				}
			})
		}
	}
}

// TestARefusedRecordThatMayNotBeLeftOut ends the producer, with the error that it is told.
func TestARefusedRecordThatMayNotBeLeftOut(t *testing.T) {
	k := bed.Kafka(t)
	name := k.NewTopic(t, 1, map[string]string{"max.message.bytes": "3000"})
	large := []byte(strings.Repeat("x", 5000))
	mine := errors.New("the queue is full")
	for what, c := range map[string]struct {
		opts ProducerOptions
		ref  uint64
		want error
	}{
		"nobody is asked":     {ProducerOptions{}, 1, sarama.ErrMessageSizeTooLarge},
		"without a reference": {ProducerOptions{Refused: func(context.Context, uint64, *RecordError) error { return nil }}, 0, sarama.ErrMessageSizeTooLarge},
		"refused, too":        {ProducerOptions{Refused: func(context.Context, uint64, *RecordError) error { return mine }}, 1, mine},
	} {
		p := newProducer(t, realConfig(t, k), c.opts)
		topic := topicOf(t, p, name)
		if err := p.Append(testContext(t), topic, 0, &Record{Value: large, Timestamp: time.Now().UnixMilli(), Ref: c.ref}); err != nil {
			t.Fatal(err)
		}
		p.Mark(1)
		if err := p.Flush(testContext(t)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := readTopic(t, realConfig(t, k), name, 0, sarama.ReadUncommitted); len(got) > 0 {
		t.Errorf("written: %d records", len(got))
	}
}
