package elasticsearch

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"unicode/utf8"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// problem is why a value cannot be written; "" is none. It says the class of the value, never the value.
type problem string

const (
	problemKind        problem = "the value is of a kind that has no JSON form"
	problemUTF8        problem = "the text is not valid UTF-8"
	problemJSON        problem = "the text is not valid JSON"
	problemUnavailable problem = "the source did not send the value"
)

// appendValue writes a cell as JSON; raw says that text is JSON already. NULL is null; unavailable values are for the caller. The text
// is never cut or rounded: what JSON has no number for (NaN, infinities, decimals) is a string.
func appendValue(dst []byte, b *connectors.Batch, c connectors.Cell, raw bool) ([]byte, problem) {
	switch c.Kind {
	case connectors.KindNull:
		return append(dst, "null"...), ""
	case connectors.KindBool:
		if c.Bool() {
			return append(dst, "true"...), ""
		}
		return append(dst, "false"...), ""
	case connectors.KindInt:
		return changes.AppendInt(dst, c.Int()), ""
	case connectors.KindUint:
		return appendUint(dst, c.Uint()), ""
	case connectors.KindFloat32:
		return appendFloat(dst, c.Float(), 32), ""
	case connectors.KindFloat64:
		return appendFloat(dst, c.Float(), 64), ""
	case connectors.KindText:
		v := b.Bytes(c)
		switch {
		case !utf8.Valid(v):
			return dst, problemUTF8
		case raw:
			return appendRaw(dst, v)
		}
		return changes.AppendJSONString(dst, v), ""
	case connectors.KindDecimal, connectors.KindBits:
		v := b.Bytes(c)
		if !utf8.Valid(v) {
			return dst, problemUTF8
		}
		return changes.AppendJSONString(dst, v), ""
	case connectors.KindBytes:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b.Bytes(c)), '"'), ""
	case connectors.KindDate, connectors.KindTime, connectors.KindTimeTZ, connectors.KindTimestamp, connectors.KindTimestampTZ:
		return append(appendTemporal(append(dst, '"'), c), '"'), ""
	case connectors.KindInterval:
		months, days, micros := b.Interval(c)
		return append(changes.AppendInterval(append(dst, '"'), months, days, micros), '"'), ""
	case connectors.KindList:
		return appendList(dst, b, c, raw)
	case connectors.KindMap:
		return appendMap(dst, b, c)
	case connectors.KindPoint:
		xy := b.List(c)
		if len(xy) != 2 {
			return dst, problemKind
		}
		dst = appendFloat(append(dst, `{"x":`...), xy[0].Float(), 64)
		return append(appendFloat(append(dst, `,"y":`...), xy[1].Float(), 64), '}'), ""
	}
	return dst, problemKind
}

func appendUint(dst []byte, v uint64) []byte {
	if v <= math.MaxInt64 {
		return changes.AppendInt(dst, int64(v))
	}
	return append(changes.AppendInt(dst, int64(v/10)), byte('0'+v%10))
}

func appendFloat(dst []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(changes.AppendJavaDouble(append(dst, '"'), v, bits), '"')
	}
	return changes.AppendJavaDouble(dst, v, bits)
}

// appendRaw writes JSON text on one line, as a bulk request needs it: line ends occur between tokens only. Text in which an object has a
// member twice, which the server refuses, is written as a string.
func appendRaw(dst, v []byte) ([]byte, problem) {
	if !json.Valid(v) {
		return dst, problemJSON
	}
	if repeats(v) {
		return changes.AppendJSONString(dst, v), ""
	}
	start := len(dst)
	dst = append(dst, v...)
	if bytes.IndexByte(v, '\n') < 0 && bytes.IndexByte(v, '\r') < 0 {
		return dst, ""
	}
	for i := start; i < len(dst); i++ {
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return dst, ""
}

// repeats tells whether an object in valid JSON has a member twice.
func repeats(v []byte) bool {
	type name struct{ start, end int }
	var names [32]name // of the objects around the place
	var opened [16]int // index of the first name of each; -1 for a list
	seen, open := names[:0], opened[:0]
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '{':
			open = append(open, len(seen))
		case '[':
			open = append(open, -1)
		case '}':
			seen, open = seen[:open[len(open)-1]], open[:len(open)-1]
		case ']':
			open = open[:len(open)-1]
		case '"':
			start := i
			for i++; v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
			if len(open) == 0 || open[len(open)-1] < 0 || !named(v[i+1:]) {
				continue
			}
			for _, n := range seen[open[len(open)-1]:] {
				if sameText(v[n.start:n.end], v[start:i+1]) {
					return true
				}
			}
			seen = append(seen, name{start, i + 1})
		}
	}
	return false
}

