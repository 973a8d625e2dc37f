package session

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// execs is an engine that runs commands in its own way: each in run gets the
// standard output and returns the exit code, or -1 to leave the command running.
type execs struct {
	run []func(stdout *bytes.Buffer) int

	mu   sync.Mutex
	made []container.ExecOptions
	code int
}

func (e *execs) ContainerExecCreate(_ context.Context, _ string, options container.ExecOptions) (container.ExecCreateResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made = append(e.made, options)
	return container.ExecCreateResponse{ID: "exec"}, nil
}

func (e *execs) ContainerExecAttach(context.Context, string, container.ExecAttachOptions) (types.HijackedResponse, error) {
	// Who was interrupted goes on with the next command while this one answers.
	e.mu.Lock()
	run := e.run[len(e.made)-1]
	e.mu.Unlock()
	var out bytes.Buffer
	code := run(&out)
	e.mu.Lock()
	e.code = code
	e.mu.Unlock()
	ours, theirs := net.Pipe()
	go func() {
		_, _ = stdcopy.NewStdWriter(theirs, stdcopy.Stdout).Write(out.Bytes())
		if code >= 0 {
			_ = theirs.Close()
		}
	}()
	return types.HijackedResponse{Conn: ours, Reader: bufio.NewReader(ours)}, nil
}

func (e *execs) ContainerExecInspect(context.Context, string) (container.ExecInspect, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return container.ExecInspect{ExitCode: e.code}, nil
}

func prints(text string, code int) func(*bytes.Buffer) int {
	return func(out *bytes.Buffer) int {
		out.WriteString(text)
		return code
	}
}

func TestHookThatEndsShowsItsOutputAndCode(t *testing.T) {
	for name, c := range map[string]struct {
		run       func(*bytes.Buffer) int
		out, fail string
	}{
		"well":      {prints("closed\n", 0), "closed\n", ""},
		"badly":     {prints("no display\n", 3), "no display\n", `run hook before_stop (close all) in session "x": exit code 3`},
		"talkative": {prints(strings.Repeat("x", 64<<10+1), 0), strings.Repeat("x", 64<<10) + "\n(only the first 64 KiB of output are shown)\n", ""},
		"just so":   {prints(strings.Repeat("x", 64<<10), 0), strings.Repeat("x", 64<<10), ""},
	} {
		t.Run(name, func(t *testing.T) {
			api := &execs{run: []func(*bytes.Buffer) int{c.run}}
			var out bytes.Buffer
			err := Hook{Name: "before_stop", Command: []string{"close", "all"}, Output: &out}.Run(t.Context(), api, Session{Name: "x"})
			if (err == nil) != (c.fail == "") || err != nil && err.Error() != c.fail {
				t.Errorf("got error %v, want %s", err, c.fail)
			}
			if out.String() != c.out {
				t.Errorf("showed %d bytes ending with %q", out.Len(), out.String()[max(0, out.Len()-60):])
			}
		})
	}
}

func TestHookPastItsLimitIsKilled(t *testing.T) {
	for name, c := range map[string]struct {
		kill int
		want string
	}{
		"found":     {0, "not finished after 1ms, and killed"},
		"not found": {1, "not finished after 1ms; it may go on in the session: its processes could not be found"},
		"no shell":  {127, "it may go on in the session"},
	} {
		t.Run(name, func(t *testing.T) {
			api := &execs{run: []func(*bytes.Buffer) int{prints("working\n", -1), prints("", c.kill)}}
			var out bytes.Buffer
			err := Hook{Name: "before_stop", Command: []string{"hang"}, Timeout: time.Millisecond, Output: &out}.Run(t.Context(), api, Session{Name: "x"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if len(api.made) != 2 || len(api.made[0].Env) != 1 || !slices.Contains(api.made[1].Cmd, api.made[0].Env[0]) {
				t.Fatalf("what was run: %+v", api.made)
			}
			if len(api.made[1].Env) != 0 {
				t.Error("what kills the hook's processes has their mark itself")
			}
		})
	}
}

func TestInterruptedHookIsKilled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	api := &execs{run: []func(*bytes.Buffer) int{
		func(*bytes.Buffer) int { cancel(); return -1 },
		prints("", 0),
	}}
	err := Hook{Name: "before_stop", Command: []string{"hang"}}.Run(ctx, api, Session{Name: "x"})
	if !errors.Is(err, context.Canceled) || len(api.made) != 2 {
		t.Errorf("got %v after %d commands", err, len(api.made))
	}
}
