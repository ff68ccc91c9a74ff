package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
)

const null = "(null)"

// clickColumn is one column of a mirror: key and value of each row, sorted. %s in expr is the column.
func clickColumn(t testing.TB, ch *testbed.ClickHouse, database, table, key, column, expr string, form func(string) string) []string {
	t.Helper()
	quoted := "`" + column + "`"
	text := ch.Query(t, database, fmt.Sprintf("SELECT toString(%s), %s IS NULL, toString(%s) FROM %s_current FORMAT JSONCompactStrings", key, quoted, fmt.Sprintf(expr, quoted), table))
	var answer struct{ Data [][]string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("read column %s of %s: %v", column, table, err)
	}
	out := []string{}
	for _, row := range answer.Data {
		value := null
		if row[1] == "0" || row[1] == "false" {
			value = form(row[2])
		}
		out = append(out, row[0]+": "+value)
	}
	slices.Sort(out)
	return out
}

// clickTypes are the types of a table's columns.
func clickTypes(t testing.TB, ch *testbed.ClickHouse, database, table string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(ch.Query(t, database, "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '"+table+"' FORMAT TSVRaw")) {
		name, typ, _ := strings.Cut(strings.TrimSpace(line), "\t")
		out[name] = typ
	}
	return out
}

func rational(v string) string {
	if r, ok := new(big.Rat).SetString(v); ok {
		return r.RatString()
	}
	return strings.ToLower(v)
}

var zeros = regexp.MustCompile(`(\.\d*?)0+($|[+-])`)

// moment brings dates and times of both into one form: 2024-02-29 12:34:56.1, years before 1 as ISO 8601 counts them.
func moment(v string) string {
	v, bc := strings.CutSuffix(v, " BC")
	v = strings.TrimSuffix(strings.TrimSuffix(strings.Replace(v, "T", " ", 1), "Z"), "+00")
	v = strings.TrimPrefix(zeros.ReplaceAllString(v, "$1$2"), "+")
	v = strings.TrimSuffix(v, ".")
	if year, rest, ok := strings.Cut(v, "-"); bc && ok {
		n, _ := strconv.Atoi(year)
		v = fmt.Sprintf("-%04d-%s", n-1, rest)
	}
	return v
}

var zone = regexp.MustCompile(`[+-]\d\d$`)

func zoned(v string) string {
	v = strings.ReplaceAll(zeros.ReplaceAllString(v, "$1$2"), ".+", "+")
	if zone.MatchString(v) {
		v += ":00"
	}
	return v
}

// pgReading says how a column of a PostgreSQL type is read from source and target, and in which form the two are compared.
func pgReading(typ string) reading {
	same := func(v string) string { return v }
	base, _, _ := strings.Cut(typ, "(")
	if typ == "hstore[]" {
		return reading{"coalesce((SELECT string_agg(coalesce(hstore_to_json(x)::text, '{}'), '¦') FROM unnest(%s) x), '')", "arrayStringConcat(arrayMap(x -> toJSONString(x), %s), '¦')", func(v string) string { return strings.ReplaceAll(v, ": ", ":") }}
	}
	if elem, array := strings.CutSuffix(typ, "[]"); array {
		in := pgReading(elem)
		each := func(v string) string {
			parts := strings.Split(v, "¦")
			for i, p := range parts {
				if p != "∅" {
					parts[i] = in.form(p)
				}
			}
			return strings.Join(parts, "¦")
		}
		element := "toString(x)"
		if elem == "bytea" {
			element = `concat('\\x', lower(hex(x)))`
		}
		return reading{"coalesce(array_to_string(%s, '¦', '∅'), '')", "arrayStringConcat(arrayMap(x -> ifNull(" + element + ", '∅'), %s), '¦')", each}
	}
	switch strings.TrimSpace(base) {
	case "real":
		return reading{"%s::text", "%s", func(v string) string { return number(v, 32) }}
	case "double precision":
		return reading{"%s::text", "%s", func(v string) string { return number(v, 64) }}
	case "numeric", "price":
		return reading{"%s::text", "%s", rational}
	case "money":
		return reading{"%s::numeric::text", "%s", func(v string) string { return rational(strings.NewReplacer("$", "", ",", "").Replace(v)) }}
	case "boolean":
		return reading{"%s::text", "%s", func(v string) string { return v[:min(1, len(v))] }}
	case "bytea":
		return reading{"encode(%s, 'hex')", "lower(hex(%s))", func(v string) string { return strings.TrimPrefix(v, `\x`) }}
	case "document":
		return reading{"format('%%s', %s)", "%s", canonical}
	case "hstore":
		return reading{"coalesce(hstore_to_json(%s)::text, '{}')", "toJSONString(%s)", canonical}
	case "interval", "interval day to second", "interval year to month":
		f := "format('P%%sY%%sM%%sDT%%sH%%sM%%sS', extract(year FROM %[1]s), extract(month FROM %[1]s), extract(day FROM %[1]s), extract(hour FROM %[1]s), extract(minute FROM %[1]s), trim_scale(extract(second FROM %[1]s)))"
		return reading{f, "%s", same}
	}
	switch {
	case strings.HasPrefix(typ, "time") && strings.HasSuffix(typ, "with time zone") && !strings.HasPrefix(typ, "timestamp"):
		return reading{"%s::text", "%s", zoned}
	case strings.HasPrefix(typ, "time"), strings.HasPrefix(typ, "date") && typ != "daterange":
		return reading{"%s::text", "%s", moment}
	}
	return reading{"format('%%s', %s)", "%s", same}
}

