package standalone

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets/boltstore"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestProperties compares with what java.util.Properties makes of the same file.
func TestProperties(t *testing.T) {
	text, err := os.ReadFile("testdata/tricky.properties")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseProperties(text)
	if err != nil {
		t.Fatal(err)
	}
	expected, err := os.ReadFile("testdata/tricky.expected")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(expected)), "\n")
	for _, line := range lines {
		var pair [2]string
		if err := json.Unmarshal([]byte("["+strings.Replace(line, `" "`, `","`, 1)+"]"), &pair); err != nil {
			t.Fatal(err)
		}
		if v, ok := got[pair[0]]; !ok || v != pair[1] {
			t.Errorf("%q: got %q, want %q", pair[0], v, pair[1])
		}
	}
	if len(got) != len(lines) {
		t.Errorf("%d keys, not %d: %v", len(got), len(lines), got)
	}
}

func TestPropertiesForms(t *testing.T) {
	for in, want := range map[string]string{
		"a=1\r\nb=2\rc=3": "map[a:1 b:2 c:3]", "\xe9=\xfc": "map[é:ü]", "": "map[]", "a=\\": "map[a:]", "\\": "map[:]", "\ufeffa=1": "map[a:1]", "=v": "map[:v]",
	} {
		got, err := ParseProperties([]byte(in))
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: got %v, %v", in, got, err)
		}
	}
	_, err := ParseProperties([]byte("ok=1\n\nbad=\\u12x4"))
	if err == nil || !strings.Contains(err.Error(), "line 3: key bad: malformed \\uxxxx escape") {
		t.Errorf("got %v", err)
	}
}

func TestReadConnector(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       string // name, target, sorted config
	}{
		{"flat.json", `{"name":"a","connector.class":"X","tasks.max":1,"on":true}`, "a  [connector.class=X name=a on=true tasks.max=1]"},
		{"nested.json", ` {"name":"a","config":{"connector.class":"X"},"initial_state":"stopped"}`, "a STOPPED [connector.class=X]"},
		{"both.json", `{"name":"a","config":{"name":"a","k":"v"}}`, "a  [k=v name=a]"},
		{"c.properties", "name=a\nconnector.class = X\n", "a  [connector.class=X name=a]"},
		{"any", "name=a\nk: v", "a  [k=v name=a]"},
		{"key.json", `{"name":"a","config":"a key of that name"}`, "a  [config=a key of that name name=a]"},
	} {
		got, err := ReadConnector(write(t, c.name, c.text))
		if text := show(got); err != nil || text != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, text, err, c.want)
		}
	}
}

func show(c Connector) string {
	var list []string
	for k, v := range c.Config {
		list = append(list, k+"="+v)
	}
	sort.Strings(list)
	return fmt.Sprint(c.Name, " ", c.Target, " ", list)
}

func TestReadConnectorRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"{\n  \"name\": \"a\",\n  \"k\": oops\n}", "line 3, column 8: broken JSON: invalid character 'o' looking for beginning of value"},
		{"{\n  \"name\": \"a\"\n  \"k\": 1\n}", "line 3, column 3: broken JSON: invalid character '\"' after object key:value pair"},
		{"{\n\"name\": \"a\",", "line 2, column 13: broken JSON: the text ends too early; a bracket or quote is missing"},
		{"{\"name\":\"a\"}\n}", "line 2, column 1: text after the JSON object"},
		{"[1]", "line 1, column 1: a JSON object is expected, not array"},
		{`{"name":"a","k":{"x":1}}`, "key k: the value must be a string, not an object or a list"},
		{`{"name":"a","k":null}`, "key k: Null value can not be supplied as the configuration value."},
		{`{"k":"v"}`, "it has no name"},
		{`{"name":"a","config":{"name":"b"}}`, `name is "a", but config.name is "b"`},
		{`{"name":"a","config":{},"initial_state":"OFF"}`, `initial_state "OFF" is not one of RUNNING, PAUSED, STOPPED`},
		{`{"name":"a","config":{},"tasks":[]}`, "key tasks: the value must be a string"},
		{`{"name":"a","config":{},"other":"1"}`, "unknown key other beside config"},
	} {
		path := write(t, "c.json", c.text)
		_, err := ReadConnector(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %s", c.text, err, c.want)
		}
	}
	if _, err := ReadConnector("/nowhere/c.json"); err == nil || !strings.Contains(err.Error(), "/nowhere/c.json") {
		t.Errorf("got %v", err)
	}
}

