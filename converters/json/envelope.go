package json

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// rowEncoder writes a struct made from one row: a key, or the value of a stream without an envelope.
type rowEncoder struct {
	materialised
	row
	isKey bool
	head  []byte
}

func (e *rowEncoder) compile(s *schemas.Schema, fields []connectors.Field) error {
	var err error
	if e.head, err = e.materialised.head0(s); err != nil {
		return err
	}
	return e.row.compile(s, fields, e.materialised.options)
}

// Append encodes a record; a change without this row has none.
func (e *rowEncoder) Append(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, bool, error) {
	if r.Value != 0 {
		return e.materialised.Append(dst, b, r)
	}
	from := r.After
	if e.isKey {
		from = r.Key
	}
	if from.Absent() {
		return dst, true, nil
	}
	dst, err := e.row.append(append(dst, e.head...), b, from)
	if e.materialised.options.schemas {
		dst = append(dst, '}')
	}
	return dst, false, err
}

// envelopeEncoder writes changes. Everything constant is rendered once.
type envelopeEncoder struct {
	materialised
	rows   row
	before []byte // start of the message up to the old row
	after  []byte
	source []part
	txn    int    // SourceBlock.Transaction
	closed []byte // end of source
	op     []byte // from there up to the letter
	times  [3][]byte
	tail   []byte
}

// part is a piece of the source block: text, then a cell. Rows of one transaction have the same time and number, so
// the text of the last integer is kept.
type part struct {
	text   []byte
	cell   int
	scale  int8
	digits uint8 // how many of number are in use
	last   int64
	number [24]byte
	null   []byte
}

// The values of part.scale.
const (
	asIs   = 0
	millis = 1 // µs as ms
	nanos  = 2 // µs as ns
)

func (c *converter) envelopeEncoder(s *connectors.Stream, m materialised) (*envelopeEncoder, error) {
	e := &envelopeEncoder{materialised: m}
	head, err := m.head0(s.Value)
	if err != nil {
		return nil, fmt.Errorf("render schema of topic %s: %w", s.Topic, err)
	}
	if err := e.rows.compile(s.Row, s.Fields, m.options); err != nil {
		return nil, fmt.Errorf("compile value of topic %s: %w", s.Topic, err)
	}
	e.before = append(head, `{"before":`...)
	e.after = []byte(`,"after":`)
	text, err := e.compileSource(s.Source)
	if err != nil {
		return nil, fmt.Errorf("compile source block of topic %s: %w", s.Topic, err)
	}
	e.txn, e.closed = s.Source.Transaction, append(text, '}')
	e.op = append(bytes.Clone(e.closed), `,"transaction":null,"op":"`...)
	e.times = [3][]byte{[]byte(`","ts_ms":`), []byte(`,"ts_us":`), []byte(`,"ts_ns":`)}
	e.tail = []byte{'}'}
	if m.options.schemas {
		e.tail = []byte{'}', '}'}
	}
	return e, nil
}

// compileSource returns the text after the last cell.
func (e *envelopeEncoder) compileSource(s *connectors.SourceBlock) ([]byte, error) {
	text := []byte(`,"source":{`)
	for i, f := range s.Fields {
		schema := s.Schema.Fields[i].Schema
		if i > 0 {
			text = append(text, ',')
		}
		text = append(changes.AppendWireText(text, s.Schema.Fields[i].Name), ':')
		var err error
		if f.Cell < 0 {
			if text, err = e.materialised.appendValue(text, schema, f.Constant); err != nil {
				return nil, fmt.Errorf("field %s: %w", s.Schema.Fields[i].Name, err)
			}
			continue
		}
		p := part{text: text, cell: f.Cell}
		switch {
		case f.Divide == 1000:
			p.scale = millis
		case f.Multiply == 1000:
			p.scale = nanos
		case f.Divide > 1 || f.Multiply > 1:
			return nil, fmt.Errorf("field %s: only factors of 1000 are known", s.Schema.Fields[i].Name)
		}
		if schema.Optional || schema.Default != nil {
			if p.null, err = e.materialised.appendNull(nil, schema); err != nil {
				return nil, err
			}
		}
		e.source = append(e.source, p)
		text = nil
	}
	return text, nil
}

