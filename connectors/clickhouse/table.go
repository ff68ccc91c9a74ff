package clickhouse

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// wanted is what a stream needs of its target table.
type wanted struct {
	database, table string
	source          *schemas.Table
	columns         []wantedColumn // key columns first, in key order
	keys            int
	versioned       bool // a mirror of a table with a key; else every change is kept
}

type wantedColumn struct {
	*schemas.Column
	cell    int // in the row; -1: only in the key row
	keyCell int // in the key row, -1 for a column that is not in the key
	decl    string
	typ     *columnType // of decl
}

// The sink's own columns; their names have cfg.prefix before them.
const (
	metaVersion   = "version"
	metaDeleted   = "is_deleted"
	metaOp        = "op"
	metaPartition = "partition"
	metaOrder     = "order"
	metaSeq       = "seq"
)

func metaType(name string) string {
	return map[string]string{
		metaVersion: "UInt128", metaDeleted: "UInt8", metaOp: "LowCardinality(String)", metaPartition: "LowCardinality(String)", metaOrder: "UInt128", metaSeq: "UInt64",
	}[name]
}

// meta lists the sink's own columns.
func (w *wanted) meta(m mode) []string {
	switch {
	case m == modeReference:
		return nil
	case w.versioned:
		return []string{metaVersion, metaDeleted}
	case w.keys == 0:
		return []string{metaOp, metaPartition, metaOrder, metaSeq}
	}
	return []string{metaOp, metaPartition, metaOrder}
}

// defaultOf is what the rows that are there show in an added column, where the source has one constant for them.
func (w *wanted) defaultOf(c *wantedColumn) string {
	switch c.Type {
	case schemas.TypeBool, schemas.TypeInt16, schemas.TypeInt32, schemas.TypeInt64, schemas.TypeUint64, schemas.TypeFloat32, schemas.TypeFloat64, schemas.TypeDecimal,
		schemas.TypeText, schemas.TypeEnum, schemas.TypeUUID, schemas.TypeJSON, schemas.TypeDate, schemas.TypeTimestamp:
	default:
		return ""
	}
	text, ok := changes.Constant(w.source.Schema == "" && w.source.Catalog != "", c.Column)
	if !ok {
		return ""
	}
	return " DEFAULT CAST(" + literal(text) + " AS " + c.decl + ")"
}

func (w *wanted) declarationOf(name string) string {
	i := slices.IndexFunc(w.columns, func(c wantedColumn) bool { return c.Name == name })
	if i < 0 {
		return ""
	}
	return w.columns[i].decl
}

func list(items []string) string { return strings.Join(items, ", ") }

func (w *wanted) id() string { return w.source.ID() }

// want works out which columns a stream's table has.
func (cfg *config) want(s *connectors.Stream, server version) (*wanted, error) {
	w := &wanted{source: s.Table}
	var err error
	if w.database, w.table, err = cfg.targetName(s); err != nil {
		return nil, connectors.AsPermanent(err)
	}
	var inKey []int
	if cfg.mode != modeReference {
		for i := range s.KeyFields {
			column := s.Table.Column(s.KeyFields[i].Name)
			if column < 0 {
				return nil, connectors.AsPermanent(fmt.Errorf("find key of table %s: key column %s is not captured; capture it, or choose other columns with message.key.columns", w.id(), s.KeyFields[i].Name))
			}
			w.columns = append(w.columns, wantedColumn{Column: &s.Table.Columns[column], cell: column, keyCell: s.KeyFields[i].Cell})
			inKey = append(inKey, column)
		}
	}
	w.keys = len(w.columns)
	w.versioned = cfg.mode == modeMirror && w.keys > 0
	for i := range s.Table.Columns {
		if c := &s.Table.Columns[i]; !slices.Contains(inKey, i) && changes.Listed(cfg.include, cfg.exclude, s.Topic, c.Name) {
			w.columns = append(w.columns, wantedColumn{Column: c, cell: i, keyCell: -1})
		}
	}
	for i := range w.columns {
		c := &w.columns[i]
		described := c.Column
		if cfg.mode == modeAppend && i >= w.keys && !described.Optional { // a delete may know the key alone
			copied := *described
			copied.Optional, described = true, &copied
		}
		if c.decl = cfg.typeRule(s.Table, c.Column); c.decl == "" {
			c.decl = cfg.declaration(described, i < w.keys, server)
		} else if described.Optional && i >= w.keys {
			c.decl = nullable(c.decl)
		}
		if c.typ, err = parseType(c.decl); err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("make type of column %s of table %s: %w", c.Name, w.id(), err))
		}
		for _, m := range w.meta(cfg.mode) {
			if c.Name == cfg.prefix+m {
				return nil, connectors.AsPermanent(fmt.Errorf("table %s has a column %s, which is the name of a column of this sink; choose another %s", w.id(), c.Name, keyPrefix))
			}
		}
	}
	return w, nil
}

