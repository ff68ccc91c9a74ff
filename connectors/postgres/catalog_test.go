package postgres

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
	"github.com/freshet-io/freshet/testbed"
)

// openCatalog runs the SQL in a database of its own and reads its catalog.
func openCatalog(t *testing.T, sql string, pairs ...string) (*catalog, *testbed.Postgres, string) {
	t.Helper()
	server := bed.Postgres(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, sql)
	cfg := newConfig(t, server, database, pairs...)
	conn, err := cfg.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return newCatalog(cfg, conn, "1", nil, nil), server, database
}

func names(tables []changes.TableID) []string {
	var out []string
	for _, t := range tables {
		out = append(out, t.String())
	}
	return out
}

func TestTables(t *testing.T) {
	const sql = `CREATE SCHEMA a; CREATE TABLE a.t (id int); CREATE TABLE plain (id int); CREATE UNLOGGED TABLE u (id int); CREATE TEMP TABLE tmp (id int); CREATE VIEW v AS SELECT 1;
CREATE TABLE parted (id int, d date, PRIMARY KEY (id, d)) PARTITION BY RANGE (d);
CREATE TABLE parted_24 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE parted_25 PARTITION OF parted FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (id);
CREATE TABLE parted_25_1 PARTITION OF parted_25 FOR VALUES IN (1);`
	for name, c := range map[string]struct {
		pairs []string
		more  string
		want  string
	}{
		"partitions":           {nil, "", "a.t public.parted_24 public.parted_25_1 public.plain"},
		"root":                 {[]string{"publish.via.partition.root", "true"}, "", "a.t public.parted public.plain"},
		"root by publication":  {nil, "CREATE PUBLICATION dbz_publication FOR ALL TABLES WITH (publish_via_partition_root)", "a.t public.parted public.plain"},
		"only the root listed": {[]string{"table.include.list", "public.parted"}, "", "public.parted"},
		"order of the list":    {[]string{"table.include.list", "public.plain,a.*"}, "", "public.plain a.t"},
		"schema":               {[]string{"schema.exclude.list", "public"}, "", "a.t"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cat, _, _ := openCatalog(t, sql+c.more, c.pairs...)
			got, err := cat.tables(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if have := strings.Join(names(got), " "); have != c.want {
				t.Errorf("got %s, want %s", have, c.want)
			}
		})
	}
}

func TestGuardrail(t *testing.T) {
	cat, _, _ := openCatalog(t, "CREATE TABLE a (id int); CREATE TABLE b (id int)", "guardrail.collections.max", "1", "guardrail.collections.limit.action", "fail")
	_, err := cat.tables(t.Context())
	if err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "2 tables are captured, more than guardrail.collections.max=1") {
		t.Error(err)
	}
}

func TestKeyOfTable(t *testing.T) {
	cat, _, _ := openCatalog(t, `CREATE TABLE pk (a int, b int, c int UNIQUE, PRIMARY KEY (b, a));
CREATE TABLE uniq (a int NOT NULL, b text, c int NOT NULL, CONSTRAINT z UNIQUE (c, a)); CREATE UNIQUE INDEX zz ON uniq (a);
CREATE TABLE part (a int, b int); CREATE UNIQUE INDEX part_a ON part (a) WHERE b > 0; CREATE UNIQUE INDEX part_e ON part (abs(a));
CREATE TABLE incl (a int, b int); CREATE UNIQUE INDEX incl_a ON incl (a) INCLUDE (b);
CREATE TABLE none (a int);`)
	for table, want := range map[string][]string{"pk": {"b", "a"}, "uniq": {"c", "a"}, "part": nil, "incl": {"a"}, "none": nil} {
		got, err := cat.tableByName(t.Context(), changes.TableID{Schema: "public", Name: table})
		if err != nil || got == nil {
			t.Fatal(table, err)
		}
		if !slices.Equal(got.key, want) {
			t.Errorf("key of %s: got %v, want %v", table, got.key, want)
		}
	}
	if got, err := cat.tableByName(t.Context(), changes.TableID{Schema: "public", Name: "gone"}); got != nil || err != nil {
		t.Error(got, err)
	}
}

// TestTypeNames compares the spelling of every type of the corpus with the server's own.
func TestTypeNames(t *testing.T) {
	cat, server, database := openCatalog(t, string(mustRead(t, "../../testdata/golden/postgres/types/setup.sql")))
	conn := server.Connect(t, database)
	for _, table := range []string{"t_num", "t_time", "t_text", "t_geo", "t_array", "t_default"} {
		info, err := cat.tableByName(t.Context(), changes.TableID{Schema: "public", Name: table})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range info.columns {
			typ, err := cat.typeOf(t.Context(), c.typeOID)
			if err != nil {
				t.Fatal(err)
			}
			var want string
			if err := conn.QueryRow(t.Context(), "SELECT format_type($1::oid, $2)", c.typeOID, c.modifier).Scan(&want); err != nil {
				t.Fatal(err)
			}
			if got := typeName(typ, c.modifier); got != want {
				t.Errorf("%s.%s: got %s, want %s", table, c.name, got, want)
			}
		}
	}
}

