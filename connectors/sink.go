package connectors

import (
	"context"

	"github.com/freshet-io/freshet/offsets"
)

// SinkTask writes batches to one target. Put, Flush and Stop are called from one goroutine at a time, in that sense the
// sink needs no lock of its own for them.
type SinkTask interface {
	// Start connects. ctx bounds Start only.
	Start(ctx context.Context, s SinkSession) error
	// Put takes b over, in order; it blocks to push back. An error means that nothing of b was taken. The sink acknowledges b
	// with SinkSession.Ack when it is durable and calls b.Release when it needs its memory no more; both exactly once,
	// in any order. A batch without records is a position: it is acknowledged after everything before it.
	// After Put the sink retries its server in place, for only it knows what succeeded.
	Put(ctx context.Context, b *Batch) error
	// Flush returns when everything taken so far is durable and acknowledged.
	Flush(ctx context.Context) error
	// Stop ends background work; what was taken and not acknowledged is dropped and released. Safe before Start and twice.
	Stop(ctx context.Context) error
}

// SinkSession is what the runtime lends to a sink task. Safe from any goroutine, also inside Put.
type SinkSession interface {
	// Ack says that the batch is durable.
	Ack(id BatchID)
	// Reject hands out one record that cannot be written. nil: it is tolerated, and the sink goes on without it; otherwise the error to
	// fail with. It comes before the acknowledgement of b: then the record is durable in the dead-letter queue, where there is one,
	// before the offset is stored. AtStage says that the cause is not the sink's own.
	Reject(ctx context.Context, b *Batch, record int, cause error) error
	// Settle returns when all that was rejected is durable in the dead-letter queue. A sink that stores positions itself calls it before
	// one behind a rejected record can become durable (I1).
	Settle(ctx context.Context) error
	// Fail ends this instance; the runtime starts a new one from the durable offset, unless the class forbids it.
	Fail(err error)
	// Retrying says why something that was taken is tried again, at each attempt but perhaps the first one; operators hear of it until
	// the next Ack. The error tells where, and what to do.
	Retrying(err error)
	// Charge adds (or with a negative n returns) bytes of encoded and not yet sent data to the task's budget (I5).
	Charge(n int)
}

// Claimant is implemented by a sink that fences earlier owners. A sink with a Settings.Claim goes on where that one stopped, and is
// fenced when somebody has taken over since: a task that was stopped for a while must not take the work back (I6).
type Claimant interface {
	// Claim returns what the sink holds, or held: of any form, "" when it never got hold of its target. Called after Stop, and where the
	// sink has a process of its own, which may be killed, also after Start and Progress.
	Claim() string
}

// ClaimKeeper is implemented by the session of a sink that may be killed before it is asked for its claim.
type ClaimKeeper interface {
	// KeepClaim says what Claim returns from now on, before the sink does anything under it. It returns when the next task will know of
	// it, or this one is being stopped.
	KeepClaim(ctx context.Context, claim string)
}

// Progress is how far a sink is in one source partition.
type Progress struct {
	Partition offsets.Partition
	Offset    offsets.Offset
	Through   Order
}

// OffsetKeeper is implemented by a sink that stores b.Offset and b.Through with the data, atomically. Its answer overrides
// the runtime's offset store, which then holds a copy.
type OffsetKeeper interface {
	// Progress takes the partitions over from any earlier owner (a stale one is fenced from now on; see Claimant) and returns what is
	// stored for them; all of the connector's when none is given. Called after Start and before the first Put.
	Progress(ctx context.Context, p ...offsets.Partition) ([]Progress, error)
	// SetProgress overwrites (empty Offset: deletes) stored positions, while no task runs.
	SetProgress(ctx context.Context, p []Progress) error
}
