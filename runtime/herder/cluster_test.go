package herder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// hub is the logs that several herders share, and the group that the test leads by hand.
type hub struct {
	mu       sync.Mutex // of the config log
	configs  []Message
	status   sync.Mutex
	statuses []Message
	readers  []func(int64, Message, bool)
	watchers []func(Message)
	fenced   error // of the next Append
	leads    int
}

type hubConfig struct {
	*hub
	late *delay
}

// delay makes a reader of the log late: what comes is applied when it is asked for.
type delay struct {
	on      bool
	waiting []func()
}

func (d *delay) flush() {
	for _, f := range d.waiting {
		f()
	}
	d.on, d.waiting = false, nil
}

func (l hubConfig) Start(_ context.Context, do func(int64, Message, bool)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	apply := func(offset int64, m Message, live bool) {
		if l.late.on {
			l.late.waiting = append(l.late.waiting, func() { do(offset, m, live) })
		} else {
			do(offset, m, live)
		}
	}
	for i, m := range l.configs {
		if m.Key != "" {
			apply(int64(i), m, false)
		}
	}
	l.readers = append(l.readers, apply)
	return nil
}

func (l hubConfig) Append(_ context.Context, ms ...Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fenced; err != nil {
		l.fenced = nil
		return err
	}
	for _, m := range ms {
		for _, r := range l.readers {
			r(int64(len(l.configs)), m, true)
		}
		l.configs = append(l.configs, m)
	}
	return nil
}

func (l hubConfig) Sync(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late.flush()
	return nil
}

func (l hubConfig) Lead(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leads++
	return nil
}
func (l hubConfig) Close() error { return nil }

type hubStatus struct{ *hub }

func (l hubStatus) Start(_ context.Context, apply func(Message)) error {
	l.status.Lock()
	defer l.status.Unlock()
	for _, m := range l.statuses {
		apply(m)
	}
	l.watchers = append(l.watchers, apply)
	return nil
}

func (l hubStatus) Put(m Message) {
	l.status.Lock()
	defer l.status.Unlock()
	l.statuses = append(l.statuses, m)
	for _, w := range l.watchers {
		w(m)
	}
}

func (l hubStatus) Flush(context.Context) error { return nil }
func (l hubStatus) Close() error                { return nil }

// byHand is a group in which nothing happens by itself.
type byHand struct{ rejoin func() }

func (g byHand) Run(ctx context.Context, m Member) error {
	m.Assigned(Assignment{Generation: 1})
	<-ctx.Done()
	m.Revoke(context.WithoutCancel(ctx), m.Running())
	return nil
}

func (g byHand) Trouble() error { return nil }

func (g byHand) Rejoin() {
	if g.rejoin != nil {
		g.rejoin()
	}
}

// pair is two workers, of which the first leads.
type pair struct {
	*testing.T
	*hub
	a, b       *world
	generation int32
}

const (
	urlA = "http://a:8083/"
	urlB = "http://b:8083/"
)

func newPair(t *testing.T, change func(*Options)) *pair {
	p := &pair{T: t, hub: &hub{}, generation: 1}
	p.a = p.add("a", change)
	p.b = p.add("b", change)
	return p
}

func (p *pair) add(id string, change func(*Options)) *world {
	return newWorld(p.T, func(o *Options) {
		o.Config, o.Status, o.Group = hubConfig{p.hub, &delay{}}, hubStatus{p.hub}, byHand{}
		o.WorkerID, o.URL = id+":8083", "http://"+id+":8083/"
		o.Forward = func(ctx context.Context, url, name string, tasks []connectors.Config) error {
			if url != urlA {
				return errors.New("not the leader's URL")
			}
			return p.a.PutTasks(ctx, name, tasks)
		}
		o.ForwardFence = func(ctx context.Context, _, name string) error { return p.a.Fence(ctx, name) }
		if change != nil {
			change(o)
		}
	})
}

