package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
)

const (
	samplePages  = 40     // per chunk, to find where keys have to be cut
	tidRangeScan = 140000 // server that reads a range of ctid without reading the table
	// From these correlations on between the order of keys and that of rows, a table is read by ranges of keys: with several
	// threads when that visits most pages once, with one thread when nobody sees a difference in order.
	someCorrelation = 0.5
	fullCorrelation = 0.99
)

// plan says what is to be read, in order. It reads the catalog as of the snapshot. Tables are known by their oids.
type plan struct {
	changes.SnapshotPlan[*tableRead]

	cfg      *config
	version  int
	exported string // name of the snapshot that readers import
	catalog  *catalog
}

func newPlan(t *source, exported string) *plan {
	p := &plan{cfg: t.cfg, version: t.version, catalog: t.catalog, exported: exported}
	p.Log, p.Open = t.log, p.open
	return p
}

type (
	// tableRead is what a table is read with.
	tableRead struct {
		oid uint32
		rel *relation
	}
	openTable = changes.SnapshotTable[*tableRead]
	chunk     = changes.SnapshotChunk[*tableRead]
)

// open cuts the next table.
func (p *plan) open(ctx context.Context, table changes.PlannedTable) (*openTable, []*chunk, error) {
	rel, err := p.catalog.snapshotRelation(ctx, table.ID)
	if err != nil || rel == nil {
		return nil, nil, err
	}
	t := &openTable{PlannedTable: table, Own: &tableRead{rel.oid, rel}}
	chunks, err := p.cut(ctx, t)
	if err != nil {
		return nil, nil, fmt.Errorf("cut table %s into chunks: %w", t.ID, err)
	}
	return t, chunks, nil
}

// override is the statement of snapshot.select.statement.overrides.<table>, "" for none.
func (cfg *config) override(id changes.TableID) string {
	for _, name := range []string{id.String(), id.Catalog + "." + id.String()} {
		if statement := cfg.snapshot.overrides[name]; statement != "" {
			return statement
		}
	}
	return ""
}

// tableShape is what decides how a table is cut.
type tableShape struct {
	plain bool  // an ordinary table without children, whose ctid may be read: nothing else is read with it
	size  int64 // bytes, with large values that lie apart
	pages int64
	key   changes.ChunkKey
}

const shapeSQL = `SELECT c.relkind = 'r' AND NOT c.relhassubclass AND coalesce(m.amname = 'heap' AND has_table_privilege(c.oid, 'SELECT'), false), coalesce(pg_table_size(c.oid), 0),
  coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int8, coalesce(k.name, ''), coalesce(k.type, '')
FROM pg_class c LEFT JOIN pg_am m ON m.oid = c.relam LEFT JOIN LATERAL (
  SELECT a.attname::text AS name, a.atttypid::regtype::text AS type
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
  WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype)) k ON true
WHERE c.oid = $1`

// cut makes the chunks of a table: ranges of its key, where that is an integer or a uuid and rows lie in its order more or
// less, else ranges of ctid, else one.
func (p *plan) cut(ctx context.Context, t *openTable) ([]*chunk, error) {
	whole := []*chunk{{Table: t}}
	if t.Select != "" {
		return whole, nil
	}
	var s tableShape
	if err := p.catalog.row(ctx, shapeSQL, []any{t.Own.oid}, &s.plain, &s.size, &s.pages, &s.key.Column, &s.key.Type); err != nil {
		return nil, err
	}
	n := p.cfg.snapshot.Chunks(s.size)
	if before := p.ReadBefore(t.Name); s.plain && len(before.Done) > 0 && s.key == (changes.ChunkKey{Column: before.Column, Type: before.Type}) {
		cuts, _, err := p.sample(ctx, t.Own.rel, s, n)
		t.Key, t.Done = s.key, before.Done
		return ranges(t, cuts), err
	}
	if !s.plain || n < 2 || s.pages < 2 {
		return whole, nil
	}
	if s.key.Column != "" && p.cfg.selection.Column(t.ID, s.key.Column) {
		cuts, correlation, err := p.sample(ctx, t.Own.rel, s, n)
		if err != nil {
			return nil, err
		}
		least := someCorrelation
		if p.cfg.snapshot.Threads == 1 {
			least = fullCorrelation
		}
		if correlation >= least && len(cuts) > 0 {
			t.Key = s.key
			return ranges(t, cuts), nil
		}
	}
	if p.cfg.snapshot.Threads == 1 || p.version < tidRangeScan {
		return whole, nil
	}
	return pages(t, min(int64(n), s.pages), s.pages), nil
}

