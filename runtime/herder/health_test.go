package herder

import (
	"context"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
)

// TestHealthTellsOfATaskThatHangs: the worker answers, but what its sink has taken never becomes durable.
func TestHealthTellsOfATaskThatHangs(t *testing.T) {
	target := connectortest.NewTarget()
	target.Schedule = func(int) int { return -1 }
	worker := runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog([]connectors.SourceFactory{&lines{}}, []connectors.SinkFactory{connectortest.Sinks{Target: target, Name: "kafka"}}),
		Store:   offsets.NewMemory(), Config: connectors.Config{"group.id": "g", "freshet.health.stall.ms": "100"},
	})
	w := newWorld(t, func(o *Options) { o.Worker = worker })
	ctx := context.Background()
	_, err := w.Create(ctx, "hung", props("file", "f"), "")
	w.ok(err)
	w.until("unhealthy", func() bool {
		status, text := w.Health(ctx)
		return status == "unhealthy" && strings.Contains(text, "task 0 of connector hung has moved nothing for") && strings.Contains(text, "wait for sink")
	})
	w.ok(w.Pause(ctx, "hung"))
	w.until("healthy while it is paused", func() bool { status, _ := w.Health(ctx); return status == "healthy" })
	w.end()
	if err := worker.Close(ctx); err != nil {
		t.Error(err)
	}
}
