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

// within tells that r is a part of the range all.
func (k chunkKey) within(r, all keyRange) bool {
	from := all.from == "" || r.from != "" && k.compare(all.from, r.from) <= 0
	to := all.to == "" || r.to != "" && k.compare(r.to, all.to) <= 0
	return from && to
}

// add puts r into done, which has no overlaps and stays in order, and joins what touches.
func (k chunkKey) add(done []keyRange, r keyRange) []keyRange {
	at, _ := slices.BinarySearchFunc(done, r, func(a, b keyRange) int {
		switch {
		case a.from == b.from:
			return 0
		case a.from == "":
			return -1
		case b.from == "":
			return 1
		}
		return k.compare(a.from, b.from)
	})
	done = slices.Insert(done, at, r)
	if next := at + 1; next < len(done) && done[at].to != "" && done[at].to == done[next].from {
		done[at].to = done[next].to
		done = slices.Delete(done, next, next+1)
	}
	if at > 0 && done[at].from != "" && done[at-1].to == done[at].from {
		done[at-1].to = done[at].to
		done = slices.Delete(done, at, at+1)
	}
	return done
}

// ranges makes chunks of what lies between the cuts, but for what was read before.
func (t *tableRead) ranges(cuts []string) []*chunk {
	cuts = slices.Clone(cuts)
	for _, r := range t.done {
		cuts = append(cuts, r.from, r.to)
	}
	cuts = slices.DeleteFunc(cuts, func(c string) bool { return c == "" })
	slices.SortFunc(cuts, t.key.compare)
	cuts = slices.Compact(cuts)
	var out []*chunk
	from := ""
	for _, to := range append(cuts, "") {
		r := keyRange{from, to}
		from = to
		if !slices.ContainsFunc(t.done, func(d keyRange) bool { return t.key.within(r, d) }) {
			out = append(out, &chunk{table: t, keys: r, where: t.key.where(r)})
		}
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
