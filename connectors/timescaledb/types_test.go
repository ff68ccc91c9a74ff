package timescaledb

import (
	"testing"

	"github.com/freshet-io/freshet/schemas"
)

func TestDeclarations(t *testing.T) {
	for _, c := range []struct {
		typ           schemas.Type
		spelled       string
		length, scale int32
		want          string
	}{
		// as PostgreSQL spells them
		{schemas.TypeInt64, "bigint", -1, -1, "bigint"},
		{schemas.TypeDecimal, "numeric(10,2)", 10, 2, "numeric(10,2)"},
		{schemas.TypeText, "character varying(7)", 7, -1, "character varying(7)"},
		{schemas.TypeTimestampTZ, "timestamp(3) with time zone", -1, 3, "timestamp(3) with time zone"},
		{schemas.TypeTime, "time without time zone", -1, -1, "time without time zone"},
		{schemas.TypeInterval, "interval(2)", -1, 2, "interval(2)"},
		{schemas.TypeBits, "bit varying(5)", 5, -1, "bit varying(5)"},
		// as MySQL and MariaDB do
		{schemas.TypeInt64, "bigint(20)", -1, -1, "bigint"},
		{schemas.TypeUint64, "bigint(20) unsigned", -1, -1, "numeric(20,0)"},
		{schemas.TypeInt32, "int(11)", -1, -1, "integer"},
		{schemas.TypeInt16, "smallint(6)", -1, -1, "smallint"},
		{schemas.TypeInt16, "tinyint(1)", -1, -1, "smallint"},
		{schemas.TypeFloat32, "float(7,2)", -1, -1, "real"},
		{schemas.TypeFloat64, "double", -1, -1, "double precision"},
		{schemas.TypeDecimal, "decimal(14,2)", 14, 2, "numeric(14,2)"},
		{schemas.TypeText, "varchar(100)", 100, -1, "character varying(100)"},
		{schemas.TypeText, "text", -1, -1, "text"},
		{schemas.TypeText, "text(300)", -1, -1, "text"},
		{schemas.TypeDate, "date", -1, -1, "date"},
		{schemas.TypeTimestampTZ, "timestamp(6)", -1, 6, "timestamp(6) with time zone"},
		{schemas.TypeTimestamp, "datetime(3)", -1, 3, "timestamp(3) without time zone"},
		{schemas.TypeUUID, "uuid", -1, -1, "uuid"},
		{schemas.TypeJSON, "json", -1, -1, "json"},
		{schemas.TypeBool, "bit(1)", 1, -1, "boolean"},
		{schemas.TypeBits, "bit(8)", 8, -1, "bit(8)"},
	} {
		column := &schemas.Column{Type: c.typ, TypeName: c.spelled, Length: c.length, Scale: c.scale}
		if got := declaration(column, func(string) bool { return false }); got != c.want {
			t.Errorf("%s: %s, want %s", c.spelled, got, c.want)
		}
	}
}
