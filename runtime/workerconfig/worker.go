// Package workerconfig reads a worker's configuration as Kafka Connect's workers do: connect-distributed.properties or
// connect-standalone.properties as they are, the environment conventions of the usual images, and config providers. Every key
// of the reference (WorkerConfig 4.3) has an entry in its table: it works, or it is said why it does not. It starts no goroutine.
package workerconfig

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// Mode is the kind of worker.
type Mode int

// The modes.
const (
	Standalone  Mode = iota + 1 // freshet run
	Distributed                 // freshet worker
)

// Config is a worker's configuration, checked.
type Config struct {
	// Properties is what the file and the environment say, with references replaced and without defaults.
	Properties connectors.Config
	Providers  *Providers // also for the configurations of connectors
	Warnings   []string   // what has no effect, one sentence each, sorted; without values (I12)

	mode    Mode
	written connectors.Config // before references were replaced
	values  connectors.Values
}

// Read reads a properties file ("" for none) and, for Distributed, the variables of environ (NAME=value) that the images
// understand; the environment wins, as there. An error names the key and what is expected, never a secret.
func Read(path string, mode Mode, environ []string) (*Config, error) {
	written := connectors.Config{}
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read worker file: %w", err)
		}
		if written, err = ParseProperties(text); err != nil {
			return nil, fmt.Errorf("read worker file %s: %w", path, err)
		}
	}
	var warnings []string
	if mode == Distributed {
		warnings = environment(written, path == "", environ)
	}
	c, err := New(written, mode)
	if c != nil {
		c.Warnings = append(c.Warnings, warnings...)
		sort.Strings(c.Warnings)
	}
	switch {
	case err != nil && path != "":
		err = fmt.Errorf("worker file %s: %w", path, err)
	case err != nil:
		err = fmt.Errorf("worker configuration: %w", err)
	}
	return c, err
}

// New checks properties that were read elsewhere and replaces the references in them. With an error of a value the
// configuration is returned, too, for its warnings.
func New(written connectors.Config, mode Mode) (*Config, error) {
	p, err := NewProviders(written)
	if err != nil {
		return nil, err
	}
	c := &Config{Providers: p, mode: mode, written: written}
	if c.Properties, err = p.Apply(written); err != nil {
		return nil, err
	}
	def := definition(mode)
	c.values = def.Values(c.Properties)
	values, unknown := def.Validate(c.Properties)
	for _, name := range unknown {
		c.Warnings = append(c.Warnings, fmt.Sprintf("worker key %s is not known; it has no effect", name))
	}
	c.warn()
	var problems []error
	for _, text := range connectors.Errors(values) {
		problems = append(problems, errors.New(text))
	}
	const signs, accepts = "inter.worker.signature.algorithm", "inter.worker.verification.algorithms"
	is := func(name string) bool { return strings.EqualFold(name, c.String(signs)) }
	if mode == Distributed && len(problems) == 0 && !slices.ContainsFunc(c.List(accepts), is) {
		problems = append(problems, fmt.Errorf("%s is %s, which is not among %s: workers would refuse each other's requests", signs, c.String(signs), accepts))
	}
	return c, errors.Join(problems...)
}

// definition holds the keys of both modes; only those of this one are required.
func definition(mode Mode) *connectors.ConfigDef {
	d := &connectors.ConfigDef{}
	for _, k := range keys() {
		k.Required = k.Required && mode == Distributed
		if k.only != 0 && k.only != mode { // it is warned about, its value means nothing
			k.Type, k.Check, k.Unsupported, k.Closed, k.Required = connectors.TypeString, nil, "", false, false
		}
		d.Keys = append(d.Keys, k.Key)
	}
	return d
}

// Describe returns the keys of a worker of a cluster for a list of them: the reason why a key has no effect is its Doc.
func Describe() *connectors.ConfigDef {
	d := &connectors.ConfigDef{}
	for _, k := range keys() {
		switch {
		case k.ignored != "":
			k.Doc = "no effect: " + k.ignored
		case k.only == Standalone:
			k.Doc = "of freshet run"
		case k.only == Distributed:
			k.Doc = "of freshet worker"
		}
		d.Keys = append(d.Keys, k.Key)
	}
	return d
}

