package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// TestExamplesOfTheDocs: every connector of the pages about connectors is valid. What an example leaves out, which other examples of its
// page have, is added: the connection of the source, the address of a sink.
func TestExamplesOfTheDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/connectors/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```json\n(.*?)^```$")
	examples := 0
	for _, page := range append(pages, "../../docs/fan-out.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			examples++
			body := strings.TrimSpace(m[1])
			if !strings.HasPrefix(body, "{") {
				body = "{" + body + "}"
			}
			var c connectors.Config
			if err := json.Unmarshal([]byte(body), &c); err != nil {
				t.Errorf("%s: %v in\n%s", page, err, m[1])
				continue
			}
			completed, err := json.Marshal(complete(c, filepath.Base(page) == "mysql.md"))
			if err != nil {
				t.Fatal(err)
			}
			file := write(t, t.TempDir(), "example.json", string(completed))
			if out, err := freshet(t, "validate", "--offline", file); err != nil || !strings.Contains(out, "good") {
				t.Errorf("%s: %v: %s\n%s", page, err, out, m[1])
			}
		}
	}
	if examples < 10 {
		t.Errorf("%d examples", examples)
	}
}

// complete adds what an example leaves to its reader.
func complete(c connectors.Config, mysql bool) connectors.Config {
	rest := connectors.Config{"name": "example"}
	class := c["connector.class"]
	if class == "" || class == "PostgresConnector" || class == "MySqlConnector" {
		rest = connectors.Config{
			"name": "example", "connector.class": "PostgresConnector", "database.hostname": "h", "database.user": "u", "database.password": "p", "database.dbname": "d", "topic.prefix": "t",
		}
		if mysql {
			delete(rest, "database.dbname")
			rest["connector.class"], rest["database.server.id"], rest["schema.history.internal.file.filename"] = "MySqlConnector", "1", "history.jsonl"
			rest["schema.history.internal"] = "io.debezium.storage.file.history.FileSchemaHistory"
		}
	}
	if c["sinks.db.connector.class"] == "TimescaleDbSinkConnector" {
		rest["sinks.db.connection.url"] = "jdbc:postgresql://target/d"
	}
	for name, value := range rest {
		if _, given := c[name]; !given {
			c[name] = value
		}
	}
	return c
}
