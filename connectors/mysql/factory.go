// Package mysql is the MySQL and MariaDB source: a snapshot of the captured tables, then their changes from the binlog, as the
// reference's MySqlConnector and MariaDbConnector have them. keys.go, config.go and validate.go are its configuration; types.go
// and table.go say how tables become streams; row.go and text.go turn values into cells; schema.go and history.go
// keep what the tables look like at a place in the binlog; source.go, snapshot.go and stream.go read.
package mysql

import (
	"cmp"
	"context"
	"maps"

	"github.com/freshet-io/freshet/connectors"
)

// Factory makes the MySQL source or the MariaDB source. Stateless.
type Factory struct {
	Version string // of Freshet
	MariaDB bool
}

func (f Factory) flavor() flavor {
	if f.MariaDB {
		return flavorMariaDB
	}
	return flavorMySQL
}

// Describe names the reference's class and the short ones.
func (f Factory) Describe() connectors.Description {
	d := connectors.Description{
		Class: "io.debezium.connector.mysql.MySqlConnector", Aliases: []string{"MySqlConnector"},
		Source:  true,
		Version: f.Version, Reference: "3.6.1.Final",
		Doc:    "Captures the rows and changes of MySQL databases from the binlog.",
		Config: definition(f.flavor()),
	}
	if f.MariaDB {
		d.Class, d.Aliases = "io.debezium.connector.mariadb.MariaDbConnector", []string{"MariaDbConnector"}
		d.Doc = "Captures the rows and changes of MariaDB databases from the binlog."
	}
	return d
}

// Validate checks every key, and when those are in order the database: connection, settings, rights.
func (f Factory) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	values := checkKeys(c, f.flavor())
	if len(connectors.Errors(values)) > 0 {
		return f.databaseFirst(ctx, c, values)
	}
	cfg, err := parseConfig(c, f.flavor())
	if err != nil { // checkKeys found nothing, so this is a mistake of ours
		return append(values, connectors.ConfigValue{Name: "topic.prefix", Errors: []string{err.Error()}, Visible: true})
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.validation)
	defer cancel()
	for _, p := range checkDatabase(ctx, cfg) {
		for i := range values {
			if values[i].Name == p.key && !p.warning {
				values[i].Errors, values[i].Passing = append(values[i].Errors, p.text), p.passing
				values[i].Long = append(values[i].Long, cmp.Or(p.long, p.text))
			}
		}
	}
	return values
}

// CheckKeys implements connectors.KeyChecker.
func (f Factory) CheckKeys(c connectors.Config) []connectors.ConfigValue {
	return checkKeys(c, f.flavor())
}

// databaseFirst looks at the database before it calls a topic naming strategy unknown: the reference loads
// that class when the task starts. Any other wrong key is told at once.
func (f Factory) databaseFirst(ctx context.Context, c connectors.Config, values []connectors.ConfigValue) []connectors.ConfigValue {
	const naming = "topic.naming.strategy"
	for _, v := range values {
		if len(v.Errors) > 0 && v.Name != naming {
			return values
		}
	}
	rest := maps.Clone(c)
	delete(rest, naming)
	if found := f.Validate(ctx, rest); len(connectors.Errors(found)) > 0 {
		return found
	}
	return values
}

// Tasks returns exactly one: a binlog has one order.
func (f Factory) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}
