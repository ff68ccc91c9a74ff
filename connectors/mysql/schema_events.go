package mysql

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
	"github.com/freshet-io/freshet/schemas"
)

// schemaEvent is one record of the schema change topic. Kind 0: a statement that changed no table and no database.
type schemaEvent struct {
	ddl.Change
	database string        // databaseName
	tables   schemas.Value // of the source block: names, or nil
}

// nameTables sets the tables of the events of one statement as the reference's source block has them: all that it changed in the
// database, and an empty name for a statement of Kind 0.
func nameTables(events []schemaEvent) {
	for from := 0; from < len(events); {
		to := from
		var ids []ddl.ID
		for ; to < len(events) && events[to].database == events[from].database; to++ {
			if id := events[to].ID; id.Table != "" && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		var tables schemas.Value
		switch {
		case len(ids) > 0:
			tables = joinTables(ids)
		case events[from].Kind == 0:
			tables = ""
		}
		for ; from < to; from++ {
			events[from].tables = tables
		}
	}
}

// joinTables joins the names in the order in which the reference's hash set (java.util.HashSet) has them.
func joinTables(ids []ddl.ID) string {
	buckets := uint32(16)
	if n := uint32(float32(len(ids))/0.75) + 1; n > buckets {
		buckets = 1 << bits.Len32(n-1)
	}
	bucket := func(id ddl.ID) uint32 {
		var h uint32
		for _, unit := range utf16.Encode([]rune(id.Database + "." + id.Table)) {
			h = 31*h + uint32(unit)
		}
		return (h ^ h>>16) & (buckets - 1)
	}
	slices.SortStableFunc(ids, func(a, b ddl.ID) int { return cmp.Compare(bucket(a), bucket(b)) })
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.Table
	}
	return strings.Join(names, ",")
}

// schemaTopic makes the records of the schema change topic (reference, io.debezium.relational.history.ConnectTableChangeSerializer).
type schemaTopic struct {
	stream        *connectors.Stream
	source        *connectors.SourceBlock
	database, tab int // fields of the source block
	comments      bool
}

func newSchemaTopic(cfg *config, source *connectors.SourceBlock, headers []connectors.Header) *schemaTopic {
	n := cfg.naming
	text, optional := changes.Plain(schemas.String, false), changes.Plain(schemas.String, true)
	number, noNumber, truth := changes.Plain(schemas.Int32, false), changes.Plain(schemas.Int32, true), changes.Plain(schemas.Boolean, true)
	list := func(of *schemas.Schema, optional bool) *schemas.Schema {
		return &schemas.Schema{Kind: schemas.Array, Elem: of, Optional: optional}
	}
	record := func(name string, optional bool, fields ...schemas.Field) *schemas.Schema {
		return &schemas.Schema{Kind: schemas.Struct, Name: n.Schema(name), Version: 1, Optional: optional, Fields: fields}
	}
	column := record("io.debezium.connector.schema.Column", false,
		schemas.Field{Name: "name", Schema: text}, schemas.Field{Name: "jdbcType", Schema: number},
		schemas.Field{Name: "nativeType", Schema: noNumber}, schemas.Field{Name: "typeName", Schema: text},
		schemas.Field{Name: "typeExpression", Schema: optional}, schemas.Field{Name: "charsetName", Schema: optional},
		schemas.Field{Name: "length", Schema: noNumber}, schemas.Field{Name: "scale", Schema: noNumber},
		schemas.Field{Name: "position", Schema: number}, schemas.Field{Name: "optional", Schema: truth},
		schemas.Field{Name: "autoIncremented", Schema: truth}, schemas.Field{Name: "generated", Schema: truth},
		schemas.Field{Name: "comment", Schema: optional}, schemas.Field{Name: "defaultValueExpression", Schema: optional},
		schemas.Field{Name: "enumValues", Schema: list(text, true)})
	table := record("io.debezium.connector.schema.Table", true,
		schemas.Field{Name: "defaultCharsetName", Schema: optional}, schemas.Field{Name: "primaryKeyColumnNames", Schema: list(text, true)},
		schemas.Field{Name: "columns", Schema: list(column, false)}, schemas.Field{Name: "comment", Schema: optional})
	change := record("io.debezium.connector.schema.Change", false,
		schemas.Field{Name: "type", Schema: text}, schemas.Field{Name: "id", Schema: text}, schemas.Field{Name: "table", Schema: table})
	prefix := "io.debezium.connector." + cfg.flavor.String() + ".SchemaChange"
	return &schemaTopic{
		source: source, database: source.Schema.Field("db"), tab: source.Schema.Field("table"), comments: cfg.commented(),
		stream: &connectors.Stream{
			Topic: n.SchemaChangeTopic(), Headers: headers,
			Key: record(prefix+"Key", false, schemas.Field{Name: "databaseName", Schema: text}),
			Value: record(prefix+"Value", false,
				schemas.Field{Name: "source", Schema: source.Schema}, schemas.Field{Name: "ts_ms", Schema: changes.Plain(schemas.Int64, false)},
				schemas.Field{Name: "databaseName", Schema: optional}, schemas.Field{Name: "schemaName", Schema: optional},
				schemas.Field{Name: "ddl", Schema: optional}, schemas.Field{Name: "tableChanges", Schema: list(change, false)}),
		},
	}
}

