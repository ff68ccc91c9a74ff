package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/kafkaclient"
)

// SourceClass is the class name of the source; in Kafka Connect it is part of the framework.
const SourceClass = "io.freshet.connector.kafka.KafkaSourceConnector"

const (
	keyTopics     = "topics"
	keyRegex      = "topics.regex"
	prefixConsume = "consumer.override."
	prefixAdmin   = "admin.override."
)

// Sources makes the sources of sink connectors: members of the consumer group connect-<connector>.
type Sources struct {
	Converters converters.Set
	Pool       *kafkaclient.Pool // for questions about groups
	Version    string
}

// Describe implements connectors.Factory.
func (f *Sources) Describe() connectors.Description {
	return connectors.Description{
		Class: SourceClass, Aliases: []string{"KafkaSourceConnector", "kafka"}, Source: true, Version: f.Version,
		Doc: "Reads Kafka topics as Kafka Connect's sink connectors do.", Config: sourceDefinition(), OwnOffsets: true,
	}
}

func sourceDefinition() *connectors.ConfigDef {
	class := func(name, doc string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeClass, Importance: "LOW", Group: "Common", Doc: doc}
	}
	family := func(name string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeString, Importance: "LOW", Prefix: true}
	}
	return &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: []connectors.Key{
		{Name: keyTopics, Type: connectors.TypeList, HasDefault: true, Importance: "HIGH", Group: "Common", Doc: "Topics to read."},
		{Name: keyRegex, Type: connectors.TypeString, HasDefault: true, Importance: "HIGH", Group: "Common", Check: checkRegex, Doc: "Regular expression of the names of the topics to read."},
		class("key.converter", "Converter of record keys."),
		class("value.converter", "Converter of record values."),
		class("header.converter", "Converter of record headers."),
		family("key.converter."), family("value.converter."), family("header.converter."), family(prefixConsume), family(prefixAdmin),
	}}
}

func checkRegex(v string) string {
	if _, err := regexp.Compile(v); err != nil {
		return "Invalid regex: " + connectors.RegexProblem(v, err)
	}
	return ""
}

// CheckKeys implements connectors.KeyChecker.
func (f *Sources) CheckKeys(c connectors.Config) []connectors.ConfigValue {
	values, _ := sourceDefinition().Validate(c)
	return values
}

// Validate implements connectors.Factory. The brokers are asked when the connector names some of its own; those of the worker are
// known to it.
func (f *Sources) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	values := f.CheckKeys(c)
	if len(connectors.Errors(values)) > 0 {
		return values
	}
	p := consumerProperties(c, connectors.Settings{})
	own := strings.TrimSpace(p[keyServers]) != ""
	if !own {
		p[keyServers] = "localhost:9092" // it is not asked
	}
	cfg, err := kafkaclient.Parse(p)
	if err != nil {
		key, _, _ := strings.Cut(err.Error(), ":") // the client's errors begin with the property
		return withError(values, prefixConsume+key, err)
	}
	if !own {
		return values
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := f.Pool.Open(ctx, cfg)
	if err != nil {
		return withError(values, prefixConsume+keyServers, err)
	}
	s.Close()
	return values
}

// Tasks implements connectors.Factory: the group divides the partitions among equal tasks.
func (f *Sources) Tasks(_ context.Context, c connectors.Config, most int) ([]connectors.Config, error) {
	out := make([]connectors.Config, most)
	for i := range out {
		out[i] = maps.Clone(c)
	}
	return out, nil
}

// NewSource implements connectors.SourceFactory.
func (f *Sources) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	p := consumerProperties(c, s)
	out := &source{
		name: s.Connector, group: p["group.id"], instance: strings.TrimSpace(p["group.instance.id"]), log: logger(s), keepRaw: s.KeepRaw,
		topics: slices.Compact(slices.Sorted(slices.Values(connectors.SplitList(c[keyTopics])))), streams: map[string]*connectors.Stream{},
		ready: make(chan *share), failed: make(chan error, 1), taken: make(chan struct{}), look: make(chan struct{}, 1),
	}
	var err error
	if out.config, err = kafkaclient.Parse(p); err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read Kafka client properties: %w", err))
	}
	regex := strings.TrimSpace(c[keyRegex])
	if (len(out.topics) > 0) == (regex != "") {
		return nil, connectors.AsPermanent(errors.New("read topics: one of topics and topics.regex is to be set"))
	}
	if regex != "" {
		if out.pattern, err = regexp.Compile("^(?:" + regex + ")$"); err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("read topics.regex: %w", err))
		}
	}
	if out.keys, err = f.Converters.NewDecoder("key.converter", c, s.Worker); err != nil {
		return nil, err
	}
	if out.values, err = f.Converters.NewDecoder("value.converter", c, s.Worker); err != nil {
		return nil, err
	}
	if err := checkHeaderConverter(c, s.Worker); err != nil {
		return nil, connectors.AsPermanent(err)
	}
	for _, text := range out.config.Warnings {
		out.log.Warn(text)
	}
	if len(out.config.Unknown) > 0 {
		out.log.Warn("unknown Kafka client properties are not used", "keys", out.config.Unknown)
	}
	return out, nil
}

// consumerProperties puts the client properties of a task's consumer together as Connect does (Worker.baseConsumerConfigs); only
// records of committed transactions are read unless isolation.level says otherwise.
func consumerProperties(c connectors.Config, s connectors.Settings) map[string]string {
	p := kafkaclient.Common(s.Worker)
	p["client.id"] = "connector-consumer-" + s.Connector + "-" + strconv.Itoa(s.Task)
	p["group.id"] = "connect-" + s.Connector
	p["auto.offset.reset"] = "earliest"
	kafkaclient.Override(p, s.Worker, "consumer.")
	kafkaclient.Override(p, c, prefixConsume)
	return p
}

// adminProperties are those for questions about the group, which is named by the consumer's.
func adminProperties(c connectors.Config, s connectors.Settings) map[string]string {
	p := kafkaclient.Common(s.Worker)
	p["client.id"] = "connector-adminclient-" + s.Connector
	kafkaclient.Override(p, s.Worker, "admin.")
	kafkaclient.Override(p, c, prefixAdmin)
	if _, own := c[prefixAdmin+keyServers]; !own && c[prefixConsume+keyServers] != "" {
		p[keyServers] = c[prefixConsume+keyServers] // another cluster than the worker's: the group is there
	}
	return p
}