// nullable makes a type of column.types nullable, where it can be.
func nullable(typ string) string {
	for _, prefix := range []string{"Nullable(", "LowCardinality(", "Array(", "Map(", "Tuple(", "JSON", "Point"} {
		if strings.HasPrefix(typ, prefix) {
			return typ
		}
	}
	return "Nullable(" + typ + ")"
}

// ensure makes the target table and its view fit and returns the table as it then is; nil when there is none and its records are
// left out. What was taken before is durable: the caller saw to it.
func (cfg *config) ensure(ctx context.Context, s *server, at about, w, before *wanted, keysOnly bool) (*target, []string, error) {
	t, err := s.readTarget(ctx, w.database, w.table)
	if err != nil {
		return nil, nil, err
	}
	w.follow(t)
	if t == nil && (keysOnly || cfg.mode == modeReference && cfg.suppress) {
		return nil, nil, nil
	}
	ddl, err := cfg.lacking(ctx, s, w, before, t, keysOnly)
	if err != nil || len(ddl) == 0 {
		return t, nil, err
	}
	if cfg.dryRun {
		return nil, ddl, connectors.AsPermanent(fmt.Errorf("%s=true: these statements would make the target of %s fit: %s", keyDryRun, w.id(), strings.Join(ddl, "; ")))
	}
	for _, sql := range ddl {
		if _, err := s.statement(ctx, sql, cfg.ddlSettings(sql, at)); err != nil {
			return nil, nil, fmt.Errorf("prepare target table for %s: %w; the statement was: %s", w.id(), err, sql)
		}
	}
	if t, err = s.readTarget(ctx, w.database, w.table); err == nil && t == nil {
		err = connectors.AsPermanent(fmt.Errorf("target table %s.%s was made and is not visible", w.database, w.table))
	}
	return t, ddl, err
}

// lacking lists the statements that make a table and its view, or make them fit.
func (cfg *config) lacking(ctx context.Context, s *server, w, before *wanted, t *target, keysOnly bool) (ddl []string, err error) {
	switch {
	case t != nil:
		ddl, err = cfg.evolution(w, before, t)
	case cfg.create:
		ddl = cfg.creation(w)
	default:
		err = connectors.AsPermanent(fmt.Errorf("target table %s.%s for %s does not exist; make it, set %s=basic or %s=true, or name another one with %s or %s", w.database, w.table, w.id(), keyEvolution, keyCreate, keyMap, keyFormat))
	}
	if err != nil || keysOnly || len(ddl) == 0 && !cfg.create {
		return ddl, err
	}
	v, err := cfg.readView(ctx, s, w)
	if err == nil && v != nil && (len(ddl) > 0 || !v.fits(w, t)) {
		ddl = append(ddl, cfg.viewOf(w, v, t))
	}
	return ddl, err
}

func (cfg *config) ddlSettings(sql string, at about) url.Values {
	v := url.Values{}
	if strings.Contains(sql, "Time64(") && at.version.atLeast(25, 6) {
		v.Set("enable_time_time64_type", "1")
	}
	if cfg.cluster != "" || strings.HasPrefix(cfg.engine, "Replicated") {
		v.Set("alter_sync", "2") // on all replicas
	}
	return v
}

