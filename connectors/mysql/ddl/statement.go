package ddl

import (
	"fmt"
	"slices"
	"strings"
)

// StatementKind tells what a statement does.
type StatementKind uint8

// The kinds of statements.
const (
	Ignored StatementKind = iota // nothing to tables: views, users, routines, temporary tables, rows, …
	CreateTable
	AlterTable
	RenameTable
	DropTable
	TruncateTable
	CreateIndex
	DropIndex
	CreateDatabase
	AlterDatabase
	DropDatabase
	Use
	Set // variables of the server
)

// Statement is what one statement did.
type Statement struct {
	Kind     StatementKind
	Database string   // that the statement belongs to
	Text     string   // from its first token to its last, as the reference publishes it
	Tables   []ID     // that it names, in its order; for RENAME the new names
	Unknown  []ID     // that it takes structure from, or would give it to, and that the catalog does not have
	Changes  []Change // those without a Statement are consequences, which the reference does not publish
}

// Apply reads statements (one, as a rule) that ran in this database and brings the catalog up to date with them. A statement that
// concerns tables and is not understood is an error that names the place, and changes nothing.
func (c *Catalog) Apply(database, statement string, mode SQLMode) ([]Statement, error) {
	if len(statement) > MaxStatement {
		return nil, fmt.Errorf("read statement: %d bytes, more than %d", len(statement), MaxStatement)
	}
	database = c.foldName(database)
	p := newParser(statement, mode, c.flavor)
	var done []Statement
	for {
		for p.acceptSign(';') {
		}
		if p.err != nil {
			return done, p.err
		}
		if p.tok.kind == tokenEnd {
			return done, nil
		}
		start := p.tok.start
		if p.tok.executable {
			start = p.enteredAt
		}
		r := reader{parser: p, catalog: c, start: start, Statement: Statement{Database: database}}
		if err := r.read(); err != nil {
			return done, err
		}
		done = append(done, r.Statement)
		if r.Kind == Use {
			database = r.Database
		}
	}
}

// reader reads one statement and applies it.
type reader struct {
	*parser
	catalog *Catalog
	start   int
	Statement
}

// Objects that are no tables, by the keyword behind CREATE, ALTER or DROP.
var otherObjects = []string{
	"VIEW", "USER", "ROLE", "PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "SERVER", "TABLESPACE", "LOGFILE", "UNDO", "SEQUENCE", "PACKAGE",
	"RESOURCE", "DEFINER", "ALGORITHM", "SQL", "AGGREGATE", "LIBRARY", "MATERIALIZED", "INSTANCE", "PREPARE", "JSON", "CATALOG",
}

func (r *reader) read() error {
	for r.accept("SET", "STATEMENT") {
		for !r.atEnd() && !r.accept("FOR") {
			r.advance()
		}
	}
	switch {
	case r.accept("CREATE"):
		r.create()
	case r.accept("ALTER"):
		r.alter()
	case r.accept("DROP"):
		r.drop()
	case r.is("RENAME") && r.peek("TABLE", "TABLES"):
		r.renameTables()
	case r.accept("TRUNCATE"):
		r.truncate()
	case r.is("USE"):
		r.use()
	case r.accept("SET"):
		r.set()
	default:
		r.ignore()
	}
	return r.err
}

// end checks that the statement ends here and returns its text.
func (r *reader) end() bool {
	if !r.atEnd() {
		r.fail("the end of the statement")
	}
	if r.err != nil {
		return false
	}
	end := r.last.end
	switch {
	case r.last.executable && r.partition:
		end = r.plain
	case r.last.executable:
		end = max(end, r.leftAt)
	}
	r.Text = r.src[r.start:end]
	return true
}

// ignore takes all that is left for the statement: bodies of routines have semicolons in them.
func (r *reader) ignore() {
	r.Kind = Ignored
	r.Text = strings.TrimSpace(r.src[r.start:])
	r.tok = token{kind: tokenEnd, start: len(r.src), end: len(r.src)}
	r.pos = len(r.src)
}

func (r *reader) ignoreOther() {
	if r.isAny(otherObjects...) || r.accept("SPATIAL", "REFERENCE") {
		r.ignore()
		return
	}
	r.fail("the kind of an object")
}

