package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
)

// way is a way through Kafka: how a source writes the corpus into topics, and what becomes of its columns there
// (docs/connectors/kafka.md).
type way struct {
	converter string
	options   map[string]string // of the source
	mapped    mappings          // what the topics have
	inTables  mappings          // and what that is in a table
	inClick   mappings          // in ClickHouse
	inSearch  mappings
}

// through is one way in use: a source's topics and the targets of the sinks that read them.
type through struct {
	way
	k      *testbed.Kafka
	tables *testbed.Postgres
	ch     *testbed.ClickHouse
	search *testbed.Search

	name   string // of the topics and the connectors, before the dot and the dash
	topics []string
	to     string // database of the tables
	into   string // database in ClickHouse
	prefix string // of indices
	dir    string
	keys   map[string]string // of converters
}

// patiently waits for what takes many tables, on a machine that is busy with other tests.
func patiently(t testing.TB, complaint func() string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(3 * time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal(complaint())
		}
	}
}

func newThrough(t *testing.T, w way, name string, topics []string) *through {
	t.Helper()
	c := &through{way: w, k: bed.Kafka(t), tables: bed.Postgres(t), ch: bed.ClickHouse(t), search: bed.Elasticsearch(t), name: name, topics: topics, dir: t.TempDir()}
	c.to, c.into, c.prefix = c.tables.NewDatabase(t), c.ch.NewDatabase(t), c.search.NewPrefix(t)
	c.keys = map[string]string{"key.converter": c.converter, "value.converter": c.converter}
	if c.converter == "AvroConverter" {
		url := bed.Registry(t).URL()
		c.keys["key.converter.schema.registry.url"], c.keys["value.converter.schema.registry.url"] = url, url
	}
	for _, topic := range topics {
		c.k.CreateTopic(t, topic, 1, nil)
	}
	return c
}

// source writes the file of the connector that fills the topics.
func (c *through) source(t *testing.T, config map[string]string) string {
	t.Helper()
	maps.Copy(config, c.keys)
	maps.Copy(config, c.options)
	config["topic.prefix"] = c.name
	return testbed.WriteConnector(t, c.dir, config)
}

// sinks writes the files of a connector for each target, in the mode that comes with their class's name: tables, ClickHouse, documents.
func (c *through) sinks(t *testing.T, classes [3]string, more [3]map[string]string) []string {
	t.Helper()
	host, port, _ := strings.Cut(c.ch.Address(), ":")
	var files []string
	for i, own := range []map[string]string{
		{
			"connection.url": "jdbc:postgresql://" + c.tables.Address() + "/" + c.to + "?sslmode=disable", "connection.username": testbed.PostgresUser, "connection.password": testbed.PostgresPassword,
		},
		{
			"hostname": host, "port": port, "database": c.into, "username": testbed.ClickHouseUser, "password": testbed.ClickHousePassword,
		},
		{"connection.url": c.search.URL(), "index.name.format": c.prefix + ".${topic}"},
	} {
		maps.Copy(own, c.keys)
		maps.Copy(own, more[i])
		own["name"], own["connector.class"], own["topics"] = c.name+"-"+classes[i], classes[i], strings.Join(c.topics, ",")
		files = append(files, testbed.WriteConnector(t, c.dir, own))
	}
	return files
}

func (c *through) run(t *testing.T, files ...string) *testbed.Program {
	t.Helper()
	dir := t.TempDir() // of its own offsets
	worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+c.k.Bootstrap()+"\noffset.storage.file.filename="+filepath.Join(dir, "offsets")+"\n")
	return start(t, dir, append(append([]string{"run"}, files...), "-c", worker)...)
}

