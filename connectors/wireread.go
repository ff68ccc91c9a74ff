package connectors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// WireReader turns what one WireWriter wrote back into batches. It belongs to one goroutine. After an error it only repeats
// that error, for it may have missed a definition.
//
// Every offset, length, kind and number is checked: what it accepts can be read without another check. Before that it asks for no more
// memory than a small multiple of the message.
type WireReader struct {
	streams []knownStream
	schemas []knownSchema
	known   int // bytes of their definitions
	bound   int
	at      []*knownStream    // those of the batch being read
	extents []extent          // of the nested cells
	source  offsets.Partition // the last one that was found to be canonical
	broken  error
}

// knownStream is a stream with what its records must have.
type knownStream struct {
	*Stream
	key, row, source uint32 // cells
}

// knownSchema is a schema with how many schemas it stands for, unfolded, and how deep they nest.
type knownSchema struct {
	*schemas.Schema
	size, depth int
}

// NewWireReader returns the counterpart of a new WireWriter.
func NewWireReader() *WireReader { return &WireReader{bound: wireKnown} }

// WireHead is what a message tells before it is read.
type WireHead struct {
	Source  offsets.Partition
	Records int
	Size    int // bytes that the batch is charged, without those of bodies
}

// Head reads the beginning of a message. It checks that what it tells is true of a message of this length, and changes nothing.
func (r *WireReader) Head(text []byte) (WireHead, error) {
	if r.broken != nil {
		return WireHead{}, r.broken
	}
	h, err := splitWire(text)
	if err != nil {
		return WireHead{}, fmt.Errorf("decode batch: %w", err)
	}
	d := wireDecoder{rest: h.head}
	source := offsets.Partition(d.text())
	if d.err == nil {
		d.err = r.checkPartition(source)
	}
	if d.err != nil {
		return WireHead{}, fmt.Errorf("decode batch: %w", d.err)
	}
	return WireHead{source, len(h.records) / recordSize, len(h.records) + len(h.cells) + len(h.nested) + len(h.data)}, nil
}

// Decode reads one batch, which has one reference; done runs when it has been released by all. text is not kept.
func (r *WireReader) Decode(text []byte, pool *Pool, done func(*Batch)) (*Batch, error) {
	if r.broken != nil {
		return nil, r.broken
	}
	w := NewBuilder("", pool, done)
	b := w.b
	if err := r.decode(text, b); err != nil {
		b.done = nil
		pool.put(b)
		return nil, err
	}
	return b, nil
}

// Fill reads one batch into a builder of the same partition that has no record yet, and returns what to finish it with. After an error
// the builder is to be abandoned. text is not kept.
func (r *WireReader) Fill(w *Builder, text []byte) (offsets.Offset, Order, error) {
	h, err := r.Head(text)
	switch {
	case err != nil:
		r.broken = err
	case len(w.b.Records) > 0 || len(w.b.Streams) > 0 || len(w.b.cells) > 0 || len(w.b.data) > 0:
		err = fmt.Errorf("decode batch: its builder holds records already")
	case h.Source != w.b.Source:
		err = fmt.Errorf("decode batch: it is of partition %s, not %s", h.Source, w.b.Source)
	default:
		err = r.decode(text, w.b)
	}
	if err != nil {
		return "", Order{}, err
	}
	return w.b.Offset, w.b.Through, nil
}

func (r *WireReader) decode(text []byte, b *Batch) error {
	h, err := splitWire(text)
	if err == nil {
		err = r.read(h, b)
	}
	if err != nil {
		r.broken = fmt.Errorf("decode batch: %w", err)
		return r.broken
	}
	return nil
}

// wireText is a message in its parts.
type wireText struct {
	anew                               bool
	head, records, cells, nested, data []byte
}

