package mysql

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
	jsonconverter "github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/schemas"
)

// columnOf is a definition; length and scale are -1 when they are not given.
func columnOf(typ string, optional bool, size ...int) ddl.Column {
	c := ddl.Column{Name: "c", Type: typ, Length: -1, Scale: -1, Optional: optional, Position: 1}
	if len(size) > 0 {
		c.Length = size[0]
	}
	if len(size) > 1 {
		c.Scale = size[1]
	}
	return c
}

func withLabels(c ddl.Column, labels ...string) ddl.Column {
	c.Labels = labels
	return c
}

func withDefault(c ddl.Column, text string) ddl.Column {
	c.HasDefault, c.Default = true, &text
	return c
}

// tableWith is a table of these columns, named a, b, c…, without a key.
func tableWith(t testing.TB, cfg *config, columns ...ddl.Column) *table {
	t.Helper()
	def := &ddl.Table{ID: ddl.ID{Database: "db", Table: "t"}, Columns: columns}
	for i := range def.Columns {
		def.Columns[i].Name, def.Columns[i].Position = string(rune('a'+i)), i+1
	}
	return testTable(t, cfg, def)
}

// Names of types that the corpus does not have, and what SHOW CREATE TABLE never says.
func TestTypes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		column   ddl.Column
		mariadb  bool
		typ      schemas.Type
		op       op
		kind     schemas.Kind
		name     string
		typeName string
	}{
		{column: columnOf("BOOL", true), typ: schemas.TypeBool, op: opBool, kind: schemas.Boolean, typeName: "bool"},
		{column: columnOf("INT ZEROFILL", true, 8), typ: schemas.TypeInt64, op: opInt, kind: schemas.Int64, typeName: "int(8) zerofill"},
		{column: columnOf("INTEGER", true), typ: schemas.TypeInt32, op: opInt, kind: schemas.Int32, typeName: "integer"},
		{column: columnOf("INT1", true), typ: schemas.TypeInt16, op: opInt, kind: schemas.Int16, typeName: "int1"},
		{column: columnOf("INT8 UNSIGNED", true), typ: schemas.TypeUint64, op: opUint, kind: schemas.Int64, typeName: "int8 unsigned"},
		{column: columnOf("SERIAL", false), typ: schemas.TypeUint64, op: opUint, kind: schemas.Int64, typeName: "serial"},
		{column: columnOf("MIDDLEINT UNSIGNED", true), typ: schemas.TypeInt32, op: opInt, kind: schemas.Int32, typeName: "middleint unsigned"},
		{column: columnOf("DOUBLE PRECISION", true), typ: schemas.TypeFloat64, op: opFloat64, kind: schemas.Float64, typeName: "double precision"},
		{column: columnOf("REAL", true), typ: schemas.TypeFloat64, op: opFloat64, kind: schemas.Float64, typeName: "real"},
		{column: columnOf("FLOAT", true, 24), typ: schemas.TypeFloat32, op: opFloat32, kind: schemas.Float32, typeName: "float(24)"},
		{column: columnOf("FLOAT UNSIGNED", true, 25), typ: schemas.TypeFloat64, op: opFloat64, kind: schemas.Float64, typeName: "float(25) unsigned"},
		{column: columnOf("NUMERIC", true), typ: schemas.TypeDecimal, op: opDecimal, kind: schemas.Bytes, name: changes.NameConnectDecimal, typeName: "numeric"},
		{column: columnOf("BIT", true), typ: schemas.TypeBits, op: opBits, kind: schemas.Boolean, typeName: "bit"},
		{column: columnOf("NATIONAL VARCHAR", true, 5), typ: schemas.TypeText, op: opText, kind: schemas.String, typeName: "national varchar(5)"},
		{column: columnOf("VARCHAR BINARY", true, 5), typ: schemas.TypeText, op: opText, kind: schemas.String, typeName: "varchar(5) binary"},
		{column: columnOf("LONG VARBINARY", true), typ: schemas.TypeBytes, op: opBytes, kind: schemas.Bytes, typeName: "long varbinary"},
		{column: ddl.Column{Type: "VARCHAR", Charset: "binary", Length: 5, Scale: -1, Optional: true}, typ: schemas.TypeBytes, op: opBytes, kind: schemas.Bytes, typeName: "varchar(5)"},
		{column: columnOf("BLOB COMPRESSED", true), mariadb: true, typ: schemas.TypeBytes, op: opBytes, kind: schemas.Bytes, typeName: "blob compressed"},
		{column: columnOf("JSON", true), mariadb: true, typ: schemas.TypeJSON, op: opText, kind: schemas.String, name: changes.NameJSON, typeName: "json"},
		{column: columnOf("UUID", true), mariadb: true, typ: schemas.TypeUUID, op: opUUID, kind: schemas.String, name: changes.NameUUID, typeName: "uuid"},
		{column: columnOf("INET6", true), mariadb: true, typ: schemas.TypeOther, op: opInet6, kind: schemas.String, typeName: "inet6"},
		{column: columnOf("GEOMCOLLECTION", true), typ: schemas.TypeBytes, op: opGeometry, kind: schemas.Struct, name: changes.NameGeometry, typeName: "geomcollection"},
		{column: withLabels(columnOf("ENUM", true, 1), "a", "it's"), typ: schemas.TypeEnum, op: opEnum, kind: schemas.String, name: changes.NameEnum, typeName: "enum('a','it''s')"},
		{column: columnOf("VECTOR", true, 3), typ: schemas.TypeList, op: opVector, kind: schemas.Array, name: changes.NameFloatVector, typeName: "vector(3)"},
	} {
		f := flavorMySQL
		if test.mariadb {
			f = flavorMariaDB
		}
		tab := tableWith(t, testConfig(t, f, nil), test.column)
		c, s := tab.stream.Table.Columns[0], tab.stream.Row.Fields[0].Schema
		if c.Type != test.typ || tab.columns[0].op != test.op || s.Kind != test.kind || s.Name != test.name || c.TypeName != test.typeName {
			t.Errorf("%s: type %d, op %d, schema %s %q, name %q", test.column.Type, c.Type, tab.columns[0].op, s.Kind, s.Name, c.TypeName)
		}
	}
}

