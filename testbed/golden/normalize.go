package golden

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const uuidPattern = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`

var (
	uuid            = regexp.MustCompile(uuidPattern)
	onlyUUID        = regexp.MustCompile(`^` + uuidPattern + `$`)
	windowID        = regexp.MustCompile(`^` + uuidPattern + `-(open|close)$`)
	windowTime      = regexp.MustCompile(`(WindowTimestamp"\s*:\s*")[^"]*`)
	digits          = regexp.MustCompile(`\d+`)
	onlyDigits      = regexp.MustCompile(`^\d+$`)
	txAndLSN        = regexp.MustCompile(`^(\d+):(\d+)$`)
	messageIdentity = regexp.MustCompile(`(LogicalDecodingMessageId)@[0-9a-f]+`)
	structNumbers   = regexp.MustCompile(`\b(ts_ms|ts_us|ts_ns|lsn|txId|pos|thread|server_id)=\d+`)
	structVersion   = regexp.MustCompile(`\bversion=[^,]*`)
	structSequence  = regexp.MustCompile(`\b(sequence=\[)[^\]]*`)
	flatTime        = regexp.MustCompile(`(^|_|\.)ts_(ms|us|ns)$`)
	flatLSN         = regexp.MustCompile(`^(source_)?lsn$`)
	flatTx          = regexp.MustCompile(`^(source_)?(txId|xmin)$`)
	flatPos         = regexp.MustCompile(`^(source_)?pos$`)
	flatFile        = regexp.MustCompile(`^(source_)?file$`)
	flatVersion     = regexp.MustCompile(`^(source_)?version$`)
	flatOther       = regexp.MustCompile(`^(source_)?(gtid|sequence|thread|server_id)$`)
	cloudNumber     = regexp.MustCompile(`^(tsms|tsus|tsns|txId|lsn|xmin|pos|serverid|thread)$`)
	cloudText       = regexp.MustCompile(`^(sequence|gtid|version|file|txid)$`)
)

// normalizer rewrites a recording so that two runs of one scenario become equal: times, log positions, transaction numbers and
// the like are replaced by marks that keep their order and equality, never their presence, type, null-ness or place.
type normalizer struct {
	slots    []slot
	volatile [][]string
	first    map[string]map[string]int // numbers by first appearance
}

// place is a volatile value's place in the recording.
type place struct {
	object *object
	name   string
	array  *array
	index  int
}

func member(o *object, name string) place { return place{object: o, name: name} }

func (p place) get() any {
	if p.object != nil {
		return p.object.get(p.name)
	}
	return p.array.items[p.index]
}

func (p place) set(v any) {
	if p.object != nil {
		p.object.set(p.name, v)
	} else {
		p.array.items[p.index] = v
	}
}

// point is a value that is ranked among all of its domain.
type point struct {
	domain string
	file   string // binlog file number; else ""
	n      int64
	null   bool
}

// slot is a place whose points are known only as ranks, when all were seen.
type slot struct {
	place
	points []point
	format func(ranks []int) string
}

// normalize rewrites the rows of one file.
func normalize(rows []any, volatile []string) {
	n := normalizer{first: map[string]map[string]int{}}
	for _, path := range volatile {
		n.volatile = append(n.volatile, strings.Split(path, "."))
	}
	for _, r := range rows {
		if o, ok := r.(*object); ok {
			n.row(o)
		}
	}
	n.finish()
	for _, r := range rows {
		if o, ok := r.(*object); ok {
			n.declared(o)
		}
	}
}

func (n *normalizer) nth(domain, v string) string {
	seen := n.first[domain]
	if seen == nil {
		seen = map[string]int{}
		n.first[domain] = seen
	}
	if seen[v] == 0 {
		seen[v] = len(seen) + 1
	}
	return fmt.Sprintf("<%s#%d>", domain, seen[v])
}

