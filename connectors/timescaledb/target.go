package timescaledb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// target is a table of the target database as it is now.
type target struct {
	schema, name string
	columns      []targetColumn
	unique       [][]string // columns of each unique index that ON CONFLICT can use
	partitions   []string   // columns that a hypertable is partitioned by
	hypertable   bool
}

type targetColumn struct {
	name       string
	typ        *targetType
	notNull    bool
	generated  bool // the server computes it
	hasDefault bool // identity columns too
}

func (t *target) column(name string) *targetColumn {
	i := slices.IndexFunc(t.columns, func(c targetColumn) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &t.columns[i]
}

func (t *target) quoted() string { return quote(t.schema, t.name) }
func (t *target) id() string     { return t.schema + "." + t.name }

// state tells apart what the columns are at two times, as far as COPY depends on it.
func (t *target) state() string {
	var out strings.Builder
	for i := range t.columns {
		c := &t.columns[i]
		fmt.Fprintf(&out, "%q %d %d %t;", c.name, c.typ.oid, c.typ.mod, c.generated)
	}
	return out.String()
}

const columnsSQL = `SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> '', a.atthasdef OR a.attidentity <> ''
FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

const uniqueSQL = `SELECT array_agg(a.attname::text ORDER BY k.n) FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC, i.indexrelid`

// readTarget returns a table, nil when there is none. An empty schema is the connection's.
func readTarget(ctx context.Context, conn *pgx.Conn, schema, name string) (*target, error) {
	t := &target{}
	var oid uint32
	var kind string
	err := conn.QueryRow(ctx, `SELECT c.oid, n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`, quote(schema, name)).
		Scan(&oid, &t.schema, &t.name, &kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read target table %s: %w", name, err)
	}
	if kind != "r" && kind != "p" {
		return nil, connectors.AsPermanent(fmt.Errorf("%s of the target database is not a table; choose another name with %s", t.id(), keyFormat))
	}
	var oids []uint32
	rows, err := conn.Query(ctx, columnsSQL, oid)
	if err == nil {
		var c targetColumn
		var typ uint32
		var mod int32
		_, err = pgx.ForEachRow(rows, []any{&c.name, &typ, &mod, &c.notNull, &c.generated, &c.hasDefault}, func() error {
			c.typ = &targetType{oid: typ, mod: mod}
			t.columns, oids = append(t.columns, c), append(oids, typ)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read columns of target table %s: %w", t.id(), err)
	}
	for i := range t.columns {
		if t.columns[i].typ, err = readType(ctx, conn, oids[i], t.columns[i].typ.mod); err != nil {
			return nil, fmt.Errorf("read columns of target table %s: %w", t.id(), err)
		}
	}
	rows, err = conn.Query(ctx, uniqueSQL, oid)
	if err == nil {
		t.unique, err = pgx.CollectRows(rows, pgx.RowTo[[]string])
	}
	if err != nil {
		return nil, fmt.Errorf("read indexes of target table %s: %w", t.id(), err)
	}
	return t, t.readPartitions(ctx, conn)
}

func (t *target) readPartitions(ctx context.Context, conn *pgx.Conn) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('timescaledb_information.dimensions') IS NOT NULL").Scan(&there); err != nil || !there {
		return err
	}
	rows, err := conn.Query(ctx, "SELECT column_name::text FROM timescaledb_information.dimensions WHERE hypertable_schema = $1 AND hypertable_name = $2 ORDER BY dimension_number", t.schema, t.name)
	if err == nil {
		t.partitions, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return fmt.Errorf("read dimensions of hypertable %s: %w", t.id(), err)
	}
	t.hypertable = len(t.partitions) > 0
	return nil
}

// readType describes a type, following domains to what they are made of.
func readType(ctx context.Context, conn *pgx.Conn, oid uint32, mod int32) (*targetType, error) {
	for {
		t := &targetType{oid: oid, mod: mod}
		var kind string
		var base, elem uint32
		var baseMod int32
		err := conn.QueryRow(ctx, `SELECT format_type(oid, -1), typtype::text, typbasetype, typtypmod, CASE WHEN typlen = -1 AND typcategory = 'A' THEN typelem ELSE 0 END FROM pg_type WHERE oid = $1`, oid).
			Scan(&t.name, &kind, &base, &baseMod, &elem)
		if err != nil {
			return nil, fmt.Errorf("read type %d: %w", oid, err)
		}
		t.kind = kind[0]
		switch {
		case base != 0:
			if oid = base; mod < 0 {
				mod = baseMod
			}
			continue
		case elem != 0:
			if t.elem, err = readType(ctx, conn, elem, -1); err != nil {
				return nil, err
			}
		}
		return t, nil
	}
}

// readDeclared describes the types of declarations.
func readDeclared(ctx context.Context, conn *pgx.Conn, declarations []string) ([]*targetType, error) {
	list := make([]string, len(declarations))
	for i, d := range declarations {
		list[i] = "NULL::" + d
	}
	rows, err := conn.Query(ctx, "SELECT "+strings.Join(list, ", ")+" LIMIT 0")
	if err != nil {
		return nil, fmt.Errorf("read types %s: %w", strings.Join(declarations, ", "), err)
	}
	fields := slices.Clone(rows.FieldDescriptions())
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read types %s: %w", strings.Join(declarations, ", "), err)
	}
	out := make([]*targetType, len(fields))
	for i, f := range fields {
		if out[i], err = readType(ctx, conn, f.DataTypeOID, f.TypeModifier); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// typeExists tells which type names of the source the target has too.
func typeExists(ctx context.Context, conn *pgx.Conn, columns []schemas.Column) (map[string]bool, error) {
	out := map[string]bool{}
	var ask func(c *schemas.Column) error
	ask = func(c *schemas.Column) error {
		if c.Elem != nil {
			if err := ask(c.Elem); err != nil {
				return err
			}
		}
		name, _ := baseName(c.TypeName)
		if _, ok := builtin(name); ok || c.TypeName == "" {
			return nil
		}
		var there bool
		if err := conn.QueryRow(ctx, "SELECT to_regtype($1) IS NOT NULL", quoteType(c.TypeName)).Scan(&there); err != nil {
			return fmt.Errorf("look for type %s in the target: %w", c.TypeName, err)
		}
		out[c.TypeName] = there
		return nil
	}
	for i := range columns {
		if err := ask(&columns[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
