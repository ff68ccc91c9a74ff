package connectors

import (
	"encoding/binary"
	"math"

	"github.com/freshet-io/freshet/offsets"
)

// Builder fills a batch; it is the only way to do so. It belongs to one goroutine.
//
// A record is Begin, then its rows in any order (Key, Before, After, Source, Headers, each followed by its cells), then
// Commit. Discard drops the record begun last. Finish hands out the batch.
type Builder struct {
	b      *Batch
	rec    Record
	row    *Row
	cells0 int // lengths when the record was begun, for Discard
	data0  int
	nest0  int
	stack  []Cell // elements of lists being built
	marks  []mark
	sealed func(*Batch)
}

type mark struct {
	kind  Kind
	start int
}

// NewBuilder returns a builder for a batch of partition p. done runs when the finished batch has been released by all.
// The batch has one reference.
func NewBuilder(p offsets.Partition, pool *Pool, done func(*Batch)) *Builder {
	b := pool.get()
	b.Source = p
	b.done = func(b *Batch) {
		if done != nil {
			done(b)
		}
		pool.put(b)
	}
	b.refs.Store(1)
	return &Builder{b: b}
}

// Derive returns a builder for a batch that says in another form what b says: it has b's ID, Source, Committed and Extra, and must get
// one record for each of b's. Once finished it owns the reference of b that the caller had; done runs before that is given back.
func Derive(b *Batch, pool *Pool, done func(*Batch)) *Builder {
	w := NewBuilder(b.Source, pool, func(d *Batch) {
		if d.origin == nil {
			return // abandoned
		}
		done(d)
		d.origin.Release()
	})
	w.b.ID, w.b.Committed, w.b.Extra, w.b.origin = b.ID, b.Committed, b.Extra, b
	return w
}

// OnFinish sets what Finish calls with the batch before it hands it out; the runtime charges its size there (I5).
func (w *Builder) OnFinish(f func(*Batch)) { w.sealed = f }

// Stream returns the index of s in the batch, adding it when needed.
func (w *Builder) Stream(s *Stream) uint32 {
	for i := len(w.b.Streams) - 1; i >= 0; i-- {
		if w.b.Streams[i] == s {
			return uint32(i)
		}
	}
	w.b.Streams = append(w.b.Streams, s)
	return uint32(len(w.b.Streams) - 1)
}

// Begin starts a record of the stream (an index from Stream).
func (w *Builder) Begin(stream uint32, op Op) *Record {
	w.cells0, w.data0, w.nest0 = len(w.b.cells), len(w.b.data), len(w.b.nested)
	w.rec = Record{Stream: stream, Op: op, KafkaPartition: -1}
	w.row = nil
	return &w.rec
}

// Key starts the key row of the record; the cells that follow belong to it.
func (w *Builder) Key() { w.start(&w.rec.Key) }

// Before starts the old row.
func (w *Builder) Before() { w.start(&w.rec.Before) }

// After starts the new row.
func (w *Builder) After() { w.start(&w.rec.After) }

// Source starts the per-record source fields.
func (w *Builder) Source() { w.start(&w.rec.Source) }

// Headers starts the record's own headers.
func (w *Builder) Headers() { w.start(&w.rec.Headers) }

func (w *Builder) start(r *Row) {
	r.Start, r.Count = uint32(len(w.b.cells)), 0
	w.row = r
}

// Commit appends the record to the batch.
func (w *Builder) Commit() {
	w.b.Records = append(w.b.Records, w.rec)
	w.cells0, w.data0, w.nest0 = len(w.b.cells), len(w.b.data), len(w.b.nested)
}

// Discard forgets the record begun last and its cells; after Commit there is nothing to forget.
func (w *Builder) Discard() {
	w.b.cells, w.b.data, w.b.nested = w.b.cells[:w.cells0], w.b.data[:w.data0], w.b.nested[:w.nest0]
	w.stack, w.marks, w.row = w.stack[:0], w.marks[:0], nil
}

// Detach forgets the record begun last, but not the content of its cells, which SetCell may have put elsewhere.
func (w *Builder) Detach() {
	w.b.cells = w.b.cells[:w.cells0]
	w.data0, w.nest0, w.row = len(w.b.data), len(w.b.nested), nil
}

// Body appends a materialised record (Key and Value with their schemas).
func (w *Builder) Body(stream uint32, op Op, body Body) *Record {
	w.Begin(stream, op)
	w.b.Bodies = append(w.b.Bodies, body)
	w.rec.Value = uint32(len(w.b.Bodies))
	w.Commit()
	return &w.b.Records[len(w.b.Records)-1]
}

// Weigh adds to what the batch is charged: Body cannot tell how large its values are (I5).
func (w *Builder) Weigh(n int) { w.b.bodies += n }

// Charge charges what the batch weighs so far, where Finish is too late for it (I5).
func (w *Builder) Charge() {
	if w.sealed != nil {
		w.sealed(w.b)
	}
}

// Cell appends a copy of a cell of this batch, as it is.
func (w *Builder) Cell(c Cell) {
	if len(w.marks) > 0 {
		w.stack = append(w.stack, c)
		return
	}
	w.b.cells = append(w.b.cells, c)
	w.row.Count++
}

// Null appends NULL.
func (w *Builder) Null() { w.Cell(Cell{Kind: KindNull}) }

// Absent appends a column that the row image does not have.
func (w *Builder) Absent() { w.Cell(Cell{Kind: KindAbsent}) }

// Unavailable appends a value that was not sent.
func (w *Builder) Unavailable() { w.Cell(Cell{Kind: KindUnavailable}) }

