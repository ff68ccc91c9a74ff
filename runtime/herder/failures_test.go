package herder

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// TestClassThatIsNotHere: a connector that another worker made is FAILED with the reason, and its records stay as they are.
func TestClassThatIsNotHere(t *testing.T) {
	w, ctx := newWorld(t, nil), context.Background()
	config := connectors.Config{"connector.class": "io.debezium.connector.oracle.OracleConnector", "name": "a"}
	made := append(tasksMessages("a", []connectors.Config{config}), connectorMessage("b", config))
	w.ok(w.log.Append(ctx, append([]Message{connectorMessage("a", config)}, made...)...))
	w.log.take()
	w.reaches("a", "FAILED FAILED")
	w.reaches("b", "FAILED")
	s, err := w.Status(ctx, "a")
	w.ok(err)
	for _, trace := range []string{s.Connector.Trace, s.Tasks[0].Trace} {
		if !strings.Contains(trace, `io.debezium.connector.oracle.OracleConnector`) {
			t.Errorf("trace %s", trace)
		}
	}
	if s.Type != "unknown" {
		t.Errorf("type %s", s.Type)
	}
	if _, err := w.RestartWith(ctx, "a", true, true); err != nil {
		t.Error(err)
	}
	w.ok(w.Pause(ctx, "a"))
	w.reaches("a", "FAILED FAILED")
	for _, m := range w.log.take() {
		if key, _, _ := strings.Cut(m, " "); key != "restart-connector-a" && key != "target-state-a" {
			t.Errorf("wrote %s", m)
		}
	}
	w.ok(w.Stop(ctx, "a"))
	w.reaches("a", "STOPPED")
	w.ok(w.Delete(ctx, "b"))
	w.until("it is gone", func() bool { return w.state("b") == "" })
}

// TestInconsistentConnector: a commit without all of its task configurations has them made anew.
func TestInconsistentConnector(t *testing.T) {
	w, ctx := newWorld(t, nil), context.Background()
	config, err := named("a", props())
	w.ok(err)
	w.ok(w.log.Append(ctx, Message{keyCommit + "a", []byte(`{"tasks":1}`)}, connectorMessage("a", config.config()), Message{keyCommit + "a", []byte(`{"tasks":2}`)}))
	w.reaches("a", "RUNNING RUNNING")
	if tasks, err := w.Tasks(ctx, "a"); err != nil || len(tasks) != 1 {
		t.Errorf("got %v, %v", tasks, err)
	}
}

// TestFailures: what fails is shown, and mended by a restart or another configuration.
func TestFailures(t *testing.T) {
	w, ctx := newWorld(t, nil), context.Background()
	w.source.fail = map[string]error{"bad": connectors.AsPermanent(errors.New("no such file"))}
	_, err := w.Create(ctx, "task", props("file", "bad"), "")
	w.ok(err)
	w.reaches("task", "RUNNING FAILED")
	_, err = w.Create(ctx, "plan", props("file", "no plan"), "")
	w.ok(err)
	w.reaches("plan", "FAILED")
	if s, err := w.Status(ctx, "plan"); err != nil || !strings.Contains(s.Connector.Trace, "no plan today") {
		t.Errorf("got %+v, %v", s, err)
	}
	w.ok(w.Pause(ctx, "task"))
	w.reaches("task", "PAUSED FAILED")
	w.ok(w.Resume(ctx, "task"))
	w.reaches("task", "RUNNING FAILED")
	starts := len(w.source.starts())
	if s, err := w.RestartWith(ctx, "task", true, true); err != nil || s.Connector.State != runtime.Running || s.Tasks[0].State != runtime.Restarting || s.Tasks[0].Trace == "" {
		t.Errorf("got %+v, %v", s, err)
	}
	w.until("tried again", func() bool { return len(w.source.starts()) == starts+1 })
	w.reaches("task", "RUNNING FAILED")
	for _, name := range []string{"task", "plan"} {
		_, err = w.Patch(ctx, name, Properties{"file": ptr("good")})
		w.ok(err)
		w.reaches(name, "RUNNING RUNNING")
	}
}