func (r *reader) create() {
	replace := r.accept("OR", "REPLACE")
	switch {
	case r.accept("TABLE"):
		r.createTable(replace)
	case r.accept("TEMPORARY"):
		r.ignore()
	case r.acceptAny("DATABASE", "SCHEMA"):
		r.createDatabase(replace)
	default:
		r.acceptAny("ONLINE", "OFFLINE")
		place := *r.parser
		unique := r.accept("UNIQUE")
		if !unique {
			r.acceptAny("FULLTEXT", "SPATIAL", "VECTOR")
		}
		if r.accept("INDEX") {
			r.createIndex(unique)
			return
		}
		*r.parser = place
		r.ignoreOther()
	}
}

func (r *reader) alter() {
	place := *r.parser
	r.acceptAny("ONLINE", "OFFLINE")
	r.accept("IGNORE")
	switch {
	case r.accept("TABLE"):
		r.alterTable()
	case r.acceptAny("DATABASE", "SCHEMA"):
		r.alterDatabase()
	default:
		*r.parser = place
		r.ignoreOther()
	}
}

func (r *reader) drop() {
	switch {
	case r.accept("TEMPORARY"):
		r.ignore()
	case r.acceptAny("TABLE", "TABLES"):
		r.dropTables()
	case r.acceptAny("DATABASE", "SCHEMA"):
		r.ifExists()
		r.Kind, r.Database = DropDatabase, r.catalog.foldName(r.name())
		if r.end() {
			r.Changes = append(r.database(), r.catalog.dropDatabase(r.Database)...)
		}
	default:
		r.acceptAny("ONLINE", "OFFLINE")
		if r.accept("INDEX") {
			r.dropIndex()
			return
		}
		r.ignoreOther()
	}
}

func (r *reader) ifExists() bool    { return r.accept("IF", "EXISTS") }
func (r *reader) ifNotExists() bool { return r.accept("IF", "NOT", "EXISTS") }

// table reads the name of a table.
func (r *reader) table() ID { return r.catalog.fold(r.tableName(r.Database)) }

func (r *reader) database() []Change {
	return []Change{{Kind: Database, ID: ID{Database: r.Database}, Statement: r.Text}}
}

// about names the table that the statement belongs to.
func (r *reader) about(id ID) {
	r.Tables = append(r.Tables, id)
	r.Database = id.Database
}

func (r *reader) dropTables() {
	r.Kind = DropTable
	r.ifExists()
	prefix := r.src[r.start:r.tok.start]
	database := r.Database
	for r.err == nil {
		r.Tables = append(r.Tables, r.catalog.fold(r.tableName(database)))
		if !r.acceptSign(',') {
			break
		}
	}
	r.wait()
	behavior := ""
	if r.isAny("RESTRICT", "CASCADE") {
		behavior = " " + r.text()
		r.advance()
	}
	if !r.end() {
		return
	}
	r.Database = r.Tables[0].Database
	for _, id := range r.Tables {
		r.catalog.Remove(id)
		text := prefix + quoteName(id.Database) + "." + quoteName(id.Table) + behavior
		r.Changes = append(r.Changes, Change{Kind: Drop, ID: id, Statement: text})
	}
}