// find returns the table's entry of a configured name, exact names before families, the longest family first.
func find(name string) *key {
	var best *key
	for _, k := range keys() {
		if k.Name == name && !k.Prefix {
			return &k
		}
		if k.Prefix && strings.HasPrefix(name, k.Name) && (best == nil || len(k.Name) > len(best.Name)) {
			best = &k
		}
	}
	return best
}

func (c *Config) warn() {
	for name, value := range c.Properties {
		k := find(name)
		if k == nil {
			continue
		}
		why := k.ignored
		switch {
		case k.only == Distributed && c.mode == Standalone:
			why = notInGroup
		case k.only == Standalone && c.mode == Distributed:
			why = noFile
		case k.rest && c.mode == Standalone && !c.Given(KeyListeners):
			why = noREST
		case k.HasDefault && strings.EqualFold(strings.TrimSpace(value), k.Default):
			continue
		}
		if why != "" {
			c.Warnings = append(c.Warnings, fmt.Sprintf("worker key %s has no effect: %s", name, why))
		}
	}
	for _, class := range c.values.List(keyExtensions) {
		if class == debeziumREST {
			c.Warnings = append(c.Warnings, fmt.Sprintf("worker key %s: %s is not here; its endpoints are missing", keyExtensions, class))
		}
	}
	sort.Strings(c.Warnings)
}

// String returns a key's value, or the reference's default.
func (c *Config) String(name string) string { return strings.TrimSpace(c.values.String(name)) }

// Bool returns a BOOLEAN key.
func (c *Config) Bool(name string) bool { return c.values.Bool(name) }

// Int returns an INT, SHORT or LONG key.
func (c *Config) Int(name string) int64 { return c.values.Int(name) }

// List returns a LIST key.
func (c *Config) List(name string) []string { return c.values.List(name) }

// Millis returns a key that is a number of milliseconds.
func (c *Config) Millis(name string) time.Duration {
	return time.Duration(c.values.Int(name)) * time.Millisecond
}

// Given tells whether the key is in the file or the environment, with something in it.
func (c *Config) Given(name string) bool { return c.values.Given(name) }

// ExactlyOnce is disabled, preparing or enabled.
func (c *Config) ExactlyOnce() string { return c.values.Enum(KeyExactlyOnce) }

// BasicAuth tells that the REST API asks for users and passwords (the reference's extension).
func (c *Config) BasicAuth() bool {
	for _, class := range c.List(keyExtensions) {
		if class == basicAuth {
			return true
		}
	}
	return false
}

// Topic says how an internal topic is made when it is missing (reference §2.1).
type Topic struct {
	Name        string
	Partitions  int32             // -1: the broker's default
	Replication int16             // -1: the broker's default
	Settings    map[string]string // of the topic, without cleanup.policy: these topics are compacted
}

// ConfigTopic is where configurations are kept: one partition.
func (c *Config) ConfigTopic() Topic {
	t := c.topic("config.storage.")
	t.Partitions = 1
	return t
}

// OffsetTopic is where the offsets of source connectors are kept.
func (c *Config) OffsetTopic() Topic { return c.topic("offset.storage.") }

// StatusTopic is where the states of connectors and tasks are kept.
func (c *Config) StatusTopic() Topic { return c.topic("status.storage.") }

func (c *Config) topic(prefix string) Topic {
	t := Topic{Name: c.String(prefix + "topic"), Replication: int16(c.Int(prefix + "replication.factor")), Settings: map[string]string{}}
	if prefix != "config.storage." {
		t.Partitions = int32(c.Int(prefix + "partitions"))
	}
	for _, name := range c.values.Family(prefix) {
		switch rest := strings.TrimPrefix(name, prefix); rest {
		case "topic", "partitions", "replication.factor", "file.filename", "cleanup.policy":
		default:
			t.Settings[rest] = strings.TrimSpace(c.Properties[name])
		}
	}
	return t
}
