package mysql

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

func showCell(b *connectors.Batch, c connectors.Cell) string {
	switch c.Kind {
	case connectors.KindNull:
		return "null"
	case connectors.KindUint:
		return fmt.Sprint(c.Uint())
	case connectors.KindFloat32, connectors.KindFloat64:
		return fmt.Sprint(c.Float())
	case connectors.KindText, connectors.KindBytes, connectors.KindDecimal, connectors.KindBits:
		return string(b.Bytes(c))
	case connectors.KindList:
		out := ""
		for _, e := range b.List(c) {
			out += showCell(b, e) + " "
		}
		return out
	}
	return fmt.Sprint(c.Int())
}

// decodeText is the cell of a value of a column.
func decodeText(t testing.TB, column ddl.Column, text string) (string, error) {
	t.Helper()
	tab := tableWith(t, testConfig(t, flavorMySQL, nil), column)
	w := connectors.NewBuilder("{}", nil, nil)
	w.Begin(w.Stream(tab.stream), connectors.OpRead)
	w.After()
	if err := tab.appendTextRow(w, [][]byte{[]byte(text)}); err != nil {
		return "", err
	}
	w.Commit()
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	c := b.Cells(b.Records[0].After)[0]
	return fmt.Sprintf("%d %s", c.Kind, showCell(b, c)), nil
}

func TestTextCells(t *testing.T) {
	t.Parallel()
	const null = connectors.KindNull
	required := columnOf("DATE", false)
	for _, test := range []struct {
		column ddl.Column
		text   string
		kind   connectors.Kind
		want   string
	}{
		{columnOf("INT", true), "-2147483648", connectors.KindInt, "-2147483648"},
		{columnOf("INT UNSIGNED ZEROFILL", true), "00000042", connectors.KindInt, "42"},
		{columnOf("BIGINT UNSIGNED", true), "18446744073709551615", connectors.KindUint, "18446744073709551615"},
		{columnOf("BOOL", true), "2", connectors.KindBool, "1"},
		{columnOf("DECIMAL UNSIGNED ZEROFILL", true, 8, 3), "00001.250", connectors.KindDecimal, "1.250"},
		{columnOf("DECIMAL", true, 8, 3), "-0.250", connectors.KindDecimal, "-0.250"},
		{columnOf("DECIMAL", true, 8, 3), "0.000", connectors.KindDecimal, "0.000"},
		{columnOf("FLOAT", true), "3.4028234663852886e38", connectors.KindFloat32, "3.4028234663852886e+38"},
		{columnOf("FLOAT", true, 7, 3), "12.345000267028809", connectors.KindFloat64, "12.345000267028809"},
		{columnOf("BIT", true, 10), "\x02\x05", connectors.KindBits, "1000000101"},
		{columnOf("BIT", true, 64), "\x80\x00\x00\x00\x00\x00\x00\x01", connectors.KindBits, "1" + strings.Repeat("0", 62) + "1"},
		{columnOf("BINARY", true, 4), "a\x00\x00\x00", connectors.KindBytes, "a\x00\x00\x00"},
		{columnOf("YEAR", true), "0000", connectors.KindInt, "0"},
		{columnOf("YEAR", true, 2), "69", connectors.KindInt, "2069"},
		{columnOf("DATE", true), "1582-10-10", connectors.KindDate, "-141432"},
		{columnOf("DATE", true), "0000-00-00", null, "null"},
		{columnOf("DATE", true), "2018-00-00", null, "null"},
		{columnOf("DATE", true), "2019-02-29", null, "null"},
		{columnOf("DATE", true), "0069-01-01", connectors.KindDate, "36160"},
		{columnOf("DATE", true), "0070-01-01", connectors.KindDate, "0"},
		{required, "0000-00-00", connectors.KindDate, "0"},
		{withDefault(required, "1970-01-08"), "0000-00-00", connectors.KindDate, "7"},
		{columnOf("DATETIME", true, 1), "2024-02-29 12:34:56.1", connectors.KindTimestamp, "1709210096100000"},
		{columnOf("TIMESTAMP", true, 6), "2024-02-29 12:34:56.000001", connectors.KindTimestampTZ, "1709210096000001"},
		{columnOf("TIMESTAMP", false), "0000-00-00 00:00:00", connectors.KindTimestampTZ, "0"},
		{columnOf("TIME", true, 6), "-838:59:58.999999", connectors.KindTime, "-3020398999999"},
		{columnOf("TIME", true), "-00:00:01", connectors.KindTime, "-1000000"},
		{columnOf("VECTOR", true, 2), "\x00\x00\xc0\x3f\x00\x00\x00\xc0", connectors.KindList, "1.5 -2 "},
		{columnOf("POINT", true), "\x00\x00\x00\x00wkb", connectors.KindBytes, "\x00\x00\x00\x00wkb"},
	} {
		got, err := decodeText(t, test.column, test.text)
		if want := fmt.Sprintf("%d %s", test.kind, test.want); err != nil || got != want {
			t.Errorf("%s %q: got %s %v, want %s", test.column.Type, test.text, got, err, want)
		}
	}
}

