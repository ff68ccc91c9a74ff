//go:build !linux

package postgres

import "syscall"

// setLowWater does nothing: the low-water mark is used on Linux only.
func setLowWater(syscall.RawConn, int) bool { return false }
