package postgres

import "syscall"

// setLowWater sets how many bytes must wait before a read of a TCP socket is woken, and tells whether it is set.
func setLowWater(raw syscall.RawConn, n int) bool {
	ok := false
	err := raw.Control(func(fd uintptr) {
		domain, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_DOMAIN)
		if err != nil || domain == syscall.AF_UNIX {
			return
		}
		ok = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, n) == nil
	})
	return ok && err == nil
}
