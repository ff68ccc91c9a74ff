package elasticsearch

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
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
	if os.Getenv(stubVariable) != "" {
		stub()
	}
	os.Exit(bed.Main(m))
}

// servers are the products that the tests run against.
func servers(t *testing.T, run func(t *testing.T, server *testbed.Search)) {
	t.Run("Elasticsearch", func(t *testing.T) { run(t, bed.Elasticsearch(t)) })
	t.Run("OpenSearch", func(t *testing.T) { run(t, bed.OpenSearch(t)) })
}

func settings(url string, more ...string) connectors.Config {
	c := connectors.Config{keyURL: url}
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

// numbers are the values of n in the documents of an index.
func numbers(t *testing.T, server *testbed.Search, index string) []int {
	t.Helper()
	out := []int{}
	for id, text := range server.Documents(t, index) {
		var doc struct{ N int }
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("document %s: %v", id, err)
		}
		out = append(out, doc.N)
	}
	slices.Sort(out)
	return out
}

// Not parallel: it looks for goroutines that are left behind.
func TestConformance(t *testing.T) {
	servers(t, func(t *testing.T, server *testbed.Search) {
		for name, more := range map[string][]string{
			"mirror":    nil,
			"process":   nil,
			"oneByOne":  {keyBatch, "1", keyInFlight, "2"},
			"linger":    {keyLinger, "50", keyCompression, "true"},
			"append":    {keyMode, modeAppend},
			"reference": {keyMode, modeReference, keyIgnoreKey, "true"},
		} {
			t.Run(name, func(t *testing.T) {
				var index string
				address, err := url.Parse(server.URL())
				if err != nil {
					t.Fatal(err)
				}
				gate := connectortest.NewGate(t, address.Host)
				address.Host = gate.Address()
				connectortest.RunSink(t, connectortest.SinkHarness{
					New: func(t *testing.T) func() connectors.SinkTask {
						index = server.NewPrefix(t)
						return func() connectors.SinkTask {
							return newTaskOf(t, plugintest.Sink(t, Factory{}, name == "process"), settings(address.String(), append([]string{keyFormat, index}, more...)...))
						}
					},
					Read:        func(t *testing.T) []int { return numbers(t, server, index) },
					ExactlyOnce: true,
					Mirror:      name != "append" && name != "reference",
					Topics:      name != "reference",
					Stick:       func(*testing.T) func() { return gate.Stick() },
					Target:      []goleak.Option{goleak.IgnoreAnyFunction("github.com/freshet-io/freshet/connectors/connectortest.(*Gate).pass")},
				})
			})
		}
	})
}
