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

// spaced runs a source of n small batches into targets that acknowledge so late, and returns the times between the polls.
func spaced(b *bench, n int, late time.Duration) []time.Duration {
	b.Helper()
	source := &spacedSource{}
	b.source = func(task connectors.SourceTask) connectors.SourceTask {
		source.SourceTask = task
		return source
	}
	b.sink = func(task connectors.SinkTask) connectors.SinkTask { return lateSink{task, late} }
	b.feed.Records = 1
	b.feed.Extend(p1, n)
	b.start()
	b.has(n)
	b.close()
	source.mu.Lock()
	defer source.mu.Unlock()
	if len(source.asked) < n {
		b.Fatalf("the source was asked %d times", len(source.asked))
	}
	var out []time.Duration
	for i := 1; i < n; i++ {
		out = append(out, source.asked[i].Sub(source.asked[i-1]))
	}
	return out
}

// TestSmallBatchesWaitForTheSinks: a source whose batches are small is asked again when the sinks have the one before, or at the limit.
func TestSmallBatchesWaitForTheSinks(t *testing.T) {
	for _, targets := range []int{1, 2} {
		for _, c := range []struct{ late, most time.Duration }{{time.Millisecond, time.Millisecond}, {time.Minute, gatherLimit}} {
			bubble(t, targets, func(b *bench) {
				const n = 200
				at, early, sum := c.most, 0, time.Duration(0)
				for _, d := range spaced(b, n, c.late) {
					sum += d
					if d != at {
						early++ // the limit began with a batch before
					}
					if d > at {
						b.Errorf("asked again after %s, want %s", d, at)
					}
				}
				if limits := int(sum/gatherLimit) + 2; early > 2*limits || sum < n/2*at {
					b.Errorf("%d of %d batches did not wait for %s; %s for all", early, n, at, sum)
				}
			})
		}
	}
}
