package history

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// made is a history of n transactions that no server has seen, and the events of it behind a snapshot.
func made(n int) (*History, []Seen) {
	h := &History{
		database: onPostgres{}, random: rand.New(rand.NewPCG(1, 1)), rows: map[string]map[int]int{"a": {}, "b": {}}, ids: map[string][]int{},
		want: map[string][]event{}, nextID: 20,
	}
	for _, table := range []string{"a", "b"} {
		for id := range 20 {
			h.put(table, id, "c")
		}
	}
	var got []Seen
	for key, events := range h.want {
		got = append(got, Seen{Key: key, Text: "r" + events[0].text[1:]})
	}
	for i := range n {
		h.transaction()
		h.ends, h.seqs = append(h.ends, uint64(100*(i+1))), append(h.seqs, h.seq)
	}
	for key, events := range h.want {
		for _, e := range events {
			if e.tx > 0 {
				got = append(got, Seen{Key: key, Text: e.text, LSN: int64(e.tx)})
			}
		}
	}
	return h, got
}

func TestCheck(t *testing.T) {
	t.Parallel()
	h, good := made(200)
	at := slices.IndexFunc(good, func(s Seen) bool { return s.Key == "a0" && s.Text[0] == 'u' })
	snapshot := slices.IndexFunc(good, func(s Seen) bool { return s.Text[0] == 'r' })
	again := func(i int) []Seen { return append(slices.Clone(good), good[i]) }
	// The events of one key up to a tombstone: those before it, then all of them again.
	deleted := slices.IndexFunc(good, func(s Seen) bool { return s.Text == "t" })
	from := slices.IndexFunc(good, func(s Seen) bool { return s.Key == good[deleted].Key && s.Text[0] != 'r' })
	cut := slices.Concat(good[:deleted], good[from:])
	swapped := slices.Clone(good)
	swapped[at], swapped[at+1] = swapped[at+1], swapped[at]
	for _, c := range []struct {
		name                 string
		got                  []Seen
		interrupted, repeats bool
		lost, twice          int
		right                bool
	}{
		{name: "all", got: good, right: true},
		{name: "one lost", got: slices.Delete(slices.Clone(good), at+3, at+4), lost: 1},
		{name: "one lost with repeats", got: slices.Delete(slices.Clone(good), at+3, at+4), repeats: true, lost: 1},
		{name: "a snapshot row lost", got: slices.Delete(slices.Clone(good), snapshot, snapshot+1), lost: 1},
		{name: "one twice", got: again(at), twice: 1},
		{name: "one twice, as may be", got: again(at), repeats: true, right: true},
		{name: "a tombstone only in the repeat", got: cut, repeats: true, right: true},
		{name: "a tombstone in no repeat", got: slices.Concat(cut[:deleted], good[from:deleted], good[deleted+1:]), repeats: true, lost: 1},
		{name: "a snapshot row twice", got: again(snapshot), twice: 1},
		{name: "a snapshot row twice, as may be", got: again(snapshot), interrupted: true, right: true},
		{name: "out of order", got: swapped},
		{name: "out of order with repeats", got: swapped, repeats: true},
		{name: "never written", got: append(slices.Clone(good), Seen{Key: "a999", Text: "c1"})},
	} {
		v := h.Check(c.got, c.interrupted, c.repeats)
		if right := len(v.Problems) == 0; right != c.right || v.Lost != c.lost || v.Twice != c.twice {
			t.Errorf("%s: %d problems, lost %d, twice %d; want right=%t, lost %d, twice %d: %s",
				c.name, len(v.Problems), v.Lost, v.Twice, c.right, c.lost, c.twice, strings.Join(v.Problems[:min(3, len(v.Problems))], "\n"))
		}
	}
}

func TestThrough(t *testing.T) {
	t.Parallel()
	h, good := made(5)
	for lsn, want := range map[uint64]int{0: 0, 99: 0, 100: 1, 199: 1, 200: 2, 1000: 5} {
		if got := h.Through(lsn); got != want {
			t.Errorf("through %d: %d, want %d", lsn, got, want)
		}
	}
	if complaint := h.Lacks(good, 5); complaint != "" {
		t.Error(complaint)
	}
	short := slices.DeleteFunc(slices.Clone(good), func(s Seen) bool { return s.LSN == 4 })
	if h.Lacks(short, 4) == "" || h.Lacks(short, 3) != "" {
		t.Errorf("without transaction 4: %q and %q", h.Lacks(short, 4), h.Lacks(short, 3))
	}
}
