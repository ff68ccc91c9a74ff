package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// The checks below are those of single keys.

func checkServerID(v string) string {
	if problem := changes.CheckPositiveLong(v); problem != "" {
		return problem
	}
	if n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64); n > maxServerID {
		return fmt.Sprintf("The id of a replica is at most %d", uint32(maxServerID))
	}
	return ""
}

func checkSnapshotMode(v string) string {
	return changes.UnsupportedValue(v, "configuration_based", "custom")
}

func checkLocking(modes []string) func(string) string {
	return func(v string) string {
		if !slices.Contains(modes, strings.ToLower(strings.TrimSpace(v))) {
			return "Must be a valid snapshot.locking.mode value"
		}
		return changes.UnsupportedValue(v, "custom")
	}
}

func checkTimeMode(v string) string {
	if strings.TrimSpace(v) == "adaptive" {
		return "The 'adaptive' time.precision.mode is no longer supported"
	}
	return ""
}

// checkHistory takes the classes of schema histories that are built.
func checkHistory(v string) string {
	if problem := changes.CheckClass(v); problem != "" {
		return problem
	}
	switch v = strings.TrimSpace(v); v[strings.LastIndexByte(v, '.')+1:] {
	case "KafkaSchemaHistory", "FileSchemaHistory", "MemorySchemaHistory":
		return ""
	}
	return fmt.Sprintf("not supported yet: %s; use io.debezium.storage.kafka.history.KafkaSchemaHistory or io.debezium.storage.file.history.FileSchemaHistory", v)
}

// showClient hides the values of client properties: many of them hold credentials (I12).
func showClient(string) string { return connectors.Hidden }

// checkKeys validates every key by itself and then against the others.
func checkKeys(c connectors.Config, f flavor) []connectors.ConfigValue {
	return changes.CheckKeys(definition(f), c, func(add func(key, problem string)) error {
		given := func(key string) bool { return strings.TrimSpace(c[key]) != "" }
		if given("gtid.source.includes") && given("gtid.source.excludes") {
			add("gtid.source.excludes", "Cannot specify GTID excludes when includes are provided.")
		}
		cfg, err := parseConfig(c, f)
		if err != nil {
			return err
		}
		for _, key := range cfg.history.required() {
			if !given(key) {
				add(key, "A value is required"+cfg.history.otherwise())
			}
		}
		return nil
	})
}

// otherwise says how to go without Kafka.
func (h historyConfig) otherwise() string {
	if h.class != "KafkaSchemaHistory" || h.topic != "" || h.bootstrap != "" {
		return ""
	}
	return "; without Kafka, name the file of the schema history in schema.history.internal.file.filename"
}

// required are the keys that a schema history of this class needs.
func (h historyConfig) required() []string {
	switch h.class {
	case "FileSchemaHistory":
		return []string{"schema.history.internal.file.filename"}
	case "MemorySchemaHistory":
		return nil
	}
	return []string{"schema.history.internal.kafka.topic", "schema.history.internal.kafka.bootstrap.servers"}
}
