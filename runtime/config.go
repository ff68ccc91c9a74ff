package runtime

import (
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// Framework returns the definition of the keys that the runtime reads from every connector configuration
// (Kafka Connect's SourceConnectorConfig, and the lists of direct sinks).
func Framework() *connectors.ConfigDef { return &connectors.ConfigDef{Keys: frameworkKeys()} }

const (
	keySinks      = "sinks"
	prefixSinks   = "sinks."
	keyClass      = "connector.class"
	defaultBudget = 64 << 20

	transformsLater = "transforms come with a later release; remove the key"
)

func frameworkKeys() []connectors.Key {
	flag := []string{"true", "false"}
	return []connectors.Key{
		{Name: "name", Type: connectors.TypeString, Required: true, Importance: "HIGH", Check: checkName, Group: "Common", Doc: "Globally unique name of this connector."},
		{Name: keyClass, Type: connectors.TypeString, Required: true, Importance: "HIGH", Group: "Common", Doc: "Class name or alias of the connector."},
		{Name: "connector.plugin.version", Type: connectors.TypeString, Importance: "MEDIUM", Group: "Common", Unsupported: "there is one version of each connector"},
		{Name: "tasks.max", Type: connectors.TypeInt, Default: "1", HasDefault: true, Importance: "HIGH", Check: checkPositive, Group: "Common", Doc: "Maximum number of tasks."},
		{Name: "tasks.max.enforce", Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "LOW", Harmless: flag, Group: "Common"},
		{Name: "key.converter", Type: connectors.TypeClass, Importance: "LOW", Group: "Common", Doc: "Converter of record keys; the worker's when not given."},
		{Name: "key.converter.", Type: connectors.TypeString, Prefix: true, Group: "Common"},
		{Name: "value.converter", Type: connectors.TypeClass, Importance: "LOW", Group: "Common", Doc: "Converter of record values; the worker's when not given."},
		{Name: "value.converter.", Type: connectors.TypeString, Prefix: true, Group: "Common"},
		{Name: "header.converter", Type: connectors.TypeClass, Importance: "LOW", Group: "Common", Doc: "Converter of record headers; the worker's when not given."},
		{Name: "header.converter.", Type: connectors.TypeString, Prefix: true, Group: "Common"},
		{Name: "transforms", Type: connectors.TypeList, HasDefault: true, Importance: "LOW", Unsupported: transformsLater, Group: "Transforms"},
		{Name: "transforms.", Type: connectors.TypeString, Prefix: true, Group: "Transforms"},
		{Name: "predicates", Type: connectors.TypeList, HasDefault: true, Importance: "LOW", Unsupported: transformsLater, Group: "Predicates"},
		{Name: "predicates.", Type: connectors.TypeString, Prefix: true, Group: "Predicates"},
		{Name: "config.action.reload", Type: connectors.TypeString, Default: "restart", HasDefault: true, Importance: "LOW", Closed: true, Recommended: []string{"none", "restart"}, Group: "Common"},
		{Name: "errors.retry.timeout", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "MEDIUM", Group: "Error Handling", Harmless: []string{"-1"}, Unsupported: "retriable errors are tried again for ever; limit them with errors.max.retries"},
		{Name: "errors.retry.delay.max.ms", Type: connectors.TypeLong, Default: "60000", HasDefault: true, Importance: "MEDIUM", Group: "Error Handling", Doc: "Longest pause between two attempts in milliseconds; 10000 when not given."},
		{Name: "errors.max.retries", Type: connectors.TypeInt, Default: "-1", HasDefault: true, Importance: "MEDIUM", Group: "Error Handling", Doc: "Attempts in a row without progress before a task fails; -1 for no limit."},
		{Name: "errors.tolerance", Type: connectors.TypeString, Default: "none", HasDefault: true, Importance: "MEDIUM", Closed: true, Recommended: []string{"none", "all"}, Group: "Error Handling", Unsupported: "no record is skipped"},
		{Name: "errors.log.enable", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "Error Handling", Doc: "Errors are always logged."},
		{Name: "errors.log.include.messages", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "MEDIUM", Group: "Error Handling", Unsupported: "records are not written to the log"},
		{Name: "exactly.once.support", Type: connectors.TypeString, Default: "requested", HasDefault: true, Importance: "MEDIUM", Closed: true, Recommended: []string{"requested", "required"}, Group: "Exactly Once Support"},
		{Name: "transaction.boundary", Type: connectors.TypeString, Default: "poll", HasDefault: true, Importance: "MEDIUM", Group: "Exactly Once Support", Doc: "Where an exactly-once Kafka sink ends its transactions: poll (after every batch, or as soon as the transaction before is committed) or interval."},
		{Name: "transaction.boundary.interval.ms", Type: connectors.TypeLong, Importance: "LOW", Group: "Exactly Once Support", Doc: "With transaction.boundary=interval: how long a transaction stays open, in milliseconds; the worker's offset.flush.interval.ms (60000) when not given."},
		{Name: "topic.creation.", Type: connectors.TypeString, Prefix: true, Group: "Topic Creation"},
		{Name: "offsets.storage.topic", Type: connectors.TypeString, Importance: "LOW", Group: "offsets.topic", Doc: "Kafka topic for the offsets of this connector."},
		{Name: "producer.override.", Type: connectors.TypeString, Prefix: true},
		{Name: "consumer.override.", Type: connectors.TypeString, Prefix: true},
		{Name: "admin.override.", Type: connectors.TypeString, Prefix: true},
		{Name: "max.queue.size.in.bytes", Type: connectors.TypeLong, Default: "0", HasDefault: true, Importance: "MEDIUM", Doc: "Memory that the task may use for records on their way, in bytes; 0 means 64 MiB."},
		{Name: keySinks, Type: connectors.TypeList, Importance: "MEDIUM", Group: "Sinks", Doc: "Aliases of the sinks that the source writes to directly; Kafka when not given."},
	}
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
	for _, r := range v {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return "connector name may not contain ISO control characters"
		}
	}
	return ""
}

func checkPositive(v string) string {
	if n, err := strconv.Atoi(strings.TrimSpace(v)); err != nil || n < 1 {
		return "Value must be at least 1"
	}
	return ""
}

// limits is what the runtime itself takes from a configuration.
type limits struct {
	budget   int64         // bytes of records on their way
	retries  int           // attempts in a row; -1: no limit
	delay    time.Duration // longest pause between them
	grace    time.Duration // for a graceful stop
	interval time.Duration // shortest time between two writes of offsets
	lazy     bool          // the interval was configured: the first write waits for it, too
}

func readLimits(c, worker connectors.Config, commit time.Duration) limits {
	l := limits{budget: defaultBudget, retries: -1, delay: 10 * time.Second, grace: 5 * time.Second, interval: commit}
	if n, ok := number(c, "max.queue.size.in.bytes"); ok && n > 0 {
		l.budget = n
	}
	if n, ok := number(c, "errors.max.retries"); ok && n >= 0 {
		l.retries = int(n)
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
	return l
}

func number(c connectors.Config, name string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(c[name]), 10, 64)
	return n, err == nil
}
