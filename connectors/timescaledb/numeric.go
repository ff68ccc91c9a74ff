package timescaledb

import (
	"encoding/binary"
	"strconv"

	"github.com/freshet-io/freshet/connectors"
)

// Signs of the binary form of numeric (src/backend/utils/adt/numeric.c, numeric_send).
const (
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericInf      = 0xD000
	numericMinusInf = 0xF000
)

// number writes a decimal or an integer as numeric.
func (e *encoder) number(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	var buf [24]byte
	var text []byte
	switch c.Kind {
	case connectors.KindDecimal:
		text = b.Bytes(c)
	case connectors.KindInt:
		text = strconv.AppendInt(buf[:0], c.Int(), 10)
	case connectors.KindUint:
		text = strconv.AppendUint(buf[:0], c.Uint(), 10)
	default:
		return dst, problemKind
	}
	switch string(text) {
	case "NaN":
		return appendNumericHeader(dst, 0, 0, numericNaN, 0), ""
	case "Infinity", "-Infinity":
		if e.limit >= 0 {
			return dst, problemInfinite
		}
		sign := uint16(numericInf)
		if text[0] == '-' {
			sign = numericMinusInf
		}
		return appendNumericHeader(dst, 0, 0, sign, 0), ""
	}
	return e.decimal(dst, text)
}

func appendNumericHeader(dst []byte, digits int, weight int16, sign uint16, scale int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(8+2*digits))
	dst = binary.BigEndian.AppendUint16(dst, uint16(digits))
	dst = binary.BigEndian.AppendUint16(dst, uint16(weight))
	dst = binary.BigEndian.AppendUint16(dst, sign)
	return binary.BigEndian.AppendUint16(dst, uint16(scale))
}

// decimal writes plain decimal text: [-]digits[.digits]. The wire has groups of four digits around the decimal point.
func (e *encoder) decimal(dst, text []byte) ([]byte, problem) {
	sign := uint16(0)
	if len(text) > 0 && text[0] == '-' {
		sign, text = numericNegative, text[1:]
	}
	whole, fraction := text, []byte(nil)
	for i, ch := range text {
		switch {
		case ch == '.' && fraction == nil:
			whole, fraction = text[:i], text[i+1:]
		case ch < '0' || ch > '9':
			return dst, problemNumber
		}
	}
	if len(whole)+len(fraction) == 0 {
		return dst, problemNumber
	}
	for len(whole) > 0 && whole[0] == '0' {
		whole = whole[1:]
	}
	if p := e.fits(whole, fraction); p != "" {
		return dst, p
	}
	groups := (len(whole) + 3) / 4
	after := (len(fraction) + 3) / 4
	dst = appendNumericHeader(dst, groups+after, int16(groups-1), sign, len(fraction))
	for first := len(whole) - 4*(groups-1); len(whole) > 0; first = 4 {
		dst = appendGroup(dst, whole[:first], 0)
		whole = whole[first:]
	}
	for len(fraction) > 0 {
		n := min(4, len(fraction))
		dst = appendGroup(dst, fraction[:n], 4-n)
		fraction = fraction[n:]
	}
	return dst, ""
}

func appendGroup(dst, digits []byte, zeros int) []byte {
	v := uint16(0)
	for _, ch := range digits {
		v = v*10 + uint16(ch-'0')
	}
	for range zeros {
		v *= 10
	}
	return append(dst, byte(v>>8), byte(v))
}

// fits checks a number against numeric(limit,scale), which would round it (I10).
func (e *encoder) fits(whole, fraction []byte) problem {
	const most = 16383
	if len(fraction) > most || len(whole) > 131072 {
		return problemDigits
	}
	if e.limit < 0 {
		return ""
	}
	for len(fraction) > 0 && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	scale := int(e.scale)
	if len(fraction) > max(scale, 0) {
		return problemExact
	}
	for i := 0; i < -scale && i < len(whole); i++ {
		if whole[len(whole)-1-i] != '0' {
			return problemExact
		}
	}
	if len(whole) == 0 { // numeric(2,5) holds 0.00012: leading zeros do not count
		zeros := 0
		for zeros < len(fraction) && fraction[zeros] == '0' {
			zeros++
		}
		if len(fraction) > 0 && scale-zeros > int(e.limit) {
			return problemRange
		}
		return ""
	}
	if len(whole) > int(e.limit)-scale {
		return problemRange
	}
	return ""
}
