package mysql

import (
	"bytes"
	"compress/flate"
	"embed"
	"encoding/binary"
	"io"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// charset converts text of a character set of MySQL and MariaDB to UTF-8, as the server does; what has no meaning in the set becomes
// U+FFFD. Safe for concurrent use.
type charset struct {
	name   string
	form   form
	once   sync.Once
	ascii  bool // bytes below 128 are ASCII
	single []uint16
	double []uint16 // from 0x8000; nil: none
	triple []uint16 // two bytes after 0x8f, from 0x8000
	quad   []uint16 // four bytes of GB 18030, in their order
}

type form uint8

const (
	formUTF8 form = iota
	formASCII
	formTable
	formUTF16
	formUTF16LE
	formUTF32
)

// tables holds a file per character set: what its codes mean, as a server says (charset_test.go makes them). A code is one byte, or
// two from 0x8000 on, three with 0x8f first, or four.
//
//go:embed charsets/*.z
var tables embed.FS

var charsets = func() map[string]*charset {
	out := map[string]*charset{}
	add := func(f form, names ...string) {
		for _, n := range names {
			out[n] = &charset{name: n, form: f}
		}
	}
	add(formUTF8, "utf8mb4", "utf8mb3", "utf8")
	add(formASCII, "ascii")
	add(formUTF16, "utf16", "ucs2")
	add(formUTF16LE, "utf16le")
	add(formUTF32, "utf32")
	files, err := tables.ReadDir("charsets")
	if err != nil {
		panic(err) // the embedded directory is always there
	}
	for _, f := range files {
		add(formTable, f.Name()[:len(f.Name())-len(".z")])
	}
	return out
}()

// charsetNamed returns a character set by its name in lower case; nil: none, or binary.
func charsetNamed(name string) *charset { return charsets[name] }

// plain tells that v needs no conversion.
func (s *charset) plain(v []byte) bool {
	switch s.form {
	case formUTF8:
		return utf8.Valid(v)
	case formTable:
		s.once.Do(s.load)
		return s.ascii && isASCII(v)
	case formASCII:
		return isASCII(v)
	}
	return len(v) == 0
}

func isASCII(v []byte) bool {
	for len(v) >= 8 {
		if binary.LittleEndian.Uint64(v)&0x8080808080808080 != 0 {
			return false
		}
		v = v[8:]
	}
	for _, b := range v {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendUTF8 converts v.
func (s *charset) appendUTF8(dst, v []byte) []byte {
	switch s.form {
	case formUTF8:
		return appendReplaced(dst, v)
	case formASCII:
		for _, b := range v {
			if b < utf8.RuneSelf {
				dst = append(dst, b)
			} else {
				dst = utf8.AppendRune(dst, utf8.RuneError)
			}
		}
		return dst
	case formTable:
		s.once.Do(s.load)
		return s.appendCodes(dst, v)
	}
	return s.appendWide(dst, v)
}

// appendWide converts the forms with two or four bytes per code.
func (s *charset) appendWide(dst, v []byte) []byte {
	var order binary.ByteOrder = binary.BigEndian
	if s.form == formUTF16LE {
		order = binary.LittleEndian
	}
	if s.form == formUTF32 {
		for ; len(v) >= 4; v = v[4:] {
			r := order.Uint32(v)
			if r > utf8.MaxRune {
				r = utf8.RuneError
			}
			dst = utf8.AppendRune(dst, rune(r))
		}
	} else {
		for ; len(v) >= 2; v = v[2:] {
			r := rune(order.Uint16(v))
			if utf16.IsSurrogate(r) && len(v) >= 4 {
				if pair := utf16.DecodeRune(r, rune(order.Uint16(v[2:]))); pair != utf8.RuneError {
					r, v = pair, v[2:]
				}
			}
			dst = utf8.AppendRune(dst, r)
		}
	}
	if len(v) > 0 {
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	return dst
}

// appendCodes converts by table.
func (s *charset) appendCodes(dst, v []byte) []byte {
	for len(v) > 0 {
		r, n := rune(s.single[v[0]]), 1
		if r == 0 && v[0] >= 0x80 {
			r, n = s.wide(v)
		}
		if r < utf8.RuneSelf {
			dst = append(dst, byte(r))
		} else {
			dst = utf8.AppendRune(dst, r)
		}
		v = v[n:]
	}
	return dst
}

// wide reads a character of several bytes; a byte that begins none is U+FFFD.
func (s *charset) wide(v []byte) (rune, int) {
	if len(v) >= 4 && s.quad != nil {
		if r := s.four(v); r != 0 {
			return r, 4
		}
	}
	if len(v) >= 3 && v[0] == 0x8f && v[1] >= 0x80 && s.triple != nil {
		if r := s.triple[int(v[1]&0x7f)<<8|int(v[2])]; r != 0 {
			return rune(r), 3
		}
	}
	if len(v) >= 2 && s.double != nil {
		if r := s.double[int(v[0]&0x7f)<<8|int(v[1])]; r != 0 {
			return rune(r), 2
		}
	}
	return utf8.RuneError, 1
}

// four reads four bytes of GB 18030: the first 39420 are the rest of the basic plane, those from 90 30 81 30 on the planes above.
func (s *charset) four(v []byte) rune {
	const above = 189_000 // 90 30 81 30
	for i, low := range [...]byte{0x81, '0', 0x81, '0'} {
		if v[i] < low || low == '0' && v[i] > '9' || v[i] == 0xff {
			return 0
		}
	}
	n := ((int(v[0]-0x81)*10+int(v[1]-'0'))*126+int(v[2]-0x81))*10 + int(v[3]-'0')
	switch {
	case n < len(s.quad):
		return rune(s.quad[n])
	case n >= above && n-above <= utf8.MaxRune-0x10000:
		return rune(n - above + 0x10000)
	}
	return 0
}

// load reads the embedded table: the runes of single bytes, then of two bytes and of three where there are any.
func (s *charset) load() {
	packed, err := tables.ReadFile("charsets/" + s.name + ".z")
	if err != nil {
		panic(err) // charsets has only names that are there
	}
	raw, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		panic(err) // made by the test, checked by it
	}
	all := make([]uint16, len(raw)/2)
	for i := range all {
		all[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	s.single = all[:256]
	if len(all) > 256 {
		s.double = all[256 : 256+0x8000]
	}
	if len(all) > 256+0x8000 {
		s.triple = all[256+0x8000:]
		if len(s.triple) != 0x8000 {
			s.quad, s.triple = s.triple, nil
		}
	}
	s.ascii = true
	for b, r := range s.single[:0x80] {
		s.ascii = s.ascii && int(r) == b
	}
}

// appendReplaced copies UTF-8 with U+FFFD for each malformed sequence: as many bytes as could begin a character, as Java counts them.
func appendReplaced(dst, v []byte) []byte {
	for len(v) > 0 {
		r, n := utf8.DecodeRune(v)
		if r == utf8.RuneError && n <= 1 {
			n = malformedLength(v)
			dst = utf8.AppendRune(dst, utf8.RuneError)
		} else {
			dst = append(dst, v[:n]...)
		}
		v = v[n:]
	}
	return dst
}

func malformedLength(v []byte) int {
	follows := func(i int) bool { return i < len(v) && v[i]&0xc0 == 0x80 }
	b := v[0]
	switch {
	case b >= 0xe0 && b <= 0xef:
		if !follows(1) || b == 0xe0 && v[1] < 0xa0 {
			return 1
		}
	case b >= 0xf0 && b <= 0xf4:
		if !follows(1) || b == 0xf0 && v[1] < 0x90 || b == 0xf4 && v[1] > 0x8f {
			return 1
		}
	default:
		return 1
	}
	if !follows(2) {
		return 2
	}
	return 3
}
