package ddl

import (
	"slices"
	"strings"
)

// tableOptions are those that matter here.
type tableOptions struct {
	charset, collate string
	comment          *string
}

// tableCharset is the charset that the options say; "": none.
func (o *tableOptions) tableCharset() string {
	if o.charset != "" {
		return o.charset
	}
	return charsetOf(o.collate)
}

func (r *reader) createTable(replace bool) {
	r.Kind = CreateTable
	exists := r.ifNotExists()
	id := r.table()
	r.about(id)
	var like ID
	var columns []columnDef
	var indexes []index
	var options tableOptions
	place := *r.parser
	switch {
	case r.accept("LIKE"):
		like = r.table()
	case r.acceptSign('(') && r.accept("LIKE"):
		like = r.table()
		r.expectSign(')')
	default:
		*r.parser = place
		if r.isSign('(') && !r.peek("SELECT", "WITH", "VALUES", "TABLE") && !r.peekParen() {
			columns, indexes = r.elements()
		}
		r.createOptions(&options)
	}
	selects := r.selects()
	if !r.end() {
		return
	}
	known := r.catalog.tables[id]
	if known != nil && exists && !replace {
		return
	}
	if like != (ID{}) {
		r.createLike(id, like)
		return
	}
	if selects && len(columns) == 0 || len(columns) == 0 {
		// Its columns are those of a query, which is not understood here.
		delete(r.catalog.tables, id)
		r.Unknown = append(r.Unknown, id)
		return
	}
	t := &Table{ID: id, Charset: options.tableCharset()}
	if t.Charset == "" || t.Charset == "default" {
		t.Charset = r.catalog.Charset(id.Database)
	}
	if options.comment != nil {
		t.Comment = *options.comment
	}
	for i := range columns {
		t.Columns = append(t.Columns, columns[i].resolve(t.Charset, r.mode))
	}
	t.indexes = indexes
	t.finish(r.flavor)
	r.catalog.tables[id] = t
	r.Changes = []Change{{Kind: Create, ID: id, Table: t, Statement: r.Text}}
}

// peekParen tells whether another parenthesis follows the current one: a query in parentheses.
func (r *reader) peekParen() bool { return r.peekSign() == '(' }

func (r *reader) createLike(id, like ID) {
	original := r.catalog.tables[like]
	if original == nil {
		delete(r.catalog.tables, id)
		r.Unknown = append(r.Unknown, like)
		return
	}
	t := *original
	t.ID = id
	r.catalog.tables[id] = &t
	r.Changes = []Change{{Kind: Create, ID: id, Table: &t, Statement: r.Text}}
}

// More than any server takes; what compares each with each stays fast.
const (
	maxColumns = 4096
	maxIndexes = 256
)

// elements reads the parentheses of CREATE TABLE.
func (r *reader) elements() (columns []columnDef, indexes []index) {
	r.expectSign('(')
	for r.err == nil {
		if ix, ok := r.indexElement(); ok {
			indexes = addIndex(indexes, ix)
		} else if r.err == nil {
			d := r.columnDef(r.columnName())
			if slices.ContainsFunc(columns, func(c columnDef) bool { return strings.EqualFold(c.Name, d.Name) }) {
				r.fail("no second column " + d.Name)
			}
			columns = append(columns, d)
			indexes = d.addIndexes(indexes)
		}
		if len(columns) > maxColumns || len(indexes) > maxIndexes {
			r.fail("fewer columns or keys")
		}
		if !r.acceptSign(',') {
			break
		}
	}
	r.expectSign(')')
	return columns, indexes
}

// indexElement reads a key or constraint of a table. An index without columns and name is none (a check, a period).
func (p *parser) indexElement() (index, bool) {
	var ix index
	named := false
	if p.accept("CONSTRAINT") {
		named = true
		if !p.isAny("PRIMARY", "UNIQUE", "FOREIGN", "CHECK") {
			ix.name = p.name()
		}
	}
	switch {
	case p.accept("PRIMARY", "KEY"):
		ix.kind = indexPrimary
		p.index(&ix)
		ix.name = primaryName
	case p.accept("UNIQUE"):
		p.acceptAny("INDEX", "KEY")
		ix.kind = indexUnique
		p.index(&ix)
	case p.accept("FOREIGN", "KEY"):
		p.index(&ix)
		p.references()
		ix.foreign = true
	case p.accept("CHECK"):
		p.skipParens()
		p.accept("NOT")
		p.accept("ENFORCED")
		return index{}, true
	case named:
		p.fail("PRIMARY KEY, UNIQUE, FOREIGN KEY or CHECK")
	case p.acceptAny("INDEX", "KEY"):
		p.index(&ix)
	case p.acceptAny("FULLTEXT", "SPATIAL"), p.is("VECTOR") && p.peek("INDEX", "KEY"):
		p.accept("VECTOR")
		p.acceptAny("INDEX", "KEY")
		p.index(&ix)
	case p.is("PERIOD") && p.peek("FOR"):
		p.advance()
		p.advance()
		p.name()
		p.skipParens()
		return index{}, true
	default:
		return index{}, false
	}
	return ix, true
}

