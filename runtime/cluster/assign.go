package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/freshet-io/freshet/runtime/herder"
)

// The leader spreads the work in rounds. What is new or was lost goes to who has least; what nobody may have any more, or one has
// too much of, is revoked in one round and given away in the next, when its owner has said that it has stopped. So nothing is ever
// given to a second member while a first may have it, and what need not move does not move (KIP-415).

// peer is a member as it takes part in a round.
type peer struct {
	id, url string
	running []herder.TaskID
}

// share is what a round gives one member.
type share struct {
	tasks   []herder.TaskID // all that it has from now on
	revoked []herder.TaskID // what it has to stop, of what it had
}

// plan is the outcome of a round.
type plan struct {
	shares map[string]share
	delay  time.Duration // after which another round is to be held; 0: none is needed
	again  bool          // another round follows at once: something is revoked that somebody is to have
}

// history is what a leader remembers of the rounds before; its zero value is that of a new one.
type history struct {
	owners  map[herder.TaskID]string // who was given what
	members map[string]string        // their URLs
	missing []missing                // members that went away with work, oldest first

	revoked   bool // by the last round, to balance
	inARow    int  // how often that happened in successive rounds
	calmUntil time.Time
}

// missing is a member whose work waits for it to come back.
type missing struct {
	url   string
	tasks map[herder.TaskID]bool
	until time.Time
}

// spread makes a round: members are those that take part, work is everything that is to run. maxDelay is how long the work of a member
// that went away waits for it (scheduled.rebalance.max.delay.ms). It returns the history for the next round.
func spread(h history, now time.Time, maxDelay time.Duration, members []peer, work []herder.TaskID) (plan, history) {
	r := newRound(members, work)
	next := history{owners: map[herder.TaskID]string{}, members: map[string]string{}, revoked: h.revoked, inARow: h.inARow, calmUntil: h.calmUntil}
	for _, m := range members {
		next.members[m.id] = m.url
	}
	next.missing = r.await(h, now, maxDelay)
	for _, id := range r.free {
		r.give(id)
	}
	p := plan{shares: map[string]share{}}
	for _, m := range next.missing {
		p.delay = soonest(p.delay, m.until.Sub(now))
	}
	if len(next.missing) == 0 { // no work is moved while some waits
		p.delay = r.balance(&next, now, maxDelay)
	}
	for _, l := range r.loads {
		sortTasks(l.revoked)
		tasks := slices.Collect(maps.Keys(l.tasks))
		sortTasks(tasks)
		p.shares[l.id] = share{tasks: tasks, revoked: l.revoked}
		p.again = p.again || slices.ContainsFunc(l.revoked, func(id herder.TaskID) bool { return r.wanted[id] })
		for _, id := range tasks {
			next.owners[id] = l.id
		}
	}
	return p, next
}

// soonest is the shorter of two delays, of which 0 is none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

func compareTasks(a, b herder.TaskID) int {
	return cmp.Or(cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Task, b.Task))
}

func sortTasks(ids []herder.TaskID) { slices.SortFunc(ids, compareTasks) }

// load is what one member has in the round under way.
type load struct {
	id      string
	tasks   map[herder.TaskID]bool
	revoked []herder.TaskID
	count   [2]int // connectors, tasks
}

func kind(id herder.TaskID) int {
	if id.Task < 0 {
		return 0
	}
	return 1
}

type round struct {
	wanted map[herder.TaskID]bool
	urls   map[string]string
	loads  []*load         // by id of the member
	total  [2]int          // connectors and tasks that members have
	free   []herder.TaskID // work that no member has, in order
}

// newRound starts with what members have. What is no work any more is revoked, and what two have from both of them.
func newRound(members []peer, work []herder.TaskID) *round {
	r := &round{wanted: map[herder.TaskID]bool{}, urls: map[string]string{}}
	held := map[herder.TaskID]int{}
	for _, m := range members {
		for _, id := range m.running {
			held[id]++
		}
	}
	for _, id := range work {
		if !r.wanted[id] && held[id] == 0 {
			r.free = append(r.free, id)
		}
		r.wanted[id] = true
	}
	sortTasks(r.free)
	for _, m := range members {
		r.urls[m.id] = m.url
		l := &load{id: m.id, tasks: map[herder.TaskID]bool{}}
		for _, id := range m.running {
			if held[id] > 1 || !r.wanted[id] {
				l.revoked = append(l.revoked, id)
				continue
			}
			r.add(l, id)
		}
		r.loads = append(r.loads, l)
	}
	slices.SortFunc(r.loads, func(a, b *load) int { return cmp.Compare(a.id, b.id) })
	return r
}

func (r *round) add(l *load, id herder.TaskID) {
	l.tasks[id] = true
	l.count[kind(id)]++
	r.total[kind(id)]++
}

