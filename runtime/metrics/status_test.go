package metrics

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

func get(w Worker, method, path string) (int, string) {
	rec := httptest.NewRecorder()
	Handlers(Options{Worker: w})[StatusPath].ServeHTTP(rec, httptest.NewRequest(method, path, nil))
	return rec.Code, rec.Body.String()
}

// TestStatus: what a task does, with what it has lost and how far its snapshot is.
func TestStatus(t *testing.T) {
	t.Parallel()
	task := runtime.TaskMetrics{
		Connector: "a b", Task: 2, State: runtime.Running, Records: 100, Written: 90, Active: 10, Queued: 1000, QueueLimit: 4000,
		Committed: time.UnixMilli(5), Behind: 12 * time.Millisecond, Freshness: map[string]*runtime.Histogram{"kafka": {}}, Observed: true, LostRanges: 3,
		Observation: connectors.Observation{
			Kind: "postgres", Connected: true, LogEnd: 500, Read: 400, Position: "0/190", LastTransaction: "77",
			Lost:     []connectors.LostRange{{From: "0/10", To: "0/20", Bytes: 16, Text: "gone", When: time.UnixMilli(0).UTC()}},
			Snapshot: connectors.SnapshotObservation{Running: true, Tables: 2, Remaining: 1, Rows: map[string]int64{"public.a": 40, "public.b": 10}, Expected: 200, Took: 5 * time.Second},
		},
	}
	code, body := get(tasks{task, {Connector: "other", State: runtime.Failed, Trace: "broken"}}, "GET", "/freshet/connectors/a%20b")
	want := `{"name":"a b","scope":"tasks on this worker","tasks":[{"id":2,"state":"RUNNING","source_connected":true,"positions":{"read":"0/190","transaction":"77"},` +
		`"lag":{"bytes":100,"seconds":0.012,"held_bytes":null},"queue":{"bytes":1000,"limit_bytes":4000,"records":10},"records":{"read":100,"written":90,"restarts":0},` +
		`"freshness":{"kafka":{"records":0,"p50_seconds":0,"p99_seconds":0}},` +
		`"snapshot":{"running":true,"completed":false,"tables":2,"tables_remaining":1,"rows":50,"rows_expected":200,"rows_per_second":10,"percent":25,"eta_seconds":15,"seconds":5,"rows_by_table":{"public.a":40,"public.b":10}},` +
		`"lost":[{"from":"0/10","to":"0/20","bytes":16,"text":"gone","when":"1970-01-01T00:00:00Z"}],"lost_total":3}]}`
	if code != 200 || body != want {
		t.Errorf("got %d\n%s\nwant\n%s", code, body, want)
	}
	if code, body := get(tasks{task}, "GET", "/freshet/connectors/none"); code != 404 || !strings.Contains(body, "no task of connector none runs on this worker") || !json.Valid([]byte(body)) {
		t.Errorf("got %d %s", code, body)
	}
	if code, _ := get(tasks{task}, "DELETE", "/freshet/connectors/a%20b"); code != 405 {
		t.Errorf("got %d", code)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	buckets := map[float64]uint64{0.001: 0, 0.01: 50, 0.1: 100, 1: 100}
	for q, want := range map[float64]float64{0.25: 0.0055, 0.5: 0.01, 0.75: 0.055, 1: 0.1} {
		if got := quantile(buckets, 100, q); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%v: got %v, want %v", q, got, want)
		}
	}
	if got := quantile(buckets, 200, 0.99); got != 1 {
		t.Errorf("beyond the last bound: %v", got)
	}
}
