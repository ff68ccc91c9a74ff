package connectors

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/freshet-io/freshet/schemas"
)

// wireDepth bounds how deep schemas nest, and values; wireLists how deep lists do, and the fields and columns that say what is in them.
// wireSchemaSize is how many schemas one may stand for, unfolded.
const (
	wireDepth      = 1000
	wireLists      = 64
	wireSchemaSize = 1 << 20
)

type wireEncoder struct {
	out []byte
	err error // the first one
}

func (e *wireEncoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *wireEncoder) uint(v uint64)  { e.out = binary.AppendUvarint(e.out, v) }
func (e *wireEncoder) int(v int64)    { e.out = binary.AppendVarint(e.out, v) }
func (e *wireEncoder) text(v string)  { e.uint(uint64(len(v))); e.out = append(e.out, v...) }
func (e *wireEncoder) bytes(v []byte) { e.uint(uint64(len(v))); e.out = append(e.out, v...) }
func (e *wireEncoder) tag(t byte)     { e.out = append(e.out, t) }

func (e *wireEncoder) flag(v bool) {
	if v {
		e.tag(1)
	} else {
		e.tag(0)
	}
}

// nullable writes 0 for nil, else the length plus 1 and the bytes.
func (e *wireEncoder) nullable(v []byte) {
	if v == nil {
		e.uint(0)
		return
	}
	e.uint(uint64(len(v)) + 1)
	e.out = append(e.out, v...)
}

func (e *wireEncoder) order(o Order) {
	e.uint(uint64(o.Epoch))
	e.uint(o.Major)
	e.uint(uint64(o.Minor))
}

// schema writes a definition; what it refers to has been defined before.
func (e *wireEncoder) schema(w *WireWriter, s *schemas.Schema) {
	e.tag(byte(s.Kind))
	e.flag(s.Optional)
	e.text(s.Name)
	e.int(int64(s.Version))
	e.text(s.Doc)
	e.uint(uint64(len(s.Parameters)))
	for _, p := range s.Parameters {
		e.text(p.Name)
		e.text(p.Value)
	}
	e.value(s.Default)
	switch s.Kind {
	case schemas.Struct:
		e.uint(uint64(len(s.Fields)))
		for _, f := range s.Fields {
			e.text(f.Name)
			e.uint(w.schemas[f.Schema])
		}
	case schemas.Map:
		e.uint(w.schemas[s.Key])
		e.uint(w.schemas[s.Elem])
	case schemas.Array:
		e.uint(w.schemas[s.Elem])
	}
}

// Tags of values.
const (
	tagNil = iota
	tagFalse
	tagTrue
	tagInt8
	tagInt16
	tagInt32
	tagInt64
	tagFloat32
	tagFloat64
	tagString
	tagBytes
	tagArray
	tagMap
	tagStruct
)

func (e *wireEncoder) value(v schemas.Value) { e.valueAt(v, 1) }

func (e *wireEncoder) valueAt(v schemas.Value, depth int) {
	if depth > wireDepth {
		e.fail(fmt.Errorf("a value nested deeper than %d", wireDepth))
		return
	}
	switch v := v.(type) {
	case nil:
		e.tag(tagNil)
	case bool:
		if v {
			e.tag(tagTrue)
		} else {
			e.tag(tagFalse)
		}
	case int8:
		e.tag(tagInt8)
		e.int(int64(v))
	case int16:
		e.tag(tagInt16)
		e.int(int64(v))
	case int32:
		e.tag(tagInt32)
		e.int(int64(v))
	case int64:
		e.tag(tagInt64)
		e.int(v)
	case float32:
		e.tag(tagFloat32)
		e.out = binary.LittleEndian.AppendUint32(e.out, math.Float32bits(v))
	case float64:
		e.tag(tagFloat64)
		e.out = binary.LittleEndian.AppendUint64(e.out, math.Float64bits(v))
	case string:
		e.tag(tagString)
		e.text(v)
	case []byte:
		e.tag(tagBytes)
		e.bytes(v)
	case schemas.ArrayValue:
		e.values(tagArray, v, depth)
	case schemas.StructValue:
		e.values(tagStruct, v, depth)
	case schemas.MapValue:
		e.tag(tagMap)
		e.uint(uint64(len(v)))
		for _, x := range v {
			e.valueAt(x.Key, depth+1)
			e.valueAt(x.Value, depth+1)
		}
	default:
		e.fail(fmt.Errorf("a value of type %T", v))
	}
}

func (e *wireEncoder) values(tag byte, list []schemas.Value, depth int) {
	e.tag(tag)
	e.uint(uint64(len(list)))
	for _, x := range list {
		e.valueAt(x, depth+1)
	}
}
