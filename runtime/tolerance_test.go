package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
)

// unread stands for the alias of a sink in letters of the source.
const unread = "the source"

// letterBox is what dead-letter queues write to: the numbers of a feed's records that are durable there, by sink and partition.
type letterBox struct {
	fail func() error // called by each operation of a queue

	mu      sync.Mutex
	durable map[letterAt][]int
	causes  []string
	opened  int
	closed  int
}

type letterAt struct {
	sink string
	p    offsets.Partition
}

func newLetterBox() *letterBox {
	return &letterBox{fail: func() error { return nil }, durable: map[letterAt][]int{}}
}

func (b *letterBox) of(sink string, p offsets.Partition) []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.durable[letterAt{sink, p}])
}

// numbers are the records that sink rejected or the source could not read; b may be nil.
func (b *letterBox) numbers(sink string, p offsets.Partition) map[int]bool {
	out := map[int]bool{}
	if b == nil {
		return out
	}
	for _, n := range slices.Concat(b.of(sink, p), b.of(unread, p)) {
		out[n] = true
	}
	return out
}

// Check implements DeadLetters.
func (b *letterBox) Check(c, _ connectors.Config) map[string]error {
	if c[keyDeadLetterFile] == "bad" {
		return map[string]error{keyDeadLetterFile: errors.New("the box is bad")}
	}
	return nil
}

