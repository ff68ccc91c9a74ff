// Package herder keeps the desired state of connectors and makes this worker run its share of it. A Herder is all that the
// REST API talks to. It applies the records of a config log (Kafka Connect's, format included), plans tasks when it leads,
// runs on its Worker what the group assigns to it, and reports what runs to a status log.
//
// The same Herder serves a cluster, whose logs are compacted topics and whose group is Kafka's (runtime/cluster), and a
// process alone, whose logs are kept in memory (Local).
package herder

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrFenced: another worker leads, or has led meanwhile. Whoever still leads calls Lead again.
var ErrFenced = errors.New("another worker leads the cluster")

// Message is one record of a log; a nil Value deletes its key.
type Message struct {
	Key   string
	Value []byte
}

// ConfigLog is the ordered log of desired state: Kafka Connect's config topic (reference §2.2).
type ConfigLog interface {
	// Start reads what is there, then follows. apply is called for every record in order, from one goroutine of the log's; live is
	// false while history is read. Start returns when the history of that moment has been applied.
	Start(ctx context.Context, apply func(offset int64, m Message, live bool)) error
	// Append writes records in order. They are durable and applied when it returns. ErrFenced: another worker leads.
	Append(ctx context.Context, ms ...Message) error
	// Sync returns when everything that was in the log when it was called has been applied.
	Sync(ctx context.Context) error
	// Lead makes this worker the only one that may append as leader; earlier leaders are fenced where the log can (exactly-once).
	Lead(ctx context.Context) error
	Close() error
}

// StatusLog holds the newest status per key (reference §2.4).
type StatusLog interface {
	// Start reads what is there, then follows; apply is called in order per key, from one goroutine.
	Start(ctx context.Context, apply func(m Message)) error
	// Put writes later, in order per key, and tries again until it is written or a newer one of the key replaces it. It does not wait.
	Put(m Message)
	// Flush returns when all that was put before is durable and applied.
	Flush(ctx context.Context) error
	Close() error
}

// TaskID names a task; Task -1 is the connector itself: whoever has it makes its task configurations.
type TaskID struct {
	Connector string
	Task      int
}

func (id TaskID) String() string { return fmt.Sprintf("%s-%d", id.Connector, id.Task) }

// Group is the membership of this worker among those that share the work.
type Group interface {
	// Run takes part until ctx ends; then it leaves, after what runs here has been revoked. It calls m from one goroutine. An error
	// means that this worker cannot take part (access is refused). What may pass, such as a JVM worker in the group, is waited for.
	Run(ctx context.Context, m Member) error
	// Trouble says why this worker takes no part at present; nil: it does, or is about to.
	Trouble() error
	// Rejoin asks for a new round: the connectors or tasks of the config log have changed. It does not wait.
	Rejoin()
}

// Member is the herder's side of a Group.
type Member interface {
	// Offset is how far the config log has been applied; Sync catches up to at least offset.
	Offset() int64
	Sync(ctx context.Context, offset int64) error
	// Work is everything that is to run: connectors (Task -1) and tasks of connectors that are not stopped. For the leader.
	Work() []TaskID
	// Running is what this worker has now.
	Running() []TaskID
	// Revoke stops these and returns when none of them writes any more.
	Revoke(ctx context.Context, ids []TaskID)
	// Assigned starts a generation: this worker has exactly a.Tasks. What it had before and still has goes on untouched.
	Assigned(a Assignment)
	// Lost is called when the session is over, before the broker gives the work away: everything ends at once.
	Lost()
}

// Assignment is the outcome of a round.
type Assignment struct {
	Generation int32
	Leader     bool
	LeaderURL  string    // "": unknown
	Began      time.Time // when this worker joined the round; zero: not known
	Offset     int64     // of the config log that it was made from
	Tasks      []TaskID
	Owners     map[TaskID]string // for the leader: URL of the worker that has it; nil for others
	Ran        map[TaskID]bool   // for the leader: what members had when they joined; they may still be stopping it. nil for others
}

// NotLeader tells that only the leader can do what was asked; the REST API forwards it there. URL "": not known at present.
type NotLeader struct{ URL string }

func (e *NotLeader) Error() string {
	if e.URL == "" {
		return "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."
	}
	return "only the leader can do this: " + e.URL
}

// NotOwner tells that only the worker that runs the connector or task can do what was asked; the REST API forwards it there.
type NotOwner struct{ URL string }

func (e *NotOwner) Error() string { return "only the worker that runs it can do this: " + e.URL }
