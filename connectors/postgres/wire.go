package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Sizes of the read buffer in bytes. A message that does not fit makes it grow to the message's size for as long as needed (I5).
const (
	readBuffer    = 256 << 10
	maxIdleBuffer = 1 << 20
	maxMessage    = 1<<30 + 1<<16 // the server's own bound is 1 GiB
)

// errWouldBlock is returned by reads that were asked not to wait.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no data yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true } // TLS goes on after it

// wire reads protocol messages of a connection whose handshake pgconn has done, in place and in blocks, for replication and for COPY.
// It belongs to one goroutine, but for interrupt and silent.
type wire struct {
	conn   net.Conn
	socket *socket
	pid    uint32
	buf    []byte
	r, w   int
	read   atomic.Int64 // when bytes were read last, ns since 1970
	since  atomic.Int64 // when the read that is waiting began, ns since 1970; 0: none waits
}

// dial connects; takeOver makes the connection the wire's own.
func (s *wire) dial(ctx context.Context, config *pgconn.Config) (*pgconn.PgConn, error) {
	config = config.Copy()
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		s.socket = newSocket(conn)
		return s.socket, nil
	}
	return pgconn.ConnectConfig(ctx, config)
}

// takeOver waits for what pgconn may still read by itself: it does so after a slow write, and would take what comes next.
func (s *wire) takeOver(ctx context.Context, pc *pgconn.PgConn) error {
	if err := pc.SyncConn(ctx); err != nil {
		_ = pc.Close(ctx)
		return fmt.Errorf("take over the connection: %w", err)
	}
	h, err := pc.Hijack()
	if err != nil {
		return fmt.Errorf("take over the connection: %w", err)
	}
	if n := h.Frontend.ReadBufferLen(); n > 0 {
		_ = h.Conn.Close()
		return fmt.Errorf("take over the connection: the server sent %d bytes that nobody asked for", n)
	}
	s.conn, s.pid, s.buf = h.Conn, h.PID, make([]byte, readBuffer)
	return nil
}

// query sends a simple query or a replication command.
func (s *wire) query(sql string) error {
	q, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err != nil {
		return err
	}
	_, err = s.conn.Write(q)
	return err
}

// message returns the kind and the body of the next protocol message; the body is valid until the next call.
func (s *wire) message(wait bool) (byte, []byte, error) {
	for {
		have := s.w - s.r
		need := 5
		if have >= 5 {
			size := int(binary.BigEndian.Uint32(s.buf[s.r+1:]))
			if size < 4 || size > maxMessage {
				return 0, nil, fmt.Errorf("read from the server: message with length %d", size)
			}
			need = 1 + size
			if have >= need {
				kind, body := s.buf[s.r], s.buf[s.r+5:s.r+need]
				s.r += need
				return kind, body, nil
			}
		}
		if err := s.fill(need, wait); err != nil {
			return 0, nil, err
		}
	}
}

// fill reads more bytes behind those that are there, making room for a message of need bytes.
func (s *wire) fill(need int, wait bool) error {
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
	if wait {
		s.since.Store(time.Now().UnixNano())
	}
	s.socket.nowait = !wait
	n, err := s.conn.Read(s.buf[s.w:])
	s.socket.nowait = false
	s.since.Store(0)
	if n > 0 {
		s.w += n
		s.read.Store(time.Now().UnixNano())
		return nil
	}
	return err
}

// interrupt makes a waiting read return with a timeout, now and until proceed. Safe from any goroutine.
func (s *wire) interrupt() { s.socket.interrupt() }

func (s *wire) proceed() { s.socket.proceed() }

// silent tells that nothing has come for d although somebody waits for it; not for want of a reader, which finds in the
// socket what came meanwhile. Safe from any goroutine.
func (s *wire) silent(d time.Duration) bool {
	const settled = 50 * time.Millisecond
	now, since := time.Now().UnixNano(), s.since.Load()
	return since > 0 && now-since > int64(settled) && now-s.read.Load() > int64(d)
}

func serverError(body []byte) error {
	var m pgproto3.ErrorResponse
	if err := m.Decode(body); err != nil {
		return fmt.Errorf("the server reported an error that cannot be read: %w", err)
	}
	return pgconn.ErrorResponseToPgError(&m)
}

// quoteLiteral quotes a text for SQL and for replication commands.
func quoteLiteral(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
