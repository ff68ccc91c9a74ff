package mysql

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// watch is what the source tells about itself. It is written once a batch and read from any goroutine.
type watch struct {
	snapshot changes.SnapshotWatch
	read     atomic.Uint64 // file number and position, as in the order

	mu   sync.Mutex
	file string
	pos  uint64
	last string // GTID
}

// passed notes the position of a batch.
func (w *watch) passed(p *position, last string) {
	w.read.Store(order(0, p.file, p.pos, 0).Major)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.file, w.pos = p.file, p.pos
	if last != "" {
		w.last = last
	}
}

// Observe implements connectors.Observed.
func (t *source) Observe() connectors.Observation {
	o := connectors.Observation{Kind: t.cfg.flavor.String(), Server: t.cfg.naming.Prefix, Read: t.watch.read.Load()}
	t.mu.Lock()
	o.Connected = t.binlog != nil
	t.mu.Unlock()
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	if t.watch.file != "" {
		o.Position = t.watch.file + ":" + strconv.FormatUint(t.watch.pos, 10)
	}
	o.LastTransaction = t.watch.last
	o.Snapshot = t.watch.snapshot.Observe()
	return o
}
