package mysql

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/offsets"
)

// goldenLines calls f with every line of a file in all recordings, and returns how many there were.
func goldenLines(t *testing.T, name string, f func(file string, line []byte)) int {
	t.Helper()
	files, err := filepath.Glob("../../testdata/golden/mysql/*/golden/" + name)
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	n := 0
	for _, file := range files {
		in, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			if len(strings.TrimSpace(lines.Text())) > 0 {
				f(file, lines.Bytes())
				n++
			}
		}
		_ = in.Close()
		if lines.Err() != nil {
			t.Fatal(lines.Err())
		}
	}
	return n
}

// others are members of the reference's offsets that belong to the metadata of transactions and to incremental snapshots.
func others(m map[string]any) {
	for name := range m {
		if strings.HasPrefix(name, "transaction_") || strings.HasPrefix(name, "incremental_snapshot_") {
			delete(m, name)
		}
	}
}

func TestOffsetsOfTheReference(t *testing.T) {
	n := goldenLines(t, "offsets.jsonl", func(file string, line []byte) {
		var m struct{ Value json.RawMessage }
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		if len(m.Value) == 0 || string(m.Value) == "null" || strings.Contains(string(m.Value), "transaction_") {
			return
		}
		p, err := parsePosition(offsets.Offset(m.Value))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p.offset(nil)); got != string(m.Value) {
			t.Errorf("%s: %s, want %s", file, got, m.Value)
		}
	})
	n += goldenLines(t, "record_offsets.jsonl", func(file string, line []byte) {
		var m struct {
			Source struct{ Offset json.RawMessage }
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		if len(m.Source.Offset) == 0 || string(m.Source.Offset) == "null" {
			return
		}
		p, err := parsePosition(offsets.Offset(m.Source.Offset))
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		if err := json.Unmarshal(m.Source.Offset, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(p.offset(nil)), &got); err != nil {
			t.Fatal(err)
		}
		if others(want); want["snapshot"] == "INCREMENTAL" {
			delete(want, "snapshot")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	})
	if n < 100 {
		t.Fatalf("only %d offsets", n)
	}
}

func TestParsePosition(t *testing.T) {
	for text, want := range map[string]position{
		`{"file":"binlog.000007","pos":4}`:                                      {file: "binlog.000007", pos: 4},
		`{"file":"b.1","pos":157,"snapshot":true}`:                              {file: "b.1", pos: 157, snapshot: "INITIAL"},
		`{"file":"b.1","pos":157,"snapshot":"INITIAL"}`:                         {file: "b.1", pos: 157, snapshot: "INITIAL"},
		`{"file":"b.1","pos":157,"snapshot":"BLOCKING"}`:                        {file: "b.1", pos: 157, snapshot: "BLOCKING"},
		`{"file":"b.1","pos":157,"snapshot":false}`:                             {file: "b.1", pos: 157},
		`{"file":"b.1","pos":1,"snapshot":"INITIAL","snapshot_completed":true}`: {file: "b.1", pos: 1},
		`{"file":"b.1","pos":1,"gtids":"a:1-2,\nb:1"}`:                          {file: "b.1", pos: 1, gtids: "a:1-2,b:1"},
		`{"file":"b.1","pos":1,"event":2,"row":3,"server_id":4,"ts_sec":5,"query":"x","thread":9}`: {
			file: "b.1", pos: 1, event: 2, row: 3, serverID: 4, seconds: 5,
		},
	} {
		got, err := parsePosition(offsets.Offset(text))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{`{"pos":4}`, `[]`, `{"file":"a","pos":-1}`, `{"file":"a","pos":"b"}`, ``} {
		if p, err := parsePosition(offsets.Offset(text)); err == nil {
			t.Errorf("%s: %+v", text, p)
		}
	}
}

func TestOrderOfPositions(t *testing.T) {
	last := order(0, "", 0, 0)
	for _, o := range []struct {
		epoch uint32
		file  string
		pos   uint64
		minor uint32
	}{{1, "binlog.000001", 4, 0}, {1, "binlog.000001", 4, 3}, {1, "binlog.000001", 1 << 31, 0}, {1, "binlog.000002", 4, 0}, {1, "binlog.1000000", 4, 0}, {2, "a.1", 4, 0}} {
		next := order(o.epoch, o.file, o.pos, o.minor)
		if next.Compare(last) <= 0 {
			t.Errorf("%+v is not behind %+v", next, last)
		}
		last = next
	}
}

func TestIdentity(t *testing.T) {
	i := identity{Server: "u-\"1", Epoch: 3, Created: 17, GTID: "u:4", Restart: `{"file":"a","pos":1}`}
	back, err := parseIdentity(i.offset(`{"file":"a","pos":2}`))
	if err != nil || back != i || back.Offset != `{"file":"a","pos":2}` {
		t.Fatalf("%+v, %v", back, err)
	}
}
