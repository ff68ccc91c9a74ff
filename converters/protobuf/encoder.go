package protobuf

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// op says how a cell of the kind that a field expects is written.
type op uint8

const (
	opOther   op = iota // through changes.Read
	opInt               // KindInt as a varint
	opText              // KindText
	opBool              // KindBool
	opDouble            // KindFloat64
	opFloat             // KindFloat32
	opBytes             // KindBytes
	opNumber            // integer of a temporal view
	opMoment            // likewise, as a message
	opZoned             // KindTimestampTZ as text
	opDecimal           // KindDecimal as a message
	opMade              // a text that changes.AppendText makes
)

// shape is how a scalar lies in its message.
type shape struct {
	tag    uint64
	always bool   // a zero is written too
	inner  uint64 // tag of the value in a wrapper, whose tag is tag then; 0: it has none
}

func shapeOf(f *field) shape {
	out := shape{tag: f.wire(), always: f.presence()}
	if f.message != nil && f.message.leaf == leafWrapper {
		out.inner, out.always = f.message.fields[0].wire(), false
	}
	return out
}

// column is one compiled field of a row.
type column struct {
	op          op
	kind        connectors.Kind // of the cells that op takes; all others go through other
	narrow      bool            // has 32 bits
	cell        uint32
	shape       shape
	scale       int32
	view        connectors.View
	null        []byte // rendered
	unavailable []byte
	field       *connectors.Field
	in          *field
}

// row is a compiled key or row.
type row struct {
	columns []column
	writer  writer
	scratch []byte
}

// compile takes the fields of m, which was made from the schema of these fields.
func (w *row) compile(m *message, fields []connectors.Field, o writer) error {
	w.writer = o
	w.columns = make([]column, len(fields))
	if len(m.order) != len(fields) || len(m.oneofs) > 0 {
		return fmt.Errorf("compile Protobuf schema %s: it is no message of %d fields", m.full, len(fields))
	}
	for i := range fields {
		f := m.order[i]
		if f.name != o.scrubbed(fields[i].Name) {
			return fmt.Errorf("compile Protobuf schema %s: its field %d is %s, not %s", m.full, f.number, f.name, fields[i].Name)
		}
		c, err := o.compile(f, &fields[i])
		if err != nil {
			return fmt.Errorf("compile field %s of %s: %w", f.name, m.full, err)
		}
		w.columns[i] = c
	}
	return nil
}

func (w writer) compile(in *field, f *connectors.Field) (column, error) {
	out := column{cell: uint32(f.Cell), view: f.View, scale: f.Scale, field: f, in: in, shape: shapeOf(in)}
	if !in.repeated {
		out.op, out.kind = operation(f, in)
	}
	out.narrow = connectKinds[scalarKind(in)] == schemas.Int32
	null, missing := f.WhenNull, f.WhenUnavailable
	switch {
	case f.Schema.Default == nil:
	case f.Schema.Optional && w.ignoreDefaults: // a default that stands for NULL is NULL
		if reflect.DeepEqual(null, f.Schema.Default) {
			null = nil
		}
		if reflect.DeepEqual(missing, f.Schema.Default) {
			missing = nil
		}
	case null == nil:
		null = f.Schema.Default
	}
	var err error
	if null != nil {
		if out.null, err = w.field(nil, in, f.Schema, null); err != nil {
			return out, err
		}
	}
	out.unavailable = out.null
	if missing != nil {
		out.unavailable, err = w.field(nil, in, f.Schema, missing)
	}
	return out, err
}

// scalarKind is the kind of a field, or of the value in its wrapper.
func scalarKind(f *field) protoreflect.Kind {
	if f.message != nil && f.message.leaf == leafWrapper {
		return f.message.fields[0].kind
	}
	return f.kind
}