func TestPaddedLength(t *testing.T) {
	t.Parallel()
	for typ, want := range map[string]int{"BINARY": 4, "VARBINARY": -1, "BLOB": -1, "CHAR BYTE": 4} {
		tab := tableWith(t, testConfig(t, flavorMySQL, nil), columnOf(typ, true, 4))
		if got := tab.columns[0].length; got != want {
			t.Errorf("%s: padded to %d", typ, got)
		}
	}
}

// Masks, keys and selection meet: a masked key column is clear in the key, a column that is not captured can be in it.
func TestKeysAndMasks(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, flavorMySQL, map[string]string{
		"message.key.columns": "db.t:c,nothing,B", "column.mask.with.3.chars": "db.t.b", "column.exclude.list": "db.t.c", "column.truncate.to.2.chars": "db.t.d,db.t.e",
	})
	tab := tableWith(t, cfg, columnOf("INT", false), columnOf("VARCHAR", true, 20), columnOf("INT", true), columnOf("TEXT", true), columnOf("INT", true))
	if got := fmt.Sprintln(tab.selected, tab.copyKey, len(tab.stream.Fields), tab.stream.Key.Fields[0].Name, tab.stream.Key.Fields[1].Name); got != "[0 1 2 3 4] false 4 c b\n" {
		t.Error(got)
	}
	got := encodeRow(t, tab.clone(), connectors.OpRead, [][]byte{[]byte("1"), []byte("secret"), []byte("7"), []byte("long"), nil})
	if want := `map[a:1 b:*** d:lo e:<nil>] map[b:secret c:7]`; fmt.Sprint(got.Value.Payload.After, got.Key.Payload) != want {
		t.Errorf("got %v %v", got.Value.Payload.After, got.Key.Payload)
	}
	var log strings.Builder
	tab.warn(slog.New(slog.NewTextHandler(&log, nil)))
	if n := strings.Count(log.String(), "level=WARN"); n != 2 || !strings.Contains(log.String(), "column=e") || !strings.Contains(log.String(), "column=nothing") {
		t.Errorf("warned of\n%s", log.String())
	}
	if list := tab.selectList(); list != "`a`, `b`, `c`, `d`, `e`" {
		t.Error(list)
	}
}

func TestColumnsOutsideOfTheRow(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, flavorMySQL, map[string]string{"column.include.list": "db.t.a,db.t.c"})
	tab := tableWith(t, cfg, columnOf("FLOAT", false), columnOf("VARCHAR", true, 20), columnOf("INT", true))
	if list := tab.selectList(); list != "`a` * 1e0, `c`" || len(tab.columns) != 3 || tab.columns[1].cell != -1 {
		t.Error(list, tab.columns)
	}
}

// What an event shows where the server logged no value.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	tab := tableWith(t, testConfig(t, flavorMySQL, map[string]string{"binary.handling.mode": "hex", "unavailable.value.placeholder": "gone", "time.precision.mode": "connect"}),
		columnOf("TEXT", true), columnOf("BLOB", true), columnOf("INT", true), columnOf("INT", false), columnOf("JSON", true), columnOf("TIME", false))
	var got []any
	for _, f := range tab.stream.Fields {
		got = append(got, f.WhenUnavailable)
	}
	if want := []any{"gone", "676f6e65", nil, int32(0), "gone", int32(0)}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// A required time that is none of a day stops the encoding of its record, whatever the default of the column.
func TestTimeThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for _, c := range []ddl.Column{columnOf("TIME", false), withDefault(columnOf("TIME", false), "10:00:00")} {
		tab := tableWith(t, testConfig(t, flavorMySQL, map[string]string{"time.precision.mode": "connect"}), c)
		for text, fits := range map[string]bool{"24:00:00": true, "-00:00:01": false, "24:00:01": false} {
			w := connectors.NewBuilder("{}", nil, nil)
			w.Begin(w.Stream(tab.stream), connectors.OpRead)
			w.After()
			if err := tab.appendTextRow(w, [][]byte{[]byte(text)}); err != nil {
				t.Fatal(err)
			}
			w.Source()
			w.Int(1)
			w.Null()
			w.Null()
			w.Commit()
			b := w.Finish("", connectors.Order{})
			conv, err := jsonconverter.New(connectors.Config{}, false)
			if err != nil {
				t.Fatal(err)
			}
			e, err := conv.Encoder(b.Streams[0])
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := e.Append(nil, b, &b.Records[0]); (err == nil) != fits {
				t.Errorf("%s: %v", text, err)
			}
			b.Release()
		}
	}
}
