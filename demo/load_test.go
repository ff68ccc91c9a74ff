package demo

import (
	"os"
	"strconv"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

// What the workload remembers of itself must be what a real server holds, or the demo's comparison means nothing.
func TestHistoryIsWhatTheDatabaseHolds(t *testing.T) {
	server := bed.Postgres(t, "track_commit_timestamp=on")
	testHistory(t, &database{name: "source", dsn: server.DSN(server.NewDatabase(t))})
}

func TestHistoryIsWhatMariaDBHolds(t *testing.T) {
	server := bed.MariaDB(t)
	server.Exec(t, "", "CREATE DATABASE "+databaseName, "CREATE USER "+databaseUser+" IDENTIFIED BY 'secret'",
		"GRANT ALL ON "+databaseName+".* TO "+databaseUser)
	testHistory(t, &mariadb{address: server.Address(), password: "secret"})
}

func testHistory(t *testing.T, s source) {
	ctx := t.Context()
	tables := tables(s.space())
	if err := s.create(ctx, tables); err != nil {
		t.Fatal(err)
	}
	l, err := newLoad(ctx, s, tables, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.fill(ctx); err != nil {
		t.Fatal(err)
	}
	for _, w := range l.writers {
		for range 300 {
			if _, err := w.transaction(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.finish(ctx); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[byte]int{}
	for i, table := range tables {
		rows, err := s.rows(ctx, &table, &report{})
		if err != nil {
			t.Fatal(err)
		}
		alive := 0
		for key, history := range l.histories()[i] {
			last := history[len(history)-1]
			for _, c := range history {
				seen[c.op]++
			}
			row, there := rows[key]
			switch {
			case there != (last.op != 'd'):
				t.Errorf("table %s, key %s: there is %v, the last change is %c", table.name, key, there, last.op)
			case there && text(row.row[table.version()]) != "="+strconv.FormatInt(last.version, 10):
				t.Errorf("table %s, key %s: version %s, want %d", table.name, key, text(row.row[table.version()]), last.version)
			}
			if there {
				alive++
			}
		}
		if alive != len(rows) {
			t.Errorf("table %s: %d rows, %d of them in the history", table.name, len(rows), alive)
		}
	}
	if seen['c'] < 1000 || seen['u'] < 500 || seen['d'] < 20 {
		t.Errorf("the workload has too little of something: %d inserts, %d updates, %d deletes", seen['c'], seen['u'], seen['d'])
	}
}
