//go:build unix && !linux

package demo

import "syscall"

// childAttributes gives a child a process group of its own, so that Ctrl-C reaches only the demo, which then ends its
// children in order.
func childAttributes(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
