//go:build record

package golden_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/golden"
)

// recordVariable names the scenarios to record from the reference, as a pattern below the folder of scenarios: mariadb/*.
const recordVariable = "FRESHET_GOLDEN_RECORD"

// TestRecord plays scenarios on the reference and writes what they are compared with. FRESHET_IMAGE_CONNECT names an image of Kafka
// Connect with the plugin. It is a tool, not a test of anything: hence its build tag.
func TestRecord(t *testing.T) {
	pattern := os.Getenv(recordVariable)
	dirs, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scenarios %s: %v", pattern, err)
	}
	broker := bed.Kafka(t)
	worker := testbed.StartConnect(t, broker, "record", map[string]string{
		"offset.flush.interval.ms": "3600000", "producer.max.request.size": "20000000", "offset.storage.partitions": "5",
	})
	servers := map[string]func() golden.Server{
		"mysql":   func() golden.Server { return golden.OnMySQL(bed.MySQL(t, golden.MySQLSettings()...)) },
		"mariadb": func() golden.Server { return golden.OnMySQL(bed.MariaDB(t, golden.MariaDBSettings()...)) },
	}
	for _, dir := range dirs {
		scenario, err := golden.ReadScenario(dir)
		if err != nil {
			t.Fatal(err)
		}
		p := golden.Player{
			Worker: golden.OverREST(worker.URL()), Server: servers[filepath.Base(filepath.Dir(dir))](),
			Bootstrap: broker.Bootstrap(), OffsetTopic: "record-offsets", Log: t.Logf,
		}
		if err := p.Record(t.Context(), scenario, filepath.Join(dir, "golden")); err != nil {
			t.Errorf("record %s: %v\n%s", scenario.Name, err, worker.Log(t))
		}
	}
}
