package demo

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// topicPrefix is the logical name of the source.
const topicPrefix = "racing"

// The worker's connectors.
const (
	tablesConnector = "tables"
	topicsConnector = "topics"
)

func (d *demo) path(name string) string { return filepath.Join(d.work, name) }

func (d *demo) connectorFiles() []string {
	return []string{d.path("tables.json"), d.path("topics.json")}
}

// writeConfigs writes what the worker is started with: one connector into tables, one into topics, exactly once.
func (d *demo) writeConfigs() error {
	source := func(name string, more map[string]string) map[string]string {
		c := d.source.connector(name, d.tables)
		c["name"], c["tasks.max"], c["topic.prefix"] = name, "1", topicPrefix
		maps.Copy(c, more)
		return c
	}
	tables := source(tablesConnector, map[string]string{
		"sinks":                           "db",
		"sinks.db.connector.class":        "TimescaleDbSinkConnector",
		"sinks.db.connection.url":         fmt.Sprintf("jdbc:postgresql://127.0.0.1:%d/%s", d.sink.port, databaseName),
		"sinks.db.connection.username":    databaseUser,
		"sinks.db.connection.password":    databasePassword,
		"sinks.db.insert.mode":            "upsert",
		"sinks.db.delete.enabled":         "true",
		"sinks.db.primary.key.mode":       "record_key",
		"sinks.db.schema.evolution":       "basic",
		"sinks.db.collection.name.format": "${source.table}",
	})
	topics := source(topicsConnector, map[string]string{
		"decimal.handling.mode":                     "string",
		"key.converter":                             "org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable":              "false",
		"value.converter":                           "org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable":            "false",
		"topic.creation.default.partitions":         "3",
		"topic.creation.default.replication.factor": "1",
	})
	worker := map[string]string{
		"bootstrap.servers":                 d.broker.address,
		"group.id":                          "freshet-demo",
		"exactly.once.source.support":       "enabled",
		"offset.storage.topic":              "freshet-demo-offsets",
		"offset.storage.replication.factor": "1",
		"offset.storage.file.filename":      d.path("offsets.db"),
	}
	if err := writeJSON(d.path("tables.json"), tables); err != nil {
		return err
	}
	if err := writeJSON(d.path("topics.json"), topics); err != nil {
		return err
	}
	var b strings.Builder
	for k, v := range worker {
		fmt.Fprintf(&b, "%s=%s\n", k, v)
	}
	return writeFile(d.path("worker.properties"), []byte(b.String()))
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return writeFile(path, append(text, '\n'))
}

func writeFile(path string, text []byte) error {
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write the worker's configuration: %w", err)
	}
	return nil
}
