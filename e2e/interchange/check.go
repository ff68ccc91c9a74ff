package interchange

import (
	"cmp"
	"fmt"
	"slices"
)

// Counts is the outcome of a comparison of topics with the history.
type Counts struct {
	Rows      int // of snapshots
	Events    int // of the stream, tombstones included
	Lost      int // changes without an event
	AtLast    int // events that came again at the last LSN before a hand-over
	Repeated  int // any other event that came again
	Unknown   int // events without a change, or out of order
	Snapshots int // rows of a snapshot after the first change or hand-over
	Problems  []string
}

func (c *Counts) problem(format string, a ...any) {
	if len(c.Problems) < 20 {
		c.Problems = append(c.Problems, fmt.Sprintf(format, a...))
	}
}

// Clean tells that nothing was lost, and nothing came again but at the last LSN before a hand-over; or, with again, what came
// since the last stored offset.
func (c *Counts) Clean(again bool) bool {
	return c.Lost+c.Unknown+c.Snapshots == 0 && (again || c.Repeated == 0)
}

// Tables are those of Load.
var tables = []string{"a", "b"}

// Compare walks each table's topic along the history. handovers are the events read at each hand-over. skip leaves out changes of
// transactions that end at or before that LSN: the snapshot has them. Events up to index from (of one table) are left out too.
func Compare(h *History, events []Event, handovers [][]Event) *Counts {
	c := &Counts{}
	last := map[uint64]bool{}
	for _, at := range handovers {
		if lsn := h.lastOf(at); lsn > 0 {
			last[lsn] = true
		}
	}
	for _, table := range tables {
		c.walk(h.Of(table), of(events, table), last)
	}
	return c
}

func of(events []Event, table string) []Event {
	var out []Event
	for _, e := range events {
		if e.Table == table {
			out = append(out, e)
		}
	}
	return out
}

// lastOf is the LSN of the last change that these events hold.
func (h *History) lastOf(events []Event) uint64 {
	found := map[Change]bool{}
	for _, e := range events {
		found[Change{Table: e.Table, Key: e.Key, Op: e.Op, LSN: e.LSN}] = true
	}
	for _, c := range slices.Backward(h.Changes) {
		if found[Change{Table: c.Table, Key: c.Key, Op: c.Op, LSN: c.LSN}] {
			return c.LSN
		}
	}
	return 0
}

func (c *Counts) walk(want []Change, got []Event, last map[uint64]bool) {
	at := 0
	for i, e := range got {
		if e.Op == "r" {
			c.Rows++
			if at > 0 {
				c.Snapshots++
			}
			continue
		}
		c.Events++
		if at < len(want) && same(want[at], e, got, i) {
			at++
			continue
		}
		if back := slices.IndexFunc(want[:at], func(w Change) bool { return same(w, e, got, i) }); back >= 0 && e.Op != "t" {
			if last[e.LSN] && e.LSN == want[at-1].LSN {
				c.AtLast++
			} else {
				c.Repeated++
				c.problem("%s of %s %s at %d came again", e.Op, e.Table, e.Key, e.LSN)
			}
			continue
		}
		if e.Op == "t" && i > 0 && got[i-1].Op == "d" && got[i-1].Key == e.Key {
			c.AtLast++ // of a delete that came again
			continue
		}
		if ahead := slices.IndexFunc(want[at:], func(w Change) bool { return same(w, e, got, i) }); ahead >= 0 {
			c.Lost += ahead
			c.problem("%d changes before %s of %s %s at %d are missing, the first is %+v", ahead, e.Op, e.Table, e.Key, e.LSN, want[at])
			at += ahead + 1
			continue
		}
		c.Unknown++
		c.problem("%s of %s %s at %d was never written", e.Op, e.Table, e.Key, e.LSN)
	}
	if missing := len(want) - at; missing > 0 {
		c.Lost += missing
		c.problem("%d changes of %s are missing at the end, the first is %+v", missing, want[at].Table, want[at])
	}
}

// same tells that event i of got is the event of the change; a tombstone has no LSN.
func same(w Change, e Event, got []Event, i int) bool {
	if w.Op != e.Op || w.Key != e.Key {
		return false
	}
	return e.LSN == w.LSN || e.Op == "t" && i > 0 && got[i-1].Op == "d" && got[i-1].LSN == w.LSN
}

// CompareState checks topics that an interrupted snapshot was written to more than once: every key ends as its row is (rows:
// table, id: seq), and every change behind the last snapshot came, once and in order.
func CompareState(h *History, events []Event, handovers [][]Event, rows map[string]map[string]int) *Counts {
	c := &Counts{}
	allowed := map[uint64]bool{}
	for _, at := range handovers {
		allowed[h.lastOf(at)] = true
	}
	var from uint64 // the LSN of the last snapshot
	for _, e := range events {
		if e.Op == "r" {
			from = max(from, e.LSN)
		}
	}
	for _, table := range tables {
		list, state, after := of(events, table), map[string]int{}, 0
		for i, e := range list {
			switch e.Op {
			case "r":
				after = i + 1
				c.Rows++
				state[e.Key] = e.Seq
			case "t":
			case "d":
				delete(state, e.Key)
			default:
				state[e.Key] = e.Seq
			}
		}
		c.state(table, state, rows[table])
		want := h.Of(table)
		behind, _ := slices.BinarySearchFunc(want, from, func(w Change, lsn uint64) int {
			if h.Txs[w.Tx].End <= lsn {
				return -1
			}
			return 1
		})
		c.walk(want[behind:], h.behind(list[after:], want[:behind]), allowed)
	}
	return c
}

// behind leaves out the events of changes that the snapshot may have had.
func (h *History) behind(events []Event, had []Change) []Event {
	lsns := map[uint64]bool{}
	for _, c := range had {
		lsns[c.LSN] = true
	}
	var out []Event
	drop := false
	for _, e := range events {
		if e.Op != "t" {
			drop = lsns[e.LSN]
		}
		if !drop {
			out = append(out, e)
		}
	}
	return out
}

func (c *Counts) state(table string, got, want map[string]int) {
	for _, key := range sorted(want) {
		if seq, there := got[key]; !there || seq != want[key] {
			c.Lost++
			c.problem("%s %s ends as %d (there: %t), the table has %d", table, key, seq, there, want[key])
		}
	}
	for _, key := range sorted(got) {
		if _, there := want[key]; !there {
			c.Lost++
			c.problem("%s %s was deleted, but the topic still has it", table, key)
		}
	}
}

func sorted(m map[string]int) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return out
}
