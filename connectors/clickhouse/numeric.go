package clickhouse

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"github.com/freshet-io/freshet/connectors"
)

// decimal writes a decimal or a whole number into a Decimal: an integer of 4 to 32 bytes that counts units of 10^-scale. It never
// rounds (I10).
func (c *column) decimal(b *connectors.Batch, cell connectors.Cell) problem {
	var buf [24]byte
	var text []byte
	switch cell.Kind {
	case connectors.KindDecimal:
		text = b.Bytes(cell)
	case connectors.KindInt:
		text = strconv.AppendInt(buf[:0], cell.Int(), 10)
	case connectors.KindUint:
		text = strconv.AppendUint(buf[:0], cell.Uint(), 10)
	default:
		return problemKind
	}
	switch string(text) {
	case "NaN", "Infinity", "-Infinity":
		return problemSpecial
	}
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	whole, fraction, ok := split(text)
	if !ok {
		return problemNumber
	}
	for len(whole) > 0 && whole[0] == '0' {
		whole = whole[1:]
	}
	for len(fraction) > 0 && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	if len(whole) > c.limit-c.scale {
		return problemDigits
	}
	if len(fraction) > c.scale {
		return problemScale
	}
	c.unscaled(whole, fraction, negative)
	return ""
}

// split cuts plain decimal text at its point.
func split(text []byte) (whole, fraction []byte, ok bool) {
	whole = text
	for i, ch := range text {
		switch {
		case ch == '.' && fraction == nil:
			whole, fraction = text[:i], text[i+1:]
		case ch < '0' || ch > '9':
			return nil, nil, false
		}
	}
	return whole, fraction, len(whole)+len(fraction) > 0
}

// unscaled appends digits that fit.
func (c *column) unscaled(whole, fraction []byte, negative bool) {
	if c.width <= 8 {
		var v int64
		for _, ch := range whole {
			v = v*10 + int64(ch-'0')
		}
		for _, ch := range fraction {
			v = v*10 + int64(ch-'0')
		}
		for range c.scale - len(fraction) {
			v *= 10
		}
		if negative {
			v = -v
		}
		c.number(v)
		return
	}
	var v [4]uint64
	shift(&v, whole)
	shift(&v, fraction)
	for rest := c.scale - len(fraction); rest > 0; {
		n := min(rest, 19)
		multiply(&v, power(n), 0)
		rest -= n
	}
	if negative {
		carry := uint64(1)
		for i := range v {
			v[i], carry = bits.Add64(^v[i], 0, carry)
		}
	}
	for _, word := range v[:c.width/8] {
		c.data = binary.LittleEndian.AppendUint64(c.data, word)
	}
}

// shift appends digits to a number, nineteen at a time.
func shift(v *[4]uint64, digits []byte) {
	for len(digits) > 0 {
		n := min(len(digits), 19)
		var part uint64
		for _, ch := range digits[:n] {
			part = part*10 + uint64(ch-'0')
		}
		multiply(v, power(n), part)
		digits = digits[n:]
	}
}

// multiply makes v = v*by + plus.
func multiply(v *[4]uint64, by, plus uint64) {
	carry := plus
	for i := range v {
		high, low := bits.Mul64(v[i], by)
		var over uint64
		v[i], over = bits.Add64(low, carry, 0)
		carry = high + over
	}
}

// power is 10^n, n up to 19.
func power(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}
