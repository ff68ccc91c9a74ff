package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
)

// bubble runs a test in its own time.
func bubble(t *testing.T, targets int, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newBench(t, targets)) })
}

var p1 = connectortest.Partition(1)

func never(int) int { return -1 }

func TestErrorClassesDecide(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		starts int
		trace  string
	}{
		"permanent":           {connectors.AsPermanent(errAway), 1, "poll source: away"},
		"fenced":              {connectors.AsFenced(errAway), 1, "poll source: away"},
		"retriable":           {errAway, 4, "poll source: away"},
		"EOF of a connection": {fmt.Errorf("away: %w", io.EOF), 4, "poll source: away: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(b *bench) {
				b.feed.Fail = func() error { return c.err }
				b.start("errors.max.retries", "3")
				b.until("failed", func() bool { return b.task().State == Failed })
				if got := b.feed.Starts(); got != c.starts || !strings.Contains(b.task().Trace, c.trace) {
					b.Errorf("%d starts, trace %s", got, b.task().Trace)
				}
				b.close()
			})
		})
	}
}

func TestRetriesForEverAndCountsOnlyFailuresWithoutProgress(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		fails := 0
		b.feed.Fail = func() error {
			if fails++; fails%5 == 0 {
				return errAway
			}
			return nil
		}
		b.feed.Extend(p1, 60)
		b.start("errors.max.retries", "2")
		b.has(60)
		b.close()
	})
}

func TestStatusWhileRetrying(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		var away atomic.Bool
		away.Store(true)
		b.source = func(task connectors.SourceTask) connectors.SourceTask {
			return &faultySource{SourceTask: task, start: func(context.Context) error {
				if away.Load() {
					return errAway
				}
				return nil
			}}
		}
		b.feed.Extend(p1, 5)
		b.start("errors.retry.delay.max.ms", "50")
		b.until("restarting", func() bool { return b.task().State == Restarting })
		if got := b.task().Trace; got != "start source: away" {
			b.Errorf("trace %q", got)
		}
		away.Store(false)
		b.has(5)
		if got := b.task(); got.State != Running || got.Trace != "" {
			b.Errorf("got %+v", got)
		}
		b.close()
	})
}

func TestPanicFailsTheTaskOnly(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.sink = func(task connectors.SinkTask) connectors.SinkTask {
			return &faultySink{SinkTask: task, put: func(context.Context, *connectors.Batch) error { panic("oh") }}
		}
		b.feed.Extend(p1, 1)
		b.start()
		b.until("failed", func() bool { return b.task().State == Failed })
		if trace := b.task().Trace; !strings.Contains(trace, "put panicked: oh") || !strings.Contains(trace, "task_test.go") {
			b.Errorf("trace %s", trace)
		}
		b.close()
	})
}

// fencedSink finds out that it is fenced as soon as it has started.
type fencedSink struct{ connectors.SinkTask }

func (s *fencedSink) Start(ctx context.Context, session connectors.SinkSession) error {
	err := s.SinkTask.Start(ctx, session)
	session.Fail(connectors.AsFenced(errAway))
	return err
}

// TestASinkFailsWhileTheSourceStarts: the source, whose start it ends, is not what is told.
func TestASinkFailsWhileTheSourceStarts(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.sink = func(task connectors.SinkTask) connectors.SinkTask { return &fencedSink{task} }
		b.source = func(task connectors.SourceTask) connectors.SourceTask {
			return &faultySource{SourceTask: task, start: func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}}
		}
		b.start()
		b.until("failed", func() bool { return b.task().State == Failed })
		if trace := b.task().Trace; !strings.Contains(trace, errAway.Error()) {
			b.Errorf("trace %s", trace)
		}
		b.close()
	})
}

