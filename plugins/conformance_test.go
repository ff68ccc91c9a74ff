package plugins_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

func TestSourceKeepsTheContract(t *testing.T) {
	factory := plugintest.Command(t).IsolateSource(fileSource)
	path := ""
	connectortest.RunSource(t, connectortest.SourceHarness{
		New: func(t *testing.T) func() connectors.SourceTask {
			path = filepath.Join(t.TempDir(), "in.txt")
			return func() connectors.SourceTask {
				task, err := factory.NewSource(connectors.Config{"file": path, "topic": "lines", "batch.size": "4"}, connectors.Settings{})
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
			n, err := strconv.Atoi(b.Bodies[r.Value-1].Value.Value.(string))
			if err != nil {
				t.Error(err)
			}
			return n
		},
	})
}

func TestSinkKeepsTheContract(t *testing.T) {
	factory := plugintest.Command(t).IsolateSink(fileSink)
	path := ""
	connectortest.RunSink(t, connectortest.SinkHarness{
		New: func(t *testing.T) func() connectors.SinkTask {
			path = filepath.Join(t.TempDir(), "out.jsonl")
			return func() connectors.SinkTask {
				task, err := factory.NewSink(connectors.Config{"file": path}, connectors.Settings{Connector: "c"})
				if err != nil {
					t.Fatal(err)
				}
				return task
			}
		},
		Read: func(t *testing.T) []int {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var out []int
			for line := range strings.Lines(string(content)) {
				var r struct {
					Key   struct{ N int }
					After struct{ N int }
					N     int
				}
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatalf("line %q: %v", line, err)
				}
				out = append(out, max(r.Key.N, r.After.N, r.N))
			}
			return out
		},
		ExactlyOnce: true,
	})
}
