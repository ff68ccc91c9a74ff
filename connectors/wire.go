package connectors

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/freshet-io/freshet/offsets"
)

// A batch in bytes: a head (ids, offsets, the streams that the other side has not got yet, bodies), then records, cells,
// nested cells and data as they lie in memory, little endian. Numbers in the head are varints, texts have their length before.

const (
	wireVersion    = 1
	wireRecordSize = 80
)

// WireWriter turns batches into bytes for one WireReader; streams and schemas are sent once. It belongs to one goroutine.
type WireWriter struct {
	streams map[*Stream]uint64
	schemas schemaWriter
}

// NewWireWriter returns a writer whose reader knows nothing yet.
func NewWireWriter() *WireWriter { return &WireWriter{streams: map[*Stream]uint64{}} }

// Append appends the batch to dst. It fails for a body or constant that holds what no schemas.Value may.
func (w *WireWriter) Append(dst []byte, b *Batch) ([]byte, error) {
	e := &wireEncoder{out: append(dst, wireVersion), schemas: &w.schemas}
	e.uint(uint64(b.ID))
	e.text(string(b.Source))
	e.text(string(b.Offset))
	e.order(b.Through)
	e.uint(uint64(b.Committed))
	e.uint(uint64(len(b.Extra)))
	for _, x := range b.Extra {
		e.text(string(x.Partition))
		e.text(string(x.Offset))
	}
	e.uint(uint64(len(b.Streams)))
	for _, s := range b.Streams {
		id, known := w.streams[s]
		if !known {
			id = uint64(len(w.streams))
			w.streams[s] = id
		}
		e.uint(id)
		if !known {
			e.stream(s)
		}
	}
	e.uint(uint64(len(b.Bodies)))
	for _, body := range b.Bodies {
		e.typed(body.Key)
		e.typed(body.Value)
	}
	if e.err != nil {
		return dst, fmt.Errorf("encode batch of %s: %w", b.Source, e.err)
	}
	for _, n := range []int{len(b.Records), len(b.cells), len(b.nested), len(b.data)} {
		e.uint(uint64(n))
	}
	out := e.out
	for i := range b.Records {
		out = appendRecord(out, &b.Records[i])
	}
	out = appendCells(out, b.cells)
	out = appendCells(out, b.nested)
	return append(out, b.data...), nil
}

func appendRecord(out []byte, r *Record) []byte {
	le := binary.LittleEndian
	out = le.AppendUint32(out, r.Stream)
	out = le.AppendUint32(out, r.Value)
	last := byte(0)
	if r.Last {
		last = 1
	}
	out = append(out, byte(r.Op), last, 0, 0)
	out = le.AppendUint32(out, uint32(r.KafkaPartition))
	for _, row := range [...]Row{r.Key, r.Before, r.After, r.Source, r.Headers} {
		out = le.AppendUint32(out, row.Start)
		out = le.AppendUint32(out, row.Count)
	}
	out = le.AppendUint64(out, uint64(r.Timestamp))
	out = le.AppendUint32(out, r.Order.Epoch)
	out = le.AppendUint32(out, r.Order.Minor)
	return le.AppendUint64(out, r.Order.Major)
}

func appendCells(out []byte, cells []Cell) []byte {
	le := binary.LittleEndian
	for _, c := range cells {
		out = append(out, byte(c.Kind), 0, 0, 0)
		out = le.AppendUint32(out, c.len)
		out = le.AppendUint64(out, c.word)
	}
	return out
}

// WireReader turns what one WireWriter wrote back into batches. It belongs to one goroutine. After an error it only repeats
// that error, for it may have missed a stream.
type WireReader struct {
	streams []*Stream
	schemas schemaReader
	broken  error
}

// NewWireReader returns the counterpart of a new WireWriter.
func NewWireReader() *WireReader { return &WireReader{} }

