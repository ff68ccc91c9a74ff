package herder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// share is what this worker has of one connector. Only the goroutine that works on the connector changes it, with Herder.mu; Lost takes tasks and held away.
type share struct {
	target    runtime.State
	tasks     map[int]given // that the worker runs
	held      map[int]bool  // tasks that may run, for they are being started or stopped
	connector bool          // the connector itself is here
	given     int32         // newest generation in which this worker was seen to have any of it
	born      uint64        // of the entry that reported is about
	planned   uint64        // entry.plan that was answered
	problem   string        // why there are no task configurations
	reported  map[int]told  // newest status written, by task
	contested map[int]bool  // another worker has written over it since
	attempts  int           // in a row that failed
	retry     *time.Timer
}

// given is a task as it was given to the worker: task has the placeholders of raw resolved.
type given struct {
	raw  connectors.Config
	run  uint64
	task runtime.Task
}

// part is what the statuses that one worker writes differ in.
type part struct {
	state runtime.State
	trace string
}

// told is a status that was written, and the generation that it was written under.
type told struct {
	part
	given int32
}

// goal is what a share shall be.
type goal struct {
	entry     // a copy; nothing in it is changed
	exists    bool
	connector bool
	ids       []int // of the tasks, ascending
	exact     bool  // a source with exactly-once support
	leader    bool
	leaderURL string
}

// goalOf has mu.
func (h *Herder) goalOf(name string) goal {
	g := goal{leader: h.membership.Leader, leaderURL: h.membership.LeaderURL}
	e, ok := h.desired.connectors[name]
	if !ok {
		return g
	}
	g.entry, g.exists = *e, true
	g.runs = maps.Clone(e.runs)
	assigned := h.membership.assigned[name]
	g.connector = assigned[-1]
	if g.target != runtime.Stopped {
		for id := range e.tasks {
			if assigned[id] {
				g.ids = append(g.ids, id)
			}
		}
	}
	g.exact = h.exactlyOnce(e.config)
	return g
}

func (h *Herder) exactlyOnce(c connectors.Config) bool {
	return h.o.Fence != nil && h.o.Worker.Catalog().Source(c[keyClass]) != nil
}

const (
	keyClass   = "connector.class"
	keyVersion = "connector.plugin.version"
)

// reconcile brings what runs here of a connector to what it shall be, and reports it. What fails is tried again later.
func (h *Herder) reconcile(life context.Context, name string) {
	h.mu.Lock()
	s := h.shares[name]
	g := h.goalOf(name)
	if s == nil && !g.connector && len(g.ids) == 0 {
		h.mu.Unlock()
		return
	}
	if s == nil {
		s = &share{reported: map[int]told{}}
		h.shares[name] = s
	}
	if g.exists && s.born != g.born {
		s.born = g.born
		clear(s.reported) // it was deleted, with its statuses, and made again
	}
	if g.connector || len(g.ids) > 0 {
		s.given = h.membership.Generation
	}
	if s.retry != nil {
		s.retry.Stop()
	}
	ctx := h.session
	h.mu.Unlock()
	err := h.runTasks(ctx, name, s, &g)
	if err == nil {
		err = h.runConnector(ctx, name, s, &g)
	}
	h.reportShare(name, s, &g)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		s.attempts = 0
		if !s.connector && len(s.held) == 0 && len(s.reported) == 0 {
			delete(h.shares, name)
		}
		return
	}
	if life.Err() != nil || ctx.Err() != nil {
		return // whoever ended it asks for another look
	}
	wait := min(250*time.Millisecond<<min(s.attempts, 8), time.Minute)
	s.attempts++
	s.retry = time.AfterFunc(wait, func() { h.touch(name) })
	h.log.Warn("a connector is not yet where it shall be", "connector", name, "error", err, "attempt", s.attempts, "in", wait)
}

// runTasks makes the worker run exactly the tasks of the goal. Those that are the same go on untouched.
func (h *Herder) runTasks(ctx context.Context, name string, s *share, g *goal) error {
	h.mu.RLock()
	before, held := s.tasks, s.held // Lost may take them away at any time
	h.mu.RUnlock()
	next := make(map[int]given, len(g.ids))
	same := len(g.ids) == len(before) && len(held) == len(before) && (len(g.ids) == 0 || s.target == g.target)
	for _, id := range g.ids {
		run := max(g.born, g.runs[id])
		if g.exact {
			run = max(run, g.commit) // a new generation is fenced from the one before
		}
		now, ok := before[id]
		if !ok || now.run != run || !maps.Equal(now.raw, g.tasks[id]) {
			now, same = h.resolve(id, run, g.tasks[id]), false
		}
		next[id] = now
	}
	if same {
		return nil
	}
	if g.exact && g.unfenced && len(next) > 0 {
		// The tasks of the generation before end here, then everywhere, before one of the new starts (I6).
		if err := h.giveTasks(ctx, name, s, g, nil); err != nil {
			return err
		}
		if err := h.fenced(ctx, name, g); err != nil {
			return err
		}
	}
	return h.giveTasks(ctx, name, s, g, next)
}

