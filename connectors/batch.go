// Package connectors is the contract between the engine and everything it connects: batches of records, sources, sinks,
// factories, configuration, classes of error. It knows no database, no broker and no runtime.
//
// Its nouns: a Batch holds Records of one source partition in order and the offset after the last one; a Stream is what
// the records of one table (or topic) have in common; a Builder fills a batch; SourceTask and SinkTask are what a
// connector implements; a Factory describes, validates and makes them. The package starts no goroutine.
package connectors

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// BatchID identifies a batch within one task instance; the runtime assigns it before the first Put.
type BatchID uint64

// Batch is the unit everywhere: records of one source partition, in order, and the offset after the last one.
// Once handed to the runtime it is read-only (I9), but for transforms before fan-out. Bytes and cells that it gives out
// are views, valid until Release.
type Batch struct {
	ID      BatchID
	Source  offsets.Partition
	Offset  offsets.Offset // where to resume when every record is durable; "" leaves the stored one as it is
	Through Order          // of the last record; a position without records too
	// Committed is when the oldest of its transactions was committed, in µs since 1970; 0: it is not known, or they are rows of a snapshot.
	Committed int64
	Extra     []offsets.Entry // state of the source's own, stored together with Offset
	Streams   []*Stream
	Records   []Record
	Bodies    []Body // materialised records; Record.Value is an index + 1

	raws   []Raw // as they lie in Kafka, one per record or fewer
	cells  []Cell
	nested []Cell // elements of lists, maps and points
	data   []byte
	bodies int // bytes of Bodies, as their source says
	refs   atomic.Int32
	done   func(*Batch) // returns memory; called once, when the last reference is released
	parent *Batch       // of a view made by From: the batch whose memory it shares
	origin *Batch       // of a batch made by Derive: what it was made from
}

// Op is what happened to a row.
type Op uint8

// The operations; the letters are Debezium's.
const (
	OpNone      Op = iota // a materialised record without an operation (heartbeat, file line, …)
	OpRead                // r: snapshot
	OpCreate              // c
	OpUpdate              // u
	OpDelete              // d
	OpTruncate            // t
	OpMessage             // m: logical message
	OpTombstone           // no value; follows a delete of the same key
)

const opLetters = "-rcudtm0"

// Letter is the operation as the envelope writes it.
func (o Op) Letter() byte { return opLetters[o] }

// Record is one record of a batch: a change (cells) or a materialised body. It holds no pointers.
type Record struct {
	Stream         uint32 // index into Batch.Streams
	Value          uint32 // 0: the body is the change; else Batch.Bodies[Value-1]
	Op             Op
	Last           bool  // last record of its transaction; may be missing when a batch ended before records of it that were filtered
	KafkaPartition int32 // -1: by key
	Key            Row   // one cell per Stream.Key field; absent for a table without key
	Before         Row   // one cell per Stream.Table column; absent when the old row is not known
	After          Row   // one cell per Stream.Table column
	Source         Row   // the per-record fields of Stream.Source, in order
	Headers        Row   // pairs of cells: name (KindText), value; a KindList value is a key row of the stream
	Timestamp      int64 // ns since 1970: when Freshet read the change
	Order          Order
}

// Body is a materialised record.
type Body struct{ Key, Value schemas.Typed }

// Row is a run of cells of a batch; the zero Row is absent.
type Row struct{ Start, Count uint32 }

// Absent tells that the row was not given.
func (r Row) Absent() bool { return r.Count == 0 }

// Order is a position that grows with the source's log and is the same after a restart; comparable within one partition.
type Order struct {
	Epoch uint32 // timeline (Postgres), server generation (MySQL)
	Minor uint32 // index within Major
	Major uint64 // commit position
}

// Compare returns -1, 0 or 1.
func (o Order) Compare(p Order) int {
	switch {
	case o.Epoch != p.Epoch:
		return sign(o.Epoch < p.Epoch)
	case o.Major != p.Major:
		return sign(o.Major < p.Major)
	case o.Minor != p.Minor:
		return sign(o.Minor < p.Minor)
	}
	return 0
}

// Text is the order for people: epoch, major and minor.
func (o Order) Text() string { return fmt.Sprintf("%d:%d:%d", o.Epoch, o.Major, o.Minor) }

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// Kind is what a cell holds.
type Kind uint8

