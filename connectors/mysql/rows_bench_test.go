package mysql

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

var updateBinlog = flag.Bool("binlog", false, "record testdata/bets.binlog again")

const betsTable = `CREATE TABLE bets (id bigint NOT NULL PRIMARY KEY, customer int NOT NULL, race int NOT NULL, kind varchar(20) NOT NULL, note varchar(200),
 stake decimal(12,2) NOT NULL, placed_at datetime(6) NOT NULL, open tinyint NOT NULL, odds double NOT NULL, race_day date NOT NULL)`

// betsEvents are the table map and the inserts of 400 rows of ten columns, as MySQL 9.7 wrote them.
func betsEvents(t testing.TB) (events []event) {
	t.Helper()
	name := filepath.Join("testdata", "bets.binlog")
	if *updateBinlog {
		recordBets(t, name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		n := binary.LittleEndian.Uint32(data[9:])
		raw := data[:n]
		events = append(events, event{raw[4], raw[replication.EventHeaderSize : n-replication.BinlogChecksumLength], raw})
		data = data[n:]
	}
	return events
}

func recordBets(t testing.TB, name string) {
	t.Helper()
	server := bed.MySQL(t)
	server.Exec(t, "", "DROP DATABASE IF EXISTS bench; CREATE DATABASE bench")
	var rows []string
	for i := range 400 {
		rows = append(rows, fmt.Sprintf("(%d,%d,%d,'customer %d','%s',%d.25,'2024-01-01 00:00:00.123456',%d,%g,'2024-02-03')",
			i+1, i, i*2, i, strings.Repeat("n", 20), i, i%2, float64(i)/3))
	}
	var out []byte
	for _, e := range binlogOf(t, server, flavorMySQL, func() {
		server.Exec(t, "bench", betsTable, "INSERT INTO bets VALUES "+strings.Join(rows, ","))
	}) {
		switch replication.EventType(e.kind) {
		case replication.FORMAT_DESCRIPTION_EVENT, replication.TABLE_MAP_EVENT, replication.WRITE_ROWS_EVENTv2:
			out = append(out, e.raw...)
		}
	}
	if err := os.WriteFile(name, out, 0o644); err != nil {
		t.Fatal(err)
	}
}

// betsLayout is how the recorded rows become cells.
func betsLayout(t testing.TB, events []event) (*table, *layout) {
	t.Helper()
	c := ddl.NewCatalog(ddl.MySQL, false)
	if _, err := c.Apply("bench", betsTable+" DEFAULT CHARSET=utf8mb4", ddl.SQLMode(0)); err != nil {
		t.Fatal(err)
	}
	tab := testTable(t, testConfig(t, flavorMySQL, nil), c.Table(ddl.ID{Database: "bench", Table: "bets"}))
	for _, e := range events {
		if e.kind == byte(replication.TABLE_MAP_EVENT) {
			m, err := parseTableMap(e.body, false)
			if err != nil {
				t.Fatal(err)
			}
			l, err := newLayout(tab, m)
			if err != nil {
				t.Fatal(err)
			}
			return tab, l
		}
	}
	t.Fatal("no table map recorded")
	return nil, nil
}

// BenchmarkRows decodes the recorded rows into a batch: cells of the row and of its key.
func BenchmarkRows(b *testing.B) {
	events := betsEvents(b)
	tab, l := betsLayout(b, events)
	var reader rowsReader
	pool := &connectors.Pool{}
	rows := 0
	b.ReportAllocs()
	for b.Loop() {
		w := connectors.NewBuilder("{}", pool, nil)
		stream := w.Stream(tab.stream)
		for i := range events {
			if !isRowsEvent(events[i].kind) {
				continue
			}
			ev, err := reader.read(events[i].kind, events[i].body)
			if err != nil {
				b.Fatal(err)
			}
			for data := ev.data; len(data) > 0; rows++ {
				rec := w.Begin(stream, ev.op)
				w.After()
				im := image{data: data, present: ev.after}
				if data, err = l.appendRow(w, data, ev.after, connectors.Row{}); err != nil {
					b.Fatal(err)
				}
				w.Key()
				if err := l.appendKey(w, rec.After, im, image{}); err != nil {
					b.Fatal(err)
				}
				w.Commit()
			}
		}
		w.Finish("", connectors.Order{}).Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
}

// BenchmarkRowsGoMySQL decodes the same events with go-mysql.
func BenchmarkRowsGoMySQL(b *testing.B) {
	events := betsEvents(b)
	rows := 0
	p := replication.NewBinlogParser()
	b.ReportAllocs()
	for b.Loop() {
		for i := range events {
			e, err := p.Parse(events[i].raw)
			if err != nil {
				b.Fatal(err)
			}
			if r, ok := e.Event.(*replication.RowsEvent); ok {
				rows += len(r.Rows)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
}
