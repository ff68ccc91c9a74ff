package postgres

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unsafe"

	"github.com/freshet-io/freshet/connectors"
)

// op is how the text form of a type becomes a cell; chosen once per column.
type op uint8

const (
	opText op = iota
	opBool
	opInt
	opFloat32
	opFloat64
	opDecimal
	opMoney
	opBytea
	opDate
	opTime
	opTimeTZ
	opTimestamp
	opTimestampTZ
	opInterval
	opBits
	opList
	opHstore
	opPoint
	opGeometry // text, numbers as the reference prints them
)

// decoder turns the text form of one column's values, as a session with sessionSettings prints them, into cells.
type decoder struct {
	op   op
	elem op // of opList
}

// errMalformed is wrapped by every decoding error. The errors name the type and never show the value.
var errMalformed = errors.New("the text is malformed")

var errTimestamp = fmt.Errorf("decode timestamp: %w, or the time is after the year 294246, up to which µs since 1970 have 64 bits", errMalformed)

func malformed(what string) error { return fmt.Errorf("decode %s: %w", what, errMalformed) }

// append writes the cell of text. After an error the row must be discarded.
func (d decoder) append(w *connectors.Builder, text []byte) error {
	if d.op == opList {
		return appendList(w, d, text)
	}
	return appendScalar(w, d.op, text)
}

func appendScalar(w *connectors.Builder, o op, text []byte) error {
	switch o {
	case opText:
		w.Text(connectors.KindText, text)
		return nil
	case opBool:
		if len(text) != 1 || text[0] != 't' && text[0] != 'f' {
			return malformed("boolean")
		}
		w.Bool(text[0] == 't')
		return nil
	case opInt:
		n, ok := parseInt(text)
		if !ok {
			return malformed("integer")
		}
		w.Int(n)
		return nil
	case opFloat32, opFloat64:
		return appendFloat(w, o, text)
	case opDecimal:
		if !isDecimal(text) {
			return malformed("numeric")
		}
		w.Text(connectors.KindDecimal, text)
		return nil
	case opMoney:
		return appendMoney(w, text)
	case opBytea:
		return appendBytea(w, text)
	case opBits:
		for _, b := range text {
			if b != '0' && b != '1' {
				return malformed("bit string")
			}
		}
		w.Text(connectors.KindBits, text)
		return nil
	case opHstore:
		return appendHstore(w, text)
	case opPoint:
		return appendPoint(w, text)
	case opGeometry:
		return appendGeometry(w, text)
	}
	return appendTemporal(w, o, text)
}

// view is text as a string without a copy, for parsers of the standard library that do not keep it.
func view(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }

// parseInt reads an optional minus sign and digits that fit 64 bits.
func parseInt(text []byte) (int64, bool) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	if len(text) == 0 || len(text) > 19 {
		return 0, false
	}
	var n uint64
	for _, b := range text {
		d := b - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= math.MaxInt64
}

func appendFloat(w *connectors.Builder, o op, text []byte) error {
	if o == opFloat32 {
		f, err := strconv.ParseFloat(view(text), 32)
		if err != nil {
			return malformed("real")
		}
		w.Float32(float32(f))
		return nil
	}
	f, err := strconv.ParseFloat(view(text), 64)
	if err != nil {
		return malformed("double precision")
	}
	w.Float64(f)
	return nil
}

// isDecimal tells a plain decimal number, NaN, Infinity or -Infinity.
func isDecimal(text []byte) bool {
	switch string(text) {
	case "NaN", "Infinity", "-Infinity":
		return true
	}
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	digits, points := 0, 0
	for _, b := range text {
		switch {
		case b >= '0' && b <= '9':
			digits++
		case b == '.' && points == 0:
			points++
		default:
			return false
		}
	}
	return digits > 0
}

// appendMoney drops the currency sign and the group separators of lc_monetary=C: -$1,234.56.
func appendMoney(w *connectors.Builder, text []byte) error {
	var buf [32]byte
	out := buf[:0]
	digits := 0
	for _, b := range text {
		switch {
		case b >= '0' && b <= '9':
			digits++
			out = append(out, b)
		case b == '-' && len(out) == 0, b == '.':
			out = append(out, b)
		case b == '$' || b == ',':
		default:
			return malformed("money")
		}
		if len(out) > 30 {
			return malformed("money")
		}
	}
	if digits == 0 || !isDecimal(out) {
		return malformed("money")
	}
	w.Text(connectors.KindDecimal, out)
	return nil
}

