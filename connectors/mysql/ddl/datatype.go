package ddl

import (
	"slices"
	"strings"
)

// Codes of java.sql.Types, which the reference writes.
const (
	jdbcBit        = -7
	jdbcBigint     = -5
	jdbcVarbinary  = -3
	jdbcBinary     = -2
	jdbcChar       = 1
	jdbcNumeric    = 2
	jdbcDecimal    = 3
	jdbcInteger    = 4
	jdbcSmallint   = 5
	jdbcFloat      = 6
	jdbcReal       = 7
	jdbcDouble     = 8
	jdbcVarchar    = 12
	jdbcBoolean    = 16
	jdbcDate       = 91
	jdbcTime       = 92
	jdbcTimestamp  = 93
	jdbcOther      = 1111
	jdbcBlob       = 2004
	jdbcTimestampZ = 2014
	jdbcNvarchar   = -9
	jdbcNchar      = -15
)

type typeClass uint8

const (
	classPlain   typeClass = iota // (length) at most
	classNumber                   // (length, scale), SIGNED, UNSIGNED, ZEROFILL
	classText                     // (length), charset
	classLabels                   // (label, …), charset
	classSpatial                  // (length) at most, REF_SYSTEM_ID
)

// dataType is what is known of a type by its first keyword.
type dataType struct {
	jdbc  int
	class typeClass
	base  string // what information_schema calls it
}

func lookupType(keyword string) (dataType, bool) {
	switch keyword {
	case "TINYINT", "INT1", "SMALLINT", "INT2":
		base := "tinyint"
		if keyword == "SMALLINT" || keyword == "INT2" {
			base = "smallint"
		}
		return dataType{jdbcSmallint, classNumber, base}, true
	case "MEDIUMINT", "INT3", "MIDDLEINT":
		return dataType{jdbcInteger, classNumber, "mediumint"}, true
	case "INT", "INTEGER", "INT4":
		return dataType{jdbcInteger, classNumber, "int"}, true
	case "BIGINT", "INT8":
		return dataType{jdbcBigint, classNumber, "bigint"}, true
	case "SERIAL":
		return dataType{jdbcBigint, classPlain, "bigint"}, true
	case "BOOL", "BOOLEAN":
		return dataType{jdbcBoolean, classPlain, "tinyint"}, true
	case "REAL":
		return dataType{jdbcReal, classNumber, "double"}, true
	case "DOUBLE", "FLOAT8":
		return dataType{jdbcDouble, classNumber, "double"}, true
	case "FLOAT", "FLOAT4":
		return dataType{jdbcFloat, classNumber, "float"}, true
	case "DECIMAL", "DEC", "FIXED":
		return dataType{jdbcDecimal, classNumber, "decimal"}, true
	case "NUMERIC", "NUMBER":
		return dataType{jdbcNumeric, classNumber, "decimal"}, true
	case "BIT":
		return dataType{jdbcBit, classPlain, "bit"}, true
	case "YEAR":
		return dataType{jdbcInteger, classPlain, "year"}, true
	case "DATE":
		return dataType{jdbcDate, classPlain, "date"}, true
	case "TIME":
		return dataType{jdbcTime, classPlain, "time"}, true
	case "DATETIME":
		return dataType{jdbcTimestamp, classPlain, "datetime"}, true
	case "TIMESTAMP":
		return dataType{jdbcTimestampZ, classPlain, "timestamp"}, true
	}
	return lookupText(keyword)
}

