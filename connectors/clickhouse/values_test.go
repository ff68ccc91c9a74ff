package clickhouse

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

func day(year int, month time.Month, d int) int64 {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

func typed(name string, typ schemas.Type, length, scale int32) schemas.Column {
	c := connectortest.Column(name, typ, "x", true)
	c.Length, c.Scale = length, scale
	return c
}

// TestValuesThatDoNotFit: what a column cannot hold is an error that names table, column and the class of the value, and never the
// value; the rest of the batch is written as it is.
func TestValuesThatDoNotFit(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t), keyNullArray, "refuse")
	r.Session.Tolerant = true
	list := connectortest.Column("v", schemas.TypeList, "integer[]", true)
	elem := connectortest.Column("", schemas.TypeInt32, "integer", true)
	list.Elem = &elem
	d := func(kind connectors.Kind, v int64) any { return temporal(kind, v) }
	for i, c := range []struct {
		column schemas.Column
		value  any
		want   problem
		fits   any
		shown  string
	}{
		{typed("v", schemas.TypeInt16, -1, -1), 40000, problemRange, -32768, "-32768"},
		{typed("v", schemas.TypeUint64, -1, -1), -1, problemRange, uint64(math.MaxUint64), "18446744073709551615"},
		{typed("v", schemas.TypeDecimal, 10, 2), decimal("NaN"), problemSpecial, decimal("-12345678.90"), "-12345678.9"},
		{typed("v", schemas.TypeDecimal, 10, 2), decimal("1.234"), problemScale, decimal("0"), "0"},
		{typed("v", schemas.TypeDecimal, 38, 10), decimal("12345678901234567890123456789"), problemDigits, decimal("-1234567890123456789012345678.0123456789"), "-1234567890123456789012345678.0123456789"},
		{typed("v", schemas.TypeDecimal, -1, -1), decimal(strings.Repeat("9", 39)), problemDigits, decimal(strings.Repeat("9", 38) + "." + strings.Repeat("1", 38)), strings.Repeat("9", 38) + "." + strings.Repeat("1", 38)},
		{typed("v", schemas.TypeDecimal, -1, -1), decimal("-Infinity"), problemSpecial, decimal("-0.5"), "-0.5"},
		{typed("v", schemas.TypeFloat32, -1, -1), 0.1, problemExact, 0.5, "0.5"},
		{typed("v", schemas.TypeDate, -1, -1), d(connectors.KindDate, day(1899, 12, 31)), problemTime, d(connectors.KindDate, day(1900, 1, 1)), "1900-01-01"},
		{typed("v", schemas.TypeDate, -1, -1), d(connectors.KindDate, day(2300, 1, 1)), problemTime, d(connectors.KindDate, day(2299, 12, 31)), "2299-12-31"},
		{typed("v", schemas.TypeDate, -1, -1), d(connectors.KindDate, math.MaxInt64), problemInfinite, nil, `\N`},
		{typed("v", schemas.TypeTimestamp, -1, 6), d(connectors.KindTimestamp, leastMicros-1), problemTime, d(connectors.KindTimestamp, leastMicros), "1900-01-01 00:00:00.000000"},
		{typed("v", schemas.TypeTimestampTZ, -1, 6), d(connectors.KindTimestampTZ, mostMicros+1), problemTime, d(connectors.KindTimestampTZ, mostMicros), "2299-12-31 23:59:59.999999"},
		{typed("v", schemas.TypeTimestampTZ, -1, 6), d(connectors.KindTimestampTZ, math.MinInt64), problemInfinite, d(connectors.KindTimestampTZ, -1), "1969-12-31 23:59:59.999999"},
		{typed("v", schemas.TypeTimestamp, -1, 3), d(connectors.KindTimestamp, 1001), problemFraction, d(connectors.KindTimestamp, 1000), "1970-01-01 00:00:00.001"},
		{typed("v", schemas.TypeTime, -1, 0), d(connectors.KindTime, 1000*3600*microsPerSecond), problemTime, d(connectors.KindTime, -(838*3600+59*60+59)*microsPerSecond), "-838:59:59"},
		{typed("v", schemas.TypeUUID, -1, -1), "not a uuid", problemUUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{list, []any{1, []any{2}}, problemElement, []any{1, nil, 3}, "[1,NULL,3]"},
		{list, nil, problemNull, []any{}, "[]"},
		{typed("v", schemas.TypeText, -1, -1), 5.5, "", "", ""},
		{func() schemas.Column { c := connectortest.Column("v", schemas.TypeInt32, "integer", false); return c }(), nil, problemNull, 0, "0"},
		{typed("v", schemas.TypeText, -1, -1), connectortest.Unavailable{}, problemMissing, "x", "x"},
	} {
		name := "v" + string(rune('a'+i))
		s := connectortest.Table(name, 1, connectortest.Column("id", schemas.TypeInt32, "integer", false), c.column)
		before := len(r.Session.Rejected())
		r.Write(s, insert(1, c.fits), insert(2, c.value), insert(3, c.fits))
		if c.want == "" {
			continue
		}
		rejected := r.Session.Rejected()[before:]
		if len(rejected) != 1 {
			t.Errorf("%s: %v was rejected %d times", name, c.value, len(rejected))
			continue
		}
		got := rejected[0]
		wanted := string(c.want)
		if c.want == problemMissing {
			wanted = "did not send the value"
		}
		for _, part := range []string{wanted, "column v", "public." + name} {
			if !strings.Contains(got, part) {
				t.Errorf("%s: the error %q does not say %q", name, got, part)
			}
		}
		if v, ok := c.value.(connectortest.Text); ok && len(v.V) > 5 && strings.Contains(got, v.V) {
			t.Errorf("%s: the error %q shows the value", name, got)
		}
		r.expect("SELECT id, v FROM "+name+"_current ORDER BY id", "1 "+c.shown+" | 3 "+c.shown)
	}
	if r.Session.Charged() != 0 {
		t.Errorf("%d bytes are still charged", r.Session.Charged())
	}
}