// Open implements DeadLetters.
func (b *letterBox) Open(context.Context, connectors.Config, connectors.Settings) (DeadLetterQueue, error) {
	if err := b.fail(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened++
	return &letterQueue{box: b, added: map[letterAt][]int{}}, nil
}

// letterQueue loses what was not flushed.
type letterQueue struct {
	box   *letterBox
	mu    sync.Mutex
	added map[letterAt][]int
}

func (q *letterQueue) Add(_ context.Context, l *DeadLetter) error {
	if err := q.box.fail(); err != nil {
		return err
	}
	at, n := letterAt{unread, ""}, 0
	if l.Raw != nil {
		at.p, n = offsets.Partition(l.Raw.Topic), int(l.Raw.Offset)
	} else {
		at = letterAt{l.Sink, l.Batch.Source}
		n = int(l.Batch.Cells(l.Batch.Records[l.Index].Key)[0].Int())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.added[at] = append(q.added[at], n)
	q.box.mu.Lock()
	defer q.box.mu.Unlock()
	q.box.causes = append(q.box.causes, fmt.Sprint(l.Stage, " ", l.Class, ": ", l.Cause))
	return nil
}

func (q *letterQueue) Flush(context.Context) error {
	if err := q.box.fail(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.box.mu.Lock()
	for at, list := range q.added {
		q.box.durable[at] = append(q.box.durable[at], list...)
	}
	q.box.mu.Unlock()
	clear(q.added)
	return q.box.fail() // the answer may be lost
}

func (q *letterQueue) Close(context.Context) error {
	q.box.mu.Lock()
	defer q.box.mu.Unlock()
	q.box.closed++
	return nil
}

func (w *world) deadLetters() DeadLetters {
	if w.letters == nil {
		return nil
	}
	return w.letters
}

// TestNothingIsLostToPoison is TestNothingIsLost with records that the source cannot read and others that sinks reject: at every
// moment each record before a stored offset is in the sink or in the dead-letter queue (I1).
func TestNothingIsLostToPoison(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		keepers := rapid.SliceOfN(rapid.Bool(), 1, 3).Draw(rt, "keepers")
		wrap := rapid.Bool().Draw(rt, "wire")
		records := rapid.IntRange(1, 5).Draw(rt, "records")
		rejected := rapid.IntRange(1, 5).Draw(rt, "rejected")
		unreadable := rapid.IntRange(1, 5).Draw(rt, "unreadable")
		steps := rapid.SliceOfN(rapid.IntRange(0, 10), 1, 25).Draw(rt, "steps")
		var failure string
		synctest.Test(t, func(*testing.T) {
			w := newWorld(seed, keepers)
			w.wrap, w.window, w.letters = wrap, 100000, newLetterBox()
			w.letters.fail = func() error {
				if w.chance.of(4) {
					return errors.New("the dead-letter queue is away")
				}
				return nil
			}
			w.feed.Records = records
			w.feed.Unreadable = func(n int) bool { return n%(unreadable+1) == 1 }
			for i, target := range w.targets {
				target.Unreadable = w.feed.Unreadable
				target.Reject = func(n int) bool { return (n+i)%(rejected+1) == 0 }
			}
			if failure = w.play(steps); failure == "" && w.letters.opened != w.letters.closed {
				failure = fmt.Sprintf("%d queues were opened and %d closed", w.letters.opened, w.letters.closed)
			}
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// poisoned is a bench whose sink rejects record 2 of 4.
func poisoned(t *testing.T, targets int) (*bench, *letterBox) {
	b := newBench(t, targets)
	box := newLetterBox()
	b.letters = box
	for _, target := range b.targets {
		target.Reject = func(n int) bool { return n == 2 }
	}
	b.feed.Extend(connectortest.Partition(1), 4)
	return b, box
}

var queued = []string{"errors.tolerance", "all", "errors.deadletterqueue.file", "box"}

// What a sink rejects and what the source cannot read is in the queue, with its cause, and counted.
func TestTolerance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, box := poisoned(t, 1)
		b.feed.Unreadable = func(n int) bool { return n == 3 }
		b.targets[0].Unreadable = b.feed.Unreadable
		b.start(queued...)
		defer b.close()
		p := connectortest.Partition(1)
		b.until("4 are stored", func() bool { return strings.Contains(b.stored(), string(connectortest.FeedOffset(4))) })
		if got := b.targets[0].Durable(p); !slices.Equal(got, []int{1, 4}) {
			t.Errorf("the sink has %v", got)
		}
		if r, u := box.of("", p), box.of(unread, p); !slices.Equal(r, []int{2}) || !slices.Equal(u, []int{3}) {
			t.Errorf("rejected %v, not readable %v", r, u)
		}
		want := []string{
			"VALUE_CONVERTER org.apache.kafka.connect.json.JsonConverter: record 3 of " + string(p) + " cannot be read",
			"TASK_PUT io.freshet.test.Target0Connector: number 2 is not liked",
		}
		if slices.Sort(box.causes); !slices.Equal(box.causes, []string{want[1], want[0]}) {
			t.Errorf("causes %q", box.causes)
		}
		m := b.worker.Metrics()[0]
		if m.Skipped != 2 || m.Letters != 2 || m.FailedLetters != 0 || m.Logged != 0 || m.Errors != 0 || m.LastError.IsZero() {
			t.Errorf("metrics %+v", m)
		}
	})
}

// Without errors.tolerance=all, for the connector or for this sink, the task fails and the queue is not used.
func TestNothingIsTolerated(t *testing.T) {
	for _, config := range [][]string{
		nil, {"errors.deadletterqueue.file", "box"}, slices.Concat(queued, []string{"sinks.s0.errors.tolerance", "none"}),
	} {
		synctest.Test(t, func(t *testing.T) {
			b, box := poisoned(t, 1)
			b.start(config...)
			defer b.close()
			b.until("the task fails", func() bool { return b.task().State == Failed })
			if trace := b.task().Trace; !strings.Contains(trace, "cannot write a record of feed: number 2 is not liked") || len(box.causes) > 0 {
				t.Errorf("%v: %s, letters %q", config, trace, box.causes)
			}
		})
	}
}

// Each of several sinks has its own errors.* over the connector's.
func TestToleranceOfOneSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, box := poisoned(t, 3)
		b.start("errors.tolerance", "all", "sinks.s1.errors.deadletterqueue.file", "box", "sinks.s2.errors.deadletterqueue.file", "box")
		defer b.close()
		b.until("4 are stored", func() bool { return strings.Contains(b.stored(), string(connectortest.FeedOffset(4))) })
		p := connectortest.Partition(1)
		if s0, s1, s2 := box.of("s0", p), box.of("s1", p), box.of("s2", p); len(s0) != 0 || len(s1) != 1 || len(s2) != 1 {
			t.Errorf("letters %v, %v, %v", s0, s1, s2)
		}
		if box.opened != 1 {
			t.Errorf("%d queues for one file", box.opened)
		}
		if m := b.worker.Metrics()[0]; m.Skipped != 3 || m.Letters != 2 {
			t.Errorf("skipped %d, letters %d", m.Skipped, m.Letters)
		}
	})
}

