package converters

import (
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// Decoder reads the bytes of Kafka keys or values. It belongs to one source task and is not safe for concurrent use.
type Decoder interface {
	// Decode returns the value; data nil is Kafka's null. data is not changed any more: the value may share its memory. Errors are about the record (permanent).
	Decode(data []byte) (schemas.Typed, error)
}

// NewDecoder makes the decoder that prefix names, as New makes a converter.
func (s Set) NewDecoder(prefix string, connector, worker connectors.Config) (Decoder, error) {
	kind, c, err := s.choose(prefix, connector, worker)
	if err != nil {
		return nil, err
	}
	if kind.Decode == nil {
		return nil, connectors.AsPermanent(fmt.Errorf("find %s: %s only writes", prefix, kind.Class))
	}
	out, err := kind.Decode(c)
	if err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("configure %s %s: %w", prefix, kind.Class, err))
	}
	return out, nil
}

// choose finds the class that prefix names and its configuration.
func (s Set) choose(prefix string, connector, worker connectors.Config) (*Kind, connectors.Config, error) {
	from := connector
	if strings.TrimSpace(connector[prefix]) == "" {
		from = worker
	}
	class := strings.TrimSpace(from[prefix])
	if class == "" {
		class = "org.apache.kafka.connect.json.JsonConverter"
	}
	kind := s.find(class)
	if kind == nil {
		return nil, nil, connectors.AsPermanent(fmt.Errorf("find %s: class %s is not here; available: %s", prefix, class, strings.Join(s.classes(), ", ")))
	}
	c := connectors.Config{}
	for name, value := range from {
		if rest, ok := strings.CutPrefix(name, prefix+"."); ok {
			c[rest] = value
		}
	}
	return kind, c, nil
}
