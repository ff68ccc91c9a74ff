package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

const testUUID = "4095c772-e51e-11f1-bfe8-02fc00000001"

// behindGTID is the position that the reference stores with the statement of transaction n.
func behindGTID(n int) position {
	return position{file: "b.000001", pos: uint64(1000 * n), gtids: fmt.Sprintf("%s:1-%d", testUUID, n-1), serverID: 1, seconds: int64(n)}
}

// TestStatementThatComesAgain restarts at every place around a statement that is in the history already, or half of it.
func TestStatementThatComesAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	const rename = "RENAME TABLE a TO c, b TO d"
	first := testSchema(t, &memoryHistory{}, nil)
	for i, text := range []string{"CREATE TABLE a (x int)", "CREATE TABLE b (x int)", "ALTER TABLE a ADD COLUMN y int", rename} {
		if _, err := first.apply(ctx, behindGTID(i+2), "db", text, 0); err != nil {
			t.Fatal(err)
		}
	}
	whole := first.history.(*memoryHistory).records
	if len(whole) != 5 {
		t.Fatalf("%d records", len(whole))
	}
	want := map[ddl.ID]*ddl.Table{}
	for _, table := range first.catalog.Tables() {
		want[table.ID] = table
	}
	for kept := 2; kept <= len(whole); kept++ { // the write of the others was lost, or not begun
		for restart := 3; restart <= 5; restart++ { // the transaction that comes first
			m := &memoryHistory{records: slices.Clone(whole[:kept])}
			s := testSchema(t, m, nil)
			at := behindGTID(restart)
			at.pos -= 500
			if err := s.recover(ctx, at); err != nil {
				t.Fatal(err)
			}
			for i, text := range map[int][]string{
				3: {"CREATE TABLE b (x int)", "ALTER TABLE a ADD COLUMN y int", rename}, 4: {"ALTER TABLE a ADD COLUMN y int", rename}, 5: {rename},
			}[restart] {
				if restart+i == 5 && kept < 3 && restart > 4 {
					break
				}
				if restart == 5 && kept < 3 || restart == 4 && kept < 2 {
					break
				}
				if _, err := s.apply(ctx, behindGTID(restart+i), "db", text, 0); err != nil {
					t.Fatalf("kept %d, from %d: %v", kept, restart, err)
				}
			}
			if restart == 5 && kept < 3 {
				continue // that offset cannot be stored before the records that lie before it
			}
			sameTables(t, s, want)
			again := testSchema(t, m, nil)
			if err := again.recover(ctx, behindGTID(9)); err != nil {
				t.Fatal(err)
			}
			sameTables(t, again, want)
			if t.Failed() {
				t.Fatalf("kept %d, from %d", kept, restart)
			}
		}
	}
}

// TestRecordsThatComeAgain recovers from a history in which the reference wrote two statements another time, and is sent the later one.
func TestRecordsThatComeAgain(t *testing.T) {
	t.Parallel()
	first := testSchema(t, &memoryHistory{}, nil)
	texts := []string{"CREATE TABLE a (x int)", "CREATE TABLE b (x int)", "ALTER TABLE a ADD COLUMN y int", "ALTER TABLE b ADD COLUMN y int"}
	for i, text := range texts {
		if _, err := first.apply(t.Context(), behindGTID(i+2), "db", text, 0); err != nil {
			t.Fatal(err)
		}
	}
	want := map[ddl.ID]*ddl.Table{}
	for _, table := range first.catalog.Tables() {
		want[table.ID] = table
	}
	m := first.history.(*memoryHistory)
	m.records = append(m.records, m.records[2:]...)
	for restart := 4; restart <= 5; restart++ { // the transaction that comes first
		s := testSchema(t, m, nil)
		at := behindGTID(restart)
		at.pos -= 500
		if err := s.recover(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		for n := restart; n <= 5; n++ {
			if _, err := s.apply(t.Context(), behindGTID(n), "db", texts[n-2], 0); err != nil {
				t.Fatalf("from %d: %v", restart, err)
			}
		}
		sameTables(t, s, want)
	}
}

// A statement whose record cannot be written has no effect that anybody sees, and the schema says so until it is recovered.
func TestHistoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	m := &memoryHistory{}
	s := testSchema(t, m, nil)
	if _, err := s.apply(t.Context(), behindGTID(2), "db", "CREATE TABLE a (x int)", 0); err != nil {
		t.Fatal(err)
	}
	m.bytes = maxMemoryHistory
	if events, err := s.apply(t.Context(), behindGTID(3), "db", "ALTER TABLE a ADD COLUMN y int", 0); err == nil || events != nil {
		t.Fatalf("%v, %v", events, err)
	}
	m.bytes = 0
	if _, err := s.apply(t.Context(), behindGTID(3), "db", "ALTER TABLE a ADD COLUMN y int", 0); err == nil {
		t.Fatal("went on with a catalog that is ahead of the history")
	}
	if err := s.recover(t.Context(), behindGTID(3)); err != nil {
		t.Fatal(err)
	}
	if n := len(s.table(ddl.ID{Database: "db", Table: "a"}).Columns); n != 1 {
		t.Errorf("%d columns after the recovery", n)
	}
	if events, err := s.apply(t.Context(), behindGTID(3), "db", "ALTER TABLE a ADD COLUMN y int", 0); err != nil || len(events) != 1 || len(m.records) != 2 {
		t.Errorf("%v, %v, %d records", events, err, len(m.records))
	}
}

