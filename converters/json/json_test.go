package json

import (
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// betsStream is public.bets of the recording postgres/conv-schemaless.
func betsStream(t testing.TB) *connectors.Stream {
	t.Helper()
	c := connectors.Config{"topic.prefix": "conv_schemaless_pg"}
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
	return changes.NewStream(changes.StreamSpec{
		Table: &schemas.Table{Catalog: "pmu", Schema: "public", Name: "bets", Key: []int{0}, Columns: []schemas.Column{
			{Name: "id", Type: schemas.TypeInt32},
			{Name: "stake", Type: schemas.TypeDecimal},
			{Name: "odds", Type: schemas.TypeFloat64},
			{Name: "at", Type: schemas.TypeTimestampTZ},
			{Name: "tag", Type: schemas.TypeBytes},
		}},
		Fields: []connectors.Field{
			id, modes.Decimal(10, 2, true), {Schema: changes.Plain(schemas.Float64, true)}, modes.ZonedTimestamp(6, true), modes.Binary(true),
		},
		Key: []connectors.Field{id}, Source: pgSource("conv_schemaless_pg", "public", "bets"), Naming: naming,
		Headers: changes.ContextHeaders(c, "postgresql", "0", "run"),
	})
}

func pgSource(server, schema, table string) *connectors.SourceBlock {
	number := changes.Plain(schemas.Int64, true)
	return changes.NewSourceBlock(changes.SourceSpec{
		Schema: "io.debezium.connector.postgresql.Source", Version: "3.6.1.Final", Connector: "postgresql", Server: server, Database: "pmu",
		Extra: []changes.SourceColumn{
			{Name: "schema", Schema: changes.Plain(schemas.String, false), Constant: schema},
			{Name: "table", Schema: changes.Plain(schemas.String, false), Constant: table},
			{Name: "txId", Schema: number, Cell: changes.SourceCells},
			{Name: "lsn", Schema: number, Cell: changes.SourceCells + 1},
			{Name: "xmin", Schema: number},
			{Name: "origin", Schema: changes.Plain(schemas.String, true)},
			{Name: "origin_lsn", Schema: number},
		},
	})
}

func source(w *connectors.Builder, micros int64, snapshot, sequence string, txID, lsn int64) {
	w.Source()
	w.Int(micros)
	if snapshot == "" {
		w.Null()
	} else {
		w.String(snapshot)
	}
	w.String(sequence)
	w.Int(txID)
	w.Int(lsn)
}

func encoders(t testing.TB, c connectors.Config, s *connectors.Stream) (key, value converters.Encoder) {
	t.Helper()
	var out [2]converters.Encoder
	for i := range out {
		conv, err := New(c, i == 0)
		if err != nil {
			t.Fatal(err)
		}
		if out[i], err = conv.Encoder(s); err != nil {
			t.Fatal(err)
		}
	}
	return out[0], out[1]
}

func encode(t testing.TB, e converters.Encoder, b *connectors.Batch, i int) string {
	t.Helper()
	out, null, err := e.Append(nil, b, &b.Records[i])
	if err != nil {
		t.Fatal(err)
	}
	if null {
		return "<null>"
	}
	return string(out)
}

// The lines of the recording postgres/conv-schemaless, topic conv_schemaless_pg.public.bets.
func TestSchemalessEnvelope(t *testing.T) {
	s := betsStream(t)
	w := connectors.NewBuilder(`{"server":"conv_schemaless_pg"}`, nil, nil)
	at := w.Stream(s)
	r := w.Begin(at, connectors.OpRead)
	r.Timestamp = 1795207386161700756
	w.Key()
	w.Int(1)
	w.After()
	w.Int(1)
	w.Text(connectors.KindDecimal, []byte("2.50"))
	w.Float64(1e10)
	w.Temporal(connectors.KindTimestampTZ, 1704067200000000)
	w.Text(connectors.KindBytes, []byte{1, 2})
	source(w, 1795207386107195, "first_in_data_collection", `[null,"418403976"]`, 2638, 418403976)
	w.Commit()
	r = w.Begin(at, connectors.OpDelete)
	r.Timestamp = 1795207389822558445
	w.Key()
	w.Int(2)
	w.Before()
	w.Int(2)
	for range 4 {
		w.Absent()
	}
	source(w, 1795207389797022, "", `["418404376","418404376"]`, 2641, 418404376)
	w.Commit()
	w.Begin(at, connectors.OpTombstone)
	w.Key()
	w.Int(2)
	w.Commit()
	b := w.Finish("", connectors.Order{})
	defer b.Release()

	key, value := encoders(t, connectors.Config{"schemas.enable": "false", "decimal.format": "NUMERIC"}, s)
	for i, want := range [][2]string{
		{`{"id":1}`, `{"before":null,"after":{"id":1,"stake":2.50,"odds":1.0E10,"at":"2024-01-01T00:00:00.000000Z","tag":"AQI="},"source":{"version":"3.6.1.Final","connector":"postgresql","name":"conv_schemaless_pg","ts_ms":1795207386107,"snapshot":"first_in_data_collection","db":"pmu","sequence":"[null,\"418403976\"]","ts_us":1795207386107195,"ts_ns":1795207386107195000,"schema":"public","table":"bets","txId":2638,"lsn":418403976,"xmin":null,"origin":null,"origin_lsn":null},"transaction":null,"op":"r","ts_ms":1795207386161,"ts_us":1795207386161700,"ts_ns":1795207386161700756}`},
		{`{"id":2}`, `{"before":{"id":2,"stake":null,"odds":null,"at":null,"tag":null},"after":null,"source":{"version":"3.6.1.Final","connector":"postgresql","name":"conv_schemaless_pg","ts_ms":1795207389797,"snapshot":"false","db":"pmu","sequence":"[\"418404376\",\"418404376\"]","ts_us":1795207389797022,"ts_ns":1795207389797022000,"schema":"public","table":"bets","txId":2641,"lsn":418404376,"xmin":null,"origin":null,"origin_lsn":null},"transaction":null,"op":"d","ts_ms":1795207389822,"ts_us":1795207389822558,"ts_ns":1795207389822558445}`},
		{`{"id":2}`, `<null>`},
	} {
		if got := encode(t, key, b, i); got != want[0] {
			t.Errorf("key %d: got %s, want %s", i, got, want[0])
		}
		if got := encode(t, value, b, i); got != want[1] {
			t.Errorf("value %d:\ngot  %s\nwant %s", i, got, want[1])
		}
	}
}

func TestKeyWithSchema(t *testing.T) {
	s := betsStream(t)
	w := connectors.NewBuilder("{}", nil, nil)
	w.Begin(w.Stream(s), connectors.OpTruncate)
	w.Commit()
	w.Begin(w.Stream(s), connectors.OpDelete)
	w.Key()
	w.Null()
	w.Commit()
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	key, _ := encoders(t, connectors.Config{}, s)
	if got := encode(t, key, b, 0); got != "<null>" {
		t.Errorf("key of a truncate: got %s", got)
	}
	want := `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false,"name":"conv_schemaless_pg.public.bets.Key"},"payload":{"id":0}}`
	if got := encode(t, key, b, 1); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestReplaceNullWithDefault(t *testing.T) {
	number := changes.Plain(schemas.Int32, true)
	number.Default = int32(42)
	row := &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "i", Schema: number}, {Name: "j", Schema: number}}}
	s := &connectors.Stream{Row: row, Value: row, Fields: []connectors.Field{
		{Name: "i", Schema: number, WhenNull: int32(42), WhenUnavailable: int32(42)}, {Name: "j", Schema: number, Cell: 1},
	}}
	w := connectors.NewBuilder("{}", nil, nil)
	w.Begin(w.Stream(s), connectors.OpCreate)
	w.After()
	w.Null()
	w.Null()
	w.Commit()
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	for replace, want := range map[string]string{"true": `{"i":42,"j":42}`, "false": `{"i":null,"j":null}`} {
		_, value := encoders(t, connectors.Config{"schemas.enable": "false", "replace.null.with.default": replace}, s)
		if got := encode(t, value, b, 0); got != want {
			t.Errorf("%s: got %s, want %s", replace, got, want)
		}
	}
}

