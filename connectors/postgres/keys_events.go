package postgres

import "github.com/freshet-io/freshet/connectors"

// keysEvents is the group Events of the reference.
func keysEvents() []connectors.Key {
	const group = "Events"
	return []connectors.Key{
		{
			Name: "converters", Type: connectors.TypeString, Unsupported: "custom converters run in the JVM",
			Importance: "LOW", Group: group, Order: 1, Width: "MEDIUM", Display: "List of prefixes defining custom values converters.",
			Doc: "Custom converters of values.",
		},
		{
			Name: "post.processors", Type: connectors.TypeString, Unsupported: "post-processors",
			Importance: "LOW", Group: group, Order: 2, Width: "MEDIUM", Display: "List of change event post processors.",
			Doc: "Processors that run after an event was made.",
		},
		{
			Name: "tombstones.on.delete", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 3, Width: "SHORT", Display: "Change the behaviour of Debezium with regards to delete operations",
			Doc: "Follow a delete by a record without value for the same key, so that compaction can drop it.",
		},
		{
			Name: "heartbeat.interval.ms", Type: connectors.TypeInt, Default: "0", HasDefault: true, Check: checkNotNegative,
			Importance: "MEDIUM", Group: group, Order: 4, Width: "MEDIUM", Display: "Connector heartbeat interval (milli-seconds)",
			Doc: "Pause between heartbeats; 0 is none.",
		},
		{
			Name: "heartbeat.topics.prefix", Type: connectors.TypeString, Default: "__debezium-heartbeat", HasDefault: true,
			Importance: "LOW", Group: group, Order: 5, Width: "MEDIUM", Display: "A prefix used for naming of heartbeat topics",
			Doc: "Has no effect here: as in Debezium; use topic.heartbeat.prefix.",
		},
		{
			Name: "signal.data.collection", Type: connectors.TypeList, Unsupported: "signals",
			Importance: "MEDIUM", Group: group, Order: 6, Width: "MEDIUM", Display: "Signaling data collection",
			Doc: "Table through which signals are sent.",
		},
		{
			Name: "signal.poll.interval.ms", Type: connectors.TypeLong, Default: "5000", HasDefault: true, Unsupported: "signals",
			Importance: "MEDIUM", Group: group, Order: 7, Width: "SHORT", Display: "Signal processor poll interval",
			Doc: "Pause between looks at signal channels.",
		},
		{
			Name: "signal.enabled.channels", Type: connectors.TypeList, Default: "source", HasDefault: true, Unsupported: "signals",
			Importance: "MEDIUM", Group: group, Order: 8, Width: "LONG", Display: "Enabled channels names",
			Doc: "Channels of signals.",
		},
		{
			Name: "topic.naming.strategy", Type: connectors.TypeClass, Default: "io.debezium.schema.SchemaTopicNamingStrategy", HasDefault: true, Check: checkNaming,
			Importance: "MEDIUM", Group: group, Order: 9, Width: "MEDIUM", Display: "Topic naming strategy class",
			Doc: "Class that names topics: Schema- or DefaultTopicNamingStrategy, or their Unicode forms.",
		},
		{
			Name: "notification.enabled.channels", Type: connectors.TypeList, Unsupported: "notifications",
			Importance: "MEDIUM", Group: group, Order: 10, Width: "LONG", Display: "Enabled notification channels names",
			Doc: "Channels of notifications.",
		},
		{
			Name: "notification.sink.topic.name", Type: connectors.TypeString, Unsupported: "notifications",
			Importance: "HIGH", Group: group, Order: 11, Width: "LONG", Display: "Notification topic name",
			Doc: "Topic of notifications.",
		},
		{
			Name: "transaction.metadata.factory", Type: connectors.TypeClass, Default: "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory", HasDefault: true, Unsupported: "classes of the JVM",
			Importance: "LOW", Group: group, Order: 12, Width: "MEDIUM", Display: "Factory class to create transaction context & transaction struct maker classes",
			Doc: "Class of transaction metadata.",
		},
		{
			Name: "custom.metric.tags", Type: connectors.TypeList,
			Importance: "LOW", Group: group, Order: 13, Width: "MEDIUM", Display: "Customize metric tags",
			Doc: "Has no effect here: metrics carry the labels of connector and task.",
		},
		{
			Name: "column.include.list", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "MEDIUM", Group: group, Order: 14, Width: "LONG", Display: "Include Columns",
			Doc: "Columns that are captured, as regular expressions that match schema.table.column.",
		},
		{
			Name: "column.exclude.list", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "MEDIUM", Group: group, Order: 15, Width: "LONG", Display: "Exclude Columns",
			Doc: "Columns that are not captured, as regular expressions that match schema.table.column.",
		},
		{
			Name: "table.include.list", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "HIGH", Group: group, Order: 16, Width: "LONG", Display: "Include Tables",
			Doc: "Tables that are captured, as regular expressions that match schema.table.",
		},
		{
			Name: "table.exclude.list", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "MEDIUM", Group: group, Order: 17, Width: "LONG", Display: "Exclude Tables",
			Doc: "Tables that are not captured, as regular expressions that match schema.table.",
		},
		{
			Name: "table.ignore.builtin", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "LOW", Group: group, Order: 18, Width: "SHORT", Display: "Ignore system databases",
			Doc: "Leave system tables out.",
		},
		{
			Name: "schema.include.list", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "HIGH", Group: group, Order: 19, Width: "LONG", Display: "Include Schemas", Dependents: []string{"table.include.list"},
			Doc: "Schemas that are captured, as regular expressions.",
		},
		{
			Name: "schema.exclude.list", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "MEDIUM", Group: group, Order: 20, Width: "LONG", Display: "Exclude Schemas", Invisible: true,
			Doc: "Schemas that are not captured, as regular expressions.",
		},
		{
			Name: "message.key.columns", Type: connectors.TypeString, Check: checkKeyColumns,
			Importance: "MEDIUM", Group: group, Order: 21, Width: "LONG", Display: "Columns PK mapping",
			Doc: "Columns that make the record key: table:column,column;table:column, tables as regular expressions.",
		},
		{
			Name: "snapshot.select.statement.overrides", Type: connectors.TypeString,
			Importance: "MEDIUM", Group: group, Order: 22, Width: "LONG", Display: "List of tables where the default select statement used during snapshotting should be overridden.",
			Doc: "Tables whose rows the snapshot reads by a statement of their own, given as snapshot.select.statement.overrides.<schema.table>.",
		},
		{
			Name: "column.mask.hash.([^.]+).with.salt.(.+)", Type: connectors.TypeString,
			Importance: "MEDIUM", Group: group, Order: 23, Width: "LONG", Display: "Mask Columns Using Hash and Salt",
			Doc: "Stands for column.mask.hash.<algorithm>.with.salt.<salt>: columns whose text is replaced by its hash.",
		},
		{
			Name: "column.mask.with.(d+).chars", Type: connectors.TypeString,
			Importance: "MEDIUM", Group: group, Order: 24, Display: "Mask Columns With n Asterisks",
			Doc: "Stands for column.mask.with.<n>.chars: columns whose text is replaced by n asterisks.",
		},
		{
			Name: "column.truncate.to.(d+).chars", Type: connectors.TypeInt,
			Importance: "MEDIUM", Group: group, Order: 25, Display: "Truncate Columns To n Characters",
			Doc: "Stands for column.truncate.to.<n>.chars: columns whose text is cut to n characters.",
		},
		{
			Name: "include.schema.comments", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 26, Width: "SHORT", Display: "Include Table and Column Comments",
			Doc: "Put comments of tables and columns into schemas.",
		},
		{
			Name: "column.propagate.source.type", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "MEDIUM", Group: group, Order: 27, Display: "Propagate Source Types by Columns",
			Doc: "Columns whose type is added to the schema as parameters, as regular expressions.",
		},
		{
			Name: "datatype.propagate.source.type", Type: connectors.TypeList, Check: checkPatterns,
			Importance: "MEDIUM", Group: group, Order: 28, Display: "Propagate Source Types by Data Type",
			Doc: "Types whose columns have their type added to the schema as parameters, as regular expressions.",
		},
		{
			Name: "internal.snapshot.scan.all.columns.force", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Group: group, Order: 29, Width: "SHORT", Display: "Snapshot force scan all columns of all tables",
			Doc: "Has no effect here: the catalog is read per table.",
		},
		{
			Name: "snapshot.tables.order.by.row.count", Type: connectors.TypeString, Default: "disabled", HasDefault: true, Recommended: words("disabled ascending descending"), Closed: true,
			Importance: "MEDIUM", Group: group, Order: 30, Display: "Initial snapshot tables order by row count",
			Doc: "Read small or big tables first.",
		},
		{
			Name: "heartbeat.action.query", Type: connectors.TypeString,
			Importance: "LOW", Group: group, Order: 31, Width: "MEDIUM", Display: "An optional query to execute with every heartbeat",
			Doc: "SQL to run with every heartbeat.",
		},
		{
			Name: "include.unknown.datatypes", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 32, Width: "SHORT", Display: "Include unknown datatypes",
			Doc: "Emit values of types that are not mapped, as opaque bytes (see binary.handling.mode).",
		},
		{
			Name: "sourceinfo.struct.maker", Type: connectors.TypeClass, Default: "io.debezium.connector.postgresql.PostgresSourceInfoStructMaker", HasDefault: true, Unsupported: "classes of the JVM", Harmless: words("io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"),
			Importance: "LOW", Group: group, Order: 33, Width: "MEDIUM", Display: "Source info struct maker class",
			Doc: "Class that makes the source block.",
		},
	}
}

