package clickhouse

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// problem is why a value does not fit; "" is none. It says the class of the value, never the value.
type problem string

const (
	problemKind     problem = "the value is of another kind than the column"
	problemNull     problem = "the value is NULL, which the column cannot hold"
	problemRange    problem = "the number is out of the column's range"
	problemExact    problem = "the column cannot hold the number exactly"
	problemDigits   problem = "the number has more digits before the point than the column"
	problemScale    problem = "the number has more digits after the point than the column"
	problemSpecial  problem = "the number is NaN or infinite, which the column cannot hold"
	problemInfinite problem = "the date or time is infinite, which the column cannot hold"
	problemTime     problem = "the date or time is outside of what the column can hold"
	problemFraction problem = "the value has more fractional digits of a second than the column"
	problemLength   problem = "the text has another length than the column"
	problemUUID     problem = "the text is not a UUID"
	problemNumber   problem = "the text is not a number"
	problemLabel    problem = "the text is none of the column's labels"
	problemBits     problem = "the bit string is longer than the column"
	problemElement  problem = "an element of the list cannot be held: it is a list or missing"
	problemMissing  problem = "the source did not send the value"
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond

	// What Date32 and DateTime64 are documented to hold: 1900-01-01 to 2299-12-31.
	leastDay    = -25567
	mostDay     = 120529
	leastMicros = leastDay * microsPerDay
	mostMicros  = (mostDay+1)*microsPerDay - 1
	mostTime    = 999*3600*microsPerSecond + 59*60*microsPerSecond + 59*microsPerSecond + 999999 // of Time64
)

// value appends a value that is not NULL.
func (c *column) value(b *connectors.Batch, cell connectors.Cell) problem {
	switch c.form {
	case formInt, formUint, formBool, formEnum:
		return c.integer(b, cell)
	case formString:
		return c.spelled(b, cell)
	case formDateTime64, formDate32, formDate, formDateTime, formTime64, formTime:
		return c.temporal(cell)
	case formDecimal:
		return c.decimal(b, cell)
	case formFloat32, formFloat64:
		return c.float(cell)
	case formUUID:
		if cell.Kind != connectors.KindText {
			return problemKind
		}
		return c.uuid(b.Bytes(cell))
	case formFixed:
		if cell.Kind != connectors.KindText && cell.Kind != connectors.KindBytes {
			return problemKind
		}
		v := b.Bytes(cell)
		if len(v) != c.width {
			return problemLength
		}
		c.data = append(c.data, v...)
		return ""
	case formArray, formMap, formPoint:
		return c.nested(b, cell)
	}
	return problemKind
}

// integer writes whole numbers: into UInt8 to Int256, Bool and Enum.
func (c *column) integer(b *connectors.Batch, cell connectors.Cell) problem {
	v := cell.Int()
	switch cell.Kind {
	case connectors.KindInt, connectors.KindBool:
	case connectors.KindUint:
		if v < 0 { // above the largest int64
			if c.width < 8 || c.form == formInt && c.width == 8 {
				return problemRange
			}
			c.data = binary.LittleEndian.AppendUint64(c.data, uint64(v))
			for range c.width/8 - 1 {
				c.data = binary.LittleEndian.AppendUint64(c.data, 0)
			}
			return ""
		}
	case connectors.KindText:
		return c.label(b.Bytes(cell))
	case connectors.KindBits:
		return c.bits(b.Bytes(cell))
	default:
		return problemKind
	}
	if c.form == formEnum || v < c.least || v > c.most {
		return problemRange
	}
	c.number(v)
	return ""
}

func (c *column) label(text []byte) problem {
	if c.form != formEnum {
		return problemKind
	}
	for i, l := range c.enum.labels {
		if l == string(text) {
			c.number(int64(c.enum.numbers[i]))
			return ""
		}
	}
	return problemLabel
}

// bits writes a bit string as a number.
func (c *column) bits(digits []byte) problem {
	var v uint64
	for _, d := range digits {
		if v>>63 != 0 {
			return problemBits
		}
		v = v<<1 | uint64(d&1)
	}
	if c.form == formEnum || v > uint64(c.most) && (c.form != formUint || c.width < 8) {
		return problemBits
	}
	if c.width > 8 {
		c.data = append(binary.LittleEndian.AppendUint64(c.data, v), make([]byte, c.width-8)...)
		return ""
	}
	c.number(int64(v))
	return ""
}

