package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"github.com/freshet-io/freshet/connectors"
)

// errMalformed is wrapped by every decoding error. The errors name the type and never show the value.
var errMalformed = errors.New("the value is malformed")

func malformed(what string) error { return fmt.Errorf("decode %s: %w", what, errMalformed) }

// selectList is what a snapshot selects, one expression per column of t.selected. The server prints a FLOAT with six digits; as a
// double it has all.
func (t *table) selectList() string {
	var out strings.Builder
	for n, i := range t.selected {
		if n > 0 {
			out.WriteString(", ")
		}
		out.WriteString(t.columns[i].selected())
	}
	return out.String()
}

// selected is what is selected for a column.
func (c *column) selected() string {
	quoted := quote(c.name)
	if c.float {
		quoted += " * 1e0"
	}
	return quoted
}

// appendTextRow appends the cells of a row of a text result set in a session with utf8mb4 and UTC: one field per column of
// t.selected, nil for NULL.
func (t *table) appendTextRow(w *connectors.Builder, fields [][]byte) error {
	if len(fields) != len(t.selected) {
		return connectors.AsPermanent(fmt.Errorf("read row of %s: it has %d columns instead of %d", t.id, len(fields), len(t.selected)))
	}
	for n, i := range t.selected {
		c := &t.columns[i]
		if c.cell < 0 {
			continue
		}
		if err := c.appendMasked(w, fields[n]); err != nil {
			return t.valueError(c, err)
		}
	}
	return nil
}

// appendTextKey appends the key cells of a row of appendTextRow. Keys are never masked.
func (t *table) appendTextKey(w *connectors.Builder, row connectors.Row, fields [][]byte) error {
	for _, k := range t.keys {
		if k.cell >= 0 {
			w.Cell(w.Row(row)[k.cell])
			continue
		}
		c := &t.columns[k.column]
		text := fields[t.field(k.column)]
		if text == nil {
			w.Null()
		} else if err := c.appendText(w, text); err != nil {
			return t.valueError(c, err)
		}
	}
	return nil
}

// field is the place of a selected column in the result set.
func (t *table) field(column int) int {
	for n, i := range t.selected {
		if i == column {
			return n
		}
	}
	return -1
}

func (t *table) valueError(c *column, err error) error {
	return connectors.AsPermanent(fmt.Errorf("read row of %s: column %s: %w", t.id, c.name, err))
}

func (c *column) appendMasked(w *connectors.Builder, text []byte) error {
	switch {
	case c.mask != nil && (text != nil || c.mask.Always()):
		c.mask.Append(w, text)
		return nil
	case text == nil:
		w.Null()
		return nil
	}
	return c.appendText(w, text)
}

