package runtime

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// TestASinkThatNeverReturns: it holds neither its task nor the worker; the status names it, and what it acknowledges later is
// not stored.
func TestASinkThatNeverReturns(t *testing.T) {
	for name, end := range map[string]func(*bench) error{
		"stop": func(b *bench) error { return b.worker.Stop(context.Background(), "c") },
		"fail": func(b *bench) error { b.current().fail(errAway); return nil }, // as a sink's own goroutine does
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(b *bench) {
				b.config["task.shutdown.graceful.timeout.ms"] = "1000"
				free := make(chan struct{})
				b.sink = func(task connectors.SinkTask) connectors.SinkTask {
					return &faultySink{SinkTask: task, put: func(context.Context, *connectors.Batch) error { <-free; return nil }}
				}
				b.feed.Extend(p1, 3)
				b.start()
				synctest.Wait()
				before := time.Now()
				if err := end(b); err != nil {
					b.Error(err)
				}
				if name == "fail" {
					b.until("failed", func() bool { return b.task().State == Failed })
					if trace := b.task().Trace; !strings.Contains(trace, "sink io.freshet.test.Target0Connector did not return within 6s") || !strings.Contains(trace, "away") {
						b.Errorf("trace %s", trace)
					}
				}
				if took := time.Since(before); took > 8*time.Second {
					b.Errorf("it took %v", took)
				}
				b.close()
				close(free)
				synctest.Wait()
				if b.store.count() != 0 {
					b.Errorf("stored %s by an instance that was given up", b.stored())
				}
				if used := b.worker.memory.inUse(); used != 0 {
					b.Errorf("%d bytes were not given back when it returned at last", used)
				}
			})
		})
	}
}

func (b *bench) current() *instance {
	b.worker.mu.Lock()
	c := b.worker.connectors["c"]
	b.worker.mu.Unlock()
	c.mu.Lock()
	k := c.tasks[0]
	c.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// TestASinkThatNeverReturnsHoldsNobodyElse: another connector of the worker goes on.
func TestASinkThatNeverReturnsHoldsNobodyElse(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		b.config["task.shutdown.graceful.timeout.ms"] = "1000"
		free := make(chan struct{})
		hang := true // the first sink that is made
		b.sink = func(task connectors.SinkTask) connectors.SinkTask {
			if !hang {
				return task
			}
			hang = false
			return &faultySink{SinkTask: task, put: func(context.Context, *connectors.Batch) error { <-free; return nil }}
		}
		b.feed.Extend(p1, 3)
		b.open()
		ctx := context.Background()
		one := connectors.Config{"connector.class": "FeedSource", "sinks": "a", "sinks.a.connector.class": "Target0"}
		two := connectors.Config{"connector.class": "FeedSource", "sinks": "a", "sinks.a.connector.class": "Target1"}
		if err := b.worker.Put(ctx, "c", one, ""); err != nil {
			b.Fatal(err)
		}
		synctest.Wait()
		if err := errors.Join(b.worker.Put(ctx, "d", two, ""), b.worker.Delete(ctx, "c")); err != nil {
			b.Fatal(err)
		}
		b.feed.Extend(p1, 30)
		b.until("the other connector has all", func() bool { return b.targets[1].Has(p1) == 33 })
		close(free)
		b.close()
	})
}

// TestASinkThatReleasesWhatItRefuses breaks the contract; it must not break the worker, and not another sink's batch.
func TestASinkThatReleasesWhatItRefuses(t *testing.T) {
	for _, targets := range []int{1, 2} {
		bubble(t, targets, func(b *bench) {
			first := true
			b.sink = func(task connectors.SinkTask) connectors.SinkTask {
				if !first {
					return task
				}
				first = false
				return &faultySink{SinkTask: task, put: func(_ context.Context, batch *connectors.Batch) error {
					batch.Release()
					return errAway
				}}
			}
			b.feed.Extend(p1, 3)
			b.start()
			b.until("failed", func() bool { return b.task().State == Failed })
			if trace := b.task().Trace; !strings.Contains(trace, "released a batch that it did not take: away") {
				b.Errorf("trace %s", trace)
			}
			b.close()
			for _, target := range b.targets {
				if problems := target.Problems(); len(problems) > 0 {
					b.Error(problems)
				}
			}
		})
	}
}

