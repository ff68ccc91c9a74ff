package timescaledb

import "github.com/freshet-io/freshet/connectors"

// block is what one transaction writes.
type block struct {
	sections  []*section
	taken     []connectors.BatchID
	positions []position
	rows      int
	charged   int // bytes of the task's budget (I5)
}

// section returns the part of a plan; a block has few of them.
func (b *block) section(p *plan) *section {
	for i := len(b.sections) - 1; i >= 0; i-- {
		if b.sections[i].plan == p {
			return b.sections[i]
		}
	}
	s := newSection(p)
	b.sections = append(b.sections, s)
	return s
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

// size is the memory that the block is charged for.
func (b *block) size() int {
	n := len(b.taken) * batchOverhead
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

// reset makes the block empty; it keeps memory up to a limit.
func (b *block) reset(keep int) {
	total := 0
	for _, s := range b.sections {
		total += cap(s.data)
	}
	if total > 2*keep || len(b.sections) > 64 {
		b.sections = nil
	}
	for _, s := range b.sections {
		s.reset()
	}
	b.taken, b.positions = b.taken[:0], b.positions[:0]
	b.rows, b.charged = 0, 0
}
