package python_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/plugins"
	"github.com/freshet-io/freshet/testbed"
)

const patience = 2 * time.Minute

func open(t *testing.T, c *plugins.Command) (map[string]connectors.SourceFactory, map[string]connectors.SinkFactory) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sources, sinks, err := c.Open(ctx, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	s, k := map[string]connectors.SourceFactory{}, map[string]connectors.SinkFactory{}
	for _, f := range sources {
		s[f.Describe().Class] = f
	}
	for _, f := range sinks {
		k[f.Describe().Class] = f
	}
	return s, k
}

func TestSourcesKeepTheContract(t *testing.T) {
	sources, _ := open(t, command(t))
	for class, own := range map[string]bool{"test.Lines": false, "test.Consumed": true} {
		t.Run(class, func(t *testing.T) { sourceKeepsTheContract(t, sources[class], own) })
	}
}

func sourceKeepsTheContract(t *testing.T, factory connectors.SourceFactory, own bool) {
	if _, is := factory.(connectors.OffsetOwner); is != own {
		t.Errorf("it owns offsets: %t", is)
	}
	path := ""
	connectortest.RunSource(t, connectortest.SourceHarness{
		New: func(t *testing.T) func() connectors.SourceTask {
			path = filepath.Join(t.TempDir(), "in.txt")
			return func() connectors.SourceTask {
				task, err := factory.NewSource(connectors.Config{"file": path}, connectors.Settings{})
				if err != nil {
					t.Fatal(err)
				}
				return task
			}
		},
		Write: func(t *testing.T, from, to int) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			for n := from; n <= to; n++ {
				fmt.Fprintln(f, n)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		},
		Number: func(b *connectors.Batch, r *connectors.Record) int {
			cells := b.Cells(r.After)
			n := int(cells[0].Int())
			if text := string(b.Bytes(cells[1])); text != strconv.Itoa(n) {
				t.Errorf("row %d has the text %q", n, text)
			}
			return n
		},
		Own:      own,
		NoResume: own,
		Patience: patience,
	})
}

func TestSinksKeepTheContract(t *testing.T) {
	for name, c := range map[string]struct {
		class  string
		args   []string
		config connectors.Config
		read   func(t *testing.T, path string) string
		exact  bool
	}{
		"rows":    {"test.Numbers", nil, connectors.Config{"columns": "false"}, readText, false},
		"columns": {"test.Numbers", []string{"columns"}, connectors.Config{"columns": "true"}, readText, false},
		"SQLite":  {"io.freshet.examples.SqliteSink", nil, connectors.Config{}, readTable, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, sinks := open(t, command(t, c.args...))
			if d := sinks[c.class].Describe(); d.Keeper != c.exact {
				t.Errorf("keeps offsets: %t", d.Keeper)
			}
			path := ""
			connectortest.RunSink(t, connectortest.SinkHarness{
				New: func(t *testing.T) func() connectors.SinkTask {
					path = filepath.Join(t.TempDir(), "out")
					return func() connectors.SinkTask {
						task, err := sinks[c.class].NewSink(connectors.Config{"file": path, "path": path, "columns": c.config["columns"]}, connectors.Settings{Connector: "c"})
						if err != nil {
							t.Fatal(err)
						}
						return task
					}
				},
				Read:        func(t *testing.T) []int { return numbers(t, c.read(t, path)) },
				ExactlyOnce: c.exact,
				Mirror:      c.exact,
				Patience:    patience,
			})
		})
	}
}

// TestInstalledSourcePasses: what is installed passes freshet plugin test, too. The broker keeps the offsets of the MQTT source: what was not
// committed comes again, and nothing else. What says nothing about such a source is left out, and only that.
func TestInstalledSourcePasses(t *testing.T) {
	broker := testbed.StartMosquitto(t)
	dir := t.TempDir()
	install(t, dir)
	config := testbed.WriteConnector(t, dir, map[string]string{
		"name": "t", "connector.class": "MqttSource", "mqtt.host": broker.Host(), "mqtt.port": strconv.Itoa(broker.Port()), "mqtt.topics": "sensors/#", "mqtt.client.id": "t",
	})
	interpreter, _ := python(t)
	testbed.WriteFile(t, dir, "write.py", publishNumbers)
	testbed.WriteFile(t, dir, "poison.py", publishBroken)
	write := fmt.Sprintf(`'%s' write.py %s %d "$1" "$2"`, interpreter, broker.Host(), broker.Port())
	poison := fmt.Sprintf(`'%s' poison.py %s %d`, interpreter, broker.Host(), broker.Port())
	p := bed.Freshet(t, dir, "plugin", "test", "plugin-python", "-c", config, "--write", write, "--poison", poison, "--patience", "1m", "--seed", "1")
	code := p.EndsWithin(10 * time.Minute)
	t.Log(p.Output())
	var left []string
	for _, line := range strings.Split(p.Output(), "\n") {
		if fields := strings.Fields(line); strings.HasPrefix(line, "n/a ") {
			left = append(left, fields[1])
		}
	}
	if want := []string{"ResumesWithoutGap", "ResumesFromEveryOffset"}; code != 0 || !slices.Equal(left, want) || !strings.Contains(p.Output(), "ok    ResumesAtCommit") || !strings.Contains(p.Output(), "ok    Poison") {
		t.Errorf("exit code %d, left out %v", code, left)
	}
}

// TestInstalledSinkPasses, likewise.
func TestInstalledSinkPasses(t *testing.T) {
	dir := t.TempDir()
	install(t, dir)
	config := testbed.WriteConnector(t, dir, map[string]string{"name": "t", "connector.class": "SqliteSink", "path": filepath.Join(dir, "copy.db")})
	interpreter, _ := python(t)
	testbed.WriteFile(t, dir, "read.py", readFeed)
	p := bed.Freshet(t, dir, "plugin", "test", "plugin-python", "-c", config, "--mirror", "--read", "'"+interpreter+"' read.py copy.db", "--patience", "1m")
	if code := p.EndsWithin(10 * time.Minute); code != 0 || !strings.Contains(p.Output(), "ok    Fences") || !strings.Contains(p.Output(), "ok    FaultSchedule") {
		t.Errorf("exit code %d\n%s", code, p.Output())
	}
}

// readFeed prints the numbers that a database holds; a sink that was stopped at once has made no table.
const readFeed = `import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
for _ in c.execute("SELECT 1 FROM sqlite_master WHERE name = 'feed'").fetchall():
    for n, in c.execute("SELECT n FROM feed ORDER BY n"): print(n)`

func readText(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readTable(t *testing.T, path string) string {
	return run(t, readFeed, path)
}

func numbers(t *testing.T, text string) []int {
	var out []int
	for _, line := range strings.Fields(text) {
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, n)
	}
	return out
}
