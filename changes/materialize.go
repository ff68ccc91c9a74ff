package changes

import (
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// Materialize returns the key and value of a record as Connect values, for what cannot work on cells. It allocates. The
// values do not share memory with the batch. A record of a stream without an envelope has its new row as value.
func Materialize(b *connectors.Batch, r *connectors.Record) connectors.Body {
	if r.Value != 0 {
		return b.Bodies[r.Value-1]
	}
	s := b.Streams[r.Stream]
	var body connectors.Body
	if s.Key != nil && !r.Key.Absent() {
		body.Key = schemas.Typed{Schema: s.Key, Value: Struct(b, s.KeyFields, b.Cells(r.Key))}
	}
	switch {
	case r.Op == connectors.OpTombstone:
	case IsEnvelope(s):
		body.Value = schemas.Typed{Schema: s.Value, Value: envelope(b, s, r)}
	case s.Row != nil && !r.After.Absent():
		body.Value = schemas.Typed{Schema: s.Row, Value: Struct(b, s.Fields, b.Cells(r.After))}
	}
	return body
}

// Struct makes the value of a key or row schema from its cells.
func Struct(b *connectors.Batch, fields []connectors.Field, cells []connectors.Cell) schemas.StructValue {
	out := make(schemas.StructValue, len(fields))
	for i := range fields {
		if at := fields[i].Cell; at < len(cells) {
			out[i] = Value(b, &fields[i], cells[at])
		}
	}
	return out
}

// Value is Read as a materialised value.
func Value(b *connectors.Batch, f *connectors.Field, c connectors.Cell) schemas.Value {
	d, _ := Read(b, f, c, nil)
	switch d.Kind {
	case DatumBool:
		return d.Int != 0
	case DatumInt:
		switch f.Schema.Kind {
		case schemas.Int8:
			return int8(d.Int)
		case schemas.Int16:
			return int16(d.Int)
		case schemas.Int32:
			return int32(d.Int)
		}
		return d.Int
	case DatumFloat32:
		return float32(d.Float)
	case DatumFloat64:
		return d.Float
	case DatumText:
		return string(d.Bytes)
	case DatumBytes:
		return append([]byte{}, d.Bytes...)
	case DatumList:
		out := make(schemas.ArrayValue, len(d.Cells))
		for i, e := range d.Cells {
			out[i] = Value(b, f.Elem, e)
		}
		return out
	case DatumMap:
		out := make(schemas.MapValue, 0, len(d.Cells)/2)
		for _, at := range AppendMapOrder(nil, b, d.Cells) {
			e := schemas.MapEntry{Key: string(b.Bytes(d.Cells[at]))}
			if d.Cells[at+1].Kind == connectors.KindText {
				e.Value = string(b.Bytes(d.Cells[at+1]))
			}
			out = append(out, e)
		}
		return out
	case DatumVariable:
		return schemas.StructValue{int32(d.Int), append([]byte{}, d.Bytes...)}
	case DatumPoint:
		return schemas.StructValue{d.Float, d.Y, append([]byte{}, d.Bytes...), srid(d)}
	case DatumGeometry:
		return schemas.StructValue{append([]byte{}, d.Bytes...), srid(d)}
	}
	return d.Value
}

func srid(d Datum) schemas.Value {
	if d.Int == 0 {
		return nil
	}
	return int32(d.Int)
}

func envelope(b *connectors.Batch, s *connectors.Stream, r *connectors.Record) schemas.StructValue {
	out := make(schemas.StructValue, len(s.Value.Fields))
	if !r.Before.Absent() {
		out[EnvelopeBefore] = Struct(b, s.Fields, b.Cells(r.Before))
	}
	if !r.After.Absent() {
		out[EnvelopeAfter] = Struct(b, s.Fields, b.Cells(r.After))
	}
	source := b.Cells(r.Source)
	out[EnvelopeSource] = SourceValue(b, s.Source, source)
	if at := s.Source.Transaction; at > 0 && at < len(source) && source[at].Kind == connectors.KindList {
		block := b.List(source[at])
		out[EnvelopeTransaction] = schemas.StructValue{string(b.Bytes(block[0])), block[1].Int(), block[2].Int()}
	}
	out[EnvelopeOp] = string([]byte{r.Op.Letter()})
	out[EnvelopeTsMs] = floorDiv(r.Timestamp, 1e6)
	out[EnvelopeTsUs] = floorDiv(r.Timestamp, 1e3)
	out[EnvelopeTsNs] = r.Timestamp
	return out
}

// SourceValue makes the source struct from its cells.
func SourceValue(b Cells, s *connectors.SourceBlock, cells []connectors.Cell) schemas.StructValue {
	out := make(schemas.StructValue, len(s.Fields))
	for i, f := range s.Fields {
		if f.Cell < 0 {
			out[i] = f.Constant
			continue
		}
		if f.Cell >= len(cells) {
			continue
		}
		switch c := cells[f.Cell]; c.Kind {
		case connectors.KindText:
			out[i] = string(b.Bytes(c))
		case connectors.KindBool:
			out[i] = c.Bool()
		case connectors.KindInt:
			v := c.Int()
			if f.Divide > 1 {
				v = floorDiv(v, f.Divide)
			}
			if f.Multiply > 1 {
				v *= f.Multiply
			}
			if s.Schema.Fields[i].Schema.Kind == schemas.Int32 {
				out[i] = int32(v)
			} else {
				out[i] = v
			}
		}
	}
	return out
}
