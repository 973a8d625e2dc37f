// Package attach makes connections of the streams of processes in containers.
package attach

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/pkg/stdcopy"
)

// Conn is a connection over the standard streams of a process in a container that
// has no terminal. Its end is that of the process's output.
type Conn struct {
	attached types.HijackedResponse
	read     *io.PipeReader
	once     sync.Once
}

// New makes a connection of the streams that an engine has attached. What the
// process writes to its standard error goes to stderr. ended is called at the end
// of its output, before whoever reads from the connection hears of that, and
// returns the error that they get; nil is io.EOF.
func New(attached types.HijackedResponse, stderr io.Writer, ended func(error) error) *Conn {
	read, write := io.Pipe()
	c := &Conn{attached: attached, read: read}
	go func() {
		_, err := stdcopy.StdCopy(write, stderr, attached.Reader)
		_ = write.CloseWithError(ended(err))
		attached.Close()
	}()
	return c
}

func (c *Conn) Read(p []byte) (int, error)  { return c.read.Read(p) }
func (c *Conn) Write(p []byte) (int, error) { return c.attached.Conn.Write(p) }

// CloseWrite ends the process's input.
func (c *Conn) CloseWrite() error { return c.attached.CloseWrite() }

// Close ends the connection, and so the process's input.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.attached.Close()
		_ = c.read.CloseWithError(net.ErrClosed)
	})
	return nil
}

// LocalAddr is of no use.
func (c *Conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr is of no use.
func (c *Conn) RemoteAddr() net.Addr { return addr{} }

// SetDeadline does nothing, as do the other two: deadlines would not reach the pipe
// that is read from. Contexts end what takes too long.
func (c *Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

type addr struct{}

func (addr) Network() string { return "attach" }
func (addr) String() string  { return "container" }
