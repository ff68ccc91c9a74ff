package ddl

import (
	"fmt"
	"strings"
)

// alteration is what the parts of ALTER TABLE say, collected before anything is done: the server takes them together.
type alteration struct {
	tableOptions
	columns  []columnChange
	drops    []columnDrop
	settings []columnSetting
	indexes  []indexAdd  // in order, after what was dropped
	dropped  []string    // names of indexes
	renames  [][2]string // of indexes
	renamed  ID
	convert  string // charset; "": none
	created  []ID   // tables like this one (CONVERT PARTITION … TO TABLE)
	removed  []ID   // tables that became partitions
}

// columnChange adds a column, or replaces one.
type columnChange struct {
	old      string // the column it replaces; "": it is new
	def      columnDef
	tolerant bool // IF EXISTS, IF NOT EXISTS
}

// indexAdd is an index that a column's attributes make, or one of the table's own.
type indexAdd struct {
	column int // in columns; -1: of the table
	add    func([]index) []index
}

type columnDrop struct {
	name     string
	tolerant bool
}

// columnSetting changes one thing of a column and leaves the rest.
type columnSetting struct {
	name       string
	tolerant   bool
	rename     string
	setDefault *columnDef
	noDefault  bool
	visibility bool
	invisible  bool
}

func (r *reader) alterTable() {
	r.Kind = AlterTable
	r.ifExists()
	id := r.table()
	r.about(id)
	r.wait()
	var a alteration
	for r.err == nil && !r.atEnd() {
		start := r.tok.start
		r.alterPart(&a)
		if r.err == nil && r.tok.start == start {
			r.fail("a part of ALTER TABLE")
		}
		a.bound(r)
		if !r.acceptSign(',') && !r.atEnd() && !r.atOption() {
			r.fail("a comma or the end of the statement")
		}
	}
	if !r.end() {
		return
	}
	old := r.catalog.tables[id]
	if old == nil {
		r.Unknown = append(r.Unknown, id)
		if a.renamed != (ID{}) {
			delete(r.catalog.tables, a.renamed)
		}
		return
	}
	t, err := a.apply(old, r.catalog, r.mode)
	if err != nil {
		r.err = fmt.Errorf("apply statement to table %s.%s: %w", id.Database, id.Table, err)
		return
	}
	r.altered(&a, old, t)
}

// altered keeps the table that came of it.
func (r *reader) altered(a *alteration, old, t *Table) {
	change := Change{Kind: Alter, ID: t.ID, Table: t, Statement: r.Text}
	if t.ID != old.ID {
		change.Previous = old.ID
		delete(r.catalog.tables, old.ID)
		r.Tables[0] = t.ID
		r.Database = t.Database
	}
	r.catalog.tables[t.ID] = t
	r.Changes = []Change{change}
	for _, id := range a.created {
		like := *t
		like.ID = id
		r.catalog.tables[id] = &like
		r.Changes = append(r.Changes, Change{Kind: Create, ID: id, Table: &like})
	}
	for _, id := range a.removed {
		delete(r.catalog.tables, id)
		r.Changes = append(r.Changes, Change{Kind: Drop, ID: id})
	}
}

