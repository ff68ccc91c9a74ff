package kafka

import (
	"context"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	plain "github.com/freshet-io/freshet/converters/string"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

func sources() *Sources {
	return &Sources{Converters: converters.Set{json.Kind(), plain.Kind()}, Pool: &kafkaclient.Pool{}}
}

func sourceSettings(servers string, extra ...string) connectors.Settings {
	s := settings(servers, false, extra...)
	s.Worker["key.converter"], s.Worker["value.converter"] = plain.Class, plain.Class
	return s
}

func newSource(t testing.TB, c connectors.Config, s connectors.Settings) connectors.SourceTask {
	t.Helper()
	task, err := sources().NewSource(c, s)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func produce(t testing.TB, servers string, rs ...*kgo.Record) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(limit(t), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestSourceKeepsTheContract(t *testing.T) {
	servers := cluster(t, kfake.SeedTopics(1, "in"))
	// The first fetch of the process starts sarama's one ticker of metrics, which never ends.
	warm := newSource(t, connectors.Config{"topics": "in"}, sourceSettings(servers))
	produce(t, servers, &kgo.Record{Topic: "in", Value: []byte("1")})
	if err := warm.Start(limit(t), alone{}); err != nil {
		t.Fatal(err)
	}
	if _, err := warm.Poll(limit(t)); err != nil {
		t.Fatal(err)
	}
	if err := warm.Stop(limit(t)); err != nil {
		t.Fatal(err)
	}
	connectortest.RunSource(t, connectortest.SourceHarness{
		New: func(t *testing.T) func() connectors.SourceTask {
			servers = cluster(t, kfake.SeedTopics(1, "in"))
			return func() connectors.SourceTask {
				return newSource(t, connectors.Config{"topics": "in"}, sourceSettings(servers))
			}
		},
		Write: func(t *testing.T, from, to int) {
			var rs []*kgo.Record
			for n := from; n <= to; n++ {
				rs = append(rs, &kgo.Record{Topic: "in", Value: []byte(strconv.Itoa(n))})
			}
			produce(t, servers, rs...)
		},
		Number: func(b *connectors.Batch, r *connectors.Record) int {
			n, err := strconv.Atoi(b.Bodies[r.Value-1].Value.Value.(string))
			if err != nil {
				t.Error(err)
			}
			return n
		},
	})
}

// alone is a session of a source without a runtime.
type alone struct{ connectors.SourceSession }

func (alone) NewBatch(_ context.Context, p offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(p, nil, nil), nil
}
func (alone) Offsets(context.Context, ...offsets.Partition) ([]offsets.Entry, error) { return nil, nil }
func (alone) Drain(context.Context, ...offsets.Partition) error                      { return nil }
