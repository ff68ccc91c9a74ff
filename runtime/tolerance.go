package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// DeadLetters opens the queues that keep records which could not be processed.
type DeadLetters interface {
	// Check tells what is wrong with the keys of a queue (errors.deadletterqueue.*), each with its key; it connects to nothing.
	Check(c, worker connectors.Config) map[string]error
	// Open opens the queue that a configuration names.
	Open(ctx context.Context, c connectors.Config, s connectors.Settings) (DeadLetterQueue, error)
}

// DeadLetterQueue is safe for concurrent use.
type DeadLetterQueue interface {
	// Add takes one record; nothing of l is kept after it returns.
	Add(ctx context.Context, l *DeadLetter) error
	// Flush returns when everything that was added is durable.
	Flush(ctx context.Context) error
	Close(ctx context.Context) error
}

// DeadLetter is one record that could not be processed, and why.
type DeadLetter struct {
	Stage connectors.Stage
	Class string // of what was at work: a converter, a sink
	Sink  string // its alias; "" for the only one
	Cause error
	Raw   *connectors.Raw // nil: the record did not come from Kafka, it is the next two
	Batch *connectors.Batch
	Index int // of the record in Batch
}

const (
	prefixErrors      = "errors."
	keyTolerance      = "errors.tolerance"
	prefixDeadLetters = "errors.deadletterqueue."
	keyDeadLetterFile = "errors.deadletterqueue.file"
	sinkTaskClass     = "org.apache.kafka.connect.sink.SinkTask"            // which the reference names for TASK_PUT
	sourceTaskClass   = "org.apache.kafka.connect.runtime.WorkerSourceTask" // and for KAFKA_PRODUCE
)

// tolerance is what a configuration says of records that cannot be processed (errors.*).
type tolerance struct {
	all     bool // they are left out
	log     bool
	details bool              // the log shows which record it was
	queue   connectors.Config // nil: none
}

// readTolerance reads the connector's errors.*, over which a sink of several has its own.
func readTolerance(c, sink connectors.Config) tolerance {
	merged := connectors.Config{}
	for name, v := range c {
		if !strings.HasPrefix(name, prefixSinks) {
			merged[name] = v
		}
	}
	for name, v := range sink {
		if strings.HasPrefix(name, prefixErrors) || overridden(name) != "" {
			merged[name] = v
		}
	}
	is := func(key, value string) bool { return strings.EqualFold(strings.TrimSpace(merged[key]), value) }
	t := tolerance{all: is(keyTolerance, "all"), log: is("errors.log.enable", "true"), details: is("errors.log.include.messages", "true")}
	if t.all && (strings.TrimSpace(merged[keyDeadLetters]) != "" || strings.TrimSpace(merged[keyDeadLetterFile]) != "") {
		t.queue = merged
	}
	return t
}

// checkQueues looks at the dead-letter queues of a configuration, those of its sinks included.
func (w *Worker) checkQueues(c connectors.Config, p *pipeline, values []connectors.ConfigValue) []connectors.ConfigValue {
	check := func(t tolerance, at string) {
		if t.queue == nil {
			return
		}
		if w.options.DeadLetters == nil {
			values = addError(values, at+keyTolerance, errors.New("there are no dead-letter queues here"))
			return
		}
		for name, err := range w.options.DeadLetters.Check(t.queue, w.options.Config) {
			values = addError(values, at+name, err)
		}
	}
	check(p.tolerance, "")
	def := &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: slices.Concat(errorKeys(), queueKeys(), ownKeys(true))}
	for i, alias := range connectors.SplitList(c[keySinks]) {
		own := connectors.Config{}
		for name, v := range c {
			if key, ok := strings.CutPrefix(name, prefixSinks+alias+"."); ok && strings.HasPrefix(key, prefixErrors) {
				own[key] = v
			}
		}
		if len(own) == 0 {
			continue
		}
		given, _ := def.Validate(own)
		given = slices.DeleteFunc(given, func(v connectors.ConfigValue) bool { return len(v.Errors) == 0 })
		values = merge(values, prefixed(prefixSinks+alias+".", given))
		if i < len(p.sinks) {
			check(p.sinks[i].tolerance, prefixSinks+alias+".")
		}
	}
	return values
}

// queueKey is the same for configurations that name the same queue.
func (t tolerance) queueKey() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(t.queue)) {
		if strings.HasPrefix(name, prefixDeadLetters) || overridden(name) != "" {
			fmt.Fprintf(&b, "%s\x00%s\x00", name, t.queue[name])
		}
	}
	return b.String()
}

// rejects decides about the records of a task that cannot be processed: it fails with the first one, or they are left out and
// kept in the dead-letter queue, where there is one.
type rejects struct {
	tolerance
	run    *instance
	letter DeadLetterQueue

	settling sync.Mutex  // one flush at a time: who finds nothing to do has waited for it
	open     atomic.Bool // the queue has what may not be durable yet

	mu   sync.Mutex
	told time.Time // when the log told of such records
	left int64     // how many there were since
}

// tellAfter is how often the log tells of records that are left out when errors.log.enable does not ask for each.
const tellAfter = time.Minute

// take is told of one record. nil: it is left out, and added to the queue; else the error to fail with.
func (r *rejects) take(ctx context.Context, l *DeadLetter) error {
	if connectors.ClassOf(l.Cause) == connectors.Fenced || !r.all {
		return l.Cause
	}
	t := r.run
	if t.hard.Err() != nil {
		return context.Cause(t.hard) // I6
	}
	t.meter.tolerated()
	if r.letter != nil {
		t.meter.letters.Add(1)
		if err := r.letter.Add(ctx, l); err != nil {
			return r.lost(err, l.Cause)
		}
		r.open.Store(true)
	}
	r.tell(l)
	return nil
}

