package connectors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/freshet-io/freshet/schemas"
)

// A batch in bytes (docs/plugin-protocol.md): a header of fixed size, a head of numbers and texts of any length, then records, cells,
// nested cells and data as they lie in memory, little endian.

const (
	wireVersion = 1
	wireHeader  = 24

	// wireKnown bounds in bytes the definitions of streams and schemas that a connection has at a time.
	wireKnown = 32 << 20
)

// WireWriter turns batches into bytes for one WireReader; streams and schemas are sent once. It belongs to one goroutine.
// Every message that it makes must reach the reader, in order.
type WireWriter struct {
	// Bare leaves raw records out: whoever keeps the batch until it is acknowledged has them, and a sink needs none.
	Bare bool

	streams map[*Stream]uint64
	schemas map[*schemas.Schema]uint64 // from 1
	known   int                        // bytes of their definitions
	bound   int
	anew    bool // the reader has to forget what it knows
	e       wireEncoder
	fresh   struct { // definitions for the batch at hand
		schemas, streams   wireEncoder
		nSchemas, nStreams uint64
	}
}

// NewWireWriter returns a writer whose reader knows nothing yet.
func NewWireWriter() *WireWriter {
	return &WireWriter{streams: map[*Stream]uint64{}, schemas: map[*schemas.Schema]uint64{}, bound: wireKnown}
}

// Append appends the batch to dst. It fails for a body or constant that holds what no schemas.Value may, and for a batch that is larger
// than a message can be; the writer can go on after that.
func (w *WireWriter) Append(dst []byte, b *Batch) ([]byte, error) {
	front, data, err := w.parts(dst, b, len(b.data))
	if err != nil {
		return dst, err
	}
	return append(front, data...), nil
}

// Parts is Append in two parts, for a sender that can gather them: front, appended to dst, and after it data, a view of the batch that
// is valid until Release.
func (w *WireWriter) Parts(dst []byte, b *Batch) (front, data []byte, err error) {
	return w.parts(dst, b, 0)
}

func (w *WireWriter) parts(dst []byte, b *Batch, room int) (front, data []byte, err error) {
	e := &w.e
	e.out, e.err = append(dst, make([]byte, wireHeader)...), w.define(b)
	e.head(w, b)
	for (len(e.out)-len(dst))%8 != 0 {
		e.out = append(e.out, 0)
	}
	lengths := [...]int{len(e.out) - len(dst) - wireHeader, len(b.Records), len(b.cells), len(b.nested), len(b.data)}
	header := e.out[len(dst):]
	header[0] = wireVersion
	if w.anew {
		header[1] = 1
	}
	for i, n := range lengths {
		if uint64(n) > math.MaxUint32 {
			e.fail(errors.New("it is too large for one message"))
		}
		binary.LittleEndian.PutUint32(header[4+4*i:], uint32(n))
	}
	out := e.out
	e.out = nil
	if e.err != nil {
		w.forget() // what this batch has defined does not reach the reader
		return dst, nil, fmt.Errorf("encode batch of %s: %w", b.Source, e.err)
	}
	w.anew = false
	out = slices.Grow(out, len(b.Records)*recordSize+(len(b.cells)+len(b.nested))*cellSize+room)
	out = appendRecords(out, b.Records)
	out = appendCells(out, b.cells)
	return appendCells(out, b.nested), b.data, nil
}

func (w *WireWriter) forget() {
	clear(w.streams)
	clear(w.schemas)
	w.known, w.anew = 0, true
}

// define writes the definitions that b needs and the reader has not got.
func (w *WireWriter) define(b *Batch) error {
	err := w.definitions(b)
	if err == nil && w.known > w.bound {
		w.forget()
		err = w.definitions(b)
	}
	if err == nil && w.known > w.bound {
		err = fmt.Errorf("the definitions of its streams take %d bytes, more than %d", w.known, w.bound)
	}
	return err
}

func (w *WireWriter) definitions(b *Batch) error {
	f := &w.fresh
	f.schemas.out, f.streams.out, f.nSchemas, f.nStreams = f.schemas.out[:0], f.streams.out[:0], 0, 0
	f.schemas.err, f.streams.err = nil, nil
	for _, s := range b.Streams {
		if _, known := w.streams[s]; known {
			continue
		}
		w.streams[s] = uint64(len(w.streams))
		f.nStreams++
		f.streams.stream(w, s)
	}
	var last Body
	for i := range b.Bodies {
		body := &b.Bodies[i]
		if i == 0 || body.Key.Schema != last.Key.Schema {
			w.schema(body.Key.Schema, 0)
		}
		if i == 0 || body.Value.Schema != last.Value.Schema {
			w.schema(body.Value.Schema, 0)
		}
		last = *body
	}
	w.known += len(f.schemas.out) + len(f.streams.out)
	return errors.Join(f.schemas.err, f.streams.err)
}

