package runtime

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// moody is a bench whose second sink hangs or fails when a test wants it.
type moody struct {
	*bench
	hangs atomic.Bool
	fails atomic.Pointer[error] // what Put returns
	away  atomic.Pointer[error] // what Start returns
	tried atomic.Int32          // starts of the second sink
}

// moodySink is one of its second sinks.
type moodySink struct {
	faultySink
	of *moody
}

func (s *moodySink) Start(ctx context.Context, session connectors.SinkSession) error {
	s.of.tried.Add(1)
	if err := s.of.away.Load(); err != nil {
		return *err
	}
	return s.SinkTask.Start(ctx, session)
}

func newMoody(b *bench) *moody {
	m := &moody{bench: b}
	hang := func(ctx context.Context) error {
		if m.hangs.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	b.sinkOf = func(target int, s connectors.SinkTask) connectors.SinkTask {
		if target != 1 {
			return s
		}
		return &moodySink{faultySink{SinkTask: s, flush: hang, put: func(ctx context.Context, _ *connectors.Batch) error {
			if err := m.fails.Load(); err != nil {
				return *err
			}
			return hang(ctx)
		}}, m}
	}
	return m
}

func (m *moody) first(n int) func() bool {
	return func() bool { return m.targets[0].Has(p1) >= n }
}

func (m *moody) says(what string) func() bool {
	return func() bool {
		s := m.task()
		return s.State == Running && strings.Contains(s.Trace, what)
	}
}

func (m *moody) end() {
	m.Helper()
	m.close()
	for i, target := range m.targets {
		if p := target.Problems(); len(p) > 0 {
			m.Errorf("target %d: %v", i, p)
		}
	}
}

var stops = []string{"sinks.s1.on.failure", "stop", "sinks.s1.hold.max.ms", "2000"}

func TestASlowSinkKeepsNobodyWaiting(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		m := newMoody(b)
		m.hangs.Store(true)
		b.start()
		b.feed.Extend(p1, 50)
		b.until("the first sink has them", m.first(50))
		if got := b.store.count(); b.feed.Committed(p1) > 0 {
			t.Errorf("the source was told to forget what one sink does not have; %d writes", got)
		}
		m.hangs.Store(false)
		if err := b.worker.Restart(context.Background(), "c", true, false); err != nil {
			t.Error(err)
		}
		b.has(50)
		m.end()
	})
}

func TestASinkThatStandsStillDropsOutAndComesBack(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		m, p := newMoody(b), p1
		b.start(append(stops, "max.queue.size.in.bytes", "20000")...)
		b.feed.Extend(p, 10)
		b.has(10)
		m.hangs.Store(true)
		gone := errors.New("no route")
		m.away.Store(&gone)
		b.feed.Extend(p, 5000)
		b.until("it has dropped out", m.says("sink s1 has dropped out"))
		b.until("the first sink has all, far more than fits in memory", m.first(5010))
		if n := b.feed.Committed(p); n > m.targets[1].Has(p) {
			t.Errorf("the source may forget %d records, the second sink has %d", n, m.targets[1].Has(p))
		}
		tried := m.tried.Load()
		b.until("it is tried again", func() bool { return m.tried.Load() > tried+2 })
		m.hangs.Store(false)
		m.away.Store(nil)
		b.has(5010)
		if s := b.task(); s.State != Running || s.Trace != "" {
			t.Errorf("got %+v", s)
		}
		if n := len(m.targets[0].Durable(p)); n != 5010 {
			t.Errorf("the first sink got %d records", n)
		}
		m.end()
	})
}

func TestAPlaceIsGivenUp(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		m, p := newMoody(b), p1
		more := append(stops, "sinks.s1.hold.max.bytes", "100000")
		b.start(more...)
		b.feed.Extend(p, 10)
		b.has(10)
		gone := errors.New("no route")
		m.fails.Store(&gone)
		m.away.Store(&gone)
		b.feed.Extend(p, 1)
		b.until("it has dropped out", m.says("sink s1 has dropped out"))
		if n := b.feed.Committed(p); n != 10 {
			t.Errorf("the source may forget %d records", n)
		}
		for range 20 {
			b.feed.Extend(p, 500)
			time.Sleep(200 * time.Millisecond)
		}
		b.until("its place is given up", m.says("sink s1 needs resync"))
		b.until("the source may forget", func() bool { return b.feed.Committed(p) == 10011 })
		m.fails.Store(nil)
		m.away.Store(nil)
		b.close()
		before := m.targets[1].Has(p)
		b.start(more...)
		b.until("it still needs a resync", m.says("sink s1 needs resync"))
		b.feed.Extend(p, 5)
		b.until("the first sink goes on", m.first(10016))
		if got := m.targets[1].Has(p); got != before {
			t.Errorf("the second sink has %d, and had %d", got, before)
		}
		ctx := context.Background()
		if err := b.worker.Stop(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.worker.ResetOffsets(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		if err := b.worker.Resume(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		b.has(10016)
		m.end()
	})
}

// The store is away from before the last acknowledgement of a sink until its place is given up: what is stored then is that, not the position.
func TestAPlaceIsGivenUpWhileTheStoreIsAway(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		m, p := newMoody(b), p1
		b.start(append(stops, "sinks.s1.hold.max.bytes", "100000")...)
		b.feed.Extend(p, 10)
		b.has(10)
		var away atomic.Bool
		away.Store(true)
		b.store.mu.Lock()
		b.store.fail = func() error {
			if away.Load() {
				return errors.New("no store")
			}
			return nil
		}
		b.store.mu.Unlock()
		b.feed.Extend(p, 5)
		b.until("both have it", func() bool { return m.targets[0].Has(p) == 15 && m.targets[1].Has(p) == 15 })
		gone := errors.New("no route")
		m.fails.Store(&gone)
		m.away.Store(&gone)
		b.feed.Extend(p, 1)
		b.until("it has dropped out", m.says("sink s1 has dropped out"))
		for range 20 {
			b.feed.Extend(p, 500)
			time.Sleep(200 * time.Millisecond)
		}
		b.until("the first sink goes on", m.first(10016))
		away.Store(false)
		b.until("the source may forget", func() bool { return b.feed.Committed(p) == 10016 })
		of, err := connectors.SinkPartition(p, "s1")
		if err != nil {
			t.Fatal(err)
		}
		if list, err := b.store.Load(context.Background(), "c", of); err != nil || len(list) != 1 || connectors.ResyncOf(list[0].Offset) == "" {
			t.Errorf("stored: %v, %v", list, err)
		}
		m.end()
	})
}

