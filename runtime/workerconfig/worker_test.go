package workerconfig

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

func required() connectors.Config {
	return connectors.Config{
		"bootstrap.servers": "b:9092", "group.id": "g", "key.converter": "J", "value.converter": "J",
		"config.storage.topic": "c", "offset.storage.topic": "o", "status.storage.topic": "s",
	}
}

func and(c connectors.Config, pairs ...string) connectors.Config {
	c = maps.Clone(c)
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return c
}

func must(t *testing.T, c connectors.Config, mode Mode) *Config {
	t.Helper()
	out, err := New(c, mode)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryKeyOfTheReference compares with the definitions of connect-runtime 4.3.0 (testdata/connect-keys.tsv: name, type,
// default, importance, worker, values): every key is in the table, with its default, and its secrets are taken for secrets.
func TestEveryKeyOfTheReference(t *testing.T) {
	text, err := os.ReadFile("testdata/connect-keys.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(rows) < 130 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		f := strings.Split(row, "\t")
		name, kind, def, worker := f[0], f[1], f[2], f[4]
		k := find(name)
		if k == nil {
			t.Errorf("%s is not in the table", name)
			continue
		}
		if kind == "PASSWORD" != connectors.SecretName(name) {
			t.Errorf("%s: secret is %v", name, connectors.SecretName(name))
		}
		if k.Prefix { // a family of client properties that has no effect
			if k.ignored == "" {
				t.Errorf("%s has no entry of its own", name)
			}
			continue
		}
		want := map[string]string{"(required)": "", "(null)": ""}
		value, special := want[def]
		if !special {
			value = def
		}
		if k.Default != value || string(k.Type) != kind || k.Required != (def == "(required)" && name != KeyOffsetFile) {
			t.Errorf("%s: %s %q %v; want %s", name, k.Type, k.Default, k.Required, row)
		}
		if k.only == Distributed && worker != "distributed" || k.only == Standalone && worker != "standalone" {
			t.Errorf("%s belongs to %s", name, worker)
		}
	}
}

func TestTheShippedFiles(t *testing.T) {
	c, err := Read("testdata/connect-distributed.properties", Distributed, nil)
	if err != nil || len(c.Warnings) > 0 {
		t.Fatal(err, c.Warnings)
	}
	if got := show(c.String(KeyGroup), c.ConfigTopic(), c.OffsetTopic(), c.StatusTopic(), c.Millis("offset.flush.interval.ms"), c.Listeners()); got !=
		"connect-cluster {connect-configs 1 1 map[]} {connect-offsets 25 1 map[]} {connect-status 5 1 map[]} 10s [{http  8083}]" {
		t.Error(got)
	}
	c, err = Read("testdata/connect-standalone.properties", Standalone, nil)
	if err != nil || len(c.Warnings) > 0 {
		t.Fatal(err, c.Warnings)
	}
	if c.String(KeyOffsetFile) != "/tmp/connect.offsets" || len(c.Listeners()) > 0 || !c.Bool("key.converter.schemas.enable") {
		t.Error(c.Properties)
	}
}

func TestDefaults(t *testing.T) {
	c := must(t, required(), Distributed)
	if got := show(c.ConfigTopic(), c.OffsetTopic(), c.StatusTopic(), c.Millis("session.timeout.ms"), c.Millis("scheduled.rebalance.max.delay.ms"), c.ExactlyOnce(), c.Bool("topic.tracking.enable"), c.BasicAuth()); got !=
		"{c 1 3 map[]} {o 25 3 map[]} {s 5 3 map[]} 10s 5m0s disabled true false" {
		t.Error(got)
	}
	c = must(t, and(required(), "offset.storage.partitions", "-1", "offset.storage.replication.factor", " 2 ", "offset.storage.min.insync.replicas", "2",
		"offset.storage.cleanup.policy", "delete", "exactly.once.source.support", "Enabled", "rest.extension.classes", basicAuth), Distributed)
	if got := show(c.OffsetTopic(), c.ExactlyOnce(), c.BasicAuth()); got != "{o -1 2 map[min.insync.replicas:2]} enabled true" {
		t.Error(got)
	}
}

func show(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

func TestRefused(t *testing.T) {
	for name := range required() {
		c := required()
		delete(c, name)
		if _, err := New(c, Distributed); err == nil || err.Error() != "The '"+name+"' value is invalid: A value is required" {
			t.Errorf("without %s: %v", name, err)
		}
		if _, err := New(c, Standalone); err != nil {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for _, c := range []struct{ key, value, want string }{
		{"connector.client.config.override.policy", "Some", "Value must be one of All, None, Principal, Allowlist"},
		{"offset.flush.interval.ms", "soon", "An integer is expected"},
		{"offset.flush.interval.ms", "-1", "Value must be at least 0"},
		{"exactly.once.source.support", "yes", "Value must be one of disabled, preparing, enabled"},
		{"offset.storage.partitions", "0", "Value must be a positive number, or -1"},
		{"status.storage.replication.factor", "70000", "An integer is expected"},
		{"listeners", "http://:8083,ftp://:21", `"ftp://:21" is not a listener`},
		{"listeners", "http://:80830", "larger than 65535"},
		{"rest.advertised.listener", "tcp", "Value must be one of http, https"},
		{"rest.extension.classes", basicAuth + ",com.example.Mine", "not supported yet: class com.example.Mine"},
		{"inter.worker.signature.algorithm", "HmacMD5", "HmacMD5 is not one of the algorithms"},
		{"inter.worker.verification.algorithms", "HmacSHA256,none", "none is not one of the algorithms"},
		{"inter.worker.signature.algorithm", "HmacSHA512", "which is not among inter.worker.verification.algorithms"},
		{"topic.tracking.enable", "yes", "Either true or false is expected"},
		{"session.timeout.ms", "0", "Value must be at least 1"},
		{"config.providers.v.class", "com.example.Vault", `class "com.example.Vault": not supported yet`},
	} {
		config := and(required(), c.key, c.value)
		if strings.HasPrefix(c.key, "config.providers") {
			config["config.providers"] = "v"
		}
		if _, err := New(config, Distributed); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.key) && c.key != "config.providers.v.class" {
			t.Errorf("%v: got %v", c, err)
		}
	}
	path := write(t, "w.properties", "session.timeout.ms=x")
	if _, err := Read(path, Distributed, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	config := and(required(), "key.converter.schemas.enable", "false", "producer.compression.type", "lz4", "sasl.mechanism", "PLAIN",
		"ssl.truststore.location", "x", "connector.client.config.override.policy", "all", "rest.port", "8083", "plugin.path", "/plugins", "nonsense", "hidden",
		"metrics.num.samples", "2", "metrics.recording.level", "DEBUG", "connect.protocol", "eager", "offset.storage.file.filename", "x", "rest.extension.classes", debeziumREST)
	c := must(t, config, Distributed)
	compare(t, c.Warnings, []string{
		"connect.protocol has no effect: workers of Freshet", "metrics.recording.level has no effect", "nonsense is not known; it has no effect", "offset.storage.file.filename has no effect: the offsets of a cluster",
		"rest.extension.classes: io.debezium.kcrestextension.DebeziumConnectRestExtension is not here", "rest.port has no effect: it is gone since Kafka 3.0",
	})
	c = must(t, connectors.Config{"config.storage.topic": "x", "session.timeout.ms": "nonsense", "rest.advertised.port": "1", "group.id": "g", "offset.storage.file.filename": "x"}, Standalone)
	compare(t, c.Warnings, []string{
		"config.storage.topic has no effect: freshet run is not part of a cluster", "rest.advertised.port has no effect: freshet run serves the REST API where listeners is set", "session.timeout.ms has no effect: freshet run",
	})
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

func TestEnvironment(t *testing.T) {
	path := write(t, "w.properties", "group.id=file\nclient.id=file\nbootstrap.servers=b:1\nkey.converter=J\nvalue.converter=J\nconfig.storage.topic=c\noffset.storage.topic=o\nstatus.storage.topic=s\n")
	c, err := Read(path, Distributed, []string{
		"CONNECT_GROUP_ID=env", "CONNECT_PRODUCER_COMPRESSION_TYPE=zstd", "CONNECT_KEY_CONVERTER_A__B___C=x", "CONNECT_SASL_JAAS_CONFIG=a=b", "CONNECT_LOG4J_LOGGERS=x=DEBUG", "CONNECT_LOG4J_ROOT_LOGLEVEL=WARN",
		"CONNECT_PORT=tcp://10.0.0.1:8083", "CONNECT_PORT_8083_TCP_ADDR=10.0.0.1", "CONNECT_SERVICE_HOST=10.0.0.1", "CONNECT_SERVICE_PORT_HTTP=8083", "REST_PORT=tcp://10.0.0.2:80", "PATH=/bin", "CONNECT_=x", "ENABLE_JOLOKIA=true", "ENABLE_OTEL=false",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.String(KeyGroup) != "env" || c.String("client.id") != "file" || c.Properties["producer.compression.type"] != "zstd" || c.Properties["key.converter.a_b-c"] != "x" || c.Properties["sasl.jaas.config"] != "a=b" || len(c.Properties) != 11 {
		t.Error(c.Properties)
	}
	compare(t, c.Warnings, []string{"environment variable CONNECT_LOG4J_LOGGERS has no effect", "environment variable ENABLE_JOLOKIA has no effect"})
}

func TestEnvironmentOfDebeziumsImage(t *testing.T) {
	minimal := []string{"BOOTSTRAP_SERVERS=kafka:9092", "CONFIG_STORAGE_TOPIC=c", "OFFSET_STORAGE_TOPIC=o"}
	c, err := Read("", Distributed, minimal)
	if err != nil || len(c.Warnings) > 0 {
		t.Fatal(err, c.Warnings)
	}
	if got := show(c.String(KeyGroup), c.ConfigTopic(), c.OffsetTopic(), c.StatusTopic(), c.String("key.converter"), c.Millis("task.shutdown.graceful.timeout.ms"), c.Millis("offset.flush.interval.ms")); got !=
		"1 {c 1 1 map[]} {o 25 1 map[]} {connect-status 5 1 map[]} org.apache.kafka.connect.json.JsonConverter 10s 1m0s" {
		t.Error(got)
	}
	c, err = Read("", Distributed, append(minimal, "GROUP_ID=7", "CONNECT_GROUP_ID=8", "STATUS_STORAGE_TOPIC=s", "VALUE_CONVERTER=V", "KEY_CONVERTER=K", "OFFSET_FLUSH_INTERVAL_MS=1", "OFFSET_FLUSH_TIMEOUT_MS=5000",
		"SHUTDOWN_TIMEOUT=2", "HOST_NAME=h", "ADVERTISED_HOST_NAME=a", "ADVERTISED_PORT=18083", "CONNECT_OFFSET_STORAGE_REPLICATION_FACTOR=3", "REST_PORT=8084"))
	if err != nil {
		t.Fatal(err)
	}
	_, id, err := c.Advertised(c.Listeners(), nil)
	if got := show(c.String(KeyGroup), c.OffsetTopic(), c.StatusTopic().Name, c.String("key.converter"), c.String("value.converter"), c.Millis("task.shutdown.graceful.timeout.ms"), c.Millis("offset.flush.interval.ms"), id, err); got !=
		"7 {o 25 3 map[]} s K V 2ms 1ms a:18083 <nil>" {
		t.Error(got)
	}
	compare(t, c.Warnings, []string{"rest.port has no effect: it is gone since Kafka 3.0"})
	if _, err := Read("", Distributed, nil); err == nil || !strings.Contains(err.Error(), "worker configuration: ") {
		t.Errorf("got %v", err)
	}
}

func TestLogLevel(t *testing.T) {
	for _, c := range []struct{ environ, want string }{
		{"", ""}, {"LOG_LEVEL=TRACE", "debug"}, {"CONNECT_LOG4J_ROOT_LOGLEVEL=WARN", "warn"}, {"LOG_LEVEL=ERROR CONNECT_LOG4J_ROOT_LOGLEVEL=INFO", "error"}, {"LOG_LEVEL=loud", ""},
	} {
		if got := LogLevel(strings.Fields(c.environ)); got != c.want {
			t.Errorf("%s: %q", c.environ, got)
		}
	}
}

func TestListeners(t *testing.T) {
	c := must(t, and(required(), "listeners", "HTTPS://h:8443, http://[::1]:8083", "rest.advertised.listener", "http", "admin.listeners", "", "ssl.keystore.location", "worker"), Distributed)
	bound := func(l Listener) int { return l.Port + 1 }
	url, id, err := c.Advertised(c.Listeners(), bound)
	if got := show(c.Listeners(), url, id, err); got != "[{https h 8443} {http ::1 8083}] http://[::1]:8084/ [::1]:8084 <nil>" {
		t.Error(got)
	}
	if l, beside := c.AdminListeners(); beside || len(l) > 0 {
		t.Error("/admin is off", l)
	}
	if got := show(c.ListenerTLS(false)); got != "map[ssl.keystore.location:worker]" {
		t.Error(got)
	}
	c = must(t, and(required(), "listeners.https.ssl.keystore.type", "PEM", "ssl.keystore.location", "worker", "rest.advertised.listener", "https"), Distributed)
	if got := show(c.ListenerTLS(false), c.ListenerTLS(true)); got != "map[ssl.keystore.type:PEM] map[ssl.keystore.location:worker]" {
		t.Error(got)
	}
	if _, _, err := c.Advertised(c.Listeners(), bound); err == nil || !strings.Contains(err.Error(), "no listener has that protocol") {
		t.Errorf("got %v", err)
	}
	if _, beside := c.AdminListeners(); !beside {
		t.Error("/admin is on the listeners")
	}
	c = must(t, and(required(), "listeners", "http://:0"), Distributed)
	url, id, err = c.Advertised(c.Listeners(), func(Listener) int { return 4711 })
	if err != nil || !strings.HasSuffix(id, ":4711") || strings.HasPrefix(id, ":") || url != "http://"+id+"/" {
		t.Error(url, id, err)
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"database.password", "x", "[hidden]"},
		{"database.password", "", "[hidden]"},
		{"database.password", "${file:/s:p}", "${file:/s:p}"},
		{"database.password", "a${file:/s:p}", "[hidden]"},
		{"connection.url", "jdbc:postgresql://u:x@h/db?password=x&ssl=true", "jdbc:postgresql://[hidden]@h/db?password=[hidden]&ssl=true"},
		{"database.user", "me", "me"},
		{"producer.override.sasl.jaas.config", "x", "[hidden]"},
		{"value.converter.schema.registry.basic.auth.user.info", "a:b", "[hidden]"},
		{"transforms.a.token", "x", "[hidden]"},
	} {
		if got := Mask(c.name, c.value); got != c.want {
			t.Errorf("%s=%s: %s", c.name, c.value, got)
		}
	}
}

// TestSettings checks I12: what is shown at the start has no secret in it.
func TestSettings(t *testing.T) {
	t.Setenv("FRESHET_TEST_SECRET", "s3cret")
	c := must(t, and(required(), "config.providers", "env", "config.providers.env.class", "org.apache.kafka.common.config.provider.EnvVarConfigProvider", "client.id", "${env:FRESHET_TEST_SECRET}",
		"sasl.jaas.config", "s3cret", "ssl.key.password", "s3cret", "producer.ssl.keystore.key", "s3cret", "listeners.https.ssl.keystore.password", "s3cret", "nonsense", "s3cret",
		"value.converter.basic.auth.user.info", "u:s3cret", "value.converter.schema.registry.url", "http://u:s3cret@registry:8081", "session.timeout.ms", "10000", "topic.creation.enable", "false"), Distributed)
	got := show(c.Settings())
	if strings.Contains(got+show(c.Warnings), "s3cret") {
		t.Error(got, c.Warnings)
	}
	for _, want := range []string{"{client.id ${env:FRESHET_TEST_SECRET}}", "{nonsense [hidden]}", "{sasl.jaas.config [hidden]}", "{topic.creation.enable false}", "{value.converter.schema.registry.url http://[hidden]@registry:8081}"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	if strings.Contains(got, "session.timeout.ms") || !slices.IsSortedFunc(c.Settings(), func(a, b Setting) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error(got)
	}
	if c.String("client.id") != "s3cret" || c.Millis("session.timeout.ms") != 10*time.Second {
		t.Error("values")
	}
}
