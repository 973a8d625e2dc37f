// Package dial makes connections to the helper of an engine, by the way that the
// user's context reaches the engine.
package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/cli/cli/connhelper/commandconn"
	"github.com/docker/cli/cli/connhelper/ssh"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"

	"github.com/docker-kasm/docker-kasm/internal/roster"
)

// A helper shows itself on its engine by a volume, which one request finds by
// any context, and whose labels tell how the helper is reached.
const (
	// Volume is the volume's name, and that of a helper's container.
	Volume = "docker-kasm-helper"
	// LabelKind is Container or Service.
	LabelKind = "io.github.docker-kasm.helper"
	// LabelSocket is where a service has its socket, on the engine's host.
	LabelSocket = LabelKind + ".socket"
)

// Kinds of helpers.
const (
	// Container is a helper in a container of the engine.
	Container = "container"
	// Service is a helper that runs on the engine's host.
	Service = "service"
)

// Binary is the helper's name on the PATH of an engine's host.
const Binary = "kasm-helper"

// Socket is where a helper in a container, or a service that is set up as usual,
// has its socket.
const Socket = "/run/docker-kasm/helper.sock"

// Data is where a helper in a container has its data, and Sessions the folder in it
// that has the records of sessions.
const (
	Data     = "/var/lib/docker-kasm"
	Sessions = "sessions"
)

// ErrNone means that the engine has no helper.
var ErrNone = errors.New("this engine has no helper: `docker kasm helper install` sets one up")

// API is what is asked of the engine.
type API interface {
	Execer
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
	VolumeInspect(ctx context.Context, volumeID string) (volume.Volume, error)
}

// Looker is what is asked of the engine to look for a helper without a connection.
type Looker interface {
	VolumeInspect(ctx context.Context, volumeID string) (volume.Volume, error)
	ContainerStatPath(ctx context.Context, container, path string) (container.PathStat, error)
}

// MayRecord tells, without a connection to it, whether the helper of an engine may
// have records of sessions: one in a container is looked into, which costs much less.
func MayRecord(ctx context.Context, api Looker) (bool, error) {
	mark, err := api.VolumeInspect(ctx, Volume)
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the helper: %w", err)
	}
	if mark.Labels[LabelKind] != Container {
		return true, nil
	}
	_, err = api.ContainerStatPath(ctx, Volume, path.Join(Data, Sessions, roster.Mark))
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look into the helper: %w", err)
	}
	return true, nil
}

// Way is a way to an engine's helper.
type Way struct {
	// Kind is Container or Service.
	Kind string
	dial func(ctx context.Context) (net.Conn, error)
}

// Dial makes a connection.
func (w *Way) Dial(ctx context.Context) (net.Conn, error) { return w.dial(ctx) }

// Find looks for the helper of an engine; ErrNone if it has none. endpoint is
// where the context finds the engine, such as unix:///run/docker.sock or
// ssh://me@host.
func Find(ctx context.Context, api API, endpoint string) (*Way, error) {
	mark, err := api.VolumeInspect(ctx, Volume)
	if cerrdefs.IsNotFound(err) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("look for the helper: %w", err)
	}
	switch kind := mark.Labels[LabelKind]; kind {
	case Container:
		// Its data may be all that there is of it.
		id, err := find(ctx, api)
		if err != nil {
			return nil, err
		}
		return &Way{kind, toContainer(api, id)}, nil
	case Service:
		dial, err := toService(endpoint, mark.Labels[LabelSocket])
		if err != nil {
			return nil, err
		}
		return &Way{kind, dial}, nil
	}
	return nil, fmt.Errorf("look for the helper: volume %s is in the way, which no helper has made: remove it with `docker volume rm %s`", Volume, Volume)
}

// find returns the id of the helper's container.
func find(ctx context.Context, api API) (string, error) {
	c, err := api.ContainerInspect(ctx, Volume)
	if cerrdefs.IsNotFound(err) {
		return "", ErrNone
	}
	if err != nil {
		return "", fmt.Errorf("look for the helper: %w", err)
	}
	if c.Config == nil || c.Config.Labels[LabelKind] != Container {
		return "", fmt.Errorf("look for the helper: container %s is in the way, which no helper has made: remove or rename it", Volume)
	}
	return c.ID, nil
}

// toContainer connects to the container that was found, and later to the one that
// an upgrade may have put in its place: never to one that was not looked at.
func toContainer(api API, id string) func(context.Context) (net.Conn, error) {
	first := make(chan string, 1)
	first <- id
	return func(ctx context.Context) (net.Conn, error) {
		select {
		case id := <-first:
			return Exec(ctx, api, id)
		default:
		}
		id, err := find(ctx, api)
		if err != nil {
			return nil, err
		}
		return Exec(ctx, api, id)
	}
}

func toService(endpoint, socket string) (func(context.Context) (net.Conn, error), error) {
	if !path.IsAbs(socket) || path.Clean(socket) != socket {
		return nil, fmt.Errorf("the helper says it is at %q, which is no path", socket)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("read the engine's address: %w", err)
	}
	switch u.Scheme {
	case "unix":
		return func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "unix", socket)
			if err != nil {
				return nil, fmt.Errorf("%w: is its service running, and may you use %s", err, socket)
			}
			if err := Trust(conn); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			return conn, nil
		}, nil
	case "ssh":
		spec, err := ssh.NewSpec(u)
		if err != nil {
			return nil, fmt.Errorf("read the engine's address: %w", err)
		}
		args, err := spec.Command([]string{"-T", "-o", "ConnectTimeout=30"}, Binary, "dial-stdio", "--socket", socket)
		if err != nil {
			return nil, fmt.Errorf("read the engine's address: %w", err)
		}
		return func(ctx context.Context) (net.Conn, error) {
			// Its end is that of the connection, not of the request that made it.
			return commandconn.New(context.WithoutCancel(ctx), "ssh", args...)
		}, nil
	}
	scheme, _, _ := strings.Cut(endpoint, "://")
	return nil, fmt.Errorf("the helper of this engine is a service on its host, which a %s context does not reach: use an ssh context", scheme)
}
