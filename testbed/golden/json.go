package golden

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A parsed JSON value is nil, bool, string, integer, float, *array or *object. Numbers keep their literal text, as 1.0E10 and
// 1e10 are different recordings; objects keep the order of their members.
type (
	integer string
	float   string // also NaN, Infinity and -Infinity, which Java writes
	array   struct{ items []any }
	object  struct {
		names  []string
		values map[string]any
	}
)

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) get(name string) any { return o.values[name] }

func (o *object) has(name string) bool {
	_, ok := o.values[name]
	return ok
}

// hasOnly reports whether the members are exactly these.
func (o *object) hasOnly(names ...string) bool {
	return len(o.names) == len(names) && o.hasAll(names...)
}

func (o *object) hasAll(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !o.has(n) })
}

// set replaces a member in its place, or appends it.
func (o *object) set(name string, v any) {
	if !o.has(name) {
		o.names = append(o.names, name)
	}
	o.values[name] = v
}

func (o *object) remove(name string) any {
	v := o.values[name]
	delete(o.values, name)
	o.names = slices.DeleteFunc(o.names, func(n string) bool { return n == name })
	return v
}

func (o *object) text(name string) (string, bool) {
	s, ok := o.values[name].(string)
	return s, ok
}

func (o *object) object(name string) *object {
	v, _ := o.values[name].(*object)
	return v
}

// parser reads JSON as the comparison needs it; encoding/json loses member order and the text of numbers.
type parser struct {
	in  string
	pos int
}

var errEnd = errors.New("unexpected end of JSON")

