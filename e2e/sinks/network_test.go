package sinks

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/history"
	"github.com/freshet-io/freshet/testbed/rounds"
)

// kind is what is wrong with the way to a sink's server.
type kind string

const (
	cut      kind = "cut"          // connections are closed and new ones refused
	tear     kind = "tear"         // connections end in the middle of a request or an answer
	slow     kind = "slow"         // latency and little bandwidth
	halfOpen kind = "half-open"    // nothing passes one way or both, and nobody is told
	lost     kind = "lost-answers" // requests arrive and are carried out; instead of an answer the connection ends
	late     kind = "late-answers" // requests arrive and are carried out; answers come when nobody waits any more
)

var kinds = []kind{cut, tear, slow, halfOpen, lost, late}

// The sinks' servers, and how long a sink waits for an answer of theirs.
var servers = []string{"clickhouse", "elasticsearch"}

const answerWithin = 2 * time.Second

// plan is a round: a load, faults while it is written, and a comparison of each sink with the source.
type plan struct {
	seed  uint64
	pace  time.Duration // between transactions
	early bool          // the first fault is there before the worker is
	steps []step
}

// step is one fault. It begins when a part of its segment of the load is committed; the load goes on meanwhile.
type step struct {
	kind   kind
	where  []string // servers
	at     int      // transactions of the segment
	long   time.Duration
	stream string        // direction: upstream, downstream or both
	amount int           // bytes until a connection tears, KB/s
	kill   time.Duration // the worker is killed after this and started again, 0: not
}

const segment = 80 // transactions

func newPlan(seed uint64) *plan {
	r := rand.New(rand.NewPCG(seed, 5))
	p := &plan{seed: seed, pace: time.Duration(r.IntN(4)) * time.Millisecond, early: r.IntN(3) == 0}
	for range 4 {
		p.steps = append(p.steps, newStep(r))
	}
	return p
}

func newStep(r *rand.Rand) step {
	s := step{
		kind: rounds.Pick(r, kinds...), at: r.IntN(segment), long: rounds.Between(r, 50*time.Millisecond, time.Second),
		stream: rounds.Pick(r, "upstream", "downstream", "both"), amount: r.IntN(20_000),
	}
	s.where = rounds.Pick(r, servers[:1], servers[1:], servers)
	switch s.kind {
	case slow:
		s.amount = 50 + r.IntN(400)
		s.long = rounds.Between(r, 500*time.Millisecond, 2*time.Second)
	case halfOpen, late:
		s.long = rounds.Between(r, answerWithin/2, 2*answerWithin)
	}
	if r.IntN(4) == 0 {
		s.kill = rounds.Between(r, time.Millisecond, s.long+300*time.Millisecond)
	}
	return s
}

// parts are what the rounds of a short run have between them.
func parts(seed uint64) (out []string) {
	p := newPlan(seed)
	for _, s := range p.steps {
		for _, where := range s.where {
			out = append(out, string(s.kind)+" "+where)
		}
		if s.kill > 0 {
			out = append(out, "kill")
		}
	}
	if p.early {
		out = append(out, "early")
	}
	return out
}

func covering(from uint64) []uint64 {
	all := []string{"kill", "early"}
	for _, k := range kinds {
		for _, where := range servers {
			all = append(all, string(k)+" "+where)
		}
	}
	return rounds.Cover(from, all, parts)
}

// String implements rounds.Plan.
func (p *plan) String() string {
	var list []string
	for _, s := range p.steps {
		text := string(s.kind) + " " + strings.Join(s.where, "+")
		if s.kind == tear || s.kind == halfOpen {
			text += " " + s.stream
		}
		text += " " + s.long.Round(time.Millisecond).String()
		if s.kill > 0 {
			text += " + kill-worker"
		}
		list = append(list, text)
	}
	if p.early {
		return "early " + strings.Join(list, ", ")
	}
	return strings.Join(list, ", ")
}

// TestBadNetwork plays rounds in which the way to ClickHouse and Elasticsearch is cut, torn, slow or half open, and answers are lost after
// the server has done what was asked. At the end mirrors equal the source row by row, and what keeps every change has each once.
func TestBadNetwork(t *testing.T) {
	t.Parallel()
	pg, ch, search, toxi := bed.Postgres(t), bed.ClickHouse(t), bed.Elasticsearch(t), bed.Toxiproxy(t)
	say := rounds.Play(t, covering, newPlan, func(t *testing.T, p *plan) string {
		r := &netRound{T: t, plan: p, pg: pg, ch: ch, search: search, proxies: map[string]*toxiproxy.Proxy{
			"clickhouse": toxi.Proxy(t, ch.Address()), "elasticsearch": toxi.Proxy(t, search.Address()),
		}}
		return r.play()
	})
	say("the way to the sinks was bad, and they equal their source")
}