func (c *column) float(cell connectors.Cell) problem {
	v := cell.Float()
	switch cell.Kind {
	case connectors.KindFloat32, connectors.KindFloat64:
	case connectors.KindInt:
		if v = float64(cell.Int()); math.Abs(v) > 1<<53 {
			return problemExact
		}
	default:
		return problemKind
	}
	if c.form == formFloat64 {
		c.data = binary.LittleEndian.AppendUint64(c.data, math.Float64bits(v))
		return ""
	}
	narrow := float32(v)
	if float64(narrow) != v && !math.IsNaN(v) {
		return problemExact
	}
	c.data = binary.LittleEndian.AppendUint32(c.data, math.Float32bits(narrow))
	return ""
}

// temporal writes dates and times; least and most are in days for dates, else in µs.
func (c *column) temporal(cell connectors.Cell) problem {
	v := cell.Int()
	want := cell.Kind == connectors.KindTimestamp || cell.Kind == connectors.KindTimestampTZ
	switch c.form {
	case formDate, formDate32:
		want = cell.Kind == connectors.KindDate
	case formTime, formTime64:
		want = cell.Kind == connectors.KindTime
	}
	if !want {
		return problemKind
	}
	if v < c.least || v > c.most {
		if (v == math.MaxInt64 || v == math.MinInt64) && cell.Kind != connectors.KindTime {
			return problemInfinite
		}
		return problemTime
	}
	if c.form == formDate || c.form == formDate32 {
		c.number(v)
		return ""
	}
	switch {
	case c.ticks > 1:
		v *= c.ticks
	case c.unit > 1:
		if v%c.unit != 0 {
			return problemFraction
		}
		v /= c.unit
	}
	c.number(v)
	return ""
}

// uuid writes 16 bytes as the server has them: two halves, each with its lowest byte first.
func (c *column) uuid(text []byte) problem {
	var half [2]uint64
	have := 0
	for _, ch := range text {
		var n byte
		switch {
		case ch >= '0' && ch <= '9':
			n = ch - '0'
		case ch >= 'a' && ch <= 'f':
			n = ch - 'a' + 10
		case ch >= 'A' && ch <= 'F':
			n = ch - 'A' + 10
		case ch == '-', ch == '{', ch == '}':
			continue
		default:
			return problemUUID
		}
		if have == 32 {
			return problemUUID
		}
		half[have/16] = half[have/16]<<4 | uint64(n)
		have++
	}
	if have != 32 {
		return problemUUID
	}
	c.data = binary.LittleEndian.AppendUint64(c.data, half[0])
	c.data = binary.LittleEndian.AppendUint64(c.data, half[1])
	return ""
}

// nested writes lists, maps and points.
func (c *column) nested(b *connectors.Batch, cell connectors.Cell) problem {
	want := connectors.KindList
	switch c.form {
	case formMap:
		want = connectors.KindMap
	case formPoint:
		want = connectors.KindPoint
	}
	if cell.Kind != want {
		return problemKind
	}
	items := b.List(cell)
	n := len(c.elem)
	for i, item := range items {
		if item.Missing() {
			return problemElement
		}
		if item.Kind == connectors.KindList && c.elem[i%n].form != formArray {
			return problemElement
		}
		if p := c.elem[i%n].add(b, item); p != "" {
			return p
		}
	}
	if c.form == formPoint {
		if len(items) != n {
			return problemKind
		}
		return ""
	}
	c.count += uint64(len(items) / n)
	c.ends = binary.LittleEndian.AppendUint64(c.ends, c.count)
	return ""
}

// spelled writes any value as text.
func (c *column) spelled(b *connectors.Batch, cell connectors.Cell) problem {
	switch cell.Kind {
	case connectors.KindText, connectors.KindBytes, connectors.KindDecimal, connectors.KindBits:
		c.text(b.Bytes(cell))
		return ""
	}
	var buf [64]byte
	text, p := appendText(buf[:0], b, cell)
	if p == "" {
		c.text(text)
	}
	return p
}

