package changes

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// DatumKind is what Read found.
type DatumKind uint8

// The kinds of datum.
const (
	DatumNull     DatumKind = iota
	DatumBool               // Int is 0 or 1
	DatumInt                // Int
	DatumFloat32            // Float
	DatumFloat64            // Float
	DatumText               // Bytes, UTF-8
	DatumBytes              // Bytes
	DatumList               // Cells, to be read with Field.Elem
	DatumMap                // Cells: key, value, key, value; KindText, values may be NULL; see AppendMapOrder
	DatumVariable           // struct {scale: Int, value: Bytes}
	DatumPoint              // struct {x: Float, y: Y, wkb: Bytes, srid: Int, null when 0}
	DatumGeometry           // struct {wkb: Bytes, srid: Int, null when 0}
	DatumValue              // Value, in the physical form of Field.Schema
)

// Datum is a cell as a Connect value. Bytes is a view into the batch or into the scratch buffer.
type Datum struct {
	Kind  DatumKind
	Int   int64
	Float float64
	Y     float64
	Bytes []byte
	Cells []connectors.Cell
	Value schemas.Value
}

// Read returns the value that field f of a schema has for cell c. scratch is a buffer that Read may use for text and bytes that
// it makes; it comes back, possibly grown, for the next call, which invalidates Bytes. Read does not allocate once scratch is large enough.
// What cannot be shown under the view (NaN in a Decimal, a nested list) is f.WhenNull, as in the reference.
func Read(b *connectors.Batch, f *connectors.Field, c connectors.Cell, scratch []byte) (Datum, []byte) {
	switch c.Kind {
	case connectors.KindNull, connectors.KindAbsent:
		return Fallback(f.WhenNull), scratch
	case connectors.KindUnavailable:
		return Fallback(f.WhenUnavailable), scratch
	case connectors.KindList:
		return readList(b, f, c), scratch
	}
	switch f.View {
	case connectors.ViewPlain:
		return readPlain(b, f, c), scratch
	case connectors.ViewTextBytes:
		return ofBytes(b, f, c, DatumBytes), scratch
	case connectors.ViewDays, connectors.ViewTimeMillis, connectors.ViewTimeMicros, connectors.ViewTimeNanos,
		connectors.ViewTimestampMillis, connectors.ViewTimestampMicros, connectors.ViewTimestampNanos, connectors.ViewDuration:
		v, ok := Number(b, f.View, c)
		if !ok {
			return Fallback(f.WhenNull), scratch
		}
		return Datum{Kind: DatumInt, Int: v}, scratch
	case connectors.ViewDecimal, connectors.ViewVariableDecimal, connectors.ViewDecimalDouble, connectors.ViewDecimalText:
		return readDecimal(b, f, c, scratch[:0])
	case connectors.ViewMap:
		if c.Kind == connectors.KindMap {
			return Datum{Kind: DatumMap, Cells: b.List(c)}, scratch
		}
	case connectors.ViewPoint:
		if xy := point(b, c); xy != nil {
			scratch = appendWKB(scratch[:0], xy[0].Float(), xy[1].Float())
			return Datum{Kind: DatumPoint, Float: xy[0].Float(), Y: xy[1].Float(), Bytes: scratch}, scratch
		}
	case connectors.ViewBits:
		if c.Kind == connectors.KindBits {
			scratch = AppendBits(scratch[:0], b.Bytes(c), int(f.Scale))
			return Datum{Kind: DatumBytes, Bytes: scratch}, scratch
		}
	case connectors.ViewBitBool:
		if c.Kind == connectors.KindBits {
			return boolean(BitSet(b.Bytes(c))), scratch
		}
	case connectors.ViewGeometry, connectors.ViewGeometryPoint:
		return readGeometry(b, f, c), scratch
	default:
		if text, ok := AppendText(scratch[:0], b, f, c); ok {
			return Datum{Kind: DatumText, Bytes: text}, text
		}
	}
	return Fallback(f.WhenNull), scratch
}

// Fallback returns the datum of a value that does not come from a cell: WhenNull and WhenUnavailable.
func Fallback(v schemas.Value) Datum {
	if v == nil {
		return Datum{}
	}
	return Datum{Kind: DatumValue, Value: v}
}

func boolean(v bool) Datum {
	if v {
		return Datum{Kind: DatumBool, Int: 1}
	}
	return Datum{Kind: DatumBool}
}

