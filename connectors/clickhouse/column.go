package clickhouse

import (
	"encoding/binary"

	"github.com/freshet-io/freshet/connectors"
)

// form is how a cell becomes a value of a column; chosen once per column.
type form uint8

const (
	formNone form = iota
	formBool
	formInt
	formUint
	formFloat32
	formFloat64
	formDecimal
	formString // of any kind of cell, as text; bytes as they are
	formFixed
	formUUID
	formDate       // days in 16 bits
	formDate32     // days in 32 bits
	formDateTime   // seconds in 32 bits
	formDateTime64 // ticks
	formTime       // seconds in 32 bits
	formTime64     // ticks
	formEnum
	formArray
	formMap
	formPoint // Tuple(Float64, Float64)
)

// column gathers the values of one column of a block, in the layout of the Native format: the map of NULLs, the ends of arrays,
// the values. It is reused from block to block; nothing is allocated per value.
type column struct {
	form  form
	width int // bytes of a value; 0: of variable length
	// null tells what becomes of NULL: a NULL, an empty array or map, or a problem.
	null  nullRule
	limit int   // digits of a decimal; bytes of a FixedString
	scale int   // of a decimal, of a second
	unit  int64 // µs of a tick, where that is longer than 1 µs
	ticks int64 // of a µs, where a tick is shorter
	least int64 // what a temporal value must not be below, in its own unit
	most  int64 // … or above
	enum  *enumeration
	elem  []*column // of an array: 1; of a map: 2; of a point: 2

	nulls []byte
	data  []byte
	ends  []byte // of arrays and maps, UInt64
	count uint64 // elements so far

	mark   [3]int // lengths when the row was begun
	before uint64 // count then
}

type nullRule uint8

const (
	nullRefused nullRule = iota
	nullKept
	nullEmpty // an array or map without elements
)

// enumeration has the numbers of an Enum's labels.
type enumeration struct {
	labels  []string
	numbers []int16
}

func (c *column) reset() {
	c.nulls, c.data, c.ends, c.count = c.nulls[:0], c.data[:0], c.ends[:0], 0
	for _, e := range c.elem {
		e.reset()
	}
}

// size is the memory of the values.
func (c *column) size() int {
	n := len(c.nulls) + len(c.data) + len(c.ends)
	for _, e := range c.elem {
		n += e.size()
	}
	return n
}

// held is the memory that reset keeps.
func (c *column) held() int {
	n := cap(c.nulls) + cap(c.data) + cap(c.ends)
	for _, e := range c.elem {
		n += e.held()
	}
	return n
}

// begin notes where a row begins.
func (c *column) begin() {
	c.mark[0], c.mark[1] = len(c.nulls), len(c.data)
	if c.elem != nil {
		c.beginElements()
	}
}

func (c *column) beginElements() {
	c.mark[2], c.before = len(c.ends), c.count
	for _, e := range c.elem {
		e.begin()
	}
}

// undo forgets what came after begin.
func (c *column) undo() {
	c.nulls, c.data, c.ends, c.count = c.nulls[:c.mark[0]], c.data[:c.mark[1]], c.ends[:c.mark[2]], c.before
	for _, e := range c.elem {
		e.undo()
	}
}

// add appends the value of a cell. After a problem the caller takes the whole row back.
func (c *column) add(b *connectors.Batch, cell connectors.Cell) problem {
	if cell.Kind <= connectors.KindUnavailable {
		return c.nothing(cell)
	}
	if c.null == nullKept {
		c.nulls = append(c.nulls, 0)
	}
	if c.form == formString && cell.Kind == connectors.KindText {
		c.text(b.Bytes(cell))
		return ""
	}
	return c.value(b, cell)
}

// nothing appends NULL.
func (c *column) nothing(cell connectors.Cell) problem {
	switch {
	case cell.Kind != connectors.KindNull:
		return problemMissing
	case c.null == nullKept:
		c.nulls = append(c.nulls, 1)
	case c.null != nullEmpty:
		return problemNull
	}
	c.zero()
	return ""
}

// absent appends what a row has in a column that does not matter to it: NULL, else the type's default.
func (c *column) absent() {
	if c.null == nullKept {
		c.nulls = append(c.nulls, 1)
	}
	c.zero()
}

// zero appends the type's default.
func (c *column) zero() {
	switch c.form {
	case formArray, formMap:
		c.ends = binary.LittleEndian.AppendUint64(c.ends, c.count)
	case formPoint:
		c.elem[0].zero()
		c.elem[1].zero()
	case formString:
		c.data = append(c.data, 0)
	case formEnum: // 0 is a number of an Enum only where there is a label for it
		c.number(int64(c.enum.numbers[0]))
	default:
		c.data = append(c.data, make([]byte, c.width)...)
	}
}

// number appends the lowest bytes of v.
func (c *column) number(v int64) {
	switch c.width {
	case 8:
		c.data = binary.LittleEndian.AppendUint64(c.data, uint64(v))
	case 4:
		c.data = binary.LittleEndian.AppendUint32(c.data, uint32(v))
	case 2:
		c.data = binary.LittleEndian.AppendUint16(c.data, uint16(v))
	case 1:
		c.data = append(c.data, byte(v))
	default:
		c.data = wide(c.data, v, c.width)
	}
}

// wide appends v in 16 or 32 bytes.
func wide(dst []byte, v int64, width int) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
	for range width/8 - 1 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(v>>63))
	}
	return dst
}

// text appends a String.
func (c *column) text(v []byte) {
	if len(v) < 0x80 {
		c.data = append(append(c.data, byte(len(v))), v...)
		return
	}
	c.data = append(binary.AppendUvarint(c.data, uint64(len(v))), v...)
}

func (c *column) string(v string) {
	c.data = append(binary.AppendUvarint(c.data, uint64(len(v))), v...)
}

// order appends a position as UInt128.
func (c *column) order(o connectors.Order) {
	c.data = binary.LittleEndian.AppendUint64(c.data, o.Major<<32|uint64(o.Minor))
	c.data = binary.LittleEndian.AppendUint64(c.data, uint64(o.Epoch)<<32|o.Major>>32)
}

// parts appends what the Native format has for the column, without copying it.
func (c *column) parts(dst [][]byte) [][]byte {
	if c.null == nullKept {
		dst = append(dst, c.nulls)
	}
	if len(c.ends) > 0 {
		dst = append(dst, c.ends)
	}
	for _, e := range c.elem {
		dst = e.parts(dst)
	}
	if len(c.data) > 0 {
		dst = append(dst, c.data)
	}
	return dst
}
