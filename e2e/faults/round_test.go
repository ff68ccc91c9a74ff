package faults

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/history"
	"github.com/freshet-io/freshet/testbed/rounds"
)

// round is one plan being carried out.
type round struct {
	*testing.T
	*stage
	plan     plan
	database string // of the source
	copy     string // database of the target
	file     string
	offsets  string // topic of offsets
	dir      string // working directory of the worker
	config   map[string]string
	args     []string
	h        *history.History
	p        *testbed.Program
	gone     []*testbed.Program // were killed or fenced
	written  chan error         // ends the history's goroutine
	verdicts map[string]history.Verdict
	mend     func() // ends the fault that lasts just now
	audits   int    // comparisons of a stored offset with what its sink holds
}

// patience is how long anything may take that must happen by itself.
const patience = 90 * time.Second

// play carries out a plan. Whatever is wrong fails the test.
func play(t *testing.T, s *stage, p plan) *round {
	t.Helper()
	r := &round{T: t, stage: s, plan: p, dir: t.TempDir(), written: make(chan error, 1), verdicts: map[string]history.Verdict{}}
	r.database = s.source.newDatabase(t)
	if slices.Contains(p.sinks, tableSink) {
		r.copy = s.target.NewDatabase(t)
	}
	r.file, r.offsets = filepath.Join(t.TempDir(), "out.jsonl"), "offsets-"+r.database
	t.Cleanup(r.clean)
	r.h = history.New(t, s.source.history(r.database), p.seed, p.rows)
	r.h.Pace(p.pace)
	r.configure()
	total := segment * p.segments()
	go func() { r.written <- r.h.Write(t.Context(), total) }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("freshet said:\n%s", r.said())
		}
	})
	defer func() { // the servers are for the next round, too
		if r.mend != nil {
			r.mend()
		}
	}()
	for _, after := range p.snapshot {
		r.more()
		r.start()
		r.wait("the snapshot to begin", func() bool { // or to be over, when the kill before came too late
			return strings.Contains(r.p.Output(), `msg="reading table"`) || strings.Contains(r.p.Output(), "msg=streaming")
		})
		rounds.Pass(t.Context(), after)
		r.killWorker()
	}
	r.start()
	r.settle()
	for _, st := range p.steps {
		began := r.h.Allowed()
		r.more()
		r.wait("the load", func() bool { return r.h.Done() >= began+st.at })
		rounds.Pass(t.Context(), st.delay)
		r.fault(st)
	}
	r.h.Allow(total)
	r.finish()
	return r
}

// more allows a segment of transactions.
func (r *round) more() { r.h.Allow(r.h.Allowed() + segment) }

// configure writes the files of connector and worker.
func (r *round) configure() {
	r.Helper()
	host, port, err := net.SplitHostPort(r.proxies["source"].Listen)
	if err != nil {
		r.Fatal(err)
	}
	r.config = r.source.connector(r)
	r.config["database.hostname"], r.config["database.port"] = host, port
	var sinks []string
	for _, sink := range r.plan.sinks {
		alias := aliases[sink]
		keys := map[string]string{}
		switch sink {
		case fileSink:
			keys = testbed.ToFile(r.file)
		case tableSink:
			keys = r.target.ToTable(r.copy, map[string]string{"sinks.db.connection.url": "jdbc:postgresql://" + r.proxies["target"].Listen + "/" + r.copy})
		default:
			prefix := ""
			if r.several() {
				prefix = "sinks." + alias + "."
				keys[prefix+"connector.class"] = "kafka"
			}
			keys[prefix+"topic.creation.default.partitions"], keys[prefix+"topic.creation.default.replication.factor"] = "3", "1"
		}
		maps.Copy(r.config, keys)
		if r.several() || sink == fileSink || sink == tableSink {
			sinks = append(sinks, alias)
		}
	}
	delete(r.config, "sinks")
	if len(sinks) > 0 {
		r.config["sinks"] = strings.Join(sinks, ",")
	}
	var worker strings.Builder
	if r.plan.usesKafka() {
		fmt.Fprintf(&worker, "bootstrap.servers=%s\ngroup.id=%s\nproducer.transaction.timeout.ms=%d\nproducer.request.timeout.ms=%d\n",
			r.proxies["kafka"].Listen, r.database, r.plan.transaction.Milliseconds(), r.plan.patience.Milliseconds())
		for _, which := range []string{"key", "value"} {
			fmt.Fprintf(&worker, "%[1]s.converter=org.apache.kafka.connect.json.JsonConverter\n%[1]s.converter.schemas.enable=false\n", which)
		}
	}
	if slices.Contains(r.plan.sinks, exactSink) {
		worker.WriteString("exactly.once.source.support=enabled\n")
	}
	if r.plan.store == "topic" {
		fmt.Fprintf(&worker, "offset.storage.topic=%s\noffset.storage.replication.factor=1\noffset.storage.partitions=1\n", r.offsets)
	}
	files := r.TempDir()
	r.args = []string{"run", testbed.WriteConnector(r, files, r.config), "-c", testbed.WriteFile(r, files, "w.properties", worker.String())}
}

