// Package kafka writes change records to Kafka topics, exactly once where the worker asks for it, and reads topics for sink
// connectors as members of a consumer group.
package kafka

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
)

// Class is the class name of the sink; Kafka Connect has none, there it is the framework itself.
const Class = "io.freshet.connector.kafka.KafkaSinkConnector"

const (
	keyServers    = "bootstrap.servers"
	keyOffsets    = "offsets.storage.topic"
	keyBoundary   = "transaction.boundary"
	keyInterval   = "transaction.boundary.interval.ms"
	keyFlush      = "offset.flush.interval.ms" // of the worker
	keyCreate     = "topic.creation.enable"
	prefixCreate  = "topic.creation."
	prefixOver    = "producer.override."
	prefixProduce = "producer."

	defaultOffsetsTopic = "connect-offsets"
)

// definition lists the sink's own keys; those of converters, topic.creation.* and producer.override.* are families.
func definition() *connectors.ConfigDef {
	text := func(name, doc string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeString, Importance: "MEDIUM", Group: "Kafka", Doc: doc}
	}
	secret := func(name, doc string) connectors.Key {
		k := text(name, doc)
		k.Type = connectors.TypePassword
		return k
	}
	class := func(name, doc string) connectors.Key {
		k := text(name, doc)
		k.Type, k.Group = connectors.TypeClass, "Common"
		return k
	}
	family := func(name string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeString, Importance: "LOW", Prefix: true}
	}
	return &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: keyServers, Type: connectors.TypeList, Importance: "HIGH", Group: "Kafka", Doc: "Brokers to begin with, as host:port; the worker's when not given."},
		text("security.protocol", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."),
		text("sasl.mechanism", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."),
		secret("sasl.jaas.config", "Login module with user name and password."),
		text("ssl.truststore.type", "PEM."),
		text("ssl.truststore.location", "File with the certificates of the authorities to trust."),
		text("ssl.truststore.certificates", "The same, as text."),
		secret("ssl.truststore.password", "Not used with PEM."),
		text("ssl.keystore.type", "PEM."),
		text("ssl.keystore.location", "File with the client's private key and certificates."),
		text("ssl.keystore.certificate.chain", "The client's certificates, as text."),
		secret("ssl.keystore.key", "The client's private key, as text."),
		secret("ssl.keystore.password", "Not used with PEM."),
		secret("ssl.key.password", "Not used: the key must not be encrypted."),
		text("ssl.endpoint.identification.algorithm", "https, or empty not to check host names."),
		text("ssl.protocol", "TLSv1.2 or TLSv1.3."),
		text("ssl.enabled.protocols", "TLSv1.2,TLSv1.3."),
		text(keyOffsets, "Topic that holds the offsets when they are written in the data's transactions; the worker's offset.storage.topic when not given."),
		{Name: keyCreate, Type: connectors.TypeBoolean, Default: "true", HasDefault: true, Importance: "LOW", Group: "Topic Creation", Doc: "Whether topic.creation.* is followed."},
		class("key.converter", "Converter of record keys."),
		class("value.converter", "Converter of record values."),
		class("header.converter", "Converter of record headers."),
		family("key.converter."), family("value.converter."), family("header.converter."), family(prefixCreate), family(prefixOver),
	}}
}

// properties puts the client properties of a task together as Connect does: the worker's, its producer.*, the connector's
// own, its producer.override.*.
func properties(c connectors.Config, s connectors.Settings, exactly bool) map[string]string {
	p := kafkaclient.Common(s.Worker)
	kafkaclient.Override(p, s.Worker, prefixProduce)
	maps.Copy(p, kafkaclient.Common(c))
	kafkaclient.Override(p, c, prefixOver)
	delete(p, "transactional.id") // the runtime's to decide
	if exactly {
		p["transactional.id"] = transactionalID(s)
	}
	return p
}

// transactionalID is Connect's <group.id>-<connector>-<task> (KIP-618), with the alias of one of several sinks behind it.
func transactionalID(s connectors.Settings) string {
	group := s.GroupID
	if group == "" {
		group = "freshet"
	}
	id := group + "-" + s.Connector + "-" + strconv.Itoa(s.Task)
	if s.Sink != "" {
		id += "-" + s.Sink
	}
	return id
}

// defaultFlush is the worker's offset.flush.interval.ms when it is not given.
const defaultFlush = time.Minute

