package ddl

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// run applies statements to a new catalog and returns it with what the last one did.
func run(t *testing.T, flavor Flavor, mode SQLMode, statements ...string) (*Catalog, []Statement) {
	t.Helper()
	c := NewCatalog(flavor, false)
	c.SetServerCharset("utf8mb4")
	var last []Statement
	for _, s := range statements {
		done, err := c.Apply("db", s, mode)
		if err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
		last = done
	}
	return c, last
}

// describe is a table in short: name type [charset] [default], …; its key.
func describe(table *Table) string {
	if table == nil {
		return "none"
	}
	var columns []string
	for _, c := range table.Columns {
		text := c.Name + " " + c.Type
		if c.Charset != "" {
			text += " " + c.Charset
		}
		if !c.Optional {
			text += " !"
		}
		if c.Default != nil {
			text += fmt.Sprintf(" =%q", *c.Default)
		}
		if c.Invisible {
			text += " hidden"
		}
		if c.Computed {
			text += " computed"
		}
		if c.Labels != nil {
			text += fmt.Sprintf(" %q", c.Labels)
		}
		columns = append(columns, text)
	}
	return strings.Join(columns, ", ") + "; " + strings.Join(table.Key, " ")
}

func TestTables(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		flavor Flavor
		mode   SQLMode
		want   string // of table t
		sql    []string
	}{
		{"quotes in labels", MySQL, 0, `e ENUM utf8mb4 ["it's" "a,b" "\\" "é" "sp"]; `, []string{`CREATE TABLE t (e ENUM('it''s', 'a,b', '\\', 'é', 'sp  '))`}},
		{"no backslash escapes", MySQL, NoBackslashEscapes, `a VARCHAR utf8mb4 ="x\\", b VARCHAR utf8mb4; `, []string{`CREATE TABLE t (a varchar(9) DEFAULT 'x\', b varchar(9))`}},
		{"ANSI quotes", MySQL, ANSIQuotes, "a b INT, c VARCHAR utf8mb4 =\"d\"; ", []string{`CREATE TABLE "t" ("a b" int, c varchar(9) DEFAULT 'd')`}},
		{"double quotes", MySQL, 0, `c VARCHAR utf8mb4 ="d\"e"; `, []string{`CREATE TABLE t (c varchar(9) DEFAULT "d""e")`}},
		{
			"executable comments", MySQL, 0, "a INT hidden, b INT; ",
			[]string{"CREATE /*!32302 TABLE*/ t (a int /*!80023 INVISIBLE */, /*!99999 c int,*/ b int /*M!100 , d int */ /* , e int */)"},
		},
		{
			"executable comments of MariaDB", MariaDB, 0, "a INT, b INT, d INT; ",
			[]string{"CREATE TABLE t (a int /*!80023 INVISIBLE */, b int /*M!100301 , d int */ /*M!999999 , e int */)"},
		},
		{
			"defaults", MySQL, 0,
			`a INT ="-5", b DOUBLE ="-1.5e3", c BIT ="101", d BIT ="101", e VARBINARY ="A\x00", f INT ="15", g DATETIME ="1970-01-01 00:00:00", h INT, i VARCHAR utf8mb4 ="ab", j VARCHAR utf8mb4; `,
			[]string{`CREATE TABLE t (a int DEFAULT - 5, b double DEFAULT -1.5e3, c bit(8) DEFAULT b'101', d bit(8) DEFAULT 5, e varbinary(9) DEFAULT x'4100',
				f int DEFAULT 0xF, g datetime DEFAULT now() ON UPDATE now(), h int DEFAULT (1 + (2)), i varchar(9) DEFAULT _latin1'a' 'b', j varchar(9) DEFAULT NULL)`},
		},
		{
			"MariaDB's defaults and attributes", MariaDB, 0, `a UUID !, b INET6, c INT computed, d VARCHAR utf8mb4, e INT, f TIMESTAMP ! ="1970-01-01 00:00:00"; a`,
			[]string{`CREATE OR REPLACE TABLE t (a uuid DEFAULT uuid() PRIMARY KEY, b inet6, c int AS (e + 1) PERSISTENT, d varchar(9) DEFAULT concat('a', ')') COMPRESSED,
				e int DEFAULT 1 + 2 CHECK (e > 0) MY_ATTR=1, f timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp()) ENGINE=Aria PAGE_CHECKSUM=1 WITH SYSTEM VERSIONING`},
		},
		{
			"implicit timestamps", MariaDB, ImplicitTimestamp, `a TIMESTAMP ! ="1970-01-01 00:00:00", b TIMESTAMP, c TIMESTAMP ! ="0000-00-00 00:00:00"; `,
			[]string{"CREATE TABLE t (a timestamp, b timestamp NULL)", "ALTER TABLE t ADD c timestamp NOT NULL"},
		},
		{"REAL as FLOAT", MySQL, RealAsFloat, "a FLOAT; ", []string{"CREATE TABLE t (a real)"}},
		{
			"Oracle's types", MariaDB, Oracle | ANSIQuotes, `a DATETIME, b DATE, c DOUBLE, d NUMBER, e LONGBLOB, f VARCHAR2 utf8mb4; `,
			[]string{`CREATE TABLE "t" ("a" DATE DEFAULT SYSDATE, b mariadb_schema.date, c NUMBER, d NUMBER(5,2), e BLOB, f VARCHAR2(20 CHAR) DEFAULT ('a' || 'b'))`},
		},
		{"another mode's types", MariaDB, 0, `a DATETIME, b DATETIME; `, []string{"CREATE TABLE t (a oracle_schema.date, b maxdb_schema . timestamp)"}},
		{"bits that mean nothing to MySQL", MySQL, Oracle | MSSQL | MaxDB | EmptyStringIsNull, `a DATE, b TIMESTAMP, c CHAR utf8mb4 =""; `, []string{"CREATE TABLE t (a date, b timestamp, c char(3) DEFAULT '')"}},
		{"brackets", MariaDB, MSSQL | ANSIQuotes, "a b INT, c]d INT; ", []string{`CREATE TABLE [t] ([a b] int, [c]]d] int)`}},
		{"empty texts that are NULL", MariaDB, EmptyStringIsNull, `a CHAR utf8mb4, b CHAR utf8mb4 ="x"; `, []string{"CREATE TABLE t (a char(3) DEFAULT '', b char(3) DEFAULT 'x')"}},
		{
			"foreign keys and options", MySQL, 0, "id INT !, p INT; id",
			[]string{"CREATE TABLE t (id int, p int, PRIMARY KEY USING BTREE (id) COMMENT 'x', CONSTRAINT f FOREIGN KEY (p) REFERENCES x.y (id) ON DELETE SET NULL ON UPDATE NO ACTION, FULLTEXT KEY (c) WITH PARSER ngram) TABLESPACE = ts STORAGE DISK, UNION=(a,b) DATA DIRECTORY='/x'"},
		},
		{"select", MySQL, 0, "a INT; ", []string{"CREATE TABLE t (a int) ENGINE=InnoDB AS SELECT 1 AS a FROM (SELECT 1) x"}},
		{"names", MySQL, 0, "key INT, a.b INT, 1a INT; ", []string{"CREATE TABLE db . `t` (`key` int, `a.b` int, db.t.1a int)"}},
		{"swapped columns", MySQL, 0, "b INT, a TEXT utf8mb4; ", []string{"CREATE TABLE t (a int, b text)", "ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a"}},
		{"drop and add", MySQL, 0, "a TEXT utf8mb4, b INT; ", []string{"CREATE TABLE t (a int, b int)", "ALTER TABLE t DROP a, ADD a text FIRST"}},
		{
			"unique keys", MySQL, 0, "a INT !, b INT, c INT !; c",
			[]string{"CREATE TABLE t (a int NOT NULL, b int, c int NOT NULL, UNIQUE k1 (a, b), UNIQUE k2 (a), UNIQUE k3 (c))", "DROP INDEX k2 ON t"},
		},
		{"auto-named unique key", MySQL, 0, "a INT !; ", []string{"CREATE TABLE t (a int NOT NULL UNIQUE, KEY (a))", "ALTER TABLE t DROP INDEX a"}},
		{"key with an expression", MySQL, 0, "a INT !; ", []string{"CREATE TABLE t (a int NOT NULL, UNIQUE ((a + 1)))"}},
		{
			"charsets", MySQL, 0, "a VARCHAR latin1, b TEXT utf8mb4, c VARBINARY, d TINYBLOB, e CHAR utf8mb4, f NCHAR utf8; ",
			[]string{"CREATE TABLE t (a varchar(9) COLLATE latin1_bin, b text CHARACTER SET 'utf8mb4' COLLATE utf8mb4_bin, c varchar(9) CHARSET binary, d tinytext BYTE, e char, f nchar) COLLATE utf8mb4_bin"},
		},
		{"SET STATEMENT", MariaDB, 0, "a INT; ", []string{"SET STATEMENT max_statement_time=0, foo='FOR' FOR CREATE TABLE t (a int)"}},
		{"a part becomes a table", MariaDB, 0, "a INT; ", []string{"CREATE TABLE u (a int)", "ALTER TABLE u CONVERT PARTITION p TO TABLE t"}},
		{"a query without columns", MySQL, 0, "none", []string{"CREATE TABLE t SELECT * FROM u"}},
		{"temporary", MySQL, 0, "none", []string{"CREATE TEMPORARY TABLE t (a int)"}},
		{
			"gh-ost", MySQL, 0, "id INT !, v BIGINT; id",
			[]string{
				"create /* gh-ost */ table `db`.`_t_ghc` (id bigint unsigned auto_increment, last_update timestamp not null DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, hint varchar(64) charset ascii not null, value varchar(4096) charset ascii not null, primary key(id), unique key hint_uidx(hint)) auto_increment=256 comment='x'",
				"CREATE TABLE t (id int PRIMARY KEY, v int)", "create /* gh-ost */ table `db`.`_t_gho` like `db`.`t`", "alter /* gh-ost */ table `db`.`_t_gho` modify v bigint",
				"create /* gh-ost */ table `db`.`_t_del` (id int auto_increment primary key) engine=InnoDB comment='ghost-cut-over-sentry'", "drop /* gh-ost */ table if exists `db`.`_t_del`",
				"rename /* gh-ost */ table `db`.`t` to `db`.`_t_del`, `db`.`_t_gho` to `db`.`t`", "drop /* gh-ost */ table if exists `db`.`_t_ghc`",
			},
		},
		{
			"pt-online-schema-change", MySQL, 0, "id INT !, w INT ! =\"0\"; id",
			[]string{
				"CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE `db`.`_t_new` (`id` int NOT NULL, PRIMARY KEY (`id`))", "ALTER TABLE `db`.`_t_new` ADD w int NOT NULL DEFAULT 0",
				"CREATE TRIGGER `pt_osc_db_t_del` AFTER DELETE ON `db`.`t` FOR EACH ROW BEGIN DELETE IGNORE FROM x; END", "ANALYZE TABLE `db`.`_t_new` /* pt-online-schema-change */",
				"RENAME TABLE `db`.`t` TO `db`.`_t_old`, `db`.`_t_new` TO `db`.`t`", "DROP TABLE IF EXISTS `_t_old` /* generated by server */", "DROP TRIGGER IF EXISTS `db`.`pt_osc_db_t_del`",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := run(t, test.flavor, test.mode, test.sql...)
			if got := describe(c.Table(ID{"db", "t"})); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// changesOf is what statements did, in short.
func changesOf(done []Statement) []string {
	all := []string{}
	for _, s := range done {
		if len(s.Changes) == 0 {
			all = append(all, fmt.Sprintf("%d %s %q unknown %v", s.Kind, s.Database, s.Text, s.Unknown))
		}
		for _, c := range s.Changes {
			all = append(all, fmt.Sprintf("%d %s %v %q", c.Kind, s.Database, c.ID, c.Statement))
		}
	}
	return all
}

func TestPublishedTexts(t *testing.T) {
	t.Parallel()
	const table = "CREATE TABLE a (id int PRIMARY KEY)"
	for _, test := range []struct {
		sql  []string
		want []string
	}{
		{[]string{table, "/* c */ -- d\n RENAME TABLE a TO b, other.c TO d ; # e"}, []string{"2 db {db b} \"RENAME TABLE a TO b\""}},
		{[]string{"drop tables if exists x, `o``p`.y cascade"}, []string{"3 db {db x} \"drop tables if exists `db`.`x` cascade\"", "3 db {o`p y} \"drop tables if exists `o``p`.`y` cascade\""}},
		{
			[]string{"CREATE TABLE p (a int)\n/*!50100 PARTITION BY RANGE (a)\n(PARTITION p0 VALUES LESS THAN (6) ENGINE = InnoDB) */"},
			[]string{`1 db {db p} "CREATE TABLE p (a int)"`},
		},
		{[]string{"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `x` /*!40100 DEFAULT CHARACTER SET latin1 */ -- y"}, []string{"5 x {x } \"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `x` /*!40100 DEFAULT CHARACTER SET latin1 */\""}},
		{[]string{table, "DROP DATABASE db"}, []string{`5 db {db } "DROP DATABASE db"`, `3 db {db a} ""`}},
		{[]string{table, "CREATE UNIQUE INDEX i ON a (id)"}, []string{`6 db "CREATE UNIQUE INDEX i ON a (id)" unknown []`}},
		{[]string{"CREATE TABLE a (id int NOT NULL)", "CREATE UNIQUE INDEX i ON a (id)"}, []string{`2 db {db a} "CREATE UNIQUE INDEX i ON a (id)"`}},
		{[]string{"ALTER TABLE nothere ADD x int"}, []string{`2 db "ALTER TABLE nothere ADD x int" unknown [{db nothere}]`}},
		{[]string{"TRUNCATE o.a"}, []string{`4 o {o a} "TRUNCATE o.a"`}},
		{[]string{"CREATE DEFINER=`root`@`%` PROCEDURE p() BEGIN DROP TABLE a; ALTER TABLE x y z; END"}, []string{"0 db \"CREATE DEFINER=`root`@`%` PROCEDURE p() BEGIN DROP TABLE a; ALTER TABLE x y z; END\" unknown []"}},
		{[]string{"SAVEPOINT `x`"}, []string{"0 db \"SAVEPOINT `x`\" unknown []"}},
		{[]string{"# only a comment"}, []string{}},
		{[]string{"USE o; CREATE TABLE t (a int); USE db"}, []string{`5 o {o } "USE o"`, `1 o {o t} "CREATE TABLE t (a int)"`, `5 db {db } "USE db"`}},
	} {
		_, done := run(t, MySQL, 0, test.sql...)
		if got := changesOf(done); !slices.Equal(got, test.want) {
			t.Errorf("%s\ngot  %q\nwant %q", test.sql[len(test.sql)-1], got, test.want)
		}
	}
}

func TestNotUnderstood(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sql, want string }{
		{"CREATE TABLE t (a int", `read statement at byte 21 near "": expected ')'`},
		{"CREATE TABLE t (a frob)", `read statement at byte 18 near "frob)": expected a column type`},
		{"CREATE TABLE t (a int FROB)", `read statement at byte 22 near "FROB)": expected an attribute of column a`},
		{"ALTER TABLE t FROB x", `read statement at byte 14 near "FROB x": expected a part of ALTER TABLE`},
		{"CREATE FROB x", `read statement at byte 7 near "FROB x": expected the kind of an object`},
		{"CREATE TABLE t (a varchar(9) DEFAULT 'x", `read statement at byte 37 near "'x": expected a quote or comment that ends`},
		{"ALTER TABLE t ADD a int, ADD b int WHAT", `read statement at byte 35 near "WHAT": expected an attribute of column b`},
		{"ALTER TABLE known DROP y", "apply statement to table db.known: column y is not known"},
		{"ALTER TABLE known ADD x int", "apply statement to table db.known: column x exists already"},
	} {
		c, _ := run(t, MySQL, 0, "CREATE TABLE known (x int)")
		before := c.Clone()
		_, err := c.Apply("db", test.sql, 0)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s\ngot  %v\nwant %s", test.sql, err, test.want)
		}
		if len(c.Tables()) != 1 || c.Table(ID{"db", "known"}) != before.Table(ID{"db", "known"}) {
			t.Errorf("%s changed the catalog", test.sql)
		}
	}
	if _, err := NewCatalog(MySQL, false).Apply("db", strings.Repeat(" ", MaxStatement+1), 0); err == nil {
		t.Error("a statement without bound is read")
	}
}

func TestLowerCaseNames(t *testing.T) {
	t.Parallel()
	c := NewCatalog(MySQL, true)
	for _, s := range []string{"CREATE TABLE Bets (Id int)", "ALTER TABLE BETS ADD x int"} {
		if _, err := c.Apply("DB", s, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := describe(c.Table(ID{"Db", "bETS"})); got != "Id INT, x INT; " {
		t.Error(got)
	}
}

func FuzzApply(f *testing.F) {
	for _, s := range []string{
		"CREATE TABLE t (a int DEFAULT -1, b enum('x') CHARACTER SET latin1, PRIMARY KEY (a(3) DESC)) /*!50100 PARTITION BY HASH (a) */", "/*M!1 */ -- \n#", "/*!50003 /* */ */",
		"ALTER TABLE known DROP a, ADD (a text, UNIQUE (a)), RENAME COLUMN b TO c, CONVERT TO CHARACTER SET binary, RENAME TO x.y", "RENAME TABLE known TO `a``b`, a TO b",
		"ALTER TABLE known MODIFY a int FIRST, CHANGE b c int AFTER a, ALTER a SET DEFAULT x'00', DROP INDEX u", "SET @@global.character_set_server = 'latin1', x = (1)", "USE a; USE b",
		"DROP TABLE a.b, .c, d.1e5", "SET STATEMENT a=1 FOR DROP DATABASE db", "CREATE TABLE t LIKE known", "CREATE INDEX i ON known ((a), b)", "DROP INDEX u ON known",
	} {
		f.Add(s, uint64(0), false)
		f.Add(s, uint64(ANSIQuotes|NoBackslashEscapes), true)
	}
	f.Fuzz(func(t *testing.T, statement string, mode uint64, maria bool) {
		flavor := MySQL
		if maria {
			flavor = MariaDB
		}
		c := NewCatalog(flavor, false)
		if _, err := c.Apply("db", "CREATE TABLE known (a int, b text, UNIQUE u (a))", 0); err != nil {
			t.Fatal(err)
		}
		done, _ := c.Apply("db", statement, SQLMode(mode))
		for _, s := range done {
			if !strings.Contains(statement, s.Text) {
				t.Errorf("text %q is not in %q", s.Text, statement)
			}
		}
		for _, table := range c.Tables() {
			for i, column := range table.Columns {
				if column.Position != i+1 {
					t.Errorf("column %q has position %d", column.Name, column.Position)
				}
			}
			for _, k := range table.Key {
				if table.column(k) < 0 {
					t.Errorf("key %q is no column of %s after %q", k, describe(table), statement)
				}
			}
		}
	})
}
