package clickhouse

// block is what is inserted together: at most one insert per table.
type block struct {
	sections []*section
	rows     int // of the section that has most
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

// Size implements changes.Block.
func (b *block) Size() int {
	n := 0
	for _, s := range b.sections {
		n += s.size()
	}
	return n
}

// Rows implements changes.Block.
func (b *block) Rows() int { return b.rows }

// Reset implements changes.Block.
func (b *block) Reset(keep int) {
	total := 0
	for _, s := range b.sections {
		for i := range s.columns {
			total += s.columns[i].held()
		}
	}
	if total > 2*keep || len(b.sections) > 64 {
		b.sections = nil
	}
	for _, s := range b.sections {
		s.reset()
	}
	b.rows = 0
}