// pgColumn is one column of a source's table, or an expression over it: key and value of each row, sorted.
func pgColumn(t testing.TB, conn *pgx.Conn, table, key, value string, r reading) []string {
	t.Helper()
	sql := fmt.Sprintf("SELECT %s::text, CASE WHEN num_nulls(%s) = 1 AND %t THEN NULL ELSE %s END FROM %s", key, value, !strings.HasPrefix(r.source, "coalesce"), fmt.Sprintf(r.source, value), table)
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var id string
		var value *string
		if err := row.Scan(&id, &value); err != nil || value == nil {
			return id + ": " + null, err
		}
		return id + ": " + r.form(*value), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	slices.Sort(out)
	return out
}

// outOfRange are the columns of the corpus whose values no numeric or time type of ClickHouse holds: NaN, infinity, years before 1900
// and after 2299, numbers of more than 76 digits. And arrays of more than one dimension.
const outOfRange = `t_num.c_num10_2:String; t_num.c_num38_10:String; t_num.c_num:String; t_array.a_2d:String; t_time.c_date:String;
t_time.ts0:String; t_time.ts1:String; t_time.ts2:String; t_time.ts3:String; t_time.ts4:String; t_time.ts5:String; t_time.ts6:String; t_time.ts:String;
t_time.tstz0:String; t_time.tstz1:String; t_time.tstz2:String; t_time.tstz3:String; t_time.tstz4:String; t_time.tstz5:String; t_time.tstz6:String; t_time.tstz:String`

