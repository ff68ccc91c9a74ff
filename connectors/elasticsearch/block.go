package elasticsearch

import (
	"bytes"
	"io"
	"math/bits"

	"github.com/freshet-io/freshet/connectors"
)

// block is what gathers for one lane while its request is under way: lines of bulk requests, and what each is about.
type block struct {
	data    []byte
	items   []item
	live    int      // items that are not superseded
	slots   []uint32 // open addressing by key: index into items + 1
	held    []*held  // batches that have items here
	charged int      // bytes of the task's budget (I5)
}

// item is one action of a bulk request: a line, and a second one with the document unless it deletes. No pointers.
type item struct {
	start, id, idEnd, end uint32 // in data: the action, its id (with routing), the end
	version               uint64
	hash                  uint32
	index                 uint32 // number of the index within the sink
	held                  uint32 // index into block.held
	record                uint32
	before                int32 // the item of the same key that this one supersedes, -1: none
	op                    itemOp
	dead                  bool
	cut                   bool // a request must end before it: it must not share one with an earlier item of its key
}

type itemOp uint8

const (
	opIndex itemOp = iota
	opCreate
	opUpdate
	opDelete
)

const itemSize = 48

func (b *block) size() int { return len(b.data) + len(b.items)*itemSize }

// hold returns the index of h among the block's batches.
func (b *block) hold(h *held) uint32 {
	if n := len(b.held); n > 0 && b.held[n-1] == h {
		return uint32(n - 1)
	}
	b.held = append(b.held, h)
	h.left++
	return uint32(len(b.held) - 1)
}

// add takes over the item whose lines lie at the end of data. With fold it supersedes an earlier one of the same key, unless that has a
// higher version: false, it is not taken. Without it they only do not share a request.
func (b *block) add(it item, keyed, fold bool) bool {
	it.before = -1
	if keyed {
		b.grow()
		slot := b.find(&it)
		if at := b.slots[slot]; at > 0 {
			switch {
			case fold && it.version < b.items[at-1].version:
				return false
			case fold:
				it.before = int32(at - 1)
				b.items[at-1].dead = true
				b.live--
			default:
				it.cut = true
			}
		}
		b.slots[slot] = uint32(len(b.items) + 1)
	}
	b.items = append(b.items, it)
	b.live++
	return true
}

// find returns the slot of an item's key, or the empty one where it belongs.
func (b *block) find(like *item) int {
	key := b.data[like.id:like.idEnd]
	mask := len(b.slots) - 1
	for i := int(like.hash) & mask; ; i = (i + 1) & mask {
		at := b.slots[i]
		if at == 0 {
			return i
		}
		if it := &b.items[at-1]; it.hash == like.hash && it.index == like.index && bytes.Equal(b.data[it.id:it.idEnd], key) {
			return i
		}
	}
}

// grow keeps the slots at most half full, and their number a power of two, which a mask reaches all of. Items without a key have none, and
// may have come in any number before.
func (b *block) grow() {
	if 2*(len(b.items)+1) <= len(b.slots) {
		return
	}
	old := b.slots
	b.slots = make([]uint32, 1<<bits.Len(uint(max(64, 4*len(b.items))-1)))
	mask := len(b.slots) - 1
	for _, at := range old {
		if at == 0 {
			continue
		}
		i := int(b.items[at-1].hash) & mask
		for b.slots[i] != 0 {
			i = (i + 1) & mask
		}
		b.slots[i] = at
	}
}

// reset makes the block empty; it keeps memory up to a limit.
func (b *block) reset(keep int) {
	if cap(b.data) > 2*keep {
		b.data = nil
	}
	if len(b.slots)*4 > keep {
		b.slots = nil
	}
	if cap(b.items)*itemSize > 2*keep {
		b.items = nil
	}
	clear(b.slots)
	clear(b.held)
	b.data, b.items, b.held = b.data[:0], b.items[:0], b.held[:0]
	b.live, b.charged = 0, 0
}

// append adds the indexes of all live items.
func (b *block) append(list []uint32) []uint32 {
	for i := range b.items {
		if !b.items[i].dead {
			list = append(list, uint32(i))
		}
	}
	return list
}

// cutOff splits a list of items where a request ends: at a number of items or bytes (one item above that passes alone), or before an
// item that must come later.
func (b *block) cutOff(list []uint32, items, size int) (head, tail []uint32) {
	total := 0
	for i, at := range list {
		it := &b.items[at]
		total += int(it.end - it.start)
		if i > 0 && (i == items || total > size || it.cut) {
			return list[:i], list[i:]
		}
	}
	return list, nil
}

func (b *block) length(list []uint32) (n int64) {
	for _, at := range list {
		n += int64(b.items[at].end - b.items[at].start)
	}
	return n
}

// body reads the lines of some items.
type body struct {
	block *block
	list  []uint32
	at    uint32 // bytes read of the first
}

// Read implements io.Reader.
func (r *body) Read(p []byte) (n int, err error) {
	for n < len(p) && len(r.list) > 0 {
		it := &r.block.items[r.list[0]]
		k := copy(p[n:], r.block.data[it.start+r.at:it.end])
		n += k
		if r.at += uint32(k); it.start+r.at == it.end {
			r.list, r.at = r.list[1:], 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// held is a batch that was taken and is not durable yet.
type held struct {
	batch *connectors.Batch
	id    connectors.BatchID
	left  int // blocks with items of it, and one while it is being taken
	done  bool
}
