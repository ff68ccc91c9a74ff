package tracing

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	span "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
)

// collector receives spans.
type collector struct {
	mu       sync.Mutex
	spans    []*span.Span
	resource map[string]string
	problem  error
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := c.receive(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problem = errors.Join(c.problem, err)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *collector) receive(r *http.Request) error {
	if r.URL.Path != "/v1/traces" {
		return errors.New("path " + r.URL.Path)
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = z
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var request v1.ExportTraceServiceRequest
	if err := proto.Unmarshal(text, &request); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resource = map[string]string{}
	for _, of := range request.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			c.resource[a.Key] = a.Value.GetStringValue()
		}
		for _, s := range of.ScopeSpans {
			c.spans = append(c.spans, s.Spans...)
		}
	}
	return nil
}

func attributes(s *span.Span) map[string]string {
	out := map[string]string{}
	for _, a := range s.Attributes {
		out[a.Key] = a.Value.GetStringValue()
	}
	return out
}

// TestSpansReachACollector: every batch of a worker is a span for each sink, up to the last, with its attributes.
func TestSpansReachACollector(t *testing.T) {
	c := &collector{}
	server := httptest.NewServer(c)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	tracer, err := Open(t.Context(), "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	feed := connectortest.NewFeed()
	p := connectortest.Partition(1)
	feed.Extend(p, 100)
	feed.End()
	var sinks []connectors.SinkFactory
	for _, name := range []string{"One", "Two"} {
		sinks = append(sinks, connectortest.Sinks{Target: connectortest.NewTarget(), Name: name})
	}
	w := runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog([]connectors.SourceFactory{connectortest.Sources{Feed: feed}}, sinks), Store: offsets.NewMemory(), Tracer: tracer,
	})
	config := connectors.Config{"connector.class": "FeedSource", "sinks": "a,b", "sinks.a.connector.class": "One", "sinks.b.connector.class": "Two"}
	if err := w.Put(t.Context(), "c", config, ""); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !w.Idle("c"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never idle")
		}
	}
	if err := errors.Join(w.Close(t.Context()), tracer.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if c.problem != nil {
		t.Error(c.problem)
	}
	if c.resource["service.name"] != "freshet" || c.resource["service.version"] != "v1" || c.resource["deployment.environment"] != "test" {
		t.Errorf("resource %v", c.resource)
	}
	records := map[string]int64{}
	for _, s := range c.spans {
		at := attributes(s)
		if s.Name != "batch" || at["freshet.connector"] != "c" || at["freshet.source.partition"] != string(p) || !strings.HasPrefix(at["freshet.source.offset"], `{"n":`) ||
			s.EndTimeUnixNano < s.StartTimeUnixNano || len(s.Events) != 1 || s.Status.GetCode() != span.Status_STATUS_CODE_UNSET {
			t.Errorf("span %v", s)
		}
		for _, a := range s.Attributes {
			switch a.Key {
			case "freshet.batch.records":
				records[at["freshet.sink"]] += a.Value.GetIntValue()
			case "freshet.batch.bytes":
				if a.Value.GetIntValue() == 0 {
					t.Errorf("span %v", s)
				}
			}
		}
	}
	if len(records) != 2 || records["a"] != 100 || records["b"] != 100 {
		t.Errorf("records by sink: %v", records)
	}
}

// TestSpan: it begins with the commit, and tells why a batch was given up. A sampler that takes none sends none.
func TestSpan(t *testing.T) {
	for _, sampler := range []string{"always_on", "always_off"} {
		t.Run(sampler, func(t *testing.T) {
			c := &collector{}
			server := httptest.NewServer(c)
			defer server.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", server.URL+"/v1/traces")
			t.Setenv("OTEL_TRACES_SAMPLER", sampler)
			tracer, err := Open(context.Background(), "v1", slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			commit := time.Unix(1000, 0)
			tracer.Batch(runtime.BatchTrace{Connector: "c", Records: 1, Committed: commit, Taken: commit.Add(time.Second), Ended: commit.Add(3 * time.Second), Err: errors.New("away")})
			if err := tracer.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			if sampler == "always_off" {
				if len(c.spans) > 0 {
					t.Errorf("spans %v", c.spans)
				}
				return
			}
			if len(c.spans) != 1 {
				t.Fatalf("%d spans", len(c.spans))
			}
			s := c.spans[0]
			if s.StartTimeUnixNano != 1000e9 || s.EndTimeUnixNano != 1003e9 || s.Status.GetMessage() != "away" || s.Events[0].TimeUnixNano != 1001e9 {
				t.Errorf("span %v", s)
			}
		})
	}
}

func TestEnabled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env     string // NAME=value, separated by blanks
		on      bool
		problem string
	}{
		{"", false, ""},
		{"OTEL_TRACES_EXPORTER=otlp", true, ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://x:4318", true, ""},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://x:4318 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", true, ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://x:4318 OTEL_TRACES_EXPORTER=none", false, ""},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_SDK_DISABLED=true", false, ""},
		{"OTEL_TRACES_EXPORTER=zipkin", false, "OTEL_TRACES_EXPORTER=zipkin"},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc", false, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: http/protobuf is expected"},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_PROTOCOL=grpc", true, ""},
	} {
		env := map[string]string{}
		for _, v := range strings.Fields(c.env) {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		on, err := Enabled(func(name string) string { return env[name] })
		if on != c.on || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: got %v, %v", c.env, on, err)
		}
	}
}
