package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// querier is an ordinary connection, or a transaction on one.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// catalog reads the system catalogs. Types are cached by oid until one is asked for that is not there, so a member added
// to an enumeration is seen after a restart, as in the reference. It belongs to one goroutine.
type catalog struct {
	cfg     *config
	db      querier
	log     *slog.Logger
	version string // of the source block
	headers []connectors.Header
	types   map[uint32]*pgType
}

// newCatalog reads over db. headers are the constant headers of every stream.
func newCatalog(cfg *config, db querier, version string, headers []connectors.Header, log *slog.Logger) *catalog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &catalog{cfg: cfg, db: db, log: log, version: version, headers: headers, types: map[uint32]*pgType{}}
}

// use goes on over another connection.
func (c *catalog) use(db querier) { c.db = db }

// bound limits the queries of one call to database.query.timeout.ms.
func (c *catalog) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.cfg.queryTimeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.cfg.queryTimeout)
}

// pgType is one row of pg_type, with what it is made of resolved.
type pgType struct {
	oid      uint32
	name     string
	schema   string
	kind     byte // typtype: b base, c composite, d domain, e enum, m multirange, p pseudo, r range
	elem     *pgType
	base     *pgType  // of a domain
	modifier int32    // of a domain: the modifier of base; -1: none
	labels   []string // of an enum, in enumsortorder
}

// tableInfo is a table as the catalog has it now.
type tableInfo struct {
	oid         uint32
	id          changes.TableID
	partitioned bool
	identity    byte // relreplident
	columns     []columnInfo
	key         []string // primary key, else the first unique index on plain columns; in key order
	comment     string
}

type columnInfo struct {
	name      string
	typeOID   uint32
	modifier  int32
	notNull   bool
	def       string // pg_get_expr of the default; "" for none
	generated bool
	comment   string
}