// wait passes what MariaDB says about locks.
func (p *parser) wait() {
	if p.accept("WAIT") {
		p.number()
	}
	p.accept("NOWAIT")
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (r *reader) renameTables() {
	r.Kind = RenameTable
	r.advance()
	r.advance()
	r.ifExists()
	prefix := r.src[r.start:r.tok.start]
	type clause struct {
		from, to ID
		text     string
	}
	var clauses []clause
	for r.err == nil {
		start := r.tok.start
		cl := clause{from: r.table()}
		r.wait()
		r.expect("TO")
		cl.to = r.table()
		cl.text = prefix + r.src[start:max(start, r.last.end)]
		clauses = append(clauses, cl)
		if !r.acceptSign(',') {
			break
		}
		r.ifExists()
	}
	if !r.end() {
		return
	}
	for _, cl := range clauses {
		r.Tables = append(r.Tables, cl.to)
		t := r.catalog.rename(cl.from, cl.to)
		if t == nil {
			r.Unknown = append(r.Unknown, cl.from)
			continue
		}
		r.Changes = append(r.Changes, Change{Kind: Alter, ID: cl.to, Previous: cl.from, Table: t, Statement: cl.text})
	}
	r.Database = clauses[0].to.Database
}

func (r *reader) truncate() {
	r.Kind = TruncateTable
	r.accept("TABLE")
	id := r.table()
	r.wait()
	if r.acceptAny("DROP", "REUSE") { // MariaDB
		r.expect("STORAGE")
	}
	r.about(id)
	if r.end() {
		r.Changes = []Change{{Kind: Truncate, ID: id, Statement: r.Text}}
	}
}

func (r *reader) use() {
	r.Kind = Use
	r.advance()
	r.Database = r.catalog.foldName(r.name())
	if r.end() {
		r.Changes = r.database()
	}
}

func (r *reader) createDatabase(replace bool) {
	r.Kind = CreateDatabase
	exists := r.ifNotExists()
	r.Database = r.catalog.foldName(r.name())
	charset := r.databaseOptions()
	if !r.end() {
		return
	}
	r.Changes = r.database()
	if _, known := r.catalog.databases[r.Database]; known && exists {
		return
	}
	if charset == "" {
		charset = r.catalog.charset
	}
	if replace {
		r.Changes = append(r.Changes, r.catalog.dropDatabase(r.Database)...)
	}
	r.catalog.databases[r.Database] = charset
}

func (r *reader) alterDatabase() {
	r.Kind = AlterDatabase
	current := r.Database
	if !r.atDatabaseOption() {
		r.Database = r.catalog.foldName(r.name())
	}
	charset := r.databaseOptions()
	if r.end() && charset != "" {
		r.catalog.databases[r.Database] = charset
	}
	r.Database = current // the reference publishes it without knowing whose it is
}

func (r *reader) atDatabaseOption() bool {
	return r.isAny("CHARSET", "COLLATE", "DEFAULT", "ENCRYPTION", "READ", "COMMENT", "CHARACTER") || r.atEnd()
}

// databaseOptions returns the charset that they say; "": none.
func (r *reader) databaseOptions() string {
	charset, collation := "", ""
	for r.err == nil && !r.atEnd() {
		r.accept("DEFAULT")
		switch {
		case r.charset(&charset):
		case r.accept("COLLATE"):
			r.acceptSign('=')
			collation = strings.ToLower(r.nameOrLiteral())
		case r.acceptAny("ENCRYPTION", "COMMENT"):
			r.acceptSign('=')
			r.literal()
		case r.accept("READ", "ONLY"):
			r.acceptSign('=')
			r.advance()
		case r.accept("UPGRADE", "DATA", "DIRECTORY", "NAME"):
		default:
			r.fail("an option of the database")
		}
	}
	if charset == "default" {
		charset = r.catalog.charset
	}
	if charset == "" {
		charset = charsetOf(collation)
	}
	return charset
}

// charset reads CHARACTER SET [=] name.
func (p *parser) charset(into *string) bool {
	if !p.accept("CHARACTER", "SET") && !p.accept("CHAR", "SET") && !p.accept("CHARSET") {
		return false
	}
	p.acceptSign('=')
	*into = strings.ToLower(p.nameOrLiteral())
	return true
}

// set reads SET of variables; other SETs do nothing to tables.
func (r *reader) set() {
	place := *r.parser
	charset := ""
	for r.err == nil {
		name, value, ok := r.assignment()
		if !ok {
			*r.parser = place
			r.ignore()
			return
		}
		switch {
		case name == "character_set_server":
			charset = strings.ToLower(value)
		case name == "collation_server" && charset == "":
			charset = charsetOf(strings.ToLower(value))
		}
		if !r.acceptSign(',') {
			break
		}
	}
	if !r.end() {
		return
	}
	r.Kind = Set
	r.Changes = r.database()
	if charset != "" && charset != "default" {
		r.catalog.charset = charset
	}
}

// assignment reads [scope] name = value.
func (r *reader) assignment() (name, value string, ok bool) {
	for r.acceptSign('@') {
	}
	r.acceptAny("GLOBAL", "SESSION", "LOCAL", "PERSIST", "PERSIST_ONLY")
	if r.tok.kind != tokenWord && r.tok.kind != tokenName || slices.Contains([]string{";", ""}, r.text()) {
		return "", "", false
	}
	for r.acceptSign('@') {
	}
	r.dot()
	if r.tok.kind != tokenWord && r.tok.kind != tokenName {
		return "", "", false
	}
	name = strings.ToLower(r.columnName())
	r.acceptSign(':')
	if !r.acceptSign('=') {
		return "", "", false
	}
	if r.tok.kind == tokenString {
		value = unquote(r.text(), r.mode&NoBackslashEscapes == 0)
	} else if !r.atEnd() {
		value = r.text()
	}
	for !r.atEnd() && !r.isSign(',') {
		if r.isSign('(') {
			r.skipParens()
			continue
		}
		r.advance()
	}
	return name, value, true
}
