package connectors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/freshet-io/freshet/schemas"
)

// schemaWriter numbers the schemas that were sent; 0 is nil.
type schemaWriter struct{ sent map[*schemas.Schema]uint64 }

// schemaReader holds the schemas that were received.
type schemaReader struct{ got []*schemas.Schema }

// wireDepth bounds how deep schemas, values and columns nest.
const wireDepth = 64

type wireEncoder struct {
	out     []byte
	schemas *schemaWriter
	err     error
}

func (e *wireEncoder) uint(v uint64) { e.out = binary.AppendUvarint(e.out, v) }
func (e *wireEncoder) int(v int64)   { e.out = binary.AppendVarint(e.out, v) }
func (e *wireEncoder) text(v string) { e.uint(uint64(len(v))); e.out = append(e.out, v...) }
func (e *wireEncoder) order(o Order) {
	e.uint(uint64(o.Epoch))
	e.uint(o.Major)
	e.uint(uint64(o.Minor))
}

func (e *wireEncoder) flag(v bool) {
	if v {
		e.out = append(e.out, 1)
	} else {
		e.out = append(e.out, 0)
	}
}

func (e *wireEncoder) schema(s *schemas.Schema) {
	if s == nil {
		e.uint(0)
		return
	}
	if e.schemas.sent == nil {
		e.schemas.sent = map[*schemas.Schema]uint64{}
	}
	if id, ok := e.schemas.sent[s]; ok {
		e.uint(id)
		return
	}
	// Its parts first: they get their numbers before it.
	for _, f := range s.Fields {
		e.declare(f.Schema)
	}
	e.declare(s.Key)
	e.declare(s.Elem)
	id := uint64(len(e.schemas.sent) + 1)
	e.schemas.sent[s] = id
	e.uint(id)
	e.out = append(e.out, byte(s.Kind))
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
	e.uint(uint64(len(s.Fields)))
	for _, f := range s.Fields {
		e.text(f.Name)
		e.schema(f.Schema)
	}
	e.schema(s.Key)
	e.schema(s.Elem)
}

// declare sends a schema that is not known yet, marked as an announcement.
func (e *wireEncoder) declare(s *schemas.Schema) {
	if s == nil {
		return
	}
	if _, ok := e.schemas.sent[s]; !ok {
		e.uint(math.MaxUint32)
		e.schema(s)
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

func (e *wireEncoder) tag(t byte) { e.out = append(e.out, t) }

func (e *wireEncoder) value(v schemas.Value) {
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
		e.text(string(v))
	case schemas.ArrayValue:
		e.values(tagArray, v)
	case schemas.StructValue:
		e.values(tagStruct, v)
	case schemas.MapValue:
		e.tag(tagMap)
		e.uint(uint64(len(v)))
		for _, x := range v {
			e.value(x.Key)
			e.value(x.Value)
		}
	default:
		e.err = errors.Join(e.err, fmt.Errorf("a value of type %T", v))
	}
}

func (e *wireEncoder) values(tag byte, list []schemas.Value) {
	e.tag(tag)
	e.uint(uint64(len(list)))
	for _, x := range list {
		e.value(x)
	}
}

func (e *wireEncoder) typed(t schemas.Typed) {
	e.schema(t.Schema)
	e.value(t.Value)
}

type wireDecoder struct {
	rest    []byte
	schemas *schemaReader
	depth   int
	err     error
}

func (d *wireDecoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.rest = nil
}

func (d *wireDecoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.fail("it ends too early")
		return nil
	}
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out
}

func (d *wireDecoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *wireDecoder) uint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("a number is cut")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *wireDecoder) int() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail("a number is cut")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *wireDecoder) text() string {
	n := d.uint()
	if n > uint64(len(d.rest)) {
		d.fail("a text is cut")
		return ""
	}
	return string(d.take(int(n)))
}

// count reads the length of a list whose items take at least least bytes each.
func (d *wireDecoder) count(least int) int {
	n := d.uint()
	if n > uint64(len(d.rest)/least) {
		d.fail("a list of %d items in %d bytes", n, len(d.rest))
		return 0
	}
	return int(n)
}

func (d *wireDecoder) small(limit uint64) int {
	v := d.uint()
	if v > limit {
		d.fail("number %d above %d", v, limit)
		return 0
	}
	return int(v)
}

func (d *wireDecoder) flag() bool { return d.byte() != 0 }

func (d *wireDecoder) order() Order {
	return Order{Epoch: uint32(d.small(math.MaxUint32)), Major: d.uint(), Minor: uint32(d.small(math.MaxUint32))}
}

// down counts the depth of what is being read.
func (d *wireDecoder) down() bool {
	d.depth++
	if d.depth > wireDepth {
		d.fail("nested deeper than %d", wireDepth)
	}
	return d.err == nil
}

func (d *wireDecoder) schema() *schemas.Schema {
	defer func() { d.depth-- }()
	if !d.down() {
		return nil
	}
	id := d.uint()
	for id == math.MaxUint32 && d.err == nil { // announcements
		d.schema()
		id = d.uint()
	}
	got := uint64(len(d.schemas.got))
	switch {
	case d.err != nil || id == 0:
		return nil
	case id <= got:
		return d.schemas.got[id-1]
	case id != got+1:
		d.fail("schema %d is not known", id)
		return nil
	}
	s := &schemas.Schema{Kind: schemas.Kind(d.byte()), Optional: d.flag(), Name: d.text(), Version: int32(d.int()), Doc: d.text()}
	if s.Kind < schemas.Int8 || s.Kind > schemas.Struct {
		d.fail("schema kind %d", s.Kind)
	}
	for range d.count(2) {
		s.Parameters = append(s.Parameters, schemas.Parameter{Name: d.text(), Value: d.text()})
	}
	s.Default = d.value()
	for range d.count(2) {
		f := schemas.Field{Name: d.text(), Schema: d.schema()}
		if f.Schema == nil {
			d.fail("field without schema")
		}
		s.Fields = append(s.Fields, f)
	}
	s.Key, s.Elem = d.schema(), d.schema()
	d.schemas.got = append(d.schemas.got, s)
	return s
}

func (d *wireDecoder) value() schemas.Value {
	defer func() { d.depth-- }()
	if !d.down() {
		return nil
	}
	switch t := d.byte(); t {
	case tagNil:
	case tagFalse, tagTrue:
		return t == tagTrue
	case tagInt8:
		return int8(d.int())
	case tagInt16:
		return int16(d.int())
	case tagInt32:
		return int32(d.int())
	case tagInt64:
		return d.int()
	case tagFloat32:
		if p := d.take(4); p != nil {
			return math.Float32frombits(binary.LittleEndian.Uint32(p))
		}
	case tagFloat64:
		if p := d.take(8); p != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(p))
		}
	case tagString:
		return d.text()
	case tagBytes:
		return []byte(d.text())
	case tagArray:
		return schemas.ArrayValue(d.values())
	case tagStruct:
		return schemas.StructValue(d.values())
	case tagMap:
		out := schemas.MapValue{}
		for range d.count(2) {
			out = append(out, schemas.MapEntry{Key: d.value(), Value: d.value()})
		}
		return out
	default:
		d.fail("value tag %d", t)
	}
	return nil
}

func (d *wireDecoder) values() []schemas.Value {
	out := []schemas.Value{}
	for range d.count(1) {
		out = append(out, d.value())
	}
	return out
}

func (d *wireDecoder) typed() schemas.Typed {
	return schemas.Typed{Schema: d.schema(), Value: d.value()}
}
