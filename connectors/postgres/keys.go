package postgres

import (
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// definition is every key of the connector, in the order, groups and with the importance of the reference's ConfigDef.
func definition() *connectors.ConfigDef {
	return &connectors.ConfigDef{Keys: slices.Concat(keysConnection(), keysConnectionAdvanced(), keysConnector(), keysConnectorAdvanced(), keysConnectorSnapshot(), keysAdvanced(), keysAdvancedHeartbeat(), keysFilters(), keysConnectionAdvancedSsl(), keysConnectionAdvancedReplication(), keysUnlisted(), keyFamilies())}
}

func words(s string) []string { return strings.Fields(s) }

// keysConnection is group CONNECTION of the reference.
func keysConnection() []connectors.Key {
	return []connectors.Key{
		{
			Name: "database.hostname", Type: connectors.TypeString, Required: true, Importance: "HIGH", Group: "CONNECTION", Order: 1,
			Doc: "Host name or address of the database server; several, separated by commas, are tried in order.",
		},
		{
			Name: "database.port", Type: connectors.TypeInt, Default: "5432", HasDefault: true, Importance: "HIGH", Group: "CONNECTION", Order: 2, Check: checkPort,
			Doc: "Port of the database server.",
		},
		{
			Name: "database.user", Type: connectors.TypeString, Required: true, Importance: "HIGH", Group: "CONNECTION", Order: 3,
			Doc: "Role to connect as; it needs LOGIN, REPLICATION and SELECT on the captured tables.",
		},
		{
			Name: "database.password", Type: connectors.TypePassword, Importance: "HIGH", Group: "CONNECTION", Order: 4,
			Doc: "Password of database.user.",
		},
		{
			Name: "database.dbname", Type: connectors.TypeString, Required: true, Importance: "HIGH", Group: "CONNECTION", Order: 5,
			Doc: "Database whose changes are captured.",
		},
		{
			Name: "database.query.timeout.ms", Type: connectors.TypeInt, Default: "600000", HasDefault: true, Importance: "LOW", Group: "CONNECTION", Order: 6, Check: checkNotNegative,
			Doc: "How long a catalog query may take; 0 is without bound.",
		},
	}
}

// keysConnectionAdvanced is group CONNECTION_ADVANCED of the reference.
func keysConnectionAdvanced() []connectors.Key {
	return []connectors.Key{
		{
			Name: "skip.messages.without.change", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED", Order: 1,
			Doc: "Drop updates that change no captured column (the table needs REPLICA IDENTITY FULL).",
		},
		{
			Name: "database.initial.statements", Type: connectors.TypeString, Importance: "LOW", Group: "CONNECTION_ADVANCED", Order: 2,
			Doc: "SQL statements to run on each ordinary connection, separated by semicolons; two semicolons stand for one.",
		},
		{
			Name: "database.tcpKeepAlive", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED", Order: 3,
			Doc: "Probe idle connections with TCP keep-alive.",
		},
	}
}

// keysConnector is group CONNECTOR of the reference.
func keysConnector() []connectors.Key {
	return []connectors.Key{
		{
			Name: "topic.prefix", Type: connectors.TypeString, Required: true, Importance: "HIGH", Group: "CONNECTOR", Order: 1, Check: checkPrefix,
			Doc: "Logical name of the server: first part of every topic, and key of the stored offset. Letters, digits, - . _",
		},
		{
			Name: "tombstones.on.delete", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR", Order: 2,
			Doc: "Follow a delete by a record without value for the same key, so that compaction can drop it.",
		},
		{
			Name: "binary.handling.mode", Type: connectors.TypeString, Default: "bytes", HasDefault: true, Importance: "LOW", Group: "CONNECTOR", Order: 3, Recommended: words("bytes base64 base64-url-safe hex"), Closed: true,
			Doc: "How bytea values are written.",
		},
		{
			Name: "schema.name.adjustment.mode", Type: connectors.TypeString, Default: "none", HasDefault: true, Importance: "LOW", Group: "CONNECTOR", Order: 4, Recommended: words("none avro avro_unicode"), Closed: true,
			Doc: "How schema names are made valid for Avro.",
		},
		{
			Name: "field.name.adjustment.mode", Type: connectors.TypeString, Default: "none", HasDefault: true, Importance: "LOW", Group: "CONNECTOR", Order: 5, Recommended: words("none avro avro_unicode"), Closed: true,
			Doc: "How field names are made valid for Avro.",
		},
		{
			Name: "event.converting.failure.handling.mode", Type: connectors.TypeString, Default: "warn", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR", Order: 6, Recommended: words("warn skip fail"), Closed: true, Unsupported: "stopping at a value that cannot be converted", Harmless: words("skip"),
			Doc: "What becomes of a value that an event cannot hold (NaN in a Decimal): null.",
		},
		{
			Name: "topic.naming.strategy", Type: connectors.TypeClass, Default: "io.debezium.schema.SchemaTopicNamingStrategy", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR", Order: 7, Check: checkNaming,
			Doc: "Class that names topics: Schema- or DefaultTopicNamingStrategy, or their Unicode forms.",
		},
		{
			Name: "notification.sink.topic.name", Type: connectors.TypeString, Importance: "HIGH", Group: "CONNECTOR", Order: 8, Unsupported: "notifications",
			Doc: "Topic of notifications.",
		},
		{
			Name: "custom.metric.tags", Type: connectors.TypeList, Importance: "LOW", Group: "CONNECTOR", Order: 9,
			Doc: "Has no effect here: metrics carry the labels of connector and task.",
		},
		{
			Name: "decimal.handling.mode", Type: connectors.TypeString, Default: "precise", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR", Order: 10, Recommended: words("precise double string"), Closed: true,
			Doc: "How numeric and money values are written.",
		},
		{
			Name: "time.precision.mode", Type: connectors.TypeString, Default: "adaptive", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR", Order: 11, Recommended: words("adaptive adaptive_time_microseconds connect isostring microseconds nanoseconds structured"), Closed: true, Check: checkTimeMode,
			Doc: "How date and time values are written.",
		},
		{
			Name: "include.schema.comments", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR", Order: 12,
			Doc: "Put comments of tables and columns into schemas.",
		},
		{
			Name: "hstore.handling.mode", Type: connectors.TypeString, Default: "json", HasDefault: true, Importance: "LOW", Group: "CONNECTOR", Order: 13, Recommended: words("json map"), Closed: true,
			Doc: "Write hstore values as JSON text or as maps.",
		},
		{
			Name: "interval.handling.mode", Type: connectors.TypeString, Default: "numeric", HasDefault: true, Importance: "LOW", Group: "CONNECTOR", Order: 14, Recommended: words("numeric string structured"), Closed: true, Check: checkIntervalMode,
			Doc: "Write intervals as microseconds or as ISO 8601 text.",
		},
		{
			Name: "message.prefix.include.list", Type: connectors.TypeList, Importance: "MEDIUM", Group: "CONNECTOR", Order: 15, Check: checkPatterns,
			Doc: "Prefixes of the logical messages that are emitted, as regular expressions.",
		},
		{
			Name: "message.prefix.exclude.list", Type: connectors.TypeList, Importance: "MEDIUM", Group: "CONNECTOR", Order: 16, Check: checkPatterns,
			Doc: "Prefixes of the logical messages that are not emitted, as regular expressions.",
		},
		{
			Name: "publish.via.partition.root", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR", Order: 17,
			Doc: "A publication that is created here publishes changes of partitions under the name of their root.",
		},
		{
			Name: "lsn.flush.mode", Type: connectors.TypeString, Importance: "LOW", Group: "CONNECTOR", Order: 18, Recommended: words("connector connector_and_driver manual"), Closed: true,
			Doc: "Who confirms positions to the server: connector, connector_and_driver (the same here), or manual (nobody; WAL is kept until it is confirmed by hand).",
		},
		{
			Name: "flush.lsn.source", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "LOW", Group: "CONNECTOR", Order: 19,
			Doc: "Old form of lsn.flush.mode: false is manual.",
		},
		{
			Name: "unavailable.value.placeholder", Type: connectors.TypeString, Default: "__debezium_unavailable_value", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR", Order: 20, Check: checkPlaceholder,
			Doc: "Text in place of an unchanged out-of-line value that the server did not send; hex: introduces bytes.",
		},
		{
			Name: "skipped.operations", Type: connectors.TypeList, Default: "t", HasDefault: true, Importance: "LOW", Group: "CONNECTOR", Order: 21, Check: checkSkipped,
			Doc: "Operations that are not emitted: c, u, d, t or none.",
		},
	}
}

// keysConnectorAdvanced is group CONNECTOR_ADVANCED of the reference.
func keysConnectorAdvanced() []connectors.Key {
	return []connectors.Key{
		{
			Name: "provide.transaction.metadata", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_ADVANCED", Order: 1, Unsupported: "transaction metadata",
			Doc: "Emit transaction boundaries.",
		},
		{
			Name: "converters", Type: connectors.TypeString, Importance: "LOW", Group: "CONNECTOR_ADVANCED", Order: 2, Unsupported: "custom converters run in the JVM",
			Doc: "Custom converters of values.",
		},
		{
			Name: "post.processors", Type: connectors.TypeString, Importance: "LOW", Group: "CONNECTOR_ADVANCED", Order: 3, Unsupported: "post-processors",
			Doc: "Processors that run after an event was made.",
		},
		{
			Name: "incremental.snapshot.allow.schema.changes", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_ADVANCED", Order: 4, Unsupported: "incremental snapshots",
			Doc: "Allow schema changes during an incremental snapshot.",
		},
		{
			Name: "signal.data.collection", Type: connectors.TypeList, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 5, Unsupported: "signals",
			Doc: "Table through which signals are sent.",
		},
		{
			Name: "signal.enabled.channels", Type: connectors.TypeList, Default: "source", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 6, Unsupported: "signals",
			Doc: "Channels of signals.",
		},
		{
			Name: "notification.enabled.channels", Type: connectors.TypeList, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 7, Unsupported: "notifications",
			Doc: "Channels of notifications.",
		},
		{
			Name: "transaction.metadata.factory", Type: connectors.TypeClass, Default: "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_ADVANCED", Order: 8, Unsupported: "classes of the JVM",
			Doc: "Class of transaction metadata.",
		},
		{
			Name: "message.key.columns", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 9, Check: checkKeyColumns,
			Doc: "Columns that make the record key: table:column,column;table:column, tables as regular expressions.",
		},
		{
			Name: "column.propagate.source.type", Type: connectors.TypeList, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 13, Check: checkPatterns,
			Doc: "Columns whose type is added to the schema as parameters, as regular expressions.",
		},
		{
			Name: "datatype.propagate.source.type", Type: connectors.TypeList, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 14, Check: checkPatterns,
			Doc: "Types whose columns have their type added to the schema as parameters, as regular expressions.",
		},
		{
			Name: "memory.management.schemas.class", Type: connectors.TypeClass, Importance: "LOW", Group: "CONNECTOR_ADVANCED", Order: 15,
			Doc: "Has no effect here: it chooses a data structure of the JVM.",
		},
		{
			Name: "memory.management.tables.class", Type: connectors.TypeClass, Importance: "LOW", Group: "CONNECTOR_ADVANCED", Order: 16,
			Doc: "Has no effect here: it chooses a data structure of the JVM.",
		},
		{
			Name: "schema.refresh.mode", Type: connectors.TypeString, Default: "columns_diff", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 17, Recommended: words("columns_diff columns_diff_exclude_unchanged_toast"), Closed: true,
			Doc: "Has no effect here: pgoutput sends every version of a table before its rows.",
		},
		{
			Name: "include.unknown.datatypes", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 18,
			Doc: "Emit values of types that are not mapped, as opaque bytes (see binary.handling.mode).",
		},
		{
			Name: "sourceinfo.struct.maker", Type: connectors.TypeClass, Default: "io.debezium.connector.postgresql.PostgresSourceInfoStructMaker", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_ADVANCED", Order: 19, Unsupported: "classes of the JVM", Harmless: words("io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"),
			Doc: "Class that makes the source block.",
		},
	}
}

// keysConnectorSnapshot is group CONNECTOR_SNAPSHOT of the reference.
func keysConnectorSnapshot() []connectors.Key {
	return []connectors.Key{
		{
			Name: "snapshot.delay.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_SNAPSHOT", Order: 1, Check: checkNotNegative,
			Doc: "Pause before the snapshot.",
		},
		{
			Name: "snapshot.fetch.size", Type: connectors.TypeInt, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 2,
			Doc: "Has no effect here: rows are streamed with COPY.",
		},
		{
			Name: "snapshot.include.collection.list", Type: connectors.TypeList, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 3, Check: checkPatterns,
			Doc: "Captured tables that the snapshot reads, as regular expressions; all when empty.",
		},
		{
			Name: "snapshot.mode.custom.name", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 4, Unsupported: "custom snapshotters run in the JVM",
			Doc: "Name of a custom snapshotter.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.data", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 5, Unsupported: "snapshot.mode=configuration_based",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.schema", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 6, Unsupported: "snapshot.mode=configuration_based",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.start.stream", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 7, Unsupported: "snapshot.mode=configuration_based",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.on.schema.error", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 8, Unsupported: "snapshot.mode=configuration_based",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.on.data.error", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 9, Unsupported: "snapshot.mode=configuration_based",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.max.threads", Type: connectors.TypeInt, Default: "1", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 10, Check: checkPositive,
			Doc: "How many connections the snapshot reads tables with; more than one read tables at the same time, and large tables in parts.",
		},
		{
			Name: "snapshot.max.threads.multiplier", Type: connectors.TypeInt, Default: "1", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 11, Check: checkPositive,
			Doc: "With several threads, a table is read in at least threads times this many parts, unless it is small.",
		},
		{
			Name: "legacy.snapshot.max.threads", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_SNAPSHOT", Order: 12,
			Doc: "Reads every table whole, whatever the number of threads.",
		},
		{
			Name: "streaming.delay.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_SNAPSHOT", Order: 13, Check: checkNotNegative,
			Doc: "Pause between snapshot and streaming.",
		},
		{
			Name: "query.fetch.size", Type: connectors.TypeInt, Default: "0", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 14,
			Doc: "Has no effect here: results are streamed.",
		},
		{
			Name: "incremental.snapshot.watermarking.strategy", Type: connectors.TypeString, Default: "INSERT_INSERT", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_SNAPSHOT", Order: 15, Unsupported: "incremental snapshots",
			Doc: "How an incremental snapshot marks its windows.",
		},
		{
			Name: "snapshot.lock.timeout.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 16, Check: checkNotNegative,
			Doc: "How long to wait for a table lock.",
		},
		{
			Name: "snapshot.select.statement.overrides", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 17,
			Doc: "Tables whose rows the snapshot reads by a statement of their own, given as snapshot.select.statement.overrides.<schema.table>.",
		},
		{
			Name: "internal.snapshot.scan.all.columns.force", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_SNAPSHOT", Order: 18,
			Doc: "Has no effect here: the catalog is read per table.",
		},
		{
			Name: "snapshot.tables.order.by.row.count", Type: connectors.TypeString, Default: "disabled", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 19, Recommended: words("disabled ascending descending"), Closed: true,
			Doc: "Read small or big tables first.",
		},
		{
			Name: "snapshot.mode", Type: connectors.TypeString, Default: "initial", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 20, Recommended: words("always initial initial_only no_data when_needed configuration_based custom"), Closed: true, Check: checkSnapshotMode,
			Doc: "When rows that are there already are read: initial (once, before streaming), initial_only, no_data (never), when_needed (also when the position is lost), always.",
		},
		{
			Name: "snapshot.isolation.mode", Type: connectors.TypeString, Default: "serializable", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_SNAPSHOT", Order: 21, Recommended: words("serializable repeatable_read read_committed read_uncommitted"), Closed: true,
			Doc: "Has no effect here: all tables are read in one exported snapshot (repeatable read), which no other level would make more consistent.",
		},
		{
			Name: "snapshot.query.mode", Type: connectors.TypeString, Default: "select_all", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_SNAPSHOT", Order: 22, Recommended: words("select_all custom"), Closed: true, Unsupported: "custom snapshot queries",
			Doc: "How the snapshot queries tables.",
		},
		{
			Name: "snapshot.query.mode.custom.name", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 23, Unsupported: "custom snapshot queries",
			Doc: "Name of a custom snapshot query.",
		},
		{
			Name: "snapshot.locking.mode", Type: connectors.TypeString, Default: "none", HasDefault: true, Importance: "LOW", Group: "CONNECTOR_SNAPSHOT", Order: 24, Recommended: words("none shared custom"), Closed: true, Check: checkLocking,
			Doc: "Lock that the snapshot takes on tables while it reads their schema.",
		},
		{
			Name: "snapshot.locking.mode.custom.name", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 25, Unsupported: "custom snapshot locks",
			Doc: "Name of a custom snapshot lock.",
		},
		{
			Name: "incremental.snapshot.chunk.size", Type: connectors.TypeInt, Default: "1024", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 26, Unsupported: "incremental snapshots",
			Doc: "Rows per chunk of an incremental snapshot.",
		},
	}
}

// keysAdvanced is group ADVANCED of the reference.
func keysAdvanced() []connectors.Key {
	return []connectors.Key{
		{
			Name: "retriable.restart.connector.wait.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Importance: "LOW", Group: "ADVANCED", Order: 1,
			Doc: "Has no effect here: the pause before a new attempt grows with each failure.",
		},
		{
			Name: "max.queue.size", Type: connectors.TypeInt, Default: "8192", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 2,
			Doc: "Has no effect here: memory is bounded in bytes, by max.queue.size.in.bytes.",
		},
		{
			Name: "max.batch.size", Type: connectors.TypeInt, Default: "2048", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 3,
			Doc: "Has no effect here: a batch holds what is there, bounded in bytes.",
		},
		{
			Name: "poll.interval.ms", Type: connectors.TypeLong, Default: "500", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 4,
			Doc: "Has no effect here: changes are taken as they come, without polling.",
		},
		{
			Name: "max.queue.size.in.bytes", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 5, Check: checkNotNegative,
			Doc: "Bytes of events in memory at most; 0 is 64 MiB.",
		},
		{
			Name: "event.processing.failure.handling.mode", Type: connectors.TypeString, Default: "fail", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 6, Recommended: words("fail warn skip ignore"), Closed: true, Unsupported: "going on without an event",
			Doc: "What becomes of an event that cannot be processed.",
		},
		{
			Name: "errors.max.retries", Type: connectors.TypeInt, Default: "-1", HasDefault: true, Importance: "LOW", Group: "ADVANCED", Order: 7,
			Doc: "Attempts after a retriable error; -1 is without bound.",
		},
		{
			Name: "internal.log.position.check.enable", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 8,
			Doc: "Has no effect here: the stored position is always checked against the slot.",
		},
		{
			Name: "internal.advanced.metrics.enable", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 9,
			Doc: "Has no effect here: all metrics are on.",
		},
		{
			Name: "connection.validation.timeout.ms", Type: connectors.TypeLong, Default: "60000", HasDefault: true, Importance: "LOW", Group: "ADVANCED", Order: 10, Check: checkPositive,
			Doc: "How long the connection check of a validation may take.",
		},
		{
			Name: "executor.shutdown.timeout.ms", Type: connectors.TypeLong, Default: "4000", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 11,
			Doc: "Has no effect here: stopping is bounded by the worker.",
		},
		{
			Name: "openlineage.integration.enabled", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Group: "ADVANCED", Order: 12, Unsupported: "OpenLineage",
			Doc: "Send OpenLineage events.",
		},
		{
			Name: "openlineage.integration.config.file.path", Type: connectors.TypeString, Default: "./openlineage.yml", HasDefault: true, Importance: "LOW", Group: "ADVANCED", Order: 13,
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.namespace", Type: connectors.TypeString, Importance: "LOW", Group: "ADVANCED", Order: 14,
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.description", Type: connectors.TypeString, Default: "Debezium change data capture job", HasDefault: true, Importance: "LOW", Group: "ADVANCED", Order: 15,
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.tags", Type: connectors.TypeList, Importance: "LOW", Group: "ADVANCED", Order: 16,
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.owners", Type: connectors.TypeList, Importance: "LOW", Group: "ADVANCED", Order: 17,
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.dataset.kafka.bootstrap.servers", Type: connectors.TypeString, Importance: "LOW", Group: "ADVANCED", Order: 18,
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "extended.headers.enabled", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "LOW", Group: "ADVANCED", Order: 19,
			Doc: "Add the four context headers to data records.",
		},
		{
			Name: "guardrail.collections.max", Type: connectors.TypeInt, Default: "0", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 20, Check: checkNotNegative,
			Doc: "Number of captured tables above which guardrail.collections.limit.action applies; 0 is none.",
		},
		{
			Name: "guardrail.collections.limit.action", Type: connectors.TypeString, Default: "warn", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 21, Recommended: words("warn fail"), Closed: true,
			Doc: "Warn, or fail, above guardrail.collections.max.",
		},
		{
			Name: "custom.sanitize.pattern", Type: connectors.TypeString, Importance: "LOW", Group: "ADVANCED", Order: 22,
			Doc: "Has no effect here: configurations are never logged.",
		},
		{
			Name: "signal.emit.failure.max.retries", Type: connectors.TypeInt, Default: "0", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 23, Unsupported: "signals",
			Doc: "Attempts to emit a window signal.",
		},
		{
			Name: "signal.emit.failure.backoff.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 24, Unsupported: "signals",
			Doc: "Pause between attempts to emit a window signal.",
		},
		{
			Name: "statistics.metrics.enabled", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED", Order: 25,
			Doc: "Has no effect here: all metrics are on.",
		},
		{
			Name: "internal.offset.activity.monitor.interval.ms", Type: connectors.TypeLong, Default: "600000", HasDefault: true, Importance: "LOW", Group: "ADVANCED", Order: 26,
			Doc: "Has no effect here: the replication lag is a metric.",
		},
	}
}

// keysAdvancedHeartbeat is group ADVANCED_HEARTBEAT of the reference.
func keysAdvancedHeartbeat() []connectors.Key {
	return []connectors.Key{
		{
			Name: "heartbeat.interval.ms", Type: connectors.TypeInt, Default: "0", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED_HEARTBEAT", Order: 1, Check: checkNotNegative,
			Doc: "Pause between heartbeats; 0 is none.",
		},
		{
			Name: "heartbeat.topics.prefix", Type: connectors.TypeString, Default: "__debezium-heartbeat", HasDefault: true, Importance: "LOW", Group: "ADVANCED_HEARTBEAT", Order: 2,
			Doc: "Has no effect here: as in Debezium; use topic.heartbeat.prefix.",
		},
		{
			Name: "signal.poll.interval.ms", Type: connectors.TypeLong, Default: "5000", HasDefault: true, Importance: "MEDIUM", Group: "ADVANCED_HEARTBEAT", Order: 3, Unsupported: "signals",
			Doc: "Pause between looks at signal channels.",
		},
		{
			Name: "heartbeat.action.query", Type: connectors.TypeString, Importance: "LOW", Group: "ADVANCED_HEARTBEAT", Order: 4,
			Doc: "SQL to run with every heartbeat.",
		},
	}
}

// keysFilters is group FILTERS of the reference.
func keysFilters() []connectors.Key {
	return []connectors.Key{
		{
			Name: "table.include.list", Type: connectors.TypeList, Importance: "HIGH", Group: "FILTERS", Order: 1, Check: checkPatterns,
			Doc: "Tables that are captured, as regular expressions that match schema.table.",
		},
		{
			Name: "table.exclude.list", Type: connectors.TypeList, Importance: "MEDIUM", Group: "FILTERS", Order: 2, Check: checkPatterns,
			Doc: "Tables that are not captured, as regular expressions that match schema.table.",
		},
		{
			Name: "table.ignore.builtin", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "LOW", Group: "FILTERS", Order: 3,
			Doc: "Leave system tables out.",
		},
		{
			Name: "column.exclude.list", Type: connectors.TypeList, Importance: "MEDIUM", Group: "FILTERS", Order: 4, Check: checkPatterns,
			Doc: "Columns that are not captured, as regular expressions that match schema.table.column.",
		},
		{
			Name: "column.include.list", Type: connectors.TypeList, Importance: "MEDIUM", Group: "FILTERS", Order: 5, Check: checkPatterns,
			Doc: "Columns that are captured, as regular expressions that match schema.table.column.",
		},
		{
			Name: "schema.include.list", Type: connectors.TypeList, Importance: "HIGH", Group: "FILTERS", Order: 6, Check: checkPatterns,
			Doc: "Schemas that are captured, as regular expressions.",
		},
		{
			Name: "schema.exclude.list", Type: connectors.TypeList, Importance: "MEDIUM", Group: "FILTERS", Order: 7, Check: checkPatterns,
			Doc: "Schemas that are not captured, as regular expressions.",
		},
		{
			Name: "database.include.list", Type: connectors.TypeList, Importance: "HIGH", Group: "FILTERS", Order: 8, Check: checkPatterns,
			Doc: "Databases that are captured, as regular expressions.",
		},
		{
			Name: "database.exclude.list", Type: connectors.TypeList, Importance: "MEDIUM", Group: "FILTERS", Order: 9, Check: checkPatterns,
			Doc: "Databases that are not captured, as regular expressions.",
		},
	}
}

// keysConnectionAdvancedSsl is group CONNECTION_ADVANCED_SSL of the reference.
func keysConnectionAdvancedSsl() []connectors.Key {
	return []connectors.Key{
		{
			Name: "database.sslmode", Type: connectors.TypeString, Default: "prefer", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_SSL", Order: 1, Recommended: words("disable allow prefer require verify-ca verify-full"), Closed: true,
			Doc: "How TLS is used.",
		},
		{
			Name: "database.sslcert", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_SSL", Order: 2,
			Doc: "File of the client certificate, PEM.",
		},
		{
			Name: "database.sslkey", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_SSL", Order: 3,
			Doc: "File of the client key, PEM.",
		},
		{
			Name: "database.sslpassword", Type: connectors.TypePassword, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_SSL", Order: 4,
			Doc: "Password of the client key.",
		},
		{
			Name: "database.sslrootcert", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_SSL", Order: 5,
			Doc: "File of the certificates that may sign the server's, PEM.",
		},
		{
			Name: "database.sslfactory", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_SSL", Order: 6, Unsupported: "classes of the JVM",
			Doc: "Class that makes TLS sockets.",
		},
	}
}

// keysConnectionAdvancedReplication is group CONNECTION_ADVANCED_REPLICATION of the reference.
func keysConnectionAdvancedReplication() []connectors.Key {
	return []connectors.Key{
		{
			Name: "plugin.name", Type: connectors.TypeString, Default: "pgoutput", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 1, Check: checkPlugin,
			Doc: "Logical decoding plugin; only pgoutput.",
		},
		{
			Name: "slot.name", Type: connectors.TypeString, Default: "debezium", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 2, Check: checkSlot,
			Doc: "Replication slot; one per connector.",
		},
		{
			Name: "publication.name", Type: connectors.TypeString, Default: "dbz_publication", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 3, Check: checkPublication,
			Doc: "Publication that the slot reads.",
		},
		{
			Name: "publication.autocreate.mode", Type: connectors.TypeString, Default: "all_tables", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 4, Recommended: words("all_tables disabled filtered no_tables"), Closed: true,
			Doc: "What to do when the publication does not exist: create it for all_tables, for the captured ones (filtered), without tables (no_tables), or stop (disabled).",
		},
		{
			Name: "replica.identity.autoset.values", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 5, Check: checkIdentities,
			Doc: "REPLICA IDENTITY to set on tables: table:FULL, table:DEFAULT, table:NOTHING or table:INDEX name, tables as regular expressions.",
		},
		{
			Name: "slot.drop.on.stop", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 6,
			Doc: "Drop the slot when the connector stops; what is changed until the next start is lost.",
		},
		{
			Name: "slot.failover", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 7,
			Doc: "Make the slot a failover slot (PostgreSQL 17).",
		},
		{
			Name: "slot.stream.params", Type: connectors.TypeString, Importance: "LOW", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 8, Check: checkSlotParams,
			Doc: "Further options of the decoding plugin: name=value;name=value.",
		},
		{
			Name: "slot.max.retries", Type: connectors.TypeInt, Default: "6", HasDefault: true, Importance: "LOW", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 9, Check: checkNotNegative,
			Doc: "Attempts to start replication when the slot is in use.",
		},
		{
			Name: "slot.retry.delay.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Importance: "LOW", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 10, Check: checkNotNegative,
			Doc: "Pause between those attempts.",
		},
		{
			Name: "status.update.interval.ms", Type: connectors.TypeInt, Default: "10000", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 11, Check: checkPositive,
			Doc: "Pause between status messages to the server.",
		},
		{
			Name: "lsn.flush.timeout.ms", Type: connectors.TypeLong, Default: "30000", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 12,
			Doc: "Has no effect here: confirming a position does not wait for an answer.",
		},
		{
			Name: "lsn.flush.timeout.action", Type: connectors.TypeString, Default: "fail", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 13, Recommended: words("fail warn ignore"), Closed: true,
			Doc: "Has no effect here: confirming a position does not wait for an answer.",
		},
		{
			Name: "xmin.fetch.interval.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "MEDIUM", Group: "CONNECTION_ADVANCED_REPLICATION", Order: 14, Unsupported: "source.xmin",
			Doc: "Pause between looks at the xmin of the slot; 0 is none.",
		},
	}
}

// keysUnlisted are the keys that the reference reads without listing them.
func keysUnlisted() []connectors.Key {
	return []connectors.Key{
		{
			Name: "offset.mismatch.strategy", Type: connectors.TypeString, Default: "no_validation", HasDefault: true, Importance: "MEDIUM", Recommended: words("no_validation trust_offset trust_slot trust_greater_lsn"), Closed: true,
			Doc: "Which position wins when the stored one and the slot's differ.",
		},
		{
			Name: "internal.slot.seek.to.known.offset.on.start", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW",
			Doc: "Old form of offset.mismatch.strategy=trust_offset.",
		},
		{
			Name: "internal.create.slot.command.timeout", Type: connectors.TypeLong, Default: "90", HasDefault: true, Importance: "LOW", Check: checkPositive,
			Doc: "Seconds that creating the slot may take.",
		},
		{
			Name: "money.fraction.digits", Type: connectors.TypeInt, Default: "2", HasDefault: true, Importance: "LOW", Check: checkNotNegative,
			Doc: "Digits after the point of money values.",
		},
		{
			Name: "read.only", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Unsupported: "incremental snapshots of a read-only database",
			Doc: "The database cannot be written to.",
		},
		{
			Name: "poll.dispatch.interval.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "LOW",
			Doc: "Has no effect here: changes are taken as they come, without polling.",
		},
		{
			Name: "queue.provider.type", Type: connectors.TypeString, Default: "memory", HasDefault: true, Importance: "LOW", Recommended: words("memory chronicle hybrid_chronicle"), Closed: true, Unsupported: "queues on disk",
			Doc: "Where events wait.",
		},
		{
			Name: "internal.custom.retriable.exception", Type: connectors.TypeString, Importance: "LOW", Unsupported: "patterns of Java exceptions",
			Doc: "Errors that are tried again.",
		},
		{
			Name: "topic.delimiter", Type: connectors.TypeString, Default: ".", HasDefault: true, Importance: "MEDIUM",
			Doc: "Text between the parts of a topic name.",
		},
		{
			Name: "topic.cache.size", Type: connectors.TypeInt, Default: "10000", HasDefault: true, Importance: "LOW",
			Doc: "Has no effect here: topic names are made once per table.",
		},
		{
			Name: "topic.transaction", Type: connectors.TypeString, Default: "transaction", HasDefault: true, Importance: "LOW",
			Doc: "Last part of the name of the transaction topic.",
		},
		{
			Name: "topic.heartbeat.prefix", Type: connectors.TypeString, Default: "__debezium-heartbeat", HasDefault: true, Importance: "MEDIUM",
			Doc: "First part of the name of the heartbeat topic.",
		},
		{
			Name: "topic.heartbeat.name", Type: connectors.TypeString, Importance: "LOW",
			Doc: "Name of the heartbeat topic.",
		},
		{
			Name: "internal.legacy.snapshot.max.threads", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW",
			Doc: "Older name of legacy.snapshot.max.threads.",
		},
		{
			Name: "signal.file", Type: connectors.TypeString, Default: "file-signals.txt", HasDefault: true, Importance: "LOW", Unsupported: "signals",
			Doc: "File of signals.",
		},
	}
}

// keyFamilies are the keys whose names hold parameters.
func keyFamilies() []connectors.Key {
	return []connectors.Key{
		{
			Name: "column.mask.hash.", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 10, Prefix: true, Check: checkPatterns,
			Doc: "column.mask.hash.<algorithm>.with.salt.<salt>: columns whose text is replaced by its hash, as regular expressions.",
		},
		{
			Name: "column.mask.with.", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 11, Prefix: true, Check: checkPatterns,
			Doc: "column.mask.with.<n>.chars: columns whose text is replaced by n asterisks, as regular expressions.",
		},
		{
			Name: "column.truncate.to.", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTOR_ADVANCED", Order: 12, Prefix: true, Check: checkPatterns,
			Doc: "column.truncate.to.<n>.chars: columns whose text is cut to n characters, as regular expressions.",
		},
		{
			Name: "snapshot.select.statement.overrides.", Type: connectors.TypeString, Importance: "MEDIUM", Group: "CONNECTOR_SNAPSHOT", Order: 17, Prefix: true,
			Doc: "Statement that selects the rows of one table in the snapshot.",
		},
		{
			Name: "signal.kafka.", Type: connectors.TypeString, Importance: "LOW", Prefix: true, Unsupported: "signals",
			Doc: "Signals through Kafka.",
		},
		{
			Name: "signal.consumer.", Type: connectors.TypeString, Importance: "LOW", Prefix: true, Unsupported: "signals",
			Doc: "Signals through Kafka.",
		},
		{
			Name: "driver.", Type: connectors.TypeString, Importance: "LOW", Prefix: true, Unsupported: "properties of the JDBC driver",
			Doc: "Properties of the JDBC driver.",
		},
	}
}
