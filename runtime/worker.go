// Package runtime runs connectors: it resolves a configuration into one source and its sinks, moves batches between them,
// keeps the order of durability (I1), retries, stops gracefully, bounds memory and answers what runs and where it is.
// It knows no database, no broker and no HTTP; those come as factories (Catalog) and as an offsets.Store.
//
// Its nouns: a Worker has connectors; a connector has tasks; a task runs one instance after the other; an instance is one
// source and its sinks between a start and the first error.
//
// Goroutines, all owned by their task and named by pprof labels: "task" (supervises), "deliver" (hands batches to the sinks),
// "poll" (waits in the source), "commit" (writes offsets). While a task stops, one timer watches the grace period.
package runtime

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Options configures a Worker. Catalog and Store are required.
type Options struct {
	Catalog *Catalog
	Store   offsets.Store
	// StoreFor opens the store of a connector that names its own offsets.storage.topic; nil: that key is not supported.
	StoreFor func(ctx context.Context, connector string, c connectors.Config) (offsets.Store, error)
	Logger   *slog.Logger      // nil: nothing is logged
	Config   connectors.Config // the worker's properties
	// MemoryLimit bounds what all tasks together hold on its way, in bytes; 0: 1 GiB.
	MemoryLimit int64
	// CommitInterval is the shortest time between two writes of offsets of a task unless offset.flush.interval.ms is set:
	// a second for a store in Kafka, 100 ms (also for 0) for an embedded one.
	CommitInterval time.Duration
	Version        string
	Tracer         Tracer      // nil: nothing is traced
	DeadLetters    DeadLetters // nil: there are no dead-letter queues
	// Changed is called without locks whenever the status of a connector may have changed; nil: nobody. Watch names another.
	Changed func(connector string)
}

// Worker runs connectors. All methods are safe for concurrent use.
type Worker struct {
	options Options
	memory  *budget

	hard context.Context // ends: every task stops gracefully
	halt context.CancelFunc
	kill context.Context // ends: every task stops at once
	slay context.CancelFunc

	startups, startupFailures atomic.Int64 // of tasks

	mu         sync.Mutex
	connectors map[string]*connector
	watch      Watcher
	closed     bool
}

const (
	defaultMemory = 1 << 30
	loggerName    = "freshet.runtime" // of the runtime's own lines; connectors name theirs
)

// NewWorker returns a worker without connectors.
func NewWorker(o Options) *Worker {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.MemoryLimit <= 0 {
		o.MemoryLimit = defaultMemory
	}
	if o.CommitInterval <= 0 {
		o.CommitInterval = 100 * time.Millisecond
	}
	w := &Worker{options: o, memory: newBudget(o.MemoryLimit, nil), connectors: map[string]*connector{}}
	w.hard, w.halt = context.WithCancel(context.Background())
	w.kill, w.slay = context.WithCancel(context.Background())
	return w
}

func (w *Worker) changed(name string) {
	if w.options.Changed != nil {
		w.options.Changed(name)
	}
	if f := w.watcher().Changed; f != nil {
		f(name)
	}
}

// Watcher is told what tasks do, without locks and from any goroutine. It must not block. A member may be nil.
type Watcher struct {
	// Changed: the status of a connector may have changed.
	Changed func(connector string)
	// Topic: a batch with records of this topic was taken by a task that reads from Kafka or writes to it.
	Topic func(connector string, task int, topic string)
}

// Watch names who is told, beside Options.Changed.
func (w *Worker) Watch(o Watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch = o
}

func (w *Worker) watcher() Watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watch
}

// Catalog is what the worker can run.
func (w *Worker) Catalog() *Catalog { return w.options.Catalog }

// Properties are the worker's own, not to be changed.
func (w *Worker) Properties() connectors.Config { return w.options.Config }

// Validate checks a configuration, live connections included: one value per key, errors in them.
func (w *Worker) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	return w.validate(ctx, c, false)
}

