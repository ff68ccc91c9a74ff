package kafkaclient

import "strings"

// Common returns the properties that all clients of a worker share: where the brokers are, and how to log in.
func Common(from map[string]string) map[string]string {
	p := map[string]string{}
	for name, v := range from {
		if name == "bootstrap.servers" || name == "security.protocol" || strings.HasPrefix(name, "sasl.") || strings.HasPrefix(name, "ssl.") {
			p[name] = v
		}
	}
	return p
}

// Override adds the properties behind a prefix ("producer.", "consumer.override.").
func Override(p, from map[string]string, prefix string) {
	for name, v := range from {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			p[rest] = v
		}
	}
}
