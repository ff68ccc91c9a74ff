package changes

import (
	"sort"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
)

// AppendMapOrder appends the positions of a KindMap cell's keys among its cells in the order in which the reference writes the
// entries: that of Java's HashMap, by bucket, entries of one bucket as the database sent them.
func AppendMapOrder(order []int, b *connectors.Batch, cells []connectors.Cell) []int {
	n := len(cells) / 2
	buckets := uint32(16)
	for uint32(n) > buckets/4*3 {
		buckets *= 2
	}
	at := func(i int) uint32 {
		h := JavaHash(b.Bytes(cells[i]))
		return (h ^ h>>16) & (buckets - 1)
	}
	if n > 32 {
		return appendSorted(order, n, at)
	}
	from := len(order)
	var where [32]uint32
	for i := range n {
		p := at(2 * i)
		j := i
		order = append(order, 0)
		sorted := order[from:]
		for ; j > 0 && where[j-1] > p; j-- {
			where[j], sorted[j] = where[j-1], sorted[j-1]
		}
		where[j], sorted[j] = p, 2*i
	}
	return order
}

// appendSorted is for more entries than the stack should hold; it allocates.
func appendSorted(order []int, n int, at func(int) uint32) []int {
	where, sorted := make([]uint32, n), make([]int, n)
	for i := range n {
		where[i], sorted[i] = at(2*i), 2*i
	}
	sort.SliceStable(sorted, func(i, j int) bool { return where[sorted[i]/2] < where[sorted[j]/2] })
	return append(order, sorted...)
}

// JavaHash is String.hashCode: over UTF-16 units.
func JavaHash(text []byte) uint32 {
	h := uint32(0)
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			h = 31*h + uint32(c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r > 0xFFFF {
			r -= 0x10000
			h = 31*h + uint32(0xD800+r>>10)
			r = 0xDC00 + r&0x3FF
		}
		h = 31*h + uint32(r)
		i += size
	}
	return h
}
