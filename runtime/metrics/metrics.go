// Package metrics shows what a worker does as Prometheus metrics: under the names that the usual exporter rules make of Kafka Connect's
// and Debezium's JMX metrics (the examples of jmx_exporter, Strimzi and Debezium), so that dashboards go on working, and
// under names of its own (freshet_…) what those do not have. docs/metrics.md lists them.
//
// It asks the worker when it is asked itself, and starts no goroutine.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

// Worker is what is shown.
type Worker interface {
	Metrics() []runtime.TaskMetrics
	Startups() (attempts, failures int64) // of tasks
}

// Options is what Handler needs. Cluster is (*herder.Herder).Stats; nil: a worker that has no herder.
type Options struct {
	Worker  Worker
	Cluster func() herder.Stats
	Version string
}

// Handler serves GET /metrics.
func Handler(o Options) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &collector{o})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// collector makes the metrics of a moment. It describes none beforehand: connectors come and go.
type collector struct{ options Options }

// Describe implements prometheus.Collector.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	e := emitter{out}
	e.gauge("freshet_build_info", "Version of Freshet.", 1, labels{{"version", c.options.Version}})
	tasks := c.options.Worker.Metrics()
	c.worker(e, tasks)
	for i := range tasks {
		t := &tasks[i]
		at := labels{{"connector", t.Connector}, {"task", strconv.Itoa(t.Task)}}
		e.connect(t, at)
		e.own(t, at)
		if t.Observed {
			e.debezium(t, at)
		}
	}
}

// labels are names with their values.
type labels [][2]string

func (l labels) with(name, value string) labels {
	return append(l[:len(l):len(l)], [2]string{name, value})
}

func (l labels) split() (names, values []string) {
	names, values = make([]string, len(l)), make([]string, len(l))
	for i, v := range l {
		names[i], values[i] = v[0], strings.ToValidUTF8(v[1], "\uFFFD")
	}
	return names, values
}

type emitter struct{ out chan<- prometheus.Metric }

func (e emitter) emit(kind prometheus.ValueType, name, help string, value float64, l labels) {
	names, values := l.split()
	e.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
}

func (e emitter) gauge(name, help string, value float64, l labels) {
	e.emit(prometheus.GaugeValue, name, help, value, l)
}

func (e emitter) counter(name, help string, value float64, l labels) {
	e.emit(prometheus.CounterValue, name, help, value, l)
}

// worker shows kafka.connect:type=connect-worker-metrics and connect-worker-rebalance-metrics.
func (c *collector) worker(e emitter, tasks []runtime.TaskMetrics) {
	perConnector := map[string]map[runtime.State]int{}
	for i := range tasks {
		states := perConnector[tasks[i].Connector]
		if states == nil {
			states = map[runtime.State]int{}
			perConnector[tasks[i].Connector] = states
		}
		states[tasks[i].State]++
	}
	for connector, states := range perConnector {
		total := 0
		for _, n := range states {
			total += n
		}
		count := func(name string, n int) {
			e.gauge("kafka_connect_worker_connector_"+name+"_task_count", "Kafka Connect JMX metric worker connector", float64(n), labels{{"connector", connector}})
		}
		count("total", total)
		for _, state := range taskStates {
			count(strings.ToLower(string(state)), states[state])
		}
	}
	state := herder.Stats{Connectors: len(perConnector)}
	if c.options.Cluster != nil {
		state = c.options.Cluster()
	}
	g := func(name string, value float64) {
		e.gauge("kafka_connect_worker_"+name, "Kafka Connect JMX metric worker", value, nil)
	}
	startups := func(of string, attempts, failures int64) {
		g(of+"_startup_attempts_total", float64(attempts))
		g(of+"_startup_failure_total", float64(failures))
		g(of+"_startup_success_total", float64(attempts-failures))
		g(of+"_startup_failure_percentage", ratio(failures, attempts))
		g(of+"_startup_success_percentage", ratio(attempts-failures, attempts))
	}
	g("connector_count", float64(state.Connectors))
	g("task_count", float64(len(tasks)))
	attempts, failures := c.options.Worker.Startups()
	startups("task", attempts, failures)
	if c.options.Cluster == nil {
		return
	}
	startups("connector", state.Startups, state.StartupFailures)
	g("rebalance_epoch", float64(state.Epoch))
	g("rebalance_completed_rebalances_total", float64(state.Rebalances))
	g("rebalance_rebalancing", flag(state.Rebalancing))
	g("rebalance_rebalance_max_time_ms", millis(state.LongestRebalance))
	g("rebalance_rebalance_avg_time_ms", average(state.RebalanceTime, state.Rebalances))
	if !state.LastRebalance.IsZero() {
		g("rebalance_time_since_last_rebalance_ms", millis(time.Since(state.LastRebalance)))
	}
	e.gauge("freshet_worker_leader", "1 on the worker that leads the group.", flag(state.Leader), nil)
}

