package ddl

import (
	"strings"
)

// SQLMode is the sql_mode that a statement ran with: the server's bits, as query events of the binlog carry them. Only those
// named here change how a statement reads.
type SQLMode uint64

// The bits of sql_mode that matter, and one of our own.
const (
	RealAsFloat        SQLMode = 1 << 0
	ANSIQuotes         SQLMode = 1 << 2
	NoBackslashEscapes SQLMode = 1 << 20

	// MariaDB's own; MySQL has other meanings for the bits, or none.
	Oracle            SQLMode = 1 << 9
	MSSQL             SQLMode = 1 << 10
	MaxDB             SQLMode = 1 << 12
	EmptyStringIsNull SQLMode = 1 << 32

	// ImplicitTimestamp stands for explicit_defaults_for_timestamp=OFF: a TIMESTAMP without NULL is NOT NULL and has a default.
	ImplicitTimestamp SQLMode = 1 << 62
)

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // keyword or plain name
	tokenName             // `name`, or "name" with ANSI_QUOTES
	tokenString           // 'text', "text", N'text'
	tokenNumber           // 12, 1.5, 1e5
	tokenHex              // x'4f', 0x4f
	tokenBit              // b'01', 0b01
	tokenSign             // any other byte
	tokenBad              // nothing valid; the statement is not understood
)

// token is a piece of a statement, by its place in it.
type token struct {
	kind       tokenKind
	executable bool // within an executable comment
	start, end int
}

// lexer cuts a statement into tokens as they are asked for. It is a value: a copy remembers a place.
type lexer struct {
	src        string
	pos        int
	mode       SQLMode
	flavor     Flavor
	executable bool
	enteredAt  int // where the last executable comment started, and where it was left
	leftAt     int
}

// The newest versions whose executable comments run. 99999 is what people write for "never".
const (
	lastMySQL   = 99900
	lastMariaDB = 139999
	// MariaDB runs no executable comment of MySQL between these.
	firstForeign, lastForeign = 50700, 99999
)

// next returns the token at or behind the place and moves behind it.
func (l *lexer) next() token {
	if !l.skipSpace() {
		return token{kind: tokenBad, start: l.pos, end: len(l.src)}
	}
	t := token{start: l.pos, executable: l.executable}
	if l.pos == len(l.src) {
		t.end = l.pos
		return t
	}
	t.kind = l.scan()
	t.end = l.pos
	return t
}

func (l *lexer) scan() tokenKind {
	c := l.src[l.pos]
	switch {
	case c == '`':
		return l.quoted('`', false, tokenName)
	case c == '"' && l.mode&ANSIQuotes != 0:
		return l.quoted('"', false, tokenName)
	case c == '[' && l.mode&MSSQL != 0:
		return l.quoted(']', false, tokenName)
	case c == '"' || c == '\'':
		return l.quoted(c, l.mode&NoBackslashEscapes == 0, tokenString)
	case l.at(1) == '\'' && (c|0x20 == 'x' || c|0x20 == 'b' || c|0x20 == 'n'):
		l.pos++
		switch c | 0x20 {
		case 'x':
			return l.quoted('\'', false, tokenHex)
		case 'b':
			return l.quoted('\'', false, tokenBit)
		}
		return l.quoted('\'', l.mode&NoBackslashEscapes == 0, tokenString)
	case isDigit(c) || c == '.' && isDigit(l.at(1)):
		return l.number()
	case isWord(c):
		l.word()
		return tokenWord
	}
	l.pos++
	return tokenSign
}

func (l *lexer) at(n int) byte {
	if l.pos+n < len(l.src) {
		return l.src[l.pos+n]
	}
	return 0
}

func (l *lexer) word() {
	for l.pos < len(l.src) && isWord(l.src[l.pos]) {
		l.pos++
	}
}

func (l *lexer) quoted(quote byte, escapes bool, kind tokenKind) tokenKind {
	for i := l.pos + 1; i < len(l.src); i++ {
		switch c := l.src[i]; {
		case c == '\\' && escapes:
			i++
		case c == quote && i+1 < len(l.src) && l.src[i+1] == quote:
			i++
		case c == quote:
			l.pos = i + 1
			return kind
		}
	}
	l.pos = len(l.src)
	return tokenBad
}

