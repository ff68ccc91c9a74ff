package changes

import (
	"maps"
	"sync"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// SnapshotWatch is what a snapshot tells about itself. It is written once a batch and read from any goroutine.
type SnapshotWatch struct {
	mu    sync.Mutex
	found connectors.SnapshotObservation
	since time.Time // while the snapshot runs
}

// reading notes that a snapshot of so many tables, of about so many rows, reads.
func (w *SnapshotWatch) reading(tables int, rows float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = connectors.SnapshotObservation{Running: true, Tables: tables, Remaining: tables, Rows: map[string]int64{}, Expected: int64(rows)}
	w.since = time.Now()
}

// rows notes that rows of a table were handed out, and whether it was the end of the table.
func (w *SnapshotWatch) rows(table string, n int64, finished bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && w.found.Rows != nil {
		w.found.Rows[table] += n
	}
	if finished {
		w.found.Remaining--
	}
}

// ended notes the end of the snapshot.
func (w *SnapshotWatch) ended(completed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.found.Running {
		w.found.Running, w.found.Completed, w.found.Took = false, completed, time.Since(w.since)
	}
}

// Observe tells how far the snapshot is.
func (w *SnapshotWatch) Observe() connectors.SnapshotObservation {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.found
	out.Rows = maps.Clone(out.Rows)
	if out.Running {
		out.Took = time.Since(w.since)
	}
	return out
}