// settle makes everything that was taken durable.
func (r *rejects) settle(ctx context.Context) error {
	r.settling.Lock()
	defer r.settling.Unlock()
	if !r.open.Swap(false) {
		return nil
	}
	if err := r.letter.Flush(ctx); err != nil {
		r.open.Store(true)
		return r.lost(err, nil)
	}
	return nil
}

// settleLetters makes what sinks have rejected durable, before offsets that were acknowledged until now are stored (I1).
func (t *instance) settleLetters(ctx context.Context) error {
	for _, s := range t.sinks {
		if err := s.rejects.settle(ctx); err != nil {
			if ctx.Err() == nil {
				t.fail(err) // the next instance opens the queue anew
			}
			return err
		}
	}
	return nil
}

// lost is the error of a queue that does not take a record: the task must not go on without it.
func (r *rejects) lost(err, cause error) error {
	r.run.meter.lettersFailed.Add(1)
	if stopped := context.Cause(r.run.hard); stopped != nil {
		return stopped
	}
	if cause == nil {
		return fmt.Errorf("write to the dead-letter queue: %w", err)
	}
	return fmt.Errorf("write to the dead-letter queue: %w; the record was to go there because: %s", err, cause.Error())
}

// tell writes the log.
func (r *rejects) tell(l *DeadLetter) {
	log := r.run.log
	if l.Sink != "" {
		log = log.With("sink", l.Sink)
	}
	what := "left out"
	if r.letter != nil {
		what = "put into the dead-letter queue"
	}
	if r.log {
		r.run.meter.logged.Add(1)
		log.Error("a record cannot be processed and is "+what, slices.Concat([]any{"stage", string(l.Stage), "class", l.Class, "error", l.Cause}, r.describe(l))...)
		return
	}
	r.mu.Lock()
	r.left++
	n, now := r.left, time.Now()
	quiet := now.Sub(r.told) < tellAfter
	if !quiet {
		r.left, r.told = 0, now
	}
	r.mu.Unlock()
	if !quiet {
		log.Warn("records that cannot be processed are "+what+"; errors.log.enable=true logs each", "records", n, "stage", string(l.Stage), "error", l.Cause)
	}
}

// describe names the record for the log.
func (r *rejects) describe(l *DeadLetter) []any {
	switch {
	case !r.details:
		return nil
	case l.Raw != nil:
		return []any{"topic", l.Raw.Topic, "partition", l.Raw.Partition, "offset", l.Raw.Offset, "timestamp", l.Raw.Timestamp}
	case l.Batch == nil || l.Index >= len(l.Batch.Records):
		return nil
	}
	rec := &l.Batch.Records[l.Index]
	return []any{"topic", topicOf(l.Batch, l.Index), "source", string(l.Batch.Source), "op", string(rec.Op.Letter()), "order", rec.Order.Text()}
}

// topicOf is the topic of a record, "" when there is no such record.
func topicOf(b *connectors.Batch, record int) string {
	if record < len(b.Records) && int(b.Records[record].Stream) < len(b.Streams) {
		return b.Streams[b.Records[record].Stream].Topic
	}
	return ""
}

// openQueues opens the dead-letter queues of a task, one for all that name the same.
func (t *instance) openQueues(ctx context.Context) error {
	open := map[string]DeadLetterQueue{}
	all := []*rejects{t.rejects}
	for _, s := range t.sinks {
		all = append(all, s.rejects)
	}
	for _, r := range all {
		if r.queue == nil {
			continue
		}
		key := r.queueKey()
		if open[key] == nil {
			if t.openQueue == nil {
				return connectors.AsPermanent(errors.New("open the dead-letter queue: this program has none"))
			}
			q, err := t.openQueue(ctx, r.queue)
			if err != nil {
				return fmt.Errorf("open the dead-letter queue: %w", err)
			}
			open[key] = q
			t.queues = append(t.queues, q)
		}
		r.letter = open[key]
	}
	return nil
}

func (t *instance) closeQueues(ctx context.Context) {
	for _, q := range t.queues {
		if err := q.Close(ctx); err != nil {
			t.log.Warn("close the dead-letter queue", "error", err)
		}
	}
}

// keepsLetters tells that records may go to a dead-letter queue.
func (p *pipeline) keepsLetters() bool {
	return p.tolerance.queue != nil || slices.ContainsFunc(p.sinks, func(s sinkPlan) bool { return s.queue != nil })
}

// converterClasses names what is at work in each stage that is neither the source's nor the sink's.
func (w *Worker) converterClasses(c connectors.Config) map[connectors.Stage]string {
	out := map[connectors.Stage]string{connectors.StageProduce: sourceTaskClass}
	for at, key := range map[connectors.Stage]string{
		connectors.StageKeyConverter: "key.converter", connectors.StageValueConverter: "value.converter", connectors.StageHeaderConverter: "header.converter",
	} {
		class := strings.TrimSpace(c[key])
		if class == "" {
			class = strings.TrimSpace(w.options.Config[key])
		}
		if class == "" && at != connectors.StageHeaderConverter {
			class = defaultConverter
		}
		t := ConverterPlugin
		if at == connectors.StageHeaderConverter {
			t = HeaderConverterPlugin
			if class == "" {
				class = defaultHeaderConverter
			}
		}
		if p := w.options.Catalog.Plugin(t, class); p != nil {
			class = p.Class
		}
		out[at] = class
	}
	return out
}
