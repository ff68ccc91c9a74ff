package ddl

import (
	"encoding/hex"
	"math/big"
	"strings"
)

// columnDef is a column as a statement writes it, before it takes from its table what it does not say.
type columnDef struct {
	Column
	base             string // information_schema's name of the type
	charset, collate string // as written
	notNull, null    bool
	defaultGiven     bool // DEFAULT with anything but NULL
	primary, unique  bool
	source           string // of a default, which depends on the type when that is known
	position         position
}

// position is where ALTER TABLE puts a column.
type position struct {
	first bool
	after string // "": nowhere in particular
}

// afterDefault are keywords that end a default which is an expression without parentheses around it.
var afterDefault = []string{
	"NOT", "NULL", "ON", "AUTO_INCREMENT", "PRIMARY", "KEY", "UNIQUE", "COMMENT", "COLLATE", "COLUMN_FORMAT", "STORAGE", "VISIBLE",
	"INVISIBLE", "GENERATED", "CONSTRAINT", "CHECK", "REFERENCES", "FIRST", "AFTER", "WITH", "WITHOUT", "COMPRESSED", "ENGINE_ATTRIBUTE",
}

// columnDef reads a column's type and attributes, up to what does not belong to it.
func (p *parser) columnDef(name string) columnDef {
	d := columnDef{Column: Column{Name: name, Length: -1, Scale: -1}}
	p.dataType(&d)
	for p.err == nil && !p.atEnd() && !p.isSign(',') && !p.isSign(')') && !p.isAny("FIRST", "AFTER") {
		start := p.tok.start
		if !p.attribute(&d) && !p.constraint(&d) && !p.rareAttribute(&d) || p.err == nil && p.tok.start == start {
			p.fail("an attribute of column " + name)
		}
	}
	return d
}

func (p *parser) attribute(d *columnDef) bool {
	switch {
	case p.accept("NOT", "NULL"):
		d.notNull, d.null = true, false
	case p.accept("NULL"):
		d.null, d.notNull = true, false
	case p.accept("DEFAULT"):
		p.defaultValue(d)
	case p.accept("ON", "UPDATE"):
		p.now()
		d.AutoIncrement, d.Generated = true, true // as the reference has it
	case p.accept("AUTO_INCREMENT"):
		d.AutoIncrement, d.Generated, d.notNull = true, true, true
	case p.accept("SERIAL", "DEFAULT", "VALUE"):
		d.AutoIncrement, d.Generated, d.notNull, d.unique = true, true, true, true
	case p.accept("PRIMARY", "KEY"), p.accept("PRIMARY"), p.accept("KEY"):
		d.primary = true
	case p.accept("UNIQUE"):
		p.accept("KEY")
		d.unique = true
	case p.accept("COMMENT"):
		p.acceptSign('=')
		d.Comment = p.literal()
	case p.accept("COLLATE"):
		d.collate = strings.ToLower(p.nameOrLiteral())
	case p.accept("INVISIBLE"):
		d.Invisible = true
	case p.accept("VISIBLE"):
		d.Invisible = false
	case p.accept("GENERATED", "ALWAYS"), p.is("AS"):
		p.generated(d)
	default:
		return false
	}
	return true
}

func (p *parser) constraint(d *columnDef) bool {
	if p.accept("CONSTRAINT") && !p.isAny("CHECK", "REFERENCES") {
		p.name()
	}
	switch {
	case p.accept("CHECK"):
		p.skipParens()
		p.accept("NOT")
		p.accept("ENFORCED")
	case p.is("REFERENCES"):
		p.references()
	default:
		return false
	}
	return true
}

// rareAttribute reads what changes nothing of the column.
func (p *parser) rareAttribute(d *columnDef) bool {
	switch {
	case p.acceptAny("COLUMN_FORMAT", "STORAGE"):
		p.name()
	case p.acceptAny("ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"):
		p.acceptSign('=')
		p.literal()
	case p.accept("SRID"):
		p.number()
	case p.accept("REF_SYSTEM_ID"):
		p.acceptSign('=')
		p.number()
	case p.accept("COMPRESSED"):
		if p.acceptSign('=') {
			p.name()
		}
	case p.accept("NOT", "SECONDARY"), p.accept("ENFORCED"), p.accept("NOT", "ENFORCED"):
	case p.accept("WITH", "SYSTEM", "VERSIONING"), p.accept("WITHOUT", "SYSTEM", "VERSIONING"):
	case isText(d.base) && p.isAny("CHARACTER", "CHARSET", "BINARY", "ASCII", "UNICODE"):
		p.textSuffix(d)
	case p.tok.kind <= tokenName && p.peekSign() == '=': // an attribute of a storage engine
		p.advance()
		p.advance()
		p.advance()
	default:
		return false
	}
	return true
}

// generated reads [GENERATED ALWAYS] AS (expression) [VIRTUAL|STORED], and ROW START and ROW END of system versioning.
func (p *parser) generated(d *columnDef) {
	p.expect("AS")
	if p.accept("ROW", "START") || p.accept("ROW", "END") {
		d.notNull = true
		return
	}
	p.skipParens()
	p.acceptAny("VIRTUAL", "STORED", "PERSISTENT")
	d.Computed = true
}

// references reads the rest of a foreign key.
func (p *parser) references() {
	p.expect("REFERENCES")
	p.tableName("")
	if p.isSign('(') {
		p.skipParens()
	}
	for {
		switch {
		case p.accept("MATCH"):
			p.name()
		case p.accept("ON", "DELETE"), p.accept("ON", "UPDATE"):
			if !p.accept("SET", "NULL") && !p.accept("SET", "DEFAULT") && !p.accept("NO", "ACTION") && !p.acceptAny("CASCADE", "RESTRICT") {
				p.fail("an action of a foreign key")
			}
		default:
			return
		}
	}
}