// atOption tells whether a part may follow without a comma: table options may.
func (r *reader) atOption() bool {
	return r.isAny(plainOptions...) || r.isAny("DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "COMMENT", "UNION", "PARTITION", "REMOVE") ||
		r.tok.kind == tokenWord && r.peekSign() == '='
}

func (r *reader) alterPart(a *alteration) {
	switch {
	case r.accept("ADD"):
		r.alterAdd(a)
	case r.accept("DROP"):
		r.alterDrop(a)
	case r.accept("MODIFY"):
		r.accept("COLUMN")
		change := columnChange{tolerant: r.ifExists()}
		change.old = r.columnName()
		change.def = r.positioned(change.old)
		r.change(a, change)
	case r.accept("CHANGE"):
		r.accept("COLUMN")
		change := columnChange{tolerant: r.ifExists()}
		change.old = r.columnName()
		change.def = r.positioned(r.columnName())
		r.change(a, change)
	case r.accept("ALTER"):
		r.alterAlter(a)
	case r.accept("RENAME"):
		r.alterRename(a)
	case r.accept("CONVERT"):
		r.alterConvert(a)
	default:
		r.alterRest(a)
	}
}

func (r *reader) change(a *alteration, c columnChange) {
	def := c.def
	a.indexes = append(a.indexes, indexAdd{len(a.columns), def.addIndexes})
	a.columns = append(a.columns, c)
}

// positioned reads a column's definition and where it goes.
func (r *reader) positioned(name string) columnDef {
	d := r.columnDef(name)
	switch {
	case r.accept("FIRST"):
		d.position.first = true
	case r.accept("AFTER"):
		d.position.after = r.columnName()
	}
	return d
}

func (r *reader) alterAdd(a *alteration) {
	switch {
	case r.is("PARTITION"):
		r.skipRest()
		return
	case r.accept("SYSTEM", "VERSIONING"):
		return
	}
	if r.accept("COLUMN") {
		r.addColumns(a)
		return
	}
	ix, ok := r.indexElement()
	switch {
	case r.err != nil:
	case ok:
		a.addIndex(ix)
	default:
		r.addColumns(a)
	}
}

func (r *reader) addColumns(a *alteration) {
	tolerant := r.ifNotExists()
	if !r.acceptSign('(') {
		r.change(a, columnChange{def: r.positioned(r.columnName()), tolerant: tolerant})
		return
	}
	for r.err == nil {
		tolerant = r.ifNotExists() || tolerant
		if ix, ok := r.indexElement(); ok {
			a.addIndex(ix)
		} else if r.err == nil {
			r.change(a, columnChange{def: r.columnDef(r.columnName()), tolerant: tolerant})
		}
		a.bound(r)
		if !r.acceptSign(',') {
			break
		}
	}
	r.expectSign(')')
}

func (a *alteration) bound(r *reader) {
	if max(len(a.columns), len(a.drops), len(a.settings)) > maxColumns || len(a.indexes) > maxColumns+maxIndexes {
		r.fail("fewer columns or keys")
	}
}

func (a *alteration) addIndex(ix index) {
	a.indexes = append(a.indexes, indexAdd{-1, func(indexes []index) []index { return addIndex(indexes, ix) }})
}

func (r *reader) alterDrop(a *alteration) {
	switch {
	case r.accept("PRIMARY", "KEY"):
		a.dropped = append(a.dropped, primaryName)
	case r.acceptAny("INDEX", "KEY"):
		r.ifExists()
		a.dropped = append(a.dropped, r.name())
	case r.accept("FOREIGN", "KEY"), r.accept("CHECK"):
		r.ifExists()
		r.name()
	case r.accept("CONSTRAINT"):
		r.ifExists()
		a.dropped = append(a.dropped, r.name())
	case r.is("PARTITION"):
		r.skipRest()
	case r.accept("SYSTEM", "VERSIONING"):
	case r.is("PERIOD") && r.peek("FOR"):
		r.advance()
		r.advance()
		r.name()
	default:
		r.accept("COLUMN")
		tolerant := r.ifExists()
		a.drops = append(a.drops, columnDrop{r.columnName(), tolerant})
		r.acceptAny("RESTRICT", "CASCADE")
	}
}

func (r *reader) alterAlter(a *alteration) {
	switch {
	case r.acceptAny("INDEX", "KEY"):
		r.ifExists()
		r.name()
		if !r.acceptAny("VISIBLE", "INVISIBLE", "IGNORED") && !r.accept("NOT", "IGNORED") {
			r.fail("VISIBLE or INVISIBLE")
		}
		return
	case r.acceptAny("CHECK", "CONSTRAINT"):
		r.name()
		r.accept("NOT")
		r.expect("ENFORCED")
		return
	}
	r.accept("COLUMN")
	s := columnSetting{tolerant: r.ifExists()}
	s.name = r.columnName()
	switch {
	case r.accept("DROP", "DEFAULT"):
		s.noDefault = true
	case r.accept("SET", "DEFAULT"):
		s.setDefault = &columnDef{Column: Column{Length: -1, Scale: -1}}
		start := *r.parser
		r.defaultValue(s.setDefault)
		s.setDefault.source = r.src[start.tok.start:max(start.tok.start, r.last.end)]
	case r.accept("SET", "VISIBLE"):
		s.visibility = true
	case r.accept("SET", "INVISIBLE"):
		s.visibility, s.invisible = true, true
	default:
		r.fail("SET or DROP")
	}
	a.settings = append(a.settings, s)
}

func (r *reader) alterRename(a *alteration) {
	switch {
	case r.accept("COLUMN"):
		s := columnSetting{tolerant: r.ifExists()}
		s.name = r.columnName()
		r.expect("TO")
		s.rename = r.columnName()
		a.settings = append(a.settings, s)
	case r.acceptAny("INDEX", "KEY"):
		r.ifExists()
		old := r.name()
		r.expect("TO")
		a.renames = append(a.renames, [2]string{old, r.name()})
	default:
		if !r.acceptAny("TO", "AS") {
			r.acceptSign('=')
		}
		a.renamed = r.table()
	}
}

func (r *reader) alterConvert(a *alteration) {
	switch {
	case r.accept("TO"):
		if !r.charset(&a.convert) {
			r.fail("CHARACTER SET")
		}
		if r.accept("COLLATE") {
			r.acceptSign('=')
			if charset := charsetOf(strings.ToLower(r.nameOrLiteral())); charset != "" && a.convert == "default" {
				a.convert = charset
			}
		}
	case r.accept("PARTITION"):
		r.name()
		r.expect("TO")
		r.expect("TABLE")
		a.created = append(a.created, r.table())
		r.skipRest()
	case r.accept("TABLE"):
		a.removed = append(a.removed, r.table())
		r.skipRest()
	default:
		r.fail("TO CHARACTER SET")
	}
}

// alterRest reads what changes no structure.
func (r *reader) alterRest(a *alteration) {
	switch {
	case r.accept("REMOVE", "PARTITIONING"), r.accept("FORCE"), r.acceptAny("SECONDARY_LOAD", "SECONDARY_UNLOAD"):
	case r.acceptAny("ENABLE", "DISABLE"):
		r.expect("KEYS")
	case r.isAny("PARTITION", "TRUNCATE", "COALESCE", "REORGANIZE", "EXCHANGE", "ANALYZE", "CHECK", "OPTIMIZE", "REBUILD", "REPAIR") ||
		r.isAny("DISCARD", "IMPORT") && !r.peek("TABLESPACE"):
		if !r.is("PARTITION") && !r.peek("PARTITION") {
			r.fail("a part of ALTER TABLE")
		}
		r.skipRest()
	case r.acceptAny("DISCARD", "IMPORT"):
		r.expect("TABLESPACE")
	case r.acceptAny("ALGORITHM", "LOCK"):
		r.acceptSign('=')
		r.name()
	case r.accept("WITH", "VALIDATION"), r.accept("WITHOUT", "VALIDATION"):
	case r.accept("ORDER", "BY"):
		for r.columnName(); r.err == nil; r.columnName() {
			r.acceptAny("ASC", "DESC")
			if !r.acceptSign(',') {
				break
			}
		}
	case r.isAny("WAIT", "NOWAIT"):
		r.wait()
	case !r.tableOption(&a.tableOptions):
		r.fail("a part of ALTER TABLE")
	}
}
