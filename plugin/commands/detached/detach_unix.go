//go:build unix

package detached

import (
	"os/exec"
	"syscall"
)

// detach takes the process out of the terminal's session, whose signals are not
// for it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
