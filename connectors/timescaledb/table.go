package timescaledb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// wanted is what a stream needs of its target table.
type wanted struct {
	schema, table string // of the target
	source        *schemas.Table
	columns       []wantedColumn // key columns first, in key order
	keys          int
	keysOnly      bool   // nothing is known of other columns: the target is as it is
	time          string // column of the hypertable, "" for a plain table
	meta          []metaColumn
}

type wantedColumn struct {
	*schemas.Column
	name    string // in the target
	cell    int    // in the key row, or in the row
	fromKey bool
	decl    string
	typ     *targetType // of decl
}

// want works out which columns a stream's table has.
func (cfg *config) want(s *connectors.Stream, keysOnly bool) (*wanted, error) {
	w := &wanted{source: s.Table, keysOnly: keysOnly}
	var err error
	if w.schema, w.table, err = cfg.targetName(s); err != nil {
		return nil, connectors.AsPermanent(err)
	}
	var keys []int // columns that are in the key
	add := func(column, cell int, fromKey bool) {
		c := w.column(&s.Table.Columns[column])
		w.columns = append(w.columns, wantedColumn{Column: c, name: cfg.name(c.Name), cell: cell, fromKey: fromKey})
		keys = append(keys, column)
	}
	switch cfg.keys {
	case changes.KeyRecord, changes.KeyKafka, changes.KeyHeader:
		for i := range s.KeyFields {
			name := s.KeyFields[i].Name
			if len(cfg.keyFields) > 0 && cfg.keys != changes.KeyKafka && !slices.Contains(cfg.keyFields, name) {
				continue
			}
			column := s.Table.Column(name)
			if column < 0 {
				return nil, connectors.AsPermanent(fmt.Errorf("find key of table %s: key column %s is not captured; capture it, or choose other columns with message.key.columns", s.Table.ID(), name))
			}
			add(column, s.KeyFields[i].Cell, true)
		}
	case changes.KeyValue:
		for i := range s.Table.Columns {
			if len(cfg.keyFields) == 0 || slices.Contains(cfg.keyFields, s.Table.Columns[i].Name) {
				add(i, i, false)
			}
		}
	}
	w.keys = len(w.columns)
	if w.keys == 0 && cfg.keys != changes.KeyNone && cfg.mode != modeAppend && (cfg.mode != "insert" || len(cfg.keyFields) > 0) {
		return nil, connectors.AsPermanent(fmt.Errorf("table %s has no key, and %s=%s finds rows by key. Three ways out: add a primary key to the table, name key columns with message.key.columns of the source (%s:column), or set %s=%s to keep every change",
			s.Table.ID(), keyInsert, cfg.mode, s.Table.ID(), keyMode, modeAppend))
	}
	for i := range s.Table.Columns {
		if c := &s.Table.Columns[i]; !slices.Contains(keys, i) && changes.Listed(cfg.include, cfg.exclude, s.Topic, c.Name) {
			w.columns = append(w.columns, wantedColumn{Column: w.column(c), name: cfg.name(c.Name), cell: i})
		}
	}
	if cfg.mode == modeAppend {
		if err := cfg.wantMeta(w); err != nil {
			return nil, connectors.AsPermanent(err)
		}
	}
	if column := cfg.timeColumn(s.Table); column != "" && !keysOnly {
		if err := cfg.wantTime(w, column); err != nil {
			return nil, connectors.AsPermanent(err)
		}
	}
	return w, nil
}

// wantTime notes the column of the hypertable.
func (cfg *config) wantTime(w *wanted, column string) error {
	i := w.source.Column(column)
	switch {
	case slices.ContainsFunc(w.meta, func(m metaColumn) bool { return m.name == column }):
	case i < 0:
		return fmt.Errorf("%s names column %s, which table %s does not have", keyTime, column, w.id())
	case w.source.Columns[i].Optional:
		return fmt.Errorf("%s names column %s of table %s, which may be NULL: a hypertable cannot be partitioned by it. Make it NOT NULL in the source, or name another column", keyTime, column, w.id())
	}
	w.time = cfg.name(column)
	return nil
}

