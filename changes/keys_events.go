package changes

import "github.com/freshet-io/freshet/connectors"

// commonEvents are the keys of what it makes of changes.
func commonEvents() []connectors.Key {
	return []connectors.Key{
		{
			Name: "column.mask.hash.", Type: connectors.TypeString, Prefix: true, Check: CheckPatterns, Importance: "MEDIUM",
			Doc: "column.mask.hash.<algorithm>.with.salt.<salt>: columns whose text is replaced by its hash, as regular expressions.",
		},
		{
			Name: "column.mask.with.", Type: connectors.TypeString, Prefix: true, Check: CheckPatterns, Importance: "MEDIUM",
			Doc: "column.mask.with.<n>.chars: columns whose text is replaced by n asterisks, as regular expressions.",
		},
		{
			Name: "column.truncate.to.", Type: connectors.TypeString, Prefix: true, Check: CheckPatterns, Importance: "MEDIUM",
			Doc: "column.truncate.to.<n>.chars: columns whose text is cut to n characters, as regular expressions.",
		},
		{
			Name: "snapshot.select.statement.overrides.", Type: connectors.TypeString, Prefix: true, Importance: "MEDIUM",
			Doc: "Statement that selects the rows of one table in the snapshot.",
		},
		{
			Name: "signal.kafka.", Type: connectors.TypeString, Prefix: true, Unsupported: "signals", Importance: "LOW",
			Doc: "Signals through Kafka.",
		},
		{
			Name: "signal.consumer.", Type: connectors.TypeString, Prefix: true, Unsupported: "signals", Importance: "LOW",
			Doc: "Signals through Kafka.",
		},
		{
			Name: "driver.", Type: connectors.TypeString, Prefix: true, Unsupported: "properties of the JDBC driver", Importance: "LOW",
			Doc: "Properties of the JDBC driver.",
		},
		{
			Name: "converters", Type: connectors.TypeString, Unsupported: "custom converters run in the JVM",
			Importance: "LOW", Width: "MEDIUM", Display: "List of prefixes defining custom values converters.",
			Doc: "Custom converters of values.",
		},
		{
			Name: "post.processors", Type: connectors.TypeString,
			Importance: "LOW", Width: "MEDIUM", Display: "List of change event post processors.",
			Doc: "Processors that run after an event was made.",
		},
		{
			Name: "tombstones.on.delete", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Change the behaviour of Debezium with regards to delete operations",
			Doc: "Follow a delete by a record without value for the same key, so that compaction can drop it.",
		},
		{
			Name: "heartbeat.interval.ms", Type: connectors.TypeInt, Default: "0", HasDefault: true, Check: CheckNotNegative,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Connector heartbeat interval (milli-seconds)",
			Doc: "Pause between heartbeats; 0 is none.",
		},
		{
			Name: "heartbeat.topics.prefix", Type: connectors.TypeString, Default: "__debezium-heartbeat", HasDefault: true,
			Importance: "LOW", Width: "MEDIUM", Display: "A prefix used for naming of heartbeat topics",
			Doc: "Has no effect here: as in Debezium; use topic.heartbeat.prefix.",
		},
		{
			Name: "signal.data.collection", Type: connectors.TypeList, Unsupported: "signals",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Signaling data collection",
			Doc: "Table through which signals are sent.",
		},
		{
			Name: "signal.poll.interval.ms", Type: connectors.TypeLong, Default: "5000", HasDefault: true, Unsupported: "signals",
			Importance: "MEDIUM", Width: "SHORT", Display: "Signal processor poll interval",
			Doc: "Pause between looks at signal channels.",
		},
		{
			Name: "signal.enabled.channels", Type: connectors.TypeList, Default: "source", HasDefault: true, Unsupported: "signals",
			Importance: "MEDIUM", Width: "LONG", Display: "Enabled channels names",
			Doc: "Channels of signals.",
		},
		{
			Name: "topic.naming.strategy", Type: connectors.TypeClass, Default: "io.debezium.schema.SchemaTopicNamingStrategy", HasDefault: true, Check: checkNaming,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Topic naming strategy class",
			Doc: "Class that names topics: Schema- or DefaultTopicNamingStrategy, or their Unicode forms.",
		},
		{
			Name: "notification.enabled.channels", Type: connectors.TypeList, Unsupported: "notifications",
			Importance: "MEDIUM", Width: "LONG", Display: "Enabled notification channels names",
			Doc: "Channels of notifications.",
		},
		{
			Name: "notification.sink.topic.name", Type: connectors.TypeString, Unsupported: "notifications",
			Importance: "HIGH", Width: "LONG", Display: "Notification topic name",
			Doc: "Topic of notifications.",
		},
		{
			Name: "transaction.metadata.factory", Type: connectors.TypeClass, Default: "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory", HasDefault: true, Unsupported: "classes of the JVM",
			Importance: "LOW", Width: "MEDIUM", Display: "Factory class to create transaction context & transaction struct maker classes",
			Doc: "Class of transaction metadata.",
		},
		{
			Name: "custom.metric.tags", Type: connectors.TypeList,
			Importance: "LOW", Width: "MEDIUM", Display: "Customize metric tags",
			Doc: "Has no effect here: metrics carry the labels of connector and task.",
		},
		{
			Name: "column.include.list", Type: connectors.TypeList, Check: CheckPatterns,
			Importance: "MEDIUM", Width: "LONG", Display: "Include Columns",
			Doc: "Columns that are captured, as regular expressions that match schema.table (MySQL, MariaDB: database.table).column (MySQL, MariaDB: database.table.column).",
		},
		{
			Name: "column.exclude.list", Type: connectors.TypeList, Check: CheckPatterns,
			Importance: "MEDIUM", Width: "LONG", Display: "Exclude Columns",
			Doc: "Columns that are not captured, as regular expressions that match schema.table (MySQL, MariaDB: database.table).column (MySQL, MariaDB: database.table.column).",
		},
		{
			Name: "table.include.list", Type: connectors.TypeList, Check: CheckPatterns,
			Importance: "HIGH", Width: "LONG", Display: "Include Tables",
			Doc: "Tables that are captured, as regular expressions that match schema.table (MySQL, MariaDB: database.table).",
		},
		{
			Name: "table.exclude.list", Type: connectors.TypeList, Check: CheckPatterns,
			Importance: "MEDIUM", Width: "LONG", Display: "Exclude Tables",
			Doc: "Tables that are not captured, as regular expressions that match schema.table (MySQL, MariaDB: database.table).",
		},
		{
			Name: "message.key.columns", Type: connectors.TypeString, Check: checkKeyColumns,
			Importance: "MEDIUM", Width: "LONG", Display: "Columns PK mapping",
			Doc: "Columns that make the record key: table:column,column;table:column, tables as regular expressions.",
		},
		{
			Name: "snapshot.select.statement.overrides", Type: connectors.TypeString,
			Importance: "MEDIUM", Width: "LONG", Display: "List of tables where the default select statement used during snapshotting should be overridden.",
			Doc: "Tables whose rows the snapshot reads by a statement of their own, given as snapshot.select.statement.overrides.<table>, with the name that filters match.",
		},
		{
			Name: "column.mask.hash.([^.]+).with.salt.(.+)", Type: connectors.TypeString,
			Importance: "MEDIUM", Width: "LONG", Display: "Mask Columns Using Hash and Salt",
			Doc: "Stands for column.mask.hash.<algorithm>.with.salt.<salt>: columns whose text is replaced by its hash.",
		},
		{
			Name: "column.mask.with.(d+).chars", Type: connectors.TypeString,
			Importance: "MEDIUM", Display: "Mask Columns With n Asterisks",
			Doc: "Stands for column.mask.with.<n>.chars: columns whose text is replaced by n asterisks.",
		},
		{
			Name: "column.truncate.to.(d+).chars", Type: connectors.TypeInt,
			Importance: "MEDIUM", Display: "Truncate Columns To n Characters",
			Doc: "Stands for column.truncate.to.<n>.chars: columns whose text is cut to n characters.",
		},
		{
			Name: "include.schema.comments", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Include Table and Column Comments",
			Doc: "Put comments of tables and columns into schemas.",
		},
		{
			Name: "column.propagate.source.type", Type: connectors.TypeList, Check: CheckPatterns,
			Importance: "MEDIUM", Display: "Propagate Source Types by Columns",
			Doc: "Columns whose type is added to the schema as parameters, as regular expressions.",
		},
		{
			Name: "datatype.propagate.source.type", Type: connectors.TypeList, Check: CheckPatterns,
			Importance: "MEDIUM", Display: "Propagate Source Types by Data Type",
			Doc: "Types whose columns have their type added to the schema as parameters, as regular expressions.",
		},
		{
			Name: "internal.snapshot.scan.all.columns.force", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Snapshot force scan all columns of all tables",
			Doc: "Has no effect here: the catalog is read per table.",
		},
		{
			Name: "snapshot.tables.order.by.row.count", Type: connectors.TypeString, Default: "disabled", HasDefault: true, Recommended: words("disabled ascending descending"), Closed: true,
			Importance: "MEDIUM", Display: "Initial snapshot tables order by row count",
			Doc: "Read small or big tables first.",
		},
		{
			Name: "heartbeat.action.query", Type: connectors.TypeString,
			Importance: "LOW", Width: "MEDIUM", Display: "An optional query to execute with every heartbeat",
			Doc: "SQL to run with every heartbeat.",
		},
		{
			Name: "skip.messages.without.change", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM",
			Doc: "Drop updates that change no captured column (it needs the whole row before the change: REPLICA IDENTITY FULL, binlog_row_image=FULL).",
		},
		{
			Name: "signal.emit.failure.max.retries", Type: connectors.TypeInt, Default: "0", HasDefault: true, Unsupported: "signals", Importance: "MEDIUM",
			Doc: "Attempts to emit a window signal.",
		},
		{
			Name: "signal.emit.failure.backoff.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Unsupported: "signals", Importance: "MEDIUM",
			Doc: "Pause between attempts to emit a window signal.",
		},
		{
			Name: "internal.offset.activity.monitor.interval.ms", Type: connectors.TypeLong, Default: "600000", HasDefault: true, Importance: "LOW",
			Doc: "Has no effect here: the replication lag is a metric.",
		},
		{
			Name: "database.include.list", Type: connectors.TypeList, Check: CheckPatterns, Importance: "HIGH", Width: "LONG", Display: "Include Databases", Dependents: []string{"table.include.list"},
			Doc: "Databases that are captured, as regular expressions.",
		},
		{
			Name: "database.exclude.list", Type: connectors.TypeList, Check: CheckPatterns, Importance: "MEDIUM", Width: "LONG", Display: "Exclude Databases",
			Doc: "Databases that are not captured, as regular expressions.",
		},
		{
			Name: "read.only", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "incremental snapshots of a read-only database", Importance: "LOW",
			Doc: "The database cannot be written to.",
		},
		{
			Name: "poll.dispatch.interval.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "LOW",
			Doc: "Has no effect here: changes are taken as they come, without polling.",
		},
		{
			Name: "queue.provider.type", Type: connectors.TypeString, Default: "memory", HasDefault: true, Recommended: words("memory chronicle hybrid_chronicle"), Closed: true, Unsupported: "queues on disk", Importance: "LOW",
			Doc: "Where events wait.",
		},
		{
			Name: "internal.custom.retriable.exception", Type: connectors.TypeString, Unsupported: "patterns of Java exceptions", Importance: "LOW",
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
			Name: "signal.file", Type: connectors.TypeString, Default: "file-signals.txt", HasDefault: true, Unsupported: "signals", Importance: "LOW",
			Doc: "File of signals.",
		},
		{
			Name: "field.name.adjustment.mode", Type: connectors.TypeString, Default: "none", HasDefault: true, Recommended: words("none avro avro_unicode"), Closed: true, Importance: "LOW",
			Doc: "How field names are made valid for Avro.",
		},
		{
			Name: "event.converting.failure.handling.mode", Type: connectors.TypeString, Default: "warn", HasDefault: true, Recommended: words("warn skip fail"), Closed: true, Unsupported: "stopping at a value that cannot be converted", Harmless: words("skip"), Importance: "MEDIUM",
			Doc: "What becomes of a value that an event cannot hold (NaN in a Decimal): null.",
		},
		{
			Name: "incremental.snapshot.allow.schema.changes", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "incremental snapshots", Importance: "LOW", Width: "SHORT", Display: "Allow schema changes during incremental snapshot if supported.",
			Doc: "Allow schema changes during an incremental snapshot.",
		},
	}
}
