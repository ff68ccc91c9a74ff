//go:build !linux

package plugins

import (
	"os"
	"syscall"
)

// attributes: the plugin ends when its standard input does.
func attributes() *syscall.SysProcAttr { return nil }

func killGroup(p *os.Process) { _ = p.Kill() }

// awaitExit cannot wait without reaping: false.
func awaitExit(*os.Process) bool { return false }
