package clickhouse

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
	"github.com/freshet-io/freshet/tlsconfig"
)

const class = "com.clickhouse.kafka.connect.ClickHouseSinkConnector"

// config is a parsed configuration.
type config struct {
	address  string // host:port
	database string
	user     string
	password string
	tls      *tls.Config // nil: no TLS
	proxy    *url.URL
	timeout  time.Duration // of a statement
	patience time.Duration // of an insert
	settings url.Values    // of each insert

	mode      mode
	create    bool
	add       bool // columns
	evolve    bool // widen, rename
	dryRun    bool
	suppress  bool
	format    string
	view      string
	prefix    string
	tables    map[string]string // of topics
	split     string            // what separates database and table in a topic
	include   []string
	exclude   []string
	types     []columnRule
	unbounded string
	nullArray bool // refuse NULL
	truncates bool

	keyMode     string // of records of topics
	keyFields   []string
	placeholder string

	rows        int
	bytes       int
	interval    time.Duration
	compression string

	cluster  string
	engine   string
	sharding string
}

// mode is what the target holds.
type mode uint8

const (
	modeMirror mode = iota
	modeAppend
	modeReference
)

// columnRule names the type of a column that is made.
type columnRule struct{ column, typ string }

// parseConfig reads a configuration whose keys are in order.
func parseConfig(c connectors.Config) (*config, error) {
	v := definition().Values(c)
	cfg := &config{
		database: v.String(keyDatabase), user: v.String(keyUser), password: v.String(keyPassword),
		timeout:  time.Duration(v.Int(keyTimeout)) * time.Second,
		patience: time.Duration(v.Int(keyInsertLimit)) * time.Millisecond,
		settings: url.Values{}, tables: map[string]string{},
		dryRun: v.Bool(keyDryRun), suppress: v.Bool(keySuppress), view: strings.TrimSpace(v.String(keyView)), prefix: v.String(keyPrefix),
		include: v.List(keyInclude), exclude: v.List(keyExclude), unbounded: v.Enum(keyUnbounded), nullArray: v.Enum(keyNullArray) == "refuse",
		truncates: v.Bool(keyTruncate), rows: int(v.Int(keyRows)), bytes: int(v.Int(keyBytes)),
		interval: time.Duration(v.Int(keyInterval)) * time.Millisecond, compression: v.Enum(keyCompression),
		cluster: strings.TrimSpace(v.String(keyCluster)), engine: strings.TrimSpace(v.String(keyEngine)), sharding: strings.TrimSpace(v.String(keySharding)),
	}
	cfg.keyMode, cfg.keyFields, cfg.placeholder = v.Enum(keyKeyMode), v.List(keyKeyFields), v.String(keyPlaceholder)
	if _, given := c[keyView]; given {
		cfg.view = strings.TrimSpace(c[keyView]) // empty is a value
	}
	port := "8123"
	if v.Bool(keySSL) {
		port = "8443"
	}
	if v.Given(keyPort) {
		port = strconv.FormatInt(v.Int(keyPort), 10)
	}
	cfg.address = net.JoinHostPort(strings.TrimSpace(v.String(keyHost)), port)
	cfg.mode = map[string]mode{"mirror": modeMirror, "append": modeAppend, "reference": modeReference}[v.Enum(keyMode)]
	if err := cfg.readTables(v); err != nil {
		return nil, err
	}
	return cfg, cfg.readNetwork(v)
}

// readTables reads how tables are named, made and changed.
func (cfg *config) readTables(v connectors.Values) error {
	reference := cfg.mode == modeReference
	cfg.evolve = v.Enum(keyEvolution) == "basic" || v.Enum(keyEvolution) == "" && !reference
	cfg.create, cfg.add = cfg.evolve, cfg.evolve || reference && v.Bool(keyAutoEvolve)
	if v.Given(keyCreate) {
		cfg.create = v.Bool(keyCreate)
	}
	cfg.format = "${source.table}"
	switch {
	case v.Given(keyFormat):
		cfg.format = strings.TrimSpace(v.String(keyFormat))
	case reference:
		cfg.format = "${topic}"
	}
	for _, item := range v.List(keyMap) {
		topic, table, _ := strings.Cut(item, "=")
		cfg.tables[strings.TrimSpace(topic)] = strings.TrimSpace(table)
	}
	if v.Bool(keySplit) {
		cfg.split = v.String(keySplitChar)
	}
	var err error
	if cfg.types, err = parseTypes(v.String(keyTypes)); err != nil {
		return fmt.Errorf("read %s: %w", keyTypes, err)
	}
	if reference {
		cfg.keyMode = changes.KeyNone
	}
	switch {
	case len(cfg.include) > 0 && len(cfg.exclude) > 0:
		return fmt.Errorf("%s and %s cannot both be given", keyInclude, keyExclude)
	case reference && cfg.create:
		return fmt.Errorf("%s=reference writes into tables that exist; set %s=mirror or %s=append to have tables made", keyMode, keyMode, keyMode)
	case cfg.sharding != "" && cfg.cluster == "":
		return fmt.Errorf("%s is for Distributed tables, which need %s", keySharding, keyCluster)
	}
	return nil
}

