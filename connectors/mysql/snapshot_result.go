package mysql

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// Sizes of the read buffer in bytes. A row that does not fit makes it grow to the row's size for as long as needed (I5).
const (
	readBuffer    = 256 << 10
	maxIdleBuffer = 1 << 20
	packetHeader  = 4
	wholePacket   = 1<<24 - 1 // a packet of so many bytes goes on in the next one
)

// resultReader reads the results of statements as text, in place and in blocks, over a connection whose handshake the client library has
// done. It belongs to one goroutine, but for interrupt.
type resultReader struct {
	conn       net.Conn
	attributes bool // the server expects query attributes
	noEOF      bool // no packet ends the columns
	buf        []byte
	r, w       int
	long       []byte       // a row of several packets
	read       atomic.Int64 // when bytes were read last, ns since 1970
	fields     [][]byte
	busy       bool  // a statement runs whose end has not come
	err        error // the connection is of no use after it
}

// takeOver makes an idle connection the reader's own.
func (s *resultReader) takeOver(conn *client.Conn) {
	s.conn = conn.Conn.Conn
	agreed := strings.Split(conn.CapabilityString(), "|")
	s.attributes, s.noEOF = slices.Contains(agreed, "CLIENT_QUERY_ATTRIBUTES"), slices.Contains(agreed, "CLIENT_DEPRECATE_EOF")
	s.buf = make([]byte, readBuffer)
}

// interrupt makes every read and write fail from now on. Safe from any goroutine.
func (s *resultReader) interrupt() { _ = s.conn.SetDeadline(time.Unix(1, 0)) }

// exec runs a statement that gives no rows.
func (s *resultReader) exec(statement string) error {
	if err := s.send(statement); err != nil {
		return err
	}
	body, err := s.packet()
	if err != nil {
		return err
	}
	s.busy = false
	if body[0] != mysql.OK_HEADER {
		return s.fail(fmt.Errorf("read the answer to %.100s: it is none of a statement without rows", statement))
	}
	return nil
}

// query runs a statement whose rows row returns. columns is how many there must be.
func (s *resultReader) query(statement string, columns int) error {
	if err := s.send(statement); err != nil {
		return err
	}
	body, err := s.packet()
	if err != nil {
		return err
	}
	if n, _, _ := mysql.LengthEncodedInt(body); body[0] == mysql.OK_HEADER || int(n) != columns {
		return s.fail(fmt.Errorf("it gives %d columns, and the table has %d", n, columns))
	}
	skip := columns
	if !s.noEOF {
		skip++
	}
	for range skip {
		if _, err := s.packet(); err != nil {
			return err
		}
	}
	s.fields = make([][]byte, columns)
	return nil
}

func (s *resultReader) send(statement string) error {
	if s.err != nil {
		return s.err
	}
	s.r, s.w, s.busy = 0, 0, true
	b := make([]byte, packetHeader, packetHeader+3+len(statement))
	b = append(b, mysql.COM_QUERY)
	if s.attributes {
		b = append(b, 0, 1) // none, in one set
	}
	b = append(b, statement...)
	n := len(b) - packetHeader
	if n >= wholePacket {
		return fmt.Errorf("send a statement of %d bytes: it is too long", n)
	}
	b[0], b[1], b[2], b[3] = byte(n), byte(n>>8), byte(n>>16), 0
	if _, err := s.conn.Write(b); err != nil {
		return s.fail(err)
	}
	return nil
}

