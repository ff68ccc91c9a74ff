package cluster

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/testbed"
)

func bootstrapOf(c *kfake.Cluster) string { return strings.Join(c.ListenAddrs(), ",") }

// Workers come and go, work comes and goes: everything runs, evenly, once, and one of them leads.
func TestGroupSharesTheWork(t *testing.T) {
	t.Parallel()
	for name, bootstrap := range map[string]func(*testing.T) string{
		"fake": func(t *testing.T) string { return bootstrapOf(fake(t)) },
		"real": func(t *testing.T) string { return bed.Kafka(t).Bootstrap() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, group := bootstrap(t), unique(t)
			w := newWorld(t, 20)
			a := w.join("a", at, group)
			w.await(a)
			b, c := w.join("b", at, group), w.join("c", at, group)
			w.await(a, b, c)
			w.add(20, 31)
			w.await(a, b, c)
			leaders := 0
			for _, x := range []*worker{a, b, c} {
				waitFor(t, func() bool { return x.group.Trouble() == nil })
				x.read(func() {
					g := x.given
					if g.Leader {
						leaders++
						if len(g.Ran) == 0 {
							t.Error("the leader was not told what ran before")
						}
						for id := range w.work {
							if g.Owners[id] != "http://"+w.runs[id].name {
								t.Errorf("the leader has %v at %q, it is at %s", id, g.Owners[id], w.runs[id].name)
							}
						}
					}
					if g.LeaderURL != a.given.LeaderURL || g.Offset != w.offset {
						t.Errorf("%s has the leader at %s and offset %d, want %s and %d", x.name, g.LeaderURL, g.Offset, a.given.LeaderURL, w.offset)
					}
					if len(x.lost) > 0 {
						t.Errorf("%s was lost", x.name)
					}
				})
			}
			if leaders != 1 {
				t.Errorf("%d lead", leaders)
			}
			var others int
			w.mu.Lock()
			others = b.stopped + c.stopped
			w.mu.Unlock()
			if err := a.leave(); err != nil {
				t.Errorf("leaving: %v", err)
			}
			w.await(b, c)
			w.mu.Lock()
			if n := b.stopped + c.stopped; n != others {
				t.Errorf("%d tasks stopped on those who stay", n-others)
			}
			w.mu.Unlock()
			d := w.join("d", at, group)
			w.await(b, c, d)
			w.mu.Lock()
			for i := range 10 {
				delete(w.work, herder.TaskID{Connector: fmt.Sprint("c", i), Task: -1})
				delete(w.work, herder.TaskID{Connector: fmt.Sprint("c", i), Task: 0})
			}
			w.offset++
			w.mu.Unlock()
			w.rejoin()
			w.await(b, c, d)
		})
	}
}

// A member that the coordinator has forgotten stops everything and joins anew.
func TestGroupForgottenMember(t *testing.T) {
	t.Parallel()
	for _, e := range []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.FencedInstanceID} {
		t.Run(e.Message, func(t *testing.T) {
			t.Parallel()
			c := fake(t)
			w := newWorld(t, 10)
			a, b := w.join("a", bootstrapOf(c), t.Name()), w.join("b", bootstrapOf(c), t.Name())
			w.await(a, b)
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: e, Count: 4}) // answers of a round that is over count for nothing
			waitFor(t, func() bool { return lostTimes(w) > 0 })
			w.await(a, b)
		})
	}
}

func lostTimes(w *world) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, x := range w.workers {
		n += len(x.lost)
	}
	return n
}

