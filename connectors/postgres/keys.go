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