// assign gives tasks ("c--1 c-0") to the two, as a round of the group does: first what goes is revoked.
func (p *pair) assign(a, b string) {
	p.Helper()
	p.generation++
	owners := map[TaskID]string{}
	next := map[*world][]TaskID{p.a: nil, p.b: nil}
	for w, list := range map[*world]string{p.a: a, p.b: b} {
		for _, s := range strings.Fields(list) {
			id := TaskID{s[:1], int(s[2] - '0')}
			if s[2] == '-' {
				id.Task = -1
			}
			owners[id] = w.o.URL
			next[w] = append(next[w], id)
		}
	}
	for w, ids := range next {
		gone := slices.DeleteFunc(w.Running(), func(id TaskID) bool { return slices.Contains(ids, id) })
		w.Revoke(context.Background(), gone)
	}
	p.a.Assigned(Assignment{Generation: p.generation, Leader: true, LeaderURL: urlA, Offset: p.a.Offset(), Tasks: next[p.a], Owners: owners})
	p.b.Assigned(Assignment{Generation: p.generation, LeaderURL: urlA, Offset: p.b.Offset(), Tasks: next[p.b]})
}

// where is "RUNNING@b RUNNING@a" for a connector and its tasks.
func (w *world) where(name string) string {
	s, err := w.Status(context.Background(), name)
	if err != nil {
		return ""
	}
	show := func(p PartStatus) string { return string(p.State) + "@" + p.WorkerID[:1] }
	out := []string{show(s.Connector)}
	for _, t := range s.Tasks {
		out = append(out, show(t.PartStatus))
	}
	return strings.Join(out, " ")
}

func (p *pair) reaches(name, want string) {
	p.Helper()
	for _, w := range []*world{p.a, p.b} {
		defer func() {
			if p.Failed() {
				p.Logf("%s sees %s", w.o.WorkerID, w.where(name))
			}
		}()
		w.until(name+" is "+want, func() bool { return w.where(name) == want })
	}
}

// TestTwoWorkers: each runs its share, only what moves is stopped, and who cannot do a thing tells who can.
func TestTwoWorkers(t *testing.T) {
	p, ctx := newPair(t, nil), context.Background()
	a, b := p.a, p.b
	p.assign("", "")
	_, err := b.Create(ctx, "c", props(), "")
	if e, ok := errors.AsType[*NotLeader](err); !ok || e.URL != urlA {
		t.Errorf("got %v", err)
	}
	_, err = a.Create(ctx, "c", props("parts", "1", "tasks.max", "3"), "")
	a.ok(err)
	p.assign("", "c--1")
	a.until("the follower's task configurations are stored", func() bool { tasks, _ := a.Tasks(ctx, "c"); return len(tasks) == 3 })
	if tasks, _ := b.Tasks(ctx, "c"); tasks[2].Config["part.number"] != "2" {
		t.Errorf("got %v", tasks)
	}
	if got, want := fmt.Sprint(a.Work()), "[c--1 c-0 c-1 c-2]"; got != want {
		t.Errorf("work %s", got)
	}
	p.assign("c-0", "c--1 c-1 c-2")
	p.reaches("c", "RUNNING@b RUNNING@a RUNNING@b RUNNING@b")

	for name, restart := range map[string]func(*world) error{
		"connector": func(w *world) error { return w.Restart(ctx, "c") },
		"task":      func(w *world) error { return w.RestartTask(ctx, "c", 1) },
	} {
		if e, ok := errors.AsType[*NotOwner](restart(a)); !ok || e.URL != urlB {
			t.Errorf("%s: got %v", name, restart(a))
		}
		b.ok(restart(b))
	}
	b.until("the task is started again", func() bool { return len(b.source.starts()) == 3 })
	if e, ok := errors.AsType[*NotLeader](b.RestartTask(ctx, "c", 0)); !ok || e.URL != urlA {
		t.Errorf("got %v", e)
	}
	b.is(b.RestartTask(ctx, "c", 3), runtime.NotFound, "Unknown task: c-3")
	p.reaches("c", "RUNNING@b RUNNING@a RUNNING@b RUNNING@b")

	p.assign("c-0 c-1", "c--1 c-2")
	p.reaches("c", "RUNNING@b RUNNING@a RUNNING@a RUNNING@b")
	if as, bs := a.source.starts(), b.source.starts(); len(as) != 2 || len(bs) != 3 {
		t.Errorf("starts %v and %v", as, bs)
	}
	b.ok(b.Pause(ctx, "c"))
	p.reaches("c", "PAUSED@b PAUSED@a PAUSED@a PAUSED@b")
	b.ok(b.Resume(ctx, "c"))
	p.reaches("c", "RUNNING@b RUNNING@a RUNNING@a RUNNING@b")
	if _, err := a.RestartWith(ctx, "c", true, false); err != nil {
		t.Error(err)
	}
	a.until("all are started again", func() bool { return len(a.source.starts()) == 4 && len(b.source.starts()) == 4 })
	p.reaches("c", "RUNNING@b RUNNING@a RUNNING@a RUNNING@b")

	b.Lost()
	for _, left := range b.Running() {
		if left.Task >= 0 { // the connector itself may be still to be given up
			t.Errorf("left %v", left)
		}
	}
	if s, message := b.Health(ctx); s != "starting" {
		t.Errorf("%s: %s", s, message)
	}
	if err := b.Delete(ctx, "c"); err == nil || err.Error() != "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway." {
		t.Errorf("got %v", err)
	}
	p.assign("c--1 c-0 c-1 c-2", "")
	p.reaches("c", "RUNNING@a RUNNING@a RUNNING@a RUNNING@a")
	if got := a.source.starts(); len(got) != 5 {
		t.Errorf("starts %v", got)
	}
	p.assign("c--1 c-0 c-1", "c-2")
	p.reaches("c", "RUNNING@a RUNNING@a RUNNING@a RUNNING@b")
	a.ok(a.Delete(ctx, "c"))
	p.assign("", "")
	a.until("nothing is left", func() bool {
		return a.where("c") == "" && b.where("c") == "" && len(a.Running())+len(b.Running()) == 0
	})
	p.noStatuses()
}

