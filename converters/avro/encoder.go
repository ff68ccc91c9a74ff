package avro

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// op says how a cell of the kind that a field expects is written.
type op uint8

const (
	opOther   op = iota // through changes.Read
	opInt               // KindInt as a long or an int
	opText              // KindText
	opBool              // KindBool
	opDouble            // KindFloat64
	opFloat             // KindFloat32
	opBytes             // KindBytes
	opNumber            // integer of a temporal view
	opZoned             // KindTimestampTZ as text
	opDecimal           // KindDecimal as unscaled bytes
	opMade              // a text that changes.AppendText makes
)

// none is field.branch of a field that is no union.
const none = 0xFF

// field is one compiled member of a row.
type field struct {
	op     op
	kind   connectors.Kind // of the cells that op takes; all others go through other
	branch uint8           // the byte before a value: its place in the union
	cell   uint32
	scale  int32
	narrow bool // an int, which has 32 bits
	view   connectors.View
	node   *node
	converters.Fallback
}

// row is a compiled key or row.
type row struct {
	fields  []field
	writer  writer
	scratch []byte
}

// compile takes the fields of n, which was made from the schema of these fields.
func (w *row) compile(n *node, fields []connectors.Field, o writer) error {
	record, _, _ := n.sansNull()
	if record == nil || record.kind != kRecord || len(record.fields) != len(fields) {
		return fmt.Errorf("compile Avro schema %s: it is no record of %d fields", n.fullName(), len(fields))
	}
	w.writer = o
	w.fields = make([]field, len(fields))
	for i := range fields {
		f, err := o.compile(record.fields[i].node, &fields[i])
		if err != nil {
			return fmt.Errorf("compile field %s of %s: %w", fields[i].Name, record.fullName(), err)
		}
		w.fields[i] = f
	}
	return nil
}

func (w writer) compile(n *node, f *connectors.Field) (field, error) {
	out := field{cell: uint32(f.Cell), view: f.View, scale: f.Scale, node: n, branch: none}
	value, at, _ := n.sansNull()
	if at >= 0 {
		out.branch = uint8(2 * at)
	}
	if value != nil {
		out.op, out.kind = operation(f, value)
		out.narrow = value.kind == kInt
	}
	var err error
	out.Fallback, err = converters.NewFallback(f, !w.ignoreDefaults, func(v schemas.Value) ([]byte, error) { return w.value(nil, n, f.Schema, v) })
	return out, err
}

// operation picks the fast way for a field, and the kind of cell that it takes.
func operation(f *connectors.Field, n *node) (op, connectors.Kind) {
	text := n.kind == kString
	switch f.View {
	case connectors.ViewPlain:
		switch {
		case n.kind == kInt || n.kind == kLong:
			return opInt, connectors.KindInt
		case text:
			return opText, connectors.KindText
		case n.kind == kBoolean:
			return opBool, connectors.KindBool
		case n.kind == kDouble:
			return opDouble, connectors.KindFloat64
		case n.kind == kFloat:
			return opFloat, connectors.KindFloat32
		case n.kind == kBytes:
			return opBytes, connectors.KindBytes
		}
	case connectors.ViewTextBytes:
		if n.kind == kBytes {
			return opBytes, connectors.KindBytes
		}
	case connectors.ViewDays:
		return opNumber, connectors.KindDate
	case connectors.ViewTimeMillis, connectors.ViewTimeMicros, connectors.ViewTimeNanos:
		return opNumber, connectors.KindTime
	case connectors.ViewTimestampMillis, connectors.ViewTimestampMicros, connectors.ViewTimestampNanos:
		return opNumber, connectors.KindTimestamp
	case connectors.ViewZonedTimestamp:
		if text {
			return opZoned, connectors.KindTimestampTZ
		}
	case connectors.ViewDecimal:
		if n.kind == kBytes {
			return opDecimal, connectors.KindDecimal
		}
	default:
		if kind, ok := changes.TextKind(f.View); ok {
			return opMade, kind
		}
	}
	return opOther, connectors.KindAbsent
}

