package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/rounds"
)

const (
	stopSignal = syscall.SIGTERM
	// recovery is how long after a crash all tasks may take to run again; on a machine where something waits for processors or disks a
	// fifth of that time, recoveryBusy.
	recovery     = session + 5*time.Second
	recoveryBusy = 3 * recovery
)

// place is where a task runs.
type place struct {
	worker string
	pid    int32 // of the walsender that serves it; 0 for a file's
}

// fault carries out one step; at its end every worker is there and has its share.
func (r *round) fault(s step) {
	r.Helper()
	victim := r.members[s.worker]
	var before map[string]place // unknown while snapshots go on
	if !r.plan.early || s != r.plan.steps[0] {
		before = r.settled(r.members)
	}
	switch s.kind {
	case crash:
		victim.Kill()
		r.crashed(victim, before)
		r.back(victim)
	case bounce:
		victim.Kill()
		began := time.Now()
		r.start(victim)
		r.answers(victim)
		after := r.settled(r.members)
		r.slowest = max(r.slowest, time.Since(began))
		r.stays(before, after, victim)
	case zombie:
		victim.Signal(syscall.SIGSTOP)
		began := time.Now()
		after := r.settled(r.but(victim))
		r.stays(before, after, victim)
		rounds.Pass(r.Context(), s.long-time.Since(began))
		victim.Signal(syscall.SIGCONT)
		r.stays(after, r.settled(r.members))
	case nap:
		victim.Signal(syscall.SIGSTOP)
		rounds.Pass(r.Context(), s.long)
		victim.Signal(syscall.SIGCONT)
		r.nothingMoves(before, r.settled(r.members))
	case partition:
		r.separate(s, r.proxies[s.worker])
		began := time.Now()
		after := r.settled(r.but(victim))
		r.stays(before, after, victim)
		rounds.Pass(r.Context(), s.long-time.Since(began))
		testbed.Heal(r, r.proxies...)
		r.stays(after, r.settled(r.members))
	case hiccup:
		r.separate(s, r.proxies[s.worker])
		rounds.Pass(r.Context(), s.long)
		testbed.Heal(r, r.proxies...)
		r.stays(before, r.settled(r.members), victim)
	case blackout:
		r.separate(s, r.proxies...)
		rounds.Pass(r.Context(), s.long)
		testbed.Heal(r, r.proxies...)
		r.settled(r.members)
	case broker, lostState:
		r.brokerFault(s)
	case rolling:
		for _, w := range r.members {
			before = r.settled(r.members)
			if code := w.Stop(); code != 0 {
				r.Errorf("worker %s: exit code %d after SIGTERM, want 0", w.id, code)
			}
			r.stays(before, r.settled(r.but(w)), w)
			r.back(w)
		}
	}
}

// brokerFault takes one of the brokers away: the others are enough for everything to go on.
func (r *round) brokerFault(s step) {
	r.Helper()
	b := r.brokers[s.worker]
	if s.kind == broker {
		b.Stop(r)
	} else {
		b.Kill(r)
	}
	rounds.Pass(r.Context(), s.long)
	r.confirmed()
	r.settled(r.members)
	b.Restart(r)
	testbed.WaitInSync(r, b)
	r.settled(r.members)
}

// separate puts a partition between workers and the broker.
func (r *round) separate(s step, proxies ...*toxiproxy.Proxy) {
	r.Helper()
	if !s.silent {
		testbed.Cut(r, proxies...)
		return
	}
	for _, p := range proxies {
		testbed.Hurt(r, p, "both", "timeout", toxiproxy.Attributes{"timeout": 0})
	}
}

// crashed waits until the tasks of a worker that was killed run elsewhere.
func (r *round) crashed(victim *worker, before map[string]place) {
	r.Helper()
	began, starved := time.Now(), waited(r)
	after := r.settled(r.but(victim))
	took, limit := time.Since(began), recovery
	if waited(r)-starved > took/5 {
		limit = recoveryBusy
	}
	r.slowest = max(r.slowest, took)
	if took > limit {
		r.Errorf("after the crash of worker %s all tasks run again after %s, want %s at most", victim.id, took.Round(time.Millisecond), limit)
	}
	r.stays(before, after, victim)
}

// back starts a worker again and waits until it has its share.
func (r *round) back(w *worker) {
	r.Helper()
	before := r.settled(r.but(w))
	r.start(w)
	r.answers(w)
	r.stays(before, r.settled(r.members))
}

