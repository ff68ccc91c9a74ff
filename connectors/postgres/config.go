package postgres

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// defaultNaming is the reference's topic naming strategy: <prefix>.<schema>.<table>.
const defaultNaming = "io.debezium.schema.SchemaTopicNamingStrategy"

// config is a validated configuration, read once.
type config struct {
	raw connectors.Config

	host           string
	port           uint16
	user, password string
	database       string
	keepAlive      bool
	statements     []string // run on each ordinary connection
	queryTimeout   time.Duration
	validation     time.Duration // bound of the live check

	slot           string
	slotDrop       bool
	slotFailover   bool
	slotParams     [][2]string // further options of START_REPLICATION
	slotRetries    int
	slotRetryDelay time.Duration
	slotCreation   time.Duration // bound of slot creation
	statusInterval time.Duration
	publication    string
	autocreate     string // all_tables, disabled, filtered, no_tables
	viaRoot        bool
	identities     []identityRule // replica.identity.autoset.values
	flushMode      string         // connector, connector_and_driver, manual
	mismatch       string         // no_validation, trust_offset, trust_slot, trust_greater_lsn

	snapshot       snapshotConfig
	heartbeat      time.Duration // 0: off
	heartbeatQuery string

	selection   *changes.Selection
	masks       *changes.Masks
	keys        *changes.Keys
	naming      *changes.Naming
	modes       changes.Modes
	propagation *changes.Propagation
	operations  *changes.Operations
	messages    messageFilter
	comments    bool
	unknown     bool // include.unknown.datatypes
	moneyScale  int32
	placeholder []byte // unavailable.value.placeholder
	maxTables   int    // guardrail.collections.max, 0: none
	failTables  bool   // guardrail.collections.limit.action=fail
}

type snapshotConfig struct {
	mode           string // initial, initial_only, no_data, when_needed, always
	lockShared     bool
	lockTimeout    time.Duration
	delay          time.Duration
	streamingDelay time.Duration
	include        changes.Patterns  // snapshot.include.collection.list; empty: all captured tables
	overrides      map[string]string // table (schema.name) to SELECT statement
	orderBySize    string            // disabled, ascending, descending
	changes.ChunkRule
}

type identityRule struct {
	table    changes.Patterns
	identity string // DEFAULT, FULL, NOTHING, INDEX <name>
}

// messageFilter is message.prefix.include.list and message.prefix.exclude.list.
type messageFilter struct{ include, exclude changes.Patterns }

func (f messageFilter) accepts(prefix string) bool {
	if len(f.include) > 0 {
		return f.include.Match(prefix)
	}
	return !f.exclude.Match(prefix)
}

// builtinTable tells the tables that belong to PostgreSQL itself.
func builtinTable(t changes.TableID) bool {
	return t.Schema == "pg_catalog" || t.Schema == "information_schema" || strings.HasPrefix(t.Schema, "pg_toast") ||
		strings.HasPrefix(t.Schema, "pg_temp")
}

