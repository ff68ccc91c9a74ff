package connectors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// wireUnfolded bounds how many cells those of a batch may stand for, lists unfolded: what it takes to walk them all.
const wireUnfolded = 1 << 26

// extent is how many cells a nested cell and those before it stand for, lists unfolded, and how deep the lists in it nest.
type extent struct {
	cells uint64
	depth int
}

// How the cells of a kind are checked.
const (
	cellUnknown = iota // no kind
	cellPlain          // its content is the word
	cellBytes          // any bytes
	cellDecimal
	cellOther
)

// cellChecks has the class of each kind, and for cellPlain the largest word.
var cellChecks = [256]struct {
	class uint8
	most  uint64
}{
	KindAbsent: {cellPlain, 0}, KindNull: {cellPlain, 0}, KindUnavailable: {cellPlain, 0}, KindBool: {cellPlain, 1},
	KindInt: {cellPlain, math.MaxUint64}, KindUint: {cellPlain, math.MaxUint64}, KindFloat64: {cellPlain, math.MaxUint64},
	KindDate: {cellPlain, math.MaxUint64}, KindTime: {cellPlain, math.MaxUint64}, KindTimestamp: {cellPlain, math.MaxUint64}, KindTimestampTZ: {cellPlain, math.MaxUint64},
	KindText: {class: cellBytes}, KindBytes: {class: cellBytes}, KindDecimal: {class: cellDecimal},
	KindFloat32: {class: cellOther}, KindTimeTZ: {class: cellOther}, KindInterval: {class: cellOther}, KindBits: {class: cellOther},
	KindList: {class: cellOther}, KindMap: {class: cellOther}, KindPoint: {class: cellOther},
}

// readCells copies the cells and checks them. The data is there already.
func (r *WireReader) readCells(b *Batch, h wireText) error {
	// extents[i+1] is that of nested cell i: a list may only hold what lies before it, and no more cells than there are, so that
	// walking it ends.
	n := len(h.nested) / cellSize
	extents := append(slices.Grow(r.extents[:0], n+1), extent{})
	b.nested = slices.Grow(b.nested[:0], n)[:n]
	total := uint64(0)
	for i := range b.nested {
		c, x, err := b.readCell(h.nested[i*cellSize:], extents)
		if total += x.cells; err == nil && total > wireUnfolded {
			err = errUnfolded
		}
		if err != nil {
			return fmt.Errorf("nested cell %d: %w", i, err)
		}
		b.nested[i] = c
		extents = append(extents, extent{total, x.depth})
	}
	if r.extents = extents; cap(extents)*cellSize > poolMaxChunk {
		r.extents = nil
	}
	n = len(h.cells) / cellSize
	b.cells = slices.Grow(b.cells[:0], n)[:n]
	for at := 0; ; at++ {
		if at += readPlain(b.cells[at:], h.cells[at*cellSize:], b.data); at == n {
			return nil
		}
		c, x, err := b.readCell(h.cells[at*cellSize:], extents)
		if total += x.cells; err == nil && total > wireUnfolded {
			err = errUnfolded
		}
		if err != nil {
			return fmt.Errorf("cell %d: %w", at, err)
		}
		b.cells[at] = c
	}
}

var errUnfolded = fmt.Errorf("the lists of the batch stand for more than %d cells", wireUnfolded)

// readPlain reads cells up to the first one that needs a closer look, and returns how many.
func readPlain(cells []Cell, text, data []byte) int {
	n := uint64(len(data))
	for i := range cells {
		p := (*[cellSize]byte)(text[i*cellSize:])
		head, word := binary.LittleEndian.Uint64(p[0:]), binary.LittleEndian.Uint64(p[8:])
		cells[i] = Cell{Kind: Kind(head), len: uint32(head >> 32), word: word}
		check := cellChecks[byte(head)]
		switch check.class {
		case cellPlain:
			if head>>8 == 0 && word <= check.most {
				continue
			}
		case cellBytes:
			if head&0xffffff00 == 0 && word <= n && head>>32 <= n-word {
				continue
			}
		case cellDecimal:
			if head&0xffffff00 == 0 && word <= n && head>>32 <= n-word && isDecimal(data[word:word+head>>32]) {
				continue
			}
		}
		return i
	}
	return len(cells)
}

