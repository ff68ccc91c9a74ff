package ddl

import (
	"fmt"
	"slices"
	"strings"
)

// index is what a table's key may be taken from. Names of plain indexes are kept too: the server numbers names that are taken.
type index struct {
	name        string
	kind        indexKind
	columns     []string
	prefixes    []int // per column; 0: all of it
	unfit       bool  // has an expression or a period: no key
	foreign     bool  // made for a foreign key
	ifNotExists bool
}

type indexKind uint8

const (
	indexPlain indexKind = iota
	indexUnique
	indexPrimary
)

const primaryName = "PRIMARY"

func newIndex(name string, kind indexKind, columns ...string) index {
	return index{name: name, kind: kind, columns: columns, prefixes: make([]int, len(columns))}
}

// addIndex appends an index and names it as the server does.
func addIndex(indexes []index, ix index) []index {
	if len(ix.columns) == 0 && !ix.unfit {
		return indexes
	}
	switch {
	case ix.kind == indexPrimary:
		indexes = slices.DeleteFunc(slices.Clone(indexes), func(old index) bool { return old.kind == indexPrimary })
	case ix.name == "":
		first := "functional_index"
		if len(ix.columns) > 0 {
			first = ix.columns[0]
		}
		ix.name = first
		for n := 2; findIndex(indexes, ix.name) >= 0 || strings.EqualFold(ix.name, primaryName); n++ {
			ix.name = fmt.Sprintf("%s_%d", first, n)
		}
	case findIndex(indexes, ix.name) >= 0 && (ix.foreign || ix.ifNotExists):
		return indexes
	}
	return append(indexes, ix)
}

func findIndex(indexes []index, name string) int {
	return slices.IndexFunc(indexes, func(ix index) bool { return strings.EqualFold(ix.name, name) })
}

// addIndexes appends the indexes that a column's attributes make.
func (d *columnDef) addIndexes(indexes []index) []index {
	if d.primary {
		indexes = addIndex(indexes, newIndex(primaryName, indexPrimary, d.Name))
	}
	if d.unique {
		indexes = addIndex(indexes, newIndex("", indexUnique, d.Name))
	}
	return indexes
}

// column returns the place of a column; names are compared as the server does, without case.
func (t *Table) column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
}

// finish makes what follows from columns and indexes: implicit defaults, positions, NOT NULL of the primary key, the key.
func (t *Table) finish(flavor Flavor) {
	t.implicitDefaults(flavor)
	indexes := make([]index, 0, len(t.indexes))
	for _, ix := range t.indexes {
		ix.columns = slices.Clone(ix.columns)
		for i, name := range ix.columns {
			at := t.column(name)
			if at < 0 {
				ix.unfit = true
				continue
			}
			c := &t.Columns[at]
			ix.columns[i] = c.Name
			if ix.kind == indexPrimary && c.Optional {
				c.Optional = false
				c.HasDefault = c.Default != nil
			}
		}
		indexes = append(indexes, ix)
	}
	slices.SortStableFunc(indexes, func(a, b index) int { return t.rank(a) - t.rank(b) })
	t.indexes, t.Key = indexes, []string{}
	if len(indexes) > 0 && t.rank(indexes[0]) <= lastUsable {
		t.Key = indexes[0].columns
	}
	for i := range t.Columns {
		t.Columns[i].Position = i + 1
	}
}

const lastUsable = 2

// rank orders indexes as the server does: the primary key, unique ones without NULL (whole columns before prefixes), others.
func (t *Table) rank(ix index) int {
	switch {
	case ix.kind == indexPrimary && !ix.unfit:
		return 0
	case ix.kind != indexUnique:
		return 5
	case ix.unfit:
		return 4
	}
	rank := 1
	for i, name := range ix.columns {
		c := &t.Columns[t.column(name)]
		if c.Optional {
			return 3
		}
		if prefixed(c, ix.prefixes[i]) {
			rank = lastUsable
		}
	}
	return rank
}

// prefixed tells whether an index has only a prefix of the column's values.
func prefixed(c *Column, prefix int) bool {
	switch c.Base() {
	case "char", "varchar", "binary", "varbinary":
		return prefix > 0 && prefix < max(c.Length, 1)
	case "geometry", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection",
		"tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob":
		return true // MariaDB hashes whole ones
	}
	return prefix > 0
}

func (r *reader) createIndex(unique bool) {
	r.Kind = CreateIndex
	var ix index
	if unique {
		ix.kind = indexUnique
	}
	ix.ifNotExists = r.ifNotExists()
	ix.name = r.name()
	if r.acceptAny("USING", "TYPE") {
		r.name()
	}
	r.expect("ON")
	id := r.table()
	r.Tables = append(r.Tables, id)
	r.wait()
	r.indexColumns(&ix)
	r.skipRest()
	if !r.end() {
		return
	}
	r.reindex(id, func(indexes []index) []index { return addIndex(indexes, ix) })
}

func (r *reader) dropIndex() {
	r.Kind = DropIndex
	r.ifExists()
	name := r.name()
	r.expect("ON")
	id := r.table()
	r.Tables = append(r.Tables, id)
	r.skipRest()
	if !r.end() {
		return
	}
	r.reindex(id, func(indexes []index) []index { return dropIndex(indexes, name) })
}

func dropIndex(indexes []index, name string) []index {
	return slices.DeleteFunc(slices.Clone(indexes), func(ix index) bool { return strings.EqualFold(ix.name, name) })
}

// reindex changes a table's indexes; when its key is another one then, the table changed.
func (r *reader) reindex(id ID, change func([]index) []index) {
	old := r.catalog.tables[id]
	if old == nil {
		r.Unknown = append(r.Unknown, id)
		return
	}
	t := *old
	t.Columns = slices.Clone(t.Columns)
	t.indexes = change(slices.Clip(t.indexes))
	t.finish(r.flavor)
	r.catalog.tables[id] = &t
	if !slices.Equal(t.Key, old.Key) {
		r.Changes = []Change{{Kind: Alter, ID: id, Table: &t, Statement: r.Text}}
	}
}
