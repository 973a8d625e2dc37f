package forward

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

// settings are those of the one stream that all connections share.
func settings() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	// An end that is gone without a word, as after a sleep, is noticed in a minute.
	c.KeepAliveInterval, c.ConnectionWriteTimeout = 30*time.Second, 30*time.Second
	// Browsers open many, and event streams stay.
	c.MaxIncomingStreams = 1 << 16
	return c
}

// half is a connection whose two ways end apart.
type half interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// join copies both ways until both have ended, and passes the end of each on. When
// one breaks, both connections are broken off.
func join(a, b half) {
	defer a.Close()
	defer b.Close()
	var both sync.WaitGroup
	for _, way := range [2][2]half{{a, b}, {b, a}} {
		both.Go(func() {
			_, err := io.Copy(way[1], way[0])
			if err == nil {
				err = way[1].CloseWrite()
			}
			if err != nil {
				reset(a)
				reset(b)
			}
		})
	}
	both.Wait()
}

// reset breaks a connection off, so that its other end does not take what it has
// got for all there is.
func reset(c half) {
	switch c := c.(type) {
	case *yamux.Stream:
		_ = c.Reset()
	case *net.TCPConn:
		_ = c.SetLinger(0)
		_ = c.Close()
	default:
		_ = c.Close()
	}
}
