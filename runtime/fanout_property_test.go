package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
)

// TestFanOutAgainstModel plays several sinks that acknowledge in any order, hang, and end with the instance at any moment, over
// a log as a database has it: a snapshot whose rows share one order, groups of records that an offset cannot split, positions
// without records. At every write the stored records are compared with what the sinks have, and at the end every sink has
// everything: one that keeps offsets nothing twice, but for snapshot rows when the snapshot began again.
func TestFanOutAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFan(rt)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"read", "read", "read", "ack", "ack", "ack", "ack", "ack", "commit", "commit", "drop", "crash"}).Draw(rt, "step") {
			case "read":
				f.read()
			case "ack":
				s := f.sinks[rapid.IntRange(0, len(f.sinks)-1).Draw(rt, "sink")]
				if len(s.held) > 0 && !s.hung {
					s.ack(rapid.IntRange(0, len(s.held)-1).Draw(rt, "held"))
				}
			case "commit":
				f.away = rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(rt, "away")
				if err := f.run.commit(context.Background()); err != nil && !errors.Is(err, errAway) {
					rt.Fatal(err)
				}
				f.away = 0
			case "drop":
				f.drop(f.sinks[rapid.IntRange(0, len(f.sinks)-1).Draw(rt, "sink")])
			case "crash":
				f.start()
			}
		}
		f.finish()
	})
}

// entry is one record of the log, and the offset behind it: "" inside a group.
type entry struct {
	order  connectors.Order
	offset offsets.Offset
}

type fan struct {
	*rapid.T
	log      []entry
	snapshot int // leading rows of the snapshot
	sinks    []*fanSink
	store    *offsets.Memory
	away     int // writes until the store fails; 0: it does not

	run  *instance
	at   int // what the source reads next
	idle int // positions without records
}

func newFan(t *rapid.T) *fan {
	f := &fan{T: t, store: offsets.NewMemory(), snapshot: rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, "snapshot")}
	for n := range f.snapshot {
		f.log = append(f.log, entry{connectors.Order{Epoch: 1, Major: 5}, `{"snapshot":true}`})
		if n == f.snapshot-1 {
			f.log[n].offset = offsetAt(f.snapshot)
		}
	}
	for major := uint64(6); len(f.log) < f.snapshot+25; major++ {
		size := rapid.IntRange(1, 3).Draw(t, "group")
		for minor := range size {
			e := entry{order: connectors.Order{Epoch: 1, Major: major, Minor: uint32(minor + 1)}}
			if minor == size-1 {
				e.offset = offsetAt(len(f.log) + 1)
			}
			f.log = append(f.log, e)
		}
	}
	for i := range rapid.IntRange(2, 4).Draw(t, "sinks") {
		f.sinks = append(f.sinks, &fanSink{fan: f, alias: fmt.Sprint("s", i), keeps: rapid.Bool().Draw(t, "keeps"), seen: make([]int, len(f.log))})
	}
	f.start()
	return f
}

func offsetAt(n int) offsets.Offset { return offsets.Offset(fmt.Sprintf(`{"at":%d}`, n)) }

// start ends the instance, if there is one, as a crash does, and begins where the sinks and the store say.
func (f *fan) start() {
	f.run = newInstance(context.Background(), "c", limits{budget: 1 << 20}, f, newBudget(1<<20, nil), slog.New(slog.DiscardHandler))
	f.run.source = connectortest.NewFeed().NewSource()
	for _, s := range f.sinks {
		s.held = nil
		s.hung = rapid.IntRange(0, 3).Draw(f.T, "hung") == 0
		var task connectors.SinkTask = s
		if s.keeps {
			task = fanKeeper{s}
		}
		f.run.addSink(sinkPlan{alias: s.alias, factory: connectortest.Sinks{Target: &connectortest.Target{Keep: s.keeps}}}, task, false, true)
		s.run = f.run.sinks[len(f.run.sinks)-1]
	}
	if err := f.run.resumeAll(context.Background()); err != nil {
		f.Fatal(err)
	}
	at, err := f.run.resume(context.Background(), []offsets.Partition{p1})
	if err != nil {
		f.Fatal(err)
	}
	before := f.at
	f.at = 0
	if len(at) == 1 {
		f.at = f.index(at[0].Offset)
	}
	if f.at > before || f.at > f.lowest() {
		f.Fatalf("the source goes on at %d; it had read %d, and the sinks have %v", f.at, before, f.positions())
	}
}

// drop lets the others go on without s until the next start.
func (f *fan) drop(s *fanSink) {
	left := 0
	for _, other := range f.run.sinks {
		if other.out == nil {
			left++
		}
	}
	if left > 1 && s.run.out == nil {
		s.run.plan.policy = policy{stop: true, log: 1 << 40}
		f.run.drop(s.run, errAway)
	}
}

// index is the place in the log that an offset stands for; one inside the snapshot is its start.
func (f *fan) index(o offsets.Offset) int {
	if o == `{"snapshot":true}` {
		return 0
	}
	n := 0
	if _, err := fmt.Sscanf(string(o), `{"at":%d`, &n); err != nil {
		f.Fatalf("offset %s: %v", o, err)
	}
	return n
}

