package ddl

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// generator makes statements, most of which a server takes.
type generator struct {
	*rand.Rand
	maria   bool
	oracle  bool     // types of MariaDB's sql_mode=ORACLE, too
	catalog *Catalog // what is there, so that statements mean something
	db      string
}

var tableNames = []string{"t0", "t1", "t2", "t3", "Mixed Case", "é", "back`tick", "select", "1st"}

var columnNames = []string{"c0", "c1", "c2", "c3", "c4", "c5", "Mixed Case", "é", "a-b", "key", "1e5", "back`tick", "comment", "first_", "1st"}

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// join writes parts with varied space and comments between them.
func (g *generator) join(parts ...string) string {
	var b strings.Builder
	for i, part := range parts {
		if part == "" {
			continue
		}
		if i > 0 {
			b.WriteString(g.pick(" ", " ", " ", " ", "\n", "\t ", " /* it's */ ", " -- a `comment\n", " # b\n", "/**/ "))
		}
		b.WriteString(part)
	}
	return b.String()
}

func (g *generator) quote(name string) string {
	plain := len(name) == 2 && name[0] < 0x80 && !isDigit(name[0])
	if plain && g.chance(70) {
		return name
	}
	return quoteName(name)
}

func (g *generator) keyword(words string) string {
	if g.chance(20) {
		return strings.ToLower(words)
	}
	return words
}

// table is the name of a table as a statement writes it; mostly one that is there.
func (g *generator) table() (*Table, string) {
	tables := g.catalog.Tables()
	if len(tables) == 0 {
		return nil, g.quote(g.pick(tableNames...))
	}
	t := tables[g.IntN(len(tables))]
	if g.chance(10) {
		return t, g.db + "." + g.quote(t.ID.Table)
	}
	return t, g.quote(t.ID.Table)
}

func (g *generator) charset() string {
	return g.pick("utf8mb4", "utf8mb3", "latin1", "ascii", "ucs2", "utf16", "utf32", "gbk", "sjis", "cp1251", "binary")
}

// dataType returns a type and defaults that fit it.
func (g *generator) dataType() (sql string, defaults []string) {
	if g.oracle && g.chance(25) {
		return g.pick("NUMBER", "NUMBER(5)", "NUMBER(10,2)", "VARCHAR2(20)", "VARCHAR2(20 CHAR)", "RAW(4)", "CLOB", "BLOB", "DATE", "mariadb_schema.date", "oracle_schema.date", "maxdb_schema.timestamp"), []string{"NULL"}
	}
	sign := g.pick("", "", " UNSIGNED", " SIGNED", " UNSIGNED ZEROFILL", " ZEROFILL")
	switch g.IntN(14) {
	case 0:
		return g.pick("TINYINT", "TINYINT(1)", "SMALLINT", "MEDIUMINT", "INT", "INT(11)", "INTEGER", "BIGINT", "INT1", "INT2", "INT3", "INT4", "INT8", "MIDDLEINT") + sign,
			[]string{"0", "1", "'12'", "+3", "0x1F", "b'101'", "NULL"}
	case 1:
		return g.pick("BOOL", "BOOLEAN"), []string{"TRUE", "false", "1", "NULL"}
	case 2:
		return g.pick("DECIMAL", "DECIMAL(5)", "DECIMAL(10, 2)", "DEC(8,3)", "NUMERIC(65,30)", "FIXED(6,1)", "NUMERIC") + sign, []string{"0", "1", "'+2'", "-3", "NULL"}
	case 3:
		return g.pick("FLOAT", "FLOAT(24)", "FLOAT(25)", "FLOAT(7,3)", "DOUBLE", "DOUBLE PRECISION", "DOUBLE(10,2)", "REAL", "FLOAT8", "FLOAT4") + sign,
			[]string{"0", "1.5", "25e-1", "NULL"}
	case 4:
		return g.pick("BIT", "BIT(1)", "BIT(8)", "BIT(64)"), []string{"b'1'", "0", "NULL", "0b1"}
	case 5:
		return g.pick("DATE", "YEAR"), []string{"'2020'", "NULL"}[1:]
	case 6:
		p := g.pick("", "(3)", "(6)")
		return g.pick("DATETIME", "TIMESTAMP") + p, []string{"CURRENT_TIMESTAMP" + p, "NOW" + strings.Replace(p, "", "", 1) + g.emptyParens(p), "'2020-01-02 03:04:05'", "LOCALTIMESTAMP" + p + " ON UPDATE CURRENT_TIMESTAMP" + p}
	case 7:
		return g.pick("TIME", "TIME(3)"), []string{"'11:12:13'", "NULL"}
	case 8, 9:
		return g.text()
	case 10:
		return g.pick("BINARY", "BINARY(4)", "VARBINARY(20)"), []string{"'ab'", "x'6162'", "NULL", "0x61"}[2:]
	case 11:
		return g.pick("TINYBLOB", "BLOB", "BLOB(100)", "BLOB(70000)", "MEDIUMBLOB", "LONGBLOB", "LONG VARBINARY", "JSON"), nil
	case 12:
		labels := g.pick("('a','b','c')", "('x')", "('it''s','a,b')", `('back\\slash', "dq", 'sp  ')`)
		return g.pick("ENUM", "SET") + labels + g.pick("", "", " CHARACTER SET latin1", " COLLATE utf8mb4_bin", " BINARY"), []string{"NULL"}
	}
	return g.pick("GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"), nil
}

