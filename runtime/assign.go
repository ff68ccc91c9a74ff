package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Task is one task to run.
type Task struct {
	ID      int
	Config  connectors.Config // the connector's, with what differs for this task; Plan makes it
	Run     uint64            // a higher one starts the task again although its configuration is the same
	Problem string            // why it cannot run: it is FAILED with this
}

const keyTaskClass = "task.class"

// Plan makes the task configurations of a connector. It checks the configuration by its definitions and connects to nothing; one
// that cannot be used is a *ConfigError.
func (w *Worker) Plan(ctx context.Context, name string, config connectors.Config) ([]connectors.Config, error) {
	tasks, err := w.plan(ctx, name, config)
	out := make([]connectors.Config, 0, len(tasks))
	for _, t := range tasks {
		out = append(out, t.Config)
	}
	return out, err
}

func (w *Worker) plan(ctx context.Context, name string, config connectors.Config) ([]Task, error) {
	p, values := w.resolve(config)
	if len(connectors.Errors(values)) > 0 {
		return nil, &ConfigError{name, values}
	}
	configs, err := guarded("tasks", func() ([]connectors.Config, error) {
		return p.source.Tasks(ctx, p.config, p.maxTasks)
	})
	if err != nil {
		return nil, fmt.Errorf("make tasks of connector %s: %w", name, err)
	}
	var tasks []Task
	for i, c := range configs {
		record := maps.Clone(config)
		maps.Copy(record, c)
		record[keyTaskClass] = taskClass(w.Chosen(config).Class)
		tasks = append(tasks, Task{ID: i, Config: record})
	}
	return tasks, nil
}

// taskClass is the reference's name for the tasks of a connector class.
func taskClass(class string) string {
	if strings.HasPrefix(class, "io.debezium.") {
		return class + "Task"
	}
	return strings.TrimSuffix(class, "Connector") + "Task"
}

// taskConfig is what the source of a task sees: the keys of its own and the framework's, and those that its factory added for this task.
func (p *pipeline) taskConfig(task connectors.Config) connectors.Config {
	out := maps.Clone(p.config)
	for name, v := range task {
		if _, there := out[name]; !there && name != keyTaskClass && !strings.HasPrefix(name, prefixSinks) && !p.ofSink(name) {
			out[name] = v
		}
	}
	return out
}

func (p *pipeline) ofSink(name string) bool {
	return slices.ContainsFunc(p.sinks, func(s sinkPlan) bool { return s.factory.Describe().Config.Find(name) != nil })
}

// Assign makes exactly these tasks of a connector run here, running or paused as target says; none: the connector is forgotten. A
// task whose configuration and Run are the same goes on untouched. It waits for the end of those that go or change; after ctx
// they are neither running nor gone, and Assign may be called again.
func (w *Worker) Assign(ctx context.Context, name string, target State, tasks []Task) error {
	c, err := w.lockOrAdd(name)
	if err != nil {
		return err
	}
	defer c.op.Unlock()
	defer w.changed(name)
	defer w.dropUnused(c)
	var config connectors.Config
	if len(tasks) > 0 {
		config = tasks[0].Config
	}
	return c.assign(ctx, target, config, tasks)
}

// assign has op. config says where offsets are kept.
func (c *connector) assign(ctx context.Context, target State, config connectors.Config, list []Task) error {
	c.mu.Lock()
	before, topic := c.tasks, c.topic
	c.mu.Unlock()
	var next, fresh []*task
	again := map[*task]bool{}
	for _, t := range list {
		k := find(before, t.ID)
		if k != nil && k.same(t) {
			next = append(next, k)
			continue
		}
		n := c.newTask(t, target)
		again[n] = k != nil
		next, fresh = append(next, n), append(fresh, n)
	}
	slices.SortFunc(next, func(a, b *task) int { return a.id - b.id })
	own, store, err := c.openStore(ctx, topic, config)
	if err != nil {
		return err // nothing has changed
	}
	gone := slices.DeleteFunc(slices.Clone(before), func(k *task) bool { return slices.Contains(next, k) })
	err = c.stop(ctx, gone)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if own != topic && own != "" {
			err = errors.Join(err, store.Close())
		}
		return err
	}
	if own != topic {
		c.closeStore()
	}
	c.mu.Lock()
	c.tasks, c.target, c.trace, c.store, c.topic = next, target, "", store, own
	c.mu.Unlock()
	for _, k := range next {
		k.pause(target == Paused)
	}
	for _, k := range fresh {
		if again[k] && k.plan != nil {
			k.set(Restarting, "")
		}
		k.start()
	}
	return nil
}