func (w *wanted) id() string { return w.source.ID() }

// fromMySQL tells tables of a database without schemas.
func (w *wanted) fromMySQL() bool { return w.source.Schema == "" && w.source.Catalog != "" }

// column is a source column with the type that its values need here. A TIME of MySQL is a span between -838 and 838 hours; its BOOLEAN is
// another name of TINYINT(1), as which a snapshot sees the same column.
func (w *wanted) column(c *schemas.Column) *schemas.Column {
	if !w.fromMySQL() || c.Type != schemas.TypeTime && c.Type != schemas.TypeBool {
		return c
	}
	out := *c
	if c.Type == schemas.TypeBool {
		out.Type, out.TypeName = schemas.TypeInt16, "smallint"
	} else if out.TypeName = "interval"; c.Scale >= 0 {
		out.TypeName = fmt.Sprintf("interval(%d)", c.Scale)
	}
	return &out
}

// ensure makes the target table fit and returns it as it then is. What was taken before is durable: the caller saw to it.
func (cfg *config) ensure(ctx context.Context, conn *pgx.Conn, w *wanted) (*target, []string, error) {
	exists, err := typeExists(ctx, conn, w.source.Columns)
	if err != nil {
		return nil, nil, err
	}
	declarations := make([]string, len(w.columns))
	for i := range w.columns {
		declarations[i] = declaration(w.columns[i].Column, func(name string) bool { return exists[name] })
		w.columns[i].decl = declarations[i]
	}
	types, err := readDeclared(ctx, conn, declarations)
	if err != nil {
		return nil, nil, err
	}
	for i, t := range types {
		w.columns[i].typ = t
	}
	t, ddl, err := cfg.lacking(ctx, conn, w)
	if err != nil || len(ddl) == 0 {
		return t, nil, err
	}
	// Tasks that share a connector make one table one after the other.
	lock := literal("freshet " + quote(w.schema, w.table))
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended("+lock+", 0))"); err != nil {
		return nil, nil, fmt.Errorf("prepare target table for %s: %w", w.id(), err)
	}
	defer func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(hashtextextended("+lock+", 0))") // else the session's end frees it
	}()
	if t, ddl, err = cfg.lacking(ctx, conn, w); err != nil || len(ddl) == 0 {
		return t, nil, err
	}
	if err := runDDL(ctx, conn, ddl); err != nil {
		return nil, nil, fmt.Errorf("prepare target table for %s: %w", w.id(), err)
	}
	if t, err = readTarget(ctx, conn, w.schema, w.table); err == nil && t == nil {
		err = connectors.AsPermanent(fmt.Errorf("target table %s was made and is not visible; name its schema in %s, or set currentSchema in %s", w.table, keyFormat, keyURL))
	}
	return t, ddl, err
}

// lacking reads the target table, nil when there is none, and lists the statements that make it fit.
func (cfg *config) lacking(ctx context.Context, conn *pgx.Conn, w *wanted) (*target, []string, error) {
	t, err := readTarget(ctx, conn, w.schema, w.table)
	if err != nil {
		return nil, nil, err
	}
	var ddl []string
	switch {
	case w.keysOnly:
	case t == nil:
		ddl, err = cfg.creation(w)
	default:
		ddl, err = cfg.evolution(w, t)
	}
	return t, ddl, err
}

// runDDL runs statements in one transaction.
func runDDL(ctx context.Context, conn *pgx.Conn, statements []string) error {
	text := "BEGIN;" + strings.Join(statements, ";") + ";COMMIT"
	if _, err := conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
		if conn.PgConn().TxStatus() != 'I' && !conn.IsClosed() {
			_, undo := conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
			err = errors.Join(err, undo)
		}
		if outcomeOf(err) == outcomeFail {
			err = connectors.AsPermanent(fmt.Errorf("%w; the statements were: %s", explain(err), strings.Join(statements, "; ")))
		}
		return err
	}
	return nil
}