func (g *generator) emptyParens(p string) string {
	if p == "" {
		return "()"
	}
	return ""
}

func (g *generator) text() (sql string, defaults []string) {
	sql = g.pick("CHAR", "CHAR(5)", "CHARACTER(5)", "VARCHAR(20)", "VARCHAR(300)", "CHAR VARYING(9)", "CHARACTER VARYING(9)", "NCHAR(4)", "NATIONAL CHAR(4)",
		"NATIONAL VARCHAR(6)", "NVARCHAR(6)", "NCHAR VARCHAR(6)", "NATIONAL CHARACTER VARYING(7)", "TINYTEXT", "TEXT", "TEXT(100)", "TEXT(20000)", "MEDIUMTEXT", "LONGTEXT",
		"LONG", "LONG VARCHAR")
	if !strings.HasPrefix(sql, "N") {
		switch g.IntN(8) {
		case 0, 1:
			sql += g.pick(" CHARACTER SET ", " CHARSET ", " CHAR SET ", "\ncharacter\tset ") + g.charset()
		case 2:
			sql += " COLLATE " + g.pick("utf8mb4_bin", "latin1_swedish_ci", "utf8mb3_general_ci", "ucs2_bin", "utf8mb4_unicode_ci", "binary")
		case 3:
			sql += g.pick(" ASCII", " UNICODE", " BINARY", " CHARACTER SET latin1 BINARY", " CHARACTER SET latin1 COLLATE latin1_bin")
		}
	}
	if strings.Contains(sql, "TEXT") || strings.Contains(sql, "LONG") {
		return sql, nil
	}
	return sql, []string{"NULL", "'ab'", "''", "'it''s'", `'a\'b'`, `"d""q"`, "'a' 'b'", "_utf8mb4'ab'", "N'n'", "'a, b) c'"}
}

// column is a column's definition without its name.
func (g *generator) column() string {
	sql, defaults := g.dataType()
	attributes := []string{sql}
	if g.chance(8) && strings.Contains(sql, "INT") {
		return g.join(append(attributes, g.keyword("GENERATED ALWAYS AS"), "(1 + (2 * 3))", g.pick("", "VIRTUAL", "STORED"))...)
	}
	null := g.pick("", "", "NULL", "NOT NULL", "NOT NULL")
	attributes = append(attributes, g.keyword(null))
	if len(defaults) > 0 && g.chance(50) {
		value := g.pick(defaults...)
		if value == "NULL" && null == "NOT NULL" {
			value = ""
		}
		if value != "" {
			attributes = append(attributes, g.keyword("DEFAULT"), value)
		}
	}
	if g.chance(6) && strings.Contains(sql, "VARCHAR(20)") {
		attributes = append(attributes[:1], "DEFAULT (CONCAT('a', \"b)\"))")
	}
	if g.chance(10) {
		attributes = append(attributes, "COMMENT", g.pick("'plain'", "'it''s, (x)'", `"a\nb"`))
	}
	if g.chance(5) {
		attributes = append(attributes, g.pick("UNIQUE", "UNIQUE KEY", "PRIMARY KEY", "KEY"))
	}
	if g.chance(5) {
		attributes = append(attributes, g.pick("INVISIBLE", "CHECK (1 = 1)", "CONSTRAINT CHECK (2 > (1))"))
	}
	return g.join(attributes...)
}

// columns is a list of columns of the table in parentheses.
func (g *generator) columns(names []string) string {
	n := 1 + g.IntN(min(3, len(names)))
	var list []string
	for _, i := range g.Perm(len(names))[:n] {
		list = append(list, g.quote(names[i])+g.pick("", "", "", "", "(3)")+g.pick("", "", "", "", " ASC", " DESC"))
	}
	return "(" + strings.Join(list, g.pick(",", ", ")) + ")"
}

