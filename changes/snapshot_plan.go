package changes

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
)

// PlannedTable is a table that a snapshot is to read.
type PlannedTable struct {
	ID   TableID
	Name string  // by which the record of progress knows it
	Rows float64 // the server's estimate; negative: none
	// Select is the statement of snapshot.select.statement.overrides, "" for none.
	Select string
}

// SnapshotTable is a table that is being read. T is what its connector reads it with.
type SnapshotTable[T any] struct {
	PlannedTable
	Own  T
	Key  ChunkKey   // zero: not cut by keys
	Done []KeyRange // read by an attempt before, then also what was handed out; with a key

	number, finished int // chunks; those all of whose rows were handed out

	// The rest belongs to Snapshot.
	left int       // chunks whose end has not come from a reader
	live int       // chunks with rows still to come
	held *piece[T] // its end is the end of the table, unless another chunk has rows
	rows int64
}

// SnapshotChunk is what one statement of a snapshot reads: a table or a part of one.
type SnapshotChunk[T any] struct {
	Table *SnapshotTable[T]
	Where string   // "": all rows
	Keys  KeyRange // when the table is cut by its key

	live bool // rows are still to come; belongs to Snapshot
}

// SnapshotPlan says what is to be read, in order. Readers ask it for chunks. Add, Resume and OrderBySize come first; then it is safe
// from any goroutine.
type SnapshotPlan[T any] struct {
	// Open opens a table and cuts it. One caller at a time, while the others and what is handed out go on. No table: it is gone. No chunks:
	// all of it was read before.
	Open func(ctx context.Context, t PlannedTable) (*SnapshotTable[T], []*SnapshotChunk[T], error)
	Log  *slog.Logger

	tables   []PlannedTable
	estimate float64 // rows
	resumed  bool

	reading sync.Mutex // of Open and at; taken before mu
	at      int        // next of tables

	mu     sync.Mutex
	queue  []*SnapshotChunk[T] // of the table before
	open   []*SnapshotTable[T]
	done   []string      // names of tables that were read
	before []PartialRead // read by an attempt before, of tables that are not open yet
}

// Add appends a table.
func (p *SnapshotPlan[T]) Add(t PlannedTable) {
	p.tables = append(p.tables, t)
	p.estimate += max(t.Rows, 0)
}

// Tables returns what is to be read, in order.
func (p *SnapshotPlan[T]) Tables() []PlannedTable { return p.tables }

// Rows is about how many rows there are, by the server's estimates.
func (p *SnapshotPlan[T]) Rows() float64 { return p.estimate }

// OrderBySize sorts by the estimates of rows: snapshot.tables.order.by.row.count.
func (p *SnapshotPlan[T]) OrderBySize(how string) {
	if how != "ascending" && how != "descending" {
		return
	}
	size := func(t *PlannedTable) float64 {
		if t.Select != "" { // the reference does not count what such a table gives, and takes it as the largest
			return math.Inf(1)
		}
		return t.Rows
	}
	slices.SortStableFunc(p.tables, func(a, b PlannedTable) int {
		if how == "descending" {
			return cmp.Compare(size(&b), size(&a))
		}
		return cmp.Compare(size(&a), size(&b))
	})
}

// Resume leaves out what an attempt before has read.
func (p *SnapshotPlan[T]) Resume(begun *SnapshotProgress) {
	// A table that is not captured now may miss changes when it is captured again.
	captured := func(name string) bool {
		return slices.ContainsFunc(p.tables, func(t PlannedTable) bool { return t.Name == name })
	}
	p.resumed = true
	p.done = slices.DeleteFunc(slices.Clone(begun.Tables), func(name string) bool { return !captured(name) })
	p.before = slices.DeleteFunc(slices.Clone(begun.Parts), func(r PartialRead) bool { return !captured(r.Table) })
	p.tables = slices.DeleteFunc(p.tables, func(t PlannedTable) bool {
		read := slices.Contains(p.done, t.Name)
		if read {
			p.estimate -= max(t.Rows, 0)
		}
		return read
	})
}

// ReadBefore returns what was read of a table before.
func (p *SnapshotPlan[T]) ReadBefore(name string) (out PartialRead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.before, func(r PartialRead) bool { return r.Table == name }); i >= 0 {
		out = p.before[i]
	}
	return out
}

