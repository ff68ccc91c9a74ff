package runtime

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// meter counts what a task does, over all its instances: for a batch a few additions, and one look at each record.
type meter struct {
	batches                atomic.Int64 // with records
	records, bytes         atomic.Int64
	settled                atomic.Int64 // records acknowledged, once for each sink
	polled                 atomic.Int64 // ns spent waiting for batches with records
	longestPoll            atomic.Int64
	largestBatch           atomic.Int64 // records
	events                 [9]atomic.Int64
	transactions           atomic.Int64
	commits, notCommitted  atomic.Int64
	committing             atomic.Int64 // ns spent storing offsets
	longestCommit          atomic.Int64
	progress               atomic.Int64 // ms since 1970: when a batch was taken or became durable, or an instance was connected
	restarts, errors       atomic.Int64
	retries                atomic.Int64 // of sinks, in place
	skipped, logged        atomic.Int64 // records that were left out; those of them that the log names
	letters, lettersFailed atomic.Int64 // records for the dead-letter queue
	lastError              atomic.Int64 // ms since 1970
	lastEvent              atomic.Int64 // ms since 1970: when the newest record was taken from the source
	committed              atomic.Int64 // µs since 1970: Batch.Committed of the newest batch that had one
	behind                 atomic.Int64 // ms between that commit and the batch's arrival

	mu        sync.Mutex
	fresh     map[string]*Histogram // by sink
	lost      []connectors.LostRange
	lostCount int64
	lostBytes uint64
}

// loses keeps the ranges that a source has found, each once: the next instance may find it again.
func (m *meter) loses(found []connectors.LostRange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range found {
		var added bool
		if m.lost, added = connectors.AddLost(m.lost, r); added {
			m.lostCount++
			m.lostBytes += r.Bytes
		}
	}
}

// freshnessBounds are the upper bounds of a Histogram's buckets in seconds.
var freshnessBounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// Histogram counts how long changes took from their commit until they were durable in a sink.
type Histogram struct {
	mu     sync.Mutex
	counts [len(freshnessBounds) + 1]uint64
	n      uint64
	sum    float64
}

// Read returns the upper bounds in seconds with the number of changes at or below each, the number of all and the sum.
func (h *Histogram) Read() (buckets map[float64]uint64, n uint64, sum float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	buckets = make(map[float64]uint64, len(freshnessBounds))
	below := uint64(0)
	for i, bound := range freshnessBounds {
		below += h.counts[i]
		buckets[bound] = below
	}
	return buckets, h.n, h.sum
}