func TestProviders(t *testing.T) {
	t.Setenv("FRESHET_TEST_USER", "scott")
	secrets := write(t, "secrets.properties", "password=tiger\nempty=\n")
	dir := filepath.Dir(write(t, "token", "abc"))
	p, err := newProviders(connectors.Config{
		"config.providers": "file, env,directory,locked", "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.env.class":                   "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
		"config.providers.env.param.allowlist.pattern": "FRESHET_.*",
		"config.providers.directory.class":             "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
		"config.providers.locked.class":                "org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.locked.param.allowed.paths":  "/nowhere",
	})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"plain": "plain", "${env:FRESHET_TEST_USER}": "scott", "a${env:FRESHET_TEST_USER}b${file:" + secrets + ":password}": "ascottbtiger",
		"${env:HOME}": "${env:HOME}", "${env:FRESHET_NO}": "${env:FRESHET_NO}", "${file:" + secrets + ":no}": "${file:" + secrets + ":no}",
		"${file:" + secrets + ":empty}": "", "${directory:" + dir + ":token}": "abc", "${directory:" + dir + ":../token}": "${directory:" + dir + ":../token}",
		"${locked:" + secrets + ":password}": "${locked:" + secrets + ":password}", "${vault:x}": "${vault:x}", "${x}": "${x}",
	} {
		got, err := p.apply(connectors.Config{"k": in})
		if err != nil || got["k"] != want {
			t.Errorf("%s: got %s, %v", in, got["k"], err)
		}
	}
	if _, err := p.apply(connectors.Config{"k": "${file:/nowhere/x:y}"}); err == nil || !strings.Contains(err.Error(), "key k: read file of config provider") {
		t.Errorf("got %v", err)
	}
	if _, err := newProviders(connectors.Config{"config.providers": "v", "config.providers.v.class": "com.example.Vault"}); err == nil || !strings.Contains(err.Error(), `class "com.example.Vault": not supported yet`) {
		t.Errorf("got %v", err)
	}
}

func TestWorkerKeys(t *testing.T) {
	warnings, err := checkWorker(connectors.Config{
		"bootstrap.servers": "x", "key.converter": "x", "key.converter.schemas.enable": "false", "producer.compression.type": "lz4", "offset.flush.interval.ms": "10",
		"sasl.mechanism": "PLAIN", "ssl.truststore.location": "x", "connector.client.config.override.policy": "all",
		"rest.port": "8083", "plugin.path": "x", "config.storage.topic": "x", "config.storage.replication.factor": "1", "nonsense": "1", "metrics.num.samples": "2",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"config.storage.replication.factor has no effect: freshet run is not part of a cluster", "config.storage.topic has", "metrics.num.samples has", "nonsense is not known", "plugin.path has", "rest.port has no effect: freshet run has no REST interface",
	}
	if len(warnings) != len(want) {
		t.Fatalf("got %q", warnings)
	}
	for i := range want {
		if !strings.Contains(warnings[i], want[i]) {
			t.Errorf("got %q, want %q", warnings[i], want[i])
		}
	}
	for _, c := range []struct{ key, value, want string }{
		{"connector.client.config.override.policy", "None", "not supported yet"},
		{"offset.flush.interval.ms", "soon", "a number that is not negative is expected"},
		{"exactly.once.source.support", "yes", "disabled, preparing or enabled is expected"},
	} {
		if _, err := checkWorker(connectors.Config{c.key: c.value}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.key) {
			t.Errorf("%v: got %v", c, err)
		}
	}
}

// TestImportJava reads what java.io.ObjectOutputStream wrote.
func TestImportJava(t *testing.T) {
	to := filepath.Join(t.TempDir(), "imported.db")
	n, err := importJava(context.Background(), "testdata/connect.offsets", to)
	if err != nil || n != 4 {
		t.Fatalf("%d entries, %v", n, err)
	}
	s, err := boltstore.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	for connector, want := range map[string]string{
		"orders": `[{{"a":2,"b":1} {"lsn":5,"a":true}} {{"server":"orders"} {"lsn":5,"a":true}}]`, "gone": "[]", "lines": `[{{"filename":"é.txt"} {"position":42}}]`,
	} {
		if got, err := s.Load(context.Background(), connector); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, %v", connector, got, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