// appendText writes a value as text: numbers as SQL does, dates and times as ISO 8601 does, lists and maps as JSON.
func appendText(dst []byte, b *connectors.Batch, cell connectors.Cell) ([]byte, problem) {
	switch cell.Kind {
	case connectors.KindText, connectors.KindBytes, connectors.KindDecimal, connectors.KindBits:
		return append(dst, b.Bytes(cell)...), ""
	case connectors.KindBool:
		return strconv.AppendBool(dst, cell.Bool()), ""
	case connectors.KindInt:
		return strconv.AppendInt(dst, cell.Int(), 10), ""
	case connectors.KindUint:
		return strconv.AppendUint(dst, cell.Uint(), 10), ""
	case connectors.KindFloat32:
		return strconv.AppendFloat(dst, cell.Float(), 'g', -1, 32), ""
	case connectors.KindFloat64:
		return strconv.AppendFloat(dst, cell.Float(), 'g', -1, 64), ""
	case connectors.KindDate, connectors.KindTimestamp, connectors.KindTimestampTZ:
		return appendDateText(dst, cell), ""
	case connectors.KindTime:
		return appendClock(dst, cell.Int()), ""
	case connectors.KindTimeTZ:
		return appendZone(appendClock(dst, cell.Int()), cell.Offset()), ""
	case connectors.KindInterval:
		months, days, micros := b.Interval(cell)
		return changes.AppendInterval(dst, months, days, micros), ""
	case connectors.KindPoint:
		xy := b.List(cell)
		if len(xy) != 2 {
			return dst, problemKind
		}
		dst = strconv.AppendFloat(append(dst, '('), xy[0].Float(), 'g', -1, 64)
		dst = strconv.AppendFloat(append(dst, ','), xy[1].Float(), 'g', -1, 64)
		return append(dst, ')'), ""
	case connectors.KindMap:
		return changes.AppendMapJSON(dst, b, b.List(cell)), ""
	case connectors.KindList:
		return appendListText(dst, b, cell)
	}
	return dst, problemKind
}

func appendListText(dst []byte, b *connectors.Batch, cell connectors.Cell) ([]byte, problem) {
	dst = append(dst, '[')
	for i, item := range b.List(cell) {
		if i > 0 {
			dst = append(dst, ',')
		}
		var p problem
		switch item.Kind {
		case connectors.KindNull:
			dst = append(dst, "null"...)
		case connectors.KindAbsent, connectors.KindUnavailable:
			return dst, problemElement
		case connectors.KindBool, connectors.KindInt, connectors.KindUint, connectors.KindList, connectors.KindMap:
			dst, p = appendText(dst, b, item)
		case connectors.KindFloat32, connectors.KindFloat64, connectors.KindDecimal:
			dst, p = appendNumber(dst, b, item)
		default:
			var text []byte
			if text, p = appendText(nil, b, item); p == "" {
				dst = changes.AppendJSONString(dst, text)
			}
		}
		if p != "" {
			return dst, p
		}
	}
	return append(dst, ']'), ""
}

// appendNumber writes a number as JSON has it; what is none there becomes a string.
func appendNumber(dst []byte, b *connectors.Batch, cell connectors.Cell) ([]byte, problem) {
	start := len(dst)
	dst, p := appendText(dst, b, cell)
	for _, ch := range dst[start:] {
		if ch == 'N' || ch == 'I' { // NaN, Infinity
			text := append([]byte(nil), dst[start:]...)
			return changes.AppendJSONString(dst[:start], text), p
		}
	}
	return dst, p
}

// appendDateText writes 2024-02-29, 2024-02-29T12:34:56.1, and with Z where there is a zone; infinite ones as PostgreSQL does.
func appendDateText(dst []byte, cell connectors.Cell) []byte {
	switch cell.Int() {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case math.MinInt64:
		return append(dst, "-infinity"...)
	}
	if cell.Kind == connectors.KindDate {
		dst = changes.AppendIsoDate(dst, cell)
	} else {
		dst = changes.AppendIsoTimestamp(dst, cell)
	}
	if cell.Kind != connectors.KindTimestampTZ {
		dst = dst[:len(dst)-1] // Z
	}
	return dst
}

// appendClock writes [-]HH:MM:SS[.ffffff]; the hours may be above 24.
func appendClock(dst []byte, micros int64) []byte {
	if micros < 0 {
		dst = append(dst, '-')
		micros = -micros
	}
	seconds := micros / microsPerSecond
	dst = two(dst, seconds/3600)
	dst = two(append(dst, ':'), seconds/60%60)
	dst = two(append(dst, ':'), seconds%60)
	fraction := micros % microsPerSecond
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := int64(100000); fraction > 0; unit /= 10 {
		dst = append(dst, byte('0'+fraction/unit))
		fraction %= unit
	}
	return dst
}

func two(dst []byte, v int64) []byte {
	if v < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, v, 10)
}

// appendZone writes +HH:MM, with seconds where there are any.
func appendZone(dst []byte, offset int32) []byte {
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = two(append(dst, sign), int64(offset/3600))
	dst = two(append(dst, ':'), int64(offset/60%60))
	if s := offset % 60; s != 0 {
		dst = two(append(dst, ':'), int64(s))
	}
	return dst
}
