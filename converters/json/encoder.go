package json

import (
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// op says how the hot path writes a cell of the kind that a field expects.
type op uint8

const (
	opOther   op = iota // through changes.Read
	opInt               // KindInt
	opText              // KindText
	opBool              // KindBool
	opDouble            // KindFloat64
	opFloat             // KindFloat32
	opBase64            // KindBytes as bytes
	opNumber            // integer of a temporal view
	opZoned             // KindTimestampTZ as text
	opDecimal           // KindDecimal as unscaled bytes
	opAscii             // a text that changes.AppendText makes and that needs no escape
)

// field is one compiled member of a key or row.
type field struct {
	name  []byte // {"name": for the first member, ,"name": for the others
	op    op
	kind  connectors.Kind // of the cells that op takes; all others go through other
	cell  uint32
	scale int32
	view  connectors.View
	elem  *field
	converters.Fallback
}

// row is a compiled key or row struct.
type row struct {
	fields  []field
	schema  *schemas.Schema
	options options
	scratch []byte
}

func (w *row) compile(s *schemas.Schema, fields []connectors.Field, o options) error {
	w.schema, w.options = s, o
	w.fields = make([]field, len(fields))
	for i := range fields {
		f, err := compile(&fields[i], o)
		if err != nil {
			return fmt.Errorf("field %s: %w", fields[i].Name, err)
		}
		start := byte(',')
		if i == 0 {
			start = '{'
		}
		f.name = append(changes.AppendWireText([]byte{start}, fields[i].Name), ':')
		w.fields[i] = *f
	}
	return nil
}

func compile(f *connectors.Field, o options) (*field, error) {
	out := &field{cell: uint32(f.Cell), view: f.View, scale: f.Scale}
	out.op, out.kind = operation(f, o)
	var err error
	out.Fallback, err = converters.NewFallback(f, o.nullDefault, func(v schemas.Value) ([]byte, error) { return o.appendFallback(nil, f.Schema, v) })
	if err != nil {
		return nil, err
	}
	if f.Elem != nil {
		if out.elem, err = compile(f.Elem, o); err != nil {
			return nil, fmt.Errorf("element: %w", err)
		}
	}
	return out, nil
}

func (o options) appendFallback(dst []byte, s *schemas.Schema, v schemas.Value) ([]byte, error) {
	if v == nil {
		return append(dst, "null"...), nil
	}
	return o.appendValue(dst, s, v)
}

// operation picks the fast way for a field, and the kind of cell that it takes.
func operation(f *connectors.Field, o options) (op, connectors.Kind) {
	switch f.View {
	case connectors.ViewPlain:
		switch f.Schema.Kind {
		case schemas.Int8, schemas.Int16, schemas.Int32, schemas.Int64:
			return opInt, connectors.KindInt
		case schemas.String:
			return opText, connectors.KindText
		case schemas.Boolean:
			return opBool, connectors.KindBool
		case schemas.Float64:
			return opDouble, connectors.KindFloat64
		case schemas.Float32:
			return opFloat, connectors.KindFloat32
		case schemas.Bytes:
			return opBase64, connectors.KindBytes
		}
	case connectors.ViewTextBytes:
		return opBase64, connectors.KindBytes
	case connectors.ViewDays:
		return opNumber, connectors.KindDate
	case connectors.ViewTimeMillis, connectors.ViewTimeMicros, connectors.ViewTimeNanos:
		return opNumber, connectors.KindTime
	case connectors.ViewTimestampMillis, connectors.ViewTimestampMicros:
		return opNumber, connectors.KindTimestamp
	case connectors.ViewZonedTimestamp:
		return opZoned, connectors.KindTimestampTZ
	case connectors.ViewDecimal:
		if !o.numeric {
			return opDecimal, connectors.KindDecimal
		}
	default:
		if kind, ok := changes.TextKind(f.View); ok {
			return opAscii, kind
		}
	}
	return opOther, connectors.KindAbsent
}

// append writes the cells of a row as a struct.
func (w *row) append(dst []byte, b *connectors.Batch, r connectors.Row) ([]byte, error) {
	cells := b.Cells(r)
	if len(w.fields) == 0 {
		return append(dst, '{', '}'), nil
	}
	for i := range w.fields {
		f := &w.fields[i]
		dst = append(dst, f.name...)
		if int(f.cell) >= len(cells) {
			return dst, fmt.Errorf("write field %s of %s: the row has only %d cells", f.Field.Name, w.schema.Name, len(cells))
		}
		c := cells[f.cell]
		if c.Kind != f.kind {
			var err error
			if dst, err = w.other(dst, b, f, c); err != nil {
				return dst, fmt.Errorf("write field %s of %s: %w", f.Field.Name, w.schema.Name, err)
			}
			continue
		}
		switch f.op {
		case opInt:
			dst = changes.AppendInt(dst, c.Int())
		case opText:
			dst = changes.AppendWireString(dst, b.Bytes(c))
		case opZoned:
			dst = append(changes.AppendZonedTimestamp(append(dst, '"'), c, f.scale), '"')
		case opNumber:
			if v, ok := changes.Number(b, f.view, c); ok {
				dst = changes.AppendInt(dst, v)
				continue
			}
			fallthrough
		default:
			var err error
			if dst, err = w.fast(dst, b, f, c); err != nil {
				return dst, fmt.Errorf("write field %s of %s: %w", f.Field.Name, w.schema.Name, err)
			}
		}
	}
	return append(dst, '}'), nil
}

// fast writes a cell of the expected kind for the operations that append does not have in line.
func (w *row) fast(dst []byte, b *connectors.Batch, f *field, c connectors.Cell) ([]byte, error) {
	switch f.op {
	case opInt:
		return changes.AppendInt(dst, c.Int()), nil
	case opText:
		return changes.AppendWireString(dst, b.Bytes(c)), nil
	case opNumber:
		v, ok := changes.Number(b, f.view, c)
		if !ok {
			return f.AppendMisfit(dst)
		}
		return changes.AppendInt(dst, v), nil
	case opZoned:
		return append(changes.AppendZonedTimestamp(append(dst, '"'), c, f.scale), '"'), nil
	case opBool:
		return strconv.AppendBool(dst, c.Bool()), nil
	case opDouble:
		return appendFloat(dst, c.Float(), 64), nil
	case opFloat:
		return appendFloat(dst, c.Float(), 32), nil
	case opBase64:
		return appendBase64(dst, b.Bytes(c)), nil
	case opAscii:
		out, ok := changes.AppendText(append(dst, '"'), b, f.Field, c)
		if !ok {
			return f.AppendMisfit(dst)
		}
		return append(out, '"'), nil
	case opDecimal:
		var buf [40]byte
		if unscaled, ok := changes.AppendUnscaled(buf[:0], b.Bytes(c), f.scale); ok {
			return appendBase64(dst, unscaled), nil
		}
		return f.AppendNull(dst)
	}
	return w.other(dst, b, f, c)
}

// other writes what the fast paths do not take: missing values, and the views with a structure of their own.
func (w *row) other(dst []byte, b *connectors.Batch, f *field, c connectors.Cell) ([]byte, error) {
	if out, missing, err := f.AppendMissing(dst, c); missing {
		return out, err
	}
	if f.view == connectors.ViewDecimal && w.options.numeric {
		return w.numeric(dst, b, f, c)
	}
	var d changes.Datum
	d, w.scratch = changes.Read(b, f.Field, c, w.scratch)
	switch d.Kind {
	case changes.DatumBool:
		return strconv.AppendBool(dst, d.Int != 0), nil
	case changes.DatumInt:
		return changes.AppendInt(dst, d.Int), nil
	case changes.DatumFloat32:
		return appendFloat(dst, d.Float, 32), nil
	case changes.DatumFloat64:
		return appendFloat(dst, d.Float, 64), nil
	case changes.DatumText:
		return changes.AppendWireString(dst, d.Bytes), nil
	case changes.DatumBytes:
		return appendBase64(dst, d.Bytes), nil
	case changes.DatumList:
		return w.list(dst, b, f, d.Cells)
	case changes.DatumMap:
		return changes.AppendMapWire(dst, b, d.Cells), nil
	case changes.DatumVariable:
		dst = changes.AppendInt(append(dst, `{"scale":`...), d.Int)
		return append(appendBase64(append(dst, `,"value":`...), d.Bytes), '}'), nil
	case changes.DatumPoint:
		dst = appendFloat(append(dst, `{"x":`...), d.Float, 64)
		dst = appendFloat(append(dst, `,"y":`...), d.Y, 64)
		dst = appendBase64(append(dst, `,"wkb":`...), d.Bytes)
		return appendSRID(dst, d.Int), nil
	case changes.DatumGeometry:
		dst = appendBase64(append(dst, `{"wkb":`...), d.Bytes)
		return appendSRID(dst, d.Int), nil
	}
	return f.AppendNull(dst) // DatumValue is WhenNull here, which null renders
}

func appendSRID(dst []byte, srid int64) []byte {
	if srid == 0 {
		return append(dst, `,"srid":null}`...)
	}
	return append(changes.AppendInt(append(dst, `,"srid":`...), srid), '}')
}

func (w *row) numeric(dst []byte, b *connectors.Batch, f *field, c connectors.Cell) ([]byte, error) {
	var buf [24]byte
	if text, ok := changes.DecimalBytes(b, c, buf[:0]); ok {
		if out, ok := changes.AppendJavaDecimal(dst, text, f.scale); ok {
			return out, nil
		}
	}
	return f.AppendNull(dst)
}

func (w *row) list(dst []byte, b *connectors.Batch, f *field, cells []connectors.Cell) ([]byte, error) {
	dst = append(dst, '[')
	for i, c := range cells {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if c.Kind == f.elem.kind {
			dst, err = w.fast(dst, b, f.elem, c)
		} else {
			dst, err = w.other(dst, b, f.elem, c)
		}
		if err != nil {
			return dst, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return append(dst, ']'), nil
}