// taskStates are the values that the status of a task takes.
var taskStates = [...]runtime.State{runtime.Running, runtime.Paused, runtime.Failed, runtime.Restarting, runtime.Unassigned}

// connect shows connector-task-metrics, source-task-metrics and task-error-metrics. Sinks that are fed directly belong to the same task.
func (e emitter) connect(t *runtime.TaskMetrics, at labels) {
	// One series per task, as the exporters' rule makes it: alerts count those of status="failed".
	e.gauge("kafka_connect_connector_status", "Kafka Connect JMX Connector status", 1, at.with("status", strings.ToLower(string(t.State))))
	task := func(name string, value float64) {
		e.gauge("kafka_connect_connector_task_"+name, "Kafka Connect JMX metric type connector-task", value, at)
	}
	task("running_ratio", flag(t.State == runtime.Running))
	task("pause_ratio", flag(t.State == runtime.Paused))
	task("batch_size_max", float64(t.LargestBatch))
	task("batch_size_avg", ratio(t.Records, t.Batches))
	task("offset_commit_max_time_ms", millis(t.LongestCommit))
	task("offset_commit_avg_time_ms", average(t.CommitTime, t.Commits))
	task("offset_commit_failure_percentage", ratio(t.FailedCommits, t.Commits+t.FailedCommits))
	task("offset_commit_success_percentage", ratio(t.Commits, t.Commits+t.FailedCommits))
	source := func(name string, value float64) {
		e.gauge("kafka_connect_source_task_"+name, "Kafka Connect JMX metric type source-task", value, at)
	}
	source("source_record_poll_total", float64(t.Records))
	source("source_record_write_total", float64(t.Written))
	source("source_record_active_count", float64(t.Active))
	source("poll_batch_max_time_ms", millis(t.LongestPoll))
	source("poll_batch_avg_time_ms", average(t.PollTime, t.Batches))
	failures := func(name string, value float64) {
		e.gauge("kafka_connect_task_error_"+name, "Kafka Connect JMX metric type task-error", value, at)
	}
	failures("total_record_failures", float64(t.Errors+t.Skipped))
	failures("total_record_errors", float64(t.Errors+t.Skipped))
	failures("total_records_skipped", float64(t.Skipped))
	failures("total_retries", float64(t.Restarts+t.Retries))
	failures("total_errors_logged", float64(t.Errors+t.Logged))
	failures("deadletterqueue_produce_requests", float64(t.Letters))
	failures("deadletterqueue_produce_failures", float64(t.FailedLetters))
	failures("last_error_timestamp", stamp(t.LastError))
}

