package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Listener takes connections from this machine, on a port of both its loopback
// addresses: who could listen on the other would get what is meant for it.
type Listener struct {
	port      uint16
	listeners []net.Listener
}

// attempts is how often a port is looked for that is free on both addresses.
const attempts = 20

// Listen listens on a port, on one that is free if it is 0.
func Listen(ctx context.Context, port uint16) (*Listener, error) {
	var err error
	for range attempts {
		var l *Listener
		if l, err = listen(ctx, port); err == nil {
			return l, nil
		}
		if port != 0 {
			break
		}
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: give another --port", err)
	}
	return nil, fmt.Errorf("take connections on this machine: %w", err)
}

func listen(ctx context.Context, port uint16) (*Listener, error) {
	var config net.ListenConfig
	four, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return nil, err
	}
	got := four.Addr().(*net.TCPAddr).AddrPort().Port()
	l := &Listener{port: got, listeners: []net.Listener{four}}
	six, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(int(got))))
	switch {
	case err == nil:
		l.listeners = append(l.listeners, six)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errors.Join(err, four.Close())
	}
	// Any other error is that of a machine without IPv6.
	return l, nil
}

// Port is the one that is listened on.
func (l *Listener) Port() uint16 { return l.port }

// Close ends it.
func (l *Listener) Close() error {
	var errs []error
	for _, each := range l.listeners {
		if err := each.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// accept hands each connection to take, until the listener is closed or fails.
func (l *Listener) accept(take func(*net.TCPConn)) error {
	var all sync.WaitGroup
	errs := make([]error, len(l.listeners))
	for i, each := range l.listeners {
		all.Go(func() {
			for {
				conn, err := each.Accept()
				if err != nil {
					errs[i] = err
					_ = l.Close() // so that the other ends as well
					return
				}
				take(conn.(*net.TCPConn))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
