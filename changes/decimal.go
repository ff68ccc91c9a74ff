package changes

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"unsafe"
)

func appendInt(dst []byte, v int64) []byte { return AppendInt(dst, v) }

// digits is a plain decimal text taken apart: [-]whole[.fraction].
type digits struct {
	negative        bool
	whole, fraction []byte
}

// split takes plain decimal text apart; false for anything else (NaN, Infinity).
func split(text []byte) (digits, bool) {
	var d digits
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		d.negative = text[0] == '-'
		text = text[1:]
	}
	d.whole = text
	dot := -1
	for i, c := range text {
		if c == '.' && dot < 0 {
			dot = i
			continue
		}
		if c < '0' || c > '9' {
			return d, false
		}
	}
	if dot >= 0 {
		d.whole, d.fraction = text[:dot], text[dot+1:]
	}
	return d, len(d.whole)+len(d.fraction) > 0
}

// AppendUnscaled writes the unscaled value of decimal text at the given scale as Java's BigInteger.toByteArray does: shortest big-endian
// two's complement. Digits beyond the scale are rounded half up. False for NaN, infinities and what is no number.
func AppendUnscaled(dst, text []byte, scale int32) ([]byte, bool) {
	if v, ok := smallUnscaled(text, int(scale)); ok {
		return appendTwos(dst, v), true
	}
	d, ok := split(text)
	if !ok {
		return dst, false
	}
	return appendLong(dst, d, int(scale)), true
}

// smallUnscaled is the unscaled value of text of at most 18 digits that needs no rounding.
func smallUnscaled(text []byte, scale int) (v int64, ok bool) {
	if len(text)+scale > 18 || len(text) == 0 {
		return 0, false
	}
	i, dot := 0, -1
	if text[0] == '-' {
		i = 1
	}
	for ; i < len(text); i++ {
		c := text[i] - '0'
		if c <= 9 {
			v = v*10 + int64(c)
		} else if text[i] == '.' && dot < 0 {
			dot = i
		} else {
			return 0, false
		}
	}
	missing := scale
	if dot >= 0 {
		missing -= len(text) - dot - 1
	}
	if missing < 0 || len(text) == 1 && (dot == 0 || text[0] == '-') {
		return 0, false
	}
	for ; missing > 0; missing-- {
		v *= 10
	}
	if text[0] == '-' {
		v = -v
	}
	return v, true
}

// appendTwos writes v as shortest big-endian two's complement.
func appendTwos(dst []byte, v int64) []byte {
	n := 8 - (bits.LeadingZeros64(uint64(v^v>>63))-1)/8 // bytes that hold the value and its sign
	u := uint64(v) << (64 - 8*n)
	at := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, u)
	return dst[:at+n]
}

const maxLimbs = 8

// appendLong is AppendUnscaled for values of more than 18 digits: up to 153 digits without an allocation.
func appendLong(dst []byte, d digits, scale int) []byte {
	fraction, up := d.fraction, false
	if len(fraction) > scale {
		up = fraction[scale] >= '5'
		fraction = fraction[:scale]
	}
	if len(d.whole)+scale > 153 {
		return appendHuge(dst, d, fraction, scale, up)
	}
	var m [maxLimbs]uint64
	n := 1
	for _, part := range [2][]byte{d.whole, fraction} {
		for len(part) > 0 {
			k := min(len(part), 19)
			chunk := uint64(0)
			for _, c := range part[:k] {
				chunk = chunk*10 + uint64(c-'0')
			}
			n = mulAdd(&m, n, pow10(k), chunk)
			part = part[k:]
		}
	}
	for zeros := scale - len(fraction); zeros > 0; zeros -= 19 {
		n = mulAdd(&m, n, pow10(min(zeros, 19)), 0)
	}
	if up {
		n = mulAdd(&m, n, 1, 1)
	}
	at := len(dst)
	dst = append(dst, 0)
	for i := n - 1; i >= 0; i-- {
		dst = binary.BigEndian.AppendUint64(dst, m[i])
	}
	return trimTwos(dst, at, d.negative)
}

