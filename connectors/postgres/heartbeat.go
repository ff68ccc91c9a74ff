package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// heartbeat runs heartbeat.action.query every heartbeat.interval.ms, in a goroutine of its own ("postgres heartbeat") with
// its own connection, so that a database whose captured tables are quiet still has commits to confirm.
type heartbeat struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func startHeartbeat(ctx context.Context, config *pgx.ConnConfig, interval time.Duration, query string, log *slog.Logger) *heartbeat {
	ctx, cancel := context.WithCancel(ctx)
	h := &heartbeat{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		var conn *pgx.Conn
		defer func() {
			if conn != nil {
				_ = conn.Close(context.WithoutCancel(ctx))
			}
		}()
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			err := func() error {
				ctx, cancel := context.WithTimeout(ctx, max(interval, connectTimeout)) // a server that is gone without a word does not hold it
				defer cancel()
				var err error
				if conn == nil || conn.IsClosed() {
					if conn, err = pgx.ConnectConfig(ctx, config); err != nil {
						return err
					}
				}
				_, err = conn.PgConn().Exec(ctx, query).ReadAll()
				return err
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
