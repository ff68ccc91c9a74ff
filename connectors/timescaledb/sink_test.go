package timescaledb

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

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
	task, err := Factory{}.NewSink(c, connectors.Settings{Connector: "orders"})
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
		"insert":   {keyInsert, "insert", keyKeyMode, "none", keyDelete, "false"},
		"oneByOne": {keyBatch, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			var database string
			connectortest.RunSink(t, connectortest.SinkHarness{
				New: func(t *testing.T) func() connectors.SinkTask {
					database = server.NewDatabase(t)
					return func() connectors.SinkTask { return newTask(t, settings(server, database, more...)) }
				},
				Read: func(t *testing.T) []int {
					conn := server.Connect(t, database)
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
			})
		})
	}
}