func (cfg *config) readNetwork(v connectors.Values) error {
	for _, item := range v.List(keySettings) {
		name, value, ok := strings.Cut(item, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return fmt.Errorf("read %s: %q is not name=value", keySettings, item)
		}
		cfg.settings.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if v.Bool(keySSL) {
		t, err := tlsconfig.FromFiles(tlsconfig.File{Property: keyIdentity, Path: v.String(keyIdentity)}, tlsconfig.File{Property: keyStore, Path: v.String(keyStore)})
		if err != nil {
			return err
		}
		cfg.tls = t
		cfg.tls.ServerName = strings.TrimSpace(v.String(keySNI))
	}
	switch scheme := map[string]string{"http": "http", "socks": "socks5"}[v.Enum(keyProxyType)]; {
	case scheme == "":
	case v.String(keyProxyHost) == "" || v.Int(keyProxyPort) < 1:
		return fmt.Errorf("%s=%s needs %s and %s", keyProxyType, v.String(keyProxyType), keyProxyHost, keyProxyPort)
	default:
		cfg.proxy = &url.URL{Scheme: scheme, Host: net.JoinHostPort(v.String(keyProxyHost), strconv.FormatInt(v.Int(keyProxyPort), 10))}
	}
	return nil
}

// client makes an HTTP client; it never waits for more than the connection.
func (cfg *config) client() *http.Client {
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext, TLSClientConfig: cfg.tls, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: inserters + 1, IdleConnTimeout: 3 * time.Second, // below the server's own keep-alive
		WriteBufferSize: 256 << 10, DisableCompression: true,
	}
	if cfg.proxy != nil {
		transport.Proxy = http.ProxyURL(cfg.proxy)
	}
	return &http.Client{Transport: transport}
}

func (cfg *config) url() string {
	if cfg.tls != nil {
		return "https://" + cfg.address + "/"
	}
	return "http://" + cfg.address + "/"
}

// parseTypes reads column:type; schema.table.column:type; ….
func parseTypes(text string) ([]columnRule, error) {
	var out []columnRule
	for _, item := range strings.Split(text, ";") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		column, typ, ok := strings.Cut(item, ":")
		column, typ = strings.TrimSpace(column), strings.TrimSpace(typ)
		if !ok || column == "" || typ == "" {
			return nil, fmt.Errorf("%q is not column:type", strings.TrimSpace(item))
		}
		if _, err := parseType(typ); err != nil {
			return nil, err
		}
		out = append(out, columnRule{column, typ})
	}
	return out, nil
}

// targetName returns database and table of a stream's target.
func (cfg *config) targetName(s *connectors.Stream) (database, table string, err error) {
	database = cfg.database
	if mapped := cfg.tables[s.Topic]; mapped != "" {
		return database, mapped, nil
	}
	if cfg.split != "" {
		if before, after, ok := strings.Cut(s.Topic, cfg.split); ok && before != "" && after != "" {
			return before, after, nil
		}
		return "", "", fmt.Errorf("name target table of topic %s: it has no %q between database and table, as %s asks", s.Topic, cfg.split, keySplit)
	}
	if table, err = changes.Expand(cfg.format, changes.TargetNames(s)); err != nil {
		return "", "", fmt.Errorf("name target table of %s: %w", s.Table.ID(), err)
	}
	if literalDot := strings.Contains(cfg.format, "}."); literalDot || !strings.Contains(cfg.format, "${") && strings.Contains(cfg.format, ".") {
		if before, after, ok := strings.Cut(table, "."); ok && before != "" {
			database, table = before, after
		}
	}
	if table == "" {
		return "", "", errors.New("name target table of " + s.Table.ID() + ": " + keyFormat + " gives an empty name")
	}
	return database, table, nil
}

// typeRule returns the type that column.types gives to a column, "" when it gives none.
func (cfg *config) typeRule(t *schemas.Table, c *schemas.Column) string {
	for _, r := range cfg.types {
		if r.column == c.Name || r.column == t.Name+"."+c.Name || r.column == t.ID()+"."+c.Name {
			return r.typ
		}
	}
	return ""
}
