package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	followWait     = 500 * time.Millisecond // a broker answers after so long when there is nothing new
	followPatience = 10 * time.Second       // beyond that, a connection without an answer is broken
	followPause    = time.Second            // at most, between attempts
)

// Follower receives what Follow reads. Its functions are never called at the same time.
type Follower struct {
	Each    func(partition int32, m Message) error // an error ends Follow
	Passed  func(partition int32, next int64)      // read up to here: also past what is not handed out, such as markers of transactions
	Trouble func(err error)                        // reading failed and is tried again
}

// Follow hands out every record from the beginning on, in order within a partition, until ctx ends or Each fails. A record is
// read when it is there: brokers hold a request until something comes. It keeps one answer per broker in memory, a few MiB at
// most unless a single batch is larger, and goes on through leaders that move and brokers that are away.
func (l *Log) Follow(ctx context.Context, to Follower) error {
	conf := l.cfg.Sarama()
	conf.Consumer.IsolationLevel = l.isolation
	conf.Metadata.AllowAutoTopicCreation = false
	conf.Net.ReadTimeout = followWait + followPatience
	f := &follower{log: l, to: to, conf: conf, at: map[int32]int64{}}
	defer f.close()
	for failures := 0; ; failures++ {
		moved, err := f.round(ctx)
		var own *ownError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &own):
			return own.error
		case moved:
			failures = 0
		}
		if err == nil {
			continue // partitions were added
		}
		to.Trouble(fmt.Errorf("follow topic %s: %w", l.topic, explain(err)))
		if err := sleep(ctx, min(time.Duration(failures+1)*50*time.Millisecond, followPause)); err != nil {
			return err
		}
		if f.client != nil {
			_, _ = wait(ctx, func() (struct{}, error) { return struct{}{}, f.client.RefreshMetadata(l.topic) }) // the next round tells
		}
	}
}

// ownError is one of the receiver's.
type ownError struct{ error }

type follower struct {
	log    *Log
	to     Follower
	conf   *sarama.Config
	client sarama.Client

	mu    sync.Mutex // of what follows, and held while the receiver is called
	at    map[int32]int64
	moved bool
}

func (f *follower) close() {
	if f.client != nil {
		_ = f.client.Close() // it only reports that it was closed before
	}
}

// round reads from every leader, as the leaders are now, until one of them fails or partitions are added. moved: something was read.
func (f *follower) round(ctx context.Context) (moved bool, err error) {
	if f.client == nil {
		// Connections of its own, for a fetch that waits would hold up the producers of a shared one.
		if f.client, err = wait(ctx, func() (sarama.Client, error) { return sarama.NewClient(f.log.cfg.Brokers, f.conf) }); err != nil {
			return false, unreachable(f.log.cfg.Brokers, f.conf, err)
		}
	}
	topic := f.log.topic
	parts, err := wait(ctx, func() ([]int32, error) { return f.client.Partitions(topic) })
	if err != nil {
		return false, err
	}
	leaders := map[*sarama.Broker][]int32{}
	for _, id := range parts {
		b, err := wait(ctx, func() (*sarama.Broker, error) { return f.client.Leader(topic, id) })
		if err != nil {
			return false, fmt.Errorf("partition %d: %w", id, err)
		}
		leaders[b] = append(leaders[b], id)
	}
	f.moved = false
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan error, len(leaders))
	for b, ids := range leaders {
		go func() { ends <- f.read(ctx, b, ids, len(parts)) }()
	}
	for range leaders {
		if e := <-ends; err == nil {
			err = e
			cancel()
		}
	}
	return f.moved, err
}

