package clickhouse

import (
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

const (
	keyHost        = "hostname"
	keyPort        = "port"
	keyDatabase    = "database"
	keyUser        = "username"
	keyPassword    = "password"
	keySSL         = "ssl"
	keyTimeout     = "timeoutSeconds"
	keyInsertLimit = "clickhouseClientInsertTimeoutMs"
	keySettings    = "clickhouseSettings"
	keyMap         = "topic2TableMap"
	keySplit       = "enableDbTopicSplit"
	keySplitChar   = "dbTopicSplitChar"
	keySuppress    = "suppressTableExistenceException"
	keyAutoEvolve  = "auto.evolve"
	keyCluster     = "clusterName"
	keyProxyType   = "proxyType"
	keyProxyHost   = "proxyHost"
	keyProxyPort   = "proxyPort"
	keySNI         = "ssl_socket_sni"

	keyMode        = "freshet.mode"
	keyEvolution   = "schema.evolution"
	keyCreate      = "auto.create"
	keyDryRun      = "ddl.dry.run"
	keyFormat      = "collection.name.format"
	keyView        = "view.name.format"
	keyPrefix      = "meta.columns.prefix"
	keyInclude     = "field.include.list"
	keyExclude     = "field.exclude.list"
	keyTypes       = "column.types"
	keyUnbounded   = "decimal.unbounded"
	keyNullArray   = "array.null"
	keyTruncate    = "truncate.enabled"
	keyRows        = "batch.size"
	keyBytes       = "batch.max.bytes"
	keyInterval    = "insert.interval.ms"
	keyCompression = "compression.type"
	keyEngine      = "table.engine"
	keySharding    = "distributed.sharding.key"
	keyKeyMode     = "primary.key.mode"
	keyKeyFields   = "primary.key.fields"
	keyPlaceholder = "unavailable.value.placeholder"
	keyStore       = "ssl.truststore.location"
	keyIdentity    = "ssl.keystore.location"
)

// definition is every key of com.clickhouse.kafka.connect.sink.ClickHouseSinkConfig, and those of our own.
func definition() *connectors.ConfigDef {
	return &connectors.ConfigDef{Keys: append(append(connectionKeys(), referenceKeys()...), ownKeys()...)}
}

func words(s string) []string { return strings.Fields(s) }

func key(name string, t connectors.ValueType, fallback, doc string) connectors.Key {
	return connectors.Key{Name: name, Type: t, Default: fallback, HasDefault: true, Importance: "LOW", Group: "Connection", Doc: doc}
}

func with(k connectors.Key, change func(k *connectors.Key)) connectors.Key {
	change(&k)
	return k
}

func ordered(keys []connectors.Key) []connectors.Key {
	for i := range keys {
		keys[i].Order = i + 1
	}
	return keys
}

func connectionKeys() []connectors.Key {
	return ordered([]connectors.Key{
		{Name: keyHost, Type: connectors.TypeString, Required: true, Importance: "HIGH", Group: "Connection", Doc: "Host of the server's HTTP interface."},
		{Name: keyPort, Type: connectors.TypeInt, Importance: "HIGH", Group: "Connection", Check: checkPort, Doc: "Port of the server's HTTP interface. Default 8443 with ssl=true, else 8123."},
		key(keyDatabase, connectors.TypeString, "default", "Database of the tables. It has to exist."),
		key(keyUser, connectors.TypeString, "default", "User."),
		{Name: keyPassword, Type: connectors.TypePassword, Importance: "HIGH", Group: "Connection", Doc: "Password of the user."},
		key(keySSL, connectors.TypeBoolean, "false", "Use TLS."),
		key(keyStore, connectors.TypeString, "", "PEM file with the certificates that are trusted; the system's when not given."),
		key(keyIdentity, connectors.TypeString, "", "PEM file with this client's certificate and key."),
		key(keySNI, connectors.TypeString, "", "Name of the server in the TLS handshake, where it is not the host."),
		with(key(keyTimeout, connectors.TypeInt, "30", "Seconds until a statement that is no insert is given up."), func(k *connectors.Key) { k.Check = checkPositive }),
		with(key(keyInsertLimit, connectors.TypeLong, "240000", "Milliseconds until an insert without answer is sent again."), func(k *connectors.Key) { k.Check = checkPositive }),
		key(keySettings, connectors.TypeList, "", "Settings of the server for each insert, as name=value."),
		with(key(keyProxyType, connectors.TypeString, "", "Kind of proxy."), func(k *connectors.Key) {
			k.Recommended, k.Closed = words("IGNORE DIRECT HTTP SOCKS"), true
			k.Recommended = append(k.Recommended, "")
		}),
		key(keyProxyHost, connectors.TypeString, "", "Host of the proxy."),
		key(keyProxyPort, connectors.TypeInt, "-1", "Port of the proxy."),
	})
}

func referenceKeys() []connectors.Key {
	idle := func(name string, t connectors.ValueType, fallback, why string) connectors.Key {
		return with(key(name, t, fallback, "Has no effect here: "+why), func(k *connectors.Key) { k.Group = "Reference" })
	}
	missing := func(name string, t connectors.ValueType, fallback, why, doc string) connectors.Key {
		return with(key(name, t, fallback, doc), func(k *connectors.Key) { k.Group, k.Unsupported = "Reference", why })
	}
	plain := func(name string, t connectors.ValueType, fallback, doc string) connectors.Key {
		return with(key(name, t, fallback, doc), func(k *connectors.Key) { k.Group = "Reference" })
	}
	return ordered([]connectors.Key{
		with(plain(keyMap, connectors.TypeList, "", "Tables of topics, as topic=table."), func(k *connectors.Key) { k.Check = checkPairs }),
		plain(keySplit, connectors.TypeBoolean, "false", "Take the database from the part of the topic before dbTopicSplitChar."),
		plain(keySplitChar, connectors.TypeString, "", "What separates database and table in a topic."),
		plain(keySuppress, connectors.TypeBoolean, "false", "Leave out records whose table does not exist, in mode reference."),
		plain(keyAutoEvolve, connectors.TypeBoolean, "false", "Add missing columns, in mode reference."),
		plain(keyCluster, connectors.TypeString, "", "Cluster that DDL runs on (ON CLUSTER)."),
		missing("exactlyOnce", connectors.TypeBoolean, "false", "it needs the reference's state in a KeeperMap table; freshet.mode=mirror and freshet.mode=append make tables in which a change that comes again replaces itself", "Exactly-once by tokens and a state table."),
		missing("debeziumCDCEnabled", connectors.TypeBoolean, "false", "freshet.mode=mirror does the same with versions that are a total order", "Keep a ReplacingMergeTree from Debezium envelopes."),
		missing("customInsertFormat", connectors.TypeBoolean, "false", "rows are sent in the Native format", "Insert text as it is."),
		with(missing("insertFormat", connectors.TypeString, "none", "rows are sent in the Native format", "Format of text that is inserted as it is."), func(k *connectors.Key) { k.Harmless = []string{""} }),
		missing("dateTimeFormats", connectors.TypeList, "", "times are read from their schemas, never from text", "Formats of times in text."),
		missing("auto.evolve.struct.to.json", connectors.TypeBoolean, "false", "nested structs have no column type here", "Make columns of structs JSON."),
		missing("jdbcConnectionProperties", connectors.TypeString, "", "properties of a driver of the JVM; clickhouseSettings sets what the server reads", "Properties of the driver."),
		idle("retryCount", connectors.TypeInt, "3", "what can succeed later is tried again for ever."),
		idle("tableRefreshInterval", connectors.TypeLong, "0", "a table is read when its schema changes and when an insert says that it has changed."),
		idle("zkPath", connectors.TypeString, "/kafka-connect", "for exactlyOnce."),
		idle("zkDatabase", connectors.TypeString, "connect_state", "for exactlyOnce."),
		idle("keeperOnCluster", connectors.TypeString, "", "for exactlyOnce."),
		idle("tolerateStateMismatch", connectors.TypeBoolean, "false", "for exactlyOnce."),
		idle("bypassRowBinary", connectors.TypeBoolean, "false", "rows are sent in the Native format."),
		idle("clientVersion", connectors.TypeString, "", "there is one client."),
		idle("bypassSchemaValidation", connectors.TypeBoolean, "false", "values are checked as they are encoded."),
		idle("bypassFieldCleanup", connectors.TypeBoolean, "false", "columns are matched once per schema."),
		idle("ignorePartitionsWhenBatching", connectors.TypeBoolean, "false", "a block has the rows of all partitions."),
		idle("bufferCount", connectors.TypeInt, "0", "batch.size, batch.max.bytes and insert.interval.ms set how rows gather."),
		idle("bufferFlushTime", connectors.TypeLong, "0", "insert.interval.ms sets it."),
		idle("reportInsertedOffsets", connectors.TypeBoolean, "false", "only what is inserted is ever reported."),
		idle("auto.evolve.ddl.refresh.retries", connectors.TypeInt, "3", "the statement returns when the column is there."),
	})
}

func ownKeys() []connectors.Key {
	own := func(name string, t connectors.ValueType, fallback, doc string) connectors.Key {
		return with(key(name, t, fallback, doc), func(k *connectors.Key) { k.Group, k.Importance, k.Own = "Tables", "MEDIUM", true })
	}
	open := func(name string, t connectors.ValueType, doc string) connectors.Key {
		return with(own(name, t, "", doc), func(k *connectors.Key) { k.HasDefault = false })
	}
	closed := func(k connectors.Key, values string) connectors.Key {
		k.Recommended, k.Closed = words(values), true
		return k
	}
	checked := func(k connectors.Key, check func(string) string) connectors.Key {
		k.Check = check
		return k
	}
	return ordered([]connectors.Key{
		closed(own(keyMode, connectors.TypeString, "mirror", "mirror: tables equal to the source's rows; append: every change; reference: plain inserts into tables that exist, the default of a sink connector of the reference's class that reads topics."), "mirror append reference"),
		closed(open(keyEvolution, connectors.TypeString, "basic: make missing tables, add missing columns, widen types, rename columns; none: none of it. Default basic, none in mode reference (auto.evolve adds columns)."), "none basic"),
		open(keyCreate, connectors.TypeBoolean, "Make missing tables; as schema.evolution when not given."),
		own(keyDryRun, connectors.TypeBoolean, "false", "Only log the DDL that is needed, and stop."),
		checked(open(keyFormat, connectors.TypeString, "Name of the target table, with ${topic}, ${source.db}, ${source.schema}, ${source.table}; a dot separates database and table. Default ${source.table}, ${topic} in mode reference."), changes.CheckTargetFormat),
		checked(own(keyView, connectors.TypeString, "${table}_current", "Name of the view of the current rows of a mirror, with ${table}; empty: none."), checkView),
		own(keyPrefix, connectors.TypeString, "_", "What the names of this sink's own columns begin with: version, is_deleted; partition, order, op, seq."),
		open(keyInclude, connectors.TypeList, "Columns to write, as topic:column or column; all when not given."),
		open(keyExclude, connectors.TypeList, "Columns to leave out, as topic:column or column."),
		checked(open(keyTypes, connectors.TypeString, "Types of new columns, as column:type or schema.table.column:type, separated by semicolons. String takes every value."), checkTypes),
		closed(own(keyUnbounded, connectors.TypeString, "decimal", "What a numeric without precision becomes: decimal, Decimal(76, 38); string, String."), "decimal string"),
		closed(own(keyNullArray, connectors.TypeString, "empty", "What NULL becomes in an array or map, which cannot be NULL: empty, or refuse, an error."), "empty refuse"),
		closed(own(keyKeyMode, connectors.TypeString, changes.KeyRecord, "Where the key of a row of a topic comes from: record_key, record_value or none."), changes.KeyRecord+" "+changes.KeyValue+" "+changes.KeyNone),
		open(keyKeyFields, connectors.TypeList, "Which fields of a topic's record key (or value) are the key, in order; all when not given."),
		own(keyPlaceholder, connectors.TypeString, changes.DefaultUnavailable, "What the source wrote into a topic in place of a value that it did not get (its key of the same name)."),
		own(keyTruncate, connectors.TypeBoolean, "true", "Truncate the table of a mirror when the source truncates its table (the source leaves truncates out by default: skipped.operations)."),
		checked(own(keyRows, connectors.TypeInt, "500000", "Most rows in one insert; one batch above it passes alone."), checkPositive),
		checked(own(keyBytes, connectors.TypeInt, "16777216", "Most bytes of a block before compression; one batch above it passes alone."), checkPositive),
		checked(own(keyInterval, connectors.TypeLong, "100", "Least time between the starts of two inserts that are not full; the first after it, and the first after a full one, starts at once."), checkNotNegative),
		closed(own(keyCompression, connectors.TypeString, "none", "Compression of what is sent."), "none lz4 zstd gzip"),
		checked(own(keyEngine, connectors.TypeString, "ReplacingMergeTree", "Engine of new tables: ReplacingMergeTree, or ReplicatedReplacingMergeTree, perhaps with path and replica in parentheses."), checkEngine),
		open(keySharding, connectors.TypeString, "Sharding key. When given, with clusterName, a table t is made as t_local on all servers with a Distributed table t over it. cityHash64 of the key columns keeps all versions of a row together."),
	})
}

func checkPort(v string) string {
	if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && (n < 1 || n > 65535) {
		return "A port between 1 and 65535 is expected"
	}
	return ""
}

func checkPositive(v string) string {
	if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil && n < 1 {
		return "Value must be at least 1"
	}
	return ""
}

func checkNotNegative(v string) string {
	if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil && n < 0 {
		return "Value must be at least 0"
	}
	return ""
}

func checkPairs(v string) string {
	for _, item := range connectors.SplitList(v) {
		if topic, table, ok := strings.Cut(item, "="); !ok || strings.TrimSpace(topic) == "" || strings.TrimSpace(table) == "" {
			return "each item must be topic=table"
		}
	}
	return ""
}

func checkView(v string) string {
	switch name, err := changes.Expand(v, map[string]string{"table": "t"}); {
	case err != nil:
		return err.Error()
	case name == "t":
		return "the view needs another name than the table"
	}
	return ""
}

func checkTypes(v string) string {
	if _, err := parseTypes(v); err != nil {
		return err.Error()
	}
	return ""
}

func checkEngine(v string) string {
	v = strings.TrimSpace(v)
	name, arguments, has := strings.Cut(v, "(")
	if name != "ReplacingMergeTree" && name != "ReplicatedReplacingMergeTree" || has && (name == "ReplacingMergeTree" || !strings.HasSuffix(arguments, ")")) {
		return "ReplacingMergeTree, ReplicatedReplacingMergeTree or ReplicatedReplacingMergeTree('path', 'replica') is expected"
	}
	return ""
}
