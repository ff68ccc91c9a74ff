// Package changes is what every database source does alike: which tables and columns are captured, masks, keys, names of
// topics and schemas, the envelope, heartbeats; and the view of a cell as a Connect value (Read), which is how every
// converter sees a change. The package starts no goroutine.
package changes

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// TableID names a table.
type TableID struct{ Catalog, Schema, Name string }

// IDOf returns the name of a captured table.
func IDOf(t *schemas.Table) TableID { return TableID{t.Catalog, t.Schema, t.Name} }

// String is the name that filters match: schema.name, or catalog.name where the database has no schemas.
func (t TableID) String() string {
	if t.Schema != "" {
		return t.Schema + "." + t.Name
	}
	return t.Catalog + "." + t.Name
}

// Patterns is a comma-separated list of regular expressions, each matching a whole name regardless of case.
type Patterns []*regexp.Regexp

// An expression stands between these: it matches a whole name regardless of case.
const before, behind = "(?i)^(?:", ")$"

func whole(item string) (*regexp.Regexp, error) { return regexp.Compile(before + item + behind) }

// ParsePatterns compiles the value of key. A backslash makes a comma part of an expression.
func ParsePatterns(key, value string) (Patterns, error) {
	var out Patterns
	for _, item := range connectors.SplitList(value) {
		r, err := whole(item)
		if err != nil {
			return nil, fmt.Errorf("compile %s: expression %q is not a regular expression: %w", key, item, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// Match tells whether one of the expressions matches the whole name.
func (p Patterns) Match(name string) bool { return p.index(name) >= 0 }

// index returns the first expression that matches, -1 for none.
func (p Patterns) index(name string) int {
	for i, r := range p {
		if r.MatchString(name) {
			return i
		}
	}
	return -1
}

// filter is one pair of include and exclude lists; at most one of them is given.
type filter struct{ include, exclude Patterns }

func (f filter) accepts(name string) bool {
	if len(f.include) > 0 {
		return f.include.Match(name)
	}
	return !f.exclude.Match(name)
}

// Selection says which tables and columns are captured. Immutable.
type Selection struct {
	database, schema, table, column filter
	signal                          string
	builtin                         func(TableID) bool // nil: nothing is hidden
}

// NewSelection reads {database,schema,table,column}.{include,exclude}.list, table.ignore.builtin and
// signal.data.collection (always captured). builtin tells the tables that belong to the database itself.
func NewSelection(c connectors.Config, builtin func(TableID) bool) (*Selection, error) {
	s := &Selection{signal: strings.TrimSpace(c["signal.data.collection"]), builtin: builtin}
	if strings.EqualFold(strings.TrimSpace(c["table.ignore.builtin"]), "false") {
		s.builtin = nil
	}
	for _, f := range []struct {
		name string
		to   *filter
	}{{"database", &s.database}, {"schema", &s.schema}, {"table", &s.table}, {"column", &s.column}} {
		include, exclude := f.name+".include.list", f.name+".exclude.list"
		var err error
		if f.to.include, err = ParsePatterns(include, c[include]); err != nil {
			return nil, err
		}
		if f.to.exclude, err = ParsePatterns(exclude, c[exclude]); err != nil {
			return nil, err
		}
		if len(f.to.include) > 0 && len(f.to.exclude) > 0 {
			return nil, fmt.Errorf("select tables: %s and %s are both given; use one of them", include, exclude)
		}
	}
	return s, nil
}

// Table tells whether a table is captured.
func (s *Selection) Table(t TableID) bool {
	if s.signal != "" && strings.EqualFold(t.String(), s.signal) {
		return true
	}
	if s.builtin != nil && s.builtin(t) {
		return false
	}
	if !s.database.accepts(t.Catalog) {
		return false
	}
	if t.Schema != "" && !s.schema.accepts(t.Schema) {
		return false
	}
	return s.table.accepts(t.String())
}

// Database tells whether tables of a database may be captured.
func (s *Selection) Database(name string) bool { return s.database.accepts(name) }

// Builtin tells the tables that belong to the server itself and are left out.
func (s *Selection) Builtin(t TableID) bool { return s.builtin != nil && s.builtin(t) }

// Column tells whether a column of a captured table is captured. Key columns outside the selection still make the key.
func (s *Selection) Column(t TableID, column string) bool {
	return s.column.accepts(t.String() + "." + column)
}

// Sort puts tables into the order in which a snapshot reads them: by the first expression of table.include.list that matches, then by name.
func (s *Selection) Sort(tables []TableID) {
	sort.SliceStable(tables, func(i, j int) bool {
		a, b := tables[i].String(), tables[j].String()
		if x, y := s.table.include.index(a), s.table.include.index(b); x != y {
			return x >= 0 && (y < 0 || x < y)
		}
		return a < b
	})
}

// Unmatched are the expressions of table.include.list that match none of these tables.
func (s *Selection) Unmatched(tables []TableID) []string {
	var out []string
	for _, r := range s.table.include {
		if !slices.ContainsFunc(tables, func(t TableID) bool { return r.MatchString(t.String()) }) {
			out = append(out, strings.TrimSuffix(strings.TrimPrefix(r.String(), before), behind))
		}
	}
	return out
}

// Keys is message.key.columns: columns that make the record key instead of the primary key. Immutable.
type Keys struct{ rules []keyRule }

type keyRule struct {
	table   *regexp.Regexp
	columns []string
}

// ParseKeys reads message.key.columns: `table:column,column;table:column`, the table a regular expression.
func ParseKeys(value string) (*Keys, error) {
	k := &Keys{}
	for _, item := range strings.Split(value, ";") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		at := strings.LastIndexByte(item, ':')
		columns := []string(nil)
		if at > 0 {
			columns = connectors.SplitList(item[at+1:])
		}
		if len(columns) == 0 {
			return nil, fmt.Errorf("read message.key.columns: %q is not of the form table:column,column", item)
		}
		r, err := whole(strings.TrimSpace(item[:at]))
		if err != nil {
			return nil, fmt.Errorf("read message.key.columns: %q is not a regular expression: %w", item[:at], err)
		}
		k.rules = append(k.rules, keyRule{r, columns})
	}
	return k, nil
}

// For returns the key columns of a table in order, nil when the table keeps its own key.
func (k *Keys) For(t TableID) []string {
	if k == nil {
		return nil
	}
	var out []string
	for _, r := range k.rules {
		if r.table.MatchString(t.String()) || (t.Catalog != "" && r.table.MatchString(t.Catalog+"."+t.String())) {
			out = append(out, r.columns...)
		}
	}
	return out
}
