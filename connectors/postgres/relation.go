package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// The cells of Record.Source after the common ones.
const (
	sourceTxID      = changes.SourceCells + iota // KindInt
	sourceLSN                                    // KindInt
	sourceXmin                                   // KindInt, or NULL
	sourceOrigin                                 // KindText, or NULL
	sourceOriginLSN                              // KindInt, or NULL
	sourceCells                                  // how many there are; with transaction metadata its block comes behind them
)

// sourceBlock is the source block of a table (reference, io.debezium.connector.postgresql.Source).
func (c *catalog) sourceBlock(id changes.TableID) *connectors.SourceBlock {
	text, number := changes.Plain(schemas.String, false), changes.Plain(schemas.Int64, true)
	return changes.NewSourceBlock(changes.SourceSpec{
		Schema: c.cfg.naming.Schema("io.debezium.connector.postgresql.Source"), Version: c.version, Connector: "postgresql",
		Server: c.cfg.naming.Prefix, Database: c.cfg.database, Transaction: sourceCells,
		Extra: []changes.SourceColumn{
			{Name: "schema", Schema: text, Constant: id.Schema},
			{Name: "table", Schema: text, Constant: id.Name},
			{Name: "txId", Schema: number, Cell: sourceTxID},
			{Name: "lsn", Schema: number, Cell: sourceLSN},
			{Name: "xmin", Schema: number, Cell: sourceXmin},
			{Name: "origin", Schema: changes.Plain(schemas.String, true), Cell: sourceOrigin},
			{Name: "origin_lsn", Schema: number, Cell: sourceOriginLSN},
		},
	})
}

// blueprint is what a relation is made of, from a relation message and the catalog, or from the catalog alone.
type blueprint struct {
	oid      uint32
	id       changes.TableID
	identity byte
	columns  []blueprintColumn
	key      []string // of the table
	comment  string
	snapshot bool
}

type blueprintColumn struct {
	columnInfo
	inOld bool
}