// join is all of them; later ones win.
func join(all ...mappings) mappings {
	out := mappings{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// each gives several columns of a table the same mapping.
func each(table, columns string, m mapping) mappings {
	out := mappings{}
	for _, c := range strings.Fields(columns) {
		out[table+"."+c] = m
	}
	return out
}

// objects is an array of hstore as one of jsonb.
const objects = "(SELECT CASE WHEN %[1]s IS NOT NULL THEN coalesce(array_agg(hstore_to_jsonb(x) ORDER BY n), '{}') END FROM unnest(%[1]s) WITH ORDINALITY AS u (x, n))"

// What a topic makes of columns of Postgres.
var (
	inUTC    = mapping{"%s AT TIME ZONE 'UTC'", "time with time zone"} // what a ZonedTime shows
	asMicros = mapping{`make_interval(secs => ((extract(year FROM %[1]s) * 12 + extract(month FROM %[1]s)) * 30.4375 + extract(day FROM %[1]s)) * 86400
 + extract(hour FROM %[1]s) * 3600 + extract(minute FROM %[1]s) * 60 + extract(second FROM %[1]s))`, "interval"}  // a MicroDuration, with months of 30.4375 days
	finite   = mapping{"CASE WHEN %[1]s::text NOT IN ('NaN', 'Infinity', '-Infinity') THEN %[1]s END", "numeric"}             // a Decimal
	trimmed  = mapping{"CASE WHEN %[1]s::text NOT IN ('NaN', 'Infinity', '-Infinity') THEN trim_scale(%[1]s) END", "numeric"} // a VariableScaleDecimal
	amount   = mapping{"%s::numeric(21,2)", "numeric(21,2)"}
	asJSONB  = mapping{"%s::jsonb", "jsonb"}
	object   = mapping{"hstore_to_jsonb(%s)", "jsonb"}
	document = mapping{"hstore_to_jsonb(%s)", "document"} // compared as JSON
	absent   = mapping{}
	oneBit   = mapping{"%s = B'1'", "boolean"}
)

// constant is what a column with a default has for NULL.
func constant(of, typ string) mapping { return mapping{"coalesce(%s, " + of + ")", typ} }

// withDefaults is JSON with schemas, and no options.
func withDefaults() way {
	return way{
		converter: "JsonConverter",
		mapped: join(
			each("t_time", "tz0 tz3 tz6 tz", inUTC), each("t_time", "iv iv_ym iv3 iv_ds", asMicros),
			each("t_num", "c_num10_2 c_num38_10", finite), each("t_num", "c_num", trimmed), each("t_num", "c_money", amount), each("t_num", "c_bit1 c_varbit1", oneBit),
			each("t_num", "c_varbit", mapping{"regexp_replace(lpad(%[1]s::text, (length(%[1]s) + 7) / 8 * 8, '0'), '^(0{8})+', '')::varbit", "bit varying"}), // the bytes that are not zero
			each("t_num", "c_varbit16", mapping{"lpad(%s::text, 16, '0')::varbit", "bit varying"}),
			each("t_text", "c_tsq c_pair c_lsn", absent), each("t_text", "c_hstore", object),
			each("t_geo", "c_line c_lseg c_box c_path c_polygon c_circle mr", absent),
			each("t_array", "a_money a_interval a_xml a_point", absent),
			mappings{
				"t_array.a_numu":   {"(SELECT CASE WHEN %[1]s IS NOT NULL THEN coalesce(array_agg(trim_scale(x) ORDER BY n), '{}') END FROM unnest(%[1]s) WITH ORDINALITY AS u (x, n))", "numeric[]"},
				"t_array.a_timetz": {"(SELECT CASE WHEN %[1]s IS NOT NULL THEN coalesce(array_agg(x AT TIME ZONE 'UTC' ORDER BY n), '{}') END FROM unnest(%[1]s) WITH ORDINALITY AS u (x, n))", "time with time zone[]"},
				"t_array.a_hstore": {objects, "jsonb[]"},
				"t_array.a_2d":     {"CASE WHEN %[1]s = '{}' THEN '{}' WHEN %[1]s IS NOT NULL THEN '{NULL,NULL}'::int[] END", "integer[]"},
				"t_default.i4":     constant("42", "integer"), "t_default.r": constant("1.5", "real"), "t_default.t": constant("'plain'", "text"), "t_default.c": constant("'ab'", "character(4)"),
				"t_default.uf": constant("'00000000-0000-0000-0000-000000000000'", "uuid"), "t_default.j": constant(`'{"a": 1}'`, "json"), "t_default.ts3": constant("'2020-01-02 03:04:05.678'", "timestamp(3) without time zone"),
				"t_default.dn": constant("'1970-01-01'", "date"), "t_default.tn": constant("'1970-01-01 00:00:00+00'", "timestamp with time zone"), "t_default.bi": constant("B'101'", "bit(3)"),
				"t_default.m": amount, "t_default.iv": asMicros, "t_default.b1": oneBit, "t_default.hs": object,
			},
		),
		inClick:  join(each("t_text", "c_hstore", document), each("t_default", "hs", document), each("t_array", "a_hstore", mapping{objects, "document[]"})),
		inTables: join(each("t_text", "c_json", asJSONB), each("t_array", "a_json", mapping{"%s::jsonb[]", "jsonb[]"}), each("t_default", "j", mapping{`coalesce(%s, '{"a": 1}')::jsonb`, "jsonb"})),
	}
}

// withAll is Avro, and options with which topics hold what they can.
func withAll() way {
	w := withDefaults()
	w.converter = "AvroConverter"
	w.options = map[string]string{"decimal.handling.mode": "string", "interval.handling.mode": "string", "column.propagate.source.type": ".*", "include.unknown.datatypes": "true", "value.converter.ignore.default.for.nullables": "true"}
	for _, c := range []string{"t_num.c_num10_2", "t_num.c_num38_10", "t_num.c_num", "t_array.a_numu", "t_time.iv", "t_time.iv_ym", "t_time.iv3", "t_time.iv_ds", "t_default.iv", "t_num.c_bit1", "t_num.c_varbit1", "t_default.b1"} {
		delete(w.mapped, c)
	}
	for c, m := range w.mapped {
		switch {
		case strings.HasPrefix(m.expr, "coalesce"):
			delete(w.mapped, c)
		case m == absent && !strings.HasPrefix(c, "t_array"):
			w.mapped[c] = mapping{"convert_to(%s::text, 'UTF8')", "bytea"}
		}
	}
	maps.Copy(w.mapped, each("t_geo", "c_line c_lseg c_box c_path c_polygon c_circle", mapping{
		`convert_to(replace(regexp_replace(%s::text, '(?<![.0-9])(-?[0-9]+)(?![.0-9])', '\1.0', 'g'), '10000000000.0', '1.0E10'), 'UTF8')`, "bytea",
	})) // numbers as Java prints them
	w.inTables = mappings{"t_array.a_json": w.inTables["t_array.a_json"]}
	return w
}

// A bit is a boolean, which is 0 or 1 in a table.
var mysqlBoolean = mapping{"IF(%[1]s IS NULL, NULL, IF(%[1]s + 0, 'true', 'false'))", "varchar"}

func mysqlWithDefaults() way {
	signed := mapping{"CAST(%s AS SIGNED)", "bigint"}
	return way{
		converter: "JsonConverter",
		mapped: mappings{
			"t_num.c_ubig": signed, "t_key.k_ub": signed, "t_default.ub": signed,
			"t_default.ti": constant("3", "tinyint"), "t_default.u": constant("4000000000", "int"), "t_default.f": constant("1.5", "float"), "t_default.b8": constant("165", "bit"),
			"t_default.c": constant("'ab'", "char"), "t_default.s": constant("'p,q'", "set"), "t_default.t3": constant("'11:12:13.456'", "time"), "t_default.vb": constant("'ab'", "varbinary"),
		},
		inTables: mappings{"t_num.c_bit1": {"%s + 0", "tinyint"}, "t_default.bt": {"%s + 0", "tinyint"}},
		inClick:  mappings{"t_num.c_bit1": mysqlBoolean, "t_default.bt": mysqlBoolean},
		inSearch: mappings{"t_num.c_bit1": mysqlBoolean, "t_default.bt": mysqlBoolean},
	}
}

func mysqlWithAll() way {
	return way{
		converter: "AvroConverter",
		options:   map[string]string{"decimal.handling.mode": "string", "bigint.unsigned.handling.mode": "precise", "column.propagate.source.type": ".*", "value.converter.ignore.default.for.nullables": "true"},
	}
}

func mirrors() [3]string {
	return [3]string{"TimescaleDbSinkConnector", "ClickHouseSinkConnector", "ElasticsearchSinkConnector"}
}

// reference reads the topics once more, in the mode of the reference's classes, while they hold a snapshot: tables and ClickHouse have the
// rows of the mirrors then, an index the values of the records. schema and tables name the mirrors.
func (c *through) reference(t *testing.T, schema string, tables []string) {
	t.Helper()
	for i, topic := range c.topics {
		c.ch.Query(t, c.into, fmt.Sprintf("CREATE TABLE `%s` ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM %s_current LIMIT 0", topic, tables[i]))
		c.search.Do(t, "PUT", "/"+c.index(topic), `{"mappings":{"dynamic":false}}`)
	}
	p := c.run(t, c.sinks(t,
		[3]string{"io.debezium.connector.jdbc.JdbcSinkConnector", "com.clickhouse.kafka.connect.ClickHouseSinkConnector", "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector"},
		[3]map[string]string{{"schema.evolution": "basic"}, nil, {"key.ignore": "true", "schema.ignore": "true", "index.name.format": c.prefix + ".ref.${topic}"}})...)
	conn := c.tables.Connect(t, c.to)
	var different string
	patiently(t, func() string { return different + "freshet said:\n" + p.Output() }, func() bool {
		different = ""
		for i, topic := range c.topics {
			a, b := jsonRows(t, conn, schema+"."+tables[i]), jsonRows(t, conn, "public."+strings.ToLower(strings.ReplaceAll(topic, ".", "_")))
			if !slices.Equal(a, b) {
				different += fmt.Sprintf("%s in tables:\n  mirror    %q\n  reference %q\n", topic, a, b)
			}
			a, b = clickRows(t, c.ch, c.into, tables[i]+"_current"), clickRows(t, c.ch, c.into, topic)
			if !slices.Equal(a, b) {
				different += fmt.Sprintf("%s in ClickHouse:\n  mirror    %q\n  reference %q\n", topic, a, b)
			}
			if d := c.documentsOfRecords(t, topic); d != "" {
				different += d
			}
		}
		return different == ""
	})
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
}

func (c *through) index(topic string) string { return strings.ToLower(c.prefix + ".ref." + topic) }

func jsonRows(t testing.TB, conn *pgx.Conn, table string) []string {
	t.Helper()
	if len(columnsOf(t, conn, table)) == 0 {
		return nil
	}
	rows, err := conn.Query(t.Context(), "SELECT to_jsonb(x)::text FROM "+table+" x")
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func clickRows(t testing.TB, ch *testbed.ClickHouse, database, table string) []string {
	t.Helper()
	out := strings.Split(ch.Query(t, database, "SELECT * FROM `"+table+"` FORMAT JSONCompactEachRow"), "\n")
	slices.Sort(out)
	return out
}

// documentsOfRecords says where documents are not the values of a topic's records; of Avro only their number is compared.
func (c *through) documentsOfRecords(t *testing.T, topic string) string {
	t.Helper()
	var out strings.Builder
	documents, records := c.search.Documents(t, c.index(topic)), c.k.Read(t, topic)
	if len(documents) != len(records) {
		return fmt.Sprintf("%s has %d records and %d documents\n", topic, len(records), len(documents))
	}
	if c.converter != "JsonConverter" {
		return ""
	}
	for _, r := range records {
		var message struct{ Schema, Payload any }
		var document any
		text := documents[fmt.Sprintf("%s+%d+%d", r.Topic, r.Partition, r.Offset)]
		if err := errors.Join(json.Unmarshal(r.Value, &message), json.Unmarshal(text, &document)); err != nil {
			t.Fatalf("record %d of topic %s: %v", r.Offset, topic, err)
		}
		if want := doubles(t, message.Schema, message.Payload); !reflect.DeepEqual(want, document) {
			fmt.Fprintf(&out, "%s:\n  record   %v\n  document %v\n", topic, want, document)
		}
	}
	return out.String()
}

// doubles is a payload whose decimals are numbers, as in a document of the reference's mode.
func doubles(t testing.TB, schema, payload any) any {
	t.Helper()
	s, ok := schema.(map[string]any)
	if !ok || payload == nil {
		return payload
	}
	switch v := payload.(type) {
	case string:
		if s["name"] != "org.apache.kafka.connect.data.Decimal" {
			return v
		}
		unscaled, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			t.Fatal(err)
		}
		scale, err := strconv.Atoi(fmt.Sprint(s["parameters"].(map[string]any)["scale"]))
		if err != nil {
			t.Fatal(err)
		}
		f, _ := new(big.Rat).SetFrac(twosComplement(unscaled), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).Float64()
		return f
	case []any:
		for i := range v {
			v[i] = doubles(t, s["items"], v[i])
		}
	case map[string]any:
		fields, _ := s["fields"].([]any)
		for _, f := range fields {
			name := f.(map[string]any)["field"].(string)
			v[name] = doubles(t, f, v[name])
		}
	}
	return payload
}

func twosComplement(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// The types corpus of Postgres goes through topics into tables, ClickHouse and documents: every column is what it is in the source, or
// what the way makes of it.
func TestTypesThroughTopics(t *testing.T) {
	t.Parallel()
	for _, w := range []way{
		withDefaults(), withAll(),
	} {
		t.Run(w.converter, func(t *testing.T) {
			t.Parallel()
			pg := bed.Postgres(t)
			from := pg.NewDatabase(t)
			name := from + strings.ToLower(w.converter[:1])
			var topics []string
			for _, table := range typeTables() {
				topics = append(topics, name+".public."+table)
			}
			c := newThrough(t, w, name, topics)
			pg.Exec(t, from, corpus(t, "setup.sql"))
			files := append(c.sinks(t, mirrors(), [3]map[string]string{1: {"column.types": outOfRange}}), c.source(t, pg.Connector(from, name, map[string]string{"table.include.list": "public.t_.*"})))
			p := c.run(t, files...)
			conn, target := pg.Connect(t, from), c.tables.Connect(t, c.to)
			for _, sql := range []string{"SET timezone = 'UTC'", "SET extra_float_digits = 1"} {
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			equal := func() {
				t.Helper()
				var different string
				patiently(t, func() string { return "source and targets differ:\n" + different + "freshet said:\n" + p.Output() }, func() bool {
					different = ""
					if d := differs(t, conn, target, typeTables(), join(c.mapped, c.inTables)); d != "" {
						different += "in tables:\n" + d
					}
					if d := differsFromClickHouse(t, conn, c.ch, c.into, typeTables(), join(c.mapped, c.inClick)); d != "" {
						different += "in ClickHouse:\n" + d
					}
					for i, table := range typeTables() {
						if d := documentsDiffer(t, conn, c.search, table, c.prefix+"."+c.topics[i], join(c.mapped, c.inSearch)); d != "" {
							different += "in documents:\n" + d
						}
					}
					return different == ""
				})
			}
			equal()
			c.reference(t, "public", typeTables())
			pg.Exec(t, from, corpus(t, "stream1.sql"))
			pg.Exec(t, from, "INSERT INTO t_key VALUES (false,'2024-03-01','2024-02-29 12:34:56+00',1,'','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12','zen',2)")
			equal()
			if code := p.Stop(); code != 0 {
				t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
			}
		})
	}
}

// fromMySQL is the types corpus of MySQL as a source of topics.
type fromMySQL struct {
	server   *testbed.MySQL
	database string
	conn     *client.Conn
	columns  []mysqlColumn
	tables   []string
	file     string // of its connector
}

// newMySQLThrough makes the corpus, and a way from it; suffix tells apart what goes that way.
func newMySQLThrough(t *testing.T, w way, suffix string) (*through, *fromMySQL) {
	t.Helper()
	s := &fromMySQL{server: bed.MySQL(t)}
	s.database = s.server.CreateDatabase(t)
	name := s.database + strings.ToLower(suffix)
	s.server.Exec(t, s.database, mysqlCorpus(t, "setup.sql"))
	s.conn = s.server.Connect(t, s.database)
	if _, err := s.conn.Execute("SET time_zone = '+00:00'"); err != nil {
		t.Fatal(err)
	}
	s.columns = mysqlColumns(t, s.conn)
	var topics []string
	for _, c := range s.columns {
		if !slices.Contains(s.tables, c.table) {
			s.tables, topics = append(s.tables, c.table), append(topics, name+"."+s.database+"."+c.table)
		}
	}
	c := newThrough(t, w, name, topics)
	config := s.server.Connector(name, s.database, testbed.HistoryIn(filepath.Join(c.dir, "history")), map[string]string{"enable.time.adjuster": "false"}) // the year 1 stays what it is
	s.file = c.source(t, config)
	return c, s
}

// The types corpus of MySQL goes through topics, likewise.
func TestMySQLTypesThroughTopics(t *testing.T) {
	t.Parallel()
	for _, w := range []way{
		mysqlWithDefaults(), mysqlWithAll(),
	} {
		t.Run(w.converter, func(t *testing.T) {
			t.Parallel()
			c, from := newMySQLThrough(t, w, w.converter[:1])
			p := c.run(t, append(c.sinks(t, mirrors(), [3]map[string]string{1: {"column.types": mysqlOutOfRange}}), from.file)...)
			target := c.tables.Connect(t, c.to)
			equal := func() {
				t.Helper()
				var different string
				patiently(t, func() string { return "source and targets differ:\n" + different + "freshet said:\n" + p.Output() }, func() bool {
					different = ""
					if d := differsFromMySQL(t, from.conn, from.columns, join(c.mapped, c.inTables), mysqlInPostgres(t, target, from.database)); d != "" {
						different += "in tables:\n" + d
					}
					if d := differsFromMySQL(t, from.conn, from.columns, join(c.mapped, c.inClick), mysqlInClickHouse(t, c.ch, c.into)); d != "" {
						different += "in ClickHouse:\n" + d
					}
					if d := differsFromMySQL(t, from.conn, from.columns, join(c.mapped, c.inSearch), mysqlInSearch(t, c.search, c.prefix+"."+c.name+"."+from.database)); d != "" {
						different += "in documents:\n" + d
					}
					return different == ""
				})
			}
			equal()
			c.reference(t, from.database, from.tables)
			from.server.Exec(t, from.database, mysqlCorpus(t, "stream1.sql"))
			equal()
			if code := p.Stop(); code != 0 {
				t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
			}
		})
	}
}
