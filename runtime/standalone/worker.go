package standalone

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// ReadWorker reads a worker's properties file; "" gives an empty configuration. Config providers are applied.
func ReadWorker(path string) (connectors.Config, error) {
	if path == "" {
		return connectors.Config{}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read worker file: %w", err)
	}
	return readProperties(path, text)
}

// use is what happens to a worker key.
type use int

const (
	works   use = iota
	ignored     // a warning says why
	refused     // a value other than harmless is an error
)

type workerKey struct {
	name     string // ends in "." or "*" for a family
	use      use
	why      string
	harmless string
}

// workerKeys lists Kafka Connect's worker configuration (WorkerConfig, StandaloneConfig, DistributedConfig 4.3) and ours.
// What is not listed is taken for a Kafka client property.
func workerKeys() []workerKey {
	const noREST, noCluster = "freshet run has no REST interface", "freshet run is not part of a cluster"
	const noMetrics, noPlugins = "metrics come with a later release", "all connectors are built in"
	return []workerKey{
		{name: "bootstrap.servers"},
		{name: "group.id"},
		{name: "client.id"},
		{name: "key.converter*"},
		{name: "value.converter*"},
		{name: "header.converter*"},
		{name: "internal.key.converter*", use: ignored, why: "the internal format is fixed, as in Kafka Connect since 3.0"},
		{name: "internal.value.converter*", use: ignored, why: "the internal format is fixed, as in Kafka Connect since 3.0"},
		{name: "offset.storage.file.filename"},
		{name: "offset.storage.topic"},
		{name: "offset.storage.*"},
		{name: "offset.flush.interval.ms"},
		{name: "offset.flush.timeout.ms", use: ignored, why: "a write of offsets has no time limit of its own; it is repeated until it succeeds"},
		{name: "task.shutdown.graceful.timeout.ms"},
		{name: "exactly.once.source.support"},
		{name: "topic.creation.enable"},
		{name: "topic.tracking.*", use: ignored, why: noREST},
		{name: "freshet.memory.limit"},
		{name: "config.providers*"},
		{name: "connector.client.config.override.policy", use: refused, harmless: "All", why: "connectors may override all client properties"},
		{name: "connector.client.config.override.allowlist", use: refused, why: "connectors may override all client properties"},
		{name: "plugin.path", use: ignored, why: noPlugins},
		{name: "plugin.discovery", use: ignored, why: noPlugins},
		{name: "listeners*", use: ignored, why: noREST},
		{name: "rest.*", use: ignored, why: noREST},
		{name: "admin.listeners*", use: ignored, why: noREST},
		{name: "access.control.*", use: ignored, why: noREST},
		{name: "response.http.headers.config", use: ignored, why: noREST},
		{name: "ssl.client.auth", use: ignored, why: noREST},
		{name: "metric.reporters", use: ignored, why: noMetrics},
		{name: "metrics.*", use: ignored, why: noMetrics},
		{name: "config.storage.*", use: ignored, why: noCluster},
		{name: "status.storage.*", use: ignored, why: noCluster},
		{name: "connect.protocol", use: ignored, why: noCluster},
		{name: "scheduled.rebalance.max.delay.ms", use: ignored, why: noCluster},
		{name: "session.timeout.ms", use: ignored, why: noCluster},
		{name: "heartbeat.interval.ms", use: ignored, why: noCluster},
		{name: "rebalance.timeout.ms", use: ignored, why: noCluster},
		{name: "worker.sync.timeout.ms", use: ignored, why: noCluster},
		{name: "worker.unsync.backoff.ms", use: ignored, why: noCluster},
		{name: "inter.worker.*", use: ignored, why: noCluster},
		{name: "producer.*"},
		{name: "consumer.*"},
		{name: "admin.*"},
		{name: "security.*"},
		{name: "ssl.*"},
		{name: "sasl.*"},
		{name: "client.dns.lookup"},
		{name: "request.timeout.ms"},
		{name: "metadata.*"},
		{name: "connections.max.idle.ms"},
		{name: "reconnect.*"},
		{name: "retry.*"},
		{name: "retries"},
		{name: "send.buffer.bytes"},
		{name: "receive.buffer.bytes"},
		{name: "socket.*"},
		{name: "auto.include.jmx.reporter", use: ignored, why: noMetrics},
	}
}

// checkWorker returns warnings about keys without effect, and an error for one that cannot be obeyed yet.
func checkWorker(c connectors.Config) (warnings []string, err error) {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		k := findWorkerKey(name)
		switch {
		case k == nil:
			warnings = append(warnings, fmt.Sprintf("worker key %s is not known; it has no effect", name))
		case k.use == ignored:
			warnings = append(warnings, fmt.Sprintf("worker key %s has no effect: %s", name, k.why))
		case k.use == refused && !strings.EqualFold(strings.TrimSpace(c[name]), k.harmless):
			return warnings, fmt.Errorf("worker key %s: not supported yet: %s; remove it", name, k.why)
		}
	}
	return warnings, checkWorkerValues(c)
}

func findWorkerKey(name string) *workerKey {
	keys := workerKeys()
	for i := range keys {
		k := &keys[i]
		if prefix, family := strings.CutSuffix(k.name, "*"); k.name == name || family && strings.HasPrefix(name, prefix) {
			return k
		}
	}
	return nil
}

func checkWorkerValues(c connectors.Config) error {
	for _, name := range []string{"offset.flush.interval.ms", "task.shutdown.graceful.timeout.ms", "freshet.memory.limit"} {
		v, ok := c[name]
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err != nil || n < 0 {
			return fmt.Errorf("worker key %s is %q: a number that is not negative is expected", name, v)
		}
	}
	switch v := strings.ToLower(strings.TrimSpace(c[keyExactlyOnce])); v {
	case "", "disabled", "preparing", "enabled":
	default:
		return fmt.Errorf("worker key %s is %q: disabled, preparing or enabled is expected", keyExactlyOnce, v)
	}
	return nil
}
