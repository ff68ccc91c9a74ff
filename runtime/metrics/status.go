package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/runtime"
)

// StatusPath is where Status is served; the name of a connector follows.
const StatusPath = "/freshet/connectors/"

// Handlers are what a worker serves beside the REST API, by path: /metrics, and Status below StatusPath.
func Handlers(o Options) map[string]http.Handler {
	return map[string]http.Handler{"/metrics": Handler(o), StatusPath: Status(o.Worker)}
}

// connectorStatus is the answer of Status.
type connectorStatus struct {
	Name  string       `json:"name"`
	Scope string       `json:"scope"`
	Tasks []taskStatus `json:"tasks"`
}

type taskStatus struct {
	ID        int                  `json:"id"`
	State     runtime.State        `json:"state"`
	Trace     string               `json:"trace,omitempty"`
	Connected *bool                `json:"source_connected,omitempty"`
	Positions *positions           `json:"positions,omitempty"`
	Lag       lag                  `json:"lag"`
	Queue     queue                `json:"queue"`
	Records   records              `json:"records"`
	Freshness map[string]freshness `json:"freshness"`
	Snapshot  *snapshot            `json:"snapshot,omitempty"`
	Lost      []lostRange          `json:"lost"`
	LostTotal int64                `json:"lost_total"`
}

type positions struct {
	Read        string `json:"read,omitempty"`
	Transaction string `json:"transaction,omitempty"`
}

// lag is null where nothing is known.
type lag struct {
	Bytes   *uint64  `json:"bytes"`
	Seconds *float64 `json:"seconds"`
	Held    *uint64  `json:"held_bytes"`
}

type queue struct {
	Bytes   int64 `json:"bytes"`
	Limit   int64 `json:"limit_bytes"`
	Records int64 `json:"records"`
}

type records struct {
	Read     int64 `json:"read"`
	Written  int64 `json:"written"`
	Restarts int64 `json:"restarts"`
}

// freshness is read off the histogram's buckets, of all that the task has written.
type freshness struct {
	Records uint64  `json:"records"`
	P50     float64 `json:"p50_seconds"`
	P99     float64 `json:"p99_seconds"`
}

type snapshot struct {
	Running   bool             `json:"running"`
	Completed bool             `json:"completed"`
	Tables    int              `json:"tables"`
	Remaining int              `json:"tables_remaining"`
	Rows      int64            `json:"rows"`
	Expected  int64            `json:"rows_expected,omitempty"`
	PerSecond float64          `json:"rows_per_second"`
	Percent   *float64         `json:"percent"`
	ETA       *float64         `json:"eta_seconds"`
	Took      float64          `json:"seconds"`
	ByTable   map[string]int64 `json:"rows_by_table,omitempty"`
}

type lostRange struct {
	From  string    `json:"from"`
	To    string    `json:"to"`
	Bytes uint64    `json:"bytes,omitempty"`
	Text  string    `json:"text"`
	When  time.Time `json:"when"`
}

// Status serves GET /freshet/connectors/{name}: what the connector's tasks on this worker do. The path is that of the request.
func Status(w Worker) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			out.Header().Set("Allow", "GET, HEAD")
			answer(out, http.StatusMethodNotAllowed, problem{http.StatusMethodNotAllowed, "only GET is possible here"})
			return
		}
		name := strings.TrimPrefix(r.URL.Path, StatusPath)
		status := connectorStatus{Name: name, Scope: "tasks on this worker"}
		for _, t := range w.Metrics() {
			if t.Connector == name {
				status.Tasks = append(status.Tasks, statusOf(&t))
			}
		}
		if status.Tasks == nil {
			answer(out, http.StatusNotFound, problem{http.StatusNotFound, fmt.Sprintf("no task of connector %s runs on this worker; "+
				"GET /connectors/%s/status tells which workers have its tasks", name, name)})
			return
		}
		answer(out, http.StatusOK, status)
	})
}

type problem struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

func answer(out http.ResponseWriter, code int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
		return
	}
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(code)
	_, _ = out.Write(text) // the client is gone
}

func statusOf(t *runtime.TaskMetrics) taskStatus {
	out := taskStatus{
		ID: t.Task, State: t.State, Trace: t.Trace,
		Queue:     queue{t.Queued, t.QueueLimit, t.Active},
		Records:   records{t.Records, t.Written, t.Restarts},
		Freshness: map[string]freshness{},
		Lost:      []lostRange{}, LostTotal: t.LostRanges,
	}
	if !t.Committed.IsZero() {
		seconds := t.Behind.Seconds()
		out.Lag.Seconds = &seconds
	}
	for sink, h := range t.Freshness {
		buckets, n, _ := h.Read()
		out.Freshness[sink] = freshness{n, quantile(buckets, n, 0.5), quantile(buckets, n, 0.99)}
	}
	for _, r := range t.Lost {
		out.Lost = append(out.Lost, lostRange(r))
	}
	if !t.Observed {
		return out
	}
	out.Connected = &t.Connected
	if t.Position != "" || t.LastTransaction != "" {
		out.Positions = &positions{t.Position, t.LastTransaction}
	}
	if t.LogEnd > 0 {
		bytes := t.LogEnd - min(t.Read, t.LogEnd)
		out.Lag.Bytes = &bytes
		if t.Held > 0 {
			held := t.LogEnd - min(t.Held, t.LogEnd)
			out.Lag.Held = &held
		}
	}
	out.Snapshot = snapshotOf(t)
	return out
}

// snapshotOf is nil when there was none.
func snapshotOf(t *runtime.TaskMetrics) *snapshot {
	s := &t.Snapshot
	if !s.Running && !s.Completed && len(s.Rows) == 0 {
		return nil
	}
	out := &snapshot{
		Running: s.Running, Completed: s.Completed, Tables: s.Tables, Remaining: s.Remaining, Expected: s.Expected, Took: s.Took.Seconds(), ByTable: s.Rows,
	}
	for _, n := range s.Rows {
		out.Rows += n
	}
	if seconds := s.Took.Seconds(); seconds > 0 {
		out.PerSecond = math.Round(float64(out.Rows)/seconds*10) / 10
	}
	if s.Completed {
		done := 100.0
		out.Percent = &done
		return out
	}
	if s.Expected > 0 {
		// The number of rows is an estimate: there may be more.
		percent := math.Round(min(99.9, 100*float64(out.Rows)/float64(s.Expected))*10) / 10
		out.Percent = &percent
		if left := s.Expected - out.Rows; s.Running && left > 0 && out.PerSecond > 0 {
			eta := math.Round(float64(left) / out.PerSecond)
			out.ETA = &eta
		}
	}
	return out
}

// quantile interpolates in a bucket; beyond the last bound it is that bound.
func quantile(buckets map[float64]uint64, n uint64, q float64) float64 {
	if n == 0 {
		return 0
	}
	bounds := make([]float64, 0, len(buckets))
	for b := range buckets {
		bounds = append(bounds, b)
	}
	slices.Sort(bounds)
	rank := q * float64(n)
	from, below := 0.0, uint64(0)
	for _, b := range bounds {
		if at := buckets[b]; float64(at) >= rank && at > below {
			return from + (b-from)*(rank-float64(below))/float64(at-below)
		}
		from, below = b, buckets[b]
	}
	return from
}
