package timescaledb

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
)

// form is how a cell becomes a field of PostgreSQL's binary COPY format; chosen once per column.
type form uint16

const (
	formNone form = iota
	formBool
	formInt2
	formInt4
	formInt8
	formOid
	formFloat4
	formFloat8
	formNumeric
	formText // of any type whose binary form is its text, and of staging columns that are cast
	formQChar
	formJSONB
	formBytea
	formDate
	formTime
	formTimeTZ
	formTimestamp
	formInterval
	formUUID
	formBits
	formPoint
	formArray
	formMapJSON   // json text
	formMapJSONB  // jsonb
	formMapHstore // hstore text
)

// problem is why a value does not fit; "" is none. It says the class of the value, never the value.
type problem string

const (
	problemKind      problem = "the value is of another kind than the column"
	problemRange     problem = "the number is out of the column's range"
	problemExact     problem = "the column cannot hold the number exactly"
	problemDigits    problem = "the number has more digits than the column"
	problemInfinite  problem = "the column cannot hold an infinite number"
	problemLength    problem = "the text is longer than the column"
	problemZero      problem = "the text holds a zero byte, which PostgreSQL cannot store"
	problemSurrogate problem = "the JSON text has one half of a surrogate pair, which jsonb cannot store"
	problemUTF8      problem = "the text is not valid UTF-8"
	problemFraction  problem = "the value has more fractional digits of a second than the column"
	problemTime      problem = "the time is outside of what the type can hold"
	problemUUID      problem = "the text is not a UUID"
	problemNumber    problem = "the text is not a number"
	problemBitCount  problem = "the bit string has another length than the column"
	problemRagged    problem = "the inner arrays differ in length"
	problemMissing   problem = "the value was not sent by the source"
	problemUnsent    problem = "the unchanged value was not sent by the source"
	problemNoTime    problem = "the value is not known"
)

// encoder writes the values of one column. limit and scale are those of the target column, -1 without.
type encoder struct {
	form   form
	limit  int32 // characters, bits; digits of a numeric
	scale  int32 // digits after the point of a numeric, of a second
	padded bool  // character(n): trailing blanks do not count
	elem   *encoder
	oid    uint32 // of the element of an array
}

const (
	secondsTo2000 = 946684800
	daysTo2000    = 10957
	microsTo2000  = secondsTo2000 * 1000000
	microsPerDay  = 86400 * 1000000
)

// append writes length and content of one value. NULL and unavailable values are for the caller.
func (e *encoder) append(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	switch e.form {
	case formBool:
		switch {
		case c.Kind == connectors.KindInt && c.Uint() <= 1:
		case c.Kind == connectors.KindInt:
			return dst, problemRange
		case c.Kind != connectors.KindBool:
			return e.bit(dst, b, c)
		}
		return append(dst, 0, 0, 0, 1, byte(c.Uint())), ""
	case formInt2, formInt4, formInt8, formOid:
		return e.integer(dst, c)
	case formFloat4, formFloat8:
		return e.float(dst, c)
	case formNumeric:
		return e.number(dst, b, c)
	case formText, formQChar, formJSONB:
		return e.text(dst, b, c)
	case formDate, formTime, formTimeTZ, formTimestamp:
		return e.temporal(dst, c)
	case formBytea:
		if c.Kind != connectors.KindBytes {
			return dst, problemKind
		}
		return appendBytes(dst, b.Bytes(c)), ""
	case formUUID:
		if c.Kind != connectors.KindText {
			return dst, problemKind
		}
		return appendUUID(dst, b.Bytes(c))
	case formBits:
		return e.bits(dst, b, c)
	case formInterval:
		return e.interval(dst, b, c)
	case formPoint:
		return point(dst, b, c)
	case formArray:
		return e.array(dst, b, c)
	case formMapJSON, formMapJSONB, formMapHstore:
		return e.mapping(dst, b, c)
	}
	return dst, problemKind
}

func appendBytes(dst, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...)
}

