package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/history"
	"github.com/freshet-io/freshet/testbed/rounds"
)

// What a round has.
const (
	workers   = 3
	databases = 9
	files     = 3
)

// stage holds the servers, which stay up over the rounds.
type stage struct {
	postgres  *testbed.Postgres
	kafka     *testbed.Kafka   // that is asked
	brokers   []*testbed.Kafka // that are stopped and killed, as many as workers; else none
	bootstrap []string         // each worker's
	proxies   []*toxiproxy.Proxy
}

// newStage has one broker, and a proxy between it and each worker.
func newStage(t *testing.T) *stage {
	t.Helper()
	toxi := bed.Toxiproxy(t)
	s := &stage{postgres: startPostgres(t)}
	for range workers {
		p := toxi.Proxy(t, "127.0.0.1:1") // where the broker is comes out when it knows the proxies
		s.proxies, s.bootstrap = append(s.proxies, p), append(s.bootstrap, p.Listen)
	}
	s.kafka = testbed.StartKafkaWithDoors(t, s.bootstrap...)
	for i, door := range s.kafka.Doors() {
		s.proxies[i].Upstream = door
		if err := s.proxies[i].Save(); err != nil {
			t.Fatalf("point a proxy at Kafka: %v", err)
		}
	}
	return s
}

// newStageOfBrokers has three brokers.
func newStageOfBrokers(t *testing.T) *stage {
	t.Helper()
	s := &stage{postgres: startPostgres(t), brokers: testbed.StartKafkas(t, workers)}
	s.kafka = s.brokers[0]
	var all []string
	for _, b := range s.brokers {
		all = append(all, b.Address())
	}
	s.bootstrap = slices.Repeat([]string{strings.Join(all, ",")}, workers)
	return s
}

// startPostgres starts one whose walsender gives up a silent reader within the session's time, so that another worker can have its slot.
func startPostgres(t *testing.T) *testbed.Postgres {
	t.Helper()
	return testbed.StartPostgres(t, "wal_sender_timeout=3s")
}

// replicas is how many a partition has.
func (s *stage) replicas() string { return fmt.Sprint(max(1, len(s.brokers))) }

// TestClusterFaults plays rounds. By itself it plays few, which have the kinds of must between them.
func TestClusterFaults(t *testing.T) {
	t.Parallel()
	play(t, newStage(t), ofWorkers())
}

// TestClusterBrokers plays rounds with three brokers, which are stopped and killed one at a time. It runs by itself: with them the machine has
// enough to do.
func TestClusterBrokers(t *testing.T) {
	play(t, newStageOfBrokers(t), ofBrokers())
}

func play(t *testing.T, s *stage, l repertoire) {
	t.Helper()
	began := time.Now()
	var sum total
	say := rounds.Play(t, l.covering, l.newPlan, func(t *testing.T, p *plan) string {
		r := &round{group: &group{TB: t}, stage: s, plan: p}
		defer func() { sum.add(r, t.Failed()) }()
		r.play(t)
		return fmt.Sprintf("%6d events, %2d moves, longest recovery %4.1fs", r.events, r.moved, r.slowest.Seconds())
	})
	say("%s in %s", sum.text(l), time.Since(began).Round(time.Second))
}

// total is what all rounds came to.
type total struct {
	rounds, failed, events, moved, stayed int
	faults                                map[kind]int
	slowest                               time.Duration
}

func (s *total) add(r *round, failed bool) {
	s.rounds++
	if failed {
		s.failed++
	}
	if s.faults == nil {
		s.faults = map[kind]int{}
	}
	for _, st := range r.plan.steps {
		s.faults[st.kind]++
	}
	s.events, s.moved, s.stayed, s.slowest = s.events+r.events, s.moved+r.moved, s.stayed+r.stayed, max(s.slowest, r.slowest)
}

func (s *total) text(l repertoire) string {
	text := fmt.Sprintf("%d rounds, %d failed; %d events", s.rounds, s.failed, s.events)
	for _, k := range l.kinds {
		text += fmt.Sprintf(", %s %d", k.kind, s.faults[k.kind])
	}
	return text + fmt.Sprintf("; tasks moved %d times, %d times one of Postgres was seen not to stop; the longest time from a crash until all ran %.1fs",
		s.moved, s.stayed, s.slowest.Seconds())
}

// round is one plan being carried out.
type round struct {
	*group
	*stage
	plan      *plan
	admin     *pgx.Conn
	names     []string // databases, which name their connectors
	histories []*history.History
	paths     []string // files that are read
	lines     int      // that each of them has at the end
	endLines  context.CancelFunc
	written   chan error // one for each writer

	events, moved, stayed int
	slowest               time.Duration
}

// play carries out the plan. Whatever is wrong fails the test.
func (r *round) play(t *testing.T) {
	t.Helper()
	name := fmt.Sprintf("c%x", r.plan.seed)
	r.group = newGroup(t, name, r.bootstrap, map[string]string{
		"exactly.once.source.support":       "enabled",
		"session.timeout.ms":                fmt.Sprint(session.Milliseconds()),
		"heartbeat.interval.ms":             "500",
		"offset.flush.interval.ms":          "500",
		"producer.request.timeout.ms":       "5000",
		"topic.creation.enable":             "true",
		"task.shutdown.graceful.timeout.ms": "3000",
		"config.storage.replication.factor": r.replicas(),
		"offset.storage.replication.factor": r.replicas(),
		"status.storage.replication.factor": r.replicas(),
	})
	t.Cleanup(r.clean)
	r.admin = r.postgres.Connect(t, "postgres")
	for _, w := range r.members {
		r.start(w)
	}
	r.load()
	r.answers(r.members...)
	r.createAll()
	if !r.plan.early {
		r.settled(r.members)
		r.delivered()
	}
	for _, s := range r.plan.steps {
		r.more(s)
		rounds.Pass(t.Context(), s.delay)
		began := time.Now()
		r.fault(s)
		t.Logf("%5.1fs %s", time.Since(began).Seconds(), s)
	}
	r.finish()
}