// creation makes a table, and a hypertable of it.
func (cfg *config) creation(w *wanted) ([]string, error) {
	name := quote(w.schema, w.table)
	if !cfg.create {
		return nil, connectors.AsPermanent(fmt.Errorf("target table %s for %s does not exist; make it, or set %s=basic or %s=true", strings.TrimPrefix(w.schema+"."+w.table, "."), w.id(), keyEvolution, keyCreate))
	}
	var ddl, lines []string
	if w.schema != "" && w.schema != "public" {
		ddl = append(ddl, "CREATE SCHEMA IF NOT EXISTS "+quote(w.schema))
	}
	primary := make([]string, 0, w.keys+1)
	for i := 0; i < w.keys && w.meta == nil; i++ { // several changes of one key are several rows
		primary = append(primary, w.columns[i].name)
	}
	// A unique index of a hypertable contains its partitioning column.
	if w.time != "" && len(primary) > 0 && !slices.Contains(primary, w.time) {
		primary = append(primary, w.time)
	}
	for _, i := range tableOrder(w) {
		if w.columns[i].TypeName == changes.NullType {
			continue // a value will tell its type
		}
		lines = append(lines, w.columns[i].definition(slices.Contains(primary, w.columns[i].name) || w.columns[i].name == w.time))
	}
	for _, m := range w.meta {
		lines = append(lines, m.definition())
	}
	if len(primary) > 0 {
		lines = append(lines, "PRIMARY KEY ("+quoteList(primary)+")")
	}
	ddl = append(ddl, "CREATE TABLE IF NOT EXISTS "+name+" ("+strings.Join(lines, ", ")+")")
	if w.time != "" {
		call := "SELECT create_hypertable(" + literal(name) + ", " + literal(w.time) + ", if_not_exists => true"
		if cfg.chunk != "" {
			call += ", chunk_time_interval => " + chunkWidth(cfg.chunk)
		}
		ddl = append(ddl, call+")")
		ddl = append(ddl, cfg.policies(w, name)...)
	}
	return ddl, nil
}

// policies compress and drop the chunks of a new hypertable.
func (cfg *config) policies(w *wanted, name string) (ddl []string) {
	if cfg.compress != "" {
		segments := make([]string, 0, w.keys)
		for _, s := range cfg.segments {
			segments = append(segments, cfg.name(s))
		}
		for i := 0; i < w.keys && len(cfg.segments) == 0; i++ {
			if c := w.columns[i].name; c != w.time {
				segments = append(segments, c)
			}
		}
		options := "timescaledb.compress, timescaledb.compress_orderby = " + literal(quote(w.time)+" DESC")
		if len(segments) > 0 {
			options += ", timescaledb.compress_segmentby = " + literal(quoteList(segments))
		}
		ddl = append(ddl, "ALTER TABLE "+name+" SET ("+options+")",
			"SELECT add_compression_policy("+literal(name)+", "+chunkWidth(cfg.compress)+", if_not_exists => true)")
	}
	if cfg.retention != "" {
		ddl = append(ddl, "SELECT add_retention_policy("+literal(name)+", "+chunkWidth(cfg.retention)+", if_not_exists => true)")
	}
	return ddl
}

// tableOrder lists the wanted columns in the source's order.
func tableOrder(w *wanted) []int {
	order := make([]int, len(w.columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return w.source.Column(w.columns[a].Name) - w.source.Column(w.columns[b].Name)
	})
	return order
}

func chunkWidth(text string) string {
	if strings.Trim(text, "0123456789") == "" {
		return text + "::bigint"
	}
	return "INTERVAL " + literal(text)
}

// spelled is the type of the values, for messages; records of topics do not always tell the source's.
func (c *wantedColumn) spelled() string { return cmp.Or(c.TypeName, c.decl) }

func (c *wantedColumn) definition(key bool) string {
	text := quote(c.name) + " " + c.decl
	switch {
	case c.Generated && c.Default != "":
		return text + " GENERATED ALWAYS AS (" + c.Default + ") STORED"
	case key || !c.Optional:
		text += " NOT NULL"
	}
	return text
}

func quoteList(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return strings.Join(out, ", ")
}