func (p *pair) noStatuses() {
	p.Helper()
	p.status.Lock()
	defer p.status.Unlock()
	last := map[string]bool{}
	for _, m := range p.hub.statuses {
		last[m.Key] = m.Value != nil
	}
	if slices.Contains(slices.Collect(maps.Values(last)), true) {
		p.Errorf("statuses left: %v", last)
	}
}

// TestLostAndAssignedAgain: after a lost session even the same tasks start anew.
func TestLostAndAssignedAgain(t *testing.T) {
	p, ctx := newPair(t, nil), context.Background()
	p.assign("", "")
	_, err := p.a.Create(ctx, "c", props(), "")
	p.a.ok(err)
	p.assign("c--1", "")
	p.a.until("planned", func() bool { return len(p.a.Work()) == 2 })
	for i := 1; i < 20; i++ {
		p.assign("c--1 c-0", "")
		p.a.until("it is started", func() bool { return len(p.a.source.starts()) == i })
		p.a.Lost()
	}
}

// gate is a status log that takes nothing while it is shut.
type gate struct {
	StatusLog
	shut    atomic.Bool
	waiting chan struct{} // one for each message that comes meanwhile
	open    chan struct{}
}

func (g *gate) Put(m Message) {
	if g.shut.Load() {
		g.waiting <- struct{}{}
		<-g.open
	}
	g.StatusLog.Put(m)
}

// TestALateReportHidesNothing: a worker that lost its place and is back in the group tells of what it had when another one runs it.
func TestALateReportHidesNothing(t *testing.T) {
	g := &gate{waiting: make(chan struct{}, 10), open: make(chan struct{})}
	p := newPair(t, func(o *Options) {
		if o.WorkerID == "b:8083" {
			g.StatusLog = o.Status
			o.Status = g
		}
	})
	p.assign("", "")
	_, err := p.a.Create(context.Background(), "c", props(), "")
	p.a.ok(err)
	p.assign("", "c--1")
	p.a.until("planned", func() bool { return len(p.a.Work()) == 2 })
	p.assign("", "c--1 c-0")
	p.reaches("c", "RUNNING@b RUNNING@b")
	g.shut.Store(true)
	p.b.Lost()
	<-g.waiting
	p.generation++
	p.a.Assigned(Assignment{Generation: p.generation, Leader: true, LeaderURL: urlA, Tasks: p.a.Work()})
	p.b.Assigned(Assignment{Generation: p.generation, LeaderURL: urlA})
	p.reaches("c", "RUNNING@a RUNNING@a")
	g.shut.Store(false)
	close(g.open)
	p.b.until("it has told all", func() bool { return len(p.b.Running()) == 0 && !p.b.holds("c") })
	p.reaches("c", "RUNNING@a RUNNING@a")
}

