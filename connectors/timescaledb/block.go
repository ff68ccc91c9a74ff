package timescaledb

// block is what one transaction writes.
type block struct {
	sections  []*section
	positions []position
	rows      int
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
	for _, s := range b.sections {
		s.reset()
	}
	b.positions, b.rows = b.positions[:0], 0
}