// ValidateAsConnect is Validate as Kafka Connect does it: keys that nobody knows are left alone, and Kafka, when it is where a
// source connector writes to, is neither asked nor are topic.creation.* read before a task starts.
func (w *Worker) ValidateAsConnect(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	return w.validate(ctx, c, true)
}

// Put creates a connector or gives it a new configuration. target is Running, Paused or Stopped; "" keeps the one it has
// (Running for a new one). A configuration that cannot be used is a *ConfigError and changes nothing.
func (w *Worker) Put(ctx context.Context, name string, config connectors.Config, target State) error {
	name = strings.TrimSpace(name)
	config = maps.Clone(config)
	if config == nil {
		config = connectors.Config{}
	}
	if given, ok := config["name"]; ok && strings.TrimSpace(given) != name {
		return requestError(BadRequest, "Connector name configuration (%s) doesn't match connector name in the URL (%s)", given, name)
	}
	config["name"] = name
	if strings.TrimSpace(config[keyClass]) == "" {
		return requestError(BadRequest, "Connector config contains no connector type")
	}
	if values := w.Validate(ctx, config); len(connectors.Errors(values)) > 0 {
		return &ConfigError{name, values}
	}
	c, err := w.lockOrAdd(name)
	if err != nil {
		return err
	}
	defer c.op.Unlock()
	defer w.dropUnused(c)
	if target == "" {
		target = c.aim()
	}
	var tasks []Task
	var problem error
	if target == Running {
		tasks, problem = w.plan(ctx, name, config)
	}
	if err := c.assign(ctx, target, config, tasks); err != nil {
		return err // a connector that was there runs on
	}
	defer w.changed(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config, c.trace = config, ""
	if problem != nil {
		c.trace = problem.Error()
	}
	return problem
}

// lockOrAdd returns the connector, made when needed, with its op lock held.
func (w *Worker) lockOrAdd(name string) (*connector, error) {
	for {
		w.mu.Lock()
		if w.closed {
			w.mu.Unlock()
			return nil, fmt.Errorf("put connector %s: the worker is stopping", name)
		}
		c := w.connectors[name]
		if c == nil {
			c = &connector{worker: w, name: name, target: Running}
			w.connectors[name] = c
		}
		w.mu.Unlock()
		c.op.Lock()
		if w.find(name) == c {
			return c, nil
		}
		c.op.Unlock() // deleted meanwhile
	}
}

// dropUnused forgets a connector that has neither a configuration nor tasks.
func (w *Worker) dropUnused(c *connector) {
	c.mu.Lock()
	used := c.config != nil || len(c.tasks) > 0
	c.mu.Unlock()
	if !used {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.connectors, c.name)
	}
}

func (w *Worker) find(name string) *connector {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connectors[name]
}

// lock returns an existing connector with its op lock held; text is the message for one that does not exist.
func (w *Worker) lock(name, text string) (*connector, error) {
	if c := w.find(name); c != nil {
		c.op.Lock()
		if w.find(name) == c {
			return c, nil
		}
		c.op.Unlock()
	}
	return nil, requestError(NotFound, text, name)
}

// Stop ends the tasks of a connector and keeps its configuration.
func (w *Worker) Stop(ctx context.Context, name string) error { return w.aim(ctx, name, Stopped) }

// Pause makes the tasks of a connector take nothing more from their sources, which stay connected. Offsets are not written for
// it, and a task goes on where it is when it is resumed (Kafka Connect, WorkerSourceTask).
func (w *Worker) Pause(ctx context.Context, name string) error { return w.aim(ctx, name, Paused) }

// Resume starts a stopped or paused connector.
func (w *Worker) Resume(ctx context.Context, name string) error { return w.aim(ctx, name, Running) }

