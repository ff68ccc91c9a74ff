package postgres

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// When a receiver is woken for every few hundred bytes, it and the walsender spend their time on waking each other. A low-water mark on the
// receiving socket (SO_RCVLOWAT) wakes it for whole blocks instead. A fixed mark would hold the tail of the stream back, so
// it is set only while data pours in, with a short deadline, and taken back as soon as the stream slows down.
const (
	lowWaterMark     = 64 << 10
	lowWaterDeadline = time.Millisecond
	// Data pours in when it takes this many reads in this time, and goes on to while so many bytes come within the deadline.
	fastReads  = 32
	fastWindow = 16 * time.Millisecond
	slowBytes  = 1 << 9
)

// socket wraps a network connection, below TLS where there is TLS, for reads that do not wait and for the low-water mark.
// Reads belong to one goroutine; interrupt and proceed are safe from any.
type socket struct {
	net.Conn
	raw         syscall.RawConn // nil: neither is possible
	nowait      bool            // the next read returns errWouldBlock instead of waiting
	interrupted atomic.Bool

	marked bool // the low-water mark is set
	reads  int  // since windowStart
	start  time.Time

	target []byte // arguments and results of once
	got    int
	gotErr error
	once   func(fd uintptr) bool
}

func newSocket(conn net.Conn) *socket {
	s := &socket{Conn: conn}
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	s.once = s.readOnce
	return s
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	switch {
	case s.nowait:
		if s.marked { // the deadline of the read before may be over
			if err := s.Conn.SetReadDeadline(time.Time{}); err != nil {
				return 0, err
			}
			if s.interrupted.Load() {
				return 0, os.ErrDeadlineExceeded
			}
		}
		return s.readNow(p)
	case s.marked:
		return s.readMarked(p)
	}
	n, err := s.Conn.Read(p)
	s.count()
	return n, err
}

// count sets the mark when data pours in.
func (s *socket) count() {
	s.reads++
	if s.reads < fastReads {
		return
	}
	now := time.Now()
	if s.raw != nil && now.Sub(s.start) < fastWindow {
		s.marked = setLowWater(s.raw, lowWaterMark)
	}
	s.reads, s.start = 0, now
}

// readMarked waits for the mark or for the deadline, whichever comes first; what trickles in is read at the deadline, and
// then the mark is taken back.
func (s *socket) readMarked(p []byte) (int, error) {
	if err := s.Conn.SetReadDeadline(time.Now().Add(lowWaterDeadline)); err != nil {
		return 0, err
	}
	if s.interrupted.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := s.Conn.Read(p)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if err := s.Conn.SetReadDeadline(time.Time{}); err != nil {
		return 0, err
	}
	if s.interrupted.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err = s.readNow(p)
	if err == nil && n >= slowBytes {
		return n, nil
	}
	s.marked = false
	setLowWater(s.raw, 1)
	if errors.Is(err, errWouldBlock) {
		return s.Conn.Read(p)
	}
	return n, err
}

// interrupt makes reads return os.ErrDeadlineExceeded until proceed.
func (s *socket) interrupt() {
	s.interrupted.Store(true)
	_ = s.Conn.SetReadDeadline(time.Unix(1, 0))
}

func (s *socket) proceed() {
	s.interrupted.Store(false)
	_ = s.Conn.SetReadDeadline(time.Time{})
}
