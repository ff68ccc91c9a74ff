package postgres

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// problems returns the error texts of a validation, each after its key.
func problems(t *testing.T, c connectors.Config) []string {
	t.Helper()
	var out []string
	for _, v := range (Factory{}).Validate(t.Context(), c) {
		for _, e := range connectors.Errors([]connectors.ConfigValue{v}) {
			out = append(out, v.Name+": "+e)
		}
	}
	for _, text := range out {
		if p := c["database.password"]; p != "" && p != testbed.PostgresPassword && strings.Contains(text, p) {
			t.Errorf("the password is in %q", text)
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
	c := connectors.Config{"topic.prefix": "p", "database.hostname": "localhost", "database.user": "u", "database.dbname": "d"}
	for i := 0; i+1 < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return c
}

func TestValidateKeys(t *testing.T) {
	for _, c := range []struct {
		pairs []string
		want  []string
	}{
		{[]string{"topic.prefix", "a/b"}, []string{"topic.prefix: The 'topic.prefix' value is invalid", "only the underscore, hyphen"}},
		{[]string{"topic.prefix", ""}, []string{"topic.prefix", "A value is required"}},
		{[]string{"database.hostname", " "}, []string{"database.hostname", "A value is required"}},
		{[]string{"database.port", "70000"}, []string{"database.port", "between 1 and 65535"}},
		{[]string{"slot.name", "My-Slot"}, []string{"slot.name", "only digits, lowercase characters and underscores"}},
		{[]string{"slot.name", ""}, []string{"slot.name", "only digits, lowercase characters and underscores"}},
		{[]string{"publication.name", " "}, []string{"publication.name", "1 to 63 bytes"}},
		{[]string{"status.update.interval.ms", ""}, []string{"status.update.interval.ms", "A positive, non-zero integer"}},
		{[]string{"snapshot.max.threads", "0"}, []string{"snapshot.max.threads", "A positive, non-zero integer value is expected"}},
		{[]string{"snapshot.max.threads.multiplier", "-1"}, []string{"snapshot.max.threads.multiplier", "A positive, non-zero integer value is expected"}},
		{[]string{"plugin.name", "decoderbufs"}, []string{"plugin.name", "only pgoutput"}},
		{[]string{"plugin.name", "wal2json"}, []string{"plugin.name", "Value must be one of decoderbufs, pgoutput"}},
		{[]string{"table.include.list", "a.b", "table.exclude.list", "c.d"}, []string{"table.exclude.list", `"table.include.list" is already specified`}},
		{[]string{"table.include.list", "a.(b"}, []string{"table.include.list", "Unclosed group near index 4\na.(b"}},
		{[]string{"message.key.columns", "a.b"}, []string{"message.key.columns", `a.b has an invalid format (expecting '^\s*([^:]+):([^:,]+(,[^:,]+)*)\s*$')`}},
		{[]string{"snapshot.mode", "sometimes"}, []string{"snapshot.mode", "Value must be one of"}},
		{[]string{"snapshot.mode", "custom"}, []string{"snapshot.mode", "not supported yet: custom"}},
		{[]string{"time.precision.mode", "structured"}, []string{"time.precision.mode", "Value must be one of"}},
		{[]string{"signal.data.collection", "public.signals"}, []string{"signal.data.collection", "not supported yet: signals"}},
		{[]string{"signal.kafka.topic", "s"}, []string{"signal.kafka.topic", "not supported yet: signals"}},
		{[]string{"post.processors", "reselector"}, []string{"post.processors", "not supported yet"}},
		{[]string{"skipped.operations", "x"}, []string{"skipped.operations", "Invalid operation"}},
		{[]string{"column.mask.hash.CRC.with.salt.xyzzy", "a.b.c"}, []string{"column.mask.hash.", "not supported"}},
		{[]string{"column.mask.with.x.chars", "a.b.c"}, []string{"column.mask.with.x.chars", "not a number"}},
		{[]string{"unavailable.value.placeholder", "hex:zz"}, []string{"unavailable.value.placeholder", "hexadecimal"}},
		{[]string{"replica.identity.autoset.values", "a.b:MAYBE"}, []string{"replica.identity.autoset.values", "a.b:MAYBE has an invalid format"}},
		{[]string{"slot.stream.params", "x"}, []string{"slot.stream.params", "name=value"}},
		{[]string{"snapshot.select.statement.overrides", "a.b"}, []string{"snapshot.select.statement.overrides", "snapshot.select.statement.overrides.a.b is not given"}},
		{[]string{"database.sslrootcert", "/does/not/exist"}, []string{"database.hostname", "read database.sslrootcert", "no such file"}},
	} {
		expect(t, problems(t, plainConfig(c.pairs...)), c.want...)
	}
}

// TestHarmlessValues has the keys that a configuration of the reference often spells out.
func TestHarmlessValues(t *testing.T) {
	c := plainConfig("max.queue.size", "16384", "max.batch.size", "4096", "poll.interval.ms", "10", "snapshot.fetch.size", "2000", "plugin.name", "pgoutput",
		"provide.transaction.metadata", "false", "signal.enabled.channels", "source", "snapshot.isolation.mode", "repeatable_read", "queue.provider.type", "memory",
		"custom.metric.tags", "a=b", "openlineage.integration.enabled", "false", "lsn.flush.timeout.action", "warn", "event.processing.failure.handling.mode", "fail")
	if got := connectors.Errors(checkKeys(c)); len(got) > 0 {
		t.Error(got)
	}
}

// TestDefinitionIsConsistent: names once, everything documented, every default valid.
func TestDefinitionIsConsistent(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range definition().Keys {
		if seen[k.Name] {
			t.Errorf("key %s is defined twice", k.Name)
		}
		seen[k.Name] = true
		if k.Doc == "" || k.Importance == "" || k.Type == "" {
			t.Errorf("key %s lacks doc, importance or type", k.Name)
		}
		if k.Default != "" && !k.Prefix {
			if got := connectors.Errors(checkKeys(plainConfig(k.Name, k.Default))); len(got) > 0 {
				t.Errorf("the default of %s is not valid: %q", k.Name, got)
			}
		}
	}
}

func TestValidateConnection(t *testing.T) {
	server := bed.Postgres(t)
	database := server.NewDatabase(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, closed, _ := net.SplitHostPort(listener.Addr().String())
	_ = listener.Close()
	for name, c := range map[string]struct {
		pairs []string
		want  []string
	}{
		"refused":  {[]string{"database.hostname", "127.0.0.1", "database.port", closed}, []string{"database.hostname: Error while validating connector config", "connection refused", "check database.hostname and database.port"}},
		"host":     {[]string{"database.hostname", "no-such-host.invalid"}, []string{"no-such-host.invalid", "cannot be resolved", "check database.hostname"}},
		"password": {[]string{"database.password", "not-the-password"}, []string{"password authentication failed", "check database.user and database.password"}},
		"user":     {[]string{"database.user", "nobody_here"}, []string{"nobody_here", "check database.user"}},
		"database": {[]string{"database.dbname", "not_there"}, []string{`database "not_there" does not exist`, "check database.dbname"}},
		"tls":      {[]string{"database.sslmode", "require"}, []string{"database.sslmode"}},
		"disabled": {[]string{"publication.autocreate.mode", "disabled"}, []string{"publication.name: publication dbz_publication does not exist", "CREATE PUBLICATION"}},
		"nothing":  {[]string{"publication.autocreate.mode", "filtered", "table.include.list", "public.none"}, []string{"table.include.list", "no table of database " + database, "filtered"}},
		"fine":     {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, properties(server, database, c.pairs...))
			if c.want == nil {
				if len(got) > 0 {
					t.Error(got)
				}
				return
			}
			expect(t, got, c.want...)
		})
	}
}

func TestValidateRights(t *testing.T) {
	server := bed.Postgres(t)
	database := server.NewDatabase(t)
	user := "user_" + database
	server.Exec(t, database, "CREATE TABLE hers (id int PRIMARY KEY)", "CREATE ROLE "+user+" LOGIN PASSWORD 'wonder-secret'")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), server.DSN(database))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		_, _ = conn.Exec(context.Background(), "DROP OWNED BY "+user)
		_, _ = conn.Exec(context.Background(), "DROP ROLE "+user)
	})
	c := properties(server, database, "database.user", user, "database.password", "wonder-secret")
	got := problems(t, c)
	for _, want := range []string{"database.user: user " + user + " may not replicate", "publication.name: publication dbz_publication does not exist, and user " + user + " may not create it", "public.hers"} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	server.Exec(t, database, "ALTER ROLE "+user+" REPLICATION", "GRANT SELECT ON hers TO "+user, "GRANT CREATE ON DATABASE "+database+" TO "+user)
	filtered := maps.Clone(c)
	filtered["publication.autocreate.mode"] = "filtered"
	expect(t, problems(t, filtered), "publication.name", "does not own", "public.hers")
	server.Exec(t, database, "CREATE PUBLICATION dbz_publication FOR ALL TABLES")
	if got := problems(t, c); len(got) > 0 {
		t.Error(got)
	}
}

func TestValidateWalLevel(t *testing.T) {
	server := testbed.StartPostgres(t, "wal_level=replica")
	expect(t, problems(t, properties(server, "postgres")), "database.hostname", "wal_level=replica", "ALTER SYSTEM SET wal_level")
}

func TestValidateSlot(t *testing.T) {
	server := bed.Postgres(t)
	database := server.NewDatabase(t)
	slot := "slot_" + database
	c := properties(server, database, "slot.name", slot)
	server.Exec(t, database, fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'test_decoding')", slot))
	expect(t, problems(t, c), "slot.name", slot, "test_decoding")
	server.Exec(t, database, fmt.Sprintf("SELECT pg_drop_replication_slot('%s')", slot), fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", slot))
	if got := problems(t, c); len(got) > 0 {
		t.Error(got)
	}
}
