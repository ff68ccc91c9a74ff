package clickhouse

import (
	"bytes"
	"encoding/binary"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
)

// planOf is a plan for a table that the sink makes, as it would be without a server.
func planOf(t testing.TB, s *connectors.Stream, more ...string) *plan {
	t.Helper()
	c := connectors.Config{keyHost: "h"}
	for i := 0; i+1 < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	cfg, err := parseConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	w, err := cfg.want(s, version{26, 7})
	if err != nil {
		t.Fatal(err)
	}
	to := &target{database: "d", name: w.table}
	for _, c := range w.columns {
		to.columns = append(to.columns, targetColumn{name: c.Name, typ: c.typ})
	}
	p, err := cfg.newPlan(w, to)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// encode writes all records of a batch.
func encode(t testing.TB, sec *section, b *connectors.Batch) {
	for i := range b.Records {
		row, err := changes.RowOf(b, &b.Records[i])
		if err == nil {
			err = sec.add(b, i, &row)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestBlocksOfChGo: what ch-go's decoder reads in a block is what was written.
func TestBlocksOfChGo(t *testing.T) {
	t.Parallel()
	s := connectortest.Ten()
	p := planOf(t, s)
	sec := newSection(p)
	const rows = 300
	encode(t, sec, connectortest.TenBatch(s, 0, rows))
	var data []byte
	for _, part := range sec.parts() {
		data = append(data, part...)
	}
	var results proto.Results
	if err := readBlock(data, &results); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range results {
		if r.Data.Rows() != rows {
			t.Errorf("column %s has %d rows", r.Name, r.Data.Rows())
		}
		names = append(names, r.Name+" "+string(r.Data.Type()))
	}
	want := "id Int64, customer Nullable(Int32), name Nullable(String), email Nullable(String), price Nullable(Decimal(12, 2)), odds Nullable(Float64), open Nullable(Bool), " +
		"at Nullable(DateTime64(6, 'UTC')), day Nullable(Date32), note Nullable(String), _version UInt128, _is_deleted UInt8"
	if got := strings.Join(names, ", "); strings.ReplaceAll(got, "Decimal64", "Decimal(12, 2)") != want {
		t.Errorf("columns\n %s, want\n %s", got, want)
	}
}

func readBlock(data []byte, to *proto.Results) error { return decodeBlock(data, to.Auto()) }

func decodeBlock(data []byte, to proto.Result) error {
	var block proto.Block
	return block.DecodeRawBlock(proto.NewReader(bytes.NewReader(data)), 0, to)
}

func mustRow(t testing.TB, b *connectors.Batch) changes.Row {
	t.Helper()
	row, err := changes.RowOf(b, &b.Records[0])
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// cpu is the time that this process has computed for.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEncode is what a row of ten columns costs: RowOf, encoding and the parts of the block. The budget is 300 ns and no
// allocation.
func BenchmarkEncode(b *testing.B) {
	s := connectortest.Ten()
	const rows = 10000
	batch := connectortest.TenBatch(s, 0, rows)
	sec := newSection(planOf(b, s))
	total := 0
	fill := func() {
		sec.reset()
		encode(b, sec, batch)
		for _, part := range sec.parts() {
			total += len(part)
		}
	}
	fill()
	b.ReportAllocs()
	spent := cpu()
	for b.Loop() {
		fill()
	}
	b.ReportMetric(float64(cpu()-spent)/float64(b.N*rows), "cpu-ns/row")
}

// BenchmarkEncodeChGo is the same rows through ch-go's columns, times and dates as plain integers, which is the fastest that it has.
func BenchmarkEncodeChGo(b *testing.B) {
	s := connectortest.Ten()
	const rows = 10000
	batch := connectortest.TenBatch(s, 0, rows)
	var id proto.ColInt64
	customer, name, email, note := new(proto.ColInt32).Nullable(), new(proto.ColStr).Nullable(), new(proto.ColStr).Nullable(), new(proto.ColStr).Nullable()
	price, odds, open := new(proto.ColDecimal64).Nullable(), new(proto.ColFloat64).Nullable(), new(proto.ColBool).Nullable()
	at, day := new(proto.ColInt64).Nullable(), new(proto.ColInt32).Nullable()
	var order proto.ColUInt128
	var deleted proto.ColUInt8
	input := proto.Input{
		{Name: "id", Data: &id},
		{Name: "customer", Data: customer},
		{Name: "name", Data: name},
		{Name: "email", Data: email},
		{Name: "price", Data: price},
		{Name: "odds", Data: odds},
		{Name: "open", Data: open},
		{Name: "at", Data: at},
		{Name: "day", Data: day},
		{Name: "note", Data: note},
		{Name: "_version", Data: &order},
		{Name: "_is_deleted", Data: &deleted},
	}
	str := func(to *proto.ColNullable[string]) func(c connectors.Cell) {
		return func(c connectors.Cell) {
			to.Nulls = append(to.Nulls, 0)
			to.Values.(*proto.ColStr).AppendBytes(batch.Bytes(c))
		}
	}
	unscaled := column{form: formDecimal, width: 8, limit: 12, scale: 2}
	columns := []func(c connectors.Cell){ // a sink knows them at run time only
		func(c connectors.Cell) { id.Append(c.Int()) },
		func(c connectors.Cell) { customer.Append(proto.NewNullable(int32(c.Int()))) },
		str(name), str(email),
		func(c connectors.Cell) {
			unscaled.reset()
			if p := unscaled.decimal(batch, c); p != "" {
				b.Fatal(p)
			}
			price.Append(proto.NewNullable(proto.Decimal64(binary.LittleEndian.Uint64(unscaled.data))))
		},
		func(c connectors.Cell) { odds.Append(proto.NewNullable(c.Float())) },
		func(c connectors.Cell) { open.Append(proto.NewNullable(c.Bool())) },
		func(c connectors.Cell) { at.Append(proto.NewNullable(c.Int())) },
		func(c connectors.Cell) { day.Append(proto.NewNullable(int32(c.Int()))) },
		str(note),
	}
	var buf proto.Buffer
	fill := func() {
		input.Reset()
		buf.Reset()
		for i := range batch.Records {
			row, err := changes.RowOf(batch, &batch.Records[i])
			if err != nil {
				b.Fatal(err)
			}
			for i, add := range columns {
				if row.Row[i].Kind != connectors.KindNull {
					add(row.Row[i])
				}
			}
			o := batch.Records[i].Order
			order.Append(proto.UInt128{Low: o.Major<<32 | uint64(o.Minor), High: uint64(o.Epoch)<<32 | o.Major>>32})
			deleted.Append(0)
		}
		block := proto.Block{Columns: len(input), Rows: rows}
		if err := block.EncodeRawBlock(&buf, 0, input); err != nil {
			b.Fatal(err)
		}
	}
	fill()
	b.ReportAllocs()
	spent := cpu()
	for b.Loop() {
		fill()
	}
	b.ReportMetric(float64(cpu()-spent)/float64(b.N*rows), "cpu-ns/row")
}
