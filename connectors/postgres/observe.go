package postgres

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// watch is what the source tells about itself. It is written once a batch and read from any goroutine.
type watch struct {
	logEnd, read atomic.Uint64
	xid          atomic.Uint32

	snapshot changes.SnapshotWatch

	mu   sync.Mutex
	lost []connectors.LostRange
}

// lose notes that the log between two positions and the targets differ from now on.
func (w *watch) lose(from, to uint64, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost, _ = connectors.AddLost(w.lost, connectors.LostRange{
		From: pglogrepl.LSN(from).String(), To: pglogrepl.LSN(to).String(), Bytes: max(to, from) - from, Text: text, When: time.Now(),
	})
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
	o.Snapshot = t.watch.snapshot.Observe()
	return o
}
