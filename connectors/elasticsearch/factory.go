// Package elasticsearch writes changes to Elasticsearch and OpenSearch: documents that equal the source's rows, a document for every
// change, or record values as documents. Cells are written as JSON lines of _bulk requests as a batch is taken; some goroutines per task,
// "lane", send what has gathered for their keys, one request each at a time.
package elasticsearch

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// Factory makes sinks into Elasticsearch and OpenSearch. Stateless.
type Factory struct {
	Version string // of Freshet
}

var _ connectors.SinkFactory = Factory{}

const referenceClass = "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector"

// Describe implements connectors.Factory.
func (f Factory) Describe() connectors.Description {
	return connectors.Description{
		Class:   referenceClass,
		Aliases: []string{"ElasticsearchSinkConnector", "ElasticsearchSink", "OpenSearchSinkConnector", "elasticsearch", "opensearch"},
		Sink:    true, Version: f.Version, Config: definition(), FromTopics: true,
		Doc: "Keeps documents of Elasticsearch and OpenSearch equal to the rows of the source.",
	}
}

// Validate implements connectors.Factory: every key, and when those are in order the cluster.
func (f Factory) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	values, _ := definition().Validate(c)
	if len(connectors.Errors(values)) > 0 {
		return values
	}
	cfg, err := parseConfig(c)
	if err != nil {
		return connectors.Blame(values, err, keyURL)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := cfg.checkCluster(ctx); err != nil {
		return connectors.BlameServer(values, err, keyURL)
	}
	return values
}

// checkCluster connects.
func (cfg *config) checkCluster(ctx context.Context) error {
	client, err := newClient(cfg)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	defer client.close()
	_, err = client.hello(ctx)
	return err
}

// Tasks implements connectors.Factory.
func (f Factory) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSink implements connectors.SinkFactory.
func (f Factory) NewSink(c connectors.Config, s connectors.Settings) (connectors.SinkTask, error) {
	if s.Shared && s.Class == referenceClass && strings.TrimSpace(c[keyMode]) == "" {
		c = maps.Clone(c)
		c[keyMode] = modeReference
	}
	cfg, err := parseConfig(c)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	log := slog.New(slog.DiscardHandler)
	if s.Logger != nil {
		log = s.Logger.With("logger", "freshet.elasticsearch")
	}
	return newSink(cfg, s, log), nil
}