// parse reads one JSON text.
func parse(text string) (any, error) {
	p := parser{in: text}
	v, err := p.value()
	if err == nil {
		p.space()
		if p.pos < len(p.in) {
			err = p.unexpected()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("parse JSON at byte %d: %w", p.pos, err)
	}
	return v, nil
}

func (p *parser) space() {
	for p.pos < len(p.in) && strings.IndexByte(" \t\r\n", p.in[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *parser) unexpected() error {
	if p.pos >= len(p.in) {
		return errEnd
	}
	return fmt.Errorf("unexpected %q", p.in[p.pos])
}

// accept steps over text when it comes next.
func (p *parser) accept(text string) bool {
	if strings.HasPrefix(p.in[p.pos:], text) {
		p.pos += len(text)
		return true
	}
	return false
}

func (p *parser) value() (any, error) {
	p.space()
	switch {
	case p.accept("{"):
		return p.members()
	case p.accept("["):
		return p.elements()
	case p.accept(`"`):
		return p.text()
	case p.accept("true"):
		return true, nil
	case p.accept("false"):
		return false, nil
	case p.accept("null"):
		return nil, nil
	}
	for _, name := range []string{"NaN", "Infinity", "-Infinity"} {
		if p.accept(name) {
			return float(name), nil
		}
	}
	return p.number()
}

func (p *parser) members() (any, error) {
	o := newObject()
	p.space()
	if p.accept("}") {
		return o, nil
	}
	for {
		p.space()
		if !p.accept(`"`) {
			return nil, p.unexpected()
		}
		name, err := p.text()
		if err != nil {
			return nil, err
		}
		p.space()
		if !p.accept(":") {
			return nil, p.unexpected()
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		if o.has(name) {
			return nil, fmt.Errorf("member %q twice in one object", name)
		}
		o.set(name, v)
		p.space()
		if p.accept("}") {
			return o, nil
		}
		if !p.accept(",") {
			return nil, p.unexpected()
		}
	}
}

func (p *parser) elements() (any, error) {
	a := new(array)
	p.space()
	if p.accept("]") {
		return a, nil
	}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		a.items = append(a.items, v)
		p.space()
		if p.accept("]") {
			return a, nil
		}
		if !p.accept(",") {
			return nil, p.unexpected()
		}
	}
}

func (p *parser) digits() bool {
	start := p.pos
	for p.pos < len(p.in) && p.in[p.pos] >= '0' && p.in[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

func (p *parser) number() (any, error) {
	start, whole := p.pos, true
	p.accept("-")
	if !p.accept("0") && !p.digits() {
		return nil, p.unexpected()
	}
	if p.accept(".") {
		whole = false
		if !p.digits() {
			return nil, p.unexpected()
		}
	}
	if p.accept("e") || p.accept("E") {
		whole = false
		if !p.accept("+") {
			p.accept("-")
		}
		if !p.digits() {
			return nil, p.unexpected()
		}
	}
	if text := p.in[start:p.pos]; !whole {
		return float(text), nil
	} else if text != "-0" {
		return integer(text), nil
	}
	return integer("0"), nil
}

func (p *parser) text() (string, error) {
	var b strings.Builder
	for p.pos < len(p.in) {
		c := p.in[p.pos]
		switch {
		case c == '"':
			p.pos++
			return b.String(), nil
		case c == '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
		case c < 0x20:
			return "", p.unexpected()
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
	return "", errEnd
}

func (p *parser) escape(b *strings.Builder) error {
	if p.pos+1 >= len(p.in) {
		return errEnd
	}
	c := p.in[p.pos+1]
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		b.WriteByte("\"\\/\b\f\n\r\t"[i])
		p.pos += 2
		return nil
	}
	r, err := p.unit()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		mark := p.pos
		if second, err := p.unit(); err == nil && utf16.DecodeRune(r, second) != utf8.RuneError {
			b.WriteRune(utf16.DecodeRune(r, second))
			return nil
		}
		// A half of a pair alone is no text; its three bytes keep it apart from others.
		p.pos = mark
		b.Write([]byte{0xed, 0x80 | byte(r>>6)&0x3f, 0x80 | byte(r)&0x3f})
		return nil
	}
	b.WriteRune(r)
	return nil
}

// unit reads \uXXXX.
func (p *parser) unit() (rune, error) {
	if !strings.HasPrefix(p.in[p.pos:], `\u`) || p.pos+6 > len(p.in) {
		return 0, p.unexpected()
	}
	n, err := strconv.ParseUint(p.in[p.pos+2:p.pos+6], 16, 16)
	if err != nil {
		return 0, fmt.Errorf("escape %s: %w", p.in[p.pos:p.pos+6], err)
	}
	p.pos += 6
	return rune(n), nil
}

// dump writes a value as Python's json.dumps(v, ensure_ascii=False) does.
func dump(v any) string {
	var b strings.Builder
	write(&b, v)
	return b.String()
}

func write(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case integer:
		b.WriteString(string(v))
	case float:
		b.WriteString(string(v))
	case string:
		quote(b, v)
	case *array:
		b.WriteByte('[')
		for i, x := range v.items {
			if i > 0 {
				b.WriteString(", ")
			}
			write(b, x)
		}
		b.WriteByte(']')
	case *object:
		b.WriteByte('{')
		for i, n := range v.names {
			if i > 0 {
				b.WriteString(", ")
			}
			quote(b, n)
			b.WriteString(": ")
			write(b, v.values[n])
		}
		b.WriteByte('}')
	}
}

func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		c := s[i]
		if j := strings.IndexByte("\"\\\b\f\n\r\t", c); j >= 0 {
			b.WriteByte('\\')
			b.WriteByte(`"\bfnrt`[j])
		} else if c < 0x20 {
			fmt.Fprintf(b, `\u%04x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

// equal compares values; the order of members does not count.
func equal(a, b any) bool {
	switch a := a.(type) {
	case *array:
		b, ok := b.(*array)
		return ok && slices.EqualFunc(a.items, b.items, equal)
	case *object:
		b, ok := b.(*object)
		if !ok || len(a.names) != len(b.names) {
			return false
		}
		for n, v := range a.values {
			w, ok := b.values[n]
			if !ok || !equal(v, w) {
				return false
			}
		}
		return true
	default:
		return a == b
	}
}
