package timescaledb

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// config is a parsed configuration.
type config struct {
	address  address
	user     string
	password string

	mode        string // insert, upsert, update, append
	deletes     bool
	truncates   bool
	prefix      string // of the sink's own columns, mode append
	keys        string // none, record_key, record_value
	keyFields   []string
	evolve      bool
	create      bool
	format      string
	lower       bool // names in lower case
	include     []string
	exclude     []string
	rows        int // of a transaction; 0: no limit
	bytes       int // of a transaction
	pause       time.Duration
	offsets     []string // name of the offsets table, with or without schema
	timeColumns []string
	chunk       string
	compress    string   // hypertable.compress.after
	segments    []string // hypertable.compress.segmentby
	retention   string
	placeholder string // unavailable.value.placeholder
	application string // name of the sessions, unless the URL has one
}

// address is what a connection URL says.
type address struct {
	host       string
	port       uint16
	database   string
	user       string
	password   string
	parameters map[string]string // of pgx: sslmode, sslrootcert, application_name, …
}

// parseConfig reads a configuration whose keys are in order.
func parseConfig(c connectors.Config) (*config, error) {
	v := definition().Values(c)
	a, err := parseURL(v.String(keyURL))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", keyURL, err)
	}
	cfg := &config{address: a, user: v.String(keyUser), password: v.String(keyPassword)}
	if cfg.user == "" {
		cfg.user = a.user
	}
	if cfg.password == "" {
		cfg.password = a.password
	}
	if cfg.user == "" {
		return nil, fmt.Errorf("read %s: it is not given, and %s names no user", keyUser, keyURL)
	}
	reference, every := v.Enum(keyMode) == "reference", v.Enum(keyMode) == modeAppend
	choose := func(key, mirror, ref string) string {
		switch {
		case v.Given(key):
			return v.Enum(key)
		case reference:
			return ref
		}
		return mirror
	}
	cfg.mode = choose(keyInsert, "upsert", "insert")
	cfg.deletes = choose(keyDelete, "true", "false") == "true"
	cfg.truncates = v.Bool(keyTruncate)
	cfg.prefix = strings.TrimSpace(v.String(keyPrefix))
	if every {
		if v.Given(keyInsert) && cfg.mode != "insert" {
			return nil, fmt.Errorf("%s=%s changes rows that are there, and %s=%s keeps every change as a row of its own; remove %s", keyInsert, cfg.mode, keyMode, modeAppend, keyInsert)
		}
		cfg.mode = modeAppend
		cfg.truncates = cfg.truncates || !v.Given(keyTruncate)
	}
	cfg.keys = choose(keyKeyMode, "record_key", "none")
	cfg.keyFields = v.List(keyKeyFields)
	cfg.evolve = choose(keyEvolution, "basic", "none") == "basic"
	cfg.create = cfg.evolve
	if v.Given(keyCreate) {
		cfg.create = v.Bool(keyCreate)
	}
	cfg.lower = choose(keyQuote, "true", "false") == "false"
	cfg.format = "${source.schema}.${source.table}"
	switch {
	case v.Given(keyFormat):
		cfg.format = strings.TrimSpace(v.String(keyFormat))
	case v.Given(keyOldFormat):
		cfg.format = strings.TrimSpace(v.String(keyOldFormat))
	case reference:
		cfg.format = "${topic}"
	}
	cfg.include, cfg.exclude = v.List(keyInclude), v.List(keyExclude)
	cfg.rows, cfg.bytes = int(v.Int(keyBatch)), int(v.Int(keyBytes))
	cfg.pause = time.Duration(max(v.Int("flush.retry.delay.ms"), 1)) * time.Millisecond
	if cfg.offsets, err = splitName(v.String(keyOffsets)); err != nil {
		return nil, fmt.Errorf("read %s: %w", keyOffsets, err)
	}
	cfg.compress, cfg.segments, cfg.retention = strings.TrimSpace(v.String(keyCompress)), v.List(keySegment), strings.TrimSpace(v.String(keyRetention))
	cfg.placeholder = v.String(keyPlaceholder)
	cfg.timeColumns, cfg.chunk = v.List(keyTime), strings.TrimSpace(v.String(keyChunk))
	if every && len(cfg.timeColumns) == 0 && (cfg.chunk != "" || cfg.compress != "" || cfg.retention != "") {
		cfg.timeColumns = []string{cfg.prefix + metaTime}
	}
	return cfg, cfg.check()
}