// Bool appends a boolean.
func (w *Builder) Bool(v bool) {
	var word uint64
	if v {
		word = 1
	}
	w.Cell(Cell{Kind: KindBool, word: word})
}

// Int appends an integer.
func (w *Builder) Int(v int64) { w.Cell(Cell{Kind: KindInt, word: uint64(v)}) }

// Uint appends an unsigned integer.
func (w *Builder) Uint(v uint64) { w.Cell(Cell{Kind: KindUint, word: v}) }

// Float32 appends a single-precision number.
func (w *Builder) Float32(v float32) {
	w.Cell(Cell{Kind: KindFloat32, word: math.Float64bits(float64(v))})
}

// Float64 appends a double-precision number.
func (w *Builder) Float64(v float64) { w.Cell(Cell{Kind: KindFloat64, word: math.Float64bits(v)}) }

// Temporal appends a KindDate, KindTime, KindTimestamp or KindTimestampTZ value in that kind's unit.
func (w *Builder) Temporal(k Kind, v int64) { w.Cell(Cell{Kind: k, word: uint64(v)}) }

// TimeTZ appends a time of day in µs with its zone in seconds east of UTC.
func (w *Builder) TimeTZ(micros int64, offset int32) {
	w.Cell(Cell{Kind: KindTimeTZ, len: uint32(offset), word: uint64(micros)})
}

// Interval appends months, days and µs.
func (w *Builder) Interval(months, days int32, micros int64) {
	at := len(w.b.data)
	w.b.data = binary.LittleEndian.AppendUint32(w.b.data, uint32(months))
	w.b.data = binary.LittleEndian.AppendUint32(w.b.data, uint32(days))
	w.b.data = binary.LittleEndian.AppendUint64(w.b.data, uint64(micros))
	w.Cell(Cell{Kind: KindInterval, len: 16, word: uint64(at)})
}

// Text appends a value of one of the kinds that hold bytes (KindText, KindBytes, KindDecimal, KindBits), copying v.
func (w *Builder) Text(k Kind, v []byte) {
	at := len(w.b.data)
	w.b.data = append(w.b.data, v...)
	w.Cell(Cell{Kind: k, len: uint32(len(v)), word: uint64(at)})
}

// String is Text(KindText) for a string.
func (w *Builder) String(v string) {
	at := len(w.b.data)
	w.b.data = append(w.b.data, v...)
	w.Cell(Cell{Kind: KindText, len: uint32(len(v)), word: uint64(at)})
}

// Grow appends a value of a kind that holds bytes, whose n bytes the caller fills in at once.
// The slice is valid until the next call to the builder.
func (w *Builder) Grow(k Kind, n int) []byte {
	at := len(w.b.data)
	for cap(w.b.data)-at < n {
		w.b.data = append(w.b.data[:cap(w.b.data)], 0)[:at]
	}
	w.b.data = w.b.data[:at+n]
	w.Cell(Cell{Kind: k, len: uint32(n), word: uint64(at)})
	return w.b.data[at : at+n : at+n]
}

// BeginList starts a KindList, KindMap or KindPoint; the cells until EndList are its elements. Lists nest.
func (w *Builder) BeginList(k Kind) { w.marks = append(w.marks, mark{k, len(w.stack)}) }

// EndList appends the list begun last.
func (w *Builder) EndList() {
	m := w.marks[len(w.marks)-1]
	w.marks = w.marks[:len(w.marks)-1]
	at := len(w.b.nested)
	w.b.nested = append(w.b.nested, w.stack[m.start:]...)
	n := len(w.stack) - m.start
	w.stack = w.stack[:m.start]
	w.Cell(Cell{Kind: m.kind, len: uint32(n), word: uint64(at)})
}

// AbandonList drops the list begun last with its elements, for a value that turned out to be malformed.
func (w *Builder) AbandonList() {
	m := w.marks[len(w.marks)-1]
	w.marks = w.marks[:len(w.marks)-1]
	w.stack = w.stack[:m.start]
}

// Row returns a row of the record being built, for copying its cells (a key out of a row, one row for several records).
func (w *Builder) Row(r Row) []Cell { return w.b.Cells(r) }

// Bytes returns the content of a cell written before, as Batch.Bytes.
func (w *Builder) Bytes(c Cell) []byte { return w.b.Bytes(c) }

// List returns the elements of a cell written before, as Batch.List.
func (w *Builder) List(c Cell) []Cell { return w.b.List(c) }

// Record is the record begun last, until Commit; after it, the copy in the batch is the one that counts.
func (w *Builder) Record() *Record { return &w.rec }

// Records returns the records committed so far, for marking (Last, snapshot markers) before Finish.
func (w *Builder) Records() []Record { return w.b.Records }

// SetCell replaces cell i of a row written before.
func (w *Builder) SetCell(r Row, i int, c Cell) { w.b.cells[int(r.Start)+i] = c }

// Streams returns the streams of the batch so far.
func (w *Builder) Streams() []*Stream { return w.b.Streams }

// Len is the number of committed records.
func (w *Builder) Len() int { return len(w.b.Records) }

// Size is the number of bytes that the batch is charged so far.
func (w *Builder) Size() int { return w.b.Size() }

// Finish seals the batch with the offset after its last record. Without records it is a position only.
func (w *Builder) Finish(o offsets.Offset, through Order) *Batch {
	w.b.Offset, w.b.Through = o, through
	b := w.b
	w.b = nil
	if w.sealed != nil {
		w.sealed(b)
	}
	return b
}

// Abandon gives the memory back without a batch.
func (w *Builder) Abandon() {
	if w.b != nil {
		w.b.origin = nil
		w.b.Release()
		w.b = nil
	}
}
