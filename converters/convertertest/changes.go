package convertertest

import (
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// Ten is the stream of a table of ten columns.
func Ten(t testing.TB) *connectors.Stream {
	t.Helper()
	c := connectors.Config{"topic.prefix": "pg"}
	naming, err := changes.NewNaming(c, "io.debezium.schema.SchemaTopicNamingStrategy")
	if err != nil {
		t.Fatal(err)
	}
	modes, err := changes.NewModes(c, "adaptive")
	if err != nil {
		t.Fatal(err)
	}
	id := connectors.Field{Name: "id", Schema: changes.Plain(schemas.Int32, false)}
	id.WhenNull = changes.Zero(id.Schema)
	text := connectors.Field{Schema: changes.Plain(schemas.String, true), WhenUnavailable: "__debezium_unavailable_value"}
	whole := connectors.Field{Schema: changes.Plain(schemas.Int64, true)}
	status := connectors.Field{Schema: &schemas.Schema{Kind: schemas.String, Optional: true, Default: "open"}, WhenNull: "open"}
	columns := []schemas.Column{{Name: "id", Type: schemas.TypeInt32}}
	for _, name := range []string{"customer", "race", "note", "country", "stake", "odds", "at", "won", "status"} {
		columns = append(columns, schemas.Column{Name: name, Type: schemas.TypeText})
	}
	number := changes.Plain(schemas.Int64, true)
	return changes.NewStream(changes.StreamSpec{
		Table: &schemas.Table{Catalog: "pmu", Schema: "public", Name: "bets", Key: []int{0}, Columns: columns},
		Fields: []connectors.Field{
			id, whole, whole, text, text, modes.Decimal(10, 2, true),
			{Schema: changes.Plain(schemas.Float64, true)},
			modes.ZonedTimestamp(6, true),
			{Schema: changes.Plain(schemas.Boolean, true)},
			status,
		},
		Key: []connectors.Field{id}, Naming: naming,
		Source: changes.NewSourceBlock(changes.SourceSpec{
			Schema: "io.debezium.connector.postgresql.Source", Version: "3.6.1.Final", Connector: "postgresql", Server: "pg", Database: "pmu",
			Extra: []changes.SourceColumn{
				{Name: "schema", Schema: changes.Plain(schemas.String, false), Constant: "public"},
				{Name: "table", Schema: changes.Plain(schemas.String, false), Constant: "bets"},
				{Name: "txId", Schema: number, Cell: changes.SourceCells},
				{Name: "lsn", Schema: number, Cell: changes.SourceCells + 1},
				{Name: "xmin", Schema: number},
			},
		}),
	})
}

// Cells are the cells of one of its changes.
type Cells struct {
	ID       int64
	Note     string
	Null     bool // note, country and status are missing
	Decimal  string
	At       int64
	Snapshot string
}

func (c Cells) row(w *connectors.Builder) {
	w.Int(c.ID)
	w.Int(c.ID * 7)
	w.Int(-c.ID)
	if c.Null {
		w.Null()
		w.Unavailable()
	} else {
		w.String(c.Note)
		w.String("FR")
	}
	w.Text(connectors.KindDecimal, []byte(c.Decimal))
	w.Float64(1.5)
	w.Temporal(connectors.KindTimestampTZ, c.At)
	w.Bool(true)
	if c.Null {
		w.Null()
	} else {
		w.String("closed")
	}
}

// Add adds a change.
func (c Cells) Add(w *connectors.Builder, s *connectors.Stream, op connectors.Op) {
	r := w.Begin(w.Stream(s), op)
	r.Timestamp = 1_709_210_096_123_456_789
	w.Key()
	w.Int(c.ID)
	if op != connectors.OpCreate {
		w.Before()
		c.row(w)
	}
	if op != connectors.OpDelete {
		w.After()
		c.row(w)
	}
	w.Source()
	w.Int(1_709_210_096_000_000)
	if c.Snapshot == "" {
		w.Null()
	} else {
		w.String(c.Snapshot)
	}
	w.String(`[null,"5"]`)
	w.Int(700 + c.ID)
	w.Int(1 << 40)
	w.Commit()
}
