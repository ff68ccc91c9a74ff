package runtime

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chance is a source of random decisions for many goroutines.
type chance struct {
	mu   sync.Mutex
	rand *rand.Rand
	off  bool // nothing bad happens any more
}

func (c *chance) of(percent int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.off && c.rand.IntN(100) < percent
}

func (c *chance) intn(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rand.IntN(n)
}

func (c *chance) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = true
}

// world is a feed, targets and a store that fails now and then, with the invariants checked at every step.
type world struct {
	chance  *chance
	feed    *connectortest.Feed
	targets []*connectortest.Target
	store   *offsets.Memory
	wrap    bool
	window  int
	letters *letterBox // nil: nothing is tolerated

	mu       sync.Mutex
	problems []string
}

func (w *world) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// Save checks I2 and I1: an offset is never ahead of any sink.
func (w *world) Save(ctx context.Context, connector string, entries []offsets.Entry) error {
	if w.chance.of(15) {
		return errors.New("the store is away")
	}
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(string(e.Offset), `{"n":%d}`, &n); err != nil {
			continue // the record of one sink
		}
		for i := range w.targets {
			if has := w.has(i, e.Partition); has < n {
				w.problem("offset %s of %s was stored, sink %d has %d", e.Offset, e.Partition, i, has)
			}
		}
	}
	err := w.store.Save(ctx, connector, entries)
	if err == nil && w.chance.of(10) {
		return errors.New("the answer of the store was lost")
	}
	return err
}

func (w *world) Load(ctx context.Context, connector string, p ...offsets.Partition) ([]offsets.Entry, error) {
	if w.chance.of(10) {
		return nil, errors.New("the store is away")
	}
	return w.store.Load(ctx, connector, p...)
}

func (w *world) Close() error { return nil }

// watched checks the last part of I1: the source is told only what is stored.
type watched struct {
	connectors.SourceTask
	world *world
}

func (s watched) Commit(ctx context.Context, upTo []offsets.Entry) error {
	for _, e := range upTo {
		stored, err := s.world.store.Load(ctx, "c", e.Partition)
		if err != nil {
			return err
		}
		if len(stored) != 1 || len(stored[0].Offset) < len(e.Offset) || len(stored[0].Offset) == len(e.Offset) && stored[0].Offset < e.Offset {
			s.world.problem("the source was told %v, stored is %v", e, stored)
		}
	}
	if s.world.chance.of(5) {
		return errors.New("the source is away")
	}
	return s.SourceTask.Commit(ctx, upTo)
}

type watchedSources struct {
	connectortest.Sources
	world *world
}

func (f watchedSources) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	task, err := f.Sources.NewSource(c, s)
	return watched{task, f.world}, err
}

func (w *world) worker() *Worker {
	var sinks []connectors.SinkFactory
	for i, t := range w.targets {
		s := connectortest.Sinks{Target: t, Name: fmt.Sprintf("Target%d", i)}
		if w.wrap {
			s.Wrap = connectortest.Loopback
		}
		sinks = append(sinks, s)
	}
	return NewWorker(Options{
		Catalog: NewCatalog([]connectors.SourceFactory{watchedSources{connectortest.Sources{Feed: w.feed}, w}}, sinks),
		Store:   w, CommitInterval: 100 * time.Millisecond, DeadLetters: w.deadLetters(),
	})
}

func (w *world) config() connectors.Config {
	c := connectors.Config{"connector.class": "FeedSource", "sinks": "", "max.queue.size.in.bytes": fmt.Sprint(w.window)}
	for i := range w.targets {
		c["sinks"] += fmt.Sprintf("s%d,", i)
		c[fmt.Sprintf("sinks.s%d.connector.class", i)] = fmt.Sprintf("Target%d", i)
	}
	if w.letters != nil {
		c["errors.tolerance"], c["errors.deadletterqueue.file"] = "all", "box"
	}
	return c
}

// has is how many of a partition's records a sink or the dead-letter queue has, without a gap.
func (w *world) has(sink int, p offsets.Partition) int {
	if w.letters == nil {
		return w.targets[sink].Has(p)
	}
	seen := map[int]bool{}
	for _, n := range slices.Concat(w.targets[sink].Durable(p), w.letters.of(w.alias(sink), p), w.letters.of(unread, p)) {
		seen[n] = true
	}
	n := 0
	for seen[n+1] {
		n++
	}
	return n
}

// alias is what a sink is called.
func (w *world) alias(sink int) string {
	if len(w.targets) == 1 {
		return ""
	}
	return fmt.Sprintf("s%d", sink)
}

