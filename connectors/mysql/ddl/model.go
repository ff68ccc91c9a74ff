// Package ddl follows the data definition statements of MySQL and MariaDB: it keeps the tables that the statements describe, as
// a server that ran them has them, and tells which tables a statement changed. It reads statements from the binlog, from
// SHOW CREATE TABLE and from a schema history.
package ddl

// ID names a table.
type ID struct{ Database, Table string }

// Table is one version of a table. Immutable once a Catalog holds it.
type Table struct {
	ID
	Charset string // default character set, lower case; "": not known
	Comment string
	Columns []Column // in order
	Key     []string // columns of the primary key in its order; of the first usable unique index when there is none

	indexes []index // primary key first; empty when the table came from Put without them
}

// Column is a column as the reference's schema history describes it (reference 3.12, 7.4). Text is as the reference writes it.
type Column struct {
	Name          string
	JDBCType      int
	NativeType    int      // 0: not given
	Type          string   // upper case with its attributes: INT UNSIGNED, VARCHAR, DECIMAL, ENUM
	Expression    string   // typeExpression
	Charset       string   // "": none
	Length, Scale int      // -1: none
	Position      int      // from 1
	Optional      bool     // may be NULL
	AutoIncrement bool     // autoIncremented
	Generated     bool     // AUTO_INCREMENT or ON UPDATE, as the reference has it
	Computed      bool     // GENERATED ALWAYS AS (expression)
	Comment       string   // "": none
	HasDefault    bool     // a default is given, or NULL is one
	Default       *string  // its text, nil for NULL or none
	Labels        []string // of ENUM and SET, without quotes
	Invisible     bool     // not part of SELECT *

	implicit bool // a TIMESTAMP that is still to get the default that the server gives it
}

// Kind of a Change.
type Kind uint8

// The kinds of changes, as the reference names them.
const (
	Create Kind = iota + 1
	Alter
	Drop
	Truncate // no change of structure: the rows are gone
	Database // CREATE, DROP and USE of a database, SET of variables: no table of its own
)

// Change is what a statement did to one table, or to a database as a whole.
type Change struct {
	Kind     Kind
	ID       ID     // Database: without a table
	Previous ID     // Alter that renamed; zero: same name
	Table    *Table // after it; nil for Drop, Truncate and Database
	// Statement is the part that says so, from its first token to its last; where one statement names several tables, as the
	// reference writes them apart: "RENAME TABLE a TO b", "DROP TABLE IF EXISTS `db`.`a`". Empty: only a consequence, such as the tables
	// of a dropped database, which the reference does not publish.
	Statement string
}
