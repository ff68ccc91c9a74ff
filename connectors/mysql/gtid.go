package mysql

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// gtidSet is a set of MySQL transactions, or the position of a MariaDB server: the last transaction of each domain. Entries
// are in the order in which they came, as the reference writes them. The zero gtidSet is empty.
type gtidSet struct {
	mariadb bool
	entries []gtidEntry
	text    string // rendered; "": not since the last change
}

// gtidEntry is the transactions of one origin: a server's UUID with a tag, or a MariaDB domain.
type gtidEntry struct {
	origin    string // UUID in lower case, or the domain
	tag       string
	intervals []interval // ascending, apart from each other
	server    uint32     // MariaDB: of the last transaction, whose number is intervals[0].last
}

type interval struct{ first, last int64 }

// parseGTIDSet reads a set in the server's notation, or in the reference's.
func parseGTIDSet(text string, mariadb bool) (*gtidSet, error) {
	s := &gtidSet{mariadb: mariadb}
	for _, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		var err error
		if mariadb {
			err = s.parseDomain(part)
		} else {
			err = s.parseOrigin(part)
		}
		if err != nil {
			return nil, fmt.Errorf("parse GTID set %q: %w", text, err)
		}
	}
	return s, nil
}

func (s *gtidSet) parseDomain(part string) error {
	g := strings.Split(part, "-")
	if len(g) != 3 {
		return fmt.Errorf("%q is not of the form domain-server-sequence", part)
	}
	server, err := strconv.ParseUint(g[1], 10, 32)
	if err != nil {
		return fmt.Errorf("%q: %w", part, err)
	}
	n, err := strconv.ParseInt(g[2], 10, 64)
	if err != nil {
		return fmt.Errorf("%q: %w", part, err)
	}
	if e := s.entry(g[0], ""); len(e.intervals) == 0 || n > e.intervals[0].last {
		e.server, e.intervals = uint32(server), []interval{{1, n}}
	}
	return nil
}

func (s *gtidSet) parseOrigin(part string) error {
	fields := strings.Split(part, ":")
	origin := strings.ToLower(strings.TrimSpace(fields[0]))
	if plain := strings.ReplaceAll(origin, "-", ""); len(plain) != 32 {
		return fmt.Errorf("%q does not begin with a UUID", part)
	} else if _, err := hex.DecodeString(plain); err != nil {
		return fmt.Errorf("%q does not begin with a UUID", part)
	}
	tag := ""
	for _, f := range fields[1:] {
		f = strings.TrimSpace(f)
		if f == "" {
			continue
		}
		if c := f[0]; c < '0' || c > '9' {
			tag = strings.ToLower(f)
			continue
		}
		from, to, ok := strings.Cut(f, "-")
		first, err := strconv.ParseInt(from, 10, 64)
		if err != nil {
			return fmt.Errorf("%q: %w", f, err)
		}
		last := first
		if ok {
			if last, err = strconv.ParseInt(to, 10, 64); err != nil {
				return fmt.Errorf("%q: %w", f, err)
			}
		}
		if first < 1 || last < first {
			return fmt.Errorf("%q is not an interval", f)
		}
		s.entry(origin, tag).add(interval{first, last})
	}
	return nil
}

// entry returns the entry of an origin, a new one when there is none. The origins of one server stay together.
func (s *gtidSet) entry(origin, tag string) *gtidEntry {
	s.text = ""
	at := len(s.entries)
	for i := range s.entries {
		e := &s.entries[i]
		if e.origin != origin {
			continue
		}
		if e.tag == tag {
			return e
		}
		if e.tag < tag || at == len(s.entries) {
			at = i + 1
		}
		if e.tag > tag {
			at = i
			break
		}
	}
	s.entries = slices.Insert(s.entries, at, gtidEntry{origin: origin, tag: tag})
	return &s.entries[at]
}

func (s *gtidSet) find(origin, tag string) *gtidEntry {
	for i := range s.entries {
		if e := &s.entries[i]; e.origin == origin && e.tag == tag {
			return e
		}
	}
	return nil
}

// add joins an interval with those that it touches.
func (e *gtidEntry) add(v interval) {
	if n := len(e.intervals); n > 0 && e.intervals[n-1].last+1 == v.first {
		e.intervals[n-1].last = v.last
		return
	}
	from, _ := slices.BinarySearchFunc(e.intervals, v.first, func(i interval, first int64) int { return cmp.Compare(i.last+1, first) })
	to := from
	for to < len(e.intervals) && e.intervals[to].first <= v.last+1 {
		v.first, v.last = min(v.first, e.intervals[to].first), max(v.last, e.intervals[to].last)
		to++
	}
	e.intervals = slices.Replace(e.intervals, from, to, v)
}

// gtid is one transaction's identifier.
type gtid struct {
	origin string
	tag    string
	server uint32 // MariaDB
	number int64
}

// none tells that the transaction has no identifier.
func (g *gtid) none() bool { return g.origin == "" }

