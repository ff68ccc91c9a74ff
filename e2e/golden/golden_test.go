// Package golden_test plays the recorded scenarios against real servers and compares every record, offset, state and topic
// with what the reference wrote.
package golden_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/golden"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

// lanes is how many scenarios play at the same time; most of their time is waiting.
const lanes = 4

// keepVariable names a folder that keeps the recordings.
const keepVariable = "FRESHET_GOLDEN_OUT"

// notYet are scenarios that need what validation still refuses, with a part of its message.
func notYet() map[string]string {
	return map[string]string{}
}

func TestGoldenPostgres(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "testdata", "golden")
	dirs, err := filepath.Glob(filepath.Join(root, "postgres", "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	broker := bed.Kafka(t)
	// Scenarios have databases of one name, so each lane has a server of its own.
	free := make(chan *testbed.Postgres, lanes)
	for i := range lanes {
		free <- bed.Postgres(t, "autovacuum=off", fmt.Sprintf("cluster_name=lane%d", i))
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			pg := <-free
			defer func() { free <- pg }()
			s, err := golden.ReadScenario(dir)
			if err != nil {
				t.Fatal(err)
			}
			out := t.TempDir()
			if keep := os.Getenv(keepVariable); keep != "" {
				out = filepath.Join(keep, s.Name, "golden")
			}
			p := golden.Player{Worker: newWorker(t, broker.Bootstrap()), Server: golden.OnPostgres(pg), Bootstrap: broker.Bootstrap(), OffsetTopic: offsetTopic, Log: t.Logf}
			if err := p.Record(t.Context(), s, out); err != nil {
				t.Fatal(err)
			}
			differences, err := golden.Compare(filepath.Join(dir, "golden"), out, filepath.Join(root, "differences.json"))
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range differences {
				if i == 20 {
					t.Errorf("… %d more differences", len(differences)-i)
					break
				}
				t.Error(d)
			}
		})
	}
}