// TestFencedWritesNothing checks I6: what was acknowledged and not stored when the fence falls is not stored either.
func TestFencedWritesNothing(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.config["offset.flush.interval.ms"] = "3600000"
		var puts atomic.Int64
		b.sink = func(task connectors.SinkTask) connectors.SinkTask {
			return &faultySink{SinkTask: task, put: func(context.Context, *connectors.Batch) error {
				if puts.Add(1) == 3 {
					return connectors.AsFenced(errAway)
				}
				return nil
			}}
		}
		b.feed.Extend(p1, 30)
		b.start()
		b.until("failed", func() bool { return b.task().State == Failed })
		b.close()
		if b.store.count() != 0 || b.targets[0].Has(p1) == 0 || b.feed.Committed(p1) != 0 {
			b.Errorf("stored %s, %d writes", b.stored(), b.store.count())
		}
	})
}

// A task that is started again in place, after a break in which another one has taken over, is fenced and takes nothing back (I6);
// where nobody did, it goes on.
func TestARestartInPlaceTakesNothingBack(t *testing.T) {
	for _, taken := range []bool{false, true} {
		bubble(t, 2, func(b *bench) {
			b.targets[0].Keep, b.targets[1].Keep = true, true
			var fail atomic.Bool
			b.source = func(task connectors.SourceTask) connectors.SourceTask {
				return &faultySource{SourceTask: task, poll: func(context.Context) (*connectors.Batch, error) {
					if fail.Swap(false) {
						return nil, errAway
					}
					return nil, nil
				}}
			}
			b.feed.Extend(p1, 5)
			b.start()
			b.until("put", func() bool { return b.targets[1].Has(p1) == 5 })
			if taken {
				other := b.targets[1].NewSink("")
				if _, err := other.(connectors.OffsetKeeper).Progress(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			starts := b.feed.Starts()
			fail.Store(true)
			b.feed.Extend(p1, 1)
			if taken {
				b.until("failed", func() bool { return b.task().State == Failed })
				if trace := b.task().Trace; !strings.Contains(trace, "another sink took over") {
					b.Errorf("failed with %s", trace)
				}
			} else {
				b.until("going on", func() bool { return b.feed.Starts() == starts+1 && b.targets[1].Has(p1) == 6 })
			}
			b.close()
		})
	}
}

func TestGracefulStopFlushesAndCommits(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.config["offset.flush.interval.ms"] = "3600000"
		b.targets[0].Schedule = never
		b.feed.Extend(p1, 9)
		b.start()
		b.until("put", func() bool { return b.targets[0].Peak() == 3 })
		if b.store.count() != 0 {
			b.Error("written before the interval is over")
		}
		b.close()
		if got := b.stored(); got != `[{{"feed":1} {"n":9}}]` || b.feed.Committed(p1) != 9 || b.store.count() != 1 {
			b.Errorf("stored %s, committed %d, %d writes", got, b.feed.Committed(p1), b.store.count())
		}
	})
}

// TestPauseKeepsTheTask: while paused nothing is taken and no offset is written for it; the same task goes on.
func TestPauseKeepsTheTask(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		ctx := context.Background()
		b.config["offset.flush.interval.ms"] = "3600000"
		b.feed.Extend(p1, 5)
		b.start()
		b.until("put", func() bool { return b.targets[0].Has(p1) == 5 })
		if err := b.worker.Pause(ctx, "c"); err != nil {
			b.Fatal(err)
		}
		b.feed.Extend(p1, 5)
		time.Sleep(time.Minute)
		if got := b.task().State; got != Paused || b.targets[0].Has(p1) != 5 || b.store.count() != 0 {
			b.Errorf("%s, %d records, %d writes", got, b.targets[0].Has(p1), b.store.count())
		}
		if err := b.worker.Resume(ctx, "c"); err != nil {
			b.Fatal(err)
		}
		b.until("put", func() bool { return b.targets[0].Has(p1) == 10 })
		if err := errors.Join(b.worker.Pause(ctx, "c"), b.worker.Stop(ctx, "c")); err != nil {
			b.Fatal(err)
		}
		if b.feed.Starts() != 1 || b.store.count() != 1 || b.stored() != `[{{"feed":1} {"n":10}}]` {
			b.Errorf("%d starts, %d writes, stored %s", b.feed.Starts(), b.store.count(), b.stored())
		}
		b.close()
	})
}

