package changes

import (
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// StreamSpec is what a source knows of a table when it makes a stream.
type StreamSpec struct {
	// Table holds the captured columns. It becomes Stream.Table.
	Table *schemas.Table
	// Fields has one entry per column of Table: Schema, View, Scale, WhenNull, WhenUnavailable, Elem. Name is the
	// column's (adjusted here) and may be left empty; Cell is filled in. A column without Schema is left out of events.
	Fields []connectors.Field
	// Types has one entry per column of Table for propagated source types; nil when the connector has none.
	Types []SourceType
	// Key has one entry per key column in key order, as Fields, with Name set; a key column need not be captured.
	// Empty: the table has no key. Masks and propagated types do not reach it.
	Key []connectors.Field

	Source      *connectors.SourceBlock
	Naming      *Naming
	Masks       *Masks
	Propagation *Propagation
	Comments    bool                // include.schema.comments: comments of columns
	Headers     []connectors.Header // ContextHeaders
}

// NewStream makes the stream of a table: key, row and envelope schemas with the reference's names, versions and order of fields.
func NewStream(spec StreamSpec) *connectors.Stream {
	id := IDOf(spec.Table)
	topic := spec.Naming.Topic(id)
	s := &connectors.Stream{Topic: topic, Table: spec.Table, Source: spec.Source, Headers: spec.Headers}
	row := &schemas.Schema{Kind: schemas.Struct, Optional: true, Name: spec.Naming.Schema(topic + ".Value")}
	for i, f := range spec.Fields {
		column := &spec.Table.Columns[i]
		if f.Schema == nil {
			continue // a column that events leave out
		}
		f.Name, f.Cell = spec.Naming.Field(column.Name), i
		comment := ""
		if spec.Comments {
			comment = column.Comment
		}
		m := spec.Masks.For(id, column.Name, int(column.Length))
		if m != nil && !maskable(column, f.Schema) {
			m = nil
		}
		if m != nil {
			f.Schema = m.Schema(f.Schema)
			if m.Always() {
				f.WhenNull, f.WhenUnavailable = string(m.fixed), string(m.fixed)
			}
		}
		if spec.Types != nil && (m == nil || m.kind == maskHash) { // the reference lets other masks win
			f.Schema = spec.Propagation.Schema(f.Schema, id, column.Name, comment, spec.Types[i])
		}
		f.Schema = withDoc(f.Schema, comment)
		row.Fields = append(row.Fields, schemas.Field{Name: f.Name, Schema: f.Schema})
		s.Fields = append(s.Fields, f)
	}
	s.Row = row
	if len(spec.Key) > 0 {
		s.Key = &schemas.Schema{Kind: schemas.Struct, Name: spec.Naming.Schema(topic + ".Key")}
		for i, f := range spec.Key {
			if at := spec.Table.Column(f.Name); spec.Comments && at >= 0 {
				f.Schema = withDoc(f.Schema, spec.Table.Columns[at].Comment)
			}
			f.Name, f.Cell = spec.Naming.Field(f.Name), i
			s.Key.Fields = append(s.Key.Fields, schemas.Field{Name: f.Name, Schema: f.Schema})
			s.KeyFields = append(s.KeyFields, f)
		}
	}
	s.Value = Envelope(spec.Naming.Schema(topic+".Envelope"), row, spec.Source.Schema)
	return s
}

// maskable tells the columns whose cells are text.
func maskable(c *schemas.Column, s *schemas.Schema) bool {
	switch c.Type {
	case schemas.TypeText, schemas.TypeOther, schemas.TypeUUID, schemas.TypeJSON, schemas.TypeXML, schemas.TypeEnum, schemas.TypeRange:
		return s.Kind == schemas.String
	}
	return false
}

func withDoc(s *schemas.Schema, doc string) *schemas.Schema {
	if doc == "" {
		return s
	}
	out := *s
	out.Doc = doc
	return &out
}

// The indexes of the fields of an envelope.
const (
	EnvelopeBefore = iota
	EnvelopeAfter
	EnvelopeSource
	EnvelopeTransaction
	EnvelopeOp
	EnvelopeTsMs
	EnvelopeTsUs
	EnvelopeTsNs
)

// Envelope is the schema of a change: before, after, source, transaction, op, ts_ms, ts_us, ts_ns.
func Envelope(name string, row, source *schemas.Schema) *schemas.Schema {
	return &schemas.Schema{Kind: schemas.Struct, Name: name, Version: 2, Fields: []schemas.Field{
		EnvelopeBefore:      {Name: "before", Schema: row},
		EnvelopeAfter:       {Name: "after", Schema: row},
		EnvelopeSource:      {Name: "source", Schema: source},
		EnvelopeTransaction: {Name: "transaction", Schema: TransactionBlock()},
		EnvelopeOp:          {Name: "op", Schema: &schemas.Schema{Kind: schemas.String}},
		EnvelopeTsMs:        {Name: "ts_ms", Schema: &schemas.Schema{Kind: schemas.Int64, Optional: true}},
		EnvelopeTsUs:        {Name: "ts_us", Schema: &schemas.Schema{Kind: schemas.Int64, Optional: true}},
		EnvelopeTsNs:        {Name: "ts_ns", Schema: &schemas.Schema{Kind: schemas.Int64, Optional: true}},
	}}
}

// TransactionBlock is the schema of the envelope's transaction member.
func TransactionBlock() *schemas.Schema {
	return &schemas.Schema{Kind: schemas.Struct, Optional: true, Name: "event.block", Version: 1, Fields: []schemas.Field{
		{Name: "id", Schema: &schemas.Schema{Kind: schemas.String}},
		{Name: "total_order", Schema: &schemas.Schema{Kind: schemas.Int64}},
		{Name: "data_collection_order", Schema: &schemas.Schema{Kind: schemas.Int64}},
	}}
}

// IsEnvelope tells whether the records of a stream are changes in an envelope (a table's stream), not materialised bodies.
func IsEnvelope(s *connectors.Stream) bool { return s.Source != nil && s.Row != nil && s.Value != nil }

// ContextHeaders are the constant headers of data records: logical name, task, connector and run. None when extended.headers.enabled is false.
// connector is the name in the source block ("postgresql"); runID differs for each start of the task.
func ContextHeaders(c connectors.Config, connector, taskID, runID string) []connectors.Header {
	if strings.EqualFold(strings.TrimSpace(c["extended.headers.enabled"]), "false") {
		return nil
	}
	return []connectors.Header{
		{Name: "__debezium.context.connectorLogicalName", Value: strings.TrimSpace(c["topic.prefix"])},
		{Name: "__debezium.context.taskId", Value: taskID},
		{Name: "__debezium.context.connectorName", Value: connector},
		{Name: "__debezium.context.runId", Value: runID},
	}
}

// The headers of the two halves of a key change; their value is the other key.
const (
	HeaderNewKey = "__debezium.newkey" // on the delete
	HeaderOldKey = "__debezium.oldkey" // on the create
)
