package workerconfig

import (
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

const connectPrefix = "CONNECT_"

// debeziumNames are the variables of Debezium's Connect image and the keys that it makes of them.
func debeziumNames() [][2]string {
	return [][2]string{
		{"BOOTSTRAP_SERVERS", KeyBootstrap},
		{"GROUP_ID", KeyGroup},
		{"CONFIG_STORAGE_TOPIC", keyConfigTopic},
		{"OFFSET_STORAGE_TOPIC", KeyOffsetTopic},
		{"STATUS_STORAGE_TOPIC", keyStatusTopic},
		{"KEY_CONVERTER", "key.converter"},
		{"VALUE_CONVERTER", "value.converter"},
		{"OFFSET_FLUSH_INTERVAL_MS", "offset.flush.interval.ms"},
		{"OFFSET_FLUSH_TIMEOUT_MS", "offset.flush.timeout.ms"},
		{"SHUTDOWN_TIMEOUT", "task.shutdown.graceful.timeout.ms"},
		{"HOST_NAME", keyHost},
		{"ADVERTISED_HOST_NAME", keyHost}, // it wins over HOST_NAME
		{"ADVERTISED_PORT", keyPort},
		{"REST_HOST_NAME", "rest.host.name"},
		{"REST_PORT", "rest.port"},
	}
}

// debeziumDefaults is what that image says when a variable is not set: its own defaults and the shipped file's.
func debeziumDefaults() connectors.Config {
	const converter = "org.apache.kafka.connect.json.JsonConverter"
	return connectors.Config{
		KeyGroup: "1", "key.converter": converter, "value.converter": converter, keyStatusTopic: "connect-status",
		"task.shutdown.graceful.timeout.ms": "10000", "config.storage.replication.factor": "1",
		"offset.storage.replication.factor": "1", "status.storage.replication.factor": "1",
	}
}

// environment puts into c what the variables say: CONNECT_GROUP_ID is group.id (a single _ is a dot, __ is _, ___ is -), and
// the names of Debezium's image, which win. Without a file, BOOTSTRAP_SERVERS brings the defaults of that image, too.
func environment(c connectors.Config, alone bool, environ []string) (warnings []string) {
	variables := map[string]string{}
	for _, v := range environ {
		if name, value, ok := strings.Cut(v, "="); ok {
			variables[name] = value
		}
	}
	if alone && variables["BOOTSTRAP_SERVERS"] != "" {
		for name, v := range debeziumDefaults() {
			c[name] = v
		}
	}
	for name, value := range variables {
		rest, ok := strings.CutPrefix(name, connectPrefix)
		if !ok || rest == "" || serviceLink(rest) {
			continue
		}
		if strings.HasPrefix(rest, "LOG4J") {
			if rest != "LOG4J_ROOT_LOGLEVEL" {
				warnings = append(warnings, fmt.Sprintf("environment variable %s has no effect: --log-level, LOG_LEVEL and the endpoint /admin/loggers set levels", name))
			}
			continue
		}
		c[propertyName(rest)] = value
	}
	for _, pair := range debeziumNames() {
		if value := variables[pair[0]]; value != "" && !strings.Contains(value, "://") { // tcp://…: Kubernetes names a service so
			c[pair[1]] = value
		}
	}
	for _, name := range []string{"ENABLE_APICURIO_CONVERTERS", "ENABLE_DEBEZIUM_KC_REST_EXTENSION", "ENABLE_DEBEZIUM_SCRIPTING", "ENABLE_JOLOKIA", "ENABLE_JMX_EXPORTER", "ENABLE_OTEL", "ENABLE_JFR"} {
		if variables[name] == "true" {
			warnings = append(warnings, fmt.Sprintf("environment variable %s has no effect: this program has no Java libraries", name))
		}
	}
	return warnings
}

// serviceLink tells variables that Kubernetes sets for a service named connect.
func serviceLink(rest string) bool {
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || rest == "SERVICE_HOST" || strings.HasPrefix(rest, "SERVICE_PORT")
}

func propertyName(variable string) string {
	return strings.NewReplacer("___", "-", "__", "_", "_", ".").Replace(strings.ToLower(variable))
}

// LogLevel is the level that the environment asks for (LOG_LEVEL of Debezium's image, CONNECT_LOG4J_ROOT_LOGLEVEL of
// Confluent's) as debug, info, warn or error; "" when it asks for none.
func LogLevel(environ []string) string {
	level := ""
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if value = strings.ToLower(strings.TrimSpace(value)); name == "LOG_LEVEL" || name == "CONNECT_LOG4J_ROOT_LOGLEVEL" && level == "" {
			level = value
		}
	}
	switch level {
	case "all", "trace", "debug":
		return "debug"
	case "fatal", "off", "error":
		return "error"
	case "info", "warn":
		return level
	}
	return ""
}
