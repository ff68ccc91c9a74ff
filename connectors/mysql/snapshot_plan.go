package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
)

// tableRead is what a table is read with.
type tableRead struct {
	*table
	selects string // what is selected
}

type (
	openTable = changes.SnapshotTable[*tableRead]
	chunk     = changes.SnapshotChunk[*tableRead]
)

// addTables puts the captured tables into the plan, in their order, with the server's estimates of rows.
func (s *snapshot) addTables(ctx context.Context) error {
	s.plan = &changes.SnapshotPlan[*tableRead]{Log: s.t.log, Open: s.openTable}
	s.sizes = map[changes.TableID]int64{}
	rows := map[changes.TableID]float64{}
	// MySQL keeps estimates for a day, MariaDB does not know the variable.
	if err := s.exec(ctx, "SET SESSION information_schema_stats_expiry = 0"); err != nil && !serverAnswered(err) {
		return fmt.Errorf("read the sizes of the tables: %w", err)
	}
	seen := map[string]bool{}
	for _, id := range s.captured {
		if seen[id.Catalog] {
			continue
		}
		seen[id.Catalog] = true
		if err := s.readSizes(ctx, id.Catalog, rows); err != nil {
			return err
		}
	}
	for _, id := range s.captured {
		t := changes.PlannedTable{ID: id, Name: id.String(), Rows: -1, Select: s.t.cfg.override(id)}
		if n, ok := rows[id]; ok {
			t.Rows = n
		}
		s.plan.Add(t)
	}
	return nil
}

// readSizes reads the estimates of rows and bytes of a database's tables. Only tables that lie in the order of their primary key have bytes.
func (s *snapshot) readSizes(ctx context.Context, database string, rows map[changes.TableID]float64) error {
	found, err := s.t.cfg.texts(ctx, s.meta, "SELECT TABLE_NAME, coalesce(TABLE_ROWS, -1), IF(ENGINE = 'InnoDB', coalesce(DATA_LENGTH, 0), 0) "+
		"FROM information_schema.TABLES WHERE TABLE_SCHEMA = "+quoteLiteral(database)+" AND TABLE_TYPE = 'BASE TABLE'")
	if err != nil {
		return fmt.Errorf("read the sizes of the tables of %s: %w", database, err)
	}
	for _, f := range found {
		id := changes.TableID{Catalog: database, Name: f[0]}
		rows[id], _ = strconv.ParseFloat(f[1], 64) // the server printed them
		s.sizes[id], _ = strconv.ParseInt(f[2], 10, 64)
	}
	return nil
}

// openTable cuts the next table.
func (s *snapshot) openTable(ctx context.Context, planned changes.PlannedTable) (*openTable, []*chunk, error) {
	own, err := s.tableRead(planned.ID)
	if err != nil || own == nil {
		return nil, nil, err
	}
	t := &openTable{PlannedTable: planned, Own: own}
	chunks, err := s.cut(ctx, t)
	if err != nil {
		return nil, nil, fmt.Errorf("cut table %s into chunks: %w", t.ID, err)
	}
	return t, chunks, nil
}

// cut makes the chunks of a table: ranges of the first column of its primary key where that is an integer or a binary string, else one.
// InnoDB keeps rows in the order of that key.
func (s *snapshot) cut(ctx context.Context, t *openTable) ([]*chunk, error) {
	whole := []*chunk{{Table: t}}
	if t.Select != "" || s.sizes[t.ID] == 0 {
		return whole, nil
	}
	n := s.t.cfg.snapshot.Chunks(s.sizes[t.ID])
	before := s.plan.ReadBefore(t.Name)
	if n < 2 && len(before.Done) == 0 {
		return whole, nil
	}
	key, err := s.chunkKey(ctx, t)
	if err != nil || key.Column == "" || !s.t.cfg.selection.Column(t.ID, key.Column) {
		return whole, err
	}
	cutter := keyCutter{s: s, key: key, table: quoteTable(t.ID)}
	var cuts []string
	if n > 1 {
		if cuts, err = cutter.cuts(ctx, n); err != nil {
			return nil, err
		}
	}
	if key == (changes.ChunkKey{Column: before.Column, Type: before.Type}) {
		t.Done = before.Done
	} else if len(cuts) == 0 {
		return whole, nil
	}
	t.Key = key
	return t.Chunks(key.Ranges(cuts, t.Done), cutter.where), nil
}

// chunkKey returns the first column of the primary key, when a table can be cut by it.
func (s *snapshot) chunkKey(ctx context.Context, t *openTable) (key changes.ChunkKey, err error) {
	found, err := s.t.cfg.texts(ctx, s.meta, fmt.Sprintf("SELECT c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE FROM information_schema.STATISTICS k "+
		"JOIN information_schema.COLUMNS c USING (TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME) "+
		"WHERE k.TABLE_SCHEMA = %s AND k.TABLE_NAME = %s AND k.INDEX_NAME = 'PRIMARY' AND k.SEQ_IN_INDEX = 1", quoteLiteral(t.ID.Catalog), quoteLiteral(t.ID.Name)))
	if err != nil || len(found) == 0 {
		if err != nil {
			err = fmt.Errorf("read the primary key: %w", err)
		}
		return key, err
	}
	column := found[0]
	switch kind := strings.ToLower(column[1]); kind {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		if strings.Contains(strings.ToLower(column[2]), "unsigned") {
			kind += " unsigned"
		}
		return changes.ChunkKey{Column: column[0], Type: kind}, nil
	case "binary", "varbinary":
		return changes.ChunkKey{Column: column[0], Type: "binary"}, nil
	}
	return key, nil
}

// selectStatement reads the rows of a chunk.
func selectStatement(c *chunk) string {
	sql := "SELECT " + c.Table.Own.selects + " FROM "
	if c.Table.Select != "" {
		return sql + "(" + c.Table.Select + ") AS snapshot_select"
	}
	sql += quoteTable(c.Table.ID)
	if c.Where != "" {
		sql += " FORCE INDEX (PRIMARY) WHERE " + c.Where
	}
	return sql
}

// override is the statement of snapshot.select.statement.overrides.<table>, "" for none.
func (cfg *config) override(id changes.TableID) string { return cfg.snapshot.overrides[id.String()] }
