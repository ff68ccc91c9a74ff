package herder

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/freshet-io/freshet/runtime"
)

// TestManyConnectors: a thousand of them are cheap to create, to look at, and to hand on.
func TestManyConnectors(t *testing.T) {
	const many = 1000
	w, ctx := newWorld(t, func(o *Options) { o.Logger = slog.New(slog.DiscardHandler) }), context.Background()
	began := time.Now()
	for i := range many {
		_, err := w.Create(ctx, fmt.Sprintf("c%d", i), props("file", fmt.Sprint(i)), "")
		w.ok(err)
	}
	w.until("all run", func() bool { return len(w.source.starts()) == many })
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s to create them", took)
	} else {
		t.Logf("created in %s", took)
	}
	w.until("all are reported", func() bool {
		for i := range many {
			if w.state(fmt.Sprintf("c%d", i)) != "RUNNING RUNNING" {
				return false
			}
		}
		return true
	})
	best := time.Hour // of a few tries: other processes hold one up
	for range 10 {
		began = time.Now()
		names, err := w.Names(ctx)
		w.ok(err)
		for _, name := range names {
			s, err := w.Status(ctx, name)
			if err != nil || s.Connector.State != runtime.Running {
				t.Fatalf("got %+v, %v", s, err)
			}
		}
		if best = min(best, time.Since(began)); len(names) != many {
			t.Errorf("%d names", len(names))
		}
	}
	if best > 200*time.Millisecond {
		t.Errorf("statuses in %s", best)
	}
	t.Logf("statuses in %s", best)
	began = time.Now()
	w.Revoke(ctx, w.Running())
	if left := w.Running(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	t.Logf("stopped in %s", time.Since(began))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s to stop them", took)
	}
}
