package testbed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// holdTimeout is how long a server takes at most to say what its background writer does; one that was stopped inside a lock can keep
// the server from saying anything.
const holdTimeout = 2 * time.Second

// HoldBackgroundWriter stops the process that logs a snapshot of the running transactions every 15 s, until release is called: what
// clients write meanwhile lies side by side in the log. The process is held only where it waits for its next round, as it has no locks
// there.
func (p *Postgres) HoldBackgroundWriter(ctx context.Context) (release func() error, err error) {
	for {
		release, held, err := p.tryHold(ctx)
		if err != nil || held {
			return release, err
		}
	}
}

// tryHold stops it once, and lets it go on if it was not waiting.
func (p *Postgres) tryHold(ctx context.Context) (release func() error, held bool, err error) {
	conn, err := pgx.Connect(ctx, p.DSN("postgres"))
	if err != nil {
		return nil, false, fmt.Errorf("connect to the server: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var pid int
	if err := conn.QueryRow(ctx, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'").Scan(&pid); err != nil {
		return nil, false, fmt.Errorf("find the background writer: %w", err)
	}
	release = func() error { return p.signal(context.WithoutCancel(ctx), pid, "CONT") }
	if err := p.signal(ctx, pid, "STOP"); err != nil {
		return nil, false, err
	}
	soon, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	err = conn.QueryRow(soon, "SELECT wait_event_type IS NOT DISTINCT FROM 'Activity' FROM pg_stat_activity WHERE pid = $1", pid).Scan(&held)
	if held {
		return release, true, nil
	}
	if soon.Err() != nil {
		err = ctx.Err()
	}
	return nil, false, errors.Join(err, release())
}

// signal sends a signal to a process of the server from outside, which works when the server itself does not answer.
func (p *Postgres) signal(ctx context.Context, pid int, name string) error {
	status, _, err := p.container.Exec(ctx, []string{"sh", "-c", fmt.Sprintf("kill -%s %d", name, pid)})
	if err != nil {
		return fmt.Errorf("send %s to process %d: %w", name, pid, err)
	}
	if status != 0 {
		return fmt.Errorf("send %s to process %d: kill ended with status %d", name, pid, status)
	}
	return nil
}