func (cfg *config) onCluster() string {
	if cfg.cluster == "" {
		return ""
	}
	return " ON CLUSTER " + quote(cfg.cluster)
}

// creation makes a table, and a Distributed one above it.
func (cfg *config) creation(w *wanted) []string {
	var lines, order []string
	for _, i := range tableOrder(w) {
		lines = append(lines, quote(w.columns[i].Name)+" "+w.columns[i].decl)
	}
	for i := range w.keys {
		order = append(order, quote(w.columns[i].Name))
	}
	for _, m := range w.meta(cfg.mode) {
		lines = append(lines, quote(cfg.prefix+m)+" "+metaType(m))
		if !w.versioned && m != metaOp {
			order = append(order, quote(cfg.prefix+m))
		}
	}
	by := list(order)
	if len(order) > 1 {
		by = "(" + by + ")"
	}
	engine, arguments, has := strings.Cut(strings.TrimSuffix(cfg.engine, ")"), "(")
	var args []string
	if has {
		args = append(args, arguments)
	}
	if w.versioned {
		args = append(args, quote(cfg.prefix+metaVersion), quote(cfg.prefix+metaDeleted))
	}
	local := w.table
	if cfg.sharding != "" {
		local += "_local"
	}
	ddl := []string{"CREATE TABLE IF NOT EXISTS " + quote(w.database, local) + cfg.onCluster() + " (" + list(lines) + ") ENGINE = " +
		engine + "(" + list(args) + ") ORDER BY " + by}
	if cfg.sharding != "" {
		ddl = append(ddl, "CREATE TABLE IF NOT EXISTS "+quote(w.database, w.table)+cfg.onCluster()+" AS "+quote(w.database, local)+
			" ENGINE = Distributed("+literal(cfg.cluster)+", "+literal(w.database)+", "+literal(local)+", "+cfg.sharding+")")
	}
	return ddl
}

// tableOrder lists the wanted columns in the source's order.
func tableOrder(w *wanted) []int {
	order := make([]int, len(w.columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return w.columns[a].cell - w.columns[b].cell })
	return order
}

// evolution lists what an existing table lacks: columns, room, permission for NULL. It refuses the rest (I10).
func (cfg *config) evolution(w, before *wanted, t *target) ([]string, error) {
	if err := cfg.checkEngine(w, t); err != nil {
		return nil, connectors.AsPermanent(err)
	}
	steps, err := cfg.steps(w, before, t)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	var ddl []string
	if t.local[1] != "" {
		if len(steps) > 0 {
			ddl = append(ddl, "ALTER TABLE "+quote(t.local[0], t.local[1])+cfg.onCluster()+" "+list(steps))
		}
		above := *t // a worker that ended between the two left it as it was
		above.columns = t.above
		if steps, err = cfg.steps(w, before, &above); err != nil {
			return nil, connectors.AsPermanent(err)
		}
	}
	if len(steps) > 0 {
		ddl = append(ddl, "ALTER TABLE "+t.quoted()+cfg.onCluster()+" "+list(steps))
	}
	return ddl, nil
}

// steps are what ALTER TABLE has to do with a table.
func (cfg *config) steps(w, before *wanted, t *target) ([]string, error) {
	steps, err := cfg.renames(w, before, t)
	if err != nil {
		return nil, err
	}
	last := "" // column of the source that comes before
	for _, i := range tableOrder(w) {
		c := &w.columns[i]
		step, err := cfg.evolveColumn(w, t, c, i < w.keys, last)
		if err != nil {
			return nil, err
		}
		if step != "" {
			steps = append(steps, step)
		}
		last = c.Name
	}
	return steps, nil
}

