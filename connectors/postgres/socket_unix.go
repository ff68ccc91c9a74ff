//go:build unix

package postgres

import (
	"io"
	"syscall"
)

// readNow reads what is there and returns errWouldBlock when there is nothing.
func (s *socket) readNow(p []byte) (int, error) {
	if s.raw == nil {
		return 0, errWouldBlock
	}
	s.target = p
	err := s.raw.Read(s.once)
	s.target = nil
	if err != nil {
		return 0, err
	}
	return s.got, s.gotErr
}

func (s *socket) readOnce(fd uintptr) bool {
	for {
		n, err := syscall.Read(int(fd), s.target)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			s.got, s.gotErr = 0, errWouldBlock
		case err != nil:
			s.got, s.gotErr = 0, err
		case n == 0:
			s.got, s.gotErr = 0, io.EOF
		default:
			s.got, s.gotErr = n, nil
		}
		return true
	}
}