// transactions is how many each database gets.
func (p *plan) transactions() int {
	n := 2
	for _, s := range p.steps {
		n += s.segments()
	}
	return n * segment
}

// rows is how many each table has at first.
func (p *plan) rows() int {
	if p.early {
		return 3000
	}
	return 100
}

// segments is how many parts of the load go with a step.
func (s step) segments() int {
	if s.kind == rolling {
		return workers
	}
	return 1
}

func (r *round) more(s step) {
	for _, h := range r.histories {
		h.Allow(h.Allowed() + segment*s.segments())
	}
}

// load makes databases and files and begins to write.
func (r *round) load() {
	r.Helper()
	total := r.plan.transactions()
	r.written = make(chan error, databases+1)
	for i := range databases {
		db := r.postgres.NewDatabase(r)
		r.names = append(r.names, db)
		h := history.New(r, history.OnPostgres(r.postgres, db), r.plan.seed+uint64(i), r.plan.rows())
		h.Pace(r.plan.pace)
		h.Allow(segment)
		r.histories = append(r.histories, h)
		go func() { r.written <- h.Write(r.Context(), total) }()
	}
	dir := r.TempDir()
	var out []*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("lines%d", i)))
		if err != nil {
			r.Fatal(err)
		}
		r.paths, out = append(r.paths, f.Name()), append(out, f)
	}
	ctx, stop := context.WithCancel(r.Context())
	r.endLines = stop
	go func() { r.written <- r.writeLines(ctx, out) }()
}

// writeLines appends a line with its number to every file, again and again until ctx ends.
func (r *round) writeLines(ctx context.Context, out []*os.File) error {
	tick := time.NewTicker(r.plan.pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		for _, f := range out {
			if _, err := fmt.Fprintf(f, "%d\n", n); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.lines = n + 1
			var errs []error
			for _, f := range out {
				errs = append(errs, f.Close())
			}
			return errors.Join(errs...)
		}
	}
}

// createAll makes the connectors, each through another worker.
func (r *round) createAll() {
	r.Helper()
	for i, db := range r.names {
		config := r.postgres.Connector(db, r.connector(db), map[string]string{
			"topic.prefix":                              r.connector(db),
			"table.include.list":                        "public.a,public.b",
			"slot.name":                                 db,
			"publication.name":                          db,
			"slot.retry.delay.ms":                       "250",
			"slot.max.retries":                          "200",
			"status.update.interval.ms":                 "500",
			"topic.creation.default.partitions":         "2",
			"topic.creation.default.replication.factor": r.replicas(),
		})
		r.create(r.members[i%workers], config)
	}
	for i, path := range r.paths {
		r.create(r.members[i%workers], map[string]string{
			"name": r.fileConnector(i), "connector.class": "FileStreamSource", "file": path, "topic": r.fileConnector(i),
			"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter",
		})
	}
}

func (r *round) connector(db string) string { return r.name + "-" + db }
func (r *round) fileConnector(i int) string { return fmt.Sprintf("%s-file%d", r.name, i) }
func (r *round) tables(db string) []string {
	return []string{r.connector(db) + ".public.a", r.connector(db) + ".public.b"}
}

// finish waits until everything is delivered, stops the workers and compares.
func (r *round) finish() {
	r.Helper()
	for _, h := range r.histories {
		h.Allow(r.plan.transactions())
	}
	for range databases {
		r.ended()
	}
	r.endLines()
	r.ended()
	r.settled(r.members)
	r.delivered()
	for _, w := range r.members {
		w.Signal(stopSignal)
	}
	for _, w := range r.members {
		if code := w.Ends(); code != 0 {
			r.Errorf("worker %s: exit code %d after SIGTERM, want 0", w.id, code)
		}
	}
	r.panics()
	r.compare()
}

// ended waits for a writer.
func (r *round) ended() {
	r.Helper()
	select {
	case err := <-r.written:
		if err != nil {
			r.Fatalf("write: %v", err)
		}
	case <-time.After(5 * time.Minute):
		r.Fatal("the load does not end")
	}
}

// clean leaves nothing of the round in the broker.
func (r *round) clean() {
	testbed.Heal(r, r.proxies...)
	for _, w := range r.members {
		if w.Program != nil {
			w.Kill()
		}
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(r.kafka.Address()))
	if err != nil {
		r.Errorf("clean up: %v", err)
		return
	}
	defer c.Close()
	topics := r.internal()
	for _, db := range r.names {
		topics = append(topics, r.tables(db)...)
	}
	for i := range r.paths {
		topics = append(topics, r.fileConnector(i))
	}
	if err := testbed.DeleteTopics(context.WithoutCancel(r.Context()), c, topics); err != nil {
		r.Errorf("clean up: %v", err)
	}
}