// row returns the fields of the next row, nil for NULL, valid until the next call; nil at the end.
func (s *resultReader) row() ([][]byte, error) {
	b, err := s.packet()
	if err != nil {
		return nil, err
	}
	if b[0] == mysql.EOF_HEADER && len(b) < wholePacket { // a value that long fills a packet
		s.busy = false
		return nil, nil
	}
	for i := range s.fields {
		if len(b) == 0 {
			return nil, s.fail(fmt.Errorf("read a row: it ends in column %d of %d", i+1, len(s.fields)))
		}
		n, size := uint64(b[0]), 1
		switch {
		case n < 0xfb:
		case n == 0xfb:
			s.fields[i], b = nil, b[1:]
			continue
		case n == 0xfc && len(b) >= 3:
			n, size = uint64(binary.LittleEndian.Uint16(b[1:])), 3
		case n == 0xfd && len(b) >= 4:
			n, size = uint64(b[1])|uint64(b[2])<<8|uint64(b[3])<<16, 4
		case n == 0xfe && len(b) >= 9:
			n, size = binary.LittleEndian.Uint64(b[1:]), 9
		default:
			return nil, s.fail(fmt.Errorf("read a row: column %d has no length", i+1))
		}
		if n > uint64(len(b)-size) {
			return nil, s.fail(fmt.Errorf("read a row: column %d of %d bytes goes beyond its end", i+1, n))
		}
		end := size + int(n)
		s.fields[i], b = b[size:end:end], b[end:]
	}
	return s.fields, nil
}

// packet returns the body of the next packet, valid until the next call, or the error that it holds.
func (s *resultReader) packet() ([]byte, error) {
	b, whole, err := s.part()
	if err == nil && whole {
		s.long = append(s.long[:0], b...)
		for err == nil && whole {
			b, whole, err = s.part()
			s.long = append(s.long, b...)
		}
		b = s.long
	} else if cap(s.long) > maxIdleBuffer {
		s.long = nil
	}
	switch {
	case err != nil:
		return nil, s.fail(err)
	case len(b) == 0:
		return nil, s.fail(fmt.Errorf("read from the server: an empty packet"))
	case b[0] == mysql.ERR_HEADER:
		s.busy = false
		return nil, serverError(b)
	}
	return b, nil
}

// part returns one packet, and whether it goes on in the next.
func (s *resultReader) part() (body []byte, whole bool, err error) {
	for {
		need := packetHeader
		if have := s.w - s.r; have >= packetHeader {
			h := s.buf[s.r:]
			n := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
			if need += n; have >= need {
				body := s.buf[s.r+packetHeader : s.r+need]
				s.r += need
				return body, n == wholePacket, nil
			}
		}
		if err := s.fill(need); err != nil {
			return nil, false, err
		}
	}
}

// fill reads more bytes behind those that are there, making room for a packet of need bytes.
func (s *resultReader) fill(need int) error {
	switch {
	case s.r == s.w:
		s.r, s.w = 0, 0
		if len(s.buf) > maxIdleBuffer && need <= readBuffer {
			s.buf = make([]byte, readBuffer)
		}
	case len(s.buf)-s.r < need || len(s.buf)-s.w < readBuffer/8:
		copy(s.buf, s.buf[s.r:s.w])
		s.r, s.w = 0, s.w-s.r
	}
	if len(s.buf) < need {
		grown := make([]byte, need+readBuffer)
		copy(grown, s.buf[s.r:s.w])
		s.r, s.w, s.buf = 0, s.w-s.r, grown
	}
	n, err := s.conn.Read(s.buf[s.w:])
	if n > 0 {
		s.w += n
		s.read.Store(time.Now().UnixNano())
		return nil
	}
	return err
}

// fail notes that the connection is of no use.
func (s *resultReader) fail(err error) error {
	s.err = err
	return err
}

// serverError reads an ERR packet: a code, '#' with an SQLSTATE, a text.
func serverError(b []byte) error {
	if len(b) < 3 {
		return fmt.Errorf("the server reported an error that cannot be read")
	}
	e := &mysql.MyError{Code: binary.LittleEndian.Uint16(b[1:]), State: mysql.DEFAULT_MYSQL_STATE, Message: string(b[3:])}
	if strings.HasPrefix(e.Message, "#") && len(e.Message) >= 6 {
		e.State, e.Message = e.Message[1:6], e.Message[6:]
	}
	return e
}
