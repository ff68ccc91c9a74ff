package mysql

import (
	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// The cells of Record.Source after the common ones.
const (
	sourceServerID = changes.SourceCells + iota // KindInt
	sourceGTID                                  // KindText, or NULL
	sourceFile                                  // KindText
	sourcePos                                   // KindInt: of the event
	sourceRow                                   // KindInt: within the event
	sourceThread                                // KindInt, or NULL
	sourceQuery                                 // KindText, or NULL
	sourceCells                                 // how many there are; with transaction metadata its block comes behind them
)

// sourceColumns are the fields of the source block after the common ones (reference, BinlogSourceInfoStructMaker). table is constant.
func sourceColumns(table schemas.Value) []changes.SourceColumn {
	text := changes.Plain(schemas.String, true)
	return []changes.SourceColumn{
		{Name: "table", Schema: text, Constant: table},
		{Name: "server_id", Schema: changes.Plain(schemas.Int64, false), Cell: sourceServerID},
		{Name: "gtid", Schema: text, Cell: sourceGTID},
		{Name: "file", Schema: changes.Plain(schemas.String, false), Cell: sourceFile},
		{Name: "pos", Schema: changes.Plain(schemas.Int64, false), Cell: sourcePos},
		{Name: "row", Schema: changes.Plain(schemas.Int32, false), Cell: sourceRow},
		{Name: "thread", Schema: changes.Plain(schemas.Int64, true), Cell: sourceThread},
		{Name: "query", Schema: text, Cell: sourceQuery},
	}
}

// sourceBlock is the source block of a table's changes. table nil: of a statement that names none.
func (cfg *config) sourceBlock(version, database string, table schemas.Value) *connectors.SourceBlock {
	return changes.NewSourceBlock(changes.SourceSpec{
		Schema: cfg.naming.Schema("io.debezium.connector." + cfg.flavor.String() + ".Source"), Version: version, Connector: cfg.flavor.String(),
		Server: cfg.naming.Prefix, Database: database, Extra: sourceColumns(table), Transaction: sourceCells,
	})
}

// sourceValues are the per-record fields of the source block outside of the rows of a table: of a schema change or a snapshot.
type sourceValues struct {
	micros   int64  // since 1970
	marker   string // of a snapshot; "": streamed
	serverID uint32
	gtid     string
	file     string
	pos      uint64
	row      int
	thread   int64 // below 0: none
	query    string
}

// append writes the fields as cells of Record.Source.
func (v *sourceValues) append(w *connectors.Builder) {
	w.Source()
	w.Int(v.micros)
	textOrNull(w, v.marker)
	w.Null() // sequence
	w.Int(int64(v.serverID))
	textOrNull(w, v.gtid)
	w.String(v.file)
	w.Int(int64(v.pos))
	w.Int(int64(v.row))
	if v.thread >= 0 {
		w.Int(v.thread)
	} else {
		w.Null()
	}
	textOrNull(w, v.query)
}

// values returns the fields in the order of the block's schema, for a materialised record.
func (v *sourceValues) values(block *connectors.SourceBlock) schemas.StructValue {
	cells := [sourceCells]schemas.Value{
		changes.SourceTime: v.micros, changes.SourceSnapshot: nilIfEmpty(v.marker), sourceServerID: int64(v.serverID), sourceGTID: nilIfEmpty(v.gtid),
		sourceFile: v.file, sourcePos: int64(v.pos), sourceRow: int32(v.row), sourceQuery: nilIfEmpty(v.query),
	}
	if v.thread >= 0 {
		cells[sourceThread] = v.thread
	}
	out := make(schemas.StructValue, len(block.Fields))
	for i, f := range block.Fields {
		if f.Cell < 0 {
			out[i] = f.Constant
			continue
		}
		out[i] = cells[f.Cell]
		if n, ok := out[i].(int64); ok {
			if f.Divide > 1 {
				n /= f.Divide
			}
			if f.Multiply > 1 {
				n *= f.Multiply
			}
			out[i] = n
		}
	}
	return out
}

func nilIfEmpty(s string) schemas.Value {
	if s == "" {
		return nil
	}
	return s
}

func textOrNull(w *connectors.Builder, s string) {
	if s == "" {
		w.Null()
	} else {
		w.String(s)
	}
}
