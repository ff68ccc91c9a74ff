package mysql

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
	"net/netip"
	"strconv"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
)

// scratch is memory that values pass through on their way into a batch.
type scratch struct {
	text     []byte
	inflated []byte
}

// appendValue writes the cell of a value that is not NULL. f.size bytes for a code with a fixed size.
func (l *layout) appendValue(w *connectors.Builder, f *field, v []byte) error {
	if f.mask != nil {
		return l.appendMasked(w, f, v)
	}
	switch f.code {
	case codeInt8:
		w.Int(int64(int8(v[0])))
	case codeInt16:
		w.Int(int64(int16(binary.LittleEndian.Uint16(v))))
	case codeInt24:
		w.Int(int64(int32(uint24(v)<<8) >> 8))
	case codeInt32:
		w.Int(int64(int32(binary.LittleEndian.Uint32(v))))
	case codeInt64, codeUint64:
		w.Int(int64(binary.LittleEndian.Uint64(v)))
	case codeUint8:
		w.Int(int64(v[0]))
	case codeUint16:
		w.Int(int64(binary.LittleEndian.Uint16(v)))
	case codeUint24:
		w.Int(int64(uint24(v)))
	case codeUint32:
		w.Int(int64(binary.LittleEndian.Uint32(v)))
	case codeUint:
		w.Uint(littleEndian(v))
	case codeBool:
		w.Bool(littleEndian(v) != 0)
	case codeUTF8:
		if !utf8.Valid(v) {
			l.scratch.text = appendReplaced(l.scratch.text[:0], v)
			v = l.scratch.text
		}
		w.Text(connectors.KindText, v)
	case codeText:
		w.Text(connectors.KindText, l.scratch.utf8(f.charset, v))
	case codeBytes:
		appendPadded(w, v, f.length)
	case codeDecimal:
		return appendDecimal(w, v, f.whole, int(f.scale))
	case codeDatetime2:
		return appendDatetime2(w, f, v)
	case codeTimestamp2:
		appendTimestamp(w, f, int64(binary.BigEndian.Uint32(v)), fraction2(v[4:], f.scale))
	case codeDate:
		n := uint24(v)
		f.column.appendDate(w, int(n>>9), int(n>>5&15), int(n&31))
	case codeDouble:
		w.Float64(math.Float64frombits(binary.LittleEndian.Uint64(v)))
	case codeDoubleNarrow:
		w.Float32(float32(math.Float64frombits(binary.LittleEndian.Uint64(v))))
	case codeFloat:
		w.Float32(math.Float32frombits(binary.LittleEndian.Uint32(v)))
	case codeFloatWide:
		w.Float64(float64(math.Float32frombits(binary.LittleEndian.Uint32(v))))
	default:
		return l.appendRare(w, f, v)
	}
	return nil
}

// appendRare is appendValue for the codes that are not worth a place in its switch.
func (l *layout) appendRare(w *connectors.Builder, f *field, v []byte) error {
	switch f.code {
	case codeJSON:
		return l.appendJSON(w, f, v)
	case codeEnum, codeSet:
		text, err := appendLabels(l.scratch.text[:0], f, v)
		l.scratch.text = text
		if err != nil {
			return err
		}
		w.Text(connectors.KindText, text)
	case codeBits:
		return appendBits(w, v, f.length)
	case codeYear:
		year := int64(v[0])
		if year != 0 {
			year += 1900
		}
		w.Int(year)
	case codeTime, codeTime2, codeTimeHires:
		return appendTime(w, f, v)
	case codeDatetime, codeDatetimeHires:
		return appendOldDatetime(w, f, v)
	case codeTimestamp:
		appendTimestamp(w, f, int64(binary.LittleEndian.Uint32(v)), 0)
	case codeTimestampHires:
		appendTimestamp(w, f, int64(binary.BigEndian.Uint32(v)), int64(bigEndian(v[4:]))*scaleToMicros(f.scale))
	case codeVector:
		return appendVector(w, v)
	case codeUUID, codeInet4, codeInet6:
		return l.appendIdentifier(w, f, v)
	case codeText | codeCompressed, codeBytes | codeCompressed:
		v, err := l.scratch.inflate(v)
		if err != nil {
			return err
		}
		if f.code&^codeCompressed == codeText {
			w.Text(connectors.KindText, l.scratch.utf8(f.charset, v))
		} else {
			w.Text(connectors.KindBytes, v)
		}
	default:
		return errMalformed
	}
	return nil
}

