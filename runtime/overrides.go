package runtime

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// overridePolicy says which client properties a connector may override (Kafka Connect, connector.client.config.override.policy).
type overridePolicy struct {
	name    string
	all     bool
	allowed []string
}

// readPolicy reads the policy of a worker's properties, by its name or its class; All is the default.
func readPolicy(worker connectors.Config) overridePolicy {
	name := strings.TrimSpace(worker["connector.client.config.override.policy"])
	name = strings.TrimSuffix(name[strings.LastIndexByte(name, '.')+1:], "ConnectorClientConfigOverridePolicy")
	switch strings.ToLower(name) {
	case "", "all":
		return overridePolicy{name: "All", all: true}
	case "principal":
		return overridePolicy{name: "Principal", allowed: []string{"sasl.jaas.config", "sasl.mechanism", "security.protocol"}}
	case "allowlist":
		return overridePolicy{name: "Allowlist", allowed: connectors.SplitList(worker["connector.client.config.override.allowlist"])}
	}
	return overridePolicy{name: "None"}
}

// check adds an error to every override that the policy does not allow, those of direct sinks included.
func (p overridePolicy) check(c connectors.Config, values []connectors.ConfigValue) []connectors.ConfigValue {
	if p.all {
		return values
	}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		key := overridden(name)
		if key != "" && !contains(p.allowed, key) {
			values = addError(values, name, fmt.Errorf("The '%s' policy does not allow '%s' to be overridden in the connector configuration.", p.name, key))
		}
	}
	return values
}

// overridden is the client property that a connector's key overrides; "" for another key.
func overridden(name string) string {
	if rest, ok := strings.CutPrefix(name, prefixSinks); ok {
		_, name, _ = strings.Cut(rest, ".")
	}
	for _, prefix := range []string{"producer.override.", "consumer.override.", "admin.override."} {
		if key, ok := strings.CutPrefix(name, prefix); ok {
			return key
		}
	}
	return ""
}