// append writes the cells of a row.
func (w *row) append(dst []byte, b *connectors.Batch, r connectors.Row) ([]byte, error) {
	cells := b.Cells(r)
	for i := range w.fields {
		f := &w.fields[i]
		if int(f.cell) >= len(cells) {
			return dst, fmt.Errorf("write field %s: the row has only %d cells", f.Field.Name, len(cells))
		}
		c := cells[f.cell]
		if c.Kind != f.kind {
			if c.Kind == connectors.KindNull && f.Null != nil {
				dst = append(dst, f.Null...)
				continue
			}
			var err error
			if dst, err = w.other(dst, b, f, c); err != nil {
				return dst, fmt.Errorf("write field %s: %w", f.Field.Name, err)
			}
			continue
		}
		start := len(dst)
		if f.branch != none {
			dst = append(dst, f.branch)
		}
		switch f.op {
		case opInt:
			v := c.Int()
			if f.narrow && v != int64(int32(v)) {
				return dst, fmt.Errorf("write field %s: the number needs more than 32 bits", f.Field.Name)
			}
			dst = appendNumber(dst, v)
		case opText, opBytes:
			dst = appendContent(dst, b.Bytes(c))
		case opDouble:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.Float()))
		case opBool:
			dst = append(dst, byte(c.Int()&1))
		default:
			var err error
			if dst, err = w.more(dst, start, b, f, c); err != nil {
				return dst, fmt.Errorf("write field %s: %w", f.Field.Name, err)
			}
		}
	}
	return dst, nil
}

// appendNumber is binary.AppendVarint, which is not put in line, with its common lengths.
func appendNumber(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func appendContent(dst, v []byte) []byte {
	if len(v) < 64 {
		return append(append(dst, byte(len(v)<<1)), v...)
	}
	return append(appendNumber(dst, int64(len(v))), v...)
}

// more writes a cell of the expected kind for the operations that append does not have in line; start is where the field begins.
func (w *row) more(dst []byte, start int, b *connectors.Batch, f *field, c connectors.Cell) ([]byte, error) {
	var buf [64]byte
	switch f.op {
	case opFloat:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(c.Float()))), nil
	case opNumber:
		v, ok := changes.Number(b, f.view, c)
		if !ok || f.narrow && v != int64(int32(v)) {
			return f.AppendMisfit(dst[:start])
		}
		return appendNumber(dst, v), nil
	case opZoned:
		return appendContent(dst, changes.AppendZonedTimestamp(buf[:0], c, f.scale)), nil
	case opDecimal:
		if unscaled, ok := changes.AppendUnscaled(buf[:0], b.Bytes(c), f.scale); ok {
			return appendContent(dst, unscaled), nil
		}
		return f.AppendNull(dst[:start])
	case opMade:
		out, ok := changes.AppendText(w.scratch[:0], b, f.Field, c)
		w.scratch = out
		if !ok {
			return f.AppendMisfit(dst[:start])
		}
		return appendContent(dst, out), nil
	}
	return w.other(dst[:start], b, f, c)
}

// other writes what the fast paths do not take: missing values, other kinds of cell, and the views with a structure of their own.
func (w *row) other(dst []byte, b *connectors.Batch, f *field, c connectors.Cell) ([]byte, error) {
	if out, missing, err := f.AppendMissing(dst, c); missing {
		return out, err
	}
	v := changes.Value(b, f.Field, c)
	if v == nil {
		return f.AppendNull(dst)
	}
	return w.writer.value(dst, f.node, f.Field.Schema, v)
}

// frame is what an envelope has around its rows. Everything constant is rendered once.
type frame struct {
	rowBranch byte // before a row that is there; the other one is null
	null      byte
	source    []part
	tail      []byte // of the source block
	txn       int    // SourceBlock.Transaction
}

// part is a piece of the source block: bytes, then a cell. Rows of one transaction have the same time and number, so the bytes of
// the last integer are kept.
type part struct {
	text     []byte
	cell     int
	field    connectors.SourceField
	branch   uint8
	length   uint8
	last     int64
	number   [10]byte
	null     []byte
	required bool
	name     string
}

