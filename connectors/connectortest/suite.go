package connectortest

import (
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest/conformance"
)

// SeedVariable names the environment variable with the seed of the schedules of faults; without it the seed is 1.
const SeedVariable = "FRESHET_CONFORMANCE_SEED"

// SourceHarness is what RunSource needs of a source.
type SourceHarness struct {
	// New empties the source and returns what makes tasks that read it.
	New func(t *testing.T) func() connectors.SourceTask
	// Write adds records with the numbers from … to to what the tasks read.
	Write func(t *testing.T, from, to int)
	// Number returns the number of a record; 0: not one of ours (a heartbeat).
	Number func(b *connectors.Batch, r *connectors.Record) int
	// Poison adds, as number n, something that cannot be turned into a record; nil: nothing is known that could not.
	Poison func(t *testing.T, n int)
	// Replays: after a resume records before the offset may come again, with the same Order.
	Replays bool
	// NoOrder: Record.Order says nothing.
	NoOrder bool
	// NoResume: the source cannot be resumed at an offset of the session.
	NoResume bool
	// Own: the source goes on behind what Commit said, also without an offset of the session (Description.OwnOffsets).
	Own bool
	// Patience bounds each wait; 0: 20 s.
	Patience time.Duration
}

// SinkHarness is what RunSink needs of a sink.
type SinkHarness struct {
	// New empties the target and returns what makes tasks that write to it.
	New func(t *testing.T) func() connectors.SinkTask
	// Fill adds records with the numbers from … to to the batch; nil: AppendFeedRecord.
	Fill func(w *connectors.Builder, from, to int)
	// Read returns the numbers that the target holds, in its order; nil: what the target holds is not looked at.
	Read func(t *testing.T) []int
	// ExactlyOnce: no number is there twice, even after batches were sent again from the sink's own position.
	ExactlyOnce bool
	// Mirror: the target has a number once, however often and from wherever it was sent again, and not once it was deleted.
	Mirror bool
	// Topics: the sink takes materialised records of the stream FeedStream.
	Topics bool
	// Poison adds, as number n, a record that the sink cannot write; nil: a few are tried that many sinks cannot.
	Poison func(w *connectors.Builder, n int)
	// Stick makes the target accept nothing until release is called; nil: this is not known how.
	Stick func(t *testing.T) (release func())
	// Patience bounds each wait; 0: 20 s.
	Patience time.Duration
	// Target tells goroutines of a target in the test's own process, which may outlive a stopped sink; nil: none.
	Target []goleak.Option
}

// RunSource checks that a source keeps the contract of connectors.SourceTask. Each check is a subtest with a fresh source.
func RunSource(t *testing.T, h SourceHarness) {
	s := conformance.Source{
		New:    func(t conformance.T) func() connectors.SourceTask { return h.New(of(t)) },
		Write:  func(t conformance.T, from, to int) { h.Write(of(t), from, to) },
		Number: h.Number, Replays: h.Replays, NoOrder: h.NoOrder, NoResume: h.NoResume, Own: h.Own, Patience: h.Patience, Seed: seed(t),
	}
	if h.Poison != nil {
		s.Poison = func(t conformance.T, n int) { h.Poison(of(t), n) }
	}
	runChecks(t, conformance.SourceChecks(s))
}

// RunSink checks that a sink keeps the contract of connectors.SinkTask. Each check is a subtest with a fresh target.
func RunSink(t *testing.T, h SinkHarness) {
	s := conformance.Sink{
		New:  func(t conformance.T) func() connectors.SinkTask { return h.New(of(t)) },
		Fill: h.Fill, ExactlyOnce: h.ExactlyOnce, Mirror: h.Mirror, Topics: h.Topics, Poison: h.Poison, Patience: h.Patience, Ignore: h.Target, Seed: seed(t),
	}
	if h.Read != nil {
		s.Read = func(t conformance.T) []int { return h.Read(of(t)) }
	}
	if h.Stick != nil {
		s.Stick = func(t conformance.T) func() { return h.Stick(of(t)) }
	}
	runChecks(t, conformance.SinkChecks(s))
}

func runChecks(t *testing.T, checks []conformance.Check) {
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) { c.Run(subtest{t}) })
	}
}

// subtest is a *testing.T as a check sees it.
type subtest struct{ *testing.T }

func of(t conformance.T) *testing.T { return t.(subtest).T }

// NotApplicable implements conformance.T.
func (s subtest) NotApplicable(format string, args ...any) {
	s.Helper()
	s.Logf("not applicable: "+format, args...)
}

func seed(t *testing.T) uint64 {
	text := os.Getenv(SeedVariable)
	if text == "" {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", SeedVariable, err)
	}
	t.Logf("seed %d", n)
	return n
}
