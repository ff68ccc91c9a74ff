package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The messages of pgoutput, protocol version 1 (PostgreSQL documentation, "Logical Replication Message Formats").
const (
	msgBegin    = 'B'
	msgCommit   = 'C'
	msgOrigin   = 'O'
	msgRelation = 'R'
	msgType     = 'Y'
	msgInsert   = 'I'
	msgUpdate   = 'U'
	msgDelete   = 'D'
	msgTruncate = 'T'
	msgMessage  = 'M'
)

var errShort = errors.New("the message ends too early")

// pgMessage is one parsed message. Only the members of its kind are set; byte slices are views into the read buffer.
// It is reused from message to message.
type pgMessage struct {
	kind byte

	// B and C
	lsn       uint64 // B: where the commit record starts; C: the same; O: commit at the origin; M: of the message
	endLSN    uint64 // C: behind the commit record
	timestamp int64  // B and C: µs since 2000-01-01 UTC
	xid       uint32 // B

	// R, I, U, D
	relation uint32
	tag      byte   // of the first tuple: tupleNew, tupleOld or tupleKey
	tuples   []byte // TupleData, one or (an update with its old row) two with the tag of the second between them

	// T
	truncated []byte // relation ids, 4 bytes each
	// O
	origin []byte
	// M
	transactional bool
	prefix        []byte
	content       []byte
}

// parse reads one message. Tuples are left to relation.appendTuple, which checks them; relation messages to parseRelation.
func (m *pgMessage) parse(data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("parse pgoutput message: %w", errShort)
	}
	c := cursor{b: data[1:]}
	*m = pgMessage{kind: data[0]}
	switch m.kind {
	case msgInsert, msgUpdate, msgDelete:
		m.relation, m.tag = c.u32(), c.u8()
		m.tuples = c.b
		switch {
		case m.tag == tupleNew && m.kind != msgDelete:
		case (m.tag == tupleOld || m.tag == tupleKey) && m.kind != msgInsert:
		default:
			c.bad = true
		}
	default:
		m.parseRare(&c)
	}
	if c.bad {
		return fmt.Errorf("parse pgoutput message %q of %d bytes: %w", m.kind, len(data), errShort)
	}
	return nil
}

func (m *pgMessage) parseRare(c *cursor) {
	switch m.kind {
	case msgBegin:
		m.lsn, m.timestamp, m.xid = c.u64(), int64(c.u64()), c.u32()
	case msgCommit:
		c.u8()
		m.lsn, m.endLSN, m.timestamp = c.u64(), c.u64(), int64(c.u64())
	case msgOrigin:
		m.lsn, m.origin = c.u64(), c.text()
	case msgTruncate:
		n := c.u32()
		c.u8()
		if uint64(n)*4 > uint64(len(c.b)) {
			c.bad = true
			return
		}
		m.truncated = c.take(int(n) * 4)
	case msgMessage:
		m.transactional = c.u8()&1 != 0
		m.lsn, m.prefix = c.u64(), c.text()
		m.content = c.take(int(c.u32()))
	case msgRelation:
		m.relation = c.u32()
	}
}

// relationMessage describes a table as the rows that follow were written.
type relationMessage struct {
	oid      uint32
	schema   string
	table    string
	identity byte // 'd' default, 'n' nothing, 'f' full, 'i' index
	columns  []relationColumn
}

// relationColumn is one column of a relation message; generated columns are absent from it.
type relationColumn struct {
	name     string
	typeOID  uint32
	modifier int32
	identity bool // part of the replica identity
}

// parseRelation reads a whole relation message, its kind byte included.
func parseRelation(data []byte) (*relationMessage, error) {
	c := cursor{b: data}
	c.expect(msgRelation)
	r := &relationMessage{oid: c.u32(), schema: string(c.text()), table: string(c.text()), identity: c.u8()}
	if r.schema == "" {
		r.schema = "pg_catalog" // pgoutput writes an empty name for it
	}
	n := int(c.u16())
	for i := 0; i < n && !c.bad; i++ {
		flags := c.u8()
		r.columns = append(r.columns, relationColumn{
			identity: flags&1 != 0, name: string(c.text()), typeOID: c.u32(), modifier: int32(c.u32()),
		})
	}
	if c.bad {
		return nil, fmt.Errorf("parse pgoutput relation message of %d bytes: %w", len(data), errShort)
	}
	return r, nil
}

// cursor reads big-endian parts off the front of b. After a part that is not there bad is set and everything reads as zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.bad = true
		c.b = nil
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) u8() byte {
	if v := c.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if v := c.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if v := c.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if v := c.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (c *cursor) text() []byte {
	n := bytes.IndexByte(c.b, 0)
	if n < 0 {
		c.bad = true
		return nil
	}
	v := c.take(n)
	c.take(1)
	return v
}

func (c *cursor) expect(b byte) {
	if c.u8() != b {
		c.bad = true
	}
}
