package mysql

import (
	"strings"
	"testing"
)

// A sequence is a table of its own for the binlog: its rows are no changes of a table, whether the sequence is older than the snapshot or not.
func TestSequencesAreLeftOut(t *testing.T) {
	t.Parallel()
	r := newMariaDBRig(t, nil)
	r.exec("CREATE SEQUENCE before_it", "CREATE TABLE a (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.exec("CREATE SEQUENCE s START WITH 10 CACHE 2", "CREATE SEQUENCE small AS SMALLINT", "DO NEXTVAL(s), NEXTVAL(small), NEXTVAL(before_it)", "ALTER SEQUENCE s RESTART 100", "DO NEXTVAL(s)",
		"INSERT INTO a VALUES (1)")
	r.until(1)
}

// The binlog of a system-versioned table has its past as inserts, and deletes as updates.
func TestSystemVersioningIsRefused(t *testing.T) {
	t.Parallel()
	r := newMariaDBRig(t, nil)
	r.exec("CREATE TABLE a (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING")
	r.start()
	r.streaming()
	r.exec("INSERT INTO a VALUES (1, 1)")
	if err := r.pollError(); !strings.Contains(err.Error(), "SYSTEM VERSIONING") || !strings.Contains(err.Error(), "table.exclude.list") {
		t.Error(err)
	}
}
