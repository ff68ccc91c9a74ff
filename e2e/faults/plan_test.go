package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/testbed/rounds"
)

// kind is what goes wrong.
type kind string

const (
	killWorker   kind = "kill-worker"
	killSource   kind = "kill-source"
	killTarget   kind = "kill-target"
	killKafka    kind = "kill-kafka"
	killSnapshot kind = "kill-in-snapshot"
	cut          kind = "cut"       // connections are closed and new ones refused
	tear         kind = "tear"      // connections end in the middle of a message
	slow         kind = "slow"      // latency and little bandwidth
	halfOpen     kind = "half-open" // nothing passes one way or both, and nobody is told
	sessions     kind = "end-sessions"
	storeGone    kind = "no-offset-store"
	zombie       kind = "zombie"   // SIGSTOP, a take-over, SIGCONT
	rotate       kind = "rotate"   // MySQL goes on in another binlog file, several times
	purge        kind = "purge"    // and removes every file that is not needed any more
	alter        kind = "alter"    // tables get columns
	failover     kind = "failover" // a replica takes over, and the primary becomes its replica
)

// kinds lists every kind with its weight: how often it is chosen for a step of a round. Kills in the snapshot come before the steps.
var kinds = []struct {
	kind   kind
	weight int
}{
	{killWorker, 10},
	{killSource, 4},
	{killTarget, 4},
	{killKafka, 1},
	{cut, 8},
	{tear, 8},
	{slow, 4},
	{halfOpen, 4},
	{sessions, 3},
	{storeGone, 4},
	{zombie, 3},
}

// ofMySQL are the kinds that a MySQL and MariaDB have besides.
var ofMySQL = []struct {
	kind   kind
	weight int
}{
	{rotate, 5},
	{purge, 5},
	{alter, 5},
	{failover, 4},
}

// sinks that a round may have; fan-outs have two.
var targets = []struct {
	sinks  []string
	weight int
}{
	{[]string{exactSink}, 30},
	{[]string{looseSink}, 14},
	{[]string{tableSink}, 20},
	{[]string{fileSink}, 10},
	{[]string{fileSink, exactSink}, 10},
	{[]string{tableSink, exactSink}, 8},
	{[]string{tableSink, fileSink}, 8},
}

// plan is a round.
type plan struct {
	of          string // what is read: postgres, mysql or mariadb
	seed        uint64
	sinks       []string
	store       string        // where the worker keeps offsets: topic or file
	rows        int           // in each table at first
	pace        time.Duration // between transactions
	transaction time.Duration // transaction.timeout.ms
	patience    time.Duration // request.timeout.ms
	snapshot    []time.Duration
	steps       []step
}

// step is one fault. It begins when a part of its segment of the load is committed; the load goes on meanwhile.
type step struct {
	kind   kind
	at     int           // transactions of the segment
	delay  time.Duration // after that
	long   time.Duration // how long it lasts
	where  string        // the proxy: source, kafka or target
	stream string        // direction: upstream, downstream or both
	amount int           // bytes until a connection tears, KB/s
	kill   time.Duration // the worker is killed after this, 0: not
}

const segment = 150 // transactions

// segments is how many segments the load has: one for each kill in the snapshot, one for the start of streaming, and one for each
// step; a zombie takes two more.
func (p *plan) segments() int {
	n := len(p.snapshot) + 1 + len(p.steps)
	for _, s := range p.steps {
		if s.kind == zombie {
			n += 2
		}
	}
	return n
}

func newPlan(of string, seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 3))
	p := plan{
		of: of, seed: seed, rows: 1000, store: rounds.Pick(r, "file", "topic"), pace: time.Duration(r.IntN(4)) * time.Millisecond,
		transaction: rounds.Pick(r, 3*time.Second, time.Minute), patience: rounds.Pick(r, 2500*time.Millisecond, 30*time.Second),
	}
	var weights []int
	for _, t := range targets {
		weights = append(weights, t.weight)
	}
	p.sinks = targets[rounds.Weighted(r, weights)].sinks
	if slices.Contains(p.sinks, exactSink) {
		p.store = "topic"
	}
	if r.IntN(3) == 0 {
		p.rows = 4000
		for range 1 + r.IntN(2) {
			p.snapshot = append(p.snapshot, rounds.Between(r, 0, 250*time.Millisecond))
		}
	}
	for range 2 + r.IntN(2) {
		p.steps = append(p.steps, p.step(r))
	}
	if slices.ContainsFunc(p.steps, func(s step) bool { return s.kind == zombie }) {
		p.transaction = 3 * time.Second
	}
	return p
}