// TestALateReportOfAnotherPart: a worker that is back in the group with another part of the connector tells of a task that it had before.
func TestALateReportOfAnotherPart(t *testing.T) {
	p := newPair(t, nil)
	p.assign("", "")
	_, err := p.a.Create(context.Background(), "c", props(), "")
	p.a.ok(err)
	p.assign("c--1", "")
	p.a.until("planned", func() bool { return len(p.a.Work()) == 2 })
	p.assign("c--1 c-0", "")
	p.reaches("c", "RUNNING@a RUNNING@a")
	task := connectors.Config{}
	s := &share{given: p.generation + 1, reported: map[int]told{0: {part{runtime.Running, ""}, p.generation - 1}}}
	p.b.reportShare("c", s, &goal{exists: true, entry: entry{tasks: []connectors.Config{task}}})
	p.hub.status.Lock()
	defer p.hub.status.Unlock()
	for _, m := range p.hub.statuses {
		if m.Key == statusKey(TaskID{"c", 0}) && strings.Contains(string(m.Value), `"UNASSIGNED"`) {
			t.Errorf("%s", m.Value)
		}
	}
}

// TestAStatusIsWrittenAgain: who runs a task writes its status again when a worker that was thought to be gone has written over it.
func TestAStatusIsWrittenAgain(t *testing.T) {
	p := newPair(t, nil)
	p.assign("", "")
	_, err := p.a.Create(context.Background(), "c", props(), "")
	p.a.ok(err)
	p.assign("", "c--1")
	p.a.until("planned", func() bool { return len(p.a.Work()) == 2 })
	p.assign("c--1 c-0", "")
	p.reaches("c", "RUNNING@a RUNNING@a")
	for _, id := range []TaskID{{"c", 0}, {"c", -1}} {
		p.b.o.Status.Put(Message{statusKey(id), encode(statusRecord{State: runtime.Unassigned, WorkerID: "b:8083", Generation: p.generation})})
	}
	p.reaches("c", "RUNNING@a RUNNING@a")
	p.a.until("it is settled", func() bool { return !p.a.holds("c") })
}

func (w *world) holds(name string) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.queue.holds(name)
}

// TestLateLeader: a leader that has not read yet that a connector is resumed stores its tasks nevertheless.
func TestLateLeader(t *testing.T) {
	p, ctx := newPair(t, nil), context.Background()
	p.assign("", "c--1")
	_, err := p.a.Create(ctx, "c", props(), runtime.Stopped)
	p.a.ok(err)
	p.hub.mu.Lock()
	p.a.o.Config.(hubConfig).late.on = true
	p.hub.mu.Unlock()
	p.b.ok(p.b.Resume(ctx, "c"))
	p.b.until("the tasks are stored", func() bool { list, _ := p.b.Tasks(ctx, "c"); return len(list) == 1 })
}

// TestExactlyOnceFencing: the tasks of one generation end, and are fenced, before one of the next starts.
func TestExactlyOnceFencing(t *testing.T) {
	ctx := context.Background()
	var mu sync.Mutex
	var fenced []string
	p := newPair(t, func(o *Options) {
		o.Fence = func(_ context.Context, ids []string) error {
			mu.Lock()
			defer mu.Unlock()
			fenced = append(fenced, strings.Join(ids, " "))
			return nil
		}
	})
	a, b := p.a, p.b
	written := func(key string) (values []string) {
		p.hub.mu.Lock()
		defer p.hub.mu.Unlock()
		for _, m := range p.hub.configs {
			if m.Key == key {
				values = append(values, string(m.Value))
			}
		}
		return values
	}
	starts := 0
	generation := func(config Properties, tasks int, work, workB string, want ...string) {
		t.Helper()
		p.assign("", "")
		commits := len(written("commit-c"))
		_, _, err := a.Put(ctx, "c", config)
		a.ok(err)
		p.assign("", "c--1")
		a.until("planned", func() bool { return len(written("commit-c")) == commits+1 })
		p.assign(work, workB)
		starts += tasks
		a.until("all started", func() bool { return len(a.source.starts())+len(b.source.starts()) == starts })
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(fenced, want) {
			t.Errorf("fenced %q, want %q", fenced, want)
		}
		if counts := written("tasks-fencing-c"); counts[len(counts)-1] != fmt.Sprintf(`{"task-count":%d}`, tasks) {
			t.Errorf("records %s", counts)
		}
	}
	generation(props("parts", "1", "tasks.max", "3"), 3, "c-0 c-1", "c--1 c-2")
	generation(props("parts", "1", "tasks.max", "2"), 2, "c-0", "c--1 c-1", "g-c-0 g-c-1 g-c-2")
	generation(props("tasks.max", "2"), 1, "", "c--1 c-0", "g-c-0 g-c-1 g-c-2", "g-c-0 g-c-1")
	generation(props("tasks.max", "1"), 1, "", "c--1 c-0", "g-c-0 g-c-1 g-c-2", "g-c-0 g-c-1") // one alone fences the one before
	a.ok(a.Stop(ctx, "c"))
	p.assign("", "c--1")
	if _, err := a.ResetOffsets(ctx, "c"); err != nil {
		t.Error(err)
	}
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	if last := p.hub.configs[len(p.hub.configs)-1]; last.Key != "tasks-fencing-c" || string(last.Value) != `{"task-count":0}` {
		t.Errorf("last record %s %s", last.Key, last.Value)
	}
}