// keysUnlisted are keys that the reference reads and does not list, or that only Freshet has.
func keysUnlisted() []connectors.Key {
	return []connectors.Key{
		{
			Name: "skip.messages.without.change", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Own: true,
			Doc: "Drop updates that change no captured column (the table needs REPLICA IDENTITY FULL).",
		},
		{
			Name: "signal.emit.failure.max.retries", Type: connectors.TypeInt, Default: "0", HasDefault: true, Unsupported: "signals", Importance: "MEDIUM", Own: true,
			Doc: "Attempts to emit a window signal.",
		},
		{
			Name: "signal.emit.failure.backoff.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Unsupported: "signals", Importance: "MEDIUM", Own: true,
			Doc: "Pause between attempts to emit a window signal.",
		},
		{
			Name: "internal.offset.activity.monitor.interval.ms", Type: connectors.TypeLong, Default: "600000", HasDefault: true, Importance: "LOW", Own: true,
			Doc: "Has no effect here: the replication lag is a metric.",
		},
		{
			Name: "database.include.list", Type: connectors.TypeList, Check: checkPatterns, Importance: "HIGH", Own: true,
			Doc: "Databases that are captured, as regular expressions.",
		},
		{
			Name: "database.exclude.list", Type: connectors.TypeList, Check: checkPatterns, Importance: "MEDIUM", Own: true,
			Doc: "Databases that are not captured, as regular expressions.",
		},
		{
			Name: "offset.mismatch.strategy", Type: connectors.TypeString, Default: "no_validation", HasDefault: true, Recommended: words("no_validation trust_offset trust_slot trust_greater_lsn"), Closed: true, Importance: "MEDIUM", Own: true,
			Doc: "Which position wins when the stored one and the slot's differ.",
		},
		{
			Name: "internal.slot.seek.to.known.offset.on.start", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Own: true,
			Doc: "Old form of offset.mismatch.strategy=trust_offset.",
		},
		{
			Name: "internal.create.slot.command.timeout", Type: connectors.TypeLong, Default: "90", HasDefault: true, Check: checkPositiveLong, Importance: "LOW", Own: true,
			Doc: "Seconds that creating the slot may take.",
		},
		{
			Name: "money.fraction.digits", Type: connectors.TypeInt, Default: "2", HasDefault: true, Check: checkNotNegative, Importance: "LOW", Own: true,
			Doc: "Digits after the point of money values.",
		},
		{
			Name: "read.only", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "incremental snapshots of a read-only database", Importance: "LOW", Own: true,
			Doc: "The database cannot be written to.",
		},
		{
			Name: "poll.dispatch.interval.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "LOW", Own: true,
			Doc: "Has no effect here: changes are taken as they come, without polling.",
		},
		{
			Name: "queue.provider.type", Type: connectors.TypeString, Default: "memory", HasDefault: true, Recommended: words("memory chronicle hybrid_chronicle"), Closed: true, Unsupported: "queues on disk", Importance: "LOW", Own: true,
			Doc: "Where events wait.",
		},
		{
			Name: "internal.custom.retriable.exception", Type: connectors.TypeString, Unsupported: "patterns of Java exceptions", Importance: "LOW", Own: true,
			Doc: "Errors that are tried again.",
		},
		{
			Name: "topic.delimiter", Type: connectors.TypeString, Default: ".", HasDefault: true, Importance: "MEDIUM", Own: true,
			Doc: "Text between the parts of a topic name.",
		},
		{
			Name: "topic.cache.size", Type: connectors.TypeInt, Default: "10000", HasDefault: true, Importance: "LOW", Own: true,
			Doc: "Has no effect here: topic names are made once per table.",
		},
		{
			Name: "topic.transaction", Type: connectors.TypeString, Default: "transaction", HasDefault: true, Importance: "LOW", Own: true,
			Doc: "Last part of the name of the transaction topic.",
		},
		{
			Name: "topic.heartbeat.prefix", Type: connectors.TypeString, Default: "__debezium-heartbeat", HasDefault: true, Importance: "MEDIUM", Own: true,
			Doc: "First part of the name of the heartbeat topic.",
		},
		{
			Name: "topic.heartbeat.name", Type: connectors.TypeString, Importance: "LOW", Own: true,
			Doc: "Name of the heartbeat topic.",
		},
		{
			Name: "signal.file", Type: connectors.TypeString, Default: "file-signals.txt", HasDefault: true, Unsupported: "signals", Importance: "LOW", Own: true,
			Doc: "File of signals.",
		},
		{
			Name: "field.name.adjustment.mode", Type: connectors.TypeString, Default: "none", HasDefault: true, Recommended: words("none avro avro_unicode"), Closed: true, Importance: "LOW", Own: true,
			Doc: "How field names are made valid for Avro.",
		},
		{
			Name: "event.converting.failure.handling.mode", Type: connectors.TypeString, Default: "warn", HasDefault: true, Recommended: words("warn skip fail"), Closed: true, Unsupported: "stopping at a value that cannot be converted", Harmless: words("skip"), Importance: "MEDIUM", Own: true,
			Doc: "What becomes of a value that an event cannot hold (NaN in a Decimal): null.",
		},
		{
			Name: "incremental.snapshot.allow.schema.changes", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "incremental snapshots", Importance: "LOW", Own: true,
			Doc: "Allow schema changes during an incremental snapshot.",
		},
	}
}
