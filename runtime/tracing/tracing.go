// Package tracing sends the way of batches as OpenTelemetry spans to a collector (OTLP over HTTP): one span for each batch and sink,
// from the commit in the source until the change was durable. The standard OTEL_* variables configure it; without them it is off.
//
// It is a package of its own, so that the runtime and its metrics do without OpenTelemetry. The goroutine "span processor" is
// that of the SDK: it sends what has gathered and ends with Close.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/freshet-io/freshet/runtime"
)

// Tracer is a runtime.Tracer. At most OTEL_BSP_MAX_QUEUE_SIZE spans (2048) wait for the collector; what comes on top is dropped.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Enabled tells whether the environment (os.Getenv) asks for traces: OTEL_TRACES_EXPORTER=otlp, or a collector is named and
// OTEL_TRACES_EXPORTER is not none. An error is what is asked for and not there.
func Enabled(env func(string) string) (bool, error) {
	if strings.EqualFold(strings.TrimSpace(env("OTEL_SDK_DISABLED")), "true") {
		return false, nil
	}
	switch exporter := strings.ToLower(strings.TrimSpace(env("OTEL_TRACES_EXPORTER"))); exporter {
	case "":
		if env("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
			return false, nil
		}
	case "none":
		return false, nil
	case "otlp":
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER=%s: otlp or none is expected", exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		protocol := strings.ToLower(strings.TrimSpace(env(name)))
		if protocol == "http/protobuf" {
			break
		}
		if protocol != "" {
			return false, fmt.Errorf("%s=%s: http/protobuf is expected", name, protocol)
		}
	}
	return true, nil
}

// Open returns a tracer that sends to the collector of the environment. It does not connect yet. Close it.
func Open(ctx context.Context, version string, log *slog.Logger) (*Tracer, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the exporter of traces: %w", err)
	}
	// What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins.
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "freshet"), attribute.String("service.version", version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	log = log.With("logger", "freshet.tracing")
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces were not sent", "error", err) }))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about)) // OTEL_TRACES_SAMPLER, OTEL_BSP_*
	return &Tracer{provider, provider.Tracer("github.com/freshet-io/freshet/runtime", trace.WithInstrumentationVersion(version))}, nil
}

// Batch implements runtime.Tracer.
func (t *Tracer) Batch(b runtime.BatchTrace) {
	began := b.Taken
	if !b.Committed.IsZero() && b.Committed.Before(began) {
		began = b.Committed
	}
	_, span := t.tracer.Start(context.Background(), "batch", trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindInternal))
	if span.IsRecording() {
		span.AddEvent("taken from the source", trace.WithTimestamp(b.Taken))
		span.SetAttributes(
			attribute.String("freshet.connector", b.Connector), attribute.Int("freshet.task", b.Task), attribute.String("freshet.sink", b.Sink),
			attribute.Int("freshet.batch.records", b.Records), attribute.Int("freshet.batch.bytes", b.Bytes),
			attribute.String("freshet.source.partition", string(b.Partition)), attribute.String("freshet.source.offset", string(b.Offset)),
		)
		if b.Err != nil {
			span.SetStatus(codes.Error, b.Err.Error())
		}
	}
	span.End(trace.WithTimestamp(b.Ended))
}

// Close sends what is left, not longer than until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}