// TestGraceEnds: a sink that cannot flush does not hold up the stop; nothing of what it holds is stored.
func TestGraceEnds(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.config["task.shutdown.graceful.timeout.ms"] = "2000"
		b.targets[0].Schedule = never
		b.sink = func(task connectors.SinkTask) connectors.SinkTask {
			return &faultySink{SinkTask: task, flush: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		}
		b.feed.Extend(p1, 9)
		b.start()
		b.until("put", func() bool { return b.targets[0].Peak() == 3 })
		before := time.Now()
		b.close()
		if took := time.Since(before); took != 2*time.Second {
			b.Errorf("the stop took %v", took)
		}
		if b.store.count() != 0 {
			b.Errorf("stored %s", b.stored())
		}
	})
}

func TestSecondSignal(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.sink = func(task connectors.SinkTask) connectors.SinkTask {
			return &faultySink{SinkTask: task, put: func(ctx context.Context, _ *connectors.Batch) error { <-ctx.Done(); return ctx.Err() }}
		}
		b.feed.Extend(p1, 9)
		b.start()
		synctest.Wait()
		hard, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		before := time.Now()
		if err := b.worker.Close(hard); err == nil || time.Since(before) > 200*time.Millisecond {
			b.Errorf("got %v after %v", err, time.Since(before))
		}
	})
}

// TestFullWindowIsFlushed: a sink that waits for more while the window is full is told to flush.
func TestFullWindowIsFlushed(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.targets[0].Schedule = never
		b.feed.Width = 4000
		b.feed.Extend(p1, 300)
		b.feed.End()
		b.start("max.queue.size.in.bytes", "100000")
		b.has(300)
		if peak := b.targets[0].Peak(); peak > 100000/12000+1 {
			b.Errorf("%d batches were held at once", peak)
		}
		b.close()
	})
}

func TestOneRowAboveTheBoundPassesAlone(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.targets[0].Schedule = never
		b.feed.Records, b.feed.Width = 1, 5000
		b.feed.Extend(p1, 10)
		b.feed.End()
		b.start("max.queue.size.in.bytes", "1000")
		b.has(10)
		if peak := b.targets[0].Peak(); peak != 1 {
			b.Errorf("%d batches were held at once", peak)
		}
		b.close()
	})
}

func TestIdleAfterTheEnd(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.targets[0].Schedule = never
		b.feed.Extend(p1, 7)
		b.feed.End()
		b.start()
		b.until("idle", func() bool { return b.worker.Idle("c") })
		if got := b.task(); got.State != Running || b.stored() != `[{{"feed":1} {"n":7}}]` || b.feed.Committed(p1) != 7 {
			b.Errorf("got %+v, stored %s", got, b.stored())
		}
		b.close()
	})
}

func TestStoreIsRetriedInPlace(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		var fails atomic.Int64
		b.store.fail = func() error {
			if fails.Add(1) < 6 {
				return errAway
			}
			return nil
		}
		b.feed.Extend(p1, 30)
		b.start()
		b.has(30)
		if b.feed.Starts() != 1 {
			b.Errorf("%d starts", b.feed.Starts())
		}
		b.close()
	})
}

func TestCommitsAtMostOncePerInterval(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.config["offset.flush.interval.ms"] = "1000"
		b.start()
		for range 100 {
			b.feed.Extend(p1, 1)
			time.Sleep(50 * time.Millisecond)
		}
		if n := b.store.count(); n < 4 || n > 5 {
			b.Errorf("%d writes in 5 s", n)
		}
		b.close()
	})
}