func TestMalformedValuesOfText(t *testing.T) {
	t.Parallel()
	for typ, texts := range map[string][]string{
		"INT": {"", "x", "99999999999999999999", "-"}, "BIGINT UNSIGNED": {"-1", ""}, "BOOL": {"t"}, "FLOAT": {"x"}, "BIT": {"", "123456789"},
		"YEAR": {"x"}, "DATE": {"2024", "2024-02-29 00:00:00", "2024/02/29"}, "DATETIME": {"2024-02-29", "2024-02-29 1", "2024-02-29 12:34:5x"},
		"TIME": {"", "-", "1", "12:60:00", "12:34:56.1234567", "x12:34:56"}, "JSON": {`{"a`, `"\"`}, "VECTOR": {"abc"},
	} {
		for _, text := range texts {
			c := columnOf(typ, true)
			if got, err := decodeText(t, c, text); !errors.Is(err, errMalformed) || connectors.ClassOf(err) != connectors.Permanent {
				t.Errorf("%s %q: got %s, %v", typ, text, got, err)
			} else if text != "" && strings.Contains(err.Error(), text) && len(text) > 2 {
				t.Errorf("%s: the error shows the value: %v", typ, err)
			}
		}
	}
}

func TestWrongNumberOfColumns(t *testing.T) {
	t.Parallel()
	tab := tableWith(t, testConfig(t, flavorMySQL, nil), columnOf("INT", true))
	if err := tab.appendTextRow(connectors.NewBuilder("{}", nil, nil), nil); err == nil {
		t.Error("no error")
	}
}

func TestCompactJSON(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ server, want string }{
		{`{"a": [1.5, null, "é \" , x", true, -5, 18446744073709551615, 1e100], "b": 1}`, `{"a":[1.5,null,"é \" , x",true,-5,18446744073709551615,10000000000000000159028911097599180468360808563945281389781327557747838772170381060813469985856815104],"b":1}`},
		{`{"dec": 1.500, "dbl": 1.0, "big": 10000000000.0, "small": 0.0001, "s": 1e-7}`, `{"dec":1.500,"dbl":1.0,"big":10000000000,"small":0.000100000000000000004792173602385929598312941379845142364501953125,"s":0.00000009999999999999999547481118258862586856139387236908078193664550781250}`},
		{`{"dec": 12345678901234567890.123456789}`, `{"dec":12345678901234567890.123456789}`},
		{`["\u001f\\u001f", "\\", "a"]`, `["\u001F\\u001f","\\","a"]`},
		{`"str"`, `"str"`},
		{`-0.0`, `-0.0`},
		{`[]`, `[]`},
	} {
		got, ok := appendCompactJSON(nil, []byte(test.server))
		if want := strings.ReplaceAll(test.want, "81250}", "8125}"); !ok || string(got) != want {
			t.Errorf("%s\n got  %s\n want %s", test.server, got, want)
		}
	}
}