// ranges makes chunks of what lies between the cuts, but for what was read before.
func ranges(t *openTable, cuts []string) []*chunk {
	name := quoteName(t.Key.Column)
	return t.Chunks(t.Key.Ranges(cuts, t.Done), func(r changes.KeyRange) string {
		var out []string
		if r.From != "" {
			out = append(out, name+" >= "+quoteLiteral(r.From))
		}
		if r.To != "" {
			out = append(out, name+" < "+quoteLiteral(r.To))
		}
		return strings.Join(out, " AND ")
	})
}

// sample finds where the keys have to be cut, and how much the order of keys is that of rows (0 to 1).
func (p *plan) sample(ctx context.Context, rel *relation, s tableShape, n int) (cuts []string, correlation float64, err error) {
	if n < 2 || s.pages == 0 {
		return nil, 1, nil
	}
	fractions := make([]string, 0, n)
	for i := 1; i < n; i++ {
		fractions = append(fractions, fmt.Sprintf("%.6f", float64(i)/float64(n)))
	}
	percent := min(100, 100*float64(n)*samplePages/float64(s.pages))
	sql := fmt.Sprintf(`WITH s AS (SELECT %s AS k, (ctid::text::point)[0] AS page FROM %s TABLESAMPLE SYSTEM (%g) REPEATABLE (1)),
o AS (SELECT k, page, row_number() OVER (ORDER BY k) AS n FROM s)
SELECT coalesce((percentile_disc(ARRAY[%s]::float8[]) WITHIN GROUP (ORDER BY k))::text[], '{}'), abs(coalesce(corr(n, page), 1)) FROM o`,
		quoteName(s.key.Column), rel.quotedName(), percent, strings.Join(fractions, ","))
	err = p.catalog.row(ctx, sql, nil, &cuts, &correlation)
	return slices.Compact(cuts), correlation, err
}

// pages cuts a table into n ranges of ctid.
func pages(t *openTable, n, pages int64) []*chunk {
	out := make([]*chunk, n)
	for i := range n {
		var where []string
		if i > 0 {
			where = append(where, fmt.Sprintf("ctid >= '(%d,0)'", i*pages/n))
		}
		if i < n-1 {
			where = append(where, fmt.Sprintf("ctid < '(%d,0)'", (i+1)*pages/n))
		}
		out[i] = &chunk{Table: t, Where: strings.Join(where, " AND ")}
	}
	return out
}

const tablesSQL = `SELECT c.oid, n.nspname, c.relname, c.reltuples::float8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'`

// describe finds the oids and the planner's estimates of tables.
func (p *plan) describe(ctx context.Context, ids []changes.TableID) error {
	rows, err := p.catalog.db.Query(ctx, tablesSQL)
	if err != nil {
		return fmt.Errorf("read the sizes of the tables: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (changes.PlannedTable, error) {
		t := changes.PlannedTable{ID: changes.TableID{Catalog: p.cfg.database}}
		var oid uint32
		err := row.Scan(&oid, &t.ID.Schema, &t.ID.Name, &t.Rows)
		t.Name = strconv.FormatUint(uint64(oid), 10)
		return t, err
	})
	if err != nil {
		return fmt.Errorf("read the sizes of the tables: %w", err)
	}
	found := make(map[changes.TableID]changes.PlannedTable, len(all))
	for _, t := range all {
		found[t.ID] = t
	}
	for _, id := range ids {
		if t, ok := found[id]; ok {
			t.Select = p.cfg.override(id)
			p.Add(t)
		}
	}
	return nil
}
