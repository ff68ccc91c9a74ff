package postgres

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/freshet-io/freshet/connectors"
)

// watch is what the source tells about itself. It is written once a batch and read from any goroutine.
type watch struct {
	logEnd, read atomic.Uint64
	xid          atomic.Uint32

	mu       sync.Mutex
	snapshot connectors.SnapshotObservation
	since    time.Time // while the snapshot runs
	lost     []connectors.LostRange
}

// lose notes that the log between two positions and the targets differ from now on.
func (w *watch) lose(from, to uint64, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost, _ = connectors.AddLost(w.lost, connectors.LostRange{
		From: pglogrepl.LSN(from).String(), To: pglogrepl.LSN(to).String(), Bytes: max(to, from) - from, Text: text, When: time.Now(),
	})
}

// reading notes that a snapshot of so many tables, of about so many rows, reads.
func (w *watch) reading(tables int, rows float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snapshot = connectors.SnapshotObservation{Running: true, Tables: tables, Remaining: tables, Rows: map[string]int64{}, Expected: int64(rows)}
	w.since = time.Now()
}

// rows notes that rows of a table were handed out, and whether it was the end of the table.
func (w *watch) rows(table string, n int64, finished bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && w.snapshot.Rows != nil {
		w.snapshot.Rows[table] += n
	}
	if finished {
		w.snapshot.Remaining--
	}
}

// ended notes the end of the snapshot.
func (w *watch) ended(completed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.snapshot.Running {
		w.snapshot.Running, w.snapshot.Completed, w.snapshot.Took = false, completed, time.Since(w.since)
	}
}

// Observe implements connectors.Observed.
func (t *source) Observe() connectors.Observation {
	o := connectors.Observation{Kind: "postgres", Server: t.cfg.naming.Prefix, LogEnd: t.watch.logEnd.Load(), Sent: t.watch.logEnd.Load(), Read: t.watch.read.Load()}
	if o.Read > 0 {
		o.Position = pglogrepl.LSN(o.Read).String()
	}
	if xid := t.watch.xid.Load(); xid > 0 {
		o.LastTransaction = strconv.FormatUint(uint64(xid), 10)
	}
	t.mu.Lock()
	o.Connected, o.Held = t.wal != nil, t.confirmed
	t.mu.Unlock()
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	o.Lost = slices.Clone(t.watch.lost)
	o.Snapshot = t.watch.snapshot
	o.Snapshot.Rows = maps.Clone(o.Snapshot.Rows)
	if o.Snapshot.Running {
		o.Snapshot.Took = time.Since(t.watch.since)
	}
	return o
}
