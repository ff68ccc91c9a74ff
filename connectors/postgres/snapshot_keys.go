package postgres

import (
	"slices"
	"strconv"
	"strings"
)

// chunkKey is the first column of a primary key by which a table is cut.
type chunkKey struct{ column, kind string } // kind is the type as SQL spells it

// keyRange are the keys from, included, to, excluded, in text form; "" is unbounded.
type keyRange struct{ from, to string }

// compare orders two values of the key; uuids in text form are ordered as texts.
func (k chunkKey) compare(a, b string) int {
	if k.kind == "uuid" {
		return strings.Compare(a, b)
	}
	x, _ := strconv.ParseInt(a, 10, 64) // the server printed it
	y, _ := strconv.ParseInt(b, 10, 64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// ranges makes chunks of what lies between the cuts, which are in order.
func (t *tableRead) ranges(cuts []string) []*chunk {
	var out []*chunk
	from := ""
	for _, to := range append(slices.Clone(cuts), "") {
		out = append(out, &chunk{table: t, keys: keyRange{from, to}, where: t.key.where(keyRange{from, to})})
		from = to
	}
	return out
}

func (k chunkKey) where(r keyRange) string {
	var out []string
	if r.from != "" {
		out = append(out, quoteName(k.column)+" >= "+quoteLiteral(r.from))
	}
	if r.to != "" {
		out = append(out, quoteName(k.column)+" < "+quoteLiteral(r.to))
	}
	return strings.Join(out, " AND ")
}
