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

// connector is one connector and those of its tasks that run here. op is held for the length of one operation on it; mu for its
// fields.
type connector struct {
	worker *Worker
	name   string
	op     sync.Mutex

	mu     sync.Mutex
	config connectors.Config // as it was put; nil: its tasks were assigned
	target State
	trace  string  // why no tasks could be made
	tasks  []*task // by number
	store  offsets.Store
	topic  string // of its own that store reads; "": the worker's store
}

// task runs instances one after the other until it is stopped or an error forbids another one.
type task struct {
	of     *connector
	id     int
	config connectors.Config // of the connector, with what differs for this task
	run    uint64
	plan   *pipeline // nil: it cannot run

	mu      sync.Mutex
	stop    context.CancelFunc
	kill    context.CancelCauseFunc
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

// aim is the state that the connector shall have.
func (c *connector) aim() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.target
}

// startTasks makes the task configurations and starts them, after the end of earlier ones.
func (c *connector) startTasks(ctx context.Context) error {
	if err := c.stopTasks(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	config := c.config
	c.mu.Unlock()
	tasks, problem := c.worker.plan(ctx, c.name, config)
	if err := c.assign(ctx, Running, config, tasks); err != nil {
		return err
	}
	if problem != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.trace = problem.Error()
	}
	return problem
}

// start runs the task unless it cannot run or the worker is closing; whoever closes it then sees every task that was started.
func (k *task) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of.worker.hard.Err() != nil {
		return
	}
	k.of.worker.startups.Add(1)
	if k.plan == nil {
		k.of.worker.startupFailures.Add(1)
		return
	}
	stop, cancel := context.WithCancel(k.of.worker.hard)
	hard, kill := context.WithCancelCause(k.of.worker.kill)
	store := k.of.store // set before; it changes only when no task runs
	done := make(chan struct{})
	k.stop, k.kill, k.done, k.ending = cancel, kill, done, false
	go func() {
		defer close(done)
		defer kill(nil)
		labels := pprof.Labels("connector", k.of.name, "goroutine", "task")
		pprof.Do(stop, labels, func(context.Context) { k.supervise(stop, hard, store) })
	}()
}

// restart starts the task again after its end.
func (k *task) restart(ctx context.Context) error {
	if err := k.ended(ctx); err != nil {
		return err
	}
	if k.plan != nil {
		k.set(Restarting, "")
	}
	k.start()
	return nil
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
func (k *task) supervise(stop, kill context.Context, store offsets.Store) {
	limits := k.plan.limits
	own := k.of.worker.options.Logger.With("connector", k.of.name, "task", k.id)
	log := own.With("logger", loggerName)
	claims := map[string]string{} // by alias: what the instance before held of the sinks' targets
	var since time.Time           // of the first of the failures
	for failures, begun := 0, false; ; {
		in, err := k.newInstance(kill, store, claims, own)
		if err == nil {
			err = in.supervised(stop)
			in.claims(claims)
			begun = begun || in.connected.Load()
			if o, ok := in.observe(); ok && in.connected.Load() {
				k.meter.loses(o.Lost)
			}
		}
		if errors.Is(err, errRejoin) && stop.Err() == nil {
			log.Info("a sink that had dropped out can be reached again; the task goes on from its position")
			continue
		}
		if stop.Err() != nil || kill.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				log.Warn("the task was stopped before everything was durable; the rest will be sent again", "error", err)
			}
			return
		}
		if in != nil && in.progressed.Load() {
			failures = 0
		}
		if failures++; failures == 1 {
			since = time.Now()
		}
		k.meter.failed()
		class := connectors.ClassOf(err)
		late := limits.patience > 0 && time.Since(since) >= limits.patience
		if class != connectors.Retriable || late || limits.retries >= 0 && failures > limits.retries {
			if !begun {
				k.of.worker.startupFailures.Add(1)
			}
			log.Error("the task has failed", "class", class.String(), "error", err)
			k.set(Failed, err.Error())
			return
		}
		wait := backoff(failures, limits.delay)
		if limits.patience > 0 {
			wait = min(wait, limits.patience-time.Since(since))
		}
		log.Warn("the task failed and is started again from the durable offset", "error", err, "attempt", failures, "in", wait.Round(time.Millisecond))
		k.set(Restarting, err.Error())
		k.meter.restarts.Add(1)
		if !pause(stop, wait) {
			return
		}
	}
}

// newInstance makes the source and the sinks of one run.
func (k *task) newInstance(kill context.Context, store offsets.Store, claims map[string]string, log *slog.Logger) (*instance, error) {
	w, plan := k.of.worker, k.plan
	settings := w.settings(k.of.name, plan)
	settings.Task, settings.Logger = k.id, log
	in := newInstance(kill, k.of.name, plan.limits, store, w.memory, log.With("logger", loggerName))
	in.task, in.meter, in.tracer = k.id, &k.meter, w.options.Tracer
	if topic := w.watcher().Topic; topic != nil && plan.hasTopics() {
		in.topic = func(name string) { topic(k.of.name, k.id, name) }
	}
	in.external = plan.source.Describe().OwnOffsets
	settings.Shared = in.external
	in.rejects.tolerance, in.classes = plan.tolerance, w.converterClasses(k.config)
	settings.KeepRaw = plan.keepsLetters()
	if open := w.options.DeadLetters; open != nil {
		s := settings
		in.openQueue = func(ctx context.Context, c connectors.Config) (DeadLetterQueue, error) { return open.Open(ctx, c, s) }
	}
	err := guard("make task", func() (err error) {
		if in.source, err = plan.source.NewSource(plan.taskConfig(k.config), settings); err != nil {
			return fmt.Errorf("make source: %w", err)
		}
		for _, s := range plan.sinks {
			settings.Sink, settings.Class, settings.Claim, settings.Tolerant = s.alias, s.class, claims[s.alias], s.all
			if s.alias != "" {
				settings.Logger = log.With("sink", s.alias)
			}
			own := settings
			renew := func(claim string) (connectors.SinkTask, error) {
				own := own
				own.Claim = claim
				return s.factory.NewSink(s.config, own)
			}
			sink, err := renew(own.Claim)
			if err != nil {
				return fmt.Errorf("make sink %s: %w", s.factory.Describe().Class, err)
			}
			in.addSink(s, sink, plan.exactlyOnce, len(plan.sinks) > 1)
			in.sinks[len(in.sinks)-1].renew = renew
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	in.changed = func() { k.set(Running, in.outs()) }
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
	return c.stop(ctx, tasks)
}

func (c *connector) stop(ctx context.Context, tasks []*task) error {
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
	if _, kind, _ := c.worker.options.Catalog.Connector(c.config[keyClass]); kind == SinkPlugin {
		s.Type = string(SinkPlugin)
	}
	if c.trace != "" && c.target == Running {
		s.State = Failed
	}
	for _, k := range c.tasks {
		t := k.status()
		if c.target == Paused && t.State != Failed {
			t.State, t.Trace = Paused, ""
		}
		s.Tasks = append(s.Tasks, t)
	}
	return s
}

func taskNumber(name string, id int) string { return name + "-" + strconv.Itoa(id) }
