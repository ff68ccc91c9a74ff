package changes

import (
	"encoding/base64"
	"fmt"
	"math"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

func temporal(k connectors.Kind, v int64) func(*connectors.Builder) {
	return func(w *connectors.Builder) { w.Temporal(k, v) }
}

func text(k connectors.Kind, v string) func(*connectors.Builder) {
	return func(w *connectors.Builder) { w.Text(k, []byte(v)) }
}

func list(k connectors.Kind, cells ...func(*connectors.Builder)) func(*connectors.Builder) {
	return func(w *connectors.Builder) {
		w.BeginList(k)
		for _, c := range cells {
			c(w)
		}
		w.EndList()
	}
}

func null(w *connectors.Builder) { w.Null() }

// Values are those of the recordings postgres/types and postgres/types-modes-{1,2,3}.
func TestRead(t *testing.T) {
	optional := Plain(schemas.String, true)
	const ts = connectors.KindTimestamp
	field := func(v connectors.View, scale int32) *connectors.Field {
		return &connectors.Field{View: v, Scale: scale, Schema: optional}
	}
	interval := func(months, days int32, micros int64) func(*connectors.Builder) {
		return func(w *connectors.Builder) { w.Interval(months, days, micros) }
	}
	timetz := func(micros int64, offset int32) func(*connectors.Builder) {
		return func(w *connectors.Builder) { w.TimeTZ(micros, offset) }
	}
	const hms = (12*3600 + 34*60 + 56) * 1_000_000
	listOf := field(connectors.ViewList, 0)
	listOf.Elem = field(connectors.ViewPlain, 0)
	enums := field(connectors.ViewList, 0)
	enums.Elem = &connectors.Field{Schema: EnumSchema([]string{"zen"}, false)}
	for i, test := range []struct {
		field *connectors.Field
		cell  func(*connectors.Builder)
		want  string
	}{
		{field(connectors.ViewDecimal, 2), text(connectors.KindDecimal, "123.45"), "bytes MDk="},
		{field(connectors.ViewDecimal, 2), text(connectors.KindDecimal, "-99999999.99"), "bytes /av0HAE="},
		{field(connectors.ViewDecimal, 10), text(connectors.KindDecimal, "9999999999999999999999999999.9999999999"), "bytes SztMqFqGxHoJiiI//////w=="},
		{field(connectors.ViewDecimal, 10), text(connectors.KindDecimal, "-0.0000000001"), "bytes /w=="},
		{field(connectors.ViewDecimal, 2), text(connectors.KindDecimal, "92233720368547758.07"), "bytes f/////////8="},
		{field(connectors.ViewDecimal, 2), text(connectors.KindDecimal, "-92233720368547758.08"), "bytes gAAAAAAAAAA="},
		{field(connectors.ViewDecimal, 3), text(connectors.KindDecimal, "-92233720368547758.08"), "bytes +wAAAAAAAAAA"},
		{field(connectors.ViewDecimal, 2), text(connectors.KindDecimal, "0"), "bytes AA=="},
		{field(connectors.ViewDecimal, 2), text(connectors.KindDecimal, "NaN"), "null"},
		{field(connectors.ViewDecimal, 2), text(connectors.KindDecimal, "1.005"), "bytes ZQ=="},
		{field(connectors.ViewVariableDecimal, -1), text(connectors.KindDecimal, "3.14000"), "variable 2 ATo="},
		{field(connectors.ViewVariableDecimal, -1), text(connectors.KindDecimal, "100000000000000000000"), "variable 0 BWvHXi1jEAAA"},
		{field(connectors.ViewVariableDecimal, -1), text(connectors.KindDecimal, "12345678901234567890.12345678901234567890"), "variable 19 XODppWAV/sWq36MorjmBFQ=="},
		{field(connectors.ViewVariableDecimal, -1), text(connectors.KindDecimal, "-0.00000000000000000001"), "variable 20 /w=="},
		{field(connectors.ViewVariableDecimal, -1), text(connectors.KindDecimal, "Infinity"), "null"},
		{field(connectors.ViewDecimalText, 3), text(connectors.KindDecimal, "1.25"), "text 1.250"},
		{field(connectors.ViewDecimalText, -1), text(connectors.KindDecimal, "3.14000"), "text 3.14000"},
		{field(connectors.ViewDecimalText, 2), text(connectors.KindDecimal, "NaN"), "text NAN"},
		{field(connectors.ViewDecimalText, 1), text(connectors.KindDecimal, "-9.96"), "text -10.0"},
		{field(connectors.ViewDecimalText, 0), text(connectors.KindDecimal, "0.5"), "text 1"},
		{field(connectors.ViewDecimalDouble, 2), text(connectors.KindDecimal, "99999999.99"), "double 9.999999999E7"},
		{field(connectors.ViewDecimalDouble, -1), text(connectors.KindDecimal, "12345678901234567890.12345678901234567890"), "double 1.2345678901234567E19"},
		{field(connectors.ViewDecimalDouble, -1), text(connectors.KindDecimal, "-Infinity"), "double -Infinity"},

		{field(connectors.ViewDays, 0), temporal(connectors.KindDate, 19782), "int 19782"},
		{field(connectors.ViewDays, 0), temporal(connectors.KindDate, math.MaxInt64), "int -2147472692"},
		{field(connectors.ViewDays, 0), temporal(connectors.KindDate, math.MinInt64), "int -2147472691"},
		{field(connectors.ViewIsoDate, 0), temporal(connectors.KindDate, 19782), "text 2024-02-29Z"},
		{field(connectors.ViewIsoDate, 0), temporal(connectors.KindDate, -735160), "text -0043-03-15Z"},
		{field(connectors.ViewIsoDate, 0), temporal(connectors.KindDate, -141432), "text 1582-10-10Z"},
		{field(connectors.ViewIsoDate, 0), temporal(connectors.KindDate, math.MaxInt64), "text -5877611-06-21Z"},
		{field(connectors.ViewIsoDate, 0), temporal(connectors.KindDate, math.MinInt64), "text -5877611-06-22Z"},
		{field(connectors.ViewTimeMillis, 3), temporal(connectors.KindTime, hms+123456), "int 45296123"},
		{field(connectors.ViewTimeMicros, 6), temporal(connectors.KindTime, 24*3600*1_000_000), "int 86400000000"},
		{field(connectors.ViewIsoTime, 6), temporal(connectors.KindTime, 24*3600*1_000_000), "text 00:00:00Z"},
		{field(connectors.ViewIsoTime, 6), temporal(connectors.KindTime, hms+123400), "text 12:34:56.1234Z"},
		{field(connectors.ViewZonedTime, 3), timetz(hms+120000, 7200), "text 10:34:56.12Z"},
		{field(connectors.ViewZonedTime, 6), timetz(3723123456, -19800), "text 06:32:03.123456Z"},
		{field(connectors.ViewZonedTime, 6), timetz(24*3600*1_000_000, 0), "text 00:00:00Z"},
		{field(connectors.ViewZonedTime, 6), timetz(0, 15*3600), "text 09:00:00Z"},
		{field(connectors.ViewTimestampMillis, 3), temporal(ts, -100), "int -1"},
		{field(connectors.ViewTimestampMillis, 3), temporal(ts, math.MaxInt64), "int 9223372036825200"},
		{field(connectors.ViewTimestampMicros, 6), temporal(ts, math.MinInt64), "int -9223372036832400000"},
		{field(connectors.ViewTimestampNanos, 6), temporal(ts, 1709210096123456), "int 1709210096123456000"},
		{field(connectors.ViewTimestampNanos, 6), temporal(ts, math.MaxInt64), "null"},
		{field(connectors.ViewIsoTimestamp, 6), temporal(ts, 1709210096123400), "text 2024-02-29T12:34:56.1234Z"},
		{field(connectors.ViewIsoTimestamp, 6), temporal(ts, math.MaxInt64), "text +294247-01-10T04:00:25.2Z"},
		{field(connectors.ViewIsoTimestamp, 6), temporal(ts, math.MinInt64), "text -290308-12-21T19:59:27.6Z"},
		{field(connectors.ViewIsoTimestamp, 6), temporal(ts, -63517780799500000), "text -0043-03-15T12:00:00.5Z"},
		{field(connectors.ViewZonedTimestamp, 0), temporal(connectors.KindTimestampTZ, 1709202896000000), "text 2024-02-29T10:34:56Z"},
		{field(connectors.ViewZonedTimestamp, 3), temporal(connectors.KindTimestampTZ, 1709202896100000), "text 2024-02-29T10:34:56.100Z"},
		{field(connectors.ViewZonedTimestamp, -1), temporal(connectors.KindTimestampTZ, 317273630400000000), "text +12024-01-01T12:00:00.000000Z"},
		{field(connectors.ViewZonedTimestamp, 6), temporal(connectors.KindTimestampTZ, math.MinInt64), "text -infinity"},
		{field(connectors.ViewDuration, 0), interval(14, 3, 14706789000), "int 37091106789000"},
		{field(connectors.ViewDuration, 0), interval(-1200, 0, 0), "int -3155760000000000"},
		{field(connectors.ViewIntervalText, 0), interval(14, 3, 14706789000), "text P1Y2M3DT4H5M6.789S"},
		{field(connectors.ViewIntervalText, 0), interval(0, 0, -1500000), "text P0Y0M0DT0H0M-1.5S"},
		{field(connectors.ViewIntervalText, 0), interval(0, -3, -14400000000), "text P0Y0M-3DT-4H0M0S"},
		{field(connectors.ViewIntervalText, 0), interval(0, 0, 3600000000000000), "text P0Y0M0DT1000000H0M0S"},

		{field(connectors.ViewBits, 0), text(connectors.KindBits, "10000000000000000000"), "bytes AAAI"},
		{field(connectors.ViewBits, 0), text(connectors.KindBits, "00000000"), "bytes "},
		{field(connectors.ViewBits, 0), text(connectors.KindBits, "0000000110"), "bytes Bg=="},
		{field(connectors.ViewBits, 3), text(connectors.KindBits, "00000000000000000001"), "bytes AQAA"},
		{field(connectors.ViewBits, 1), text(connectors.KindBits, "00000000"), "bytes AA=="},
		{field(connectors.ViewBitBool, 0), text(connectors.KindBits, "1"), "bool 1"},
		{field(connectors.ViewGeometry, 0), text(connectors.KindBytes, "\x11\x0f\x00\x00wkb"), "geometry 3857 d2ti"},
		{field(connectors.ViewGeometry, 0), text(connectors.KindBytes, "wkb"), "null"},
		{field(connectors.ViewGeometryPoint, 0), text(connectors.KindBytes, "\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf8\x3f\x00\x00\x00\x00\x00\x00\x00\xc0"), "point 1.5 -2.0 AQEAAAAAAAAAAAD4PwAAAAAAAADA"},
		{field(connectors.ViewGeometryPoint, 0), text(connectors.KindBytes, "\x00\x00\x00\x00\x01\x02\x00\x00\x00"), "null"},
		{field(connectors.ViewTimeMillis, 0), temporal(connectors.KindTime, -1), "null"},
		{field(connectors.ViewTimeMicros, 0), temporal(connectors.KindTime, -1), "int -1"},
		{field(connectors.ViewIsoTime, 0), temporal(connectors.KindTime, 25*3600*1_000_000), "null"},
		{field(connectors.ViewDecimal, 0), func(w *connectors.Builder) { w.Uint(math.MaxUint64) }, "bytes AP//////////"},
		{field(connectors.ViewPlain, 0), func(w *connectors.Builder) { w.Uint(math.MaxUint64) }, "int -1"},
		{field(connectors.ViewTextBytes, 0), text(connectors.KindBytes, "\x01\x02"), "bytes AQI="},
		{field(connectors.ViewBase64, 0), text(connectors.KindBytes, "\xde\xad\xbe\xef\x00"), "text 3q2+7wA="},
		{field(connectors.ViewBase64URL, 0), text(connectors.KindText, "\xde\xad\xbe\xef\x00"), "text 3q2-7wA="},
		{field(connectors.ViewHex, 0), text(connectors.KindBytes, "\xde\xad"), "text dead"},
		{field(connectors.ViewMapJSON, 0), list(connectors.KindMap, text(connectors.KindText, "a"), text(connectors.KindText, "1"), text(connectors.KindText, "é"), text(connectors.KindText, `x"y`), text(connectors.KindText, "b c"), null), `text {"a":"1","b c":null,"é":"x\"y"}`},
		{field(connectors.ViewMapJSON, 0), list(connectors.KindMap), "text {}"},
		{listOf, list(connectors.KindList, text(connectors.KindText, "a"), null), "list 2"},
		{listOf, list(connectors.KindList), "list 0"},
		{enums, list(connectors.KindList, text(connectors.KindText, "zen"), null), "null"},
		{listOf.Elem, list(connectors.KindList, text(connectors.KindText, "a")), "null"},
		{field(connectors.ViewPoint, 0), list(connectors.KindPoint, func(w *connectors.Builder) { w.Float64(-1.5e300) }, func(w *connectors.Builder) { w.Float64(0.1) }), "point -1.5E300 0.1 AQEAAAA1WABmLetB/pqZmZmZmbk/"},
		{field(connectors.ViewPlain, 0), null, "null"},
		{&connectors.Field{Schema: Plain(schemas.Int32, false), WhenNull: int32(0)}, null, "value 0"},
		{&connectors.Field{Schema: optional, WhenUnavailable: "placeholder"}, func(w *connectors.Builder) { w.Unavailable() }, "value placeholder"},
	} {
		w := connectors.NewBuilder("{}", nil, nil)
		w.Begin(0, connectors.OpCreate)
		w.After()
		test.cell(w)
		w.Commit()
		b := w.Finish("", connectors.Order{})
		d, _ := Read(b, test.field, b.Cells(b.Records[0].After)[0], make([]byte, 0, 8))
		if got := show(d); got != test.want {
			t.Errorf("%d: got %s, want %s", i, got, test.want)
		}
		b.Release()
	}
}

func show(d Datum) string {
	b64 := base64.StdEncoding.EncodeToString(d.Bytes)
	float := func(v float64) string { return string(AppendJavaDouble(nil, v, 64)) }
	switch d.Kind {
	case DatumNull:
		return "null"
	case DatumBool:
		return fmt.Sprintf("bool %d", d.Int)
	case DatumInt:
		return fmt.Sprintf("int %d", d.Int)
	case DatumFloat64:
		return "double " + float(d.Float)
	case DatumText:
		return "text " + string(d.Bytes)
	case DatumBytes:
		return "bytes " + b64
	case DatumList:
		return fmt.Sprintf("list %d", len(d.Cells))
	case DatumVariable:
		return fmt.Sprintf("variable %d %s", d.Int, b64)
	case DatumPoint:
		return "point " + float(d.Float) + " " + float(d.Y) + " " + b64
	case DatumGeometry:
		return fmt.Sprintf("geometry %d %s", d.Int, b64)
	case DatumValue:
		return fmt.Sprintf("value %v", d.Value)
	}
	return fmt.Sprintf("kind %d", d.Kind)
}

func TestJavaDouble(t *testing.T) {
	for _, test := range []struct {
		v    float64
		bits int
		want string
	}{
		{0, 64, "0.0"},
		{math.Copysign(0, -1), 64, "-0.0"},
		{1.5, 64, "1.5"},
		{1e7, 64, "1.0E7"},
		{9999999, 64, "9999999.0"},
		{1e-3, 64, "0.001"},
		{1e-4, 64, "1.0E-4"},
		{1e10, 64, "1.0E10"},
		{4.9e-324, 64, "4.9E-324"},
		{1.7976931348623157e308, 64, "1.7976931348623157E308"},
		{123456789.125, 64, "1.23456789125E8"},
		{float64(float32(1.4e-45)), 32, "1.4E-45"},
		{float64(float32(3.4028235e38)), 32, "3.4028235E38"},
		{16777216, 32, "1.6777216E7"},
		{1e100, 64, "1.0E100"},
		{2e-323, 64, "2.0E-323"},
		{1e23, 64, "1.0E23"},
		{math.NaN(), 64, "NaN"},
		{math.Inf(-1), 32, "-Infinity"},
	} {
		if got := string(AppendJavaDouble(nil, test.v, test.bits)); got != test.want {
			t.Errorf("%g: got %s, want %s", test.v, got, test.want)
		}
	}
}

func TestJavaDecimal(t *testing.T) {
	for _, test := range []struct {
		unscaled string
		scale    int32
		want     string
	}{
		{"APo=", 2, "2.50"},
		{"nA==", 2, "-1.00"},
		{"AA==", 10, "0E-10"},
		{"/w==", 10, "-1E-10"},
		{"AQ==", 6, "0.000001"},
		{"AQ==", 7, "1E-7"},
		{"DA==", 8, "1.2E-7"},
		{"DA==", -3, "1.2E+4"},
		{"gAAAAAAAAAA=", 2, "-92233720368547758.08"},
		{"SztMqFqGxHoJiiI//////w==", 10, "9999999999999999999999999999.9999999999"},
	} {
		unscaled, err := base64.StdEncoding.DecodeString(test.unscaled)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(AppendDecimal(nil, unscaled, test.scale)); got != test.want {
			t.Errorf("%s at %d: got %s, want %s", test.unscaled, test.scale, got, test.want)
		}
		if test.scale < 0 {
			continue
		}
		plain := string(AppendDecimalText(nil, []byte(test.want), -1))
		if got, ok := AppendJavaDecimal(nil, []byte(plain), test.scale); ok && string(got) != test.want {
			t.Errorf("%s at %d: got %s, want %s", plain, test.scale, got, test.want)
		}
	}
}

func TestMapOrder(t *testing.T) {
	for _, test := range []struct {
		keys, want []string
	}{
		{[]string{"q", "b", "a", "A", "1"}, []string{"q", "a", "A", "1", "b"}},                             // all but b in bucket 1
		{[]string{"z", "Aa", "BB", "polygenelubricants"}, []string{"Aa", "BB", "polygenelubricants", "z"}}, // hashes 2112, 2112 and -2147483648
	} {
		w := connectors.NewBuilder("{}", nil, nil)
		w.Begin(0, connectors.OpCreate)
		w.After()
		w.BeginList(connectors.KindMap)
		for _, k := range test.keys {
			w.String(k)
			w.Null()
		}
		w.EndList()
		w.Commit()
		b := w.Finish("", connectors.Order{})
		cells := b.List(b.Cells(b.Records[0].After)[0])
		var got []string
		for _, at := range AppendMapOrder(nil, b, cells) {
			got = append(got, string(b.Bytes(cells[at])))
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("got %v, want %v", got, test.want)
		}
		if big := appendSorted(nil, len(test.keys), func(i int) uint32 { h := JavaHash([]byte(test.keys[i/2])); return (h ^ h>>16) & 15 }); fmt.Sprint(big) != fmt.Sprint(AppendMapOrder(nil, b, cells)) {
			t.Errorf("%v: %v", test.keys, big)
		}
		b.Release()
	}
}
