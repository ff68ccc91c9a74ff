package ddl

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/testbed"
)

// FRESHET_DDL_SEED plays one seed again; FRESHET_DDL_SEEDS says how many, chosen at random. Without them: the same few every time.
const (
	differentialSeeds      = 4
	differentialStatements = 200
)

// TestServersAgree runs random statements on a server and on a catalog, and compares what both have after each.
func TestServersAgree(t *testing.T) {
	t.Parallel()
	seeds := make([]uint64, 0, differentialSeeds)
	if seed, err := strconv.ParseUint(os.Getenv("FRESHET_DDL_SEED"), 10, 64); err == nil {
		seeds = append(seeds, seed)
	} else {
		n, err := strconv.Atoi(os.Getenv("FRESHET_DDL_SEEDS"))
		for range n {
			seeds = append(seeds, rand.Uint64()%100000)
		}
		for i := uint64(1); err != nil && i <= differentialSeeds; i++ {
			seeds = append(seeds, i)
		}
	}
	for name, server := range map[string]func(testing.TB, ...string) *testbed.MySQL{"mysql": bed.MySQL, "mariadb": bed.MariaDB} {
		for i, seed := range seeds {
			for _, as := range sessions() {
				if i > 0 && as.sql != "" && len(seeds) == differentialSeeds || as.mode&Oracle != 0 && name == "mysql" {
					continue
				}
				t.Run(fmt.Sprintf("%s%s/%d", name, as.name, seed), func(t *testing.T) {
					t.Parallel()
					differential(t, server(t), as, seed)
				})
			}
		}
	}
}

// session is a way in which statements run.
type session struct {
	name string
	sql  string // makes it
	mode SQLMode
}

func sessions() []session {
	return []session{
		{},
		{" implicit timestamps", "SET SESSION explicit_defaults_for_timestamp = OFF, sql_mode = 'STRICT_TRANS_TABLES'", ImplicitTimestamp},
		{" ANSI", "SET SESSION sql_mode = 'ANSI,STRICT_TRANS_TABLES'", ANSIQuotes | RealAsFloat},
		{" Oracle", "SET SESSION sql_mode = 'ORACLE,STRICT_TRANS_TABLES,EMPTY_STRING_IS_NULL'", ANSIQuotes | Oracle | EmptyStringIsNull},
	}
}

// ansi writes names and texts as ANSI_QUOTES has them.
var ansi = strings.NewReplacer(`"dq"`, `'dq'`, `"d""q"`, `'d"q'`, `"b)"`, `'b)'`, "\"a\nb\"", "'a\nb'", "`", `"`)

func differential(t *testing.T, my *testbed.MySQL, as session, seed uint64) {
	t.Helper()
	db := my.NewDatabase(t)
	conn, plain := my.Connect(t, db), my.Connect(t, db)
	if as.sql != "" {
		query(t, conn, as.sql)
	}
	flavor := MySQL
	if my.IsMariaDB() {
		flavor = MariaDB
	}
	catalog := NewCatalog(flavor, false)
	catalog.SetServerCharset(my.Query(t, "", "SELECT @@character_set_server"))
	apply(t, catalog, db, "ALTER DATABASE CHARACTER SET "+my.Query(t, db, "SELECT @@character_set_database"), 0)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), maria: my.IsMariaDB(), oracle: as.mode&Oracle != 0, catalog: catalog, db: db}
	taken := 0
	for range differentialStatements {
		statement := g.statement()
		if as.mode&ANSIQuotes != 0 {
			statement = ansi.Replace(statement)
		}
		if _, err := conn.Execute(statement); err != nil {
			if !strings.HasPrefix(statement, "CREATE OR REPLACE TABLE") {
				continue
			}
			// The table that was to be replaced is gone; the binlog has a DROP TABLE for it.
			statement = dropReplaced(t, plain, catalog, db)
		}
		taken++
		t.Logf("%s", statement)
		for _, s := range apply(t, catalog, db, statement, as.mode) {
			for _, id := range s.Tables {
				compareTable(t, plain, catalog, id)
			}
		}
		compareNames(t, plain, catalog, db)
		if t.Failed() {
			t.Fatalf("seed %d after %d statements, the last is\n%s", seed, taken, statement)
		}
	}
	if taken < differentialStatements/5 {
		t.Fatalf("the server took %d statements of %d", taken, differentialStatements)
	}
}

