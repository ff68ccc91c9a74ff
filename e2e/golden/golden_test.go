// Package golden_test plays the recorded scenarios against real servers, through the REST API of a worker that is a process, and
// compares every record, offset, state and topic with what the reference wrote.
package golden_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/golden"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

// lanes is how many scenarios of one database play at the same time; most of their time is waiting.
const lanes = 4

// keepVariable names a folder that keeps the recordings.
const keepVariable = "FRESHET_GOLDEN_OUT"

const root = "../../testdata/golden"

// survived are scenarios where the reference's task fails and Freshet's does not.
func survived() []string { return []string{"mysql/row-image-minimal-fails", "mysql/row-image-noblob"} }

func TestGoldenPostgres(t *testing.T) {
	t.Parallel()
	suite{of: "postgres", differences: "differences.json"}.play(t, func(lane int) golden.Server {
		return golden.OnPostgres(bed.Postgres(t, "autovacuum=off", "checkpoint_timeout=1h", fmt.Sprintf("cluster_name=lane%d", lane)))
	})
}

func TestGoldenMySQL(t *testing.T) {
	t.Parallel()
	suite{of: "mysql", differences: "differences.json"}.play(t, func(lane int) golden.Server {
		return golden.OnMySQL(bed.MySQL(t, append(golden.MySQLSettings(), fmt.Sprintf("report-host=lane%d", lane))...))
	})
}

func TestGoldenMariaDB(t *testing.T) {
	t.Parallel()
	suite{of: "mariadb", differences: "differences.json"}.play(t, func(lane int) golden.Server {
		return golden.OnMySQL(bed.MariaDB(t, append(golden.MariaDBSettings(), fmt.Sprintf("report-host=lane%d", lane))...))
	})
}

// suite is the scenarios of one database.
type suite struct {
	of          string   // folder
	only        []string // names; nil: all
	differences string   // file
}

// play plays them. Scenarios have databases of one name, so each lane has a server of its own.
func (s suite) play(t *testing.T, server func(lane int) golden.Server) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(root, s.of, "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	if s.only != nil {
		dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !slices.Contains(s.only, filepath.Base(dir)) })
	}
	broker := bed.Kafka(t)
	worker, offsetTopic := startWorker(t, broker)
	free := make(chan golden.Server, lanes)
	for i := range min(lanes, len(dirs)) {
		free <- server(i)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			on := <-free
			defer func() { free <- on }()
			s.scenario(t, dir, golden.Player{Worker: worker, Server: on, Bootstrap: broker.Bootstrap(), OffsetTopic: offsetTopic, Log: t.Logf})
		})
	}
}

func (s suite) scenario(t *testing.T, dir string, p golden.Player) {
	t.Helper()
	scenario, err := golden.ReadScenario(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if keep := os.Getenv(keepVariable); keep != "" {
		out = filepath.Join(keep, s.of, scenario.Name, "golden")
	}
	p.Survives = slices.Contains(survived(), s.of+"/"+scenario.Name)
	if err := p.Record(t.Context(), scenario, out); err != nil {
		t.Fatal(err)
	}
	differences, err := golden.Compare(filepath.Join(dir, "golden"), out, filepath.Join(root, s.differences))
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
}
