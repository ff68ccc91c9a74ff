package postgres

import "errors"

// errAltered is a table of the snapshot that is not what it was when the snapshot began.
var errAltered = errors.New("the table was written anew, renamed, detached or dropped after the snapshot began (TRUNCATE, ALTER TABLE, VACUUM FULL and the like), so that the snapshot " +
	"does not show its rows: the snapshot is taken again; snapshot.locking.mode=shared keeps tables from being altered while it lasts")

// alteredSQL tells, with the oid, that the table of a schema and a name may not show the snapshot's rows to the transaction that asks, which
// must hold a lock on it. TRUNCATE and what writes a table anew hide older rows from older snapshots (PostgreSQL, 13.6 Caveats). The
// rows of pg_class and pg_inherits are as of the snapshot; functions answer as of now. What the transaction has locked stays as it is.
const alteredSQL = `WITH RECURSIVE root AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %[1]s AND c.relname = %[2]s),
t(oid) AS (SELECT oid FROM root UNION SELECT i.inhrelid FROM pg_inherits i JOIN t ON i.inhparent = t.oid)
SELECT root.oid FROM root, t JOIN pg_class c USING (oid)
WHERE c.relfilenode <> coalesce(pg_relation_filenode(c.oid), 0)
  OR c.oid = root.oid AND coalesce(to_regclass(format('%%I.%%I', %[1]s::text, %[2]s::text))::oid, 0) <> c.oid
  OR c.oid <> root.oid AND c.relispartition AND NOT EXISTS (SELECT FROM pg_partition_ancestors(c.oid) a WHERE a.relid = root.oid) LIMIT 1`

// altered tells that the server does not know the table or a column that the snapshot has.
func altered(err error) bool {
	state := sqlState(err)
	return state == "42P01" || state == "42703" // undefined_table, undefined_column
}
