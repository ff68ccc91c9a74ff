package changes

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// ChunkKey is the column by whose values a snapshot cuts a table: the first of its primary key.
type ChunkKey struct {
	Column string
	Type   string // as SQL spells it: uuid, binary (in lower-case hexadecimal) or a type of integers
}

// KeyRange are the keys From, included, to To, excluded, in text form; "" is unbounded. In JSON it is ["from","to"].
type KeyRange struct{ From, To string }

// Compare orders two values of the key.
func (k ChunkKey) Compare(a, b string) int {
	if k.Type == "uuid" || k.Type == "binary" { // ordered as their texts are
		return strings.Compare(a, b)
	}
	x, below := strings.CutPrefix(a, "-")
	y, other := strings.CutPrefix(b, "-")
	switch {
	case below && other:
		return cmp.Or(cmp.Compare(len(y), len(x)), strings.Compare(y, x))
	case below:
		return -1
	case other:
		return 1
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
}

// Within tells that r is a part of the range all.
func (k ChunkKey) Within(r, all KeyRange) bool {
	from := all.From == "" || r.From != "" && k.Compare(all.From, r.From) <= 0
	to := all.To == "" || r.To != "" && k.Compare(r.To, all.To) <= 0
	return from && to
}

// Add puts r into done, which has no overlaps and stays in order, and joins what touches.
func (k ChunkKey) Add(done []KeyRange, r KeyRange) []KeyRange {
	at, _ := slices.BinarySearchFunc(done, r, func(a, b KeyRange) int {
		switch {
		case a.From == b.From:
			return 0
		case a.From == "":
			return -1
		case b.From == "":
			return 1
		}
		return k.Compare(a.From, b.From)
	})
	done = slices.Insert(done, at, r)
	if next := at + 1; next < len(done) && done[at].To != "" && done[at].To == done[next].From {
		done[at].To = done[next].To
		done = slices.Delete(done, next, next+1)
	}
	if at > 0 && done[at].From != "" && done[at-1].To == done[at].From {
		done[at-1].To = done[at].To
		done = slices.Delete(done, at, at+1)
	}
	return done
}

// Ranges returns what lies between the cuts, but for what is done.
func (k ChunkKey) Ranges(cuts []string, done []KeyRange) []KeyRange {
	cuts = slices.Clone(cuts)
	for _, r := range done {
		cuts = append(cuts, r.From, r.To)
	}
	cuts = slices.DeleteFunc(cuts, func(c string) bool { return c == "" })
	slices.SortFunc(cuts, k.Compare)
	cuts = slices.Compact(cuts)
	var out []KeyRange
	from := ""
	for _, to := range append(cuts, "") {
		r := KeyRange{from, to}
		from = to
		if !slices.ContainsFunc(done, func(d KeyRange) bool { return k.Within(r, d) }) {
			out = append(out, r)
		}
	}
	return out
}

// MarshalJSON writes ["from","to"].
func (r KeyRange) MarshalJSON() ([]byte, error) { return json.Marshal([2]string{r.From, r.To}) }

// UnmarshalJSON reads what MarshalJSON writes.
func (r *KeyRange) UnmarshalJSON(text []byte) error {
	var pair [2]string
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	r.From, r.To = pair[0], pair[1]
	return nil
}
