package mysql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
	"github.com/freshet-io/freshet/testbed"
)

// shapes are the columns of a table as far as they do not depend on spelling.
func shapes(def *ddl.Table) string {
	if def == nil {
		return "none"
	}
	var out []string
	for i := range def.Columns {
		c := &def.Columns[i]
		value := "none"
		if c.Default != nil {
			value = *c.Default
		}
		out = append(out, fmt.Sprintf("%s %s %v optional %v default %s (%v) generated %v", c.Name, c.Base(), c.Unsigned(), c.Optional, value, c.HasDefault, c.Generated))
	}
	return strings.Join(append(out, fmt.Sprint(def.Key)), "\n")
}

// sameAsServer runs statements while the connector streams and compares its tables with what the server says of them then.
func sameAsServer(r *rig, statements ...string) {
	r.t.Helper()
	r.exec("CREATE TABLE last (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.exec(statements...)
	r.exec("INSERT INTO last VALUES (1)")
	r.until(1)
	f := flavorMySQL
	if r.server.IsMariaDB() {
		f = flavorMariaDB
	}
	want, seen := catalogOf(r.t, r.server, f, r.db), 0
	for _, table := range want.Tables() {
		if table.Columns[0].Name == "next_not_cached_value" { // a sequence
			continue
		}
		seen++
		if got, want := shapes(r.task.schema.table(table.ID)), shapes(table); got != want {
			r.t.Errorf("table %s is known as\n%s\nand is\n%s", table.ID.Table, got, want)
		}
	}
	if seen < 2 {
		r.t.Errorf("%d tables", seen)
	}
}

var implicitTimestamps = []string{
	"CREATE TABLE t (id INT PRIMARY KEY, a TIMESTAMP, b TIMESTAMP, c TIMESTAMP NULL, d TIMESTAMP(3) NOT NULL DEFAULT '2020-01-02 03:04:05.123')",
	"CREATE TABLE u (id INT PRIMARY KEY, a TIMESTAMP NOT NULL ON UPDATE CURRENT_TIMESTAMP, b TIMESTAMP DEFAULT '2020-01-02 03:04:05')",
	"CREATE TABLE v (id INT PRIMARY KEY)", "ALTER TABLE v ADD a TIMESTAMP", "ALTER TABLE v ADD b TIMESTAMP, ADD c TIMESTAMP NULL", "ALTER TABLE v MODIFY c TIMESTAMP NULL DEFAULT '2020-01-02 03:04:05'",
}

// TestImplicitTimestamps: whether a TIMESTAMP column that does not say so may be NULL is a setting, of the session or the server.
func TestImplicitTimestamps(t *testing.T) {
	t.Parallel()
	const off = "SET SESSION explicit_defaults_for_timestamp = OFF, sql_mode = ''"
	for name, make := range map[string]func(t *testing.T) *rig{
		"mysql":   func(t *testing.T) *rig { return newRig(t, nil) },
		"mariadb": func(t *testing.T) *rig { return newMariaDBRig(t, nil) },
	} {
		t.Run(name+" session", func(t *testing.T) {
			t.Parallel()
			sameAsServer(make(t), append([]string{off}, implicitTimestamps...)...)
		})
		t.Run(name+" other session", func(t *testing.T) {
			t.Parallel()
			sameAsServer(make(t), "SET SESSION explicit_defaults_for_timestamp = ON", implicitTimestamps[0], implicitTimestamps[2], implicitTimestamps[3])
		})
	}
	onNewServersWith(t, []string{"explicit-defaults-for-timestamp=OFF", "sql-mode="}, func(t *testing.T, m *testbed.MySQL) {
		r := rigOn(t, m, Factory{Version: "1", MariaDB: m.IsMariaDB()}, nil)
		sameAsServer(r, append(implicitTimestamps, "SET SESSION explicit_defaults_for_timestamp = ON", "CREATE TABLE x (id INT PRIMARY KEY, a TIMESTAMP, b TIMESTAMP)")...)
	})
}

// TestServerWithoutSessions has what a MariaDB before 10.8.4 says, where explicit_defaults_for_timestamp is a setting of the server alone: nothing.
func TestServerWithoutSessions(t *testing.T) {
	t.Parallel()
	for _, implicit := range []bool{false, true} {
		q := queryEvent{text: []byte("x"), status: []byte{statusFlags2, 0, 0, 0, 0, statusSQLMode, 4, 0, 0, 0, 0, 0, 0, 0}}
		if mode, _ := q.decode(timestamps{implicit: implicit}); mode&ddl.ImplicitTimestamp != 0 != implicit || mode&ddl.ANSIQuotes == 0 {
			t.Errorf("implicit %v: mode %x", implicit, mode)
		}
	}
	// What lies in front of MySQL's own word: the databases that the statement changed, and the microseconds.
	q := queryEvent{text: []byte("x"), status: []byte{
		statusInvoker, 1, 'u', 1, 'h', statusDatabases, 2, 'a', 0, 'b', 'c', 0, statusMicroseconds, 1, 2, 3, statusExplicit, 0,
	}}
	if mode, _ := q.decode(timestamps{}); mode != ddl.ImplicitTimestamp {
		t.Errorf("mode %x", mode)
	}
	for n := range q.status {
		cut := queryEvent{text: q.text, status: q.status[:n]}
		if mode, _ := cut.decode(timestamps{}); mode != 0 && n < len(q.status)-1 {
			t.Errorf("%d bytes: mode %x", n, mode)
		}
	}
}

// TestStatementsOfModes has statements that read otherwise under another sql_mode.
func TestStatementsOfModes(t *testing.T) {
	t.Parallel()
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		sameAsServer(newRig(t, nil), "SET SESSION sql_mode = 'ANSI'", `CREATE TABLE "t u" ("id" INT PRIMARY KEY, "a ""b" REAL, v VARCHAR(20) DEFAULT ('a' || 'b'))`,
			`ALTER TABLE "t u" ADD COLUMN "w" VARCHAR(9) DEFAULT 'x"y'`, "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'", `ALTER TABLE `+"`t u`"+` ADD COLUMN z VARCHAR(9) DEFAULT 'x\'`)
	})
	for mode, statements := range map[string][]string{
		"ANSI": {`CREATE TABLE "t u" ("id" INT PRIMARY KEY, "a ""b" REAL, v VARCHAR(20) DEFAULT ('a' || 'b'))`, `ALTER TABLE "t u" ADD COLUMN "w" VARCHAR(9) DEFAULT 'x"y'`},
		"ORACLE": {
			`CREATE TABLE "t" (id NUMBER(9) PRIMARY KEY, n NUMBER, d DATE DEFAULT SYSDATE, pure mariadb_schema.date, b BLOB, c CLOB, v VARCHAR2(20) DEFAULT ('a' || 'b'), r RAW(8))`,
			`ALTER TABLE "t" MODIFY n NUMBER(5,2)`, `ALTER TABLE "t" ADD (x DATE, y VARCHAR2(3))`, "CREATE OR REPLACE PROCEDURE p AS BEGIN NULL; END", "CREATE PACKAGE k AS FUNCTION f RETURN INT; END",
			"CREATE SEQUENCE s", `CREATE TABLE w (id INT DEFAULT s.NEXTVAL PRIMARY KEY, "v" INT)`, "TRUNCATE TABLE w DROP STORAGE", "DROP PACKAGE k", "DROP PROCEDURE p",
		},
		"MSSQL":                {"CREATE TABLE [t u] ([id] INT PRIMARY KEY, [a]]b] INT)"},
		"MAXDB":                {"CREATE TABLE t (id INT PRIMARY KEY, a TIMESTAMP)"},
		"EMPTY_STRING_IS_NULL": {"CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(3) DEFAULT '')"},
		"POSTGRESQL":           {`CREATE TABLE "t" (id INT PRIMARY KEY, a TIMESTAMP NULL)`},
		"DB2":                  {`CREATE TABLE "t" (id INT PRIMARY KEY, a TIMESTAMP NULL)`},
	} {
		t.Run("mariadb "+mode, func(t *testing.T) {
			t.Parallel()
			sameAsServer(newMariaDBRig(t, nil), append([]string{"SET SESSION sql_mode = '" + mode + "'"}, statements...)...)
		})
	}
}

