package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/runtime/herder"
)

// world is what all workers of a test share: what is to run, and what runs where.
type world struct {
	t testing.TB

	mu      sync.Mutex
	offset  int64
	work    map[herder.TaskID]bool
	runs    map[herder.TaskID]*worker
	workers []*worker
}

// worker is a member whose tasks are entries of its world.
type worker struct {
	world *world
	name  string
	group *Group
	stop  context.CancelFunc
	ended chan error

	// Guarded by world.mu.
	given        herder.Assignment
	applied      int64 // offset; -1: that of the world
	rounds       int
	stopped      int // tasks that were revoked
	lost         []time.Time
	roundsAtLoss int
	slow         chan struct{} // Revoke waits for it
	stopping     bool          // it does
	blocked      bool          // Sync fails
	restarts     int
}

func newWorld(t testing.TB, connectors int) *world {
	w := &world{t: t, work: map[herder.TaskID]bool{}, runs: map[herder.TaskID]*worker{}}
	w.add(0, connectors)
	return w
}

func (w *world) add(from, to int) {
	w.mu.Lock()
	for i := from; i < to; i++ {
		w.work[herder.TaskID{Connector: fmt.Sprint("c", i), Task: -1}] = true
		w.work[herder.TaskID{Connector: fmt.Sprint("c", i), Task: 0}] = true
		w.offset++
	}
	w.mu.Unlock()
	w.rejoin()
}

func (w *world) rejoin() {
	w.mu.Lock()
	all := slices.Clone(w.workers)
	w.mu.Unlock()
	for _, x := range all {
		x.group.Rejoin()
	}
}

func (w *world) join(name, bootstrap, group string, change ...func(*GroupOptions)) *worker {
	w.t.Helper()
	x := w.prepare(name, bootstrap, group, change...)
	x.start()
	return x
}

// prepare makes a worker that has not joined yet.
func (w *world) prepare(name, bootstrap, group string, change ...func(*GroupOptions)) *worker {
	w.t.Helper()
	cfg, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": bootstrap, "client.id": name})
	if err != nil {
		w.t.Fatal(err)
	}
	o := GroupOptions{
		Config: cfg, Group: group, URL: "http://" + name, SessionTimeout: 6 * time.Second, HeartbeatInterval: 500 * time.Millisecond,
		SyncTimeout: time.Second,
	}
	for _, f := range change {
		f(&o)
	}
	return &worker{world: w, name: name, group: NewGroup(o), ended: make(chan error, 1), applied: -1}
}

func (x *worker) start() {
	var ctx context.Context
	ctx, x.stop = context.WithCancel(context.Background())
	x.read(func() { x.world.workers = append(x.world.workers, x) })
	go func() { x.ended <- x.group.Run(ctx, x) }()
	x.world.t.Cleanup(func() { _ = x.leave() })
}

// leave ends the worker and returns what Run said.
func (x *worker) leave() error {
	x.stop()
	err := <-x.ended
	x.ended <- err
	return err
}

func (x *worker) Offset() int64 {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	if x.applied >= 0 {
		return x.applied
	}
	return x.world.offset
}

func (x *worker) Sync(ctx context.Context, offset int64) error {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	if x.blocked {
		return errors.New("no answer")
	}
	x.applied = -1
	return nil
}

func (x *worker) Work() []herder.TaskID {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	return slices.Collect(maps.Keys(x.world.work))
}

func (x *worker) Running() []herder.TaskID {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	return x.running()
}

func (x *worker) running() []herder.TaskID {
	var ids []herder.TaskID
	for id, on := range x.world.runs {
		if on == x {
			ids = append(ids, id)
		}
	}
	return ids
}

func (x *worker) Revoke(ctx context.Context, ids []herder.TaskID) {
	x.world.mu.Lock()
	slow := x.slow
	x.world.mu.Unlock()
	if slow != nil {
		x.read(func() { x.stopping = true })
		select {
		case <-slow:
		case <-ctx.Done(): // they are killed
		}
	}
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	for _, id := range ids {
		if x.world.runs[id] == x {
			delete(x.world.runs, id)
			x.stopped++
		}
	}
}