// named tells that a colon comes next: what stands before is a name.
func named(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// sameText compares two JSON strings.
func sameText(a, b []byte) bool {
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return bytes.Equal(a, b)
	}
	var x, y string
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}

func appendList(dst []byte, b *connectors.Batch, c connectors.Cell, raw bool) ([]byte, problem) {
	dst = append(dst, '[')
	for i, e := range b.List(c) {
		if i > 0 {
			dst = append(dst, ',')
		}
		var why problem
		if dst, why = appendValue(dst, b, e, raw); why != "" {
			return dst, why
		}
	}
	return append(dst, ']'), ""
}

func appendMap(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	cells := b.List(c)
	if len(cells)%2 != 0 {
		return dst, problemKind
	}
	for i, e := range cells {
		switch {
		case e.Kind == connectors.KindNull && i%2 == 1:
		case e.Kind != connectors.KindText:
			return dst, problemKind
		case !utf8.Valid(b.Bytes(e)):
			return dst, problemUTF8
		}
	}
	return changes.AppendMapJSON(dst, b, cells), ""
}

const microsPerSecond = 1_000_000

// appendTemporal writes dates and times as ISO 8601 has them, with the fractional digits that they need; a timestamp without zone
// has none here either.
func appendTemporal(dst []byte, c connectors.Cell) []byte {
	v := c.Int()
	switch c.Kind {
	case connectors.KindTime:
		return appendTime(dst, v)
	case connectors.KindTimeTZ:
		return appendZone(appendTime(dst, v), int64(c.Offset()))
	}
	switch v {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case math.MinInt64:
		return append(dst, "-infinity"...)
	}
	switch c.Kind {
	case connectors.KindDate:
		dst = changes.AppendIsoDate(dst, c)
		return dst[:len(dst)-1] // its Z
	case connectors.KindTimestamp:
		dst = changes.AppendIsoTimestamp(dst, c)
		return dst[:len(dst)-1]
	}
	return changes.AppendIsoTimestamp(dst, c)
}

// appendTime writes µs as HH:MM:SS.ffffff, with a sign and more than 24 hours where there are such.
func appendTime(dst []byte, micros int64) []byte {
	left := uint64(micros)
	if micros < 0 {
		dst, left = append(dst, '-'), -uint64(micros)
	}
	fraction := left % microsPerSecond
	left /= microsPerSecond
	if left < 36000 {
		dst = append(dst, '0')
	}
	dst = appendUint(dst, left/3600)
	dst = append2(append(dst, ':'), left/60%60)
	dst = append2(append(dst, ':'), left%60)
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := uint64(microsPerSecond / 10); fraction > 0; unit /= 10 {
		dst = append(dst, byte('0'+fraction/unit))
		fraction %= unit
	}
	return dst
}

func appendZone(dst []byte, seconds int64) []byte {
	sign := byte('+')
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	left := uint64(seconds)
	dst = append2(append(dst, sign), left/3600%100)
	dst = append2(append(dst, ':'), left/60%60)
	if left%60 != 0 {
		dst = append2(append(dst, ':'), left%60)
	}
	return dst
}

func append2(dst []byte, v uint64) []byte { return append(dst, byte('0'+v/10), byte('0'+v%10)) }
