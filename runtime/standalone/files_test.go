package standalone

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

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