func (n *normalizer) ranked(p place, domain string) {
	text, suffix := "", ""
	switch v := p.get().(type) {
	case integer:
		text = string(v)
	case string:
		text, suffix = v, ":str"
	default:
		return
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return
	}
	n.slots = append(n.slots, slot{p, []point{{domain: domain, n: number}}, func(ranks []int) string {
		return fmt.Sprintf("<%s#%d%s>", domain, ranks[0], suffix)
	}})
}

func whole(v any) (int64, bool) {
	text, ok := v.(integer)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseInt(string(text), 10, 64)
	return number, err == nil
}

func thousandth(v int64) int64 {
	if v < 0 {
		return (v - 999) / 1000
	}
	return v / 1000
}

// stamps replaces ts_ms, ts_us and ts_ns, which must be one instant.
func (n *normalizer) stamps(o *object) {
	ms, hasMS := whole(o.get("ts_ms"))
	us, hasUS := whole(o.get("ts_us"))
	ns, hasNS := whole(o.get("ts_ns"))
	mark := "<ts>"
	if hasUS && (hasMS && thousandth(us) != ms || hasNS && thousandth(ns) != us) {
		mark = "<ts:inconsistent>"
	}
	for name, has := range map[string]bool{"ts_ms": hasMS, "ts_us": hasUS, "ts_ns": hasNS} {
		if has {
			o.set(name, mark)
		}
	}
}

func (n *normalizer) uuids(s string) string {
	return uuid.ReplaceAllStringFunc(s, func(m string) string { return n.nth("uuid", m) })
}

// transaction replaces a transaction id; status is that of a BEGIN or END record, by default the one beside the id.
func (n *normalizer) transaction(p place, status string) {
	v, ok := p.get().(string)
	if !ok {
		return
	}
	if status == "" && p.object != nil {
		status, _ = p.object.text("status")
	}
	if m := txAndLSN.FindStringSubmatch(v); m != nil {
		domain := "lsn"
		if status == "END" {
			domain = "clsn"
		}
		tx, errTx := strconv.ParseInt(m[1], 10, 64)
		lsn, errLSN := strconv.ParseInt(m[2], 10, 64)
		if errTx != nil || errLSN != nil {
			return
		}
		n.slots = append(n.slots, slot{p, []point{{domain: "txId", n: tx}, {domain: domain, n: lsn}}, func(ranks []int) string {
			return fmt.Sprintf("<txId#%d>:<%s#%d>", ranks[0], domain, ranks[1])
		}})
	} else if onlyDigits.MatchString(v) {
		tx, err := strconv.ParseInt(v, 10, 64)
		if err == nil {
			n.slots = append(n.slots, slot{p, []point{{domain: "txId", n: tx}}, func(ranks []int) string {
				return fmt.Sprintf("<txId#%d:str>", ranks[0])
			}})
		}
	} else if strings.HasPrefix(v, "file=") {
		p.set(n.nth("txfile", v))
	} else {
		p.set(n.uuids(v))
	}
}

func (n *normalizer) source(s *object) {
	if s.has("version") {
		s.set("version", "<version>")
	}
	n.stamps(s)
	if name, _ := s.text("connector"); name == "postgresql" {
		domain := "slsn"
		if snapshot := s.get("snapshot"); snapshot == nil || snapshot == "false" {
			domain = "lsn"
		}
		n.ranked(member(s, "lsn"), domain)
		n.ranked(member(s, "txId"), "txId")
		n.ranked(member(s, "xmin"), "txId")
		n.ranked(member(s, "origin_lsn"), "lsn")
		n.sequence(s, domain)
	} else {
		n.binlog(s)
		if v, ok := s.get("thread").(integer); ok {
			s.set("thread", n.nth("thread", string(v)))
		}
		if v, ok := s.text("gtid"); ok {
			s.set("gtid", n.uuids(v))
		}
	}
	if v, ok := s.get("server_id").(integer); ok && v != "0" {
		s.set("server_id", "<server_id>")
	}
}