// own shows what the reference does not have.
func (e emitter) own(t *runtime.TaskMetrics, at labels) {
	e.gauge("freshet_task_queue_bytes", "Memory of records on their way.", float64(t.Queued), at)
	e.gauge("freshet_task_queue_limit_bytes", "Bound of freshet_task_queue_bytes.", float64(t.QueueLimit), at)
	e.counter("freshet_task_read_bytes_total", "Size of the records taken from the source, as they lie in memory.", float64(t.Bytes), at)
	e.counter("freshet_task_restarts_total", "Starts after an error.", float64(t.Restarts), at)
	e.counter("freshet_source_lost_ranges_total", "Parts of the source's log that the targets and the source do not agree about.", float64(t.LostRanges), at)
	e.counter("freshet_source_lost_bytes_total", "Size of these in the source's log.", float64(t.LostBytes), at)
	if !t.Committed.IsZero() {
		e.gauge("freshet_source_lag_seconds", "From the commit of the oldest transaction in the newest batch until the batch was read.", t.Behind.Seconds(), at)
		e.gauge("freshet_source_committed_timestamp_seconds", "When the oldest transaction in the newest batch was committed.", float64(t.Committed.UnixMicro())/1e6, at)
	}
	if t.Observed && t.LogEnd > 0 {
		e.gauge("freshet_source_lag_bytes", "Log that the server has sent and that was not read yet.", distance(t.LogEnd, t.Read), at)
		if t.Held > 0 {
			e.gauge("freshet_source_held_bytes", "Log since the position that the source has confirmed to the server.", distance(t.LogEnd, t.Held), at)
		}
	}
	for _, s := range t.Sinks {
		of := at.with("sink", s.Sink)
		e.gauge("freshet_sink_out", "1 while the other sinks go on without this one.", flag(s.Out), of)
		e.gauge("freshet_sink_needs_resync", "1 when its place in the source's log was given up.", flag(s.NeedsResync), of)
		e.gauge("freshet_sink_passed_bytes", "Changes that have passed by it since it dropped out.", float64(s.Passed), of)
	}
	for sink, h := range t.Freshness {
		buckets, n, sum := h.Read()
		names, values := at.with("sink", sink).split()
		d := prometheus.NewDesc("freshet_freshness_seconds", "From the commit in the source until the change was durable in the sink.", names, nil)
		e.out <- prometheus.MustNewConstHistogram(d, n, sum, buckets, values...)
	}
}

// debezium shows debezium.<kind>:type=connector-metrics of the contexts snapshot and streaming.
func (e emitter) debezium(t *runtime.TaskMetrics, at labels) {
	in := func(context string) labels {
		return append(at[:len(at):len(at)], [2]string{"plugin", t.Kind}, [2]string{"name", t.Server}, [2]string{"context", context})
	}
	show := func(l labels, name string, value float64) {
		e.gauge("debezium_metrics_"+name, "Debezium JMX metric "+name, value, l)
	}
	streaming, snapshot := in("streaming"), in("snapshot")
	show(streaming, "Connected", flag(t.Connected))
	show(streaming, "MilliSecondsBehindSource", behind(t))
	show(streaming, "NumberOfCommittedTransactions", float64(t.Transactions))
	for name, op := range map[string]connectors.Op{"Create": connectors.OpCreate, "Update": connectors.OpUpdate, "Delete": connectors.OpDelete} {
		show(streaming, "TotalNumberOf"+name+"EventsSeen", float64(t.Events[op]))
	}
	changes := t.Events[connectors.OpCreate] + t.Events[connectors.OpUpdate] + t.Events[connectors.OpDelete] + t.Events[connectors.OpTruncate] + t.Events[connectors.OpMessage]
	show(streaming, "TotalNumberOfEventsSeen", float64(changes))
	show(snapshot, "TotalNumberOfEventsSeen", float64(t.Events[connectors.OpRead]))
	for _, l := range []labels{streaming, snapshot} {
		show(l, "MilliSecondsSinceLastEvent", sinceLast(t))
		show(l, "NumberOfErroneousEvents", 0)
		show(l, "MaxQueueSizeInBytes", float64(t.QueueLimit))
		show(l, "CurrentQueueSizeInBytes", float64(t.Queued))
	}
	s := t.Snapshot
	show(snapshot, "SnapshotRunning", flag(s.Running))
	show(snapshot, "SnapshotCompleted", flag(s.Completed))
	show(snapshot, "SnapshotAborted", 0)
	show(snapshot, "SnapshotPaused", 0)
	show(snapshot, "SnapshotDurationInSeconds", s.Took.Seconds())
	show(snapshot, "TotalTableCount", float64(s.Tables))
	show(snapshot, "RemainingTableCount", float64(s.Remaining))
	for table, n := range s.Rows {
		show(snapshot.with("table", table), "RowsScanned", float64(n))
	}
}

// behind is -1 until there was a transaction, as in the reference.
func behind(t *runtime.TaskMetrics) float64 {
	if t.Committed.IsZero() {
		return -1
	}
	return millis(t.Behind)
}

func sinceLast(t *runtime.TaskMetrics) float64 {
	if t.LastEvent.IsZero() {
		return -1
	}
	return millis(time.Since(t.LastEvent))
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func average(sum time.Duration, n int64) float64 {
	if n == 0 {
		return 0
	}
	return millis(sum) / float64(n)
}

func ratio(part, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}

func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli())
}

func distance(end, from uint64) float64 {
	if end <= from {
		return 0
	}
	return float64(end - from)
}