// A worker whose heartbeats are not answered stops everything before the session's time is over, counted from the last heartbeat that
// was answered, and comes back when the broker answers again.
func TestGroupWithoutAnswers(t *testing.T) {
	t.Parallel()
	c := fake(t)
	w := newWorld(t, 10)
	a := w.join("a", bootstrapOf(c), t.Name())
	w.await(a)
	var mu sync.Mutex
	var last time.Time
	silent := make(chan struct{})
	c.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		mu.Lock()
		defer mu.Unlock()
		c.KeepControl()
		select {
		case <-silent:
			return nil, errors.New("silence"), true
		default:
			last = time.Now()
			return nil, nil, false
		}
	})
	waitFor(t, func() bool { mu.Lock(); defer mu.Unlock(); return !last.IsZero() })
	close(silent)
	waitFor(t, func() bool { return lostTimes(w) > 0 })
	mu.Lock()
	since := a.lost[0].Sub(last)
	mu.Unlock()
	if most := 6 * time.Second; since > most || since < 2*time.Second {
		t.Errorf("it stopped %v after the last answer, want before %v", since, most)
	}
}

// A process that was stopped, or a machine that slept, is noticed by the clock: everything stops before anything else is done, even
// though heartbeats are answered again.
func TestGroupThatWasStopped(t *testing.T) {
	t.Parallel()
	c := fake(t)
	w := newWorld(t, 10)
	a := w.prepare("a", bootstrapOf(c), t.Name())
	var slept atomic.Int64
	a.group.clock = func() time.Duration { return uptime() + time.Duration(slept.Load()) }
	a.start()
	w.await(a)
	var before int
	a.read(func() { before = a.rounds })
	slept.Store(int64(10 * time.Second))
	w.add(10, 12)
	waitFor(t, func() bool { return lostTimes(w) == 1 })
	w.await(a)
	a.read(func() {
		if a.roundsAtLoss != before {
			t.Errorf("%d rounds were taken part in between the sleep and the stop", a.roundsAtLoss-before)
		}
	})
}

// What a broker restart and a cut network do to members: those that are cut off stop, others take over, and all come back.
func TestGroupThroughFaults(t *testing.T) {
	t.Parallel()
	proxy := testbed.StartToxiproxy(t).Proxy(t, "127.0.0.1:1")
	k := testbed.StartKafkaBehind(t, proxy.Listen)
	proxy.Upstream = k.Address()
	if err := proxy.Save(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 12)
	a := w.join("a", proxy.Listen, "faults")
	w.await(a)
	b := w.join("b", proxy.Listen, "faults")
	w.await(a, b)
	if err := proxy.Disable(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return lostTimes(w) == 2 })
	w.mu.Lock()
	if len(w.runs) > 0 {
		t.Errorf("%d tasks run without a broker", len(w.runs))
	}
	w.mu.Unlock()
	if err := proxy.Enable(); err != nil {
		t.Fatal(err)
	}
	w.await(a, b)
	k.Kill(t)
	k.Restart(t)
	w.await(a, b)
	w.add(12, 15)
	w.await(a, b)
}

// Three workers with a thousand connectors share them out within ten seconds.
func TestGroupWithAThousandConnectors(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	w := newWorld(t, 1000)
	group := unique(t)
	a := w.join("a", k.Bootstrap(), group)
	b := w.join("b", k.Bootstrap(), group)
	w.await(a, b)
	began := time.Now()
	c := w.join("c", k.Bootstrap(), group)
	w.await(a, b, c)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a third worker has its share after %v", took)
	}
}

// A heartbeat whose answer does not come costs nothing: another one is sent in time.
func TestGroupWithoutOneAnswer(t *testing.T) {
	t.Parallel()
	c := fake(t)
	w := newWorld(t, 10)
	slow := func(o *GroupOptions) { o.HeartbeatInterval = 2 * time.Second }
	a := w.join("a", bootstrapOf(c), t.Name(), slow)
	w.await(a)
	var mu sync.Mutex
	var last time.Time
	swallowed, answered := false, 0
	over := make(chan struct{})
	defer close(over)
	c.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mu.Lock()
		// Right after a round heartbeats are frequent, and one more or less is nothing.
		swallow := !swallowed && !last.IsZero() && time.Since(last) > time.Second
		if swallowed {
			answered++
		}
		swallowed, last = swallowed || swallow, time.Now()
		mu.Unlock()
		if swallow {
			c.SleepControl(func() { <-over })
		}
		return nil, nil, false
	})
	waitFor(t, func() bool { mu.Lock(); defer mu.Unlock(); return answered > 2 || lostTimes(w) > 0 })
	if n := lostTimes(w); n > 0 {
		t.Error("one answer that did not come ended the membership")
	}
}

