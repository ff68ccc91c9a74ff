package elasticsearch

import (
	"fmt"
	"hash/maphash"
	"testing"
)

// Keys find their slots whatever number of items without one came before: topics share a block, and some may have no keys.
func TestKeysBehindItemsWithoutOne(t *testing.T) {
	seed := maphash.MakeSeed()
	for keyless := range 300 {
		b := &block{}
		for range keyless {
			b.add(item{}, false, false)
		}
		for n := range 2 * 16 {
			it := item{id: uint32(len(b.data))}
			b.data = fmt.Append(b.data, n%16)
			it.idEnd = uint32(len(b.data))
			it.hash = uint32(maphash.Bytes(seed, b.data[it.id:it.idEnd]))
			if b.grow(); len(b.slots)&(len(b.slots)-1) != 0 {
				t.Fatalf("%d slots behind %d items: a mask does not reach all of them", len(b.slots), len(b.items))
			}
			if !b.add(it, true, true) {
				t.Fatalf("item %d was not taken", n)
			}
		}
		if b.live != keyless+16 {
			t.Errorf("%d items behind %d without a key, not 16", b.live-keyless, keyless)
		}
	}
}
