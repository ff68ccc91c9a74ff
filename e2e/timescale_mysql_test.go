package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
)

// reading says how values of a MySQL type are read for a comparison: an expression for the source, one for the target, in which %s
// is the column, and what brings both to one form.
type reading struct {
	source, target string
	form           func(string) string
}

func readingOf(dataType string) reading {
	same := func(v string) string { return v }
	switch dataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "year":
		return reading{"%s + 0", "%s", same} // without the zeros of ZEROFILL
	case "decimal":
		return reading{"%s", "%s", same}
	case "float":
		return reading{"CAST(%s AS DOUBLE)", "%s::float8", func(v string) string { return number(v, 32) }}
	case "double":
		return reading{"%s", "%s", func(v string) string { return number(v, 64) }}
	case "bit":
		return reading{"BIN(%s + 0)", "%s", func(v string) string { return strings.TrimLeft(v, "0") }}
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return reading{"HEX(%s)", "upper(encode(%s, 'hex'))", same}
	case "date", "datetime", "timestamp":
		return reading{"DATE_FORMAT(%s, '%%Y-%%m-%%d %%H:%%i:%%s.%%f')", "to_char(%s, 'YYYY-MM-DD HH24:MI:SS.US')", noDate}
	case "time":
		return reading{"%s", "%s", func(v string) string { // an interval in the target
			if strings.Contains(v, ".") {
				v = strings.TrimRight(strings.TrimRight(v, "0"), ".")
			}
			return v
		}}
	case "json":
		return reading{"%s", "%s", canonical}
	case "vector":
		return reading{"VECTOR_TO_STRING(%s)", "%s", numbers}
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set":
		return reading{"CONVERT(%s USING utf8mb4)", "%s", same}
	}
	return reading{"HEX(%s)", "upper(encode(%s, 'hex'))", same} // geometry
}

func number(v string, bits int) string {
	f, err := strconv.ParseFloat(v, bits)
	if err != nil {
		return v
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}

func numbers(v string) string {
	var out []string
	for _, n := range strings.Split(strings.Trim(v, "[]{}"), ",") {
		out = append(out, number(n, 32))
	}
	return strings.Join(out, ",")
}

// noDate is what becomes of dates that the calendar lacks.
func noDate(v string) string {
	if strings.HasPrefix(v, "0000-") || strings.Contains(v, "-00") {
		return "(null)"
	}
	return v
}

var (
	jsonBinary = regexp.MustCompile(`base64:type\d+:`)
	jsonTime   = regexp.MustCompile(`(:\d\d\.\d*?)0+"`)
)

// canonical is a JSON document in one form. The server prints binary values and times of a document otherwise than Debezium reads
// them from the binlog.
func canonical(v string) string {
	v = jsonTime.ReplaceAllString(jsonBinary.ReplaceAllString(v, ""), `$1"`)
	var value any
	d := json.NewDecoder(strings.NewReader(v))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return v
	}
	text, err := json.Marshal(exact(value))
	if err != nil {
		return v
	}
	return string(text)
}

// exact writes the numbers of a document in one form: whole ones of 64 bits as they are, others as the doubles that MySQL takes them for.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		if _, err := strconv.ParseUint(strings.TrimPrefix(v.String(), "-"), 10, 64); err == nil {
			return "#" + v.String()
		}
		return "#" + number(v.String(), 64)
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}

// mysqlContents is one column of a source's table: key and value of each row, sorted.
func mysqlContents(t testing.TB, conn *client.Conn, table, key, column string, r reading) []string {
	t.Helper()
	result, err := conn.Execute(fmt.Sprintf("SELECT CAST(%s AS CHAR), CAST(%s AS CHAR) FROM %s", key, fmt.Sprintf(r.source, column), table))
	if err != nil {
		t.Fatalf("read column %s of table %s: %v", column, table, err)
	}
	var out []string
	for _, row := range result.Values {
		value := "(null)"
		if row[1].Type != mysql.FieldValueTypeNull {
			value = r.form(string(row[1].AsString()))
		}
		out = append(out, string(row[0].AsString())+": "+value)
	}
	slices.Sort(out)
	return out
}