// operation picks the fast way for a field, and the kind of cell that it takes.
func operation(f *connectors.Field, in *field) (op, connectors.Kind) {
	k := scalarKind(in)
	number := k == protoreflect.Int32Kind || k == protoreflect.Int64Kind
	text := k == protoreflect.StringKind
	moment := k == protoreflect.MessageKind && (in.message.leaf == leafDate || in.message.leaf == leafTime || in.message.leaf == leafTimestamp)
	switch f.View {
	case connectors.ViewPlain:
		switch {
		case number:
			return opInt, connectors.KindInt
		case text:
			return opText, connectors.KindText
		case k == protoreflect.BoolKind:
			return opBool, connectors.KindBool
		case k == protoreflect.DoubleKind:
			return opDouble, connectors.KindFloat64
		case k == protoreflect.FloatKind:
			return opFloat, connectors.KindFloat32
		case k == protoreflect.BytesKind:
			return opBytes, connectors.KindBytes
		}
	case connectors.ViewTextBytes:
		if k == protoreflect.BytesKind {
			return opBytes, connectors.KindBytes
		}
	case connectors.ViewDays:
		return temporal(number, moment), connectors.KindDate
	case connectors.ViewTimeMillis, connectors.ViewTimeMicros, connectors.ViewTimeNanos:
		return temporal(number, moment), connectors.KindTime
	case connectors.ViewTimestampMillis, connectors.ViewTimestampMicros, connectors.ViewTimestampNanos:
		return temporal(number, moment), connectors.KindTimestamp
	case connectors.ViewDecimal:
		if k == protoreflect.MessageKind && in.message.leaf == leafDecimal {
			return opDecimal, connectors.KindDecimal
		}
	}
	if text {
		return madeText(f.View)
	}
	return opOther, connectors.KindAbsent
}

func temporal(number, moment bool) op {
	switch {
	case number:
		return opNumber
	case moment:
		return opMoment
	}
	return opOther
}

func madeText(v connectors.View) (op, connectors.Kind) {
	switch v {
	case connectors.ViewZonedTimestamp:
		return opZoned, connectors.KindTimestampTZ
	case connectors.ViewBase64, connectors.ViewBase64URL, connectors.ViewHex:
		return opMade, connectors.KindBytes
	case connectors.ViewIsoDate:
		return opMade, connectors.KindDate
	case connectors.ViewIsoTime:
		return opMade, connectors.KindTime
	case connectors.ViewIsoTimestamp:
		return opMade, connectors.KindTimestamp
	case connectors.ViewZonedTime:
		return opMade, connectors.KindTimeTZ
	case connectors.ViewIntervalText:
		return opMade, connectors.KindInterval
	}
	return opOther, connectors.KindAbsent
}

// append writes the cells of a row.
func (w *row) append(dst []byte, b *connectors.Batch, r connectors.Row) ([]byte, error) {
	cells := b.Cells(r)
	for i := range w.columns {
		f := &w.columns[i]
		if int(f.cell) >= len(cells) {
			return dst, fmt.Errorf("write field %s: the row has only %d cells", f.field.Name, len(cells))
		}
		c := cells[f.cell]
		if c.Kind != f.kind {
			if c.Kind == connectors.KindNull {
				dst = append(dst, f.null...)
				continue
			}
			var err error
			if dst, err = w.other(dst, b, f, c); err != nil {
				return dst, fmt.Errorf("write field %s: %w", f.field.Name, err)
			}
			continue
		}
		switch f.op {
		case opInt:
			v := c.Int()
			if f.narrow && v != int64(int32(v)) {
				return dst, fmt.Errorf("write field %s: the number needs more than 32 bits", f.field.Name)
			}
			dst = f.shape.number(dst, v)
		case opText, opBytes:
			dst = f.shape.content(dst, b.Bytes(c))
		case opDouble:
			dst = f.shape.fixed64(dst, math.Float64bits(c.Float()))
		case opBool:
			dst = f.shape.number(dst, c.Int()&1)
		default:
			var err error
			if dst, err = w.more(dst, b, f, c); err != nil {
				return dst, fmt.Errorf("write field %s: %w", f.field.Name, err)
			}
		}
	}
	return dst, nil
}

// number writes a varint with its tag.
func (s *shape) number(dst []byte, v int64) []byte {
	if s.inner == 0 {
		if v == 0 && !s.always {
			return dst
		}
		return appendVarint(appendVarint(dst, s.tag), uint64(v))
	}
	dst = appendVarint(dst, s.tag)
	if v == 0 {
		return append(dst, 0)
	}
	dst = append(dst, byte(1+protowire.SizeVarint(uint64(v)))) // at most 11
	return appendVarint(append(dst, byte(s.inner)), uint64(v))
}

