package runtime

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// Framework returns the definition of the keys that the runtime reads from every configuration of a source connector, or of a
// sink connector (Kafka Connect's SourceConnectorConfig and SinkConnectorConfig, in their order), and of its own.
func Framework(sink bool) *connectors.ConfigDef {
	keys := append(commonKeys(), errorKeys()...)
	if sink {
		keys = append(keys, sinkKeys()...)
	} else {
		keys = append(keys, sourceKeys()...)
	}
	return &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: append(keys, ownKeys(sink)...)}
}

const (
	keySinks      = "sinks"
	prefixSinks   = "sinks."
	keyClass      = "connector.class"
	keyVersion    = "connector.plugin.version"
	defaultBudget = 64 << 20

	transformsLater = "transforms come with a later release; remove the key"
)

// commonKeys are Connect's ConnectorConfig but for the handling of errors.
func commonKeys() []connectors.Key {
	class := func(kind string, order int) []connectors.Key {
		what := strings.ToUpper(kind[:1]) + kind[1:]
		name := kind + ".converter"
		return []connectors.Key{
			{Name: name, Type: connectors.TypeClass, Importance: "LOW", Group: "Common", Order: order, Width: "SHORT", Display: what + " converter class", Doc: "Converter of record " + kind + "s; the worker's when not given."},
			{Name: name + ".plugin.version", Type: connectors.TypeString, Importance: "LOW", Group: "Common", Order: order + 1, Width: "SHORT", Display: what + " converter version", Doc: "Version of the converter; there is one of each."},
		}
	}
	return slices.Concat([]connectors.Key{
		{Name: "name", Type: connectors.TypeString, Required: true, Importance: "HIGH", Check: checkName, Group: "Common", Order: 1, Width: "MEDIUM", Display: "Connector name", Doc: "Name of the connector, unique in its cluster."},
		{Name: keyClass, Type: connectors.TypeString, Required: true, Importance: "HIGH", Group: "Common", Order: 2, Width: "LONG", Display: "Connector class", Doc: "Class name or alias of the connector."},
		{Name: keyVersion, Type: connectors.TypeString, Importance: "MEDIUM", Group: "Common", Order: 3, Width: "MEDIUM", Display: "Connector version", Doc: "Version, or range of versions, that the connector must have."},
		{Name: "tasks.max", Type: connectors.TypeInt, Default: "1", HasDefault: true, Importance: "HIGH", Check: checkPositive, NotNull: true, Group: "Common", Order: 4, Width: "SHORT", Display: "Tasks max", Doc: "Maximum number of tasks."},
		{Name: "tasks.max.enforce", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "LOW", Group: "Common", Order: 5, Width: "SHORT", Display: "Enforce tasks max", Doc: "Has no effect here: a connector never has more tasks than tasks.max."},
	}, class("key", 6), class("value", 8), class("header", 10), []connectors.Key{
		{Name: "transforms", Type: connectors.TypeList, HasDefault: true, Importance: "LOW", Check: checkAliases, Group: "Transforms", Order: 12, Width: "LONG", Display: "Transforms", Doc: "Aliases of the transformations of records, in their order."},
		{Name: "predicates", Type: connectors.TypeList, HasDefault: true, Importance: "LOW", Check: checkAliases, Group: "Predicates", Order: 13, Width: "LONG", Display: "Predicates", Doc: "Aliases of the predicates that transformations refer to."},
		{Name: "config.action.reload", Type: connectors.TypeString, Default: "restart", HasDefault: true, Importance: "LOW", Check: connectors.OneOf("none", "restart"), Group: "Common", Order: 14, Width: "MEDIUM", Display: "Reload Action", Doc: "What happens when a value that a config provider gave changes: restart or none."},
	})
}

func errorKeys() []connectors.Key {
	const group = "Error Handling"
	return []connectors.Key{
		{Name: "errors.retry.timeout", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "MEDIUM", Group: group, Order: 1, Width: "MEDIUM", Display: "Retry Timeout for Errors", Doc: "For how long a task is started again after errors that may pass, in milliseconds without progress; 0 and -1: without bound."},
		{Name: "errors.retry.delay.max.ms", Type: connectors.TypeLong, Default: "60000", HasDefault: true, Importance: "MEDIUM", Group: group, Order: 2, Width: "MEDIUM", Display: "Maximum Delay Between Retries for Errors", Doc: "Longest pause between two attempts in milliseconds; 10000 when not given."},
		{Name: keyTolerance, Type: connectors.TypeString, Default: "none", HasDefault: true, Importance: "MEDIUM", Check: connectors.OneOf("none", "all"), Group: group, Order: 3, Width: "SHORT", Display: "Error Tolerance", Doc: "none: the task fails with the first record that cannot be processed; all: such records are left out, and kept in the dead-letter queue where there is one."},
		{Name: "errors.log.enable", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: group, Order: 4, Width: "SHORT", Display: "Log Errors", Doc: "Log every record that is left out; else the log tells of them once a minute. Errors that stop a task are always logged."},
		{Name: "errors.log.include.messages", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: group, Order: 5, Width: "SHORT", Display: "Log Error Details", Doc: "With errors.log.enable: also log which record it was (topic, partition, offset, timestamp)."},
	}
}

