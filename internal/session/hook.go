package session

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// HookTimeout is the time a hook may take before the work goes on without it.
const HookTimeout = 30 * time.Second

// Hooker is what is asked of the engine to run a command in a session.
type Hooker interface {
	ContainerExecCreate(ctx context.Context, container string, options container.ExecOptions) (container.ExecCreateResponse, error)
	ContainerExecAttach(ctx context.Context, execID string, options container.ExecAttachOptions) (types.HijackedResponse, error)
	ContainerExecInspect(ctx context.Context, execID string) (container.ExecInspect, error)
}

// Hook is a command that a workspace wants run in its sessions at some point.
// One without a Command does nothing.
type Hook struct {
	// Name is the key in the workspace file, such as "before_stop".
	Name    string
	Command []string
	// Output receives what the command prints, at most 64 KiB of it; nil
	// discards it.
	Output io.Writer
}

// Run executes the hook in s and waits for it, HookTimeout at most. A command
// that exits with another code than 0, or cannot be run, is an error.
func (h Hook) Run(ctx context.Context, api Hooker, s Session) error {
	if len(h.Command) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, HookTimeout)
	defer cancel()
	fail := func(err error) error {
		if ctx.Err() == context.DeadlineExceeded {
			err = fmt.Errorf("not finished after %s", HookTimeout)
		}
		return fmt.Errorf("run hook %s (%s) in session %q: %w", h.Name, strings.Join(h.Command, " "), s.Name, err)
	}
	created, err := api.ContainerExecCreate(ctx, s.ID, container.ExecOptions{Cmd: h.Command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return fail(err)
	}
	conn, err := api.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return fail(err)
	}
	defer conn.Close()
	// The hijacked connection knows no context: closing it ends the copy.
	stop := context.AfterFunc(ctx, conn.Close)
	defer stop()
	var out limited
	_, err = stdcopy.StdCopy(&out, &out, conn.Reader)
	if h.Output != nil && out.buf.Len() > 0 {
		if _, werr := h.Output.Write(out.buf.Bytes()); werr != nil && err == nil {
			err = werr
		}
	}
	if ctx.Err() != nil {
		return fail(ctx.Err())
	}
	if err != nil {
		return fail(err)
	}
	res, err := api.ContainerExecInspect(ctx, created.ID)
	if err != nil {
		return fail(err)
	}
	if res.ExitCode != 0 {
		return fail(fmt.Errorf("exit code %d", res.ExitCode))
	}
	return nil
}

// limited keeps the first 64 KiB and takes the rest without keeping it, so
// that a talkative hook neither fills memory nor blocks.
type limited struct{ buf bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := 64<<10 - l.buf.Len(); room > 0 {
		l.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