// arrived is mysqlContents of the target.
func arrived(t testing.TB, conn *pgx.Conn, table, key, column string, r reading) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), fmt.Sprintf("SELECT %s::text, (%s)::text FROM %s", key, fmt.Sprintf(r.target, column), table))
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var id string
		var value *string
		err := row.Scan(&id, &value)
		if value == nil {
			return id + ": (null)", err
		}
		return id + ": " + r.form(*value), err
	})
	if err != nil {
		t.Fatalf("read column %s of table %s in the target: %v", column, table, err)
	}
	slices.Sort(out)
	return out
}

// mysqlCorpus reads a file of the types corpus of MySQL.
func mysqlCorpus(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../testdata/golden/mysql/types", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// mysqlColumn is a column of the corpus, and the one by which the table's rows are told apart.
type mysqlColumn struct{ table, key, name, typ string }

// mysqlColumns are those of the connection's database, without plain keys.
func mysqlColumns(t testing.TB, conn *client.Conn) []mysqlColumn {
	t.Helper()
	result, err := conn.Execute(`SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = DATABASE() AND (column_key <> 'PRI' OR table_name = 't_key') ORDER BY table_name, ordinal_position`)
	if err != nil {
		t.Fatal(err)
	}
	var out []mysqlColumn
	for _, row := range result.Values {
		c := mysqlColumn{string(row[0].AsString()), "id", string(row[1].AsString()), string(row[2].AsString())}
		if c.table == "t_key" {
			c.key = "v"
		}
		out = append(out, c)
	}
	return out
}

// mysqlKey are the columns of a table's key.
func mysqlKey(t testing.TB, conn *client.Conn, table string) string {
	t.Helper()
	result, err := conn.Execute("SELECT GROUP_CONCAT(column_name) FROM information_schema.columns WHERE table_schema = DATABASE() AND column_key = 'PRI' AND table_name = ?", table)
	if err != nil {
		t.Fatal(err)
	}
	return string(result.Values[0][0].AsString())
}

// differsFromMySQL says in which columns a target differs from the source; "" when they are equal. read says how values of a column are
// compared, and what the target has, as mysqlContents does: nil when it has no such column.
func differsFromMySQL(t testing.TB, conn *client.Conn, columns []mysqlColumn, mapped mappings, read func(c mysqlColumn) (reading, []string)) string {
	t.Helper()
	var out strings.Builder
	for _, c := range columns {
		expr, typ, there := mapped.of(c.table, c.name, "`"+c.name+"`", c.typ)
		c.typ = typ
		r, got := read(c)
		if there != (got != nil) {
			fmt.Fprintf(&out, "%s.%s is in the target: %t\n", c.table, c.name, !there)
			continue
		}
		if !there {
			continue
		}
		if want := mysqlContents(t, conn, c.table, c.key, expr, r); !slices.Equal(want, got) {
			fmt.Fprintf(&out, "%s.%s %s:\n  source %q\n  target %q\n", c.table, c.name, c.typ, want, got)
		}
	}
	return out.String()
}

// mysqlInPostgres reads columns of the tables of a schema.
func mysqlInPostgres(t testing.TB, conn *pgx.Conn, schema string) func(c mysqlColumn) (reading, []string) {
	return func(c mysqlColumn) (reading, []string) {
		r := readingOf(c.typ)
		if !slices.Contains(columnsOf(t, conn, schema+"."+c.table), c.name) {
			return r, nil
		}
		return r, arrived(t, conn, schema+"."+c.table, c.key, c.name, r)
	}
}

// The types corpus of MySQL arrives in tables of a Postgres, after the snapshot and after inserts, updates and deletes; so it does where
// every change is kept, of which the last one of each key is the row.
func TestMySQLTypesIntoPostgres(t *testing.T) {
	t.Parallel()
	source, target := bed.MySQL(t), bed.Postgres(t)
	from, to := source.CreateDatabase(t), target.NewDatabase(t)
	source.Exec(t, from, mysqlCorpus(t, "setup.sql"))
	dir := t.TempDir()
	c := source.Connector("types-"+from, from, testbed.HistoryIn(filepath.Join(dir, "history")), nil)
	c["enable.time.adjuster"] = "false" // the year 1 stays what it is
	maps.Copy(c, target.ToTable(to, map[string]string{"sinks.db.connection.url": "jdbc:postgresql://" + target.Address() + "/" + to + "?sslmode=disable"}))
	for key, v := range target.ToTable(to, nil) {
		if own, ok := strings.CutPrefix(key, "sinks.db."); ok {
			c["sinks.log."+own] = v
		}
	}
	maps.Copy(c, map[string]string{"sinks": "db,log", "sinks.log.freshet.mode": "append", "sinks.log.collection.name.format": "log.${source.table}"})
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, c))

	a, b := source.Connect(t, from), target.Connect(t, to)
	if _, err := a.Execute("SET time_zone = '+00:00'"); err != nil {
		t.Fatal(err)
	}
	columns := mysqlColumns(t, a)
	keys := map[string]string{}
	for _, c := range columns {
		if keys[c.table] = "id"; c.table == "t_key" {
			keys[c.table] = mysqlKey(t, a, c.table)
		}
	}
	equal := func() {
		t.Helper()
		var different string
		testbed.Eventually(t, func() string { return "source and target differ:\n" + different + "freshet said:\n" + p.Output() }, func() bool {
			different = differsFromMySQL(t, a, columns, nil, mysqlInPostgres(t, b, from)) + differsFromMySQL(t, a, columns, nil, mysqlInPostgres(t, b, "last"))
			return different == ""
		})
	}
	lastChanges(t, b, "last", keys, p.Output)
	equal()
	source.Exec(t, from, mysqlCorpus(t, "stream1.sql"))
	equal()
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
}