func (r *round) start() {
	r.Helper()
	r.p = bed.Freshet(r, r.dir, r.args...)
}

// heal makes all connections good again.
func (r *round) heal() {
	r.Helper()
	testbed.Heal(r, slices.Collect(maps.Values(r.proxies))...)
}

// settle waits until the snapshot is over and done with.
func (r *round) settle() {
	r.Helper()
	r.wait("streaming", func() bool { return strings.Contains(r.p.Output(), "msg=streaming") })
	r.more()
	first := r.h.Done() + 1
	r.wait("the load", func() bool { return r.h.Done() >= first })
	r.source.delivered(r)
}

// wait waits for what must happen by itself while the worker runs.
func (r *round) wait(what string, ok func() bool) {
	r.Helper()
	limit := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case err := <-r.written:
			if err != nil {
				r.Fatalf("waiting for %s: %v", what, err)
			}
			r.written <- nil
		default:
		}
		if r.p.Ended() {
			r.Fatalf("waiting for %s: the worker has ended", what)
		}
		if time.Now().After(limit) {
			r.Fatalf("waiting for %s: not within %s", what, patience)
		}
		<-tick.C
	}
}

// finish waits until everything is delivered, stops the worker and compares.
func (r *round) finish() {
	r.Helper()
	if err := <-r.written; err != nil {
		r.Fatal(err)
	}
	r.written <- nil
	r.source.delivered(r)
	if code := r.p.Stop(); code != 0 {
		r.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	r.audit()
	r.source.left(r)
	for _, sink := range r.plan.sinks {
		v := r.compare(sink)
		for i, problem := range v.Problems {
			if i == 10 {
				r.Errorf("%s: %d keys are wrong in total", sink, len(v.Problems))
				break
			}
			r.Errorf("%s: %s", sink, problem)
		}
		r.verdicts[sink] = v
	}
}

// audit checks, while no worker runs, that what is stored is in the sink (I1), and that the source has not forgotten more.
func (r *round) audit() {
	r.Helper()
	forgotten := r.source.forgotten(r)
	for _, sink := range r.plan.sinks {
		text := r.position(sink)
		if text == "" {
			continue
		}
		at, known, err := r.source.place(text)
		if err != nil {
			r.Fatalf("read offset %s: %v", text, err)
		}
		if !known {
			continue
		}
		if forgotten > at {
			r.Errorf("the source has forgotten what is before %d, the stored offset of %s is %s", forgotten, sink, text)
		}
		through := r.h.Through(at)
		if through == 0 {
			continue
		}
		r.audits++
		r.holds(sink, through, "the stored offset "+string(text))
	}
}

// holds waits until a sink has all of the first transactions. The markers of a transaction that was committed reach one partition after the
// other.
func (r *round) holds(sink string, through int, because string) {
	r.Helper()
	var complaint string
	testbed.Eventually(r, func() string { return fmt.Sprintf("%s is ahead of %s: %s", because, sink, complaint) }, func() bool {
		complaint = r.behind(sink, through)
		return complaint == ""
	})
}

// said is the end of what each worker printed.
func (r *round) said() string {
	var out strings.Builder
	workers := r.gone
	if r.p != nil {
		workers = append(workers, r.p)
	}
	for i, p := range workers {
		text := p.Output()
		fmt.Fprintf(&out, "--- worker %d\n%s", i+1, text[max(0, len(text)-6000):])
	}
	return out.String()
}

// clean leaves nothing of the round behind.
func (r *round) clean() {
	r.heal()
	if !r.plan.usesKafka() {
		return
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(r.kafka.Address()))
	if err != nil {
		r.Errorf("clean up: %v", err)
		return
	}
	defer c.Close()
	if err := testbed.DeleteTopics(context.WithoutCancel(r.Context()), c, append(r.topics(), r.offsets, r.database+historySuffix)); err != nil {
		r.Errorf("clean up: %v", err)
	}
}
