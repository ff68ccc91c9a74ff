package mysql

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// Rows of every type of MariaDB, in both formats of dates and times, compressed and plain, have the cells of a snapshot.
func TestMariaDBFromBinlog(t *testing.T) {
	const table = `CREATE TABLE %s (id int PRIMARY KEY, u uuid, v4 inet4, v6 inet6, j json, ct text COMPRESSED, cv varchar(2000) COMPRESSED CHARACTER SET latin1,
 cb blob COMPRESSED, d date, t0 time, t1 time(1), t3 time(3), t6 time(6), d0 datetime, d2 datetime(2), d4 datetime(4), d6 datetime(6), ts0 timestamp NULL, ts1 timestamp(1) NULL,
 ts3 timestamp(3) NULL, ts6 timestamp(6) NULL, y year, ub bigint unsigned, g point, vec vector(3), long_char char(255) CHARACTER SET utf8mb4, b binary(4), bits bit(11))`
	values := []string{
		`'f81d4fae-7dec-11d0-a765-00a0c91e6bf6','10.0.0.255','2001:db8::ff00:42:8329','{"a": [1.5, "é"]}',REPEAT('text ',100),REPEAT('é',900),REPEAT(0x00ff,300),'2024-02-29','-12:34:56',
 '12:34:56.7','-00:00:00.001','838:59:59.999999','2024-02-29 12:34:56','1969-12-31 23:59:59.99','2024-02-29 12:34:56.1234','9999-12-31 23:59:59.999999','2024-02-29 12:34:56','2024-02-29 12:34:56.1',
 '1970-01-01 00:00:01.001','2038-01-19 03:14:07.999999',2024,18446744073709551615,POINT(1,2),VEC_FromText('[1,2.5,-3]'),'é€😀',0x0100,b'10000000001'`,
		`'00000000-0000-0000-0000-000000000000','0.0.0.0','::','[]','','','','0000-00-00','00:00:00','0','0','0','0000-00-00','0000-00-00','0000-00-00','0000-00-00','2000-01-01','2000-01-01','2000-01-01','2000-01-01',0,0,NULL,VEC_FromText('[0,0,0]'),'',0x00,0`,
		`'017f22e2-79b0-7cc3-98c4-dc0c0c07398f','255.1.0.0','::ffff:1.2.3.4','null','short','é',x'01','1000-01-01','838:59:59','-838:59:59.9','838:59:59.999','-838:59:59.999999','1000-01-01 00:00:00','0001-01-01 00:00:00.01','1582-10-10','2024-12-31',NULL,NULL,NULL,NULL,1901,1,NULL,NULL,REPEAT('x',255),x'ffffffff',b'1'`,
		`'017f22e2-79b0-7cc3-98c4-dc0c0c073900','1.2.3.0','::1.2.3.4','1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL`,
		`NULL,NULL,'::1','{}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL`,
	}
	for name, settings := range map[string][]string{
		"plain":      nil,
		"old":        {"mysql56-temporal-format=OFF"},
		"compressed": {"log-bin-compress=ON", "log-bin-compress-min-len=10", "binlog-row-metadata=FULL"},
	} {
		t.Run(name, func(t *testing.T) {
			server := bed.MariaDB(t, settings...)
			database := server.NewDatabase(t)
			compressed := 0
			events := binlogOf(t, server, flavorMariaDB, func() {
				server.Exec(t, database, "SET sql_mode=''; "+fmt.Sprintf(table, "m"))
				for i, v := range values {
					server.Exec(t, database, fmt.Sprintf("SET sql_mode=''; SET time_zone='+00:00'; INSERT INTO m VALUES (%d,%s)", i, v))
				}
			})
			for _, e := range events {
				if e.kind >= eventWriteRowsZip1 && isRowsEvent(e.kind) {
					compressed++
				}
			}
			if old := oldTemporal(t, events); old != (name == "old") {
				t.Errorf("dates and times in the old format: %v", old)
			}
			if (compressed > 0) != (name == "compressed") {
				t.Errorf("%d compressed events", compressed)
			}
			d := decodeBinlog(t, testConfig(t, flavorMariaDB, nil), catalogOf(t, server, flavorMariaDB, database), events)
			d.sameRows(t, "m", d.rows["m"], d.selected(t, server, database, "m", "id"))
			if name == "compressed" {
				checkMetadata(t, d, "m")
			}
		})
	}
}

// oldTemporal tells that a table map has dates and times without fractional digits in their type.
func oldTemporal(t *testing.T, events []event) bool {
	t.Helper()
	for _, e := range events {
		if e.kind != byte(replication.TABLE_MAP_EVENT) {
			continue
		}
		m, err := parseTableMap(e.body, true)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(m.columns, func(w wireColumn) bool { return w.kind == wireDatetime }) {
			return true
		}
	}
	return false
}

