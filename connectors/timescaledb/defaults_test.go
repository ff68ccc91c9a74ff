package timescaledb

import (
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

func TestConstant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ       schemas.Type
		spelled   string
		length    int32
		mysql     bool
		text, sql string
	}{
		{schemas.TypeInt32, "integer", -1, false, "5", "'5'"},
		{schemas.TypeInt32, "integer", -1, false, "'-5'::integer", "'-5'"},
		{schemas.TypeText, "text", -1, false, "'it''s ::x'::text", "'it''s ::x'"},
		{schemas.TypeBits, "bit(3)", 3, false, `B'101'::"bit"`, "'101'"},
		{schemas.TypeTimestampTZ, "timestamp with time zone", -1, false, "'2026-01-01 00:00:00+00'::timestamp with time zone", "'2026-01-01 00:00:00+00'"},
		{schemas.TypeTimestampTZ, "timestamp with time zone", -1, false, "now()", ""},
		{schemas.TypeInt64, "bigint", -1, false, "nextval('s'::regclass)", ""},
		{schemas.TypeText, "text", -1, false, "('a'::text || 'b'::text)", ""},
		{schemas.TypeText, "text", -1, false, "('a'::text)::character varying", ""},
		{schemas.TypeInt16, "tinyint(1)", -1, true, "TRUE", "'1'"},
		{schemas.TypeInt32, "year", -1, true, "70", ""},
		{schemas.TypeText, "varchar(9)", 9, true, `it\'s\n''x''\0`, ""},
		{schemas.TypeText, "varchar(9)", 9, true, `it\'s\n''x''`, "'it''s\n''x'''"},
		{schemas.TypeText, "varchar(9)", 9, true, "_utf8mb4'é'", "'é'"},
		{schemas.TypeBytes, "binary(3)", 3, true, "a", `'\x610000'`},
		{schemas.TypeBytes, "varbinary(3)", 3, true, "0x00FF", `'\x00ff'`},
		{schemas.TypeBits, "bit(4)", 4, true, "101", "'0101'"},
		{schemas.TypeDate, "date", -1, true, "0000-00-00", ""},
		{schemas.TypeTimestamp, "datetime", -1, true, "1970-01-01 00:00:00", ""},
		{schemas.TypeTimestamp, "datetime", -1, true, "2026-01-02", "'2026-01-02'"},
		{schemas.TypeTimestampTZ, "timestamp", -1, true, "2026-01-02 03:04:05", ""},
		{schemas.TypeTime, "time", -1, true, "-838:59:59", "'-838:59:59'"},
		{schemas.TypeDecimal, "decimal(5,2)", 5, true, "1.50", "'1.50'"},
	} {
		column := schemas.Column{Name: "c", Type: c.typ, TypeName: c.spelled, Length: c.length, Scale: -1, Default: c.text}
		if got := constant(c.mysql, &column); got != c.sql {
			t.Errorf("%s DEFAULT %s: got %s, want %s", c.spelled, c.text, got, c.sql)
		}
	}
}

// A column that the source adds with a default has it in old rows, too, as the source shows them.
func TestAddedColumnHasItsDefault(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	wide := connectortest.Bets()
	state := connectortest.Column("state", schemas.TypeText, "text", false)
	state.Default = "'open'::text"
	seen := connectortest.Column("seen", schemas.TypeTimestampTZ, "timestamp with time zone", false)
	seen.Default = "now()"
	wide.Table.Columns = append(wide.Table.Columns, state, seen)
	r.Write(wide, remove(5))
	r.expect("SELECT id || state || coalesce(seen::text, '-') FROM bets", "1open-")
	r.expect("SELECT string_agg(column_name || is_nullable, ' ' ORDER BY column_name) FROM information_schema.columns WHERE table_name = 'bets' AND column_name LIKE 's%e%'", "seenYES stakeYES stateNO")
}

// A TIME of MySQL is an interval; its BOOLEAN is a TINYINT(1), whichever of the two a table was made with.
func TestTypesOfMySQL(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	table := func(flag schemas.Column) *connectors.Stream {
		s := connectortest.Table("spans", 1, connectortest.Column("id", schemas.TypeInt32, "int", false), connectortest.Column("t", schemas.TypeTime, "time(3)", true), flag)
		s.Table.Columns[1].Scale = 3
		s.Table.Catalog, s.Table.Schema = "public", ""
		return s
	}
	put := func(s *connectors.Stream, id int, micros int64, flag func(w *connectors.Builder)) error {
		err := r.Put(func(w *connectors.Builder) {
			w.Begin(w.Stream(s), connectors.OpCreate)
			w.Key()
			w.Int(int64(id))
			w.After()
			w.Int(int64(id))
			w.Temporal(connectors.KindTime, micros)
			flag(w)
			w.Commit()
		})
		if err == nil {
			err = r.Flush()
		}
		return err
	}
	streamed, read := table(connectortest.Column("flag", schemas.TypeBool, "boolean", false)), table(connectortest.Column("flag", schemas.TypeInt16, "tinyint(1)", false))
	const hour = 3600 * 1000000
	must(t, put(streamed, 1, -838*hour-1000, func(w *connectors.Builder) { w.Bool(true) }))
	must(t, put(read, 2, 25*hour, func(w *connectors.Builder) { w.Int(3) }))
	r.expect("SELECT id || ' ' || t || ' ' || flag FROM spans ORDER BY id", "1 -838:00:00.001 1 | 2 25:00:00 3")
	r.server.Exec(t, r.database, "ALTER TABLE spans ALTER flag TYPE boolean USING flag > 0, ALTER t TYPE time(0) USING NULL")
	again := table(connectortest.Column("flag", schemas.TypeInt16, "tinyint(1)", true))
	must(t, put(again, 3, 5*hour, func(w *connectors.Builder) { w.Int(0) }))
	r.expect("SELECT t || ' ' || flag FROM spans WHERE id = 3", "05:00:00 false")
	r.Refused(put(again, 4, 25*hour, func(w *connectors.Builder) { w.Int(0) }), "column t", "outside of what the type can hold")
}
