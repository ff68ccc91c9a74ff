package changes

import (
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// CommonKeys are the keys that every source of a relational database has, without the places that a connector gives them (Arrange).
func CommonKeys() []connectors.Key {
	return slices.Concat(commonConnector(), commonEvents(), reselectKeys())
}

// KeyGroup is a group of a definition: the names of its keys in their order. The group without a name holds keys that the
// reference reads and does not list.
type KeyGroup struct {
	Name string
	Keys string // separated by white space
}

// Arrange returns the keys of all groups in order, each a connector's own or else a common one, and the common families behind
// them. A name that nobody defines panics: it is a mistake in the connector, found by its first test.
func Arrange(groups []KeyGroup, own []connectors.Key) []connectors.Key {
	known := map[string]connectors.Key{}
	var families []connectors.Key
	for _, k := range append(CommonKeys(), own...) {
		known[k.Name] = k
		if k.Prefix || k.Suffix {
			families = append(families, k)
		}
	}
	var out []connectors.Key
	for _, g := range groups {
		order := 0
		for _, name := range strings.Fields(g.Keys) {
			k, ok := known[name]
			if !ok {
				panic("changes: key " + name + " has no definition")
			}
			if g.Name == "" {
				k.Own, k.Width, k.Display, k.Dependents = true, "", "", nil
			} else {
				if !k.Alias { // an alias stands beside its key
					order++
				}
				k.Group, k.Order = g.Name, order
			}
			out = append(out, k)
		}
	}
	return append(out, families...)
}

func words(s string) []string { return strings.Fields(s) }

// commonConnector are the keys of how a connector works.
func commonConnector() []connectors.Key {
	return []connectors.Key{
		{
			Name: "topic.prefix", Type: connectors.TypeString, Required: true, Check: checkPrefix,
			Importance: "HIGH", Width: "MEDIUM", Display: "Topic prefix",
			Doc: "Logical name of the server: first part of every topic, and key of the stored offset. Letters, digits, - . _",
		},
		{
			Name: "database.password", Type: connectors.TypePassword,
			Importance: "HIGH", Width: "SHORT", Display: "Password",
			Doc: "Password of database.user.",
		},
		{
			Name: "database.query.timeout.ms", Type: connectors.TypeInt, Default: "600000", HasDefault: true, Check: CheckNotNegative,
			Importance: "LOW", Display: "Query timeout",
			Doc: "How long a query of the database's catalog may take; 0 is without bound.",
		},
		{
			Name: "database.initial.statements", Type: connectors.TypeString,
			Importance: "LOW", Width: "LONG", Display: "Initial statements",
			Doc: "SQL statements to run on each ordinary connection, separated by semicolons; two semicolons stand for one.",
		},
		{
			Name: "skipped.operations", Type: connectors.TypeList, Default: "t", HasDefault: true, Check: checkSkipped,
			Importance: "LOW", Width: "SHORT", Display: "Skipped Operations",
			Doc: "Operations that are not emitted: c, u, d, t or none.",
		},
		{
			Name: "event.processing.failure.handling.mode", Type: connectors.TypeString, Default: "fail", HasDefault: true, Recommended: words("warn fail ignore skip"), Closed: true, Unsupported: "going on without an event",
			Importance: "MEDIUM", Width: "SHORT", Display: "Event deserialization failure handling",
			Doc: "What becomes of an event that cannot be processed.",
		},
		{
			Name: "max.batch.size", Type: connectors.TypeInt, Default: "2048", HasDefault: true, Check: CheckPositive,
			Importance: "MEDIUM", Width: "SHORT", Display: "Change event batch size",
			Doc: "Has no effect here: a batch holds what is there, bounded in bytes.",
		},
		{
			Name: "max.queue.size", Type: connectors.TypeInt, Default: "8192", HasDefault: true, Check: checkQueueSize,
			Importance: "MEDIUM", Width: "SHORT", Display: "Change event buffer size",
			Doc: "Has no effect here: memory is bounded in bytes, by max.queue.size.in.bytes.",
		},
		{
			Name: "poll.interval.ms", Type: connectors.TypeLong, Default: "500", HasDefault: true, Check: CheckPositive,
			Importance: "MEDIUM", Width: "SHORT", Display: "Poll interval (ms)",
			Doc: "Has no effect here: changes are taken as they come, without polling.",
		},
		{
			Name: "max.queue.size.in.bytes", Type: connectors.TypeLong, Default: "0", HasDefault: true, Check: CheckNotNegativeLong,
			Importance: "MEDIUM", Width: "LONG", Display: "Change event buffer size in bytes",
			Doc: "Bytes of events in memory at most; 0 is 64 MiB.",
		},
		{
			Name: "provide.transaction.metadata", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Store transaction metadata information in a dedicated topic.",
			Doc: "Emit transaction boundaries.",
		},
		{
			Name: "snapshot.delay.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Check: CheckNotNegativeLong,
			Importance: "LOW", Width: "MEDIUM", Display: "Snapshot Delay (milliseconds)",
			Doc: "Pause before the snapshot.",
		},
		{
			Name: "streaming.delay.ms", Type: connectors.TypeLong, Default: "0", HasDefault: true, Check: CheckNotNegativeLong,
			Importance: "LOW", Width: "MEDIUM", Display: "Streaming Delay (milliseconds)",
			Doc: "Pause between snapshot and streaming.",
		},
		{
			Name: "snapshot.include.collection.list", Type: connectors.TypeList, Check: CheckPatterns,
			Importance: "MEDIUM", Width: "LONG", Display: "Snapshot mode include data collection",
			Doc: "Captured tables that the snapshot reads, as regular expressions; all when empty.",
		},
		{
			Name: "snapshot.fetch.size", Type: connectors.TypeInt, Check: CheckNotNegative,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Snapshot fetch size",
			Doc: "Has no effect here: rows are streamed.",
		},
		{
			Name: "snapshot.max.threads", Type: connectors.TypeInt, Default: "1", HasDefault: true, Check: CheckPositive,
			Importance: "MEDIUM", Width: "SHORT", Display: "Snapshot maximum threads",
			Doc: "How many connections the snapshot reads tables with; more than one read tables at the same time, and large tables in parts.",
		},
		{
			Name: "snapshot.max.threads.multiplier", Type: connectors.TypeInt, Default: "1", HasDefault: true, Check: CheckPositive,
			Importance: "MEDIUM", Width: "SHORT", Display: "Snapshot maximum thread multiplier",
			Doc: "With several threads, a table is read in at least threads times this many parts, unless it is small.",
		},
		{
			Name: "legacy.snapshot.max.threads", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Enforces using a single thread per table regardless of table size",
			Doc: "Reads every table whole, whatever the number of threads.",
		},
		{
			Name: "internal.legacy.snapshot.max.threads", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Enforces using a single thread per table regardless of table size", Alias: true,
			Doc: "Older name of legacy.snapshot.max.threads.",
		},
		{
			Name: "snapshot.mode.custom.name", Type: connectors.TypeString, Unsupported: "custom snapshotters run in the JVM",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Snapshot Mode Custom Name",
			Doc: "Name of a custom snapshotter.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.data", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Snapshot mode property based snapshot data",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.schema", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Snapshot mode property based snapshot schema",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.start.stream", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Snapshot mode property based start stream",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.on.schema.error", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Snapshot mode property based snapshot on schema error",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "snapshot.mode.configuration.based.snapshot.on.data.error", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "snapshot.mode=configuration_based",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Snapshot mode property based snapshot on data error",
			Doc: "Part of snapshot.mode=configuration_based.",
		},
		{
			Name: "retriable.restart.connector.wait.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true,
			Importance: "LOW", Width: "MEDIUM", Display: "Retriable restart wait (ms)",
			Doc: "Has no effect here: the pause before a new attempt grows with each failure.",
		},
		{
			Name: "query.fetch.size", Type: connectors.TypeInt, Default: "0", HasDefault: true,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Query fetch size",
			Doc: "Has no effect here: results are streamed.",
		},
		{
			Name: "errors.max.retries", Type: connectors.TypeInt, Default: "-1", HasDefault: true,
			Importance: "LOW", Width: "MEDIUM", Display: "The maximum number of retries",
			Doc: "Attempts after a retriable error; -1 is without bound.",
		},
		{
			Name: "incremental.snapshot.watermarking.strategy", Recommended: words("insert_delete insert_insert"), Type: connectors.TypeString, Default: "INSERT_INSERT", HasDefault: true, Unsupported: "incremental snapshots",
			Importance: "LOW", Width: "MEDIUM", Display: "Incremental snapshot watermarking strategy",
			Doc: "How an incremental snapshot marks its windows.",
		},
		{
			Name: "internal.log.position.check.enable", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Enable/Disable log position check",
			Doc: "Has no effect here: the stored position is always checked against the server's.",
		},
		{
			Name: "internal.advanced.metrics.enable", Type: connectors.TypeBoolean, Default: "false", HasDefault: true,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Enable/Disable advance metrics",
			Doc: "Has no effect here: all metrics are on.",
		},
		{
			Name: "connection.validation.timeout.ms", Type: connectors.TypeLong, Default: "60000", HasDefault: true, Check: CheckPositiveLong,
			Importance: "LOW", Width: "SHORT", Display: "Connection validation timeout (ms)",
			Doc: "How long the connection check of a validation may take.",
		},
		{
			Name: "executor.shutdown.timeout.ms", Type: connectors.TypeLong, Default: "4000", HasDefault: true,
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Executor shutdown timeout (ms)",
			Doc: "Has no effect here: stopping is bounded by the worker.",
		},
		{
			Name: "openlineage.integration.enabled", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Unsupported: "OpenLineage",
			Importance: "LOW", Width: "SHORT", Display: "Enables OpenLineage integration",
			Doc: "Send OpenLineage events.",
		},
		{
			Name: "openlineage.integration.config.file.path", Type: connectors.TypeString, Default: "./openlineage.yml", HasDefault: true,
			Importance: "LOW", Width: "LONG", Display: "Path to OpenLineage file configuration",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.namespace", Type: connectors.TypeString,
			Importance: "LOW", Width: "LONG", Display: "Namespace used for Debezium job",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.description", Type: connectors.TypeString, Default: "Debezium change data capture job", HasDefault: true,
			Importance: "LOW", Width: "LONG", Display: "Description used for Debezium job",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.tags", Type: connectors.TypeList,
			Importance: "LOW", Width: "LONG", Display: "Debezium job tags",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.job.owners", Type: connectors.TypeList,
			Importance: "LOW", Width: "LONG", Display: "Debezium job owners",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "openlineage.integration.dataset.kafka.bootstrap.servers", Type: connectors.TypeString,
			Importance: "LOW", Width: "LONG", Display: "Kafka bootstrap server used in Kafka Connect deployment",
			Doc: "Has no effect here: used only with openlineage.integration.enabled.",
		},
		{
			Name: "extended.headers.enabled", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "LOW", Width: "SHORT", Display: "Enable/Disable extended headers",
			Doc: "Add the four context headers to data records.",
		},
		{
			Name: "guardrail.collections.max", Type: connectors.TypeInt, Default: "0", HasDefault: true, Check: CheckNotNegative,
			Importance: "MEDIUM", Width: "SHORT", Display: "Maximum number of collections or tables",
			Doc: "Number of captured tables above which guardrail.collections.limit.action applies; 0 is none.",
		},
		{
			Name: "guardrail.collections.limit.action", Type: connectors.TypeString, Default: "warn", HasDefault: true, Recommended: words("warn fail"), Closed: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Guardrail collections limit action",
			Doc: "Warn, or fail, above guardrail.collections.max.",
		},
		{
			Name: "custom.sanitize.pattern", Type: connectors.TypeString, HasDefault: true,
			Default:    `.*secret$|.*password$|.*sasl\.jaas\.config$|.*basic\.auth\.user\.info|.*registry\.auth\.client-secret|.*credentials\.json$|.*connectionstring$|.*connection\.string$`,
			Importance: "LOW", Width: "LONG", Display: "Custom pattern for masking sensitive configuration",
			Doc: "Has no effect here: configurations are never logged.",
		},
		{
			Name: "statistics.metrics.enabled", Type: connectors.TypeBoolean, Default: "true", HasDefault: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Enable collecting statistics metrics like latencies",
			Doc: "Has no effect here: all metrics are on.",
		},
		{
			Name: "decimal.handling.mode", Type: connectors.TypeString, Default: "precise", HasDefault: true, Recommended: words("string double precise"), Closed: true,
			Importance: "MEDIUM", Width: "SHORT", Display: "Decimal Handling",
			Doc: "How decimal numbers are written.",
		},
		{
			Name: "snapshot.lock.timeout.ms", Type: connectors.TypeLong, Default: "10000", HasDefault: true, Check: CheckNotNegativeLong,
			Importance: "MEDIUM", Width: "LONG", Display: "Snapshot lock timeout (ms)",
			Doc: "How long to wait for a table lock.",
		},
		{
			Name: "memory.management.schemas.class", Type: connectors.TypeClass, Default: "io.debezium.relational.ConcurrentMapTableMappingStorage", HasDefault: true,
			Importance: "LOW", Width: "LONG", Display: "Schema storage class",
			Doc: "Has no effect here: it chooses a data structure of the JVM.",
		},
		{
			Name: "memory.management.tables.class", Type: connectors.TypeClass, Default: "io.debezium.relational.ConcurrentMapTableMappingStorage", HasDefault: true,
			Importance: "LOW", Width: "LONG", Display: "Table storage class",
			Doc: "Has no effect here: it chooses a data structure of the JVM.",
		},
		{
			Name: "snapshot.query.mode", Type: connectors.TypeString, Default: "select_all", HasDefault: true, Recommended: words("custom select_all"), Closed: true, Unsupported: "custom snapshot queries",
			Importance: "LOW", Width: "SHORT", Display: "Snapshot query mode",
			Doc: "How the snapshot queries tables.",
		},
		{
			Name: "snapshot.query.mode.custom.name", Type: connectors.TypeString, Unsupported: "custom snapshot queries",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Snapshot Query Mode Custom Name",
			Doc: "Name of a custom snapshot query.",
		},
		{
			Name: "snapshot.locking.mode.custom.name", Type: connectors.TypeString, Unsupported: "custom snapshot locks",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Snapshot Locking Mode Custom Name",
			Doc: "Name of a custom snapshot lock.",
		},
		{
			Name: "binary.handling.mode", Type: connectors.TypeString, Default: "bytes", HasDefault: true, Recommended: words("bytes base64 hex base64-url-safe"), Closed: true,
			Importance: "LOW", Width: "MEDIUM", Display: "Binary Handling",
			Doc: "How bytes are written.",
		},
		{
			Name: "schema.name.adjustment.mode", Type: connectors.TypeString, Default: "none", HasDefault: true, Recommended: words("none avro_unicode avro"), Closed: true,
			Importance: "LOW", Width: "MEDIUM", Display: "Schema Name Adjustment",
			Doc: "How schema names are made valid for Avro.",
		},
		{
			Name: "incremental.snapshot.chunk.size", Type: connectors.TypeInt, Default: "1024", HasDefault: true, Unsupported: "incremental snapshots",
			Importance: "MEDIUM", Width: "MEDIUM", Display: "Incremental snapshot chunk size",
			Doc: "Rows per chunk of an incremental snapshot.",
		},
	}
}
