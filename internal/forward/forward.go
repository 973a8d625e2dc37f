// Package forward carries TCP connections to a port of a session through the API of
// its engine: no port is opened on the engine's network. The far end is the
// helper's program, in a container that shares the session's network for as long as
// the near end is there.
package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/libp2p/go-yamux/v5"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/attach"
	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/engine"
)

// Label is on the containers of far ends, with the id of the session's container.
const Label = "io.github.docker-kasm.forward"

// Command is that of the helper's program which is the far end; the port is its
// argument.
const Command = "forward"

// API is what is asked of the engine.
type API interface {
	ContainerCreate(ctx context.Context, config *container.Config, hostConfig *container.HostConfig, networkingConfig *network.NetworkingConfig, platform *ocispec.Platform, containerName string) (container.CreateResponse, error)
	ContainerAttach(ctx context.Context, container string, options container.AttachOptions) (types.HijackedResponse, error)
	ContainerStart(ctx context.Context, container string, options container.StartOptions) error
	ContainerWait(ctx context.Context, container string, condition container.WaitCondition) (<-chan container.WaitResponse, <-chan error)
	Sweeper
}

// Options say what is forwarded.
type Options struct {
	// Session is the id of the session's container, Name what users call it.
	Session, Name string
	// UsernsMode is that of the session, whose network is joined.
	UsernsMode container.UsernsMode
	// Port is the session's.
	Port uint16
	// Image makes sure that the engine has the image of the helper's program, and
	// returns its name.
	Image func(context.Context) (string, error)
	// Report receives a line when a connection cannot be made at the far end.
	Report func(string)
}

// Tunnel is an open way to a port of a session.
type Tunnel struct {
	api  API
	o    Options
	far  string // the container's id
	conn *attach.Conn
	mux  *yamux.Session
	// stderr has what the far end said last.
	stderr *lines
}

// StoppedError says that the session does not run any more.
type StoppedError struct{ Name string }

func (e *StoppedError) Error() string {
	return fmt.Sprintf("session %q has stopped, and the forwarding with it: `docker kasm start %s` starts it again", e.Name, e.Name)
}

// Open sets the far end up, and returns once it answers. The caller closes the
// tunnel.
func Open(ctx context.Context, api API, o Options) (*Tunnel, error) {
	Sweep(ctx, api)
	t := &Tunnel{api: api, o: o, stderr: &lines{report: o.Report}}
	if err := t.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("forward port %d of session %q: %w", o.Port, o.Name, err), t.Close())
	}
	return t, nil
}

func (t *Tunnel) open(ctx context.Context) error {
	if err := t.create(ctx); err != nil {
		return err
	}
	// Before it is started, so that there is no time in which nobody would end it.
	attached, err := t.api.ContainerAttach(ctx, t.far, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return fmt.Errorf("reach the far end: %w", err)
	}
	t.conn = attach.New(attached, t.stderr, func(err error) error { return err })
	if err := t.api.ContainerStart(ctx, t.far, container.StartOptions{}); err != nil {
		return fmt.Errorf("start the far end: %w", err)
	}
	if t.mux, err = yamux.Client(t.conn, settings(), nil); err != nil {
		return err
	}
	answered := make(chan error, 1)
	go func() {
		_, err := t.mux.Ping()
		answered <- err
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-answered:
		return t.explain(err)
	}
}

var errLost = errors.New("the connection to the engine was lost, or the container of the far end was removed")

// explain adds what the far end has said to an error.
func (t *Tunnel) explain(err error) error {
	if said := t.stderr.last(); err != nil && said != "" {
		return fmt.Errorf("the far end has ended: %s", said)
	}
	if err != nil {
		return fmt.Errorf("the far end does not answer: %w", err)
	}
	return nil
}

func (t *Tunnel) create(ctx context.Context) error {
	for again := true; ; again = false {
		image, err := t.o.Image(ctx)
		if err != nil {
			return err
		}
		config, host := t.o.spec(image)
		made, err := t.api.ContainerCreate(ctx, config, host, nil, nil, "")
		if err == nil {
			t.far = made.ID
			return nil
		}
		// The image may just have been removed, with the helper.
		if !again || !cerrdefs.IsNotFound(err) {
			return fmt.Errorf("make the container of the far end: %w", err)
		}
	}
}

// nobody is a user without rights; the program is everyone's to run.
const nobody = "65534:65534"