// The heartbeat of the recording postgres/heartbeat.
func TestHeartbeat(t *testing.T) {
	naming, err := changes.NewNaming(connectors.Config{"topic.prefix": "heartbeat_pg"}, "io.debezium.schema.SchemaTopicNamingStrategy")
	if err != nil {
		t.Fatal(err)
	}
	h := changes.NewHeartbeat(naming)
	if h.Stream.Topic != "__debezium-heartbeat.heartbeat_pg" {
		t.Errorf("topic %s", h.Stream.Topic)
	}
	w := connectors.NewBuilder("{}", nil, nil)
	h.Append(w, 1795207485665000123)
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	key, value := encoders(t, connectors.Config{}, h.Stream)
	if got, want := encode(t, key, b, 0), `{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"serverName"}],"optional":false,"name":"io.debezium.connector.common.ServerNameKey","version":1},"payload":{"serverName":"heartbeat_pg"}}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, want := encode(t, value, b, 0), `{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"ts_ms"}],"optional":false,"name":"io.debezium.connector.common.Heartbeat","version":1},"payload":{"ts_ms":1795207485665}}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if b.Records[0].KafkaPartition != 0 {
		t.Errorf("partition %d", b.Records[0].KafkaPartition)
	}
}

func TestStringEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"plain/<é>😀\x7f":           "\"plain/<é>😀\x7f\"",
		"a\"b\\c":                  `"a\"b\\c"`,
		"\b\t\n\f\r\x00\x1f\x0b":   `"\b\t\n\f\r\u0000\u001F\u000B"`,
		"0123456789abcdef\x01tail": `"0123456789abcdef\u0001tail"`,
		"é😀\"\x01 \xf0 tail of it": "\"é😀\\\"\\u0001 \xf0 tail of it\"",
	} {
		if got := string(changes.AppendJSONText(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
		want = strings.ReplaceAll(want, "😀", `\uD83D\uDE00`)
		if got := string(changes.AppendWireText(nil, in)); got != want {
			t.Errorf("%q in a message: got %s, want %s", in, got, want)
		}
	}
}

func benchmarkRow(b *testing.B) (*connectors.Stream, *connectors.Batch) {
	naming, err := changes.NewNaming(connectors.Config{"topic.prefix": "bench"}, "io.debezium.schema.SchemaTopicNamingStrategy")
	if err != nil {
		b.Fatal(err)
	}
	modes, err := changes.NewModes(nil, "adaptive")
	if err != nil {
		b.Fatal(err)
	}
	table := &schemas.Table{Catalog: "pmu", Schema: "public", Name: "bets"}
	for _, n := range []string{"id", "customer_id", "race_id", "stake", "odds", "status", "placed_at", "settled", "note", "reference"} {
		table.Columns = append(table.Columns, schemas.Column{Name: n})
	}
	id := connectors.Field{Name: "id", Schema: changes.Plain(schemas.Int64, false)}
	text := connectors.Field{Schema: changes.Plain(schemas.String, true)}
	s := changes.NewStream(changes.StreamSpec{
		Table: table, Key: []connectors.Field{id}, Source: pgSource("bench", "public", "bets"), Naming: naming,
		Fields: []connectors.Field{
			id,
			{Schema: changes.Plain(schemas.Int32, false)},
			{Schema: changes.Plain(schemas.Int32, true)},
			modes.Decimal(12, 2, false),
			{Schema: changes.Plain(schemas.Float64, true)},
			text, modes.Timestamp(6, false),
			{Schema: changes.Plain(schemas.Boolean, false)},
			text, text,
		},
	})
	w := connectors.NewBuilder("{}", nil, nil)
	for i := range int64(64) { // rows of one transaction
		r := w.Begin(w.Stream(s), connectors.OpCreate)
		r.Timestamp = 1795207386161700756 + i*1000
		w.Key()
		w.Int(123456789 + i)
		w.After()
		w.Int(123456789 + i)
		w.Int(40211 + i*7)
		w.Int(7781)
		w.Text(connectors.KindDecimal, []byte("1250.50"))
		w.Float64(17.5)
		w.String("ACCEPTED")
		w.Temporal(connectors.KindTimestamp, 1795207386107195+i*31)
		w.Bool(true)
		w.String("placed at the counter of the grandstand, paid in cash by the customer")
		w.String("7f000001-0000-4000-8000-0000000000ff/2024-05-01")
		source(w, 1795207386107195, "", `["418404376","418404376"]`, 2638, 418403976+i*144)
		w.Commit()
	}
	return s, w.Finish("", connectors.Order{})
}

func BenchmarkEnvelope(b *testing.B) {
	for name, c := range map[string]connectors.Config{"schemaless": {"schemas.enable": "false"}, "schemas": {}} {
		b.Run(name, func(b *testing.B) {
			s, batch := benchmarkRow(b)
			_, e := encoders(b, c, s)
			var dst []byte
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				var err error
				if dst, _, err = e.Append(dst[:0], batch, &batch.Records[i&63]); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}
