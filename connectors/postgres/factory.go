// Package postgres is the PostgreSQL source: a snapshot of the captured tables, then their changes through logical
// replication with pgoutput, as the reference's PostgresConnector has them. keys.go, config.go and validate.go are its
// configuration; catalog.go, types.go and relation.go say how tables become streams; decode.go and row.go turn values into
// cells; source.go, snapshot.go and stream.go read.
package postgres

import (
	"cmp"
	"context"
	"maps"

	"github.com/freshet-io/freshet/connectors"
)

// Factory makes the Postgres source. Stateless.
type Factory struct {
	Version string // of Freshet
}

// Describe names the reference's class and the short ones.
func (f Factory) Describe() connectors.Description {
	return connectors.Description{
		Class:   "io.debezium.connector.postgresql.PostgresConnector",
		Aliases: []string{"PostgresConnector"},
		Source:  true,
		Version: f.Version, Reference: "3.6.1.Final",
		Doc:    "Captures the rows and changes of a PostgreSQL database through logical replication (pgoutput).",
		Config: definition(),
	}
}

// Validate checks every key, and when those are in order the database: connection, settings, rights, publication, slot.
func (f Factory) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	values := checkKeys(c)
	if len(connectors.Errors(values)) > 0 {
		return f.databaseFirst(ctx, c, values)
	}
	cfg, err := parseConfig(c)
	if err != nil { // checkKeys found nothing, so this is a mistake of ours
		return append(values, connectors.ConfigValue{Name: "topic.prefix", Errors: []string{err.Error()}, Visible: true})
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.validation)
	defer cancel()
	for _, p := range checkDatabase(ctx, cfg) {
		for i := range values {
			if values[i].Name == p.key {
				values[i].Errors, values[i].Passing = append(values[i].Errors, p.text), p.passing
				values[i].Long = append(values[i].Long, cmp.Or(p.long, p.text))
			}
		}
	}
	return values
}

// CheckKeys implements connectors.KeyChecker.
func (f Factory) CheckKeys(c connectors.Config) []connectors.ConfigValue { return checkKeys(c) }

// databaseFirst looks at the database before it calls a topic naming strategy unknown: the reference loads that class when the task
// starts. Any other wrong key is told at once.
func (f Factory) databaseFirst(ctx context.Context, c connectors.Config, values []connectors.ConfigValue) []connectors.ConfigValue {
	const key = "topic.naming.strategy"
	for _, v := range values {
		if len(v.Errors) > 0 && v.Name != key {
			return values
		}
	}
	rest := maps.Clone(c)
	delete(rest, key)
	if found := f.Validate(ctx, rest); len(connectors.Errors(found)) > 0 {
		return found
	}
	return values
}

// Tasks returns exactly one: a slot has one reader.
func (f Factory) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}
