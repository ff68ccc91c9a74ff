package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
)

// startHeartbeat runs heartbeat.action.query over a connection of its own ("postgres heartbeat").
func startHeartbeat(ctx context.Context, config *pgx.ConnConfig, interval time.Duration, query string, log *slog.Logger) *changes.HeartbeatQuery {
	var conn *pgx.Conn
	run := func(ctx context.Context) (err error) {
		if conn == nil || conn.IsClosed() {
			if conn, err = pgx.ConnectConfig(ctx, config); err != nil {
				return err
			}
		}
		_, err = conn.PgConn().Exec(ctx, query).ReadAll()
		return err
	}
	end := func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}
	return changes.StartHeartbeatQuery(ctx, interval, max(interval, connectTimeout), run, end, log)
}
