package clickhouse

import "github.com/freshet-io/freshet/connectors"

// block is what is inserted together: at most one insert per table.
type block struct {
	sections []*section
	taken    []connectors.BatchID
	rows     int // of the section that has most
	charged  int // bytes of the task's budget (I5)
}

const batchOverhead = 256 // what a batch in flight costs beside its rows

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

// size is the memory that the block is charged for.
func (b *block) size() int {
	n := len(b.taken) * batchOverhead
	for _, s := range b.sections {
		n += s.size()
	}
	return n
}

// reset makes the block empty; it keeps memory up to a limit.
func (b *block) reset(keep int) {
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
	b.taken, b.rows, b.charged = b.taken[:0], 0, 0
}