func appendBytea(w *connectors.Builder, text []byte) error {
	if len(text) < 2 || text[0] != '\\' || text[1] != 'x' || len(text)%2 != 0 {
		return malformed("bytea (the session must have bytea_output=hex)")
	}
	text = text[2:]
	out := w.Grow(connectors.KindBytes, len(text)/2)
	for i := range out {
		hi, lo := unhex(text[2*i]), unhex(text[2*i+1])
		if hi|lo > 15 {
			return malformed("bytea")
		}
		out[i] = hi<<4 | lo
	}
	return nil
}

// unhex returns the value of a hexadecimal digit, 255 for any other byte.
func unhex(b byte) byte {
	switch {
	case b >= '0' && b <= '9':
		return b - '0'
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10
	case b >= 'A' && b <= 'F':
		return b - 'A' + 10
	}
	return 255
}

func decodeHex(digits string) ([]byte, error) {
	if len(digits)%2 != 0 {
		return nil, malformed("hexadecimal digits")
	}
	out := make([]byte, len(digits)/2)
	for i := range out {
		hi, lo := unhex(digits[2*i]), unhex(digits[2*i+1])
		if hi|lo > 15 {
			return nil, malformed("hexadecimal digits")
		}
		out[i] = hi<<4 | lo
	}
	return out, nil
}

// appendPoint reads (x,y).
func appendPoint(w *connectors.Builder, text []byte) error {
	if len(text) < 5 || text[0] != '(' || text[len(text)-1] != ')' {
		return malformed("point")
	}
	text = text[1 : len(text)-1]
	for i, b := range text {
		if b != ',' {
			continue
		}
		x, err := strconv.ParseFloat(view(text[:i]), 64)
		y, err2 := strconv.ParseFloat(view(text[i+1:]), 64)
		if err != nil || err2 != nil {
			break
		}
		w.BeginList(connectors.KindPoint)
		w.Float64(x)
		w.Float64(y)
		w.EndList()
		return nil
	}
	return malformed("point")
}

// appendGeometry copies the text of a line, lseg, box, path, polygon or circle; its numbers get the form that the reference
// prints (1 is 1.0), which PostgreSQL reads as the same value.
func appendGeometry(w *connectors.Builder, text []byte) error {
	var buf [128]byte
	out := buf[:0]
	for i := 0; i < len(text); {
		b := text[i]
		if b == '(' || b == ')' || b == '[' || b == ']' || b == '<' || b == '>' || b == '{' || b == '}' || b == ',' {
			out = append(out, b)
			i++
			continue
		}
		end := i
		for end < len(text) && text[end] != ',' && text[end] != ')' && text[end] != ']' && text[end] != '}' && text[end] != '>' {
			end++
		}
		f, err := strconv.ParseFloat(view(text[i:end]), 64)
		if err != nil {
			return malformed("geometric value")
		}
		out = appendJavaDouble(out, f)
		i = end
	}
	w.Text(connectors.KindText, out)
	return nil
}

// appendJavaDouble writes f as Java's Double.toString does.
func appendJavaDouble(out []byte, f float64) []byte {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		return append(out, "NaN"...)
	case math.IsInf(f, 0):
		if f < 0 {
			out = append(out, '-')
		}
		return append(out, "Infinity"...)
	case a == 0 || a >= 1e-3 && a < 1e7:
		at := len(out)
		out = strconv.AppendFloat(out, f, 'f', -1, 64)
		for _, b := range out[at:] {
			if b == '.' {
				return out
			}
		}
		return append(out, ".0"...)
	}
	var buf [32]byte
	text := strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	point := false
	for i, b := range text {
		switch {
		case b == '.':
			point = true
		case b == 'e':
			if !point {
				out = append(out, ".0"...)
			}
			out = append(out, 'E')
			exponent, _ := strconv.Atoi(string(text[i+1:]))
			return strconv.AppendInt(out, int64(exponent), 10)
		}
		out = append(out, b)
	}
	return out
}
