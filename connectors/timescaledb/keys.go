package timescaledb

import (
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

const (
	keyURL         = "connection.url"
	keyUser        = "connection.username"
	keyPassword    = "connection.password"
	keyMode        = "freshet.mode"
	keyInsert      = "insert.mode"
	keyDelete      = "delete.enabled"
	keyTruncate    = "truncate.enabled"
	keyKeyMode     = "primary.key.mode"
	keyKeyFields   = "primary.key.fields"
	keyEvolution   = "schema.evolution"
	keyCreate      = "auto.create"
	keyFormat      = "collection.name.format"
	keyOldFormat   = "table.name.format"
	keyQuote       = "quote.identifiers"
	keyInclude     = "field.include.list"
	keyExclude     = "field.exclude.list"
	keyBatch       = "batch.size"
	keyBytes       = "batch.max.bytes"
	keyOffsets     = "offsets.table.name"
	keyPlaceholder = "unavailable.value.placeholder"
	keyTime        = "hypertable.time.column"
	keyCompress    = "hypertable.compress.after"
	keySegment     = "hypertable.compress.segmentby"
	keyRetention   = "hypertable.retention"
	keyChunk       = "hypertable.chunk.interval"
	keyPrefix      = "meta.columns.prefix"
)

// definition is every key of io.debezium.connector.jdbc.JdbcSinkConnectorConfig, and those of our own at the end. Where a
// mirror needs another default than the reference's, the default is empty and the text says what it is.
func definition() *connectors.ConfigDef {
	return &connectors.ConfigDef{Keys: append(append(connectionKeys(), writeKeys()...), tableKeys()...)}
}

func words(s string) []string { return strings.Fields(s) }

func connectionKeys() []connectors.Key {
	return []connectors.Key{
		{
			Name: keyURL, Type: connectors.TypeString, Required: true, Importance: "HIGH", Group: "Connection", Order: 1, Check: checkURL, Show: withoutPassword,
			Doc: "jdbc:postgresql://host:port/database?parameter=value, or postgresql://…. Parameters: user, password, ssl, sslmode, sslrootcert, sslcert, sslkey, connectTimeout, ApplicationName, currentSchema, options.",
		},
		{Name: keyUser, Type: connectors.TypeString, Importance: "HIGH", Group: "Connection", Order: 2, Doc: "Role to connect as; the URL's user when not given."},
		{Name: keyPassword, Type: connectors.TypePassword, Importance: "HIGH", Group: "Connection", Order: 3, Doc: "Password of connection.username."},
		{Name: "connection.provider", Type: connectors.TypeClass, Importance: "LOW", Group: "Connection", Order: 4, Unsupported: "classes of the JVM", Doc: "Class that makes connections."},
		{Name: "connection.pool.min_size", Type: connectors.TypeInt, Default: "5", HasDefault: true, Importance: "LOW", Group: "Connection", Order: 5, Doc: "Has no effect here: a task has one connection."},
		{Name: "connection.pool.max_size", Type: connectors.TypeInt, Default: "32", HasDefault: true, Importance: "LOW", Group: "Connection", Order: 6, Doc: "Has no effect here: a task has one connection."},
		{Name: "connection.pool.acquire_increment", Type: connectors.TypeInt, Default: "32", HasDefault: true, Importance: "LOW", Group: "Connection", Order: 7, Doc: "Has no effect here: a task has one connection."},
		{Name: "connection.pool.timeout", Type: connectors.TypeLong, Default: "1800", HasDefault: true, Importance: "LOW", Group: "Connection", Order: 8, Doc: "Has no effect here: a task has one connection."},
		{Name: "connection.restart.on.errors", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Group: "Connection", Order: 9, Harmless: words("true"), Doc: "Has no effect here: a lost connection is always opened again."},
		{Name: "use.time.zone", Type: connectors.TypeString, Default: "UTC", HasDefault: true, Importance: "LOW", Group: "Connection", Order: 10, Harmless: words("Z GMT Etc/UTC"), Unsupported: "values are written as the source has them, which needs no zone", Doc: "Zone for values without one."},
		{Name: "database.time_zone", Type: connectors.TypeString, Default: "UTC", HasDefault: true, Importance: "LOW", Group: "Connection", Order: 11, Harmless: words("Z GMT Etc/UTC"), Unsupported: "values are written as the source has them, which needs no zone", Doc: "Old name of use.time.zone."},
		{Name: "hibernate.", Type: connectors.TypeString, Importance: "LOW", Prefix: true, Unsupported: "settings of a library of the JVM"},
	}
}

func writeKeys() []connectors.Key {
	return []connectors.Key{
		{
			Name: keyMode, Type: connectors.TypeString, Default: "mirror", HasDefault: true, Importance: "HIGH", Group: "Writes", Order: 1, Recommended: words("mirror append reference"), Closed: true,
			Doc: "mirror: the target equals the source's rows (upsert, deletes, tables made and extended); append: every change is a row of its own, with its operation, time and position; reference: the defaults of Debezium's JDBC sink, which are those of a connector of that class that reads topics.",
		},
		{
			Name: keyInsert, Type: connectors.TypeString, Importance: "HIGH", Group: "Writes", Order: 2, Recommended: words("insert upsert update"), Closed: true,
			Doc: "insert: INSERT; upsert: INSERT or UPDATE by key; update: UPDATE by key, rows that are not there are left out. Default upsert, insert in mode reference.",
		},
		{Name: keyDelete, Type: connectors.TypeBoolean, Importance: "HIGH", Group: "Writes", Order: 3, Doc: "Delete rows that the source deletes; needs primary.key.mode=record_key. Default true, false in mode reference. In mode append a delete is a row, or with false left out."},
		{Name: keyTruncate, Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "Writes", Order: 4, Doc: "Truncate the table when the source truncates its table (the source leaves truncates out by default: skipped.operations). In mode append true is the default: a truncate is a row."},
		{
			Name: keyKeyMode, Type: connectors.TypeString, Importance: "HIGH", Group: "Writes", Order: 5, Recommended: words("none kafka record_key record_header record_value"), Closed: true,
			Doc: "Where the columns of the primary key come from: none, record_key, record_value, and with records of topics record_header or kafka (topic, partition and offset). Default record_key, none in mode reference.",
		},
		{Name: keyKeyFields, Type: connectors.TypeList, Importance: "LOW", Group: "Writes", Order: 6, Doc: "Which fields of the record key (or value) are the primary key; all when not given."},
		{Name: keyBatch, Type: connectors.TypeInt, Importance: "LOW", Group: "Writes", Order: 7, Check: checkPositive, Doc: "Most rows in one transaction. Not given: what has piled up while the one before was written, up to batch.max.bytes."},
		{Name: keyBytes, Type: connectors.TypeInt, Default: "8388608", HasDefault: true, Importance: "LOW", Group: "Writes", Order: 8, Check: checkPositive, Doc: "Most encoded bytes in one transaction; one batch above it passes alone."},
		{Name: "use.reduction.buffer", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Group: "Writes", Order: 9, Doc: "Has no effect here: changes of one key within a transaction are always reduced to the last."},
		{Name: "flush.max.retries", Type: connectors.TypeInt, Default: "5", HasDefault: true, Importance: "LOW", Group: "Writes", Order: 10, Doc: "Has no effect here: a transaction that can succeed later is tried again for ever."},
		{Name: "flush.retry.delay.ms", Type: connectors.TypeLong, Default: "1000", HasDefault: true, Importance: "LOW", Group: "Writes", Order: 11, Check: checkPositive, Doc: "Longest pause between two attempts."},
		{
			Name: keyOffsets, Type: connectors.TypeString, Default: "freshet_offsets", HasDefault: true, Importance: "LOW", Group: "Writes", Order: 12, Check: checkTableName,
			Doc: "Table in the target database that holds the connector's positions, written in the data's transactions.",
		},
		{
			Name: keyPlaceholder, Type: connectors.TypeString, Default: changes.DefaultUnavailable, HasDefault: true, Importance: "LOW", Group: "Writes", Order: 13,
			Doc: "What stands in records of topics for a value that was not sent (the source's key of this name): the column keeps its value.",
		},
	}
}

func tableKeys() []connectors.Key {
	naming := func(name, class string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeClass, Default: class, HasDefault: true, Importance: "LOW", Group: "Tables", Unsupported: "classes of the JVM", Doc: "Class that makes names."}
	}
	return []connectors.Key{
		{Name: keyEvolution, Type: connectors.TypeString, Importance: "HIGH", Group: "Tables", Order: 1, Recommended: words("none basic"), Closed: true, Doc: "basic: make missing tables, add missing columns, widen types. Default basic, none in mode reference."},
		{Name: keyCreate, Type: connectors.TypeBoolean, Importance: "MEDIUM", Group: "Tables", Order: 2, Doc: "Make missing tables; as schema.evolution when not given."},
		{Name: keyFormat, Type: connectors.TypeString, Importance: "MEDIUM", Group: "Tables", Order: 3, Check: changes.CheckTargetFormat, Doc: "Name of the target table, with ${topic} (dots become underscores), ${source.db}, ${source.schema}, ${source.table}. Default ${source.schema}.${source.table}, ${topic} in mode reference."},
		{Name: keyOldFormat, Type: connectors.TypeString, Importance: "LOW", Group: "Tables", Order: 4, Check: changes.CheckTargetFormat, Doc: "Old name of collection.name.format."},
		naming("collection.naming.strategy", "io.debezium.sink.naming.DefaultCollectionNamingStrategy"),
		naming("table.naming.strategy", "io.debezium.connector.jdbc.naming.DefaultTableNamingStrategy"),
		naming("column.naming.strategy", "io.debezium.connector.jdbc.naming.DefaultColumnNamingStrategy"),
		{Name: keyQuote, Type: connectors.TypeBoolean, Importance: "MEDIUM", Group: "Tables", Order: 5, Doc: "Keep upper case in names of tables and columns; false: lower case, as the server reads names without quotes. Default true, false in mode reference."},
		{Name: keyInclude, Type: connectors.TypeList, Importance: "MEDIUM", Group: "Tables", Order: 6, Doc: "Columns to write, as topic:column or column; all when not given."},
		{Name: keyExclude, Type: connectors.TypeList, Importance: "MEDIUM", Group: "Tables", Order: 7, Doc: "Columns to leave out, as topic:column or column."},
		{Name: "dialect.postgres.postgis.schema", Type: connectors.TypeString, Default: "public", HasDefault: true, Importance: "LOW", Group: "Tables", Doc: "Has no effect here: types are found by name."},
		{Name: "dialect.sqlserver.identity.insert", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Group: "Tables", Unsupported: "this sink writes PostgreSQL", Doc: "Only for SQL Server."},
		{Name: keyPrefix, Type: connectors.TypeString, Default: "_", HasDefault: true, Importance: "LOW", Group: "Tables", Order: 8, Doc: "In mode append: what the names of the sink's own columns begin with: _op, _time, _partition, _order."},
		{Name: keyTime, Type: connectors.TypeList, Importance: "MEDIUM", Group: "Hypertables", Order: 1, Check: checkTimeColumns, Doc: "Make new tables that have this NOT NULL column hypertables, partitioned by it. A column name for all tables, or schema.table:column. In mode append _time is the time of the commit, and the default once another hypertable key is given."},
		{Name: keyChunk, Type: connectors.TypeString, Importance: "LOW", Group: "Hypertables", Order: 2, Check: checkInterval, Doc: "Width of a chunk: an interval (7 days), or a number for integer columns. TimescaleDB's default when not given."},
		{Name: keyCompress, Type: connectors.TypeString, Importance: "LOW", Group: "Hypertables", Order: 3, Check: checkInterval, Doc: "Compress chunks of new hypertables (columnstore) that are older: an interval, or a number for integer columns. Needs a server with the Timescale licence."},
		{Name: keySegment, Type: connectors.TypeList, Importance: "LOW", Group: "Hypertables", Order: 4, Doc: "Columns whose values stay together in compressed chunks; the key without the time column when not given."},
		{Name: keyRetention, Type: connectors.TypeString, Importance: "LOW", Group: "Hypertables", Order: 5, Check: checkInterval, Doc: "Drop chunks of new hypertables that are older: an interval, or a number for integer columns. Needs a server with the Timescale licence."},
	}
}

func checkPositive(v string) string {
	if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil && n < 1 {
		return "Value must be at least 1"
	}
	return ""
}

func checkURL(v string) string {
	if _, err := parseURL(v); err != nil {
		return err.Error()
	}
	return ""
}

func checkTableName(v string) string {
	if _, err := splitName(v); err != nil {
		return err.Error()
	}
	return ""
}

func checkTimeColumns(v string) string {
	for _, item := range connectors.SplitList(v) {
		if table, column, ok := strings.Cut(item, ":"); ok && (strings.TrimSpace(table) == "" || strings.TrimSpace(column) == "") {
			return "each item must be a column, or schema.table:column"
		}
	}
	return ""
}

func checkInterval(v string) string {
	if strings.ContainsAny(v, "'\\;") {
		return "an interval such as 7 days, or a number, is expected"
	}
	return ""
}
