package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
)

// searches are the products that the tests of the Elasticsearch sink run against.
func searches(t *testing.T, run func(t *testing.T, s *testbed.Search)) {
	t.Run("Elasticsearch", func(t *testing.T) { t.Parallel(); run(t, bed.Elasticsearch(t)) })
	t.Run("OpenSearch", func(t *testing.T) { t.Parallel(); run(t, bed.OpenSearch(t)) })
}

// toSearch are the keys of a direct sink into indices that begin with prefix.
func toSearch(s *testbed.Search, prefix string, more map[string]string) map[string]string {
	c := map[string]string{
		"sinks":                      "es",
		"sinks.es.connector.class":   "ElasticsearchSinkConnector",
		"sinks.es.connection.url":    s.URL(),
		"sinks.es.index.name.format": prefix + ".${source.schema}.${source.table}",
	}
	maps.Copy(c, more)
	return c
}

// asJSON is the SQL expression for a column as docs/connectors/elasticsearch.md says that it is written.
func asJSON(column, typ string) string {
	base, _, _ := strings.Cut(typ, "(")
	base = strings.TrimSuffix(base, "[]")
	switch {
	case slices.Contains([]string{"money[]", "interval[]", "xml[]", "point[]", "pair"}, typ):
		return fmt.Sprintf("to_jsonb(%s::text)", column)
	case typ == "bytea[]":
		return fmt.Sprintf("(SELECT coalesce(jsonb_agg(encode(x, 'base64') ORDER BY n), '[]') FROM unnest(%[1]s) WITH ORDINALITY AS u (x, n) HAVING %[1]s IS NOT NULL)", column)
	case typ == "json": // a member that is there twice, which the server does not take
		return fmt.Sprintf(`CASE WHEN %[1]s::text = '{"b": 1, "a" : [1.50, null, "é"], "b": 2}' THEN to_jsonb(%[1]s::text) ELSE to_jsonb(%[1]s) END`, column)
	case base == "money":
		return fmt.Sprintf("to_jsonb(%s::numeric)", column)
	case strings.HasSuffix(typ, "[]"):
		return fmt.Sprintf("to_jsonb(%s)", column)
	case base == "bytea":
		return fmt.Sprintf(`to_jsonb(translate(encode(%s, 'base64'), E'\n', ''))`, column)
	case base == "hstore":
		return fmt.Sprintf("hstore_to_jsonb(%s)", column)
	case base == "point":
		return fmt.Sprintf("CASE WHEN %[1]s IS NOT NULL THEN jsonb_build_object('x', (%[1]s)[0], 'y', (%[1]s)[1]) END", column)
	case base == "interval" || strings.HasPrefix(base, "interval "):
		return fmt.Sprintf(`to_jsonb('P' || extract(year FROM %[1]s) || 'Y' || extract(month FROM %[1]s) || 'M' || extract(day FROM %[1]s) || 'DT' || extract(hour FROM %[1]s) || 'H' || extract(minute FROM %[1]s) || 'M'
 || (CASE WHEN extract(second FROM %[1]s) < 0 THEN '-' ELSE '' END) || trim_scale(abs(extract(second FROM %[1]s))) || 'S')`, column)
	}
	return fmt.Sprintf("to_jsonb(%s)", column)
}

var (
	zoneHours    = regexp.MustCompile(`([+-]\d\d)(:\d\d)?$`)
	beforeChrist = regexp.MustCompile(`^(\d{4,})(-.*) BC$`)
)

// leafForm brings a value to one form: numbers by value, dates and times as ISO 8601 in UTC.
func leafForm(v, typ string) string {
	base, _, _ := strings.Cut(strings.TrimSuffix(typ, "[]"), "(")
	base, _, _ = strings.Cut(base, " ")
	switch base {
	case "real", "double", "point":
		bits := map[string]int{"real": 32, "double": 64, "point": 64}[base]
		if f, err := strconv.ParseFloat(v, bits); err == nil {
			f += 0 // jsonb has no -0
			return strconv.FormatFloat(f, 'g', -1, bits)
		}
	case "numeric", "money", "smallint", "integer", "bigint", "oid", "posint", "price":
		if r, ok := new(big.Rat).SetString(v); ok {
			return r.RatString()
		}
	case "timestamp", "date":
		if m := beforeChrist.FindStringSubmatch(v); m != nil {
			year, _ := strconv.Atoi(m[1])
			v = fmt.Sprintf("%05d%s", 1-year, m[2])
			if year == 1 {
				v = "0000" + m[2]
			}
		}
		v = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(v, "+00:00"), "Z"), "+")
	case "time":
		return zoneHours.ReplaceAllString(v, "$1:00")
	}
	return v
}