// TestARefusedBatchIsNotAcknowledgedLater: Put said that nothing was taken, so an acknowledgement of it moves no position.
func TestARefusedBatchIsNotAcknowledgedLater(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.sink = func(task connectors.SinkTask) connectors.SinkTask { return &lateAck{doubleAck{SinkTask: task}} }
		b.source = func(task connectors.SourceTask) connectors.SourceTask {
			polls := 0
			return &faultySource{SourceTask: task, poll: func(ctx context.Context) (*connectors.Batch, error) {
				if polls++; polls > 1 {
					<-ctx.Done()
					time.Sleep(10 * time.Millisecond) // the end of the instance waits for it, and the last commit comes after it
				}
				return nil, ctx.Err()
			}}
		}
		b.feed.Extend(p1, 3)
		b.start("errors.max.retries", "0")
		b.until("failed", func() bool { return b.task().State == Failed })
		b.close()
		if b.store.count() != 0 {
			b.Errorf("stored %s", b.stored())
		}
	})
}

type lateAck struct{ doubleAck }

func (s *lateAck) Put(_ context.Context, b *connectors.Batch) error {
	id := b.ID
	time.AfterFunc(time.Millisecond, func() { s.session.Ack(id) })
	return errAway
}

// TestAStoreThatCannotBeOpened: a new connector is not made, and one that runs keeps its configuration and its tasks.
func TestAStoreThatCannotBeOpened(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		ctx := context.Background()
		b.open()
		opened := 0
		b.worker.options.StoreFor = func(context.Context, string, connectors.Config) (offsets.Store, error) {
			opened++
			return nil, errAway
		}
		config := b.connector()
		config["offsets.storage.topic"] = "own"
		if err := b.worker.Put(ctx, "c", config, ""); !errors.Is(err, errAway) {
			b.Fatal(err)
		}
		if names := b.worker.Names(); len(names) != 0 {
			b.Errorf("there is %v", names)
		}
		if err := b.worker.Put(ctx, "c", b.connector(), ""); err != nil {
			b.Fatal(err)
		}
		b.feed.Extend(p1, 3)
		b.has(3)
		if err := b.worker.Put(ctx, "c", config, ""); !errors.Is(err, errAway) || opened != 2 {
			b.Fatal(err)
		}
		b.feed.Extend(p1, 3)
		b.has(6)
		if c, _ := b.worker.Config("c"); c["offsets.storage.topic"] != "" || b.feed.Starts() != 1 {
			b.Errorf("configuration %v, %d starts", c, b.feed.Starts())
		}
		b.close()
	})
}

// TestAStopThatIsNotWaitedFor: whoever asks again, for the stop or for a start, gets it.
func TestAStopThatIsNotWaitedFor(t *testing.T) {
	for name, again := range map[string]func(*bench) error{
		"stop":    func(b *bench) error { return b.worker.Stop(context.Background(), "c") },
		"resume":  func(b *bench) error { return b.worker.Resume(context.Background(), "c") },
		"restart": func(b *bench) error { return b.worker.Restart(context.Background(), "c", true, false) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(b *bench) {
				b.config["task.shutdown.graceful.timeout.ms"] = "2000"
				var slow atomic.Bool
				slow.Store(true)
				b.targets[0].Schedule = func(int) int {
					if slow.Load() {
						return -1
					}
					return 0
				}
				b.sink = func(task connectors.SinkTask) connectors.SinkTask {
					return &faultySink{SinkTask: task, flush: func(ctx context.Context) error {
						if slow.Load() {
							<-ctx.Done()
						}
						return ctx.Err()
					}}
				}
				b.feed.Extend(p1, 3)
				b.start()
				b.until("put", func() bool { return b.targets[0].Peak() == 1 })
				short, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				if name == "restart" {
					config := b.connector()
					config["tasks.max"] = "2"
					if err := b.worker.Put(short, "c", config, ""); err == nil {
						b.Fatal("the flush did not hold")
					}
					if s, _ := b.worker.Status("c"); s.State != Failed || !strings.Contains(s.Trace, "restart the connector") {
						b.Errorf("status %+v", s)
					}
				} else if err := b.worker.Stop(short, "c"); err == nil {
					b.Fatal("the flush did not hold")
				}
				slow.Store(false)
				if err := again(b); err != nil {
					b.Fatal(err)
				}
				if name == "stop" {
					if s, _ := b.worker.Status("c"); s.State != Stopped || len(s.Tasks) != 0 || s.Trace != "" {
						b.Errorf("status %+v", s)
					}
				} else {
					b.has(3)
				}
				b.close()
			})
		})
	}
}

// TestNothingIsChargedAfterTheEnd: a source that ignores the end of its instance cannot take memory that nobody gives back.
func TestNothingIsChargedAfterTheEnd(t *testing.T) {
	worker := newBudget(1000, nil)
	b := newBudget(100, worker)
	b.close()
	if err := b.acquire(t.Context(), nil, 10); !errors.Is(err, connectors.ErrStopped) || worker.inUse() != 0 {
		t.Errorf("got %v, %d bytes in use", err, worker.inUse())
	}
}
