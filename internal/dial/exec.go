package dial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

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
	read, write := io.Pipe()
	c := &execConn{attached: attached, read: read}
	go func() {
		stderr := &lastLines{}
		_, err := stdcopy.StdCopy(write, stderr, attached.Reader)
		if text := stderr.String(); text != "" {
			err = fmt.Errorf("the helper's container: %s", text)
		}
		_ = write.CloseWithError(err) // nil is the end of the data
		attached.Close()
	}()
	return c, nil
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

// execConn is a connection over the streams of a command in a container.
type execConn struct {
	attached types.HijackedResponse
	read     *io.PipeReader
	once     sync.Once
}

func (c *execConn) Read(p []byte) (int, error)  { return c.read.Read(p) }
func (c *execConn) Write(p []byte) (int, error) { return c.attached.Conn.Write(p) }

// CloseWrite ends the command's input.
func (c *execConn) CloseWrite() error { return c.attached.CloseWrite() }

func (c *execConn) Close() error {
	c.once.Do(func() {
		c.attached.Close()
		_ = c.read.CloseWithError(net.ErrClosed)
	})
	return nil
}

func (c *execConn) LocalAddr() net.Addr  { return addr{} }
func (c *execConn) RemoteAddr() net.Addr { return addr{} }

// Deadlines would not reach the pipe that is read from; contexts end requests.
func (c *execConn) SetDeadline(time.Time) error      { return nil }
func (c *execConn) SetReadDeadline(time.Time) error  { return nil }
func (c *execConn) SetWriteDeadline(time.Time) error { return nil }

type addr struct{}

func (addr) Network() string { return "exec" }
func (addr) String() string  { return Volume }
