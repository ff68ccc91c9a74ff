package changes

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

func TestSelection(t *testing.T) {
	builtin := func(t TableID) bool { return t.Schema == "pg_catalog" }
	for _, test := range []struct {
		config connectors.Config
		table  TableID
		want   bool
	}{
		{connectors.Config{}, TableID{"pmu", "public", "bets"}, true},
		{connectors.Config{}, TableID{"pmu", "pg_catalog", "pg_class"}, false},
		{connectors.Config{"table.ignore.builtin": "false"}, TableID{"pmu", "pg_catalog", "pg_class"}, true},
		{connectors.Config{"table.include.list": "public.customers, public.BETS"}, TableID{"pmu", "public", "bets"}, true},
		{connectors.Config{"table.include.list": "public.bet"}, TableID{"pmu", "public", "bets"}, false},
		{connectors.Config{"table.include.list": "public.customers", "signal.data.collection": "public.signal"}, TableID{"pmu", "public", "signal"}, true},
		{connectors.Config{"table.exclude.list": `public\.b.*`}, TableID{"pmu", "public", "bets"}, false},
		{connectors.Config{"schema.include.list": "ledger"}, TableID{"pmu", "public", "bets"}, false},
		{connectors.Config{"schema.exclude.list": "ledger"}, TableID{"pmu", "public", "bets"}, true},
		{connectors.Config{"table.include.list": `public.a{1\,2}`}, TableID{"pmu", "public", "aa"}, true},
		{connectors.Config{"table.include.list": "shop.bets"}, TableID{"shop", "", "bets"}, true},
		{connectors.Config{"database.exclude.list": "shop"}, TableID{"shop", "", "bets"}, false},
	} {
		s, err := NewSelection(test.config, builtin)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Table(test.table); got != test.want {
			t.Errorf("%v %s: got %v", test.config, test.table, got)
		}
	}
}

