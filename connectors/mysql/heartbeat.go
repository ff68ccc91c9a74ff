package mysql

import (
	"context"
	"log/slog"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// heartbeat runs heartbeat.action.query every heartbeat.interval.ms, in a goroutine of its own ("mysql heartbeat") with its
// own connection, so that a server whose captured tables are quiet still has changes.
type heartbeat struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func startHeartbeat(ctx context.Context, cfg *config, log *slog.Logger) *heartbeat {
	ctx, cancel := context.WithCancel(ctx)
	h := &heartbeat{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		var conn *client.Conn
		defer func() {
			if conn != nil {
				_ = conn.Close()
			}
		}()
		ticker := time.NewTicker(cfg.heartbeat)
		defer ticker.Stop()
		for {
			err := func() error {
				ctx, cancel := context.WithTimeout(ctx, max(cfg.heartbeat, cfg.connectTimeout)) // a server that is gone without a word does not hold it
				defer cancel()
				if conn == nil {
					var err error
					if conn, err = cfg.connect(ctx); err != nil {
						conn = nil
						return err
					}
				}
				result, err := cfg.execute(ctx, conn, cfg.heartbeatQuery)
				if err != nil {
					_ = conn.Close()
					conn = nil
					return err
				}
				result.Close()
				return nil
			}()
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

// stop ends the goroutine. Safe on nil.
func (h *heartbeat) stop() {
	if h == nil {
		return
	}
	h.cancel()
	<-h.done
}
