package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
)

// How tables are cut into chunks.
const (
	chunkBytes   = 64 << 20 // of a chunk, about
	leastChunk   = 64       // no chunk is smaller than this part of chunkBytes for the sake of more threads
	wholeChunks  = 4        // up to so many chunks, one thread reads a table whole
	maxChunks    = 1000     // of a table; beyond, chunks are larger
	samplePages  = 40       // per chunk, to find where keys have to be cut
	tidRangeScan = 140000   // server that reads a range of ctid without reading the table
	// From these correlations on between the order of keys and that of rows, a table is read by ranges of keys: with several
	// threads when that visits most pages once, with one thread when nobody sees a difference in order.
	someCorrelation = 0.5
	fullCorrelation = 0.99
)

// plan says what is to be read, in order. Readers ask it for chunks; it reads the catalog as of the snapshot, one caller at
// a time, while the others and what is handed out go on. Safe from any goroutine.
type plan struct {
	cfg      *config
	log      *slog.Logger
	version  int
	exported string  // name of the snapshot that readers import
	estimate float64 // rows, as the planner of the server thinks; 0: not known

	reading sync.Mutex // of the catalog; taken before mu
	catalog *catalog
	tables  []snapshotTable
	at      int // next of tables

	mu     sync.Mutex
	queue  []*chunk // of the table before
	open   []*tableRead
	done   []uint32      // oids of tables that were read
	before []partialRead // read by an attempt before, of tables that are not open yet
}

// snapshotTable is a table that the snapshot reads.
type snapshotTable struct {
	id   changes.TableID
	oid  uint32
	rows float64 // the planner's estimate; negative: none
}

// tableRead is a table that is being read. What follows the blank line belongs to the goroutine of Poll.
type tableRead struct {
	id       changes.TableID
	oid      uint32
	rel      *relation
	override string     // statement of snapshot.select.statement.overrides
	key      chunkKey   // zero: not cut by keys
	number   int        // of chunks
	done     []keyRange // handed out; with a key

	left     int    // chunks whose end has not come from a reader
	live     int    // chunks with rows still to come
	held     *piece // its end is the end of the table, unless another chunk has rows
	rows     int64
	finished int // chunks all of whose rows were handed out
}

// chunk is what one COPY reads: a table or a part of one.
type chunk struct {
	table *tableRead
	where string // "": all rows
	keys  keyRange

	live bool // rows are still to come; belongs to the goroutine of Poll
}

// next returns the next chunk, nil when there is none left.
func (p *plan) next(ctx context.Context) (*chunk, error) {
	for {
		if c := p.dequeue(); c != nil {
			return c, nil
		}
		if more, err := p.begin(ctx); err != nil || !more {
			return nil, err
		}
	}
}

func (p *plan) dequeue() *chunk {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	c := p.queue[0]
	p.queue = p.queue[1:]
	return c
}

// begin fills the queue with the chunks of the next table, when nobody else has filled it; false: there is no table left. A table that is
// gone has no chunks.
func (p *plan) begin(ctx context.Context) (more bool, err error) {
	p.reading.Lock()
	defer p.reading.Unlock()
	p.mu.Lock()
	filled := len(p.queue) > 0
	p.mu.Unlock()
	if filled || p.at == len(p.tables) {
		return filled, nil
	}
	table := &p.tables[p.at]
	p.at++
	rel, err := p.catalog.snapshotRelation(ctx, table.id)
	if err != nil || rel == nil {
		return true, err
	}
	t := &tableRead{id: table.id, oid: rel.oid, rel: rel, override: p.cfg.override(table.id)}
	chunks, err := p.cut(ctx, t)
	if err != nil {
		return false, fmt.Errorf("cut table %s into chunks: %w", t.id, err)
	}
	t.number, t.left = len(chunks), len(chunks)
	p.enqueue(t, chunks)
	if t.number == 0 {
		return true, nil
	}
	about := []any{"table", t.id.String(), "number", p.at, "of", len(p.tables)}
	if t.number > 1 {
		about = append(about, "chunks", t.number)
	}
	p.log.Info("reading table", about...)
	return true, nil
}

