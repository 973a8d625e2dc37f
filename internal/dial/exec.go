package dial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/attach"
	"github.com/docker-kasm/docker-kasm/internal/display"
)

// Execer runs commands in containers.
type Execer interface {
	ContainerExecCreate(ctx context.Context, container string, options container.ExecOptions) (container.ExecCreateResponse, error)
	ContainerExecAttach(ctx context.Context, execID string, options container.ExecAttachOptions) (types.HijackedResponse, error)
}

// Exec makes a connection to the helper in its container, whose id is given, by a
// process there that copies between its standard streams and the helper's socket. The process
// ends with the connection.
func Exec(ctx context.Context, api Execer, id string) (net.Conn, error) {
	// No terminal: it would change bytes, and mix errors with the data.
	created, err := api.ContainerExecCreate(ctx, id, container.ExecOptions{
		AttachStdin: true, AttachStdout: true, AttachStderr: true, Cmd: []string{"/" + Binary, "dial-stdio"},
	})
	if err != nil {
		return nil, explain(err)
	}
	attached, err := api.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, explain(err)
	}
	stderr := &lastLines{}
	return attach.New(attached, stderr, func(err error) error {
		if text := stderr.String(); text != "" {
			return fmt.Errorf("the helper's container: %s", text)
		}
		return err
	}), nil
}

func explain(err error) error {
	switch {
	case cerrdefs.IsNotFound(err):
		return errors.New("the helper's container is gone: `docker kasm helper install` sets it up again, with the data it had")
	case cerrdefs.IsConflict(err):
		return fmt.Errorf("the helper's container does not run: %w; see `docker kasm helper status`", err)
	}
	return fmt.Errorf("reach the helper in its container: %w", err)
}

// lastLines keeps the end of what is written to it.
type lastLines struct{ buf bytes.Buffer }

const maxStderr = 8 << 10

func (l *lastLines) Write(p []byte) (int, error) {
	l.buf.Write(p)
	if over := l.buf.Len() - maxStderr; over > 0 {
		l.buf.Next(over)
	}
	return len(p), nil
}

func (l *lastLines) String() string { return display.Line(strings.TrimSpace(l.buf.String())) }