func (x *worker) Assigned(a herder.Assignment) {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	x.given = a
	x.rounds++
	for _, id := range x.running() {
		if !slices.Contains(a.Tasks, id) {
			x.world.t.Errorf("%s is not given %v any more, and was not told to stop it", x.name, id)
			delete(x.world.runs, id)
		}
	}
	for _, id := range a.Tasks {
		switch on := x.world.runs[id]; on {
		case nil:
			x.world.runs[id] = x
			x.restarts++
		case x:
		default:
			x.world.t.Errorf("%v starts on %s while it runs on %s", id, x.name, on.name)
		}
	}
}

func (x *worker) Lost() {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	x.lost, x.roundsAtLoss = append(x.lost, time.Now()), x.rounds
	x.given = herder.Assignment{}
	for _, id := range x.running() {
		delete(x.world.runs, id)
	}
}

// settled tells that these workers, and nobody else, run everything, evenly.
func (w *world) settled(among ...*worker) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	count := map[*worker][2]int{}
	for id, x := range w.runs {
		n := count[x]
		n[kind(id)]++
		count[x] = n
	}
	low, high := [2]int{1 << 30, 1 << 30}, [2]int{}
	for _, x := range among {
		for k, n := range count[x] {
			low[k], high[k] = min(low[k], n), max(high[k], n)
		}
		delete(count, x)
	}
	same := len(w.runs) == len(w.work) && len(count) == 0
	for id := range w.work {
		same = same && w.runs[id] != nil
	}
	return same && high[0]-low[0] <= 1 && high[1]-low[1] <= 1
}

func (w *world) await(among ...*worker) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !w.settled(among...) {
		if time.Now().After(deadline) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, x := range w.workers {
				w.t.Logf("%s has %d: generation %d, %d rounds, lost %v, trouble %v", x.name, len(x.running()), x.given.Generation, x.rounds, x.lost, x.group.Trouble())
			}
			w.t.Fatalf("%d of %d run", len(w.runs), len(w.work))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (x *worker) read(f func()) {
	x.world.mu.Lock()
	defer x.world.mu.Unlock()
	f()
}

// jvm is a member as a worker of Kafka Connect is one.
func jvm(t testing.TB, bootstrap, group string) (leave func()) {
	t.Helper()
	cfg, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": bootstrap, "client.id": "connect-1"})
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(cfg, group, 10*time.Second, func(error) {})
	id := ""
	var generation int32
	for {
		code, err := l.do(limit(t), func(b *sarama.Broker) (sarama.KError, error) {
			resp, err := b.JoinGroup(&sarama.JoinGroupRequest{
				Version: 7, GroupId: group, MemberId: id, ProtocolType: "connect", SessionTimeout: 30000, RebalanceTimeout: 30000,
				OrderedGroupProtocols: []*sarama.GroupProtocol{{Name: "sessioned", Metadata: []byte{0, 2}}, {Name: "compatible", Metadata: []byte{0, 1}}},
			})
			if err != nil {
				return 0, err
			}
			id, generation = resp.MemberId, resp.GenerationId
			return resp.Err, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if code == sarama.ErrNoError {
			break
		}
	}
	code, err := l.do(limit(t), func(b *sarama.Broker) (sarama.KError, error) {
		resp, err := b.SyncGroup(&sarama.SyncGroupRequest{
			Version: 3, GroupId: group, MemberId: id, GenerationId: generation,
			GroupAssignments: []sarama.SyncGroupRequestAssignment{{MemberId: id, Assignment: []byte{0, 2}}},
		})
		if err != nil {
			return 0, err
		}
		return resp.Err, nil
	})
	if err != nil || code != sarama.ErrNoError {
		t.Fatal(code, err)
	}
	return func() {
		defer l.close()
		if _, err := l.do(limit(t), func(b *sarama.Broker) (sarama.KError, error) {
			resp, err := b.LeaveGroup(&sarama.LeaveGroupRequest{Version: 4, GroupId: group, Members: []sarama.MemberIdentity{{MemberId: id}}})
			if err != nil {
				return 0, err
			}
			return resp.Err, nil
		}); err != nil {
			t.Error(err)
		}
	}
}