// enqueue opens a table. Without chunks it was read before.
func (p *plan) enqueue(t *tableRead, chunks []*chunk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = slices.DeleteFunc(p.before, func(r partialRead) bool { return r.OID == t.oid })
	if len(chunks) == 0 {
		p.done = append(p.done, t.oid)
		return
	}
	p.queue, p.open = chunks, append(p.open, t)
}

// finish notes that all rows of c were handed out, and tells whether that was the last chunk of its table.
func (p *plan) finish(c *chunk) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := c.table
	if t.key.column != "" {
		t.done = t.key.add(t.done, c.keys)
	}
	if t.finished++; t.finished < t.number {
		return false
	}
	p.done = append(p.done, t.oid)
	p.open = slices.DeleteFunc(p.open, func(o *tableRead) bool { return o == t })
	return true
}

// abandon gives back what was held for tables that were not finished.
func (p *plan) abandon() {
	for _, t := range p.open {
		if t.held != nil {
			t.held.abandon()
			t.held = nil
		}
	}
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
	key   chunkKey
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
func (p *plan) cut(ctx context.Context, t *tableRead) ([]*chunk, error) {
	whole := []*chunk{{table: t}}
	if t.override != "" {
		return whole, nil
	}
	var s tableShape
	if err := p.catalog.row(ctx, shapeSQL, []any{t.oid}, &s.plain, &s.size, &s.pages, &s.key.column, &s.key.kind); err != nil {
		return nil, err
	}
	n := p.chunks(s.size)
	if before := p.readBefore(t.oid); s.plain && len(before.Done) > 0 && s.key == (chunkKey{before.Column, before.Type}) {
		cuts, _, err := p.sample(ctx, t.rel, s, n)
		t.key, t.done = s.key, before.Done
		return t.ranges(cuts), err
	}
	if !s.plain || n < 2 || s.pages < 2 {
		return whole, nil
	}
	if s.key.column != "" && p.cfg.selection.Column(t.id, s.key.column) {
		cuts, correlation, err := p.sample(ctx, t.rel, s, n)
		if err != nil {
			return nil, err
		}
		least := someCorrelation
		if p.cfg.snapshot.threads == 1 {
			least = fullCorrelation
		}
		if correlation >= least && len(cuts) > 0 {
			t.key = s.key
			return t.ranges(cuts), nil
		}
	}
	if p.cfg.snapshot.threads == 1 || p.version < tidRangeScan {
		return whole, nil
	}
	return t.pages(min(int64(n), s.pages), s.pages), nil
}

// chunks is into how many chunks a table of size bytes should be cut.
func (p *plan) chunks(size int64) int {
	c := &p.cfg.snapshot
	n := (size + c.chunk - 1) / c.chunk
	if c.threads == 1 {
		if n <= wholeChunks {
			return 1
		}
	} else if c.perTable {
		return 1
	} else {
		n = max(n, min(int64(c.threads)*int64(c.multiplier), size/max(c.chunk/leastChunk, 1)))
	}
	return int(min(n, maxChunks))
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
		quoteName(s.key.column), rel.quotedName(), percent, strings.Join(fractions, ","))
	err = p.catalog.row(ctx, sql, nil, &cuts, &correlation)
	return slices.Compact(cuts), correlation, err
}

// pages cuts a table into n ranges of ctid.
func (t *tableRead) pages(n, pages int64) []*chunk {
	out := make([]*chunk, n)
	for i := range n {
		var where []string
		if i > 0 {
			where = append(where, fmt.Sprintf("ctid >= '(%d,0)'", i*pages/n))
		}
		if i < n-1 {
			where = append(where, fmt.Sprintf("ctid < '(%d,0)'", (i+1)*pages/n))
		}
		out[i] = &chunk{table: t, where: strings.Join(where, " AND ")}
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
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (snapshotTable, error) {
		t := snapshotTable{id: changes.TableID{Catalog: p.cfg.database}}
		err := row.Scan(&t.oid, &t.id.Schema, &t.id.Name, &t.rows)
		return t, err
	})
	if err != nil {
		return fmt.Errorf("read the sizes of the tables: %w", err)
	}
	found := make(map[changes.TableID]snapshotTable, len(all))
	for _, t := range all {
		found[t.id] = t
	}
	for _, id := range ids {
		if t, ok := found[id]; ok {
			p.tables = append(p.tables, t)
			p.estimate += max(t.rows, 0)
		}
	}
	return nil
}