// The kinds of cell.
const (
	KindAbsent      Kind = iota // not part of the row image
	KindNull                    // SQL NULL
	KindUnavailable             // exists, but was not sent (unchanged TOAST value, partial row image)
	KindBool                    // Int() is 0 or 1
	KindInt                     // Int()
	KindUint                    // Uint()
	KindFloat32                 // Float() holds the float32 exactly
	KindFloat64                 // Float()
	KindDecimal                 // Bytes: plain decimal text, "NaN", "Infinity" or "-Infinity"
	KindText                    // Bytes: UTF-8
	KindBytes                   // Bytes
	KindDate                    // Int(): days since 1970-01-01, proleptic Gregorian; MinInt64/MaxInt64: -infinity/infinity
	KindTime                    // Int(): µs since midnight; may be negative or above a day (MySQL)
	KindTimeTZ                  // Int(): µs since midnight local, Offset(): seconds east of UTC
	KindTimestamp               // Int(): µs since 1970-01-01 00:00 without zone; MinInt64/MaxInt64: -infinity/infinity
	KindTimestampTZ             // Int(): µs since 1970-01-01 00:00 UTC; MinInt64/MaxInt64 likewise
	KindInterval                // Interval()
	KindBits                    // Bytes: '0' and '1', most significant first
	KindList                    // List(): elements
	KindMap                     // List(): key, value, key, value, …
	KindPoint                   // List(): x and y as KindFloat64
)

// Cell is one value of a row: 16 bytes, no pointers; variable-length content lies in the batch.
type Cell struct {
	Kind Kind
	_    [3]byte
	len  uint32 // bytes, or elements; KindTimeTZ: offset in seconds
	word uint64 // the value, or where its bytes or elements start
}

// Int is the value of the integer, boolean and temporal kinds.
func (c Cell) Int() int64 { return int64(c.word) }

// Uint is the value of KindUint.
func (c Cell) Uint() uint64 { return c.word }

// Bool is the value of KindBool.
func (c Cell) Bool() bool { return c.word != 0 }

// Float is the value of KindFloat32 and KindFloat64.
func (c Cell) Float() float64 { return math.Float64frombits(c.word) }

// Offset is the zone of KindTimeTZ in seconds east of UTC.
func (c Cell) Offset() int32 { return int32(c.len) }

// Missing tells that the cell holds no value that a sink could write: absent or unavailable.
func (c Cell) Missing() bool { return c.Kind == KindAbsent || c.Kind == KindUnavailable }

// Cells returns the cells of a row, nil for an absent one.
func (b *Batch) Cells(r Row) []Cell { return b.cells[r.Start : r.Start+r.Count : r.Start+r.Count] }

// Bytes returns the content of a KindText, KindBytes, KindDecimal or KindBits cell.
func (b *Batch) Bytes(c Cell) []byte {
	return b.data[c.word : c.word+uint64(c.len) : c.word+uint64(c.len)]
}

// List returns the elements of a KindList, KindMap or KindPoint cell.
func (b *Batch) List(c Cell) []Cell {
	return b.nested[c.word : c.word+uint64(c.len) : c.word+uint64(c.len)]
}

// Interval returns the three parts of a KindInterval cell; they are independent of each other.
func (b *Batch) Interval(c Cell) (months, days int32, micros int64) {
	p := b.data[c.word : c.word+16]
	return int32(binary.LittleEndian.Uint32(p)), int32(binary.LittleEndian.Uint32(p[4:])), int64(binary.LittleEndian.Uint64(p[8:]))
}

// Size is what the batch is charged: bytes of its records, cells, data and bodies.
func (b *Batch) Size() int {
	return len(b.Records)*recordSize + (len(b.cells)+len(b.nested))*cellSize + len(b.data) + b.bodies
}

const (
	recordSize = 80
	cellSize   = 16
)

// Retain adds n references; the runtime holds one per sink.
func (b *Batch) Retain(n int) { b.refs.Add(int32(n)) }

// Release gives one reference back; views into the batch are invalid afterwards.
func (b *Batch) Release() {
	n := b.refs.Add(-1)
	if n > 0 {
		return
	}
	if n < 0 {
		panic("connectors: batch released more often than it was retained")
	}
	if b.parent != nil {
		b.parent.Release()
		return
	}
	poison(b)
	if b.done != nil {
		b.done(b)
	}
}

