package postgres

import (
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// definition is every key of the connector: those of the reference's ConfigDef in their order, groups and forms, and behind them
// those that it does not list.
func definition() *connectors.ConfigDef {
	return &connectors.ConfigDef{Style: connectors.StyleDebezium, Keys: changes.Arrange([]changes.KeyGroup{
		{Name: "Postgres", Keys: `
			topic.prefix database.hostname database.port database.user database.password database.dbname database.query.timeout.ms
			plugin.name slot.name publication.name publication.autocreate.mode replica.identity.autoset.values slot.drop.on.stop
			slot.failover slot.stream.params database.initial.statements database.sslmode database.sslcert database.sslpassword
			database.sslrootcert database.sslkey slot.max.retries slot.retry.delay.ms database.sslfactory status.update.interval.ms
			lsn.flush.timeout.ms lsn.flush.timeout.action database.tcpKeepAlive xmin.fetch.interval.ms skipped.operations lsn.flush.mode
			flush.lsn.source`},
		{Name: "Connector", Keys: `
			event.processing.failure.handling.mode max.batch.size max.queue.size poll.interval.ms max.queue.size.in.bytes
			provide.transaction.metadata snapshot.delay.ms streaming.delay.ms snapshot.include.collection.list snapshot.fetch.size
			snapshot.max.threads snapshot.max.threads.multiplier legacy.snapshot.max.threads internal.legacy.snapshot.max.threads
			snapshot.mode.custom.name snapshot.mode.configuration.based.snapshot.data snapshot.mode.configuration.based.snapshot.schema
			snapshot.mode.configuration.based.start.stream snapshot.mode.configuration.based.snapshot.on.schema.error
			snapshot.mode.configuration.based.snapshot.on.data.error retriable.restart.connector.wait.ms query.fetch.size
			errors.max.retries incremental.snapshot.watermarking.strategy internal.log.position.check.enable
			internal.advanced.metrics.enable connection.validation.timeout.ms executor.shutdown.timeout.ms openlineage.integration.enabled
			openlineage.integration.config.file.path openlineage.integration.job.namespace openlineage.integration.job.description
			openlineage.integration.job.tags openlineage.integration.job.owners openlineage.integration.dataset.kafka.bootstrap.servers
			extended.headers.enabled guardrail.collections.max guardrail.collections.limit.action custom.sanitize.pattern
			statistics.metrics.enabled decimal.handling.mode time.precision.mode snapshot.lock.timeout.ms memory.management.schemas.class
			memory.management.tables.class snapshot.mode snapshot.isolation.mode snapshot.query.mode snapshot.query.mode.custom.name
			snapshot.locking.mode.custom.name snapshot.locking.mode hstore.handling.mode binary.handling.mode schema.name.adjustment.mode
			interval.handling.mode schema.refresh.mode incremental.snapshot.chunk.size unavailable.value.placeholder
			message.prefix.include.list message.prefix.exclude.list publish.via.partition.root`},
		{Name: "Events", Keys: `
			converters post.processors tombstones.on.delete heartbeat.interval.ms heartbeat.topics.prefix signal.data.collection
			signal.poll.interval.ms signal.enabled.channels topic.naming.strategy notification.enabled.channels
			notification.sink.topic.name transaction.metadata.factory custom.metric.tags column.include.list column.exclude.list
			table.include.list table.exclude.list table.ignore.builtin schema.include.list schema.exclude.list message.key.columns
			snapshot.select.statement.overrides column.mask.hash.([^.]+).with.salt.(.+) column.mask.with.(d+).chars
			column.truncate.to.(d+).chars include.schema.comments column.propagate.source.type datatype.propagate.source.type
			internal.snapshot.scan.all.columns.force snapshot.tables.order.by.row.count heartbeat.action.query include.unknown.datatypes
			sourceinfo.struct.maker`},
		{Keys: `
			skip.messages.without.change signal.emit.failure.max.retries signal.emit.failure.backoff.ms
			internal.offset.activity.monitor.interval.ms database.include.list database.exclude.list offset.mismatch.strategy
			internal.slot.seek.to.known.offset.on.start internal.create.slot.command.timeout money.fraction.digits read.only
			poll.dispatch.interval.ms queue.provider.type internal.custom.retriable.exception topic.delimiter topic.cache.size
			topic.transaction topic.heartbeat.prefix topic.heartbeat.name signal.file field.name.adjustment.mode
			event.converting.failure.handling.mode incremental.snapshot.allow.schema.changes`},
	}, ownKeys())}
}

func words(s string) []string { return strings.Fields(s) }

// ownKeys are the keys that only this connector has, or has in another form than changes.CommonKeys.
func ownKeys() []connectors.Key {
	return []connectors.Key{
		{
			Name: "database.hostname", Type: connectors.TypeString, Required: true,
			Importance: "HIGH", Width: "MEDIUM", Display: "Hostname",
			Doc: "Host name or address of the database server; several, separated by commas, are tried in order.",
		},
		{
			Name: "database.port", Type: connectors.TypeInt, NotNull: true, Default: "5432", HasDefault: true, Check: changes.CheckPort,
			Importance: "HIGH", Width: "SHORT", Display: "Port",
			Doc: "Port of the database server.",
		},
		{
			Name: "database.user", Type: connectors.TypeString, Required: true,
			Importance: "HIGH", Width: "SHORT", Display: "User",
			Doc: "Role to connect as; it needs LOGIN, REPLICATION and SELECT on the captured tables.",
		},
		{
			Name: "database.dbname", Type: connectors.TypeString, Required: true,
			Importance: "HIGH", Width: "MEDIUM", Display: "Database",
			Doc: "Database whose changes are captured.",
		},
		{
			Name: "plugin.name", Type: connectors.TypeString, Default: "pgoutput", HasDefault: true, Check: checkPlugin, Recommended: words("decoderbufs pgoutput"), Closed: true,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Plugin",
			Doc: "Logical decoding plugin; only pgoutput.",
		},
		{
			Name: "slot.name", Type: connectors.TypeString, Default: "debezium", HasDefault: true, Check: checkSlot,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Slot",
			Doc: "Replication slot; one per connector.",
		},
		{
			Name: "publication.name", Type: connectors.TypeString, Default: "dbz_publication", HasDefault: true, Check: checkPublication,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Publication",
			Doc: "Publication that the slot reads.",
		},
		{
			Name: "publication.autocreate.mode", Type: connectors.TypeString, Default: "all_tables", HasDefault: true, Recommended: words("no_tables filtered disabled all_tables"), Closed: true,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Publication Auto Create Mode",
			Doc: "What to do when the publication does not exist: create it for all_tables, for the captured ones (filtered), without tables (no_tables), or stop (disabled).",
		},
		{
			Name: "replica.identity.autoset.values", Type: connectors.TypeString, Check: checkIdentities,
			Importance: "MEDIUM", Width: "LONG", Display: "Replica Identity Auto Set Values",
			Doc: "REPLICA IDENTITY to set on tables: table:FULL, table:DEFAULT, table:NOTHING or table:INDEX name, tables as regular expressions.",
		},
		{
			Name: "slot.drop.on.stop", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Display: "Drop slot on stop",
			Doc: "Drop the slot when the connector stops; what is changed until the next start is lost.",
		},
		{
			Name: "slot.failover", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Display: "Create failover slot",
			Doc: "Make the slot a failover slot (PostgreSQL 17).",
		},
		{
			Name: "slot.stream.params", Type: connectors.TypeString, Check: checkSlotParams,
			Importance: "LOW", Width: "LONG", Display: "Optional parameters to pass to the logical decoder when the stream is started.",
			Doc: "Further options of the decoding plugin: name=value;name=value.",
		},
		{
			Name: "database.sslmode", Type: connectors.TypeString, Default: "prefer", HasDefault: true, Recommended: words("allow prefer disable verify-ca require verify-full"), Closed: true,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "SSL mode",
			Doc: "How TLS is used.",
		},
		{
			Name: "database.sslcert", Type: connectors.TypeString,
			Importance: "MEDIUM", Width: "LONG", Display: "SSL Client Certificate",
			Doc: "File of the client certificate, PEM.",
		},
		{
			Name: "database.sslpassword", Type: connectors.TypePassword,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "SSL Client Key Password",
			Doc: "Password of the client key.",
		},
		{
			Name: "database.sslrootcert", Type: connectors.TypeString,
			Importance: "MEDIUM", Width: "LONG", Display: "SSL Root Certificate",
			Doc: "File of the certificates that may sign the server's, PEM.",
		},
		{
			Name: "database.sslkey", Type: connectors.TypeString,
			Importance: "MEDIUM", Width: "LONG", Display: "SSL Client Key",
			Doc: "File of the client key, PEM.",
		},
		{
			Name: "slot.max.retries", Type: connectors.TypeInt, Default: "6", HasDefault: true, Check: changes.CheckNotNegative,
			Importance: "LOW", Display: "Retry count",
			Doc: "Attempts to start replication when the slot is in use.",
		},
		{
			Name: "slot.retry.delay.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Check: changes.CheckNotNegativeLong,
			Importance: "LOW", Display: "Retry delay",
			Doc: "Pause between those attempts.",
		},
		{
			Name: "database.sslfactory", Type: connectors.TypeString, Unsupported: "classes of the JVM",
			Importance: "MEDIUM", Width: "LONG", Display: "SSL Root Certificate",
			Doc: "Class that makes TLS sockets.",
		},
		{
			Name: "status.update.interval.ms", Type: connectors.TypeInt, Default: "10000", HasDefault: true, Check: changes.CheckPositive,
			Importance: "MEDIUM", Width: "SHORT", Display: "Status update interval (ms)",
			Doc: "Pause between status messages to the server.",
		},
		{
			Name: "lsn.flush.timeout.ms", Type: connectors.TypeLong, Default: "30000", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "LSN flush timeout (ms)",
			Doc: "Has no effect here: confirming a position does not wait for an answer.",
		},
		{
			Name: "lsn.flush.timeout.action", Type: connectors.TypeString, Default: "fail", HasDefault: true, Recommended: words("fail warn ignore"), Closed: true,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "LSN flush timeout action",
			Doc: "Has no effect here: confirming a position does not wait for an answer.",
		},
		{
			Name: "database.tcpKeepAlive", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "TCP keep-alive probe",
			Doc: "Probe idle connections with TCP keep-alive.",
		},
		{
			Name: "xmin.fetch.interval.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Unsupported: "source.xmin",
			Importance: "MEDIUM", Width: "SHORT", Display: "Xmin fetch interval (ms)",
			Doc: "Pause between looks at the xmin of the slot; 0 is none.",
		},
		{
			Name: "lsn.flush.mode", Type: connectors.TypeString, Recommended: words("connector_and_driver connector manual"), Closed: true,
			Importance: "LOW", Width: "SHORT", Display: "LSN flush mode",
			Doc: "Who confirms positions to the server: connector, connector_and_driver (the same here), or manual (nobody; WAL is kept until it is confirmed by hand).",
		},
		{
			Name: "flush.lsn.source", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Boolean to determine if Debezium should flush LSN in the source database",
			Doc: "Old form of lsn.flush.mode: false is manual.",
		},
		{
			Name: "time.precision.mode", Type: connectors.TypeString, Default: "adaptive", HasDefault: true, Recommended: words("adaptive adaptive_time_microseconds isostring microseconds nanoseconds connect"), Closed: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Time Precision",
			Doc: "How date and time values are written.",
		},
		{
			Name: "snapshot.mode", Type: connectors.TypeString, Default: "initial", HasDefault: true, Recommended: words("always initial_only configuration_based when_needed initial custom no_data"), Closed: true, Check: checkSnapshotMode,
			Importance: "MEDIUM", Width: "SHORT", Display: "Snapshot mode",
			Doc: "When rows that are there already are read: initial (once, before streaming), initial_only, no_data (never), when_needed (also when the position is lost), always.",
		},
		{
			Name: "snapshot.isolation.mode", Type: connectors.TypeString, Default: "serializable", HasDefault: true, Recommended: words("read_uncommitted repeatable_read read_committed serializable"), Closed: true,
			Importance: "LOW", Width: "SHORT", Display: "Snapshot isolation mode",
			Doc: "Has no effect here: all tables are read in one exported snapshot (repeatable read), which no other level would make more consistent.",
		},
		{
			Name: "snapshot.locking.mode", Type: connectors.TypeString, Default: "none", HasDefault: true, Recommended: words("shared custom none"), Closed: true, Check: checkLocking,
			Importance: "LOW", Width: "SHORT", Display: "Snapshot locking mode",
			Doc: "Lock that the snapshot takes on tables while it reads their schema.",
		},
		{
			Name: "hstore.handling.mode", Type: connectors.TypeString, Default: "json", HasDefault: true, Recommended: words("json map"), Closed: true,
			Importance: "LOW", Width: "MEDIUM", Display: "HStore Handling",
			Doc: "Write hstore values as JSON text or as maps.",
		},
		{
			Name: "interval.handling.mode", Type: connectors.TypeString, Default: "numeric", HasDefault: true, Recommended: words("string numeric"), Closed: true,
			Importance: "LOW", Width: "MEDIUM", Display: "Interval Handling",
			Doc: "Write intervals as microseconds or as ISO 8601 text.",
		},
		{
			Name: "schema.refresh.mode", Type: connectors.TypeString, Default: "columns_diff", HasDefault: true, Recommended: words("columns_diff columns_diff_exclude_unchanged_toast"), Closed: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Schema refresh mode",
			Doc: "Has no effect here: pgoutput sends every version of a table before its rows.",
		},
		{
			Name: "unavailable.value.placeholder", Type: connectors.TypeString, Default: "__debezium_unavailable_value", HasDefault: true, Check: checkPlaceholder,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Unavailable value placeholder",
			Doc: "Text in place of an unchanged out-of-line value that the server did not send; hex: introduces bytes.",
		},
		{
			Name: "message.prefix.include.list", Type: connectors.TypeList, Check: changes.CheckPatterns,
			Importance: "MEDIUM", Width: "LONG", Display: "Include Logical Decoding Message Prefixes",
			Doc: "Prefixes of the logical messages that are emitted, as regular expressions.",
		},
		{
			Name: "message.prefix.exclude.list", Type: connectors.TypeList, Check: changes.CheckPatterns,
			Importance: "MEDIUM", Width: "LONG", Display: "Exclude Logical Decoding Message Prefixes",
			Doc: "Prefixes of the logical messages that are not emitted, as regular expressions.",
		},
		{
			Name: "publish.via.partition.root", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Publish via partition root",
			Doc: "A publication that is created here publishes changes of partitions under the name of their root.",
		},
		{
			Name: "table.ignore.builtin", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Ignore system databases",
			Doc: "Leave system tables out.",
		},
		{
			Name: "schema.include.list", Type: connectors.TypeList, Check: changes.CheckPatterns,
			Importance: "HIGH", Width: "LONG", Display: "Include Schemas", Dependents: []string{"table.include.list"},
			Doc: "Schemas that are captured, as regular expressions.",
		},
		{
			Name: "schema.exclude.list", Type: connectors.TypeList, Check: changes.CheckPatterns,
			Importance: "MEDIUM", Width: "LONG", Display: "Exclude Schemas", Invisible: true,
			Doc: "Schemas that are not captured, as regular expressions.",
		},
		{
			Name: "include.unknown.datatypes", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Include unknown datatypes",
			Doc: "Emit values of types that are not mapped, as opaque bytes (see binary.handling.mode).",
		},
		{
			Name: "sourceinfo.struct.maker", Type: connectors.TypeClass, Default: "io.debezium.connector.postgresql.PostgresSourceInfoStructMaker", HasDefault: true, Unsupported: "classes of the JVM", Harmless: words("io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"),
			Importance: "LOW", Width: "MEDIUM", Display: "Source info struct maker class",
			Doc: "Class that makes the source block.",
		},
		{
			Name: "offset.mismatch.strategy", Type: connectors.TypeString, Default: "no_validation", HasDefault: true, Recommended: words("no_validation trust_offset trust_slot trust_greater_lsn"), Closed: true, Importance: "MEDIUM",
			Doc: "Which position wins when the stored one and the slot's differ.",
		},
		{
			Name: "internal.slot.seek.to.known.offset.on.start", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW",
			Doc: "Old form of offset.mismatch.strategy=trust_offset.",
		},
		{
			Name: "internal.create.slot.command.timeout", Type: connectors.TypeLong, Default: "90", HasDefault: true, Check: changes.CheckPositiveLong, Importance: "LOW",
			Doc: "Seconds that creating the slot may take.",
		},
		{
			Name: "money.fraction.digits", Type: connectors.TypeInt, Default: "2", HasDefault: true, Check: changes.CheckNotNegative, Importance: "LOW",
			Doc: "Digits after the point of money values.",
		},
	}
}