func pow10(k int) uint64 {
	v := uint64(1)
	for ; k > 0; k-- {
		v *= 10
	}
	return v
}

// mulAdd computes m*factor+add over n limbs and returns the new number of limbs.
func mulAdd(m *[maxLimbs]uint64, n int, factor, add uint64) int {
	carry := add
	for i := range n {
		hi, lo := bits.Mul64(m[i], factor)
		lo, c := bits.Add64(lo, carry, 0)
		m[i], carry = lo, hi+c
	}
	if carry != 0 && n < maxLimbs {
		m[n] = carry
		n++
	}
	return n
}

// trimTwos turns the magnitude in dst[at:], which starts with a zero byte, into shortest two's complement.
func trimTwos(dst []byte, at int, negative bool) []byte {
	b := dst[at:]
	if negative {
		carry := true
		for i := len(b) - 1; i >= 0; i-- {
			b[i] = ^b[i]
			if carry {
				b[i]++
				carry = b[i] == 0
			}
		}
	}
	skip := 0
	for skip+1 < len(b) && (b[skip] == 0 && b[skip+1] < 0x80 || b[skip] == 0xFF && b[skip+1] >= 0x80) {
		skip++
	}
	copy(b, b[skip:])
	return dst[:len(dst)-skip]
}

func appendHuge(dst []byte, d digits, fraction []byte, scale int, up bool) []byte {
	text := append(append([]byte{'0'}, d.whole...), fraction...)
	for i := len(fraction); i < scale; i++ {
		text = append(text, '0')
	}
	v, _ := new(big.Int).SetString(string(text), 10) // digits only
	if up {
		v.Add(v, big.NewInt(1))
	}
	at := len(dst)
	dst = append(append(dst, 0), v.Bytes()...)
	return trimTwos(dst, at, d.negative)
}

// AppendVariable is for decimals without a declared scale: trailing zeros of the fraction are dropped, the scale is what remains.
func AppendVariable(dst, text []byte) (out []byte, scale int32, ok bool) {
	d, ok := split(text)
	if !ok {
		return dst, 0, false
	}
	n := len(d.fraction)
	for n > 0 && d.fraction[n-1] == '0' {
		n--
	}
	cut := text
	if len(d.fraction) > 0 {
		cut = text[:len(text)-len(d.fraction)+n]
	}
	out, ok = AppendUnscaled(dst, cut, int32(n))
	return out, int32(n), ok
}

// AppendDecimalText writes a decimal as plain text with scale fractional digits (as it is when negative); the special values
// by the reference's names.
func AppendDecimalText(dst, text []byte, scale int32) []byte {
	d, ok := split(text)
	if !ok {
		switch string(text) {
		case "NaN":
			return append(dst, "NAN"...)
		case "Infinity":
			return append(dst, "POSITIVE_INFINITY"...)
		case "-Infinity":
			return append(dst, "NEGATIVE_INFINITY"...)
		}
		return append(dst, text...)
	}
	n := int(scale)
	if scale < 0 || len(d.fraction) == n {
		return append(dst, text...)
	}
	if len(d.fraction) > n {
		return appendRounded(dst, d, n)
	}
	dst = append(dst, text...)
	if len(d.fraction) == 0 && (len(text) == 0 || text[len(text)-1] != '.') {
		dst = append(dst, '.')
	}
	for i := len(d.fraction); i < n; i++ {
		dst = append(dst, '0')
	}
	return dst
}

// appendRounded writes d with n fractional digits, half up, fewer than it has.
func appendRounded(dst []byte, d digits, n int) []byte {
	at := len(dst)
	dst = append(append(append(dst, '0'), d.whole...), d.fraction[:n]...)
	if d.fraction[n] >= '5' {
		i := len(dst) - 1
		for dst[i] == '9' {
			dst[i] = '0'
			i--
		}
		dst[i]++
	}
	if dst[at] == '0' && len(d.whole) > 0 {
		copy(dst[at:], dst[at+1:])
		dst = dst[:len(dst)-1]
	}
	if n > 0 {
		dst = append(dst, 0)
		copy(dst[len(dst)-n:], dst[len(dst)-n-1:])
		dst[len(dst)-n-1] = '.'
	}
	if d.negative {
		dst = append(dst, 0)
		copy(dst[at+1:], dst[at:])
		dst[at] = '-'
	}
	return dst
}