func documentForm(t testing.TB, text []byte, typ string) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var form func(v any) any
	form = func(v any) any {
		switch v := v.(type) {
		case nil:
			return nil
		case json.Number:
			return leafForm(v.String(), typ)
		case string:
			return leafForm(v, typ)
		case []any:
			for i := range v {
				v[i] = form(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = form(v[k])
			}
		}
		return v
	}
	out, err := json.Marshal(form(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// documentsDiffer says in which values the rows of a table and the documents of an index differ; "" when they are equal.
func documentsDiffer(t testing.TB, conn *pgx.Conn, s *testbed.Search, table, index string, mapped mappings) string {
	t.Helper()
	var out strings.Builder
	documents := s.Documents(t, index)
	if table == "t_key" { // its id has seven parts
		documents = byMember(t, documents, "v")
	}
	rows := map[string]bool{}
	columns, err := conn.Query(t.Context(), "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum", table)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(columns, pgx.RowToStructByPos[struct{ Name, Type string }])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		expr, typ, there := mapped.of(table, c.Name, pgx.Identifier{c.Name}.Sanitize(), c.Type)
		if !there {
			expr, typ = "NULL::text", "text"
		}
		key := "id::text"
		if table == "t_key" {
			key = "v::text"
		}
		values, err := conn.Query(t.Context(), fmt.Sprintf("SELECT %s, coalesce(%s, 'null')::text FROM %s", key, asJSON(expr, typ), table))
		if err != nil {
			t.Fatal(err)
		}
		pairs, err := pgx.CollectRows(values, pgx.RowToStructByPos[struct{ ID, Value string }])
		if err != nil {
			t.Fatalf("read column %s of table %s: %v", c.Name, table, err)
		}
		for _, p := range pairs {
			rows[p.ID] = true
			var doc map[string]json.RawMessage
			if err := json.Unmarshal(documents[p.ID], &doc); err != nil {
				fmt.Fprintf(&out, "%s: document %s: %v (there are %v)\n", table, p.ID, err, slices.Sorted(maps.Keys(documents)))
				continue
			}
			if there != (doc[c.Name] != nil) {
				fmt.Fprintf(&out, "%s.%s is in document %s: %t\n", table, c.Name, p.ID, !there)
				continue
			}
			if !there {
				continue
			}
			if want, got := documentForm(t, []byte(p.Value), typ), documentForm(t, doc[c.Name], typ); want != got {
				fmt.Fprintf(&out, "%s.%s (%s) of %s:\n  source   %s\n  document %s\n", table, c.Name, typ, p.ID, want, got)
			}
		}
	}
	if len(documents) != len(rows) {
		fmt.Fprintf(&out, "%s has %d rows and %d documents\n", table, len(rows), len(documents))
	}
	return out.String()
}

// byMember are documents by the text of a member.
func byMember(t testing.TB, documents map[string]json.RawMessage, name string) map[string]json.RawMessage {
	t.Helper()
	out := map[string]json.RawMessage{}
	for id, text := range documents {
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("document %s: %v", id, err)
		}
		out[string(doc[name])] = text
	}
	return out
}

// The types corpus arrives as documents that say the same, after the snapshot and after inserts, updates and deletes.
func TestTypesIntoElasticsearch(t *testing.T) {
	t.Parallel()
	searches(t, func(t *testing.T, s *testbed.Search) {
		pg := bed.Postgres(t)
		from, prefix, dir := pg.NewDatabase(t), s.NewPrefix(t), t.TempDir()
		pg.Exec(t, from, corpus(t, "setup.sql"))
		c := pg.Connector(from, "types-"+from, toSearch(s, prefix, map[string]string{"table.include.list": "public.t_.*"}))
		p := start(t, dir, "run", testbed.WriteConnector(t, dir, c))
		conn := pg.Connect(t, from)
		equal := func() {
			t.Helper()
			var difference string
			testbed.Eventually(t, func() string { return "source and documents differ:\n" + difference + "freshet said:\n" + p.Output() }, func() bool {
				difference = ""
				for _, table := range typeTables() {
					difference += documentsDiffer(t, conn, s, table, prefix+".public."+table, nil)
				}
				return difference == ""
			})
		}
		equal()
		pg.Exec(t, from, corpus(t, "stream1.sql"))
		pg.Exec(t, from, "INSERT INTO t_key VALUES (false,'2024-03-01','2024-02-29 12:34:56+00',1,'','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12','zen',2)")
		equal()
		if code := p.Stop(); code != 0 {
			t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
		}
	})
}
