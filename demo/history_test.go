package demo

import (
	"encoding/json"
	"strings"
	"testing"
)

// The writer's changes to one key, versions 4, 8, 12, … of writer 0.
func sample() []change {
	return []change{
		{table: bets, key: "k", op: 'c', version: 4},
		{table: bets, key: "k", op: 'u', version: 8},
		{table: bets, key: "k", op: 'd', version: 12},
		{table: bets, key: "k", op: 'c', version: 16},
	}
}

func TestExpectedItems(t *testing.T) {
	for _, c := range []struct {
		cut  int64
		want string
	}{
		{0, "c4 u8 d 0 c16"},
		{4, "r4 u8 d 0 c16"},
		{8, "r8 d 0 c16"},
		{12, "c16"},
		{16, "r16"},
	} {
		if got := describe(expectedItems(sample(), [writers]int64{c.cut})); got != c.want {
			t.Errorf("cut %d: got %s, want %s", c.cut, got, c.want)
		}
	}
}

// read parses what describe prints.
func read(t *testing.T, text string) []item {
	t.Helper()
	var out []item
	for _, word := range strings.Fields(text) {
		i := item{op: word[0]}
		if len(word) > 1 {
			if err := json.Unmarshal([]byte(word[1:]), &i.version); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, i)
	}
	return out
}

func TestHistoryComparison(t *testing.T) {
	for _, c := range []struct {
		name, arrived              string
		lost, duplicated, disorder int
	}{
		{"whole history", "c4 u8 d 0 c16", 0, 0, 0},
		{"from a snapshot", "r8 d 0 c16", 0, 0, 0},
		{"change missing", "c4 d 0 c16", 1, 0, 0},
		{"tombstone missing", "r4 u8 d c16", 1, 0, 0},
		{"last change twice", "r4 u8 d 0 c16 c16", 0, 1, 0},
		{"replayed from the snapshot on", "r4 u8 u8 d 0 d 0 c16", 0, 3, 0},
		{"wrong order", "c4 u8 c16 d 0", 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tables := tables("public")
			expected := []map[string][]change{{}, {}, {}, {"k": sample()}, {}}
			keys := []map[string]*keyLog{{}, {}, {}, {"k": {items: read(t, c.arrived)}}, {}}
			r := &report{}
			r.compareHistory(&tables[bets], expected[bets], keys[bets], snapshotCuts(expected, keys))
			if r.lost != c.lost || r.duplicated != c.duplicated || r.reordered != c.disorder {
				t.Errorf("lost %d, duplicated %d, reordered %d; want %d, %d, %d", r.lost, r.duplicated, r.reordered, c.lost, c.duplicated, c.disorder)
			}
		})
	}
}

// A gap right behind the snapshot: the other key of the writer shows that the snapshot had not seen version 8.
func TestGapBehindTheSnapshot(t *testing.T) {
	tables := tables("public")
	expected := []map[string][]change{{}, {}, {}, {
		"a": {{bets, "a", 'c', 4}, {bets, "a", 'u', 12}},
		"b": {{bets, "b", 'c', 8}},
	}, {}}
	keys := []map[string]*keyLog{{}, {}, {}, {"a": {items: read(t, "r4 u12")}}, {}}
	r := &report{}
	r.compareHistory(&tables[bets], expected[bets], keys[bets], snapshotCuts(expected, keys))
	if r.lost != 1 || r.good() {
		t.Errorf("lost %d, want 1: %v", r.lost, r.problems)
	}
}

func TestReplayKeepsUnavailableValues(t *testing.T) {
	table := tables("public")[customers]
	log := &keyLog{}
	for _, text := range []string{
		`{"op":"c","after":{"id":7,"name":"a","balance":"1.00","vip":true,"notes":"long","joined":3,"version":4}}`,
		`{"op":"u","after":{"id":7,"name":"b","balance":"2.00","vip":true,"notes":"__debezium_unavailable_value","joined":3,"version":8}}`,
	} {
		var e envelope
		if err := decode([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if _, err := log.apply(&table, e); err != nil {
			t.Fatal(err)
		}
	}
	if got := text(log.row[5]); got != "=long" {
		t.Errorf("notes %s, want the value that was there before", got)
	}
	if got := text(log.row[1]); got != "=b" {
		t.Errorf("name %s, want b", got)
	}
	if got := describe(log.items); got != "c4 u8" {
		t.Errorf("events %s", got)
	}
}