func TestSelectionColumnsAndOrder(t *testing.T) {
	s, err := NewSelection(connectors.Config{"column.exclude.list": "public.customers.secret", "table.include.list": "public.c.*,public.a.*"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := TableID{"pmu", "public", "customers"}
	if s.Column(id, "secret") || !s.Column(id, "secrets") {
		t.Error("column filter")
	}
	tables := []TableID{{"", "public", "a2"}, {"", "public", "c2"}, {"", "public", "a1"}, {"", "public", "c1"}}
	s.Sort(tables)
	var names []string
	for _, t := range tables {
		names = append(names, t.Name)
	}
	if !slices.Equal(names, []string{"c1", "c2", "a1", "a2"}) {
		t.Errorf("order %v", names)
	}
	if got := s.Unmatched(tables[:2]); !slices.Equal(got, []string{"public.a.*"}) {
		t.Errorf("unmatched %v", got)
	}
}

func TestSelectionErrors(t *testing.T) {
	for _, c := range []connectors.Config{
		{"table.include.list": "a", "table.exclude.list": "b"},
		{"table.include.list": "a("},
	} {
		if _, err := NewSelection(c, nil); err == nil || !strings.Contains(err.Error(), "table.include.list") {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// Values and parameters are those of the recording postgres/crud-filters.
func TestMasks(t *testing.T) {
	m, err := NewMasks(connectors.Config{
		"column.mask.with.6.chars":               "public.customers.email",
		"column.mask.hash.SHA-256.with.salt.pmu": "public.customers.iban",
		"column.truncate.to.5.chars":             "public.bets.note,public.customers.full_name",
	})
	if err != nil {
		t.Fatal(err)
	}
	id := TableID{"pmu", "public", "customers"}
	for _, test := range []struct{ column, in, want, parameter string }{
		{"email", "alice@example.org", "******", "masked"},
		{"iban", "FR7612345678901234567890123", "16526739e54f3fa596428040c3432e9445", "masked"},
		{"iban", "DE89 3704", "9fb9330ed40d19637069be689f6ceeb59f", "masked"},
		{"full_name", "Zoë Émile", "Zoë É", "truncateLength"},
		{"full_name", "🐎🐎🐎", "🐎🐎", "truncateLength"},
	} {
		mask := m.For(id, test.column, 34)
		w := connectors.NewBuilder("{}", nil, nil)
		w.Begin(0, connectors.OpCreate)
		w.After()
		mask.Append(w, []byte(test.in))
		w.Commit()
		b := w.Finish("", connectors.Order{})
		if got := string(b.Bytes(b.Cells(b.Records[0].After)[0])); got != test.want {
			t.Errorf("%s: got %s, want %s", test.column, got, test.want)
		}
		if got := mask.Schema(Plain(schemas.String, false)).Parameters[0].Name; got != test.parameter {
			t.Errorf("%s: parameter %s", test.column, got)
		}
		b.Release()
	}
	if m.For(id, "balance", 0) != nil {
		t.Error("balance is masked")
	}
	if _, err := NewMasks(connectors.Config{"column.mask.hash.CRC.with.salt.secret": "a"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

func TestKeys(t *testing.T) {
	k, err := ParseKeys("public.audit_log:seq;public.bets:race,customer_id")
	if err != nil {
		t.Fatal(err)
	}
	if got := k.For(TableID{"pmu", "public", "bets"}); !slices.Equal(got, []string{"race", "customer_id"}) {
		t.Errorf("got %v", got)
	}
	if got := k.For(TableID{"pmu", "public", "customers"}); got != nil {
		t.Errorf("got %v", got)
	}
	if _, err := ParseKeys("public.bets"); err == nil {
		t.Error("taken")
	}
}

// Names are those of the recordings postgres/naming-avro and postgres/conv-schemaless.
func TestNaming(t *testing.T) {
	const strategy = "io.debezium.schema.SchemaTopicNamingStrategy"
	id := TableID{"pmu", "Weird-Schema", "Tâble $1"}
	n, err := NewNaming(connectors.Config{"topic.prefix": "naming_avro_pg", "topic.delimiter": "-", "schema.name.adjustment.mode": "avro", "field.name.adjustment.mode": "avro"}, strategy)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range [][2]string{
		{n.Topic(id), "naming_avro_pg-Weird-Schema-T_ble__1"},
		{n.Schema(n.Topic(id) + ".Value"), "naming_avro_pg_Weird_Schema_T_ble__1.Value"},
		{n.Field("Id Nr"), "Id_Nr"},
		{n.Field("1st"), "_1st"},
		{n.Field("a.b"), "a_b"},
		{n.HeartbeatTopic(), "__debezium-heartbeat-naming_avro_pg"},
		{n.TransactionTopic(), "naming_avro_pg-transaction"},
	} {
		if test[0] != test[1] {
			t.Errorf("got %s, want %s", test[0], test[1])
		}
	}
	if n, err = NewNaming(connectors.Config{"topic.prefix": "p", "topic.heartbeat.name": "beat"}, strategy); err != nil {
		t.Fatal(err)
	}
	if got := n.Topic(TableID{"", "s", strings.Repeat("x", 300)}); len(got) != 249 {
		t.Errorf("topic of %d characters", len(got))
	}
	if n.HeartbeatTopic() != "beat" || n.Field("a.b") != "a.b" || n.MessageTopic() != "p.message" {
		t.Error("plain naming")
	}
	c := connectors.Config{"topic.prefix": "p_q", "topic.naming.strategy": "io.debezium.schema.SchemaUnicodeTopicNamingStrategy", "schema.name.adjustment.mode": "avro_unicode"}
	if n, err = NewNaming(c, strategy); err != nil {
		t.Fatal(err)
	}
	for _, test := range [][2]string{
		{n.Topic(TableID{"", "s", "é_œ"}), "p_u005fq.s._u00e9_u005f_u153"},
		{n.HeartbeatTopic(), "__debezium-heartbeat.p_q"},
		{n.Schema("1a.1é.Value"), "_u0031a.1_u00e9.Value"},
	} {
		if test[0] != test[1] {
			t.Errorf("got %s, want %s", test[0], test[1])
		}
	}
	if _, err = NewNaming(connectors.Config{"topic.naming.strategy": "io.debezium.schema.DefaultRegexTopicNamingStrategy"}, strategy); err == nil || !strings.Contains(err.Error(), "not supported yet") {
		t.Errorf("error %v", err)
	}
}

// The parameters of c_bit8 in the recording postgres/types-modes-2.
func TestPropagation(t *testing.T) {
	p, err := NewPropagation(connectors.Config{"column.propagate.source.type": ".*"})
	if err != nil {
		t.Fatal(err)
	}
	s := p.Schema(BitsSchema(3, true), TableID{"pmu", "public", "t"}, "bi", "", SourceType{Name: "bit", Length: 3})
	var got []string
	for _, p := range s.Parameters {
		got = append(got, p.Name+"="+p.Value)
	}
	want := []string{"length=3", "__debezium.source.column.type=BIT", "__debezium.source.column.length=3", "__debezium.source.column.scale=0", "__debezium.source.column.name=bi"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestOperationsAndEqual(t *testing.T) {
	o, err := NewOperations(connectors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if !o.Skips(connectors.OpTruncate) || o.Skips(connectors.OpUpdate) || !o.Tombstones || !o.Unchanged {
		t.Errorf("defaults: %+v", o)
	}
	if o, err = NewOperations(connectors.Config{"skipped.operations": "u,d"}); err != nil || o.Skips(connectors.OpTruncate) || !o.Skips(connectors.OpDelete) {
		t.Errorf("u,d: %+v, %v", o, err)
	}
	if _, err = NewOperations(connectors.Config{"skipped.operations": "x"}); err == nil {
		t.Error("x was taken")
	}
	w := connectors.NewBuilder("{}", nil, nil)
	w.Begin(0, connectors.OpUpdate)
	row := func(n string, last int64) {
		w.Int(1)
		w.String(n)
		w.Null()
		w.BeginList(connectors.KindList)
		w.Int(last)
		w.EndList()
	}
	w.Before()
	row("a", 1)
	w.After()
	row("a", 1)
	w.Source()
	row("a", 2)
	w.Headers()
	row("b", 1)
	r := w.Record()
	before := w.Row(r.Before)
	for i, want := range []bool{true, false, false} {
		if got := Equal(w, before, w.Row([]connectors.Row{r.After, r.Source, r.Headers}[i])); got != want {
			t.Errorf("row %d: got %v", i, got)
		}
	}
}
