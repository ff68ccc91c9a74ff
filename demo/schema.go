package demo

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// table is one table of the workload.
type table struct {
	name    string
	space   string // the source's schema or database that holds it
	columns []column
	key     []int // indexes of the key columns
}

// column is a column. Its values are compared as canonical texts, both from SQL and from an event.
type column struct {
	name string
	kind kind
}

// kind is what a column holds; each source has an SQL type for it.
type kind int

const (
	bigint kind = iota
	integer
	boolean // canonical text: 0 or 1
	money   // 14 digits, 2 of them behind the point; decimal.handling.mode=string
	single  // floating point
	double
	shortText // a short text, also in keys
	longText  // of any length
	document  // JSON, as Postgres prints it
	uuid
	day    // canonical text: days since 1970
	moment // with time zone; canonical text: µs since 1970
)

// Places of the tables in tables.
const (
	customers = iota
	horses
	races
	bets
	ledger
)

// tables is the data model. Every row carries version, the number of the change that wrote it: writer w of the workload
// counts its own changes, version = count*writers + w, so that each change can be recognised wherever it arrives.
func tables(space string) []table {
	out := []table{
		customers: {name: "customers", key: []int{0}, columns: []column{
			{"id", bigint},
			{"name", longText},
			{"email", longText},
			{"balance", money},
			{"vip", boolean},
			{"notes", longText},
			{"joined", day},
			{"version", bigint},
		}},
		horses: {name: "horses", key: []int{0}, columns: []column{
			{"passport", shortText}, {"name", longText}, {"born", day}, {"weight_kg", single}, {"form", document}, {"version", bigint},
		}},
		races: {name: "races", key: []int{0, 1}, columns: []column{
			{"track", shortText},
			{"number", integer},
			{"starts_at", moment},
			{"status", longText},
			{"winner", longText},
			{"purse", money},
			{"version", bigint},
		}},
		bets: {name: "bets", key: []int{0}, columns: []column{
			{"id", uuid},
			{"customer_id", bigint},
			{"race", longText},
			{"horse", longText},
			{"stake", money},
			{"odds", double},
			{"status", longText},
			{"placed_at", moment},
			{"version", bigint},
		}},
		ledger: {name: "transactions", key: []int{0}, columns: []column{
			{"id", bigint}, {"customer_id", bigint}, {"kind", longText}, {"amount", money}, {"created_at", moment}, {"version", bigint},
		}},
	}
	for i := range out {
		out[i].space = space
	}
	return out
}

// schemaSQL creates the tables with these types.
func schemaSQL(tables []table, typeOf func(kind) string) string {
	var b strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&b, "CREATE TABLE %s (", t.name)
		for _, c := range t.columns {
			fmt.Fprintf(&b, "%s %s, ", c.name, typeOf(c.kind))
		}
		fmt.Fprintf(&b, "PRIMARY KEY (%s));\n", strings.Join(t.keyNames(), ", "))
	}
	return b.String()
}

// included is what table.include.list names.
func included(tables []table) string {
	var list []string
	for _, t := range tables {
		list = append(list, t.space+"."+t.name)
	}
	return strings.Join(list, ",")
}

func (t *table) keyNames() []string {
	var out []string
	for _, k := range t.key {
		out = append(out, t.columns[k].name)
	}
	return out
}

func (t *table) column(name string) *column {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	panic("table " + t.name + " has no column " + name)
}

// topic is where the changes of the table go.
func (t *table) topic() string { return topicPrefix + "." + t.space + "." + t.name }

// keyOf joins the canonical texts of the key columns of a row.
func (t *table) keyOf(row []*string) string {
	var key []*string
	for _, k := range t.key {
		key = append(key, row[k])
	}
	return t.joined(key)
}

// joined is a key as the comparison knows it.
func (t *table) joined(key []*string) string {
	var parts []string
	for _, k := range key {
		if k == nil {
			parts = append(parts, "NULL")
			continue
		}
		parts = append(parts, *k)
	}
	return strings.Join(parts, "/")
}

// version is the index of the column of that name, the last one of every table.
func (t *table) version() int { return len(t.columns) - 1 }

// versionOf is the number of the change that wrote the row.
func (t *table) versionOf(row []*string) (int64, error) {
	v := row[t.version()]
	if v == nil {
		return 0, fmt.Errorf("table %s, row %s has no version", t.name, t.keyOf(row))
	}
	n, err := strconv.ParseInt(*v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read version %q of table %s: %w", *v, t.name, err)
	}
	return n, nil
}

func (c *column) floating() bool { return c.kind == single || c.kind == double }

// fromSQL brings a text that a source selected into canonical form.
func (c *column) fromSQL(v *string) (*string, error) {
	if v == nil || !c.floating() {
		return v, nil
	}
	return floatText(*v)
}

func floatText(v string) (*string, error) {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return nil, fmt.Errorf("read number %q: %w", v, err)
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	return &s, nil
}

// fromEvent brings a value of a Debezium event (decoded with UseNumber) into canonical form.
func (c *column) fromEvent(v any) (*string, error) {
	switch x := v.(type) {
	case nil:
		return nil, nil
	case bool:
		return texts(x)[0], nil
	case json.Number:
		if c.floating() {
			return floatText(x.String())
		}
		s := x.String()
		return &s, nil
	case string:
		if c.kind == moment {
			t, err := time.Parse(time.RFC3339Nano, x)
			if err != nil {
				return nil, fmt.Errorf("read timestamp of column %s: %w", c.name, err)
			}
			x = strconv.FormatInt(t.UnixMicro(), 10)
		}
		return &x, nil
	}
	return nil, fmt.Errorf("column %s: unexpected value %v of type %T", c.name, v, v)
}
