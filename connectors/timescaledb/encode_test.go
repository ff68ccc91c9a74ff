package timescaledb

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
)

// oneCell makes a batch of one record whose row is what fill writes.
func oneCell(fill func(w *connectors.Builder)) (*connectors.Batch, connectors.Cell) {
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	w.Begin(w.Stream(connectortest.Bets()), connectors.OpCreate)
	w.After()
	fill(w)
	w.Commit()
	b := w.Finish("{}", connectors.Order{})
	return b, b.Cells(b.Records[0].After)[0]
}

func decimalCell(text string) (*connectors.Batch, connectors.Cell) {
	return oneCell(func(w *connectors.Builder) { w.Text(connectors.KindDecimal, []byte(text)) })
}

// Numbers of every length survive the way through the server's own reader of the binary form.
func TestNumericRoundTrip(t *testing.T) {
	t.Parallel()
	server := bed.Postgres(t)
	conn := server.Connect(t, server.NewDatabase(t))
	list := []string{"0", "0.0", "0.0000", "-0.5", "1", "10000", "9999", "99999999", "12345.6789", "0.00001", "0.000012345", "100000000000000000000.00000000000000000001", "NaN", "Infinity", "-Infinity"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		digits := func(n int) string {
			out := make([]byte, n)
			for i := range out {
				out[i] = '0' + byte(random.IntN(10))*byte(random.IntN(2))
			}
			return string(out)
		}
		whole := strings.TrimLeft(digits(random.IntN(30)), "0")
		if whole == "" {
			whole = "0"
		}
		text := whole
		if n := random.IntN(20); n > 0 {
			text += "." + digits(n)
		}
		if random.IntN(2) == 0 && strings.Trim(text, "0.") != "" {
			text = "-" + text
		}
		list = append(list, text)
	}
	e := &encoder{form: formNumeric, limit: -1, scale: -1}
	data := []byte(copyHeader())
	for i, text := range list {
		b, c := decimalCell(text)
		data = append(data, 0, 2, 0, 0, 0, 4)
		data = binary.BigEndian.AppendUint32(data, uint32(i))
		var p problem
		if data, p = e.append(data, b, c); p != "" {
			t.Fatalf("%s: %s", text, p)
		}
	}
	data = append(data, 0xff, 0xff)
	if _, err := conn.Exec(t.Context(), "CREATE TEMP TABLE n (i int, v numeric)"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader(string(data)), "COPY n FROM STDIN (FORMAT binary)"); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), "SELECT v::text FROM n ORDER BY i")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if got[i] != list[i] {
			t.Errorf("%s arrived as %s", list[i], got[i])
		}
	}
}

func TestNumericFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		precision, scale int32
		text             string
		want             problem
	}{
		{10, 2, "12345678.12", ""},
		{10, 2, "123456789.12", problemRange},
		{10, 2, "1.123", problemExact},
		{10, 2, "1.1200", ""},
		{3, -2, "1200", ""},
		{3, -2, "1210", problemExact},
		{3, -2, "123400", problemRange},
		{2, 5, "0.00012", ""},
		{2, 5, "0.00112", problemRange},
		{5, 0, "Infinity", problemInfinite},
		{5, 0, "NaN", ""},
		{5, 0, "1x", problemNumber},
		{5, 0, "", problemNumber},
	} {
		e := &encoder{form: formNumeric, limit: c.precision, scale: c.scale}
		b, cell := decimalCell(c.text)
		if _, p := e.append(nil, b, cell); p != c.want {
			t.Errorf("%q in numeric(%d,%d): %q, want %q", c.text, c.precision, c.scale, p, c.want)
		}
	}
}

func tenPlan(s *connectors.Stream) *plan {
	p := &plan{id: "public.ten", source: s.Table, mode: "upsert", deletes: true, keys: 1}
	for i, c := range s.Table.Columns {
		oid := []uint32{oidInt8, oidInt4, oidText, oidText, oidNumeric, oidFloat8, oidBool, oidTimestampTZ, oidDate, oidText}[i]
		mod := int32(-1)
		if oid == oidNumeric {
			mod = 12<<16 + 2 + 4
		}
		in, _ := stage(&c, &targetType{oid: oid, mod: mod})
		p.columns = append(p.columns, planColumn{name: c.Name, cell: i, enc: in.enc, fromKey: i == 0})
	}
	return p
}

