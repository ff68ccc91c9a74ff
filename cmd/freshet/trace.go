package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/tracing"
)

// lastSpans is how long the end of the program may take for traces that wait for the collector.
const lastSpans = 5 * time.Second

// openTracer returns what batches are traced with, nil when the environment does not ask for traces, and how to close it.
func openTracer(ctx context.Context) (runtime.Tracer, func(), error) {
	on, err := tracing.Enabled(os.Getenv)
	if err != nil || !on {
		return nil, func() {}, err
	}
	t, err := tracing.Open(ctx, versionText(), slog.Default())
	if err != nil {
		return nil, nil, err
	}
	slog.Info("batches are traced")
	return t, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSpans)
		defer cancel()
		if err := t.Close(ctx); err != nil {
			slog.Warn("the last traces were not sent", "error", err)
		}
	}, nil
}
