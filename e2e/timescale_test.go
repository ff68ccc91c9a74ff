package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
)

// typeTables are the tables of the types corpus that have a key.
func typeTables() []string {
	return []string{"t_num", "t_time", "t_text", "t_geo", "t_array", "t_default", "t_key"}
}

// contents is a column of a table as text: key and value of each row, as the server prints them, sorted. value is an expression.
func contents(t testing.TB, conn *pgx.Conn, table, key, value string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), fmt.Sprintf("SELECT %[1]s::text || ': ' || CASE WHEN num_nulls(%[2]s) = 1 THEN '(null)' ELSE format('%%s', %[2]s) END FROM %[3]s",
		pgx.Identifier{key}.Sanitize(), value, table))
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("read column %s of table %s: %v", value, table, err)
	}
	slices.Sort(out)
	return out
}

// mapping is what becomes of a column on its way, where that is not what it is: an expression over the column, %s, and the type whose
// values that has. No expression: the target has no such column.
type mapping struct{ expr, typ string }

// mappings are those of columns by "table.column".
type mappings map[string]mapping

// of returns the expression and the type of a column, and whether the target has it.
func (m mappings) of(table, column, quoted, typ string) (string, string, bool) {
	to, ok := m[table+"."+column]
	if !ok {
		return quoted, typ, true
	}
	if to.expr == "" {
		return "", "", false
	}
	return "(" + fmt.Sprintf(to.expr, quoted) + ")", to.typ, true
}

func columnsOf(t testing.TB, conn *pgx.Conn, table string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum", table)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// differs says in which columns source and target differ; "" when they are equal.
func differs(t testing.TB, source, target *pgx.Conn, tables []string, mapped mappings) string {
	t.Helper()
	var out strings.Builder
	for _, table := range tables {
		columns, have := columnsOf(t, source, table), columnsOf(t, target, table)
		for _, c := range columns {
			quoted := pgx.Identifier{c}.Sanitize()
			expr, _, there := mapped.of(table, c, quoted, "")
			if there != slices.Contains(have, c) {
				fmt.Fprintf(&out, "%s.%s is in the target: %t\n", table, c, !there)
				continue
			}
			if !there {
				continue
			}
			a, b := contents(t, source, table, columns[0], expr), contents(t, target, table, columns[0], quoted)
			if !slices.Equal(a, b) {
				fmt.Fprintf(&out, "%s.%s:\n  source %q\n  target %q\n", table, c, a, b)
			}
		}
	}
	return out.String()
}

// corpus reads a file of the types corpus.
func corpus(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../testdata/golden/postgres/types", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// typesOfSource are the extensions and types of the corpus.
const typesOfSource = `CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION isn;
CREATE TYPE mood AS ENUM ('zen','angry','bored'); CREATE TYPE pair AS (a int, b text);`

// The types corpus arrives in a target that has the same extensions and types: every column of every table is equal, after the
// snapshot and after inserts, updates and deletes.
func TestTypesIntoPostgres(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	from, to := pg.NewDatabase(t), pg.NewDatabase(t)
	pg.Exec(t, from, corpus(t, "setup.sql"))
	pg.Exec(t, to, typesOfSource)
	runTypes(t, pg, from, to, nil, nil)
}

// Where every change is kept, the last one of each key is the row.
func TestTypesAppended(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	from, to := pg.NewDatabase(t), pg.NewDatabase(t)
	pg.Exec(t, from, corpus(t, "setup.sql"))
	pg.Exec(t, to, typesOfSource)
	runTypes(t, pg, from, to, nil, map[string]string{"sinks.db.freshet.mode": "append", "sinks.db.collection.name.format": "log.${source.table}"})
}

// lastChanges makes views in a schema of the rows that the tables in schema log show, once those are there. keys are the tables and the
// columns of their keys.
func lastChanges(t *testing.T, target *pgx.Conn, schema string, keys map[string]string, complaint func() string) {
	t.Helper()
	for table, key := range keys {
		testbed.Eventually(t, complaint, func() bool { return len(columnsOf(t, target, "log."+table)) > 0 })
		if _, err := target.Exec(t.Context(), fmt.Sprintf(`CREATE SCHEMA IF NOT EXISTS %[1]s;
CREATE VIEW %[1]s.%[2]s AS SELECT * FROM (SELECT DISTINCT ON (%[3]s) * FROM log.%[2]s ORDER BY %[3]s, _order DESC) x WHERE _op <> 'd'`, schema, table, key)); err != nil {
			t.Fatal(err)
		}
	}
}

// keysOf are the columns of the tables' keys.
func keysOf(t *testing.T, conn *pgx.Conn, tables []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, table := range tables {
		var key string
		if err := conn.QueryRow(t.Context(), `SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = to_regclass($1) AND i.indisprimary`, table).Scan(&key); err != nil {
			t.Fatal(err)
		}
		out[table] = key
	}
	return out
}

// The same into a target that has none of them: those columns are text or jsonb, with the same values.
func TestTypesIntoBarePostgres(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	from, to := pg.NewDatabase(t), pg.NewDatabase(t)
	pg.Exec(t, from, corpus(t, "setup.sql"))
	runTypes(t, pg, from, to, mappings{
		"t_text.c_hstore": object, "t_default.hs": object,
		"t_array.a_hstore": {objects, "jsonb[]"},
	}, nil)
}

// runTypes plays the corpus; more are keys of the sink.
func runTypes(t *testing.T, pg *testbed.Postgres, from, to string, mapped mappings, more map[string]string) {
	t.Helper()
	dir := t.TempDir()
	keys := pg.ToTable(to, map[string]string{"table.include.list": "public.t_.*", "sinks.db.connection.url": "jdbc:postgresql://" + pg.Address() + "/" + to + "?sslmode=disable"})
	c := pg.Connector(from, "types-"+from, nil)
	maps.Copy(c, keys)
	maps.Copy(c, more)
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, c))
	a, b := pg.Connect(t, from), pg.Connect(t, to)
	if more["sinks.db.freshet.mode"] == "append" {
		lastChanges(t, b, "public", keysOf(t, a, typeTables()), p.Output)
	}
	equal := func() {
		t.Helper()
		var difference string
		testbed.Eventually(t, func() string { return "source and target differ:\n" + difference + "freshet said:\n" + p.Output() }, func() bool {
			difference = differs(t, a, b, typeTables(), mapped)
			return difference == ""
		})
	}
	equal()
	pg.Exec(t, from, corpus(t, "stream1.sql"))
	pg.Exec(t, from, "INSERT INTO t_key VALUES (false,'2024-03-01','2024-02-29 12:34:56+00',1,'','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12','zen',2)")
	equal()
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
}