func lookupText(keyword string) (dataType, bool) {
	switch keyword {
	case "CHAR", "CHARACTER":
		return dataType{jdbcChar, classText, "char"}, true
	case "VARCHAR", "VARCHARACTER", "VARCHAR2":
		return dataType{jdbcVarchar, classText, "varchar"}, true
	case "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT":
		return dataType{jdbcVarchar, classText, strings.ToLower(keyword)}, true
	case "CLOB":
		return dataType{jdbcVarchar, classText, "longtext"}, true
	case "BINARY":
		return dataType{jdbcBinary, classPlain, "binary"}, true
	case "VARBINARY", "RAW":
		return dataType{jdbcVarbinary, classPlain, "varbinary"}, true
	case "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB":
		return dataType{jdbcBlob, classPlain, strings.ToLower(keyword)}, true
	case "ENUM", "SET":
		return dataType{jdbcChar, classLabels, strings.ToLower(keyword)}, true
	case "GEOMCOLLECTION", "GEOMETRYCOLLECTION":
		return dataType{jdbcOther, classSpatial, "geomcollection"}, true
	case "GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON":
		return dataType{jdbcOther, classSpatial, strings.ToLower(keyword)}, true
	case "JSON", "UUID", "INET4", "INET6", "VECTOR", "XMLTYPE":
		return dataType{jdbcOther, classPlain, strings.ToLower(keyword)}, true
	}
	return dataType{}, false
}

// Base is the column's type as information_schema names it, without synonyms: int, varchar, double; bool is tinyint.
func (c *Column) Base() string {
	keyword, rest, _ := strings.Cut(c.Type, " ")
	switch keyword {
	case "LONG":
		if rest == "VARBINARY" {
			return "mediumblob"
		}
		return "mediumtext"
	case "NATIONAL", "NCHAR", "NVARCHAR":
		if keyword == "NVARCHAR" || strings.Contains(rest, "VAR") {
			return "varchar"
		}
		return "char"
	case "CHAR", "CHARACTER":
		if rest == "VARYING" {
			return "varchar"
		}
	case "FLOAT", "FLOAT4":
		if c.Length > 24 && c.Scale < 0 {
			return "double"
		}
	}
	t, _ := lookupType(keyword)
	if c.Length >= 0 && (t.base == "text" || t.base == "blob") {
		return sized(t.base, c.Length*bytesPer(c.Charset))
	}
	return t.base
}

// sized is the TEXT or BLOB that holds so many bytes, which the server takes for TEXT(n) and BLOB(n).
func sized(base string, bytes int) string {
	switch {
	case bytes < 1<<8:
		return "tiny" + base
	case bytes < 1<<16:
		return base
	case bytes < 1<<24:
		return "medium" + base
	}
	return "long" + base
}

// bytesPer is the most bytes that a character of the charset has.
func bytesPer(charset string) int {
	switch charset {
	case "utf8mb4", "utf16", "utf16le", "utf32", "gb18030":
		return 4
	case "utf8", "utf8mb3", "ujis", "eucjpms":
		return 3
	case "ucs2", "gbk", "sjis", "big5", "euckr", "gb2312", "cp932":
		return 2
	}
	return 1
}

// Unsigned tells whether the column's numbers have no sign.
func (c *Column) Unsigned() bool { return strings.Contains(c.Type, " UNSIGNED") }

// isText tells whether values of the type are characters, so that it has a charset.
func isText(base string) bool {
	switch base {
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set":
		return true
	}
	return false
}

// dataType reads a column's type into d.
func (p *parser) dataType(d *columnDef) {
	if p.tok.kind != tokenWord {
		p.fail("a column type")
		return
	}
	keyword := p.typeKeyword()
	switch keyword {
	case "NATIONAL", "NCHAR", "NVARCHAR":
		p.national(d, keyword)
		return
	case "LONG":
		p.long(d)
		return
	}
	t, ok := lookupType(keyword)
	if !ok {
		p.fail("a column type")
		return
	}
	p.advance()
	d.base, d.JDBCType = t.base, t.jdbc
	name := []string{keyword}
	switch {
	case keyword == "DOUBLE" && p.accept("PRECISION"):
		name = append(name, "PRECISION")
	case t.base == "char" && p.accept("VARYING"):
		name = append(name, "VARYING")
		d.JDBCType, d.base = jdbcVarchar, "varchar"
	}
	if t.class == classLabels {
		p.labels(d)
	} else if p.isSign('(') {
		p.dimensions(d)
	}
	switch t.class {
	case classNumber:
		name = append(name, p.numberSuffix()...)
	case classText, classLabels:
		p.textSuffix(d)
	}
	d.Type = strings.Join(name, " ")
	d.typeDefaults(keyword)
}