func (t *tableInfo) column(name string) *columnInfo {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// serverVersion is server_version_num, for example 170002.
func (c *catalog) serverVersion(ctx context.Context) (int, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	var n int
	err := c.row(ctx, "SELECT current_setting('server_version_num')::int", nil, &n)
	if err != nil {
		return 0, fmt.Errorf("read server version: %w", err)
	}
	return n, nil
}

// row reads exactly one row.
func (c *catalog) row(ctx context.Context, sql string, args []any, to ...any) error {
	rows, err := c.db.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := rows.Scan(to...); err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

// candidate is a table that may be captured.
type candidate struct {
	oid         uint32
	id          changes.TableID
	partitioned bool
	root        uint32 // topmost partitioned table above; 0 for none
}

const candidatesSQL = `SELECT c.oid, n.nspname, c.relname, c.relkind = 'p',
  CASE WHEN c.relispartition THEN (SELECT max(a.relid::oid::int8) FROM pg_partition_ancestors(c.oid) a
    JOIN pg_class p ON p.oid = a.relid WHERE NOT p.relispartition) ELSE 0 END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
ORDER BY n.nspname, c.relname`

// tables returns the captured tables in the order in which a snapshot reads them. Of a partitioned table either the root or
// its partitions are named, as the publication publishes them, so that no row is read twice. More of them than
// guardrail.collections.max are a warning or an error.
func (c *catalog) tables(ctx context.Context) ([]changes.TableID, error) {
	out, err := c.listTables(ctx)
	if err != nil || c.cfg.maxTables == 0 || len(out) <= c.cfg.maxTables {
		return out, err
	}
	if c.cfg.failTables {
		return nil, connectors.AsPermanent(errors.New(guardrailText(len(out), c.cfg.maxTables)))
	}
	c.log.Warn(guardrailText(len(out), c.cfg.maxTables))
	return out, nil
}

func (c *catalog) listTables(ctx context.Context) ([]changes.TableID, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	viaRoot, err := c.publishesRoot(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.db.Query(ctx, candidatesSQL)
	if err != nil {
		return nil, fmt.Errorf("list tables of database %s: %w", c.cfg.database, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (candidate, error) {
		t := candidate{id: changes.TableID{Catalog: c.cfg.database}}
		var root int64
		err := row.Scan(&t.oid, &t.id.Schema, &t.id.Name, &t.partitioned, &root)
		t.root = uint32(root)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("list tables of database %s: %w", c.cfg.database, err)
	}
	out := chooseTables(all, viaRoot, c.cfg.selection.Table)
	for _, t := range all {
		if t.partitioned && !viaRoot && slices.Contains(out, t.id) {
			c.log.Warn("the changes of a partitioned table come under the names of its partitions, none of which is captured: add them to table.include.list, "+
				"or use a publication with publish_via_partition_root (publish.via.partition.root=true creates one)", "table", t.id.String(), "publication", c.cfg.publication)
		}
	}
	c.cfg.selection.Sort(out)
	return out, nil
}

// chooseTables drops the roots whose partitions are captured, or the partitions whose root is.
func chooseTables(all []candidate, viaRoot bool, selected func(changes.TableID) bool) []changes.TableID {
	captured := map[uint32]bool{} // roots that are captured themselves, or through a partition
	for _, t := range all {
		if selected(t.id) {
			if viaRoot && t.partitioned && t.root == 0 {
				captured[t.oid] = true
			}
			if !viaRoot && !t.partitioned && t.root != 0 {
				captured[t.root] = true
			}
		}
	}
	var out []changes.TableID
	for _, t := range all {
		switch {
		case !selected(t.id):
		case t.partitioned && t.root != 0: // between root and leaf
		case t.partitioned && !viaRoot && captured[t.oid]:
		case viaRoot && t.root != 0 && captured[t.root]:
		default:
			out = append(out, t.id)
		}
	}
	return out
}

// publishesRoot tells whether changes of partitions come under the name of their root: as the publication has it, or as
// it will be created.
func (c *catalog) publishesRoot(ctx context.Context) (bool, error) {
	var viaRoot bool
	err := c.row(ctx, "SELECT pubviaroot FROM pg_publication WHERE pubname = $1", []any{c.cfg.publication}, &viaRoot)
	if errors.Is(err, pgx.ErrNoRows) {
		return c.cfg.viaRoot, nil
	}
	if err != nil {
		return false, fmt.Errorf("read publication %s: %w", c.cfg.publication, err)
	}
	return viaRoot, nil
}

const tableSQL = `SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relreplident::text, coalesce(obj_description(c.oid, 'pg_class'), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE `

// tableByOID returns the table as it is now; nil when it is gone.
func (c *catalog) tableByOID(ctx context.Context, oid uint32) (*tableInfo, error) {
	return c.table(ctx, tableSQL+"c.oid = $1", oid)
}

// tableByName returns the table as it is now; nil when it does not exist.
func (c *catalog) tableByName(ctx context.Context, id changes.TableID) (*tableInfo, error) {
	return c.table(ctx, tableSQL+"n.nspname = $1 AND c.relname = $2", id.Schema, id.Name)
}

func (c *catalog) table(ctx context.Context, sql string, args ...any) (*tableInfo, error) {
	t := &tableInfo{id: changes.TableID{Catalog: c.cfg.database}}
	var identity string
	err := c.row(ctx, sql, args, &t.oid, &t.id.Schema, &t.id.Name, &t.partitioned, &identity, &t.comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read table %v from the catalog: %w", args, err)
	}
	t.identity = identity[0]
	if t.columns, err = c.columns(ctx, t.oid); err != nil {
		return nil, fmt.Errorf("read columns of table %s from the catalog: %w", t.id, err)
	}
	if t.key, err = c.key(ctx, t.oid); err != nil {
		return nil, fmt.Errorf("read key of table %s from the catalog: %w", t.id, err)
	}
	return t, nil
}

const columnsSQL = `SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
  a.attgenerated <> '', coalesce(col_description(a.attrelid, a.attnum), '')
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

func (c *catalog) columns(ctx context.Context, oid uint32) ([]columnInfo, error) {
	rows, err := c.db.Query(ctx, columnsSQL, oid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (columnInfo, error) {
		var col columnInfo
		err := row.Scan(&col.name, &col.typeOID, &col.modifier, &col.notNull, &col.def, &col.generated, &col.comment)
		return col, err
	})
}

// The primary key comes first, then unique indexes by name. Partial indexes and those on expressions do not identify a row.
const keySQL = `SELECT i.indexrelid, a.attname
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts
ORDER BY i.indisprimary DESC, x.relname, k.n`

func (c *catalog) key(ctx context.Context, oid uint32) ([]string, error) {
	rows, err := c.db.Query(ctx, keySQL, oid)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	var first uint32
	for rows.Next() {
		var index uint32
		var name string
		if err := rows.Scan(&index, &name); err != nil {
			return nil, err
		}
		if first == 0 {
			first = index
		}
		if index == first {
			out = append(out, name)
		}
	}
	return out, rows.Err()
}

const typeSQL = `SELECT t.typname, n.nspname, t.typtype::text, t.typelem, t.typbasetype, t.typtypmod, t.typcategory::text,
  coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '{}')
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = $1`

// typeOf returns a type by its oid; one that is gone from the catalog is an unknown type.
func (c *catalog) typeOf(ctx context.Context, oid uint32) (*pgType, error) {
	if t, ok := c.types[oid]; ok {
		return t, nil
	}
	t := &pgType{oid: oid}
	var kind, category string
	var elem, base uint32
	err := c.row(ctx, typeSQL, []any{oid}, &t.name, &t.schema, &kind, &elem, &base, &t.modifier, &category, &t.labels)
	if errors.Is(err, pgx.ErrNoRows) {
		return &pgType{oid: oid, name: fmt.Sprintf("unknown type %d", oid), kind: 'p', modifier: -1}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read type %d from the catalog: %w", oid, err)
	}
	t.kind = kind[0]
	if category == "A" && elem != 0 {
		if t.elem, err = c.typeOf(ctx, elem); err != nil {
			return nil, err
		}
	}
	if t.kind == 'd' {
		if t.base, err = c.typeOf(ctx, base); err != nil {
			return nil, err
		}
	}
	c.types[oid] = t
	return t, nil
}

// typeName is the column's type as SQL spells it, for example numeric(10,2) or text[].
func typeName(t *pgType, modifier int32) string {
	if t.elem != nil {
		return typeName(t.elem, modifier) + "[]"
	}
	name := t.name
	switch t.schema {
	case "pg_catalog":
		if t.oid != oidBpchar || modifier >= 0 { // character is character(1)
			name = changes.PostgresName(name)
		}
	case "public", "":
	default:
		name = t.schema + "." + name
	}
	if m := modifierText(t, modifier); m != "" {
		if before, after, ok := strings.Cut(name, " with"); ok { // time(3) with time zone
			return before + m + " with" + after
		}
		return name + m
	}
	return name
}
