package runtime

import (
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

func TestOverridePolicy(t *testing.T) {
	config := connectors.Config{
		"name": "a", "producer.override.linger.ms": "5", "sinks.k.consumer.override.sasl.jaas.config": "hidden", "admin.override.security.protocol": "SSL",
	}
	const policies = "org.apache.kafka.connect.connector.policy."
	for _, c := range []struct{ policy, allowlist, want string }{
		{"", "", ""},
		{"All", "", ""},
		{policies + "AllConnectorClientConfigOverridePolicy", "", ""},
		{"None", "", "admin.override.security.protocol: security.protocol; producer.override.linger.ms: linger.ms; sinks.k.consumer.override.sasl.jaas.config: sasl.jaas.config"},
		{"Principal", "", "producer.override.linger.ms: linger.ms"},
		{"Allowlist", "linger.ms, security.protocol", "sinks.k.consumer.override.sasl.jaas.config: sasl.jaas.config"},
		{policies + "AllowlistConnectorClientConfigOverridePolicy", "linger.ms,security.protocol,sasl.jaas.config", ""},
	} {
		worker := connectors.Config{"connector.client.config.override.policy": c.policy, "connector.client.config.override.allowlist": c.allowlist}
		var got []string
		for _, v := range readPolicy(worker).check(config, nil) {
			name := readPolicy(worker).name
			key := strings.TrimSuffix(strings.TrimPrefix(v.Errors[0], "The '"+name+"' policy does not allow '"), "' to be overridden in the connector configuration.")
			got = append(got, v.Name+": "+key)
			if strings.Contains(v.Errors[0]+v.Text(), "hidden") {
				t.Errorf("the secret is in %+v", v)
			}
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: got %s, want %s", c.policy, text, c.want)
		}
	}
	w := NewWorker(Options{Catalog: NewCatalog(nil, nil), Config: connectors.Config{"connector.client.config.override.policy": "None"}})
	if values := w.Validate(t.Context(), config); !strings.Contains(strings.Join(connectors.Errors(values), "; "), "The 'None' policy does not allow 'linger.ms'") {
		t.Errorf("got %v", values)
	}
}
