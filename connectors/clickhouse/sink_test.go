package clickhouse

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

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
func settings(s *testbed.ClickHouse, database string, more ...string) connectors.Config {
	host, port, _ := strings.Cut(s.Address(), ":")
	c := connectors.Config{keyHost: host, keyPort: port, keyDatabase: database, keyUser: testbed.ClickHouseUser, keyPassword: testbed.ClickHousePassword}
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
	task, err := f.NewSink(c, connectors.Settings{Connector: "orders", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), RunID: strconv.FormatInt(runs.Add(1), 10)})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// Not parallel: it looks for goroutines that are left behind.
func TestConformance(t *testing.T) {
	server := bed.ClickHouse(t)
	for name, more := range map[string][]string{
		"mirror":   nil,
		"process":  nil,
		"append":   {keyMode, "append"},
		"oneByOne": {keyRows, "1", keyInterval, "0"},
		"zstd":     {keyCompression, "zstd"},
	} {
		t.Run(name, func(t *testing.T) {
			var database string
			gate := connectortest.NewGate(t, server.Address())
			through := strings.Split(gate.Address(), ":")
			more = append(more, keyHost, through[0], keyPort, through[1])
			connectortest.RunSink(t, connectortest.SinkHarness{
				New: func(t *testing.T) func() connectors.SinkTask {
					database = server.NewDatabase(t)
					return func() connectors.SinkTask {
						return newTaskOf(t, plugintest.Sink(t, Factory{}, name == "process"), settings(server, database, more...))
					}
				},
				Read: func(t *testing.T) []int {
					if strings.TrimSpace(server.Query(t, database, "EXISTS TABLE feed")) == "0" {
						return nil // it was stopped before it made the table
					}
					var out []int
					for line := range strings.Lines(server.Query(t, database, "SELECT n FROM feed FINAL ORDER BY n")) {
						n, err := strconv.Atoi(strings.TrimSpace(line))
						if err != nil {
							t.Fatal(err)
						}
						out = append(out, n)
					}
					return out
				},
				ExactlyOnce: true,
				Mirror:      name != "append",
				Topics:      true,
				Stick:       func(*testing.T) func() { return gate.Stick() },
				Target:      []goleak.Option{goleak.IgnoreAnyFunction("github.com/freshet-io/freshet/connectors/connectortest.(*Gate).pass")},
			})
		})
	}
}
