package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// stubborn is a sink that tries again in place until it may go on.
type stubborn struct {
	connectors.SinkTask
	session connectors.SinkSession
	away    func() bool
}

func (s *stubborn) Start(ctx context.Context, session connectors.SinkSession) error {
	s.session = session
	return s.SinkTask.Start(ctx, session)
}

func (s *stubborn) Put(ctx context.Context, b *connectors.Batch) error {
	for n := 1; s.away(); n++ {
		s.session.Retrying(fmt.Errorf("connect to the target, attempt %d: %w", n, errAway))
		if !pause(ctx, time.Second) {
			return ctx.Err()
		}
	}
	return s.SinkTask.Put(ctx, b)
}

// A sink that tries again in place is told of in the status, the log, the metrics and what health says, until it acknowledges something.
func TestRetryingInPlaceIsTold(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		var log lockedBuffer
		b.logger = slog.New(slog.NewTextHandler(&log, nil))
		b.config["freshet.health.stall.ms"] = "5000"
		var away atomic.Bool
		away.Store(true)
		b.sink = func(s connectors.SinkTask) connectors.SinkTask { return &stubborn{SinkTask: s, away: away.Load} }
		b.feed.Extend(p1, 3)
		b.start()
		b.until("the status tells", func() bool { return strings.Contains(b.task().Trace, "connect to the target, attempt 1: away") })
		if got := b.task(); got.State != Running || !strings.HasPrefix(got.Trace, "sink io.freshet.test.Target0Connector tries again since 2000-01-01T00:00:0") {
			b.Errorf("got %+v", got)
		}
		time.Sleep(3 * time.Minute)
		if trace := b.task().Trace; !strings.Contains(trace, "attempt 18") && !strings.Contains(trace, "attempt 17") {
			b.Errorf("the status is not renewed: %s", trace)
		}
		if said := strings.Count(log.text(), "tries again until it can"); said < 6 || said > 8 {
			b.Errorf("the log tells %d times in three minutes", said)
		}
		m := b.worker.Metrics()[0]
		if m.Retries < 170 || time.Since(m.LastError) > 2*time.Second {
			b.Errorf("%d retries, the last one %s ago", m.Retries, time.Since(m.LastError))
		}
		if stalls := b.worker.Stalled(); len(stalls) != 1 || !strings.Contains(stalls[0].Waits, "which tries again since") {
			b.Errorf("health says %v", stalls)
		}
		away.Store(false)
		b.has(3)
		if got := b.task(); got.State != Running || got.Trace != "" || !strings.Contains(log.text(), "the sink writes again") {
			b.Errorf("got %+v", got)
		}
		b.close()
	})
}

// What made a sink drop out is told with the error that it met.
func TestDropoutTellsWhatTheSinkMet(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		b.sinkOf = func(target int, s connectors.SinkTask) connectors.SinkTask {
			return &stubborn{SinkTask: s, away: func() bool { return target == 0 }}
		}
		b.feed.Extend(p1, 3)
		b.start("sinks.s0.on.failure", "stop", "sinks.s0.hold.max.ms", "5000")
		b.until("the status tells", func() bool {
			trace := b.task().Trace
			return strings.Contains(trace, "has dropped out") && strings.Contains(trace, "connect to the target") && strings.Contains(trace, errAway.Error())
		})
		if err := b.worker.Close(context.Background()); err != nil && !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	})
}
