package protobuf

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// frame is what an envelope has around its rows. Everything constant is rendered once.
type frame struct {
	before, after, block uint64 // tags
	operation            shape
	times                [3]shape // ms, µs, ns
	room                 [3]int   // bytes of the length that the row before, the row after and the source block had last
	sourceTag            uint64
	source               []part
	tail                 []byte // of the source block
	txn                  int    // SourceBlock.Transaction
	txnParts             [3]shape
}

// part is a piece of the source block: bytes, then a cell. Rows of one transaction have the same time and number, so the bytes of
// the last integer are kept.
type part struct {
	text   []byte
	cell   int
	field  connectors.SourceField
	shape  shape
	last   int64
	number []byte // rendered last, with its tag; nil: none yet
	null   []byte
	name   string
}

func (e *encoder) compileEnvelope(m *message) error {
	s := e.stream
	if len(m.order) != changes.EnvelopeTsNs+1 {
		return fmt.Errorf("compile value of topic %s: its schema is no envelope", e.topic)
	}
	for i, f := range m.order {
		if f.name != s.Value.Fields[i].Name || (f.message != nil && f.message.leaf == leafNone) != (i <= changes.EnvelopeTransaction) {
			return fmt.Errorf("compile value of topic %s: its schema is no envelope", e.topic)
		}
	}
	if err := e.rows.compile(m.order[changes.EnvelopeAfter].message, s.Fields, writer{e.options}); err != nil {
		return err
	}
	block, source := m.order[changes.EnvelopeTransaction], m.order[changes.EnvelopeSource]
	if len(block.message.order) != 3 || len(source.message.order) != len(s.Source.Fields) {
		return fmt.Errorf("compile value of topic %s: its source or transaction block is not the envelope's", e.topic)
	}
	e.frame = frame{
		before: m.order[changes.EnvelopeBefore].wire(), after: m.order[changes.EnvelopeAfter].wire(), block: block.wire(), sourceTag: source.wire(),
		operation: shapeOf(m.order[changes.EnvelopeOp]), room: [3]int{1, 1, 2}, txn: s.Source.Transaction,
	}
	for i := range e.frame.times {
		e.frame.times[i] = shapeOf(m.order[changes.EnvelopeTsMs+i])
	}
	for i := range e.frame.txnParts {
		e.frame.txnParts[i] = shapeOf(block.message.order[i])
	}
	return e.compileSource(source.message)
}

func (e *encoder) compileSource(m *message) error {
	w := writer{e.options}
	var text []byte
	for i, f := range e.stream.Source.Fields {
		schema, in := e.stream.Source.Schema.Fields[i].Schema, m.order[i]
		var missing schemas.Value
		if !e.ignoreDefaults {
			missing = schema.Default
		}
		if f.Cell < 0 {
			v := f.Constant
			if v == nil {
				v = missing
			}
			if v == nil {
				continue
			}
			var err error
			if text, err = w.field(text, in, schema, v); err != nil {
				return fmt.Errorf("compile source block of topic %s: field %s: %w", e.topic, in.name, err)
			}
			continue
		}
		p := part{text: text, cell: f.Cell, field: f, shape: shapeOf(in), name: in.name}
		if missing != nil {
			var err error
			if p.null, err = w.field(nil, in, schema, missing); err != nil {
				return fmt.Errorf("compile source block of topic %s: field %s: %w", e.topic, in.name, err)
			}
		}
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
	for i, from := range [...]connectors.Row{r.Before, r.After} {
		if from.Absent() {
			continue
		}
		tag := f.before
		if i == 1 {
			tag = f.after
		}
		var start int
		dst, start = open(dst, tag, f.room[i])
		if dst, err = e.rows.append(dst, b, from); err != nil {
			return dst, err
		}
		dst, f.room[i] = shut(dst, start, f.room[i])
	}
	cells := b.Cells(r.Source)
	dst, start := open(dst, f.sourceTag, f.room[2])
	for i := range f.source {
		if dst, err = f.source[i].append(dst, b, cells); err != nil {
			return dst, err
		}
	}
	dst, f.room[2] = shut(append(dst, f.tail...), start, f.room[2])
	if f.txn > 0 && f.txn < len(cells) && cells[f.txn].Kind == connectors.KindList {
		block := b.List(cells[f.txn])
		dst, start = open(dst, f.block, 1)
		dst = f.txnParts[0].content(dst, b.Bytes(block[0]))
		dst = f.txnParts[2].number(f.txnParts[1].number(dst, block[1].Int()), block[2].Int())
		dst, _ = shut(dst, start, 1)
	}
	letter := [1]byte{r.Op.Letter()}
	dst = f.operation.content(dst, letter[:])
	dst = f.times[0].number(dst, floorDiv(r.Timestamp, 1e6))
	dst = f.times[1].number(dst, floorDiv(r.Timestamp, 1e3))
	return f.times[2].number(dst, r.Timestamp), nil
}

func (p *part) append(dst []byte, b *connectors.Batch, cells []connectors.Cell) ([]byte, error) {
	dst = append(dst, p.text...)
	if p.cell >= len(cells) {
		return dst, fmt.Errorf("write source block: the record has only %d of its cells", len(cells))
	}
	c := cells[p.cell]
	switch c.Kind {
	case connectors.KindText:
		return p.shape.content(dst, b.Bytes(c)), nil
	case connectors.KindBool:
		return p.shape.number(dst, c.Int()&1), nil
	case connectors.KindInt:
	default:
		return append(dst, p.null...), nil
	}
	if p.number == nil || p.last != c.Int() {
		p.last = c.Int()
		v := p.last
		if p.field.Divide > 1 {
			v = floorDiv(v, p.field.Divide)
		}
		if p.field.Multiply > 1 {
			v *= p.field.Multiply
		}
		if p.number == nil {
			p.number = make([]byte, 0, protowire.SizeVarint(p.shape.tag)+12)
		}
		p.number = p.shape.number(p.number[:0], v)
	}
	return append(dst, p.number...), nil
}
