package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
)

// fixedKeeper is a sink that has these positions.
type fixedKeeper struct {
	connectors.SinkTask
	has []connectors.Progress
}

func (k fixedKeeper) Progress(context.Context, ...offsets.Partition) ([]connectors.Progress, error) {
	return k.has, nil
}
func (fixedKeeper) SetProgress(context.Context, []connectors.Progress) error { return nil }

// twoSinks is an instance with sinks a and b; a keeps offsets when has is not nil. It stores the entries first.
func twoSinks(t *testing.T, has []connectors.Progress, stored ...offsets.Entry) *instance {
	t.Helper()
	store := offsets.NewMemory()
	if err := store.Save(t.Context(), "c", stored); err != nil {
		t.Fatal(err)
	}
	in := newInstance(t.Context(), "c", limits{budget: 1 << 20}, store, newBudget(1<<20, nil), slog.New(slog.DiscardHandler))
	for _, alias := range []string{"a", "b"} {
		target := connectortest.NewTarget()
		target.Keep = alias == "a" && has != nil
		task := target.NewSink("")
		if target.Keep {
			task = fixedKeeper{task, has}
		}
		in.addSink(sinkPlan{alias: alias, factory: connectortest.Sinks{Target: target}}, task, false, true)
	}
	return in
}

func ofSink(t *testing.T, sink string, p connectors.Progress) offsets.Entry {
	t.Helper()
	e, err := p.Entry(sink)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// All rows of a snapshot have one order: it does not tell which of two sinks has more of it.
func TestResumeInASnapshotThatOneSinkHasWhole(t *testing.T) {
	order := connectors.Order{Epoch: 1, Major: 5}
	a := ofSink(t, "a", connectors.Progress{Partition: p1, Offset: `{"completed":true}`, Through: order})
	b := ofSink(t, "b", connectors.Progress{Partition: p1, Offset: `{"completed":false}`, Through: order})
	for _, plain := range []offsets.Offset{`{"completed":false}`, ""} {
		in := twoSinks(t, nil, a, b, offsets.Entry{Partition: p1, Offset: plain})
		got, err := in.resume(t.Context(), []offsets.Partition{p1})
		want := fmt.Sprint([]offsets.Entry{{Partition: p1, Offset: plain}})
		if plain == "" {
			want = "[]" // nothing was ever reached by all: begin again
		}
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("plain %q: resumes at %v, %v, want %s", plain, got, err, want)
		}
	}
}

// State of the source's own lies beside the plain position, and with a sink that keeps offsets; other sinks have none of it.
func TestResumeWithStateKeptByOneOfTwoSinks(t *testing.T) {
	state := offsets.Partition(`{"feed":1,"freshet":"state"}`)
	at := connectors.Progress{Partition: p1, Offset: `{"n":3}`, Through: connectors.Order{Epoch: 1, Major: 3, Minor: 1}}
	in := twoSinks(t, []connectors.Progress{at, {Partition: state, Offset: `{"x":1}`}},
		ofSink(t, "b", at), offsets.Entry{Partition: p1, Offset: at.Offset}, offsets.Entry{Partition: state, Offset: `{"x":1}`})
	for _, asked := range [][]offsets.Partition{{state, p1}, nil} {
		got, err := in.resume(t.Context(), asked)
		if want := `[{{"feed":1,"freshet":"state"} {"x":1}} {{"feed":1} {"n":3}}]`; err != nil || fmt.Sprint(got) != want {
			t.Errorf("asked for %v: resumes at %v, %v, want %s", asked, got, err, want)
		}
	}
}

// What is sent again for another sink does not take back the position of one that is further.
func TestReplayLeavesTheFurtherSinkWhereItIs(t *testing.T) {
	order := func(n uint64) connectors.Order { return connectors.Order{Epoch: 1, Major: n, Minor: 1} }
	far := ofSink(t, "a", connectors.Progress{Partition: p1, Offset: `{"n":9}`, Through: order(9)})
	near := connectors.Progress{Partition: p1, Offset: `{"n":1}`, Through: order(1)}
	in := twoSinks(t, nil, far, ofSink(t, "b", near), offsets.Entry{Partition: p1, Offset: near.Offset})
	in.source = connectortest.NewFeed().NewSource()
	if _, err := in.resume(t.Context(), []offsets.Partition{p1}); err != nil {
		t.Fatal(err)
	}
	for _, s := range in.sinks {
		if err := s.task.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	w := connectors.NewBuilder(p1, &connectors.Pool{}, nil)
	connectortest.AppendFeedRecord(w, w.Stream(connectortest.FeedStream()), 2, 1)
	if err := in.deliver(w.Finish(`{"n":2}`, order(2))); err != nil {
		t.Fatal(err)
	}
	if err := in.commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := in.store.Load(t.Context(), "c", far.Partition, p1)
	if want := fmt.Sprint([]offsets.Entry{far, {Partition: p1, Offset: `{"n":2}`}}); err != nil || fmt.Sprint(got) != want {
		t.Errorf("stored %v, %v, want %s", got, err, want)
	}
}

// The source hears how far each sink is, and can begin anew: then nothing is left out for the one that was further.
func TestTheSourceHearsOfTheFurtherSink(t *testing.T) {
	order := func(n uint64) connectors.Order { return connectors.Order{Epoch: 1, Major: n, Minor: 1} }
	far, near := connectors.Progress{Partition: p1, Offset: `{"n":9}`, Through: order(9)}, connectors.Progress{Partition: p1, Offset: `{"n":1}`, Through: order(1)}
	for _, kept := range [][]connectors.Progress{nil, {far}} {
		in := twoSinks(t, kept, ofSink(t, "a", far), ofSink(t, "b", near), offsets.Entry{Partition: p1, Offset: near.Offset})
		session := &sourceSession{run: in}
		if got, err := session.Offsets(t.Context(), p1); err != nil || fmt.Sprint(got) != `[{{"feed":1} {"n":1}}]` {
			t.Errorf("resumes at %v, %v", got, err)
		}
		if got := fmt.Sprint(session.Reached(p1)); got != "[{a {1 1 9}} {b {1 1 1}}]" {
			t.Errorf("reached %s", got)
		}
		w := connectors.NewBuilder(p1, &connectors.Pool{}, nil)
		b := w.Finish(`{"n":2}`, order(2))
		if _, all := in.sinks[0].skips(b); !all {
			t.Error("a does not leave out what it has")
		}
		session.Anew(p1)
		if _, all := in.sinks[0].skips(b); all || len(session.Reached(p1)) > 0 {
			t.Error("a still leaves out what it has")
		}
		b.Release()
	}
	if got := (&sourceSession{run: &instance{sinks: []*sinkRun{{}}}}).Reached(p1); len(got) > 0 {
		t.Errorf("the only sink has reached %v", got)
	}
}
