package mysql

import (
	"errors"
	"math/bits"
	"strings"
)

// taggedGTID is what is needed of a GTID_TAGGED event.
type taggedGTID struct {
	uuid     [16]byte
	tag      string
	number   int64
	original int64 // when the first server committed, µs since 1970; 0: not given
}

// The fields of a GTID_TAGGED event; those behind them are not needed.
const (
	taggedFlags     = 0
	taggedUUID      = 1
	taggedNumber    = 2
	taggedTag       = 3
	taggedCommitted = 4
	taggedSequence  = 5
	taggedImmediate = 6
	taggedOriginal  = 7 // where it differs from taggedImmediate

	longestTag = 32
)

var errBadTag = errors.New("its tag is malformed")

// readTagged reads a message of mysql::serialization: version, size of the whole, the last field that a reader has to know, then fields in the order of
// their numbers, each behind its number. The library's reader panics at messages of 128 bytes and more, and at the ticket of a group commit.
func readTagged(body []byte) (t taggedGTID, err error) {
	c := cursor{data: body}
	c.variable()
	if size := c.variable(); size > uint64(len(body)) {
		return t, errShortControl
	}
	c.variable()
	named, times := 0, [2]uint64{}
	for len(c.data) > 0 {
		switch field := c.variable(); field {
		case taggedUUID:
			for i := range t.uuid {
				t.uuid[i] = byte(c.variable())
			}
			named++
		case taggedNumber: // the sign is the lowest bit
			n := c.variable()
			t.number = int64(n>>1) ^ -int64(n&1)
			named++
		case taggedTag:
			tag := c.take(c.variable())
			if len(tag) > longestTag {
				return t, errBadTag
			}
			t.tag = strings.ToLower(string(tag))
		case taggedFlags, taggedCommitted, taggedSequence:
			c.variable()
		case taggedImmediate, taggedOriginal:
			times[field-taggedImmediate] = c.variable()
		default:
			c.data = nil
		}
	}
	if c.short || named != 2 {
		return t, errShortControl
	}
	for i, r := range t.tag {
		if r != '_' && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return t, errBadTag
		}
	}
	if t.original = int64(times[1]); times[1] == 0 {
		t.original = int64(times[0])
	}
	t.original = max(t.original, 0)
	return t, nil
}

// variable reads an integer of mysql::serialization: the number of ones at the low end of its first byte is that of the bytes that follow.
func (c *cursor) variable() uint64 {
	first := c.byte()
	n := bits.TrailingZeros8(^first)
	rest := c.fixed(uint64(n))
	if n == 8 {
		return rest
	}
	return rest<<(7-n) | uint64(first)>>(n+1)
}
