package converters

import (
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// keyStream is public.t_key of the recordings postgres/types and postgres/types-modes-1.
func keyStream(t *testing.T, c connectors.Config) *connectors.Stream {
	t.Helper()
	c["topic.prefix"] = "types_pg"
	naming, err := changes.NewNaming(c, "io.debezium.schema.SchemaTopicNamingStrategy")
	if err != nil {
		t.Fatal(err)
	}
	modes, err := changes.NewModes(c, "adaptive")
	if err != nil {
		t.Fatal(err)
	}
	key := []connectors.Field{
		{Name: "k_uuid", Schema: changes.Logical(schemas.String, changes.NameUUID, false)},
		{Name: "k_text", Schema: changes.Plain(schemas.String, false)},
		modes.Decimal(6, 2, false), modes.Date(false), modes.ZonedTimestamp(6, false),
		{Name: "k_bool", Schema: changes.Plain(schemas.Boolean, false)},
		{Name: "k_enum", Schema: changes.EnumSchema([]string{"zen"}, false)},
	}
	key[2].Name, key[3].Name, key[4].Name = "k_num", "k_date", "k_ts"
	return changes.NewStream(changes.StreamSpec{
		Table: &schemas.Table{Schema: "public", Name: "t_key"}, Key: key, Naming: naming,
		Source: changes.NewSourceBlock(changes.SourceSpec{Schema: "s"}),
	})
}

func TestKeyHeader(t *testing.T) {
	for _, test := range []struct {
		config connectors.Config
		want   string
	}{
		{connectors.Config{}, `{"k_uuid":"a0eebc99","k_text":"a\"b","k_num":1.00,"k_date":19783,"k_ts":"2024-02-29T12:34:56.000000Z","k_bool":false,"k_enum":"bored"}`},
		{connectors.Config{"decimal.handling.mode": "string", "time.precision.mode": "connect"}, `{"k_uuid":"a0eebc99","k_text":"a\"b","k_num":"1.00","k_date":2024-03-01,"k_ts":"2024-02-29T12:34:56.000000Z","k_bool":false,"k_enum":"bored"}`},
		{connectors.Config{"decimal.handling.mode": "double", "time.precision.mode": "isostring"}, `{"k_uuid":"a0eebc99","k_text":"a\"b","k_num":1.0,"k_date":"2024-03-01Z","k_ts":"2024-02-29T12:34:56.000000Z","k_bool":false,"k_enum":"bored"}`},
	} {
		s := keyStream(t, test.config)
		w := connectors.NewBuilder("{}", nil, nil)
		w.Begin(w.Stream(s), connectors.OpDelete)
		w.Headers()
		w.String(changes.HeaderNewKey)
		w.BeginList(connectors.KindList)
		w.String("a0eebc99")
		w.String(`a"b`)
		w.Text(connectors.KindDecimal, []byte("1.00"))
		w.Temporal(connectors.KindDate, 19783)
		w.Temporal(connectors.KindTimestampTZ, 1709210096000000)
		w.Bool(false)
		w.String("bored")
		w.EndList()
		w.Commit()
		b := w.Finish("", connectors.Order{})
		got, null := AppendHeader(nil, b, s, b.Cells(b.Records[0].Headers)[1])
		if null || string(got) != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		b.Release()
	}
}
