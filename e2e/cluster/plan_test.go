package cluster

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/freshet-io/freshet/testbed/rounds"
)

// kind is what goes wrong.
type kind string

const (
	crash     kind = "kill"            // kill -9; the others take over, then it comes back
	bounce    kind = "kill-and-start"  // it is back before the others know that it was gone
	zombie    kind = "zombie"          // SIGSTOP for longer than the session, SIGCONT
	nap       kind = "nap"             // SIGSTOP for less than the session
	partition kind = "partition"       // one worker and the broker, for longer than the session
	hiccup    kind = "hiccup"          // one worker and the broker, for less than the session
	blackout  kind = "blackout"        // all workers and the broker
	broker    kind = "restart-broker"  // one of three is told to stop, and comes back
	lostState kind = "kill-broker"     // kill -9 of one of three
	rolling   kind = "rolling-restart" // one after the other is told to stop and comes back
)

// weighted is a kind with its weight.
type weighted struct {
	kind   kind
	weight int
}

// repertoire is what is played, and what the short form has of it.
type repertoire struct {
	kinds []weighted
	must  []kind
}

// ofWorkers are faults of workers, and of their ways to the only broker. That one has none itself: a broker that is alone loses markers of
// transactions when it starts (docs/cluster.md, "Limits"), and tasks wait for them.
func ofWorkers() repertoire {
	return repertoire{
		kinds: []weighted{{crash, 6}, {bounce, 3}, {zombie, 5}, {nap, 2}, {partition, 5}, {hiccup, 3}, {blackout, 2}, {rolling, 3}},
		must:  []kind{crash, zombie, partition, rolling},
	}
}

// ofBrokers are faults of one of three brokers, and of workers.
func ofBrokers() repertoire {
	return repertoire{
		kinds: []weighted{{broker, 5}, {lostState, 5}, {crash, 2}, {bounce, 1}, {zombie, 2}, {nap, 1}, {rolling, 1}},
		must:  []kind{broker, lostState},
	}
}

// plan is a round.
type plan struct {
	seed  uint64
	early bool          // the faults begin before the snapshots are over
	pace  time.Duration // between the transactions of a database
	steps []step
}

// step is one fault, while the load goes on.
type step struct {
	kind   kind
	worker int           // whose it is; or which broker's
	delay  time.Duration // before it
	long   time.Duration // how long it lasts
	silent bool          // a partition: nothing passes, and nobody is told; else connections are closed
}

const (
	segment = 80 // transactions of each database that belong to a step, and as many for the start and for the end
	session = 3 * time.Second
)

func (l repertoire) newPlan(seed uint64) *plan {
	r := rand.New(rand.NewPCG(seed, 5))
	p := &plan{seed: seed, early: r.IntN(4) == 0, pace: rounds.Between(r, 40*time.Millisecond, 80*time.Millisecond)}
	if r.IntN(8) == 0 { // one of each
		for _, i := range r.Perm(len(l.must)) {
			p.steps = append(p.steps, newStep(r, l.must[i]))
		}
		return p
	}
	var weights []int
	for _, k := range l.kinds {
		weights = append(weights, k.weight)
	}
	for range 2 + r.IntN(2) {
		p.steps = append(p.steps, newStep(r, l.kinds[rounds.Weighted(r, weights)].kind))
	}
	return p
}

func newStep(r *rand.Rand, k kind) step {
	s := step{kind: k, worker: r.IntN(workers), delay: rounds.Between(r, 0, 1500*time.Millisecond), silent: r.IntN(2) == 0}
	switch k {
	case zombie, partition, blackout:
		s.long = rounds.Between(r, session+time.Second, session+4*time.Second)
	case nap, hiccup:
		s.long = rounds.Between(r, 100*time.Millisecond, session/3)
	case broker, lostState:
		s.long = rounds.Between(r, 0, 4*time.Second)
	}
	return s
}

// covering chooses the rounds of the short form.
func (l repertoire) covering(from uint64) []uint64 {
	var all []string
	for _, k := range l.must {
		all = append(all, string(k))
	}
	return rounds.Cover(from, all, func(seed uint64) []string {
		var out []string
		for _, s := range l.newPlan(seed).steps {
			out = append(out, string(s.kind))
		}
		return out
	})
}

// String implements rounds.Plan.
func (p *plan) String() string {
	var parts []string
	for _, s := range p.steps {
		parts = append(parts, s.String())
	}
	when := ""
	if p.early {
		when = "in the snapshots, "
	}
	return fmt.Sprintf("%sa transaction every %s: %s", when, p.pace.Round(time.Millisecond), strings.Join(parts, ", "))
}

func (s step) String() string {
	text := string(s.kind)
	switch s.kind {
	case blackout, rolling:
	case broker, lostState:
		text += fmt.Sprintf(" %d", s.worker)
	default:
		text += fmt.Sprintf(" of worker %d", s.worker)
	}
	if s.silent && (s.kind == partition || s.kind == hiccup || s.kind == blackout) {
		text = "silent " + text
	}
	if s.long > 0 {
		text += " for " + s.long.Round(10*time.Millisecond).String()
	}
	return text
}