// appendEvent appends the record of an event. values gives the fields of the source block in its order; database and tables are the
// event's. now: when the statement was read. The record's order is the caller's to set.
func (s *schema) appendEvent(w *connectors.Builder, e *schemaEvent, values func(*connectors.SourceBlock) schemas.StructValue, now time.Time) *connectors.Record {
	t := s.topic
	source := values(t.source)
	source[t.database], source[t.tab] = e.database, e.tables
	list, weight := schemas.ArrayValue{}, len(e.Statement)
	switch e.Kind {
	case ddl.Create, ddl.Alter, ddl.Drop:
		c := schemas.StructValue{kindNames[e.Kind], quotedID(e.ID), nil}
		if e.Table != nil {
			c[2] = t.table(e.Table)
			weight += weightOfColumn * len(e.Table.Columns)
		}
		list = append(list, c)
	}
	w.Weigh(weightOfEvent + weight)
	r := w.Body(w.Stream(t.stream), connectors.OpNone, connectors.Body{
		Key:   schemas.Typed{Schema: t.stream.Key, Value: schemas.StructValue{e.database}},
		Value: schemas.Typed{Schema: t.stream.Value, Value: schemas.StructValue{source, now.UnixMilli(), e.database, nil, e.Statement, list}},
	})
	r.KafkaPartition, r.Timestamp = 0, now.UnixNano()
	return r
}

// What the values of a record take in memory, about, in bytes (I5).
const (
	weightOfEvent  = 1024
	weightOfColumn = 640
)

func (t *schemaTopic) table(def *ddl.Table) schemas.StructValue {
	columns := make(schemas.ArrayValue, len(def.Columns))
	for i := range def.Columns {
		columns[i] = t.column(&def.Columns[i])
	}
	return schemas.StructValue{optionalText(def.Charset), textList(def.Key), columns, t.comment(def.Comment)}
}

func (t *schemaTopic) column(c *ddl.Column) schemas.StructValue {
	var native, fallback, labels schemas.Value
	if c.NativeType != 0 {
		native = int32(c.NativeType)
	}
	if c.Default != nil {
		fallback = *c.Default
	}
	if len(c.Labels) > 0 {
		labels = textList(quotedLabels(c.Labels))
	}
	return schemas.StructValue{
		c.Name, int32(c.JDBCType), native, c.Type, optionalText(c.Expression), optionalText(c.Charset), optionalNumber(c.Length), optionalNumber(c.Scale),
		int32(c.Position), c.Optional, c.AutoIncrement, c.Generated, t.comment(c.Comment), fallback, labels,
	}
}

// comment is nil where comments are not asked for.
func (t *schemaTopic) comment(text string) schemas.Value {
	if !t.comments {
		return nil
	}
	return optionalText(text)
}

func optionalText(text string) schemas.Value {
	if text == "" {
		return nil
	}
	return text
}

func optionalNumber(n int) schemas.Value {
	if n < 0 {
		return nil
	}
	return int32(n)
}

func textList(v []string) schemas.ArrayValue {
	out := make(schemas.ArrayValue, len(v))
	for i := range v {
		out[i] = v[i]
	}
	return out
}