func (e *encoder) integer(dst []byte, c connectors.Cell) ([]byte, problem) {
	v := c.Int()
	switch c.Kind {
	case connectors.KindInt, connectors.KindBool:
	case connectors.KindUint:
		if v < 0 {
			return dst, problemRange
		}
	default:
		return dst, problemKind
	}
	switch e.form {
	case formInt8:
		dst = append(dst, 0, 0, 0, 8)
		return binary.BigEndian.AppendUint64(dst, uint64(v)), ""
	case formInt4:
		if v != int64(int32(v)) {
			return dst, problemRange
		}
	case formOid:
		if v != int64(uint32(v)) {
			return dst, problemRange
		}
	default:
		if v != int64(int16(v)) {
			return dst, problemRange
		}
		return append(dst, 0, 0, 0, 2, byte(v>>8), byte(v)), ""
	}
	dst = append(dst, 0, 0, 0, 4)
	return binary.BigEndian.AppendUint32(dst, uint32(v)), ""
}

func (e *encoder) float(dst []byte, c connectors.Cell) ([]byte, problem) {
	if c.Kind != connectors.KindFloat32 && c.Kind != connectors.KindFloat64 {
		return dst, problemKind
	}
	v := c.Float()
	if e.form == formFloat8 {
		dst = append(dst, 0, 0, 0, 8)
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v)), ""
	}
	narrow := float32(v)
	if float64(narrow) != v && !math.IsNaN(v) {
		return dst, problemExact
	}
	dst = append(dst, 0, 0, 0, 4)
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(narrow)), ""
}

func (e *encoder) text(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	if c.Kind != connectors.KindText {
		return dst, problemKind
	}
	v := b.Bytes(c)
	if bytes.IndexByte(v, 0) >= 0 {
		return dst, problemZero
	}
	if !utf8.Valid(v) {
		return dst, problemUTF8
	}
	switch {
	case e.form == formJSONB:
		if why := escapes(v); why != "" {
			return dst, why
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)+1))
		return append(append(dst, 1), v...), ""
	case e.form == formQChar && len(v) > 1 && (len(v) != 4 || v[0] != '\\'):
		return dst, problemLength
	case e.limit >= 0 && len(v) > int(e.limit):
		counted := v
		if e.padded {
			counted = bytes.TrimRight(v, " ")
		}
		if utf8.RuneCount(counted) > int(e.limit) {
			return dst, problemLength
		}
	}
	return appendBytes(dst, v), ""
}

// escapes looks for what json keeps in strings and jsonb refuses: \u0000, and halves of pairs of surrogates (I10).
func escapes(v []byte) problem {
	i := bytes.Index(v, []byte(`\u`))
	if i < 0 {
		return ""
	}
	for i = bytes.IndexByte(v, '\\'); i >= 0 && i+1 < len(v); {
		unit, ok := codeUnit(v[i:])
		switch next, pair := codeUnit(v[min(i+6, len(v)):]); {
		case !ok:
			i += 2
		case unit == 0:
			return problemZero
		case !utf16.IsSurrogate(unit):
			i += 6
		case !pair || utf16.DecodeRune(unit, next) == utf8.RuneError:
			return problemSurrogate
		default:
			i += 12
		}
		at := bytes.IndexByte(v[min(i, len(v)):], '\\')
		if at < 0 {
			break
		}
		i += at
	}
	return ""
}

// codeUnit reads an escape \uXXXX at the beginning of a text.
func codeUnit(v []byte) (rune, bool) {
	if len(v) < 6 || v[0] != '\\' || v[1] != 'u' {
		return 0, false
	}
	var half [2]byte
	_, err := hex.Decode(half[:], v[2:6])
	return rune(half[0])<<8 | rune(half[1]), err == nil
}

