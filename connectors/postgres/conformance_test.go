package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

// TestConformance checks the contract of connectors.SourceTask, for the stream and for a snapshot that the stream follows.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		mode    string
		process bool
	}{{"no_data", false}, {"initial", false}, {"initial", true}} {
		t.Run(fmt.Sprintf("%s/process=%t", c.mode, c.process), func(t *testing.T) {
			var r *rig
			connectortest.RunSource(t, connectortest.SourceHarness{
				New: func(t *testing.T) func() connectors.SourceTask {
					r = newRig(t, connectors.Config{"snapshot.mode": c.mode})
					r.exec("CREATE TABLE n (n int PRIMARY KEY)")
					if c.mode == "no_data" { // the slot has to be older than what is written
						r.start()
						r.stop()
					}
					return func() connectors.SourceTask {
						task, err := plugintest.Source(t, Factory{}, c.process).NewSource(r.config, connectors.Settings{Connector: "c", Version: "1", RunID: "run", Logger: r.log})
						if err != nil {
							t.Fatal(err)
						}
						return task
					}
				},
				Write: func(_ *testing.T, from, to int) {
					var rows []string
					for n := from; n <= to; n++ {
						rows = append(rows, fmt.Sprintf("INSERT INTO n VALUES (%d)", n))
						if n%3 > 0 && n < to { // transactions of several rows
							continue
						}
						r.exec("BEGIN; " + strings.Join(rows, "; ") + "; COMMIT")
						rows = nil
					}
				},
				Number: func(b *connectors.Batch, rec *connectors.Record) int { return int(b.Cells(rec.After)[0].Int()) },
			})
		})
	}
}