// relation returns the version of a table that a relation message describes; nil when the table is not captured. What the message does not say (key,
// defaults, NOT NULL, comments) comes from the catalog as it is now, as in the reference; of a table that is gone by
// then the key is that of its replica identity.
func (c *catalog) relation(ctx context.Context, msg *relationMessage) (*relation, error) {
	b := blueprint{oid: msg.oid, id: changes.TableID{Catalog: c.cfg.database, Schema: msg.schema, Name: msg.table}, identity: msg.identity}
	if !c.cfg.selection.Table(b.id) {
		return nil, nil
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	table, err := c.tableByOID(ctx, msg.oid)
	if err != nil {
		return nil, err
	}
	var flagged []string
	for _, col := range msg.columns {
		out := blueprintColumn{columnInfo{name: col.name, typeOID: col.typeOID, modifier: col.modifier}, col.identity}
		if table != nil {
			if now := table.column(col.name); now != nil {
				out.notNull, out.def, out.comment, out.generated = now.notNull, now.def, now.comment, now.generated
			}
			if now := table.column(col.name); now != nil && now.typeOID != col.typeOID {
				out.def = "" // of another type than these rows
			}
		}
		if col.identity {
			flagged = append(flagged, col.name)
			out.notNull = out.notNull || table == nil && msg.identity == 'd'
		}
		b.columns = append(b.columns, out)
	}
	if table != nil {
		b.key, b.comment = table.key, table.comment
	}
	if (table == nil || !b.has(b.key)) && (msg.identity == 'd' || msg.identity == 'i') {
		b.key = flagged
	}
	return c.build(ctx, b)
}

// snapshotRelation returns a table as the catalog has it now; nil when it does not exist.
func (c *catalog) snapshotRelation(ctx context.Context, id changes.TableID) (*relation, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	table, err := c.tableByName(ctx, id)
	if err != nil || table == nil {
		return nil, err
	}
	b := blueprint{oid: table.oid, id: id, identity: table.identity, key: table.key, comment: table.comment, snapshot: true}
	for _, col := range table.columns {
		b.columns = append(b.columns, blueprintColumn{col, true})
	}
	return c.build(ctx, b)
}

// has tells whether all the named columns are there.
func (b *blueprint) has(names []string) bool {
	for _, name := range names {
		if b.index(name) < 0 {
			return false
		}
	}
	return true
}

func (b *blueprint) index(name string) int {
	return slices.IndexFunc(b.columns, func(c blueprintColumn) bool { return c.name == name })
}

// build makes the relation of a captured table.
func (c *catalog) build(ctx context.Context, b blueprint) (*relation, error) {
	m := mapper{modes: c.cfg.modes, unknown: c.cfg.unknown, moneyScale: c.cfg.moneyScale, placeholder: c.cfg.placeholder}
	key := c.recordKey(&b)
	r := &relation{oid: b.oid, id: b.id, name: b.id.String(), identity: b.identity, copyKey: true}
	table := &schemas.Table{Catalog: b.id.Catalog, Schema: b.id.Schema, Name: b.id.Name, Comment: b.comment}
	spec := changes.StreamSpec{
		Table: table, Source: c.sourceBlock(b.id), Naming: c.cfg.naming, Masks: c.cfg.masks, Propagation: c.cfg.propagation,
		Comments: c.cfg.comments, Headers: c.headers,
	}
	keyFields := make([]connectors.Field, len(key))
	r.keys = make([]keyColumn, len(key))
	for i := range b.columns {
		col := &b.columns[i]
		t, err := c.typeOf(ctx, col.typeOID)
		if err != nil {
			return nil, fmt.Errorf("read type of column %s of table %s: %w", col.name, b.id, err)
		}
		captured, inKey := c.cfg.selection.Column(b.id, col.name), slices.Index(key, col.name)
		if !captured && inKey < 0 && b.snapshot {
			continue // not selected
		}
		column, s, d := m.column(t, col.name, col.modifier, !col.notNull)
		column.Default, column.Generated, column.Comment = col.def, col.generated, col.comment
		field := c.field(m, t, s, d, col)
		out := tupleColumn{name: col.name, decode: d, cell: -1, inOld: col.inOld}
		if captured {
			out.cell, out.mask = len(table.Columns), c.maskFor(b.id, &column, s)
			table.Columns = append(table.Columns, column)
			spec.Fields = append(spec.Fields, field)
			spec.Types = append(spec.Types, sourceType(t, col.modifier, b.snapshot))
		}
		if inKey >= 0 {
			if field.Schema == nil {
				return nil, connectors.AsPermanent(fmt.Errorf("make key of table %s: column %s has type %s, which events cannot hold; choose other key columns with message.key.columns, or set include.unknown.datatypes=true", b.id, col.name, column.TypeName))
			}
			keyFields[inKey] = field
			keyFields[inKey].Name = col.name
			r.keys[inKey] = keyColumn{column: len(r.tuple), cell: out.cell}
			if out.mask != nil {
				r.keys[inKey].cell = -1
			}
			r.copyKey = r.copyKey && r.keys[inKey].cell >= 0
		}
		r.tuple = append(r.tuple, out)
	}
	spec.Key = keyFields
	table.Key = tableKey(table, b.key)
	r.stream = changes.NewStream(spec)
	return r, nil
}

// recordKey names the columns of the record key: those of message.key.columns, else the table's key.
func (c *catalog) recordKey(b *blueprint) []string {
	custom := c.cfg.keys.For(b.id)
	if custom == nil {
		if !b.has(b.key) {
			return nil
		}
		return b.key
	}
	var out []string
	for _, name := range custom {
		if b.index(name) < 0 {
			c.log.Warn("message.key.columns names a column that the table does not have", "table", b.id.String(), "column", name)
		} else if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// tableKey returns the key as indexes, empty when one of its columns is not captured.
func tableKey(t *schemas.Table, key []string) []int {
	var out []int
	for _, name := range key {
		i := t.Column(name)
		if i < 0 {
			return nil
		}
		out = append(out, i)
	}
	return out
}

// field is how a column's values are shown in events.
func (c *catalog) field(m mapper, t *pgType, s shape, d decoder, col *blueprintColumn) connectors.Field {
	f := s.field
	if f.Schema == nil {
		return f
	}
	f.Schema.Default = defaultValue(t, s, d, col.def)
	if f.WhenNull = f.Schema.Default; f.WhenNull == nil {
		f.WhenNull = changes.Zero(f.Schema)
	}
	if f.WhenUnavailable = m.unavailable(t, s); f.WhenUnavailable == nil {
		f.WhenUnavailable = f.WhenNull
	}
	return f
}

// maskFor returns how a text column is hidden, nil when it is not.
func (c *catalog) maskFor(id changes.TableID, column *schemas.Column, s shape) *changes.Mask {
	length := max(column.Length, 0)
	mask := c.cfg.masks.For(id, column.Name, int(length))
	if mask != nil && s.op != opText {
		c.log.Warn("a column that is not text cannot be masked and is passed on as it is; leave it out with column.exclude.list",
			"table", id.String(), "column", column.Name, "type", column.TypeName)
		return nil
	}
	return mask
}
