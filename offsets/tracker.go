package offsets

import (
	"sort"
	"sync"
)

// Tracker turns acknowledgements in any order into the longest acknowledged prefix of each partition (I2).
// It holds one small entry per batch in flight, so the window of the task bounds it. Safe for concurrent use.
type Tracker struct {
	mu         sync.Mutex
	partitions map[Partition]*line
	where      map[uint64]*inflight
	dirty      map[Partition]moved // acknowledged and not yet taken
	taken      map[Partition]moved // by the last Take
}

type moved struct {
	offset Offset
	of     Partition // the partition of the batch
}

type line struct{ queue []*inflight }

type inflight struct {
	partition Partition
	offset    Offset
	extra     []Entry
	acks      int
}

// NewTracker returns an empty tracker.
func NewTracker() *Tracker {
	return &Tracker{partitions: map[Partition]*line{}, where: map[uint64]*inflight{}, dirty: map[Partition]moved{}, taken: map[Partition]moved{}}
}

// Add registers a batch before it is handed to the sinks. id is unique; acks is how many acknowledgements make it durable.
// An empty e.Offset leaves the position as it is. extra entries go together with e; there an empty Offset deletes.
func (t *Tracker) Add(id uint64, e Entry, acks int, extra ...Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.line(e.Partition)
	f := &inflight{partition: e.Partition, offset: e.Offset, acks: acks, extra: extra}
	l.queue = append(l.queue, f)
	if acks > 0 {
		t.where[id] = f
	}
	t.advance(l)
}

func (t *Tracker) line(p Partition) *line {
	l := t.partitions[p]
	if l == nil {
		l = &line{}
		t.partitions[p] = l
	}
	return l
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
		f := l.queue[n]
		if f.offset != "" {
			t.dirty[f.partition] = moved{f.offset, f.partition}
		}
		for _, x := range f.extra {
			t.dirty[x.Partition] = moved{x.Offset, f.partition}
		}
		n++
	}
	if n == 0 {
		return false
	}
	rest := copy(l.queue, l.queue[n:])
	clear(l.queue[rest:])
	l.queue = l.queue[:rest]
	return true
}

// Take returns the newest acknowledged position of every partition that moved since the last call, sorted by partition.
func (t *Tracker) Take() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirty) == 0 {
		clear(t.taken)
		return nil
	}
	out := make([]Entry, 0, len(t.dirty))
	for p, m := range t.dirty {
		out = append(out, Entry{p, m.offset})
	}
	t.dirty, t.taken = t.taken, t.dirty
	clear(t.dirty)
	sort.Slice(out, func(i, j int) bool { return out[i].Partition < out[j].Partition })
	return out
}

// Putback returns entries of the last Take that could not be saved, unless newer ones have been acknowledged or the partition
// was lost meanwhile.
func (t *Tracker) Putback(entries []Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		_, newer := t.dirty[e.Partition]
		if m, ok := t.taken[e.Partition]; ok && !newer {
			t.dirty[e.Partition] = m
		}
	}
}

// Drop forgets a partition that was lost, with the extra entries of its batches: nothing of it is committed any more.
func (t *Tracker) Drop(p Partition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.partitions, p)
	for id, f := range t.where {
		if f.partition == p {
			delete(t.where, id)
		}
	}
	for _, list := range []map[Partition]moved{t.dirty, t.taken} {
		for name, m := range list {
			if m.of == p {
				delete(list, name)
			}
		}
	}
}

// InFlight is the number of batches not yet acknowledged.
func (t *Tracker) InFlight() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.where)
}
