package mysql

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// secret is the password of the tests: it may be in no text.
const secret = "wonder-secret"

// problems returns the error texts of a validation, each after its key.
func problems(t *testing.T, f Factory, c connectors.Config) []string {
	t.Helper()
	var out []string
	for _, v := range f.Validate(t.Context(), c) {
		for _, e := range append(connectors.Errors([]connectors.ConfigValue{v}), v.Errors...) {
			if strings.Contains(e, secret) {
				t.Errorf("the password is in %q", e)
			}
		}
		for _, e := range connectors.Errors([]connectors.ConfigValue{v}) {
			out = append(out, v.Name+": "+e)
		}
	}
	return out
}

// expect wants exactly one problem that holds all of the texts.
func expect(t *testing.T, got []string, texts ...string) {
	t.Helper()
	if len(got) != 1 {
		t.Fatalf("got %d problems, want one with %q: %q", len(got), texts, got)
	}
	for _, want := range texts {
		if !strings.Contains(got[0], want) {
			t.Errorf("got %q, want %q in it", got[0], want)
		}
	}
}

func plainConfig(pairs ...string) connectors.Config {
	c := connectors.Config{
		"topic.prefix": "p", "database.hostname": "localhost", "database.user": "u", "database.server.id": "5400",
		"schema.history.internal.kafka.topic": "history", "schema.history.internal.kafka.bootstrap.servers": "broker:9092",
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return c
}

func TestValidateKeys(t *testing.T) {
	const history = "schema.history.internal"
	for _, c := range []struct {
		pairs []string
		want  []string
	}{
		{[]string{"topic.prefix", "a b"}, []string{"topic.prefix: The 'topic.prefix' value is invalid", "only the underscore, hyphen"}},
		{[]string{"database.hostname", " "}, []string{"database.hostname", "A value is required"}},
		{[]string{"database.port", "70000"}, []string{"database.port", "between 1 and 65535"}},
		{[]string{"database.server.id", ""}, []string{"database.server.id", "A value is required"}},
		{[]string{"database.server.id", "0"}, []string{"database.server.id", "A positive, non-zero long value is expected"}},
		{[]string{"database.server.id", "4294967296"}, []string{"database.server.id", "at most 4294967295"}},
		{[]string{"database.ssl.mode", "allow"}, []string{"database.ssl.mode", "Value must be one of"}},
		{[]string{"connect.timeout.ms", "0"}, []string{"connect.timeout.ms", "A positive, non-zero integer value is expected"}},
		{[]string{"binlog.net.read.timeout", "-1"}, []string{"binlog.net.read.timeout", "A non-negative long value is expected"}},
		{[]string{"max.queue.size", "10"}, []string{"max.queue.size", "Must be larger than the maximum batch size"}},
		{[]string{"table.include.list", "a.b", "table.exclude.list", "c.d"}, []string{"table.exclude.list", `"table.include.list" is already specified`}},
		{[]string{"database.include.list", "a", "database.exclude.list", "c"}, []string{"database.exclude.list", `"database.include.list" is already specified`}},
		{[]string{"table.include.list", "a.(b"}, []string{"table.include.list", "Unclosed group near index 4\na.(b"}},
		{[]string{"gtid.source.includes", "a.*", "gtid.source.excludes", "b.*"}, []string{"gtid.source.excludes: The 'gtid.source.excludes' value is invalid: Cannot specify GTID excludes when includes are provided."}},
		{[]string{"time.precision.mode", "adaptive"}, []string{"time.precision.mode", "The 'adaptive' time.precision.mode is no longer supported"}},
		{[]string{"bigint.unsigned.handling.mode", "double"}, []string{"bigint.unsigned.handling.mode", "Value must be one of precise, long"}},
		{[]string{"snapshot.mode", "schema_only"}, []string{"snapshot.mode", "Value must be one of"}},
		{[]string{"snapshot.mode", "custom"}, []string{"snapshot.mode", "not supported yet: custom"}},
		{[]string{"snapshot.locking.mode", "custom"}, []string{"snapshot.locking.mode", "not supported yet: custom"}},
		{[]string{"inconsistent.schema.handling.mode", "retry"}, []string{"inconsistent.schema.handling.mode", "Value must be one of"}},
		{[]string{"signal.data.collection", "db.signals"}, []string{"signal.data.collection", "not supported yet: signals"}},
		{[]string{"sourceinfo.struct.maker", "org.x.Maker"}, []string{"sourceinfo.struct.maker", "not supported yet: classes of the JVM"}},
		{[]string{"read.only", "true"}, []string{"read.only", "not supported yet"}},
		{[]string{history + ".kafka.topic", ""}, []string{history + ".kafka.topic", "A value is required"}},
		{[]string{history, "io.debezium.storage.file.history.FileSchemaHistory"}, []string{history + ".file.filename", "A value is required"}},
		{[]string{history, "io.debezium.storage.redis.history.RedisSchemaHistory"}, []string{history, "not supported yet: io.debezium.storage.redis.history.RedisSchemaHistory; use"}},
		{[]string{"internal." + history + ".ddl.filter", "DROP (.*"}, []string{"internal." + history + ".ddl.filter", "is not a regular expression"}},
		{[]string{"snapshot.select.statement.overrides", "a.b"}, []string{"snapshot.select.statement.overrides", "snapshot.select.statement.overrides.a.b is not given"}},
	} {
		expect(t, problems(t, Factory{}, plainConfig(c.pairs...)), c.want...)
	}
	for _, c := range []struct {
		pairs []string
		want  []string
	}{
		{[]string{"database.ssl.mode", "preferred"}, []string{"database.ssl.mode", "Value must be one of disable, trust, verify-ca, verify-full"}},
	} {
		expect(t, problems(t, Factory{MariaDB: true}, plainConfig(c.pairs...)), c.want...)
	}
}

// TestSeveralProblems has values of which the reference says two things; recorded of Debezium 3.6.1.
func TestSeveralProblems(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       []string
	}{
		{"database.server.id", "x", []string{"A long value is expected", "A positive, non-zero long value is expected"}},
		{"binlog.net.write.timeout", "x", []string{"A long value is expected", "A non-negative long value is expected"}},
		{"connect.timeout.ms", "x", []string{"An integer is expected", "A positive, non-zero integer value is expected"}},
		{"min.row.count.to.stream.results", "x", []string{"An integer is expected", "A non-negative long value is expected"}},
		{"min.row.count.to.stream.results", "-1", []string{"A non-negative long value is expected"}},
		{"connect.keep.alive", "x", []string{"Either 'true' or 'false' is expected", "Either 'true' or 'false' is expected"}},
		{"include.query", "x", []string{"Either 'true' or 'false' is expected"}},
		{"snapshot.locking.mode", "shared", []string{"Must be a valid snapshot.locking.mode value", "Value must be one of minimal, minimal_percona, custom, none, minimal_percona_no_table_locks, extended"}},
		{"schema.history.internal", "a b", []string{"A Java class name is expected"}},
		{"schema.history.internal", "", []string{"A Java class name is expected"}},
		{"message.key.columns", "a.b", []string{`a.b has an invalid format (expecting '^\s*([^:]+):([^:,]+(,[^:,]+)*)\s*$')`}},
		{"snapshot.fetch.size", "-1", []string{"An non-negative integer is expected"}},
		{"poll.interval.ms", "-1", []string{"A positive, non-zero integer value is expected"}},
	} {
		var got []string
		for _, v := range checkKeys(plainConfig(c.key, c.value), flavorMySQL) {
			for _, e := range v.Errors {
				got = append(got, strings.TrimPrefix(e, "The '"+c.key+"' value is invalid: "))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s=%s: got %q, want %q", c.key, c.value, got, c.want)
		}
	}
}

// TestHarmlessValues has the keys that a configuration of the reference often spells out.
func TestHarmlessValues(t *testing.T) {
	c := plainConfig("max.queue.size", "16384", "max.batch.size", "4096", "poll.interval.ms", "10", "snapshot.fetch.size", "2000", "database.jdbc.driver", "com.mysql.cj.jdbc.Driver",
		"provide.transaction.metadata", "false", "signal.enabled.channels", "source", "database.server.id.offset", "100", "ddl.parser.type", "legacy", "binlog.buffer.size", "1000",
		"schema.history.internal.producer.security.protocol", "SASL_SSL", "schema.history.internal.consumer.sasl.jaas.config", secret, "database.ssl.keystore.password", secret,
		"schema.history.internal.connector.id", "x", "min.row.count.to.stream.results", "0", "use.nongraceful.disconnect", "true", "event.processing.failure.handling.mode", "fail")
	values := checkKeys(c, flavorMySQL)
	if got := connectors.Errors(values); len(got) > 0 {
		t.Error(got)
	}
	for _, v := range values {
		if strings.Contains(v.Text(), secret) {
			t.Errorf("%s shows its value", v.Name)
		}
	}
}

// TestDefinitionIsConsistent: names once, everything documented, every default valid.
func TestDefinitionIsConsistent(t *testing.T) {
	for _, f := range []flavor{flavorMySQL, flavorMariaDB} {
		seen := map[string]bool{}
		for _, k := range definition(f).Keys {
			if seen[k.Name] {
				t.Errorf("%s: key %s is defined twice", f, k.Name)
			}
			seen[k.Name] = true
			if k.Doc == "" || k.Importance == "" || k.Type == "" {
				t.Errorf("%s: key %s lacks doc, importance or type", f, k.Name)
			}
			if k.Default != "" && !k.Prefix {
				if got := connectors.Errors(checkKeys(plainConfig(k.Name, k.Default), f)); len(got) > 0 {
					t.Errorf("%s: the default of %s is not valid: %q", f, k.Name, got)
				}
			}
		}
	}
}

// recordedKey is what the reference says of a key.
type recordedKey struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Default     *string  `json:"default_value"`
	Importance  string   `json:"importance"`
	Group       string   `json:"group"`
	Order       int      `json:"order_in_group"`
	Width       string   `json:"width"`
	Display     string   `json:"display_name"`
	Dependents  []string `json:"dependents"`
	Recommended []string `json:"recommended_values"`
	Visible     *bool    `json:"visible"`
}