// index reads [IF NOT EXISTS] [name] [USING type] (columns) [options].
func (p *parser) index(ix *index) {
	ix.ifNotExists = p.accept("IF", "NOT", "EXISTS")
	if !p.isSign('(') && !p.isAny("USING", "TYPE") || p.isAny("USING", "TYPE") && p.peekSign() == '(' {
		ix.name = p.name()
	}
	if p.acceptAny("USING", "TYPE") {
		p.name()
	}
	p.indexColumns(ix)
	for p.err == nil && !p.atEnd() && !p.isSign(',') && !p.isSign(')') && !p.is("REFERENCES") {
		if p.isSign('(') {
			p.skipParens()
			continue
		}
		p.advance()
	}
}

func (p *parser) indexColumns(ix *index) {
	p.expectSign('(')
	for p.err == nil {
		if p.isSign('(') {
			p.skipParens()
			ix.unfit = true
		} else {
			ix.columns = append(ix.columns, p.columnName())
			prefix := 0
			if p.acceptSign('(') {
				prefix = p.number()
				p.expectSign(')')
			}
			ix.prefixes = append(ix.prefixes, prefix)
		}
		p.acceptAny("ASC", "DESC")
		if p.accept("WITHOUT", "OVERLAPS") {
			ix.unfit = true
		}
		if !p.acceptSign(',') {
			break
		}
	}
	p.expectSign(')')
}

// createOptions reads the table options and what is said about partitions.
func (r *reader) createOptions(o *tableOptions) {
	for r.err == nil && !r.atEnd() && !r.isAny("AS", "SELECT", "IGNORE", "REPLACE", "VALUES", "TABLE") && !r.isSign('(') {
		r.acceptSign(',')
		switch {
		case r.is("WITH") && !r.peek("SYSTEM"):
			return
		case r.accept("PARTITION", "BY"):
			r.skipPartitions()
		case r.accept("START", "TRANSACTION"), r.accept("WITH", "SYSTEM", "VERSIONING"):
		case !r.tableOption(o):
			r.fail("an option of the table")
		}
	}
}

// skipPartitions passes everything up to a query, if there is one.
func (r *reader) skipPartitions() {
	for !r.atEnd() && !r.isAny("SELECT", "AS", "IGNORE", "REPLACE") {
		if r.isSign('(') {
			r.skipParens()
			continue
		}
		r.advance()
	}
}

// selects passes the query of CREATE TABLE … SELECT; false: there is none.
func (r *reader) selects() bool {
	r.acceptAny("IGNORE", "REPLACE")
	if !r.accept("AS") && !r.isAny("SELECT", "WITH", "VALUES", "TABLE") && !r.isSign('(') {
		return false
	}
	r.skipRest()
	return true
}

// plainOptions take one value and change nothing here; "=" may be left out.
var plainOptions = []string{
	"ENGINE", "TYPE", "AUTO_INCREMENT", "AVG_ROW_LENGTH", "CHECKSUM", "TABLE_CHECKSUM", "PAGE_CHECKSUM", "COMPRESSION", "CONNECTION",
	"DELAY_KEY_WRITE", "ENCRYPTION", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE", "SECONDARY_ENGINE_ATTRIBUTE", "INSERT_METHOD", "KEY_BLOCK_SIZE",
	"MAX_ROWS", "MIN_ROWS", "PACK_KEYS", "PASSWORD", "ROW_FORMAT", "STATS_AUTO_RECALC", "STATS_PERSISTENT", "STATS_SAMPLE_PAGES", "TABLESPACE",
	"STORAGE", "AUTOEXTEND_SIZE", "TRANSACTIONAL", "SEQUENCE", "ENCRYPTED", "ENCRYPTION_KEY_ID", "IETF_QUOTES", "PAGE_COMPRESSED",
	"PAGE_COMPRESSION_LEVEL",
}

// tableOption reads one option; false: none is here.
func (r *reader) tableOption(o *tableOptions) bool {
	if r.accept("DEFAULT") && !r.isAny("CHARACTER", "CHAR", "CHARSET", "COLLATE") {
		r.fail("CHARACTER SET or COLLATE")
	}
	switch {
	case r.charset(&o.charset):
	case r.accept("COLLATE"):
		r.acceptSign('=')
		o.collate = strings.ToLower(r.nameOrLiteral())
	case r.accept("COMMENT"):
		r.acceptSign('=')
		comment := r.literal()
		o.comment = &comment
	case r.accept("UNION"):
		r.acceptSign('=')
		r.skipParens()
	case r.accept("DATA", "DIRECTORY"), r.accept("INDEX", "DIRECTORY"):
		r.acceptSign('=')
		r.literal()
	case r.tok.kind <= tokenName && r.tok.kind != tokenEnd && (r.isAny(plainOptions...) || r.peekSign() == '='):
		r.advance()
		r.acceptSign('=')
		r.acceptSign('-')
		if r.atEnd() || r.isSign(',') {
			r.fail("a value")
		}
		r.advance()
	default:
		return false
	}
	return true
}
