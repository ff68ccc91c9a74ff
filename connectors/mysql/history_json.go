package mysql

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader walks over one JSON document without building it: a history of many records is read in little time. The first
// error stays; after it every method returns a zero value.
type jsonReader struct {
	data  []byte
	at    int
	err   error
	depth int
	seen  map[string]string // short texts that repeat, one copy each
}

const (
	maxJSONDepth = 64
	maxInterned  = 64 // bytes of a text
	maxSeen      = 1 << 16
)

func (r *jsonReader) fail(problem string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s at byte %d", problem, r.at)
	}
}

// peek returns the first byte of the next value or sign, 0 at the end.
func (r *jsonReader) peek() byte {
	for r.at < len(r.data) {
		switch c := r.data[r.at]; c {
		case ' ', '\n', '\r', '\t':
			r.at++
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) expect(c byte) bool {
	if r.err != nil {
		return false
	}
	if r.peek() != c || r.at == len(r.data) {
		r.fail(fmt.Sprintf("%q expected", c))
		return false
	}
	r.at++
	return true
}

// end tells what is wrong when there is more than one document.
func (r *jsonReader) end() error {
	if r.err == nil && (r.peek() != 0 || r.at < len(r.data)) {
		r.fail("text behind the document")
	}
	return r.err
}

// object calls member for each name; member reads the value.
func (r *jsonReader) object(member func(name string)) {
	r.sequence('{', '}', func() {
		name := r.text()
		if r.expect(':') {
			member(name)
		}
	})
}

// array calls element for each element, which reads it.
func (r *jsonReader) array(element func()) { r.sequence('[', ']', element) }

func (r *jsonReader) sequence(open, end byte, each func()) {
	if !r.expect(open) {
		return
	}
	if r.depth++; r.depth > maxJSONDepth {
		r.fail("too many levels")
		return
	}
	defer func() { r.depth-- }()
	if r.peek() == end {
		r.at++
		return
	}
	for {
		each()
		if r.err != nil {
			return
		}
		if r.peek() == end {
			r.at++
			return
		}
		if !r.expect(',') {
			return
		}
	}
}

// null passes over a null.
func (r *jsonReader) null() bool {
	if r.err != nil || r.peek() != 'n' {
		return false
	}
	r.word("null")
	return r.err == nil
}

func (r *jsonReader) word(w string) {
	if !bytes.HasPrefix(r.data[r.at:], []byte(w)) {
		r.fail("no value")
		return
	}
	r.at += len(w)
}

// text reads a string; short ones are shared.
func (r *jsonReader) text() string {
	raw, escaped := r.raw()
	switch {
	case r.err != nil:
		return ""
	case escaped:
		return r.unescape(raw)
	case len(raw) > maxInterned || r.seen == nil:
		return valid(string(raw))
	}
	if s, ok := r.seen[string(raw)]; ok {
		return s
	}
	s := valid(string(raw))
	if len(r.seen) < maxSeen {
		r.seen[string(raw)] = s
	}
	return s
}

// raw returns what is between the quotes.
func (r *jsonReader) raw() (text []byte, escaped bool) {
	if !r.expect('"') {
		return nil, false
	}
	start := r.at
	for i := start; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			r.at = i + 1
			return r.data[start:i], escaped
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			r.at = i
			r.fail("control character in a text")
			return nil, false
		}
	}
	r.fail("text without its end")
	return nil, false
}

func (r *jsonReader) unescape(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++ // raw has a byte behind each backslash
		switch raw[i] {
		case '"', '\\', '/':
			out = append(out, raw[i])
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			unit, ok := hexUnit(raw, i+1)
			if !ok {
				r.fail(`\u without four digits`)
				return ""
			}
			i += 4
			if utf16.IsSurrogate(unit) {
				low, ok := rune(0), false
				if i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
					low, ok = hexUnit(raw, i+3)
				}
				if unit = utf16.DecodeRune(unit, low); ok && unit != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, unit)
		default:
			r.fail("unknown escape")
			return ""
		}
	}
	return valid(string(out))
}

func hexUnit(raw []byte, at int) (rune, bool) {
	if at+4 > len(raw) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[at:at+4]), 16, 16)
	return rune(n), err == nil
}

// integer reads a whole number; null is 0.
func (r *jsonReader) integer() int64 {
	if r.null() || r.err != nil {
		return 0
	}
	text := r.number()
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		r.fail("whole number expected")
	}
	return n
}

