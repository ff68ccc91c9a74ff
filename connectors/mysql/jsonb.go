package mysql

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
)

// The types of values in MySQL's binary JSON.
const (
	jsonSmallObject = 0
	jsonLargeObject = 1
	jsonSmallArray  = 2
	jsonLargeArray  = 3
	jsonLiteral     = 4
	jsonInt16       = 5
	jsonUint16      = 6
	jsonInt32       = 7
	jsonUint32      = 8
	jsonInt64       = 9
	jsonUint64      = 10
	jsonDouble      = 11
	jsonString      = 12
	jsonOpaque      = 15

	jsonMaxDepth = 128 // the server allows 100
)

// appendJSON writes a document of binary JSON as text. An empty one is what the server stores for a missing value where NULL may not be.
func (l *layout) appendJSON(w *connectors.Builder, f *field, v []byte) error {
	if len(v) == 0 {
		if f.column.optional {
			w.Null()
		} else {
			w.String("{}")
		}
		return nil
	}
	text, err := appendJSONText(l.scratch.text[:0], v)
	l.scratch.text = text
	if err != nil {
		return err
	}
	w.Text(connectors.KindText, text)
	return nil
}

// appendJSONText writes binary JSON as the reference does: no spaces, members in the order of the document, doubles with a point and
// without an exponent, decimals with their scale, dates and times as texts, other values in base64.
func appendJSONText(dst, doc []byte) ([]byte, error) {
	if len(doc) == 0 {
		return dst, errMalformed
	}
	d := jsonDoc{data: doc[1:], budget: len(doc)}
	start := len(dst)
	dst, ok := d.append(dst, jsonValue{kind: doc[0]}, 0)
	if !ok {
		return dst, errMalformed
	}
	return validFrom(dst, start), nil
}

// validFrom replaces malformed UTF-8 of texts in what was written last.
func validFrom(dst []byte, start int) []byte {
	if utf8.Valid(dst[start:]) {
		return dst
	}
	return appendReplaced(dst[:start], slices.Clone(dst[start:]))
}

// jsonDoc is a document without its first byte, the type of the whole. budget is the number of bytes that may still be visited: no
// document visits any of its bytes twice.
type jsonDoc struct {
	data   []byte
	budget int
}

// jsonValue is a value of a document: kind, and where it is; values of up to two (large containers: four) bytes are inside their entry.
type jsonValue struct {
	kind byte
	at   int
}

func (d *jsonDoc) spend(n int) bool {
	d.budget -= n
	return d.budget >= 0
}

func (d *jsonDoc) bytes(at, n int) ([]byte, bool) {
	if at < 0 || n < 0 || at > len(d.data) || n > len(d.data)-at {
		return nil, false
	}
	return d.data[at : at+n], true
}

// container is an object or an array: entries of keys, entries of values, then the keys and values themselves.
type container struct {
	at, count, width int // width: bytes of an offset
	object           bool
}

func (d *jsonDoc) container(v jsonValue) (c container, ok bool) {
	c = container{at: v.at, width: 2, object: v.kind == jsonSmallObject || v.kind == jsonLargeObject}
	if v.kind == jsonLargeObject || v.kind == jsonLargeArray {
		c.width = 4
	}
	head, ok := d.bytes(v.at, 2*c.width)
	if !ok {
		return c, false
	}
	c.count = d.offset(head, c.width)
	entries := c.width + 1
	if c.object {
		entries += c.width + 2
	}
	return c, c.count <= len(d.data)/entries && d.spend(c.count*entries)
}

func (d *jsonDoc) offset(b []byte, width int) int {
	if width == 2 {
		return int(binary.LittleEndian.Uint16(b))
	}
	return int(binary.LittleEndian.Uint32(b))
}

// key is the name of member i.
func (d *jsonDoc) key(c container, i int) ([]byte, bool) {
	entry, ok := d.bytes(c.at+2*c.width+i*(c.width+2), c.width+2)
	if !ok {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint16(entry[c.width:]))
	if !d.spend(n) {
		return nil, false
	}
	return d.bytes(c.at+d.offset(entry, c.width), n)
}

// value is element or member i.
func (d *jsonDoc) value(c container, i int) (jsonValue, bool) {
	at := c.at + 2*c.width + i*(c.width+1)
	if c.object {
		at += c.count * (c.width + 2)
	}
	entry, ok := d.bytes(at, c.width+1)
	if !ok {
		return jsonValue{}, false
	}
	switch kind := entry[0]; {
	case kind == jsonLiteral, kind == jsonInt16, kind == jsonUint16, c.width == 4 && (kind == jsonInt32 || kind == jsonUint32):
		return jsonValue{kind, at + 1}, true
	default:
		return jsonValue{kind, c.at + d.offset(entry[1:], c.width)}, true
	}
}

