package kafka

import (
	"context"
	"fmt"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
)

// sink writes at least once: a batch is acknowledged when every in-sync replica has all of its records, in order. It starts
// no goroutine but the producer's.
type sink struct {
	*writer

	mu      sync.Mutex
	charged []int // bytes of batches that are taken and not acknowledged, in order
}

// Start implements connectors.SinkTask.
func (s *sink) Start(ctx context.Context, task connectors.SinkSession) error {
	return s.connect(ctx, task, kafkaclient.ProducerOptions{
		Done:   s.done,
		Failed: func(err error) { task.Fail(classify(err)) },
	})
}

// Put implements connectors.SinkTask.
func (s *sink) Put(ctx context.Context, b *connectors.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := s.write(ctx, b)
	if err != nil {
		return err
	}
	s.task.Charge(n)
	s.mu.Lock()
	s.charged = append(s.charged, n)
	s.mu.Unlock()
	s.producer.Mark(uint64(b.ID))
	b.Release()
	return nil
}

// done runs on the producer's goroutine, in the order of Put.
func (s *sink) done(token uint64) {
	s.mu.Lock()
	if len(s.charged) == 0 { // stopped, and given back
		s.mu.Unlock()
		return
	}
	n := s.charged[0]
	s.charged = s.charged[1:]
	s.mu.Unlock()
	s.forget(connectors.BatchID(token))
	s.task.Charge(-n)
	s.task.Ack(connectors.BatchID(token))
}

// Flush implements connectors.SinkTask.
func (s *sink) Flush(ctx context.Context) error {
	if s.producer == nil {
		return nil
	}
	if err := s.producer.Flush(ctx); err != nil {
		return fmt.Errorf("flush to Kafka: %w", classify(err))
	}
	return nil
}

// Stop implements connectors.SinkTask.
func (s *sink) Stop(ctx context.Context) error {
	err := s.disconnect(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.charged {
		s.task.Charge(-n)
	}
	s.charged = nil
	return err
}
