package mysql

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// appendServerJSON appends a document that the server printed as the stream writes it: no spaces between tokens, capital
// hexadecimal digits, doubles as appendJSONDouble does. Texts stay as they are: that one stands for a date, a time or bytes cannot be seen.
func (c *column) appendServerJSON(w *connectors.Builder, text []byte) error {
	out, ok := appendCompactJSON(c.scratch[:0], text)
	c.scratch = out
	if !ok {
		return malformed("JSON document")
	}
	w.Text(connectors.KindText, out)
	return nil
}

func appendCompactJSON(dst, text []byte) ([]byte, bool) {
	for len(text) > 0 {
		n := 1
		switch ch := text[0]; {
		case ch == ' ':
		case ch == '"':
			if n = stringEnd(text); n < 0 {
				return dst, false
			}
			dst = appendCapitals(dst, text[:n])
		case ch == '-' || ch-'0' <= 9:
			for n < len(text) && strings.IndexByte(",]} ", text[n]) < 0 {
				n++
			}
			dst = appendServerNumber(dst, text[:n])
		default:
			dst = append(dst, ch)
		}
		text = text[n:]
	}
	return dst, true
}

// stringEnd returns the length of the string at the start of text, -1 when it has no end.
func stringEnd(text []byte) int {
	for at := 1; at < len(text); {
		i := bytes.IndexByte(text[at:], '"')
		if i < 0 {
			return -1
		}
		end := at + i
		escapes := 0
		for text[end-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return end + 1
		}
		at = end + 1
	}
	return -1
}

// appendCapitals copies a string; the digits of its \u escapes become capitals.
func appendCapitals(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+6 > len(text) {
			return append(dst, text...)
		}
		n := i + 2
		dst = append(dst, text[:n]...)
		if text[i+1] == 'u' {
			n = i + 6
			dst = append(dst, bytes.ToUpper(text[i+2:n])...)
		}
		text = text[n:]
	}
}

// appendServerNumber copies a number. Doubles are known by an exponent, or by being the shortest digits of one.
func appendServerNumber(dst, text []byte) []byte {
	if !bytes.ContainsAny(text, ".e") {
		return append(dst, text...)
	}
	f, err := strconv.ParseFloat(view(text), 64)
	if err != nil || math.Abs(f) >= 1e-3 && math.Abs(f) < 1e7 {
		return append(dst, text...)
	}
	if bytes.IndexByte(text, 'e') < 0 {
		at := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		if bytes.IndexByte(dst[at:], '.') < 0 {
			dst = append(dst, '.', '0')
		}
		double := bytes.Equal(dst[at:], text)
		dst = dst[:at]
		if !double {
			return append(dst, text...)
		}
	}
	out, ok := appendJSONDouble(dst, f)
	if !ok {
		return append(dst, text...)
	}
	return out
}

// appendJSONDouble writes the shortest digits that give f again; those that would need an exponent from 10⁷ on and below 10⁻³ exactly.
func appendJSONDouble(dst []byte, f float64) ([]byte, bool) {
	size := math.Abs(f)
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		return dst, false
	case size != 0 && size < 1e-3:
		return trimZeros(strconv.AppendFloat(dst, f, 'f', 1074, 64), len(dst)), true
	case size >= 1e7:
		return trimZeros(strconv.AppendFloat(dst, f, 'f', 30, 64), len(dst)), true
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if bytes.IndexByte(dst[start:], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst, true
}

// trimZeros removes the zeros at the end of a fraction, and its point when nothing follows it.
func trimZeros(dst []byte, start int) []byte {
	for len(dst) > start && dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if len(dst) > start && dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	return dst
}
