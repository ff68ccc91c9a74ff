package mysql

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
	jsonconverter "github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/schemas"
)

// testSchema is a schema over a history, in memory when none is given.
func testSchema(t testing.TB, h history, keys map[string]string) *schema {
	t.Helper()
	keys = maps.Clone(keys)
	if keys == nil {
		keys = map[string]string{}
	}
	if keys["schema.history.internal"] == "" {
		keys["schema.history.internal"] = "io.debezium.relational.history.MemorySchemaHistory"
	}
	log, _ := testLog()
	cfg := testConfig(t, flavorMySQL, keys)
	s, err := newSchema(cfg, false, recordedBlock(cfg), nil, log)
	if err != nil {
		t.Fatal(err)
	}
	if h != nil {
		s.history = h
	}
	t.Cleanup(s.close)
	return s
}

// recordedBlock is the source block that the reference has.
func recordedBlock(cfg *config) *connectors.SourceBlock {
	text, number := changes.Plain(schemas.String, true), changes.Plain(schemas.Int64, false)
	return changes.NewSourceBlock(changes.SourceSpec{
		Schema: "io.debezium.connector.mysql.Source", Version: "3.6.1.Final", Connector: "mysql", Server: cfg.naming.Prefix,
		Extra: []changes.SourceColumn{
			{Name: "table", Schema: text},
			{Name: "server_id", Schema: number},
			{Name: "gtid", Schema: text},
			{Name: "file", Schema: changes.Plain(schemas.String, false)},
			{Name: "pos", Schema: number},
			{Name: "row", Schema: changes.Plain(schemas.Int32, false)},
			{Name: "thread", Schema: changes.Plain(schemas.Int64, true)},
			{Name: "query", Schema: text},
		},
	})
}

// decodedHistory is a history.
func decodedHistory(t testing.TB, records [][]byte) (out []historyRecord) {
	t.Helper()
	d := newHistoryReader()
	for _, data := range records {
		h, err := d.decode(data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h)
	}
	return out
}

// original joins the parts of one statement that the reference recorded apart.
func original(parts []historyRecord) string {
	text := parts[0].ddl
	for _, p := range parts[1:] {
		for _, prefix := range []string{"RENAME TABLE", "DROP TABLE IF EXISTS", "DROP TABLE"} {
			if rest, ok := strings.CutPrefix(p.ddl, prefix); ok {
				text += "," + rest
				break
			}
		}
	}
	return text
}

