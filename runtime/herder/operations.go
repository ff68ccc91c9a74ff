package herder

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

func notFound(format string, args ...any) error {
	return &runtime.RequestError{Kind: runtime.NotFound, Message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return &runtime.RequestError{Kind: runtime.BadRequest, Message: fmt.Sprintf(format, args...)}
}

// Texts for a connector that does not exist.
const (
	textNotFound = "Connector %s not found"
	textUnknown  = "Unknown connector %s"
	textRestart  = "Unknown connector: %s"
)

// find has mu.
func (h *Herder) find(name, text string) (*entry, error) {
	if e, ok := h.desired.connectors[name]; ok {
		return e, nil
	}
	return nil, notFound(text, name)
}

// look returns a copy of what is desired of a connector; nothing in it is changed.
func (h *Herder) look(name, text string) (entry, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	e, err := h.find(name, text)
	if err != nil {
		return entry{}, err
	}
	return *e, nil
}

// Names lists the connectors, sorted.
func (h *Herder) Names(context.Context) ([]string, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Sorted(maps.Keys(h.desired.connectors)), nil
}

// Info describes a connector.
func (h *Herder) Info(_ context.Context, name string) (Info, error) {
	e, err := h.look(name, textNotFound)
	if err != nil {
		return Info{}, err
	}
	return h.info(name, e.config, len(e.tasks)), nil
}

func (h *Herder) info(name string, config connectors.Config, tasks int) Info {
	out := Info{Name: name, Config: maps.Clone(config), Tasks: []TaskRef{}, Type: h.kind(config)}
	for id := range tasks {
		out.Tasks = append(out.Tasks, TaskRef{name, id})
	}
	return out
}

// kind is source, sink, or unknown for a class that is not here.
func (h *Herder) kind(config connectors.Config) string {
	catalog, class := h.o.Worker.Catalog(), strings.TrimSpace(config[keyClass])
	switch {
	case catalog.Source(class) != nil:
		return "source"
	case catalog.Sink(class) != nil:
		return "sink"
	}
	return "unknown"
}

// Tasks lists the task configurations of a connector.
func (h *Herder) Tasks(_ context.Context, name string) ([]TaskInfo, error) {
	e, err := h.look(name, textNotFound)
	if err != nil {
		return nil, err
	}
	out := []TaskInfo{}
	for id, c := range e.tasks {
		out = append(out, TaskInfo{TaskRef{name, id}, maps.Clone(c)})
	}
	return out, nil
}

// Status tells what a connector and its tasks do.
func (h *Herder) Status(_ context.Context, name string) (Status, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.status(name, "No status found for connector %s")
}

// status has mu.
func (h *Herder) status(name, text string) (Status, error) {
	e := h.desired.connectors[name]
	parts := h.statuses.parts[name]
	own, ok := parts[-1]
	if e == nil || !ok {
		return Status{}, notFound(text, name)
	}
	out := Status{Name: name, Connector: own.part(), Tasks: []TaskStatus{}, Type: h.kind(e.config)}
	for id := range e.tasks {
		if p, ok := parts[id]; ok {
			out.Tasks = append(out.Tasks, TaskStatus{id, p.part()})
		}
	}
	return out, nil
}

// TaskStatus tells what one task does.
func (h *Herder) TaskStatus(_ context.Context, name string, id int) (TaskStatus, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	e := h.desired.connectors[name]
	p, ok := h.statuses.parts[name][id]
	if e == nil || !ok || id < 0 || id >= len(e.tasks) {
		return TaskStatus{}, notFound("No status found for task %s-%d", name, id)
	}
	return TaskStatus{id, p.part()}, nil
}

// trim removes surrounding spaces and control characters, as Java's trim does.
func trim(s string) string { return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }) }

// named returns the properties with the connector's name in them.
func named(name string, p Properties) (Properties, error) {
	out := maps.Clone(p)
	if out == nil {
		out = Properties{}
	}
	if given, ok := out["name"]; ok && (given == nil || *given != name) {
		text := "null"
		if given != nil {
			text = *given
		}
		return nil, badRequest("Connector name configuration (%s) doesn't match connector name in the URL (%s)", text, name)
	}
	out["name"] = &name
	return out, nil
}

func (p Properties) config() connectors.Config {
	out := connectors.Config{}
	for k, v := range p {
		if v != nil {
			out[k] = *v
		}
	}
	return out
}

