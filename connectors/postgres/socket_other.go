//go:build !unix

package postgres

import (
	"errors"
	"os"
	"time"
)

// readNow waits a moment instead of not at all, where sockets cannot be read without waiting.
func (s *socket) readNow(p []byte) (int, error) {
	if err := s.Conn.SetReadDeadline(time.Now().Add(200 * time.Microsecond)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Read(p)
	if !s.interrupted.Load() {
		_ = s.Conn.SetReadDeadline(time.Time{})
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errWouldBlock
	}
	return n, err
}

func (s *socket) readOnce(uintptr) bool { return true }