// check looks at keys that depend on each other.
func (cfg *config) check() error {
	switch {
	case (cfg.mode == "upsert" || cfg.mode == "update") && cfg.keys == "none":
		return fmt.Errorf("%s=%s needs a key to find rows by: set %s to record_key or record_value", keyInsert, cfg.mode, keyKeyMode)
	case cfg.deletes && cfg.keys != "record_key" && cfg.mode != modeAppend:
		return fmt.Errorf("%s=true needs %s=record_key: a delete has only a key", keyDelete, keyKeyMode)
	case len(cfg.include) > 0 && len(cfg.exclude) > 0:
		return fmt.Errorf("%s and %s cannot both be given", keyInclude, keyExclude)
	case len(cfg.timeColumns) == 0 && (cfg.chunk != "" || cfg.compress != "" || cfg.retention != ""):
		return fmt.Errorf("%s, %s and %s are for the hypertables that the sink makes: name their column in %s", keyChunk, keyCompress, keyRetention, keyTime)
	case len(cfg.segments) > 0 && cfg.compress == "":
		return fmt.Errorf("%s is for compressed chunks: set %s, too", keySegment, keyCompress)
	case len(cfg.timeColumns) > 0 && !cfg.create:
		return fmt.Errorf("%s is for tables that the sink makes, but %s and %s forbid that", keyTime, keyEvolution, keyCreate)
	}
	return nil
}

// parseURL reads jdbc:postgresql://host:port/database?user=… and postgres(ql)://user:password@host:port/database?….
func parseURL(text string) (address, error) {
	a := address{port: 5432, parameters: map[string]string{}}
	text = strings.TrimSpace(text)
	rest, jdbc := strings.CutPrefix(text, "jdbc:")
	if jdbc && !strings.HasPrefix(rest, "postgresql:") {
		kind := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))] // what follows may hold a password
		return a, fmt.Errorf("it is a URL for %s, and this sink writes only PostgreSQL and TimescaleDB: jdbc:postgresql://host:port/database", kind)
	}
	if jdbc && !strings.HasPrefix(rest, "postgresql://") { // jdbc:postgresql:database, jdbc:postgresql:/
		rest = "postgresql://localhost/" + strings.TrimPrefix(strings.TrimPrefix(rest, "postgresql:"), "/")
	}
	u, err := url.Parse(rest)
	if err != nil || (u.Scheme != "postgresql" && u.Scheme != "postgres") {
		return a, errors.New("it must be jdbc:postgresql://host:port/database?parameter=value") // the text may hold a password
	}
	a.host = u.Hostname()
	if a.host == "" {
		a.host = "localhost"
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return a, fmt.Errorf("port %q is not a number between 1 and 65535", p)
		}
		a.port = uint16(n)
	}
	a.database = strings.TrimPrefix(u.Path, "/")
	if u.User != nil {
		a.user = u.User.Username()
		a.password, _ = u.User.Password()
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return a, errors.New("its parameters cannot be read; in a value write %25 for %, %26 for & and %3B for a semicolon")
	}
	if err := a.read(query); err != nil {
		return a, err
	}
	if a.database == "" {
		return a, errors.New("it names no database: jdbc:postgresql://host:port/database")
	}
	return a, nil
}

// read takes over the parameters of a URL (pgjdbc, "Connection Parameters").
func (a *address) read(query url.Values) error {
	for name, values := range query {
		v := values[len(values)-1]
		switch name {
		case "user":
			a.user = v
		case "password":
			a.password = v
		case "ssl":
			if (v == "" || strings.EqualFold(v, "true")) && a.parameters["sslmode"] == "" {
				a.parameters["sslmode"] = "verify-full"
			}
		case "sslmode", "sslrootcert", "sslcert", "sslkey", "options":
			a.parameters[name] = v
		case "ApplicationName", "application_name":
			a.parameters["application_name"] = v
		case "currentSchema":
			a.parameters["search_path"] = v
		case "connectTimeout", "connect_timeout":
			a.parameters["connect_timeout"] = v
		case "targetServerType":
			if v == "primary" || v == "master" {
				a.parameters["target_session_attrs"] = "read-write"
			}
		case "stringtype", "reWriteBatchedInserts", "prepareThreshold", "tcpKeepAlive", "socketTimeout", "loginTimeout", "autosave", "gssEncMode", "loggerLevel":
			// settings of the JDBC driver without a meaning here
		default:
			return fmt.Errorf("parameter %s is not known", name)
		}
	}
	return nil
}