// appendMasked writes what a mask makes of the text of a value.
func (l *layout) appendMasked(w *connectors.Builder, f *field, v []byte) error {
	var err error
	switch f.code {
	case codeUTF8, codeText:
		v = l.scratch.utf8(f.charset, v)
	case codeText | codeCompressed, codeBytes | codeCompressed:
		if v, err = l.scratch.inflate(v); err == nil && f.charset != nil {
			v = l.scratch.utf8(f.charset, v)
		}
	case codeEnum, codeSet:
		v, err = appendLabels(l.scratch.text[:0], f, v)
		l.scratch.text = v
	case codeJSON:
		v, err = appendJSONText(l.scratch.text[:0], v)
		l.scratch.text = v
	}
	if err != nil {
		return err
	}
	f.mask.Append(w, v)
	return nil
}

// utf8 converts a text; the result is valid until the next use of the scratch.
func (s *scratch) utf8(set *charset, v []byte) []byte {
	if set.plain(v) {
		return v
	}
	s.text = set.appendUTF8(s.text[:0], v)
	return s.text
}

func uint24(v []byte) uint32 { return uint32(v[0]) | uint32(v[1])<<8 | uint32(v[2])<<16 }

func littleEndian(v []byte) (n uint64) {
	for i, b := range v {
		n |= uint64(b) << (8 * i)
	}
	return n
}

func bigEndian(v []byte) (n uint64) {
	for _, b := range v {
		n = n<<8 | uint64(b)
	}
	return n
}

// appendPadded writes BINARY, which comes without its trailing zero bytes.
func appendPadded(w *connectors.Builder, v []byte, length int) {
	if len(v) >= length {
		w.Text(connectors.KindBytes, v)
		return
	}
	out := w.Grow(connectors.KindBytes, length)
	clear(out[copy(out, v):])
}

func appendBits(w *connectors.Builder, v []byte, n int) error {
	bits := bigEndian(v)
	if n < 64 && bits>>n != 0 {
		return errMalformed
	}
	out := w.Grow(connectors.KindBits, n)
	for i := range out {
		out[i] = '0' + byte(bits>>(n-1-i)&1)
	}
	return nil
}

// appendLabels writes the label of an ENUM, or those of a SET separated by commas.
func appendLabels(dst []byte, f *field, v []byte) ([]byte, error) {
	n, labels := littleEndian(v), f.column.labels
	if f.code == codeEnum {
		switch {
		case n == 0:
			return dst, nil
		case n > uint64(len(labels)):
			return dst, errMalformed
		}
		return append(dst, labels[n-1]...), nil
	}
	if len(labels) < 64 && n>>len(labels) != 0 {
		return dst, errMalformed
	}
	for i, label := range labels {
		if n>>i&1 == 0 {
			continue
		}
		if n&(1<<i-1) != 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, label...)
	}
	return dst, nil
}

// decimalSize is the number of bytes of so many digits: four for nine, fewer for the rest.
func decimalSize(digits int) int { return digits/9*4 + [...]int{0, 1, 1, 2, 2, 3, 3, 4, 4}[digits%9] }

var powersOfTen = [...]uint32{1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000}

func appendDecimal(w *connectors.Builder, v []byte, whole, scale int) error {
	var room [80]byte
	text, err := appendDecimalText(room[:0], v, whole, scale)
	if err != nil {
		return err
	}
	w.Text(connectors.KindDecimal, text)
	return nil
}