// The types corpus of Postgres arrives in ClickHouse: every column of every table is equal, after the snapshot and after inserts,
// updates and deletes. Values that no type holds are text.
func TestTypesIntoClickHouse(t *testing.T) {
	t.Parallel()
	pg, ch := bed.Postgres(t), bed.ClickHouse(t)
	from, to := pg.NewDatabase(t), ch.NewDatabase(t)
	pg.Exec(t, from, corpus(t, "setup.sql"))
	pg.Exec(t, from, "CREATE TABLE t_fit (LIKE t_time INCLUDING ALL)", "INSERT INTO t_fit SELECT * FROM t_time WHERE id IN (1, 4)",
		`INSERT INTO t_fit (id, c_date, ts0, ts1, ts2, ts3, ts4, ts5, ts6, ts, tstz0, tstz3, tstz) VALUES
 (2, '1900-01-01', '1900-01-01', '1969-12-31 23:59:59.9', '1969-12-31 23:59:59.99', '1900-01-01 00:00:00.001', '2299-12-31 23:59:59.9999', '1969-12-31 23:59:59.99999', '1900-01-01', '2299-12-31 23:59:59.999999', '1900-01-01 00:00:00+00', '2299-12-31 23:59:59.999+00', '1969-12-31 23:59:59.999999+00'),
 (3, '2299-12-31', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`)
	dir := t.TempDir()
	c := pg.Connector(from, "types-"+from, toClickHouse(ch, to, map[string]string{"table.include.list": "public.t_.*", "sinks.ch.column.types": outOfRange}))
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, c))
	conn := pg.Connect(t, from)
	for _, sql := range []string{"SET timezone = 'UTC'", "SET extra_float_digits = 1"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	equal := func() {
		t.Helper()
		var different string
		testbed.Eventually(t, func() string { return "source and target differ:\n" + different + "freshet said:\n" + p.Output() }, func() bool {
			different = differsFromClickHouse(t, conn, ch, to, append(typeTables(), "t_fit"), nil)
			return different == ""
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

func differsFromClickHouse(t testing.TB, conn *pgx.Conn, ch *testbed.ClickHouse, database string, tables []string, mapped mappings) string {
	t.Helper()
	var out strings.Builder
	for _, table := range tables {
		types := clickTypes(t, ch, database, table+"_current")
		rows, err := conn.Query(t.Context(), "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum", table)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c [2]string, err error) { return c, row.Scan(&c[0], &c[1]) })
		if err != nil {
			t.Fatal(err)
		}
		key := columns[0][0]
		if table == "t_key" {
			key = "v"
		}
		for _, c := range columns {
			expr, typ, there := mapped.of(table, c[0], pgx.Identifier{c[0]}.Sanitize(), c[1])
			if there != (types[c[0]] != "") {
				fmt.Fprintf(&out, "%s.%s is in the target: %t\n", table, c[0], !there)
				continue
			}
			if !there {
				continue
			}
			r := pgReading(typ)
			if c[0] == "a_2d" { // JSON
				r = reading{"array_to_json(%s)::text", "%s", func(v string) string { return v }}
			}
			if !strings.HasPrefix(types[c[0]], "Array(") && strings.HasSuffix(typ, "[]") && c[0] != "a_2d" { // the source gives its text
				r = pgReading("text")
			}
			a, b := pgColumn(t, conn, table, key, expr, r), clickColumn(t, ch, database, table, key, c[0], r.target, r.form)
			if !slices.Equal(a, b) {
				fmt.Fprintf(&out, "%s.%s %s, %s:\n  source %q\n  target %q\n", table, c[0], c[1], types[c[0]], a, b)
			}
		}
	}
	return out.String()
}

// clickReading is how the target of readingOf's source is read in ClickHouse.
func clickReading(dataType, typ string) reading {
	r := readingOf(dataType)
	r.target = "%s"
	switch dataType {
	case "decimal":
		r.form = rational
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		r.target = "hex(%s)"
	case "date", "datetime", "timestamp":
		r.form = func(v string) string {
			if v = noDate(v); v == null {
				return v
			}
			return strings.TrimSuffix(moment(v), " 00:00:00")
		}
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection":
		r.target = "hex(%s)"
	}
	if strings.HasPrefix(typ, "Array(") { // NULL is empty
		form := r.form
		r.form = func(v string) string {
			if v = form(v); v == "" {
				return null
			}
			return v
		}
	}
	return r
}

// mysqlInClickHouse reads columns of mirrors.
func mysqlInClickHouse(t testing.TB, ch *testbed.ClickHouse, database string) func(c mysqlColumn) (reading, []string) {
	types := map[string]map[string]string{}
	return func(c mysqlColumn) (reading, []string) {
		if types[c.table] == nil {
			types[c.table] = clickTypes(t, ch, database, c.table+"_current")
		}
		typ := types[c.table][c.name]
		if typ == "" {
			return reading{}, nil
		}
		r := clickReading(c.typ, typ)
		return r, clickColumn(t, ch, database, c.table, c.key, c.name, r.target, r.form)
	}
}

// mysqlOutOfRange is outOfRange of MySQL: years before 1900 and after 2299.
const mysqlOutOfRange = `t_time.c_date:String; t_time.d0:String; t_time.d1:String; t_time.d2:String; t_time.d3:String; t_time.d4:String; t_time.d5:String; t_time.d6:String`

// The types corpus of MySQL arrives in ClickHouse, likewise.
func TestMySQLTypesIntoClickHouse(t *testing.T) {
	t.Parallel()
	source, ch := bed.MySQL(t), bed.ClickHouse(t)
	from, to := source.CreateDatabase(t), ch.NewDatabase(t)
	source.Exec(t, from, mysqlCorpus(t, "setup.sql"))
	source.Exec(t, from, `CREATE TABLE t_fit LIKE t_time; INSERT INTO t_fit SELECT * FROM t_time WHERE id IN (1, 4)`)
	dir := t.TempDir()
	c := source.Connector("types-"+from, from, testbed.HistoryIn(filepath.Join(dir, "history")), nil)
	c["enable.time.adjuster"] = "false" // the year 1 stays what it is
	maps.Copy(c, toClickHouse(ch, to, map[string]string{"sinks.ch.column.types": mysqlOutOfRange}))
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, c))
	a := source.Connect(t, from)
	if _, err := a.Execute("SET time_zone = '+00:00'"); err != nil {
		t.Fatal(err)
	}
	columns := mysqlColumns(t, a)
	equal := func() {
		t.Helper()
		var different string
		testbed.Eventually(t, func() string { return "source and target differ:\n" + different + "freshet said:\n" + p.Output() }, func() bool {
			different = differsFromMySQL(t, a, columns, nil, mysqlInClickHouse(t, ch, to))
			return different == ""
		})
	}
	equal()
	source.Exec(t, from, mysqlCorpus(t, "stream1.sql"))
	equal()
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
}
