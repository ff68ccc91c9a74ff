package history

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Seen is an event that a reader got.
type Seen struct {
	Key, Text string
	LSN       int64 // 0 for a tombstone
}

// Understand takes an event from its topic, and its key and value as JSON without schemas.
func Understand(topic string, key, value []byte) (Seen, error) {
	var k struct{ ID int }
	if err := json.Unmarshal(key, &k); err != nil {
		return Seen{}, fmt.Errorf("read key %q: %w", key, err)
	}
	s := Seen{Key: topic[strings.LastIndexByte(topic, '.')+1:] + strconv.Itoa(k.ID), Text: "t"}
	if len(value) == 0 || string(value) == "null" {
		return s, nil
	}
	var v struct {
		Op            string
		Before, After *struct{ Seq int }
		Source        struct{ LSN int64 }
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return Seen{}, fmt.Errorf("read value %q: %w", value, err)
	}
	row := v.After
	if v.Op == "d" {
		row = v.Before
	}
	if row == nil {
		return Seen{}, fmt.Errorf("read value %q: it has no row", value)
	}
	s.Text, s.LSN = v.Op+strconv.Itoa(row.Seq), v.Source.LSN
	return s, nil
}

// UnderstandLine is Understand for a line of the file sink.
func UnderstandLine(line []byte) (Seen, error) {
	var l struct {
		Topic      string
		Key, Value json.RawMessage
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return Seen{}, fmt.Errorf("read line %q: %w", line, err)
	}
	return Understand(l.Topic, l.Key, l.Value)
}

// Verdict is how what was read differs from what was written.
type Verdict struct {
	Problems    []string // one for each key that is wrong
	Lost, Twice int      // events
	Events      int      // that were read
	First       int      // the first transaction that was streamed
}

// Report fails the test unless all is well.
func (v Verdict) Report(t testing.TB) {
	t.Helper()
	for i, p := range v.Problems {
		if i == 10 {
			t.Errorf("%d keys are wrong in total", len(v.Problems))
			break
		}
		t.Error(p)
	}
}

// Check compares what was read with what was written, key by key. A snapshot that was interrupted may have shown rows before.
// With repeats, a window of events may come again. The history must have been written.
func (h *History) Check(got []Seen, interrupted, repeats bool) Verdict {
	v := Verdict{Events: len(got), First: h.first(got)}
	byKey := map[string][]Seen{}
	for _, s := range got {
		byKey[s.Key] = append(byKey[s.Key], s)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if h.want[key] == nil {
			v.Problems = append(v.Problems, fmt.Sprintf("%s was never written, but read: %v", key, byKey[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(h.want)) {
		list := byKey[key]
		if repeats {
			list = firstOnes(list)
		}
		want, texts, problem := compare(h.want[key], list, v.First, interrupted)
		if problem == "" && slices.Equal(want, texts) {
			continue
		}
		if problem == "" {
			problem = fmt.Sprintf("want %v\n got %v", want, texts)
		}
		v.Problems = append(v.Problems, key+": "+problem)
		count := map[string]int{}
		for _, text := range want {
			count[text]++
		}
		for _, text := range texts {
			count[text]--
		}
		for _, n := range count {
			v.Lost, v.Twice = v.Lost+max(n, 0), v.Twice+max(-n, 0)
		}
	}
	return v
}

// Lacks says which event of the transactions up to a number was not read, though it was streamed or should have been; "" when
// none. The history may be being written.
func (h *History) Lacks(got []Seen, through int) string {
	first := h.first(got)
	have := map[string]map[string]bool{}
	for _, s := range got {
		if have[s.Key] == nil {
			have[s.Key] = map[string]bool{}
		}
		have[s.Key][s.Text] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(h.want)) {
		for _, e := range h.want[key] {
			if e.tx >= first && e.tx <= through && !have[key][e.text] {
				return fmt.Sprintf("%s has no %s of transaction %d (%d to %d must be there)", key, e.text, e.tx, first, through)
			}
		}
	}
	return ""
}

// first is the first transaction of which something was streamed, one behind the last for none. Every transaction updates row
// 0 of table a.
func (h *History) first(got []Seen) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := len(h.seqs) + 1
	for _, s := range got {
		if s.Key != "a0" || s.Text[0] != 'u' {
			continue
		}
		if seq, err := strconv.Atoi(s.Text[1:]); err == nil {
			at, found := slices.BinarySearch(h.seqs, seq)
			if found {
				first = min(first, at+1)
			}
		}
	}
	return first
}

// firstOnes leaves out what was there before. The tombstone of a delete may be missing behind the first of its repeats.
func firstOnes(list []Seen) []Seen {
	var out []Seen
	have := map[Seen]bool{}
	var before Seen // the last event that is not a tombstone
	for _, s := range list {
		first := !have[s]
		if s.Text == "t" {
			first = len(out) > 0 && out[len(out)-1] == before && before.Text[0] == 'd'
		} else {
			have[s], before = true, s
		}
		if first {
			out = append(out, s)
		}
	}
	return out
}

// compare returns what is expected of one key, and what was read of it: the state before transaction first comes from the
// snapshot, all the rest from the stream. With an interrupted snapshot every attempt shows rows as they were then, and the
// stream still has every change since the first.
func compare(want []event, got []Seen, first int, interrupted bool) (expected, texts []string, problem string) {
	split := 0
	for split < len(want) && want[split].tx < first {
		split++
	}
	read := split > 0 && (want[split-1].text[0] == 'c' || want[split-1].text[0] == 'u')
	if read && !(interrupted && split < len(want)) {
		expected = append(expected, "r"+want[split-1].text[1:])
	}
	for _, e := range want[split:] {
		expected = append(expected, e.text)
	}
	for _, s := range got {
		if interrupted && s.Text[0] == 'r' {
			known := func(e event) bool { return (e.text[0] == 'c' || e.text[0] == 'u') && e.text[1:] == s.Text[1:] }
			if !slices.ContainsFunc(want, known) {
				problem = fmt.Sprintf("the snapshot shows %s, which the row never was", s.Text)
			}
			if split < len(want) || slices.Contains(texts, s.Text) {
				continue
			}
		}
		texts = append(texts, s.Text)
	}
	return expected, texts, problem
}
