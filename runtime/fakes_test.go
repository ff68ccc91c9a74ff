package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
)

// bench is a worker with one feed and some targets; its calls of sources, sinks and the store can be changed.
type bench struct {
	*testing.T
	feed       *connectortest.Feed
	targets    []*connectortest.Target
	store      *loggedStore
	config     connectors.Config // of the worker
	source     func(connectors.SourceTask) connectors.SourceTask
	sink       func(connectors.SinkTask) connectors.SinkTask
	sinkOf     func(target int, s connectors.SinkTask) connectors.SinkTask
	ownOffsets bool // of the source
	own        bool // the sinks write the records of the store themselves
	worker     *Worker
	logger     *slog.Logger
	tracer     Tracer
	letters    DeadLetters
}

// loggedStore counts what is written.
type loggedStore struct {
	*offsets.Memory
	mu    sync.Mutex
	saves [][]offsets.Entry
	fail  func() error
	load  func()
}

func (s *loggedStore) Load(ctx context.Context, c string, p ...offsets.Partition) ([]offsets.Entry, error) {
	if s.load != nil {
		s.load()
	}
	return s.Memory.Load(ctx, c, p...)
}

func (s *loggedStore) Save(ctx context.Context, c string, e []offsets.Entry) error {
	s.mu.Lock()
	fail := s.fail
	s.saves = append(s.saves, e)
	s.mu.Unlock()
	if fail != nil {
		if err := fail(); err != nil {
			return err
		}
	}
	return s.Memory.Save(ctx, c, e)
}

func (s *loggedStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.saves)
}

func (b *bench) stored() string {
	b.Helper()
	list, err := b.store.Load(context.Background(), "c")
	if err != nil {
		b.Fatal(err)
	}
	return fmt.Sprint(list)
}

func newBench(t *testing.T, targets int) *bench {
	b := &bench{T: t, feed: connectortest.NewFeed(), store: &loggedStore{Memory: offsets.NewMemory()}, config: connectors.Config{}}
	for range targets {
		b.targets = append(b.targets, connectortest.NewTarget())
	}
	return b
}

type benchSources struct {
	connectortest.Sources
	b *bench
}

func (f benchSources) Describe() connectors.Description {
	d := f.Sources.Describe()
	d.OwnOffsets = f.b.ownOffsets
	return d
}

func (f benchSources) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	task, err := f.Sources.NewSource(c, s)
	if f.b.source != nil {
		task = f.b.source(task)
	}
	return task, err
}

type benchSinks struct {
	connectortest.Sinks
	own bool
}

func (f benchSinks) Describe() connectors.Description {
	d := f.Sinks.Describe()
	d.OwnRecords = f.own
	return d
}

// open makes the worker anew.
func (b *bench) open() {
	var sinks []connectors.SinkFactory
	for i, target := range b.targets {
		wrap := b.sink
		if b.sinkOf != nil {
			wrap = func(s connectors.SinkTask) connectors.SinkTask { return b.sinkOf(i, s) }
		}
		sinks = append(sinks, benchSinks{connectortest.Sinks{Target: target, Name: fmt.Sprintf("Target%d", i), Wrap: wrap}, b.own})
	}
	b.worker = NewWorker(Options{
		Catalog: NewCatalog([]connectors.SourceFactory{benchSources{connectortest.Sources{Feed: b.feed}, b}}, sinks),
		Store:   b.store, Config: b.config, Logger: b.logger, Tracer: b.tracer, DeadLetters: b.letters,
	})
}

func (b *bench) connector() connectors.Config {
	c := connectors.Config{"connector.class": "FeedSource", "sinks": ""}
	for i := range b.targets {
		c["sinks"] += fmt.Sprintf("s%d,", i)
		c[fmt.Sprintf("sinks.s%d.connector.class", i)] = fmt.Sprintf("Target%d", i)
	}
	return c
}

func (b *bench) start(more ...string) {
	b.Helper()
	b.open()
	c := b.connector()
	for i := 0; i+1 < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	if err := b.worker.Put(context.Background(), "c", c, ""); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) close() {
	b.Helper()
	if err := b.worker.Close(context.Background()); err != nil {
		b.Error(err)
	}
}

// until waits in the time of the bubble.
func (b *bench) until(what string, ok func() bool) {
	b.Helper()
	for range 10000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s, _ := b.worker.Status("c")
	b.Fatalf("never: %s; %+v, stored %s", what, s, b.stored())
}

func (b *bench) task() TaskStatus {
	b.Helper()
	s, err := b.worker.Status("c")
	if err != nil || len(s.Tasks) != 1 {
		b.Fatalf("got %+v, %v", s, err)
	}
	return s.Tasks[0]
}

// has waits until the targets have n records of partition 1, and the store its offset.
func (b *bench) has(n int) {
	b.Helper()
	p := connectortest.Partition(1)
	b.until(fmt.Sprintf("%d are stored", n), func() bool {
		list, err := b.store.Load(context.Background(), "c", p)
		return err == nil && len(list) == 1 && list[0].Offset == connectortest.FeedOffset(n)
	})
	for i, target := range b.targets {
		if got := target.Has(p); got < n {
			b.Errorf("target %d has %d of %d", i, got, n)
		}
	}
}

var errAway = errors.New("away")

// faultySource fails or blocks where a test wants it.
type faultySource struct {
	connectors.SourceTask
	start  func(context.Context) error
	poll   func(context.Context) (*connectors.Batch, error)
	commit func(context.Context, []offsets.Entry) error
	stop   func()
}

func (s *faultySource) Start(ctx context.Context, session connectors.SourceSession) error {
	if s.start != nil {
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	return s.SourceTask.Start(ctx, session)
}

func (s *faultySource) Poll(ctx context.Context) (*connectors.Batch, error) {
	if s.poll != nil {
		if b, err := s.poll(ctx); b != nil || err != nil {
			return b, err
		}
	}
	return s.SourceTask.Poll(ctx)
}

func (s *faultySource) Commit(ctx context.Context, upTo []offsets.Entry) error {
	if s.commit != nil {
		if err := s.commit(ctx, upTo); err != nil {
			return err
		}
	}
	return s.SourceTask.Commit(ctx, upTo)
}

func (s *faultySource) Stop(ctx context.Context) error {
	if s.stop != nil {
		s.stop()
	}
	return s.SourceTask.Stop(ctx)
}

// faultySink likewise.
type faultySink struct {
	connectors.SinkTask
	put   func(context.Context, *connectors.Batch) error
	flush func(context.Context) error
}

// failsFirstPut makes the first Put of all sinks fail.
func (b *bench) failsFirstPut() {
	armed := true
	b.sink = func(s connectors.SinkTask) connectors.SinkTask {
		return &faultySink{SinkTask: s, put: func(context.Context, *connectors.Batch) error {
			if armed {
				armed = false
				return errAway
			}
			return nil
		}}
	}
}

func (s *faultySink) Put(ctx context.Context, b *connectors.Batch) error {
	if s.put != nil {
		if err := s.put(ctx, b); err != nil {
			return err
		}
	}
	return s.SinkTask.Put(ctx, b)
}

func (s *faultySink) Flush(ctx context.Context) error {
	if s.flush != nil {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	return s.SinkTask.Flush(ctx)
}
