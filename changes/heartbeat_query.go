package changes

import (
	"context"
	"log/slog"
	"time"
)

// HeartbeatQuery runs heartbeat.action.query, so that a database whose captured tables are quiet still has changes. Its goroutine is its own.
type HeartbeatQuery struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// StartHeartbeatQuery calls run now and every interval, each time for at most limit, until Stop, and then end, from the same goroutine. An error of
// run is logged.
func StartHeartbeatQuery(ctx context.Context, interval, limit time.Duration, run func(context.Context) error, end func(), log *slog.Logger) *HeartbeatQuery {
	ctx, cancel := context.WithCancel(ctx)
	h := &HeartbeatQuery{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		defer end()
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			bounded, release := context.WithTimeout(ctx, limit) // a server that is gone without a word does not hold it
			err := run(bounded)
			release()
			if err != nil && ctx.Err() == nil {
				log.Warn("heartbeat.action.query failed; it is tried again at the next heartbeat", "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return h
}

// Stop ends the goroutine and waits for it. Safe on nil.
func (h *HeartbeatQuery) Stop() {
	if h == nil {
		return
	}
	h.cancel()
	<-h.done
}
