package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

// dialTime bounds the time a connection to one address takes.
const dialTime = 10 * time.Second

// Serve is the far end: it connects each stream that comes in with a port here,
// until the input ends. report receives a line when a connection fails, but not for
// each of those that fail one after the other.
func Serve(ctx context.Context, in io.Reader, out io.Writer, port uint16, report func(string)) error {
	mux, err := yamux.Server(stdio{in, out}, settings(), nil)
	if err != nil {
		return fmt.Errorf("forward port %d: %w", port, err)
	}
	defer mux.Close()
	stop := context.AfterFunc(ctx, func() { _ = mux.Close() })
	defer stop()
	var failing atomic.Bool
	for {
		stream, err := mux.AcceptStream()
		if err != nil {
			return nil //nolint:nilerr // the input has ended: there is nothing more to do
		}
		go func() {
			conn, err := dialHere(ctx, port)
			if err != nil {
				if !failing.Swap(true) {
					report(err.Error())
				}
				_ = stream.Reset()
				return
			}
			failing.Store(false)
			join(stream, conn)
		}()
	}
}

// dialHere connects to a port on this machine: that of its loopback, or else of the
// first of its other addresses that takes it.
func dialHere(ctx context.Context, port uint16) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: dialTime}
	refused := true
	var first error
	for _, host := range addresses() {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err == nil {
			return conn.(*net.TCPConn), nil
		}
		refused = refused && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EADDRNOTAVAIL))
		if first == nil {
			first = err
		}
	}
	if refused {
		return nil, fmt.Errorf("nothing listens on port %d in the session", port)
	}
	return nil, fmt.Errorf("connect to port %d in the session: %w", port, first)
}

func addresses() []string {
	hosts := []string{"127.0.0.1", "::1"}
	// Without them the loopback has to do.
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	return hosts
}

// stdio is a connection over standard streams, whose deadlines do nothing.
type stdio struct {
	io.Reader
	io.Writer
}

// Close does nothing: the streams end with the process.
func (stdio) Close() error                     { return nil }
func (stdio) LocalAddr() net.Addr              { return addr{} }
func (stdio) RemoteAddr() net.Addr             { return addr{} }
func (stdio) SetDeadline(time.Time) error      { return nil }
func (stdio) SetReadDeadline(time.Time) error  { return nil }
func (stdio) SetWriteDeadline(time.Time) error { return nil }

type addr struct{}

func (addr) Network() string { return "stdio" }
func (addr) String() string  { return "stdio" }