// text is Java's for a map, without what may be secret (I12).
func (p Properties) text() string {
	var list []string
	for _, k := range javaOrder(slices.Sorted(maps.Keys(p))) {
		v := "null"
		switch {
		case p[k] == nil:
		case connectors.SecretName(k):
			v = connectors.Hidden
		default:
			v = *p[k]
		}
		list = append(list, k+"="+v)
	}
	return "{" + strings.Join(list, ", ") + "}"
}

// javaOrder sorts keys as a Java HashMap iterates over them.
func javaOrder(keys []string) []string {
	buckets := uint32(16)
	for uint32(len(keys)) > buckets*3/4 {
		buckets *= 2
	}
	bucket := func(k string) uint32 {
		var n uint32
		for _, u := range utf16.Encode([]rune(k)) {
			n = 31*n + uint32(u)
		}
		return (n ^ n>>16) & (buckets - 1)
	}
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(bucket(a), bucket(b)) })
	return keys
}

// Create makes a connector; initial is "" for RUNNING.
func (h *Herder) Create(ctx context.Context, name string, p Properties, initial runtime.State) (Info, error) {
	name = trim(name)
	p, err := named(name, p)
	if err != nil {
		return Info{}, err
	}
	if err := h.check(ctx, p); err != nil {
		return Info{}, err
	}
	config := p.config()
	err = h.asLeader(ctx, func() error {
		if _, err := h.look(name, ""); err == nil {
			return &runtime.RequestError{Kind: runtime.Conflict, Message: fmt.Sprintf("Connector %s already exists", name)}
		}
		var ms []Message
		if initial != "" {
			ms = append(ms, targetMessage(name, initial))
		}
		return h.append(ctx, append(ms, connectorMessage(name, config))...)
	})
	return h.info(name, config, 0), err
}

// Put makes a connector or gives it a new configuration.
func (h *Herder) Put(ctx context.Context, name string, p Properties) (info Info, created bool, err error) {
	if p, err = named(name, p); err != nil {
		return Info{}, false, err
	}
	if err := h.check(ctx, p); err != nil {
		return Info{}, false, err
	}
	config, tasks := p.config(), 0
	err = h.asLeader(ctx, func() error {
		e, err := h.look(name, "")
		created, tasks = err != nil, len(e.tasks)
		return h.append(ctx, connectorMessage(name, config))
	})
	return h.info(name, config, tasks), created, err
}

// Patch changes single properties of a connector; nil removes one.
func (h *Herder) Patch(ctx context.Context, name string, change Properties) (Info, error) {
	if err := h.leads(); err != nil {
		return Info{}, err
	}
	e, err := h.look(name, textNotFound)
	if err != nil {
		return Info{}, err
	}
	p := Properties{}
	for k, v := range e.config {
		p[k] = &v
	}
	for k, v := range change {
		p[k] = v
		if v == nil {
			delete(p, k)
		}
	}
	if err := h.check(ctx, p); err != nil {
		return Info{}, err
	}
	config, tasks := p.config(), 0
	err = h.asLeader(ctx, func() error {
		now, err := h.look(name, textNotFound)
		if err != nil {
			return err
		}
		if !maps.Equal(now.config, e.config) {
			return stale()
		}
		tasks = len(now.tasks)
		return h.append(ctx, connectorMessage(name, config))
	})
	return h.info(name, config, tasks), err
}

func stale() error {
	return &runtime.RequestError{Kind: runtime.Conflict, Message: "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)"}
}

// check validates a configuration with its placeholders resolved; errors do not show what they stand for (I12).
func (h *Herder) check(ctx context.Context, p Properties) error {
	v, err := Check(ctx, h.o.Worker, p, ValidateOptions{Resolve: h.o.Resolve})
	if err != nil {
		return err
	}
	return v.Err()
}

// Delete removes a connector. Its offsets stay.
func (h *Herder) Delete(ctx context.Context, name string) error {
	return h.asLeader(ctx, func() error {
		if _, err := h.look(name, textNotFound); err != nil {
			return err
		}
		return h.append(ctx, Message{Key: keyConnector + name}, Message{Key: keyTarget + name})
	})
}

// Pause makes the tasks of a connector take nothing more from their sources.
func (h *Herder) Pause(ctx context.Context, name string) error {
	return h.aim(ctx, name, runtime.Paused)
}

// Resume makes a paused or stopped connector run.
func (h *Herder) Resume(ctx context.Context, name string) error {
	return h.aim(ctx, name, runtime.Running)
}

