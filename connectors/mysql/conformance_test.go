package mysql

import (
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

// TestConformance checks the contract of connectors.SourceTask, for a snapshot that the stream follows.
func TestConformance(t *testing.T) {
	for _, process := range []bool{false, true} {
		t.Run(fmt.Sprintf("process=%t", process), func(t *testing.T) { conforms(t, process) })
	}
}

func conforms(t *testing.T, process bool) {
	t.Helper()
	var r *rig
	connectortest.RunSource(t, connectortest.SourceHarness{
		New: func(t *testing.T) func() connectors.SourceTask {
			r = newRig(t, connectors.Config{"snapshot.mode": "initial"})
			r.exec("CREATE TABLE n (n int PRIMARY KEY)")
			return func() connectors.SourceTask {
				task, err := plugintest.Source(t, r.made, process).NewSource(r.config, connectors.Settings{Connector: "c", Version: "1", RunID: "run", Logger: r.log})
				if err != nil {
					t.Fatal(err)
				}
				return task
			}
		},
		Write: func(_ *testing.T, from, to int) {
			r.exec("BEGIN")
			for n := from; n <= to; n++ {
				r.exec(fmt.Sprintf("INSERT INTO n VALUES (%d)", n))
				if n%3 == 0 { // transactions of several rows
					r.exec("COMMIT", "BEGIN")
				}
			}
			r.exec("COMMIT")
		},
		Number: func(b *connectors.Batch, rec *connectors.Record) int { return int(b.Cells(rec.After)[0].Int()) },
	})
}
