package ddl

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Flavor is the family of servers that a statement comes from.
type Flavor uint8

// The flavors.
const (
	MySQL Flavor = iota
	MariaDB
)

// Catalog is the tables that a server has at one place of its binlog, and the charsets that new ones take. It is for one
// goroutine; the tables in it are immutable and may be kept.
type Catalog struct {
	flavor    Flavor
	lower     bool
	tables    map[ID]*Table
	databases map[string]string // their default charset
	charset   string            // the server's
}

// NewCatalog returns an empty catalog. With lower, names of databases and tables are kept in lower case, as a server with
// lower_case_table_names=1 keeps them.
func NewCatalog(flavor Flavor, lower bool) *Catalog {
	return &Catalog{flavor: flavor, lower: lower, tables: map[ID]*Table{}, databases: map[string]string{}}
}

// Clone returns a catalog of its own with the same tables.
func (c *Catalog) Clone() *Catalog {
	clone := *c
	clone.tables, clone.databases = maps.Clone(c.tables), maps.Clone(c.databases)
	return &clone
}

// Table returns a table; nil: not known.
func (c *Catalog) Table(id ID) *Table { return c.tables[c.fold(id)] }

// Tables returns all tables in the order of their names.
func (c *Catalog) Tables() []*Table {
	return slices.SortedFunc(maps.Values(c.tables), func(a, b *Table) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.ID.Table, b.ID.Table))
	})
}

// Put adds or replaces a table. One without knowledge of its indexes (from a schema history) takes its key for a primary key.
func (c *Catalog) Put(t *Table) {
	if len(t.indexes) == 0 && len(t.Key) > 0 {
		known := *t
		known.indexes = []index{newIndex(primaryName, indexPrimary, t.Key...)}
		t = &known
	}
	c.tables[c.fold(t.ID)] = t
}

// Remove forgets a table.
func (c *Catalog) Remove(id ID) { delete(c.tables, c.fold(id)) }

// Charset returns the default charset of a database's new tables; "": not known.
func (c *Catalog) Charset(database string) string {
	if charset := c.databases[c.foldName(database)]; charset != "" {
		return charset
	}
	return c.charset
}

// SetServerCharset sets the charset of databases that say none: character_set_server.
func (c *Catalog) SetServerCharset(charset string) { c.charset = strings.ToLower(charset) }

func (c *Catalog) fold(id ID) ID {
	return ID{Database: c.foldName(id.Database), Table: c.foldName(id.Table)}
}

func (c *Catalog) foldName(name string) string {
	if c.lower {
		return strings.ToLower(name)
	}
	return name
}

// rename moves a table; false: it is not known. What had the new name is gone.
func (c *Catalog) rename(from, to ID) *Table {
	t := c.tables[from]
	delete(c.tables, from)
	delete(c.tables, to)
	if t == nil {
		return nil
	}
	renamed := *t
	renamed.ID = to
	c.tables[to] = &renamed
	return &renamed
}

func (c *Catalog) dropDatabase(database string) []Change {
	var changes []Change
	for id := range c.tables {
		if id.Database == database {
			delete(c.tables, id)
			changes = append(changes, Change{Kind: Drop, ID: id})
		}
	}
	delete(c.databases, database)
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.ID.Table, b.ID.Table) })
	return changes
}

// Empty returns an empty catalog of the same kind of server.
func (c *Catalog) Empty() *Catalog { return NewCatalog(c.flavor, c.lower) }
