package runtime

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// TestStalled: a sink that hangs is told once the bound is over, with connector, task and sink; what is idle, paused or moving is not.
func TestStalled(t *testing.T) {
	for name, take := range map[string]bool{"in Put": false, "without acknowledging": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(b *bench) {
				b.config["freshet.health.stall.ms"] = "30000"
				hang := make(chan struct{})
				var armed atomic.Bool
				b.sink = func(s connectors.SinkTask) connectors.SinkTask {
					return &faultySink{SinkTask: s, put: func(ctx context.Context, batch *connectors.Batch) error {
						if !armed.Load() {
							return nil
						}
						select {
						case <-hang:
							return nil
						case <-ctx.Done():
							return ctx.Err()
						}
					}}
				}
				if take {
					b.targets[0].Schedule = never
				}
				b.feed.Extend(p1, 30)
				b.start()
				if take {
					b.until("it stalls", func() bool { return len(b.worker.Stalled()) > 0 })
				} else {
					b.has(30)
					time.Sleep(time.Hour)
					if s := b.worker.Stalled(); len(s) > 0 {
						t.Errorf("an idle task stalls: %v", s)
					}
					armed.Store(true)
					b.feed.Extend(p1, 10)
					time.Sleep(29 * time.Second)
					if s := b.worker.Stalled(); len(s) > 0 {
						t.Errorf("it stalls before the bound: %v", s)
					}
					time.Sleep(2 * time.Second)
				}
				s := b.worker.Stalled()
				if len(s) != 1 || !strings.HasPrefix(s[0].String(), "task 0 of connector c has moved nothing for 3") || !strings.Contains(s[0].String(), "wait for sink s0") {
					t.Fatalf("got %v", s)
				}
				if !take {
					close(hang)
					b.has(40)
					if s := b.worker.Stalled(); len(s) > 0 {
						t.Errorf("it moves again: %v", s)
					}
				}
				b.close()
			})
		})
	}
}

func TestStallBound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config, worker connectors.Config
		want           time.Duration
	}{
		{nil, nil, time.Minute},
		{nil, connectors.Config{"freshet.health.stall.ms": "0"}, 0},
		{connectors.Config{"transaction.boundary": "interval"}, connectors.Config{"freshet.health.stall.ms": "1000"}, 61 * time.Second},
		{connectors.Config{"transaction.boundary": "interval", "transaction.boundary.interval.ms": "500"}, connectors.Config{"freshet.health.stall.ms": "1000"}, 1500 * time.Millisecond},
		{connectors.Config{"transaction.boundary": "interval"}, connectors.Config{"offset.flush.interval.ms": "2000"}, 62 * time.Second},
	} {
		if got := readLimits(c.config, c.worker, time.Second).stall; got != c.want {
			t.Errorf("%v %v: got %s, want %s", c.config, c.worker, got, c.want)
		}
	}
}
