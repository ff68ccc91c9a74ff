package mysql

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// longHistory is a history of n statements over a thousand tables with ten columns each: most of them add a column, or take it away.
func longHistory(n int) *memoryHistory {
	columns := make([]ddl.Column, 10)
	for i := range columns {
		columns[i] = ddl.Column{
			Name: fmt.Sprintf("column_%d", i), JDBCType: 12, Type: "VARCHAR", Expression: "VARCHAR", Charset: "utf8mb4", Length: 100, Scale: -1, Position: i + 1, Optional: i > 0,
		}
	}
	m := &memoryHistory{}
	for i := range n {
		id := ddl.ID{Database: "db", Table: fmt.Sprintf("table_%d", i%1000)}
		h := historyRecord{
			server: "p", position: behindGTID(i + 2), time: time.UnixMilli(int64(i)).UTC(), database: "db", ddl: "ALTER TABLE " + id.Table + " ADD COLUMN column_9 varchar(100)",
			changes: []ddl.Change{{Kind: ddl.Alter, ID: id, Table: &ddl.Table{ID: id, Charset: "utf8mb4", Key: []string{"column_0"}, Columns: columns[:9+i%2]}}},
		}
		switch {
		case i < 1000:
			h.changes[0].Kind, h.ddl = ddl.Create, "CREATE TABLE "+id.Table+" (column_0 varchar(100) PRIMARY KEY)"
		case i%10 == 0:
			h.changes, h.ddl = nil, "CREATE INDEX i ON "+id.Table+" (column_1)"
		}
		m.records = append(m.records, h.encode(true))
	}
	return m
}

// BenchmarkRecover reads a history of 100,000 statements, pretty as it is in a topic.
func BenchmarkRecover(b *testing.B) {
	const records = 100_000
	m := longHistory(records)
	bytes := 0
	for _, r := range m.records {
		bytes += len(r)
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		s := testSchema(b, m, nil)
		if err := s.recover(b.Context(), behindGTID(records+9)); err != nil {
			b.Fatal(err)
		}
		if n := len(s.catalog.Tables()); n != 1000 {
			b.Fatalf("%d tables", n)
		}
	}
}
