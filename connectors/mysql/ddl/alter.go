package ddl

import (
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
	indexes  []func([]index) []index // in order, after what was dropped
	dropped  []string                // names of indexes
	renames  [][2]string             // of indexes
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
		r.alterPart(&a)
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
	a.columns = append(a.columns, c)
	def := c.def
	a.indexes = append(a.indexes, def.addIndexes)
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
		a.indexes = append(a.indexes, func(indexes []index) []index { return addIndex(indexes, ix) })
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
			a.indexes = append(a.indexes, func(indexes []index) []index { return addIndex(indexes, ix) })
		} else if r.err == nil {
			r.change(a, columnChange{def: r.columnDef(r.columnName()), tolerant: tolerant})
		}
		if !r.acceptSign(',') {
			break
		}
	}
	r.expectSign(')')
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
	charset := a.tableCharset()
	if a.convert != "" {
		charset = a.convert
	}
	if charset == "default" {
		charset = catalog.Charset(t.Database)
	}
	if charset != "" {
		t.Charset = charset
	}
	if a.comment != nil {
		t.Comment = *a.comment
	}
	t.indexes = slices.Clone(old.indexes)
	if err := a.applyColumns(&t, old, mode); err != nil {
		return nil, err
	}
	if a.convert != "" {
		for i := range t.Columns {
			t.Columns[i].convert(charset)
		}
	}
	for _, name := range a.dropped {
		t.indexes = dropIndex(t.indexes, name)
	}
	for _, names := range a.renames {
		if i := findIndex(t.indexes, names[0]); i >= 0 {
			t.indexes[i].name = names[1]
		}
	}
	for _, change := range a.indexes {
		t.indexes = change(t.indexes)
	}
	t.finish()
	return &t, nil
}

// convert stores the column's characters in another charset.
func (c *Column) convert(charset string) {
	if !isText(c.Base()) || c.Charset == "" {
		return
	}
	c.Charset = charset
	if charset == "binary" {
		c.binaryType()
	}
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
			names[lower] = ""
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
		columns := make([]string, 0, len(ix.columns))
		for _, c := range ix.columns {
			n, changed := names[strings.ToLower(c)]
			if !changed {
				n = c
			}
			if n != "" {
				columns = append(columns, n)
			}
		}
		ix.columns = columns
	}
	t.indexes = slices.DeleteFunc(t.indexes, func(ix index) bool { return len(ix.columns) == 0 && !ix.unfit })
}

// place adds a new column, or moves one that was replaced.
func (c *columnChange) place(t, old *Table, mode SQLMode) error {
	position := c.def.position
	if c.old != "" && !position.first && position.after == "" || c.old != "" && old.column(c.old) < 0 {
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