func (e *encoder) temporal(dst []byte, c connectors.Cell) ([]byte, problem) {
	v := c.Int()
	infinite := v == math.MaxInt64 || v == math.MinInt64
	switch e.form {
	case formDate:
		if c.Kind != connectors.KindDate {
			return dst, problemKind
		}
		days := v - daysTo2000
		switch {
		case v == math.MaxInt64:
			days = math.MaxInt32
		case v == math.MinInt64:
			days = math.MinInt32
		case days >= math.MaxInt32 || days <= math.MinInt32:
			return dst, problemTime
		}
		dst = append(dst, 0, 0, 0, 4)
		return binary.BigEndian.AppendUint32(dst, uint32(int32(days))), ""
	case formTimestamp:
		if c.Kind != connectors.KindTimestamp && c.Kind != connectors.KindTimestampTZ {
			return dst, problemKind
		}
		if !infinite {
			if v < math.MinInt64+microsTo2000+1 {
				return dst, problemTime
			}
			if v -= microsTo2000; e.cut(v) {
				return dst, problemFraction
			}
		}
		dst = append(dst, 0, 0, 0, 8)
		return binary.BigEndian.AppendUint64(dst, uint64(v)), ""
	}
	if v < 0 || v > microsPerDay {
		return dst, problemTime
	}
	if e.cut(v) {
		return dst, problemFraction
	}
	if e.form == formTime {
		if c.Kind != connectors.KindTime {
			return dst, problemKind
		}
		dst = append(dst, 0, 0, 0, 8)
		return binary.BigEndian.AppendUint64(dst, uint64(v)), ""
	}
	if c.Kind != connectors.KindTimeTZ {
		return dst, problemKind
	}
	dst = append(dst, 0, 0, 0, 12)
	dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	return binary.BigEndian.AppendUint32(dst, uint32(-c.Offset())), "" // the wire counts seconds west
}

// cut tells that micros have digits that the column does not hold.
func (e *encoder) cut(micros int64) bool {
	if e.scale < 0 || e.scale >= 6 {
		return false
	}
	unit := int64(1000000)
	for range e.scale {
		unit /= 10
	}
	return micros%unit != 0
}

func (e *encoder) interval(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	var months, days int32
	var micros int64
	switch c.Kind {
	case connectors.KindInterval:
		months, days, micros = b.Interval(c)
	case connectors.KindTime: // MySQL's, which may be below zero and above a day
		micros = c.Int()
	default:
		return dst, problemKind
	}
	if e.cut(micros) {
		return dst, problemFraction
	}
	dst = append(dst, 0, 0, 0, 16)
	dst = binary.BigEndian.AppendUint64(dst, uint64(micros))
	dst = binary.BigEndian.AppendUint32(dst, uint32(days))
	return binary.BigEndian.AppendUint32(dst, uint32(months)), ""
}

// bit writes a single bit into a boolean column.
func (e *encoder) bit(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	if c.Kind != connectors.KindBits {
		return dst, problemKind
	}
	v := b.Bytes(c)
	if len(v) != 1 {
		return dst, problemBitCount
	}
	return append(dst, 0, 0, 0, 1, v[0]-'0'), ""
}

// bits writes a bit string; padded is for the type bit(n), which has exactly n.
func (e *encoder) bits(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	if c.Kind != connectors.KindBits {
		return dst, problemKind
	}
	v := b.Bytes(c)
	if e.limit >= 0 && (len(v) > int(e.limit) || e.padded && len(v) != int(e.limit)) {
		return dst, problemBitCount
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+(len(v)+7)/8))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
	var packed byte
	for i, digit := range v {
		packed = packed<<1 | digit&1
		if i%8 == 7 {
			dst = append(dst, packed)
		}
	}
	if rest := len(v) % 8; rest > 0 {
		dst = append(dst, packed<<(8-rest))
	}
	return dst, ""
}

func point(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	if c.Kind != connectors.KindPoint {
		return dst, problemKind
	}
	xy := b.List(c)
	if len(xy) != 2 {
		return dst, problemKind
	}
	dst = append(dst, 0, 0, 0, 16)
	dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(xy[0].Float()))
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(xy[1].Float())), ""
}

func appendUUID(dst, v []byte) ([]byte, problem) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 16)
	half, have := byte(0), 0
	for _, ch := range v {
		var n byte
		switch {
		case ch >= '0' && ch <= '9':
			n = ch - '0'
		case ch >= 'a' && ch <= 'f':
			n = ch - 'a' + 10
		case ch >= 'A' && ch <= 'F':
			n = ch - 'A' + 10
		case ch == '-':
			continue
		default:
			return dst[:start], problemUUID
		}
		if have++; have%2 == 1 {
			half = n << 4
			continue
		}
		dst = append(dst, half|n)
	}
	if have != 32 {
		return dst[:start], problemUUID
	}
	return dst, ""
}