func (p *plan) step(r *rand.Rand) step {
	var weights []int
	kinds := kinds
	if p.of != "postgres" {
		kinds = slices.Concat(kinds, ofMySQL)
	}
	for _, k := range kinds {
		if !p.possible(k.kind) {
			k.weight = 0
		}
		weights = append(weights, k.weight)
	}
	s := step{kind: kinds[rounds.Weighted(r, weights)].kind, at: r.IntN(segment), delay: rounds.Between(r, 0, 20*time.Millisecond)}
	proxies := []string{"source"}
	if p.usesKafka() {
		proxies = append(proxies, "kafka")
	}
	if slices.Contains(p.sinks, tableSink) {
		proxies = append(proxies, "target")
	}
	s.where, s.stream = rounds.Pick(r, proxies...), rounds.Pick(r, "upstream", "downstream", "both")
	s.amount = 1 + r.IntN(20_000)
	switch s.kind {
	case slow:
		s.long, s.amount = rounds.Between(r, 500*time.Millisecond, 2*time.Second), 100+r.IntN(400)
	case halfOpen:
		s.long = rounds.Between(r, time.Second, 4*time.Second)
	case cut, tear, storeGone, killSource, killTarget, killKafka, failover:
		s.long = rounds.Between(r, 50*time.Millisecond, time.Second)
	case zombie:
		s.long = 3500 * time.Millisecond
	case killWorker:
		s.long = rounds.Between(r, 0, 300*time.Millisecond)
		return s
	}
	if r.IntN(5) == 0 && s.kind != zombie {
		s.kill = rounds.Between(r, time.Millisecond, s.long+300*time.Millisecond)
	}
	return s
}

// possible tells whether a fault can be had with these sinks.
func (p *plan) possible(k kind) bool {
	switch k {
	case killTarget:
		return slices.Contains(p.sinks, tableSink)
	case killKafka:
		return p.usesKafka()
	case storeGone:
		return p.store == "topic" || slices.Contains(p.sinks, tableSink)
	case zombie: // a file is locked, and nobody fences an at-least-once producer
		return !slices.Contains(p.sinks, fileSink) && !slices.Contains(p.sinks, looseSink)
	case purge: // the offset file is locked
		return p.store == "topic" || slices.Contains(p.sinks, tableSink) && len(p.sinks) == 1
	}
	return true
}

func (p *plan) usesKafka() bool {
	return p.store == "topic" || slices.Contains(p.sinks, exactSink) || slices.Contains(p.sinks, looseSink)
}

// faults lists the kinds of a round.
func (p *plan) faults() []kind {
	var out []kind
	for range p.snapshot {
		out = append(out, killSnapshot)
	}
	for _, s := range p.steps {
		out = append(out, s.kind)
		if s.kill > 0 {
			out = append(out, killWorker)
		}
	}
	return out
}

func (p *plan) String() string {
	var parts []string
	for _, d := range p.snapshot {
		parts = append(parts, fmt.Sprintf("%s %s", killSnapshot, d.Round(time.Millisecond)))
	}
	for _, s := range p.steps {
		parts = append(parts, s.String())
	}
	return fmt.Sprintf("%s (offsets in a %s): %s", strings.Join(p.sinks, "+"), p.store, strings.Join(parts, ", "))
}

func (s step) String() string {
	text := string(s.kind)
	switch s.kind {
	case cut:
		text += " " + s.where
	case tear, slow, halfOpen:
		text += " " + s.where + " " + s.stream
	}
	if s.long > 0 {
		text += " " + s.long.Round(time.Millisecond).String()
	}
	if s.kill > 0 {
		text += " + " + string(killWorker)
	}
	return text
}

// covering chooses few seeds whose plans have every kind of fault and every set of sinks.
func covering(of string, from uint64) []uint64 {
	all := []string{string(killSnapshot)}
	kinds := kinds
	if of != "postgres" {
		kinds = slices.Concat(kinds, ofMySQL)
	}
	for _, k := range kinds {
		all = append(all, string(k.kind))
	}
	for _, t := range targets {
		all = append(all, strings.Join(t.sinks, "+"))
	}
	return rounds.Cover(from, all, func(seed uint64) []string {
		p := newPlan(of, seed)
		out := []string{strings.Join(p.sinks, "+")}
		for _, k := range p.faults() {
			out = append(out, string(k))
		}
		return out
	})
}
