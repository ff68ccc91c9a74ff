package standalone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/boltstore"
	"github.com/freshet-io/freshet/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a writer for many goroutines.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type run struct {
	*testing.T
	feed   *connectortest.Feed
	target *connectortest.Target
	dir    string
	log    *log
	o      Options
}

func newRun(t *testing.T) *run {
	r := &run{T: t, feed: connectortest.NewFeed(), target: connectortest.NewTarget(), dir: t.TempDir(), log: &log{}}
	r.o = Options{
		Catalog: runtime.NewCatalog([]connectors.SourceFactory{connectortest.Sources{Feed: r.feed}}, []connectors.SinkFactory{connectortest.Sinks{Target: r.target}}),
		Logger:  slog.New(slog.NewTextHandler(r.log, nil)),
	}
	r.o.Connectors = []string{r.file("c.json", `{"name":"c","connector.class":"FeedSource","sinks":"a","sinks.a.connector.class":"TargetSink"}`)}
	r.o.Worker = r.file("worker.properties", "offset.storage.file.filename="+filepath.Join(r.dir, "offsets.db")+"\n")
	return r
}

func (r *run) file(name, text string) string {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	return path
}

func (r *run) run(ctx context.Context) error {
	return Run(ctx, context.Background(), r.o)
}

func (r *run) stored() string {
	r.Helper()
	s, err := boltstore.Open(filepath.Join(r.dir, "offsets.db"))
	if err != nil {
		r.Fatal(err)
	}
	list, err := s.Load(context.Background(), "c")
	if err = errors.Join(err, s.Close()); err != nil {
		r.Fatal(err)
	}
	return fmt.Sprint(list)
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestRunUntilDone(t *testing.T) {
	r := newRun(t)
	r.feed.Extend(connectortest.Partition(1), 10)
	r.feed.End()
	r.o.UntilDone = true
	for range 2 { // the second run has nothing to do
		if err := r.run(limited(t)); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.stored(); got != `[{{"feed":1} {"n":10}}]` || len(r.target.Durable(connectortest.Partition(1))) != 10 {
		t.Errorf("stored %s", got)
	}
}

func TestSignalStopsGracefully(t *testing.T) {
	r := newRun(t)
	put := make(chan struct{})
	r.target.Schedule = func(held int) int {
		if held == 4 {
			close(put)
		}
		return -1
	}
	r.feed.Extend(connectortest.Partition(1), 10)
	ctx, cancel := context.WithCancel(limited(t))
	r.o.Started = func(w *runtime.Worker) {
		select {
		case <-put:
		case <-ctx.Done():
		}
		if s, err := w.Status("c"); err != nil || s.State != runtime.Running {
			t.Errorf("got %+v, %v", s, err)
		}
		cancel()
	}
	if err := r.run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := r.stored(); got != `[{{"feed":1} {"n":10}}]` {
		t.Errorf("stored %s", got)
	}
}

func TestTwoRunsOnOneOffsetFile(t *testing.T) {
	r := newRun(t)
	ctx, cancel := context.WithCancel(limited(t))
	started := make(chan struct{})
	r.o.Started = func(*runtime.Worker) { close(started) }
	first := make(chan error, 1)
	go func() { first <- r.run(ctx) }()
	<-started
	second := newRun(t)
	second.o.Worker = r.o.Worker
	err := second.run(limited(t))
	if err == nil || !strings.Contains(err.Error(), "is in use by another freshet") || !strings.Contains(err.Error(), "offsets.db") {
		t.Errorf("got %v", err)
	}
	cancel()
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestRunEndsWhenEverythingHasFailed(t *testing.T) {
	r := newRun(t)
	r.feed.Fail = func() error { return connectors.AsPermanent(errors.New("the slot is gone")) }
	err := r.run(limited(t))
	if err == nil || !strings.Contains(err.Error(), "connector c failed: poll source: the slot is gone") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(r.log.String(), "the task has failed") {
		t.Errorf("log %s", r.log)
	}
}

func TestRunRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*run)
		want   string
	}{
		"no file":        {func(r *run) { r.o.Connectors = nil }, "no connector file is named"},
		"missing file":   {func(r *run) { r.o.Connectors = []string{"/nowhere/c.json"} }, "read connector file: open /nowhere/c.json"},
		"missing worker": {func(r *run) { r.o.Worker = "/nowhere/w" }, "read worker file: open /nowhere/w"},
		"twice":          {func(r *run) { r.o.Connectors = append(r.o.Connectors, r.o.Connectors[0]) }, "connector c is in "},
		"unknown key": {func(r *run) {
			r.file("c.json", `{"name":"c","connector.class":"FeedSource","sinks":"a","sinks.a.connector.class":"TargetSink","feed.nam":"x"}`)
		}, "unknown key feed.nam; did you mean feed.name?"},
		"unknown class": {func(r *run) { r.file("c.json", `{"name":"c","connector.class":"Nope"}`) }, `class "Nope" is not here; available: `},
		"broken worker": {func(r *run) { r.file("worker.properties", `a=\u1`) }, "worker.properties: line 1: key a: malformed"},
		"refused key":   {func(r *run) { r.file("worker.properties", "rest.extension.classes=com.example.Mine") }, "not supported yet"},
		"offset folder": {func(r *run) { r.file("worker.properties", "offset.storage.file.filename=/nowhere/x/o.db") }, "/nowhere/x/o.db: the directory does not exist"},
		"topic":         {func(r *run) { r.file("worker.properties", "offset.storage.topic=x") }, "keep offsets in Kafka topic x: not supported yet"},
	} {
		r := newRun(t)
		c.change(r)
		err := r.run(limited(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestOffsetsInATopic(t *testing.T) {
	r := newRun(t)
	r.file("worker.properties", "offset.storage.topic=my-offsets\nbootstrap.servers=broker:9092\n")
	r.feed.Extend(connectortest.Partition(1), 3)
	r.feed.End()
	r.o.UntilDone = true
	store := offsets.NewMemory()
	r.o.KafkaStore = func(_ context.Context, worker connectors.Config, topic string) (offsets.Store, error) {
		if topic != "my-offsets" || worker["bootstrap.servers"] != "broker:9092" {
			t.Errorf("topic %s, worker %v", topic, worker)
		}
		return store, nil
	}
	if err := r.run(limited(t)); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(context.Background(), "c"); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestOffsetFileOfKafkaConnect(t *testing.T) {
	r := newRun(t)
	text, err := os.ReadFile("testdata/connect.offsets")
	if err != nil {
		t.Fatal(err)
	}
	r.file("offsets.db", string(text))
	r.feed.End()
	r.o.UntilDone = true
	for _, want := range []string{"offsets of Kafka Connect were imported", "was imported before and is not read again"} {
		if err := r.run(limited(t)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("log %s, want %s", r.log, want)
		}
	}
}

func TestValidate(t *testing.T) {
	r := newRun(t)
	r.o.Connectors = append(r.o.Connectors, r.file("d.json", `{"name":"d","config":{"connector.class":"FeedSource","sinks":"a","sinks.a.connector.class":"TargetSink","bad":"x"}}`))
	got, err := Validate(limited(t), r.o)
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	if e := connectors.Errors(got[0].Values); len(e) != 0 {
		t.Errorf("c: %q", e)
	}
	if e := connectors.Errors(got[1].Values); len(e) != 1 || e[0] != "unknown key bad" {
		t.Errorf("d: %q", e)
	}
}
