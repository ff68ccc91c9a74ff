package offsets

import "sync"

// Tracker turns acknowledgements in any order into the longest acknowledged prefix of each partition (I2).
// It holds one small entry per batch in flight, so the window of the task bounds it. Safe for concurrent use.
type Tracker struct {
	mu         sync.Mutex
	partitions map[Partition]*line
	where      map[uint64]*inflight
	dirty      map[Partition]Offset
}

type line struct{ queue []*inflight }

type inflight struct {
	partition Partition
	offset    Offset
	acks      int
}

// NewTracker returns an empty tracker.
func NewTracker() *Tracker {
	return &Tracker{partitions: map[Partition]*line{}, where: map[uint64]*inflight{}, dirty: map[Partition]Offset{}}
}

// Add registers a batch before it is handed to the sinks. id is unique; acks is how many acknowledgements make it durable.
func (t *Tracker) Add(id uint64, e Entry, acks int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.partitions[e.Partition]
	if l == nil {
		l = &line{}
		t.partitions[e.Partition] = l
	}
	f := &inflight{partition: e.Partition, offset: e.Offset, acks: acks}
	l.queue = append(l.queue, f)
	t.where[id] = f
	t.advance(l)
}

// Ack counts one acknowledgement of a batch and reports whether some partition's prefix grew.
// Unknown ids (a lost partition, a second acknowledgement too many) are ignored.
func (t *Tracker) Ack(id uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.where[id]
	if f == nil {
		return false
	}
	f.acks--
	if f.acks > 0 {
		return false
	}
	delete(t.where, id)
	l := t.partitions[f.partition]
	return l != nil && t.advance(l)
}

func (t *Tracker) advance(l *line) bool {
	n := 0
	for n < len(l.queue) && l.queue[n].acks <= 0 {
		if o := l.queue[n].offset; o != "" {
			t.dirty[l.queue[n].partition] = o
		}
		n++
	}
	l.queue = append(l.queue[:0], l.queue[n:]...)
	return n > 0
}

// Take returns the newest acknowledged position of every partition that moved since the last call.
func (t *Tracker) Take() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirty) == 0 {
		return nil
	}
	out := make([]Entry, 0, len(t.dirty))
	for p, o := range t.dirty {
		out = append(out, Entry{p, o})
	}
	clear(t.dirty)
	return out
}

// Putback returns entries that could not be saved, unless newer ones have been acknowledged meanwhile.
func (t *Tracker) Putback(entries []Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		if _, newer := t.dirty[e.Partition]; !newer {
			t.dirty[e.Partition] = e.Offset
		}
	}
}

// Drop forgets a partition that was lost: what is in flight for it is never committed.
func (t *Tracker) Drop(p Partition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.dirty, p)
	delete(t.partitions, p)
	for id, f := range t.where {
		if f.partition == p {
			delete(t.where, id)
		}
	}
}

// InFlight is the number of batches not yet acknowledged.
func (t *Tracker) InFlight() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.where)
}
