package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

// documented is one column of an index, as key and value of each document in the form of a reading, sorted; nil when a document lacks it.
func documented(t testing.TB, documents map[string]json.RawMessage, key, column, dataType string, r reading) []string {
	t.Helper()
	out := []string{}
	for id, source := range documents {
		var doc map[string]any
		d := json.NewDecoder(bytes.NewReader(source))
		d.UseNumber()
		if err := d.Decode(&doc); err != nil {
			t.Fatalf("document %s: %v", id, err)
		}
		value, there := doc[column]
		if !there {
			return nil
		}
		shown := "(null)"
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		v, isText := value.(string)
		switch {
		case value == nil:
		case isText && dataType != "json":
			shown = r.form(inMySQL(t, v, dataType))
		default:
			shown = r.form(string(text))
		}
		out = append(out, fmt.Sprint(doc[key])+": "+shown)
	}
	slices.Sort(out)
	return out
}

// inMySQL writes a text of a document as the reading of the source does.
func inMySQL(t testing.TB, v, dataType string) string {
	t.Helper()
	micros := func(v string) string {
		whole, fraction, _ := strings.Cut(v, ".")
		return whole + "." + fraction + strings.Repeat("0", 6-len(fraction))
	}
	switch dataType {
	case "date":
		return v + " 00:00:00.000000"
	case "datetime", "timestamp":
		return micros(strings.Replace(strings.TrimSuffix(v, "Z"), "T", " ", 1))
	case "time":
		return micros(v)
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "bit", "decimal", "json", "float", "double":
		return v
	}
	data, err := base64.StdEncoding.DecodeString(v)
	if err != nil {
		t.Fatalf("%s: %v", dataType, err)
	}
	return strings.ToUpper(hex.EncodeToString(data))
}

// mysqlInSearch reads columns of the indices that begin with a prefix.
func mysqlInSearch(t testing.TB, s *testbed.Search, prefix string) func(c mysqlColumn) (reading, []string) {
	return mysqlInDocuments(t, func(table string) map[string]json.RawMessage {
		return s.Documents(t, prefix+"."+strings.ToLower(table))
	})
}

// mysqlInDocuments reads columns of a table's documents.
func mysqlInDocuments(t testing.TB, of func(table string) map[string]json.RawMessage) func(c mysqlColumn) (reading, []string) {
	documents := map[string]map[string]json.RawMessage{}
	return func(c mysqlColumn) (reading, []string) {
		if documents[c.table] == nil {
			documents[c.table] = of(c.table)
		}
		r := readingOf(c.typ)
		return r, documented(t, documents[c.table], c.key, c.name, c.typ, r)
	}
}

// The types corpus of MySQL arrives as documents, after the snapshot and after inserts, updates and deletes.
func TestMySQLTypesIntoElasticsearch(t *testing.T) {
	t.Parallel()
	source, target := bed.MySQL(t), bed.Elasticsearch(t)
	from, prefix, dir := source.CreateDatabase(t), target.NewPrefix(t), t.TempDir()
	source.Exec(t, from, mysqlCorpus(t, "setup.sql"))
	c := source.Connector("types-"+from, from, testbed.HistoryIn(filepath.Join(dir, "history")), nil)
	c["enable.time.adjuster"] = "false" // the year 1 stays what it is
	maps.Copy(c, toSearch(target, prefix, map[string]string{"sinks.es.index.name.format": prefix + ".${source.table}"}))
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, c))
	a := source.Connect(t, from)
	if _, err := a.Execute("SET time_zone = '+00:00'"); err != nil {
		t.Fatal(err)
	}
	columns := mysqlColumns(t, a)
	equal := func() {
		t.Helper()
		var different string
		testbed.Eventually(t, func() string { return "source and documents differ:\n" + different + "freshet said:\n" + p.Output() }, func() bool {
			different = differsFromMySQL(t, a, columns, nil, mysqlInSearch(t, target, prefix))
			return different == ""
		})
	}
	equal()
	source.Exec(t, from, mysqlCorpus(t, "stream1.sql"))
	equal()
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
}