func sourceKeys() []connectors.Key {
	const exactly = "Exactly Once Support"
	return []connectors.Key{
		{Name: "topic.creation.groups", Type: connectors.TypeList, HasDefault: true, Importance: "LOW", Check: checkAliases, Group: "Topic Creation", Order: 1, Width: "LONG", Display: "Topic Creation Groups", Doc: "Groups of topics that are made with settings of their own (topic.creation.<group>.*)."},
		{Name: "exactly.once.support", Type: connectors.TypeString, Default: "requested", HasDefault: true, Importance: "MEDIUM", Check: connectors.OneOfFold("REQUIRED", "REQUESTED"), Group: exactly, Order: 2, Width: "SHORT", Display: "Exactly once support", Doc: "required: the configuration is refused where exactly-once is not possible."},
		{Name: "transaction.boundary", Type: connectors.TypeString, Default: "poll", HasDefault: true, Importance: "MEDIUM", Check: connectors.OneOfFold("INTERVAL", "POLL", "CONNECTOR"), Group: exactly, Order: 3, Width: "SHORT", Display: "Transaction Boundary", Doc: "Where an exactly-once Kafka sink ends its transactions: poll (after every batch, or as soon as the transaction before is committed) or interval."},
		{Name: "transaction.boundary.interval.ms", Type: connectors.TypeLong, Importance: "LOW", Group: exactly, Order: 4, Width: "SHORT", Display: "Transaction boundary interval", Doc: "With transaction.boundary=interval: how long a transaction stays open, in milliseconds; the worker's offset.flush.interval.ms (60000) when not given."},
		{Name: "offsets.storage.topic", Type: connectors.TypeString, Importance: "LOW", Check: connectors.NotEmpty, Group: "offsets.topic", Order: 1, Width: "LONG", Display: "Offsets topic", Doc: "Kafka topic for the offsets of this connector."},
	}
}

func sinkKeys() []connectors.Key {
	return append([]connectors.Key{
		{Name: keyTopics, Type: connectors.TypeList, HasDefault: true, Importance: "HIGH", Group: "Common", Order: 4, Width: "LONG", Display: "Topics", Doc: "Topics to read."},
		{Name: keyTopicsRegex, Type: connectors.TypeString, HasDefault: true, Importance: "HIGH", Check: checkRegex, Group: "Common", Order: 4, Width: "LONG", Display: "Topics regex", Doc: "Regular expression of the names of the topics to read."},
	}, queueKeys()...)
}

// queueKeys are those of a dead-letter queue in Kafka, which the reference has for sink connectors alone.
func queueKeys() []connectors.Key {
	return []connectors.Key{
		{Name: keyDeadLetters, Type: connectors.TypeString, HasDefault: true, Importance: "MEDIUM", Group: "Error Handling", Order: 6, Width: "MEDIUM", Display: "Dead Letter Queue Topic Name", Doc: "Topic of the records that could not be processed; used with errors.tolerance=all."},
		{Name: prefixDeadLetters + "topic.replication.factor", Type: connectors.TypeShort, Default: "3", HasDefault: true, Importance: "MEDIUM", Group: "Error Handling", Order: 7, Width: "MEDIUM", Display: "Dead Letter Queue Topic Replication Factor", Doc: "Replication factor of that topic when it is made."},
		{Name: prefixDeadLetters + "context.headers.enable", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "Error Handling", Order: 8, Width: "MEDIUM", Display: "Enable Error Context Headers", Doc: "Headers that say where and why a record failed."},
	}
}

