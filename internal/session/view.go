package session

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Viewer is what is asked of the engine to show everything about a session.
type Viewer interface {
	ContainerInspectWithRaw(ctx context.Context, container string, getSize bool) (container.InspectResponse, []byte, error)
	ContainerStatsOneShot(ctx context.Context, container string) (container.StatsResponseReader, error)
	LogReader
	ImageInspect(ctx context.Context, image string, opts ...client.ImageInspectOption) (image.InspectResponse, error)
}

// LogReader is what is asked of the engine to read a session's log.
type LogReader interface {
	ContainerLogs(ctx context.Context, container string, options container.LogsOptions) (io.ReadCloser, error)
}

// InspectOptions say how closely a session is looked at.
type InspectOptions struct {
	// ShowSecrets shows the values of the environment that look secret. Those of
	// an agent's session are its Kasm server's, and never shown.
	ShowSecrets bool
}

// Details is a session with everything that one more look at it tells.
type Details struct {
	Session
	// Since is when the present state began; zero when the engine does not say
	// (it keeps no time for a pause).
	Since time.Time
	// Reason says why a session failed, or "".
	Reason string
	// Address opens the session's page, or "" if nothing is published.
	Address string
	Mounts  []container.MountPoint
	// Tmpfs maps paths to mount options.
	Tmpfs map[string]string
	// Memory and MemoryLimit are bytes, CPUTime the processor time used since
	// the start; all zero unless running or paused.
	Memory, MemoryLimit uint64
	CPUTime             time.Duration
	Processes           uint64
	// Environment is what was given at run time: the variables that are not as in
	// the image. Hidden stands for values that look secret, and for all that are not
	// known to be harmless where somebody else has made the session.
	Environment map[string]string
	// Login is the user name that goes with the password in PasswordVariable, ""
	// if the session has none.
	Login string
	// LastLog are the last lines a failed session wrote, at most ten.
	LastLog []string
	// Allowed is what can be done now.
	Allowed []Verb
}

// Inspect looks at s once more, closely.
func Inspect(ctx context.Context, api Viewer, s Session, o InspectOptions) (Details, error) {
	if s.Kind == Server {
		return Details{Session: s, Address: s.Address(), Allowed: s.State.Allowed()}, nil
	}
	c, _, err := api.ContainerInspectWithRaw(ctx, s.ID, true)
	if err != nil {
		return Details{}, fmt.Errorf("inspect session %q: %w", s.Name, err)
	}
	d := Details{Session: s, Mounts: c.Mounts, Address: s.Address(), Allowed: s.State.Allowed()}
	if c.SizeRw != nil {
		d.SizeRw = *c.SizeRw
	}
	if c.SizeRootFs != nil {
		d.SizeRootFs = *c.SizeRootFs
	}
	if c.HostConfig != nil {
		d.Tmpfs = c.HostConfig.Tmpfs
	}
	if err := d.readEnvironment(ctx, api, c, o); err != nil {
		return Details{}, err
	}
	if c.State != nil {
		d.Since, d.Reason = since(s, c)
	}
	switch s.State {
	case Running, Paused:
		if err := d.readStats(ctx, api); err != nil {
			return Details{}, err
		}
	case Failed:
		tty := c.Config != nil && c.Config.Tty
		if err := d.readLog(ctx, api, tty); err != nil {
			return Details{}, err
		}
	case Created, Stopped, Deleting, External:
	}
	return d, nil
}

func since(s Session, c container.InspectResponse) (time.Time, string) {
	at := ""
	reason := c.State.Error
	switch s.State {
	case Created:
		at = c.Created
	case Running:
		at = c.State.StartedAt
	case Stopped, Failed:
		at = c.State.FinishedAt
		if c.State.OOMKilled {
			reason = "out of memory"
		}
	case Paused, Deleting, External:
	}
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return time.Time{}, reason
	}
	return t, reason
}

func (d *Details) readStats(ctx context.Context, api Viewer) error {
	res, err := api.ContainerStatsOneShot(ctx, d.ID)
	if err != nil {
		return fmt.Errorf("read what session %q uses: %w", d.Name, err)
	}
	defer res.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(res.Body).Decode(&stats); err != nil {
		return fmt.Errorf("read what session %q uses: %w", d.Name, err)
	}
	d.Memory, d.MemoryLimit = stats.MemoryStats.Usage, stats.MemoryStats.Limit
	d.CPUTime = time.Duration(stats.CPUStats.CPUUsage.TotalUsage) //nolint:gosec // nanoseconds: 292 years fit
	d.Processes = stats.PidsStats.Current
	return nil
}