func (h *Herder) aim(ctx context.Context, name string, target runtime.State) error {
	if _, err := h.look(name, textUnknown); err != nil {
		return err
	}
	return h.append(ctx, targetMessage(name, target))
}

// Stop ends the tasks of a connector and keeps its configuration.
func (h *Herder) Stop(ctx context.Context, name string) error {
	return h.asLeader(ctx, func() error {
		if _, err := h.look(name, textUnknown); err != nil {
			return err
		}
		return h.append(ctx, append(tasksMessages(name, nil), targetMessage(name, runtime.Stopped))...)
	})
}

// PutTasks stores the task configurations of a connector; for the leader.
func (h *Herder) PutTasks(ctx context.Context, name string, configs []connectors.Config) error {
	return h.asLeader(ctx, func() error {
		// Whoever made them may have read further: that the connector is resumed.
		if err := h.o.Config.Sync(ctx); err != nil {
			return fmt.Errorf("read the config log: %w", err)
		}
		e, err := h.look(name, textNotFound)
		if err != nil {
			return err
		}
		if e.target == runtime.Stopped {
			return stale() // a stopped connector has no tasks; who asks will see it, too
		}
		return h.append(ctx, tasksMessages(name, configs)...)
	})
}

// Restart has the worker that has the connector make its task configurations anew; nothing happens to the tasks.
func (h *Herder) Restart(_ context.Context, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, err := h.find(name, textRestart)
	if err != nil {
		return err
	}
	if !h.membership.assigned[name][-1] {
		return h.elsewhere(TaskID{name, -1})
	}
	h.desired.restart(e, true)
	h.queue.add(name)
	h.stir()
	return nil
}

// RestartTask starts one task again.
func (h *Herder) RestartTask(_ context.Context, name string, id int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, err := h.find(name, textRestart)
	if err != nil {
		return err
	}
	if id < 0 || id >= e.known {
		return notFound("Unknown task: %s-%d", name, id)
	}
	if id >= len(e.tasks) {
		return &NotLeader{} // a task of an earlier commit: who has it still is about to end it
	}
	if !h.membership.assigned[name][id] {
		return h.elsewhere(TaskID{name, id})
	}
	h.desired.restart(e, false, id)
	h.queue.add(name)
	h.stir()
	return nil
}

// elsewhere has mu. It tells who can do what only the owner can: the leader knows it, others know the leader.
func (h *Herder) elsewhere(id TaskID) error {
	m := &h.membership
	if !m.Leader {
		return &NotLeader{m.LeaderURL}
	}
	if url := m.Owners[id]; url != "" && url != h.o.URL {
		return &NotOwner{url}
	}
	return &NotLeader{} // nobody has it at present
}

// RestartWith asks whoever has parts of a connector to restart them, and tells which.
func (h *Herder) RestartWith(ctx context.Context, name string, includeTasks, onlyFailed bool) (Status, error) {
	var out Status
	err := h.asLeader(ctx, func() (err error) {
		h.mu.RLock()
		_, err = h.find(name, textRestart)
		if err == nil {
			out, err = h.status(name, "Status for connector %s not found")
		}
		h.mu.RUnlock()
		if err != nil {
			return err
		}
		if !onlyFailed || out.Connector.State == runtime.Failed {
			out.Connector.State = runtime.Restarting
		}
		for i := range out.Tasks {
			if t := &out.Tasks[i]; includeTasks && (!onlyFailed || t.State == runtime.Failed) {
				t.State = runtime.Restarting
			}
		}
		return h.append(ctx, Message{keyRestart + name, encode(restartRecord{includeTasks, onlyFailed})})
	})
	return out, err
}

// restartShare has mu. It restarts what this worker has of a connector.
func (h *Herder) restartShare(name string, r restartRecord) {
	e := h.desired.connectors[name]
	if e == nil {
		return
	}
	assigned, parts := h.membership.assigned[name], h.statuses.parts[name]
	chosen := func(id int) bool {
		return assigned[id] && (!r.OnlyFailed || parts[id].State == runtime.Failed)
	}
	var tasks []int
	for id := range e.tasks {
		if r.Tasks && chosen(id) {
			tasks = append(tasks, id)
		}
	}
	h.desired.restart(e, chosen(-1), tasks...)
}

// SetLogLevel sets a level for every worker of the group.
func (h *Herder) SetLogLevel(ctx context.Context, logger, level string) error {
	return h.append(ctx, Message{keyLogger + logger, encode(loggerRecord{level})})
}