// Append encodes the value of a record; a tombstone has none.
func (e *envelopeEncoder) Append(dst []byte, b *connectors.Batch, r *connectors.Record) ([]byte, bool, error) {
	if r.Value != 0 {
		return e.materialised.Append(dst, b, r)
	}
	if r.Op == connectors.OpTombstone {
		return dst, true, nil
	}
	var err error
	dst = append(dst, e.before...)
	if r.Before.Absent() {
		dst = append(dst, "null"...)
	} else if dst, err = e.rows.append(dst, b, r.Before); err != nil {
		return dst, false, err
	}
	dst = append(dst, e.after...)
	if r.After.Absent() {
		dst = append(dst, "null"...)
	} else if dst, err = e.rows.append(dst, b, r.After); err != nil {
		return dst, false, err
	}
	if dst, err = e.appendSource(dst, b, r.Source); err != nil {
		return dst, false, err
	}
	if cells := b.Cells(r.Source); e.txn > 0 && e.txn < len(cells) && cells[e.txn].Kind == connectors.KindList {
		dst = appendTransaction(append(dst, e.closed...), b, b.List(cells[e.txn]))
	} else {
		dst = append(dst, e.op...)
	}
	dst = append(dst, r.Op.Letter())
	var buf [20]byte
	ns := changes.AppendInt(buf[:0], r.Timestamp)
	if n := len(ns); n > 6 && ns[0] != '-' {
		dst = append(append(dst, e.times[0]...), ns[:n-6]...)
		dst = append(append(dst, e.times[1]...), ns[:n-3]...)
	} else {
		dst = changes.AppendInt(append(dst, e.times[0]...), r.Timestamp/1e6)
		dst = changes.AppendInt(append(dst, e.times[1]...), r.Timestamp/1e3)
	}
	dst = append(append(dst, e.times[2]...), ns...)
	return append(dst, e.tail...), false, nil
}

// appendTransaction writes what is between the source block and the letter, with the transaction block.
func appendTransaction(dst []byte, b *connectors.Batch, block []connectors.Cell) []byte {
	dst = changes.AppendWireString(append(dst, `,"transaction":{"id":`...), b.Bytes(block[0]))
	dst = changes.AppendInt(append(dst, `,"total_order":`...), block[1].Int())
	dst = changes.AppendInt(append(dst, `,"data_collection_order":`...), block[2].Int())
	return append(dst, `},"op":"`...)
}

func (e *envelopeEncoder) appendSource(dst []byte, b *connectors.Batch, source connectors.Row) ([]byte, error) {
	cells := b.Cells(source)
	for i := range e.source {
		p := &e.source[i]
		dst = append(dst, p.text...)
		if p.cell >= len(cells) {
			return dst, fmt.Errorf("write source block: the record has only %d of its cells", len(cells))
		}
		c := cells[p.cell]
		switch c.Kind {
		case connectors.KindInt:
			if p.last != c.Int() || p.digits == 0 {
				p.format(c.Int())
			}
			dst = append(dst, p.number[:p.digits]...)
		case connectors.KindText:
			dst = changes.AppendWireString(dst, b.Bytes(c))
		case connectors.KindBool:
			dst = strconv.AppendBool(dst, c.Bool())
		default:
			if p.null == nil {
				return dst, fmt.Errorf("write source block: a required field has no value")
			}
			dst = append(dst, p.null...)
		}
	}
	return dst, nil
}

func (p *part) format(v int64) {
	p.last = v
	switch {
	case p.scale == nanos:
		v *= 1000
	case p.scale == millis && v < 0:
		v = (v - 999) / 1000
	case p.scale == millis:
		v /= 1000
	}
	p.digits = uint8(len(changes.AppendInt(p.number[:0], v)))
}