// await takes out of what is free the work of members that went away and may come back, and returns them. A newcomer without work
// takes the place of one of them: of the one with its URL, else of any.
func (r *round) await(h history, now time.Time, maxDelay time.Duration) []missing {
	free := map[herder.TaskID]bool{}
	for _, id := range r.free {
		free[id] = true
	}
	var waiting []missing
	for _, m := range append(slices.Clone(h.missing), r.gone(h, now.Add(maxDelay))...) {
		tasks := map[herder.TaskID]bool{}
		for id := range m.tasks {
			if free[id] {
				tasks[id] = true
			}
		}
		if len(tasks) > 0 && now.Before(m.until) {
			waiting = append(waiting, missing{m.url, tasks, m.until})
		}
	}
	waiting = r.welcome(h, waiting, free)
	for _, m := range waiting {
		for id := range m.tasks {
			delete(free, id)
		}
	}
	r.free = slices.DeleteFunc(r.free, func(id herder.TaskID) bool { return !free[id] })
	return waiting
}

// gone lists the members of the last round that take no part in this one, with what they had.
func (r *round) gone(h history, until time.Time) []missing {
	here := map[string]bool{}
	for _, l := range r.loads {
		here[l.id] = true
	}
	left := map[string]map[herder.TaskID]bool{}
	for id, owner := range h.owners {
		if here[owner] {
			continue // it never heard of it, or has stopped it by itself
		}
		if left[owner] == nil {
			left[owner] = map[herder.TaskID]bool{}
		}
		left[owner][id] = true
	}
	var out []missing
	for _, owner := range slices.Sorted(maps.Keys(left)) {
		out = append(out, missing{h.members[owner], left[owner], until})
	}
	return out
}

// welcome gives newcomers the work of missing members, and returns those that are still missing.
func (r *round) welcome(h history, waiting []missing, free map[herder.TaskID]bool) []missing {
	var back []*load
	for _, l := range r.loads {
		if _, known := h.members[l.id]; !known && len(l.tasks) == 0 {
			back = append(back, l)
		}
	}
	share := r.total // of each, at least
	for id := range free {
		share[kind(id)]++
	}
	for k := range share {
		share[k] /= max(len(r.loads), 1)
	}
	for _, same := range []bool{true, false} {
		back = slices.DeleteFunc(back, func(l *load) bool {
			i := slices.IndexFunc(waiting, func(m missing) bool { return !same || m.url == r.urls[l.id] })
			if i < 0 {
				return false
			}
			for _, id := range slices.SortedFunc(maps.Keys(waiting[i].tasks), compareTasks) {
				if k := kind(id); l.count[k] < share[k] { // what is above goes to others
					r.add(l, id)
					delete(free, id)
				}
			}
			waiting = slices.Delete(waiting, i, i+1)
			return true
		})
	}
	return waiting
}

// give gives a task to the member that has least.
func (r *round) give(id herder.TaskID) {
	if len(r.loads) == 0 {
		return
	}
	k := kind(id)
	r.add(slices.MinFunc(r.loads, func(a, b *load) int {
		return cmp.Or(cmp.Compare(a.count[k], b.count[k]), cmp.Compare(len(a.tasks), len(b.tasks)), cmp.Compare(a.id, b.id))
	}), id)
}

// balance revokes what members have too much of. When that happens in successive rounds it pauses, longer each time, and returns how
// long still.
func (r *round) balance(next *history, now time.Time, maxDelay time.Duration) time.Duration {
	excess := map[*load][]herder.TaskID{}
	for k := range r.total {
		r.excess(k, excess)
	}
	if len(excess) == 0 {
		next.revoked, next.inARow = false, 0
		return 0
	}
	if next.revoked {
		next.revoked = false
		next.inARow++
		next.calmUntil = now.Add(calm(next.inARow, maxDelay))
	}
	if now.Before(next.calmUntil) {
		return next.calmUntil.Sub(now)
	}
	for l, ids := range excess {
		for _, id := range ids {
			delete(l.tasks, id)
			l.revoked = append(l.revoked, id)
		}
	}
	next.revoked = true
	return 0
}

// calm is the pause after n successive rounds that revoked (Connect: 1 ms × 40^n).
func calm(n int, most time.Duration) time.Duration {
	d := time.Millisecond
	for ; n > 0 && d < most; n-- {
		d *= 40
	}
	return min(d, most)
}

// excess adds what members have above their share of a kind: the fewest moves that make all shares equal but for one.
func (r *round) excess(k int, out map[*load][]herder.TaskID) {
	if len(r.loads) == 0 {
		return
	}
	least, rest := r.total[k]/len(r.loads), r.total[k]%len(r.loads)
	byLoad := slices.Clone(r.loads)
	slices.SortStableFunc(byLoad, func(a, b *load) int { return cmp.Compare(b.count[k], a.count[k]) })
	for i, l := range byLoad {
		quota := least
		if i < rest {
			quota++
		}
		if l.count[k] <= quota {
			continue
		}
		var of []herder.TaskID
		for id := range l.tasks {
			if kind(id) == k {
				of = append(of, id)
			}
		}
		sortTasks(of)
		out[l] = append(out[l], of[quota:]...)
	}
}