func TestColumnsOfTable(t *testing.T) {
	cat, _, _ := openCatalog(t, `CREATE TYPE mood AS ENUM ('zen', 'angry'); ALTER TYPE mood ADD VALUE 'bored' BEFORE 'angry'; CREATE DOMAIN price AS numeric(8,3);
CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood NOT NULL, p price, ms mood[], i interval, n numeric(10,2)[][], g int GENERATED ALWAYS AS (1) STORED, x int4multirange);
COMMENT ON TABLE t IS 'the table'; COMMENT ON COLUMN t.p IS 'the price'; ALTER TABLE t DROP COLUMN g; ALTER TABLE t ADD COLUMN last varchar(5) DEFAULT 'a'`)
	r, err := cat.snapshotRelation(t.Context(), changes.TableID{Catalog: cat.cfg.database, Schema: "public", Name: "t"})
	if err != nil {
		t.Fatal(err)
	}
	mood := []string{"zen", "bored", "angry"}
	want := &schemas.Table{Catalog: cat.cfg.database, Schema: "public", Name: "t", Comment: "the table", Key: []int{0}, Columns: []schemas.Column{
		{Name: "id", Type: schemas.TypeInt64, TypeName: "bigint", Length: -1, Scale: -1},
		{Name: "m", Type: schemas.TypeEnum, TypeName: "mood", Length: -1, Scale: -1, Allowed: mood},
		{Name: "p", Type: schemas.TypeDecimal, TypeName: "price", Length: 8, Scale: 3, Optional: true, Comment: "the price"},
		{Name: "ms", Type: schemas.TypeList, TypeName: "mood[]", Length: -1, Scale: -1, Optional: true, Elem: &schemas.Column{
			Type: schemas.TypeEnum, TypeName: "mood", Length: -1, Scale: -1, Optional: true, Allowed: mood,
		}},
		{Name: "i", Type: schemas.TypeInterval, TypeName: "interval", Length: -1, Scale: -1, Optional: true},
		{Name: "n", Type: schemas.TypeList, TypeName: "numeric(10,2)[]", Length: -1, Scale: -1, Optional: true, Elem: &schemas.Column{
			Type: schemas.TypeDecimal, TypeName: "numeric(10,2)", Length: 10, Scale: 2, Optional: true,
		}},
		{Name: "x", Type: schemas.TypeOther, TypeName: "int4multirange", Length: -1, Scale: -1, Optional: true},
		{Name: "last", Type: schemas.TypeText, TypeName: "character varying(5)", Length: 5, Scale: -1, Optional: true, Default: "'a'::character varying"},
	}}
	if !reflect.DeepEqual(r.stream.Table, want) {
		t.Errorf("got  %+v\nwant %+v", r.stream.Table, want)
	}
	if r.stream.Row.Field("x") >= 0 {
		t.Error("the event has a column of a type that the reference leaves out")
	}
}

// TestRelationOfLostTable has a table that is gone, or renamed, when its relation message is read.
func TestRelationOfLostTable(t *testing.T) {
	cat, server, database := openCatalog(t, "CREATE TABLE kept (b text, a int PRIMARY KEY)")
	info, err := cat.tableByName(t.Context(), changes.TableID{Schema: "public", Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	msg := &relationMessage{oid: info.oid, schema: "public", table: "kept", identity: 'd', columns: []relationColumn{
		{name: "b", typeOID: oidText, modifier: -1}, {name: "a", typeOID: oidInt4, modifier: -1, identity: true},
	}}
	for _, change := range []string{"SELECT 1", "ALTER TABLE kept RENAME TO other", "ALTER TABLE other RENAME COLUMN a TO c", "DROP TABLE other"} {
		server.Exec(t, database, change)
		r, err := cat.relation(t.Context(), msg)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintln(r.stream.Key != nil && r.stream.Key.Fields[0].Name == "a", r.stream.Table.Key, r.stream.Topic); got != "true [1] p.public.kept\n" {
			t.Errorf("after %s: %s", change, got)
		}
	}
	msg.table = "unselected"
	cat.cfg = newConfig(t, server, database, "table.include.list", "public.kept")
	if r, err := cat.relation(t.Context(), msg); r != nil || err != nil {
		t.Error(r, err)
	}
}

func TestSessionSettings(t *testing.T) {
	cat, _, _ := openCatalog(t, "", "database.initial.statements", "SET search_path TO pg_catalog; SET application_name TO 'a;;b'")
	var got [6]string
	err := cat.row(t.Context(), "SELECT current_setting('datestyle'), current_setting('timezone'), current_setting('intervalstyle'), current_setting('lc_monetary'), current_setting('application_name'), current_setting('search_path')",
		nil, &got[0], &got[1], &got[2], &got[3], &got[4], &got[5])
	if want := [6]string{"ISO, MDY", "UTC", "postgres", "C", "a;b", "pg_catalog"}; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
