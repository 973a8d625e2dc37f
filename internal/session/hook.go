package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/docker-kasm/docker-kasm/internal/roster"
)

// HookTimeout is the time a hook may take where its workspace does not say.
const HookTimeout = 30 * time.Second

// killTimeout is the time that ending an unfinished hook may take on top.
const killTimeout = 15 * time.Second

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
	// Timeout is the time the command may take; 0 means HookTimeout.
	Timeout time.Duration
	// Output receives what the command prints, at most 64 KiB of it, in one
	// call; nil discards it.
	Output io.Writer
}

// Run executes the hook in s and waits for it, until its time is up. A command
// that exits with another code than 0, or cannot be run, is an error. One that
// is not finished in time, or when ctx ends, is killed with all that it started.
func (h Hook) Run(ctx context.Context, api Hooker, s Session) error {
	if len(h.Command) == 0 {
		return nil
	}
	if err := h.run(ctx, api, s); err != nil {
		return fmt.Errorf("run hook %s (%s) in session %q: %w", h.Name, strings.Join(h.Command, " "), s.Name, err)
	}
	return nil
}

// hookMark is the variable in the environment of a hook that it and the
// processes it starts are known by.
const hookMark = "DOCKER_KASM_HOOK"

func (h Hook) run(ctx context.Context, api Hooker, s Session) error {
	id, err := roster.NewID()
	if err != nil {
		return err
	}
	mark := hookMark + "=" + id
	limit := cmp.Or(h.Timeout, HookTimeout)
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out limited
	code, err := execute(timed, api, s, container.ExecOptions{Cmd: h.Command, Env: []string{mark}}, &out)
	if text := out.text(); h.Output != nil && len(text) > 0 {
		if _, werr := h.Output.Write(text); werr != nil && err == nil {
			err = fmt.Errorf("show its output: %w", werr)
		}
	}
	switch {
	case err == nil && code != 0:
		return fmt.Errorf("exit code %d", code)
	case err == nil || timed.Err() == nil:
		return err
	}
	killErr := kill(ctx, api, s, mark)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case killErr != nil:
		return fmt.Errorf("not finished after %s; it may go on in the session: %w", limit, killErr)
	}
	return fmt.Errorf("not finished after %s, and killed", limit)
}

// killScript kills every process with $1 in its environment, until there is
// none. It fails where it finds none to begin with, or cannot get rid of them.
const killScript = `
killed=1
for try in 1 2 3 4 5 6 7 8 9 10; do
	found=
	for process in /proc/[0-9]*; do
		if grep -qs "$1" "$process/environ"; then
			found=1
			kill -KILL "${process#/proc/}" && killed=0
		fi
	done
	[ -n "$found" ] || exit $killed
done
exit 1`

// kill ends the processes that have mark in their environment. An exec cannot
// be ended over the API: it goes on when its connection is closed, and its pid
// is that of the engine's host.
func kill(ctx context.Context, api Hooker, s Session, mark string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	code, err := execute(ctx, api, s, container.ExecOptions{Cmd: []string{"sh", "-c", killScript, "sh", mark}}, io.Discard)
	if err != nil {
		return fmt.Errorf("kill it: %w", err)
	}
	if code != 0 {
		return errors.New("its processes could not be found and killed with the session's own sh and grep")
	}
	return nil
}

// execute runs a command in s and returns its exit code. When ctx ends first,
// the command is left to itself.
func execute(ctx context.Context, api Hooker, s Session, options container.ExecOptions, out io.Writer) (int, error) {
	options.AttachStdout, options.AttachStderr = true, true
	created, err := api.ContainerExecCreate(ctx, s.ID, options)
	if err != nil {
		return 0, err
	}
	conn, err := attach(ctx, api, created.ID)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	// The hijacked connection knows no context: closing it ends the copy.
	stop := context.AfterFunc(ctx, conn.Close)
	defer stop()
	_, err = stdcopy.StdCopy(out, out, conn.Reader)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, fmt.Errorf("read its output: %w", err)
	}
	return exitStatus(ctx, api, created.ID)
}

// attach starts an exec and is connected to it. The client waits for an engine's
// answer without regard to ctx, and an engine can keep it waiting for as long as
// something else has its hands on the container.
func attach(ctx context.Context, api Hooker, id string) (types.HijackedResponse, error) {
	type answer struct {
		conn types.HijackedResponse
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		conn, err := api.ContainerExecAttach(ctx, id, container.ExecAttachOptions{})
		done <- answer{conn, err}
	}()
	select {
	case got := <-done:
		return got.conn, got.err
	case <-ctx.Done():
		go func() {
			if got := <-done; got.err == nil {
				got.conn.Close()
			}
		}()
		return types.HijackedResponse{}, ctx.Err()
	}
}

// exitStatus returns the exit code of an exec whose output has ended; engines
// learn of its end a little later.
func exitStatus(ctx context.Context, api Hooker, id string) (int, error) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		res, err := api.ContainerExecInspect(ctx, id)
		if err != nil || !res.Running {
			return res.ExitCode, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-ticker.C:
		}
	}
}

// limited keeps the first 64 KiB and takes the rest without keeping it, so
// that a talkative hook neither fills memory nor blocks.
type limited struct {
	buf bytes.Buffer
	cut bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := 64<<10 - l.buf.Len()
	if room < len(p) {
		l.cut = true
	}
	l.buf.Write(p[:min(room, len(p))])
	return len(p), nil
}

// text is what was kept, and a word about it where that is not all.
func (l *limited) text() []byte {
	if !l.cut {
		return l.buf.Bytes()
	}
	return append(l.buf.Bytes(), "\n(only the first 64 KiB of output are shown)\n"...)
}