// now reads CURRENT_TIMESTAMP or a synonym with its precision.
func (p *parser) now() bool {
	if !p.isAny("CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP") {
		return false
	}
	p.advance()
	if p.isSign('(') {
		p.skipParens()
	}
	return true
}

// epoch is what the reference takes for CURRENT_TIMESTAMP.
const epoch = "1970-01-01 00:00:00"

const zeroDate = "0000-00-00 00:00:00"

// defaultValue reads what follows DEFAULT. Expressions have no text.
func (p *parser) defaultValue(d *columnDef) {
	d.Default = nil
	if p.accept("NULL") {
		return
	}
	d.defaultGiven = true
	var text string
	switch {
	case p.now():
		text = epoch
		if p.flavor == MariaDB && p.accept("ON", "UPDATE") { // the reference does not see this one
			p.now()
		}
	case p.isAny("TRUE", "FALSE"):
		text = p.text()
		p.advance()
	default:
		var ok bool
		if text, ok = p.constant(d); !ok {
			p.skipExpression()
			return
		}
	}
	if p.moreExpression() {
		p.skipExpression()
		return
	}
	if text == "" && p.mode&EmptyStringIsNull != 0 {
		d.defaultGiven = false
		return
	}
	d.Default = &text
}

// constant reads a literal. False: there is none, the default is an expression.
func (p *parser) constant(d *columnDef) (text string, ok bool) {
	sign := ""
	for p.isSign('-') || p.isSign('+') {
		if p.isSign('-') && sign == "" {
			sign = "-"
		} else if p.isSign('-') {
			sign = ""
		}
		p.advance()
	}
	p.introducer()
	switch p.tok.kind {
	case tokenString:
		text = p.literal()
		if p.accept("COLLATE") {
			p.nameOrLiteral()
		}
		if d.base == "bit" {
			return bytesDefault(d, []byte(text)), true
		}
		return sign + text, true
	case tokenNumber:
		text = p.text()
		p.advance()
		if n, ok := new(big.Int).SetString(text, 10); ok && d.base == "bit" {
			return n.Text(2), true
		}
		return sign + text, true
	case tokenBit:
		text = p.text()[2:]
		text = strings.TrimSuffix(text, "'")
		p.advance()
		return bitDefault(d, text), true
	case tokenHex:
		b, valid := hexBytes(p.text())
		if !valid {
			p.fail("an even number of hexadecimal digits")
			return "", true
		}
		p.advance()
		return bytesDefault(d, b), true
	}
	if p.tok.kind == tokenEnd || p.isSign(',') || p.isSign(')') {
		p.fail("a default value")
	}
	return "", false
}

// moreExpression tells whether the literal before was only the start of an expression.
func (p *parser) moreExpression() bool {
	if p.tok.kind == tokenSign {
		return strings.IndexByte("+-*/%|&^<>=!~", p.src[p.tok.start]) >= 0
	}
	return p.isAny("DIV", "MOD", "AND", "OR", "XOR", "IS", "BETWEEN", "LIKE")
}

// hexBytes decodes x'4f' and 0x4f.
func hexBytes(text string) ([]byte, bool) {
	digits := strings.TrimSuffix(text[2:], "'")
	if text[0] == '0' && len(digits)%2 == 1 {
		digits = "0" + digits
	}
	b, err := hex.DecodeString(digits)
	return b, err == nil
}

// bytesDefault is a default given as bytes, as text of the column's type.
func bytesDefault(d *columnDef, b []byte) string {
	if numeric(d.base) {
		return new(big.Int).SetBytes(b).String()
	}
	if d.base == "bit" {
		return new(big.Int).SetBytes(b).Text(2)
	}
	return string(b)
}

// bitDefault is a default given as bits: digits 0 and 1 for BIT, as the reference has it for every type.
func bitDefault(d *columnDef, bits string) string {
	n, ok := new(big.Int).SetString(bits, 2)
	if d.base == "bit" || !ok {
		return bits
	}
	if numeric(d.base) {
		return n.String()
	}
	return string(n.Bytes())
}

func numeric(base string) bool {
	switch base {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year":
		return true
	}
	return false
}

// implicitDefaults gives new TIMESTAMP columns what the server gives them with explicit_defaults_for_timestamp=OFF: CURRENT_TIMESTAMP for the table's first
// one, unless it has an ON UPDATE of its own, and the zero date for the others.
func (t *Table) implicitDefaults(flavor Flavor) {
	first := true
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Base() != "timestamp" {
			continue
		}
		if c.implicit {
			text := zeroDate
			if first && !c.Generated {
				text = epoch
				c.AutoIncrement, c.Generated = flavor == MySQL, flavor == MySQL // as the reference has ON UPDATE
			}
			c.Default, c.HasDefault, c.implicit = &text, true, false
		}
		first = false
	}
}

// resolve makes the column of a table with this default charset.
func (d *columnDef) resolve(tableCharset string, mode SQLMode) Column {
	c := d.Column
	c.Optional = !d.notNull && !d.primary
	if d.base == "timestamp" && mode&ImplicitTimestamp != 0 && !d.null {
		c.Optional, c.implicit = false, !d.defaultGiven && !d.Computed
	}
	c.HasDefault = c.Optional || d.defaultGiven
	if c.Expression == "" {
		c.Expression = c.Type
	}
	if isText(d.base) {
		switch {
		case d.charset != "" && d.charset != "default":
			c.Charset = d.charset
		case d.charset == "" && charsetOf(d.collate) != "":
			c.Charset = charsetOf(d.collate)
		default:
			c.Charset = tableCharset
		}
		if c.Charset == "binary" {
			c.binaryType()
		}
	}
	return c
}