// appendDecimalText writes the packed form of whole digits before and scale digits after the point: groups of nine digits, big-endian, the
// shorter group first before the point and last after it; the sign bit is inverted, and every bit of a negative number.
func appendDecimalText(dst, v []byte, whole, scale int) ([]byte, error) {
	if len(v) != decimalSize(whole)+decimalSize(scale) || len(v) == 0 {
		return dst, errMalformed
	}
	flip := byte(0)
	if v[0]&0x80 == 0 {
		flip = 0xff
		dst = append(dst, '-')
	}
	first := byte(0x80)
	group := func(digits int) (n uint32, ok bool) {
		size := decimalSize(digits)
		for _, b := range v[:size] {
			n = n<<8 | uint32(b^flip^first)
			first = 0
		}
		v = v[size:]
		return n, n < powersOfTen[digits]
	}
	start := len(dst)
	for left := whole; left > 0; {
		digits := left % 9
		if digits == 0 {
			digits = 9
		}
		left -= digits
		n, ok := group(digits)
		if !ok {
			return dst, errMalformed
		}
		if len(dst) == start {
			if n != 0 {
				dst = strconv.AppendUint(dst, uint64(n), 10)
			}
			continue
		}
		dst = appendDigits(dst, n, digits)
	}
	if len(dst) == start {
		dst = append(dst, '0')
	}
	if scale > 0 {
		dst = append(dst, '.')
	}
	for left := scale; left > 0; {
		digits := min(left, 9)
		left -= digits
		n, ok := group(digits)
		if !ok {
			return dst, errMalformed
		}
		dst = appendDigits(dst, n, digits)
	}
	return dst, nil
}

