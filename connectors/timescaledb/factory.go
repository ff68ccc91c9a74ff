// Package timescaledb writes changes to tables of PostgreSQL and TimescaleDB, exactly once: rows and position are in the same
// transaction. A batch is encoded into PostgreSQL's binary COPY format as it is taken; one goroutine per task, "writer", writes
// what has piled up: position, COPY into a temporary table, DELETE, INSERT … ON CONFLICT, COMMIT.
package timescaledb

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// Factory makes sinks into PostgreSQL and TimescaleDB. Stateless.
type Factory struct {
	Version string // of Freshet
}

var _ connectors.SinkFactory = Factory{}

// Describe implements connectors.Factory.
func (f Factory) Describe() connectors.Description {
	return connectors.Description{
		Class:   "io.debezium.connector.jdbc.JdbcSinkConnector",
		Aliases: []string{"TimescaleDbSinkConnector", "PostgresSinkConnector", "timescaledb"},
		Sink:    true, Version: f.Version, Keeper: true, FromTopics: true, Config: definition(),
		Doc: "Keeps tables of PostgreSQL and TimescaleDB equal to those of the source, or every change in them.",
	}
}

// Validate implements connectors.Factory: every key, and when those are in order the database.
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
	if err := cfg.checkDatabase(ctx); err != nil {
		return connectors.BlameServer(values, err, keyURL)
	}
	return values
}

const hidden = "[hidden]"

// withoutPassword hides the passwords of a URL, and all of a text in which something else might be one (I12).
func withoutPassword(text string) string {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return hidden
	}
	if !secretive(plain) {
		return text
	}
	rest, jdbc := strings.CutPrefix(strings.TrimSpace(text), "jdbc:")
	u, err := url.Parse(rest)
	if err != nil || secretive(u.Opaque) || secretive(u.Host) || secretive(u.Path) || secretive(u.Fragment) {
		return hidden
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return hidden
	}
	for name, values := range q {
		switch {
		case secretive(name):
			q.Set(name, hidden)
		case slices.ContainsFunc(values, secretive):
			return hidden
		}
	}
	u.RawQuery = q.Encode()
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), hidden)
	}
	if jdbc {
		return "jdbc:" + u.String()
	}
	return u.String()
}

// secretive tells a text that may name or hold a password.
func secretive(text string) bool {
	return strings.Contains(text, "@") || strings.Contains(strings.ToLower(text), "password")
}

// Tasks implements connectors.Factory.
func (f Factory) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSink implements connectors.SinkFactory.
func (f Factory) NewSink(c connectors.Config, s connectors.Settings) (connectors.SinkTask, error) {
	// Under the reference's name a connector that reads topics is the reference's.
	if s.Shared && s.Class == f.Describe().Class && strings.TrimSpace(c[keyMode]) == "" {
		c = maps.Clone(c)
		c[keyMode] = "reference"
	}
	cfg, err := parseConfig(c)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	if !s.Shared && (cfg.keys == changes.KeyKafka || cfg.keys == changes.KeyHeader) {
		return nil, connectors.AsPermanent(fmt.Errorf("%s=%s needs records of topics, and this sink has a source of its own: use none, record_key or record_value", keyKeyMode, cfg.keys))
	}
	log := slog.New(slog.DiscardHandler)
	if s.Logger != nil {
		log = s.Logger.With("logger", "freshet.timescaledb")
	}
	cfg.application = application(s, cfg.offsets)
	sink := newSink(cfg, s, log)
	if s.Claim != "" {
		if err := json.Unmarshal([]byte(s.Claim), &sink.ledger.claim); err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("read the claim of the instance before: %w", err))
		}
	}
	return sink, nil
}

const rightsSQL = `SELECT pg_is_in_recovery(), has_database_privilege(current_database(), 'TEMP'), coalesce(current_schema(), ''),
  coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), to_regclass($1) IS NOT NULL,
  EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb'), EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb'),
  coalesce(current_setting('timescaledb.license', true), '')`

// checkDatabase connects and looks at everything that a start needs.
func (cfg *config) checkDatabase(ctx context.Context) error {
	conn, err := cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return cfg.checkRights(ctx, conn)
}

func (cfg *config) checkRights(ctx context.Context, conn *pgx.Conn) error {
	var standby, temporary, create, exists, timescale, available bool
	var schema, licence string
	if err := conn.QueryRow(ctx, rightsSQL, quote(cfg.offsets...)).Scan(&standby, &temporary, &schema, &create, &exists, &timescale, &available, &licence); err != nil {
		return fmt.Errorf("read rights of user %s: %w", cfg.user, err)
	}
	database := quote(cfg.address.database)
	switch {
	case standby:
		return fmt.Errorf("the server at %s is a standby, which cannot be written to; name the primary in %s", cfg.address.host, keyURL)
	case !temporary:
		return connectors.AsPermanent(fmt.Errorf("user %s may not make temporary tables, through which rows are written; run: GRANT TEMPORARY ON DATABASE %s TO %s", cfg.user, database, quote(cfg.user)))
	case !exists && len(cfg.offsets) == 1 && schema == "":
		return connectors.AsPermanent(fmt.Errorf("table %s cannot be made: user %s has no schema in its search_path; name one in %s, or set currentSchema in %s", cfg.offsets[0], cfg.user, keyOffsets, keyURL))
	case !exists && len(cfg.offsets) == 1 && !create:
		return connectors.AsPermanent(fmt.Errorf("user %s may not make tables in schema %s of database %s; run: GRANT CREATE ON SCHEMA %s TO %s", cfg.user, schema, cfg.address.database, quote(schema), quote(cfg.user)))
	case len(cfg.timeColumns) > 0 && !timescale && available:
		return connectors.AsPermanent(fmt.Errorf("%s is %s, but database %s does not have TimescaleDB; let a superuser run: CREATE EXTENSION timescaledb", keyTime, strings.Join(cfg.timeColumns, ", "), cfg.address.database))
	case len(cfg.timeColumns) > 0 && !timescale:
		return connectors.AsPermanent(fmt.Errorf("%s is %s, but the server at %s does not have TimescaleDB; install it, or remove the hypertable keys for plain tables", keyTime, strings.Join(cfg.timeColumns, ", "), cfg.address.host))
	case timescale && licence == "apache" && (cfg.compress != "" || cfg.retention != ""):
		return connectors.AsPermanent(fmt.Errorf("%s or %s is given, but the TimescaleDB at %s is the build under the Apache licence (timescaledb.license), which has neither compression nor retention policies; remove the key, or use a build with the Timescale licence", keyCompress, keyRetention, cfg.address.host))
	}
	return nil
}
