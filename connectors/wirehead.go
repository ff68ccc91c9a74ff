package connectors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/freshet-io/freshet/schemas"
)

// wireDecoder reads the head of a message. After a failure it reads nothing but zeros.
type wireDecoder struct {
	rest   []byte
	reader *WireReader
	weight int // bytes of memory that bodies and raw records take
	err    error
}

func (d *wireDecoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.rest = nil
}

func (d *wireDecoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail("the head is cut")
		return nil
	}
	out := d.rest[:n:n]
	d.rest = d.rest[n:]
	return out
}

func (d *wireDecoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

// uint reads a number that has no more bytes than it needs.
func (d *wireDecoder) uint() uint64 {
	v, n := binary.Uvarint(d.rest)
	switch {
	case n == 0:
		d.fail("the head is cut")
		return 0
	case n < 0 || n > 1 && d.rest[n-1] == 0:
		d.fail("a number has more than 64 bits, or more bytes than it needs")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *wireDecoder) int() int64 {
	v := d.uint()
	return int64(v>>1) ^ -int64(v&1)
}

// signed reads a number of so many bits.
func (d *wireDecoder) signed(bits int) int64 {
	v := d.int()
	if shift := 64 - bits; v<<shift>>shift != v {
		d.fail("number %d has more than %d bits", v, bits)
		return 0
	}
	return v
}

func (d *wireDecoder) int32() int32 { return int32(d.signed(32)) }

// index reads an index that is not below least.
func (d *wireDecoder) index(least int64) int {
	v := d.signed(32)
	if v < least || v == math.MaxInt32 {
		d.fail("index %d", v)
		return 0
	}
	return int(v)
}

func (d *wireDecoder) small(limit uint64) uint64 {
	v := d.uint()
	if v > limit {
		d.fail("number %d above %d", v, limit)
		return 0
	}
	return v
}

func (d *wireDecoder) text() string { return string(d.take(d.uint())) }

// count reads the length of a list whose items take at least least bytes each.
func (d *wireDecoder) count(least int) int {
	n := d.uint()
	if n > uint64(len(d.rest)/least) {
		d.fail("a list of %d items in %d bytes", n, len(d.rest))
		return 0
	}
	return int(n)
}

func (d *wireDecoder) flag() bool {
	b := d.byte()
	if b > 1 {
		d.fail("flag %d", b)
	}
	return b == 1
}

func (d *wireDecoder) order() Order {
	return Order{Epoch: uint32(d.small(math.MaxUint32)), Major: d.uint(), Minor: uint32(d.small(math.MaxUint32))}
}

// deep tells that there is nothing to read at this depth.
func (d *wireDecoder) deep(depth, most int) bool {
	if depth > most {
		d.fail("nested deeper than %d", most)
	}
	return d.err != nil
}

// definitions reads the schemas and streams that are new.
func (d *wireDecoder) definitions() {
	r := d.reader
	n := d.count(7)
	before := len(d.rest)
	for range n {
		s := d.schema()
		if d.err != nil {
			return
		}
		r.schemas = append(r.schemas, s)
	}
	r.known += before - len(d.rest)
	n = d.count(9)
	before = len(d.rest)
	for range n {
		s := d.stream()
		if d.err != nil {
			return
		}
		r.streams = append(r.streams, s)
	}
	r.known += before - len(d.rest)
	if r.known > r.bound {
		d.fail("streams and schemas take %d bytes, more than %d", r.known, r.bound)
	}
	d.weight = 0
}

// ref reads a reference to a schema.
func (d *wireDecoder) ref() *schemas.Schema {
	id := d.uint()
	if id == 0 {
		return nil
	}
	if id > uint64(len(d.reader.schemas)) {
		d.fail("schema %d of %d", id, len(d.reader.schemas))
		return nil
	}
	return d.reader.schemas[id-1].Schema
}

// part is ref for what a schema is made of.
func (d *wireDecoder) part(of *knownSchema) *schemas.Schema {
	id := d.uint()
	if id == 0 || id > uint64(len(d.reader.schemas)) {
		d.fail("a schema refers to schema %d of %d", id, len(d.reader.schemas))
		return nil
	}
	p := &d.reader.schemas[id-1]
	of.size += p.size
	of.depth = max(of.depth, p.depth+1)
	if of.size > wireSchemaSize || of.depth > wireDepth {
		d.fail("a schema that stands for more than %d, or nests deeper than %d", wireSchemaSize, wireDepth)
	}
	return p.Schema
}

func (d *wireDecoder) schema() knownSchema {
	s := &schemas.Schema{Kind: schemas.Kind(d.byte()), Optional: d.flag(), Name: d.text(), Version: d.int32(), Doc: d.text()}
	out := knownSchema{s, 1, 1}
	for range d.count(2) {
		s.Parameters = append(s.Parameters, schemas.Parameter{Name: d.text(), Value: d.text()})
	}
	s.Default = d.value()
	switch s.Kind {
	case schemas.Struct:
		for range d.count(2) {
			s.Fields = append(s.Fields, schemas.Field{Name: d.text(), Schema: d.part(&out)})
		}
	case schemas.Map:
		s.Key, s.Elem = d.part(&out), d.part(&out)
	case schemas.Array:
		s.Elem = d.part(&out)
	default:
		if s.Kind < schemas.Int8 || s.Kind > schemas.Struct {
			d.fail("schema kind %d", s.Kind)
		}
	}
	return out
}

// valueSize is what a value takes in a list.
const valueSize = 16

func (d *wireDecoder) value() schemas.Value { return d.valueAt(1) }

func (d *wireDecoder) valueAt(depth int) schemas.Value {
	if d.deep(depth, wireDepth) {
		return nil
	}
	d.weight += valueSize
	switch t := d.byte(); t {
	case tagNil:
	case tagFalse, tagTrue:
		return t == tagTrue
	case tagInt8:
		return int8(d.signed(8))
	case tagInt16:
		return int16(d.signed(16))
	case tagInt32:
		return d.int32()
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
		v := d.text()
		d.weight += len(v) + valueSize
		return v
	case tagBytes:
		v := []byte(d.text())
		d.weight += len(v) + valueSize
		return v
	case tagArray:
		return schemas.ArrayValue(d.values(depth + 1))
	case tagStruct:
		return schemas.StructValue(d.values(depth + 1))
	case tagMap:
		n := d.count(2)
		out := make(schemas.MapValue, 0, min(n, wireAhead))
		for range n {
			out = append(out, schemas.MapEntry{Key: d.valueAt(depth + 1), Value: d.valueAt(depth + 1)})
		}
		return out
	default:
		d.fail("value tag %d", t)
	}
	return nil
}

// wireAhead bounds for how many values memory is made before they have been seen.
const wireAhead = 64

func (d *wireDecoder) values(depth int) []schemas.Value {
	n := d.count(1)
	out := make([]schemas.Value, 0, min(n, wireAhead))
	for range n {
		out = append(out, d.valueAt(depth))
	}
	return out
}

// Bytes of memory of a body and of a raw record, without what they hold.
const (
	bodySize      = 48
	rawSize       = 144
	rawHeaderSize = 48
)

func (d *wireDecoder) bodies(b *Batch) {
	for range d.count(4) {
		b.Bodies = append(b.Bodies, Body{d.typed(), d.typed()})
		d.weight += bodySize
	}
}

func (d *wireDecoder) typed() schemas.Typed { return schemas.Typed{Schema: d.ref(), Value: d.value()} }

// raws reads at most one per record. They keep a copy of their part of the message, which is its end.
func (d *wireDecoder) raws(b *Batch, records int) {
	n := d.count(1)
	if n > records {
		d.fail("%d raw records for %d records", n, records)
	}
	if n == 0 || d.err != nil {
		return
	}
	d.weight += len(d.rest) + n*rawSize
	d.rest = bytes.Clone(d.rest)
	topic := ""
	var headers []RawHeader
	for i := range n {
		name := d.take(d.uint())
		if len(name) == 0 {
			if i == n-1 {
				d.fail("the last raw record is not known")
			}
			b.raws = append(b.raws, Raw{})
			continue
		}
		if string(name) != topic {
			topic = string(name)
		}
		r := Raw{Topic: topic, Partition: d.int32(), Offset: d.int(), Timestamp: d.int(), Key: d.nullable(), Value: d.nullable()}
		from := len(headers)
		for range d.count(2) {
			headers = append(headers, RawHeader{d.take(d.uint()), d.nullable()})
		}
		if len(headers) > from {
			r.Headers = headers[from:len(headers):len(headers)]
			d.weight += (len(headers) - from) * rawHeaderSize
		}
		b.raws = append(b.raws, r)
	}
}

// nullable reads what is nil when its length is 0, and else one byte shorter.
func (d *wireDecoder) nullable() []byte {
	if n := d.uint(); n > 0 {
		return d.take(n - 1)
	}
	return nil
}
