package demo

import (
	"strconv"
	"strings"
)

// histories gives the changes of every key in the order in which they were committed, per table.
func (l *load) histories() []map[string][]change {
	out := make([]map[string][]change, len(l.tables))
	for i := range out {
		out[i] = map[string][]change{}
	}
	for _, w := range l.writers {
		for _, c := range w.history {
			out[c.table][c.key] = append(out[c.table][c.key], c)
		}
	}
	return out
}

// snapshotCuts finds for every writer how far the snapshot saw its changes: everything up to that version must have
// arrived as part of a snapshot row, everything after it as an event of its own. The snapshot reads one state of the
// database, so the first change of a writer that was streamed ends what the snapshot saw.
func snapshotCuts(expected []map[string][]change, keys []map[string]*keyLog) [writers]int64 {
	var cuts [writers]int64
	for i := range expected {
		for _, changes := range expected[i] {
			for _, c := range changes {
				cuts[c.version%writers] = max(cuts[c.version%writers], c.version) // nothing was streamed
			}
		}
	}
	for i := range expected {
		for key, changes := range expected[i] {
			if log := keys[i][key]; log != nil {
				if v := firstStreamed(changes, log.items); v > 0 {
					cuts[v%writers] = min(cuts[v%writers], v-1)
				}
			}
		}
	}
	return cuts
}

// firstStreamed returns the version of the first change of a key that arrived as an event of its own, 0 for none. A delete
// does not carry its version: of n streamed deletes the first is the n-th from the end.
func firstStreamed(changes []change, items []item) int64 {
	deletes := 0
	var first int64
	for _, it := range items {
		switch it.op {
		case 'c', 'u':
			if first == 0 || it.version < first {
				first = it.version
			}
		case 'd':
			deletes++
		}
	}
	for i := len(changes) - 1; i >= 0 && deletes > 0; i-- {
		if changes[i].op == 'd' {
			deletes--
			if deletes == 0 && (first == 0 || changes[i].version < first) {
				first = changes[i].version
			}
		}
	}
	return first
}

// expectedItems is what the topic must hold for a key with this history.
func expectedItems(history []change, cuts [writers]int64) []item {
	var out []item
	for _, c := range history {
		if c.version <= cuts[c.version%writers] {
			out = out[:0]
			if c.op != 'd' {
				out = append(out, item{'r', c.version})
			}
			continue
		}
		if c.op == 'd' {
			out = append(out, item{op: 'd'}, item{op: tombstone})
			continue
		}
		out = append(out, item{c.op, c.version})
	}
	return out
}

// compareHistory compares what arrived for every key with what was done to it.
func (r *report) compareHistory(t *table, expected map[string][]change, keys map[string]*keyLog, cuts [writers]int64) {
	for key, history := range expected {
		var got []item
		if log := keys[key]; log != nil {
			got = log.items
		}
		r.compareItems(t, key, expectedItems(history, cuts), got)
	}
	for key, log := range keys {
		if expected[key] == nil {
			r.duplicated += len(log.items)
			r.note("topic %s: key %s was never in the source", t.topic(), key)
		}
	}
}

func (r *report) compareItems(t *table, key string, want, got []item) {
	same := len(want) == len(got)
	for i := 0; same && i < len(want); i++ {
		same = want[i] == got[i]
	}
	if same {
		return
	}
	balance := map[item]int{}
	for _, i := range want {
		balance[i]++
	}
	for _, i := range got {
		balance[i]--
	}
	lost, duplicated := 0, 0
	for _, n := range balance {
		lost += max(n, 0)
		duplicated += max(-n, 0)
	}
	if lost+duplicated == 0 {
		r.reordered++
	}
	r.lost += lost
	r.duplicated += duplicated
	r.note("topic %s, key %s: expected %s, got %s", t.topic(), key, describe(want), describe(got))
}

// describe prints events as letters and versions: "c5 u9 d t".
func describe(items []item) string {
	var b strings.Builder
	for i, it := range items {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(it.op)
		if it.version != 0 {
			b.WriteString(strconv.FormatInt(it.version, 10))
		}
	}
	if b.Len() == 0 {
		return "nothing"
	}
	return b.String()
}
