package timescaledb

import (
	"errors"
	"slices"
)

// block is what one transaction writes.
type block struct {
	sections  []*section
	positions []position
	rows      int
}

// errLate is the answer of a section to a change that has to come behind what a later one has; a section at the end takes it.
var errLate = errors.New("a later section has the row")

// section returns the newest part of a plan; a block has few of them.
func (b *block) section(p *plan) *section {
	for i := len(b.sections) - 1; i >= 0; i-- {
		if b.sections[i].plan == p {
			return b.sections[i]
		}
	}
	return b.add(newSection(p))
}

// behind returns a section of the same plan at the end.
func (b *block) behind(s *section) *section {
	next := newSection(s.plan)
	next.again = true
	return b.add(next)
}

func (b *block) add(s *section) *section {
	for _, before := range b.sections {
		if before.plan.target == s.plan.target {
			before.later = append(before.later, s)
		}
	}
	b.sections = append(b.sections, s)
	return s
}

// late tells whether a later section of the same target changes a row of this key: sections are written one after the other. Without a
// key it asks for any row. Of plans that spell keys in different ways no row is known to be another one.
func (s *section) late(key []byte) bool {
	for _, l := range s.later {
		switch {
		case l.truncate:
			return true
		case len(l.rows) == 0, key != nil && !s.plan.folds() && !l.plan.folds():
			continue
		case key == nil, !s.plan.sameKey(l.plan), l.slots[l.find(l.hash(key), key)] > 0:
			return true
		}
	}
	return false
}

// sameKey tells that two plans that fold encode equal keys as equal bytes.
func (p *plan) sameKey(q *plan) bool {
	return p.folds() && q.folds() && slices.EqualFunc(p.columns[:p.keys], q.columns[:q.keys], func(a, b planColumn) bool {
		return a.quoted == b.quoted && a.decl == b.decl && a.enc == b.enc
	})
}

// place notes the newest position of a partition.
func (b *block) place(p position) {
	for i := range b.positions {
		if q := &b.positions[i]; q.partition == p.partition && q.extra == p.extra {
			if p.offset == "" && !p.extra {
				p.offset = q.offset
			}
			*q = p
			return
		}
	}
	b.positions = append(b.positions, p)
}

// Size implements changes.Block.
func (b *block) Size() int {
	n := 0
	for _, s := range b.sections {
		n += len(s.data) + len(s.rows)*rowOverhead
	}
	return n
}

func (b *block) seal() {
	for _, s := range b.sections {
		if s.live > 0 {
			s.seal()
		}
	}
}

// Rows implements changes.Block.
func (b *block) Rows() int { return b.rows }

// Reset implements changes.Block.
func (b *block) Reset(keep int) {
	total := 0
	for _, s := range b.sections {
		total += cap(s.data)
	}
	if total > 2*keep || len(b.sections) > 64 {
		b.sections = nil
	}
	sections := b.sections
	b.sections = b.sections[:0]
	for _, s := range sections {
		s.reset()
		s.later = s.later[:0]
		if !s.again {
			b.add(s)
		}
	}
	clear(sections[len(b.sections):])
	b.positions, b.rows = b.positions[:0], 0
}