func dropReplaced(t *testing.T, conn *client.Conn, catalog *Catalog, db string) string {
	t.Helper()
	for _, table := range catalog.Tables() {
		rows := query(t, conn, "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?", db, table.ID.Table)
		if len(rows.Values) == 0 {
			return "DROP TABLE IF EXISTS " + quoteName(table.ID.Table) + "/* Generated to handle failed CREATE OR REPLACE */"
		}
	}
	return ""
}

func apply(t *testing.T, catalog *Catalog, db, statement string, mode SQLMode) []Statement {
	t.Helper()
	done, err := catalog.Apply(db, statement, mode)
	if err != nil {
		t.Fatalf("%v\n%s", err, statement)
	}
	return done
}

func query(t *testing.T, conn *client.Conn, sql string, args ...any) *mysql.Result {
	t.Helper()
	result, err := conn.Execute(sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return result
}

func compareNames(t *testing.T, conn *client.Conn, catalog *Catalog, db string) {
	t.Helper()
	var got, want []string
	for _, table := range catalog.Tables() {
		got = append(got, table.ID.Table)
	}
	rows := query(t, conn, "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE'", db)
	for i := range rows.Values {
		name, _ := rows.GetString(i, 0)
		want = append(want, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("tables %q, the server has %q", got, want)
	}
}

// shape is what a column is, however it was written.
type shape struct {
	name, base, charset       string
	unsigned, optional, auto  bool
	computed, invisible       bool
	length, scale             int
	comment, labels, defaults string
}

func compareTable(t *testing.T, conn *client.Conn, catalog *Catalog, id ID) {
	t.Helper()
	table := catalog.Table(id)
	rows := query(t, conn, "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_name = ?", id.Database, id.Table)
	if (len(rows.Values) > 0) != (table != nil) {
		t.Errorf("table %s is known: %v, is there: %v", id.Table, table != nil, table == nil)
		return
	}
	if table == nil {
		return
	}
	want := serverShapes(t, conn, id, catalog.flavor)
	compareShapes(t, "information_schema", table, want, catalog.flavor)
	rows = query(t, conn, "SHOW CREATE TABLE "+quoteName(id.Database)+"."+quoteName(id.Table))
	text, _ := rows.GetString(0, 1)
	second := NewCatalog(catalog.flavor, false)
	apply(t, second, id.Database, text, 0)
	shown := second.Table(id)
	if shown == nil {
		t.Fatalf("no table in %s", text)
	}
	var shapes []shape
	for i := range shown.Columns {
		shapes = append(shapes, shapeOf(&shown.Columns[i], catalog.flavor))
	}
	compareShapes(t, "SHOW CREATE TABLE", table, shapes, catalog.flavor)
	if !slices.Equal(table.Key, shown.Key) || charset3(table.Charset) != charset3(shown.Charset) || table.Comment != shown.Comment {
		t.Errorf("key %q charset %s comment %q, want %q %s %q of %s", table.Key, table.Charset, table.Comment, shown.Key, shown.Charset, shown.Comment, text)
	}
}

func compareShapes(t *testing.T, from string, table *Table, want []shape, flavor Flavor) {
	t.Helper()
	if len(table.Columns) != len(want) {
		t.Errorf("%d columns, %s has %d: %v", len(table.Columns), from, len(want), want)
		return
	}
	for i := range want {
		if got := shapeOf(&table.Columns[i], flavor); got != want[i] {
			t.Errorf("column %d is %+v, %s has %+v", i, got, from, want[i])
		}
	}
}

func charset3(charset string) string {
	if charset == "utf8" {
		return "utf8mb3"
	}
	return charset
}

func shapeOf(c *Column, flavor Flavor) shape {
	s := shape{
		name: c.Name, base: c.Base(), charset: charset3(c.Charset), unsigned: c.Unsigned(), optional: c.Optional, auto: c.AutoIncrement, computed: c.Computed,
		invisible: c.Invisible, length: -1, scale: -1, comment: c.Comment, labels: strings.Join(c.Labels, "|"), defaults: "none",
	}
	if s.charset == "binary" { // ENUM and SET; information_schema says none
		s.charset = ""
	}
	if s.base == "json" {
		s.base, s.charset = "longtext", "utf8mb4"
	}
	switch s.base {
	case "char", "binary", "varchar", "varbinary":
		s.length = c.Length
		if c.Length < 0 {
			s.length = 1
		}
	case "decimal":
		s.length, s.scale = c.Length, c.Scale
	case "time", "datetime", "timestamp":
		s.length = max(c.Length, 0)
		s.auto = s.auto && updates(flavor)
	case "bit":
		s.length = c.Length
	}
	if c.Default != nil {
		s.defaults = plainDefault(s.base, *c.Default)
	}
	return s
}

// plainDefault makes spellings of one value equal.
func plainDefault(base, text string) string {
	switch base {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double":
		switch strings.ToLower(text) {
		case "true":
			text = "1"
		case "false":
			text = "0"
		}
		f, ok := new(big.Float).SetString(text)
		if ok {
			return f.Text('g', 20)
		}
	case "bit":
		return strings.TrimLeft(text, "0")
	case "time", "datetime", "timestamp":
		if !strings.Contains(text, ".") {
			return text
		}
		return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	case "binary":
		return strings.TrimRight(text, "\x00")
	}
	return text
}

func serverShapes(t *testing.T, conn *client.Conn, id ID, flavor Flavor) []shape {
	t.Helper()
	rows := query(t, conn, `SELECT column_name, data_type, column_type, is_nullable, character_set_name, column_default, extra, column_comment,
		character_maximum_length, numeric_precision, numeric_scale, datetime_precision
		FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position`, id.Database, id.Table)
	var shapes []shape
	for i := range rows.Values {
		text := func(column int) string {
			s, err := rows.GetString(i, column)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		number := func(column int) int {
			n, err := strconv.Atoi(text(column))
			if err != nil {
				return -1
			}
			return n
		}
		columnType, extra := text(2), strings.ToLower(text(6))
		s := shape{
			name: text(0), base: text(1), charset: text(4), unsigned: strings.Contains(columnType, " unsigned"), optional: text(3) == "YES", comment: text(7),
			auto:     strings.Contains(extra, "auto_increment") || strings.Contains(extra, "on update") && updates(flavor),
			computed: strings.Contains(extra, "virtual generated") || strings.Contains(extra, "stored generated"), invisible: strings.Contains(extra, "invisible"),
			length: -1, scale: -1, defaults: "none",
		}
		if s.charset == "binary" { // which MariaDB says of some ENUM and SET columns of that charset, but not of others
			s.charset = ""
		}
		switch s.base {
		case "json":
			s.base, s.charset = "longtext", "utf8mb4"
		case "geometrycollection":
			s.base = "geomcollection"
		case "char", "binary", "varchar", "varbinary":
			s.length = number(8)
		case "decimal":
			s.length, s.scale = number(9), number(10)
		case "time", "datetime", "timestamp":
			s.length = number(11)
		case "bit":
			s.length = number(9)
		case "enum", "set":
			d := columnDef{base: s.base}
			p := newParser(columnType, 0, flavor)
			p.advance()
			p.labels(&d)
			s.labels = strings.Join(d.Labels, "|")
		}
		if rows.Values[i][5].Type != mysql.FieldValueTypeNull {
			s.defaults = serverDefault(s.base, text(5), extra, flavor)
		}
		shapes = append(shapes, s)
	}
	return shapes
}

// updates tells whether a catalog has ON UPDATE of each column: of MariaDB's it does not see the ones behind DEFAULT, as the reference does.
func updates(flavor Flavor) bool { return flavor == MySQL }

// serverDefault is what information_schema says of a default, as a catalog has it.
func serverDefault(base, text, extra string, flavor Flavor) string {
	lower := strings.ToLower(text)
	if strings.HasPrefix(lower, "current_timestamp") || strings.HasPrefix(lower, "now") {
		return plainDefault(base, epoch)
	}
	if flavor == MySQL {
		if strings.Contains(extra, "default_generated") {
			return "none"
		}
		if base == "bit" {
			text = strings.TrimSuffix(strings.TrimPrefix(text, "b'"), "'")
		}
		if base == "binary" || base == "varbinary" {
			if b, ok := hexBytes(text + "'"); ok {
				text = string(b)
			}
		}
		return plainDefault(base, text)
	}
	d := columnDef{base: base}
	p := newParser(text, 0, flavor)
	p.defaultValue(&d)
	if d.Default == nil {
		return "none"
	}
	return plainDefault(base, *d.Default)
}
