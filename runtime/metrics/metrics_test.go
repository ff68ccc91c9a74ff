package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

type tasks []runtime.TaskMetrics

func (t tasks) Metrics() []runtime.TaskMetrics { return t }
func (t tasks) Startups() (int64, int64)       { return 5, 2 }

func scrape(t *testing.T, o Options) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(o).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("answer %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// TestNames are those that dashboards for the reference ask for.
func TestNames(t *testing.T) {
	t.Parallel()
	postgres := runtime.TaskMetrics{
		Connector: "bets", State: runtime.Running, Records: 100, Batches: 4, Written: 90, Active: 10, Transactions: 7, Commits: 3, FailedCommits: 1,
		CommitTime: 6 * time.Millisecond, Events: map[connectors.Op]int64{connectors.OpRead: 40, connectors.OpUpdate: 50, connectors.OpTombstone: 10},
		Queued: 1000, QueueLimit: 64 << 20, Committed: time.UnixMilli(5), Behind: 12 * time.Millisecond, LastEvent: time.Now(),
		Freshness: map[string]*runtime.Histogram{"kafka": {}}, Observed: true, LostRanges: 2, LostBytes: 30,
		Observation: connectors.Observation{
			Kind: "postgres", Server: "shop", Connected: true, LogEnd: 500, Read: 400, Held: 300,
			Snapshot: connectors.SnapshotObservation{Completed: true, Tables: 2, Rows: map[string]int64{"public.bets": 40}},
		},
	}
	file := runtime.TaskMetrics{Connector: "lines", Task: 1, State: runtime.Failed, Errors: 2, Restarts: 1}
	got := scrape(t, Options{Worker: tasks{postgres, file}, Version: "v1", Cluster: func() herder.Stats {
		return herder.Stats{Connectors: 3, Epoch: 9, Rebalances: 2, RebalanceTime: 3 * time.Second, Startups: 4, StartupFailures: 1, Leader: true}
	}})
	for _, line := range []string{
		`kafka_connect_worker_connector_count 3`,
		`kafka_connect_worker_task_count 2`,
		`kafka_connect_worker_connector_startup_success_percentage 0.75`,
		`kafka_connect_worker_rebalance_epoch 9`,
		`kafka_connect_worker_rebalance_rebalance_avg_time_ms 1500`,
		`kafka_connect_connector_status{connector="bets",status="running",task="0"} 1`,
		`kafka_connect_connector_status{connector="lines",status="failed",task="1"} 1`,
		`kafka_connect_worker_connector_failed_task_count{connector="lines"} 1`,
		`kafka_connect_worker_connector_running_task_count{connector="lines"} 0`,
		`kafka_connect_worker_connector_total_task_count{connector="lines"} 1`,
		`kafka_connect_worker_task_startup_failure_total 2`,
		`freshet_worker_leader 1`,
		`kafka_connect_connector_task_batch_size_avg{connector="bets",task="0"} 25`,
		`kafka_connect_connector_task_offset_commit_avg_time_ms{connector="bets",task="0"} 2`,
		`kafka_connect_connector_task_offset_commit_success_percentage{connector="bets",task="0"} 0.75`,
		`kafka_connect_source_task_source_record_poll_total{connector="bets",task="0"} 100`,
		`kafka_connect_source_task_source_record_write_total{connector="bets",task="0"} 90`,
		`kafka_connect_source_task_source_record_active_count{connector="bets",task="0"} 10`,
		`kafka_connect_task_error_total_record_errors{connector="lines",task="1"} 2`,
		`debezium_metrics_MilliSecondsBehindSource{connector="bets",context="streaming",name="shop",plugin="postgres",task="0"} 12`,
		`debezium_metrics_Connected{connector="bets",context="streaming",name="shop",plugin="postgres",task="0"} 1`,
		`debezium_metrics_TotalNumberOfEventsSeen{connector="bets",context="streaming",name="shop",plugin="postgres",task="0"} 50`,
		`debezium_metrics_TotalNumberOfUpdateEventsSeen{connector="bets",context="streaming",name="shop",plugin="postgres",task="0"} 50`,
		`debezium_metrics_SnapshotCompleted{connector="bets",context="snapshot",name="shop",plugin="postgres",task="0"} 1`,
		`debezium_metrics_RowsScanned{connector="bets",context="snapshot",name="shop",plugin="postgres",table="public.bets",task="0"} 40`,
		`freshet_source_lag_bytes{connector="bets",task="0"} 100`,
		`freshet_source_held_bytes{connector="bets",task="0"} 200`,
		`freshet_source_lag_seconds{connector="bets",task="0"} 0.012`,
		`freshet_task_queue_bytes{connector="bets",task="0"} 1000`,
		`freshet_freshness_seconds_count{connector="bets",sink="kafka",task="0"} 0`,
		`freshet_source_lost_ranges_total{connector="bets",task="0"} 2`,
		`freshet_source_lost_bytes_total{connector="bets",task="0"} 30`,
		`freshet_build_info{version="v1"} 1`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	if strings.Contains(got, `debezium_metrics_Connected{connector="lines"`) {
		t.Error("a source without observations has Debezium's metrics")
	}
	if strings.Contains(got, `kafka_connect_connector_status{connector="lines",status="running"`) {
		t.Error("a failed task counts as running")
	}
}

// TestSameServerTwice: two connectors with the same topic.prefix are told apart.
func TestSameServerTwice(t *testing.T) {
	t.Parallel()
	one := runtime.TaskMetrics{Connector: "a", State: runtime.Running, Observed: true, Observation: connectors.Observation{Kind: "postgres", Server: "s"}}
	two := one
	two.Connector, two.Freshness = "b\xff", map[string]*runtime.Histogram{"\xfe": {}}
	one.LogEnd = 1 << 40 // nothing is confirmed yet
	if got := scrape(t, Options{Worker: tasks{one, two}}); !strings.Contains(got, `debezium_metrics_MilliSecondsBehindSource{connector="a",context="streaming",name="s",plugin="postgres",task="0"} -1`) {
		t.Error("no metrics of a")
	} else if !strings.Contains(got, `connector="b�",sink="�"`) || strings.Contains(got, "freshet_source_held_bytes") {
		t.Error(got)
	}
}
