package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/kafkaclient"
)

// Factory makes Kafka sinks. They share the pool's connections where their client properties are equal.
type Factory struct {
	Converters converters.Set
	Pool       *kafkaclient.Pool
	Version    string
}

// Describe implements connectors.Factory.
func (f *Factory) Describe() connectors.Description {
	return connectors.Description{
		Class: Class, Aliases: []string{"KafkaSinkConnector", "kafka"}, Sink: true, Version: f.Version,
		Doc: "Writes changes to Kafka topics as Kafka Connect's source connectors do.", Config: definition(), Keeper: true, OwnRecords: true,
	}
}

// Validate implements connectors.Factory. The brokers are asked when the configuration names them.
func (f *Factory) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	values, _ := definition().Validate(c)
	if len(connectors.Errors(values)) > 0 {
		return values
	}
	if _, err := readCreation(c, nil); err != nil {
		return withError(values, prefixCreate+"groups", err)
	}
	if _, err := readBoundary(c, nil); err != nil {
		return withError(values, keyBoundary, err)
	}
	if strings.TrimSpace(c[keyServers]) == "" {
		return withError(values, keyServers, errors.New("bootstrap.servers is not set: name at least one broker as host:port in the worker's properties"))
	}
	cfg, err := kafkaclient.Parse(properties(c, connectors.Settings{}, false))
	if err != nil {
		key, _, _ := strings.Cut(err.Error(), ":") // the client's errors begin with the property
		if _, own := c[prefixOver+key]; own {
			key = prefixOver + key
		} else if definition().Find(key) == nil {
			key = keyServers
		}
		return withError(values, key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := f.Pool.Open(ctx, cfg)
	if err != nil {
		values = withError(values, keyServers, err)
		for i := range values {
			values[i].Passing = values[i].Name == keyServers && !kafkaclient.Permanent(err)
		}
		return values
	}
	s.Close()
	return values
}

func withError(values []connectors.ConfigValue, name string, err error) []connectors.ConfigValue {
	for i := range values {
		if values[i].Name == name {
			values[i].Errors = append(values[i].Errors, err.Error())
			return values
		}
	}
	return append(values, connectors.ConfigValue{Name: name, Errors: []string{err.Error()}, Visible: true})
}

// Tasks implements connectors.Factory.
func (f *Factory) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSink implements connectors.SinkFactory. With Settings.ExactlyOnce the sink is an OffsetKeeper.
func (f *Factory) NewSink(c connectors.Config, s connectors.Settings) (connectors.SinkTask, error) {
	w := &writer{pool: f.Pool, settings: s}
	var err error
	if w.config, err = kafkaclient.Parse(properties(c, s, s.ExactlyOnce)); err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read Kafka client properties: %w", err))
	}
	if w.creation, err = readCreation(c, s.Worker); err != nil {
		return nil, connectors.AsPermanent(err)
	}
	if w.keys, err = f.Converters.New("key.converter", c, s.Worker); err != nil {
		return nil, err
	}
	if w.values, err = f.Converters.New("value.converter", c, s.Worker); err != nil {
		return nil, err
	}
	if err := checkHeaderConverter(c, s.Worker); err != nil {
		return nil, connectors.AsPermanent(err)
	}
	if s.Logger != nil {
		w.log = logger(s)
		if len(w.config.Unknown) > 0 {
			w.log.Warn("unknown Kafka client properties are not used", "keys", w.config.Unknown)
		}
		for _, text := range w.config.Warnings {
			w.log.Warn(text)
		}
	}
	if !s.ExactlyOnce {
		return &sink{writer: w}, nil
	}
	return newExactSink(w, c, s.Worker)
}