// append renders the identifier.
func (g *gtid) append(b []byte, mariadb bool) []byte {
	b = append(b, g.origin...)
	if mariadb {
		b = strconv.AppendUint(append(b, '-'), uint64(g.server), 10)
		return strconv.AppendInt(append(b, '-'), g.number, 10)
	}
	if g.tag != "" {
		b = append(append(b, ':'), g.tag...)
	}
	return strconv.AppendInt(append(b, ':'), g.number, 10)
}

// add puts a transaction into the set.
func (s *gtidSet) add(g *gtid) {
	e := s.entry(g.origin, g.tag)
	if s.mariadb {
		e.server, e.intervals = g.server, append(e.intervals[:0], interval{1, g.number})
		return
	}
	e.add(interval{g.number, g.number})
}

// has tells whether a transaction is in the set.
func (s *gtidSet) has(g *gtid) bool {
	e := s.find(g.origin, g.tag)
	return e != nil && e.covers(interval{g.number, g.number})
}

func (e *gtidEntry) covers(v interval) bool {
	for _, i := range e.intervals {
		if i.first <= v.first && v.last <= i.last {
			return true
		}
	}
	return false
}

// within tells whether every transaction of s is in o.
func (s *gtidSet) within(o *gtidSet) bool {
	for i := range s.entries {
		e := &s.entries[i]
		other := o.find(e.origin, e.tag)
		for _, v := range e.intervals {
			if other == nil || !other.covers(v) {
				return false
			}
		}
	}
	return true
}

// without returns the transactions of s that are not in o.
func (s *gtidSet) without(o *gtidSet) *gtidSet {
	out := &gtidSet{mariadb: s.mariadb}
	for i := range s.entries {
		e := s.entries[i]
		if other := o.find(e.origin, e.tag); other != nil {
			e.intervals = subtract(e.intervals, other.intervals)
		}
		if len(e.intervals) > 0 {
			out.entries = append(out.entries, e)
		}
	}
	return out
}

func subtract(from, what []interval) []interval {
	var out []interval
	for _, v := range from {
		for _, w := range what {
			if w.last < v.first || w.first > v.last {
				continue
			}
			if w.first > v.first {
				out = append(out, interval{v.first, w.first - 1})
			}
			v.first = w.last + 1
			if v.first > v.last {
				break
			}
		}
		if v.first <= v.last {
			out = append(out, v)
		}
	}
	return out
}

// meets tells whether the sets have a transaction in common.
func (s *gtidSet) meets(o *gtidSet) bool {
	for i := range s.entries {
		e := &s.entries[i]
		if other := o.find(e.origin, e.tag); other != nil && !slices.Equal(subtract(e.intervals, other.intervals), e.intervals) {
			return true
		}
	}
	return false
}

// retain returns the entries whose origin (MariaDB: domain-server) keep accepts.
func (s *gtidSet) retain(keep func(origin string) bool) *gtidSet {
	out := &gtidSet{mariadb: s.mariadb}
	for _, e := range s.entries {
		origin := e.origin
		if s.mariadb {
			origin += "-" + strconv.FormatUint(uint64(e.server), 10)
		}
		if keep(origin) {
			e.intervals = slices.Clone(e.intervals)
			out.entries = append(out.entries, e)
		}
	}
	return out
}

// merge adds the origins of o that s does not have, and sorts, as the reference does before it asks the server.
func (s *gtidSet) merge(o *gtidSet) *gtidSet {
	out := &gtidSet{mariadb: s.mariadb}
	for _, e := range s.entries {
		e.intervals = slices.Clone(e.intervals)
		out.entries = append(out.entries, e)
	}
	for _, e := range o.entries {
		if s.find(e.origin, e.tag) == nil {
			e.intervals = slices.Clone(e.intervals)
			out.entries = append(out.entries, e)
		}
	}
	slices.SortStableFunc(out.entries, func(a, b gtidEntry) int {
		if s.mariadb {
			return cmp.Or(cmp.Compare(len(a.origin), len(b.origin)), cmp.Compare(a.origin, b.origin))
		}
		return cmp.Or(cmp.Compare(a.origin, b.origin), cmp.Compare(a.tag, b.tag))
	})
	return out
}

// empty tells that there is no transaction in the set.
func (s *gtidSet) empty() bool { return len(s.entries) == 0 }

// String renders the set as the reference does: an interval always with both ends.
func (s *gtidSet) String() string {
	if s.text != "" || len(s.entries) == 0 {
		return s.text
	}
	var b []byte
	for i := range s.entries {
		e := &s.entries[i]
		switch {
		case s.mariadb:
			if i > 0 {
				b = append(b, ',')
			}
			g := gtid{origin: e.origin, server: e.server, number: e.intervals[0].last}
			b = g.append(b, true)
			continue
		case i == 0:
			b = append(b, e.origin...)
		case s.entries[i-1].origin != e.origin:
			b = append(append(b, ','), e.origin...)
		}
		if e.tag != "" {
			b = append(append(b, ':'), e.tag...)
		}
		for _, v := range e.intervals {
			b = strconv.AppendInt(append(b, ':'), v.first, 10)
			b = strconv.AppendInt(append(b, '-'), v.last, 10)
		}
	}
	s.text = string(b)
	return s.text
}