// stays checks that what runs where it ran before was not stopped in between, and that only as much moved as had to: what these
// workers had, or their share of what the others have.
func (r *round) stays(before, after map[string]place, but ...*worker) {
	r.Helper()
	if before == nil {
		return
	}
	moved, had := 0, 0
	for _, name := range slices.Sorted(maps.Keys(after)) {
		was, is := before[name], after[name]
		lost := slices.ContainsFunc(but, func(w *worker) bool { return w.id == was.worker })
		if lost {
			had++
		}
		switch {
		case was.worker != is.worker:
			moved++
		case was.pid != is.pid && !lost && r.reconnected(name):
		case was.pid != is.pid && !lost:
			r.Errorf("connector %s stayed at worker %s and was stopped all the same: walsender %d before, %d now", name, is.worker, was.pid, is.pid)
		case was.pid != 0 && !lost:
			r.stayed++
		}
	}
	r.moved += moved
	share := (databases + files + workers - 1) / workers
	if most := max(had, share); moved > most {
		r.Errorf("%d tasks moved, want %d at most", moved, most)
	}
}

// reconnected tells whether the source of a connector has lost its server for a while, as one does whose worker gets no processor for as long as the
// server waits for it.
func (r *round) reconnected(name string) bool {
	return slices.ContainsFunc(r.members, func(w *worker) bool {
		for line := range strings.Lines(w.Output()) {
			if strings.Contains(line, "lost the connection to the server, connecting again") && strings.Contains(line, "connector="+name+" ") {
				return true
			}
		}
		return false
	})
}

// nothingMoves checks that every task was left alone.
func (r *round) nothingMoves(before, after map[string]place) {
	r.Helper()
	if before != nil && !maps.Equal(before, after) {
		r.Errorf("tasks were stopped or moved without need:\n%v\n%v", before, after)
	}
}

// settled waits until every connector runs, each worker among these has its share, and every slot is read; it returns where they run.
func (r *round) settled(among []*worker) map[string]place {
	r.Helper()
	var complaint string
	var out map[string]place
	until(r, func() string { r.transactions(); r.quit(); return "the workers do not settle: " + complaint }, func() bool {
		for _, w := range among {
			if w.Ended() {
				r.Fatalf("worker %s has ended", w.id)
			}
		}
		owners, c := r.owners(among[0])
		if complaint = c; complaint == "" {
			complaint = shared(owners, among)
		}
		if complaint == "" && len(owners) != databases+files {
			complaint = fmt.Sprintf("%d connectors are known", len(owners))
		}
		if complaint != "" {
			return false
		}
		pids := r.walsenders()
		out = map[string]place{}
		for name, id := range owners {
			out[name] = place{id, pids[name]}
		}
		for _, db := range r.names {
			if pids[r.connector(db)] == 0 {
				complaint = "nobody reads the slot of connector " + r.connector(db)
				return false
			}
		}
		return true
	})
	return out
}

// transactions logs those that are open: they hold up who reads the offsets.
func (r *round) transactions() {
	r.Helper()
	c := r.kafka.Client(r)
	list, err := kmsg.NewPtrListTransactionsRequest().RequestWith(r.Context(), c)
	if err != nil {
		r.Logf("list transactions: %v", err)
		return
	}
	for _, tx := range list.TransactionStates {
		r.Logf("transaction %s of producer %d: %s", tx.TransactionalID, tx.ProducerID, tx.TransactionState)
	}
	topic := kmsg.NewDescribeProducersRequestTopic()
	topic.Topic, topic.Partitions = r.name+"-offsets", []int32{0, 1, 2}
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = append(req.Topics, topic)
	producers, err := req.RequestWith(r.Context(), c)
	if err != nil || len(producers.Topics) != 1 {
		r.Logf("describe producers: %v", err)
		return
	}
	for _, p := range producers.Topics[0].Partitions {
		for _, producer := range p.ActiveProducers {
			if producer.CurrentTxnStartOffset >= 0 {
				r.Logf("partition %d of %s: producer %d, epoch %d, has a transaction open since offset %d, the last record is of %s", p.Partition,
					topic.Topic, producer.ProducerID, producer.ProducerEpoch, producer.CurrentTxnStartOffset, time.UnixMilli(producer.LastTimestamp).UTC().Format(time.TimeOnly))
			}
		}
	}
}

// walsenders are the processes that stream to connectors.
func (r *round) walsenders() map[string]int32 {
	r.Helper()
	rows, err := r.admin.Query(r.Context(), `SELECT slot_name, active_pid FROM pg_replication_slots JOIN pg_stat_activity ON pid = active_pid
WHERE slot_name = ANY($1) AND application_name = 'Freshet Streaming'`, r.names)
	if err != nil {
		r.Fatal(err)
	}
	defer rows.Close()
	out := map[string]int32{}
	for rows.Next() {
		var slot string
		var pid int32
		if err := rows.Scan(&slot, &pid); err != nil {
			r.Fatal(err)
		}
		out[r.connector(slot)] = pid
	}
	if err := rows.Err(); err != nil {
		r.Fatal(err)
	}
	return out
}