func readPlain(b *connectors.Batch, f *connectors.Field, c connectors.Cell) Datum {
	switch c.Kind {
	case connectors.KindBool:
		return Datum{Kind: DatumBool, Int: c.Int()}
	case connectors.KindFloat32:
		return Datum{Kind: DatumFloat32, Float: c.Float()}
	case connectors.KindFloat64:
		return Datum{Kind: DatumFloat64, Float: c.Float()}
	case connectors.KindText, connectors.KindDecimal:
		return Datum{Kind: DatumText, Bytes: b.Bytes(c)}
	case connectors.KindBytes, connectors.KindBits:
		return Datum{Kind: DatumBytes, Bytes: b.Bytes(c)}
	case connectors.KindMap, connectors.KindPoint, connectors.KindInterval:
		return Fallback(f.WhenNull)
	}
	return Datum{Kind: DatumInt, Int: c.Int()}
}

func ofBytes(b *connectors.Batch, f *connectors.Field, c connectors.Cell, kind DatumKind) Datum {
	if !hasBytes(c.Kind) {
		return Fallback(f.WhenNull)
	}
	return Datum{Kind: kind, Bytes: b.Bytes(c)}
}

func hasBytes(k connectors.Kind) bool {
	return k == connectors.KindText || k == connectors.KindBytes || k == connectors.KindDecimal || k == connectors.KindBits
}

// readList gives the elements of a list. Under any other view (the inner list of a two-dimensional array), and with a NULL element
// where the schema forbids one, it is what NULL is.
func readList(b *connectors.Batch, f *connectors.Field, c connectors.Cell) Datum {
	if f.View != connectors.ViewList {
		return Fallback(f.WhenNull)
	}
	cells := b.List(c)
	if !f.Elem.Schema.Optional {
		for _, e := range cells {
			if e.Kind == connectors.KindNull {
				return Fallback(f.WhenNull)
			}
		}
	}
	return Datum{Kind: DatumList, Cells: cells}
}

// Number is the integer of a temporal view; false when it does not fit or the cell is of another kind.
func Number(b *connectors.Batch, view connectors.View, c connectors.Cell) (int64, bool) {
	switch view {
	case connectors.ViewDays:
		return days(c), c.Kind == connectors.KindDate
	case connectors.ViewTimeMillis:
		return floorDiv(c.Int(), 1000), ofDay(c)
	case connectors.ViewTimeMicros:
		return c.Int(), true
	case connectors.ViewTimeNanos:
		return c.Int() * 1000, true
	case connectors.ViewTimestampMillis:
		return floorDiv(micros(c), 1000), true
	case connectors.ViewTimestampMicros:
		return micros(c), true
	case connectors.ViewTimestampNanos:
		return nanos(micros(c))
	case connectors.ViewDuration:
		if c.Kind == connectors.KindInterval {
			return duration(b.Interval(c))
		}
	}
	return 0, false
}

func readDecimal(b *connectors.Batch, f *connectors.Field, c connectors.Cell, scratch []byte) (Datum, []byte) {
	var buf [24]byte
	text, ok := DecimalBytes(b, c, buf[:0])
	if !ok {
		return Fallback(f.WhenNull), scratch
	}
	switch f.View {
	case connectors.ViewDecimal:
		if scratch, ok = AppendUnscaled(scratch, text, f.Scale); ok {
			return Datum{Kind: DatumBytes, Bytes: scratch}, scratch
		}
	case connectors.ViewVariableDecimal:
		var scale int32
		if scratch, scale, ok = AppendVariable(scratch, text); ok {
			return Datum{Kind: DatumVariable, Int: int64(scale), Bytes: scratch}, scratch
		}
	case connectors.ViewDecimalDouble:
		return Datum{Kind: DatumFloat64, Float: decimalFloat(text)}, scratch
	case connectors.ViewDecimalText:
		scratch = AppendDecimalText(scratch, text, f.Scale)
		return Datum{Kind: DatumText, Bytes: scratch}, scratch
	}
	return Fallback(f.WhenNull), scratch
}

// DecimalBytes is the plain text of a decimal cell; integers are written into buf.
func DecimalBytes(b *connectors.Batch, c connectors.Cell, buf []byte) ([]byte, bool) {
	switch c.Kind {
	case connectors.KindDecimal, connectors.KindText:
		return b.Bytes(c), true
	case connectors.KindInt:
		return appendInt(buf, c.Int()), true
	case connectors.KindUint:
		return AppendUint(buf, c.Uint()), true
	}
	return nil, false
}