// readBoundary returns how long transactions stay open (transaction.boundary=interval); 0 is the boundary "poll".
func readBoundary(c, worker connectors.Config) (time.Duration, error) {
	switch v := strings.ToLower(strings.TrimSpace(c[keyBoundary])); v {
	case "", "poll":
		return 0, nil
	case "interval":
	case "connector":
		return 0, fmt.Errorf("%s: connector is not supported, as the source does not define boundaries: use poll or interval", keyBoundary)
	default:
		return 0, fmt.Errorf("%s: %q is not known: use poll or interval", keyBoundary, v)
	}
	for _, from := range []struct {
		name, value string
	}{{keyInterval, c[keyInterval]}, {keyFlush, worker[keyFlush]}} {
		if strings.TrimSpace(from.value) == "" {
			continue
		}
		ms, err := strconv.ParseInt(strings.TrimSpace(from.value), 10, 64)
		if err != nil || ms < 0 {
			return 0, fmt.Errorf("%s: %q is not a number of milliseconds", from.name, from.value)
		}
		return time.Duration(ms) * time.Millisecond, nil
	}
	return defaultFlush, nil
}

// creation is topic.creation.* of a connector (KIP-158).
type creation struct {
	groups []creationGroup // the default last
}

type creationGroup struct {
	name             string
	include, exclude []*regexp.Regexp
	topic            kafkaclient.NewTopic // without name
}

// readCreation returns nil when topics are left to the broker: nothing is configured, or the worker forbids it.
func readCreation(c, worker connectors.Config) (*creation, error) {
	enabled := worker[keyCreate]
	if v, ok := c[keyCreate]; ok {
		enabled = v
	}
	configured := false
	for name := range c {
		configured = configured || name != keyCreate && strings.HasPrefix(name, prefixCreate)
	}
	if !configured || strings.EqualFold(strings.TrimSpace(enabled), "false") {
		return nil, nil
	}
	out := &creation{}
	names := connectors.SplitList(c[prefixCreate+"groups"])
	for _, name := range append(names, "default") {
		g, err := readGroup(c, name)
		if err != nil {
			return nil, err
		}
		out.groups = append(out.groups, g)
	}
	return out, nil
}

func readGroup(c connectors.Config, name string) (creationGroup, error) {
	prefix := prefixCreate + name + "."
	g := creationGroup{name: name, topic: kafkaclient.NewTopic{Settings: map[string]string{}}}
	inherited := map[string]string{}
	for _, key := range []string{"partitions", "replication.factor"} {
		v, ok := c[prefix+key]
		if !ok {
			v, ok = c[prefixCreate+"default."+key]
		}
		if !ok {
			return g, fmt.Errorf("%sdefault.%s is required when any topic.creation.* key is given: a number, or -1 for the broker's default", prefixCreate, key)
		}
		inherited[key] = v
	}
	partitions, err := strconv.ParseInt(strings.TrimSpace(inherited["partitions"]), 10, 32)
	if err != nil || partitions < -1 || partitions == 0 {
		return g, fmt.Errorf("%spartitions: %q is not a positive number or -1", prefix, inherited["partitions"])
	}
	factor, err := strconv.ParseInt(strings.TrimSpace(inherited["replication.factor"]), 10, 16)
	if err != nil || factor < -1 || factor == 0 {
		return g, fmt.Errorf("%sreplication.factor: %q is not a positive number or -1", prefix, inherited["replication.factor"])
	}
	g.topic.Partitions, g.topic.Replication = int32(partitions), int16(factor)
	for key, v := range c {
		rest, ok := strings.CutPrefix(key, prefix)
		switch {
		case !ok, rest == "partitions", rest == "replication.factor":
		case rest == "include":
			g.include, err = patterns(key, v)
		case rest == "exclude":
			g.exclude, err = patterns(key, v)
		default:
			g.topic.Settings[rest] = v
		}
		if err != nil {
			return g, err
		}
	}
	if name != "default" && len(g.include) == 0 {
		return g, fmt.Errorf("%sinclude is required: a list of regular expressions", prefix)
	}
	return g, nil
}

func patterns(key, list string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, p := range connectors.SplitList(list) {
		re, err := regexp.Compile("^(?:" + p + ")$")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		out = append(out, re)
	}
	return out, nil
}

// topic returns how a topic is to be made: by the first group that matches it.
func (c *creation) topic(name string) kafkaclient.NewTopic {
	for _, g := range c.groups[:len(c.groups)-1] {
		if anyMatch(g.include, name) && !anyMatch(g.exclude, name) {
			return named(g.topic, name)
		}
	}
	return named(c.groups[len(c.groups)-1].topic, name)
}

func named(t kafkaclient.NewTopic, name string) kafkaclient.NewTopic {
	t.Name, t.Settings = name, maps.Clone(t.Settings)
	return t
}

func anyMatch(list []*regexp.Regexp, name string) bool {
	for _, re := range list {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}
