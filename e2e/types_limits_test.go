package e2e

import (
	"bufio"
	"encoding/json"
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

// limit is a value at or beyond what some target holds. Where a target is named, its sink refuses the record with an error that says
// this; everywhere else the value is equal.
type limit struct {
	typ, value string // of SQL
	refused    map[string]string
}

const (
	inTables, inClick, inSearch = "db", "ch", "es"

	clickTime    = "the date or time is outside of what the column can hold"
	clickForever = "the date or time is infinite, which the column cannot hold"
	clickSpecial = "the number is NaN or infinite, which the column cannot hold"
)

func noClick(why string) map[string]string { return map[string]string{inClick: why} }

// targetsOf are the three targets of one connector, and the file of what they refused.
type targetsOf struct {
	tables       *testbed.Postgres
	ch           *testbed.ClickHouse
	search       *testbed.Search
	to, into     string // databases
	prefix, dead string
	conn         *pgx.Conn
}

func newTargets(t *testing.T, dir string) *targetsOf {
	t.Helper()
	o := &targetsOf{tables: bed.Postgres(t), ch: bed.ClickHouse(t), search: bed.Elasticsearch(t), dead: filepath.Join(dir, "dead")}
	o.to, o.into, o.prefix = o.tables.NewDatabase(t), o.ch.NewDatabase(t), o.search.NewPrefix(t)
	o.conn = o.tables.Connect(t, o.to)
	return o
}

// keys are those of direct sinks into all three, which leave out what they cannot hold.
func (o *targetsOf) keys() map[string]string {
	c := o.tables.ToTable(o.to, nil)
	maps.Copy(c, toClickHouse(o.ch, o.into, nil))
	maps.Copy(c, toSearch(o.search, o.prefix, map[string]string{"sinks.es.index.name.format": o.prefix + ".${source.table}"}))
	maps.Copy(c, map[string]string{
		"sinks": inTables + "," + inClick + "," + inSearch, "sinks.db.collection.name.format": "${source.table}",
		"sinks.db.connection.url": "jdbc:postgresql://" + o.tables.Address() + "/" + o.to + "?sslmode=disable",
		"errors.tolerance":        "all", "errors.deadletterqueue.file": o.dead,
	})
	return c
}

// rows are the keys of a table in a target.
func (o *targetsOf) rows(t *testing.T, target, table string) []string {
	t.Helper()
	var out []string
	switch target {
	case inTables:
		if len(columnsOf(t, o.conn, table)) == 0 {
			return nil
		}
		rows, err := o.conn.Query(t.Context(), "SELECT id::text FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		if out, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			t.Fatal(err)
		}
	case inClick:
		if len(clickTypes(t, o.ch, o.into, table+"_current")) == 0 {
			return nil
		}
		out = strings.Fields(o.ch.Query(t, o.into, "SELECT id FROM "+table+"_current"))
	default:
		out = slices.Collect(maps.Keys(o.search.Documents(t, o.prefix+"."+table)))
	}
	slices.Sort(out)
	return out
}

// refusals are the causes in the dead-letter queue by sink and topic.
func (o *targetsOf) refusals(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	f, err := os.Open(o.dead)
	if os.IsNotExist(err) {
		return out
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var letter struct {
			Headers []struct{ Name, Value string }
		}
		if err := json.Unmarshal(lines.Bytes(), &letter); err != nil {
			t.Fatalf("%v in %.200s", err, lines.Bytes())
		}
		h := map[string]string{}
		for _, header := range letter.Headers {
			h[header.Name] = header.Value
		}
		out[h["__freshet.errors.sink"]+" "+h["__connect.errors.topic"]] = h["__connect.errors.exception.message"]
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// check compares one table in all targets: the first row where a target holds its value, the second everywhere.
func (o *targetsOf) check(t *testing.T, l limit, table, topic string, equal func(target string) string) string {
	t.Helper()
	var out strings.Builder
	refusals := o.refusals(t)
	for _, target := range []string{inTables, inClick, inSearch} {
		why, refused := l.refused[target]
		want := []string{"1", "2"}
		if refused {
			want = want[1:]
		}
		if got := o.rows(t, target, table); !slices.Equal(got, want) {
			fmt.Fprintf(&out, "%s has the rows %v of %s, want %v: %s\n", target, got, table, want, refusals[target+" "+topic])
			continue
		}
		if !refused {
			if d := equal(target); d != "" {
				fmt.Fprintf(&out, "in %s: %.400s\n", target, d)
			}
			continue
		}
		said := refusals[target+" "+topic]
		for _, part := range []string{why, table, "column v"} {
			if !strings.Contains(said, part) {
				fmt.Fprintf(&out, "%s refuses the row of %s with %q, which does not say %q\n", target, table, said, part)
			}
		}
	}
	return out.String()
}

// Values at the edges arrive as they are, or are refused with an error that names table, column and the class of the value; none is
// clamped, cut or rounded.
func TestLimitsOfValues(t *testing.T) {
	t.Parallel()
	limits := map[string]limit{
		"year_1":      {"date", "'0001-01-01'", noClick(clickTime)},
		"before_1":    {"timestamp", "'0044-03-15 12:00:00 BC'", noClick(clickTime)},
		"before_1900": {"timestamptz", "'1899-12-31 23:59:59.999999+00'", noClick(clickTime)},
		"from_1900":   {"timestamptz", "'1900-01-01 00:00:00+00'", nil},
		"after_2299":  {"date", "'2300-01-01'", noClick(clickTime)},
		"last_date":   {"date", "'5874897-12-31'", noClick(clickTime)},
		"last_time":   {"timestamp", "'294246-12-31 23:59:59.999999'", noClick(clickTime)},
		"forever":     {"date", "'infinity'", noClick(clickForever)},
		"for_ages":    {"timestamptz", "'-infinity'", noClick(clickForever)},
		"nan":         {"numeric", "'NaN'", noClick(clickSpecial)},
		"nan_10_2":    {"numeric(10,2)", "'NaN'", noClick(clickSpecial)},
		"infinite":    {"numeric", "'-Infinity'", noClick(clickSpecial)},
		"float_nan":   {"double precision", "'NaN'", nil},
		"float_zero":  {"double precision", "'-0'", nil},
		"float_least": {"real", "'-1.1754944e-38'", nil},
		"digits_38":   {"numeric", "'" + strings.Repeat("9", 38) + "." + strings.Repeat("9", 38) + "'", nil},
		"digits_39":   {"numeric", "1e38", noClick("the number has more digits before the point than the column")},
		"fraction_39": {"numeric", "1e-39", noClick("the number has more digits after the point than the column")},
		"digits_400":  {"numeric", "1e400", noClick("the number has more digits before the point than the column")},
		"numeric_76":  {"numeric(76)", strings.Repeat("9", 76), nil},
		"numeric_77":  {"numeric(77)", strings.Repeat("9", 77), nil},
		"bigint":      {"bigint", "-9223372036854775808", nil},
		"long_text":   {"text", "repeat('é', 524288)", nil},
		"long_bytes":  {"bytea", "decode(repeat('00ff', 524288), 'hex')", nil},
		"long_json":   {"jsonb", "jsonb_build_object('a', repeat('b', 1048576), 'n', 1e300, 'm', " + strings.Repeat("9", 40) + ")", nil},
		"long_list":   {"integer[]", "(SELECT array_agg(g) FROM generate_series(1, 100000) g)", nil},
	}
	pg, dir := bed.Postgres(t), t.TempDir()
	from := pg.NewDatabase(t)
	var ddl strings.Builder
	for name, l := range limits {
		fmt.Fprintf(&ddl, "CREATE TABLE v_%[1]s (id int PRIMARY KEY, v %[2]s); INSERT INTO v_%[1]s VALUES (1, %[3]s), (2, NULL);\n", name, l.typ, l.value)
	}
	pg.Exec(t, from, ddl.String())
	o := newTargets(t, dir)
	c := pg.Connector(from, "limits-"+from, o.keys())
	c["table.include.list"] = "public.v_.*"
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, c))
	conn := pg.Connect(t, from)
	for _, sql := range []string{"SET timezone = 'UTC'", "SET extra_float_digits = 1"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var different string
	patiently(t, func() string { return different + "freshet said:\n" + p.Output() }, func() bool {
		different = ""
		for _, name := range slices.Sorted(maps.Keys(limits)) {
			table := "v_" + name
			different += o.check(t, limits[name], table, "t"+from+".public."+table, func(target string) string {
				switch target {
				case inTables:
					return differs(t, conn, o.conn, []string{table}, nil)
				case inClick:
					return differsFromClickHouse(t, conn, o.ch, o.into, []string{table}, nil)
				}
				return documentsDiffer(t, conn, o.search, table, o.prefix+"."+table, nil)
			})
		}
		return different == ""
	})
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
}

// The same for what only MySQL has.
func TestLimitsOfMySQLValues(t *testing.T) {
	t.Parallel()
	limits := map[string]limit{
		"unsigned":   {"bigint unsigned", "18446744073709551615", nil},
		"decimal_65": {"decimal(65,0)", strings.Repeat("9", 65), nil},
		"zero_byte":  {"varchar(10)", "CONCAT('a', CHAR(0), 'b')", map[string]string{inTables: "the text holds a zero byte, which PostgreSQL cannot store"}},
		"zero_json":  {"json", `'{"a": "\\u0000"}'`, nil},
		"year_1000":  {"datetime(6)", "'1000-01-01 00:00:00.000001'", noClick(clickTime)},
		"year_9999":  {"date", "'9999-12-31'", noClick(clickTime)},
		"time_838":   {"time(6)", "'-838:59:58.999999'", nil},
		"long_text":  {"longtext", "REPEAT('é', 524288)", nil},
		"long_bytes": {"longblob", "REPEAT(UNHEX('00FF'), 524288)", nil},
		"bits_64":    {"bit(64)", "18446744073709551615", nil},
	}
	source, dir := bed.MySQL(t), t.TempDir()
	from := source.CreateDatabase(t)
	for name, l := range limits {
		source.Exec(t, from, fmt.Sprintf("CREATE TABLE v_%[1]s (id int PRIMARY KEY, v %[2]s); INSERT INTO v_%[1]s VALUES (1, %[3]s), (2, NULL)", name, l.typ, l.value))
	}
	o := newTargets(t, dir)
	c := source.Connector("limits-"+from, from, testbed.HistoryIn(filepath.Join(dir, "history")), o.keys())
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, c))
	conn := source.Connect(t, from)
	columns := map[string]mysqlColumn{}
	for _, c := range mysqlColumns(t, conn) {
		columns[c.table] = c
	}
	var different string
	patiently(t, func() string { return different + "freshet said:\n" + p.Output() }, func() bool {
		different = ""
		for _, name := range slices.Sorted(maps.Keys(limits)) {
			table := "v_" + name
			different += o.check(t, limits[name], table, "t"+from+"."+from+"."+table, func(target string) string {
				read := map[string]func(mysqlColumn) (reading, []string){
					inTables: mysqlInPostgres(t, o.conn, "public"), inClick: mysqlInClickHouse(t, o.ch, o.into), inSearch: mysqlInSearch(t, o.search, o.prefix),
				}[target]
				return differsFromMySQL(t, conn, []mysqlColumn{columns[table]}, nil, read)
			})
		}
		return different == ""
	})
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
}