// BenchmarkSection encodes and folds; the budget is 250 ns a row of ten columns and no allocation.
func BenchmarkSection(b *testing.B) {
	s := connectortest.Ten()
	const rows = 5000
	batch := connectortest.TenBatch(s, 0, rows)
	to := newSection(tenPlan(s))
	fill := func() {
		to.reset()
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
	fill()
	b.ReportAllocs()
	for b.Loop() {
		fill()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}

// BenchmarkSink compares the sink with the staging pattern done by hand on the same server: COPY of ready-made bytes into a
// temporary table, INSERT … ON CONFLICT, one transaction per 10,000 rows. Rounds of both take turns; the budget is a ratio of 0.9.
func BenchmarkSink(b *testing.B) { benchmarkSink(b, connectortest.TenBatch) }

func benchmarkSink(b *testing.B, make func(s *connectors.Stream, from, rows int) *connectors.Batch) {
	r := newRig(b, bed.Postgres(b))
	s := connectortest.Ten()
	const perBatch, batches = 1000, 60
	r.Write(s, remove(-1))
	hand := handmade(b, r, s, perBatch*batches)
	var sink, byHand time.Duration
	rows := 0
	for round := 0; b.Loop(); round++ {
		started := time.Now()
		for n := range batches {
			batch := make(s, (round*batches+n)*perBatch, perBatch)
			batch.ID = r.Session.Next()
			if err := r.Task.Put(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
		if err := r.Flush(); err != nil {
			b.Fatal(err)
		}
		sink += time.Since(started)
		byHand += hand(round)
		rows += perBatch * batches
	}
	r.expect("SELECT count(*)::text FROM ten", fmt.Sprint(rows))
	b.ReportMetric(float64(rows)/sink.Seconds(), "rows/s")
	b.ReportMetric(float64(rows)/byHand.Seconds(), "rows/s-by-hand")
	b.ReportMetric(byHand.Seconds()/sink.Seconds(), "ratio")
}

// handmade returns what writes a round of rows by hand, in transactions of 10,000, and says how long it took.
func handmade(t testing.TB, r *rig, s *connectors.Stream, rows int) func(round int) time.Duration {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), r.server.DSN(r.database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	var list, sets []string
	for i, c := range s.Table.Columns {
		list = append(list, c.Name+" "+c.TypeName)
		if i > 0 {
			sets = append(sets, c.Name+" = EXCLUDED."+c.Name)
		}
	}
	exec := func(sql string) {
		if _, err := conn.Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec("CREATE TABLE hand (" + strings.Join(list, ", ") + ", PRIMARY KEY (id))")
	exec("CREATE TEMP TABLE hand_stage (op int2, " + strings.Join(list, ", ") + ") ON COMMIT DELETE ROWS")
	columns := "id, customer, name, email, price, odds, open, at, day, note"
	const perTransaction = 10000
	p := tenPlan(s)
	return func(round int) time.Duration {
		var blocks [][]byte
		for at := 0; at < rows; at += perTransaction {
			to := newSection(p)
			b := connectortest.TenBatch(s, round*rows+at, perTransaction)
			for i := range b.Records {
				row, err := changes.RowOf(b, &b.Records[i])
				if err == nil {
					err = to.add(b, &row)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			to.seal()
			blocks = append(blocks, to.data[messageHeader:])
		}
		started := time.Now()
		for _, data := range blocks {
			exec("BEGIN")
			if _, err := conn.CopyFrom(t.Context(), strings.NewReader(string(data)), "COPY hand_stage FROM STDIN (FORMAT binary)"); err != nil {
				t.Fatal(err)
			}
			exec("INSERT INTO hand (" + columns + ") SELECT " + columns + " FROM hand_stage ON CONFLICT (id) DO UPDATE SET " + strings.Join(sets, ", "))
			exec("COMMIT")
		}
		return time.Since(started)
	}
}

// What jsonb refuses in a document is an error of this record, before the server ends the transaction for it.
func TestEscapesInJSON(t *testing.T) {
	t.Parallel()
	conn := bed.Postgres(t).Connect(t, bed.Postgres(t).NewDatabase(t))
	e := &encoder{form: formJSONB, limit: -1, scale: -1}
	for text, want := range map[string]problem{
		`{"a":"\u0000"}`: problemZero, `{"a\\\u0000":1}`: problemZero, `"\\u0000"`: "", `"\u0001"`: "", `"\n\u00e9\t"`: "", `{"a\"":"\\"}`: "", `{}`: "",
		`"\ud800"`: problemSurrogate, `"\udc00"`: problemSurrogate, `"\uDBFF\uDFFF"`: "", `"\ud83d\ude00\ud83d\ude00 x"`: "", `"\ud800\u0041"`: problemSurrogate,
		`"\ud800x\udc00"`: problemSurrogate, `"\ud800\ud800\udc00"`: problemSurrogate, `"\\ud800"`: "", `"a\ud800\\udc00"`: problemSurrogate, `{"\ud83d\ude00":"\ude00"}`: problemSurrogate,
	} {
		b, c := oneCell(func(w *connectors.Builder) { w.Text(connectors.KindText, []byte(text)) })
		if _, got := e.append(nil, b, c); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if _, err := conn.Exec(t.Context(), "SELECT $1::text::jsonb", text); (err != nil) != (want != "") {
			t.Errorf("%s: the server says %v", text, err)
		}
	}
}