// appendDigits writes n with leading zeros.
func appendDigits(dst []byte, n uint32, digits int) []byte {
	at := len(dst)
	for range digits {
		dst = append(dst, '0')
	}
	for i := at + digits - 1; i >= at; i-- {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
	return dst
}

// scaleToMicros is the µs of one unit of the last of so many fractional digits.
func scaleToMicros(scale uint8) int64 { return int64(powersOfTen[6-scale]) }

// fraction2 is the fraction of a second in µs: one byte per two digits, big-endian.
func fraction2(v []byte, scale uint8) int64 {
	return int64(bigEndian(v[:(scale+1)/2])) * int64(powersOfTen[6-(scale+1)/2*2])
}

func appendDatetime2(w *connectors.Builder, f *field, v []byte) error {
	packed := int64(bigEndian(v[:5])) - 1<<39
	if packed < 0 {
		return errMalformed
	}
	month, clock := packed>>22, packed&(1<<17-1)
	micros := clockMicros(clock>>12, clock>>6&63, clock&63) + fraction2(v[5:], f.scale)
	f.column.appendDatetime(w, int(month/13), int(month%13), int(packed>>17&31), micros)
	return nil
}

func clockMicros(hours, minutes, seconds int64) int64 {
	return hours*microsHour + minutes*microsMinute + seconds*microsSecond
}

func appendTimestamp(w *connectors.Builder, f *field, seconds, micros int64) {
	if seconds == 0 && micros == 0 {
		f.column.appendNoDay(w, connectors.KindTimestampTZ)
		return
	}
	w.Temporal(connectors.KindTimestampTZ, seconds*microsSecond+micros)
}

func appendTime(w *connectors.Builder, f *field, v []byte) error {
	const zeroOld = 3_020_400 // seconds: one more than the largest
	switch f.code {
	case codeTime: // ±hhmmss in decimal
		n := int64(int32(uint24(v)<<8) >> 8)
		w.Temporal(connectors.KindTime, clockMicros(n/10000, n/100%100, n%100))
	case codeTimeHires:
		unit := scaleToMicros(f.scale)
		w.Temporal(connectors.KindTime, (int64(bigEndian(v))-zeroOld*microsSecond/unit)*unit)
	default: // the value with its fraction as one number, biased
		size := 3 + int(f.scale+1)/2
		packed := int64(bigEndian(v[:size])) - 1<<(8*size-1)
		negative := packed < 0
		if negative {
			packed = -packed
		}
		bits := 8 * (size - 3)
		clock := packed >> bits
		micros := clockMicros(clock>>12&1023, clock>>6&63, clock&63)
		micros += packed & (1<<bits - 1) * int64(powersOfTen[6-(f.scale+1)/2*2])
		if negative {
			micros = -micros
		}
		w.Temporal(connectors.KindTime, micros)
	}
	return nil
}

// appendOldDatetime reads YYYYMMDDhhmmss in decimal, or with a fraction all parts packed into one number.
func appendOldDatetime(w *connectors.Builder, f *field, v []byte) error {
	if f.code == codeDatetime {
		n := binary.LittleEndian.Uint64(v)
		if n >= 1e14 {
			return errMalformed
		}
		d, t := int(n/1e6), int64(n%1e6)
		f.column.appendDatetime(w, d/10000, d/100%100, d%100, clockMicros(t/10000, t/100%100, t%100))
		return nil
	}
	n := bigEndian(v)
	unit := uint64(scaleToMicros(f.scale))
	perDay := uint64(microsDay) / unit
	day := n / perDay
	f.column.appendDatetime(w, int(day/32/13), int(day/32%13), int(day%32), int64(n%perDay*unit))
	return nil
}

// appendIdentifier writes MariaDB's UUID, INET4 and INET6, which come without trailing zero bytes, as the server prints them.
func (l *layout) appendIdentifier(w *connectors.Builder, f *field, v []byte) error {
	var room [16]byte
	if len(v) > f.length {
		return errMalformed
	}
	copy(room[:], v)
	text := l.scratch.text[:0]
	switch f.code {
	case codeUUID:
		for i, n := 0, 0; i < 5; i++ {
			size := [...]int{4, 2, 2, 2, 6}[i]
			if i > 0 {
				text = append(text, '-')
			}
			text = hex.AppendEncode(text, room[n:n+size])
			n += size
		}
	case codeInet4:
		text = netip.AddrFrom4([4]byte(room[:4])).AppendTo(text)
	default:
		text = appendInet6(text, room)
	}
	l.scratch.text = text
	w.Text(connectors.KindText, text)
	return nil
}

// appendInet6 prints addresses that hold one of version 4 as the server does: ::1.2.3.4 and ::ffff:1.2.3.4.
func appendInet6(dst []byte, a [16]byte) []byte {
	compatible := bytes.Equal(a[:12], make([]byte, 12)) && (a[12] != 0 || a[13] != 0)
	if compatible {
		return netip.AddrFrom4([4]byte(a[12:])).AppendTo(append(dst, "::"...))
	}
	return netip.AddrFrom16(a).AppendTo(dst)
}

// inflate undoes MariaDB's COMPRESSED: a header byte (0: as it is; 0x80 zlib; 8 without zlib's own header; the low three bits: bytes
// of the length), the length, the bytes.
func (s *scratch) inflate(v []byte) ([]byte, error) {
	if len(v) == 0 || v[0] == 0 {
		return v[min(1, len(v)):], nil
	}
	size, packed, ok := inflatedSize(v)
	if !ok || v[0]&0xf0 != 0x80 || size > 1032*len(packed)+1032 {
		return nil, errMalformed
	}
	var r io.ReadCloser
	if v[0]&8 != 0 {
		r = flate.NewReader(bytes.NewReader(packed))
	} else {
		var err error
		if r, err = zlib.NewReader(bytes.NewReader(packed)); err != nil {
			return nil, errMalformed
		}
	}
	if cap(s.inflated) < size {
		s.inflated = make([]byte, size)
	}
	s.inflated = s.inflated[:size]
	if _, err := io.ReadFull(r, s.inflated); err != nil {
		return nil, errMalformed
	}
	return s.inflated, nil
}
