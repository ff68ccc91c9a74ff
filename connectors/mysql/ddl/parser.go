package ddl

import (
	"fmt"
	"strings"
)

// MaxStatement is the longest statement that is read, in bytes; the server's largest packet is no larger by default.
const MaxStatement = 64 << 20

// parser reads one statement. The first problem stays: from then on every token is the end, so that every loop ends.
type parser struct {
	lexer
	tok       token
	last      token // the one before
	plain     int   // end of the last token in front of the last executable comment
	partition bool  // that comment starts with PARTITION
	err       error
}

func newParser(statement string, mode SQLMode, flavor Flavor) *parser {
	if flavor != MariaDB {
		mode &^= Oracle | MSSQL | MaxDB | EmptyStringIsNull
	}
	p := &parser{lexer: lexer{src: statement, mode: mode, flavor: flavor}}
	p.advance()
	return p
}

func (p *parser) advance() {
	if p.err != nil {
		return
	}
	if p.tok.kind != tokenEnd {
		p.last = p.tok
	}
	p.tok = p.next()
	if p.tok.executable && !p.last.executable {
		p.plain, p.partition = p.last.end, p.is("PARTITION")
	}
	if p.tok.kind == tokenBad {
		p.fail("a quote or comment that ends")
	}
}

// fail says what was expected at the current token.
func (p *parser) fail(expected string) {
	if p.err == nil {
		const shown = 40
		near := p.src[p.tok.start:min(len(p.src), p.tok.start+shown)]
		p.err = fmt.Errorf("read statement at byte %d near %q: expected %s", p.tok.start, near, expected)
	}
	p.tok = token{kind: tokenEnd, start: len(p.src), end: len(p.src)}
	p.pos = len(p.src)
}

func (p *parser) text() string { return p.src[p.tok.start:p.tok.end] }

// is tells whether the current token is this keyword (upper case).
func (p *parser) is(keyword string) bool {
	return p.tok.kind == tokenWord && p.tok.end-p.tok.start == len(keyword) && strings.EqualFold(p.text(), keyword)
}

func (p *parser) isAny(keywords ...string) bool {
	for _, k := range keywords {
		if p.is(k) {
			return true
		}
	}
	return false
}

func (p *parser) isSign(c byte) bool {
	return p.tok.kind == tokenSign && p.src[p.tok.start] == c
}

// accept passes these keywords when all of them follow each other.
func (p *parser) accept(keywords ...string) bool {
	place := *p
	for _, k := range keywords {
		if !p.is(k) {
			*p = place
			return false
		}
		p.advance()
	}
	return true
}

// acceptAny passes one of these keywords.
func (p *parser) acceptAny(keywords ...string) bool {
	if p.isAny(keywords...) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) acceptSign(c byte) bool {
	if p.isSign(c) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) expect(keyword string) {
	if !p.accept(keyword) {
		p.fail(keyword)
	}
}

func (p *parser) expectSign(c byte) {
	if !p.acceptSign(c) {
		p.fail(fmt.Sprintf("%q", c))
	}
}

// peek tells whether the token behind the current one is one of these keywords.
func (p *parser) peek(keywords ...string) bool {
	place := *p
	p.advance()
	found := p.isAny(keywords...)
	*p = place
	return found
}

// peekSign returns the sign behind the current token; 0: none.
func (p *parser) peekSign() byte {
	l := p.lexer
	if t := l.next(); t.kind == tokenSign {
		return p.src[t.start]
	}
	return 0
}

// atEnd tells whether the statement ends here.
func (p *parser) atEnd() bool { return p.tok.kind == tokenEnd || p.isSign(';') }

// name reads an identifier.
func (p *parser) name() string {
	var n string
	switch p.tok.kind {
	case tokenWord:
		n = p.text()
	case tokenName:
		n = unquote(p.text(), false)
	case tokenNumber: // a name may start with digits: 1e5
		n = p.text()
	default:
		p.fail("a name")
		return ""
	}
	p.advance()
	return n
}

// dot passes a dot between two names; what follows is a name whatever it starts with.
func (p *parser) dot() bool {
	if p.tok.kind == tokenNumber && p.src[p.tok.start] == '.' {
		p.pos = p.tok.start + 1
		start := p.pos
		p.word()
		p.tok = token{kind: tokenWord, start: start, end: p.pos, executable: p.executable}
		return true
	}
	if !p.isSign('.') {
		return false
	}
	if p.skipSpace() && isDigit(p.at(0)) {
		start := p.pos
		p.word()
		p.tok = token{kind: tokenWord, start: start, end: p.pos, executable: p.executable}
		return true
	}
	p.advance()
	return true
}

// tableName reads [database.]table.
func (p *parser) tableName(database string) ID {
	p.dot()
	id := ID{Database: database, Table: p.name()}
	if p.dot() {
		id = ID{Database: id.Table, Table: p.name()}
	}
	return id
}

// columnName reads [[database.]table.]column.
func (p *parser) columnName() string {
	p.dot()
	n := p.name()
	for p.dot() {
		n = p.name()
	}
	return n
}

// literal reads one or more strings side by side.
func (p *parser) literal() string {
	if p.tok.kind != tokenString {
		p.fail("a text in quotes")
		return ""
	}
	var s string
	for p.tok.kind == tokenString {
		s += unquote(p.text(), p.mode&NoBackslashEscapes == 0)
		p.advance()
	}
	return s
}

// nameOrLiteral reads a charset, a collation, an engine: both spellings are taken by the server.
func (p *parser) nameOrLiteral() string {
	if p.tok.kind == tokenString {
		return p.literal()
	}
	return p.name()
}

// number reads a number without sign that fits a length.
func (p *parser) number() int {
	if p.tok.kind != tokenNumber {
		p.fail("a number")
		return 0
	}
	n := 0
	for _, c := range []byte(p.text()) {
		if !isDigit(c) {
			break
		}
		if n = n*10 + int(c-'0'); n > maxLength {
			n = maxLength
		}
	}
	p.advance()
	return n
}

const maxLength = 1<<31 - 1

// skipParens passes everything up to the parenthesis that closes the current one.
func (p *parser) skipParens() {
	if !p.isSign('(') {
		p.fail("'('")
		return
	}
	for depth := 0; ; {
		switch {
		case p.tok.kind == tokenEnd:
			p.fail("')'")
			return
		case p.isSign('('):
			depth++
		case p.isSign(')'):
			depth--
		}
		p.advance()
		if depth == 0 {
			return
		}
	}
}

// skipExpression passes an expression without parentheses around it: up to a comma, a closing parenthesis, or a keyword that
// may follow a column's default.
func (p *parser) skipExpression() {
	for !p.atEnd() && !p.isSign(',') && !p.isSign(')') {
		switch {
		case p.isSign('('):
			p.skipParens()
		case p.isAny(afterDefault...):
			return
		default:
			p.advance()
		}
	}
}

// skipRest passes everything up to the end of the statement.
func (p *parser) skipRest() {
	for !p.atEnd() {
		if p.isSign('(') {
			p.skipParens()
			continue
		}
		p.advance()
	}
}