// TestFencedLeader: a leader that another one has fenced asks the group, and writes when it still leads.
func TestFencedLeader(t *testing.T) {
	p, ctx := newPair(t, nil), context.Background()
	p.a.o.Group = byHand{rejoin: func() { go p.assign("", "") }}
	p.assign("", "")
	p.a.until("it leads", func() bool { return p.a.sessionKey() != nil })
	p.hub.mu.Lock()
	leads := p.leads
	p.hub.fenced = ErrFenced
	p.hub.mu.Unlock()
	_, err := p.a.Create(ctx, "c", props(), runtime.Stopped)
	p.a.ok(err)
	p.hub.mu.Lock()
	if p.leads <= leads {
		t.Errorf("led %d times, before %d", p.leads, leads)
	}
	p.hub.mu.Unlock()
	if _, err := p.b.Info(ctx, "c"); err != nil {
		t.Error(err)
	}
}

// TestSignatures follows internal-tasks-* of scenario 15.
func TestSignatures(t *testing.T) {
	p := newPair(t, nil)
	_, _, err := p.b.Sign([]byte("[]"))
	p.b.is(err, runtime.Unavailable, noKeyYet)
	p.b.is(p.b.Verify([]byte("[]"), "AAAA", "HmacSHA256"), runtime.Unavailable, noKeyYet)
	p.assign("", "")
	p.b.until("the key is there", func() bool { return p.b.sessionKey() != nil })
	signature, algorithm, err := p.b.Sign([]byte("[]"))
	if err != nil || algorithm != "HmacSHA256" {
		t.Fatal(algorithm, err)
	}
	p.a.ok(p.a.Verify([]byte("[]"), signature, algorithm))
	p.a.is(p.a.Verify([]byte("[ ]"), signature, algorithm), runtime.Forbidden, "Internal request contained invalid signature.")
	p.a.is(p.a.Verify([]byte("[]"), "", ""), runtime.BadRequest, "Internal request missing required signature")
	p.a.is(p.a.Verify([]byte("[]"), signature, "HmacMD4"), runtime.BadRequest, "Algorithm HmacMD4 not available")
	p.a.is(p.a.Verify([]byte("[]"), "!!!", algorithm), runtime.BadRequest, "Illegal base64 character 21")
	if err := p.a.Verify([]byte("[]"), signature, "HmacSHA512"); err == nil || !strings.Contains(err.Error(), "does not support the 'HmacSHA512' key signing algorithm") {
		t.Errorf("got %v", err)
	}
}

// TestOtherSignatures signs with another algorithm than the key was made for, as Kafka Connect allows.
func TestOtherSignatures(t *testing.T) {
	p := newPair(t, func(o *Options) {
		o.KeyAlgorithm, o.Signature, o.Verification = "HmacSHA512", "HmacSHA384", []string{"HmacSHA256", "HmacSHA384"}
	})
	p.assign("", "")
	p.b.until("the key is there", func() bool { return len(p.b.sessionKey()) == 64 })
	signature, algorithm, err := p.b.Sign([]byte("[]"))
	if err != nil || algorithm != "HmacSHA384" || len(signature) != 64 {
		t.Fatal(signature, algorithm, err)
	}
	p.a.ok(p.a.Verify([]byte("[]"), signature, algorithm))
}

// TestKeyRotation: the leader replaces the key when it is too old.
func TestKeyRotation(t *testing.T) {
	p := newPair(t, func(o *Options) { o.KeyTTL = 1 })
	p.assign("", "")
	p.b.until("the key is there", func() bool { return p.b.sessionKey() != nil })
	first := string(p.b.sessionKey())
	p.b.until("there is another one", func() bool { return string(p.b.sessionKey()) != first })
}
