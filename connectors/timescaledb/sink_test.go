package timescaledb

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/plugins/plugintest"
	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) {
	if plugintest.Serve(Factory{}) {
		os.Exit(0)
	}
	os.Exit(bed.Main(m))
}

// settings is a configuration for a database of the shared server.
func settings(p *testbed.Postgres, database string, more ...string) connectors.Config {
	c := connectors.Config{
		keyURL: "jdbc:postgresql://" + p.Address() + "/" + database + "?sslmode=disable", keyUser: testbed.PostgresUser, keyPassword: testbed.PostgresPassword,
	}
	for i := 0; i+1 < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	return c
}

func newTask(t testing.TB, c connectors.Config) connectors.SinkTask {
	t.Helper()
	return newTaskOf(t, Factory{}, c)
}

func newTaskOf(t testing.TB, f connectors.SinkFactory, c connectors.Config) connectors.SinkTask {
	t.Helper()
	task, err := f.NewSink(c, connectors.Settings{Connector: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func exists(t *testing.T, conn *pgx.Conn, table string) (there bool) {
	t.Helper()
	if err := conn.QueryRow(context.Background(), "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
		t.Fatal(err)
	}
	return there
}

// made is a task that goes on with what an earlier one held.
func made(t *testing.T, c connectors.Config, claim string) connectors.SinkTask {
	t.Helper()
	task, err := Factory{}.NewSink(c, connectors.Settings{Connector: "orders", Claim: claim})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// Not parallel: it looks for goroutines that are left behind.
func TestConformance(t *testing.T) {
	server := bed.Postgres(t)
	for name, more := range map[string][]string{
		"upsert":   nil,
		"process":  nil,
		"insert":   {keyInsert, "insert", keyKeyMode, "none", keyDelete, "false"},
		"append":   {keyMode, modeAppend},
		"oneByOne": {keyBatch, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			var database string
			connectortest.RunSink(t, connectortest.SinkHarness{
				New: func(t *testing.T) func() connectors.SinkTask {
					database = server.NewDatabase(t)
					return func() connectors.SinkTask {
						return newTaskOf(t, plugintest.Sink(t, Factory{}, name == "process"), settings(server, database, more...))
					}
				},
				Read: func(t *testing.T) []int {
					conn := server.Connect(t, database)
					if !exists(t, conn, "public.feed") {
						return nil // it was stopped before it made the table
					}
					rows, err := conn.Query(context.Background(), "SELECT n FROM public.feed ORDER BY n")
					if err != nil {
						t.Fatal(err)
					}
					out, err := pgx.CollectRows(rows, pgx.RowTo[int])
					if err != nil {
						t.Fatal(err)
					}
					return out
				},
				ExactlyOnce: true,
				Mirror:      name != "insert" && name != "append",
				Topics:      name != "insert",
				Stick: func(t *testing.T) func() {
					tx, err := server.Connect(t, database).Begin(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					if _, err := tx.Exec(context.Background(), "LOCK TABLE public.feed IN ACCESS EXCLUSIVE MODE"); err != nil {
						t.Fatal(err)
					}
					return func() { _ = tx.Rollback(context.Background()) }
				},
			})
		})
	}
}
