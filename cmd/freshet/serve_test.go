package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/runtime/loglevel"
	"github.com/freshet-io/freshet/runtime/standalone"
	"github.com/freshet-io/freshet/testbed"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String is all that was written.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// find returns the first line of JSON with this message.
func (b *lockedBuffer) find(message string) map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
			return fields
		}
	}
	return nil
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// TestRunCanBeObserved: freshet run with a listener shows metrics, the state of a connector and its health, changes levels of
// loggers, logs JSON with connector and task, and sends traces.
func TestRunCanBeObserved(t *testing.T) {
	var traces atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" {
			traces.Add(1)
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	dir := t.TempDir()
	in := write(t, dir, "in", "one\ntwo\n")
	var log lockedBuffer
	l := &logging{levels: loglevel.New(slog.LevelInfo)}
	tracer, closeTracer, err := openTracer(t.Context())
	if err != nil || tracer == nil {
		t.Fatalf("tracer %v, %v", tracer, err)
	}
	o := standalone.Options{
		Connectors: []string{write(t, dir, "c.json", `{"name":"c","connector.class":"FileStreamSource","file":"`+in+`","topic":"t",
			"sinks":"out","sinks.out.connector.class":"FileStreamSink","sinks.out.file":"`+dir+`/out"}`)},
		Worker: write(t, dir, "worker.properties", "listeners=http://127.0.0.1:0\noffset.storage.file.filename="+dir+"/offsets.db\n"),
	}
	newProgram().complete(t.Context(), &o)
	o.Logger = slog.New(l.levels.Handler(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: loglevel.All})))
	o.Levels, o.SetLogLevel, o.Extra, o.Tracer = l.levels, l.setFor, extra, tracer
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- standalone.Run(ctx, context.Background(), o) }()
	await(t, "the API is ready", func() bool { return log.find("the REST API is ready") != nil })
	url := strings.TrimSuffix(log.find("the REST API is ready")["url"].(string), "/")
	call := func(method, path, body string) (int, string) {
		t.Helper()
		return testbed.Call(t, method, url+path, body)
	}
	await(t, "metrics of the task", func() bool {
		code, text := call("GET", "/metrics", "")
		return code == 200 && strings.Contains(text, `kafka_connect_source_task_source_record_write_total{connector="c",task="0"} 2`) &&
			strings.Contains(text, "\nkafka_connect_worker_connector_count 1\n") && strings.Contains(text, "\nfreshet_worker_leader 1\n")
	})
	if code, text := call("GET", "/freshet/connectors/c", ""); code != 200 || !strings.Contains(text, `"records":{"read":2,"written":2,"restarts":0}`) {
		t.Errorf("state of the connector: %d %s", code, text)
	}
	if code, text := call("GET", "/health", ""); code != 200 {
		t.Errorf("health: %d %s", code, text)
	}
	if code, text := call("PUT", "/admin/loggers/freshet.rest", `{"level":"DEBUG"}`); code != 200 || text != `["freshet.rest"]` {
		t.Errorf("set a level: %d %s", code, text)
	}
	call("GET", "/", "")
	await(t, "a line of the REST API's own level", func() bool { line := log.find("request"); return line != nil && line["logger"] == "freshet.rest" })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	closeTracer()
	if traces.Load() == 0 {
		t.Error("no traces were sent")
	}
}