func (d *jsonDoc) append(dst []byte, v jsonValue, depth int) ([]byte, bool) {
	if v.kind > jsonLargeArray {
		return d.appendScalar(dst, v)
	}
	c, ok := d.container(v)
	if !ok || depth > jsonMaxDepth {
		return dst, false
	}
	open, end := byte('['), byte(']')
	if c.object {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for i := range c.count {
		if i > 0 {
			dst = append(dst, ',')
		}
		if c.object {
			key, ok := d.key(c, i)
			if !ok {
				return dst, false
			}
			dst = append(appendJSONString(dst, key), ':')
		}
		item, ok := d.value(c, i)
		if !ok {
			return dst, false
		}
		if dst, ok = d.append(dst, item, depth+1); !ok {
			return dst, false
		}
	}
	return append(dst, end), true
}

func (d *jsonDoc) appendScalar(dst []byte, v jsonValue) ([]byte, bool) {
	sizes := [...]int{jsonLiteral: 1, jsonInt16: 2, jsonUint16: 2, jsonInt32: 4, jsonUint32: 4, jsonInt64: 8, jsonUint64: 8, jsonDouble: 8}
	if int(v.kind) >= len(sizes) {
		return d.appendLong(dst, v)
	}
	b, ok := d.bytes(v.at, sizes[v.kind])
	if !ok {
		return dst, false
	}
	switch n := littleEndian(b); v.kind {
	case jsonLiteral:
		switch n {
		case 0:
			return append(dst, "null"...), true
		case 1:
			return append(dst, "true"...), true
		case 2:
			return append(dst, "false"...), true
		}
		return dst, false
	case jsonInt16:
		return strconv.AppendInt(dst, int64(int16(n)), 10), true
	case jsonInt32:
		return strconv.AppendInt(dst, int64(int32(n)), 10), true
	case jsonInt64:
		return strconv.AppendInt(dst, int64(n), 10), true
	case jsonDouble:
		return appendJSONDouble(dst, math.Float64frombits(n))
	default:
		return strconv.AppendUint(dst, n, 10), true
	}
}

// appendLong writes texts and values of SQL types: a length of up to five bytes with seven bits each, then the bytes.
func (d *jsonDoc) appendLong(dst []byte, v jsonValue) ([]byte, bool) {
	var sql byte
	at := v.at
	if v.kind == jsonOpaque {
		b, ok := d.bytes(at, 1)
		if !ok {
			return dst, false
		}
		sql = b[0]
		at++
	} else if v.kind != jsonString {
		return dst, false
	}
	n := 0
	for i := 0; ; i++ {
		b, ok := d.bytes(at, 1)
		if !ok || i == 5 {
			return dst, false
		}
		at++
		n |= int(b[0]&0x7f) << (7 * i)
		if b[0] < 0x80 {
			break
		}
	}
	b, ok := d.bytes(at, n)
	if !ok || !d.spend(n) {
		return dst, false
	}
	if v.kind == jsonString {
		return appendJSONString(dst, b), true
	}
	return appendJSONOpaque(dst, sql, b)
}

// appendJSONOpaque writes a value of an SQL type.
func appendJSONOpaque(dst []byte, sql byte, b []byte) ([]byte, bool) {
	switch sql {
	case 0, wireNewDecimal:
		if len(b) < 3 || b[1] > b[0] || b[0] > 65 {
			return dst, false
		}
		out, err := appendDecimalText(dst, b[2:], int(b[0]-b[1]), int(b[1]))
		return out, err == nil
	case wireDate, wireTime, wireTime2, wireDatetime, wireDatetime2, wireTimestamp, wireTimestamp2:
		if len(b) != 8 {
			return dst, false
		}
		return appendJSONTemporal(dst, sql, int64(binary.LittleEndian.Uint64(b))), true
	}
	dst = append(dst, '"')
	return append(base64.StdEncoding.AppendEncode(dst, b), '"'), true
}

// appendJSONTemporal writes a date, a time or both from the server's packed form: the parts above 24 bits of µs.
func appendJSONTemporal(dst []byte, sql byte, packed int64) []byte {
	dst = append(dst, '"')
	if packed < 0 {
		dst = append(dst, '-')
		packed = -packed
	}
	micros, parts := uint32(packed&(1<<24-1)), packed>>24
	clock, day := parts&(1<<17-1), parts>>17
	if sql != wireTime && sql != wireTime2 {
		month := day >> 5
		dst = append(appendDigits(dst, uint32(month/13), 4), '-')
		dst = append(appendDigits(dst, uint32(month%13), 2), '-')
		dst = appendDigits(dst, uint32(day&31), 2)
		if sql == wireDate {
			return append(dst, '"')
		}
		dst = append(dst, ' ')
	}
	hours := uint32(clock >> 12)
	if sql == wireTime || sql == wireTime2 {
		hours = uint32(parts >> 12 & 1023)
	}
	dst = append(appendDigits(dst, hours, max(2, len(strconv.Itoa(int(hours))))), ':')
	dst = append(appendDigits(dst, uint32(clock>>6&63), 2), ':')
	dst = appendDigits(dst, uint32(clock&63), 2)
	if micros > 0 {
		start := len(dst)
		dst = trimZeros(appendDigits(append(dst, '.'), micros%1_000_000, 6), start)
	}
	return append(dst, '"')
}

// appendJSONString writes a text with quotes; it escapes only what JSON demands.
func appendJSONString(dst, s []byte) []byte {
	const hex = "0123456789ABCDEF"
	dst = append(dst, '"')
	from := 0
	for i, b := range s {
		if b >= ' ' && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}