// connConfig makes the configuration of a connection.
func (cfg *config) connConfig() (*pgx.ConnConfig, error) {
	u := url.URL{Scheme: "postgres", Host: cfg.address.hostPort(), Path: "/" + cfg.address.database}
	q := url.Values{}
	for name, v := range cfg.address.parameters {
		if f := strings.HasPrefix(name, "sslroot") || name == "sslcert" || name == "sslkey"; f {
			if _, err := os.Stat(v); err != nil {
				return nil, fmt.Errorf("read %s of %s: %w", name, keyURL, err)
			}
		}
		q.Set(name, v)
	}
	if q.Get("sslmode") == "" {
		q.Set("sslmode", "prefer")
	}
	if q.Get("connect_timeout") == "" {
		q.Set("connect_timeout", "10")
	}
	u.RawQuery = q.Encode()
	c, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("read %s: its parameters are not valid (sslmode, connectTimeout, options)", keyURL) // pgx shows the whole URL
	}
	c.User, c.Password = cfg.user, cfg.password
	for name, v := range map[string]string{
		"client_encoding": "UTF8", "standard_conforming_strings": "on", "datestyle": "ISO, MDY", "intervalstyle": "postgres", "timezone": "UTC",
		"xmloption": "content", "lock_timeout": "0", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "check_function_bodies": "off",
	} {
		c.RuntimeParams[name] = v
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = cmp.Or(cfg.application, "freshet")
	}
	dialer := &net.Dialer{KeepAlive: 15 * time.Second, Timeout: c.ConnectTimeout}
	c.DialFunc = dialer.DialContext
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	return c, nil
}

// splitName splits schema.table or table.
func splitName(v string) ([]string, error) {
	parts := strings.Split(strings.TrimSpace(v), ".")
	if len(parts) > 2 || slices.Contains(parts, "") {
		return nil, errors.New("a table name, or schema.table, is expected")
	}
	return parts, nil
}

// targetName returns schema ("" for the connection's) and name of the table for a stream.
func (cfg *config) targetName(s *connectors.Stream) (schema, table string, err error) {
	n := changes.TargetNames(s)
	n["topic"] = strings.ReplaceAll(s.Topic, ".", "_")
	if cfg.format == "${source.schema}.${source.table}" { // names with dots in them stay whole
		schema, table = n["source.schema"], n["source.table"]
	} else {
		full, err := changes.Expand(cfg.format, n)
		if err != nil {
			return "", "", fmt.Errorf("name target table of %s: %w", s.Table.ID(), err)
		}
		parts := strings.SplitN(full, ".", 2)
		table = parts[len(parts)-1]
		if len(parts) == 2 {
			schema = parts[0]
		}
	}
	if table == "" {
		return "", "", fmt.Errorf("name target table of %s: %s gives an empty name", s.Table.ID(), keyFormat)
	}
	return cfg.name(schema), cfg.name(table), nil
}

func (cfg *config) name(n string) string {
	if cfg.lower {
		return strings.ToLower(n)
	}
	return n
}

// timeColumn returns the column that a table's hypertable is partitioned by, "" for a plain table.
func (cfg *config) timeColumn(t *schemas.Table) string {
	for _, item := range cfg.timeColumns {
		column := item
		if table, c, ok := strings.Cut(item, ":"); ok {
			if table = strings.TrimSpace(table); table != t.ID() && table != t.Name {
				continue
			}
			return strings.TrimSpace(c)
		}
		if t.Column(column) >= 0 || cfg.mode == modeAppend && column == cfg.prefix+metaTime {
			return column
		}
	}
	return ""
}

func quote(parts ...string) string {
	if len(parts) == 2 && parts[0] == "" {
		parts = parts[1:]
	}
	return pgx.Identifier(parts).Sanitize()
}

// literal is a text constant under standard_conforming_strings=on.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
