package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/clickhouse"
	"github.com/freshet-io/freshet/connectors/elasticsearch"
	"github.com/freshet-io/freshet/connectors/file"
	"github.com/freshet-io/freshet/connectors/kafka"
	"github.com/freshet-io/freshet/connectors/mysql"
	"github.com/freshet-io/freshet/connectors/postgres"
	"github.com/freshet-io/freshet/connectors/timescaledb"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/avro"
	"github.com/freshet-io/freshet/converters/bytes"
	"github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/converters/jsonschema"
	"github.com/freshet-io/freshet/converters/number"
	"github.com/freshet-io/freshet/converters/protobuf"
	text "github.com/freshet-io/freshet/converters/string"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/kafkastore"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/deadletter"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/metrics"
)

// program is everything that this binary can do. The lists below are the only place that knows all of it.
type program struct {
	pool       *kafkaclient.Pool // connections shared by sinks and offset stores
	executable string            // of this program, for connectors in processes of their own
}

func newProgram() *program {
	path, err := os.Executable()
	if err != nil {
		path = os.Args[0] // what cannot be started is told when it is
	}
	return &program{pool: &kafkaclient.Pool{}, executable: path}
}

func (p *program) sources() []connectors.SourceFactory {
	return []connectors.SourceFactory{
		postgres.Factory{Version: versionText()},
		mysql.Factory{Version: versionText()},
		mysql.Factory{Version: versionText(), MariaDB: true},
		file.Sources{Version: versionText()},
		&kafka.Sources{Converters: p.converters(), Pool: p.pool, Version: versionText()},
	}
}

func (p *program) sinks() []connectors.SinkFactory {
	return []connectors.SinkFactory{
		&kafka.Factory{Converters: p.converters(), Pool: p.pool, Version: versionText()},
		file.Sinks{Version: versionText(), Converters: p.converters()},
		timescaledb.Factory{Version: versionText()},
		clickhouse.Factory{Version: versionText()},
		elasticsearch.Factory{Version: versionText()},
	}
}

func (p *program) converters() converters.Set {
	set := converters.Set{json.Kind(), text.Kind(), bytes.Kind(), avro.Kind(), jsonschema.Kind(), protobuf.Kind()}
	return append(set, number.Kinds()...)
}

// deadLetters keep what tasks could not process.
func (p *program) deadLetters() *deadletter.Queues {
	return &deadletter.Queues{Converters: p.converters(), Pool: p.pool}
}

// plugins are what configurations name beside connectors. Headers are written as text, as both of these do.
func (p *program) plugins() []runtime.Plugin {
	out := []runtime.Plugin{
		{Class: "org.apache.kafka.connect.storage.SimpleHeaderConverter", Type: runtime.HeaderConverterPlugin, Version: converters.Reference},
		{Class: text.Class, Type: runtime.HeaderConverterPlugin, Version: converters.Reference, Config: text.Kind().Config},
	}
	for _, k := range p.converters() {
		out = append(out, runtime.Plugin{Class: k.Class, Aliases: k.Aliases, Type: runtime.ConverterPlugin, Version: cmp.Or(k.Version, converters.Reference), Config: k.Config})
	}
	return out
}

func (p *program) catalog() *runtime.Catalog {
	return runtime.NewCatalog(p.sources(), p.sinks(), p.plugins()...)
}

// offline is a catalog for a validation that connects to nothing.
func offline(c *runtime.Catalog) *runtime.Catalog {
	c = c.Map(func(f connectors.Factory) connectors.Factory {
		switch f := f.(type) {
		case connectors.SourceFactory:
			return offlineSource{f}
		case connectors.SinkFactory:
			return offlineSink{f}
		}
		return f
	})
	c.Isolate = func(f connectors.Factory, _ int64) connectors.Factory { return f } // no task is started
	return c
}

// offlineSource checks the keys only.
type offlineSource struct{ connectors.SourceFactory }

// Validate implements connectors.Factory.
func (f offlineSource) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	return connectors.CheckKeys(f.SourceFactory, c)
}

// offlineSink checks the keys only.
type offlineSink struct{ connectors.SinkFactory }

// Validate implements connectors.Factory.
func (f offlineSink) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	return connectors.CheckKeys(f.SinkFactory, c)
}

// kafkaStore opens offsets in a topic, with the worker's client properties.
func (p *program) kafkaStore(ctx context.Context, worker connectors.Config, topic string) (offsets.Store, error) {
	config, err := kafkaclient.Parse(worker)
	if err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read Kafka client properties of the worker: %w", err))
	}
	o, err := kafkastore.WorkerOptions(worker)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	if o.Session, err = p.pool.Open(ctx, config); err != nil {
		return nil, classify(err)
	}
	o.Config, o.Topic, o.Logger, o.Later = config, strings.TrimSpace(topic), slog.Default(), true
	store, err := kafkastore.Open(ctx, o)
	if err != nil {
		o.Session.Close()
		return nil, classify(err)
	}
	return &sessionStore{store, o.Session}, nil
}

// classify marks what no later attempt can mend.
func classify(err error) error {
	if kafkaclient.Permanent(err) {
		return connectors.AsPermanent(err)
	}
	return err
}

// sessionStore closes the session together with the store.
type sessionStore struct {
	offsets.Store
	session *kafkaclient.Session
}

// Close implements offsets.Store.
func (s *sessionStore) Close() error {
	err := s.Store.Close()
	s.session.Close()
	return err
}

// extra is what a worker serves beside Connect's API.
func extra(w *runtime.Worker, h *herder.Herder) map[string]http.Handler {
	return metrics.Handlers(metrics.Options{Worker: w, Cluster: h.Stats, Version: versionText()})
}