// boolean reads true or false; null is false.
func (r *jsonReader) boolean() bool {
	switch {
	case r.null() || r.err != nil:
		return false
	case r.peek() == 't':
		r.word("true")
		return r.err == nil
	case r.peek() == 'f':
		r.word("false")
		return false
	}
	r.fail("true or false expected")
	return false
}

// textOr reads a string; null is what is given.
func (r *jsonReader) textOr(otherwise string) string {
	if r.null() {
		return otherwise
	}
	return r.text()
}

// skip passes over any value.
func (r *jsonReader) skip() {
	if r.err != nil {
		return
	}
	switch c := r.peek(); c {
	case '{':
		r.object(func(string) { r.skip() })
	case '[':
		r.array(r.skip)
	case '"':
		if raw, escaped := r.raw(); escaped {
			r.unescape(raw)
		}
	case 't':
		r.word("true")
	case 'f':
		r.word("false")
	case 'n':
		r.word("null")
	default:
		r.number()
	}
}

// number passes over a number and returns its text.
func (r *jsonReader) number() []byte {
	start := r.at
	accept := func(set string) bool {
		if r.at < len(r.data) && strings.IndexByte(set, r.data[r.at]) >= 0 {
			r.at++
			return true
		}
		return false
	}
	digits := func() {
		if !accept("0123456789") {
			r.fail("no value")
		}
		for accept("0123456789") {
			continue
		}
	}
	accept("-")
	if !accept("0") {
		digits()
	}
	if accept(".") {
		digits()
	}
	if accept("eE") {
		accept("+-")
		digits()
	}
	return r.data[start:r.at]
}

// jsonWriter writes a document as the reference does: on one line, or the pretty form of its library (Jackson,
// DefaultPrettyPrinter).
type jsonWriter struct {
	b      []byte
	pretty bool
	depth  int
	filled bool // the object or array has an entry
}

func (w *jsonWriter) object(members func()) {
	w.b = append(w.b, '{')
	w.depth++
	w.filled = false
	members()
	w.depth--
	if w.filled {
		w.line()
	} else if w.pretty {
		w.b = append(w.b, ' ')
	}
	w.b = append(w.b, '}')
	w.filled = true
}

func (w *jsonWriter) line() {
	if !w.pretty {
		return
	}
	w.b = append(w.b, '\n')
	for range w.depth {
		w.b = append(w.b, "  "...)
	}
}

// name begins a member.
func (w *jsonWriter) name(name string) {
	if w.filled {
		w.b = append(w.b, ',')
	}
	w.filled = true
	w.line()
	w.b = append(append(append(w.b, '"'), name...), '"')
	if w.pretty {
		w.b = append(w.b, " : "...)
	} else {
		w.b = append(w.b, ':')
	}
}

func (w *jsonWriter) array(n int, element func(i int)) {
	w.b = append(w.b, '[')
	for i := range n {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		if w.pretty {
			w.b = append(w.b, ' ')
		}
		element(i)
	}
	if w.pretty {
		w.b = append(w.b, ' ')
	}
	w.b = append(w.b, ']')
	w.filled = true
}

func (w *jsonWriter) memberText(name, v string) {
	w.name(name)
	w.text(v)
}

// memberOptional writes null for an empty text.
func (w *jsonWriter) memberOptional(name, v string) {
	w.name(name)
	if v == "" {
		w.b = append(w.b, "null"...)
		return
	}
	w.text(v)
}

func (w *jsonWriter) memberInt(name string, v int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, v, 10)
}

func (w *jsonWriter) memberBool(name string, v bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *jsonWriter) texts(name string, v []string) {
	w.name(name)
	w.array(len(v), func(i int) { w.text(v[i]) })
}

func (w *jsonWriter) text(v string) {
	const digits = "0123456789ABCDEF"
	w.b = append(w.b, '"')
	for _, c := range valid(v) {
		switch {
		case c == '"' || c == '\\':
			w.b = append(w.b, '\\', byte(c))
		case c >= ' ':
			w.b = utf8.AppendRune(w.b, c)
		case c == '\n':
			w.b = append(w.b, `\n`...)
		case c == '\t':
			w.b = append(w.b, `\t`...)
		case c == '\r':
			w.b = append(w.b, `\r`...)
		case c == '\b':
			w.b = append(w.b, `\b`...)
		case c == '\f':
			w.b = append(w.b, `\f`...)
		default:
			w.b = append(w.b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	w.b = append(w.b, '"')
}

// valid replaces what is not UTF-8, as the reference does when it reads a statement.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