// TestExistingColumns writes into the types of tables that are there.
func TestExistingColumns(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t), keyMode, "reference")
	r.query("CREATE TABLE log (id UInt16, n Int256, b Bool, e Enum8('one' = 1, 'two' = -2), f FixedString(3), ip IPv4, j JSON, lc LowCardinality(Nullable(String)), ts DateTime('UTC'), ns DateTime64(9, 'UTC'), " +
		"big UInt128, txt String, dec Decimal(20, 4), fl Float64, extra String DEFAULT 'none', made String MATERIALIZED toString(id)) ENGINE = MergeTree ORDER BY id")
	s := connectortest.Table("log", 1,
		connectortest.Column("id", schemas.TypeInt32, "", false), connectortest.Column("n", schemas.TypeInt64, "", true), connectortest.Column("b", schemas.TypeInt16, "", true), connectortest.Column("e", schemas.TypeEnum, "", true), connectortest.Column("f", schemas.TypeText, "", true),
		connectortest.Column("ip", schemas.TypeText, "", true), connectortest.Column("j", schemas.TypeJSON, "", true), connectortest.Column("lc", schemas.TypeText, "", true), connectortest.Column("ts", schemas.TypeTimestamp, "", true), connectortest.Column("ns", schemas.TypeTimestampTZ, "", true),
		connectortest.Column("big", schemas.TypeUint64, "", true), connectortest.Column("txt", schemas.TypeBool, "", true), connectortest.Column("dec", schemas.TypeInt32, "", true), connectortest.Column("fl", schemas.TypeInt32, "", true), connectortest.Column("unknown", schemas.TypeText, "", true), connectortest.Column("made", schemas.TypeText, "", true))
	s.Topic = "log"
	r.Write(s, insert(65535, -5, 1, "two", "abc", "10.0.0.1", `{"a": {"b": 1}}`, nil, temporal(connectors.KindTimestamp, 1000000), temporal(connectors.KindTimestampTZ, 1767225600000001), uint64(math.MaxUint64), true, 7, 8, "left out", "x"),
		remove(65535, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil), change{Op: connectors.OpTruncate})
	r.expect("SELECT * FROM log", `65535 -5 true two abc 10.0.0.1 {"a":{"b":1}} \N 1970-01-01 00:00:01 2026-01-01 00:00:00.000001000 18446744073709551615 true 7 8 none`)
	r.expect("SELECT made FROM log", "65535")
	r.Refused(r.TryWrite(s, insert(70000, 1, 1, "one", "abc", "10.0.0.1", "{}", nil, nil, nil, nil, nil, nil, nil, nil, nil)), "log", "column id", string(problemRange))
}