// Decode reads one batch, which has one reference; done runs when it has been released by all. Every offset, length, kind and
// index is checked: what Decode accepts can be read without another check. text is not kept.
func (r *WireReader) Decode(text []byte, pool *Pool, done func(*Batch)) (*Batch, error) {
	if r.broken != nil {
		return nil, r.broken
	}
	d := &wireDecoder{rest: text, schemas: &r.schemas}
	b := pool.get()
	if err := r.decode(d, b); err != nil {
		r.broken = fmt.Errorf("decode batch: %w", err)
		return nil, r.broken
	}
	b.done = func(b *Batch) {
		if done != nil {
			done(b)
		}
		pool.put(b)
	}
	b.refs.Store(1)
	return b, nil
}

func (r *WireReader) decode(d *wireDecoder, b *Batch) error {
	if v := d.byte(); v != wireVersion {
		return fmt.Errorf("version %d, not %d", v, wireVersion)
	}
	b.ID = BatchID(d.uint())
	b.Source = offsets.Partition(d.text())
	b.Offset = offsets.Offset(d.text())
	b.Through = d.order()
	b.Committed = int64(d.uint())
	for range d.count(2) {
		b.Extra = append(b.Extra, offsets.Entry{Partition: offsets.Partition(d.text()), Offset: offsets.Offset(d.text())})
	}
	for range d.count(1) {
		id := d.uint()
		switch {
		case d.err != nil:
		case id < uint64(len(r.streams)):
			b.Streams = append(b.Streams, r.streams[id])
		case id == uint64(len(r.streams)):
			s := d.stream()
			r.streams = append(r.streams, s)
			b.Streams = append(b.Streams, s)
		default:
			d.fail("stream %d is not known", id)
		}
	}
	for range d.count(4) {
		b.Bodies = append(b.Bodies, Body{d.typed(), d.typed()})
	}
	records, cells, nested, data := d.uint(), d.uint(), d.uint(), d.uint()
	if d.err != nil {
		return d.err
	}
	const most = math.MaxUint32
	if records > most || cells > most || nested > most || data > most ||
		records*wireRecordSize+(cells+nested)*cellSize+data != uint64(len(d.rest)) {
		return fmt.Errorf("%d records, %d+%d cells and %d bytes are not what %d bytes hold", records, cells, nested, data, len(d.rest))
	}
	for range records {
		b.Records = append(b.Records, readRecord(d.take(wireRecordSize)))
	}
	b.cells = readCells(b.cells, d.take(int(cells)*cellSize))
	b.nested = readCells(b.nested, d.take(int(nested)*cellSize))
	b.data = append(b.data, d.rest...)
	return b.check()
}

func readRecord(p []byte) Record {
	le := binary.LittleEndian
	row := func(at int) Row { return Row{le.Uint32(p[at:]), le.Uint32(p[at+4:])} }
	return Record{
		Stream: le.Uint32(p), Value: le.Uint32(p[4:]), Op: Op(p[8]), Last: p[9] != 0, KafkaPartition: int32(le.Uint32(p[12:])),
		Key: row(16), Before: row(24), After: row(32), Source: row(40), Headers: row(48),
		Timestamp: int64(le.Uint64(p[56:])),
		Order:     Order{Epoch: le.Uint32(p[64:]), Minor: le.Uint32(p[68:]), Major: le.Uint64(p[72:])},
	}
}

func readCells(out []Cell, p []byte) []Cell {
	le := binary.LittleEndian
	for ; len(p) > 0; p = p[cellSize:] {
		out = append(out, Cell{Kind: Kind(p[0]), len: le.Uint32(p[4:]), word: le.Uint64(p[8:])})
	}
	return out
}

