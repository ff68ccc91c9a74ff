package connectortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/freshet-io/freshet/connectors"
)

// Session is a connectors.SinkSession that keeps what it hears.
type Session struct {
	Tolerant bool // Reject leaves records out; set before Put

	mu       sync.Mutex
	last     connectors.BatchID
	acked    []connectors.BatchID
	rejected []string
	failure  error
	charged  int
}

// Next returns the id of the next batch, from 1 on.
func (s *Session) Next() connectors.BatchID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return s.last
}

// Ack implements connectors.SinkSession.
func (s *Session) Ack(id connectors.BatchID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = append(s.acked, id)
}

// Acked returns the batches that were acknowledged, in that order.
func (s *Session) Acked() []connectors.BatchID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.acked)
}

// Reject implements connectors.SinkSession.
func (s *Session) Reject(_ context.Context, b *connectors.Batch, record int, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if connectors.ClassOf(cause) != connectors.Permanent || record >= len(b.Records) {
		cause = errors.Join(cause, errors.New("rejected in a wrong way"))
	}
	s.rejected = append(s.rejected, fmt.Sprintf("%d/%d: %v", b.ID, record, cause))
	if s.Tolerant {
		return nil
	}
	return connectors.AsPermanent(cause)
}

// Settle implements connectors.SinkSession.
func (*Session) Settle(context.Context) error { return nil }

// Retrying implements connectors.SinkSession.
func (*Session) Retrying(error) {}

// Rejected returns what was rejected, tolerated or not: "batch/record: cause".
func (s *Session) Rejected() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.rejected)
}

// Fail implements connectors.SinkSession.
func (s *Session) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// Failure is the error that the sink failed with, or nil.
func (s *Session) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Charge implements connectors.SinkSession.
func (s *Session) Charge(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.charged += n
}

// Charged is how many bytes are charged at the moment.
func (s *Session) Charged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.charged
}
