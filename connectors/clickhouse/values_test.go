package clickhouse

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

func day(year int, month time.Month, d int) int64 {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

func typed(name string, typ schemas.Type, length, scale int32) schemas.Column {
	c := col(name, typ, "x", true)
	c.Length, c.Scale = length, scale
	return c
}

// TestValuesThatDoNotFit: what a column cannot hold is an error that names table, column and the class of the value, and never the
// value; the rest of the batch is written as it is.
func TestValuesThatDoNotFit(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t), keyNullArray, "refuse")
	r.session.tolerant = true
	list := col("v", schemas.TypeList, "integer[]", true)
	elem := col("", schemas.TypeInt32, "integer", true)
	list.Elem = &elem
	d := func(kind connectors.Kind, v int64) any { return temporal{kind, v} }
	for i, c := range []struct {
		column schemas.Column
		value  any
		want   problem
		fits   any
		shown  string
	}{
		{typed("v", schemas.TypeInt16, -1, -1), 40000, problemRange, -32768, "-32768"},
		{typed("v", schemas.TypeUint64, -1, -1), -1, problemRange, uint64(math.MaxUint64), "18446744073709551615"},
		{typed("v", schemas.TypeDecimal, 10, 2), text{connectors.KindDecimal, "NaN"}, problemSpecial, text{connectors.KindDecimal, "-12345678.90"}, "-12345678.9"},
		{typed("v", schemas.TypeDecimal, 10, 2), text{connectors.KindDecimal, "1.234"}, problemScale, text{connectors.KindDecimal, "0"}, "0"},
		{typed("v", schemas.TypeDecimal, 38, 10), text{connectors.KindDecimal, "12345678901234567890123456789"}, problemDigits, text{connectors.KindDecimal, "-1234567890123456789012345678.0123456789"}, "-1234567890123456789012345678.0123456789"},
		{typed("v", schemas.TypeDecimal, -1, -1), text{connectors.KindDecimal, strings.Repeat("9", 39)}, problemDigits, text{connectors.KindDecimal, strings.Repeat("9", 38) + "." + strings.Repeat("1", 38)}, strings.Repeat("9", 38) + "." + strings.Repeat("1", 38)},
		{typed("v", schemas.TypeDecimal, -1, -1), text{connectors.KindDecimal, "-Infinity"}, problemSpecial, text{connectors.KindDecimal, "-0.5"}, "-0.5"},
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
		{func() schemas.Column { c := col("v", schemas.TypeInt32, "integer", false); return c }(), nil, problemNull, 0, "0"},
		{typed("v", schemas.TypeText, -1, -1), unavailable{}, problemMissing, "x", "x"},
	} {
		name := "v" + string(rune('a'+i))
		s := stream(name, 1, col("id", schemas.TypeInt32, "integer", false), c.column)
		r.session.rejected = nil
		r.write(s, insert(1, c.fits), insert(2, c.value), insert(3, c.fits))
		if c.want == "" {
			continue
		}
		if len(r.session.rejected) != 1 {
			t.Errorf("%s: %v was rejected %d times", name, c.value, len(r.session.rejected))
			continue
		}
		got := r.session.rejected[0]
		wanted := string(c.want)
		if c.want == problemMissing {
			wanted = "did not send the value"
		}
		for _, part := range []string{wanted, "column v", "public." + name} {
			if !strings.Contains(got, part) {
				t.Errorf("%s: the error %q does not say %q", name, got, part)
			}
		}
		if v, ok := c.value.(text); ok && len(v.v) > 5 && strings.Contains(got, v.v) {
			t.Errorf("%s: the error %q shows the value", name, got)
		}
		r.expect("SELECT id, v FROM "+name+"_current ORDER BY id", "1 "+c.shown+" | 3 "+c.shown)
	}
	if r.session.charged != 0 {
		t.Errorf("%d bytes are still charged", r.session.charged)
	}
}

// TestExistingColumns writes into the types of tables that are there.
func TestExistingColumns(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t), keyMode, "reference")
	r.query("CREATE TABLE log (id UInt16, n Int256, b Bool, e Enum8('one' = 1, 'two' = -2), f FixedString(3), ip IPv4, j JSON, lc LowCardinality(Nullable(String)), ts DateTime('UTC'), ns DateTime64(9, 'UTC'), " +
		"big UInt128, txt String, dec Decimal(20, 4), fl Float64, extra String DEFAULT 'none', made String MATERIALIZED toString(id)) ENGINE = MergeTree ORDER BY id")
	s := stream("log", 1,
		col("id", schemas.TypeInt32, "", false), col("n", schemas.TypeInt64, "", true), col("b", schemas.TypeInt16, "", true), col("e", schemas.TypeEnum, "", true), col("f", schemas.TypeText, "", true),
		col("ip", schemas.TypeText, "", true), col("j", schemas.TypeJSON, "", true), col("lc", schemas.TypeText, "", true), col("ts", schemas.TypeTimestamp, "", true), col("ns", schemas.TypeTimestampTZ, "", true),
		col("big", schemas.TypeUint64, "", true), col("txt", schemas.TypeBool, "", true), col("dec", schemas.TypeInt32, "", true), col("fl", schemas.TypeInt32, "", true), col("unknown", schemas.TypeText, "", true), col("made", schemas.TypeText, "", true))
	s.Topic = "log"
	r.write(s, insert(65535, -5, 1, "two", "abc", "10.0.0.1", `{"a": {"b": 1}}`, nil, temporal{connectors.KindTimestamp, 1000000}, temporal{connectors.KindTimestampTZ, 1767225600000001}, uint64(math.MaxUint64), true, 7, 8, "left out", "x"),
		remove(65535, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil), change{op: connectors.OpTruncate})
	r.expect("SELECT * FROM log", `65535 -5 true two abc 10.0.0.1 {"a":{"b":1}} \N 1970-01-01 00:00:01 2026-01-01 00:00:00.000001000 18446744073709551615 true 7 8 none`)
	r.expect("SELECT made FROM log", "65535")
	r.refused(r.tryWrite(s, insert(70000, 1, 1, "one", "abc", "10.0.0.1", "{}", nil, nil, nil, nil, nil, nil, nil, nil, nil)), "log", "column id", string(problemRange))
}