func (h *Herder) resolve(id int, run uint64, raw connectors.Config) given {
	out := given{raw: raw, run: run, task: runtime.Task{ID: id, Run: run}}
	config, err := h.o.Resolve(raw)
	if err != nil {
		out.task.Problem = fmt.Sprintf("resolve the placeholders of the configuration: %v", err)
		config = raw
	}
	out.task.Config = config
	return out
}

func (h *Herder) giveTasks(ctx context.Context, name string, s *share, g *goal, tasks map[int]given) error {
	var list []runtime.Task
	held := map[int]bool{}
	for _, id := range slices.Sorted(maps.Keys(tasks)) {
		list = append(list, tasks[id].task)
		held[id] = true
	}
	h.mu.Lock()
	if ctx.Err() != nil {
		h.mu.Unlock()
		return ctx.Err()
	}
	during := maps.Clone(held)
	maps.Copy(during, s.held)
	s.held = during
	h.mu.Unlock()
	err := h.o.Worker.Assign(ctx, name, g.target, list)
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err() // Lost forgets what was held
	}
	if err != nil {
		return fmt.Errorf("run tasks of connector %s: %w", name, err)
	}
	s.tasks, s.held, s.target = tasks, held, g.target
	return nil
}

// runConnector is the part of the worker that has the connector itself: it makes the task configurations when something asks for them.
func (h *Herder) runConnector(ctx context.Context, name string, s *share, g *goal) error {
	h.mu.Lock()
	if !s.connector {
		s.planned, s.problem = 0, ""
	}
	s.connector = g.connector
	h.mu.Unlock()
	if !g.connector || g.target != runtime.Running || s.planned == g.plan {
		return nil
	}
	tasks, err := h.plan(ctx, name, g)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.mu.Lock()
	h.stats.startup(err)
	h.mu.Unlock()
	if err != nil {
		s.problem = err.Error()
		if _, final := errors.AsType[*runtime.ConfigError](err); final {
			s.planned = g.plan
			return nil
		}
		return err
	}
	s.problem = ""
	if g.inconsistent || g.inherited || !slices.EqualFunc(tasks, g.tasks, maps.Equal[connectors.Config, connectors.Config]) {
		if err := h.publish(ctx, name, g, tasks); err != nil {
			return err
		}
	}
	s.planned = g.plan
	return nil
}

// plan makes the task configurations as they are stored: with the placeholders that the connector's has.
func (h *Herder) plan(ctx context.Context, name string, g *goal) ([]connectors.Config, error) {
	resolved, err := h.o.Resolve(g.config)
	if err != nil {
		return nil, fmt.Errorf("resolve the placeholders of connector %s: %w", name, err)
	}
	tasks, err := h.o.Worker.Plan(ctx, name, resolved)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		for k, v := range t {
			if raw, ok := g.config[k]; ok && v == resolved[k] {
				t[k] = raw
			}
		}
	}
	return tasks, nil
}

// publish stores task configurations, through the leader.
func (h *Herder) publish(ctx context.Context, name string, g *goal, tasks []connectors.Config) error {
	var err error
	switch {
	case g.leader:
		err = h.PutTasks(ctx, name, tasks)
	case g.leaderURL == "" || h.o.Forward == nil:
		err = &NotLeader{g.leaderURL}
	default:
		err = h.o.Forward(ctx, g.leaderURL, name, tasks)
	}
	if err != nil {
		return fmt.Errorf("store the task configurations of connector %s: %w", name, err)
	}
	return nil
}

// reportShare writes the statuses that have changed.
func (h *Herder) reportShare(name string, s *share, g *goal) {
	h.mu.Lock()
	held, contested := s.held, s.contested
	s.contested = nil
	h.mu.Unlock()
	now := map[int]part{}
	if s.connector && g.exists {
		now[-1] = part{g.target, ""}
		if s.problem != "" && g.target != runtime.Stopped {
			now[-1] = part{runtime.Failed, s.problem}
		}
	}
	if status, err := h.o.Worker.Status(name); err == nil {
		for _, t := range status.Tasks {
			if t.State != runtime.Unassigned && held[t.ID] {
				now[t.ID] = part{t.State, strings.TrimSpace(t.Trace)}
			}
		}
	}
	version := ""
	if e := h.o.Worker.Chosen(g.config); e != nil {
		version = e.Version
	}
	for _, id := range slices.Sorted(maps.Keys(now)) {
		if s.reported[id].part != now[id] || contested[id] {
			h.report(TaskID{name, id}, s.given, now[id].state, now[id].trace, version, now[id].state == runtime.Failed)
			s.reported[id] = told{now[id], s.given}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.reported)) {
		if _, here := now[id]; here || held[id] {
			continue
		}
		if g.exists && id < len(g.tasks) {
			h.report(TaskID{name, id}, s.reported[id].given, runtime.Unassigned, "", "", true) // another worker has it, or will
		} else {
			h.o.Status.Put(Message{Key: statusKey(TaskID{name, id})})
		}
		delete(s.reported, id)
	}
}