// TestDefinitionOfTheReference compares the definition with the recorded one, key by key and in order.
func TestDefinitionOfTheReference(t *testing.T) {
	file, err := os.Open("testdata/keys.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	listed := slices.DeleteFunc(slices.Clone(definition(flavorMySQL).Keys), func(k connectors.Key) bool { return k.Own || k.Prefix })
	at := 0
	for lines := bufio.NewScanner(file); lines.Scan(); at++ {
		var want recordedKey
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		if at >= len(listed) || listed[at].Name != want.Name {
			t.Fatalf("key %d is not %s", at, want.Name)
		}
		k := listed[at]
		got := recordedKey{
			Name: k.Name, Type: string(k.Type), Importance: k.Importance, Group: k.Group, Order: k.Order, Width: k.Width, Display: k.Display,
			Dependents: k.Dependents, Recommended: k.Recommended, Visible: want.Visible,
		}
		if k.HasDefault {
			got.Default = &k.Default
		}
		if want.Visible != nil {
			visible := !k.Invisible
			got.Visible = &visible
		}
		if got.Width == "" {
			got.Width = "NONE"
		}
		if a, b := canonical(t, got), canonical(t, want); a != b {
			t.Errorf("key %s\n got %s\nwant %s", k.Name, a, b)
		}
	}
	if at != len(listed) {
		t.Errorf("%d keys, the reference has %d", len(listed), at)
	}
}

func canonical(t *testing.T, k recordedKey) string {
	t.Helper()
	if len(k.Dependents) == 0 {
		k.Dependents = nil
	}
	if len(k.Recommended) == 0 {
		k.Recommended = nil
	}
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDefinitionOfMariaDB has what distinguishes the two.
func TestDefinitionOfMariaDB(t *testing.T) {
	keys := map[flavor]map[string]connectors.Key{}
	for _, f := range []flavor{flavorMySQL, flavorMariaDB} {
		keys[f] = map[string]connectors.Key{}
		for _, k := range definition(f).Keys {
			k.Check, k.Show = nil, nil
			keys[f][k.Name] = k
		}
	}
	var only []string
	for name := range keys[flavorMySQL] {
		if _, ok := keys[flavorMariaDB][name]; !ok {
			only = append(only, name)
		}
	}
	slices.Sort(only)
	if got := strings.Join(only, " "); got != "database.jdbc.driver database.protocol ddl.parser.type" {
		t.Errorf("only MySQL's: %s", got)
	}
	for name := range maps.Keys(keys[flavorMariaDB]) {
		if _, ok := keys[flavorMySQL][name]; !ok {
			t.Errorf("only MariaDB's: %s", name)
		}
	}
	if k := keys[flavorMariaDB]["database.ssl.mode"]; k.Default != "disable" || k.Group != "MariaDB" || k.Order != 14 {
		t.Errorf("database.ssl.mode: %+v", k)
	}
	if k := keys[flavorMariaDB]["sourceinfo.struct.maker"]; k.Default != "io.debezium.connector.mariadb.MariaDbSourceInfoStructMaker" {
		t.Errorf("sourceinfo.struct.maker: %+v", k)
	}
}
