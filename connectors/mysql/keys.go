package mysql

import (
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// definition is every key of a connector: those of the reference's ConfigDef in their order, groups and forms, and behind them
// those that it does not list.
func definition(f flavor) *connectors.ConfigDef {
	groups := []changes.KeyGroup{
		{Name: f.product(), Keys: keysServer},
		{Name: "Connector", Keys: keysConnector},
		{Name: "History Storage", Keys: keysHistory},
		{Name: "Events", Keys: keysEvents},
		{Keys: keysUnlisted},
	}
	if f == flavorMariaDB { // its driver is not chosen, and it has one grammar
		groups[0].Keys += " database.ssl.mode"
	} else {
		groups[0].Keys += " database.jdbc.driver database.protocol database.ssl.mode"
		groups[1].Keys += " ddl.parser.type"
	}
	own := append(ownServer(f), append(ownChanges(f), ownHistory()...)...)
	return &connectors.ConfigDef{Style: connectors.StyleDebezium, Keys: changes.Arrange(groups, own)}
}

func words(s string) []string { return strings.Fields(s) }

// The groups of the reference's definition.
const (
	keysServer = `
	topic.prefix database.hostname database.port database.user database.password database.query.timeout.ms database.initial.statements
	database.server.id database.server.id.offset database.ssl.keystore database.ssl.keystore.password database.ssl.truststore
	database.ssl.truststore.password`
	keysConnector = `
	event.processing.failure.handling.mode max.batch.size max.queue.size poll.interval.ms max.queue.size.in.bytes
	provide.transaction.metadata skipped.operations snapshot.delay.ms streaming.delay.ms snapshot.include.collection.list
	snapshot.fetch.size snapshot.max.threads snapshot.max.threads.multiplier legacy.snapshot.max.threads
	internal.legacy.snapshot.max.threads snapshot.mode.custom.name snapshot.mode.configuration.based.snapshot.data
	snapshot.mode.configuration.based.snapshot.schema snapshot.mode.configuration.based.start.stream
	snapshot.mode.configuration.based.snapshot.on.schema.error snapshot.mode.configuration.based.snapshot.on.data.error
	retriable.restart.connector.wait.ms query.fetch.size errors.max.retries incremental.snapshot.watermarking.strategy
	internal.log.position.check.enable internal.advanced.metrics.enable connection.validation.timeout.ms executor.shutdown.timeout.ms
	openlineage.integration.enabled openlineage.integration.config.file.path openlineage.integration.job.namespace
	openlineage.integration.job.description openlineage.integration.job.tags openlineage.integration.job.owners
	openlineage.integration.dataset.kafka.bootstrap.servers extended.headers.enabled guardrail.collections.max
	guardrail.collections.limit.action custom.sanitize.pattern statistics.metrics.enabled decimal.handling.mode snapshot.lock.timeout.ms
	memory.management.schemas.class memory.management.tables.class connect.timeout.ms connect.keep.alive connect.keep.alive.interval.ms
	use.nongraceful.disconnect binlog.net.write.timeout binlog.net.read.timeout snapshot.mode snapshot.query.mode
	snapshot.query.mode.custom.name bigint.unsigned.handling.mode time.precision.mode enable.time.adjuster schema.name.adjustment.mode
	min.row.count.to.stream.results incremental.snapshot.chunk.size incremental.snapshot.allow.schema.changes snapshot.locking.mode`
	keysHistory = `
	schema.history.internal schema.history.internal.skip.unparseable.ddl schema.history.internal.store.only.captured.tables.ddl
	schema.history.internal.store.only.captured.databases.ddl`
	keysEvents = `
	converters post.processors tombstones.on.delete heartbeat.interval.ms heartbeat.topics.prefix signal.data.collection
	signal.poll.interval.ms signal.enabled.channels topic.naming.strategy notification.enabled.channels notification.sink.topic.name
	transaction.metadata.factory custom.metric.tags column.include.list column.exclude.list table.include.list table.exclude.list
	message.key.columns snapshot.select.statement.overrides column.mask.hash.([^.]+).with.salt.(.+) column.mask.with.(d+).chars
	column.truncate.to.(d+).chars include.schema.changes include.schema.comments column.propagate.source.type
	datatype.propagate.source.type internal.snapshot.scan.all.columns.force snapshot.tables.order.by.row.count heartbeat.action.query
	include.query table.ignore.builtin database.include.list database.exclude.list binlog.buffer.size
	event.deserialization.failure.handling.mode inconsistent.schema.handling.mode gtid.source.filter.dml.events gtid.ignore.on.recovery
	gtid.source.includes gtid.source.excludes sourceinfo.struct.maker`
	keysUnlisted = `
	snapshot.locking.mode.custom.name binary.handling.mode skip.messages.without.change signal.emit.failure.max.retries
	signal.emit.failure.backoff.ms internal.offset.activity.monitor.interval.ms read.only poll.dispatch.interval.ms queue.provider.type
	internal.custom.retriable.exception topic.delimiter topic.cache.size topic.transaction topic.heartbeat.prefix topic.heartbeat.name
	signal.file field.name.adjustment.mode event.converting.failure.handling.mode unavailable.value.placeholder
	schema.history.internal.kafka.topic schema.history.internal.kafka.bootstrap.servers schema.history.internal.kafka.recovery.attempts
	schema.history.internal.kafka.recovery.poll.interval.ms schema.history.internal.kafka.query.timeout.ms
	schema.history.internal.kafka.create.timeout.ms schema.history.internal.kafka.buffer.batch.size schema.history.internal.file.filename
	schema.history.internal.name schema.history.internal.prefer.ddl schema.history.internal.memory.optimization
	schema.history.internal.connector.class schema.history.internal.connector.id internal.schema.history.internal.ddl.filter
	resolve.create.table.like.schema`
)
