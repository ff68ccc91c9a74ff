package kafkaclient

import (
	"fmt"
	"strings"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/tlsconfig"
)

// setSecurity reads security.protocol, sasl.* and ssl.* together.
func (c *Config) setSecurity(props map[string]string) error {
	protocol := strings.ToUpper(strings.TrimSpace(props["security.protocol"]))
	switch protocol {
	case "", "PLAINTEXT":
		return nil
	case "SSL", "SASL_PLAINTEXT", "SASL_SSL":
	default:
		return fmt.Errorf("security.protocol: %q is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", protocol)
	}
	if strings.HasPrefix(protocol, "SASL") {
		if err := c.setSASL(props); err != nil {
			return err
		}
	}
	if strings.HasSuffix(protocol, "SSL") {
		t, err := tlsconfig.Client(props)
		if err != nil {
			return err
		}
		c.sarama.Net.TLS.Enable, c.sarama.Net.TLS.Config = true, t
	}
	return nil
}

func (c *Config) setSASL(props map[string]string) error {
	mechanism := strings.TrimSpace(props["sasl.mechanism"])
	if mechanism == "" {
		mechanism = "GSSAPI" // Java's default
	}
	switch mechanism {
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
	default:
		return fmt.Errorf("sasl.mechanism: %s is not supported: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", mechanism)
	}
	user, password, err := credentials(props["sasl.jaas.config"], mechanism)
	if err != nil {
		return err
	}
	sasl := &c.sarama.Net.SASL
	sasl.Enable, sasl.User, sasl.Password, sasl.Mechanism = true, user, password, sarama.SASLMechanism(mechanism)
	if mechanism != "PLAIN" {
		sasl.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return newScramClient(mechanism) }
	}
	return nil
}
