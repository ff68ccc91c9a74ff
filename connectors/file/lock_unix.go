//go:build unix

package file

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/freshet-io/freshet/connectors"
)

// lock takes the file for this process until it is closed.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return connectors.AsPermanent(fmt.Errorf("lock file %s: another task or process writes to it; stop that one or name another file", f.Name()))
	}
	if err != nil {
		return fmt.Errorf("lock file %s: %w", f.Name(), err)
	}
	return nil
}