// ownKeys are the families that the runtime passes on, and the keys that only Freshet has.
func ownKeys(sink bool) []connectors.Key {
	family := func(name, group string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeString, Prefix: true, Group: group, Own: true}
	}
	keys := []connectors.Key{
		family("key.converter.", "Common"), family("value.converter.", "Common"), family("header.converter.", "Common"),
		family("transforms.", "Transforms"), family("predicates.", "Predicates"),
		family("producer.override.", ""), family("consumer.override.", ""), family("admin.override.", ""),
		{Name: "errors.max.retries", Type: connectors.TypeInt, Default: "-1", HasDefault: true, Importance: "MEDIUM", Group: "Error Handling", Own: true, Doc: "Attempts in a row without progress before a task fails; -1 for no limit."},
		{Name: keyDeadLetterFile, Type: connectors.TypeString, Importance: "MEDIUM", Group: "Error Handling", Own: true, Doc: "File of the records that could not be processed, one JSON object a line; used with errors.tolerance=all, in place of a topic."},
		{Name: keyDeadLetterFile + ".max.bytes", Type: connectors.TypeLong, Default: "1073741824", HasDefault: true, Importance: "LOW", Check: checkNotNegative, Group: "Error Handling", Own: true, Doc: "Size at which that file is full and the task fails; 0 for no limit."},
		{Name: "max.queue.size.in.bytes", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "MEDIUM", Group: "Memory", Own: true, Doc: "Memory that the task may use for records on their way, in bytes; 0 means 64 MiB."},
	}
	keys = append(keys, processKeys()...)
	if sink {
		return keys
	}
	for _, k := range queueKeys() {
		k.Own = true
		if k.Name == prefixDeadLetters+"context.headers.enable" {
			k.Default = "true"
		}
		keys = append(keys, k)
	}
	return append(keys, family("topic.creation.", "Topic Creation"),
		connectors.Key{Name: keySinks, Type: connectors.TypeList, Importance: "MEDIUM", Group: "Sinks", Own: true, Doc: "Aliases of the sinks that the source writes to directly; Kafka when not given."})
}

// passed lists the framework keys that sinks read for themselves.
func passed(name string) bool {
	for _, family := range []string{"key.converter", "value.converter", "header.converter", "topic.creation.", "producer.override.", "consumer.override.", "admin.override.", "errors.", "transaction.boundary"} {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}

func checkName(v string) string {
	if v == "" {
		return "String may not be empty"
	}
	var found []string
	for _, r := range v {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			found = append(found, strconv.Itoa(int(r)))
		}
	}
	if len(found) > 0 {
		return "String may not contain control sequences but had the following ASCII chars: " + strings.Join(found, ", ")
	}
	return ""
}

func checkPositive(v string) string {
	if n, err := strconv.Atoi(strings.TrimSpace(v)); err != nil || n < 1 {
		return "Value must be at least 1"
	}
	return ""
}

func checkNotNegative(v string) string {
	if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err != nil || n < 0 {
		return "Value must be at least 0"
	}
	return ""
}

func checkAliases(v string) string {
	list := connectors.SplitList(v)
	for i, alias := range list {
		if slices.Contains(list[:i], alias) {
			return "Duplicate alias provided."
		}
	}
	return ""
}

func checkRegex(v string) string {
	if _, err := regexp.Compile(v); err != nil {
		return "Invalid regex: " + connectors.RegexProblem(v, err)
	}
	return ""
}

// limits is what the runtime itself takes from a configuration.
type limits struct {
	budget   int64         // bytes of records on their way
	retries  int           // attempts in a row; -1: no limit
	patience time.Duration // for such attempts; 0: no limit
	delay    time.Duration // longest pause between them
	grace    time.Duration // for a graceful stop
	interval time.Duration // shortest time between two writes of offsets
	lazy     bool          // the interval was configured: the first write waits for it, too
	stall    time.Duration // without progress, until the worker is not healthy; 0: for ever
}

func readLimits(c, worker connectors.Config, commit time.Duration) limits {
	l := limits{budget: defaultBudget, retries: -1, delay: 10 * time.Second, grace: 5 * time.Second, interval: commit, stall: defaultStall}
	if n, ok := number(c, "max.queue.size.in.bytes"); ok && n > 0 {
		l.budget = n
	}
	if n, ok := number(c, "errors.max.retries"); ok && n >= 0 {
		l.retries = int(n)
	}
	if n, ok := number(c, "errors.retry.timeout"); ok && n > 0 {
		l.patience = time.Duration(n) * time.Millisecond
	}
	if n, ok := number(c, "errors.retry.delay.max.ms"); ok && n > 0 {
		l.delay = time.Duration(n) * time.Millisecond
	}
	if n, ok := number(worker, "task.shutdown.graceful.timeout.ms"); ok && n > 0 {
		l.grace = time.Duration(n) * time.Millisecond
	}
	if n, ok := number(worker, "offset.flush.interval.ms"); ok && n > 0 {
		l.interval, l.lazy = time.Duration(n)*time.Millisecond, true
	}
	if n, ok := number(worker, keyStall); ok && n >= 0 {
		l.stall = time.Duration(n) * time.Millisecond
	}
	if l.stall > 0 && strings.EqualFold(strings.TrimSpace(c["transaction.boundary"]), "interval") {
		open, ok := number(c, "transaction.boundary.interval.ms")
		if !ok {
			if open, ok = number(worker, "offset.flush.interval.ms"); !ok {
				open = 60000
			}
		}
		l.stall += time.Duration(open) * time.Millisecond
	}
	return l
}

func number(c connectors.Config, name string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(c[name]), 10, 64)
	return n, err == nil
}
