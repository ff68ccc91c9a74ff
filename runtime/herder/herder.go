package herder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// Options configures a Herder. Worker, Config, Status and Group are required.
type Options struct {
	Worker    *runtime.Worker
	Config    ConfigLog
	Status    StatusLog
	Group     Group
	WorkerID  string // host:port of this worker's REST interface, as statuses show it
	URL       string // of this worker's REST interface
	ClusterID string
	GroupID   string       // group.id: the first part of transactional ids
	Logger    *slog.Logger // nil: nothing is logged

	// Resolve replaces the placeholders of config providers; nil: there are none. What it returns is never stored or shown.
	Resolve func(connectors.Config) (connectors.Config, error)
	// Forward sends task configurations to the leader (PutTasks there), ForwardFence asks it to fence (Fence there).
	Forward      func(ctx context.Context, leaderURL, name string, tasks []connectors.Config) error
	ForwardFence func(ctx context.Context, leaderURL, name string) error
	// Fence ends all earlier producers of these transactional ids; nil: this worker has no exactly-once support for sources.
	Fence func(ctx context.Context, transactionalIDs []string) error
	// SetLogLevel is called when a level is set for the whole cluster.
	SetLogLevel func(logger, level string)

	KeyTTL          time.Duration // inter.worker.key.ttl.ms; 0: an hour
	KeyAlgorithm    string        // inter.worker.key.generation.algorithm; "": HmacSHA256
	Signature       string        // inter.worker.signature.algorithm; "": HmacSHA256
	Verification    []string      // inter.worker.verification.algorithms; nil: HmacSHA256
	NoTopicTracking bool          // topic.tracking.enable=false
	NoTopicReset    bool          // topic.tracking.allow.reset=false
}

// Herder is one worker's view of the connectors of its group, and what runs its share of them. All methods are safe for
// concurrent use; those that read answer from memory.
type Herder struct {
	o   Options
	log *slog.Logger
	ops chan struct{} // held by the one change that this worker makes as leader

	mu         sync.RWMutex
	desired    *desired
	statuses   *statuses
	membership membership
	shares     map[string]*share // what runs or is reported here, by connector
	queue      queue
	session    context.Context // ends when this worker loses its place in the group
	endSession context.CancelFunc
	settled    chan struct{} // closed when a connector was worked on or a status has come
	turned     time.Time     // of the loop
	read       time.Time     // when the config log was last seen to its end
	unread     error         // why it could not be since
	failure    error         // why Run has ended
	stats      Stats
	wake       chan struct{}
}

// membership is what the group said last.
type membership struct {
	joined bool
	Assignment
	assigned map[string]map[int]bool
	led      bool // the config log was told that this worker leads
	cleaned  bool // statuses of what is no more were removed in this generation, and none has come since
}

const (
	parallel  = 16 // connectors that are started, stopped or planned at the same time
	turn      = 500 * time.Millisecond
	healthy   = 10 * time.Second // the loop turns more often
	readEvery = 5 * time.Second  // the end of the config log is looked for
	readable  = 30 * time.Second // it is found more often
	lastFlush = 10 * time.Second // for the last statuses
)

// New returns a herder that does nothing before Run.
func New(o Options) *Herder {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Resolve == nil {
		o.Resolve = func(c connectors.Config) (connectors.Config, error) { return c, nil }
	}
	if o.KeyTTL <= 0 {
		o.KeyTTL = time.Hour
	}
	if o.KeyAlgorithm == "" {
		o.KeyAlgorithm = hmacSHA256
	}
	if o.Signature == "" {
		o.Signature = hmacSHA256
	}
	if o.Verification == nil {
		o.Verification = []string{hmacSHA256}
	}
	h := &Herder{
		o: o, log: o.Logger.With("logger", "freshet.herder"), ops: make(chan struct{}, 1), desired: newDesired(), statuses: newStatuses(), shares: map[string]*share{},
		settled: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	h.session, h.endSession = context.WithCancel(context.Background())
	return h
}

// Run takes part in the group until ctx ends; then it stops gracefully what runs here. An error means that this worker cannot take
// part. It closes neither the logs nor the worker.
func (h *Herder) Run(ctx context.Context) (err error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // what is stopped after ctx still reports
	defer end()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.failure = errors.Join(errors.New("the worker has stopped"), err)
	}()
	if err := h.startLogs(ctx, life); err != nil {
		return err
	}
	watcher := runtime.Watcher{Changed: h.touch}
	if !h.o.NoTopicTracking {
		watcher.Topic = h.sawTopic
	}
	h.o.Worker.Watch(watcher)
	defer h.o.Worker.Watch(runtime.Watcher{})
	looping := make(chan struct{})
	go func() { defer close(looping); h.loop(life) }()
	err = h.o.Group.Run(ctx, h)
	if err != nil {
		err = fmt.Errorf("take part in the group: %w", err)
	}
	h.Revoke(context.WithoutCancel(ctx), h.Running())
	flush, cancel := context.WithTimeout(life, lastFlush)
	defer cancel()
	if ferr := h.o.Status.Flush(flush); ferr != nil {
		h.log.Warn("the last statuses were not written", "error", ferr)
	}
	end()
	h.mu.Lock()
	h.endSession()
	h.mu.Unlock()
	<-looping
	return err
}

