package timescaledb

import (
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

// tenSchema is the row of tenColumns as a record of a topic has it.
func tenSchema(s *connectors.Stream) *schemas.Schema {
	out := &schemas.Schema{Kind: schemas.Struct, Name: "ten.Value"}
	for i, c := range s.Table.Columns {
		of := []*schemas.Schema{
			changes.Plain(schemas.Int64, false), changes.Plain(schemas.Int32, true), changes.Plain(schemas.String, true), changes.Plain(schemas.String, true),
			{Kind: schemas.Bytes, Optional: true, Name: "org.apache.kafka.connect.data.Decimal", Version: 1, Parameters: []schemas.Parameter{{Name: "scale", Value: "2"}, {Name: "connect.decimal.precision", Value: "12"}}},
			changes.Plain(schemas.Float64, true), changes.Plain(schemas.Boolean, true), changes.Logical(schemas.String, "io.debezium.time.ZonedTimestamp", true),
			changes.Logical(schemas.Int32, "io.debezium.time.Date", true), changes.Plain(schemas.String, true),
		}[i]
		out.Fields = append(out.Fields, schemas.Field{Name: c.Name, Schema: of})
	}
	return out
}

// topicBatch is tenBatch as records of a topic.
func topicBatch(s *connectors.Stream, value *schemas.Schema, from, rows int) *connectors.Batch {
	key := &schemas.Schema{Kind: schemas.Struct, Name: "ten.Key", Fields: value.Fields[:1]}
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	stream := w.Stream(&connectors.Stream{Topic: s.Table.Name})
	for i := range rows {
		n := from + i
		row := schemas.StructValue{
			int64(n),
			int32(n % 1000),
			"Comet of the Northern Hills",
			"somebody.somewhere@example.org",
			[]byte{0x12, 0xd6, 0x87},
			1.5 * float64(n),
			n%2 == 0,
			"2026-01-01T00:00:00.123456Z",
			int32(20000 + n%1000),
			"a note that is a little longer than the other texts of the row are",
		}
		body := connectors.Body{Key: schemas.Typed{Schema: key, Value: schemas.StructValue{int64(n)}}, Value: schemas.Typed{Schema: value, Value: row}}
		w.Body(stream, connectors.OpNone, body).Order = connectors.Order{Epoch: 1, Major: uint64(n), Minor: 1}
	}
	return w.Finish("{}", connectors.Order{Epoch: 1, Major: uint64(from + rows - 1), Minor: 1})
}

// BenchmarkSinkFromTopics is BenchmarkSink with records of a topic.
func BenchmarkSinkFromTopics(b *testing.B) {
	value := tenSchema(connectortest.Ten())
	benchmarkSink(b, func(s *connectors.Stream, from, rows int) *connectors.Batch { return topicBatch(s, value, from, rows) })
}

// BenchmarkSectionFromTopics is BenchmarkSection with records of a topic, which become changes before.
func BenchmarkSectionFromTopics(b *testing.B) {
	s := connectortest.Ten()
	const rows = 5000
	batch := topicBatch(s, tenSchema(s), 0, rows)
	to, in := newSection(tenPlan(s)), changes.NewRows(changes.RowsOptions{Nulls: true})
	fill := func() {
		to.reset()
		batch.Retain(1)
		made, err := in.Batch(batch, func(_ int, cause error) error { return cause })
		if err != nil {
			b.Fatal(err)
		}
		addAll(b, to, made)
		made.Release()
	}
	fill()
	b.ReportAllocs()
	for b.Loop() {
		fill()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}

// BenchmarkSectionFromMySQL is BenchmarkSection with the types of MySQL that need more than their own.
func BenchmarkSectionFromMySQL(b *testing.B) {
	s := connectortest.Table("ten", 1,
		connectortest.Column("id", schemas.TypeUint64, "bigint unsigned", false), connectortest.Column("customer", schemas.TypeInt64, "int unsigned", true), connectortest.Column("name", schemas.TypeText, "varchar(60)", true),
		connectortest.Column("mood", schemas.TypeEnum, "enum('a','b')", true), connectortest.Column("price", schemas.TypeDecimal, "decimal(12,2)", true), connectortest.Column("odds", schemas.TypeFloat64, "double", true),
		connectortest.Column("open", schemas.TypeInt16, "tinyint(1)", true), connectortest.Column("at", schemas.TypeTimestamp, "datetime(6)", true), connectortest.Column("took", schemas.TypeTime, "time(6)", true), connectortest.Column("raw", schemas.TypeBytes, "varbinary(40)", true))
	p := &plan{id: "shop.ten", source: s.Table, mode: "upsert", deletes: true, keys: 1}
	for i, c := range s.Table.Columns {
		oid := []uint32{oidNumeric, oidInt8, oidText, oidText, oidNumeric, oidFloat8, oidInt2, oidTimestamp, oidInterval, oidBytea}[i]
		in, ok := stage(&c, &targetType{oid: oid, mod: -1})
		if !ok {
			b.Fatalf("column %s cannot be written", c.Name)
		}
		p.columns = append(p.columns, planColumn{name: c.Name, cell: i, enc: in.enc, fromKey: i == 0})
	}
	const rows = 5000
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	for n := range rows {
		w.Begin(w.Stream(s), connectors.OpCreate)
		w.Key()
		w.Uint(uint64(n))
		w.After()
		w.Uint(uint64(n))
		w.Int(int64(n % 1000))
		w.String("Comet of the Northern Hills")
		w.String("a")
		w.Text(connectors.KindDecimal, []byte("12345.67"))
		w.Float64(1.5 * float64(n))
		w.Int(int64(n % 2))
		w.Temporal(connectors.KindTimestamp, 1767225600000000+int64(n))
		w.Temporal(connectors.KindTime, -int64(n)*1000000)
		w.Text(connectors.KindBytes, []byte("twenty bytes of this"))
		w.Commit()
	}
	batch := w.Finish("{}", connectors.Order{Epoch: 1, Major: 1, Minor: 1})
	to := newSection(p)
	addAll(b, to, batch)
	b.ReportAllocs()
	for b.Loop() {
		to.reset()
		addAll(b, to, batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}

func addAll(b *testing.B, to *section, batch *connectors.Batch) {
	b.Helper()
	for i := range batch.Records {
		row, err := changes.RowOf(batch, &batch.Records[i])
		if err == nil {
			err = to.add(batch, &row)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