// readCell returns the cell at p, and how many cells it stands for.
func (b *Batch) readCell(p []byte, extents []extent) (Cell, extent, error) {
	head := binary.LittleEndian.Uint64(p)
	c := Cell{Kind: Kind(head), len: uint32(head >> 32), word: binary.LittleEndian.Uint64(p[8:])}
	if c.Kind == KindList || c.Kind == KindMap || c.Kind == KindPoint {
		if head&0xffffff00 != 0 {
			return c, extent{}, errPadding(uint32(head))
		}
		x, err := b.checkList(c, extents)
		return c, x, err
	}
	return c, extent{1, 0}, b.checkCell(c, uint32(head))
}

func errPadding(first uint32) error { return fmt.Errorf("bytes 1 to 3 are %06x, not 0", first>>8) }

// checkCell checks a cell without elements. first is its first four bytes.
func (b *Batch) checkCell(c Cell, first uint32) error {
	check := cellChecks[c.Kind]
	switch {
	case check.class == cellUnknown:
		return fmt.Errorf("kind %d", c.Kind)
	case first>>8 != 0:
		return errPadding(first)
	}
	switch c.Kind {
	case KindText, KindBytes, KindDecimal, KindBits, KindInterval:
		return b.checkBytes(c)
	case KindTimeTZ:
		if zone := c.Offset(); zone <= -86400 || zone >= 86400 {
			return fmt.Errorf("a zone of %d seconds", zone)
		}
		return nil
	case KindFloat32:
		if v := c.Float(); !math.IsNaN(v) && float64(float32(v)) != v {
			return fmt.Errorf("%v is no single-precision number", v)
		}
	default:
		if c.word > check.most {
			return fmt.Errorf("word %d in kind %d", c.word, c.Kind)
		}
	}
	if c.len != 0 {
		return fmt.Errorf("length %d in kind %d", c.len, c.Kind)
	}
	return nil
}

func (b *Batch) checkBytes(c Cell) error {
	if n := uint64(len(b.data)); c.word > n || uint64(c.len) > n-c.word {
		return fmt.Errorf("bytes %d+%d of %d", c.word, c.len, n)
	}
	switch c.Kind {
	case KindInterval:
		if c.len != 16 {
			return fmt.Errorf("an interval of %d bytes, not 16", c.len)
		}
	case KindDecimal:
		if !isDecimal(b.Bytes(c)) {
			return fmt.Errorf("decimal %.40q", b.Bytes(c))
		}
	case KindBits:
		for _, d := range b.Bytes(c) {
			if d != '0' && d != '1' {
				return fmt.Errorf("bits %.40q", b.Bytes(c))
			}
		}
	}
	return nil
}

// isDecimal tells what KindDecimal may hold: a sign, digits with at most one point among them; NaN and infinities.
func isDecimal(text []byte) bool {
	digits, points := 0, 0
	for i, c := range text {
		switch {
		case c-'0' <= 9:
			digits++
		case c == '.':
			points++
		case i > 0 || c != '-' && c != '+':
			return string(text) == "NaN" || string(text) == "Infinity" || string(text) == "-Infinity"
		}
	}
	return digits > 0 && points <= 1
}

// checkList checks a cell whose elements are among the nested cells that extents knows.
func (b *Batch) checkList(c Cell, extents []extent) (extent, error) {
	limit := uint64(len(extents) - 1)
	if c.word > limit || uint64(c.len) > limit-c.word {
		return extent{}, fmt.Errorf("elements %d+%d of %d", c.word, c.len, limit)
	}
	elements := extents[c.word : c.word+uint64(c.len)+1] // the first one is that before them
	x := extent{cells: elements[c.len].cells - elements[0].cells}
	if x.cells > uint64(len(b.nested)) {
		return extent{}, errors.New("a list that stands for more cells than there are")
	}
	for _, e := range elements[1:] {
		x.depth = max(x.depth, e.depth)
	}
	x.cells, x.depth = x.cells+1, x.depth+1
	if x.depth > wireLists {
		return extent{}, fmt.Errorf("lists nested deeper than %d", wireLists)
	}
	switch c.Kind {
	case KindMap:
		if c.len%2 != 0 {
			return extent{}, fmt.Errorf("%d elements in a map", c.len)
		}
		for i, e := range b.List(c) {
			if i%2 == 0 && e.Kind != KindText {
				return extent{}, fmt.Errorf("a key of kind %d in a map", e.Kind)
			}
		}
	case KindPoint:
		if xy := b.List(c); len(xy) != 2 || xy[0].Kind != KindFloat64 || xy[1].Kind != KindFloat64 {
			return extent{}, errors.New("a point is two of KindFloat64")
		}
	}
	return x, nil
}