// scenarioKeys are the keys with which a recording was made.
func scenarioKeys(t testing.TB, scenario string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(golden, scenario, "scenario.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Connector map[string]string }
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s.Connector
}

type recordedEvent struct {
	key, value, payload []byte
}

// schemaChanges are the recorded records of the schema change topic.
func schemaChanges(t testing.TB, scenario, topic string) (out []recordedEvent) {
	t.Helper()
	f, err := os.Open(filepath.Join(golden, scenario, "golden/records.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r struct {
			Topic     string
			Partition int
			Key       json.RawMessage
			Value     json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Topic != topic {
			continue
		}
		var v struct{ Schema, Payload json.RawMessage }
		if err := json.Unmarshal(r.Value, &v); err != nil {
			t.Fatal(err)
		}
		if v.Schema == nil { // recorded without schemas
			v.Payload = r.Value
		}
		if r.Partition != 0 {
			t.Fatalf("recorded in partition %d", r.Partition)
		}
		out = append(out, recordedEvent{r.Key, r.Value, v.Payload})
	}
	return out
}

// TestRecordedStatements applies the statements that the reference saw and compares the history, and the records of the schema change
// topic, with what it wrote.
func TestRecordedStatements(t *testing.T) {
	t.Parallel()
	compared := 0
	for scenario, data := range recordings(t) {
		records := decodedHistory(t, data)
		m := &memoryHistory{}
		s := testSchema(t, m, scenarioKeys(t, scenario))
		recorded := schemaChanges(t, scenario, records[0].server)
		input := records
		if len(recorded) > len(records) { // some are not stored
			input = nil
			for _, r := range recorded {
				h := historyRecord{position: records[0].position}
				if err := json.Unmarshal(r.payload, &struct{ DatabaseName, DDL *string }{&h.database, &h.ddl}); err != nil {
					t.Fatal(err)
				}
				input = append(input, h)
			}
		}
		var events []schemaEvent
		for from := 0; from < len(input); {
			to := from + 1
			for to < len(input) && input[to].position == input[from].position {
				to++
			}
			run := input[from:to]
			from = to
			var err error
			var more []schemaEvent
			if run[0].position.snapshot != "" {
				var statements []statement
				for _, r := range run {
					statements = append(statements, statement{r.database, r.ddl})
				}
				more, err = s.describe(t.Context(), run[0].position, statements)
			} else {
				more, err = s.apply(t.Context(), run[0].position, "pmu", original(run), 0)
			}
			if err != nil {
				t.Fatalf("%s: %v", scenario, err)
			}
			events = append(events, more...)
		}
		if len(m.records) != len(data) {
			t.Errorf("%s: %d records, the reference has %d", scenario, len(m.records), len(data))
			continue
		}
		for i := range data {
			got, err := newHistoryReader().decode(m.records[i])
			if err != nil {
				t.Fatal(err)
			}
			got.time = records[i].time
			if text := got.encode(false); !reflect.DeepEqual(tokens(t, text), tokens(t, plainDefaults(data[i]))) {
				t.Errorf("%s: wrote %s\nthe reference %s", scenario, text, data[i])
			}
		}
		if len(recorded) != len(events) && len(recorded) != 0 {
			t.Errorf("%s: %d records of schema changes, the reference has %d", scenario, len(events), len(recorded))
			continue
		}
		for i := range recorded {
			compareEvent(t, s, &events[i], &recorded[i])
			compared++
		}
	}
	if compared < 150 {
		t.Errorf("only %d records of schema changes were compared", compared)
	}
}

func compareEvent(t *testing.T, s *schema, e *schemaEvent, want *recordedEvent) {
	t.Helper()
	var payload struct {
		Source struct {
			Micros   int64 `json:"ts_us"`
			Snapshot string
			ServerID uint32 `json:"server_id"`
			GTID     string
			File     string
			Pos      int64
			Row      int32
			Thread   *int64
			Query    string
		}
		Millis int64 `json:"ts_ms"`
	}
	if err := json.Unmarshal(want.payload, &payload); err != nil {
		t.Fatal(err)
	}
	p := &payload.Source
	values := func(block *connectors.SourceBlock) schemas.StructValue {
		thread := schemas.Value(nil)
		if p.Thread != nil {
			thread = *p.Thread
		}
		return schemas.StructValue{
			"3.6.1.Final", "mysql", s.cfg.naming.Prefix, p.Micros / 1000, p.Snapshot, "", nil, p.Micros, p.Micros * 1000,
			nil, int64(p.ServerID), optionalText(p.GTID), p.File, p.Pos, p.Row, thread, optionalText(p.Query),
		}[:len(block.Schema.Fields)]
	}
	w := connectors.NewBuilder("{}", nil, nil)
	s.appendEvent(w, e, values, time.UnixMilli(payload.Millis))
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	if r := &b.Records[0]; r.KafkaPartition != 0 || r.Op != connectors.OpNone {
		t.Errorf("partition %d, operation %c", r.KafkaPartition, r.Op.Letter())
	}
	for i, text := range [][]byte{want.key, want.value} {
		keys := connectors.Config{}
		if !bytes.Contains(text, []byte(`"schema"`)) {
			keys["schemas.enable"] = "false"
		}
		c, err := jsonconverter.New(keys, i == 0)
		if err != nil {
			t.Fatal(err)
		}
		enc, err := c.Encoder(b.Streams[0])
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := enc.Append(nil, b, &b.Records[0])
		if err != nil {
			t.Fatal(err)
		}
		if a, b := plainNanos(t, got), plainNanos(t, plainDefaults(text)); !reflect.DeepEqual(a, b) {
			t.Errorf("wrote %s\nthe reference %s", got, text)
		}
	}
}

// plainDefaults puts in what is meant where the reference stores a literal as it is written in the statement.
func plainDefaults(text []byte) []byte {
	for _, name := range []string{`"defaultValueExpression":`, `"defaultValueExpression": `} {
		text = bytes.ReplaceAll(text, []byte(name+`"hé''llo"`), []byte(name+`"hé'llo"`))
		text = bytes.ReplaceAll(text, []byte(name+`"ab\\0\\0"`), []byte(name+`"ab\u0000\u0000"`))
	}
	return text
}

// plainNanos reads a document; ts_ns has no more digits than ts_us.
func plainNanos(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if m, ok := v.(map[string]any); ok {
		if p, ok := m["payload"].(map[string]any); ok {
			m = p
		}
		if source, ok := m["source"].(map[string]any); ok {
			n, _ := source["ts_ns"].(json.Number).Int64()
			source["ts_ns"] = n / 1000
		}
	}
	return v
}

// tablesOf are the tables that records leave, which is what a recovery must give.
func tablesOf(records []historyRecord) map[ddl.ID]*ddl.Table {
	out := map[ddl.ID]*ddl.Table{}
	for _, r := range records {
		words := strings.Fields(strings.NewReplacer("`", "", ".", " ").Replace(r.ddl))
		if len(words) > 2 && words[0] == "DROP" && words[1] == "DATABASE" {
			maps.DeleteFunc(out, func(id ddl.ID, _ *ddl.Table) bool { return id.Database == words[len(words)-1] })
		}
		if len(words) > 4 && words[0] == "ALTER" && words[3] == "RENAME" && words[4] == "TO" {
			delete(out, ddl.ID{Database: r.database, Table: words[2]})
		}
		for _, c := range r.changes {
			delete(out, c.ID)
			delete(out, c.Previous)
			if c.Table != nil {
				out[c.ID] = c.Table
			}
		}
	}
	return out
}

func sameTables(t testing.TB, s *schema, want map[ddl.ID]*ddl.Table) {
	t.Helper()
	got := map[ddl.ID]*ddl.Table{}
	for _, table := range s.catalog.Tables() {
		got[table.ID] = table
	}
	for id, table := range want {
		have := got[id]
		if have == nil {
			t.Errorf("%v is missing", id)
			continue
		}
		a := ddl.Change{Kind: ddl.Create, ID: id, Table: s.describable(table)}
		b := ddl.Change{Kind: ddl.Create, ID: id, Table: s.describable(have)}
		var x, y jsonWriter
		writeChange(&x, &a)
		writeChange(&y, &b)
		if !bytes.Equal(x.b, y.b) {
			t.Errorf("%v is %s\nwant %s", id, y.b, x.b)
		}
		delete(got, id)
	}
	for id := range got {
		t.Errorf("%v is there", id)
	}
}

// TestRecordedHistoriesAreRecovered recovers every history of the reference to each of its positions, from the tables in it and from
// its statements.
func TestRecordedHistoriesAreRecovered(t *testing.T) {
	t.Parallel()
	for scenario, data := range recordings(t) {
		for i := range data {
			data[i] = plainDefaults(data[i])
		}
		records := decodedHistory(t, data)
		for _, prefer := range []string{"false", "true"} {
			for i := range records {
				at := records[i].position
				at.snapshot = ""
				last := i
				for last+1 < len(records) && !later(&records[last+1].position, &at) {
					last++
				}
				s := testSchema(t, &memoryHistory{records: data}, map[string]string{
					"topic.prefix": records[0].server, "schema.history.internal.prefer.ddl": prefer,
				})
				if err := s.recover(t.Context(), at); err != nil {
					t.Fatalf("%s: %v", scenario, err)
				}
				sameTables(t, s, tablesOf(records[:last+1]))
				if t.Failed() {
					t.Fatalf("%s, at record %d, prefer.ddl=%s", scenario, i, prefer)
				}
			}
		}
	}
}

// later tells whether a recorded position lies behind another one, by their GTIDs.
func later(p, at *position) bool {
	a, err := parseGTIDSet(p.gtids, false)
	b, err2 := parseGTIDSet(at.gtids, false)
	if err != nil || err2 != nil {
		panic(errors.Join(err, err2))
	}
	return !a.within(b) || b.within(a) && p.event > at.event
}