// number reads a number, or a name that starts with a digit.
func (l *lexer) number() tokenKind {
	start := l.pos
	for isDigit(l.at(0)) {
		l.pos++
	}
	if l.pos == start+1 && l.src[start] == '0' && (l.at(0) == 'x' || l.at(0) == 'b') {
		l.pos++
		digits := l.pos
		l.word()
		kind := tokenHex
		isOf := isHex
		if l.src[start+1] == 'b' {
			kind, isOf = tokenBit, func(c byte) bool { return c == '0' || c == '1' }
		}
		for i := digits; i < l.pos; i++ {
			if !isOf(l.src[i]) {
				return tokenWord
			}
		}
		if digits == l.pos {
			return tokenWord
		}
		return kind
	}
	whole := l.pos
	if l.at(0) == '.' {
		l.pos++
		for isDigit(l.at(0)) {
			l.pos++
		}
	}
	if l.at(0)|0x20 == 'e' {
		sign := 1
		if l.at(1) == '+' || l.at(1) == '-' {
			sign = 2
		}
		if isDigit(l.at(sign)) {
			for l.pos += sign; isDigit(l.at(0)); {
				l.pos++
			}
		}
	}
	if l.pos == whole && isWord(l.at(0)) || l.pos > whole && l.src[whole] != '.' && isWord(l.at(0)) {
		l.word()
		return tokenWord
	}
	return tokenNumber
}

// skipSpace passes white space and comments and enters and leaves executable ones. False: a comment has no end.
func (l *lexer) skipSpace() bool {
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch {
		case c <= ' ':
			l.pos++
		case c == '#' || c == '-' && l.at(1) == '-' && l.at(2) <= ' ':
			if n := strings.IndexByte(l.src[l.pos:], '\n'); n >= 0 {
				l.pos += n + 1
			} else {
				l.pos = len(l.src)
			}
		case c == '*' && l.at(1) == '/' && l.executable:
			l.executable = false
			l.pos += 2
			l.leftAt = l.pos
		case c == '/' && l.at(1) == '*':
			if !l.comment() {
				return false
			}
		default:
			return true
		}
	}
	return true
}

func (l *lexer) comment() bool {
	start := l.pos
	switch {
	case l.at(2) == '!':
		l.pos += 3
	case l.at(2) == 'M' && l.at(3) == '!' && l.flavor == MariaDB:
		l.pos += 4
	default:
		end := strings.Index(l.src[l.pos+2:], "*/")
		if end < 0 {
			return false
		}
		l.pos += end + 4
		return true
	}
	foreign := l.src[l.pos-2] != 'M'
	version, digits := 0, 0
	for digits < 6 && isDigit(l.at(digits)) {
		version = version*10 + int(l.at(digits)-'0')
		digits++
	}
	if digits < 5 {
		version = 0
	} else {
		l.pos += digits
	}
	run := version <= lastMySQL
	if l.flavor == MariaDB {
		run = version <= lastMariaDB && (!foreign || version < firstForeign || version > lastForeign)
	}
	if run {
		l.executable, l.enteredAt = true, start
		return true
	}
	return l.skipDead()
}

// skipDead passes the rest of an executable comment that does not run; comments may lie in it.
func (l *lexer) skipDead() bool {
	for depth := 1; l.pos < len(l.src); l.pos++ {
		switch {
		case l.src[l.pos] == '*' && l.at(1) == '/':
			l.pos++
			if depth--; depth == 0 {
				l.pos++
				return true
			}
		case l.src[l.pos] == '/' && l.at(1) == '*':
			l.pos++
			depth++
		}
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func isWord(c byte) bool {
	return c >= 0x80 || c == '_' || c == '$' || isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// unquote returns what a quoted token says. With escapes a backslash escapes the byte behind it.
func unquote(text string, escapes bool) string {
	if text != "" && text[0]|0x20 == 'n' {
		text = text[1:]
	}
	quote := text[len(text)-1]
	text = text[1 : len(text)-1]
	if strings.IndexByte(text, quote) < 0 && (!escapes || strings.IndexByte(text, '\\') < 0) {
		return text
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == quote:
			i++
		case c == '\\' && escapes && i+1 < len(text):
			i++
			c = text[i]
			if n := strings.IndexByte("0btnrZ", c); n >= 0 {
				c = "\x00\b\t\n\r\x1a"[n]
			} else if c == '%' || c == '_' {
				b = append(b, '\\')
			}
		}
		b = append(b, c)
	}
	return string(b)
}
