package forward

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/pkg/stdcopy"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// fakeEngine runs far ends here, as an engine does in containers.
type fakeEngine struct {
	port     uint16 // what the far end forwards to
	host     *container.HostConfig
	removed  []string
	noImage  int // how often the image is gone
	list     []container.Summary
	stop     chan container.WaitResponse // the end of the session
	ended    chan struct{}               // the end of the far end
	far      net.Conn
	startErr error
	now      time.Time // by the engine's clock
}

func (e *fakeEngine) Info(context.Context) (system.Info, error) {
	return system.Info{SystemTime: e.now.Format(time.RFC3339Nano)}, nil
}

func newEngine(port uint16) *fakeEngine {
	return &fakeEngine{port: port, stop: make(chan container.WaitResponse, 1), ended: make(chan struct{})}
}

func (e *fakeEngine) ContainerCreate(_ context.Context, _ *container.Config, host *container.HostConfig, _ *network.NetworkingConfig, _ *ocispec.Platform, _ string) (container.CreateResponse, error) {
	if e.noImage > 0 {
		e.noImage--
		return container.CreateResponse{}, cerrdefs.ErrNotFound
	}
	e.host = host
	return container.CreateResponse{ID: "far"}, nil
}

func (e *fakeEngine) ContainerAttach(context.Context, string, container.AttachOptions) (types.HijackedResponse, error) {
	near, far := net.Pipe()
	e.far = far
	return types.HijackedResponse{Conn: near, Reader: bufio.NewReader(near)}, nil
}

func (e *fakeEngine) ContainerStart(ctx context.Context, _ string, _ container.StartOptions) error {
	if e.startErr != nil {
		return e.startErr
	}
	go func() {
		defer close(e.ended)
		defer e.far.Close()
		out, stderr := stdcopy.NewStdWriter(e.far, stdcopy.Stdout), stdcopy.NewStdWriter(e.far, stdcopy.Stderr)
		_ = Serve(context.WithoutCancel(ctx), e.far, out, e.port, func(line string) { fmt.Fprintln(stderr, line) })
	}()
	return nil
}

func (e *fakeEngine) ContainerWait(context.Context, string, container.WaitCondition) (<-chan container.WaitResponse, <-chan error) {
	return e.stop, make(chan error)
}

func (e *fakeEngine) ContainerRemove(_ context.Context, id string, _ container.RemoveOptions) error {
	e.removed = append(e.removed, id)
	return nil
}

func (e *fakeEngine) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return e.list, nil
}

// server is what listens in the session.
func server(t *testing.T, serve func(*net.TCPConn)) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn.(*net.TCPConn))
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// open forwards to a server, and returns where, what is reported, and how it ends.
func open(t *testing.T, e *fakeEngine) (dial func() *net.TCPConn, said chan string, ended chan error, stop func()) {
	t.Helper()
	said = make(chan string, 100)
	tunnel, err := Open(t.Context(), e, Options{
		Session: "id", Name: "s", Port: e.port, Image: func(context.Context) (string, error) { return "image", nil },
		Report: func(line string) { said <- line },
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- tunnel.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := tunnel.Close(); err != nil {
			t.Error(err)
		}
		<-e.ended
		if !slices.Contains(e.removed, "far") {
			t.Error("the far end is not removed")
		}
	})
	return func() *net.TCPConn {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", listener.Port()))
		if errors.Is(err, syscall.ECONNRESET) {
			return nil // broken off before Dial has returned
		}
		if err != nil {
			t.Error(err)
			return nil
		}
		return conn.(*net.TCPConn)
	}, said, ended, cancel
}