// checkMetadata compares what TABLE_MAP says with FULL metadata with the table's definition.
func checkMetadata(t *testing.T, d *decoded, name string) {
	t.Helper()
	m, tab := d.maps[name], d.tables[name]
	if !m.named || !m.signed || !slices.Equal(m.key, []int{0}) {
		t.Errorf("named %v, signed %v, key %v", m.named, m.signed, m.key)
	}
	for i, w := range m.columns {
		c := tab.columns[i]
		if w.name != c.name || w.nullable != c.optional || w.isNumeric() && w.kind != wireYear && w.unsigned != c.unsigned || !slices.Equal(w.labels, c.labels) {
			t.Errorf("column %s: %+v", c.name, w)
		}
		if set := collationCharset(w.collation); c.op == opText && (set == nil || set != charsetNamed(c.charset)) {
			t.Errorf("column %s: collation %d, character set %s", c.name, w.collation, c.charset)
		}
	}
}

// Random rows of the common types, with FULL metadata: the cells of a snapshot, and the values that go-mysql decodes.
func TestRandomRows(t *testing.T) {
	server := bed.MySQL(t, "binlog-row-metadata=FULL")
	database := server.NewDatabase(t)
	r := rand.New(rand.NewPCG(1, 2))
	integer := func(bits int, signed bool) func() string {
		return func() string {
			n := r.Uint64() >> (64 - bits) >> r.IntN(bits)
			if signed {
				return fmt.Sprint(int64(n>>1) - int64(r.IntN(2))*int64(n>>1)*2)
			}
			return fmt.Sprint(n)
		}
	}
	digits := func(n int) string {
		var out strings.Builder
		for range n {
			out.WriteByte(byte('0' + r.IntN(10)))
		}
		return out.String()
	}
	text := func(most int, alphabet string) func() string {
		runes := []rune(alphabet)
		return func() string {
			var out strings.Builder
			for range r.IntN(most + 1) {
				out.WriteRune(runes[r.IntN(len(runes))])
			}
			return "'" + out.String() + "'"
		}
	}
	columns := []struct {
		name, typ string
		make      func() string
	}{
		{"y", "year", func() string { return fmt.Sprint(1901 + r.IntN(255)) }},
		{"i8", "tinyint", integer(8, true)},
		{"u8", "tinyint unsigned", integer(8, false)},
		{"i16", "smallint", integer(16, true)},
		{"u16", "smallint unsigned", integer(16, false)},
		{"i24", "mediumint", integer(24, true)},
		{"u24", "mediumint unsigned", integer(24, false)},
		{"i32", "int", integer(32, true)},
		{"u32", "int unsigned", integer(32, false)},
		{"i64", "bigint", integer(64, true)},
		{"u64", "bigint unsigned", integer(64, false)},
		{"n1", "decimal(10,2)", func() string { return "-" + digits(r.IntN(9)) + "." + digits(2) }},
		{"n2", "decimal(65,30)", func() string { return "0" + digits(r.IntN(35)) + "." + digits(r.IntN(31)) }},
		{"n3", "decimal(9,9)", func() string { return "-0." + digits(9) }},
		{"n4", "decimal(18)", func() string { return digits(18) }},
		{"f", "double", func() string { return fmt.Sprint(math.Ldexp(r.Float64()-0.5, r.IntN(200)-100)) }},
		{"f4", "float", func() string { return fmt.Sprint(float32(r.NormFloat64() * 1000)) }},
		{"vc", "varchar(300)", text(300, "abé€😀漢")},
		{"c", "char(60)", text(60, "abé€ ")},
		{"l1", "varchar(300) CHARACTER SET latin1", text(300, "abÿé€")},
		{"gb", "text CHARACTER SET gb18030", text(80, "a漢字😀é")},
		{"sj", "tinytext CHARACTER SET sjis", text(80, "aカナ日本")},
		{"bl", "blob", text(400, "xyz")},
		{"vb", "varbinary(900)", text(200, "é€")},
		{"e", "enum('x','é','z') CHARACTER SET latin1", func() string { return fmt.Sprint(1 + r.IntN(3)) }},
		{"s", "set('a','b','ü','d') CHARACTER SET latin1", func() string { return fmt.Sprint(r.IntN(16)) }},
		{"bits", "bit(37)", func() string { return fmt.Sprint(r.Uint64() >> 27) }},
		{"d", "date", func() string { return fmt.Sprintf("'%04d-%02d-%02d'", 1000+r.IntN(9000), 1+r.IntN(12), 1+r.IntN(28)) }},
		{"t", "time(5)", func() string {
			return fmt.Sprintf("'-%d:%02d:%02d.%05d'", r.IntN(839), r.IntN(60), r.IntN(60), r.IntN(100000))
		}},
		{"dt", "datetime(1)", func() string { return fmt.Sprintf("'2024-02-29 %02d:00:00.%d'", r.IntN(24), r.IntN(10)) }},
		{"dt6", "datetime(6)", func() string { return fmt.Sprintf("'1969-12-31 00:%02d:00.%06d'", r.IntN(60), r.IntN(1e6)) }},
		{"ts", "timestamp(4)", func() string { return fmt.Sprintf("'2024-02-29 %02d:00:00.%04d'", r.IntN(24), r.IntN(10000)) }},
	}
	create, rows := "CREATE TABLE r (id int PRIMARY KEY", []string(nil)
	for _, c := range columns {
		create += ", " + c.name + " " + c.typ + " NULL"
	}
	for i := range 300 {
		row := fmt.Sprint(i)
		for _, c := range columns {
			if r.IntN(8) == 0 {
				row += ",NULL"
			} else {
				row += "," + c.make()
			}
		}
		rows = append(rows, "("+row+")")
	}
	events := binlogOf(t, server, flavorMySQL, func() {
		server.Exec(t, database, create+")", "SET time_zone='+00:00'; INSERT INTO r VALUES "+strings.Join(rows, ","))
	})
	d := decodeBinlog(t, testConfig(t, flavorMySQL, nil), catalogOf(t, server, flavorMySQL, database), events)
	d.sameRows(t, "r", d.rows["r"], d.selected(t, server, database, "r", "id"))
	checkMetadata(t, d, "r")
	d.checkGoMySQL(t, "r", events)
}