func TestRecoveryFails(t *testing.T) {
	t.Parallel()
	s := testSchema(t, &memoryHistory{}, nil)
	if err := s.recover(t.Context(), behindGTID(2)); !errors.Is(err, errNoHistory) {
		t.Errorf("without a history: %v", err)
	}
	good := (&historyRecord{server: "p", position: behindGTID(2), ddl: "CREATE TABLE a (x int)", database: "db"}).encode(true)
	bad := (&historyRecord{server: "p", position: behindGTID(2), ddl: "CREATE TABLE a (x what is this", database: "db"}).encode(true)
	other := (&historyRecord{server: "q", position: behindGTID(2), ddl: "CREATE TABLE b (", database: "db"}).encode(true)
	for name, c := range map[string]struct {
		records [][]byte
		keys    map[string]string
		want    string
	}{
		"broken":        {[][]byte{good, good[:100]}, nil, "memory, record 1: decode schema history"},
		"unparseable":   {[][]byte{good, bad}, nil, "memory, record 1"},
		"passed over":   {[][]byte{good, bad}, map[string]string{"schema.history.internal.skip.unparseable.ddl": "true"}, ""},
		"of another":    {[][]byte{other, good}, nil, ""},
		"no such GTIDs": {[][]byte{good, bytes.ReplaceAll(good, []byte(testUUID), []byte("nonsense"))}, nil, "memory, record 1: parse GTID set"},
	} {
		s := testSchema(t, &memoryHistory{records: c.records}, c.keys)
		err := s.recover(t.Context(), behindGTID(9))
		if c.want == "" {
			if err != nil || s.table(ddl.ID{Database: "db", Table: "a"}) == nil || len(s.catalog.Tables()) != 1 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || connectors.ClassOf(err) != connectors.Permanent {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestStatementsThatArePassedOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text            string
		records, events int
	}{
		{"DROP TEMPORARY TABLE IF EXISTS `t` /* generated by server */", 0, 0},
		{"SAVEPOINT x", 0, 0},
		{"INSERT INTO mysql.rds_heartbeat2(id, value) values (1,2) ON DUPLICATE KEY UPDATE value = 2", 0, 0},
		{"DELETE FROM mysql.rds_sysinfo where name = 'x'", 0, 0},
		{"FLUSH RELAY LOGS", 0, 0},
		{"flush privileges", 1, 1},
		{"FLUSH PRIVILEGES", 0, 0},
		{"# Dummy event replacing event type 160 that slave cannot handle.", 0, 0},
		{"GRANT ALL ON *.* TO u", 0, 0},
		{"SET STATEMENT max_statement_time=1 FOR\nREVOKE ALL ON *.* FROM u", 0, 0},
		{"OPTIMIZE LOCAL TABLE a", 0, 0},
		{"CREATE USER u IDENTIFIED BY 'secret'", 0, 0},
		{"ALTER USER IF EXISTS u IDENTIFIED BY 'secret'", 0, 0},
		{"CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`a`@`b` SQL SECURITY INVOKER\nVIEW v AS SELECT 1", 0, 0},
		{"CREATE DEFINER=`a`@`b` TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @x = 1", 0, 0},
		{"CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (PASSWORD 'secret')", 0, 0},
		{"SET PASSWORD FOR u = 'secret'", 0, 0},
		{"REPLACE INTO a VALUES (1)", 0, 0},
		{"insert into a values (1)", 0, 0},
		{"UPDATE a SET x = 1", 0, 0},
		{"BEGIN", 0, 0},
		{"TRUNCATE TABLE a", 0, 1},
		{"TRUNCATE a", 0, 1},
		{"CREATE INDEX i ON a (x)", 1, 1},
		{"ALTER TABLE a ADD COLUMN y int", 1, 1},
		{"DROP TABLE a, nothere", 2, 2},
		{"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1", 1, 1},
	} {
		m := &memoryHistory{}
		s := testSchema(t, m, nil)
		if _, err := s.apply(t.Context(), behindGTID(2), "db", "CREATE TABLE a (x int)", 0); err != nil {
			t.Fatal(err)
		}
		events, err := s.apply(t.Context(), behindGTID(3), "db", c.text, 0)
		if err != nil || len(events) != c.events || len(m.records)-1 != c.records {
			t.Errorf("%s: %d events, %d records, %v", c.text, len(events), len(m.records)-1, err)
		}
	}
}

func TestStatementsOfTablesThatAreNotCaptured(t *testing.T) {
	t.Parallel()
	statements := []statement{
		{"", "SET character_set_server=utf8mb4"},
		{"db", "CREATE DATABASE db"},
		{"db", "CREATE TABLE db.a (x int)"},
		{"db", "CREATE TABLE db.b (x int)"},
		{"other", "CREATE DATABASE other"},
		{"other", "CREATE TABLE other.a (x int)"},
		{"db", "RENAME TABLE b TO a2"},
		{"db", "DROP TABLE a, a2"},
	}
	const h = "schema.history.internal.store.only.captured."
	for _, c := range []struct {
		keys            map[string]string
		records, events string // numbers of the statements, in order
	}{
		{nil, "0 1 2 3 4 5 6 7 7", "0 1 2 3 4 5 6 7 7"},
		{map[string]string{"table.include.list": "db.a.*"}, "0 1 2 3 4 5 6 7 7", "0 1 2 3 4 5 6 7 7"},
		{map[string]string{"database.include.list": "db", "table.include.list": "db.a.*", h + "databases.ddl": "true"}, "0 1 2 3 6 7 7", "0 1 2 3 6 7 7"},
		{map[string]string{"database.include.list": "db", "table.include.list": "db.a.*", h + "tables.ddl": "true"}, "0 2 6 7 7", "0 1 2 6 7 7"},
		{map[string]string{"include.schema.changes": "false"}, "0 1 2 3 4 5 6 7 7", ""},
	} {
		m := &memoryHistory{}
		s := testSchema(t, m, c.keys)
		var records, events []string
		for i, st := range statements {
			before := len(m.records)
			out, err := s.apply(t.Context(), behindGTID(i+2), st.database, st.text, 0)
			if err != nil {
				t.Fatal(err)
			}
			for range out {
				events = append(events, fmt.Sprint(i))
			}
			for range m.records[before:] {
				records = append(records, fmt.Sprint(i))
			}
		}
		if r, e := strings.Join(records, " "), strings.Join(events, " "); r != c.records || e != c.events {
			t.Errorf("%v: records %s, want %s; events %s, want %s", c.keys, r, c.records, e, c.events)
		}
	}
}

func TestUnparseableStatement(t *testing.T) {
	t.Parallel()
	const text = "ALTER TABLE a ADD COLUMN (("
	s := testSchema(t, &memoryHistory{}, nil)
	_, err := s.apply(context.Background(), behindGTID(2), "db", text, 0)
	if err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "b.000001:2000") || !strings.Contains(err.Error(), "skip.unparseable.ddl=true") {
		t.Errorf("%v", err)
	}
	m := &memoryHistory{}
	s = testSchema(t, m, map[string]string{"schema.history.internal.skip.unparseable.ddl": "true"})
	if events, err := s.apply(t.Context(), behindGTID(2), "db", text, 0); err != nil || len(events) != 1 || len(m.records) != 1 {
		t.Errorf("passed over: %v, %v", events, err)
	}
}

func TestTablesOfAStatementAreNamedAsTheReferenceDoes(t *testing.T) {
	t.Parallel()
	for want, names := range map[string][]string{"later2,later": {"later", "later2"}, "latest2,late3": {"latest2", "late3"}, "t": {"t"}} {
		var ids []ddl.ID
		for _, n := range names {
			ids = append(ids, ddl.ID{Database: "pmu", Table: n})
		}
		if got := joinTables(ids); got != want {
			t.Errorf("%v: %s, want %s", names, got, want)
		}
	}
}

// A captured table whose structure comes from one that is not known is told of at once, not when its rows come.
func TestStructureFromNowhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := testSchema(t, &memoryHistory{}, nil)
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	if _, err := s.apply(t.Context(), behindGTID(2), "db", "RENAME TABLE nowhere TO a", 0); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "nowhere") {
		t.Error(log.String())
	}
}