// appendText appends the cell of a value in the form in which the server prints it.
func (c *column) appendText(w *connectors.Builder, text []byte) error {
	switch c.op {
	case opInt:
		n, ok := parseInt(text)
		if !ok {
			return malformed("integer")
		}
		w.Int(n)
	case opUint:
		n, err := strconv.ParseUint(view(text), 10, 64)
		if err != nil {
			return malformed("unsigned integer")
		}
		w.Uint(n)
	case opBool:
		n, ok := parseInt(text)
		if !ok {
			return malformed("boolean")
		}
		w.Bool(n != 0)
	case opFloat32, opFloat64:
		return c.appendFloat(w, text)
	case opDecimal:
		w.Text(connectors.KindDecimal, plainDecimal(text))
	case opText, opEnum, opSet, opUUID, opInet4, opInet6:
		w.Text(connectors.KindText, text)
	case opJSON:
		return c.appendServerJSON(w, text)
	case opBytes:
		w.Text(connectors.KindBytes, text)
	case opGeometry, opPoint:
		w.Text(connectors.KindBytes, text)
	case opBits:
		return c.appendBits(w, text)
	case opVector:
		return appendVector(w, text)
	default:
		return c.appendTemporal(w, text)
	}
	return nil
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

func (c *column) appendFloat(w *connectors.Builder, text []byte) error {
	f, err := strconv.ParseFloat(view(text), 64)
	if err != nil {
		return malformed("floating-point number")
	}
	if c.op == opFloat32 {
		w.Float32(float32(f))
	} else {
		w.Float64(f)
	}
	return nil
}

// plainDecimal takes off the zeros that ZEROFILL puts before a number.
func plainDecimal(text []byte) []byte {
	for len(text) > 1 && text[0] == '0' && text[1]-'0' <= 9 {
		text = text[1:]
	}
	return text
}

// appendBits turns big-endian bytes into the column's number of digits.
func (c *column) appendBits(w *connectors.Builder, raw []byte) error {
	if len(raw)*8 < c.length || len(raw) > 8 {
		return malformed("bit string")
	}
	digits := w.Grow(connectors.KindBits, c.length)
	for i := range digits {
		bit := c.length - 1 - i
		digits[i] = '0' + raw[len(raw)-1-bit/8]>>(bit%8)&1
	}
	return nil
}

// appendVector turns single-precision numbers, little-endian, into a list.
func appendVector(w *connectors.Builder, raw []byte) error {
	if len(raw)%4 != 0 {
		return malformed("vector")
	}
	w.BeginList(connectors.KindList)
	for ; len(raw) > 0; raw = raw[4:] {
		w.Float32(math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	w.EndList()
	return nil
}

func (c *column) appendTemporal(w *connectors.Builder, text []byte) error {
	switch c.op {
	case opYear:
		n, ok := parseInt(text)
		if !ok {
			return malformed("year")
		}
		if len(text) == 2 { // YEAR(2)
			n = int64(fullYear(int(n)))
		}
		w.Int(n)
	case opDate:
		year, month, day, ok := parseDay(text)
		if !ok || len(text) != dayLength {
			return malformed("date")
		}
		c.appendDate(w, year, month, day)
	case opDatetime, opTimestamp:
		year, month, day, ok := parseDay(text)
		if !ok || len(text) < dayLength+1 || text[dayLength] != ' ' {
			return malformed("timestamp")
		}
		clock, ok := parseClock(text[dayLength+1:])
		if !ok {
			return malformed("timestamp")
		}
		if c.op == opDatetime {
			c.appendDatetime(w, year, month, day, clock)
		} else {
			c.appendTimestamp(w, year, month, day, clock)
		}
	case opTime:
		negative := len(text) > 0 && text[0] == '-'
		if negative {
			text = text[1:]
		}
		micros, ok := parseClock(text)
		if !ok {
			return malformed("time")
		}
		if negative {
			micros = -micros
		}
		w.Temporal(connectors.KindTime, micros)
	default:
		return malformed("value of an unknown kind")
	}
	return nil
}

const dayLength = len("2024-02-29")

// parseDay reads yyyy-mm-dd at the start of text; the parts may be zero.
func parseDay(text []byte) (year, month, day int, ok bool) {
	if len(text) < dayLength || text[4] != '-' || text[7] != '-' {
		return 0, 0, 0, false
	}
	century, ok1 := two(text)
	year, ok2 := two(text[2:])
	month, ok3 := two(text[5:])
	day, ok4 := two(text[8:])
	return century*100 + year, month, day, ok1 && ok2 && ok3 && ok4
}

func two(text []byte) (int, bool) {
	if len(text) < 2 {
		return 0, false
	}
	a, b := text[0]-'0', text[1]-'0'
	return int(a)*10 + int(b), a <= 9 && b <= 9
}

// parseClock reads hh:mm:ss[.ffffff], with two or three digits of hours, as µs.
func parseClock(text []byte) (int64, bool) {
	hours := 0
	if len(text) > 2 && text[2] != ':' {
		if text[0]-'0' > 9 {
			return 0, false
		}
		hours = int(text[0]-'0') * 100
		text = text[1:]
	}
	if len(text) < 8 || text[2] != ':' || text[5] != ':' {
		return 0, false
	}
	h, ok1 := two(text)
	m, ok2 := two(text[3:])
	s, ok3 := two(text[6:])
	if !ok1 || !ok2 || !ok3 || m > 59 || s > 59 {
		return 0, false
	}
	micros, fraction := int64(0), text[8:]
	if len(fraction) > 0 {
		if fraction[0] != '.' || len(fraction) > 7 {
			return 0, false
		}
		for i := 1; i < 7; i++ {
			micros *= 10
			if i < len(fraction) {
				d := fraction[i] - '0'
				if d > 9 {
					return 0, false
				}
				micros += int64(d)
			}
		}
	}
	return int64(hours+h)*microsHour + int64(m)*microsMinute + int64(s)*microsSecond + micros, true
}