func (g *generator) index(names []string) string {
	columns := g.columns(names)
	switch g.IntN(8) {
	case 0, 1:
		return g.join(g.pick("", "CONSTRAINT", "CONSTRAINT `pk`"), "PRIMARY KEY", g.pick("", "USING BTREE"), columns)
	case 2, 3, 4:
		return g.join("UNIQUE", g.pick("", "KEY", "INDEX"), g.pick("", "", "u0", "u1", "`u 2`"), columns, g.pick("", "COMMENT 'x'", "USING BTREE"))
	case 5:
		return g.join("CONSTRAINT", g.pick("u0", "u3"), "UNIQUE", columns)
	case 6:
		return g.join(g.pick("KEY", "INDEX"), g.pick("", "k0", "k1"), columns)
	}
	if g.maria {
		return g.join("CHECK", "(1 > 0)")
	}
	return g.pick("UNIQUE KEY f0 ((1 + 1))", "KEY ((2 * 3))")
}

func (g *generator) options() string {
	var options []string
	if g.chance(50) {
		options = append(options, g.pick("ENGINE=InnoDB", "ENGINE InnoDB", "engine = innodb"))
	}
	switch g.IntN(6) {
	case 0:
		options = append(options, g.pick("DEFAULT ", "")+g.pick("CHARSET=", "CHARACTER SET ", "CHARACTER SET = ")+g.charset())
	case 1:
		options = append(options, "COLLATE="+g.pick("latin1_bin", "utf8mb4_bin", "ucs2_general_ci", "utf8mb3_bin"))
	case 2:
		options = append(options, "DEFAULT CHARSET=latin1 COLLATE=latin1_bin")
	}
	if g.chance(15) {
		options = append(options, g.pick("COMMENT='a, (b) ''c'", "COMMENT 'plain'"))
	}
	if g.chance(10) {
		options = append(options, g.pick("AUTO_INCREMENT=5", "ROW_FORMAT=DYNAMIC", "STATS_PERSISTENT=0", "MAX_ROWS=10"))
	}
	return strings.Join(options, g.pick(" ", ", ", "\n"))
}

func (g *generator) create() string {
	name := g.pick(tableNames...)
	var names, elements []string
	for _, i := range g.Perm(len(columnNames))[:1+g.IntN(7)] {
		names = append(names, columnNames[i])
		elements = append(elements, g.join(g.quote(columnNames[i]), g.column()))
	}
	if g.chance(15) {
		names = append(names, "auto")
		elements = append(elements, g.pick("auto INT AUTO_INCREMENT PRIMARY KEY", "auto SERIAL", "auto BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE"))
	}
	for g.chance(45) {
		elements = append(elements, g.index(names))
	}
	create := g.pick("CREATE TABLE", "CREATE TABLE", "CREATE TABLE IF NOT EXISTS", "create table")
	if g.maria && g.chance(20) {
		create = "CREATE OR REPLACE TABLE"
	}
	return g.join(create, g.quote(name), "("+g.join(strings.Join(elements, g.pick(",", ", ", ",\n  ")))+")", g.options(), g.pick("", "", "/*!50100 PARTITION BY HASH (1) */"))
}

// existing is the name of one of the table's columns.
func (g *generator) existing(t *Table) string {
	return g.quote(t.Columns[g.IntN(len(t.Columns))].Name)
}

func (g *generator) place(t *Table) string {
	switch g.IntN(4) {
	case 0:
		return g.keyword("FIRST")
	case 1:
		return g.keyword("AFTER") + " " + g.existing(t)
	}
	return ""
}

