//go:build !poison

package mysql

import (
	"slices"
	"testing"
)

// batchAllocations are those of a batch: builder, batch and the end of its life, the offset, the state beside it and the entry that holds that.
const batchAllocations = 6

// TestStreamAllocations shows that neither rows nor their events cost an allocation of their own, and what a batch costs.
func TestStreamAllocations(t *testing.T) {
	s, events := recordedStream(t)
	once, twice := slices.Clone(events), slices.Concat(events, events)
	pass(t, s, twice)
	few := testing.AllocsPerRun(50, func() { pass(t, s, once) })
	many := testing.AllocsPerRun(50, func() { pass(t, s, twice) })
	if few > batchAllocations || many > few {
		t.Errorf("%d rows cost %v allocations, twice as many %v; want at most %d", betsRows, few, many, batchAllocations)
	}
}
