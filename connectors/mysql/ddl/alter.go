package ddl

import (
	"cmp"
	"fmt"
	"slices"
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

// apply returns the table after the alteration.
func (a *alteration) apply(old *Table, catalog *Catalog, mode SQLMode) (*Table, error) {
	t := *old
	if a.renamed != (ID{}) {
		t.ID = a.renamed
	}
	if a.convert == "default" {
		a.convert = catalog.Charset(old.Database)
	}
	charset := a.tableCharset()
	if charset == "default" {
		charset = catalog.Charset(old.Database)
	}
	t.Charset = cmp.Or(a.convert, charset, old.Charset) // of new columns
	if a.comment != nil {
		t.Comment = *a.comment
	}
	t.indexes = slices.Clone(old.indexes)
	if err := a.applyColumns(&t, old, mode); err != nil {
		return nil, err
	}
	if a.convert != "" {
		for i := range t.Columns {
			c := &t.Columns[i]
			defined := slices.ContainsFunc(a.columns, func(change columnChange) bool { return strings.EqualFold(change.def.Name, c.Name) })
			c.convert(a.convert, catalog.flavor, !defined)
		}
	}
	t.Charset = cmp.Or(charset, t.Charset)
	for _, name := range a.dropped {
		t.indexes = dropIndex(t.indexes, name)
	}
	for _, names := range a.renames {
		if i := findIndex(t.indexes, names[0]); i >= 0 {
			t.indexes[i].name = names[1]
		}
	}
	for _, ix := range a.indexes {
		// A key with ADD COLUMN IF NOT EXISTS is made for the column that is there.
		if ix.column < 0 || a.columns[ix.column].old == "" || !a.columns[ix.column].idle(old) {
			t.indexes = ix.add(t.indexes)
		}
	}
	t.finish()
	return &t, nil
}

// convert stores the column's characters in another charset; a TEXT type grows so that it holds as many.
func (c *Column) convert(charset string, flavor Flavor, grow bool) {
	if flavor == MariaDB && c.Base() == "json" { // a LONGTEXT there, and not in utf8mb4 any longer
		c.Type, c.Expression, c.JDBCType, c.Charset = "LONGTEXT", "LONGTEXT", jdbcVarchar, "utf8mb4"
	}
	if !isText(c.Base()) || c.Charset == "" {
		return
	}
	was := bytesPer(c.Charset)
	base := c.Base()
	if charset == "binary" {
		c.Charset = charset
		c.binaryType()
		return
	}
	if room := capacity(base); room > 0 && grow {
		if grown := sized("text", room/was*bytesPer(charset)); grown != base || c.Length >= 0 {
			c.Type, c.Expression, c.Length = strings.ToUpper(grown), strings.ToUpper(grown), -1
		}
	}
	c.Charset = charset
}

// capacity is how many bytes a TEXT type holds; 0: it is none.
func capacity(base string) int {
	switch base {
	case "tinytext":
		return 1<<8 - 1
	case "text":
		return 1<<16 - 1
	case "mediumtext":
		return 1<<24 - 1
	case "longtext":
		return 1<<32 - 1
	}
	return 0
}

// applyColumns does what the server does: drops, replaced columns stay in their place, then new and moved columns take theirs.
func (a *alteration) applyColumns(t, old *Table, mode SQLMode) error {
	if err := a.checkColumns(old); err != nil {
		return err
	}
	names := map[string]string{} // old name, lower case: new one; "": dropped
	t.Columns = make([]Column, 0, len(old.Columns)+len(a.columns))
	for _, c := range old.Columns {
		lower := strings.ToLower(c.Name)
		if slices.ContainsFunc(a.drops, func(d columnDrop) bool { return strings.EqualFold(d.name, c.Name) }) {
			if !a.adds(c.Name, old) { // one that comes again stays in its indexes
				names[lower] = ""
			}
			continue
		}
		for i := range a.columns {
			if change := &a.columns[i]; strings.EqualFold(change.old, c.Name) {
				c = change.def.resolve(t.Charset, mode)
				break
			}
		}
		for i := range a.settings {
			if s := &a.settings[i]; strings.EqualFold(s.name, c.Name) && strings.ToLower(c.Name) == lower {
				s.apply(&c, mode)
			}
		}
		if c.Name != "" && strings.ToLower(c.Name) != lower {
			names[lower] = c.Name
		}
		t.Columns = append(t.Columns, c)
	}
	t.renameIndexColumns(names)
	for i := range a.columns {
		if err := a.columns[i].place(t, old, mode); err != nil {
			return err
		}
	}
	return nil
}

func (a *alteration) adds(name string, old *Table) bool {
	return slices.ContainsFunc(a.columns, func(c columnChange) bool {
		return c.old == "" && !c.idle(old) && strings.EqualFold(c.def.Name, name)
	})
}

// checkColumns finds columns that the statement names and the table does not have, or has already.
func (a *alteration) checkColumns(old *Table) error {
	check := func(name string, tolerant bool) error {
		if old.column(name) < 0 && !tolerant {
			return fmt.Errorf("column %s is not known", name)
		}
		return nil
	}
	for _, d := range a.drops {
		if err := check(d.name, d.tolerant); err != nil {
			return err
		}
	}
	for i := range a.columns {
		if c := &a.columns[i]; c.old != "" {
			if err := check(c.old, c.tolerant); err != nil {
				return err
			}
		}
	}
	for i := range a.settings {
		if err := check(a.settings[i].name, a.settings[i].tolerant); err != nil {
			return err
		}
	}
	return nil
}

// renameIndexColumns follows renamed columns in the indexes, and takes dropped ones out.
func (t *Table) renameIndexColumns(names map[string]string) {
	if len(names) == 0 {
		return
	}
	for i := range t.indexes {
		ix := &t.indexes[i]
		columns, prefixes := make([]string, 0, len(ix.columns)), make([]int, 0, len(ix.columns))
		for n, c := range ix.columns {
			if name, changed := names[strings.ToLower(c)]; changed {
				c = name
			}
			if c != "" {
				columns, prefixes = append(columns, c), append(prefixes, ix.prefixes[n])
			}
		}
		ix.columns, ix.prefixes = columns, prefixes
	}
	t.indexes = slices.DeleteFunc(t.indexes, func(ix index) bool { return len(ix.columns) == 0 && !ix.unfit })
}

// idle tells whether IF EXISTS or IF NOT EXISTS makes the change none.
func (c *columnChange) idle(old *Table) bool {
	if c.old == "" {
		return c.tolerant && old.column(c.def.Name) >= 0
	}
	return old.column(c.old) < 0
}

// place adds a new column, or moves one that was replaced.
func (c *columnChange) place(t, old *Table, mode SQLMode) error {
	position := c.def.position
	if c.idle(old) || c.old != "" && !position.first && position.after == "" {
		return nil
	}
	at := t.column(c.def.Name)
	var column Column
	switch {
	case c.old != "":
		if at < 0 {
			return fmt.Errorf("column %s is not known", c.def.Name)
		}
		column = t.Columns[at]
		t.Columns = slices.Delete(t.Columns, at, at+1)
	case at >= 0 && c.tolerant:
		return nil
	case at >= 0:
		return fmt.Errorf("column %s exists already", c.def.Name)
	default:
		column = c.def.resolve(t.Charset, mode)
	}
	switch {
	case position.first:
		t.Columns = slices.Insert(t.Columns, 0, column)
	case position.after == "":
		t.Columns = append(t.Columns, column)
	default:
		after := t.column(position.after)
		if after < 0 {
			return fmt.Errorf("column %s is not known", position.after)
		}
		t.Columns = slices.Insert(t.Columns, after+1, column)
	}
	return nil
}

// apply changes the one thing.
func (s *columnSetting) apply(c *Column, mode SQLMode) {
	switch {
	case s.rename != "":
		c.Name = s.rename
	case s.noDefault:
		c.Default, c.HasDefault = nil, false
	case s.visibility:
		c.Invisible = s.invisible
	case s.setDefault != nil && c.AutoIncrement && numeric(c.Base()):
		// AUTO_INCREMENT has no default, whatever is set.
	case s.setDefault != nil:
		c.Default, c.HasDefault = s.setDefault.Default, true
		d := columnDef{base: c.Base()}
		p := newParser(s.setDefault.source, mode, MySQL)
		if p.defaultValue(&d); p.err == nil {
			c.Default = d.Default
		}
		c.HasDefault = c.Optional || d.defaultGiven
	}
}
