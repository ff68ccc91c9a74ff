package mysql

import "encoding/binary"

// The column types of the binlog, as TABLE_MAP names them. ENUM and SET come inside STRING.
const (
	wireTiny              = 1
	wireShort             = 2
	wireLong              = 3
	wireFloat             = 4
	wireDouble            = 5
	wireNull              = 6
	wireTimestamp         = 7
	wireLongLong          = 8
	wireInt24             = 9
	wireDate              = 10
	wireTime              = 11
	wireDatetime          = 12
	wireYear              = 13
	wireNewDate           = 14
	wireVarchar           = 15
	wireBit               = 16
	wireTimestamp2        = 17
	wireDatetime2         = 18
	wireTime2             = 19
	wireTypedArray        = 20 // of a multi-valued index (MySQL 8.0.17)
	wireBlobCompressed    = 140
	wireVarcharCompressed = 141
	wireVector            = 242
	wireJSON              = 245
	wireNewDecimal        = 246
	wireEnum              = 247
	wireSet               = 248
	wireBlob              = 252
	wireVarString         = 253
	wireString            = 254
	wireGeometry          = 255
)

// cursor reads the parts of an event from its front. After a read beyond the end short is true and every read gives zero.
type cursor struct {
	data  []byte
	short bool
}

// take returns the next n bytes.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.data)) {
		c.data, c.short = nil, true
		return nil
	}
	out := c.data[:n:n]
	c.data = c.data[n:]
	return out
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// uint48 reads a table id.
func (c *cursor) uint48() uint64 {
	if b := c.take(6); b != nil {
		return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
	}
	return 0
}

// fixed reads an integer of n bytes.
func (c *cursor) fixed(n uint64) uint64 { return littleEndian(c.take(n)) }

// packed reads a length-encoded integer.
func (c *cursor) packed() uint64 {
	n := 0
	switch b := c.byte(); b {
	case 0xfb, 0xff:
		c.data, c.short = nil, true
		return 0
	case 0xfc:
		n = 2
	case 0xfd:
		n = 3
	case 0xfe:
		n = 8
	default:
		return uint64(b)
	}
	var v uint64
	for i, b := range c.take(uint64(n)) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

// bitmap has one bit per column, the least significant one of a byte first.
type bitmap []byte

func (b bitmap) has(i int) bool { return b[i>>3]&(1<<(i&7)) != 0 }

// count is the number of ones among the first n bits.
func (b bitmap) count(n int) int {
	ones := 0
	for i := range n {
		if b.has(i) {
			ones++
		}
	}
	return ones
}

// full tells that the first n bits are ones.
func (b bitmap) full(n int) bool { return b.count(n) == n }
