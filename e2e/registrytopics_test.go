package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/converters/jsonschema"
	"github.com/freshet-io/freshet/converters/protobuf"
	"github.com/freshet-io/freshet/testbed"
)

// TestJSONSchemaThroughTopics: as throughTopics, with JSON.
func TestJSONSchemaThroughTopics(t *testing.T) {
	t.Parallel()
	throughTopics(t, map[string]string{"": jsonschema.Class}, func(payload []byte) bool { return payload[0] == '{' })
}

// TestProtobufThroughTopics: as throughTopics, with Protobuf; the index of the message is behind the id.
func TestProtobufThroughTopics(t *testing.T) {
	t.Parallel()
	throughTopics(t, map[string]string{"": protobuf.Class, "optional.for.nullables": "true", "enhanced.protobuf.schema.support": "true"},
		func(payload []byte) bool { return payload[0] == 0 })
}

// throughTopics: changes of a Postgres go into topics, with their schemas in a registry, and from there into a table: zeros and NULLs, a new
// column and deletes are there as in the source. converter has the class ("") and the keys of the converter; payload says what follows the id.
func throughTopics(t *testing.T, converter map[string]string, payload func([]byte) bool) {
	t.Helper()
	k, pg, registry := bed.Kafka(t), bed.Postgres(t), bed.Registry(t)
	from, to := pg.NewDatabase(t), pg.NewDatabase(t)
	pg.Exec(t, from, `CREATE TABLE bets (id int PRIMARY KEY, horse text, stake numeric(10,2) NOT NULL, odds float8, won boolean, races bigint, lane smallint, seal bytea);
INSERT INTO bets SELECT i, 'h' || i, i, i / 4.0, i % 2 = 0, i * 10000000000, i % 3, '\x00ff' FROM generate_series(1, 50) i;
INSERT INTO bets VALUES (0, '', 0, 0, false, 0, 0, ''), (-1, NULL, -0.01, NULL, NULL, NULL, NULL, NULL)`)
	dir := t.TempDir()
	text := "bootstrap.servers=" + k.Bootstrap() + "\noffset.storage.file.filename=" + dir + "/offsets\n"
	for _, which := range []string{"key", "value"} {
		text += which + ".converter.schema.registry.url=" + registry.URL() + "\n"
		for key, value := range converter {
			text += strings.TrimSuffix(which+".converter."+key, ".") + "=" + value + "\n"
		}
	}
	topic := "t" + from + ".public.bets"
	source := pg.Connector(from, "source-"+from, map[string]string{"producer.override.bootstrap.servers": k.Bootstrap()})
	sink := map[string]string{
		"name": "sink-" + from, "connector.class": "TimescaleDbSinkConnector", "topics": topic,
		"connection.url": "jdbc:postgresql://" + pg.Address() + "/" + to + "?sslmode=disable", "connection.username": testbed.PostgresUser, "connection.password": testbed.PostgresPassword,
	}
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, source), testbed.WriteConnector(t, dir, sink), "-c", testbed.WriteFile(t, dir, "w.properties", text))
	a, b := pg.Connect(t, from), pg.Connect(t, to)
	rows := func(conn *pgx.Conn) string {
		found, err := conn.Query(t.Context(), "SELECT to_jsonb(b)::text FROM public.bets b ORDER BY id")
		if err != nil {
			return err.Error() // there may be no table yet
		}
		out, err := pgx.CollectRows(found, pgx.RowTo[string])
		if err != nil {
			return err.Error()
		}
		return strings.Join(out, "\n")
	}
	equal := func() {
		t.Helper()
		testbed.Eventually(t, func() string { return "source:\n" + rows(a) + "\ntarget:\n" + rows(b) + "\n" + p.Output() }, func() bool { return rows(a) == rows(b) })
	}
	equal()
	pg.Exec(t, from, `UPDATE bets SET stake = stake + 0.5, horse = NULL WHERE id % 2 = 0; DELETE FROM bets WHERE id % 5 = 1; UPDATE bets SET id = id + 100 WHERE id = 2;
ALTER TABLE bets ADD COLUMN state text; INSERT INTO bets (id, stake, state) VALUES (60, 1, 'new')`)
	equal()
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Output())
	}
	var versions []int
	if err := json.Unmarshal([]byte(registryCall(t, "GET", registry.URL()+"/subjects/"+topic+"-value/versions", "")), &versions); err != nil || len(versions) != 2 {
		t.Errorf("versions of the value's schema: %v (%v), want 2", versions, err)
	}
	for _, r := range k.Read(t, topic) {
		if r.Value != nil && (len(r.Value) < 6 || r.Value[0] != 0 || !payload(r.Value[5:])) {
			t.Fatalf("a value does not begin with the id of its schema and what follows it: %x", r.Value)
		}
	}
}