// check makes sure that nothing in the batch points outside of it.
func (b *Batch) check() error {
	// size[i] counts the cells that nested cells up to i stand for, lists unfolded: a list may only hold what lies before it,
	// and no more cells than there are, so that walking it ends.
	size := make([]uint64, len(b.nested)+1)
	for i, c := range b.nested {
		n, err := b.checkCell(c, uint64(i), size)
		if err != nil {
			return fmt.Errorf("nested cell %d: %w", i, err)
		}
		size[i+1] = size[i] + n
	}
	for i, c := range b.cells {
		if _, err := b.checkCell(c, uint64(len(b.nested)), size); err != nil {
			return fmt.Errorf("cell %d: %w", i, err)
		}
	}
	for i := range b.Records {
		if err := b.checkRecord(&b.Records[i]); err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	return nil
}

// checkCell returns how many cells c stands for; nested cells from limit on are out of its reach.
func (b *Batch) checkCell(c Cell, limit uint64, size []uint64) (uint64, error) {
	end := c.word + uint64(c.len)
	switch c.Kind {
	case KindText, KindBytes, KindDecimal, KindBits:
		if end < c.word || end > uint64(len(b.data)) {
			return 0, fmt.Errorf("bytes %d+%d of %d", c.word, c.len, len(b.data))
		}
	case KindInterval:
		if c.len != 16 || end < c.word || end > uint64(len(b.data)) {
			return 0, fmt.Errorf("interval at %d+%d of %d bytes", c.word, c.len, len(b.data))
		}
	case KindList, KindMap, KindPoint:
		if end < c.word || end > limit {
			return 0, fmt.Errorf("elements %d+%d of %d", c.word, c.len, limit)
		}
		if c.Kind == KindMap && c.len%2 != 0 || c.Kind == KindPoint && c.len != 2 {
			return 0, fmt.Errorf("%d elements in kind %d", c.len, c.Kind)
		}
		n := size[end] - size[c.word]
		if n > uint64(len(b.nested)) {
			return 0, fmt.Errorf("a list of more elements than there are")
		}
		return 1 + n, nil
	default:
		if c.Kind > KindPoint {
			return 0, fmt.Errorf("kind %d", c.Kind)
		}
	}
	return 1, nil
}

func (b *Batch) checkRecord(r *Record) error {
	switch {
	case int(r.Stream) >= len(b.Streams):
		return fmt.Errorf("stream %d of %d", r.Stream, len(b.Streams))
	case int(r.Value) > len(b.Bodies):
		return fmt.Errorf("body %d of %d", r.Value, len(b.Bodies))
	case r.Op > OpTombstone:
		return fmt.Errorf("operation %d", r.Op)
	}
	for _, row := range [...]Row{r.Key, r.Before, r.After, r.Source, r.Headers} {
		if uint64(row.Start)+uint64(row.Count) > uint64(len(b.cells)) {
			return fmt.Errorf("row %d+%d of %d cells", row.Start, row.Count, len(b.cells))
		}
	}
	s := b.Streams[r.Stream]
	columns := fieldCells(s.Fields)
	if s.Table != nil {
		columns = len(s.Table.Columns)
	}
	sourceCells := 0
	if s.Source != nil {
		for _, f := range s.Source.Fields {
			sourceCells = max(sourceCells, f.Cell+1)
		}
	}
	for _, x := range [...]struct {
		what string
		row  Row
		want int
	}{{"key", r.Key, fieldCells(s.KeyFields)}, {"before", r.Before, columns}, {"after", r.After, columns}, {"source", r.Source, sourceCells}} {
		if !x.row.Absent() && int(x.row.Count) < x.want {
			return fmt.Errorf("%s has %d cells, its stream needs %d", x.what, x.row.Count, x.want)
		}
	}
	headers := b.Cells(r.Headers)
	if len(headers)%2 != 0 {
		return fmt.Errorf("%d header cells", len(headers))
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i].Kind != KindText {
			return fmt.Errorf("header name of kind %d", headers[i].Kind)
		}
	}
	return nil
}

// fieldCells is how many cells a row needs for these fields.
func fieldCells(fields []Field) int {
	n := 0
	for i := range fields {
		n = max(n, fields[i].Cell+1)
	}
	return n
}