// TestServerOfAnotherMode: what the server says of its tables does not depend on its own sql_mode.
func TestServerOfAnotherMode(t *testing.T) {
	t.Parallel()
	m := testbed.StartMariaDB(t, "sql-mode=ORACLE")
	r := rigOn(t, m, Factory{Version: "1", MariaDB: true}, connectors.Config{"snapshot.mode": "initial"})
	r.exec(`CREATE TABLE "t" (id NUMBER(9) PRIMARY KEY, d DATE, v VARCHAR2(9))`, `INSERT INTO "t" VALUES (1, '2024-02-29 12:34:56', 'a')`)
	r.start()
	r.until(1)
	r.streaming()
	r.exec(`INSERT INTO "t" VALUES (2, '2024-02-29 12:34:56', 'a')`, `ALTER TABLE "t" ADD "w" DATE`, `INSERT INTO "t" VALUES (3, '2024-02-29 12:34:56', 'a', '2024-02-29 12:34:56')`)
	r.until(3)
	var got []string
	for _, e := range r.events {
		_, after, _ := strings.Cut(strings.TrimSuffix(e, " last."), " after ")
		got = append(got, after)
	}
	if want := []string{"(1,1709210096000000,a) last", "(2,1709210096000000,a)", "(3,1709210096000000,a,1709210096000000)"}; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
}
