package mysql

import (
	"encoding/hex"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

var (
	clockText  = regexp.MustCompile(`^(-?)(\d+):(\d+)(?::(\d+))?(\.\d*)?$`)
	digitsText = regexp.MustCompile(`^(-?)(\d{1,7})(\.\d*)?$`)
)

// defaultValue returns the schema default of a column, nil for none: the text of its default, decoded as a value of the column is.
// noDay is what stands for a date that is no day in a required column: its default, else the epoch.
func defaultValue(f connectors.Field, c *column, text *string) (v schemas.Value, noDay int64) {
	if text == nil || f.View == connectors.ViewList || f.Schema.Kind == schemas.Struct {
		return nil, 0
	}
	v, ok := oneValue(f, func(w *connectors.Builder) error {
		if err := c.appendDefault(w, *text); err != nil {
			return err
		}
		if cell := w.Row(w.Record().After)[0]; !c.optional && (c.op == opDate || c.op == opDatetime || c.op == opTimestamp) {
			noDay = cell.Int()
		}
		return nil
	})
	if !ok {
		return nil, 0
	}
	return v, noDay
}

// appendDefault appends the cell of a default.
func (c *column) appendDefault(w *connectors.Builder, text string) error {
	text = changes.CutIntroducer(text)
	switch c.op {
	case opText, opEnum, opSet, opJSON, opUUID, opInet4, opInet6:
		w.Text(connectors.KindText, []byte(changes.UnescapeMySQL(text)))
		return nil
	case opBytes:
		w.Text(connectors.KindBytes, c.defaultBytes(text))
		return nil
	}
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "true":
		text = "1"
	case "false":
		text = "0"
	}
	switch c.op {
	case opInt, opUint:
		text = wholeNumber(text)
	case opBits:
		return c.appendDefaultBits(w, text)
	case opYear:
		return appendDefaultYear(w, text)
	case opDate, opDatetime, opTimestamp:
		return c.appendDefaultDay(w, text)
	case opTime:
		text = clockOf(text)
	}
	return c.appendText(w, []byte(text))
}

// defaultBytes is the default of a binary column, given as a string or as 0x and hexadecimal digits.
func (c *column) defaultBytes(text string) []byte {
	out := []byte(changes.UnescapeMySQL(text))
	if digits, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok && len(digits)%2 == 0 {
		if raw, err := hex.DecodeString(digits); err == nil {
			out = raw
		}
	}
	if missing := c.length - len(out); missing > 0 {
		out = append(out, make([]byte, missing)...)
	}
	return out
}

// wholeNumber rounds the text of a default as the server does, and keeps that of an integer.
func wholeNumber(text string) string {
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(math.Round(f), 'f', 0, 64)
}

// appendDefaultBits appends binary digits as a value with all digits of the column.
func (c *column) appendDefaultBits(w *connectors.Builder, text string) error {
	if strings.Trim(text, "01") != "" {
		n, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return malformed("bit string")
		}
		text = strconv.FormatUint(n, 2)
	}
	if missing := c.length - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	w.Text(connectors.KindBits, []byte(text[len(text)-c.length:]))
	return nil
}

// appendDefaultYear appends a year; numbers of two digits are 1970 to 2069, zero is the year 0000.
func appendDefaultYear(w *connectors.Builder, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return malformed("year")
	}
	if n > 0 && n < 100 {
		n = fullYear(n)
	}
	w.Int(int64(n))
	return nil
}

// appendDefaultDay appends a DATE, DATETIME or TIMESTAMP, with or without a time. One that cannot be read is as a date that is no day; and so is, as in
// the reference, the epoch of an optional TIMESTAMP, which stands for CURRENT_TIMESTAMP.
func (c *column) appendDefaultDay(w *connectors.Builder, text string) error {
	day, clock, _ := strings.Cut(text, " ")
	if clock == "" {
		clock = "00:00:00"
	}
	kind := map[op]connectors.Kind{opDate: connectors.KindDate, opDatetime: connectors.KindTimestamp, opTimestamp: connectors.KindTimestampTZ}[c.op]
	if _, _, _, ok := parseDay([]byte(day)); !ok || c.op == opTimestamp && c.optional && text == changes.MySQLEpoch {
		c.appendNoDay(w, kind)
		return nil
	}
	if c.op == opDate {
		return c.appendText(w, []byte(day))
	}
	return c.appendText(w, []byte(day+" "+clock))
}

// clockOf turns the forms that a TIME default may have (hh:mm, hhmmss, a timestamp) into [-]hh:mm:ss[.ffffff].
func clockOf(text string) string {
	if at := strings.LastIndexByte(text, ' '); at >= 0 {
		text = text[at+1:]
	}
	if m := digitsText.FindStringSubmatch(text); m != nil {
		d := strings.Repeat("0", 7-len(m[2])) + m[2]
		return m[1] + d[:3] + ":" + d[3:5] + ":" + d[5:] + m[3]
	}
	m := clockText.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	two := func(s string) string { return strings.Repeat("0", max(0, 2-len(s))) + s }
	return m[1] + two(m[2]) + ":" + two(m[3]) + ":" + two(m[4]) + m[5]
}

// oneValue returns the value that field f has for the cell that add appends; false for NULL, an error, and what f cannot hold.
func oneValue(f connectors.Field, add func(*connectors.Builder) error) (schemas.Value, bool) {
	w := connectors.NewBuilder("", nil, nil)
	w.Begin(w.Stream(&connectors.Stream{}), connectors.OpNone)
	w.After()
	if err := add(w); err != nil {
		w.Abandon()
		return nil, false
	}
	w.Commit()
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	f.WhenNull = nil
	v := changes.Value(b, &f, b.Cells(b.Records[0].After)[0])
	return v, v != nil
}
