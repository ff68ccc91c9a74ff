package mysql

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
	"github.com/freshet-io/freshet/schemas"
)

// table is one version of a captured table: how its rows become cells. Immutable but for scratch, in masks and columns: each goroutine
// decodes with a clone of its own.
type table struct {
	id       changes.TableID    // Catalog: the database
	stream   *connectors.Stream // one cell of a row per column of stream.Table
	columns  []column           // every column of the table, in the order of the binlog
	selected []int              // the columns that a snapshot reads: those of the row and of the key
	keys     []keyColumn        // one per field of stream.Key
	copyKey  bool               // every key cell can be taken from the row
	unmasked []string           // columns that a mask names and cannot hide
	nowhere  []string           // names of message.key.columns that are no column
}

// column is how one column's values become cells, whether they come as text (snapshot) or as binlog bytes.
type column struct {
	name     string
	op       op // what the values are
	unsigned bool
	length   int // of CHAR, BINARY, BIT; -1: none
	scale    int // digits of DECIMAL, fractional digits of temporal types
	charset  string
	labels   []string // of ENUM and SET
	optional bool
	float    bool  // FLOAT, which the server prints with six digits
	adjust   bool  // enable.time.adjuster: years below 100 are 1970 to 2069
	noDay    int64 // of a required column of dates: what stands for a date that is no day, in the unit of the cell
	cell     int   // index in the row; -1: only for the key, or not at all
	mask     *changes.Mask
	scratch  []byte // of the goroutine of the clone
}

type keyColumn struct {
	column int // index into columns
	cell   int // index in the row; -1: masked or not captured there
}

// op is what a column's values are; chosen once per column. The comments say what cell each makes, from text and from the binlog alike.
type op uint8

const (
	opInt       op = iota // KindInt, signed or unsigned
	opUint                // KindUint: BIGINT UNSIGNED
	opBool                // KindBool: not zero
	opFloat32             // KindFloat32
	opFloat64             // KindFloat64; of a FLOAT column the single-precision number
	opDecimal             // KindDecimal: plain text with column.scale fractional digits
	opText                // KindText: UTF-8
	opBytes               // KindBytes; of BINARY(n) padded with zero bytes to column.length
	opBits                // KindBits: column.length digits
	opEnum                // KindText: the label; empty for 0, the value that is no member
	opSet                 // KindText: the labels, separated by commas
	opJSON                // KindText: as jsonb.go writes it
	opYear                // KindInt; 0 for 0000
	opDate                // KindDate, by column.appendDate
	opTime                // KindTime
	opDatetime            // KindTimestamp, by column.appendDatetime
	opTimestamp           // KindTimestampTZ; by column.appendNoDay for 0000-00-00 00:00:00
	opGeometry            // KindBytes: SRID (4 bytes, little-endian), then WKB: what the server stores
	opPoint               // as opGeometry
	opVector              // KindList of KindFloat32
	opUUID                // KindText (MariaDB)
	opInet4               // KindText (MariaDB)
	opInet6               // KindText (MariaDB)
)

