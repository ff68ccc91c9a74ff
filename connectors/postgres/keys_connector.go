package postgres

import "github.com/freshet-io/freshet/connectors"

// keysConnector is the first half of the group Connector of the reference: how the connector works.
func keysConnector() []connectors.Key {
	const group = "Connector"
	return []connectors.Key{
		{
			Name: "event.processing.failure.handling.mode", Type: connectors.TypeString, Default: "fail", HasDefault: true, Recommended: words("warn fail ignore skip"), Closed: true, Unsupported: "going on without an event",
			Importance: "MEDIUM", Group: group, Order: 1, Width: "SHORT", Display: "Event deserialization failure handling",
			Doc: "What becomes of an event that cannot be processed.",
		},
		{
			Name: "max.batch.size", Type: connectors.TypeInt, Default: "2048", HasDefault: true, Check: checkPositive,
			Importance: "MEDIUM", Group: group, Order: 2, Width: "SHORT", Display: "Change event batch size",
			Doc: "Has no effect here: a batch holds what is there, bounded in bytes.",
		},
		{
			Name: "max.queue.size", Type: connectors.TypeInt, Default: "8192", HasDefault: true, Check: checkQueueSize,
			Importance: "MEDIUM", Group: group, Order: 3, Width: "SHORT", Display: "Change event buffer size",
			Doc: "Has no effect here: memory is bounded in bytes, by max.queue.size.in.bytes.",
		},
		{
			Name: "poll.interval.ms", Type: connectors.TypeLong, Default: "500", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 4, Width: "SHORT", Display: "Poll interval (ms)",
			Doc: "Has no effect here: changes are taken as they come, without polling.",
		},
		{
			Name: "max.queue.size.in.bytes", Type: connectors.TypeLong, Default: "0", HasDefault: true, Check: checkNotNegativeLong,
			Importance: "MEDIUM", Group: group, Order: 5, Width: "LONG", Display: "Change event buffer size in bytes",
			Doc: "Bytes of events in memory at most; 0 is 64 MiB.",
		},
		{
			Name: "provide.transaction.metadata", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "transaction metadata",
			Importance: "LOW", Group: group, Order: 6, Width: "SHORT", Display: "Store transaction metadata information in a dedicated topic.",
			Doc: "Emit transaction boundaries.",
		},
		{
			Name: "snapshot.delay.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Check: checkNotNegativeLong,
			Importance: "LOW", Group: group, Order: 7, Width: "MEDIUM", Display: "Snapshot Delay (milliseconds)",
			Doc: "Pause before the snapshot.",
		},
		{
			Name: "streaming.delay.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Check: checkNotNegativeLong,
			Importance: "LOW", Group: group, Order: 8, Width: "MEDIUM", Display: "Streaming Delay (milliseconds)",
			Doc: "Pause between snapshot and streaming.",
		},
		{
			Name: "snapshot.include.collection.list", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "MEDIUM", Group: group, Order: 9, Width: "LONG", Display: "Snapshot mode include data collection",
			Doc: "Captured tables that the snapshot reads, as regular expressions; all when empty.",
		},
		{
			Name: "snapshot.fetch.size", Type: connectors.TypeInt,
			Importance: "MEDIUM", Group: group, Order: 10, Width: "MEDIUM", Display: "Snapshot fetch size",
			Doc: "Has no effect here: rows are streamed with COPY.",
		},
		{
			Name: "snapshot.max.threads", Type: connectors.TypeInt, Default: "1", HasDefault: true, Check: checkPositive,
			Importance: "MEDIUM", Group: group, Order: 11, Width: "SHORT", Display: "Snapshot maximum threads",
			Doc: "How many connections the snapshot reads tables with; more than one read tables at the same time, and large tables in parts.",
		},
		{
			Name: "snapshot.max.threads.multiplier", Type: connectors.TypeInt, Default: "1", HasDefault: true, Check: checkPositive,
			Importance: "MEDIUM", Group: group, Order: 12, Width: "SHORT", Display: "Snapshot maximum thread multiplier",
			Doc: "With several threads, a table is read in at least threads times this many parts, unless it is small.",
		},
		{
			Name: "legacy.snapshot.max.threads", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Group: group, Order: 13, Width: "SHORT", Display: "Enforces using a single thread per table regardless of table size",
			Doc: "Reads every table whole, whatever the number of threads.",
		},
		{
			Name: "internal.legacy.snapshot.max.threads", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Group: group, Order: 13, Width: "SHORT", Display: "Enforces using a single thread per table regardless of table size", Alias: true,
			Doc: "Older name of legacy.snapshot.max.threads.",
		},
		{
			Name: "snapshot.mode.custom.name", Type: connectors.TypeString, Unsupported: "custom snapshotters run in the JVM",
			Importance: "MEDIUM", Group: group, Order: 14, Width: "MEDIUM", Display: "Snapshot Mode Custom Name",
			Doc: "Name of a custom snapshotter.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.data", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Group: group, Order: 15, Width: "MEDIUM", Display: "Snapshot mode property based snapshot data",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.schema", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Group: group, Order: 16, Width: "MEDIUM", Display: "Snapshot mode property based snapshot schema",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.start.stream", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Group: group, Order: 17, Width: "MEDIUM", Display: "Snapshot mode property based start stream",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.on.schema.error", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Group: group, Order: 18, Width: "MEDIUM", Display: "Snapshot mode property based snapshot on schema error",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.on.data.error", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Group: group, Order: 19, Width: "MEDIUM", Display: "Snapshot mode property based snapshot on data error",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "retriable.restart.connector.wait.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true,
			Importance: "LOW", Group: group, Order: 20, Width: "MEDIUM", Display: "Retriable restart wait (ms)",
			Doc: "Has no effect here: the pause before a new attempt grows with each failure.",
		},
		{
			Name: "query.fetch.size", Type: connectors.TypeInt, Default: "0", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 21, Width: "MEDIUM", Display: "Query fetch size",
			Doc: "Has no effect here: results are streamed.",
		},
		{
			Name: "errors.max.retries", Type: connectors.TypeInt, Default: "-1", HasDefault: true,
			Importance: "LOW", Group: group, Order: 22, Width: "MEDIUM", Display: "The maximum number of retries",
			Doc: "Attempts after a retriable error; -1 is without bound.",
		},
		{
			Name: "incremental.snapshot.watermarking.strategy", Recommended: words("insert_delete insert_insert"), Type: connectors.TypeString, Default: "INSERT_INSERT", HasDefault: true, Unsupported: "incremental snapshots",
			Importance: "LOW", Group: group, Order: 23, Width: "MEDIUM", Display: "Incremental snapshot watermarking strategy",
			Doc: "How an incremental snapshot marks its windows.",
		},
		{
			Name: "internal.log.position.check.enable", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 24, Width: "MEDIUM", Display: "Enable/Disable log position check",
			Doc: "Has no effect here: the stored position is always checked against the slot.",
		},
		{
			Name: "internal.advanced.metrics.enable", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 25, Width: "MEDIUM", Display: "Enable/Disable advance metrics",
			Doc: "Has no effect here: all metrics are on.",
		},
		{
			Name: "connection.validation.timeout.ms", Type: connectors.TypeLong, Default: "60000", HasDefault: true, Check: checkPositiveLong,
			Importance: "LOW", Group: group, Order: 26, Width: "SHORT", Display: "Connection validation timeout (ms)",
			Doc: "How long the connection check of a validation may take.",
		},
		{
			Name: "executor.shutdown.timeout.ms", Type: connectors.TypeLong, Default: "4000", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 27, Width: "MEDIUM", Display: "Executor shutdown timeout (ms)",
			Doc: "Has no effect here: stopping is bounded by the worker.",
		},
		{
			Name: "openlineage.integration.enabled", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "OpenLineage",
			Importance: "LOW", Group: group, Order: 28, Width: "SHORT", Display: "Enables OpenLineage integration",
			Doc: "Send OpenLineage events.",
		},
		{
			Name: "openlineage.integration.config.file.path", Type: connectors.TypeString, Default: "./openlineage.yml", HasDefault: true,
			Importance: "LOW", Group: group, Order: 29, Width: "LONG", Display: "Path to OpenLineage file configuration",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
	}
}

// keysConnectorModes is the second half: what it makes of snapshots and values.
func keysConnectorModes() []connectors.Key {
	const group = "Connector"
	return []connectors.Key{
		{
			Name: "openlineage.integration.job.namespace", Type: connectors.TypeString,
			Importance: "LOW", Group: group, Order: 30, Width: "LONG", Display: "Namespace used for Debezium job",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.description", Type: connectors.TypeString, Default: "Debezium change data capture job", HasDefault: true,
			Importance: "LOW", Group: group, Order: 31, Width: "LONG", Display: "Description used for Debezium job",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.tags", Type: connectors.TypeList,
			Importance: "LOW", Group: group, Order: 32, Width: "LONG", Display: "Debezium job tags",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.owners", Type: connectors.TypeList,
			Importance: "LOW", Group: group, Order: 33, Width: "LONG", Display: "Debezium job owners",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.dataset.kafka.bootstrap.servers", Type: connectors.TypeString,
			Importance: "LOW", Group: group, Order: 34, Width: "LONG", Display: "Kafka bootstrap server used in Kafka Connect deployment",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "extended.headers.enabled", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "LOW", Group: group, Order: 35, Width: "SHORT", Display: "Enable/Disable extended headers",
			Doc: "Add the four context headers to data records.",
		},
		{
			Name: "guardrail.collections.max", Type: connectors.TypeInt, Default: "0", HasDefault: true, Check: checkNotNegative,
			Importance: "MEDIUM", Group: group, Order: 36, Width: "SHORT", Display: "Maximum number of collections or tables",
			Doc: "Number of captured tables above which guardrail.collections.limit.action applies; 0 is none.",
		},
		{
			Name: "guardrail.collections.limit.action", Type: connectors.TypeString, Default: "warn", HasDefault: true, Recommended: words("warn fail"), Closed: true,
			Importance: "MEDIUM", Group: group, Order: 37, Width: "SHORT", Display: "Guardrail collections limit action",
			Doc: "Warn, or fail, above guardrail.collections.max.",
		},
		{
			Name: "custom.sanitize.pattern", Type: connectors.TypeString, HasDefault: true,
			Default:    `.*secret$|.*password$|.*sasl\.jaas\.config$|.*basic\.auth\.user\.info|.*registry\.auth\.client-secret|.*credentials\.json$|.*connectionstring$|.*connection\.string$`,
			Importance: "LOW", Group: group, Order: 38, Width: "LONG", Display: "Custom pattern for masking sensitive configuration",
			Doc: "Has no effect here: configurations are never logged.",
		},
		{
			Name: "statistics.metrics.enabled", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 39, Width: "SHORT", Display: "Enable collecting statistics metrics like latencies",
			Doc: "Has no effect here: all metrics are on.",
		},
		{
			Name: "decimal.handling.mode", Type: connectors.TypeString, Default: "precise", HasDefault: true, Recommended: words("string double precise"), Closed: true,
			Importance: "MEDIUM", Group: group, Order: 40, Width: "SHORT", Display: "Decimal Handling",
			Doc: "How numeric and money values are written.",
		},
		{
			Name: "time.precision.mode", Type: connectors.TypeString, Default: "adaptive", HasDefault: true, Recommended: words("adaptive adaptive_time_microseconds isostring microseconds nanoseconds connect"), Closed: true,
			Importance: "MEDIUM", Group: group, Order: 41, Width: "SHORT", Display: "Time Precision",
			Doc: "How date and time values are written.",
		},
		{
			Name: "snapshot.lock.timeout.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Check: checkNotNegativeLong,
			Importance: "MEDIUM", Group: group, Order: 42, Width: "LONG", Display: "Snapshot lock timeout (ms)",
			Doc: "How long to wait for a table lock.",
		},
		{
			Name: "memory.management.schemas.class", Type: connectors.TypeClass, Default: "io.debezium.relational.ConcurrentMapTableMappingStorage", HasDefault: true,
			Importance: "LOW", Group: group, Order: 43, Width: "LONG", Display: "Schema storage class",
			Doc: "Has no effect here: it chooses a data structure of the JVM.",
		},
		{
			Name: "memory.management.tables.class", Type: connectors.TypeClass, Default: "io.debezium.relational.ConcurrentMapTableMappingStorage", HasDefault: true,
			Importance: "LOW", Group: group, Order: 44, Width: "LONG", Display: "Table storage class",
			Doc: "Has no effect here: it chooses a data structure of the JVM.",
		},
		{
			Name: "snapshot.mode", Type: connectors.TypeString, Default: "initial", HasDefault: true, Recommended: words("always initial_only configuration_based when_needed initial custom no_data"), Closed: true, Check: checkSnapshotMode,
			Importance: "MEDIUM", Group: group, Order: 45, Width: "SHORT", Display: "Snapshot mode",
			Doc: "When rows that are there already are read: initial (once, before streaming), initial_only, no_data (never), when_needed (also when the position is lost), always.",
		},
		{
			Name: "snapshot.isolation.mode", Type: connectors.TypeString, Default: "serializable", HasDefault: true, Recommended: words("read_uncommitted repeatable_read read_committed serializable"), Closed: true,
			Importance: "LOW", Group: group, Order: 46, Width: "SHORT", Display: "Snapshot isolation mode",
			Doc: "Has no effect here: all tables are read in one exported snapshot (repeatable read), which no other level would make more consistent.",
		},
		{
			Name: "snapshot.query.mode", Type: connectors.TypeString, Default: "select_all", HasDefault: true, Recommended: words("custom select_all"), Closed: true, Unsupported: "custom snapshot queries",
			Importance: "LOW", Group: group, Order: 47, Width: "SHORT", Display: "Snapshot query mode",
			Doc: "How the snapshot queries tables.",
		},
		{
			Name: "snapshot.query.mode.custom.name", Type: connectors.TypeString, Unsupported: "custom snapshot queries",
			Importance: "MEDIUM", Group: group, Order: 48, Width: "MEDIUM", Display: "Snapshot Query Mode Custom Name",
			Doc: "Name of a custom snapshot query.",
		},
		{
			Name: "snapshot.locking.mode.custom.name", Type: connectors.TypeString, Unsupported: "custom snapshot locks",
			Importance: "MEDIUM", Group: group, Order: 49, Width: "MEDIUM", Display: "Snapshot Locking Mode Custom Name",
			Doc: "Name of a custom snapshot lock.",
		},
		{
			Name: "snapshot.locking.mode", Type: connectors.TypeString, Default: "none", HasDefault: true, Recommended: words("shared custom none"), Closed: true, Check: checkLocking,
			Importance: "LOW", Group: group, Order: 50, Width: "SHORT", Display: "Snapshot locking mode",
			Doc: "Lock that the snapshot takes on tables while it reads their schema.",
		},
		{
			Name: "hstore.handling.mode", Type: connectors.TypeString, Default: "json", HasDefault: true, Recommended: words("json map"), Closed: true,
			Importance: "LOW", Group: group, Order: 51, Width: "MEDIUM", Display: "HStore Handling",
			Doc: "Write hstore values as JSON text or as maps.",
		},
		{
			Name: "binary.handling.mode", Type: connectors.TypeString, Default: "bytes", HasDefault: true, Recommended: words("bytes base64 hex base64-url-safe"), Closed: true,
			Importance: "LOW", Group: group, Order: 52, Width: "MEDIUM", Display: "Binary Handling",
			Doc: "How bytea values are written.",
		},
		{
			Name: "schema.name.adjustment.mode", Type: connectors.TypeString, Default: "none", HasDefault: true, Recommended: words("none avro_unicode avro"), Closed: true,
			Importance: "LOW", Group: group, Order: 53, Width: "MEDIUM", Display: "Schema Name Adjustment",
			Doc: "How schema names are made valid for Avro.",
		},
		{
			Name: "interval.handling.mode", Type: connectors.TypeString, Default: "numeric", HasDefault: true, Recommended: words("string numeric"), Closed: true,
			Importance: "LOW", Group: group, Order: 54, Width: "MEDIUM", Display: "Interval Handling",
			Doc: "Write intervals as microseconds or as ISO 8601 text.",
		},
		{
			Name: "schema.refresh.mode", Type: connectors.TypeString, Default: "columns_diff", HasDefault: true, Recommended: words("columns_diff columns_diff_exclude_unchanged_toast"), Closed: true,
			Importance: "MEDIUM", Group: group, Order: 55, Width: "SHORT", Display: "Schema refresh mode",
			Doc: "Has no effect here: pgoutput sends every version of a table before its rows.",
		},
		{
			Name: "incremental.snapshot.chunk.size", Type: connectors.TypeInt, Default: "1024", HasDefault: true, Unsupported: "incremental snapshots",
			Importance: "MEDIUM", Group: group, Order: 56, Width: "MEDIUM", Display: "Incremental snapshot chunk size",
			Doc: "Rows per chunk of an incremental snapshot.",
		},
		{
			Name: "unavailable.value.placeholder", Type: connectors.TypeString, Default: "__debezium_unavailable_value", HasDefault: true, Check: checkPlaceholder,
			Importance: "MEDIUM", Group: group, Order: 57, Width: "MEDIUM", Display: "Unavailable value placeholder",
			Doc: "Text in place of an unchanged out-of-line value that the server did not send; hex: introduces bytes.",
		},
		{
			Name: "message.prefix.include.list", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "MEDIUM", Group: group, Order: 58, Width: "LONG", Display: "Include Logical Decoding Message Prefixes",
			Doc: "Prefixes of the logical messages that are emitted, as regular expressions.",
		},
		{
			Name: "message.prefix.exclude.list", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "MEDIUM", Group: group, Order: 59, Width: "LONG", Display: "Exclude Logical Decoding Message Prefixes",
			Doc: "Prefixes of the logical messages that are not emitted, as regular expressions.",
		},
		{
			Name: "publish.via.partition.root", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 60, Width: "SHORT", Display: "Publish via partition root",
			Doc: "A publication that is created here publishes changes of partitions under the name of their root.",
		},
	}
}
