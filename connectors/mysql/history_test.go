package mysql

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// recordings returns the schema histories that the reference wrote, by scenario.
func recordings(t testing.TB) map[string][][]byte {
	t.Helper()
	files, err := filepath.Glob("../../testdata/golden/mysql/*/golden/schema_history.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	out := map[string][][]byte{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<24)
		scenario := filepath.Base(filepath.Dir(filepath.Dir(name)))
		for lines.Scan() {
			var r struct{ Value json.RawMessage }
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			out[scenario] = append(out[scenario], r.Value)
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// tokens are the parts of a JSON document in order.
func tokens(t testing.TB, document []byte) (out []json.Token) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in %s", err, document)
		}
		out = append(out, tok)
	}
}

func TestRecordedHistoriesAreWrittenAgain(t *testing.T) {
	t.Parallel()
	d, n := newHistoryReader(), 0
	for scenario, records := range recordings(t) {
		for i, data := range records {
			h, err := d.decode(data)
			if err != nil {
				t.Fatalf("%s, record %d: %v", scenario, i, err)
			}
			want := tokens(t, data)
			for _, pretty := range []bool{false, true} {
				if got := tokens(t, h.encode(pretty)); !reflect.DeepEqual(got, want) {
					t.Errorf("%s, record %d: wrote %s, the reference %s", scenario, i, h.encode(false), data)
				}
			}
			n++
		}
	}
	if n < 200 {
		t.Errorf("only %d records", n)
	}
}

func historyExample() historyRecord {
	null, text := (*string)(nil), "it's \"x\"\\"
	column := func(name string, position int) ddl.Column {
		return ddl.Column{Name: name, JDBCType: 12, Type: "VARCHAR", Expression: "VARCHAR", Charset: "utf8mb4", Length: 20, Scale: -1, Position: position}
	}
	a, b, c := column(`a"b`, 1), column("é😀", 2), column("e", 3)
	a.HasDefault, a.Default, a.Comment, a.AutoIncrement, a.Generated = true, &text, "line\nbreak \x01", true, true
	b.HasDefault, b.Default, b.Optional, b.Length, b.Scale, b.NativeType, b.Charset = true, null, true, 10, 0, 7, ""
	c.Labels = []string{"it's", "a,b", `back\slash`, "line\nbreak"}
	id := ddl.ID{Database: "db", Table: `t"1.x`}
	return historyRecord{
		server: "se\"rver", position: position{file: "binlog.000007", pos: 5_000_000_000, gtids: "a:1-2", event: 3, row: 1, serverID: 4, seconds: 9},
		time: time.UnixMilli(1795207408941).UTC(), database: "db", ddl: "CREATE TABLE `t\"1.x` (\n\ta int) -- é😀",
		changes: []ddl.Change{
			{Kind: ddl.Drop, ID: ddl.ID{Database: "db", Table: "gone"}},
			{Kind: ddl.Alter, ID: id, Previous: ddl.ID{Database: "o", Table: "was"}, Table: &ddl.Table{
				ID: id, Charset: "latin1", Comment: "of all kinds", Key: []string{`a"b`}, Columns: []ddl.Column{a, b, c},
			}},
			{Kind: ddl.Create, ID: ddl.ID{Table: "t"}, Table: &ddl.Table{ID: ddl.ID{Table: "t"}, Columns: []ddl.Column{c}}},
		},
	}
}

func TestHistoryRecordThereAndBack(t *testing.T) {
	t.Parallel()
	want := historyExample()
	for _, pretty := range []bool{false, true} {
		data := want.encode(pretty)
		if !json.Valid(data) {
			t.Fatalf("not JSON: %s", data)
		}
		got, err := newHistoryReader().decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, want %+v", got, want)
		}
		if !pretty && bytes.ContainsRune(data, '\n') {
			t.Errorf("more than one line: %q", data)
		}
	}
}

