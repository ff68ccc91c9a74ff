package connectors

import "time"

// Observed is implemented by sources that can tell more about themselves than their batches do.
type Observed interface {
	// Observe asks nobody and does not wait. Safe from any goroutine.
	Observe() Observation
}

// Observation is what a database source is doing. The names beside the fields are those of Debezium's metrics (reference §7.9).
type Observation struct {
	Kind            string // of database, as Debezium names its connectors: "postgres"
	Server          string // topic.prefix
	Connected       bool   // Connected: the log is being read
	LogEnd          uint64 // how far the server's log has come, in bytes, as far as the server has told; 0: not known
	Sent            uint64 // how far the server has sent it; 0: not known
	Read            uint64 // how far it was read
	Held            uint64 // from here on the server keeps its log for this source
	LastTransaction string // LastTransactionId
	Position        string // Read, as the server writes it
	Snapshot        SnapshotObservation
	Lost            []LostRange // found since the source was made, the newest last, at most MaxLost
}

// LostRange is a part of the source's log that the targets and the source do not agree about: the source went on without delivering its
// changes, or the server no longer has changes that were delivered.
type LostRange struct {
	From, To string    // positions, as the server writes them; To is that of the last commit where whole commits are missing
	Bytes    uint64    // between them
	Text     string    // what happened
	When     time.Time // when it was found
}

// MaxLost bounds how many ranges are remembered.
const MaxLost = 32

// AddLost adds r unless the range is there already, and tells whether it did. The oldest goes when there are more than MaxLost.
func AddLost(list []LostRange, r LostRange) ([]LostRange, bool) {
	for _, l := range list {
		if l.From == r.From && l.To == r.To {
			return list, false
		}
	}
	list = append(list, r)
	return list[max(0, len(list)-MaxLost):], true
}

// SnapshotObservation is how far a snapshot is.
type SnapshotObservation struct {
	Running, Completed bool
	Tables, Remaining  int              // TotalTableCount, RemainingTableCount
	Rows               map[string]int64 // RowsScanned, by table
	Expected           int64            // rows of all tables, as the server estimates; 0: not known
	Took               time.Duration    // SnapshotDurationInSeconds
}