// decimalFloat is a decimal as the nearest double.
func decimalFloat(text []byte) float64 {
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	if err != nil && v == 0 {
		return math.NaN()
	}
	return v
}

// AppendDecimal writes a Connect Decimal (unscaled big-endian two's complement) as Java's BigDecimal.toString does.
func AppendDecimal(dst, unscaled []byte, scale int32) []byte {
	var buf [20]byte
	text, negative := unscaledDigits(buf[:0], unscaled)
	return appendScaled(dst, text, negative, scale)
}

// unscaledDigits are the digits of a big-endian two's complement number; few of them are written into buf.
func unscaledDigits(buf, unscaled []byte) (text []byte, negative bool) {
	var v int64
	if len(unscaled) <= 8 {
		if len(unscaled) > 0 && unscaled[0] >= 0x80 {
			v = -1
		}
		for _, c := range unscaled {
			v = v<<8 | int64(c)
		}
		if v != math.MinInt64 {
			return appendInt(buf, max(v, -v)), v < 0
		}
	}
	big1 := new(big.Int).SetBytes(unscaled)
	negative = unscaled[0] >= 0x80
	if negative {
		big1.Sub(big1, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
		big1.Neg(big1)
	}
	return big1.Append(nil, 10), negative
}

// appendPlainDecimal writes a Connect Decimal without an exponent, with scale fractional digits: as databases do.
func appendPlainDecimal(dst, unscaled []byte, scale int32) []byte {
	var buf [20]byte
	text, negative := unscaledDigits(buf[:0], unscaled)
	if negative {
		dst = append(dst, '-')
	}
	n := len(text) - int(scale) // digits before the point
	switch {
	case scale <= 0:
		dst = append(dst, text...)
		for ; scale < 0 && string(text) != "0"; scale++ {
			dst = append(dst, '0')
		}
		return dst
	case n > 0:
		return append(append(append(dst, text[:n]...), '.'), text[n:]...)
	}
	dst = append(dst, '0', '.')
	for ; n < 0; n++ {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

// AppendJavaDecimal writes plain decimal text, set to scale fractional digits, as Java's BigDecimal.toString does: numbers
// below 0.000001 get an exponent. A negative scale leaves the digits as they are. False for what is no number.
func AppendJavaDecimal(dst, text []byte, scale int32) ([]byte, bool) {
	d, ok := split(text)
	if !ok {
		return dst, false
	}
	var buf [64]byte
	if n := len(d.fraction); scale >= 0 && int(scale) != n {
		if d, ok = split(AppendDecimalText(buf[:0], text, scale)); !ok {
			return dst, false
		}
	}
	var all [64]byte
	return appendScaled(dst, append(append(all[:0], d.whole...), d.fraction...), d.negative, int32(len(d.fraction))), true
}

// appendScaled writes digits × 10^-scale.
func appendScaled(dst, text []byte, negative bool, scale int32) []byte {
	for len(text) > 1 && text[0] == '0' {
		text = text[1:]
	}
	if negative && !(len(text) == 1 && text[0] == '0') {
		dst = append(dst, '-')
	}
	n := len(text)
	adjusted := n - 1 - int(scale)
	switch {
	case scale == 0:
		return append(dst, text...)
	case scale > 0 && adjusted >= -6:
		if n <= int(scale) {
			dst = append(dst, '0', '.')
			for i := n; i < int(scale); i++ {
				dst = append(dst, '0')
			}
			return append(dst, text...)
		}
		dst = append(append(dst, text[:n-int(scale)]...), '.')
		return append(dst, text[n-int(scale):]...)
	}
	dst = append(dst, text[0])
	if n > 1 {
		dst = append(append(dst, '.'), text[1:]...)
	}
	dst = append(dst, 'E')
	if adjusted >= 0 {
		dst = append(dst, '+')
	}
	return appendInt(dst, int64(adjusted))
}
