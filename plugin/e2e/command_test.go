package e2e

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

const (
	// commandTimeout is what a command may take, as an engine that hangs must not
	// hang the tests. The longest wait for an engine that tries a failing registry
	// again and again, which takes it nearly four minutes.
	commandTimeout = 8 * time.Minute
	// pipeTimeout is what a command's children may hold its output open after it.
	pipeTimeout = time.Minute
)

// command is exec.Command for one that must end. The docker CLI says what it
// waited for when its time is up.
func command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	context.AfterFunc(ctx, cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = pipeTimeout
	return cmd
}