// A stop that takes longer than a round may take ends the membership before others are given the work.
func TestGroupSlowStop(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{"calm": false, "late": true} {
		t.Run(name, func(t *testing.T) { t.Parallel(); slowStop(t, late) })
	}
}

func slowStop(t *testing.T, late bool) {
	c := fake(t)
	w := newWorld(t, 10)
	short := func(o *GroupOptions) { o.RebalanceTimeout = 4 * time.Second }
	a := w.join("a", bootstrapOf(c), t.Name(), short)
	w.await(a)
	a.read(func() { a.slow = make(chan struct{}) })
	b := w.join("b", bootstrapOf(c), t.Name(), short)
	if !late {
		w.await(a, b) // what does not stop in time is killed
		if lostTimes(w) != 0 {
			t.Error("a member was lost")
		}
		return
	}
	waitFor(t, func() bool { stopping := false; a.read(func() { stopping = a.stopping }); return stopping })
	d := w.join("d", bootstrapOf(c), t.Name(), short) // makes a round begin that a cannot take part in
	waitFor(t, func() bool { return lostTimes(w) > 0 })
	a.read(func() { a.slow = nil })
	w.await(a, b, d)
}

// A worker that cannot read the config log as far as others leaves, catches up and comes back.
func TestGroupBehind(t *testing.T) {
	t.Parallel()
	c := fake(t)
	w := newWorld(t, 10)
	a, b := w.join("a", bootstrapOf(c), t.Name()), w.join("b", bootstrapOf(c), t.Name())
	w.await(a, b)
	for _, x := range []*worker{a, b} { // one of them leads
		y := map[*worker]*worker{a: b, b: a}[x]
		x.read(func() { x.applied, x.blocked = w.offset, true })
		w.add(len(w.work)/2, len(w.work)/2+3)
		waitFor(t, func() bool {
			return x.group.Trouble() != nil && strings.Contains(x.group.Trouble().Error(), "worker.sync.timeout.ms")
		})
		w.await(y)
		x.read(func() { x.blocked = false })
		w.await(a, b)
	}
	if n := lostTimes(w); n != 2 {
		t.Errorf("left %d times, want 2", n)
	}
}

// While a worker of the JVM is in the group nothing runs here, and Trouble says who has to go; then this worker takes over.
func TestGroupAfterTheJVM(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	group := unique(t)
	leave := jvm(t, k.Bootstrap(), group)
	w := newWorld(t, 5)
	a := w.join("a", k.Bootstrap(), group)
	waitFor(t, func() bool { return errors.Is(a.group.Trouble(), ErrMixedGroup) })
	for _, part := range []string{group, "JVM", "stop them", "protocol sessioned", "connect-1 at "} {
		if err := a.group.Trouble(); !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	w.mu.Lock()
	if len(w.runs) > 0 {
		t.Errorf("%d tasks run", len(w.runs))
	}
	w.mu.Unlock()
	leave()
	w.await(a)
	waitFor(t, func() bool { return a.group.Trouble() == nil })
}

// What the broker refuses for good ends Run.
func TestGroupRefused(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	w := newWorld(t, 5)
	a := w.join("a", k.Bootstrap(), unique(t), func(o *GroupOptions) { o.SessionTimeout = 900 * time.Millisecond })
	err := <-a.ended
	a.ended <- err
	if err == nil || !strings.Contains(err.Error(), "session.timeout.ms=900") || !strings.Contains(err.Error(), "group.min.session.timeout.ms") {
		t.Errorf("Run ended with %v", err)
	}
}
