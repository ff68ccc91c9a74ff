// Package standalone runs connectors from files in one process, as Kafka Connect's standalone mode does: it reads the files,
// chooses where offsets are kept, and runs a runtime.Worker until it is told to stop.
// Where the worker's file has listeners it serves Kafka Connect's REST API, too.
//
// Goroutines, only then: "rest" serves the API, "herder" runs the herder behind it; both end with Run.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/boltstore"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/loglevel"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

const (
	keyFile        = workerconfig.KeyOffsetFile
	keyTopic       = workerconfig.KeyOffsetTopic
	keyExactlyOnce = workerconfig.KeyExactlyOnce

	// DefaultFile is where offsets are kept when nothing is said.
	DefaultFile = "freshet-offsets.db"
	// DefaultTopic is where they are kept for an exactly-once Kafka sink when nothing is said.
	DefaultTopic = "freshet-offsets"
)

// Options says what to run.
type Options struct {
	Connectors []string // connector files
	Worker     string   // worker properties file; "" for none
	Catalog    *runtime.Catalog
	// CatalogFor makes the catalog for a worker's properties, which may name plugins; nil: Catalog is that of every worker.
	CatalogFor func(*workerconfig.Config) *runtime.Catalog
	// KafkaStore opens offsets in a Kafka topic, with the worker's client properties; nil: not available.
	KafkaStore  func(ctx context.Context, worker connectors.Config, topic string) (offsets.Store, error)
	Logger      *slog.Logger        // nil: nothing is logged
	Tracer      runtime.Tracer      // nil: nothing is traced
	DeadLetters runtime.DeadLetters // nil: there are no dead-letter queues
	Version     string
	// UntilDone ends the run when every source has ended and all of it is durable.
	UntilDone bool
	// Levels are those of /admin/loggers, SetLogLevel sets one for the whole cluster, and Extra serves more paths beside the REST
	// API; all may be nil. They matter where the worker's file has listeners.
	Levels      *loglevel.Levels
	SetLogLevel func(logger, level string)
	Extra       func(*runtime.Worker, *herder.Herder) map[string]http.Handler
	// Started is called once, when every connector has been put; nil: nobody.
	Started func(*runtime.Worker)
}

// Checked is the validation result of one connector file.
type Checked struct {
	Connector Connector
	Values    []connectors.ConfigValue
}

// setup is everything read from files.
type setup struct {
	options    Options
	config     *workerconfig.Config
	worker     connectors.Config // of config, with what is chosen here
	connectors []Connector
	put        func(context.Context, Connector) error
	waiting    []Connector // not put yet, for a server could not be reached
	attempts   int
	refused    map[string]error // connectors that were refused when their servers could be reached at last
}

