// Package clickhouse writes changes to tables of ClickHouse over HTTP, in blocks of the Native format. A batch is encoded column by
// column as it is taken; one goroutine per task, "writer", inserts what has piled up, each table's rows in one insert, and sends a
// block again until it is durable. Replays are harmless: a mirror's rows have the change's position as version, and in append mode
// a change that comes again replaces itself (ReplacingMergeTree).
package clickhouse

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// Factory makes sinks into ClickHouse. Stateless.
type Factory struct {
	Version string // of Freshet
}

var _ connectors.SinkFactory = Factory{}

// Describe implements connectors.Factory.
func (f Factory) Describe() connectors.Description {
	return connectors.Description{
		Class:   class,
		Aliases: []string{"ClickHouseSinkConnector", "clickhouse"},
		Sink:    true, FromTopics: true, Version: f.Version, Config: definition(),
		Doc: "Keeps tables of ClickHouse equal to those of the source, or keeps every change.",
	}
}

// Validate implements connectors.Factory: every key, and when those are in order the server.
func (f Factory) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	values, _ := definition().Validate(c)
	if len(connectors.Errors(values)) > 0 {
		return values
	}
	cfg, err := parseConfig(c)
	if err != nil {
		return connectors.Blame(values, err, keyHost)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	s := newServer(cfg)
	defer s.close()
	if _, err := s.probe(ctx); err != nil {
		return connectors.BlameServer(values, err, keyHost)
	}
	return values
}

// Tasks implements connectors.Factory.
func (f Factory) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSink implements connectors.SinkFactory.
func (f Factory) NewSink(c connectors.Config, s connectors.Settings) (connectors.SinkTask, error) {
	// Under the reference's name a connector that reads topics is the reference's.
	if s.Shared && s.Class == class && strings.TrimSpace(c[keyMode]) == "" {
		c = maps.Clone(c)
		c[keyMode] = "reference"
	}
	cfg, err := parseConfig(c)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	log := slog.New(slog.DiscardHandler)
	if s.Logger != nil {
		log = s.Logger.With("logger", "freshet.clickhouse")
	}
	return newSink(cfg, fmt.Sprintf("%s-%s-%d-%s", s.Connector, s.Sink, s.Task, s.RunID), s.Connector, log), nil
}
