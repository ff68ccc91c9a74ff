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
	LogEnd          uint64 // how far the server's log has come, in bytes; 0: not known
	Read            uint64 // how far it was read
	Held            uint64 // from here on the server keeps its log for this source
	LastTransaction string // LastTransactionId
	Snapshot        SnapshotObservation
}

// SnapshotObservation is how far a snapshot is.
type SnapshotObservation struct {
	Running, Completed bool
	Tables, Remaining  int              // TotalTableCount, RemainingTableCount
	Rows               map[string]int64 // RowsScanned, by table
	Took               time.Duration    // SnapshotDurationInSeconds
}