func TestHistoryRecordIsPretty(t *testing.T) {
	t.Parallel()
	h := historyRecord{
		server: "s", position: position{file: "b.1", pos: 4}, time: time.UnixMilli(7).UTC(), ddl: "x",
		changes: []ddl.Change{{Kind: ddl.Drop, ID: ddl.ID{Database: "d", Table: "t"}}, {Kind: ddl.Create, ID: ddl.ID{Database: "d", Table: "u"}, Table: &ddl.Table{
			ID: ddl.ID{Database: "d", Table: "u"}, Key: []string{"a", "b"},
		}}},
	}
	const want = `{
  "source" : {
    "server" : "s"
  },
  "position" : {
    "file" : "b.1",
    "pos" : 4
  },
  "ts_ms" : 7,
  "databaseName" : "",
  "ddl" : "x",
  "tableChanges" : [ {
    "type" : "DROP",
    "id" : "\"d\".\"t\""
  }, {
    "type" : "CREATE",
    "id" : "\"d\".\"u\"",
    "table" : {
      "defaultCharsetName" : null,
      "primaryKeyColumnNames" : [ "a", "b" ],
      "columns" : [ ],
      "attributes" : [ ]
    },
    "comment" : null
  } ]
}`
	if got := string(h.encode(true)); got != want {
		t.Errorf("wrote\n%s\nwant\n%s", got, want)
	}
}

func TestBrokenHistoryRecords(t *testing.T) {
	t.Parallel()
	const frame = `{"source":{"server":"s"},"position":{"file":"b.1","pos":4},"tableChanges":[%]}`
	for _, c := range []struct{ data, want string }{
		{``, `expected`},
		{`{"source":{"server":"s"}}`, `without source and position`},
		{`{"source":{"server":"s"},"position":{"file":"b.1"}} x`, `text behind the document`},
		{`{"source":{"server":"s"},"position":{"file":"b.1"`, `expected`},
		{`{"source":{"server":"s"},"position":{"file":"b.1","pos":1.5}}`, `whole number expected`},
		{`{"source":{"server":"s"},"position":{"file":"b.1","pos":"x"}}`, `no value`},
		{`{"source":{"server":"s"},"position":{"file":"b.1"},"ddl":5}`, `expected`},
		{`{"source":{"server":"s"},"position":{"file":"b.1"},"more":[1,-2.5e3,{"a":nul}]}`, `no value`},
		{strings.Repeat("[", 1000), `expected`},
		{`{"source":{"server":"s"},"position":{"file":"b.1"},"more":` + strings.Repeat("[", 1000), `too many levels`},
		{strings.ReplaceAll(frame, "%", `{"type":"RENAME","id":"\"d\".\"t\""}`), `unknown type of change "RENAME"`},
		{strings.ReplaceAll(frame, "%", `{"type":"CREATE","id":"\"d\".\"t\""}`), `a change without its table`},
		{strings.ReplaceAll(frame, "%", `{"type":"DROP"}`), `a change without type and id`},
		{strings.ReplaceAll(frame, "%", `{"type":"DROP","id":"\"d\".\"t"}`), `is no name of a table`},
		{strings.ReplaceAll(frame, "%", `{"type":"ALTER","id":"d.t","table":{"columns":[{"jdbcType":4}]}}`), `a column without name`},
	} {
		if _, err := newHistoryReader().decode([]byte(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v, want %q", c.data, err, c.want)
		}
	}
}

func TestNamesOfTablesInAHistory(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]ddl.ID{
		`\"d\".\"t\"`: {Database: "d", Table: "t"}, `d.t`: {Database: "d", Table: "t"}, `\"t\"`: {Table: "t"}, `\"d\".\"\".\"t\"`: {Database: "d", Table: "t"},
		`\"a.b\".\"c\"\"d\"`: {Database: "a.b", Table: `c"d`}, "`d`.`t`": {Database: "d", Table: "t"},
	} {
		r := &jsonReader{data: []byte(`"` + text + `"`)}
		if got := readID(r); got != want || r.end() != nil {
			t.Errorf("%s: %v, %v", text, got, r.err)
		}
	}
}

