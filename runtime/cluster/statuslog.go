package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/runtime/herder"
)

const (
	statusBatch    = 500 // records that are written together
	statusPauseMin = 100 * time.Millisecond
	statusPauseMax = 10 * time.Second
)

// StatusLog is the status topic as a herder.StatusLog. Goroutines, ended by Close: "tail" reads, "status writer" writes.
type StatusLog struct {
	o      LogOptions
	log    *kafkaclient.Log
	tail   *tail
	cancel context.CancelFunc
	ended  chan struct{}
	wake   chan struct{}

	mu      sync.Mutex
	pending map[string]status // the newest of each key, not yet written: bounded by the number of keys
	order   []string          // keys of pending, oldest first
	puts    uint64            // number of the last Put
	idle    chan struct{}     // closed and renewed after each write
}

type status struct {
	value []byte
	put   uint64
}

// OpenStatusLog makes the topic when it is missing.
func OpenStatusLog(ctx context.Context, o LogOptions) (*StatusLog, error) {
	l, err := kafkaclient.OpenLog(ctx, o.Session, o.Config, o.Topic)
	if err != nil {
		return nil, fmt.Errorf("open status topic: %w", err)
	}
	s := &StatusLog{
		o: o, log: l, ended: make(chan struct{}), wake: make(chan struct{}, 1), pending: map[string]status{}, idle: make(chan struct{}),
	}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go s.writer(ctx)
	return s, nil
}

// Start implements herder.StatusLog.
func (s *StatusLog) Start(ctx context.Context, apply func(m herder.Message)) error {
	s.tail = startTail(s.log, s.o.logger(), func(m kafkaclient.Message) { apply(herder.Message{Key: string(m.Key), Value: m.Value}) })
	if err := s.tail.end(ctx, true); err != nil {
		return fmt.Errorf("read topic %s to its end: %w", s.log.Topic(), err)
	}
	return nil
}

// Put implements herder.StatusLog.
func (s *StatusLog) Put(m herder.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.pending[m.Key]; !there {
		s.order = append(s.order, m.Key)
	}
	s.puts++
	s.pending[m.Key] = status{m.Value, s.puts}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// writer writes what was put, oldest first, and tries again what could not be written.
func (s *StatusLog) writer(ctx context.Context) {
	defer close(s.ended)
	pause, most := statusPauseMin, statusBatch
	for {
		batch, puts := s.batch(most)
		if len(batch) == 0 {
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		err := s.log.AppendAll(ctx, batch)
		switch {
		case err == nil:
			s.written(batch, puts)
			pause, most = statusPauseMin, min(2*most, statusBatch)
			continue
		case ctx.Err() != nil:
			return
		case tooLarge(err) && len(batch) > 1:
			most = 1 // to find out which it is
			continue
		case tooLarge(err):
			s.o.logger().Error("a status is given up: the topic does not take it", "topic", s.log.Topic(), "key", string(batch[0].Key), "error", err)
			s.written(batch, puts)
			continue
		}
		s.o.logger().Warn("the status of connectors cannot be written; trying again", "topic", s.log.Topic(), "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, statusPauseMax)
	}
}

// tooLarge tells that the topic refuses the record itself, not the writer.
func tooLarge(err error) bool {
	var refused *kafkaclient.RecordError
	return errors.As(err, &refused) && !errors.Is(err, sarama.ErrTopicAuthorizationFailed) && !errors.Is(err, sarama.ErrClusterAuthorizationFailed)
}

// batch is what to write next, and which Put each is of.
func (s *StatusLog) batch(most int) ([]kafkaclient.Message, []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ms []kafkaclient.Message
	var puts []uint64
	for _, key := range s.order[:min(len(s.order), most)] {
		p := s.pending[key]
		ms, puts = append(ms, kafkaclient.Message{Key: []byte(key), Value: p.value}), append(puts, p.put)
	}
	return ms, puts
}

// written forgets what was written, unless a newer one of the key has come.
func (s *StatusLog) written(batch []kafkaclient.Message, puts []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.order[:0]
	for i, key := range s.order {
		if i < len(batch) && s.pending[key].put == puts[i] {
			delete(s.pending, key)
			continue
		}
		kept = append(kept, key)
	}
	clear(s.order[len(kept):])
	s.order = kept
	close(s.idle)
	s.idle = make(chan struct{})
}

// Flush implements herder.StatusLog.
func (s *StatusLog) Flush(ctx context.Context) error {
	s.mu.Lock()
	last := s.puts
	s.mu.Unlock()
	for {
		s.mu.Lock()
		left, idle := s.before(last), s.idle
		s.mu.Unlock()
		if left == 0 {
			break
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("write %d statuses to topic %s: %w", left, s.log.Topic(), ctx.Err())
		case <-s.ended:
			return fmt.Errorf("write %d statuses to topic %s: %w", left, s.log.Topic(), kafkaclient.ErrClosed)
		}
	}
	if err := s.tail.end(ctx, true); err != nil {
		return fmt.Errorf("read back topic %s: %w", s.log.Topic(), err)
	}
	return nil
}

// before counts what is pending of the Puts up to one; s.mu is held.
func (s *StatusLog) before(put uint64) int {
	n := 0
	for _, p := range s.pending {
		if p.put <= put {
			n++
		}
	}
	return n
}

// Close implements herder.StatusLog. What is not written yet is dropped: Flush before.
func (s *StatusLog) Close() error {
	s.tail.stop()
	s.cancel()
	<-s.ended
	s.log.Close()
	return nil
}