// TestPlaceholders: they are stored and shown as they were written, and resolved when a task starts.
func TestPlaceholders(t *testing.T) {
	var broken atomic.Bool
	var value atomic.Value
	value.Store("one")
	w, ctx := newWorld(t, func(o *Options) {
		o.Resolve = func(c connectors.Config) (connectors.Config, error) {
			if broken.Load() {
				return nil, errors.New("the vault is closed")
			}
			out := connectors.Config{}
			for k, v := range c {
				out[k] = strings.ReplaceAll(v, "${vault:file}", value.Load().(string))
			}
			return out, nil
		}
	}), context.Background()
	_, err := w.Create(ctx, "a", props("file", "${vault:file}", "parts", "1", "tasks.max", "2"), "")
	w.ok(err)
	w.reaches("a", "RUNNING RUNNING RUNNING")
	for _, m := range w.log.take() {
		if strings.Contains(m, "one") {
			t.Errorf("wrote %s", m)
		}
	}
	if got := w.source.starts(); !slices.Contains(got, "a-0 one") || !slices.Contains(got, "a-1 one") {
		t.Errorf("started %v", got)
	}
	value.Store("two")
	w.touch("a") // nothing has changed for it: it goes on
	w.ok(w.RestartTask(ctx, "a", 1))
	w.until("the new value is used", func() bool { return slices.Contains(w.source.starts(), "a-1 two") })
	if got := w.source.starts(); len(got) != 3 {
		t.Errorf("started %v", got)
	}
	broken.Store(true)
	w.ok(w.RestartTask(ctx, "a", 1))
	w.reaches("a", "RUNNING RUNNING FAILED")
	if s, _ := w.TaskStatus(ctx, "a", 1); !strings.Contains(s.Trace, "the vault is closed") {
		t.Errorf("trace %s", s.Trace)
	}
}

// TestSlowStop: while a task takes its time to stop, everything else is answered and done.
func TestSlowStop(t *testing.T) {
	w, ctx := newWorld(t, nil), context.Background()
	_, err := w.Create(ctx, "slow", props("file", "slow"), "")
	w.ok(err)
	w.reaches("slow", "RUNNING RUNNING")
	hold := make(chan struct{})
	w.source.mu.Lock()
	w.source.slow = hold
	w.source.mu.Unlock()
	w.ok(w.Stop(ctx, "slow"))
	w.until("it is being stopped", func() bool { return w.state("slow") != "RUNNING RUNNING" })
	_, err = w.Create(ctx, "other", props("file", "other"), "")
	w.ok(err)
	w.reaches("other", "RUNNING RUNNING")
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := w.ResetOffsets(short, "slow"); err == nil {
		t.Error("offsets were reset below a task that runs")
	}
	close(hold)
	w.reaches("slow", "STOPPED")
	if _, err := w.ResetOffsets(ctx, "slow"); err != nil {
		t.Error(err)
	}
}

// TestSlowStopElsewhere: offsets are not reset below a task that another worker is still stopping.
func TestSlowStopElsewhere(t *testing.T) {
	p, ctx := newPair(t, nil), context.Background()
	a, b := p.a, p.b
	p.assign("", "")
	_, err := a.Create(ctx, "c", props(), "")
	a.ok(err)
	p.assign("", "c--1")
	a.until("planned", func() bool { return len(a.Work()) == 2 })
	p.assign("", "c--1 c-0")
	p.reaches("c", "RUNNING@b RUNNING@b")
	hold := make(chan struct{})
	b.source.mu.Lock()
	b.source.slow = hold
	b.source.mu.Unlock()
	a.ok(a.Stop(ctx, "c"))
	revoked := make(chan struct{})
	go func() { defer close(revoked); b.Revoke(ctx, []TaskID{{"c", 0}}) }()
	own := TaskID{"c", -1}
	p.generation++
	a.Assigned(Assignment{
		Generation: p.generation, Leader: true, LeaderURL: urlA, Owners: map[TaskID]string{own: urlB}, Ran: map[TaskID]bool{own: true, {"c", 0}: true},
	})
	a.until("the leader has looked for strays", func() bool {
		a.mu.RLock()
		defer a.mu.RUnlock()
		return a.membership.cleaned && !a.queue.holds(upkeep)
	})
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := a.ResetOffsets(short, "c"); err == nil {
		t.Error("offsets were reset below a task that runs")
	}
	close(hold)
	<-revoked
	b.Assigned(Assignment{Generation: p.generation, LeaderURL: urlA, Tasks: []TaskID{own}})
	if _, err := a.ResetOffsets(ctx, "c"); err != nil {
		t.Error(err)
	}
}