// typeKeyword is the first keyword of the type that the current one means in the mode of the statement. It passes the qualifier with which MariaDB
// writes a type of another mode: mariadb_schema.date.
func (p *parser) typeKeyword() string {
	mode, keyword := p.mode, strings.ToUpper(p.text())
	switch keyword {
	case "MARIADB_SCHEMA", "ORACLE_SCHEMA", "MAXDB_SCHEMA":
		place := *p
		p.advance()
		if p.flavor != MariaDB || !p.dot() {
			*p = place
			return keyword
		}
		mode &^= Oracle | MaxDB
		switch keyword {
		case "ORACLE_SCHEMA":
			mode |= Oracle
		case "MAXDB_SCHEMA":
			mode |= MaxDB
		}
		keyword = strings.ToUpper(p.text())
	}
	switch {
	case keyword == "REAL" && mode&RealAsFloat != 0:
		return "FLOAT"
	case keyword == "TIMESTAMP" && mode&MaxDB != 0:
		return "DATETIME"
	case mode&Oracle == 0:
	case keyword == "DATE":
		return "DATETIME"
	case keyword == "BLOB" && p.peekSign() != '(':
		return "LONGBLOB"
	case keyword == "NUMBER" && p.peekSign() != '(':
		return "DOUBLE"
	}
	return keyword
}

func (d *columnDef) typeDefaults(keyword string) {
	switch {
	case d.base == "decimal":
		if d.Length < 0 {
			d.Length = 10
		}
		d.Scale = max(d.Scale, 0)
	case d.base == "bit" && d.Length < 0:
		d.Length = 1
	case d.base == "vector" && d.Length < 0:
		d.Length = 2048
	case keyword == "SERIAL":
		d.Type = "BIGINT UNSIGNED"
		d.notNull, d.unique, d.AutoIncrement, d.Generated = true, true, true, true
	}
}

// dimensions reads (n) or (n, m).
func (p *parser) dimensions(d *columnDef) {
	p.expectSign('(')
	d.Length = p.number()
	if p.acceptSign(',') {
		d.Scale = p.number()
	}
	p.acceptAny("CHAR", "BYTE") // of VARCHAR2
	p.expectSign(')')
}

// numberSuffix returns the attributes in the order of the reference; ZEROFILL makes a column unsigned, which the reference does
// not know.
func (p *parser) numberSuffix() []string {
	var signed, unsigned, zerofill bool
	for {
		switch {
		case p.accept("SIGNED"):
			signed = true
		case p.accept("UNSIGNED"):
			unsigned = true
		case p.accept("ZEROFILL"):
			unsigned, zerofill = true, true
		default:
			var suffix []string
			for i, has := range []bool{signed && !unsigned, unsigned, zerofill} {
				if has {
					suffix = append(suffix, [...]string{"SIGNED", "UNSIGNED", "ZEROFILL"}[i])
				}
			}
			return suffix
		}
	}
}

// textSuffix reads what says how characters are stored.
func (p *parser) textSuffix(d *columnDef) {
	for {
		switch {
		case p.accept("BINARY"): // the charset's binary collation
		case p.accept("BYTE"):
			d.charset = "binary"
		case p.accept("ASCII"):
			d.charset = "latin1"
		case p.accept("UNICODE"):
			d.charset = "ucs2"
		case p.accept("CHARACTER", "SET"), p.accept("CHAR", "SET"), p.accept("CHARSET"):
			d.charset = strings.ToLower(p.nameOrLiteral())
		case p.accept("COLLATE"):
			p.acceptSign('=')
			d.collate = strings.ToLower(p.nameOrLiteral())
		default:
			return
		}
	}
}

func (p *parser) labels(d *columnDef) {
	p.expectSign('(')
	d.Labels = []string{}
	for p.err == nil {
		p.introducer()
		label := p.label()
		// The server cuts trailing spaces of labels.
		d.Labels = append(d.Labels, strings.TrimRight(label, " "))
		if !p.acceptSign(',') {
			break
		}
	}
	p.expectSign(')')
	d.Length = 1
	if d.base == "set" {
		d.Length = max(0, 2*len(d.Labels)-1)
	}
}

