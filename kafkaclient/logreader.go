package kafkaclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// logReader reads one topic from its beginning to its end, partition by partition.
type logReader struct {
	client    sarama.Client
	topic     string
	isolation sarama.IsolationLevel
	each      func(int32, Message) error
	maxBytes  int32
	patience  time.Duration // with an open transaction; 0: openPatience
}

// newLogReader connects; its client is the caller's to close.
func newLogReader(ctx context.Context, cfg *Config, topic string, isolation sarama.IsolationLevel, each func(int32, Message) error) (*logReader, error) {
	conf := cfg.Sarama()
	conf.Consumer.IsolationLevel = isolation
	conf.Consumer.Return.Errors = true
	conf.Metadata.AllowAutoTopicCreation = false
	client, err := wait(ctx, func() (sarama.Client, error) { return sarama.NewClient(cfg.Brokers, conf) })
	if err != nil {
		return nil, unreachable(cfg.Brokers, conf, err)
	}
	return &logReader{client: client, topic: topic, isolation: isolation, each: each, maxBytes: 1 << 20}, nil
}

// openPatience is for how long an open transaction is waited for: coordinators end those of producers that are gone sooner, after
// transaction.timeout.ms.
const openPatience = 3 * time.Minute

// errOpen tells that a transaction does not end.
var errOpen = errors.New("an open transaction lies there, and what comes after it cannot be read before it ends: find its producer with " +
	"kafka-transactions.sh (find-hanging, describe-producers) and end it (abort)")

// partition reads from an offset up to the high watermark of now, and returns the offset to go on from; with
// read_committed that includes waiting for the transactions that are open below it.
func (r *logReader) partition(ctx context.Context, id int32, from int64) (int64, error) {
	first, end, err := r.bounds(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("partition %d: %w", id, explain(err))
	}
	failures, since := 0, time.Now()
	at := max(first, from)
	if from > end {
		at = first // the topic was made anew
	}
	for at < end {
		next, err := r.fetch(ctx, id, at, end)
		switch {
		case err == nil && next > at:
			failures, since = 0, time.Now()
			at = next
			continue
		case err == nil && time.Since(since) > cmp.Or(r.patience, openPatience):
			return 0, fmt.Errorf("partition %d at offset %d of %d: %w", id, at, end, errOpen)
		case err == nil:
			failures = 0
			continue
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, sarama.ErrOffsetOutOfRange): // the beginning has moved on meanwhile
			if first, _, err = r.bounds(ctx, id); err != nil {
				return 0, fmt.Errorf("partition %d: %w", id, explain(err))
			}
			if first <= at {
				return 0, fmt.Errorf("partition %d has no offset %d although it begins at %d and ended at %d", id, at, first, end)
			}
			at = first
			continue
		case !retriable(err) || failures >= 20:
			return 0, fmt.Errorf("partition %d at offset %d: %w", id, at, explain(err))
		}
		failures++
		if err := sleep(ctx, time.Duration(min(failures, 10))*20*time.Millisecond); err != nil {
			return 0, err
		}
		_, _ = wait(ctx, func() (struct{}, error) { return struct{}{}, r.client.RefreshMetadata(r.topic) }) // the next fetch tells
	}
	return at, nil
}

// bounds are the log's start and its high watermark.
func (r *logReader) bounds(ctx context.Context, id int32) (first, end int64, err error) {
	for attempt := 0; ; attempt++ {
		first, err = wait(ctx, func() (int64, error) { return r.client.GetOffset(r.topic, id, sarama.OffsetOldest) })
		if err == nil {
			end, err = wait(ctx, func() (int64, error) { return r.client.GetOffset(r.topic, id, sarama.OffsetNewest) })
		}
		if err == nil || !retriable(err) || attempt >= 20 || ctx.Err() != nil {
			return first, end, err
		}
		if serr := sleep(ctx, 50*time.Millisecond); serr != nil {
			return 0, 0, serr
		}
	}
}

// fetch hands out the records of one answer and returns the next offset to ask for.
func (r *logReader) fetch(ctx context.Context, id int32, at, end int64) (int64, error) {
	block, err := wait(ctx, func() (*sarama.FetchResponseBlock, error) {
		leader, err := r.client.Leader(r.topic, id)
		if err != nil {
			return nil, err
		}
		resp, err := r.request(leader, map[int32]int64{id: at}, 100*time.Millisecond)
		if err != nil {
			return nil, err
		}
		block := resp.GetBlock(r.topic, id)
		if block == nil {
			return nil, sarama.ErrIncompleteResponse
		}
		return block, nil
	})
	if err != nil {
		return at, err
	}
	if block.Err != sarama.ErrNoError {
		return at, block.Err
	}
	next, partial, err := r.records(id, at, end, block)
	if err == nil && partial && next == at {
		err = r.widen()
	}
	return next, err
}

// request asks a leader for what comes after these offsets, by partition, and waits for so long until there is something.
func (r *logReader) request(leader *sarama.Broker, at map[int32]int64, wait time.Duration) (*sarama.FetchResponse, error) {
	req := &sarama.FetchRequest{
		Version: 11, MaxWaitTime: int32(wait.Milliseconds()), MinBytes: 1, MaxBytes: sarama.MaxResponseSize, Isolation: r.isolation, SessionEpoch: -1,
	}
	for id, offset := range at {
		req.AddBlock(r.topic, id, offset, r.maxBytes, -1)
	}
	resp, err := leader.Fetch(req)
	if err != nil {
		_ = leader.Close() // a broken connection is of no more use; it may be closed already
	}
	return resp, err
}

// widen asks for larger answers: a batch did not fit.
func (r *logReader) widen() error {
	if r.maxBytes > 1<<29 {
		return fmt.Errorf("a batch is larger than %d bytes", r.maxBytes)
	}
	r.maxBytes *= 2
	return nil
}

func (r *logReader) records(id int32, at, end int64, block *sarama.FetchResponseBlock) (next int64, partial bool, err error) {
	next = at
	aborted := map[int64]bool{} // producer ids whose records are of an aborted transaction
	pending := slices.SortedFunc(slices.Values(block.AbortedTransactions), func(a, b *sarama.AbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset) // brokers list them by their ends
	})
	for _, set := range block.RecordsSet {
		b := set.RecordBatch
		if b == nil {
			return next, false, fmt.Errorf("offset %d is in a message format older than Kafka 0.11, which is not read", next)
		}
		if b.PartialTrailingRecord {
			return next, true, nil
		}
		for len(pending) > 0 && pending[0].FirstOffset <= b.LastOffset() {
			aborted[pending[0].ProducerID] = true
			pending = pending[1:]
		}
		if b.Control {
			delete(aborted, b.ProducerID) // a marker ends the transaction
		} else if !(b.IsTransactional && aborted[b.ProducerID] && r.isolation == sarama.ReadCommitted) {
			for _, rec := range b.Records {
				off := b.FirstOffset + rec.OffsetDelta
				if off < at || off >= end {
					continue
				}
				m := Message{Offset: off, Key: rec.Key, Value: rec.Value, Timestamp: b.FirstTimestamp.Add(rec.TimestampDelta).UnixMilli()}
				for _, h := range rec.Headers {
					m.Headers = append(m.Headers, Header{h.Key, h.Value})
				}
				if err := r.each(id, m); err != nil {
					return next, false, err
				}
			}
		}
		next = max(next, b.LastOffset()+1)
	}
	return next, false, nil
}
