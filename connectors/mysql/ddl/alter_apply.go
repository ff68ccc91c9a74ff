package ddl

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

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
	if err := a.applyColumns(&t, old, mode, catalog.flavor); err != nil {
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
	t.finish(catalog.flavor)
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
func (a *alteration) applyColumns(t, old *Table, mode SQLMode, flavor Flavor) error {
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
				s.apply(&c, mode, flavor)
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
func (s *columnSetting) apply(c *Column, mode SQLMode, flavor Flavor) {
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
		p := newParser(s.setDefault.source, mode, flavor)
		if p.defaultValue(&d); p.err == nil {
			c.Default = d.Default
		}
		c.HasDefault = c.Optional || d.defaultGiven
	}
}