// Decoding a row does not allocate.
func TestTextRowAllocations(t *testing.T) {
	tab := tableWith(t, testConfig(t, flavorMySQL, nil), columnOf("BIGINT", false), columnOf("DECIMAL", true, 10, 2), columnOf("VARCHAR", true, 40), columnOf("DATETIME", true, 6),
		columnOf("TIMESTAMP", true, 6), columnOf("JSON", true), columnOf("DOUBLE", true), columnOf("TIME", true), columnOf("DATE", true), columnOf("BIT", true, 8), columnOf("BIGINT UNSIGNED", true))
	var fields [][]byte
	for _, text := range []string{"1", "12.50", "some text", "2024-02-29 12:34:56.123456", "2024-02-29 12:34:56.123456", `{"a": [1, 2.5, "x"]}`, "1.5e-3", "-12:34:56", "2024-02-29", "a", "18446744073709551615"} {
		fields = append(fields, []byte(text))
	}
	w := connectors.NewBuilder("{}", nil, nil)
	at := w.Stream(tab.stream)
	row := func() {
		w.Begin(at, connectors.OpRead)
		w.After()
		if err := tab.appendTextRow(w, fields); err != nil {
			t.Fatal(err)
		}
		w.Discard()
	}
	row()
	if n := testing.AllocsPerRun(100, row); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzText(f *testing.F) {
	for i, text := range []string{"1", "12.50", "2024-02-29 12:34:56.1", "-838:59:59", `{"a": [1.5e300, "x\u001f"]}`, "\x01\x02\x03\x04"} {
		f.Add(uint8(i), []byte(text))
	}
	var columns []ddl.Column
	for _, typ := range []string{"INT", "BIGINT UNSIGNED", "BOOL", "FLOAT", "DECIMAL", "TEXT", "BLOB", "BIT", "ENUM", "JSON", "YEAR", "DATE", "TIME", "DATETIME", "TIMESTAMP", "POINT", "VECTOR"} {
		columns = append(columns, columnOf(typ, true))
	}
	tab := tableWith(f, testConfig(f, flavorMySQL, nil), columns...)
	f.Fuzz(func(t *testing.T, at uint8, text []byte) {
		fields := make([][]byte, len(columns))
		fields[int(at)%len(fields)] = text
		w := connectors.NewBuilder("{}", nil, nil)
		w.Begin(w.Stream(tab.stream), connectors.OpRead)
		w.After()
		if err := tab.appendTextRow(w, fields); err != nil && !errors.Is(err, errMalformed) {
			t.Fatal(err)
		}
		w.Abandon()
	})
}

// JSON that the server prints becomes what the binlog's binary form of it becomes.
func TestJSONOfBothWays(t *testing.T) {
	server := bed.MySQL(t)
	database := server.NewDatabase(t)
	var sql strings.Builder
	sql.WriteString("CREATE TABLE docs (id int PRIMARY KEY, doc json);")
	random, id := rand.New(rand.NewPCG(1, 2)), 0
	insert := func(doc string) {
		id++
		fmt.Fprintf(&sql, "INSERT INTO docs VALUES (%d, '%s');", id, strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(doc))
	}
	for _, doc := range []string{
		`{}`, `[]`, `null`, `true`, `""`, `"\u0000\u001f\u007f\b\f\n\r\t\/ \" \\ \\u00ff é😀"`, `{"\u0001 k": [{"": [[]]}]}`, `[0, -0, 0.0, -0.0, -1, 9223372036854775807, -9223372036854775808, 18446744073709551615, 18446744073709551616]`,
		`[1e15, 1e16, 1e21, 1e22, 123456789012345680, 0.001, 0.0001, 1e-5, 1e-323, 1.7976931348623157e308, 9999999.5, 10000000.5, 12345678.1]`, `"2024-02-29 12:34:56.500000"`, `"base64:type15:AQI="`,
	} {
		insert(doc)
	}
	for range 100 {
		var numbers []string
		for range 10 {
			f := math.Float64frombits(random.Uint64())
			if math.IsNaN(f) || math.IsInf(f, 0) {
				continue
			}
			numbers = append(numbers, strconv.FormatFloat(f, 'g', -1, 64), strconv.FormatFloat(random.NormFloat64()*math.Pow(10, float64(random.IntN(30)-10)), 'f', -1, 64))
		}
		insert("[" + strings.Join(numbers, ", ") + "]")
	}
	inserts := binlogOf(t, server, flavorMySQL, func() { server.Exec(t, database, sql.String()) })
	d := decodeBinlog(t, testConfig(t, flavorMySQL, nil), catalogOf(t, server, flavorMySQL, database), inserts)
	d.sameRows(t, "docs", d.rows["docs"], d.selected(t, server, database, "docs", "id"))
}
