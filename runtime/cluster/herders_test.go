package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

// register knows where each task of the sources in a test is active.
type register struct {
	t testing.TB

	mu     sync.Mutex
	active map[string]string // worker by task
	starts map[string]int
}

// source is a factory of sources with two tasks that are active from Start to Stop.
type source struct {
	at *register
	on string
}

func (s source) Describe() connectors.Description {
	return connectors.Description{Class: "io.freshet.test.IdleSource", Source: true, Version: "1", Config: &connectors.ConfigDef{}}
}

func (s source) Validate(context.Context, connectors.Config) []connectors.ConfigValue { return nil }

func (s source) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c, c}, nil
}

func (s source) NewSource(_ connectors.Config, set connectors.Settings) (connectors.SourceTask, error) {
	return &idle{of: s, id: fmt.Sprintf("%s-%d", set.Connector, set.Task)}, nil
}

type idle struct {
	of   source
	id   string
	once sync.Once
}

func (i *idle) Start(context.Context, connectors.SourceSession) error {
	r := i.of.at
	r.mu.Lock()
	defer r.mu.Unlock()
	if on := r.active[i.id]; on != "" {
		r.t.Errorf("%s starts on %s while it is active on %s", i.id, i.of.on, on)
	}
	r.active[i.id] = i.of.on
	r.starts[i.id]++
	return nil
}

func (i *idle) Poll(ctx context.Context) (*connectors.Batch, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (i *idle) Commit(context.Context, []offsets.Entry) error { return nil }

func (i *idle) Stop(context.Context) error {
	i.once.Do(func() {
		i.of.at.mu.Lock()
		defer i.of.at.mu.Unlock()
		delete(i.of.at.active, i.id)
	})
	return nil
}

func (r *register) begun() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int{}
	for id, n := range r.starts {
		if r.active[id] != "" {
			out[id] = n
		}
	}
	return out
}

// on lists what is active on a worker.
func (r *register) on(id string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for task, on := range r.active {
		if on == id {
			out = append(out, task)
		}
	}
	return out
}

// node is a worker of a cluster with a herder over a real Kafka.
type node struct {
	*herder.Herder
	id    string
	group *Group
	slept atomic.Int64
	stop  func()
}

func startNode(t *testing.T, id, bootstrap, group string, r *register) *node {
	t.Helper()
	o := options(t, bootstrap, group+"-configs", 1)
	o.LeaderID = LeaderID(group)
	config, err := OpenConfigLog(limit(t), o)
	if err != nil {
		t.Fatal(err)
	}
	so := options(t, bootstrap, group+"-status", 5)
	status, err := OpenStatusLog(limit(t), so)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": bootstrap, "client.id": id})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{id: id, group: NewGroup(GroupOptions{
		Config: cfg, Group: group, URL: "http://" + id + "/", SessionTimeout: 6 * time.Second, HeartbeatInterval: 500 * time.Millisecond,
	})}
	n.group.clock = func() time.Duration { return uptime() + time.Duration(n.slept.Load()) }
	worker := runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog([]connectors.SourceFactory{source{r, id}},
			[]connectors.SinkFactory{connectortest.Sinks{Target: connectortest.NewTarget(), Name: "kafka"}}),
		Store: offsets.NewMemory(), Config: connectors.Config{"group.id": group},
	})
	n.Herder = herder.New(herder.Options{
		Worker: worker, Config: config, Status: status, Group: n.group, WorkerID: id, URL: "http://" + id + "/", GroupID: group,
		Forward: func(ctx context.Context, url, name string, tasks []connectors.Config) error {
			return errors.New("no way to the leader in this test: the tasks do not change")
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		for what, err := range map[string]error{"run": <-done, "close the worker": worker.Close(context.Background()), "config": config.Close(), "status": status.Close()} {
			if err != nil {
				t.Errorf("%s: %s: %v", id, what, err)
			}
		}
	})
	t.Cleanup(n.stop)
	return n
}

// spread is how the cluster sees its tasks: the number that run on each worker.
func (n *node) spread(t *testing.T, names []string) string {
	count := map[string]int{}
	for _, name := range names {
		s, err := n.Status(limit(t), name)
		if err != nil {
			return err.Error()
		}
		for _, task := range s.Tasks {
			count[fmt.Sprint(task.State, " on ", task.WorkerID)]++
		}
		count[fmt.Sprint("connector ", s.Connector.State)]++
	}
	return fmt.Sprint(count)
}

// Two herders over Kafka: what is created on one runs on both, evenly; one that leaves, or loses its place, hands over, and nothing is
// ever active twice or stopped without need.
func TestTwoHerders(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	group := unique(t)
	r := &register{t: t, active: map[string]string{}, starts: map[string]int{}}
	a := startNode(t, "a:8083", k.Bootstrap(), group, r)
	waitFor(t, func() bool { s, _ := a.Health(limit(t)); return s == "healthy" })
	var names []string
	class, tasks := "io.freshet.test.IdleSource", "2"
	props := herder.Properties{"connector.class": &class, "tasks.max": &tasks}
	for i := range 6 {
		name := fmt.Sprintf("idle-%d", i)
		names = append(names, name)
		if _, err := a.Create(limit(t), name, props, ""); err != nil {
			t.Fatal(err)
		}
	}
	until := func(n *node, want string) {
		t.Helper()
		deadline := time.Now().Add(time.Minute)
		for n.spread(t, names) != want || len(r.begun()) != 12 {
			if time.Now().After(deadline) {
				t.Fatalf("%s sees %s and %d are active, want %s and 12", n.id, n.spread(t, names), len(r.begun()), want)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	onA := "map[RUNNING on a:8083:12 connector RUNNING:6]"
	both := "map[RUNNING on a:8083:6 RUNNING on b:8083:6 connector RUNNING:6]"
	until(a, onA)
	before := r.begun()
	b := startNode(t, "b:8083", k.Bootstrap(), group, r)
	until(a, both)
	until(b, both)
	moved := 0
	for id, n := range r.begun() {
		moved += n - before[id]
	}
	if moved != 6 {
		t.Errorf("%d tasks started again for a second worker, want 6", moved)
	}
	if _, err := b.Create(limit(t), "other", props, ""); err == nil {
		t.Error("a follower creates connectors")
	} else if l, ok := errors.AsType[*herder.NotLeader](err); !ok || l.URL != "http://a:8083/" {
		t.Errorf("a follower refuses with %v", err)
	}

	// Stopped for a minute, b finds what it ran in others' hands or starts it again; what runs on a goes on.
	before = r.begun()
	onB := r.on(b.id)
	b.slept.Store(int64(time.Minute))
	waitFor(t, func() bool {
		now := r.begun()
		for _, id := range onB {
			if now[id] == before[id] || now[id] == 0 {
				return false
			}
		}
		return true
	})
	until(a, both)
	for id, n := range r.begun() {
		if !slices.Contains(onB, id) && n > before[id]+1 {
			t.Errorf("%s started %d times when another worker was stopped", id, n-before[id])
		}
	}

	before = r.begun()
	stay := r.on(a.id)
	b.stop()
	until(a, onA)
	now := r.begun()
	for _, id := range stay {
		if now[id] != before[id] {
			t.Errorf("%s started again on the worker that stays", id)
		}
	}
}