// read hands out what one leader has, until something fails or the topic has more partitions than all.
func (f *follower) read(ctx context.Context, b *sarama.Broker, ids []int32, all int) error {
	r := &logReader{client: f.client, topic: f.log.topic, isolation: f.log.isolation, each: f.each, maxBytes: 1 << 20}
	at := map[int32]int64{}
	f.mu.Lock()
	for _, id := range ids {
		at[id] = f.at[id]
	}
	f.mu.Unlock()
	for {
		resp, err := wait(ctx, func() (*sarama.FetchResponse, error) { return r.request(b, at, followWait) })
		if err != nil {
			return err
		}
		for id := range at {
			block := resp.GetBlock(f.log.topic, id)
			switch {
			case block == nil:
				return sarama.ErrIncompleteResponse
			case block.Err == sarama.ErrOffsetOutOfRange: // the beginning has moved on, or the topic was made anew
				if at[id], _, err = r.bounds(ctx, id); err != nil {
					return fmt.Errorf("partition %d: %w", id, err)
				}
				continue
			case block.Err != sarama.ErrNoError:
				return fmt.Errorf("partition %d: %w", id, block.Err)
			}
			if err := f.take(ctx, r, id, at, block); err != nil {
				return err
			}
		}
		if parts, err := f.client.Partitions(f.log.topic); err == nil && len(parts) > all {
			return nil
		}
	}
}

// take hands out one partition's part of an answer, alone.
func (f *follower) take(ctx context.Context, r *logReader, id int32, at map[int32]int64, block *sarama.FetchResponseBlock) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	next, partial, err := r.records(id, at[id], math.MaxInt64, block)
	if err != nil {
		return fmt.Errorf("partition %d at offset %d: %w", id, next, err)
	}
	if partial && next == at[id] {
		return r.widen()
	}
	if next > at[id] {
		at[id], f.at[id], f.moved = next, next, true
		f.to.Passed(id, next)
	}
	return nil
}

func (f *follower) each(id int32, m Message) error {
	if err := f.to.Each(id, m); err != nil {
		return &ownError{err}
	}
	return nil
}

// Ends returns the offset after the last record of each partition; committed leaves out transactions that are open.
func (l *Log) Ends(ctx context.Context, committed bool) (map[int32]int64, error) {
	client := l.session.client
	ends := map[int32]int64{}
	parts, err := wait(ctx, func() ([]int32, error) { return client.Partitions(l.topic) })
	for i := 0; err == nil && i < len(parts); i++ {
		ends[parts[i]], err = l.end(ctx, parts[i], committed)
	}
	if err != nil {
		return nil, fmt.Errorf("look up the end of topic %s: %w", l.topic, explain(err))
	}
	return ends, nil
}

// end asks the leader until it answers, ctx ends, or trying again is of no use.
func (l *Log) end(ctx context.Context, id int32, committed bool) (int64, error) {
	client := l.session.client
	for attempt := 1; ; attempt++ {
		end, err := wait(ctx, func() (int64, error) {
			b, err := client.Leader(l.topic, id)
			if err != nil {
				return 0, err
			}
			req := sarama.NewOffsetRequest(sarama.V2_8_0_0)
			if committed {
				req.IsolationLevel = sarama.ReadCommitted
			}
			req.AddBlock(l.topic, id, sarama.OffsetNewest, 1)
			generation := l.session.generation(b)
			resp, err := b.GetAvailableOffsets(req)
			if err != nil {
				l.session.drop(b, generation)
				return 0, err
			}
			block := resp.GetBlock(l.topic, id)
			switch {
			case block == nil:
				return 0, sarama.ErrIncompleteResponse
			case block.Err != sarama.ErrNoError:
				return 0, block.Err
			}
			return block.Offset, nil
		})
		if err == nil || ctx.Err() != nil || !retriable(err) {
			return end, err
		}
		if serr := sleep(ctx, min(time.Duration(attempt)*20*time.Millisecond, followPause)); serr != nil {
			return 0, errors.Join(serr, err)
		}
		_, _ = wait(ctx, func() (struct{}, error) { return struct{}{}, client.RefreshMetadata(l.topic) }) // the next attempt tells
	}
}