// checkGoMySQL compares numbers and bytes with what go-mysql decodes from the same events.
func (d *decoded) checkGoMySQL(t *testing.T, name string, events []event) {
	t.Helper()
	p, at, compared := replication.NewBinlogParser(), 0, 0
	for _, e := range events {
		parsed, err := p.Parse(e.raw)
		if err != nil {
			t.Fatal(err)
		}
		rows, ok := parsed.Event.(*replication.RowsEvent)
		if !ok || string(rows.Table.Table) != name {
			continue
		}
		for _, row := range rows.Rows {
			for i, cell := range d.batch.Row(d.rows[name][at].After) {
				got := ""
				switch cell.Kind {
				case connectors.KindNull:
					got = "<nil>"
				case connectors.KindInt:
					got = fmt.Sprint(cell.Int())
				case connectors.KindUint:
					got = fmt.Sprint(cell.Uint())
				case connectors.KindFloat64:
					got = fmt.Sprint(cell.Float())
				case connectors.KindFloat32:
					got = fmt.Sprint(float32(cell.Float()))
				case connectors.KindDecimal:
					got = string(d.batch.Bytes(cell))
				default:
					continue
				}
				if want := fmt.Sprint(row[i]); got != want {
					t.Errorf("row %d column %d: %s, go-mysql has %s", at, i, got, want)
				}
				compared++
			}
			at++
		}
	}
	if compared < 3000 {
		t.Errorf("only %d values compared", compared)
	}
}

// Images with a part of the columns, and updates that send differences of JSON: what the before image has is taken from it, the rest is
// unavailable.
func TestPartialImages(t *testing.T) {
	const document = `{"a": [1, {"b": "x"}, 2.5], "k": "old", "long key": {"n": null, "t": "2024"}, "z": 12345678901}`
	update := []string{
		`JSON_SET(j, '$.k', 'new text')`, `JSON_SET(j, '$.a[1].b', 7)`, `JSON_REMOVE(j, '$.a[0]')`, `JSON_REMOVE(j, '$."long key".t')`, `JSON_SET(j, '$.added', JSON_OBJECT('q', 1.50), '$.aa', true)`,
		`JSON_SET(j, '$.a[9]', 'end')`, `JSON_REPLACE(j, '$."long key"', CAST('[1, 2]' AS JSON), '$.z', -1)`, `JSON_SET(JSON_REMOVE(j, '$.k'), '$.k', REPEAT('y', 300))`,
		`JSON_ARRAY_INSERT(j, '$.a[0]', 'no difference: whole')`,
	}
	server := bed.MySQL(t)
	for _, mode := range []string{"FULL", "NOBLOB", "MINIMAL"} {
		for _, option := range []string{"", "PARTIAL_JSON"} {
			t.Run(mode+option, func(t *testing.T) {
				database := server.NewDatabase(t)
				server.Exec(t, database, "CREATE TABLE p (id int PRIMARY KEY, j json, n int, b blob, j2 json)")
				for i := range update {
					server.Exec(t, database, fmt.Sprintf("INSERT INTO p VALUES (%d, '%s', 1, 'blob', '[1]')", i, document))
				}
				partial := 0
				events := binlogOf(t, server, flavorMySQL, func() {
					for i, u := range update {
						server.Exec(t, database, fmt.Sprintf("SET binlog_row_image=%s, binlog_row_value_options='%s'; UPDATE p SET j = %s, n = %d WHERE id = %d", mode, option, u, 100+i, i))
					}
					server.Exec(t, database, fmt.Sprintf("SET binlog_row_image=%s; DELETE FROM p WHERE id = 0", mode))
				})
				for _, e := range events {
					if e.kind == eventPartialUpdate {
						partial++
					}
				}
				if (partial > 0) != (option != "") {
					t.Errorf("%d events of partial updates", partial)
				}
				d := decodeBinlog(t, testConfig(t, flavorMySQL, nil), catalogOf(t, server, flavorMySQL, database), events)
				for i, rec := range d.rows["p"] {
					d.checkImage(t, server.Query(t, database, fmt.Sprintf("SELECT IFNULL((SELECT j FROM p WHERE id = %d), '')", i)), mode, option != "", i, rec)
				}
			})
		}
	}
}

