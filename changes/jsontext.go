package changes

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/freshet-io/freshet/connectors"
)

// escapes says how the reference's JSON library writes each byte inside a string: 0 as it is, 'u' as \u00XX, else backslash and this.
var escapes = [256]byte{
	0: 'u', 1: 'u', 2: 'u', 3: 'u', 4: 'u', 5: 'u', 6: 'u', 7: 'u', '\b': 'b', '\t': 't', '\n': 'n', 11: 'u', '\f': 'f', '\r': 'r', 14: 'u', 15: 'u',
	16: 'u', 17: 'u', 18: 'u', 19: 'u', 20: 'u', 21: 'u', 22: 'u', 23: 'u', 24: 'u', 25: 'u', 26: 'u', 27: 'u', 28: 'u', 29: 'u', 30: 'u', 31: 'u',
	'"': '"', '\\': '\\',
}

const hexDigits = "0123456789ABCDEF"

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special finds, in eight bytes at once, whether one is a quote, a backslash or a control character.
func special(w uint64) bool {
	quote, slash := w^(ones*'"'), w^(ones*'\\')
	return ((w-ones*0x20)&^w|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0
}

// AppendJSONString writes text as a JSON string with its quotes, escaped as the reference's JSON library does.
func AppendJSONString(dst, text []byte) []byte {
	dst = append(dst, '"')
	i := 0
	for ; i+8 <= len(text); i += 8 {
		if special(binary.LittleEndian.Uint64(text[i:])) {
			return append(appendEscaped(dst, text, i), '"')
		}
	}
	for ; i < len(text); i++ {
		if escapes[text[i]] != 0 {
			return append(appendEscaped(dst, text, i), '"')
		}
	}
	return append(append(dst, text...), '"')
}

// AppendJSONText is AppendJSONString for a string.
func AppendJSONText(dst []byte, text string) []byte {
	return AppendJSONString(dst, unsafe.Slice(unsafe.StringData(text), len(text)))
}

// AppendWireString is AppendJSONString as the reference's library writes into bytes, those of messages: a character beyond U+FFFF as the
// escapes of its two UTF-16 units.
func AppendWireString(dst, text []byte) []byte {
	i := 0
	for ; i+8 <= len(text); i += 8 {
		if w := binary.LittleEndian.Uint64(text[i:]); w&(w<<1)&(w<<2)&(w<<3)&highs != 0 { // a byte from 0xF0 on begins such a character
			return appendUnits(dst, text)
		}
	}
	for ; i < len(text); i++ {
		if text[i] >= 0xF0 {
			return appendUnits(dst, text)
		}
	}
	return AppendJSONString(dst, text)
}

// AppendWireText is AppendWireString for a string.
func AppendWireText(dst []byte, text string) []byte {
	return AppendWireString(dst, unsafe.Slice(unsafe.StringData(text), len(text)))
}

func appendUnits(dst, text []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r > 0xFFFF {
			dst = appendEscaped(dst, text[start:i], 0)
			high, low := utf16.EncodeRune(r)
			for _, unit := range [...]rune{high, low} {
				dst = append(dst, '\\', 'u', 'D', hexDigits[unit>>8&15], hexDigits[unit>>4&15], hexDigits[unit&15])
			}
			start = i + size
		}
		i += size
	}
	return append(appendEscaped(dst, text[start:], 0), '"')
}

// appendEscaped writes text, of which the first bytes up to from need no escape.
func appendEscaped(dst, text []byte, from int) []byte {
	start := 0
	for i := from; i < len(text); i++ {
		e := escapes[text[i]]
		if e == 0 {
			continue
		}
		dst = append(dst, text[start:i]...)
		if e == 'u' {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[text[i]>>4], hexDigits[text[i]&15])
		} else {
			dst = append(dst, '\\', e)
		}
		start = i + 1
	}
	return append(dst, text[start:]...)
}

// AppendJavaDouble writes a double as Java's Double.toString; NaN and infinities as NaN, Infinity, -Infinity.
func AppendJavaDouble(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	if abs := math.Abs(v); abs == 0 || abs >= 1e-3 && abs < 1e7 {
		// A decimal of at most 15 digits that denotes v is the shortest one.
		if k := int64(abs*1000 + 0.5); bits == 64 && k != 0 && float64(k)/1000 == abs {
			return appendThousandths(dst, v < 0, k)
		}
		at := len(dst)
		dst = strconv.AppendFloat(dst, v, 'f', -1, bits)
		for _, c := range dst[at:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, '.', '0')
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, v, 'e', -1, bits)
	// d.ddde±XX becomes d.dddE±X: at least one fractional digit, no plus, no leading zero.
	e := len(dst) - 1
	for dst[e] != 'e' {
		e--
	}
	var exponent [8]byte
	exp := append(exponent[:0], dst[e+1:]...)
	fraction := false
	for _, c := range dst[at:e] {
		fraction = fraction || c == '.'
	}
	dst = dst[:e]
	if !fraction {
		dst = javaDigits(dst, at, v, bits)
	}
	dst = append(dst, 'E')
	if exp[0] == '-' {
		dst = append(dst, '-')
	}
	exp = exp[1:]
	for len(exp) > 1 && exp[0] == '0' {
		exp = exp[1:]
	}
	return append(dst, exp...)
}

func appendThousandths(dst []byte, negative bool, k int64) []byte {
	if negative {
		dst = append(dst, '-')
	}
	dst = AppendInt(dst, k/1000)
	f := int(k % 1000)
	dst = append(dst, '.', byte('0'+f/100))
	if f%100 != 0 {
		dst = append(dst, byte('0'+f/10%10))
		if f%10 != 0 {
			dst = append(dst, byte('0'+f%10))
		}
	}
	return dst
}

// javaDigits completes a one-digit mantissa: of the two-digit decimals that denote v, Java takes the nearest one, which is
// d.0 but for some of the smallest subnormal numbers (4.9E-324, 1.4E-45).
func javaDigits(dst []byte, at int, v float64, bits int) []byte {
	var two [32]byte
	t := strconv.AppendFloat(two[:0], v, 'e', 1, bits)
	var back float64
	var err error
	if back, err = strconv.ParseFloat(string(t), bits); err != nil || back != v {
		return append(dst, '.', '0')
	}
	for i, c := range t {
		if c == 'e' {
			return append(dst[:at], t[:i]...)
		}
	}
	return dst
}

// AppendMapJSON writes the cells of a KindMap as a JSON object of texts and nulls.
func AppendMapJSON(dst []byte, b *connectors.Batch, cells []connectors.Cell) []byte {
	return appendEntries(dst, b, cells, AppendJSONString)
}

// AppendMapWire is AppendMapJSON as AppendWireString writes.
func AppendMapWire(dst []byte, b *connectors.Batch, cells []connectors.Cell) []byte {
	return appendEntries(dst, b, cells, AppendWireString)
}

func appendEntries(dst []byte, b *connectors.Batch, cells []connectors.Cell, text func(dst, text []byte) []byte) []byte {
	var buf [32]int
	dst = append(dst, '{')
	for i, at := range AppendMapOrder(buf[:0], b, cells) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(text(dst, b.Bytes(cells[at])), ':')
		if v := cells[at+1]; v.Kind == connectors.KindText {
			dst = text(dst, b.Bytes(v))
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}')
}

// appendWKB writes a point as well-known binary, little-endian, without SRID.
func appendWKB(dst []byte, x, y float64) []byte {
	dst = append(dst, 1, 1, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(y))
}