// checkEngine tells why rows of an existing table would not replace each other.
func (cfg *config) checkEngine(w *wanted, t *target) error {
	if strings.HasSuffix(t.engine, "View") {
		return fmt.Errorf("%s is a view, not a table; choose another name with %s or %s", t.id(), keyMap, keyFormat)
	}
	if cfg.mode == modeReference {
		return nil
	}
	purpose := map[mode]string{modeMirror: "mirror", modeAppend: "append"}[cfg.mode]
	hint := fmt.Sprintf("name another table with %s or %s, drop this one so that the sink makes it, or set %s=reference for plain inserts", keyMap, keyFormat, keyMode)
	if !strings.HasSuffix(t.engine, "ReplacingMergeTree") {
		return fmt.Errorf("target table %s for %s has engine %s, but %s=%s needs a ReplacingMergeTree; %s", t.id(), w.id(), t.engine, keyMode, purpose, hint)
	}
	for _, m := range w.meta(cfg.mode) {
		if t.column(cfg.prefix+m) == nil {
			return fmt.Errorf("target table %s for %s has no column %s (%s), which %s=%s needs; %s", t.id(), w.id(), cfg.prefix+m, metaType(m), keyMode, purpose, hint)
		}
	}
	var key []string
	for i := range w.keys {
		key = append(key, w.columns[i].Name)
	}
	if !w.versioned {
		for _, m := range w.meta(cfg.mode)[1:] {
			key = append(key, cfg.prefix+m)
		}
	} else if _, args, _ := strings.Cut(t.full, "ReplacingMergeTree("); !strings.Contains(args, cfg.prefix+metaVersion) || !strings.Contains(args, cfg.prefix+metaDeleted) {
		return fmt.Errorf("target table %s for %s has engine %s, which has other arguments than (%s, %s); %s", t.id(), w.id(), t.engine, cfg.prefix+metaVersion, cfg.prefix+metaDeleted, hint)
	}
	have := slices.Clone(t.sorting)
	slices.Sort(have)
	need := slices.Clone(key)
	slices.Sort(need)
	if !slices.Equal(have, need) {
		return fmt.Errorf("target table %s is sorted by (%s), but rows of %s are told apart by (%s); %s", t.id(), list(t.sorting), w.id(), list(key), hint)
	}
	return nil
}

func (cfg *config) evolveColumn(w *wanted, t *target, c *wantedColumn, inKey bool, last string) (string, error) {
	have := t.column(c.Name)
	if have == nil {
		switch {
		case cfg.add && !inKey:
			after := ""
			if t.column(last) != nil {
				after = " AFTER " + quote(last)
			}
			return "ADD COLUMN IF NOT EXISTS " + quote(c.Name) + " " + c.decl + w.defaultOf(c) + after, nil
		case cfg.mode == modeReference:
			return "", nil // left out
		}
		return "", fmt.Errorf("target table %s has no column %s (%s of table %s); run: ALTER TABLE %s ADD COLUMN %s %s, set %s=basic, or leave it out with %s",
			t.id(), c.Name, c.TypeName, w.id(), t.quoted(), quote(c.Name), c.decl, keyEvolution, keyExclude)
	}
	if have.kind == "MATERIALIZED" || have.kind == "ALIAS" {
		if inKey {
			return "", fmt.Errorf("key column %s of target table %s is computed by the server; make it a plain column", c.Name, t.id())
		}
		return "", nil
	}
	if cfg.evolve && !have.sorting && wider(have.typ, c.typ) {
		return "MODIFY COLUMN " + quote(c.Name) + " " + c.decl, nil
	}
	if fit(c.Column, have.typ) == nil {
		why := "alter the column to " + c.decl
		if have.sorting {
			why = "it is part of the table's sorting key, which cannot be altered: make the table anew"
		}
		return "", fmt.Errorf("column %s of target table %s is of type %s, into which values of type %s of table %s cannot be written without changing them; %s, or leave the column out with %s",
			c.Name, t.id(), have.typ.text, c.TypeName, w.id(), why, keyExclude)
	}
	return "", nil
}
