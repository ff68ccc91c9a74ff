package cluster

import (
	"time"

	"golang.org/x/sys/unix"
)

// uptime is a clock that goes on while the machine sleeps, other than that of timers.
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(ts.Nano())
}