// parseConfig reads a configuration that passed checkKeys.
func parseConfig(c connectors.Config) (*config, error) {
	v := definition().Values(c)
	ms := func(key string) time.Duration { return time.Duration(v.Int(key)) * time.Millisecond }
	port := v.Int("database.port")
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("read database.port: %d is not a port", port)
	}
	cfg := &config{
		raw:  c,
		host: strings.TrimSpace(v.String("database.hostname")), port: uint16(port),
		user: strings.TrimSpace(v.String("database.user")), password: v.String("database.password"),
		database:   strings.TrimSpace(v.String("database.dbname")),
		keepAlive:  v.Bool("database.tcpKeepAlive"),
		statements: changes.SplitStatements(v.String("database.initial.statements")), queryTimeout: ms("database.query.timeout.ms"),
		validation: ms("connection.validation.timeout.ms"),

		slot: strings.TrimSpace(v.String("slot.name")), slotDrop: v.Bool("slot.drop.on.stop"), slotFailover: v.Bool("slot.failover"),
		slotRetries: int(v.Int("slot.max.retries")), slotRetryDelay: ms("slot.retry.delay.ms"),
		slotCreation:   time.Duration(v.Int("internal.create.slot.command.timeout")) * time.Second,
		statusInterval: ms("status.update.interval.ms"),
		publication:    strings.TrimSpace(v.String("publication.name")), autocreate: v.Enum("publication.autocreate.mode"),
		viaRoot: v.Bool("publish.via.partition.root"), flushMode: flushMode(v), mismatch: mismatchStrategy(v),

		heartbeat: ms("heartbeat.interval.ms"), heartbeatQuery: strings.TrimSpace(v.String("heartbeat.action.query")),
		comments: v.Bool("include.schema.comments"), unknown: v.Bool("include.unknown.datatypes"),
		moneyScale:  int32(v.Int("money.fraction.digits")),
		placeholder: placeholderOf(v.String("unavailable.value.placeholder")),
		maxTables:   int(v.Int("guardrail.collections.max")), failTables: v.Enum("guardrail.collections.limit.action") == "fail",
	}
	cfg.snapshot = snapshotConfig{
		mode: v.Enum("snapshot.mode"), lockShared: v.Enum("snapshot.locking.mode") == "shared",
		lockTimeout: ms("snapshot.lock.timeout.ms"), delay: ms("snapshot.delay.ms"), streamingDelay: ms("streaming.delay.ms"),
		orderBySize: v.Enum("snapshot.tables.order.by.row.count"),
		ChunkRule: changes.ChunkRule{
			Threads: int(v.Int("snapshot.max.threads")), Multiplier: int(v.Int("snapshot.max.threads.multiplier")),
			PerTable: v.Bool("legacy.snapshot.max.threads") || v.Bool("internal.legacy.snapshot.max.threads"), Bytes: changes.ChunkBytes,
		},
	}
	return cfg, cfg.parseRules(v)
}

// parseRules reads the keys that have a syntax of their own.
func (cfg *config) parseRules(v connectors.Values) error {
	c := cfg.raw
	var err error
	if cfg.selection, err = changes.NewSelection(c, builtinTable); err != nil {
		return err
	}
	if cfg.masks, err = changes.NewMasks(c); err != nil {
		return err
	}
	if _, err = changes.NewReselector(c, nil); err != nil {
		return err
	}
	if cfg.keys, err = changes.ParseKeys(v.String("message.key.columns")); err != nil {
		return err
	}
	if cfg.naming, err = changes.NewNaming(c, defaultNaming); err != nil {
		return err
	}
	if cfg.modes, err = changes.NewModes(c, "adaptive"); err != nil {
		return err
	}
	if cfg.propagation, err = changes.NewPropagation(c); err != nil {
		return err
	}
	if cfg.operations, err = changes.NewOperations(c); err != nil {
		return err
	}
	for _, p := range []struct {
		key string
		to  *changes.Patterns
	}{
		{"message.prefix.include.list", &cfg.messages.include},
		{"message.prefix.exclude.list", &cfg.messages.exclude},
		{"snapshot.include.collection.list", &cfg.snapshot.include},
	} {
		if *p.to, err = changes.ParsePatterns(p.key, v.String(p.key)); err != nil {
			return err
		}
	}
	if cfg.slotParams, err = parseSlotParams(v.String("slot.stream.params")); err != nil {
		return err
	}
	if cfg.identities, err = parseIdentities(v.String("replica.identity.autoset.values")); err != nil {
		return err
	}
	cfg.snapshot.overrides, err = changes.SnapshotOverrides(c)
	return err
}

// flushMode is lsn.flush.mode; flush.lsn.source=false is its old form.
func flushMode(v connectors.Values) string {
	if v.Given("lsn.flush.mode") {
		return v.Enum("lsn.flush.mode")
	}
	if !v.Bool("flush.lsn.source") {
		return "manual"
	}
	return "connector"
}

// mismatchStrategy is offset.mismatch.strategy; internal.slot.seek.to.known.offset.on.start is its old form.
func mismatchStrategy(v connectors.Values) string {
	if !v.Given("offset.mismatch.strategy") && v.Bool("internal.slot.seek.to.known.offset.on.start") {
		return "trust_offset"
	}
	return v.Enum("offset.mismatch.strategy")
}

// placeholderOf reads unavailable.value.placeholder; `hex:` introduces bytes in hexadecimal.
func placeholderOf(text string) []byte {
	if digits, ok := strings.CutPrefix(text, "hex:"); ok {
		if out, err := decodeHex(digits); err == nil {
			return out
		}
	}
	return []byte(text)
}