// TestRevokeThatIsNotWaitedFor: what does not stop in time is ended at once; Revoke comes back when it has.
func TestRevokeThatIsNotWaitedFor(t *testing.T) {
	t.Parallel() // it waits for the grace period of a task
	w, ctx := newWorld(t, nil), context.Background()
	w.source.slow = make(chan struct{})
	_, err := w.Create(ctx, "a", props("file", "f"), "")
	w.ok(err)
	w.reaches("a", "RUNNING RUNNING")
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	w.Revoke(short, []TaskID{{"a", 0}})
	w.source.mu.Lock()
	stopped := slices.Clone(w.source.stopped)
	w.source.mu.Unlock()
	if got := w.Running(); len(stopped) != 1 || !slices.Equal(got, []TaskID{{"a", -1}}) {
		t.Errorf("stopped %v, left %v", stopped, got)
	}
	w.reaches("a", "RUNNING UNASSIGNED")
}

// TestLateStatuses: what a worker writes of a connector of whose deletion it has not heard does not stay.
func TestLateStatuses(t *testing.T) {
	w, ctx := newWorld(t, nil), context.Background()
	known := func() (topics, parts int) {
		w.mu.RLock()
		defer w.mu.RUnlock()
		return len(w.statuses.topics["a"]), len(w.statuses.parts["a"])
	}
	create := func(name string) {
		_, err := w.Create(ctx, name, props("file", "f"), "")
		w.ok(err)
		w.reaches(name, "RUNNING RUNNING")
	}
	create("b")
	for _, topic := range []string{"t", "u"} {
		create("a")
		w.ok(w.Delete(ctx, "a"))
		w.until("it is deleted", func() bool { topics, parts := known(); return topics+parts == 0 })
		w.until("the leader has looked for strays", func() bool {
			w.mu.RLock()
			defer w.mu.RUnlock()
			return w.membership.cleaned
		})
		w.o.Status.Put(Message{topicKey("a", topic), encode(topicRecord{topicStatus{topic, "a", 0, 1}})})
		w.o.Status.Put(Message{statusKey(TaskID{"a", 0}), encode(statusRecord{State: runtime.Unassigned, WorkerID: "other:8083", Generation: 1})})
		w.o.Status.Put(Message{topicKey("b", topic), encode(topicRecord{topicStatus{topic, "b", 0, 1}})})
		w.until("they have come", func() bool { got, err := w.Topics(ctx, "b"); return err == nil && slices.Contains(got, topic) })
		w.until("they are gone", func() bool { topics, parts := known(); return topics+parts == 0 })
	}
}

// TestTopicsAreTracked follows scenario 08.
func TestTopicsAreTracked(t *testing.T) {
	w, ctx := newWorld(t, nil), context.Background()
	if got, err := w.Topics(ctx, "none"); err != nil || got == nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	w.sawTopic("a", 0, "t")
	if got, _ := w.Topics(ctx, "a"); len(got) != 0 {
		t.Errorf("a connector that is not there has the topics %v", got)
	}
	_, err := w.Create(ctx, "a", props("file", "f"), "")
	w.ok(err)
	w.ok(w.Stop(ctx, "a"))
	w.reaches("a", "STOPPED")
	w.ok(w.ResetTopics(ctx, "a"))
	w.sawTopic("a", 0, "t")
	w.sawTopic("a", 0, "u")
	w.sawTopic("a", 1, "u")
	if got, err := w.Topics(ctx, "a"); err != nil || !slices.Equal(got, []string{"t", "u"}) {
		t.Errorf("got %v, %v", got, err)
	}
	w.ok(w.ResetTopics(ctx, "a"))
	if got, _ := w.Topics(ctx, "a"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	w.o.NoTopicReset = true
	w.is(w.ResetTopics(ctx, "a"), 403, "Topic tracking reset is disabled.")
	w.o.NoTopicTracking = true
	_, err = w.Topics(ctx, "a")
	w.is(err, 403, "Topic tracking is disabled.")
}
