package mysql

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

const benchRows = 100_000

// BenchmarkSnapshot reads a table of ten columns from a server: with go-mysql's streaming select, which splits rows and gives each to
// a function that does nothing; with our reader of results; and into batches. cpu-ns/row is what this process spends.
func BenchmarkSnapshot(b *testing.B) {
	r := snapshotRig(b, bed.MySQL(b), nil)
	r.exec("CREATE TABLE t (id bigint PRIMARY KEY, customer int NOT NULL, kind varchar(20) NOT NULL, stake decimal(12,2) NOT NULL, " +
		"currency char(3) NOT NULL, note varchar(100), won tinyint(1) NOT NULL, odds double, placed datetime(6) NOT NULL, changed timestamp(3) NULL)")
	insertNumbers(r, "t", "n, n * 7 % 10007, elt(1 + n % 4, 'SIMPLE', 'COUPLE', 'TIERCE', 'QUINTE'), n * 1.25, 'EUR', concat('note of the bet number ', n, ' and some more'), n % 2, "+
		"n / 3, '2024-05-01 12:00:00.123456' + INTERVAL n SECOND, '2024-05-01 12:00:00.5' + INTERVAL n SECOND", benchRows)
	cfg, err := parseConfig(r.config, flavorMySQL)
	if err != nil {
		b.Fatal(err)
	}
	catalog := ddl.NewCatalog(ddl.MySQL, false)
	conn, err := cfg.connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	created, err := cfg.texts(b.Context(), conn, "SHOW CREATE TABLE "+r.db+".t")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := catalog.Apply(r.db, created[0][1], 0); err != nil {
		b.Fatal(err)
	}
	own, err := newTable(cfg, catalog.Table(ddl.ID{Database: r.db, Table: "t"}), cfg.sourceBlock("1", r.db, "t"), nil)
	if err != nil {
		b.Fatal(err)
	}
	sql := "SELECT " + own.selectList() + " FROM " + r.db + ".t"
	ours := &snapshotReader{table: own.clone(), source: sourceValues{file: "binlog.000001", pos: 4, thread: -1, marker: changes.SnapshotTrue}}
	second, err := cfg.connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ours.result.takeOver(second)
	defer ours.Close()

	b.Run("go-mysql", func(b *testing.B) {
		var result mysql.Result
		measureRows(b, func(b *testing.B) (n int) {
			if err := conn.ExecuteSelectStreaming(sql, &result, func([]mysql.FieldValue) error { n++; return nil }, nil); err != nil {
				b.Fatal(err)
			}
			return n
		})
	})
	b.Run("results", func(b *testing.B) {
		measureRows(b, func(b *testing.B) (n int) {
			readRows(b, &ours.result, sql, len(own.selected), func([][]byte) { n++ })
			return n
		})
	})
	b.Run("batches", func(b *testing.B) {
		var pool connectors.Pool
		measureRows(b, func(b *testing.B) (n int) {
			var w *connectors.Builder
			readRows(b, &ours.result, sql, len(own.selected), func(fields [][]byte) {
				fresh := w == nil
				if fresh {
					w = connectors.NewBuilder("{}", &pool, nil)
				}
				if err := ours.append(w, fresh, fields); err != nil {
					b.Fatal(err)
				}
				if n++; w.Size() >= batchBytes {
					w.Finish("", connectors.Order{}).Release()
					w = nil
				}
			})
			if w != nil {
				w.Finish("", connectors.Order{}).Release()
			}
			return n
		})
	})
}

// measureRows reads all rows once a round.
func measureRows(b *testing.B, read func(b *testing.B) int) {
	b.ReportAllocs()
	began := cpu(b)
	rows := 0
	for b.Loop() {
		rows += read(b)
	}
	if rows != benchRows*b.N {
		b.Fatalf("%d rows, want %d", rows, benchRows*b.N)
	}
	b.ReportMetric(float64(cpu(b)-began)/float64(rows), "cpu-ns/row")
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// readRows reads a statement and gives each row to a function.
func readRows(b *testing.B, r *resultReader, sql string, columns int, row func([][]byte)) {
	if err := r.query(sql, columns); err != nil {
		b.Fatal(err)
	}
	for {
		fields, err := r.row()
		if err != nil {
			b.Fatal(err)
		}
		if fields == nil {
			return
		}
		row(fields)
	}
}

// cpu is what the process has spent.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(fmt.Errorf("read the CPU time: %w", err))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