func (h *Herder) startLogs(ctx, life context.Context) error {
	reading, cancel := context.WithCancel(life)
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	if err := h.o.Status.Start(reading, h.applyStatus); err != nil {
		return fmt.Errorf("read the status log: %w", err)
	}
	if err := h.o.Config.Start(reading, h.applyConfig); err != nil {
		return fmt.Errorf("read the config log: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read = time.Now()
	h.desired.goLive()
	return nil
}

// applyConfig takes in a record of the config log.
func (h *Herder) applyConfig(offset int64, m Message, live bool) {
	h.mu.Lock()
	if live && !h.desired.live {
		h.desired.goLive()
	}
	e, err := h.desired.apply(offset, m)
	if err == nil && e.restart != nil && live {
		h.restartShare(e.connector, *e.restart)
	}
	if e.connector != "" {
		h.queue.add(e.connector)
	}
	var orphans []Message
	if e.removed && live && h.membership.Leader {
		orphans = h.statuses.deletions(e.connector)
	}
	h.mu.Unlock()
	h.stir()
	if err != nil {
		h.log.Warn("a record of the config log is skipped", "key", m.Key, "offset", offset, "error", err)
	}
	for _, d := range orphans {
		h.o.Status.Put(d)
	}
	if e.reshaped && live {
		h.o.Group.Rejoin()
	}
	if e.logger != "" && live && h.o.SetLogLevel != nil {
		h.o.SetLogLevel(e.logger, e.level)
	}
}

// touch has a connector looked at again.
func (h *Herder) touch(name string) {
	h.mu.Lock()
	h.queue.add(name)
	h.mu.Unlock()
	h.stir()
}

func (h *Herder) stir() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// loop is the goroutine "herder": it decides what is worked on, and starts a goroutine for each connector that is.
func (h *Herder) loop(ctx context.Context) {
	ticker := time.NewTicker(turn)
	defer ticker.Stop()
	var working sync.WaitGroup
	defer working.Wait()
	for {
		h.mu.Lock()
		h.turned = time.Now()
		names := h.queue.take(parallel)
		h.mu.Unlock()
		for _, name := range names {
			working.Go(func() { h.work(ctx, name) })
		}
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-ticker.C:
			h.touch(upkeep)
		}
	}
}

// upkeep is the queue's name for what a leader does now and then; no connector is called so.
const upkeep = ""

func (h *Herder) work(ctx context.Context, name string) {
	if name == upkeep {
		h.keepUp(ctx)
	} else {
		h.reconcile(ctx, name)
	}
	h.mu.Lock()
	h.queue.done(name)
	h.settle()
	h.mu.Unlock()
	h.stir()
}

// settle has mu. It wakes those who wait for what runs or is known.
func (h *Herder) settle() {
	close(h.settled)
	h.settled = make(chan struct{})
}

// queue holds the connectors that are to be looked at, each once, and those that are being looked at.
type queue struct {
	names  []string
	queued map[string]bool
	busy   map[string]bool
}

func (q *queue) add(name string) {
	if q.queued == nil {
		q.queued, q.busy = map[string]bool{}, map[string]bool{}
	}
	if !q.queued[name] {
		q.queued[name] = true
		q.names = append(q.names, name)
	}
}

// take returns what may be begun while at most n are busy.
func (q *queue) take(n int) []string {
	var out, later []string
	for i, name := range q.names {
		if len(q.busy) >= n {
			later = append(later, q.names[i:]...)
			break
		}
		if q.busy[name] {
			later = append(later, name)
			continue
		}
		delete(q.queued, name)
		q.busy[name] = true
		out = append(out, name)
	}
	q.names = later
	return out
}

// holds tells that a connector is looked at, or will be.
func (q *queue) holds(name string) bool { return q.queued[name] || q.busy[name] }

func (q *queue) done(name string) { delete(q.busy, name) }

const unable = "Worker was unable to handle this request and may be unable to handle other requests."

// Health is healthy, starting or unhealthy, and why.
func (h *Herder) Health(context.Context) (status, message string) {
	stalled := h.o.Worker.Stalled()
	h.mu.RLock()
	defer h.mu.RUnlock()
	trouble := h.o.Group.Trouble()
	switch {
	case h.failure != nil:
		return "unhealthy", fmt.Sprintf("%s %v", unable, h.failure)
	case trouble != nil:
		return "unhealthy", fmt.Sprintf("%s %v", unable, trouble)
	case !h.membership.joined:
		return "starting", "Worker is still starting up."
	case time.Since(h.turned) > healthy:
		return "unhealthy", fmt.Sprintf("%s The herder has not turned for %s.", unable, time.Since(h.turned).Round(time.Second))
	case time.Since(h.read) > readable:
		return "unhealthy", fmt.Sprintf("%s The config log has not been read to its end for %s: %v", unable, time.Since(h.read).Round(time.Second), h.unread)
	case len(stalled) > 0:
		return "unhealthy", stalledText(stalled)
	}
	return "healthy", "Worker has completed startup and is ready to handle requests."
}

// stalledText names the tasks that do not move, the first of them.
func stalledText(stalled []runtime.Stall) string {
	const named = 10
	var list []string
	for i := range stalled[:min(len(stalled), named)] {
		list = append(list, stalled[i].String())
	}
	if n := len(stalled) - named; n > 0 {
		list = append(list, fmt.Sprintf("and %d more", n))
	}
	return "The worker runs, but " + strings.Join(list, "; ") + ". See the log of these tasks and the servers that they write to."
}

// ClusterID is the id of the Kafka cluster that the group lives on.
func (h *Herder) ClusterID() string { return h.o.ClusterID }
