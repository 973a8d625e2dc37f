package server

import (
	"context"
	"net"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/docker-kasm/docker-kasm/internal/helperapi"
)

// Each connection is a process beside the helper.
func TestRequestsAtOnceMakeOneConnection(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	const atOnce = 50
	var (
		mu    sync.Mutex
		conns []net.Conn
	)
	client := helperapi.NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", f.socket)
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, conn)
		return conn, err
	}, "ann@desk", "test")
	defer client.Close()
	ask := func() {
		t.Helper()
		var requests errgroup.Group
		for range atOnce {
			requests.Go(func() error {
				_, err := client.Version(t.Context())
				return err
			})
		}
		if err := requests.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if len(conns) != 1 {
		t.Errorf("%d connections for %d requests", len(conns), atOnce)
	}
	// One that breaks is followed by another.
	for _, conn := range conns {
		_ = conn.Close()
	}
	conns = nil
	ask()
	if len(conns) != 1 {
		t.Errorf("%d connections for %d requests after the first was lost", len(conns), atOnce)
	}
}
