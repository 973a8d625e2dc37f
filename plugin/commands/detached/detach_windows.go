package detached

import (
	"os/exec"
	"syscall"
)

// detach takes the process out of the console's group, whose signals are not for it.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
