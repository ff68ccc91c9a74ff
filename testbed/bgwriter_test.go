package testbed

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// The background writer is held at random moments of its work, under a load that keeps it busy. What clients do goes on.
func TestHoldBackgroundWriter(t *testing.T) {
	t.Parallel()
	pg := StartPostgres(t, "bgwriter_delay=10ms", "bgwriter_lru_maxpages=1000", "bgwriter_lru_multiplier=10", "shared_buffers=1MB")
	pg.Exec(t, "postgres", "CREATE TABLE load AS SELECT i, repeat('x', 500) AS s FROM generate_series(1, 20000) i")
	load(t, pg)
	conn := pg.Connect(t, "postgres")
	written := func() (pages int64) {
		if err := conn.QueryRow(t.Context(), "SELECT buffers_clean FROM pg_stat_bgwriter").Scan(&pages); err != nil {
			t.Fatal(err)
		}
		return pages
	}
	for i := range 30 {
		release, err := pg.HoldBackgroundWriter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before := written()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if _, err := conn.Exec(ctx, fmt.Sprintf("CREATE TABLE t%d AS SELECT pg_sleep(0.03)::text", i)); err != nil {
			t.Fatalf("write while the background writer is held: %v", err)
		}
		cancel()
		if now := written(); now != before {
			t.Errorf("it went on while it was held: %d pages, then %d", before, now)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	if written() == 0 {
		t.Error("it had nothing to do")
	}
}

// load changes rows until the end of the test.
func load(t *testing.T, pg *Postgres) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	conn, done := pg.Connect(t, "postgres"), make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			_, err = conn.Exec(ctx, "UPDATE load SET s = md5(s) || repeat('y', 400) WHERE i % 20 = 7")
		}
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
