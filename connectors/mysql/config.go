package mysql

import (
	"fmt"
	"strings"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// defaultNaming is what the reference's task uses, whatever its ConfigDef shows: <prefix>.<database>.<table>.
const defaultNaming = "io.debezium.schema.DefaultTopicNamingStrategy"

// flavor is which of the two servers a connector reads.
type flavor uint8

const (
	flavorMySQL flavor = iota
	flavorMariaDB
)

// String is the name of the connector in source blocks, in schema names and in the client library.
func (f flavor) String() string {
	if f == flavorMariaDB {
		return "mariadb"
	}
	return "mysql"
}

// product is what people call the server.
func (f flavor) product() string {
	if f == flavorMariaDB {
		return "MariaDB"
	}
	return "MySQL"
}

// config is a validated configuration, read once.
type config struct {
	raw    connectors.Config
	flavor flavor

	host              string
	port              uint16
	user, password    string
	serverID          uint32
	keepAlive         time.Duration // pause between TCP keep-alive probes; 0: off
	connectTimeout    time.Duration
	statements        []string      // database.initial.statements: run on each ordinary connection
	queryTimeout      time.Duration // 0: none
	validation        time.Duration // bound of the live check
	netRead, netWrite time.Duration // binlog.net.*.timeout: of the server, on the binlog connection; 0: the server's own
	tls               tlsMode
	keystore          string // PEM file
	truststore        string // PEM file

	snapshot       snapshotConfig
	history        historyConfig
	gtids          gtidConfig
	heartbeat      time.Duration // 0: off
	heartbeatQuery string

	selection   *changes.Selection
	masks       *changes.Masks
	keys        *changes.Keys
	naming      *changes.Naming
	modes       changes.Modes
	propagation *changes.Propagation
	operations  *changes.Operations

	bigintPrecise bool   // bigint.unsigned.handling.mode=precise
	adjustYears   bool   // enable.time.adjuster
	query         bool   // include.query
	schemaChanges bool   // include.schema.changes
	comments      bool   // include.schema.comments
	inconsistent  string // inconsistent.schema.handling.mode: fail, warn, skip
	undecodable   string // event.deserialization.failure.handling.mode: fail, warn, skip
	placeholder   []byte // unavailable.value.placeholder
	maxTables     int    // guardrail.collections.max, 0: none
	failTables    bool   // guardrail.collections.limit.action=fail
}

type snapshotConfig struct {
	mode           string // initial, initial_only, no_data, when_needed, always, recovery
	locking        string // minimal, minimal_percona, minimal_percona_no_table_locks, extended, none
	lockTimeout    time.Duration
	delay          time.Duration
	streamingDelay time.Duration
	include        changes.Patterns  // snapshot.include.collection.list; empty: all captured tables
	overrides      map[string]string // table (database.name) to SELECT statement
	orderBySize    string            // disabled, ascending, descending
	changes.ChunkRule
}

// historyConfig is schema.history.internal*. The keys of its Kafka clients are in the raw configuration under
// schema.history.internal.producer. and schema.history.internal.consumer.
type historyConfig struct {
	class             string // last part of the class name: KafkaSchemaHistory, FileSchemaHistory, MemorySchemaHistory
	topic             string
	bootstrap         string
	file              string
	attempts          int // of recovery that give no new record
	poll              time.Duration
	queryTimeout      time.Duration
	createTimeout     time.Duration
	skipUnparseable   bool
	capturedTables    bool // store only the DDL of captured tables
	capturedDatabases bool // store only the DDL of captured databases
}

// place names where the history is, for operators.
func (h *historyConfig) place() string {
	switch h.class {
	case "KafkaSchemaHistory":
		return "topic " + h.topic + " of " + h.bootstrap
	case "FileSchemaHistory":
		return "file " + h.file
	default:
		return "memory"
	}
}

// gtidConfig is gtid.*.
type gtidConfig struct {
	includes, excludes changes.Patterns // of source UUIDs (MySQL) or domain-server pairs (MariaDB)
	filterDML          bool             // rows of transactions that are filtered out are not emitted
	ignore             bool             // resume by file and position
}

// builtin tells the databases that belong to the server itself.
func builtin(t changes.TableID) bool {
	switch strings.ToLower(t.Catalog) {
	case "mysql", "performance_schema", "sys", "information_schema":
		return true
	}
	return false
}

// commented tells that descriptions of tables have comments: where include.schema.comments asks for them, and always with a MariaDB,
// as in the reference.
func (cfg *config) commented() bool { return cfg.comments || cfg.flavor == flavorMariaDB }

// parseConfig reads a configuration that passed checkKeys.
func parseConfig(c connectors.Config, f flavor) (*config, error) {
	v := definition(f).Values(c)
	ms := func(key string) time.Duration { return time.Duration(v.Int(key)) * time.Millisecond }
	text := func(key string) string { return strings.TrimSpace(v.String(key)) }
	port, server := v.Int("database.port"), v.Int("database.server.id")
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("read database.port: %d is not a port", port)
	}
	if server < 1 || server > maxServerID {
		return nil, fmt.Errorf("read database.server.id: %d is not between 1 and %d", server, uint32(maxServerID))
	}
	cfg := &config{
		raw: c, flavor: f,
		host: text("database.hostname"), port: uint16(port), user: text("database.user"), password: v.String("database.password"),
		serverID: uint32(server), connectTimeout: ms("connect.timeout.ms"),
		statements: changes.SplitStatements(v.String("database.initial.statements")), queryTimeout: ms("database.query.timeout.ms"),
		validation: ms("connection.validation.timeout.ms"),
		netRead:    time.Duration(v.Int("binlog.net.read.timeout")) * time.Second, netWrite: time.Duration(v.Int("binlog.net.write.timeout")) * time.Second,
		tls: tlsModes[v.Enum("database.ssl.mode")], keystore: text("database.ssl.keystore"), truststore: text("database.ssl.truststore"),

		heartbeat: ms("heartbeat.interval.ms"), heartbeatQuery: text("heartbeat.action.query"),
		bigintPrecise: v.Enum("bigint.unsigned.handling.mode") == "precise", adjustYears: v.Bool("enable.time.adjuster"),
		query: v.Bool("include.query"), schemaChanges: v.Bool("include.schema.changes"), comments: v.Bool("include.schema.comments"),
		inconsistent: handling(v.Enum("inconsistent.schema.handling.mode")),
		undecodable:  handling(v.Enum("event.deserialization.failure.handling.mode")),
		placeholder:  []byte(v.String("unavailable.value.placeholder")),
		maxTables:    int(v.Int("guardrail.collections.max")), failTables: v.Enum("guardrail.collections.limit.action") == "fail",
	}
	if v.Bool("connect.keep.alive") {
		cfg.keepAlive = ms("connect.keep.alive.interval.ms")
	}
	cfg.snapshot = snapshotConfig{
		mode: v.Enum("snapshot.mode"), locking: v.Enum("snapshot.locking.mode"), lockTimeout: ms("snapshot.lock.timeout.ms"),
		delay: ms("snapshot.delay.ms"), streamingDelay: ms("streaming.delay.ms"), orderBySize: v.Enum("snapshot.tables.order.by.row.count"),
		ChunkRule: changes.ChunkRule{
			Threads: int(v.Int("snapshot.max.threads")), Multiplier: int(v.Int("snapshot.max.threads.multiplier")),
			PerTable: v.Bool("legacy.snapshot.max.threads") || v.Bool("internal.legacy.snapshot.max.threads"), Bytes: changes.ChunkBytes,
		},
	}
	const h = "schema.history.internal"
	class := text(h)
	cfg.history = historyConfig{
		class: class[strings.LastIndexByte(class, '.')+1:], topic: text(h + ".kafka.topic"), bootstrap: text(h + ".kafka.bootstrap.servers"),
		file: text(h + ".file.filename"), attempts: int(v.Int(h + ".kafka.recovery.attempts")), poll: ms(h + ".kafka.recovery.poll.interval.ms"),
		queryTimeout: ms(h + ".kafka.query.timeout.ms"), createTimeout: ms(h + ".kafka.create.timeout.ms"),
		skipUnparseable: v.Bool(h + ".skip.unparseable.ddl"), capturedTables: v.Bool(h + ".store.only.captured.tables.ddl"),
		capturedDatabases: v.Bool(h + ".store.only.captured.databases.ddl"),
	}
	if f := &cfg.history; !v.Given(h) && f.topic == "" && f.bootstrap == "" && f.file != "" {
		f.class = "FileSchemaHistory" // the other keys say so
	}
	cfg.gtids = gtidConfig{filterDML: v.Bool("gtid.source.filter.dml.events"), ignore: v.Bool("gtid.ignore.on.recovery")}
	return cfg, cfg.parseRules(v)
}

// parseRules reads the keys that have a syntax of their own.
func (cfg *config) parseRules(v connectors.Values) error {
	c := cfg.raw
	var err error
	if cfg.selection, err = changes.NewSelection(c, builtin); err != nil {
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
	if cfg.modes, err = changes.NewModes(c, "adaptive_time_microseconds"); err != nil {
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
		{"snapshot.include.collection.list", &cfg.snapshot.include},
		{"gtid.source.includes", &cfg.gtids.includes},
		{"gtid.source.excludes", &cfg.gtids.excludes},
	} {
		if *p.to, err = changes.ParsePatterns(p.key, v.String(p.key)); err != nil {
			return err
		}
	}
	cfg.snapshot.overrides, err = changes.SnapshotOverrides(c)
	return err
}

// maxServerID is the highest id of a replica.
const maxServerID = 1<<32 - 1

// handling is a mode of failure handling; ignore is the old name of skip.
func handling(mode string) string {
	if mode == "ignore" {
		return "skip"
	}
	return mode
}
