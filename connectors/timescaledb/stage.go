package timescaledb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// section is what one transaction writes to one table: encoded rows, at most one per key where rows are found by key.
type section struct {
	plan     *plan
	data     []byte // room for a message header, COPY's header, rows
	rows     []stagedRow
	slots    []uint32 // open addressing by key: index into rows + 1
	seed     maphash.Seed
	live     int
	counts   [3]int // of rows that delete, write, rewrite
	patterns []pattern
	truncate bool
	later    []*section // of the same target, in the order of writing
	again    bool       // an earlier section is of the same plan
	missing  []bool     // scratch
	spare    []byte     // scratch
}

type stagedRow struct {
	start  int
	hash   uint32
	key    uint32 // bytes of the key, behind the op
	before uint32 // index + 1 of the row of this key that is written, too
	dead   bool
}

type pattern struct {
	missing []bool
	rows    int
}

const (
	messageHeader = 5 // 'd' and a length
	rowOverhead   = 32
	rowHeader     = 8 // number of fields, length of op, op
)

func copyHeader() string { return "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00" }

func newSection(p *plan) *section {
	s := &section{plan: p, seed: maphash.MakeSeed(), missing: make([]bool, len(p.columns))}
	s.reset()
	return s
}

// stages tells whether rows go through the staging table.
func (s *section) stages() bool { return s.live > 0 && !s.plan.straight }

func (s *section) reset() {
	s.data = append(append(s.data[:0], make([]byte, messageHeader)...), copyHeader()...)
	s.rows, s.patterns = s.rows[:0], s.patterns[:0]
	clear(s.slots)
	s.live, s.counts, s.truncate = 0, [3]int{}, false
}

// add encodes a row and folds it with what the section has for its key. nil: done; otherwise nothing was added.
func (s *section) add(b *connectors.Batch, r *changes.Row) error {
	p := s.plan
	start := len(s.data)
	data, some, bad := p.append(s.data, b, r, s.missing)
	s.data = data
	if bad.problem != "" {
		s.data = s.data[:start]
		return p.explain(bad)
	}
	folding := p.folds()
	row := stagedRow{start: start}
	var before *stagedRow
	slot := 0
	key := s.data[start+rowHeader:]
	if folding {
		key = s.data[start+rowHeader : s.skip(start+rowHeader, p.keys)]
	}
	if len(s.later) > 0 && s.late(key) {
		s.data = s.data[:start]
		return errLate
	}
	if folding {
		row.key, row.hash = uint32(len(key)), s.hash(key)
		s.grow()
		slot = s.find(row.hash, key)
		if at := s.slots[slot]; at > 0 {
			before = &s.rows[at-1]
		}
	}
	op, err := s.fold(r, before, some, start)
	if err != nil {
		s.data = s.data[:start]
		return err
	}
	if before != nil {
		if p.mode != "insert" || op == opDelete || s.op(before.start) == opDelete {
			s.kill(before)
		} else {
			row.before = s.slots[slot]
		}
	}
	binary.BigEndian.PutUint16(s.data[start+6:], uint16(op))
	s.count(op, 1)
	s.live++
	s.rows = append(s.rows, row)
	if folding {
		s.slots[slot] = uint32(len(s.rows))
	}
	return nil
}

// kill drops a row, and those before it of the same key.
func (s *section) kill(row *stagedRow) {
	for {
		s.count(s.op(row.start), -1)
		row.dead = true
		s.live--
		if row.before == 0 {
			return
		}
		row = &s.rows[row.before-1]
	}
}

// fold decides what the new row, encoded at start, asks for after the one before of the same key.
func (s *section) fold(r *changes.Row, before *stagedRow, some bool, start int) (int, error) {
	p := s.plan
	was := -1
	if before != nil {
		was = s.op(before.start)
	}
	switch {
	case r.Kind == changes.RowDelete:
		return opDelete, nil
	case p.mode == "insert":
		if some {
			return 0, s.unavailable()
		}
		if was == opDelete {
			return opRewrite, nil
		}
		return opWrite, nil
	case some && was == opDelete, some && was < 0 && (r.Op != connectors.OpUpdate || s.truncate):
		return 0, s.unavailable()
	case some && was >= 0:
		some = s.merge(before.start, start)
	}
	switch {
	case some, p.mode == "update": // there, perhaps with nothing missing
		return s.pattern()
	case p.moving && was >= 0:
		return opRewrite, nil
	}
	return s.whole(r), nil
}

