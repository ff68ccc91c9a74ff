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
	columns []column
	key     []int // indexes of the key columns
	extra   string
}

// column is a column and how its values are compared: as a canonical text, both from SQL and from an event.
type column struct {
	name    string
	sqlType string
	form    form
}

type form int

const (
	asText    form = iota // text, uuid, jsonb, numeric with decimal.handling.mode=string
	asInteger             // also booleans
	asFloat
	asDays   // date: days since 1970
	asMicros // timestamptz: µs since 1970
)

// Places of the tables in tables().
const (
	customers = iota
	horses
	races
	bets
	ledger
)

// tables is the data model. Every row carries version, the number of the change that wrote it: writer w of the workload
// counts its own changes, version = count*writers + w, so that each change can be recognised wherever it arrives.
func tables() []table {
	return []table{
		customers: {name: "customers", key: []int{0}, extra: "ALTER TABLE customers ALTER notes SET STORAGE EXTERNAL;", columns: []column{
			{"id", "bigint", asInteger},
			{"name", "text", asText},
			{"email", "text", asText},
			{"balance", "numeric(14,2)", asText},
			{"vip", "boolean", asInteger},
			{"notes", "text", asText},
			{"joined", "date", asDays},
			{"version", "bigint", asInteger},
		}},
		horses: {name: "horses", key: []int{0}, columns: []column{
			{"passport", "text", asText},
			{"name", "text", asText},
			{"born", "date", asDays},
			{"weight_kg", "real", asFloat},
			{"form", "jsonb", asText},
			{"version", "bigint", asInteger},
		}},
		races: {name: "races", key: []int{0, 1}, columns: []column{
			{"track", "text", asText},
			{"number", "integer", asInteger},
			{"starts_at", "timestamptz", asMicros},
			{"status", "text", asText},
			{"winner", "text", asText},
			{"purse", "numeric(12,2)", asText},
			{"version", "bigint", asInteger},
		}},
		bets: {name: "bets", key: []int{0}, extra: "ALTER TABLE bets REPLICA IDENTITY FULL;", columns: []column{
			{"id", "uuid", asText},
			{"customer_id", "bigint", asInteger},
			{"race", "text", asText},
			{"horse", "text", asText},
			{"stake", "numeric(10,2)", asText},
			{"odds", "double precision", asFloat},
			{"status", "text", asText},
			{"placed_at", "timestamptz", asMicros},
			{"version", "bigint", asInteger},
		}},
		ledger: {name: "transactions", key: []int{0}, columns: []column{
			{"id", "bigint", asInteger},
			{"customer_id", "bigint", asInteger},
			{"kind", "text", asText},
			{"amount", "numeric(14,2)", asText},
			{"created_at", "timestamptz", asMicros},
			{"version", "bigint", asInteger},
		}},
	}
}

// schemaSQL creates the tables.
func schemaSQL() string {
	var b strings.Builder
	for _, t := range tables() {
		fmt.Fprintf(&b, "CREATE TABLE %s (", t.name)
		for _, c := range t.columns {
			fmt.Fprintf(&b, "%s %s, ", c.name, c.sqlType)
		}
		fmt.Fprintf(&b, "PRIMARY KEY (%s)); %s\n", strings.Join(t.keyNames(), ", "), t.extra)
	}
	return b.String()
}

func (t *table) keyNames() []string {
	var out []string
	for _, k := range t.key {
		out = append(out, t.columns[k].name)
	}
	return out
}

// topic is where the changes of the table go.
func (t *table) topic() string { return topicPrefix + ".public." + t.name }

// selection reads all rows in key order: the canonical texts of the columns, and when the row's newest version was
// committed (track_commit_timestamp). It serves source and sink: casts bring a column back to the source's type.
func (t *table) selection() string {
	var out []string
	for _, c := range t.columns {
		v := c.name + "::" + c.sqlType
		switch c.form {
		case asDays:
			v = "(" + v + " - date '1970-01-01')"
		case asMicros:
			v = "(extract(epoch FROM " + v + ") * 1000000)::bigint"
		}
		out = append(out, "("+v+")::text")
	}
	var order []string
	for _, k := range t.keyNames() {
		order = append(order, k+`::text COLLATE "C"`)
	}
	return fmt.Sprintf("SELECT pg_xact_commit_timestamp(xmin), %s FROM public.%s ORDER BY %s",
		strings.Join(out, ", "), t.name, strings.Join(order, ", "))
}

// keyOf joins the canonical texts of the key columns of a row.
func (t *table) keyOf(row []*string) string {
	var parts []string
	for _, k := range t.key {
		if row[k] == nil {
			parts = append(parts, "NULL")
			continue
		}
		parts = append(parts, *row[k])
	}
	return strings.Join(parts, "/")
}

// version is the index of the column of that name, the last one of every table.
func (t *table) version() int { return len(t.columns) - 1 }

// fromSQL brings a text of selection into canonical form.
func (c *column) fromSQL(v *string) (*string, error) {
	if v == nil || c.form != asFloat {
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
		s := strconv.FormatBool(x)
		return &s, nil
	case json.Number:
		if c.form == asFloat {
			return floatText(x.String())
		}
		s := x.String()
		return &s, nil
	case string:
		if c.form == asMicros {
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
