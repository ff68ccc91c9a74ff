package herder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is a source connector in the shape of the reference's file source: it has as many tasks as config "parts" says.
type lines struct {
	mu      sync.Mutex
	started []string // connector-task file, in order
	stopped []string
	fail    map[string]error // by file
	slow    chan struct{}    // Stop waits for it
}

func (l *lines) Describe() connectors.Description {
	return connectors.Description{
		Class: "org.apache.kafka.connect.file.FileStreamSourceConnector", Aliases: []string{"FileStreamSource"}, Source: true, Version: "4.3.0",
		Config: &connectors.ConfigDef{Keys: []connectors.Key{
			{Name: "file", Type: connectors.TypeString},
			{Name: "topic", Type: connectors.TypeString, Required: true},
			{Name: "batch.size", Type: connectors.TypeInt, Default: "2000", HasDefault: true},
			{Name: "parts", Type: connectors.TypeInt},
		}},
	}
}

func (l *lines) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	values, _ := l.Describe().Config.Validate(c)
	return values
}

func (l *lines) Tasks(_ context.Context, c connectors.Config, n int) ([]connectors.Config, error) {
	if c["file"] == "no plan" {
		return nil, errors.New("no plan today")
	}
	tasks := []connectors.Config{c}
	for i := 1; c["parts"] != "" && i < n; i++ {
		tasks = append(tasks, connectors.Config{"part.number": fmt.Sprint(i)})
	}
	return tasks, nil
}

func (l *lines) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	return &line{of: l, id: fmt.Sprintf("%s-%d %s", s.Connector, s.Task, c["file"]), file: c["file"]}, nil
}

func (l *lines) CheckOffsets(_ connectors.Config, entries []offsets.Entry) error {
	for _, e := range entries {
		if e.Partition == "" {
			return errors.New("Partition objects cannot be null")
		}
	}
	return nil
}

func (l *lines) starts() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.started)
}

type line struct {
	of   *lines
	id   string
	file string
	once sync.Once
	s    connectors.SourceSession
	sent bool
}

func (t *line) Start(_ context.Context, s connectors.SourceSession) error {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.of.started = append(t.of.started, t.id)
	t.s = s
	return t.of.fail[t.file]
}

// Poll gives one position.
func (t *line) Poll(ctx context.Context) (*connectors.Batch, error) {
	if !t.sent {
		t.sent = true
		p := offsets.Partition(fmt.Sprintf(`{"filename":%q}`, t.file))
		w, err := t.s.NewBatch(ctx, p)
		if err != nil {
			return nil, err
		}
		return w.Finish(`{"position":17}`, connectors.Order{Epoch: 1, Major: 17}), nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (t *line) Commit(context.Context, []offsets.Entry) error { return nil }

func (t *line) Stop(ctx context.Context) error {
	t.once.Do(func() {
		t.of.mu.Lock()
		slow := t.of.slow
		t.of.mu.Unlock()
		if slow != nil {
			select {
			case <-slow:
			case <-ctx.Done():
			}
		}
		t.of.mu.Lock()
		defer t.of.mu.Unlock()
		t.of.stopped = append(t.of.stopped, t.id)
	})
	return nil
}

// world is a worker with a herder.
type world struct {
	*testing.T
	*Herder
	source *lines
	store  *offsets.Memory
	log    *recorder
	end    func()
	change func(*Options)
}

// recorder is a config log that keeps what was written.
type recorder struct {
	ConfigLog
	mu      sync.Mutex
	written []Message
}

func (r *recorder) Append(ctx context.Context, ms ...Message) error {
	r.mu.Lock()
	r.written = append(r.written, ms...)
	r.mu.Unlock()
	return r.ConfigLog.Append(ctx, ms...)
}

// take returns what was written since, without session keys.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, m := range r.written {
		if m.Key == keySession {
			continue
		}
		v := "null"
		if m.Value != nil {
			v = string(m.Value)
		}
		out = append(out, m.Key+" "+v)
	}
	r.written = nil
	return out
}

func newWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	w := &world{T: t, source: &lines{}, store: offsets.NewMemory(), change: change}
	w.open()
	return w
}

func (w *world) open() {
	w.Helper()
	worker := runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog([]connectors.SourceFactory{w.source}, []connectors.SinkFactory{connectortest.Sinks{Target: connectortest.NewTarget(), Name: "kafka"}}),
		Store:   w.store, Config: connectors.Config{"group.id": "g"},
	})
	config, status := LocalLogs()
	w.log = &recorder{ConfigLog: config}
	o := Options{
		Worker: worker, Config: w.log, Status: status, Group: LocalGroup(), WorkerID: "127.0.0.1:8083", URL: "http://127.0.0.1:8083/", GroupID: "g",
		Logger: slog.New(slog.NewTextHandler(w.Output(), nil)),
	}
	if w.change != nil {
		w.change(&o)
	}
	w.Herder = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Herder.Run(ctx) }()
	w.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
		if err := worker.Close(context.Background()); err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(w.end)
	w.until("healthy", func() bool { s, _ := w.Health(context.Background()); return s == "healthy" })
}

func (w *world) until(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.Fatalf("never: %s", what)
}

// state is "RUNNING RUNNING" for a connector and its one task; "" without a status.
func (w *world) state(name string) string {
	s, err := w.Status(context.Background(), name)
	if err != nil {
		return ""
	}
	out := []string{string(s.Connector.State)}
	for _, t := range s.Tasks {
		out = append(out, string(t.State))
	}
	return strings.Join(out, " ")
}

func (w *world) reaches(name, state string) {
	w.Helper()
	defer func() {
		if w.Failed() {
			w.Logf("%s is %s", name, w.state(name))
		}
	}()
	w.until(name+" is "+state, func() bool { return w.state(name) == state })
}

func props(list ...string) Properties {
	out := Properties{"connector.class": ptr("FileStreamSource"), "topic": ptr("t")}
	for i := 0; i < len(list); i += 2 {
		out[list[i]] = ptr(list[i+1])
	}
	return out
}

func ptr(s string) *string { return &s }

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// is checks an error's code and text.
func (w *world) is(err error, kind runtime.RequestKind, text string) {
	w.Helper()
	r, ok := errors.AsType[*runtime.RequestError](err)
	if !ok || r.Kind != kind || r.Message != text {
		w.Errorf("got %v, want %d %s", err, kind, text)
	}
}