// whole is what a complete row asks for.
func (s *section) whole(r *changes.Row) int {
	if s.plan.moving && r.Op == connectors.OpUpdate {
		return opRewrite
	}
	return opWrite
}

// merge takes the values that the new row lacks from the one before and tells whether some are still missing.
func (s *section) merge(before, start int) bool {
	lacking := []bool(nil)
	if op := s.op(before); op >= opPatterns {
		lacking = s.patterns[op-opPatterns].missing
	}
	s.spare = append(s.spare[:0], s.data[start:start+rowHeader]...)
	some := false
	was, is := before+rowHeader, start+rowHeader
	for i := range s.plan.columns {
		wasEnd, isEnd := s.skip(was, 1), s.skip(is, 1)
		switch {
		case !s.missing[i]:
			s.spare = append(s.spare, s.data[is:isEnd]...)
		default:
			s.spare = append(s.spare, s.data[was:wasEnd]...)
			s.missing[i] = lacking != nil && lacking[i]
			some = some || s.missing[i]
		}
		was, is = wasEnd, isEnd
	}
	s.data = append(s.data[:start], s.spare...)
	return some
}

// pattern returns the op of rows that lack the columns in s.missing.
func (s *section) pattern() (int, error) {
	const most = 1000
	for i := range s.patterns {
		if slices.Equal(s.patterns[i].missing, s.missing) {
			return opPatterns + i, nil
		}
	}
	if len(s.patterns) == most {
		return 0, fmt.Errorf("write to table %s: more than %d different sets of unavailable columns in one transaction; set a lower %s", s.plan.target, most, keyBatch)
	}
	s.patterns = append(s.patterns, pattern{missing: slices.Clone(s.missing)})
	return opPatterns + len(s.patterns) - 1, nil
}

// unavailable is the error for a row that would be written with a value that the source did not send.
func (s *section) unavailable() error {
	for i, m := range s.missing {
		if m {
			return s.plan.explain(failure{i, problemUnsent})
		}
	}
	return nil
}

// wipe is a TRUNCATE: what came before it does not matter.
func (s *section) wipe() error {
	if s.late(nil) {
		return errLate
	}
	s.reset()
	s.truncate = true
	return nil
}

func (s *section) op(start int) int { return int(binary.BigEndian.Uint16(s.data[start+6:])) }

func (s *section) count(op, n int) {
	if op >= opPatterns {
		s.patterns[op-opPatterns].rows += n
		return
	}
	s.counts[op] += n
}

// skip returns where the field after n fields from at begins.
func (s *section) skip(at, n int) int {
	for range n {
		length := int32(binary.BigEndian.Uint32(s.data[at:]))
		at += 4
		if length > 0 {
			at += int(length)
		}
	}
	return at
}

func (s *section) hash(key []byte) uint32 { return uint32(maphash.Bytes(s.seed, key)) }

// find returns the slot of a key, or the empty one where it belongs.
func (s *section) find(hash uint32, key []byte) int {
	mask := len(s.slots) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		at := s.slots[i]
		if at == 0 {
			return i
		}
		row := &s.rows[at-1]
		if row.hash == hash && int(row.key) == len(key) {
			if from := row.start + rowHeader; bytes.Equal(s.data[from:from+len(key)], key) {
				return i
			}
		}
	}
}

// grow keeps the slots at most half full.
func (s *section) grow() {
	if 2*(len(s.rows)+1) <= len(s.slots) {
		return
	}
	old := s.slots
	s.slots = make([]uint32, max(64, 2*len(old)))
	mask := len(s.slots) - 1
	for _, at := range old {
		if at == 0 {
			continue
		}
		i := int(s.rows[at-1].hash) & mask
		for s.slots[i] != 0 {
			i = (i + 1) & mask
		}
		s.slots[i] = at
	}
}

// seal drops what was folded away and ends the COPY data.
func (s *section) seal() {
	if s.live < len(s.rows) {
		to := messageHeader + len(copyHeader())
		for i, r := range s.rows {
			end := len(s.data)
			if i+1 < len(s.rows) {
				end = s.rows[i+1].start
			}
			if !r.dead {
				to += copy(s.data[to:], s.data[r.start:end])
			}
		}
		s.data = s.data[:to]
	}
	s.data = append(s.data, 0xff, 0xff)
}
