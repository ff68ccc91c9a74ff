package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
)

// TestBudgetIsExact: whatever the order in which batches are begun, finished, abandoned, refused and released by several sinks,
// and sinks charge what they encode, the budget is what is there at every moment (I5), each batch credited once; the end gives
// all of it back to the worker.
func TestBudgetIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger(t)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"begin", "finish", "finish", "release", "release", "encode", "sent"}).Draw(t, "step") {
			case "begin":
				l.begin()
			case "finish":
				if len(l.building) > 0 {
					l.finish()
				}
			case "release":
				l.release(l.sinks[rapid.IntRange(0, len(l.sinks)-1).Draw(t, "sink")])
			case "encode":
				n := rapid.IntRange(0, 100000).Draw(t, "encoded")
				l.run.sinks[0].Charge(n)
				l.encoded = append(l.encoded, n)
			case "sent":
				if len(l.encoded) > 0 {
					l.run.sinks[0].Charge(-l.encoded[0])
					l.encoded = l.encoded[1:]
				}
			}
			l.check()
		}
		l.run.budget.close()
		for _, s := range l.sinks {
			for _, b := range s.held {
				b.Release() // late
			}
		}
		if used := l.worker.inUse(); used != 0 {
			t.Fatalf("%d bytes were not given back", used)
		}
	})
}

// ledger counts beside the budget.
type ledger struct {
	*rapid.T
	worker   *budget
	run      *instance
	session  *sourceSession
	sinks    []*holder
	building []*connectors.Builder
	reserved []int64 // of each that is being built
	encoded  []int
	sizes    map[connectors.BatchID]int64
	next     uint64 // number of the newest record
}

func newLedger(t *rapid.T) *ledger {
	l := &ledger{T: t, worker: newBudget(1<<30, nil), sizes: map[connectors.BatchID]int64{}}
	l.run = newInstance(context.Background(), "c", limits{budget: 1 << 24}, offsets.NewMemory(), l.worker, slog.New(slog.DiscardHandler))
	l.run.source = connectortest.NewFeed().NewSource()
	l.session = &sourceSession{run: l.run}
	l.sinks = make([]*holder, rapid.IntRange(1, 3).Draw(t, "sinks"))
	for i := range l.sinks {
		l.sinks[i] = &holder{}
		l.run.addSink(sinkPlan{alias: fmt.Sprint("s", i), factory: connectortest.Sinks{Target: connectortest.NewTarget()}}, l.sinks[i], false, len(l.sinks) > 1)
		if further := rapid.Uint64Range(0, 40).Draw(t, "further"); further > 0 && len(l.sinks) > 1 {
			l.run.sinks[i].has[p1] = connectors.Order{Epoch: 1, Major: further, Minor: 1} // it skips what it has: views of a batch
		}
	}
	return l
}

func (l *ledger) begin() {
	reserve := min(max(l.session.estimate.Load(), smallBatch), l.run.budget.limit/4+1)
	w, err := l.session.NewBatch(context.Background(), p1)
	if err != nil {
		l.Fatal(err)
	}
	l.building, l.reserved = append(l.building, w), append(l.reserved, reserve)
}

// finish ends the oldest batch that is being built and delivers it; one of the sinks may refuse it.
func (l *ledger) finish() {
	w := l.building[0]
	l.building, l.reserved = l.building[1:], l.reserved[1:]
	if rapid.IntRange(0, 5).Draw(l.T, "abandon") == 0 {
		w.Abandon()
		return
	}
	stream := w.Stream(connectortest.FeedStream())
	for range rapid.IntRange(0, 3).Draw(l.T, "records") {
		l.next++
		connectortest.AppendFeedRecord(w, stream, int(l.next), rapid.SampledFrom([]int{1, 5000, 40000}).Draw(l.T, "width"))
		w.Records()[w.Len()-1].Order = connectors.Order{Epoch: 1, Major: l.next, Minor: 1}
	}
	refuse := rapid.IntRange(-4, len(l.sinks)-1).Draw(l.T, "refuse")
	if refuse >= 0 {
		l.sinks[refuse].refuse = true
		defer func() { l.sinks[refuse].refuse = false }()
	}
	b := w.Finish(offsetAt(int(l.next)), connectors.Order{Epoch: 1, Major: l.next, Minor: 1})
	l.sizes[l.run.next+1] = int64(b.Size()) + batchOverhead
	if err := l.run.deliver(b); err != nil && refuse < 0 {
		l.Fatal(err)
	}
}

func (l *ledger) release(s *holder) {
	if len(s.held) == 0 {
		return
	}
	i := rapid.IntRange(0, len(s.held)-1).Draw(l.T, "held")
	s.held[i].Release()
	s.held = append(s.held[:i], s.held[i+1:]...)
}

func (l *ledger) check() {
	want := int64(0)
	for _, n := range l.reserved {
		want += n
	}
	for _, n := range l.encoded {
		want += int64(n)
	}
	for id := range unreleased(l.sinks) {
		want += l.sizes[id]
	}
	if got, all := l.run.budget.inUse(), l.worker.inUse(); got != want || all != want {
		l.Fatalf("%d bytes are charged, %d at the worker; there are %d", got, all, want)
	}
}

// unreleased is every batch that a sink holds; views of one batch count once.
func unreleased(sinks []*holder) map[connectors.BatchID]bool {
	out := map[connectors.BatchID]bool{}
	for _, s := range sinks {
		for _, b := range s.held {
			out[b.ID] = true
		}
	}
	return out
}

// holder takes batches, or refuses them.
type holder struct {
	refuse bool
	held   []*connectors.Batch
}

func (*holder) Start(context.Context, connectors.SinkSession) error { return nil }
func (*holder) Flush(context.Context) error                         { return nil }
func (*holder) Stop(context.Context) error                          { return nil }

func (s *holder) Put(_ context.Context, b *connectors.Batch) error {
	if s.refuse {
		return errAway
	}
	s.held = append(s.held, b)
	return nil
}