// TestNothingIsLost plays random faults of source, sinks and store, revocations, restarts and kills, and then waits until
// everything has arrived.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		keepers := rapid.SliceOfN(rapid.Bool(), 1, 3).Draw(rt, "keepers")
		wrap := rapid.Bool().Draw(rt, "wire")
		window := rapid.SampledFrom([]int{1, 2000, 100000}).Draw(rt, "window")
		records := rapid.IntRange(1, 5).Draw(rt, "records")
		positions := rapid.SampledFrom([]int{0, 2, 3}).Draw(rt, "positions")
		width := rapid.SampledFrom([]int{1, 500}).Draw(rt, "width")
		steps := rapid.SliceOfN(rapid.IntRange(0, 10), 1, 25).Draw(rt, "steps")
		var failure string
		synctest.Test(t, func(*testing.T) {
			w := newWorld(seed, keepers)
			w.wrap, w.window = wrap, window
			w.feed.Records, w.feed.Positions, w.feed.Width = records, positions, width
			failure = w.play(steps)
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

func newWorld(seed uint64, keepers []bool) *world {
	w := &world{chance: &chance{rand: rand.New(rand.NewPCG(seed, 1))}, feed: connectortest.NewFeed(), store: offsets.NewMemory()}
	away := func() error {
		if w.chance.of(3) {
			return errors.New("away")
		}
		return nil
	}
	w.feed.Fail = away
	for _, keep := range keepers {
		target := connectortest.NewTarget()
		target.Keep, target.Fail = keep, away
		target.Schedule = func(held int) int {
			if w.chance.intn(3) > 0 {
				return -1
			}
			return w.chance.intn(held)
		}
		w.targets = append(w.targets, target)
	}
	return w
}

const partitions = 3

// play runs the steps and returns what went wrong.
func (w *world) play(steps []int) string {
	ctx := context.Background()
	worker := w.worker()
	if err := worker.Put(ctx, "c", w.config(), ""); err != nil {
		return err.Error()
	}
	for _, step := range steps {
		p := connectortest.Partition(w.chance.intn(partitions))
		switch step {
		case 0, 1, 2, 3:
			w.feed.Extend(p, 1+w.chance.intn(20))
		case 4:
			w.feed.Assign(p, false)
		case 5:
			w.feed.Assign(p, true)
		case 6:
			if err := errors.Join(worker.Stop(ctx, "c"), worker.Resume(ctx, "c")); err != nil {
				return err.Error()
			}
		case 7:
			if err := worker.Restart(ctx, "c", true, false); err != nil {
				return err.Error()
			}
		case 8: // a kill: nothing is flushed
			dead, cancel := context.WithCancel(ctx)
			cancel()
			_ = worker.Close(dead)
			worker = w.worker()
			if err := worker.Put(ctx, "c", w.config(), ""); err != nil {
				return err.Error()
			}
		case 10:
			if err := worker.Pause(ctx, "c"); err != nil {
				return err.Error()
			}
			time.Sleep(time.Duration(w.chance.intn(300)) * time.Millisecond)
			if err := worker.Resume(ctx, "c"); err != nil {
				return err.Error()
			}
		case 9:
			time.Sleep(time.Duration(w.chance.intn(500)) * time.Millisecond)
		}
		if w.chance.of(50) {
			synctest.Wait()
		}
	}
	return w.finish(worker)
}

// finish ends all faults and waits until everything is durable everywhere.
func (w *world) finish(worker *Worker) string {
	w.chance.heal()
	for n := range partitions {
		w.feed.Assign(connectortest.Partition(n), true)
	}
	w.feed.End()
	for i := 0; !worker.Idle("c"); i++ {
		time.Sleep(time.Second) // in the bubble's time
		if i > 300 {
			s, _ := worker.Status("c")
			_ = worker.Close(context.Background())
			return fmt.Sprintf("not finished: %+v", s)
		}
	}
	if err := worker.Close(context.Background()); err != nil {
		return err.Error()
	}
	if used := worker.memory.inUse(); used != 0 {
		w.problem("%d bytes were not given back", used)
	}
	for n := range partitions {
		p := connectortest.Partition(n)
		length := w.feed.Length(p)
		for i, t := range w.targets {
			durable := t.Durable(p)
			if has := w.has(i, p); has != length {
				w.problem("sink %d has %d of %d of %s", i, has, length, p)
			}
			left := w.letters.numbers(w.alias(i), p)
			for _, n := range durable {
				if left[n] {
					w.problem("record %d of %s is in sink %d and in the dead-letter queue", n, p, i)
				}
			}
			if t.Keep && len(durable)+len(left) != length {
				w.problem("sink %d keeps offsets, but got %v of %s", i, durable, p)
			}
			if t.Keep && !slices.IsSorted(durable) {
				w.problem("sink %d got %v of %s", i, durable, p)
			}
			w.problems = append(w.problems, t.Problems()...)
		}
		if c := w.feed.Committed(p); c != length {
			w.problem("the source was told %d of %d of %s", c, length, p)
		}
	}
	if len(w.problems) > 0 {
		return fmt.Sprint(w.problems)
	}
	return ""
}
