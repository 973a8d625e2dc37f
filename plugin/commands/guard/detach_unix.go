//go:build unix

package guard

import (
	"os/exec"
	"syscall"
)

// detach takes the guard out of the terminal's session, whose signals are not
// for it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