func (s *shape) content(dst, v []byte) []byte {
	if s.inner == 0 {
		if len(v) == 0 && !s.always {
			return dst
		}
		return append(appendVarint(appendVarint(dst, s.tag), uint64(len(v))), v...)
	}
	dst = appendVarint(dst, s.tag)
	if len(v) == 0 {
		return append(dst, 0)
	}
	dst = append(appendVarint(dst, uint64(1+protowire.SizeBytes(len(v)))), byte(s.inner))
	return append(appendVarint(dst, uint64(len(v))), v...)
}

func (s *shape) fixed64(dst []byte, v uint64) []byte {
	switch {
	case s.inner != 0 && v == 0:
		return append(appendVarint(dst, s.tag), 0)
	case s.inner != 0:
		dst = append(appendVarint(dst, s.tag), 9, byte(s.inner))
	case v == 0 && !s.always:
		return dst
	default:
		dst = appendVarint(dst, s.tag)
	}
	return binary.LittleEndian.AppendUint64(dst, v)
}

func (s *shape) fixed32(dst []byte, v uint32) []byte {
	switch {
	case s.inner != 0 && v == 0:
		return append(appendVarint(dst, s.tag), 0)
	case s.inner != 0:
		dst = append(appendVarint(dst, s.tag), 5, byte(s.inner))
	case v == 0 && !s.always:
		return dst
	default:
		dst = appendVarint(dst, s.tag)
	}
	return binary.LittleEndian.AppendUint32(dst, v)
}

// more writes a cell of the expected kind for the operations that append does not have in line.
func (w *row) more(dst []byte, b *connectors.Batch, f *column, c connectors.Cell) ([]byte, error) {
	var buf [64]byte
	switch f.op {
	case opFloat:
		return f.shape.fixed32(dst, math.Float32bits(float32(c.Float()))), nil
	case opNumber:
		v, ok := changes.Number(b, f.view, c)
		if !ok || f.narrow && v != int64(int32(v)) {
			return f.misfit(dst)
		}
		return f.shape.number(dst, v), nil
	case opMoment:
		v, ok := changes.Number(b, f.view, c)
		if !ok {
			return f.misfit(dst)
		}
		dst, start := open(dst, f.shape.tag, 1)
		dst, err := appendMoment(dst, f.in.message.leaf, v)
		dst, _ = shut(dst, start, 1)
		return dst, err
	case opZoned:
		return f.shape.content(dst, changes.AppendZonedTimestamp(buf[:0], c, f.scale)), nil
	case opDecimal:
		unscaled, ok := changes.AppendUnscaled(buf[:0], b.Bytes(c), f.scale)
		if !ok {
			return f.misfit(dst)
		}
		dst, start := open(dst, f.shape.tag, 1)
		dst, err := appendDecimal(dst, unscaled, f.scale)
		dst, _ = shut(dst, start, 1)
		return dst, err
	case opMade:
		out, ok := changes.AppendText(w.scratch[:0], b, f.field, c)
		w.scratch = out
		if !ok {
			return f.misfit(dst)
		}
		return f.shape.content(dst, out), nil
	}
	return w.other(dst, b, f, c)
}

// misfit writes a value that the schema cannot hold.
func (f *column) misfit(dst []byte) ([]byte, error) {
	if f.field.WhenNull == nil && !f.field.Schema.Optional {
		return dst, fmt.Errorf("a value that %s cannot hold, in a field that is required", f.field.Schema.Name)
	}
	return append(dst, f.null...), nil
}

// other writes what the fast paths do not take: missing values, other kinds of cell, and the views with a structure of their own.
func (w *row) other(dst []byte, b *connectors.Batch, f *column, c connectors.Cell) ([]byte, error) {
	switch c.Kind {
	case connectors.KindNull, connectors.KindAbsent:
		return append(dst, f.null...), nil
	case connectors.KindUnavailable:
		return append(dst, f.unavailable...), nil
	}
	v := changes.Value(b, f.field, c)
	if v == nil {
		return f.misfit(dst)
	}
	return w.writer.field(dst, f.in, f.field.Schema, v)
}