// schema returns the number of s, defining it and what it refers to where the reader does not know them; 0 is nil.
func (w *WireWriter) schema(s *schemas.Schema, depth int) uint64 {
	if s == nil {
		return 0
	}
	if id, known := w.schemas[s]; known {
		return id
	}
	e := &w.fresh.schemas
	if depth >= wireDepth {
		e.fail(fmt.Errorf("a schema nested deeper than %d", wireDepth))
	}
	if e.err != nil {
		return 0
	}
	for i := range s.Fields {
		w.schema(s.Fields[i].Schema, depth+1)
	}
	w.schema(s.Key, depth+1)
	w.schema(s.Elem, depth+1)
	e.schema(w, s)
	w.fresh.nSchemas++
	id := uint64(len(w.schemas)) + 1
	w.schemas[s] = id
	return id
}

// head writes what comes before the padding.
func (e *wireEncoder) head(w *WireWriter, b *Batch) {
	e.text(string(b.Source))
	e.text(string(b.Offset))
	e.uint(uint64(b.ID))
	e.order(b.Through)
	e.int(b.Committed)
	e.uint(uint64(len(b.Extra)))
	for _, x := range b.Extra {
		e.text(string(x.Partition))
		e.text(string(x.Offset))
	}
	e.uint(w.fresh.nSchemas)
	e.out = append(e.out, w.fresh.schemas.out...)
	e.uint(w.fresh.nStreams)
	e.out = append(e.out, w.fresh.streams.out...)
	e.uint(uint64(len(b.Streams)))
	for _, s := range b.Streams {
		e.uint(w.streams[s])
	}
	e.bodies(w, b.Bodies)
	if w.Bare {
		e.uint(0)
	} else {
		e.raws(b.Origin().raws)
	}
}

func (e *wireEncoder) bodies(w *WireWriter, list []Body) {
	e.uint(uint64(len(list)))
	var last Body
	var key, value uint64
	for i := range list {
		b := &list[i]
		if i == 0 || b.Key.Schema != last.Key.Schema {
			key = w.schemas[b.Key.Schema]
		}
		if i == 0 || b.Value.Schema != last.Value.Schema {
			value = w.schemas[b.Value.Schema]
		}
		last = *b
		e.uint(key)
		e.value(b.Key.Value)
		e.uint(value)
		e.value(b.Value.Value)
	}
}

// raws writes one entry per record up to the last one that is known.
func (e *wireEncoder) raws(list []Raw) {
	for len(list) > 0 && list[len(list)-1].Topic == "" {
		list = list[:len(list)-1]
	}
	e.uint(uint64(len(list)))
	for i := range list {
		r := &list[i]
		e.text(r.Topic)
		if r.Topic == "" {
			continue
		}
		e.int(int64(r.Partition))
		e.int(r.Offset)
		e.int(r.Timestamp)
		e.nullable(r.Key)
		e.nullable(r.Value)
		e.uint(uint64(len(r.Headers)))
		for _, h := range r.Headers {
			e.bytes(h.Key)
			e.nullable(h.Value)
		}
	}
}

func appendRecords(out []byte, records []Record) []byte {
	le := binary.LittleEndian
	at := len(out)
	out = out[:at+len(records)*recordSize]
	for i := range records {
		r := &records[i]
		p := (*[recordSize]byte)(out[at+i*recordSize:])
		last := uint32(0)
		if r.Last {
			last = 1 << 8
		}
		le.PutUint32(p[0:], r.Stream)
		le.PutUint32(p[4:], r.Value)
		le.PutUint32(p[8:], uint32(r.Op)|last)
		le.PutUint32(p[12:], uint32(r.KafkaPartition))
		putRow(p[16:24], r.Key)
		putRow(p[24:32], r.Before)
		putRow(p[32:40], r.After)
		putRow(p[40:48], r.Source)
		putRow(p[48:56], r.Headers)
		le.PutUint64(p[56:], uint64(r.Timestamp))
		le.PutUint32(p[64:], r.Order.Epoch)
		le.PutUint32(p[68:], r.Order.Minor)
		le.PutUint64(p[72:], r.Order.Major)
	}
	return out
}

func putRow(p []byte, r Row) {
	binary.LittleEndian.PutUint32(p, r.Start)
	binary.LittleEndian.PutUint32(p[4:], r.Count)
}

func appendCells(out []byte, cells []Cell) []byte {
	at := len(out)
	out = out[:at+len(cells)*cellSize]
	for i := range cells {
		c := &cells[i]
		p := (*[cellSize]byte)(out[at+i*cellSize:])
		binary.LittleEndian.PutUint64(p[0:], uint64(c.Kind)|uint64(c.len)<<32)
		binary.LittleEndian.PutUint64(p[8:], c.word)
	}
	return out
}