func (e *encoder) compileEnvelope(n *node) error {
	s := e.stream
	if n.kind != kRecord || len(n.fields) != changes.EnvelopeTsNs+1 {
		return fmt.Errorf("compile value of topic %s: its schema is no envelope", e.topic)
	}
	if err := e.rows.compile(n.fields[changes.EnvelopeAfter].node, s.Fields, writer{e.options}); err != nil {
		return err
	}
	_, at, null := n.fields[changes.EnvelopeAfter].node.sansNull()
	e.frame = frame{rowBranch: byte(2 * at), null: byte(2 * null), txn: s.Source.Transaction}
	source := n.fields[changes.EnvelopeSource].node
	if source.kind != kRecord || len(source.fields) != len(s.Source.Fields) {
		return fmt.Errorf("compile value of topic %s: its source block is no record", e.topic)
	}
	w := writer{e.options}
	var text []byte
	for i, f := range s.Source.Fields {
		schema, node := s.Source.Schema.Fields[i].Schema, source.fields[i].node
		if f.Cell < 0 {
			v := f.Constant
			if v == nil && !e.ignoreDefaults {
				v = schema.Default
			}
			var err error
			if text, err = w.value(text, node, schema, v); err != nil {
				return fmt.Errorf("compile source block of topic %s: field %s: %w", e.topic, source.fields[i].name, err)
			}
			continue
		}
		p := part{text: text, cell: f.Cell, field: f, branch: none, name: source.fields[i].name}
		if _, at, _ := node.sansNull(); at >= 0 {
			p.branch = uint8(2 * at)
		}
		var v schemas.Value
		if !e.ignoreDefaults || !schema.Optional {
			v = schema.Default
		}
		p.null, _ = w.value(nil, node, schema, v) // an error here is one of the record that has no value
		p.required = !schema.Optional && v == nil
		e.frame.source = append(e.frame.source, p)
		text = nil
	}
	e.frame.tail = text
	return nil
}

// change writes an envelope.
func (e *encoder) change(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, error) {
	var err error
	f := &e.frame
	for _, from := range [...]connectors.Row{r.Before, r.After} {
		if from.Absent() {
			dst = append(dst, f.null)
			continue
		}
		if dst, err = e.rows.append(append(dst, f.rowBranch), b, from); err != nil {
			return dst, err
		}
	}
	cells := b.Cells(r.Source)
	for i := range f.source {
		if dst, err = f.source[i].append(dst, b, cells); err != nil {
			return dst, err
		}
	}
	dst = append(dst, f.tail...)
	if f.txn > 0 && f.txn < len(cells) && cells[f.txn].Kind == connectors.KindList {
		block := b.List(cells[f.txn])
		dst = appendContent(append(dst, 2), b.Bytes(block[0]))
		dst = appendNumber(appendNumber(dst, block[1].Int()), block[2].Int())
	} else {
		dst = append(dst, 0)
	}
	dst = append(dst, 2, r.Op.Letter(), 2)
	dst = append(appendNumber(dst, floorDiv(r.Timestamp, 1e6)), 2)
	dst = append(appendNumber(dst, floorDiv(r.Timestamp, 1e3)), 2)
	return appendNumber(dst, r.Timestamp), nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (p *part) append(dst []byte, b *connectors.Batch, cells []connectors.Cell) ([]byte, error) {
	dst = append(dst, p.text...)
	if p.cell >= len(cells) {
		return dst, fmt.Errorf("write source block: the record has only %d of its cells", len(cells))
	}
	c := cells[p.cell]
	switch c.Kind {
	case connectors.KindInt, connectors.KindText, connectors.KindBool:
	default:
		if p.required {
			return dst, fmt.Errorf("write source block: field %s has no value", p.name)
		}
		return append(dst, p.null...), nil
	}
	if p.branch != none {
		dst = append(dst, p.branch)
	}
	switch c.Kind {
	case connectors.KindText:
		return appendContent(dst, b.Bytes(c)), nil
	case connectors.KindBool:
		return append(dst, byte(c.Int()&1)), nil
	}
	if p.length == 0 || p.last != c.Int() {
		p.last = c.Int()
		v := p.last
		if p.field.Divide > 1 {
			v = floorDiv(v, p.field.Divide)
		}
		if p.field.Multiply > 1 {
			v *= p.field.Multiply
		}
		p.length = uint8(len(appendNumber(p.number[:0], v)))
	}
	return append(dst, p.number[:p.length]...), nil
}