// sequence is a JSON text in a string: the LSNs of the commit before and of the event.
func (n *normalizer) sequence(s *object, domain string) {
	text, ok := s.text("sequence")
	if !ok {
		return
	}
	parsed, err := parse(text)
	list, ok := parsed.(*array)
	if err != nil || !ok || len(list.items) != 2 {
		return
	}
	points := make([]point, 2)
	for i, d := range []string{"clsn", domain} {
		points[i].domain = d
		switch v := list.items[i].(type) {
		case nil:
			points[i].null = true
		case string:
			if points[i].n, err = strconv.ParseInt(v, 10, 64); err != nil {
				return
			}
		default:
			return
		}
	}
	n.slots = append(n.slots, slot{member(s, "sequence"), points, func(ranks []int) string {
		texts := make([]string, 2)
		for i, p := range points {
			texts[i] = "null"
			if !p.null {
				texts[i] = fmt.Sprintf(`"<%s#%d>"`, p.domain, ranks[i])
			}
		}
		return "[" + strings.Join(texts, ",") + "]"
	}})
}

func extension(file string) string { return file[strings.LastIndexByte(file, '.')+1:] }

func (n *normalizer) binlog(o *object) {
	name, ok := o.text("file")
	if !ok || name == "" {
		return
	}
	number := extension(name)
	o.set("file", "<file>."+number)
	if pos, ok := whole(o.get("pos")); ok {
		n.slots = append(n.slots, slot{member(o, "pos"), []point{{domain: "pos", file: number, n: pos}}, func(ranks []int) string {
			return fmt.Sprintf("<pos#%d>", ranks[0])
		}})
	}
}

func identity(s string) string { return messageIdentity.ReplaceAllString(s, "$1@<id>") }

// offset rewrites a source offset.
func (n *normalizer) offset(v any) {
	o, ok := v.(*object)
	if !ok {
		return
	}
	for _, name := range slices.Clone(o.names) {
		if to := identity(name); to != name {
			v := o.remove(name)
			for o.has(to) {
				to += "'"
			}
			o.set(to, v)
		}
	}
	domain := "lsn"
	if !o.has("messageType") {
		domain = "slsn"
	} else if o.get("messageType") == "COMMIT" {
		domain = "clsn"
	}
	n.ranked(member(o, "lsn"), domain)
	n.ranked(member(o, "lsn_proc"), domain)
	n.ranked(member(o, "lsn_commit"), "clsn")
	n.ranked(member(o, "txId"), "txId")
	n.ranked(member(o, "xmin"), "txId")
	for _, name := range []string{"ts_usec", "ts_sec"} {
		if _, ok := o.get(name).(integer); ok {
			o.set(name, "<ts>")
		}
	}
	n.binlog(o)
	if v, ok := o.text("gtids"); ok {
		o.set("gtids", n.uuids(v))
	}
	if _, ok := o.get("server_id").(integer); ok {
		o.set("server_id", "<server_id>")
	}
	n.transaction(member(o, "transaction_id"), "")
	for _, name := range o.names {
		if v, ok := o.text(name); ok && strings.HasPrefix(name, "incremental_snapshot") {
			o.set(name, n.uuids(v))
		}
	}
}

// finish puts the ranks where the values were.
func (n *normalizer) finish() {
	domains := map[string][]point{}
	for _, s := range n.slots {
		for _, p := range s.points {
			if !p.null {
				domains[p.domain] = append(domains[p.domain], p)
			}
		}
	}
	order := func(a, b point) int { return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.n, b.n)) }
	for d, points := range domains {
		slices.SortFunc(points, order)
		domains[d] = slices.Compact(points)
	}
	for _, s := range n.slots {
		ranks := make([]int, len(s.points))
		for i, p := range s.points {
			if !p.null {
				at, _ := slices.BinarySearchFunc(domains[p.domain], p, order)
				ranks[i] = at + 1
			}
		}
		s.set(s.format(ranks))
	}
}
