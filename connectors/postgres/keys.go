package postgres

import (
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// definition is every key of the connector: those of the reference's ConfigDef in their order, groups and forms, and behind them
// those that it does not list.
func definition() *connectors.ConfigDef {
	return &connectors.ConfigDef{Style: connectors.StyleDebezium, Keys: slices.Concat(keysPostgres(), keysConnector(), keysConnectorModes(), keysEvents(), keysUnlisted(), keyFamilies())}
}

func words(s string) []string { return strings.Fields(s) }

// keysPostgres is the group Postgres of the reference.
func keysPostgres() []connectors.Key {
	const group = "Postgres"
	return []connectors.Key{
		{
			Name: "topic.prefix", Type: connectors.TypeString, Required: true, Check: checkPrefix,
			Importance: "HIGH", Group: group, Order: 1, Width: "MEDIUM", Display: "Topic prefix",
			Doc: "Logical name of the server: first part of every topic, and key of the stored offset. Letters, digits, - . _",
		},
		{
			Name: "database.hostname", Type: connectors.TypeString, Required: true,
			Importance: "HIGH", Group: group, Order: 2, Width: "MEDIUM", Display: "Hostname",
			Doc: "Host name or address of the database server; several, separated by commas, are tried in order.",
		},
		{
			Name: "database.port", Type: connectors.TypeInt, NotNull: true, Default: "5432", HasDefault: true, Check: checkPort,
			Importance: "HIGH", Group: group, Order: 3, Width: "SHORT", Display: "Port",
			Doc: "Port of the database server.",
		},
		{
			Name: "database.user", Type: connectors.TypeString, Required: true,
			Importance: "HIGH", Group: group, Order: 4, Width: "SHORT", Display: "User",
			Doc: "Role to connect as; it needs LOGIN, REPLICATION and SELECT on the captured tables.",
		},
		{
			Name: "database.password", Type: connectors.TypePassword,
			Importance: "HIGH", Group: group, Order: 5, Width: "SHORT", Display: "Password",
			Doc: "Password of database.user.",
		},
		{
			Name: "database.dbname", Type: connectors.TypeString, Required: true,
			Importance: "HIGH", Group: group, Order: 6, Width: "MEDIUM", Display: "Database",
			Doc: "Database whose changes are captured.",
		},
		{
			Name: "database.query.timeout.ms", Type: connectors.TypeInt, Default: "600000", HasDefault: true, Check: checkNotNegative,
			Importance: "LOW", Group: group, Order: 7, Display: "Query timeout",
			Doc: "How long a catalog query may take; 0 is without bound.",
		},
		{
			Name: "plugin.name", Type: connectors.TypeString, Default: "pgoutput", HasDefault: true, Check: checkPlugin, Recommended: words("decoderbufs pgoutput"), Closed: true,
			Importance: "MEDIUM", Group: group, Order: 8, Width: "MEDIUM", Display: "Plugin",
			Doc: "Logical decoding plugin; only pgoutput.",
		},
		{
			Name: "slot.name", Type: connectors.TypeString, Default: "debezium", HasDefault: true, Check: checkSlot,
			Importance: "MEDIUM", Group: group, Order: 9, Width: "MEDIUM", Display: "Slot",
			Doc: "Replication slot; one per connector.",
		},
		{
			Name: "publication.name", Type: connectors.TypeString, Default: "dbz_publication", HasDefault: true, Check: checkPublication,
			Importance: "MEDIUM", Group: group, Order: 10, Width: "MEDIUM", Display: "Publication",
			Doc: "Publication that the slot reads.",
		},
		{
			Name: "publication.autocreate.mode", Type: connectors.TypeString, Default: "all_tables", HasDefault: true, Recommended: words("no_tables filtered disabled all_tables"), Closed: true,
			Importance: "MEDIUM", Group: group, Order: 11, Width: "MEDIUM", Display: "Publication Auto Create Mode",
			Doc: "What to do when the publication does not exist: create it for all_tables, for the captured ones (filtered), without tables (no_tables), or stop (disabled).",
		},
		{
			Name: "replica.identity.autoset.values", Type: connectors.TypeString, Check: checkIdentities,
			Importance: "MEDIUM", Group: group, Order: 12, Width: "LONG", Display: "Replica Identity Auto Set Values",
			Doc: "REPLICA IDENTITY to set on tables: table:FULL, table:DEFAULT, table:NOTHING or table:INDEX name, tables as regular expressions.",
		},
		{
			Name: "slot.drop.on.stop", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 13, Display: "Drop slot on stop",
			Doc: "Drop the slot when the connector stops; what is changed until the next start is lost.",
		},
		{
			Name: "slot.failover", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 14, Display: "Create failover slot",
			Doc: "Make the slot a failover slot (PostgreSQL 17).",
		},
		{
			Name: "slot.stream.params", Type: connectors.TypeString, Check: checkSlotParams,
			Importance: "LOW", Group: group, Order: 15, Width: "LONG", Display: "Optional parameters to pass to the logical decoder when the stream is started.",
			Doc: "Further options of the decoding plugin: name=value;name=value.",
		},
		{
			Name: "database.initial.statements", Type: connectors.TypeString,
			Importance: "LOW", Group: group, Order: 16, Width: "LONG", Display: "Initial statements",
			Doc: "SQL statements to run on each ordinary connection, separated by semicolons; two semicolons stand for one.",
		},
		{
			Name: "database.sslmode", Type: connectors.TypeString, Default: "prefer", HasDefault: true, Recommended: words("allow prefer disable verify-ca require verify-full"), Closed: true,
			Importance: "MEDIUM", Group: group, Order: 17, Width: "MEDIUM", Display: "SSL mode",
			Doc: "How TLS is used.",
		},
		{
			Name: "database.sslcert", Type: connectors.TypeString,
			Importance: "MEDIUM", Group: group, Order: 18, Width: "LONG", Display: "SSL Client Certificate",
			Doc: "File of the client certificate, PEM.",
		},
		{
			Name: "database.sslpassword", Type: connectors.TypePassword,
			Importance: "MEDIUM", Group: group, Order: 19, Width: "MEDIUM", Display: "SSL Client Key Password",
			Doc: "Password of the client key.",
		},
		{
			Name: "database.sslrootcert", Type: connectors.TypeString,
			Importance: "MEDIUM", Group: group, Order: 20, Width: "LONG", Display: "SSL Root Certificate",
			Doc: "File of the certificates that may sign the server's, PEM.",
		},
		{
			Name: "database.sslkey", Type: connectors.TypeString,
			Importance: "MEDIUM", Group: group, Order: 21, Width: "LONG", Display: "SSL Client Key",
			Doc: "File of the client key, PEM.",
		},
		{
			Name: "slot.max.retries", Type: connectors.TypeInt, Default: "6", HasDefault: true, Check: checkNotNegative,
			Importance: "LOW", Group: group, Order: 22, Display: "Retry count",
			Doc: "Attempts to start replication when the slot is in use.",
		},
		{
			Name: "slot.retry.delay.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Check: checkNotNegativeLong,
			Importance: "LOW", Group: group, Order: 23, Display: "Retry delay",
			Doc: "Pause between those attempts.",
		},
		{
			Name: "database.sslfactory", Type: connectors.TypeString, Unsupported: "classes of the JVM",
			Importance: "MEDIUM", Group: group, Order: 24, Width: "LONG", Display: "SSL Root Certificate",
			Doc: "Class that makes TLS sockets.",
		},
		{
			Name: "status.update.interval.ms", Type: connectors.TypeInt, Default: "10000", HasDefault: true, Check: checkPositive,
			Importance: "MEDIUM", Group: group, Order: 25, Width: "SHORT", Display: "Status update interval (ms)",
			Doc: "Pause between status messages to the server.",
		},
		{
			Name: "lsn.flush.timeout.ms", Type: connectors.TypeLong, Default: "30000", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 26, Width: "SHORT", Display: "LSN flush timeout (ms)",
			Doc: "Has no effect here: confirming a position does not wait for an answer.",
		},
		{
			Name: "lsn.flush.timeout.action", Type: connectors.TypeString, Default: "fail", HasDefault: true, Recommended: words("fail warn ignore"), Closed: true,
			Importance: "MEDIUM", Group: group, Order: 27, Width: "MEDIUM", Display: "LSN flush timeout action",
			Doc: "Has no effect here: confirming a position does not wait for an answer.",
		},
		{
			Name: "database.tcpKeepAlive", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Group: group, Order: 28, Width: "SHORT", Display: "TCP keep-alive probe",
			Doc: "Probe idle connections with TCP keep-alive.",
		},
		{
			Name: "xmin.fetch.interval.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Unsupported: "source.xmin",
			Importance: "MEDIUM", Group: group, Order: 29, Width: "SHORT", Display: "Xmin fetch interval (ms)",
			Doc: "Pause between looks at the xmin of the slot; 0 is none.",
		},
		{
			Name: "skipped.operations", Type: connectors.TypeList, Default: "t", HasDefault: true, Check: checkSkipped,
			Importance: "LOW", Group: group, Order: 30, Width: "SHORT", Display: "Skipped Operations",
			Doc: "Operations that are not emitted: c, u, d, t or none.",
		},
		{
			Name: "lsn.flush.mode", Type: connectors.TypeString, Recommended: words("connector_and_driver connector manual"), Closed: true,
			Importance: "LOW", Group: group, Order: 31, Width: "SHORT", Display: "LSN flush mode",
			Doc: "Who confirms positions to the server: connector, connector_and_driver (the same here), or manual (nobody; WAL is kept until it is confirmed by hand).",
		},
		{
			Name: "flush.lsn.source", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "LOW", Group: group, Order: 32, Width: "SHORT", Display: "Boolean to determine if Debezium should flush LSN in the source database",
			Doc: "Old form of lsn.flush.mode: false is manual.",
		},
	}
}

// keyFamilies are the keys whose names hold parameters.
func keyFamilies() []connectors.Key {
	return []connectors.Key{
		{
			Name: "column.mask.hash.", Type: connectors.TypeString, Prefix: true, Check: checkPatterns, Importance: "MEDIUM",
			Doc: "column.mask.hash.<algorithm>.with.salt.<salt>: columns whose text is replaced by its hash, as regular expressions.",
		},
		{
			Name: "column.mask.with.", Type: connectors.TypeString, Prefix: true, Check: checkPatterns, Importance: "MEDIUM",
			Doc: "column.mask.with.<n>.chars: columns whose text is replaced by n asterisks, as regular expressions.",
		},
		{
			Name: "column.truncate.to.", Type: connectors.TypeString, Prefix: true, Check: checkPatterns, Importance: "MEDIUM",
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
	}
}
