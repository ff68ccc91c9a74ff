package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// connector is one configured connector and its tasks. op is held for the length of one operation on it; mu for its fields.
type connector struct {
	worker *Worker
	name   string
	op     sync.Mutex

	mu     sync.Mutex
	config connectors.Config
	plan   *pipeline
	target State
	trace  string // why no tasks could be made
	tasks  []*task
	store  offsets.Store
	opened bool // store belongs to this connector alone
}

// task runs instances one after the other until it is stopped or an error forbids another one.
type task struct {
	of     *connector
	id     int
	config connectors.Config

	mu      sync.Mutex
	stop    context.CancelFunc
	done    chan struct{}
	ending  bool // it was told to end and was not started since
	state   State
	trace   string
	current *instance
	paused  bool

	meter meter
}

func (k *task) status() TaskStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	return TaskStatus{ID: k.id, State: k.state, Trace: k.trace, Idle: k.state == Running && k.current != nil && k.current.idle.Load()}
}

func (k *task) set(s State, trace string) {
	k.mu.Lock()
	k.state, k.trace = s, trace
	k.mu.Unlock()
	k.of.worker.changed(k.of.name)
}

// startTasks makes the task configurations and starts them, after the end of earlier ones.
func (c *connector) startTasks(ctx context.Context) error {
	if err := c.stopTasks(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	plan := c.plan
	c.mu.Unlock()
	configs, err := guarded("tasks", func() ([]connectors.Config, error) {
		return plan.source.Tasks(ctx, plan.config, plan.maxTasks)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tasks, c.trace = nil, ""
	if err != nil {
		c.trace = err.Error()
		return fmt.Errorf("make tasks of connector %s: %w", c.name, err)
	}
	for i, config := range configs {
		c.tasks = append(c.tasks, &task{of: c, id: i, config: config, state: Unassigned})
	}
	for _, k := range c.tasks {
		k.start(plan, c.store)
	}
	return nil
}

// start runs the task unless the worker is closing; whoever closes it then sees every task that was started.
func (k *task) start(plan *pipeline, store offsets.Store) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of.worker.hard.Err() != nil {
		return
	}
	stop, cancel := context.WithCancel(k.of.worker.hard)
	done := make(chan struct{})
	k.stop, k.done, k.ending = cancel, done, false
	go func() {
		defer close(done)
		labels := pprof.Labels("connector", k.of.name, "goroutine", "task")
		pprof.Do(stop, labels, func(context.Context) { k.supervise(stop, plan, store) })
	}()
}

// end tells the task to stop gracefully and returns what is closed when it has; nil: it never ran.
func (k *task) end() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stop != nil {
		k.stop()
		k.ending = true
	}
	return k.done
}

// ended waits for the end of a task.
func (k *task) ended(ctx context.Context) error {
	done := k.end()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop task %s: %w", taskNumber(k.of.name, k.id), ctx.Err())
	}
}

// supervise is the goroutine of a task.
func (k *task) supervise(stop context.Context, plan *pipeline, store offsets.Store) {
	log := k.of.worker.options.Logger.With("connector", k.of.name, "task", k.id)
	claims := map[string]string{} // by alias: what the instance before held of the sinks' targets
	for failures := 0; ; {
		in, err := k.newInstance(plan, store, claims, log)
		if err == nil {
			err = in.supervised(stop)
			in.claims(claims)
		}
		if stop.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				log.Warn("the task was stopped before everything was durable; the rest will be sent again", "error", err)
			}
			return
		}
		if in != nil && in.progressed.Load() {
			failures = 0
		}
		failures++
		k.meter.failed()
		class := connectors.ClassOf(err)
		if class != connectors.Retriable || plan.limits.retries >= 0 && failures > plan.limits.retries {
			log.Error("the task has failed", "class", class.String(), "error", err)
			k.set(Failed, err.Error())
			return
		}
		wait := backoff(failures, plan.limits.delay)
		log.Warn("the task failed and is started again from the durable offset", "error", err, "attempt", failures, "in", wait.Round(time.Millisecond))
		k.set(Restarting, err.Error())
		k.meter.restarts.Add(1)
		if !pause(stop, wait) {
			return
		}
	}
}

// newInstance makes the source and the sinks of one run.
func (k *task) newInstance(plan *pipeline, store offsets.Store, claims map[string]string, log *slog.Logger) (*instance, error) {
	w := k.of.worker
	settings := connectors.Settings{
		Connector: k.of.name, Task: k.id, GroupID: w.options.Config["group.id"], RunID: runID(), Version: w.options.Version,
		Logger: log, Worker: w.options.Config, ExactlyOnce: plan.exactlyOnce,
	}
	in := newInstance(w.kill, k.of.name, plan.limits, store, w.memory, log)
	in.meter = &k.meter
	in.external = plan.source.Describe().OwnOffsets
	err := guard("make task", func() (err error) {
		if in.source, err = plan.source.NewSource(k.config, settings); err != nil {
			return fmt.Errorf("make source: %w", err)
		}
		for _, s := range plan.sinks {
			settings.Sink, settings.Claim = s.alias, claims[s.alias]
			if s.alias != "" {
				settings.Logger = log.With("sink", s.alias)
			}
			sink, err := s.factory.NewSink(s.config, settings)
			if err != nil {
				return fmt.Errorf("make sink %s: %w", s.factory.Describe().Class, err)
			}
			in.addSink(s, sink, plan.exactlyOnce, len(plan.sinks) > 1)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	in.changed = func() { k.set(Running, "") }
	k.mu.Lock()
	k.current = in
	in.pause(k.paused)
	k.mu.Unlock()
	return in, nil
}

// pause makes the task, and every later instance of it, stop or go on taking from its source.
func (k *task) pause(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paused = on
	if k.current != nil {
		k.current.pause(on)
	}
}

// runID is a random UUID (version 4).
func runID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// stopTasks stops gracefully and waits; after ctx it gives up waiting, and the tasks are neither running nor gone.
func (c *connector) stopTasks(ctx context.Context) error {
	c.mu.Lock()
	tasks := c.tasks
	c.mu.Unlock()
	for _, k := range tasks {
		k.end()
	}
	for _, k := range tasks {
		if err := k.ended(ctx); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.trace = err.Error() + "; restart the connector"
			return err
		}
	}
	return nil
}

// ending tells that tasks were told to end.
func (c *connector) ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.tasks {
		k.mu.Lock()
		ending := k.ending
		k.mu.Unlock()
		if ending {
			return true
		}
	}
	return false
}

func (c *connector) status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Name: c.name, State: c.target, Type: "source", Trace: c.trace}
	if c.trace != "" && c.target == Running {
		s.State = Failed
	}
	for _, k := range c.tasks {
		t := k.status()
		if c.target == Paused {
			t.State, t.Trace = Paused, ""
		}
		s.Tasks = append(s.Tasks, t)
	}
	return s
}

func taskNumber(name string, id int) string { return name + "-" + strconv.Itoa(id) }