// read hands out a batch that may end where it does, or a position.
func (f *fan) read() {
	w := connectors.NewBuilder(p1, nil, nil)
	stream := w.Stream(connectortest.FeedStream())
	size := rapid.IntRange(0, 4).Draw(f.T, "size")
	through := connectors.Order{}
	if f.at > 0 {
		through = f.log[f.at-1].order
	}
	o := offsets.Offset("")
	for n := f.at; n < len(f.log) && (w.Len() < size || o == "" && w.Len() > 0); n++ {
		connectortest.AppendFeedRecord(w, stream, n, 1)
		w.Records()[w.Len()-1].Order = f.log[n].order
		o, through = f.log[n].offset, f.log[n].order
		if n == f.snapshot-1 {
			n = len(f.log) // a batch ends with the snapshot
		}
	}
	if w.Len() == 0 {
		if f.at < f.snapshot || f.at == 0 {
			return // no position without records before the end of the snapshot
		}
		f.idle++
		o = offsets.Offset(fmt.Sprintf(`{"at":%d,"idle":%d}`, f.at, f.idle))
	}
	f.at += w.Len()
	if err := f.run.deliver(w.Finish(o, through)); err != nil {
		f.Fatal(err)
	}
}

// Save implements offsets.Store: what is written is never ahead of a sink that it speaks of (I2).
func (f *fan) Save(ctx context.Context, connector string, entries []offsets.Entry) error {
	if f.away > 0 {
		if f.away--; f.away == 0 {
			return errAway
		}
	}
	for _, e := range entries {
		if e.Partition == p1 {
			if n := f.index(e.Offset); n > f.lowest() {
				f.Fatalf("offset %s is stored, the sinks have %v", e.Offset, f.positions())
			}
			continue
		}
		for _, s := range f.sinks {
			if sp, _ := connectors.SinkPartition(p1, s.alias); sp == e.Partition {
				p, err := connectors.ParseSinkEntry(p1, e.Offset)
				if err != nil {
					f.Fatal(err)
				}
				n := f.index(p.Offset)
				if n > s.position() {
					f.Fatalf("offset %s is stored for sink %s, which has %d", e.Offset, s.alias, s.position())
				}
				if n < s.stored && s.stored > f.snapshot { // a snapshot may begin again
					f.Fatalf("offset %s is stored for sink %s, after %d", e.Offset, s.alias, s.stored)
				}
				s.stored = n
			}
		}
	}
	return f.store.Save(ctx, connector, entries)
}

func (f *fan) Load(ctx context.Context, connector string, p ...offsets.Partition) ([]offsets.Entry, error) {
	return f.store.Load(ctx, connector, p...)
}

func (*fan) Close() error { return nil }

func (f *fan) positions() (out []int) {
	for _, s := range f.sinks {
		out = append(out, s.position())
	}
	return out
}

func (f *fan) lowest() int { return slices.Min(f.positions()) }

// finish lets everything arrive, in one more instance.
func (f *fan) finish() {
	f.start()
	for _, s := range f.sinks {
		s.hung = false
	}
	for f.at < len(f.log) {
		f.read()
	}
	for _, s := range f.sinks {
		for len(s.held) > 0 {
			s.ack(0)
		}
	}
	if err := f.run.commit(context.Background()); err != nil {
		f.Fatal(err)
	}
	stored, err := f.store.Load(context.Background(), "c", p1)
	if err != nil || len(stored) != 1 || f.index(stored[0].Offset) != len(f.log) {
		f.Fatalf("stored %v, %v", stored, err)
	}
	for _, s := range f.sinks {
		for n, times := range s.seen {
			if times == 0 {
				f.Fatalf("sink %s never got record %d", s.alias, n)
			}
			if times > 1 && s.keeps && n >= f.snapshot {
				f.Fatalf("sink %s, which keeps offsets, got record %d %d times", s.alias, n, times)
			}
		}
	}
	f.run.budget.close()
}

// fanSink holds batches until it is told to make one durable.
type fanSink struct {
	fan    *fan
	alias  string
	keeps  bool
	hung   bool // acknowledges nothing while this instance runs
	run    *sinkRun
	stored int   // its position in the store
	seen   []int // how often each record became durable
	held   []*connectors.Batch
	kept   connectors.Progress
}

func (s *fanSink) Start(context.Context, connectors.SinkSession) error { return nil }
func (s *fanSink) Flush(context.Context) error                         { return nil }

func (s *fanSink) Stop(context.Context) error {
	for _, b := range s.held {
		b.Release()
	}
	s.held = nil
	return nil
}

func (s *fanSink) Put(_ context.Context, b *connectors.Batch) error {
	s.held = append(s.held, b)
	return nil
}

// position is how many records are durable without a gap.
func (s *fanSink) position() int {
	n := 0
	for n < len(s.seen) && s.seen[n] > 0 {
		n++
	}
	return n
}

func (s *fanSink) ack(i int) {
	if s.keeps {
		i = 0 // one transaction after the other
	}
	b := s.held[i]
	for n := range b.Records {
		s.seen[b.Cells(b.Records[n].Key)[0].Int()]++
	}
	if s.keeps {
		s.kept = connectors.Progress{Partition: b.Source, Offset: b.Offset, Through: b.Through}
	}
	s.held = slices.Delete(s.held, i, i+1)
	s.run.Ack(b.ID)
	b.Release()
}

// fanKeeper keeps the offset with the data.
type fanKeeper struct{ *fanSink }

func (k fanKeeper) Progress(context.Context, ...offsets.Partition) ([]connectors.Progress, error) {
	if k.kept.Offset == "" {
		return nil, nil
	}
	return []connectors.Progress{k.kept}, nil
}

func (fanKeeper) SetProgress(context.Context, []connectors.Progress) error { return nil }