func (r *WireReader) readRecords(b *Batch, text []byte) error {
	le := binary.LittleEndian
	n := len(text) / recordSize
	b.Records = slices.Grow(b.Records[:0], n)[:n]
	cells := uint32(len(b.cells))
	for i := range b.Records {
		p := (*[recordSize]byte)(text[i*recordSize:])
		if flags := le.Uint32(p[8:]); flags&^0x1ff != 0 {
			return fmt.Errorf("record %d: bytes 9 to 11 are %x", i, p[9:12])
		}
		rec := &b.Records[i]
		rec.Stream, rec.Value, rec.Op, rec.Last, rec.KafkaPartition = le.Uint32(p[0:]), le.Uint32(p[4:]), Op(p[8]), p[9] == 1, int32(le.Uint32(p[12:]))
		rec.Key, rec.Before, rec.After = readRow(p[16:24]), readRow(p[24:32]), readRow(p[32:40])
		rec.Source, rec.Headers = readRow(p[40:48]), readRow(p[48:56])
		rec.Timestamp = int64(le.Uint64(p[56:]))
		rec.Order.Epoch, rec.Order.Minor, rec.Order.Major = le.Uint32(p[64:]), le.Uint32(p[68:]), le.Uint64(p[72:])
		if err := r.checkRecord(b, rec, cells); err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	return nil
}

func readRow(p []byte) Row {
	return Row{binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])}
}

func (r *WireReader) checkRecord(b *Batch, rec *Record, cells uint32) error {
	switch {
	case uint64(rec.Stream) >= uint64(len(r.at)):
		return fmt.Errorf("stream %d of %d", rec.Stream, len(r.at))
	case uint64(rec.Value) > uint64(len(b.Bodies)):
		return fmt.Errorf("body %d of %d", rec.Value, len(b.Bodies))
	case rec.Op > OpTombstone:
		return fmt.Errorf("operation %d", rec.Op)
	case rec.KafkaPartition < -1:
		return fmt.Errorf("partition %d of the topic", rec.KafkaPartition)
	}
	s := r.at[rec.Stream]
	if !fits(rec.Key, s.key, cells) || !fits(rec.Before, s.row, cells) || !fits(rec.After, s.row, cells) ||
		!fits(rec.Source, s.source, cells) || !fits(rec.Headers, 0, cells) {
		return misfit(rec, s, cells)
	}
	if s.Source != nil && s.Source.Transaction > 0 && s.Source.Transaction < int(rec.Source.Count) {
		if err := b.checkTransaction(b.Cells(rec.Source)[s.Source.Transaction]); err != nil {
			return err
		}
	}
	if rec.Headers.Count > 0 {
		return b.checkHeaders(b.Cells(rec.Headers), s)
	}
	return nil
}

// fits tells that a row is absent, or lies within the cells and has as many as its stream needs.
func fits(row Row, need, cells uint32) bool {
	if row.Count == 0 {
		return row.Start <= cells
	}
	return row.Count >= need && row.Start <= cells && row.Count <= cells-row.Start
}

func misfit(rec *Record, s *knownStream, cells uint32) error {
	for _, x := range [...]struct {
		what string
		row  Row
		need uint32
	}{{"key", rec.Key, s.key}, {"before", rec.Before, s.row}, {"after", rec.After, s.row}, {"source", rec.Source, s.source}, {"headers", rec.Headers, 0}} {
		switch {
		case fits(x.row, x.need, cells):
		case fits(x.row, 0, cells):
			return fmt.Errorf("%s has %d cells, its stream %s needs %d", x.what, x.row.Count, s.Topic, x.need)
		default:
			return fmt.Errorf("%s has cells %d+%d of %d", x.what, x.row.Start, x.row.Count, cells)
		}
	}
	return nil
}

func (b *Batch) checkTransaction(c Cell) error {
	switch c.Kind {
	case KindAbsent, KindNull:
		return nil
	case KindList:
		if block := b.List(c); len(block) == 3 && block[0].Kind == KindText && block[1].Kind == KindInt && block[2].Kind == KindInt {
			return nil
		}
	}
	return errors.New("its transaction is no list of a text and two integers")
}

func (b *Batch) checkHeaders(cells []Cell, s *knownStream) error {
	if len(cells)%2 != 0 {
		return fmt.Errorf("%d cells in its headers", len(cells))
	}
	for i := 0; i < len(cells); i += 2 {
		if cells[i].Kind != KindText {
			return fmt.Errorf("the name of a header is of kind %d", cells[i].Kind)
		}
		if v := cells[i+1]; v.Kind == KindList && (s.Key == nil || v.len < s.key) {
			return fmt.Errorf("a header has a key row of %d cells, its stream %s has keys of %d", v.len, s.Topic, s.key)
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