func (d *decoded) checkImage(t *testing.T, stored, mode string, partial bool, i int, rec connectors.Record) {
	t.Helper()
	key := d.batch.Row(rec.Key)
	if rec.Op == connectors.OpDelete {
		before := d.batch.Row(rec.Before)
		if key[0].Int() != 0 || (before[2].Kind == connectors.KindUnavailable) != (mode == "MINIMAL") || (before[3].Kind == connectors.KindUnavailable) != (mode != "FULL") {
			t.Errorf("delete: key %v, row %v", key, before)
		}
		return
	}
	after := d.batch.Row(rec.After)
	if key[0].Int() != int64(i) || after[0].Int() != int64(i) || after[2].Int() != int64(100+i) {
		t.Errorf("update %d: key %v, row %v", i, key, after)
	}
	if b := after[3]; (b.Kind == connectors.KindUnavailable) != (mode != "FULL") {
		t.Errorf("update %d: the unchanged blob is of kind %d", i, b.Kind)
	}
	j := after[1]
	if j.Kind == connectors.KindUnavailable {
		if !partial || mode == "FULL" {
			t.Errorf("update %d: the document is not available", i)
		}
		return
	}
	var want, got any
	if err := json.Unmarshal([]byte(stored), &want); err != nil && stored != "" {
		t.Fatal(err)
	}
	if err := json.Unmarshal(d.batch.Bytes(j), &got); err != nil {
		t.Fatal(err)
	}
	if stored != "" && !reflect.DeepEqual(want, got) {
		t.Errorf("update %d: %s, the server has %s", i, d.batch.Bytes(j), stored)
	}
}

// A table map that is not of the table is an error that names the table, and the binlog's own columns may be more than the table's.
func TestLayoutMismatch(t *testing.T) {
	c := ddl.NewCatalog(ddl.MySQL, false)
	if _, err := c.Apply("d", "CREATE TABLE t (id int PRIMARY KEY, v varchar(10))", ddl.SQLMode(0)); err != nil {
		t.Fatal(err)
	}
	tab := testTable(t, testConfig(t, flavorMySQL, nil), c.Table(ddl.ID{Database: "d", Table: "t"}))
	column := func(kind byte, name string) wireColumn { return wireColumn{kind: kind, name: name} }
	for _, m := range []*tableMap{
		{columns: []wireColumn{column(wireLong, "")}},
		{columns: []wireColumn{column(wireLong, ""), column(wireLong, "")}},
		{columns: []wireColumn{column(wireLong, ""), column(wireVarchar, ""), column(wireLong, "")}},
		{named: true, columns: []wireColumn{column(wireLong, "id"), column(wireVarchar, "other")}},
		{named: true, columns: []wireColumn{column(wireLong, "id"), column(wireVarchar, "v"), column(wireTimestamp2, "row_start"), column(wireTimestamp2, "row_end")}},
		{columns: []wireColumn{column(wireLong, ""), column(wireVarchar, ""), column(wireTimestamp2, ""), column(wireTimestamp2, "")}},
		{signed: true, columns: []wireColumn{{kind: wireLong, unsigned: true}, column(wireVarchar, "")}},
	} {
		_, err := newLayout(tab, m)
		if err == nil || !strings.Contains(err.Error(), "d.t") || connectors.ClassOf(err) != connectors.Permanent {
			t.Errorf("%+v: %v", m, err)
		}
	}
	m := &tableMap{named: true, columns: []wireColumn{column(wireLong, "id"), column(wireVarchar, "v"), column(wireLongLong, "DB_ROW_HASH_1")}}
	if _, err := newLayout(tab, m); err != nil {
		t.Error(err)
	}
}