// Next returns the next chunk, nil when there is none left.
func (p *SnapshotPlan[T]) Next(ctx context.Context) (*SnapshotChunk[T], error) {
	for {
		if c := p.dequeue(); c != nil {
			return c, nil
		}
		if more, err := p.begin(ctx); err != nil || !more {
			return nil, err
		}
	}
}

func (p *SnapshotPlan[T]) dequeue() *SnapshotChunk[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	c := p.queue[0]
	p.queue = p.queue[1:]
	return c
}

// begin fills the queue with the chunks of the next table, when nobody else has filled it; false: there is no table left.
func (p *SnapshotPlan[T]) begin(ctx context.Context) (more bool, err error) {
	p.reading.Lock()
	defer p.reading.Unlock()
	p.mu.Lock()
	filled := len(p.queue) > 0
	p.mu.Unlock()
	if filled || p.at == len(p.tables) {
		return filled, nil
	}
	table := p.tables[p.at]
	p.at++
	t, chunks, err := p.Open(ctx, table)
	if err != nil {
		return false, err
	}
	if t == nil {
		return true, nil
	}
	t.PlannedTable = table
	t.number, t.left = len(chunks), len(chunks)
	p.enqueue(t, chunks)
	if t.number == 0 {
		return true, nil
	}
	about := []any{"table", t.ID.String(), "number", p.at, "of", len(p.tables)}
	if t.number > 1 {
		about = append(about, "chunks", t.number)
	}
	p.Log.Info("reading table", about...)
	return true, nil
}

// enqueue takes up a table. Without chunks it was read before.
func (p *SnapshotPlan[T]) enqueue(t *SnapshotTable[T], chunks []*SnapshotChunk[T]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = slices.DeleteFunc(p.before, func(r PartialRead) bool { return r.Table == t.Name })
	if len(chunks) == 0 {
		p.done = append(p.done, t.Name)
		return
	}
	p.queue, p.open = chunks, append(p.open, t)
}

// finish notes that all rows of c were handed out, and tells whether that was the last chunk of its table.
func (p *SnapshotPlan[T]) finish(c *SnapshotChunk[T]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := c.Table
	if t.Key.Column != "" {
		t.Done = t.Key.Add(t.Done, c.Keys)
	}
	if t.finished++; t.finished < t.number {
		return false
	}
	p.done = append(p.done, t.Name)
	p.open = slices.DeleteFunc(p.open, func(o *SnapshotTable[T]) bool { return o == t })
	return true
}

// Progress is what was handed out to the end.
func (p *SnapshotPlan[T]) Progress() SnapshotProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := SnapshotProgress{Tables: p.done}
	for _, t := range p.open {
		if len(t.Done) > 0 {
			out.Parts = append(out.Parts, PartialRead{Table: t.Name, Column: t.Key.Column, Type: t.Key.Type, Done: t.Done})
		}
	}
	out.Parts = append(out.Parts, p.before...) // of tables that have not been begun again
	return out
}

// Chunks makes chunks of ranges of the table's key; where writes the condition of a range.
func (t *SnapshotTable[T]) Chunks(ranges []KeyRange, where func(KeyRange) string) []*SnapshotChunk[T] {
	out := make([]*SnapshotChunk[T], len(ranges))
	for i, r := range ranges {
		out[i] = &SnapshotChunk[T]{Table: t, Keys: r, Where: where(r)}
	}
	return out
}

// How tables are cut into chunks.
const (
	ChunkBytes  = 64 << 20 // of a chunk, about
	leastChunk  = 64       // no chunk is smaller than this part of ChunkBytes for the sake of more threads
	wholeChunks = 4        // up to so many chunks, one thread reads a table whole
	maxChunks   = 1000     // of a table; beyond, chunks are larger
)

// ChunkRule says into how many chunks tables are cut.
type ChunkRule struct {
	Threads    int   // snapshot.max.threads
	Multiplier int   // snapshot.max.threads.multiplier
	PerTable   bool  // no chunks inside of tables
	Bytes      int64 // of a chunk, about: ChunkBytes
}

// Chunks is into how many chunks a table of size bytes should be cut.
func (r *ChunkRule) Chunks(size int64) int {
	n := (size + r.Bytes - 1) / r.Bytes
	if r.Threads == 1 {
		if n <= wholeChunks {
			return 1
		}
	} else if r.PerTable {
		return 1
	} else {
		n = max(n, min(int64(r.Threads)*int64(r.Multiplier), size/max(r.Bytes/leastChunk, 1)))
	}
	return int(min(n, maxChunks))
}