// A queue that refuses a record stops the task: nothing is acknowledged without it.
func TestQueueRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, box := poisoned(t, 1)
		full := true
		box.fail = func() error {
			if full && box.opened > 0 {
				return connectors.AsPermanent(errors.New("the box is full"))
			}
			return nil
		}
		b.start(queued...)
		defer b.close()
		b.until("the task fails", func() bool { return b.task().State == Failed })
		const want = "write to the dead-letter queue: the box is full; the record was to go there because: number 2 is not liked"
		if trace := b.task().Trace; !strings.Contains(trace, want) {
			t.Error(trace)
		}
		if m := b.worker.Metrics()[0]; m.FailedLetters != 1 {
			t.Errorf("metrics %+v", m)
		}
		if stored := b.stored(); strings.Contains(stored, string(connectortest.FeedOffset(2))) {
			t.Errorf("stored %s", stored)
		}
		full = false
		if err := b.worker.Restart(t.Context(), "c", true, false); err != nil {
			t.Fatal(err)
		}
		b.until("4 are stored", func() bool { return strings.Contains(b.stored(), string(connectortest.FeedOffset(4))) })
	})
}

// The log tells of each record when it is asked to, else once a minute.
func TestToleratedIsLogged(t *testing.T) {
	for _, c := range []struct {
		config []string
		each   bool
		want   []string
	}{
		{queued, false, []string{"records that cannot be processed are put into the dead-letter queue; errors.log.enable=true logs each", "records=1 "}},
		{[]string{"errors.tolerance", "all"}, false, []string{"records that cannot be processed are left out"}},
		{slices.Concat(queued, []string{"errors.log.enable", "true"}), true, []string{"stage=TASK_PUT", `error="number 4 is not liked"`}},
		{slices.Concat(queued, []string{"errors.log.enable", "true", "errors.log.include.messages", "true"}), true, []string{"topic=feed", "order=1:4:1"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b, _ := poisoned(t, 1)
			var out lockedBuffer
			b.logger = slog.New(slog.NewTextHandler(&out, nil))
			b.targets[0].Reject = func(n int) bool { return n%2 == 0 }
			b.start(c.config...)
			defer b.close()
			b.until("4 are stored", func() bool { return strings.Contains(b.stored(), string(connectortest.FeedOffset(4))) })
			out.mu.Lock()
			text := out.String()
			out.mu.Unlock()
			n := strings.Count(text, "cannot be processed")
			if each := n == 2; each != c.each || n == 0 {
				t.Errorf("%v: %d lines:\n%s", c.config, n, text)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%v: no %s in\n%s", c.config, want, text)
				}
			}
			if logged := b.worker.Metrics()[0].Logged; (logged == 2) != c.each {
				t.Errorf("%d were logged", logged)
			}
		})
	}
}

// errors.retry.timeout ends attempts without progress.
func TestRetryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.targets[0].Fail = func() error { return errAway }
		b.feed.Extend(connectortest.Partition(1), 1)
		began := time.Now()
		b.start("errors.retry.timeout", "30000")
		defer b.close()
		b.until("the task fails", func() bool { return b.task().State == Failed })
		if took := time.Since(began); took < 30*time.Second || took > 31*time.Second {
			t.Errorf("it failed after %s", took)
		}
	})
}
