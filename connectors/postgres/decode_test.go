package postgres

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// show renders the one cell that d makes of text.
func show(t *testing.T, d decoder, text string) (string, error) {
	t.Helper()
	w := connectors.NewBuilder("", nil, nil)
	w.Begin(0, connectors.OpRead)
	w.After()
	if err := d.append(w, []byte(text)); err != nil {
		return "", err
	}
	w.Commit()
	b := w.Finish("", connectors.Order{})
	cells := b.Cells(b.Records[0].After)
	if len(cells) != 1 {
		t.Fatalf("decode %q: %d cells, want 1", text, len(cells))
	}
	return showCell(b, cells[0]), nil
}

func showCell(b *connectors.Batch, c connectors.Cell) string {
	switch c.Kind {
	case connectors.KindNull:
		return "null"
	case connectors.KindAbsent:
		return "absent"
	case connectors.KindUnavailable:
		return "unavailable"
	case connectors.KindBool:
		return fmt.Sprint(c.Bool())
	case connectors.KindFloat32, connectors.KindFloat64:
		return fmt.Sprint(c.Float())
	case connectors.KindDecimal, connectors.KindBits:
		return string(b.Bytes(c))
	case connectors.KindText:
		out, _ := json.Marshal(string(b.Bytes(c)))
		return string(out)
	case connectors.KindBytes:
		return fmt.Sprintf("%x", b.Bytes(c))
	case connectors.KindTimeTZ:
		return fmt.Sprintf("%d@%d", c.Int(), c.Offset())
	case connectors.KindInterval:
		months, days, micros := b.Interval(c)
		return fmt.Sprintf("%dm%dd%dus", months, days, micros)
	case connectors.KindList, connectors.KindMap, connectors.KindPoint:
		var parts []string
		for _, e := range b.List(c) {
			parts = append(parts, showCell(b, e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(c.Int())
}

func TestDecode(t *testing.T) {
	list := func(o op) decoder { return decoder{op: opList, elem: o} }
	of := func(o op) decoder { return decoder{op: o} }
	for _, c := range []struct {
		d          decoder
		text, want string
	}{
		{of(opBool), "t", "true"},
		{of(opBool), "f", "false"},
		{of(opInt), "-9223372036854775808", "-9223372036854775808"},
		{of(opInt), "9223372036854775807", "9223372036854775807"},
		{of(opInt), "4294967295", "4294967295"},
		{of(opFloat32), "3.4028235e+38", "3.4028234663852886e+38"},
		{of(opFloat64), "NaN", "NaN"},
		{of(opFloat64), "-Infinity", "-Inf"},
		{of(opFloat64), "-5e-324", "-5e-324"},
		{of(opDecimal), "-0.0000000001", "-0.0000000001"},
		{of(opDecimal), "NaN", "NaN"},
		{of(opDecimal), "-Infinity", "-Infinity"},
		{of(opMoney), "$1,234.56", "1234.56"},
		{of(opMoney), "-$92,233,720,368,547,758.08", "-92233720368547758.08"},
		{of(opBytea), `\xdeadBEEF00`, "deadbeef00"},
		{of(opBytea), `\x`, ""},
		{of(opBits), "10100101", "10100101"},
		{of(opBits), "", ""},
		{of(opText), "é\x00", `"é\u0000"`},
		{of(opPoint), "(-1.5e+300,0.1)", "[-1.5e+300 0.1]"},
		{of(opGeometry), "{1,-1,0}", `"{1.0,-1.0,0.0}"`},
		{of(opGeometry), "[(10000000000,0),(0,-1)]", `"[(1.0E10,0.0),(0.0,-1.0)]"`},
		{of(opGeometry), "<(1,2.5),0.0001>", `"\u003c(1.0,2.5),1.0E-4\u003e"`},
		{of(opHstore), `"a"=>"1", "b c"=>NULL, "é"=>"x\"y"`, `["a" "1" "b c" null "é" "x\"y"]`},
		{of(opHstore), `"a"=>"1", "é"=>"x", "b c"=>NULL`, `["a" "1" "b c" null "é" "x"]`},
		{of(opHstore), "", "[]"},
		{list(opInt), "{1,-32768,NULL}", "[1 -32768 null]"},
		{list(opInt), "{}", "[]"},
		{list(opInt), "[0:1]={1,2}", "[1 2]"},
		{list(opInt), "{{1,2},{3,4}}", "[[1 2] [3 4]]"},
		{list(opText), `{"a,b","\"q\"",NULL,"","NULL",é€😀,"back\\slash"}`, `["a,b" "\"q\"" null "" "NULL" "é€😀" "back\\slash"]`},
		{list(opTimestampTZ), `{"2024-02-29 10:34:56.1+00"}`, "[1709202896100000]"},
		{list(opBytea), `{"\\xdead",NULL}`, "[dead null]"},
		{list(opHstore), `{"\"a\"=>\"1\"",NULL}`, `[["a" "1"] null]`},
		{list(opBool), "{t,f}", "[true false]"},
	} {
		got, err := show(t, c.d, c.text)
		if err != nil || got != c.want {
			t.Errorf("decode %v %q: got %s, %v, want %s", c.d, c.text, got, err, c.want)
		}
	}
}

func TestDecodeTemporal(t *testing.T) {
	most, least := fmt.Sprint(int64(math.MaxInt64)), fmt.Sprint(int64(math.MinInt64))
	for _, c := range []struct {
		o          op
		text, want string
	}{
		{opDate, "2024-02-29", "19782"},
		{opDate, "9999-12-31", "2932896"},
		{opDate, "0001-01-01", "-719162"},
		{opDate, "0044-03-15 BC", "-735160"},
		{opDate, "1582-10-10", "-141432"},
		{opDate, "5874897-12-31", "2145042905"},
		{opDate, "4713-01-01 BC", "-2440550"},
		{opDate, "infinity", most},
		{opDate, "-infinity", least},
		{opTime, "12:34:56.123456", "45296123456"},
		{opTime, "24:00:00", "86400000000"},
		{opTime, "00:00:00.1", "100000"},
		{opTimeTZ, "12:34:56.12+02", "45296120000@7200"},
		{opTimeTZ, "01:02:03.123456-05:30", "3723123456@-19800"},
		{opTimeTZ, "24:00:00+00", "86400000000@0"},
		{opTimeTZ, "00:00:00+15:59:59", "0@57599"},
		{opTimestamp, "2024-02-29 12:34:56.123456", "1709210096123456"},
		{opTimestamp, "1969-12-31 23:59:59.9", "-100000"},
		{opTimestamp, "0044-03-15 12:00:00.5 BC", "-63517780799500000"},
		{opTimestamp, "infinity", most},
		{opTimestampTZ, "2024-02-29 10:34:56.1+00", "1709202896100000"},
		{opTimestampTZ, "2024-02-29 12:34:56.1+02", "1709202896100000"},
		{opTimestampTZ, "12024-01-01 12:00:00+00", "317273630400000000"},
		{opTimestampTZ, "0044-03-15 12:00:00+00 BC", "-63517780800000000"},
		{opTimestampTZ, "-infinity", least},
		{opInterval, "1 year 2 mons 3 days 04:05:06.789", "14m3d14706789000us"},
		{opInterval, "5 years 7 mons", "67m0d0us"},
		{opInterval, "-00:00:01.5", "0m0d-1500000us"},
		{opInterval, "-3 days -04:00:00", "0m-3d-14400000000us"},
		{opInterval, "1 mon -1 days +02:03:00", "1m-1d7380000000us"},
		{opInterval, "1000000:00:00", "0m0d3600000000000000us"},
		{opInterval, "00:00:00", "0m0d0us"},
		{opInterval, "infinity", "2147483647m2147483647d9223372036854775807us"},
	} {
		got, err := show(t, decoder{op: c.o}, c.text)
		if err != nil || got != c.want {
			t.Errorf("decode %v %q: got %s, %v, want %s", c.o, c.text, got, err, c.want)
		}
	}
}

func TestDecodeRefusesNonsense(t *testing.T) {
	for o, texts := range map[op][]string{
		opBool: {"", "true", "x"}, opInt: {"", "-", "9223372036854775808", "1.5", "12x"}, opFloat64: {"", "abc"},
		opDecimal: {"", "-", ".", "1e5", "1.2.3"}, opMoney: {"", "$", "€1", "1.2.3"}, opBytea: {"", "abc", `\xa`, `\xzz`},
		opBits: {"2"}, opPoint: {"", "()", "(1)", "(a,b)"}, opHstore: {"a", `"a"`, `"a"=>`, `"a"=>"b",`, `"a`},
		opDate: {"", "24-01-01", "2024-13-01", "2024-01-32", "2024-1-1", "0000-01-01"}, opTime: {"", "1:2:3", "12:60:00", "12:00", "12:00:00.", "12:00:00.1234567"},
		opTimeTZ: {"12:00:00", "12:00:00+", "12:00:00+1"}, opTimestamp: {"2024-01-01", "2024-01-01 12:00:00+00"},
		opTimestampTZ: {"2024-01-01 12:00:00"}, opInterval: {"", "1", "1 week", "days", "1 day 2"},
	} {
		for _, text := range texts {
			if got, err := show(t, decoder{op: o}, text); err == nil {
				t.Errorf("decode %v %q: got %s, want an error", o, text, got)
			}
		}
	}
	for _, text := range []string{"", "{", "}", "{1", "{1,", "{,}", "{1}}", "{{1}", "{1,{2}", "{x}", `{"1}`, "{{{{{{{1}}}}}}}", "{1}x", "[0:1]{1,2}"} {
		if got, err := show(t, decoder{op: opList, elem: opInt}, text); err == nil {
			t.Errorf("decode list %q: got %s, want an error", text, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"t", "-12", "1.5e10", "NaN", "$1,234.56", `\xdead`, "2024-02-29", "12:34:56.1+02:30", "2024-02-29 12:34:56+00 BC", "1 year -2 mons +3 days -04:05:06",
		"{1,NULL,{2}}", `{"a\"b",c}`, "[0:1]={1,2}", `"a"=>"1", "b"=>NULL`, "(1,2)", "[(0,0),(1,1)]", "infinity", "1010",
	} {
		for o := opText; o <= opGeometry; o++ {
			f.Add(uint8(o), uint8(o), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, o, elem uint8, text []byte) {
		d := decoder{op: op(o % uint8(opGeometry+1)), elem: op(elem % uint8(opGeometry+1))}
		if d.elem == opList {
			d.elem = opText
		}
		w := connectors.NewBuilder("", nil, nil)
		w.Begin(0, connectors.OpRead)
		w.After()
		if d.append(w, append([]byte(nil), text...)) != nil {
			w.Discard()
			if w.Size() != 0 {
				t.Fatalf("decode %v: %d bytes left behind after an error", d, w.Size())
			}
			return
		}
		w.Commit()
		b := w.Finish("", connectors.Order{})
		for _, c := range b.Cells(b.Records[0].After) {
			_ = showCell(b, c)
		}
	})
}