func TestStopPoint(t *testing.T) {
	t.Parallel()
	const u, v = "4095c772-e51e-11f1-bfe8-02fc00000001", "4095c772-e51e-11f1-bfe8-02fc00000002"
	at := func(file string, pos uint64) position { return position{file: file, pos: pos, serverID: 1} }
	with := func(gtids string, event int64) position {
		p := at("b.000001", 4)
		p.gtids, p.event = gtids, event
		return p
	}
	snapshot := func(p position) position { p.snapshot, p.serverID = "INITIAL", 0; return p }
	later, other := at("b.000002", 4), at("b.000002", 4)
	other.serverID, other.seconds = 2, 50
	later.seconds = 49
	for _, c := range []struct {
		name           string
		recorded, stop position
		applied, again bool
	}{
		{"same place", at("b.000001", 100), at("b.000001", 100), true, false},
		{"behind", at("b.000001", 101), at("b.000001", 100), false, false},
		{"older file", at("b.000009", 900), at("b.000010", 4), true, false},
		{"newer file", at("b.000010", 4), at("b.000009", 900), false, false},
		{"event", position{file: "b.1", pos: 4, event: 2}, position{file: "b.1", pos: 4, event: 1}, false, false},
		{"row", position{file: "b.1", pos: 4, event: 1, row: 3}, position{file: "b.1", pos: 4, event: 1, row: 2}, false, false},
		{"snapshot has no server", snapshot(at("b.000001", 5)), at("b.000001", 4), false, false},
		{"other server, earlier", later, other, true, false},
		{"other server, later", other, later, false, false},
		{"other base name", at("binlog.000009", 4), at("b.000001", 4), true, false},
		{"GTIDs came", at("b.000009", 4), with(u+":1-2", 0), true, false},
		{"GTIDs went", with(u+":1-2", 0), at("b.000009", 4), true, false},
		{"GTIDs went, behind", with(u+":1-2", 0), at("b.000001", 3), false, false},
		{"subset", with(u+":1-4", 0), with(u+":1-5", 0), true, false},
		{"superset", with(u+":1-6", 0), with(u+":1-5", 0), false, false},
		{"apart", with(v+":1-2", 0), with(u+":1-5", 0), false, false},
		{"same, the statement comes again", with(u+":1-5", 0), with(u+":1-5", 0), true, true},
		{"same, of the snapshot", snapshot(with(u+":1-5", 0)), with(u+":1-5", 0), true, false},
		{"same, the snapshot is under way", with(u+":1-5", 0), snapshot(with(u+":1-5", 0)), false, false},
		{"same, later event", with(u+":1-5", 2), with(u+":1-5", 1), false, true},
		{"several servers", with(u+":1-5,"+v+":1-2", 0), with(v+":1-3,"+u+":1-5", 0), true, false},
	} {
		s, err := newStopPoint(c.stop, false, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		applied, again, err := s.reached(&c.recorded)
		if applied != c.applied || applied && again != c.again || err != nil {
			t.Errorf("%s: applied %v, again %v, %v", c.name, applied, again, err)
		}
	}
	// Transactions of servers that are left out count for nothing.
	s, err := newStopPoint(with(u+":1-5", 0), false, func(origin string) bool { return origin == u }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p := with(u+":1-4,"+v+":1-9", 0)
	if applied, _, err := s.reached(&p); !applied || err != nil {
		t.Errorf("filtered: %v, %v", applied, err)
	}
	s, err = newStopPoint(position{file: "b.1", gtids: "0-1-20,1-1-7"}, true, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for gtids, want := range map[string]bool{"0-1-20": true, "0-2-19,1-1-7": true, "0-1-21": false, "2-1-1": false} {
		if applied, _, err := s.reached(&position{file: "b.1", gtids: gtids}); applied != want || err != nil {
			t.Errorf("MariaDB %s: %v, %v", gtids, applied, err)
		}
	}
}

// FuzzHistoryRecord compares the reader with encoding/json: what one takes for a document the other does, too, and what was read is
// written and read again alike.
func FuzzHistoryRecord(f *testing.F) {
	h := historyExample()
	f.Add(h.encode(true))
	f.Add([]byte(`{"source":{"server":"s"},"position":{"file":"b.1","pos":4,"snapshot":true},"x":[1e400,-0.5,"\u00e9\ud83d\ude00\ud83d"]}`))
	for _, records := range recordings(f) {
		f.Add(records[len(records)-1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := newHistoryReader().decode(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("read what is not JSON: %q", data)
		}
		for _, pretty := range []bool{false, true} {
			again, err := newHistoryReader().decode(h.encode(pretty))
			if err != nil {
				t.Fatalf("wrote what cannot be read: %v: %s", err, h.encode(pretty))
			}
			if !bytes.Equal(again.encode(pretty), h.encode(pretty)) {
				t.Fatalf("wrote %s, then %s", h.encode(pretty), again.encode(pretty))
			}
		}
	})
}