func TestOnePermanentErrorStopsOneSink(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		m, p := newMoody(b), p1
		b.start(stops...)
		b.feed.Extend(p, 10)
		b.has(10)
		bad := connectors.AsPermanent(errors.New("column x is too narrow"))
		m.fails.Store(&bad)
		b.feed.Extend(p, 10)
		b.until("it has dropped out", m.says("column x is too narrow"))
		b.until("the first sink goes on", m.first(20))
		tried := m.tried.Load()
		time.Sleep(10 * time.Minute)
		if m.tried.Load() != tried {
			t.Error("it was tried again by itself")
		}
		m.fails.Store(nil)
		if err := b.worker.RestartTask(context.Background(), "c", 0); err != nil {
			t.Fatal(err)
		}
		b.has(20)
		m.end()
	})
}

func TestASinkThatIsAwayAtTheStart(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		m, p := newMoody(b), p1
		gone := errors.New("no route")
		m.away.Store(&gone)
		b.start(stops...)
		b.feed.Extend(p, 10)
		b.until("without a place to come back to, it holds all", func() bool { return b.task().State == Restarting })
		m.away.Store(nil)
		b.has(10)
		b.close()
		m.away.Store(&gone)
		b.start(stops...)
		b.feed.Extend(p, 10)
		b.until("the first sink goes on", m.first(20))
		if n := b.feed.Committed(p); n > 10 {
			t.Errorf("the source may forget %d records", n)
		}
		m.away.Store(nil)
		b.has(20)
		m.end()
	})
}

func TestNobodyIsLeft(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		m, p := newMoody(b), p1
		fail := connectors.AsPermanent(errors.New("disk full"))
		b.start(append(stops, "sinks.s0.on.failure", "stop")...)
		b.feed.Extend(p, 10)
		b.has(10)
		m.fails.Store(&fail)
		b.targets[0].Fail = func() error { return fail }
		b.feed.Extend(p, 10)
		b.until("the task fails", func() bool { return b.task().State == Failed && strings.Contains(b.task().Trace, "disk full") })
		m.end()
	})
}

func TestSinkPolicyIsChecked(t *testing.T) {
	b := newBench(t, 2)
	b.open()
	for key, value := range map[string]string{"on.failure": "maybe", "hold.max.ms": "x", "hold.max.bytes": "5"} {
		c := b.connector()
		c["sinks.s1."+key] = value
		found := false
		for _, v := range b.worker.Validate(context.Background(), c) {
			found = found || v.Name == "sinks.s1."+key && len(v.Errors) == 1
		}
		if !found {
			t.Errorf("%s=%s is taken", key, value)
		}
	}
}

// TestSinksStartBeforeOffsetsAreRead: an earlier owner's transaction in the store's own topic ends when its sink is fenced (I11).
func TestSinksStartBeforeOffsetsAreRead(t *testing.T) {
	bubble(t, 3, func(b *bench) {
		var started atomic.Int32
		b.sinkOf = func(_ int, s connectors.SinkTask) connectors.SinkTask { return &startedSink{s, &started} }
		b.store.load = func() {
			if n := started.Load(); n != 3 {
				t.Errorf("offsets are read when %d of 3 sinks have started", n)
			}
		}
		b.start()
		b.until("it runs", func() bool { return b.task().State == Running && started.Load() == 3 })
		b.close()
	})
}

type startedSink struct {
	connectors.SinkTask
	n *atomic.Int32
}

func (s *startedSink) Start(ctx context.Context, session connectors.SinkSession) error {
	defer s.n.Add(1)
	return s.SinkTask.Start(ctx, session)
}