func (p *parser) label() string {
	if p.tok.kind == tokenHex {
		b, ok := hexBytes(p.text())
		if ok {
			p.advance()
			return string(b)
		}
	}
	return p.literal()
}

// introducer passes a charset in front of a literal: _utf8mb4'text'.
func (p *parser) introducer() {
	if p.tok.kind != tokenWord || p.src[p.tok.start] != '_' {
		return
	}
	l := p.lexer
	if k := l.next().kind; k == tokenString || k == tokenHex || k == tokenBit {
		p.advance()
	}
}

// national reads NATIONAL CHAR VARYING and its other spellings.
func (p *parser) national(d *columnDef, keyword string) {
	p.advance()
	name := []string{keyword}
	varying := keyword == "NVARCHAR"
	if keyword == "NATIONAL" || p.isAny("VARCHAR", "VARCHARACTER") {
		if !p.isAny("CHAR", "CHARACTER", "VARCHAR", "VARCHARACTER") {
			p.fail("CHAR or VARCHAR")
			return
		}
		word := strings.ToUpper(p.text())
		varying = varying || word[0] == 'V'
		name = append(name, word)
		p.advance()
	}
	if p.accept("VARYING") {
		varying = true
		name = append(name, "VARYING")
	}
	if p.isSign('(') {
		p.dimensions(d)
	}
	d.collateOnly(p)
	d.Type, d.charset = strings.Join(name, " "), "utf8"
	d.base, d.JDBCType = "char", jdbcNchar
	if varying {
		d.base, d.JDBCType = "varchar", jdbcNvarchar
	} else if d.Length < 0 {
		d.Length = 1
	}
}

// collateOnly reads what may follow a national type: its charset is fixed.
func (d *columnDef) collateOnly(p *parser) {
	p.textSuffix(d)
	d.charset, d.collate = "", ""
}

// long reads LONG, LONG VARCHAR and LONG VARBINARY.
func (p *parser) long(d *columnDef) {
	p.advance()
	switch {
	case p.accept("VARBINARY"):
		d.Type, d.base, d.JDBCType = "LONG VARBINARY", "mediumblob", jdbcBlob
		return
	case p.accept("VARCHAR"), p.accept("VARCHARACTER"), p.accept("CHAR", "VARYING"), p.accept("CHARACTER", "VARYING"):
		d.Type = "LONG VARCHAR"
	default:
		d.Type = "LONG"
	}
	d.base, d.JDBCType = "mediumtext", jdbcVarchar
	p.textSuffix(d)
}

// binaryType turns a type of characters into one of bytes, as the server does for CHARACTER SET binary.
func (c *Column) binaryType() {
	switch c.Base() {
	case "char":
		c.Type, c.JDBCType = "BINARY", jdbcBinary
	case "varchar":
		c.Type, c.JDBCType = "VARBINARY", jdbcVarbinary
	case "tinytext", "text", "mediumtext", "longtext":
		c.Type, c.JDBCType = strings.ToUpper(strings.TrimSuffix(c.Base(), "text"))+"BLOB", jdbcBlob
	default: // ENUM and SET stay what they are
		return
	}
	c.Expression, c.Charset = c.Type, ""
}

// charsetOf returns the charset that a collation belongs to; "": the collation does not say.
func charsetOf(collation string) string {
	if collation == "binary" {
		return collation
	}
	charset, _, found := strings.Cut(collation, "_")
	if !found || !slices.Contains(charsets, charset) {
		return ""
	}
	return charset
}

// charsets of both servers.
var charsets = []string{
	"armscii8", "ascii", "big5", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "cp932", "dec8", "eucjpms",
	"euckr", "gb18030", "gb2312", "gbk", "geostd8", "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5",
	"latin7", "macce", "macroman", "sjis", "swe7", "tis620", "ucs2", "ujis", "utf16", "utf16le", "utf32", "utf8", "utf8mb3", "utf8mb4",
}
