package changes

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/offsets"
)

// TestKeyRanges adds ranges in random order and compares with the set of keys that they hold.
func TestKeyRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := ChunkKey{"id", "bigint"}
		cuts := rapid.SliceOfNDistinct(rapid.Int64Range(-150, 150), 1, 12, rapid.ID).Draw(t, "cuts")
		var texts []string
		for _, c := range cuts {
			texts = append(texts, fmt.Sprint(c))
		}
		slices.SortFunc(texts, k.Compare)
		chunks := k.Ranges(texts, nil)
		var done []KeyRange
		order := rapid.Permutation(chunks).Draw(t, "order")
		n := rapid.IntRange(0, len(order)).Draw(t, "finished")
		for _, c := range order[:n] {
			done = k.Add(done, c)
		}
		for i := 1; i < len(done); i++ {
			if a, b := done[i-1].To, done[i].From; a == "" || b == "" || k.Compare(a, b) >= 0 {
				t.Fatalf("ranges %v touch or are out of order", done)
			}
		}
		rest := k.Ranges([]string{"0", "7"}, done)
		for key := int64(-160); key < 160; key++ {
			one := KeyRange{fmt.Sprint(key), fmt.Sprint(key + 1)}
			held := func(chunks []KeyRange) (n int) {
				for _, c := range chunks {
					if k.Within(one, c) {
						n++
					}
				}
				return n
			}
			if read := held(order[:n]); read+held(rest) != 1 {
				t.Fatalf("key %d is in %d finished chunks and in %d of the rest", key, read, held(rest))
			}
		}
	})
}

// FuzzProgress: the progress of a snapshot comes back as it was, from a record that every store takes.
func FuzzProgress(f *testing.F) {
	f.Add(`{"offset":"{\"lsn\":1}","config":"0","read":"{\"tables\":[\"1\",\"db.t\"],\"parts\":[{\"table\":\"3\",\"column\":\"id\",\"type\":\"uuid\",\"done\":[[\"\",\"a\"],[\"b\",\"c\"]]}]}"}`)
	f.Add(`{"offset":"{}","tables":["1"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseSnapshotProgress(offsets.Offset(text))
		if err != nil {
			return
		}
		written, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		stored, err := offsets.ParseOffset([]byte(written))
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		same, err := ParseSnapshotProgress(stored)
		if err != nil || fmt.Sprint(*same) != fmt.Sprint(*p) {
			t.Errorf("%s was stored as %s, which is %+v, %v", text, stored, same, err)
		}
	})
}