func TestContractBreachesFail(t *testing.T) {
	for name, breach := range map[string]func(*bench){
		"which it does not hold": func(b *bench) {
			b.sink = func(task connectors.SinkTask) connectors.SinkTask { return &doubleAck{SinkTask: task} }
		},
		"neither a batch nor an error": func(b *bench) {
			b.source = func(task connectors.SourceTask) connectors.SourceTask { return nilSource{task} }
		},
		"number 2 is not liked": func(b *bench) { b.targets[0].Reject = func(n int) bool { return n == 2 } },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(b *bench) {
				breach(b)
				b.feed.Extend(p1, 5)
				b.start()
				b.until("failed", func() bool { return b.task().State == Failed })
				if !strings.Contains(b.task().Trace, name) {
					b.Errorf("trace %s", b.task().Trace)
				}
				b.close()
			})
		})
	}
}

type doubleAck struct {
	connectors.SinkTask
	session connectors.SinkSession
}

func (s *doubleAck) Start(ctx context.Context, session connectors.SinkSession) error {
	s.session = session
	return s.SinkTask.Start(ctx, session)
}

func (s *doubleAck) Put(ctx context.Context, b *connectors.Batch) error {
	id := b.ID
	err := s.SinkTask.Put(ctx, b)
	s.session.Ack(id)
	return err
}

type nilSource struct{ connectors.SourceTask }

func (nilSource) Poll(context.Context) (*connectors.Batch, error) { return nil, nil }

// TestExtraRecords: a source's own records are stored with the position they belong to, and are no position.
func TestExtraRecords(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.source = func(task connectors.SourceTask) connectors.SourceTask {
			return extraSource{task, b}
		}
		b.feed.Extend(p1, 3)
		b.start()
		b.has(3)
		b.close()
		if got := b.stored(); got != `[{{"feed":1} {"n":3}} {{"own":true} {"x":1}}]` {
			b.Errorf("stored %s", got)
		}
	})
}

type extraSource struct {
	connectors.SourceTask
	b *bench
}

func (s extraSource) Poll(ctx context.Context) (*connectors.Batch, error) {
	batch, err := s.SourceTask.Poll(ctx)
	if err == nil {
		batch.Extra = []offsets.Entry{{Partition: `{"own":true}`, Offset: `{"x":1}`}}
	}
	return batch, err
}

func (s extraSource) Commit(ctx context.Context, upTo []offsets.Entry) error {
	for _, e := range upTo {
		if e.Partition == `{"own":true}` {
			s.b.Error("an extra record was committed to the source")
		}
	}
	return s.SourceTask.Commit(ctx, upTo)
}

func TestBackoff(t *testing.T) {
	for n, bound := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 40: 10 * time.Second, 1000: 10 * time.Second} {
		for range 100 {
			if d := backoff(n, 10*time.Second); d <= 0 || d > bound {
				t.Fatalf("attempt %d: %v", n, d)
			}
		}
	}
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker := newBudget(100, nil)
		a, b := newBudget(80, worker), newBudget(80, worker)
		ctx := context.Background()
		if err := errors.Join(a.acquire(ctx, nil, 200), b.acquire(ctx, nil, 10)); err != nil {
			t.Fatal(err) // each holds nothing: both pass
		}
		done := make(chan error, 1)
		go func() { done <- b.acquire(ctx, nil, 10) }()
		synctest.Wait()
		if b.waiting() != 1 || len(b.full) != 1 {
			t.Error("b does not wait for the worker's budget")
		}
		a.charge(-150)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		a.close()
		a.charge(-50) // late
		if worker.inUse() != 20 {
			t.Errorf("%d bytes in use", worker.inUse())
		}
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		if err := b.acquire(cancelled, nil, 1000); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		stopped := make(chan struct{})
		close(stopped)
		if err := b.acquire(ctx, stopped, 1000); !errors.Is(err, connectors.ErrStopped) {
			t.Errorf("got %v", err)
		}
	})
}
