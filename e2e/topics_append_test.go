package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestMySQLThroughTopicsAppended: sinks that read the topics of a MySQL keep every change of the types corpus: as many of each operation
// as the topics have, of which the last one of each key is the row.
func TestMySQLThroughTopicsAppended(t *testing.T) {
	t.Parallel()
	c, from := newMySQLThrough(t, mysqlWithDefaults(), "e")
	keys := map[string]string{}
	for _, table := range from.tables {
		if keys[table] = "id"; table == "t_key" {
			keys[table] = mysqlKey(t, from.conn, table)
		}
	}
	p := c.run(t, append(c.sinks(t, mirrors(), [3]map[string]string{
		{"freshet.mode": "append", "collection.name.format": "log.${source.table}"},
		{"freshet.mode": "append", "column.types": mysqlOutOfRange},
		{"freshet.mode": "append"},
	}), from.file)...)
	target := c.tables.Connect(t, c.to)
	for table, key := range keys {
		patiently(t, p.Output, func() bool {
			return c.ch.Query(t, c.into, "EXISTS TABLE "+table) == "1" && len(columnsOf(t, target, "log."+table)) > 0
		})
		c.ch.Query(t, c.into, fmt.Sprintf("CREATE VIEW %[1]s_current AS SELECT * FROM (SELECT * FROM %[1]s FINAL ORDER BY _order DESC LIMIT 1 BY %[2]s) WHERE _op != 'd'", table, key))
	}
	lastChanges(t, target, "last", keys, p.Output)
	documents := func(table string) map[string]json.RawMessage {
		return c.search.Documents(t, c.prefix+"."+c.name+"."+from.database+"."+table)
	}
	equal := func() {
		t.Helper()
		var different string
		patiently(t, func() string { return "source and targets differ:\n" + different + "freshet said:\n" + p.Output() }, func() bool {
			different = differsFromMySQL(t, from.conn, from.columns, join(c.mapped, c.inTables), mysqlInPostgres(t, target, "last")) +
				differsFromMySQL(t, from.conn, from.columns, join(c.mapped, c.inClick), mysqlInClickHouse(t, c.ch, c.into)) +
				differsFromMySQL(t, from.conn, from.columns, join(c.mapped, c.inSearch), mysqlInDocuments(t, func(table string) map[string]json.RawMessage {
					return lastDocuments(t, documents(table), keys[table])
				}))
			return different == ""
		})
	}
	equal()
	from.server.Exec(t, from.database, mysqlCorpus(t, "stream1.sql"))
	equal()
	for i, table := range from.tables {
		var want, inSearch []string
		for _, r := range c.k.Read(t, c.topics[i]) {
			if r.Value != nil {
				want = append(want, member(t, r.Value, "payload", "op"))
			}
		}
		for _, d := range documents(table) {
			inSearch = append(inSearch, member(t, d, "__op"))
		}
		rows, err := target.Query(t.Context(), "SELECT _op FROM log."+table)
		if err != nil {
			t.Fatal(err)
		}
		inTables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for where, got := range map[string][]string{
			"tables": inTables, "ClickHouse": strings.Fields(c.ch.Query(t, c.into, "SELECT _op FROM "+table+" FINAL")), "documents": inSearch,
		} {
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(want, got) {
				t.Errorf("%s: the topic has the changes %v, %s %v", table, want, where, got)
			}
		}
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
}

// member is a text in an object, or in one that is its member.
func member(t testing.TB, text []byte, path ...string) string {
	t.Helper()
	for _, name := range path {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		text = object[name]
	}
	return strings.Trim(string(text), `"`)
}

// lastDocuments are those of the last changes of every key, without deleted ones.
func lastDocuments(t testing.TB, all map[string]json.RawMessage, key string) map[string]json.RawMessage {
	t.Helper()
	orders, ids := map[string]string{}, map[string]string{}
	for id, d := range all {
		of := ""
		for _, column := range strings.Split(key, ",") {
			of += member(t, d, column) + ","
		}
		if order := member(t, d, "__order"); order >= orders[of] {
			orders[of], ids[of] = order, id
		}
	}
	out := map[string]json.RawMessage{}
	for _, id := range ids {
		if member(t, all[id], "__op") != "d" {
			out[id] = all[id]
		}
	}
	return out
}
