package connectors

import (
	"context"
	"log/slog"

	"github.com/freshet-io/freshet/offsets"
)

// Config is what users write: a flat map, as Kafka Connect has it.
type Config map[string]string

// Factory describes, validates and makes the tasks of one connector class. Stateless.
type Factory interface {
	Describe() Description
	// Validate checks every key and, when those are in order, the live connection. One ConfigValue per key of the ConfigDef, and
	// one with an error for each unknown key that is an error. It never returns a secret.
	Validate(ctx context.Context, c Config) []ConfigValue
	// Tasks splits the work into at most max task configurations.
	Tasks(ctx context.Context, c Config, max int) ([]Config, error)
}

// KeyChecker is a factory that also looks at its keys together, without a connection: one ConfigValue per key.
type KeyChecker interface {
	CheckKeys(c Config) []ConfigValue
}

// CheckKeys validates a configuration without a connection, as far as the factory can.
func CheckKeys(f Factory, c Config) []ConfigValue {
	if k, ok := f.(KeyChecker); ok {
		return k.CheckKeys(c)
	}
	values, _ := f.Describe().Config.Validate(c)
	return values
}

// SourceFactory makes source tasks.
type SourceFactory interface {
	Factory
	NewSource(c Config, s Settings) (SourceTask, error)
}

// OffsetChecker is a SourceFactory that knows what its offsets look like.
type OffsetChecker interface {
	// CheckOffsets tells what is wrong with entries that a user wants to set; nil entries: with deleting all. An entry without Offset
	// is to be deleted; Partition "" stands for JSON's null. The error's text is the reference's.
	CheckOffsets(c Config, entries []offsets.Entry) error
}

// OffsetOwner is a SourceFactory whose sources keep their offsets outside the offset store (Description.OwnOffsets).
type OffsetOwner interface {
	Offsets(ctx context.Context, c Config, s Settings) ([]offsets.Entry, error)
	// SetOffsets changes offsets while no task runs; an entry without Offset is deleted, nil deletes all. It returns the entries in the form
	// that Offsets has.
	SetOffsets(ctx context.Context, c Config, s Settings, entries []offsets.Entry) ([]offsets.Entry, error)
}

// SinkFactory makes sink tasks.
type SinkFactory interface {
	Factory
	NewSink(c Config, s Settings) (SinkTask, error)
}

// Description is what a connector says of itself.
type Description struct {
	Class      string   // the reference's class name
	Aliases    []string // further names, the short one first
	Source     bool     // kinds that it can be; a factory may be both only as two factories
	Sink       bool
	Version    string // of Freshet
	Reference  string // version of the reference's class that it stands for; "" for one that only Freshet has
	Doc        string // one sentence
	Config     *ConfigDef
	OwnOffsets bool // source: Commit is the durable write (a Kafka consumer group)
	Keeper     bool // sink: OffsetKeeper
	FromTopics bool // sink: takes records with materialised values, from several tasks at once: it can be a sink connector that reads topics
	// Resumes tells whether a source of this configuration has positions to resume at; nil: every one has.
	Resumes    func(c Config) bool
	Observed   bool // source: its tasks are Observed
	OwnRecords bool // sink: a Keeper, when Settings.ExactlyOnce, that writes the records of the offset store itself (Kafka): the runtime writes no copy
}

// PluginVersion is the version that clients are told, and that connector.plugin.version is compared with.
func (d Description) PluginVersion() string {
	if d.Reference != "" {
		return d.Reference
	}
	return d.Version
}

// Settings is what the runtime gives to a task beside its configuration.
type Settings struct {
	Connector string       // connector name
	Task      int          // number within the connector
	Sink      string       // alias of this sink; "" for the only one
	Class     string       // of a sink: connector.class as the configuration has it; "" for the default sink
	GroupID   string       // worker group; "" when alone
	RunID     string       // differs for each start of the task
	Version   string       // of Freshet
	Logger    *slog.Logger // with connector and task
	Worker    Config       // worker configuration (defaults of converters, producers, …)
	// ExactlyOnce asks a sink that can to store offsets together with the data.
	ExactlyOnce bool
	// Shared tells a sink that its source keeps its offsets itself (Description.OwnOffsets), and that other tasks, each with other
	// partitions, write to the same target.
	Shared bool
	// KeepRaw asks a source that reads Kafka to keep records as they lie there (Builder.Raw): a dead-letter queue wants them.
	KeepRaw bool
	// Tolerant tells a sink that rejected records are left out (errors.tolerance=all), so that it keeps what it needs to reject one late.
	Tolerant bool
	// Claim is what this task's instance before held of the sink's target (Claimant); "": there was none, take over.
	Claim string
}