func (w *Worker) aim(ctx context.Context, name string, target State) error {
	c, err := w.lock(name, "Unknown connector %s")
	if err != nil {
		return err
	}
	defer c.op.Unlock()
	defer w.changed(name)
	c.mu.Lock()
	was, tasks, config := c.target, c.tasks, c.config
	c.target = target
	c.mu.Unlock()
	ending := c.ending() // an earlier stop did not wait for its end
	if was == target && !(ending && target == Stopped) {
		return nil
	}
	if target == Stopped {
		return c.assign(ctx, target, config, nil)
	}
	for _, k := range tasks {
		k.pause(target == Paused)
	}
	if target == Running && (len(tasks) == 0 || ending) {
		return c.startTasks(ctx)
	}
	return nil
}

// Restart starts a running connector again: with tasks, all of them (onlyFailed: those that have failed); without, only what
// makes the task configurations, and nothing happens to the tasks.
func (w *Worker) Restart(ctx context.Context, name string, tasks, onlyFailed bool) error {
	c, err := w.lock(name, "Unknown connector: %s")
	if err != nil {
		return err
	}
	defer c.op.Unlock()
	defer w.changed(name)
	c.mu.Lock()
	target, list, broken := c.target, c.tasks, c.trace != ""
	c.mu.Unlock()
	if target != Running {
		return nil
	}
	if broken {
		return c.startTasks(ctx)
	}
	if !tasks {
		return nil
	}
	for _, k := range list {
		if !onlyFailed || k.status().State == Failed {
			if err := k.restart(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// RestartTask starts one task again.
func (w *Worker) RestartTask(ctx context.Context, name string, id int) error {
	c, err := w.lock(name, "Unknown connector: %s")
	if err != nil {
		return err
	}
	defer c.op.Unlock()
	c.mu.Lock()
	target, k := c.target, find(c.tasks, id)
	c.mu.Unlock()
	if k == nil {
		return requestError(NotFound, "Unknown task: %s", taskNumber(name, id))
	}
	if target != Running {
		return nil
	}
	return k.restart(ctx)
}

// Delete stops a connector and forgets it. Its offsets stay, as in Kafka Connect.
func (w *Worker) Delete(ctx context.Context, name string) error {
	c, err := w.lock(name, "Connector %s not found")
	if err != nil {
		return err
	}
	defer c.op.Unlock()
	defer w.changed(name)
	if err := c.stopTasks(ctx); err != nil {
		return err
	}
	c.closeStore()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.connectors, name)
	return nil
}

// Names lists the connectors, sorted.
func (w *Worker) Names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]string, 0, len(w.connectors))
	for name := range w.connectors {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// Config returns the configuration of a connector as it was put.
func (w *Worker) Config(name string) (connectors.Config, error) {
	c := w.find(name)
	if c == nil {
		return nil, requestError(NotFound, "Connector %s not found", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.config), nil
}

// Status tells what a connector and its tasks do.
func (w *Worker) Status(name string) (Status, error) {
	c := w.find(name)
	if c == nil {
		return Status{}, requestError(NotFound, "No status found for connector %s", name)
	}
	return c.status(), nil
}

// Idle tells that every source of a running connector has ended (snapshot.mode=initial_only) and all of it is durable.
func (w *Worker) Idle(name string) bool {
	s, err := w.Status(name)
	if err != nil || s.State != Running || len(s.Tasks) == 0 {
		return false
	}
	for _, t := range s.Tasks {
		if !t.Idle {
			return false
		}
	}
	return true
}

// Close stops everything gracefully; when ctx ends first, at once. It does not close the store. The worker cannot be used
// afterwards.
func (w *Worker) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	var all []*connector
	for _, c := range w.connectors {
		all = append(all, c)
	}
	w.mu.Unlock()
	w.halt()
	err := waitAll(ctx, all)
	w.slay()
	if err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if waitAll(last, all) == nil {
			err = fmt.Errorf("stop the worker: it was cut short; what was not durable will be sent again: %w", ctx.Err())
		}
	}
	for _, c := range all {
		c.closeStore()
	}
	return err
}

func waitAll(ctx context.Context, all []*connector) error {
	for _, c := range all {
		if err := c.stopTasks(ctx); err != nil {
			return err
		}
	}
	return nil
}
