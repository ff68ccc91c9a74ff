package mysql

import (
	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// ownServer are the keys of the connection that only these connectors have, or have in another form than changes.CommonKeys.
func ownServer(f flavor) []connectors.Key {
	modes, preferred, plain := "verify_identity disabled preferred required verify_ca", "preferred", "disabled"
	if f == flavorMariaDB {
		modes, preferred, plain = "disable trust verify-ca verify-full", "disable", "disable"
	}
	return []connectors.Key{
		{
			Name: "database.hostname", Type: connectors.TypeString, Required: true,
			Importance: "HIGH", Width: "MEDIUM", Display: "Hostname",
			Doc: "Host name or address of the database server.",
		},
		{
			Name: "database.port", Type: connectors.TypeInt, NotNull: true, Default: "3306", HasDefault: true, Check: changes.CheckPort,
			Importance: "HIGH", Width: "SHORT", Display: "Port",
			Doc: "Port of the database server.",
		},
		{
			Name: "database.user", Type: connectors.TypeString, Required: true,
			Importance: "HIGH", Width: "SHORT", Display: "User",
			Doc: "User to connect as; it needs REPLICATION SLAVE, REPLICATION CLIENT, RELOAD or LOCK TABLES, and SELECT on the captured tables.",
		},
		{
			Name: "database.server.id", Type: connectors.TypeLong, Required: true, Check: checkServerID,
			Importance: "HIGH", Width: "LONG", Display: "Cluster ID",
			Doc: "Id of the connector as a replica, 1 to 4294967295; no other replica of the server may have it.",
		},
		{
			Name: "database.server.id.offset", Type: connectors.TypeLong, Default: "10000", HasDefault: true,
			Importance: "HIGH", Width: "LONG", Display: "Cluster ID offset",
			Doc: "Has no effect here: the connections of a snapshot are not replicas.",
		},
		{
			Name: "database.ssl.keystore", Type: connectors.TypeString,
			Importance: "MEDIUM", Width: "LONG", Display: "SSL Keystore",
			Doc: "File of the client's certificate and its key, PEM.",
		},
		{
			Name: "database.ssl.keystore.password", Type: connectors.TypePassword,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "SSL Keystore Password",
			Doc: "Has no effect here: PEM files have no password of their own.",
		},
		{
			Name: "database.ssl.truststore", Type: connectors.TypeString,
			Importance: "MEDIUM", Width: "LONG", Display: "SSL Truststore",
			Doc: "File of the certificates that may sign the server's, PEM; the system's when not given.",
		},
		{
			Name: "database.ssl.truststore.password", Type: connectors.TypePassword,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "SSL Truststore Password",
			Doc: "Has no effect here: PEM files have no password of their own.",
		},
		{
			Name: "database.jdbc.driver", Type: connectors.TypeClass, Default: "com.mysql.cj.jdbc.Driver", HasDefault: true, Check: changes.CheckClass,
			Importance: "LOW", Width: "MEDIUM", Display: "JDBC Driver Class Name",
			Doc: "Has no effect here: there is no JDBC driver.",
		},
		{
			Name: "database.protocol", Type: connectors.TypeString, Default: "jdbc:mysql", HasDefault: true,
			Importance: "LOW", Width: "MEDIUM", Display: "JDBC Protocol",
			Doc: "Has no effect here: there is no JDBC driver.",
		},
		{
			Name: "database.ssl.mode", Type: connectors.TypeString, Default: preferred, HasDefault: true, Recommended: words(modes), Closed: true,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "SSL mode",
			Doc: "Whether TLS is used (" + plain + ": it is not), and what is verified of the server's certificate.",
		},
		{
			Name: "connect.timeout.ms", Type: connectors.TypeInt, Default: "30000", HasDefault: true, Check: changes.CheckPositive,
			Importance: "MEDIUM", Width: "SHORT", Display: "Connection Timeout (ms)",
			Doc: "How long connecting may take, with the login.",
		},
		{
			Name: "connect.keep.alive", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Check: changes.CheckBoolean,
			Importance: "LOW", Width: "SHORT", Display: "Keep connection alive (true/false)",
			Doc: "Probe idle connections with TCP keep-alive; on the binlog connection the server sends heartbeats anyway.",
		},
		{
			Name: "connect.keep.alive.interval.ms", Type: connectors.TypeLong, Default: "60000", HasDefault: true, Check: changes.CheckPositive,
			Importance: "LOW", Width: "SHORT", Display: "Keep alive interval (ms)",
			Doc: "Pause between those probes.",
		},
		{
			Name: "use.nongraceful.disconnect", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Use Non-graceful Disconnect",
			Doc: "Has no effect here: a stale connection is closed without waiting for its server.",
		},
		{
			Name: "binlog.net.write.timeout", Type: connectors.TypeLong, Default: "0", HasDefault: true, Check: changes.CheckNotNegativeLong,
			Importance: "MEDIUM", Width: "SHORT", Display: "Binlog Net Write Timeout",
			Doc: "Seconds after which the server gives up writing to the binlog connection (net_write_timeout); 0 is the server's own setting.",
		},
		{
			Name: "binlog.net.read.timeout", Type: connectors.TypeLong, Default: "0", HasDefault: true, Check: changes.CheckNotNegativeLong,
			Importance: "MEDIUM", Width: "SHORT", Display: "Binlog Net Read Timeout",
			Doc: "Seconds after which the server gives up reading from the binlog connection (net_read_timeout); 0 is the server's own setting.",
		},
	}
}

// ownChanges are such keys of snapshots, of values and of the binlog.
func ownChanges(f flavor) []connectors.Key {
	locks, maker, source := "minimal minimal_percona custom none minimal_percona_no_table_locks extended", "io.debezium.connector.mysql.MySqlSourceInfoStructMaker", "UUIDs of the servers"
	if f == flavorMariaDB {
		locks, maker, source = "minimal custom none extended", "io.debezium.connector.mariadb.MariaDbSourceInfoStructMaker", "sources (domain-server)"
	}
	return []connectors.Key{
		{
			Name: "snapshot.mode", Type: connectors.TypeString, Default: "initial", HasDefault: true, Closed: true, Check: checkSnapshotMode,
			Recommended: words("always initial_only configuration_based when_needed initial custom no_data recovery"),
			Importance:  "LOW", Width: "SHORT", Display: "Snapshot mode",
			Doc: "When rows that are there already are read: initial (once, before streaming), initial_only, no_data (never), when_needed (also when the position is lost), always; recovery makes the schema history anew.",
		},
		{
			Name: "bigint.unsigned.handling.mode", Type: connectors.TypeString, Default: "long", HasDefault: true, Recommended: words("precise long"), Closed: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "The mode for handling bigint-unsigned values",
			Doc: "Write BIGINT UNSIGNED as 64-bit integers with a sign (long) or as decimals (precise).",
		},
		{
			Name: "time.precision.mode", Type: connectors.TypeString, Default: "adaptive_time_microseconds", HasDefault: true, Closed: true, Check: checkTimeMode,
			Recommended: words("adaptive adaptive_time_microseconds isostring microseconds nanoseconds connect"),
			Importance:  "MEDIUM", Width: "SHORT", Display: "The time precision mode to be used",
			Doc: "How date and time values are written.",
		},
		{
			Name: "enable.time.adjuster", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Enable Time Adjuster",
			Doc: "Read years of two digits as 1970 to 2069.",
		},
		{
			Name: "min.row.count.to.stream.results", Type: connectors.TypeInt, Default: "1000", HasDefault: true, Check: changes.CheckNotNegativeLong,
			Importance: "LOW", Width: "MEDIUM", Display: "Stream result set of size",
			Doc: "Has no effect here: results are always streamed.",
		},
		{
			Name: "snapshot.locking.mode", Type: connectors.TypeString, Default: "minimal", HasDefault: true, Recommended: words(locks), Closed: true, Check: checkLocking(words(locks)),
			Importance: "LOW", Width: "SHORT", Display: "Snapshot locking mode",
			Doc: "How long a snapshot keeps others from writing: minimal (while it reads schema and position), extended (all the time), none.",
		},
		{
			Name: "ddl.parser.type", Type: connectors.TypeString, Default: "default", HasDefault: true, Recommended: words("default legacy"), Closed: true,
			Importance: "LOW", Width: "SHORT", Display: "DDL Parser Type",
			Doc: "Has no effect here: there is one parser.",
		},
		{
			Name: "include.schema.changes", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Include database schema changes",
			Doc: "Write the DDL of captured databases to the topic that is named like topic.prefix.",
		},
		{
			Name: "include.query", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Include original SQL query with in change events",
			Doc: "Put the statement into source.query (the server needs binlog_rows_query_log_events, MariaDB: binlog_annotate_row_events).",
		},
		{
			Name: "table.ignore.builtin", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Check: changes.CheckBoolean,
			Importance: "LOW", Width: "SHORT", Display: "Ignore system databases", Dependents: []string{"database.include.list"},
			Doc: "Leave mysql, sys, performance_schema and information_schema out.",
		},
		{
			Name: "binlog.buffer.size", Type: connectors.TypeInt, Default: "0", HasDefault: true, Check: changes.CheckNotNegative,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Binlog reader buffer size",
			Doc: "Has no effect here: the binlog holds committed transactions only, apart from tables without transactions.",
		},
		{
			Name: "event.deserialization.failure.handling.mode", Type: connectors.TypeString, Default: "fail", HasDefault: true, Recommended: words("warn fail ignore skip"), Closed: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Event deserialization failure handling",
			Doc: "What becomes of a binlog event that cannot be read.",
		},
		{
			Name: "inconsistent.schema.handling.mode", Type: connectors.TypeString, Default: "fail", HasDefault: true, Recommended: words("warn fail ignore skip"), Closed: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Inconsistent schema failure handling",
			Doc: "What becomes of rows of a captured table that the schema history does not know: stop (fail), or leave them out with a warning (warn) or without (skip).",
		},
		{
			Name: "gtid.source.filter.dml.events", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Filter DML events",
			Doc: "Emit no rows of transactions that gtid.source.includes or gtid.source.excludes leave out.",
		},
		{
			Name: "gtid.ignore.on.recovery", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Ignore GTID on recovery",
			Doc: "Resume at the stored file and position, although GTIDs are stored.",
		},
		{
			Name: "gtid.source.includes", Type: connectors.TypeList, Check: changes.CheckPatterns,
			Importance: "HIGH", Width: "LONG", Display: "Include GTID sources", Dependents: []string{"table.include.list"},
			Doc: "Which " + source + " of a GTID count for the position, as regular expressions.",
		},
		{
			Name: "gtid.source.excludes", Type: connectors.TypeString, Check: changes.CheckPatterns,
			Importance: "MEDIUM", Width: "LONG", Display: "Exclude GTID sources", Invisible: true,
			Doc: "Which " + source + " of a GTID do not count for the position, as regular expressions.",
		},
		{
			Name: "sourceinfo.struct.maker", Type: connectors.TypeClass, Default: maker, HasDefault: true, Unsupported: "classes of the JVM", Harmless: words(maker),
			Importance: "LOW", Width: "MEDIUM", Display: "Source info struct maker class",
			Doc: "Class that makes the source block.",
		},
		{
			Name: "unavailable.value.placeholder", Type: connectors.TypeString, Default: "__debezium_unavailable_value", HasDefault: true, Importance: "MEDIUM",
			Doc: "Text in place of a value that the server did not send (binlog_row_image=MINIMAL or NOBLOB).",
		},
		{
			Name: "resolve.create.table.like.schema", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW",
			Doc: "Has no effect here: CREATE TABLE … LIKE is always resolved.",
		},
	}
}

// ownHistory are the keys of the schema history.
func ownHistory() []connectors.Key {
	const h = "schema.history.internal"
	return []connectors.Key{
		{
			Name: h, Type: connectors.TypeClass, Default: "io.debezium.storage.kafka.history.KafkaSchemaHistory", HasDefault: true, Check: checkHistory,
			Importance: "LOW", Width: "LONG", Display: "Database schema history class", Invisible: true,
			Doc: "Where the schema history is kept: KafkaSchemaHistory, FileSchemaHistory, or for tests MemorySchemaHistory.",
		},
		{
			Name: h + ".skip.unparseable.ddl", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Skip DDL statements that cannot be parsed",
			Doc: "Go on after a statement that cannot be parsed.",
		},
		{
			Name: h + ".store.only.captured.tables.ddl", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Store only DDL that modifies tables that are captured based on include/exclude lists",
			Doc: "Keep the statements of captured tables only.",
		},
		{
			Name: h + ".store.only.captured.databases.ddl", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Store only DDL that modifies tables of databases that are captured based on include/exclude lists",
			Doc: "Keep the statements of captured databases only.",
		},
		{
			Name: h + ".kafka.topic", Type: connectors.TypeString, Importance: "HIGH",
			Doc: "Topic of the schema history: one partition, never compacted, kept for ever.",
		},
		{
			Name: h + ".kafka.bootstrap.servers", Type: connectors.TypeString, Importance: "HIGH",
			Doc: "Brokers of that topic.",
		},
		{
			Name: h + ".kafka.recovery.poll.interval.ms", Type: connectors.TypeInt, Default: "100", HasDefault: true, Check: changes.CheckNotNegative, Importance: "LOW",
			Doc: "How long one read of a recovery waits.",
		},
		{
			Name: h + ".kafka.recovery.attempts", Type: connectors.TypeInt, Default: "100", HasDefault: true, Importance: "LOW",
			Doc: "Reads without a record after which a recovery fails.",
		},
		{
			Name: h + ".kafka.query.timeout.ms", Type: connectors.TypeInt, Default: "3000", HasDefault: true, Check: changes.CheckPositive, Importance: "LOW",
			Doc: "How long a question to the cluster may take.",
		},
		{
			Name: h + ".kafka.create.timeout.ms", Type: connectors.TypeInt, Default: "30000", HasDefault: true, Check: changes.CheckPositive, Importance: "LOW",
			Doc: "How long creating the topic may take.",
		},
		{
			Name: h + ".kafka.buffer.batch.size", Type: connectors.TypeInt, Default: "1024", HasDefault: true, Check: changes.CheckPositive, Importance: "LOW",
			Doc: "Has no effect here: statements are written as they come.",
		},
		{
			Name: h + ".file.filename", Type: connectors.TypeString, Importance: "HIGH",
			Doc: "File of FileSchemaHistory.",
		},
		{
			Name: h + ".name", Type: connectors.TypeString, Importance: "LOW",
			Doc: "Client id of the history's Kafka clients.",
		},
		{
			Name: h + ".prefer.ddl", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW",
			Doc: "Recover from the statements instead of the tables that are stored with them.",
		},
		{
			Name: h + ".memory.optimization", Type: connectors.TypeString, Default: "off", HasDefault: true, Importance: "LOW",
			Doc: "Has no effect here: it chooses a data structure of the JVM.",
		},
		{
			Name: h + ".connector.class", Type: connectors.TypeString, Importance: "LOW",
			Doc: "Has no effect here: the reference sets it itself.",
		},
		{
			Name: h + ".connector.id", Type: connectors.TypeString, Importance: "LOW",
			Doc: "Has no effect here: the reference sets it itself.",
		},
		{
			Name: "internal." + h + ".ddl.filter", Type: connectors.TypeString, Check: checkFilter, Importance: "LOW",
			Doc: "Statements that are neither parsed nor stored, as regular expressions.",
		},
		{
			Name: h + ".producer.", Type: connectors.TypeString, Prefix: true, Show: showClient, Importance: "LOW",
			Doc: "Properties of the producer of the history's topic.",
		},
		{
			Name: h + ".consumer.", Type: connectors.TypeString, Prefix: true, Show: showClient, Importance: "LOW",
			Doc: "Properties of the consumer of the history's topic.",
		},
	}
}