func parseSlotParams(text string) ([][2]string, error) {
	var out [][2]string
	for _, item := range strings.Split(text, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, value, ok := strings.Cut(item, "=")
		if !ok || !plainName.MatchString(strings.TrimSpace(name)) {
			return nil, fmt.Errorf("read slot.stream.params: %q is not of the form name=value", item)
		}
		out = append(out, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return out, nil
}

var (
	plainName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	identityForm = regexp.MustCompile(`(?i)^(DEFAULT|FULL|NOTHING|INDEX\s+\S.*)$`)
)

func parseIdentities(text string) ([]identityRule, error) {
	const key = "replica.identity.autoset.values"
	var out []identityRule
	for _, item := range connectors.SplitList(text) {
		at := strings.LastIndexByte(item, ':')
		if at <= 0 || !identityForm.MatchString(strings.TrimSpace(item[at+1:])) {
			return nil, fmt.Errorf("read %s: %q is not of the form table:DEFAULT, table:FULL, table:NOTHING or table:INDEX name", key, item)
		}
		p, err := changes.ParsePatterns(key, item[:at])
		if err != nil {
			return nil, err
		}
		out = append(out, identityRule{p, strings.TrimSpace(item[at+1:])})
	}
	return out, nil
}

// applicationChecking names the connection over which the server is asked for the last commit that was delivered, before one streams.
const applicationChecking = "Freshet Checking"

// sessionSettings make the server print values in the one form that decode reads. They are set on every connection, the
// replication connection included: a walsender prints values by the settings of its session.
func sessionSettings() map[string]string {
	return map[string]string{
		"client_encoding": "UTF8", "datestyle": "ISO, MDY", "intervalstyle": "postgres", "timezone": "UTC",
		"extra_float_digits": "1", "bytea_output": "hex", "lc_monetary": "C", "application_name": "Freshet Streaming",
		"statement_timeout": "0", "idle_in_transaction_session_timeout": "0", // a snapshot is one statement per table, and idle beside it
	}
}

// connectTimeout bounds one attempt to connect, as in the reference's driver.
const connectTimeout = 10 * time.Second

// connConfig returns how to connect. A replication connection has replication=database and runs no initial statements.
func (cfg *config) connConfig(replication bool) (*pgx.ConnConfig, error) {
	v := definition().Values(cfg.raw)
	query := url.Values{"sslmode": {v.Enum("database.sslmode")}}
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey"} {
		file := strings.TrimSpace(v.String("database." + name))
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("read database.%s: %w", name, err)
		}
		query.Set(name, file)
	}
	query.Set("sslpassword", v.String("database.sslpassword"))
	var hosts []string
	for _, h := range connectors.SplitList(cfg.host) {
		hosts = append(hosts, net.JoinHostPort(h, strconv.Itoa(int(cfg.port))))
	}
	u := url.URL{Scheme: "postgres", User: url.User(cfg.user), Host: strings.Join(hosts, ","), Path: "/" + cfg.database, RawQuery: query.Encode()}
	out, err := pgx.ParseConfig(u.String())
	if err != nil { // its text may show sslpassword (I12)
		return nil, fmt.Errorf("read database.hostname, database.sslmode and the files of database.sslrootcert, database.sslcert and database.sslkey: " +
			"they cannot be used together; check that the files are PEM files that belong together and that database.sslpassword fits the key")
	}
	out.Password = cfg.password
	out.ConnectTimeout = connectTimeout
	dialer := &net.Dialer{KeepAlive: -1}
	if cfg.keepAlive {
		dialer.KeepAlive = 0 // the system's default
	}
	out.DialFunc = dialer.DialContext
	out.DefaultQueryExecMode = pgx.QueryExecModeExec
	for name, value := range sessionSettings() {
		out.RuntimeParams[name] = value
	}
	if replication {
		out.RuntimeParams["replication"] = "database"
		return out, nil
	}
	statements := cfg.statements
	out.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		for _, s := range statements {
			if _, err := conn.Exec(ctx, s).ReadAll(); err != nil {
				return fmt.Errorf("run database.initial.statements: %w", err)
			}
		}
		return nil
	}
	return out, nil
}
