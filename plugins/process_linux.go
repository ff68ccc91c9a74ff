package plugins

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes make the process end with the worker, whatever the worker dies of, and keep the signals of a terminal from it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup ends the process and those that it has started.
func killGroup(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	_ = p.Kill()
}

// awaitExit returns when the process has ended. It is still to be waited for, so that its number is its own: true.
func awaitExit(p *os.Process) bool {
	for {
		if err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