// openStore returns where the offsets of config are kept: opened now when it is a topic of the connector's own that is not open yet.
func (c *connector) openStore(ctx context.Context, open string, config connectors.Config) (string, offsets.Store, error) {
	w := c.worker
	topic := strings.TrimSpace(config["offsets.storage.topic"])
	if topic != "" && topic == open {
		return topic, c.store, nil
	}
	s, err := w.openStore(ctx, c.name, topic, config)
	return topic, s, err
}

func (w *Worker) openStore(ctx context.Context, name, topic string, config connectors.Config) (offsets.Store, error) {
	if topic == "" || w.options.StoreFor == nil {
		return w.options.Store, nil
	}
	s, err := w.options.StoreFor(ctx, name, config)
	if err != nil {
		return nil, fmt.Errorf("open offsets of connector %s in topic %s: %w", name, topic, err)
	}
	return s, nil
}

func (c *connector) closeStore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topic != "" {
		if err := c.store.Close(); err != nil {
			c.worker.options.Logger.Warn("close offset store", "connector", c.name, "error", err)
		}
	}
	c.store, c.topic = nil, ""
}

func (c *connector) newTask(t Task, target State) *task {
	k := &task{of: c, id: t.ID, config: t.Config, run: t.Run, state: Unassigned, trace: t.Problem, paused: target == Paused}
	if k.trace == "" {
		p, values := c.worker.resolve(t.Config)
		if list := connectors.Errors(values); len(list) > 0 {
			k.trace = (&ConfigError{c.name, values}).Error()
		} else {
			k.plan = p
		}
	}
	if k.trace != "" {
		k.state = Failed
	}
	return k
}

// same tells that the task runs, or has failed, with what t says.
func (k *task) same(t Task) bool {
	k.mu.Lock()
	ending := k.ending
	k.mu.Unlock()
	return !ending && k.run == t.Run && t.Problem == "" && maps.Equal(k.config, t.Config)
}

func find(tasks []*task, id int) *task {
	for _, k := range tasks {
		if k.id == id {
			return k
		}
	}
	return nil
}

// Abort ends every task at once: nothing more is written, no offsets either, as somebody else may own the work (I6). It returns when
// all of them have ended, or ctx.
func (w *Worker) Abort(ctx context.Context, cause error) error {
	w.mu.Lock()
	all := make([]*connector, 0, len(w.connectors))
	for _, c := range w.connectors {
		all = append(all, c)
	}
	w.mu.Unlock()
	for _, c := range all {
		c.abort(cause)
	}
	for _, c := range all {
		if err := w.forget(ctx, c, cause); err != nil {
			return err
		}
	}
	return nil
}

// Kill ends one task at once and without a last write; it does not wait.
func (w *Worker) Kill(name string, id int, cause error) {
	if c := w.find(name); c != nil {
		c.mu.Lock()
		k := find(c.tasks, id)
		c.mu.Unlock()
		if k != nil {
			k.abort(cause)
		}
	}
}

func (c *connector) abort(cause error) {
	c.mu.Lock()
	tasks := c.tasks
	c.mu.Unlock()
	for _, k := range tasks {
		k.abort(cause)
	}
}

func (k *task) abort(cause error) {
	k.mu.Lock()
	if k.kill != nil {
		k.kill(connectors.AsFenced(cause)) // I6: before it is told to stop, for a graceful end stores what is durable
	}
	k.mu.Unlock()
	k.end()
}

// forget waits for the end of a connector that is aborted, with what an operation under way has started meanwhile.
func (w *Worker) forget(ctx context.Context, c *connector, cause error) error {
	c.op.Lock()
	defer c.op.Unlock()
	c.abort(cause)
	if err := c.stopTasks(ctx); err != nil {
		return err
	}
	c.closeStore()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.connectors, c.name)
	return nil
}