// AppendText writes the text of the views whose value is text; false when the cell cannot be shown under the view.
func AppendText(dst []byte, b *connectors.Batch, f *connectors.Field, c connectors.Cell) ([]byte, bool) {
	switch f.View {
	case connectors.ViewBase64:
		if hasBytes(c.Kind) {
			return base64.StdEncoding.AppendEncode(dst, b.Bytes(c)), true
		}
	case connectors.ViewBase64URL:
		if hasBytes(c.Kind) {
			return base64.URLEncoding.AppendEncode(dst, b.Bytes(c)), true
		}
	case connectors.ViewHex:
		if hasBytes(c.Kind) {
			return hex.AppendEncode(dst, b.Bytes(c)), true
		}
	case connectors.ViewIsoDate:
		return AppendIsoDate(dst, c), c.Kind == connectors.KindDate
	case connectors.ViewIsoTime:
		if c.Kind == connectors.KindTime && ofDay(c) {
			return AppendIsoTime(dst, c), true
		}
	case connectors.ViewIsoTimestamp:
		return AppendIsoTimestamp(dst, c), c.Kind == connectors.KindTimestamp
	case connectors.ViewZonedTimestamp:
		return AppendZonedTimestamp(dst, c, f.Scale), c.Kind == connectors.KindTimestampTZ
	case connectors.ViewZonedTime:
		return AppendZonedTime(dst, c), c.Kind == connectors.KindTimeTZ
	case connectors.ViewIntervalText:
		if c.Kind == connectors.KindInterval {
			months, days, micros := b.Interval(c)
			return AppendInterval(dst, months, days, micros), true
		}
	case connectors.ViewMapJSON:
		if c.Kind == connectors.KindMap {
			return AppendMapJSON(dst, b, b.List(c)), true
		}
	}
	return dst, false
}

// TextKind is the kind of cell of which AppendText, under a view, makes a text that no format has to escape; false for other views.
func TextKind(v connectors.View) (connectors.Kind, bool) {
	switch v {
	case connectors.ViewBase64, connectors.ViewBase64URL, connectors.ViewHex:
		return connectors.KindBytes, true
	case connectors.ViewIsoDate:
		return connectors.KindDate, true
	case connectors.ViewIsoTime:
		return connectors.KindTime, true
	case connectors.ViewIsoTimestamp:
		return connectors.KindTimestamp, true
	case connectors.ViewZonedTimestamp:
		return connectors.KindTimestampTZ, true
	case connectors.ViewZonedTime:
		return connectors.KindTimeTZ, true
	case connectors.ViewIntervalText:
		return connectors.KindInterval, true
	}
	return connectors.KindAbsent, false
}

// AppendBits turns '0' and '1', most significant first, into size little-endian bytes; into as many as are not zero when size is 0.
func AppendBits(dst, bits []byte, size int) []byte {
	at := len(dst)
	for end := len(bits); end > 0; end -= 8 {
		v := byte(0)
		for _, c := range bits[max(0, end-8):end] {
			v = v<<1 | c&1
		}
		dst = append(dst, v)
	}
	if size > 0 {
		for len(dst)-at < size {
			dst = append(dst, 0)
		}
		return dst[:at+size]
	}
	for len(dst) > at && dst[len(dst)-1] == 0 {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// BitSet tells whether a string of bits holds a one.
func BitSet(bits []byte) bool {
	for _, c := range bits {
		if c == '1' {
			return true
		}
	}
	return false
}

// ofDay tells that a time is one of a day, the end of the day included.
func ofDay(c connectors.Cell) bool { return uint64(c.Int()) <= microsPerDay }

// readGeometry takes the stored form of MySQL's geometries apart.
func readGeometry(b *connectors.Batch, f *connectors.Field, c connectors.Cell) Datum {
	const wkbPoint = "\x01\x01\x00\x00\x00" // little-endian, type 1; x and y follow
	if c.Kind != connectors.KindBytes {
		return Fallback(f.WhenNull)
	}
	stored := b.Bytes(c)
	if len(stored) < 4 {
		return Fallback(f.WhenNull)
	}
	d := Datum{Kind: DatumGeometry, Int: int64(int32(binary.LittleEndian.Uint32(stored))), Bytes: stored[4:]}
	if f.View == connectors.ViewGeometryPoint {
		if len(d.Bytes) != len(wkbPoint)+16 || string(d.Bytes[:len(wkbPoint)]) != wkbPoint {
			return Fallback(f.WhenNull)
		}
		d.Kind = DatumPoint
		d.Float = math.Float64frombits(binary.LittleEndian.Uint64(d.Bytes[len(wkbPoint):]))
		d.Y = math.Float64frombits(binary.LittleEndian.Uint64(d.Bytes[len(wkbPoint)+8:]))
	}
	return d
}

func point(b *connectors.Batch, c connectors.Cell) []connectors.Cell {
	if c.Kind != connectors.KindPoint {
		return nil
	}
	if xy := b.List(c); len(xy) == 2 {
		return xy
	}
	return nil
}
