package kafka

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

func TestConformance(t *testing.T) {
	// The first fetch of the process starts sarama's one ticker of metrics, which never ends.
	warm, _ := start(t, nil, settings(cluster(t, kfake.SeedTopics(1, "a")), true))
	put(t, warm, batch(1, stream("a"), "k=1"))
	flush(t, warm)
	if _, err := warm.(connectors.OffsetKeeper).Progress(limit(t)); err != nil {
		t.Fatal(err)
	}
	if err := warm.Stop(limit(t)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ exactly, process bool }{{false, false}, {true, false}, {true, true}} {
		t.Run(fmt.Sprintf("exactly once=%t/process=%t", c.exactly, c.process), func(t *testing.T) {
			var servers string
			connectortest.RunSink(t, connectortest.SinkHarness{
				ExactlyOnce: c.exactly,
				// A connection of the reader below may be closed only when it is collected.
				Target: []goleak.Option{
					goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read"),
					goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).write"),
				},
				New: func(t *testing.T) func() connectors.SinkTask {
					servers = cluster(t, kfake.SeedTopics(1, "feed"))
					f := &Factory{Converters: converters.Set{json.Kind()}, Pool: &kafkaclient.Pool{}}
					s := settings(servers, c.exactly)
					s.Worker["key.converter"], s.Worker["value.converter"] = json.Class, json.Class
					s.Worker["key.converter.schemas.enable"] = "false"
					return func() connectors.SinkTask {
						task, err := plugintest.Sink(t, f, c.process).NewSink(nil, s)
						if err != nil {
							t.Fatal(err)
						}
						return task
					}
				},
				Read: func(t *testing.T) []int {
					var out []int
					for _, r := range read(t, servers, "feed") {
						n, err := strconv.Atoi(string(r.Key[len(`{"n":`) : len(r.Key)-1]))
						if err != nil {
							t.Fatal(err)
						}
						out = append(out, n)
					}
					return out
				},
			})
		})
	}
}