// From returns the batch without its first n records, for a sink that has those already. It shares the memory of b and
// takes over one of its references; releasing it releases that.
func (b *Batch) From(n int) *Batch {
	v := &Batch{
		ID: b.ID, Source: b.Source, Offset: b.Offset, Through: b.Through, Committed: b.Committed, Extra: b.Extra, Streams: b.Streams,
		Records: b.Records[n:], Bodies: b.Bodies, cells: b.cells, nested: b.nested, data: b.data, parent: b,
		raws: b.raws[min(n, len(b.raws)):],
	}
	v.refs.Store(1)
	return v
}

// Origin is the batch that b was made from by Derive, as the source handed it out; its records have the same indexes. Else b itself.
func (b *Batch) Origin() *Batch {
	if b.origin != nil {
		return b.origin
	}
	return b
}

// Stream is what records of one table or topic have in common. Immutable: a schema change makes a new one, and that is
// how a sink learns of it, in order.
type Stream struct {
	Topic     string
	Key       *schemas.Schema // of the record key; nil without key
	Value     *schemas.Schema // of the record value: the envelope
	Row       *schemas.Schema // of before and after
	KeyFields []Field         // how Key is made from Record.Key; Field.Cell indexes that row
	Fields    []Field         // how Row is made from Before or After; Field.Cell indexes those rows
	Table     *schemas.Table  // one column per cell of Before and After; nil: no table
	Source    *SourceBlock    // nil: no source block
	Headers   []Header        // constant headers, written after the record's own
}

// Header is a constant record header, value in UTF-8.
type Header struct{ Name, Value string }

// SourceBlock is the `source` struct of the envelope.
type SourceBlock struct {
	Schema *schemas.Schema
	Fields []SourceField // one per field of Schema
	// Transaction is the cell of Record.Source that holds the envelope's transaction block: a list of id, total order and order in the
	// table, or NULL, or missing. 0: there is none.
	Transaction int
}

// SourceField says where one field of the source block comes from.
type SourceField struct {
	Constant schemas.Value // used when Cell < 0; nil is null
	Cell     int           // index into Record.Source, -1 for a constant
	Divide   int64         // an integer cell is divided by it (floor), 0 and 1: as it is
	Multiply int64         // an integer cell is multiplied by it, 0 and 1: as it is
}

// Field says how one field of a key or row schema is made from a cell.
type Field struct {
	Name            string
	Schema          *schemas.Schema
	Cell            int           // index into the row
	View            View          // how the cell becomes a value of Schema
	Scale           int32         // digits: of a decimal, of a temporal text
	WhenNull        schemas.Value // written for NULL (and for an absent cell): nil, the schema default, or what a required field falls back to
	WhenUnavailable schemas.Value // the placeholder
	Elem            *Field        // element of ViewList
}

// View is how a cell is shown as a Connect value; resolved once per column, so that a converter switches on it.
// Package changes implements them.
type View uint8

// The views. "text" results are UTF-8.
const (
	ViewPlain           View = iota // bool, int, uint, float, text, bytes as they are
	ViewBase64                      // bytes as text
	ViewBase64URL                   // bytes as URL-safe base64 text
	ViewHex                         // bytes as lower-case hex text
	ViewDecimal                     // decimal: unscaled bytes, Field.Scale
	ViewDecimalDouble               // decimal as float64
	ViewDecimalText                 // decimal as plain text
	ViewVariableDecimal             // decimal as struct {scale, value}
	ViewDays                        // date as int32 days
	ViewTimeMillis                  // time as ms of the day; a time outside of it is as NULL
	ViewTimeMicros                  // time as µs
	ViewTimeNanos                   // time as ns
	ViewTimestampMillis             // timestamp as ms since 1970
	ViewTimestampMicros             // … µs
	ViewTimestampNanos              // … ns
	ViewIsoDate                     // date as text
	ViewIsoTime                     // time as text; likewise
	ViewIsoTimestamp                // timestamp as text
	ViewZonedTimestamp              // timestamp with zone as text in UTC
	ViewZonedTime                   // time with zone as text in UTC
	ViewDuration                    // interval as µs
	ViewIntervalText                // interval as ISO 8601 text
	ViewBits                        // bits as little-endian bytes: Field.Scale of them, 0: without trailing zero bytes
	ViewBitBool                     // bits as boolean
	ViewMapJSON                     // map as JSON text
	ViewMap                         // map
	ViewList                        // list, elements by Field.Elem
	ViewPoint                       // point as struct {x, y, wkb, srid}
	ViewTextBytes                   // text as bytes
	ViewGeometry                    // bytes of SRID (4, little-endian) and WKB as struct {wkb, srid}
	ViewGeometryPoint               // likewise, of one point, as struct {x, y, wkb, srid}
)
