package connectors

import (
	"context"

	"github.com/freshet-io/freshet/offsets"
)

// SourceTask reads one share of a source. The runtime calls Start once, then Poll from one goroutine, Commit from
// another, and Stop at the end. After an error of Poll the task is stopped and a new instance is started from the
// durable offset, unless the error is permanent or fenced.
type SourceTask interface {
	// Start connects and positions itself at the durable offset (SourceSession.Offsets). ctx bounds Start only.
	Start(ctx context.Context, s SourceSession) error
	// Poll blocks for the next batch and returns it as soon as there is something; there is no timer between a commit and
	// here. It returns ctx.Err() when ctx ends, and (nil, nil) never. io.EOF itself means that the source has ended
	// for good (snapshot.mode=initial_only): the runtime drains the sinks and then idles. An error that wraps it is a failure.
	Poll(ctx context.Context) (*Batch, error)
	// Commit says that everything up to these positions is durable downstream and in the offset store: the source may
	// forget it (I1). It may run beside Poll. It is called with the newest positions only.
	Commit(ctx context.Context, upTo []offsets.Entry) error
	// Stop ends background work and returns when it has ended. Safe before Start and twice.
	Stop(ctx context.Context) error
}

// Reached is how far one of several sinks is.
type Reached struct {
	Sink    string // its alias
	Through Order
}

// SourceSession is what the runtime lends to a source task. Safe from any goroutine.
type SourceSession interface {
	// NewBatch waits for byte credit (I5) and returns a builder for a batch of p.
	NewBatch(ctx context.Context, p offsets.Partition) (*Builder, error)
	// Offsets returns where to resume: the lowest position of all sinks, from the store or from the sink that keeps it.
	// A partition that was never committed is absent.
	Offsets(ctx context.Context, p ...offsets.Partition) ([]offsets.Entry, error)
	// Reached returns through which order each of several sinks had p when Offsets was asked last, which answers the lowest of
	// them; none for a sink that has nothing, or for the only one.
	Reached(p offsets.Partition) []Reached
	// Anew says that the source begins p anew, and that what sinks have of it is of another history of the log: every record
	// goes to every sink, whatever its Order.
	Anew(p offsets.Partition)
	// State returns state of the source's own (OwnPartition) that Remember has stored; what is not stored is absent.
	State(ctx context.Context, p ...offsets.Partition) ([]offsets.Entry, error)
	// Remember stores such state at once, whatever is on its way to the sinks. Tasks of one connector share it.
	Remember(ctx context.Context, state ...offsets.Entry) error
	// Tolerate hands out one record that cannot be turned into one of a batch. nil: it is tolerated, and the source goes on without
	// it; it is durable in the dead-letter queue, where there is one, before a batch that Poll returns from then on is put to a
	// sink. Otherwise the error to fail with. It keeps nothing of r.
	Tolerate(ctx context.Context, r *Raw, at Stage, cause error) error
	// Drain returns when all polled work of these partitions is durable and committed; none given: of all.
	Drain(ctx context.Context, p ...offsets.Partition) error
}
