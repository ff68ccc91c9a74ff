package demo

import "syscall"

// childAttributes gives a child a process group of its own, so that Ctrl-C reaches only the demo, which then ends its
// children in order; should the demo die without doing so, the kernel sends them the signal.
func childAttributes(orphaned syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
}