func splitWire(text []byte) (wireText, error) {
	if len(text) > 0 && text[0] != wireVersion {
		return wireText{}, fmt.Errorf("version %d, not %d", text[0], wireVersion)
	}
	if len(text) < wireHeader {
		return wireText{}, fmt.Errorf("a message of %d bytes, its header has %d", len(text), wireHeader)
	}
	if text[1] > 1 || text[2] != 0 || text[3] != 0 {
		return wireText{}, fmt.Errorf("flags %x in the header", text[1:4])
	}
	length := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(text[at:])) }
	head, records, cells, nested, data := length(4), length(8), length(12), length(16), length(20)
	if head%8 != 0 {
		return wireText{}, fmt.Errorf("a head of %d bytes is no multiple of 8", head)
	}
	if wireHeader+head+records*recordSize+(cells+nested)*cellSize+data != uint64(len(text)) {
		return wireText{}, fmt.Errorf("a head of %d bytes, %d records, %d+%d cells and %d bytes are not what %d bytes hold", head, records, cells, nested, data, len(text))
	}
	rest := text[wireHeader:]
	cut := func(n uint64) []byte {
		out := rest[:n:n]
		rest = rest[n:]
		return out
	}
	return wireText{
		anew: text[1] == 1,
		head: cut(head), records: cut(records * recordSize), cells: cut(cells * cellSize), nested: cut(nested * cellSize), data: cut(data),
	}, nil
}

func (r *WireReader) read(h wireText, b *Batch) error {
	if h.anew {
		r.streams, r.schemas, r.known = nil, nil, 0
	}
	d := &wireDecoder{rest: h.head, reader: r}
	b.Source, b.Offset = offsets.Partition(d.text()), offsets.Offset(d.text())
	b.ID = BatchID(d.uint())
	b.Through = d.order()
	b.Committed = d.int()
	b.Extra = nil
	for range d.count(2) {
		b.Extra = append(b.Extra, offsets.Entry{Partition: offsets.Partition(d.text()), Offset: offsets.Offset(d.text())})
	}
	if d.err == nil {
		d.err = r.checkOffsets(b)
	}
	d.definitions()
	r.at = r.at[:0]
	for range d.count(1) {
		if id := d.uint(); id < uint64(len(r.streams)) {
			r.at = append(r.at, &r.streams[id])
			b.Streams = append(b.Streams, r.streams[id].Stream)
		} else {
			d.fail("stream %d of %d", id, len(r.streams))
		}
	}
	d.bodies(b)
	d.raws(b, len(h.records)/recordSize)
	if d.err == nil && (len(d.rest) > 7 || strings.Trim(string(d.rest), "\x00") != "") {
		d.fail("%d bytes at the end of the head are no padding", len(d.rest))
	}
	if d.err != nil {
		return d.err
	}
	b.bodies += d.weight
	b.data = append(b.data, h.data...)
	if err := r.readCells(b, h); err != nil {
		return err
	}
	return r.readRecords(b, h.records)
}

// checkOffsets makes sure that what will be stored can be read again.
func (r *WireReader) checkOffsets(b *Batch) error {
	if err := r.checkPartition(b.Source); err != nil {
		return err
	}
	if err := checkOffset(b.Offset); err != nil {
		return err
	}
	for _, x := range b.Extra {
		if p, err := offsets.Canonical([]byte(x.Partition)); err != nil || p != x.Partition {
			return fmt.Errorf("partition %q is no flat JSON object in canonical form", x.Partition)
		}
		if err := checkOffset(x.Offset); err != nil {
			return err
		}
	}
	return nil
}

func (r *WireReader) checkPartition(p offsets.Partition) error {
	if p == r.source && p != "" {
		return nil
	}
	if c, err := offsets.Canonical([]byte(p)); err != nil || c != p {
		return fmt.Errorf("partition %q is no flat JSON object in canonical form", p)
	}
	r.source = p
	return nil
}

func checkOffset(o offsets.Offset) error {
	if o != "" && (o[0] != '{' || !json.Valid([]byte(o)) || !utf8.ValidString(string(o))) {
		return fmt.Errorf("offset %q is no JSON object", o)
	}
	return nil
}
