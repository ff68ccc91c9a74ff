package mysql

import (
	"context"
	"log/slog"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/freshet-io/freshet/changes"
)

// startHeartbeat runs heartbeat.action.query over a connection of its own ("mysql heartbeat").
func startHeartbeat(ctx context.Context, cfg *config, log *slog.Logger) *changes.HeartbeatQuery {
	var conn *client.Conn
	end := func() {
		if conn != nil {
			_ = conn.Close()
		}
	}
	run := func(ctx context.Context) (err error) {
		if conn == nil {
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
	}
	return changes.StartHeartbeatQuery(ctx, cfg.heartbeat, max(cfg.heartbeat, cfg.connectTimeout), run, end, log)
}
