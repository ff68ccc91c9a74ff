package changes

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// Members of a stored offset that belong to transaction metadata (reference 6.1, 6.2).
const (
	memberTransaction = "transaction_id"
	memberOrder       = "transaction_data_collection_order_"
)

// Transactions is provide.transaction.metadata: it numbers the events of a transaction, and makes the records that tell of its begin and
// its end (reference 3.8). It belongs to one goroutine. A nil one does nothing.
type Transactions struct {
	stream *connectors.Stream
	id     string // as offsets have it; "": nothing was begun yet
	total  int64
	tables []tableCount // of the open transaction, or of the last one
	again  bool         // that one may come again, to be gone on with
}

type tableCount struct {
	name  string
	count int64
}

// NewTransactions returns nil unless provide.transaction.metadata is set.
func NewTransactions(c connectors.Config, n *Naming) *Transactions {
	if !strings.EqualFold(strings.TrimSpace(c["provide.transaction.metadata"]), "true") {
		return nil
	}
	text, number := &schemas.Schema{Kind: schemas.String}, &schemas.Schema{Kind: schemas.Int64}
	key := &schemas.Schema{Kind: schemas.Struct, Name: n.Schema("io.debezium.connector.common.TransactionMetadataKey"), Version: 1, Fields: []schemas.Field{
		{Name: "id", Schema: text},
	}}
	table := &schemas.Schema{Kind: schemas.Struct, Optional: true, Name: n.Schema("event.collection"), Version: 1, Fields: []schemas.Field{
		{Name: "data_collection", Schema: text}, {Name: "event_count", Schema: number},
	}}
	value := &schemas.Schema{Kind: schemas.Struct, Name: n.Schema("io.debezium.connector.common.TransactionMetadataValue"), Version: 1, Fields: []schemas.Field{
		{Name: "status", Schema: text},
		{Name: "id", Schema: text},
		{Name: "event_count", Schema: &schemas.Schema{Kind: schemas.Int64, Optional: true}},
		{Name: "data_collections", Schema: &schemas.Schema{Kind: schemas.Array, Optional: true, Elem: table}},
		{Name: "ts_ms", Schema: number},
	}}
	return &Transactions{stream: &connectors.Stream{Topic: n.TransactionTopic(), Key: key, Value: value}}
}

// Begin starts a transaction and appends its BEGIN. id is what offsets call it, shown what records do (Postgres adds the LSN);
// micros is its commit time in µs since 1970. nil: there is no such record, or one of which a part was delivered goes on.
func (t *Transactions) Begin(w *connectors.Builder, id, shown string, micros int64) *connectors.Record {
	if t == nil {
		return nil
	}
	again := t.again && t.id == id
	if t.again = false; again {
		return nil
	}
	t.id, t.total, t.tables = id, 0, t.tables[:0]
	return t.append(w, "BEGIN", shown, nil, nil, micros)
}

// End appends the END of the open transaction.
func (t *Transactions) End(w *connectors.Builder, shown string, micros int64) *connectors.Record {
	if t == nil {
		return nil
	}
	list := make(schemas.ArrayValue, len(t.tables))
	for i, c := range t.tables {
		list[i] = schemas.StructValue{c.name, c.count}
	}
	return t.append(w, "END", shown, t.total, list, micros)
}

func (t *Transactions) append(w *connectors.Builder, status, shown string, total, tables schemas.Value, micros int64) *connectors.Record {
	if list, ok := tables.(schemas.ArrayValue); ok && list == nil {
		tables = nil
	}
	r := w.Body(w.Stream(t.stream), connectors.OpNone, connectors.Body{
		Key:   schemas.Typed{Schema: t.stream.Key, Value: schemas.StructValue{shown}},
		Value: schemas.Typed{Schema: t.stream.Value, Value: schemas.StructValue{status, shown, total, tables, floorDiv(micros, 1000)}},
	})
	r.KafkaPartition = 0
	return r
}

// Event counts an event of a table and writes its cell of the source row (SourceBlock.Transaction), which the caller has begun.
func (t *Transactions) Event(w *connectors.Builder, table string, shown []byte) {
	if t == nil {
		return
	}
	t.total++
	w.BeginList(connectors.KindList)
	w.Text(connectors.KindText, shown)
	w.Int(t.total)
	w.Int(t.count(table))
	w.EndList()
}

// Block counts an event of a table whose record has a materialised body, and returns its transaction block.
func (t *Transactions) Block(table, shown string) schemas.Value {
	if t == nil {
		return nil
	}
	t.total++
	return schemas.StructValue{shown, t.total, t.count(table)}
}

func (t *Transactions) count(table string) int64 {
	for i := range t.tables {
		if c := &t.tables[i]; c.name == table {
			c.count++
			return c.count
		}
	}
	t.tables = append(t.tables, tableCount{table, 1})
	return 1
}

// Again tells that the server will send the transaction begun last once more, for it was not read to its end.
func (t *Transactions) Again() {
	if t != nil {
		t.again = true
	}
}

// AppendID appends the member of an offset that names the transaction, after a comma.
func (t *Transactions) AppendID(b []byte) []byte {
	if t == nil || t.id == "" {
		return b
	}
	return AppendJSONText(append(b, `,"`+memberTransaction+`":`...), t.id)
}

// AppendCounts appends the members of an offset that hold what was counted, each after a comma.
func (t *Transactions) AppendCounts(b []byte) []byte {
	if t == nil || t.id == "" {
		return b
	}
	for _, c := range t.tables {
		b = AppendJSONText(append(b, ','), memberOrder+c.name)
		b = strconv.AppendInt(append(b, ':'), c.count, 10)
	}
	return b
}

// Restore takes over what a stored offset, which parses, knows of its transaction; inside: the offset lies in it, and numbers go on.
func (t *Transactions) Restore(offset offsets.Offset, inside bool) {
	var members map[string]json.RawMessage
	if t == nil || json.Unmarshal([]byte(offset), &members) != nil {
		return
	}
	*t = Transactions{stream: t.stream, again: inside}
	if json.Unmarshal(members[memberTransaction], &t.id) != nil {
		return
	}
	for name, raw := range members {
		table, ok := strings.CutPrefix(name, memberOrder)
		var n int64
		if ok && json.Unmarshal(raw, &n) == nil {
			t.tables = append(t.tables, tableCount{table, n})
			t.total += n
		}
	}
	slices.SortFunc(t.tables, func(a, b tableCount) int { return strings.Compare(a.name, b.name) })
}