// Updates whose row images lack columns leave those as they are in the target; a snapshot came before them.
func TestPartialImagesOfMySQLIntoPostgres(t *testing.T) {
	t.Parallel()
	source, target := bed.MySQL(t), bed.Postgres(t)
	from, to := source.CreateDatabase(t), target.NewDatabase(t)
	source.Exec(t, from, "CREATE TABLE notes (id int PRIMARY KEY, title varchar(20) NOT NULL, body text, n int NOT NULL DEFAULT 5); INSERT INTO notes VALUES (1, 'a', 'first', 1), (2, 'b', NULL, 2), (3, 'c', 'third', 3)")
	dir := t.TempDir()
	c := source.Connector("partial-"+from, from, testbed.HistoryIn(filepath.Join(dir, "history")), nil)
	maps.Copy(c, target.ToTable(to, map[string]string{"sinks.db.connection.url": "jdbc:postgresql://" + target.Address() + "/" + to + "?sslmode=disable"}))
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, c))
	conn := target.Connect(t, to)
	equal := func(want string) {
		t.Helper()
		got := ""
		testbed.Eventually(t, func() string { return "the target has " + got + ", want " + want + "; freshet said:\n" + p.Output() }, func() bool {
			err := conn.QueryRow(t.Context(), "SELECT string_agg(concat_ws(' ', id, title, coalesce(body, '-'), n), ' | ' ORDER BY id) FROM "+from+".notes").Scan(&got)
			return err == nil && got == want
		})
	}
	equal("1 a first 1 | 2 b - 2 | 3 c third 3")
	source.Exec(t, from, "SET SESSION binlog_row_image = NOBLOB; UPDATE notes SET n = n + 10; UPDATE notes SET body = 'second' WHERE id = 2")
	equal("1 a first 11 | 2 b second 12 | 3 c third 13")
	source.Exec(t, from, "SET SESSION binlog_row_image = MINIMAL; UPDATE notes SET title = 'x' WHERE id = 1; UPDATE notes SET body = NULL WHERE id = 3; DELETE FROM notes WHERE id = 2; INSERT INTO notes VALUES (4, 'd', NULL, 5)")
	equal("1 x first 11 | 3 c - 13 | 4 d - 5")
	// An insert that leaves columns to their defaults comes without them: nothing is made up.
	source.Exec(t, from, "SET SESSION binlog_row_image = MINIMAL; INSERT INTO notes (id, title) VALUES (5, 'e')")
	testbed.Eventually(t, p.Output, func() bool { return strings.Contains(p.Output(), "binlog_row_image=FULL") })
	if code := p.Ends(); code != 1 || !strings.Contains(p.Output(), "column body") {
		t.Errorf("exit code %d, want 1; freshet said:\n%s", code, p.Output())
	}
	// The post-processor reads them.
	maps.Copy(c, map[string]string{"post.processors": "again", "again.type": "io.debezium.processors.reselect.ReselectColumnsPostProcessor", "again.reselect.null.values": "false"})
	p = start(t, dir, "run", testbed.WriteConnector(t, dir, c))
	equal("1 x first 11 | 3 c - 13 | 4 d - 5 | 5 e - 5")
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
}