// newTable makes a version of a captured table from its definition.
func newTable(cfg *config, def *ddl.Table, source *connectors.SourceBlock, headers []connectors.Header) (*table, error) {
	m := mapper{modes: cfg.modes, precise: cfg.bigintPrecise, mariadb: cfg.flavor == flavorMariaDB, placeholder: cfg.placeholder}
	t := &table{id: changes.TableID{Catalog: def.Database, Name: def.ID.Table}, copyKey: true}
	captured := &schemas.Table{Catalog: t.id.Catalog, Name: t.id.Name, Comment: def.Comment}
	spec := changes.StreamSpec{
		Table: captured, Source: source, Naming: cfg.naming, Masks: cfg.masks, Propagation: cfg.propagation, Comments: cfg.commented(), Headers: headers,
	}
	key, nowhere := recordKey(cfg, t.id, def)
	t.nowhere = nowhere
	spec.Key = make([]connectors.Field, len(key))
	t.keys = make([]keyColumn, len(key))
	for i := range def.Columns {
		c := &def.Columns[i]
		s := m.shapeOf(c)
		column, col := m.column(c, s)
		col.adjust = cfg.adjustYears
		field := m.field(c, s, &col)
		inKey := slices.Index(key, i)
		if cfg.selection.Column(t.id, c.Name) {
			col.cell, col.mask = len(captured.Columns), cfg.masks.For(t.id, c.Name, int(max(column.Length, 0)))
			if col.mask != nil && !s.op.text() {
				col.mask = nil
				t.unmasked = append(t.unmasked, c.Name)
			}
			captured.Columns = append(captured.Columns, column)
			spec.Fields = append(spec.Fields, field)
			spec.Types = append(spec.Types, sourceType(c))
		}
		if inKey >= 0 {
			spec.Key[inKey] = field
			spec.Key[inKey].Name = c.Name
			t.keys[inKey] = keyColumn{column: i, cell: col.cell}
			if col.mask != nil {
				t.keys[inKey].cell = -1
			}
			t.copyKey = t.copyKey && t.keys[inKey].cell >= 0
		}
		if inKey >= 0 || col.cell >= 0 {
			t.selected = append(t.selected, i)
		}
		t.columns = append(t.columns, col)
	}
	captured.Key = tableKey(captured, def.Key)
	t.stream = changes.NewStream(spec)
	return t, nil
}

// recordKey gives the columns of the record key: those of message.key.columns that the table has, else the table's key. nowhere are the others.
func recordKey(cfg *config, id changes.TableID, def *ddl.Table) (key []int, nowhere []string) {
	names := cfg.keys.For(id)
	if names == nil {
		names = def.Key
	}
	for _, name := range names {
		i := slices.IndexFunc(def.Columns, func(c ddl.Column) bool { return strings.EqualFold(c.Name, name) })
		if i < 0 {
			nowhere = append(nowhere, name)
		} else if !slices.Contains(key, i) {
			key = append(key, i)
		}
	}
	return key, nowhere
}

// tableKey returns the key as indexes, empty when one of its columns is not captured.
func tableKey(t *schemas.Table, key []string) []int {
	var out []int
	for _, name := range key {
		i := slices.IndexFunc(t.Columns, func(c schemas.Column) bool { return strings.EqualFold(c.Name, name) })
		if i < 0 {
			return nil
		}
		out = append(out, i)
	}
	return out
}

// field is how a column's values are shown in events. It sets what the column does with dates that are no days.
func (m mapper) field(c *ddl.Column, s shape, col *column) connectors.Field {
	f := s.field
	var noDay int64
	f.Schema.Default, noDay = defaultValue(f, col, c.Default)
	col.noDay = noDay
	zero := f.Schema.Default
	if zero == nil {
		zero = changes.Zero(f.Schema)
	}
	if s.op != opTime || !timeOfDay(f.View) { // nothing stands for a time that is none of a day
		f.WhenNull = zero
	}
	if f.WhenUnavailable = m.unavailable(s); f.WhenUnavailable == nil {
		f.WhenUnavailable = zero
	}
	return f
}

// timeOfDay tells the views that hold times of a day only.
func timeOfDay(v connectors.View) bool {
	return v == connectors.ViewTimeMillis || v == connectors.ViewIsoTime
}

// text tells the columns whose cells are text; only those can be hidden.
func (o op) text() bool {
	switch o {
	case opText, opEnum, opSet, opJSON, opUUID, opInet4, opInet6:
		return true
	}
	return false
}

// warn says what the configuration asks of the table and does not get.
func (t *table) warn(log *slog.Logger) {
	for _, name := range t.unmasked {
		log.Warn("a column that is not text cannot be masked and is passed on as it is; leave it out with column.exclude.list",
			"table", t.id.String(), "column", name)
	}
	for _, name := range t.nowhere {
		log.Warn("message.key.columns names a column that the table does not have", "table", t.id.String(), "column", name)
	}
}

// clone returns the table for another goroutine.
func (t *table) clone() *table {
	out := *t
	out.columns = slices.Clone(t.columns)
	for i := range out.columns {
		out.columns[i].mask = out.columns[i].mask.Clone()
	}
	return &out
}
