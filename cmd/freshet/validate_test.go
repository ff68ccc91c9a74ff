package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/rest"
	"github.com/freshet-io/freshet/runtime/workerconfig"
	"github.com/freshet-io/freshet/testbed"
	player "github.com/freshet-io/freshet/testbed/rest"
)

const golden = "../../testdata/golden/rest"

// serveValidation is a worker of this binary with the REST API, which is alone and has no Kafka.
func serveValidation(t *testing.T) string {
	t.Helper()
	return serveWith(t, newProgram(), nil)
}

// serveWith is such a worker with further properties.
func serveWith(t *testing.T, p *program, more connectors.Config) string {
	t.Helper()
	converter := "org.apache.kafka.connect.json.JsonConverter"
	written := connectors.Config{
		"bootstrap.servers": "localhost:1", "group.id": "g", "config.storage.topic": "c", "offset.storage.topic": "o", "status.storage.topic": "s",
		"key.converter": converter, "value.converter": converter, "listeners": "http://127.0.0.1:0",
	}
	maps.Copy(written, more)
	properties, err := workerconfig.New(written, workerconfig.Distributed)
	if err != nil {
		t.Fatal(err)
	}
	worker := runtime.NewWorker(runtime.Options{
		Catalog: p.catalogFor(t.Context(), properties, slog.New(slog.DiscardHandler)), Store: offsets.NewMemory(), DeadLetters: p.deadLetters(),
		Config: connectors.Config{"bootstrap.servers": "localhost:1", "key.converter": converter, "value.converter": converter},
	})
	configs, statuses := herder.LocalLogs()
	h := herder.New(herder.Options{Worker: worker, Config: configs, Status: statuses, Group: herder.LocalGroup()})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	settings, err := rest.Configure(properties, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(rest.NewAPI(h, settings, rest.Options{}).Handler(true, true))
	t.Cleanup(func() {
		s.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.URL
}

// TestRecordedValidations plays what was recorded of refused configurations, of plugins and of the Postgres connector without a
// database.
func TestRecordedValidations(t *testing.T) {
	player.Play(t, golden, serveValidation(t), "", nil, map[string]string{"PGPORT": "15999"}, "02", "09", "13")
}

// TestRecordedValidationsWithADatabase plays those that look at a server.
func TestRecordedValidationsWithADatabase(t *testing.T) {
	server := testbed.StartPostgres(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE SCHEMA rest; CREATE TABLE rest.t (id int PRIMARY KEY, v text)")
	trustEveryone(t, server)
	host, port, err := net.SplitHostPort(server.Address())
	if err != nil {
		t.Fatal(err)
	}
	player.Play(t, golden, serveValidation(t), "", []string{"postgres"}, map[string]string{
		"PGHOST": host, "PGPORT": port, "PGUSER": testbed.PostgresUser, "PGPASSWORD": testbed.PostgresPassword, "PGDB": database,
	}, "14-debezium-postgres/validate", "14-debezium-postgres/create-bad-db")
}

// trustEveryone makes the server ask nobody for a password, as the recorded one did.
func trustEveryone(t *testing.T, server *testbed.Postgres) {
	t.Helper()
	conn := server.Connect(t, "postgres")
	var file string
	if err := conn.QueryRow(t.Context(), "SHOW hba_file").Scan(&file); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "postgres", "COPY (SELECT 'host all all all trust') TO '"+file+"'", "SELECT pg_reload_conf()")
	config := conn.Config().Copy()
	config.User = "nosuchuser"
	for end := time.Now().Add(30 * time.Second); ; {
		_, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil && strings.Contains(err.Error(), "does not exist") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the server still asks for a password: %v", err)
		}
	}
}

// BenchmarkPluginConfig is GET /connector-plugins/{plugin}/config of the Postgres connector without HTTP.
func BenchmarkPluginConfig(b *testing.B) {
	catalog := newProgram().catalog()
	b.ReportAllocs()
	for b.Loop() {
		infos, err := herder.PluginConfig(catalog, "io.debezium.connector.postgresql.PostgresConnector", "")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := json.Marshal(infos); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkValidate is what creating a connector pays for its validation when no server has to be asked.
func BenchmarkValidate(b *testing.B) {
	w := runtime.NewWorker(runtime.Options{Catalog: newProgram().catalog(), Store: offsets.NewMemory()})
	name, class, topic, path := "n", "FileStreamSource", "t", "/tmp/f"
	p := herder.Properties{"name": &name, "connector.class": &class, "topic": &topic, "file": &path}
	b.ReportAllocs()
	for b.Loop() {
		v, err := herder.Check(context.Background(), w, p, herder.ValidateOptions{})
		if err != nil || v.ErrorCount > 0 {
			b.Fatal(v.Err(), err)
		}
	}
}