// readEnvironment compares the session's environment with its image's, which may
// be gone.
func (d *Details) readEnvironment(ctx context.Context, api Viewer, c container.InspectResponse, o InspectOptions) error {
	if c.Config == nil {
		return nil
	}
	var inImage []string
	img, err := api.ImageInspect(ctx, d.ImageID)
	switch {
	case err == nil && img.Config != nil:
		inImage = img.Config.Env
	case err != nil && !cerrdefs.IsNotFound(err):
		return fmt.Errorf("look at the image of session %q: %w", d.Name, err)
	}
	show := o.ShowSecrets && d.Kind != Agent
	d.Environment = environment(c.Config.Env, inImage, show)
	if d.made() {
		if d.User == "" {
			d.User = kasmUser(c.Config.Env)
		}
		if !show {
			hideUnknown(d.Environment)
		}
	}
	if d.Kind != Agent && d.Labels[labelKasmImage] == "true" && names(c.Config.Env, PasswordVariable) {
		d.Login = KasmUser
	}
	return nil
}

// lastLines is how many lines of a log are shown of a session that failed.
const lastLines = 10

func (d *Details) readLog(ctx context.Context, api Viewer, tty bool) error {
	logs, err := api.ContainerLogs(ctx, d.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lastLines)})
	if err != nil {
		// Some log drivers cannot be read back; the rest of the view stands.
		d.LastLog = []string{fmt.Sprintf("(log not readable: %s)", err)}
		return nil
	}
	defer logs.Close()
	if d.LastLog, err = tail(logs, tty); err != nil {
		return fmt.Errorf("read the log of session %q: %w", d.Name, err)
	}
	return nil
}

// tail reads a log to its end and returns its last lines.
func tail(logs io.Reader, tty bool) ([]string, error) {
	if !tty {
		plain, in := io.Pipe()
		defer plain.Close()
		multiplexed := logs
		go func() {
			_, err := stdcopy.StdCopy(in, in, multiplexed)
			in.CloseWithError(err)
		}()
		logs = plain
	}
	var last []string
	lines := bufio.NewScanner(logs)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		last = append(last, strings.TrimRight(lines.Text(), "\r"))
		last = last[max(0, len(last)-lastLines):]
	}
	return last, lines.Err()
}

// Address returns where the session is reached from the engine's host: the
// address of a server session's machine, else its open template with every {PORT}
// replaced by the published host port, else that of the port it is shown on: of
// Kasm's desktops as an address, of another one as host:port. It is "" without any.
func (s Session) Address() string {
	if s.URL != "" {
		return s.URL
	}
	if s.Open != "" {
		complete := true
		address := workspace.PortPlace.ReplaceAllStringFunc(s.Open, func(place string) string {
			private, err := strconv.ParseUint(place[1:len(place)-1], 10, 16)
			if err == nil {
				for _, p := range s.Ports {
					if uint64(p.PrivatePort) == private && p.PublicPort != 0 {
						return strconv.Itoa(int(p.PublicPort))
					}
				}
			}
			complete = false
			return place
		})
		if complete {
			return address
		}
		return ""
	}
	p, ok := s.shownOn()
	if !ok {
		return ""
	}
	host := p.IP
	if host == "" || host == "0.0.0.0" || host == "::" || p.PrivatePort == kasmPort && loopback(host) {
		host = "localhost"
	}
	address := net.JoinHostPort(host, strconv.Itoa(int(p.PublicPort)))
	if p.PrivatePort == kasmPort {
		// Browsers would try it without TLS.
		return scheme(kasmPort) + "://" + address + "/"
	}
	return address
}

// shownOn is the published TCP port that a session shows what it has on where its
// workspace does not say: that of Kasm's desktops, or else the lowest.
func (s Session) shownOn() (p container.Port, ok bool) {
	published := func(p container.Port) bool { return p.PublicPort != 0 && p.Type == "tcp" }
	at := slices.IndexFunc(s.Ports, func(p container.Port) bool { return published(p) && p.PrivatePort == kasmPort })
	if at < 0 {
		at = slices.IndexFunc(s.Ports, published)
	}
	if at < 0 {
		return p, false
	}
	return s.Ports[at], true
}