// evolution lists what an existing table lacks: columns, room, permission for NULL. It refuses the rest (I10).
func (cfg *config) evolution(w *wanted, t *target) ([]string, error) {
	if w.time != "" && !t.hypertable {
		return nil, connectors.AsPermanent(fmt.Errorf("target table %s exists and is not a hypertable, but %s names its column %s; run: SELECT create_hypertable(%s, %s, migrate_data => true) after adding the column to the primary key, or leave the table out of %s",
			t.id(), keyTime, w.time, literal(t.quoted()), literal(w.time), keyTime))
	}
	if err := w.checkMeta(t); err != nil {
		return nil, connectors.AsPermanent(err)
	}
	if _, err := cfg.conflictTarget(w, t); err != nil { // before anything is altered
		return nil, connectors.AsPermanent(err)
	}
	var steps []string
	for i := range w.columns {
		step, err := cfg.evolveColumn(w, t, &w.columns[i])
		if err != nil {
			return nil, connectors.AsPermanent(err)
		}
		if step != "" {
			steps = append(steps, step)
		}
	}
	for _, c := range t.columns {
		if w.writes(c.name) || !c.notNull || c.hasDefault || c.generated {
			continue
		}
		if slices.ContainsFunc(t.unique, func(u []string) bool { return slices.Contains(u, c.name) }) || !cfg.evolve {
			return nil, connectors.AsPermanent(fmt.Errorf("column %s of target table %s is NOT NULL without a default, and table %s has no such column; drop the column, or give it a default", c.name, t.id(), w.id()))
		}
		steps = append(steps, "ALTER COLUMN "+quote(c.name)+" DROP NOT NULL")
	}
	if len(steps) == 0 {
		return nil, nil
	}
	return []string{"ALTER TABLE " + t.quoted() + " " + strings.Join(steps, ", ")}, nil
}

func (cfg *config) evolveColumn(w *wanted, t *target, c *wantedColumn) (string, error) {
	have := t.column(c.name)
	if c.TypeName == changes.NullType {
		return "", nil
	}
	if have == nil {
		if !cfg.evolve {
			return "", fmt.Errorf("target table %s has no column %s (%s of table %s); run: ALTER TABLE %s ADD COLUMN %s %s, set %s=basic, or leave it out with %s",
				t.id(), c.name, c.spelled(), w.id(), t.quoted(), quote(c.name), c.decl, keyEvolution, keyExclude)
		}
		def := constant(w.fromMySQL(), c.Column)
		if c.Generated || def == "" || w.meta != nil { // a change from before had no such column
			added := *c
			added.Column = new(schemas.Column)
			*added.Column = *c.Column
			added.Optional = true // there may be rows
			return "ADD COLUMN IF NOT EXISTS " + added.definition(false), nil
		}
		return "ADD COLUMN IF NOT EXISTS " + c.definition(false) + " DEFAULT " + def, nil // what the source shows in rows from before
	}
	if have.generated {
		return "", nil
	}
	var steps []string
	if cfg.evolve && wider(have.typ, c.typ) {
		steps = append(steps, "ALTER COLUMN "+quote(c.name)+" TYPE "+c.decl)
	} else if _, ok := stage(c.Column, have.typ); !ok {
		return "", fmt.Errorf("column %s of target table %s is of type %s, into which values of type %s of table %s cannot be written without changing them; alter the column to %s, rename the table, or leave the column out with %s",
			c.name, t.id(), have.typ.name, c.spelled(), w.id(), c.decl, keyExclude)
	}
	inKey := slices.ContainsFunc(t.unique, func(u []string) bool { return slices.Contains(u, c.name) }) || slices.Contains(t.partitions, c.name)
	if cfg.evolve && have.notNull && c.Optional && !inKey {
		steps = append(steps, "ALTER COLUMN "+quote(c.name)+" DROP NOT NULL")
	}
	return strings.Join(steps, ", "), nil
}

// constant is the SQL of a default that is one constant, as a literal without type; "" for none and for what a target cannot have.
func constant(mysql bool, c *schemas.Column) string {
	text, ok := changes.Constant(mysql, c)
	if !ok {
		return ""
	}
	return literal(text)
}
