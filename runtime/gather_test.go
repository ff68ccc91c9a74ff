package runtime

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// spacedSource notes when it is asked.
type spacedSource struct {
	connectors.SourceTask
	mu    sync.Mutex
	asked []time.Time
}

func (s *spacedSource) Poll(ctx context.Context) (*connectors.Batch, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	s.mu.Unlock()
	return s.SourceTask.Poll(ctx)
}

// lateSink acknowledges so late.
type lateSink struct {
	connectors.SinkTask
	late time.Duration
}

func (s lateSink) Start(ctx context.Context, session connectors.SinkSession) error {
	return s.SinkTask.Start(ctx, lateSession{session, s.late})
}

type lateSession struct {
	connectors.SinkSession
	late time.Duration
}

func (s lateSession) Ack(id connectors.BatchID) {
	time.AfterFunc(s.late, func() { s.SinkSession.Ack(id) })
}

// spaced runs a source of n batches into a target that acknowledges so late, and returns the shortest time between two polls.
func spaced(b *bench, n int, late time.Duration) time.Duration {
	b.Helper()
	source := &spacedSource{}
	b.source = func(task connectors.SourceTask) connectors.SourceTask {
		source.SourceTask = task
		return source
	}
	b.sink = func(task connectors.SinkTask) connectors.SinkTask { return lateSink{task, late} }
	b.feed.Extend(p1, n)
	b.start()
	b.has(n)
	b.close()
	source.mu.Lock()
	defer source.mu.Unlock()
	if len(source.asked) < 3 {
		b.Fatalf("the source was asked %d times", len(source.asked))
	}
	shortest := time.Hour
	for i := 1; i < len(source.asked)-1; i++ { // the last one waits for more
		shortest = min(shortest, source.asked[i].Sub(source.asked[i-1]))
	}
	return shortest
}

// TestSmallBatchesWaitForTheSinks: a source whose batches are small is asked again when the sinks have the one before.
func TestSmallBatchesWaitForTheSinks(t *testing.T) {
	for _, targets := range []int{1, 2} {
		bubble(t, targets, func(b *bench) {
			if got := spaced(b, 20, 2*time.Millisecond); got != 2*time.Millisecond {
				b.Errorf("asked again after %s, want as soon as the batch before is acknowledged, after 2ms", got)
			}
		})
		bubble(t, targets, func(b *bench) {
			if got := spaced(b, 20, time.Minute); got != gatherLimit {
				b.Errorf("asked again after %s, want %s when the sinks take long", got, gatherLimit)
			}
		})
	}
}
