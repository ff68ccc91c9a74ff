package mysql

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// showDefault is the schema default of a column: type and value.
func showDefault(t *testing.T, keys map[string]string, c ddl.Column) string {
	t.Helper()
	tab := tableWith(t, testConfig(t, flavorMySQL, keys), c)
	v := tab.stream.Row.Fields[0].Schema.Default
	if raw, ok := v.([]byte); ok {
		return "bytes " + hex.EncodeToString(raw)
	}
	return fmt.Sprintf("%T %v", v, v)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		column     ddl.Column
		text, want string
	}{
		{columnOf("VARCHAR", true, 20), `it''s \'so\' a\\b\n\%`, "string it's 'so' a\\b\n%"},
		{columnOf("VARCHAR", true, 20), "_utf8mb4'x'", "string x"},
		{columnOf("VARCHAR", true, 20), "", "string "},
		{columnOf("VARCHAR", true, 20), ` \`, `string  \`},
		{columnOf("BINARY", true, 4), `a\0`, "bytes 61000000"},
		{columnOf("VARBINARY", true, 4), "0x61FF", "bytes 61ff"},
		{columnOf("VARBINARY", true, 4), "0x6", "bytes 307836"},
		{columnOf("INT", true), " 7 ", "int32 7"},
		{columnOf("INT", true), "7.5", "int32 8"},
		{columnOf("INT", true), "1e3", "int32 1000"},
		{columnOf("INT", true), "TRUE", "int32 1"},
		{columnOf("INT", true), "much", "<nil> <nil>"},
		{columnOf("TINYINT", true, 1), "false", "int16 0"},
		{columnOf("BOOL", true), "true", "bool true"},
		{columnOf("BIGINT UNSIGNED", true), "18446744073709551615", "int64 -1"},
		{columnOf("DECIMAL", true, 6, 2), "12.5", "bytes 04e2"},
		{columnOf("DECIMAL", true, 6, 2), "false", "bytes 00"},
		{columnOf("BIT", true, 1), "1", "bool true"},
		{columnOf("BIT", true, 20), "1", "bytes 010000"},
		{columnOf("BIT", true, 8), "165", "bytes a5"},
		{columnOf("YEAR", true), "2024", "int32 2024"},
		{columnOf("YEAR", true), "70", "int32 1970"},
		{columnOf("YEAR", true), "69", "int32 2069"},
		{columnOf("YEAR", true), "0000", "int32 0"},
		{columnOf("DATE", true), "2020-02-29", "int32 18321"},
		{columnOf("DATE", true), "2020-02-29 01:02:03", "int32 18321"},
		{columnOf("DATE", true), "0000-00-00", "<nil> <nil>"},
		{columnOf("DATE", false), "0000-00-00", "int32 0"},
		{columnOf("DATE", false), "0", "int32 0"},
		{columnOf("DATETIME", true, 6), "2020-01-02 03:04:05.5", "int64 1577934245500000"},
		{columnOf("DATETIME", true), "2020-01-02", "int64 1577923200000"},
		{columnOf("DATETIME", false), "0000-00-00 00:00:00", "int64 0"},
		{columnOf("DATETIME", true), changes.MySQLEpoch, "int64 0"},
		{columnOf("TIMESTAMP", true), changes.MySQLEpoch, "<nil> <nil>"},
		{columnOf("TIMESTAMP", false), changes.MySQLEpoch, "string 1970-01-01T00:00:00Z"},
		{columnOf("TIMESTAMP", false, 3), "2020-01-02 03:04:05", "string 2020-01-02T03:04:05.000Z"},
		{columnOf("TIME", true), "-11:12:13", "int64 -40333000000"},
		{columnOf("TIME", true), "1:2", "int64 3720000000"},
		{columnOf("TIME", true), "101112", "int64 36672000000"},
		{columnOf("TIME", true), "-12.5", "int64 -12500000"},
		{columnOf("TIME", true), "2020-01-02 03:04:05", "int64 11045000000"},
		{columnOf("ENUM", true), "c,d", "string c,d"},
		{columnOf("FLOAT", true), "0.1", "float32 0.1"},
		{columnOf("POINT", true), "x", "<nil> <nil>"},
	} {
		if got := showDefault(t, nil, withDefault(test.column, test.text)); got != test.want {
			t.Errorf("%s DEFAULT %q: got %s, want %s", test.column.Type, test.text, got, test.want)
		}
	}
	if got := showDefault(t, nil, columnOf("INT", true)); got != "<nil> <nil>" {
		t.Errorf("no default: %s", got)
	}
}

// A time that is none of a day is no default where the schema holds a time of day.
func TestDefaultThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"connect", "isostring"} {
		if got := showDefault(t, map[string]string{"time.precision.mode": mode}, withDefault(columnOf("TIME", false), "-00:00:01")); got != "<nil> <nil>" {
			t.Errorf("%s: %s", mode, got)
		}
	}
}