func load(o Options) (*setup, error) {
	if len(o.Connectors) == 0 {
		return nil, errors.New("no connector file is named")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &setup{options: o, refused: map[string]error{}}
	c, err := workerconfig.Read(o.Worker, workerconfig.Standalone, nil)
	if c != nil {
		for _, w := range c.Warnings {
			o.Logger.Warn(w)
		}
	}
	if err != nil {
		return nil, err
	}
	s.config, s.worker = c, c.Properties
	if o.Worker != "" {
		o.Logger.Info("worker settings", c.Attrs()...)
	}
	if o.UntilDone && s.served() {
		return nil, errors.New("a worker that serves the REST API (listeners) has no end of its own: leave --until-done or the key out")
	}
	return s, s.readConnectors(c.Providers)
}

func (s *setup) readConnectors(p *workerconfig.Providers) error {
	seen := map[string]string{}
	for _, path := range s.options.Connectors {
		c, err := ReadConnector(path)
		if err != nil {
			return err
		}
		if other, twice := seen[c.Name]; twice {
			return fmt.Errorf("connector %s is in %s and in %s; give one another name", c.Name, other, path)
		}
		seen[c.Name] = path
		c.written = c.Config
		if c.Config, err = p.Apply(c.Config); err != nil {
			return fmt.Errorf("connector file %s: %w", path, err)
		}
		s.connectors = append(s.connectors, c)
	}
	return nil
}

// Given is what the files say of one connector.
type Given struct {
	Name   string
	Config connectors.Config // references to secrets are replaced
	Worker connectors.Config
}

// ReadConfig reads the files of the first connector.
func ReadConfig(o Options) (Given, error) {
	s, err := load(o)
	if err != nil {
		return Given{}, err
	}
	c := s.connectors[0]
	return Given{c.Name, c.named(c.Config), s.worker}, nil
}

// Validate checks every connector file, live connections included, without running anything.
func Validate(ctx context.Context, o Options) ([]Checked, error) {
	s, err := load(o)
	if err != nil {
		return nil, err
	}
	w := s.newWorker(offsets.NewMemory(), 0, nil)
	var out []Checked
	for _, c := range s.connectors {
		out = append(out, Checked{c, w.Validate(ctx, c.named(c.Config))})
	}
	return out, nil
}

// catalog is what this worker can run. Plugins are started once for it.
func (s *setup) catalog() *runtime.Catalog {
	if s.options.CatalogFor != nil {
		s.options.Catalog, s.options.CatalogFor = s.options.CatalogFor(s.config), nil
	}
	return s.options.Catalog
}

func (s *setup) newWorker(store offsets.Store, interval time.Duration, changed func(string)) *runtime.Worker {
	limit, _ := strconv.ParseInt(strings.TrimSpace(s.worker[workerconfig.KeyMemoryLimit]), 10, 64) // checked before
	o := runtime.Options{
		Catalog: s.catalog(), Store: store, Logger: s.options.Logger, Config: s.worker, MemoryLimit: limit,
		CommitInterval: interval, Version: s.options.Version, Changed: changed, Tracer: s.options.Tracer, DeadLetters: s.options.DeadLetters,
	}
	if open := s.options.KafkaStore; open != nil {
		o.StoreFor = func(ctx context.Context, _ string, c connectors.Config) (offsets.Store, error) {
			return open(ctx, s.worker, strings.TrimSpace(c["offsets.storage.topic"]))
		}
	}
	return runtime.NewWorker(o)
}

// Run runs the connectors, waiting for servers that cannot be reached yet, until ctx ends (then it stops gracefully, and at once
// when hard ends), until all of them have failed, or, with UntilDone, until every source has ended or failed. One that is refused at
// once ends the run; one that fails later does not end the others. The error names all that have failed.
func Run(ctx, hard context.Context, o Options) error {
	s, err := load(o)
	if err != nil {
		return err
	}
	store, interval, err := s.openStore(ctx)
	if err != nil && ctx.Err() != nil {
		return nil // told to stop while it waited
	}
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	w := s.newWorker(store, interval, func(string) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	s.waiting = s.connectors
	if s.served() {
		err = s.serve(ctx, w)
		return errors.Join(err, w.Close(hard), store.Close())
	}
	s.put = func(ctx context.Context, c Connector) error { return w.Put(ctx, c.Name, c.Config, c.Target) }
	if err = s.start(ctx, w); err == nil {
		err = s.watch(ctx, w, changed)
	}
	return errors.Join(err, w.Close(hard), store.Close())
}

// served tells that the worker's file asks for the REST API.
func (s *setup) served() bool { return len(s.config.Listeners()) > 0 }

// start puts the connectors that wait. One whose servers cannot be reached goes on waiting.
func (s *setup) start(ctx context.Context, w *runtime.Worker) error {
	var waiting []Connector
	s.attempts++
	for _, c := range s.waiting {
		err := s.put(ctx, c)
		var config *runtime.ConfigError
		switch {
		case err == nil:
			s.options.Logger.Info("connector started", "connector", c.Name, "file", c.File)
		case ctx.Err() != nil:
			return nil // told to stop meanwhile
		case errors.As(err, &config) && config.Passing():
			waiting = append(waiting, c)
			s.options.Logger.Warn("connector waits for a server", "connector", c.Name, "file", c.File,
				"error", strings.Join(connectors.Errors(config.Values), "; "), "attempt", s.attempts, "in", longer(s.attempts))
		case s.attempts == 1:
			return fmt.Errorf("start connector %s (%s): %w", c.Name, c.File, err)
		default:
			s.options.Logger.Error("the connector has failed", "connector", c.Name, "file", c.File, "error", err)
			s.refused[c.Name] = err
		}
	}
	s.waiting = waiting
	if len(waiting) == 0 && s.options.Started != nil {
		s.options.Started(w)
	}
	return nil
}

// longer is the pause after attempt n (from 1) to reach a server.
func longer(n int) time.Duration { return min(time.Second<<min(n-1, 4), 10*time.Second) }

func (s *setup) watch(ctx context.Context, w *runtime.Worker, changed <-chan struct{}) error {
	again := time.NewTimer(longer(s.attempts))
	defer again.Stop()
	for {
		failed, running, err := s.states(w)
		if err != nil {
			return err
		}
		if len(s.waiting) == 0 && (len(failed) == len(s.connectors) || s.options.UntilDone && running == 0) {
			return errors.Join(failed...)
		}
		var retry <-chan time.Time
		if len(s.waiting) > 0 {
			retry = again.C
		}
		select {
		case <-ctx.Done():
			failed, _, err := s.states(w)
			return errors.Join(append(failed, err)...)
		case <-changed:
		case <-retry:
			if err := s.start(ctx, w); err != nil {
				return err
			}
			again.Reset(longer(s.attempts))
		}
	}
}

// states tells why connectors have failed, and how many of those that were put still have something to do.
func (s *setup) states(w *runtime.Worker) (failed []error, running int, err error) {
	waiting := map[string]bool{}
	for _, c := range s.waiting {
		waiting[c.Name] = true
	}
	for _, c := range s.connectors {
		if waiting[c.Name] {
			continue
		}
		why := ""
		if err := s.refused[c.Name]; err != nil {
			why = err.Error()
		} else if why, err = failure(w, c.Name); err != nil {
			return nil, 0, err
		}
		switch {
		case why != "":
			failed = append(failed, fmt.Errorf("connector %s failed: %s", c.Name, why))
		case !w.Idle(c.Name):
			running++
		}
	}
	return failed, running, nil
}

// failure tells why a connector, or the last of its tasks, has failed; "" when it has not, or some of its tasks have not.
func failure(w *runtime.Worker, name string) (string, error) {
	status, err := w.Status(name)
	if err != nil || status.State == runtime.Failed {
		return status.Trace, err
	}
	why := ""
	for _, t := range status.Tasks {
		if t.State != runtime.Failed {
			return "", nil
		}
		why = t.Trace
	}
	return why, nil
}

// openStore chooses where offsets are kept: in Kafka for an exactly-once Kafka sink, else in the file or the topic that the worker
// names, else in DefaultFile.
func (s *setup) openStore(ctx context.Context) (offsets.Store, time.Duration, error) {
	path, topic := strings.TrimSpace(s.worker[keyFile]), strings.TrimSpace(s.worker[keyTopic])
	if s.exactlyOnceKafka() {
		if topic == "" {
			topic = DefaultTopic
			s.worker[keyTopic] = topic // the sink writes there what the store reads
		}
		if path != "" {
			s.options.Logger.Warn("offsets are kept in a Kafka topic, for they are written together with the records", "topic", topic, "unused", path)
		}
		path = ""
	}
	if path == "" && topic != "" {
		return s.openTopic(ctx, topic)
	}
	if path == "" {
		path = DefaultFile
	}
	store, err := s.openFile(ctx, path)
	return store, 0, err
}

func (s *setup) openTopic(ctx context.Context, topic string) (offsets.Store, time.Duration, error) {
	if s.options.KafkaStore == nil {
		return nil, 0, fmt.Errorf("keep offsets in Kafka topic %s: not supported yet; name a file (%s)", topic, keyFile)
	}
	var store offsets.Store
	for attempt := 1; store == nil; attempt++ {
		var err error
		if store, err = s.options.KafkaStore(ctx, s.worker, topic); err == nil {
			break
		}
		err = fmt.Errorf("open offsets in Kafka topic %s: %w", topic, err)
		if connectors.ClassOf(err) != connectors.Retriable {
			return nil, 0, err
		}
		s.options.Logger.Warn("offsets cannot be read yet", "error", err, "attempt", attempt, "in", longer(attempt))
		select {
		case <-time.After(longer(attempt)):
		case <-ctx.Done():
			return nil, 0, err
		}
	}
	s.options.Logger.Info("offsets are kept in Kafka", "topic", topic)
	return store, time.Second, nil
}

// openFile opens the offset file; one written by Kafka Connect is imported into a file beside it.
func (s *setup) openFile(ctx context.Context, path string) (offsets.Store, error) {
	java, err := isJava(path)
	if err != nil {
		return nil, err
	}
	if java {
		beside := path + ".freshet.db"
		if _, err := os.Stat(beside); errors.Is(err, os.ErrNotExist) {
			n, err := importJava(ctx, path, beside)
			if err != nil {
				return nil, err
			}
			s.options.Logger.Info("offsets of Kafka Connect were imported", "from", path, "to", beside, "entries", n)
		} else {
			s.options.Logger.Warn("the offset file of Kafka Connect was imported before and is not read again; delete the imported one to import it anew", "file", path, "imported", beside)
		}
		path = beside
	}
	store, err := boltstore.Open(path)
	if err != nil {
		return nil, err // it names the file and what to do
	}
	s.options.Logger.Info("offsets are kept in a file", "file", path)
	return store, nil
}

// exactlyOnceKafka tells that offsets have to go into the transactions of a Kafka sink.
func (s *setup) exactlyOnceKafka() bool {
	if !strings.EqualFold(strings.TrimSpace(s.worker[keyExactlyOnce]), "enabled") {
		return false
	}
	for _, c := range s.connectors {
		aliases := connectors.SplitList(c.Config["sinks"])
		if len(aliases) == 0 {
			return true
		}
		for _, a := range aliases {
			e, _ := s.catalog().Choose(runtime.SinkPlugin, strings.TrimSpace(c.Config["sinks."+a+".connector.class"]), c.Config["sinks."+a+".connector.plugin.version"])
			if e != nil && e.OwnRecords {
				return true
			}
		}
	}
	return false
}