// netRound is one plan being carried out.
type netRound struct {
	*testing.T
	plan    *plan
	pg      *testbed.Postgres
	ch      *testbed.ClickHouse
	search  *testbed.Search
	proxies map[string]*toxiproxy.Proxy

	from, into, prefix string // database of the source, of ClickHouse, of index names
	dir                string
	args               []string
	h                  *history.History
	p                  *testbed.Program
	said               []string // by programs that were killed
}

func (r *netRound) play() string {
	r.from, r.into, r.prefix, r.dir = r.pg.NewDatabase(r), r.ch.NewDatabase(r), r.search.NewPrefix(r), r.TempDir()
	r.h = history.New(r, history.OnPostgres(r.pg, r.from), r.plan.seed, 300)
	r.h.Pace(r.plan.pace)
	r.configure()
	r.Cleanup(func() {
		if r.Failed() {
			r.Logf("freshet said:\n%s", strings.Join(append(r.said, r.p.Output()), "\n--- killed ---\n"))
		}
	})
	steps, total := r.plan.steps, segment*(len(r.plan.steps)+1)
	written := make(chan error, 1)
	go func() { written <- r.h.Write(r.Context(), total) }()
	if r.plan.early {
		mend := r.begin(steps[0])
		r.start()
		r.last(steps[0], mend)
		steps = steps[1:]
	} else {
		r.start()
		r.equal()
	}
	for _, s := range steps {
		began := r.h.Allowed()
		r.h.Allow(began + segment)
		r.p.Until("the load does not move", func() bool { return r.h.Done() >= began+s.at })
		r.last(s, r.begin(s))
	}
	r.h.Allow(total)
	if err := <-written; err != nil {
		r.Fatal(err)
	}
	r.equal()
	if code := r.p.Stop(); code != 0 {
		r.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	return fmt.Sprintf("%6d events", r.everyChange())
}

// configure writes the connector's file: for each server a mirror and a sink that keeps every change.
func (r *netRound) configure() {
	host, port, err := net.SplitHostPort(r.proxies["clickhouse"].Listen)
	if err != nil {
		r.Fatal(err)
	}
	within := strconv.FormatInt(answerWithin.Milliseconds(), 10)
	config := r.pg.Connector(r.from, "net-"+r.from, map[string]string{"table.include.list": "public.a,public.b", "sinks": "ch,chlog,es,eslog"})
	for alias, more := range map[string]map[string]string{
		"ch":    {},
		"chlog": {"freshet.mode": "append", "collection.name.format": "${source.table}_log"},
	} {
		maps.Copy(more, map[string]string{
			"connector.class": "ClickHouseSinkConnector", "hostname": host, "port": port, "username": testbed.ClickHouseUser, "password": testbed.ClickHousePassword,
			"database": r.into, "timeoutSeconds": strconv.Itoa(int(answerWithin.Seconds())), "clickhouseClientInsertTimeoutMs": within,
		})
		copyBelow(config, alias, more)
	}
	for alias, more := range map[string]map[string]string{
		"es":    {"index.name.format": r.prefix + "-${source.table}"},
		"eslog": {"index.name.format": r.prefix + "-${source.table}-log", "freshet.mode": "append"},
	} {
		maps.Copy(more, map[string]string{
			"connector.class": "ElasticsearchSinkConnector", "connection.url": "http://" + r.proxies["elasticsearch"].Listen, "read.timeout.ms": within,
		})
		copyBelow(config, alias, more)
	}
	r.args = []string{"run", testbed.WriteConnector(r, r.dir, config)}
}

// copyBelow puts the keys of a sink into a connector's configuration.
func copyBelow(config map[string]string, alias string, keys map[string]string) {
	for name, value := range keys {
		config["sinks."+alias+"."+name] = value
	}
}

func (r *netRound) start() { r.p = bed.Freshet(r, r.dir, r.args...) }

// last lets a fault go on for its time, and kills the worker meanwhile, or after it, where the step says so.
func (r *netRound) last(s step, mend func()) {
	r.Helper()
	if s.kill == 0 {
		rounds.Pass(r.Context(), s.long)
		mend()
		return
	}
	rounds.Pass(r.Context(), min(s.kill, s.long))
	if s.kill > s.long {
		mend()
		rounds.Pass(r.Context(), s.kill-s.long)
	}
	r.p.Kill()
	r.said = append(r.said, r.p.Output())
	r.start()
	if s.kill <= s.long {
		rounds.Pass(r.Context(), s.long-s.kill)
		mend()
	}
}

// begin makes something go wrong and returns what mends it.
func (r *netRound) begin(s step) (mend func()) {
	r.Helper()
	r.Log(s.kind, s.where, s.stream, s.long)
	var hurt []*toxiproxy.Proxy
	for _, where := range s.where {
		proxy := r.proxies[where]
		hurt = append(hurt, proxy)
		switch s.kind {
		case cut:
			testbed.Cut(r, proxy)
		case tear:
			testbed.Hurt(r, proxy, s.stream, "limit_data", toxiproxy.Attributes{"bytes": s.amount})
		case slow:
			testbed.Hurt(r, proxy, "both", "latency", toxiproxy.Attributes{"latency": 100, "jitter": 50})
			testbed.Hurt(r, proxy, "both", "bandwidth", toxiproxy.Attributes{"rate": s.amount})
		case halfOpen:
			testbed.Hurt(r, proxy, s.stream, "timeout", toxiproxy.Attributes{"timeout": 0})
		case lost:
			testbed.Hurt(r, proxy, "downstream", "timeout", toxiproxy.Attributes{"timeout": 200})
		case late:
			testbed.Hurt(r, proxy, "downstream", "latency", toxiproxy.Attributes{"latency": (answerWithin + time.Second).Milliseconds()})
		}
	}
	return func() { testbed.Heal(r, hurt...) }
}

// equal waits until the mirrors have the rows of the source, while nobody writes there.
func (r *netRound) equal() {
	r.Helper()
	for _, table := range []string{"a", "b"} {
		want := tableRows(r, r.pg, r.from, table)
		for sink, rows := range map[string]func() []string{
			"ClickHouse":    func() []string { return clickHouseRows(r, r.ch, r.into, table) },
			"Elasticsearch": func() []string { return searchRows(r, r.search, r.prefix+"-"+table) },
		} {
			diff := ""
			testbed.Eventually(r, func() string { return fmt.Sprintf("table %s in %s: %s", table, sink, diff) }, func() bool {
				diff = difference(want, rows())
				return diff == ""
			})
		}
	}
}

// everyChange compares what keeps every change with the history, and returns the number of events.
func (r *netRound) everyChange() int {
	r.Helper()
	n, interrupted := 0, r.interrupted()
	for sink, events := range map[string]func(table string) []history.Seen{"ClickHouse": r.loggedInClickHouse, "Elasticsearch": r.loggedInSearch} {
		v := r.h.Check(append(events("a"), events("b")...), interrupted, false)
		n += v.Events
		if len(v.Problems) > 0 {
			r.Errorf("every change in %s:", sink)
		}
		v.Report(r)
	}
	return n
}

// interrupted tells whether a snapshot began a second time, which reads rows of whose changes the stream tells too.
func (r *netRound) interrupted() bool {
	said := strings.Join(append(r.said, r.p.Output()), "\n")
	return strings.Contains(said, "going on with the snapshot that was interrupted") || strings.Contains(said, "no completed snapshot is stored")
}

func (r *netRound) loggedInClickHouse(table string) []history.Seen {
	r.Helper()
	text := r.ch.Query(r, r.into, "SELECT _op, id, ifNull(seq, 0) FROM "+table+"_log FINAL ORDER BY _order FORMAT TSVRaw")
	var out []history.Seen
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		out = append(out, seen(table, f[0], f[1], f[2])...)
	}
	return out
}

func (r *netRound) loggedInSearch(table string) []history.Seen {
	r.Helper()
	type change struct {
		Op    string `json:"__op"`
		Order string `json:"__order"`
		ID    int
		Seq   int
	}
	var list []change
	for _, source := range r.search.Documents(r, r.prefix+"-"+table+"-log") {
		var c change
		if err := json.Unmarshal(source, &c); err != nil {
			r.Fatalf("read document %s: %v", source, err)
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b change) int { return strings.Compare(a.Order, b.Order) })
	var out []history.Seen
	for _, c := range list {
		out = append(out, seen(table, c.Op, strconv.Itoa(c.ID), strconv.Itoa(c.Seq))...)
	}
	return out
}

// seen is a change as a history has it: there a delete is followed by a tombstone.
func seen(table, op, id, seq string) []history.Seen {
	out := []history.Seen{{Key: table + id, Text: op + seq}}
	if op == "d" {
		out = append(out, history.Seen{Key: table + id, Text: "t"})
	}
	return out
}