// spec is how the container of a far end is run: it has the session's network, its
// own program, and nothing else.
func (o Options) spec(image string) (*container.Config, *container.HostConfig) {
	config := &container.Config{
		Image: image, Cmd: []string{Command, strconv.Itoa(int(o.Port))}, User: nobody,
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
		// Its input ends when the one who is attached goes, and then it ends too.
		OpenStdin: true, StdinOnce: true,
		Labels: map[string]string{Label: o.Session, dial.LabelKind: Command},
	}
	host := &container.HostConfig{
		NetworkMode:    container.NetworkMode("container:" + o.Session),
		UsernsMode:     o.UsernsMode,
		IpcMode:        container.IPCModeNone,
		ReadonlyRootfs: true,
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges"},
		AutoRemove:     true,
		// All that is forwarded goes over its streams.
		LogConfig: container.LogConfig{Type: "none"},
	}
	return config, host
}

// Serve forwards the connections that l takes until ctx is done, the session stops
// or the engine is lost, and returns which it was. It closes l.
func (t *Tunnel) Serve(ctx context.Context, l *Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopped, failed := t.api.ContainerWait(ctx, t.o.Session, container.WaitConditionNotRunning)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ctx.Done():
		case <-stopped:
			cancel(&StoppedError{Name: t.o.Name})
		case err := <-failed:
			if cerrdefs.IsNotFound(err) {
				err = &StoppedError{Name: t.o.Name}
			}
			cancel(fmt.Errorf("watch session %q: %w", t.o.Name, err))
		case <-t.mux.CloseChan():
			cancel(fmt.Errorf("forward port %d of session %q: %w", t.o.Port, t.o.Name, errLost))
		}
		_ = l.Close()
	})
	err := l.accept(func(conn *net.TCPConn) {
		go func() {
			stream, err := t.mux.OpenStream(ctx)
			if err != nil {
				reset(conn)
				return
			}
			join(conn, stream)
		}()
	})
	cancel(fmt.Errorf("take connections on this machine: %w", err))
	watch.Wait()
	return context.Cause(ctx)
}

// Close ends the far end, and all connections with it.
func (t *Tunnel) Close() error {
	if t.mux != nil {
		_ = t.mux.Close()
	}
	if t.conn != nil {
		_ = t.conn.Close()
	}
	if t.far == "" {
		return nil
	}
	// It ends by itself; so it is sure, and gone.
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := t.api.ContainerRemove(ctx, t.far, container.RemoveOptions{Force: true})
	if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) {
		return fmt.Errorf("remove the container of the far end: %w; it goes by itself, or by `docker rm -f %s`, once the engine answers", err, t.far)
	}
	return nil
}

// closeTime bounds the time that the removal of a far end takes.
const closeTime = 20 * time.Second

// staleAfter is when a far end that was made and not started is taken for that of
// a command that was killed in between.
const staleAfter = time.Minute

// Sweeper is what is asked of the engine to sweep.
type Sweeper interface {
	engine.InfoClient
	ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error)
	ContainerRemove(ctx context.Context, container string, options container.RemoveOptions) error
}

// Sweep removes the far ends of commands that were killed before they started them;
// one that was started ends by itself. The next one will remove what this cannot.
func Sweep(ctx context.Context, api Sweeper) {
	list, err := api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", Label), filters.Arg("status", "created"))})
	if err != nil || len(list) == 0 {
		return
	}
	// This machine's clock may be another than that of the engine.
	now, err := engine.Time(ctx, api)
	if err != nil {
		return
	}
	for _, c := range list {
		if now.Sub(time.Unix(c.Created, 0)) > staleAfter {
			_ = api.ContainerRemove(ctx, c.ID, container.RemoveOptions{})
		}
	}
}

// lines hands each line that is written to it on, and keeps the last.
type lines struct {
	report func(string)

	mu   sync.Mutex
	part string
	kept string
}

// maxLine bounds a line that has no end.
const maxLine = 8 << 10

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part += string(p)
	for {
		line, rest, whole := strings.Cut(l.part, "\n")
		if !whole {
			l.part = l.part[max(0, len(l.part)-maxLine):]
			return len(p), nil
		}
		l.part = rest
		if line = display.Line(strings.TrimSpace(line)); line != "" {
			l.kept = line
			l.report(line)
		}
	}
}

func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept
}
