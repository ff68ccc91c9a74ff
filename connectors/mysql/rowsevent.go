package mysql

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/freshet-io/freshet/connectors"
)

// The event types that carry rows.
const (
	eventWriteRows1      = 23
	eventUpdateRows1     = 24
	eventDeleteRows1     = 25
	eventWriteRows2      = 30
	eventUpdateRows2     = 31
	eventDeleteRows2     = 32
	eventPartialUpdate   = 39
	eventWriteRowsZip1   = 166 // MariaDB, compressed; 169 to 171 are version 2
	eventUpdateRowsZip1  = 167
	eventDeleteRowsZip1  = 168
	eventWriteRowsZip2   = 169
	eventUpdateRowsZip2  = 170
	eventDeleteRowsZip2  = 171
	rowsStatementEnd     = 1
	extraRowInfoMinimum  = 2
	partialJSONUpdates   = 1
	maxInflatedRowsEvent = 1 << 30 // what max_allowed_packet lets a server send
)

// rowsEvent is what a rows event says; it is valid as long as the bytes that it was read from, and until the next one is read.
type rowsEvent struct {
	table   uint64        // id that a TABLE_MAP event gave
	op      connectors.Op // OpCreate, OpUpdate, OpDelete
	last    bool          // the last one of its statement
	partial bool          // after images are partial updates
	columns int
	before  bitmap // columns of before images; nil: all
	after   bitmap // columns of after images; nil: all
	data    []byte // images: after (create), before (delete), before and after in turn (update)
}

// rowsReader reads rows events; it keeps the memory of compressed ones. It belongs to one goroutine.
type rowsReader struct {
	inflated []byte
	source   bytes.Reader
	zip      io.ReadCloser
}

// isRowsEvent tells that read takes events of this type.
func isRowsEvent(kind byte) bool { return rowsOp(kind) != connectors.OpNone }

func rowsOp(kind byte) connectors.Op {
	switch kind {
	case eventWriteRows1, eventWriteRows2, eventWriteRowsZip1, eventWriteRowsZip2:
		return connectors.OpCreate
	case eventUpdateRows1, eventUpdateRows2, eventPartialUpdate, eventUpdateRowsZip1, eventUpdateRowsZip2:
		return connectors.OpUpdate
	case eventDeleteRows1, eventDeleteRows2, eventDeleteRowsZip1, eventDeleteRowsZip2:
		return connectors.OpDelete
	}
	return connectors.OpNone
}

// read reads the body of a rows event: without its header and its checksum.
func (r *rowsReader) read(kind byte, data []byte) (rowsEvent, error) {
	c := cursor{data: data}
	e := rowsEvent{op: rowsOp(kind), partial: kind == eventPartialUpdate}
	e.table = c.uint48()
	e.last = c.uint16()&rowsStatementEnd != 0
	if second(kind) {
		n := c.uint16() // of the extra row info, itself included: a partition, or NDB's own
		if n < extraRowInfoMinimum {
			c.short = true
		}
		c.take(uint64(n) - extraRowInfoMinimum)
	}
	n := c.packed()
	if n > maxColumns {
		return e, malformedRows(fmt.Errorf("%d columns", n))
	}
	e.columns = int(n)
	first := bitmap(c.take((n + 7) / 8))
	if e.op == connectors.OpUpdate {
		e.before, e.after = first, bitmap(c.take((n+7)/8))
	} else {
		e.before, e.after = first, first
	}
	if c.short {
		return e, malformedRows(errShortEvent)
	}
	if len(c.data) > 0 && e.before.count(e.columns)+e.after.count(e.columns) == 0 {
		return e, malformedRows(errors.New("rows without columns"))
	}
	if e.before.full(e.columns) {
		e.before = nil
	}
	if e.after.full(e.columns) {
		e.after = nil
	}
	e.data = c.data
	if kind >= eventWriteRowsZip1 {
		var err error
		if e.data, err = r.inflate(c.data); err != nil {
			return e, malformedRows(err)
		}
	}
	return e, nil
}

var errMalformedZip = errors.New("what is compressed is malformed")

func second(kind byte) bool {
	return kind >= eventWriteRows2 && kind <= eventPartialUpdate || kind >= eventWriteRowsZip2
}

// inflate reads MariaDB's compressed form, of rows and of statements: a byte whose low three bits are the number of bytes of the length, the length, zlib.
func (r *rowsReader) inflate(data []byte) ([]byte, error) {
	size, packed, ok := inflatedSize(data)
	if !ok || size > maxInflatedRowsEvent || size > 1032*len(packed)+1032 { // zlib makes at most 1032 bytes of one
		return nil, errMalformedZip
	}
	if cap(r.inflated) < size {
		r.inflated = make([]byte, size)
	}
	r.inflated = r.inflated[:size]
	r.source.Reset(packed)
	var err error
	if r.zip == nil {
		r.zip, err = zlib.NewReader(&r.source)
	} else {
		err = r.zip.(zlib.Resetter).Reset(&r.source, nil)
	}
	if err == nil {
		_, err = io.ReadFull(r.zip, r.inflated)
	}
	if err != nil {
		r.zip = nil
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return r.inflated, nil
}

// inflatedSize splits MariaDB's header of compressed bytes.
func inflatedSize(data []byte) (size int, packed []byte, ok bool) {
	if len(data) == 0 {
		return 0, nil, false
	}
	n := int(data[0] & 7)
	if n < 1 || n > 4 || len(data) < 1+n {
		return 0, nil, false
	}
	for _, b := range data[1 : 1+n] {
		size = size<<8 | int(b)
	}
	return size, data[1+n:], true
}

func malformedRows(err error) error {
	return connectors.AsPermanent(fmt.Errorf("read rows event: %w", err))
}
