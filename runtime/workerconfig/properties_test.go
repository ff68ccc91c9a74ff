package workerconfig

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
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

func TestProviders(t *testing.T) {
	t.Setenv("FRESHET_TEST_USER", "scott")
	secrets := write(t, "secrets.properties", "password=tiger\nempty=\n")
	dir := filepath.Dir(write(t, "token", "abc"))
	p, err := NewProviders(connectors.Config{
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
		got, err := p.Apply(connectors.Config{"k": in})
		if err != nil || got["k"] != want {
			t.Errorf("%s: got %s, %v", in, got["k"], err)
		}
	}
	if _, err := p.Apply(connectors.Config{"k": "${file:/nowhere/x:y}"}); err == nil || !strings.Contains(err.Error(), "key k: read file of config provider") {
		t.Errorf("got %v", err)
	}
	if _, err := NewProviders(connectors.Config{"config.providers": "v", "config.providers.v.class": "com.example.Vault"}); err == nil || !strings.Contains(err.Error(), `class "com.example.Vault": not supported yet`) {
		t.Errorf("got %v", err)
	}
}
