package changes

import (
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// The first cells of every Record.Source row; what a connector adds follows from SourceCells on.
const (
	SourceTime     = iota // KindInt: µs since 1970 of the change (of the snapshot for its rows)
	SourceSnapshot        // KindText: one of the Snapshot… markers; NULL for streamed changes
	SourceSequence        // KindText, or NULL
	SourceCells           // how many there are
)

// Markers of the source block's snapshot field.
const (
	SnapshotTrue        = "true"
	SnapshotFirst       = "first"
	SnapshotFirstTable  = "first_in_data_collection"
	SnapshotLastTable   = "last_in_data_collection"
	SnapshotLast        = "last"
	SnapshotFalse       = "false"
	SnapshotIncremental = "incremental"
)

const snapshotAllowed = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"

// SourceSpec is what a connector adds to the common source block.
type SourceSpec struct {
	Schema    string // schema name, e.g. io.debezium.connector.postgresql.Source
	Version   string // of the connector
	Connector string // e.g. postgresql
	Server    string // topic.prefix
	Database  string // constant; with DatabaseCell above 0 read from that cell instead
	// DatabaseCell is the cell of the database's name where it differs from record to record.
	DatabaseCell int
	Extra        []SourceColumn
	Transaction  int // SourceBlock.Transaction
}

// SourceColumn is one field after the common ones.
type SourceColumn struct {
	Name     string
	Schema   *schemas.Schema
	Constant schemas.Value // used when Cell is 0 (nil: null)
	Cell     int           // index into Record.Source, at least SourceCells; 0: the constant
}

// NewSourceBlock makes the source block of a table: version, connector, name, ts_ms, snapshot, db, sequence, ts_us, ts_ns and Extra.
func NewSourceBlock(spec SourceSpec) *connectors.SourceBlock {
	text, number := &schemas.Schema{Kind: schemas.String}, &schemas.Schema{Kind: schemas.Int64}
	optionalNumber := &schemas.Schema{Kind: schemas.Int64, Optional: true}
	b := &connectors.SourceBlock{Transaction: spec.Transaction, Schema: &schemas.Schema{Kind: schemas.Struct, Name: spec.Schema, Version: 1}}
	add := func(name string, s *schemas.Schema, f connectors.SourceField) {
		b.Schema.Fields = append(b.Schema.Fields, schemas.Field{Name: name, Schema: s})
		b.Fields = append(b.Fields, f)
	}
	constant := func(v schemas.Value) connectors.SourceField { return connectors.SourceField{Constant: v, Cell: -1} }
	add("version", text, constant(spec.Version))
	add("connector", text, constant(spec.Connector))
	add("name", text, constant(spec.Server))
	add("ts_ms", number, connectors.SourceField{Cell: SourceTime, Divide: 1000})
	add("snapshot", SnapshotSchema(), connectors.SourceField{Cell: SourceSnapshot})
	if spec.DatabaseCell > 0 {
		add("db", text, connectors.SourceField{Cell: spec.DatabaseCell})
	} else {
		add("db", text, constant(spec.Database))
	}
	add("sequence", &schemas.Schema{Kind: schemas.String, Optional: true}, connectors.SourceField{Cell: SourceSequence})
	add("ts_us", optionalNumber, connectors.SourceField{Cell: SourceTime})
	add("ts_ns", optionalNumber, connectors.SourceField{Cell: SourceTime, Multiply: 1000})
	for _, c := range spec.Extra {
		if c.Cell > 0 {
			add(c.Name, c.Schema, connectors.SourceField{Cell: c.Cell})
		} else {
			add(c.Name, c.Schema, constant(c.Constant))
		}
	}
	return b
}

// SnapshotSchema is the schema of the source block's snapshot field.
func SnapshotSchema() *schemas.Schema {
	return &schemas.Schema{
		Kind: schemas.String, Optional: true, Name: "io.debezium.data.Enum", Version: 1, Default: SnapshotFalse,
		Parameters: []schemas.Parameter{{Name: "allowed", Value: snapshotAllowed}},
	}
}
