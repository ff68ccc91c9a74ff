package postgres

import "github.com/freshet-io/freshet/connectors"

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