func TestManyConnectionsGoOverOneStream(t *testing.T) {
	e := newEngine(server(t, func(c *net.TCPConn) {
		defer c.Close()
		_, _ = io.Copy(c, c)
	}))
	dial, _, ended, stop := open(t, e)
	var all errgroup.Group
	for i := range 20 {
		all.Go(func() error {
			conn := dial()
			defer conn.Close()
			sent := strings.Repeat(fmt.Sprint(i), 1<<20)
			go func() {
				_, _ = io.WriteString(conn, sent)
				_ = conn.CloseWrite()
			}()
			got, err := io.ReadAll(conn)
			if string(got) != sent {
				return fmt.Errorf("got %d bytes back of %d: %w", len(got), len(sent), err)
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt ends it with %v", err)
	}
	if e.host.NetworkMode != "container:id" || !e.host.AutoRemove || !e.host.ReadonlyRootfs {
		t.Errorf("the far end runs with %+v", e.host)
	}
}

func TestEachWayEndsByItself(t *testing.T) {
	for name, c := range map[string]struct{ serve, use func(*net.TCPConn) string }{
		"the client's first": {
			serve: func(c *net.TCPConn) string {
				got, _ := io.ReadAll(c)
				_, _ = io.WriteString(c, "read: "+string(got))
				return "read: " + string(got)
			},
			use: func(c *net.TCPConn) string {
				_, _ = io.WriteString(c, "all")
				_ = c.CloseWrite()
				got, _ := io.ReadAll(c)
				return string(got)
			},
		},
		"the server's first": {
			serve: func(c *net.TCPConn) string {
				_ = c.CloseWrite()
				got, _ := io.ReadAll(c)
				return string(got)
			},
			use: func(c *net.TCPConn) string {
				_, _ = io.ReadAll(c)
				_, _ = io.WriteString(c, "after the end of the other way")
				_ = c.CloseWrite()
				return "after the end of the other way"
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			served := make(chan string, 1)
			dial, _, _, _ := open(t, newEngine(server(t, func(conn *net.TCPConn) {
				defer conn.Close()
				served <- c.serve(conn)
			})))
			conn := dial()
			defer conn.Close()
			if used, got := c.use(conn), <-served; used != got || used == "" {
				t.Errorf("the client has %q, the server %q", used, got)
			}
		})
	}
}

// What is broken off must not look whole.
func TestAConnectionThatBreaksIsBrokenOff(t *testing.T) {
	dial, _, _, _ := open(t, newEngine(server(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "half of")
		_, _ = c.Read(make([]byte, 1)) // until the client has it
		_ = c.SetLinger(0)
		_ = c.Close()
	})))
	conn := dial()
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len("half of"))); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("x"))
	if rest, err := io.ReadAll(conn); err == nil {
		t.Errorf("it ended as if it were whole, with %q", rest)
	}
}

func TestAServerThatIsNotThereIsToldOnce(t *testing.T) {
	// Not one that was free a moment ago: the near end could be given it.
	const port = 1
	dial, said, _, _ := open(t, newEngine(port))
	for range 3 {
		conn := dial()
		if conn == nil {
			continue
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("something answers where nothing listens")
		}
		_ = conn.Close()
	}
	if got, want := <-said, fmt.Sprintf("nothing listens on port %d in the session", port); got != want || len(said) > 0 {
		t.Errorf("reported %q and %d more", got, len(said))
	}
}

func TestAStopOfTheSessionEndsIt(t *testing.T) {
	e := newEngine(1)
	_, _, ended, _ := open(t, e)
	e.stop <- container.WaitResponse{}
	var stopped *StoppedError
	if err := <-ended; !errors.As(err, &stopped) {
		t.Errorf("ended with %v", err)
	}
}

func TestALostEngineEndsIt(t *testing.T) {
	e := newEngine(1)
	_, _, ended, _ := open(t, e)
	_ = e.far.Close()
	if err := <-ended; !errors.Is(err, errLost) {
		t.Errorf("ended with %v", err)
	}
}

func TestWhatCannotBeStartedIsRemoved(t *testing.T) {
	e := newEngine(1)
	e.startErr = errors.New("cannot join network of a non running container")
	options := Options{Session: "id", Name: "s", Port: 1, Image: func(context.Context) (string, error) { return "image", nil }, Report: func(string) {}}
	if _, err := Open(t.Context(), e, options); err == nil || !strings.Contains(err.Error(), "non running") {
		t.Errorf("%v", err)
	}
	if !slices.Equal(e.removed, []string{"far"}) {
		t.Errorf("removed %v", e.removed)
	}
}

func TestAnImageThatIsRemovedMeanwhileIsMadeAgain(t *testing.T) {
	e := newEngine(1)
	e.noImage = 1
	made := 0
	options := Options{Session: "id", Name: "s", Port: 1, Report: func(string) {}, Image: func(context.Context) (string, error) {
		made++
		return "image", nil
	}}
	tunnel, err := Open(t.Context(), e, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := tunnel.Close(); err != nil || made != 2 {
		t.Errorf("made %d times: %v", made, err)
	}
}

func TestOnlyOldFarEndsAreSweptAway(t *testing.T) {
	e := newEngine(1)
	e.now = time.Unix(1000, 0) // long past for this machine
	e.list = []container.Summary{{ID: "old", Created: 900}, {ID: "new", Created: 999}}
	Sweep(t.Context(), e)
	if !slices.Equal(e.removed, []string{"old"}) {
		t.Errorf("removed %v", e.removed)
	}
}

func TestAPortThatIsTakenIsRefused(t *testing.T) {
	l, err := Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(t.Context(), l.Port()); err == nil || !strings.Contains(err.Error(), "another --port") {
		t.Errorf("%v", err)
	}
}

func TestWhatTheFarEndSaysIsHarmless(t *testing.T) {
	var got []string
	var mu sync.Mutex
	l := &lines{report: func(line string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, line)
	}}
	for _, part := range []string{"one\ntw", "o\x1b[2J\n\n", "part"} {
		if _, err := io.WriteString(l, part); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, []string{"one", `two\u001b[2J`}) || l.last() != `two\u001b[2J` {
		t.Errorf("%q, last %q", got, l.last())
	}
}