func (h *Histogram) add(seconds float64, n uint64) {
	i := 0
	for i < len(freshnessBounds) && seconds > freshnessBounds[i] {
		i++
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[i] += n
	h.n += n
	h.sum += seconds * float64(n)
}

// histogram is that of a sink.
func (m *meter) histogram(sink string) *Histogram {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.fresh[sink]
	if h == nil {
		h = &Histogram{}
		if m.fresh == nil {
			m.fresh = map[string]*Histogram{}
		}
		m.fresh[sink] = h
	}
	return h
}

func raise(v *atomic.Int64, to int64) {
	for {
		now := v.Load()
		if to <= now || v.CompareAndSwap(now, to) {
			return
		}
	}
}

// took counts a batch that was waited for so long.
func (m *meter) took(b *connectors.Batch, waited time.Duration) {
	now := time.Now()
	m.progress.Store(now.UnixMilli())
	n := int64(len(b.Records))
	if n == 0 {
		return // a position; the reference's Poll returns nothing then
	}
	m.batches.Add(1)
	m.polled.Add(int64(waited))
	raise(&m.longestPoll, int64(waited))
	m.records.Add(n)
	m.bytes.Add(int64(b.Size()))
	raise(&m.largestBatch, n)
	var events [len(m.events)]int64
	transactions := int64(0)
	for i := range b.Records {
		r := &b.Records[i]
		events[r.Op]++
		if r.Last {
			transactions++
		}
	}
	for op, n := range events {
		if n > 0 {
			m.events[op].Add(n)
		}
	}
	m.transactions.Add(transactions)
	m.lastEvent.Store(now.UnixMilli())
	if b.Committed > 0 {
		m.committed.Store(b.Committed)
		m.behind.Store(max(0, now.UnixMilli()-b.Committed/1000))
	}
}

// retried counts an attempt of a sink after which it tries again.
func (m *meter) retried() {
	m.retries.Add(1)
	m.lastError.Store(time.Now().UnixMilli())
}

func (m *meter) failed() {
	m.errors.Add(1)
	m.lastError.Store(time.Now().UnixMilli())
}

// tolerated counts a record that is left out.
func (m *meter) tolerated() {
	m.skipped.Add(1)
	m.lastError.Store(time.Now().UnixMilli())
}

// stored counts an attempt to store offsets.
func (m *meter) stored(took time.Duration, err error) {
	if err != nil {
		m.notCommitted.Add(1)
		return
	}
	m.commits.Add(1)
	m.committing.Add(int64(took))
	raise(&m.longestCommit, int64(took))
}

// TaskMetrics is what a task has done since it was made, and what it is doing.
type TaskMetrics struct {
	Connector string
	Task      int
	State     State
	Class     string // of the connector

	Batches, Records, Bytes   int64 // taken from the source; after a restart some of them again
	Written                   int64 // records durable in the sinks: with several, the mean of them
	PollTime, LongestPoll     time.Duration
	LargestBatch              int64
	Events                    map[connectors.Op]int64
	Transactions              int64
	Active                    int64 // records that are not durable everywhere yet
	Queued, QueueLimit        int64 // bytes on their way
	Commits, FailedCommits    int64 // of offsets
	CommitTime, LongestCommit time.Duration
	Restarts, Errors          int64 // of the task
	Retries                   int64 // of its sinks, in place
	Skipped, Logged           int64 // records that could not be processed and were left out; those of them that the log names
	Letters, FailedLetters    int64 // of these, written to the dead-letter queue, and those that it did not take
	LastError, LastEvent      time.Time
	Committed                 time.Time     // when the oldest transaction of the newest batch was committed in the source
	Behind                    time.Duration // from that commit until the batch was taken
	Freshness                 map[string]*Histogram
	Sinks                     []SinkStanding // of several
	LostRanges                int64
	LostBytes                 uint64 // of those whose size is known
	Trace                     string // the last error while the task is Failed or Restarting
	Observed                  bool   // there is an Observation; Lost is there in any case
	connectors.Observation
}

// SinkStanding tells whether one of several sinks has dropped out, and how many bytes of changes have passed by it since.
type SinkStanding struct {
	Sink             string
	Out, NeedsResync bool
	Passed           int64
}

// Startups tells how many tasks were started here, and how many of these failed for good before they had connected.
func (w *Worker) Startups() (attempts, failures int64) {
	return w.startups.Load(), w.startupFailures.Load()
}

// Metrics tells what every task does, in the order of connectors and tasks.
func (w *Worker) Metrics() []TaskMetrics {
	var out []TaskMetrics
	for _, name := range w.Names() {
		c := w.find(name)
		if c == nil {
			continue
		}
		c.mu.Lock()
		tasks, paused := c.tasks, c.target == Paused
		c.mu.Unlock()
		for _, k := range tasks {
			m := k.metrics()
			m.Class = k.config[keyClass]
			if paused && m.State != Failed {
				m.State = Paused
			}
			out = append(out, m)
		}
	}
	return out
}

func (k *task) metrics() TaskMetrics {
	k.mu.Lock()
	state, in, trace := k.state, k.current, k.trace
	k.mu.Unlock()
	var observation connectors.Observation
	observed := false
	if in != nil && state == Running && in.connected.Load() {
		if observation, observed = in.observe(); observed {
			k.meter.loses(observation.Lost)
		}
	}
	out := k.meter.read()
	observation.Lost = out.Lost
	out.Observation, out.Observed = observation, observed
	out.Connector, out.Task, out.State, out.Trace = k.of.name, k.id, state, trace
	if k.plan != nil {
		out.Written = k.meter.settled.Load() / int64(max(len(k.plan.sinks), 1))
	}
	if in == nil || state != Running {
		return out
	}
	out.Queued, out.QueueLimit = in.budget.level()
	out.Active = in.active()
	out.Sinks = in.standings()
	return out
}

// observe asks the source; false: it tells nothing.
func (t *instance) observe() (connectors.Observation, bool) {
	o, ok := t.source.(connectors.Observed)
	if !ok {
		return connectors.Observation{}, false
	}
	return o.Observe(), true
}

func (m *meter) read() TaskMetrics {
	out := TaskMetrics{
		Batches: m.batches.Load(), Records: m.records.Load(), Bytes: m.bytes.Load(), PollTime: time.Duration(m.polled.Load()),
		LongestPoll: time.Duration(m.longestPoll.Load()), LargestBatch: m.largestBatch.Load(), Events: map[connectors.Op]int64{},
		Transactions: m.transactions.Load(), Commits: m.commits.Load(), FailedCommits: m.notCommitted.Load(),
		CommitTime: time.Duration(m.committing.Load()), LongestCommit: time.Duration(m.longestCommit.Load()), Restarts: m.restarts.Load(),
		Skipped: m.skipped.Load(), Logged: m.logged.Load(), Letters: m.letters.Load(), FailedLetters: m.lettersFailed.Load(),
		Errors: m.errors.Load(), Retries: m.retries.Load(), LastError: moment(m.lastError.Load()), LastEvent: moment(m.lastEvent.Load()),
		Behind: time.Duration(m.behind.Load()) * time.Millisecond, Freshness: map[string]*Histogram{},
	}
	if us := m.committed.Load(); us > 0 {
		out.Committed = time.UnixMicro(us)
	}
	for op := range m.events {
		out.Events[connectors.Op(op)] = m.events[op].Load()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for sink, h := range m.fresh {
		out.Freshness[sink] = h
	}
	out.Lost, out.LostRanges, out.LostBytes = slices.Clone(m.lost), m.lostCount, m.lostBytes
	return out
}

// moment is ms since 1970; the zero time for 0.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