func (g *generator) alterPart(t *Table) string {
	fresh := g.quote(g.pick(columnNames...))
	column := g.pick("COLUMN", "")
	var names []string
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	switch g.IntN(17) {
	case 0, 1, 2:
		return g.join("ADD", column, fresh, g.column(), g.place(t))
	case 3:
		return g.join("ADD", column, "("+g.quote(g.pick(columnNames...)), g.column()+",", g.quote(g.pick(columnNames...)), g.column()+")")
	case 4, 5:
		return g.join("DROP", column, g.existing(t))
	case 6, 7:
		return g.join("MODIFY", column, g.existing(t), g.column(), g.place(t))
	case 8:
		return g.join("CHANGE", column, g.existing(t), fresh, g.column(), g.place(t))
	case 9:
		return g.join("RENAME COLUMN", g.existing(t), "TO", g.pick(fresh, g.existing(t)))
	case 10:
		c := &t.Columns[g.IntN(len(t.Columns))]
		value := "NULL"
		if c.Computed {
			return "FORCE"
		}
		if isText(c.Base()) {
			value = g.pick("'a'", "NULL", "'x\\'y'")
		} else if numeric(c.Base()) && c.Base() != "year" {
			value = g.pick("1", "NULL", "'0'")
		}
		return g.join("ALTER", column, g.quote(c.Name), g.pick("DROP DEFAULT", "SET DEFAULT "+value))
	case 11:
		return g.join("ADD", g.index(names))
	case 12:
		if len(t.indexes) == 0 {
			return "DROP PRIMARY KEY"
		}
		ix := t.indexes[g.IntN(len(t.indexes))]
		if ix.kind == indexPrimary {
			return g.pick("DROP PRIMARY KEY", "DROP PRIMARY KEY, ADD PRIMARY KEY "+g.columns(names))
		}
		return g.pick(g.join("DROP", g.pick("INDEX", "KEY"), quoteName(ix.name)), g.join("RENAME INDEX", quoteName(ix.name), "TO", g.pick("u0", "u9", "k3")))
	case 13:
		if slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Labels != nil }) {
			return "FORCE" // servers damage labels when they convert them
		}
		if slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Default != nil && bytesPer(c.Charset) == 4 }) {
			return "CONVERT TO CHARSET utf8mb4"
		}
		return g.pick("CONVERT TO CHARACTER SET ", "CONVERT TO CHARSET ") + g.pick("latin1", "utf8mb4", "ucs2", "utf8mb3", "utf8mb4 COLLATE utf8mb4_bin")
	case 14:
		if g.chance(50) {
			return g.pick("RENAME TO ", "RENAME TO ", "RENAME AS ", "RENAME ") + g.quote(g.pick(tableNames...))
		}
		return g.pick("FORCE", "ENGINE=InnoDB", "ALGORITHM=COPY", "LOCK=SHARED", "ORDER BY "+g.existing(t))
	case 15:
		if g.maria {
			return g.pick(g.join("ADD COLUMN IF NOT EXISTS", fresh, g.column()), g.join("DROP COLUMN IF EXISTS", fresh), g.join("MODIFY COLUMN IF EXISTS", fresh, g.column()))
		}
		return g.join("ALTER COLUMN", g.existing(t), "SET", g.pick("VISIBLE", "INVISIBLE"))
	}
	return g.options()
}

func (g *generator) alter() string {
	t, name := g.table()
	if t == nil {
		return g.create()
	}
	var parts []string
	for {
		part := g.alterPart(t)
		if part == "" {
			continue
		}
		if strings.Contains(part, "SET DEFAULT") { // that fits this type alone
			parts = []string{part}
			break
		}
		// MariaDB keeps both names of a table that it renames and copies; MySQL makes any type tiny that it modifies and converts.
		if strings.HasPrefix(part, "RENAME ") && !strings.Contains(part, "COLUMN") && !strings.Contains(part, "INDEX") || strings.Contains(part, "CONVERT") {
			parts = []string{part}
			break
		}
		parts = append(parts, part)
		if g.chance(55) {
			break
		}
	}
	return g.join("ALTER TABLE", name, strings.Join(parts, g.pick(",", ", ", ",\n")))
}

// statement makes the next one.
func (g *generator) statement() string {
	_, name := g.table()
	_, other := g.table()
	switch n := g.IntN(100); {
	case n < 22 || len(g.catalog.Tables()) == 0:
		return g.create()
	case n < 75:
		return g.alter()
	case n < 79:
		return g.join("CREATE TABLE", g.quote(g.pick(tableNames...)), g.pick("LIKE "+name, "(LIKE "+name+")"))
	case n < 83:
		return g.join("RENAME TABLE", name, "TO", g.quote(g.pick(tableNames...)))
	case n < 85:
		return fmt.Sprintf("RENAME TABLE %s TO swap, %s TO %s, swap TO %s", name, other, name, other)
	case n < 88:
		return g.join("DROP TABLE", g.pick(name, "IF EXISTS "+name, "IF EXISTS nothere, "+name), g.pick("", "", "CASCADE"))
	case n < 93:
		t, table := g.table()
		return g.join("CREATE", g.pick("UNIQUE", "UNIQUE", ""), "INDEX", g.pick("u0", "u1", "k5"), g.pick("", "USING BTREE"), "ON", table, "("+g.existing(t)+")")
	case n < 96:
		t, table := g.table()
		if len(t.indexes) > 0 {
			return g.join("DROP INDEX", quoteName(t.indexes[g.IntN(len(t.indexes))].name), "ON", table)
		}
		return "TRUNCATE TABLE " + table
	case n < 98:
		return g.join("ALTER DATABASE", g.pick("", g.db), g.pick("CHARACTER SET ", "DEFAULT CHARSET = ")+g.pick("latin1", "utf8mb4", "ucs2"))
	case n < 99:
		return "TRUNCATE " + name
	}
	return "CREATE OR REPLACE VIEW v AS SELECT 1; "
}
