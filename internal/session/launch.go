package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/cli/opts"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/docker/go-connections/nat"
	"github.com/docker/go-units"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Launcher is what is asked of the engine to launch a session.
type Launcher interface {
	Lister
	ContainerCreate(ctx context.Context, config *container.Config, hostConfig *container.HostConfig, networkingConfig *network.NetworkingConfig, platform *ocispec.Platform, containerName string) (container.CreateResponse, error)
	ContainerStart(ctx context.Context, container string, options container.StartOptions) error
	ContainerRemove(ctx context.Context, container string, options container.RemoveOptions) error
	ImageInspect(ctx context.Context, image string, opts ...client.ImageInspectOption) (image.InspectResponse, error)
	ImagePull(ctx context.Context, ref string, options image.PullOptions) (io.ReadCloser, error)
}

// LaunchOptions are the parts of a launch that the workspace does not decide.
type LaunchOptions struct {
	// Name of the container; "" makes one from the workspace's.
	Name string
	// Env are KEY=VALUE pairs on top of the workspace's.
	Env []string
	// Pull overrides the workspace's policy; "" keeps it.
	Pull workspace.PullPolicy
	// User is recorded as who launched the session.
	User string
	// Auth returns the encoded registry credentials for an image reference.
	Auth func(ref string) (string, error)
	// PullImage pulls an image for all who use the engine; nil pulls it with Auth
	// and Progress.
	PullImage func(ctx context.Context, ref string) error
	// Progress receives the messages of a pull; nil discards them.
	Progress func(jsonmessage.JSONMessage)
	Now      time.Time
}

// Launched is a session that has been started.
type Launched struct {
	Session  Session
	Warnings []string
}

// Launch starts a session of ws. It fails whole: when the container cannot be
// started it is removed again.
func Launch(ctx context.Context, api Launcher, ws *workspace.Workspace, o LaunchOptions) (Launched, error) {
	if ws.Type != workspace.TypeContainer {
		return Launched{}, fmt.Errorf("workspace %q is a %s, not a container: open %s", ws.Name, ws.Type, ws.URL)
	}
	if !ws.Enabled {
		return Launched{}, fmt.Errorf("workspace %q is disabled: `docker kasm workspace update --set enabled=true %s` enables it", ws.Name, ws.Name)
	}
	cfg, host, err := containerConfig(ws, o)
	if err != nil {
		return Launched{}, fmt.Errorf("launch workspace %q: %w", ws.Name, err)
	}
	id, err := newID()
	if err != nil {
		return Launched{}, err
	}
	name := o.Name
	if name == "" {
		name = ws.Name + "-" + id[:6]
	}
	cfg.Labels = sessionLabels(ws, o, id, name)
	img, err := provideImage(ctx, api, ws, o)
	if err != nil {
		return Launched{}, fmt.Errorf("launch workspace %q: %w", ws.Name, err)
	}
	if img.Config != nil {
		host.Tmpfs = tmpfs(WithTmp(ws.Run, img.Config.Labels))
	}
	created, err := api.ContainerCreate(ctx, cfg, host, nil, nil, name)
	if err != nil {
		if cerrdefs.IsConflict(err) {
			return Launched{}, fmt.Errorf("launch workspace %q: a container named %q is already there: choose another --name", ws.Name, name)
		}
		return Launched{}, fmt.Errorf("launch workspace %q: create its container: %w", ws.Name, err)
	}
	if err := api.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		rm := api.ContainerRemove(context.WithoutCancel(ctx), created.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if cerrdefs.IsNotFound(rm) {
			rm = nil
		}
		return Launched{}, errors.Join(fmt.Errorf("launch workspace %q: start its container: %w", ws.Name, err), rm)
	}
	found, err := Find(ctx, api, created.ID)
	if err != nil {
		return Launched{}, fmt.Errorf("look at the session just launched as %q: %w", name, err)
	}
	return Launched{Session: found, Warnings: created.Warnings}, nil
}

func newID() (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a session id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

func sessionLabels(ws *workspace.Workspace, o LaunchOptions, id, name string) map[string]string {
	labels := map[string]string{LabelSession: id, LabelName: name, LabelWorkspace: ws.Name}
	if ws.Scope == ScopeEngine {
		labels[LabelScope] = ScopeEngine
	}
	if o.User != "" {
		labels[LabelUser] = o.User
	}
	if ws.Run.Open != "" {
		labels[LabelOpen] = ws.Run.Open
	}
	if limit := time.Duration(ws.Lifetime.Limit); limit > 0 {
		labels[LabelExpires] = o.Now.Add(limit).UTC().Format(time.RFC3339)
	}
	return labels
}

// containerConfig turns the workspace's settings into what the engine takes,
// with the parsers `docker run` uses.
func containerConfig(ws *workspace.Workspace, o LaunchOptions) (*container.Config, *container.HostConfig, error) {
	exposed, bindings, err := nat.ParsePortSpecs(ws.Run.Ports)
	if err != nil {
		return nil, nil, fmt.Errorf("run.ports: %w", err)
	}
	cfg := &container.Config{Image: ws.Image, ExposedPorts: exposed, Volumes: map[string]struct{}{}}
	for _, k := range slices.Sorted(maps.Keys(ws.Run.Environment)) {
		cfg.Env = append(cfg.Env, k+"="+ws.Run.Environment[k])
	}
	cfg.Env = append(cfg.Env, o.Env...)
	host := &container.HostConfig{PortBindings: bindings, Tmpfs: tmpfs(ws.Run)}
	for _, v := range ws.Run.Volumes {
		switch {
		case strings.HasPrefix(v, "."):
			return nil, nil, fmt.Errorf("run.volumes: %q: give an absolute path or a volume's name", v)
		case strings.Contains(v, ":"):
			host.Binds = append(host.Binds, v)
		default:
			cfg.Volumes[v] = struct{}{}
		}
	}
	if err := limits(ws.Resources, &host.Resources, host); err != nil {
		return nil, nil, err
	}
	return cfg, host, nil
}

// WithTmp returns run with a tmpfs at /tmp where the labels are those of a Kasm
// image and the workspace says nothing of its own about /tmp. The locks and
// sockets of the X server then end with the session instead of getting into a
// snapshot, where they keep it from starting as another user
// (https://github.com/kasmtech/workspaces-issues/issues/637).
func WithTmp(run workspace.Run, labels map[string]string) workspace.Run {
	none := run.Tmpfs != nil && len(run.Tmpfs) == 0
	if labels[labelKasmImage] == "true" && !none && !run.Mounts("/tmp") {
		run.Tmpfs = append(slices.Clip(run.Tmpfs), "/tmp:mode=1777,exec")
	}
	return run
}

func tmpfs(run workspace.Run) map[string]string {
	mounts := map[string]string{}
	for _, v := range run.Tmpfs {
		path, options, _ := strings.Cut(v, ":")
		mounts[path] = options
	}
	return mounts
}

func limits(r workspace.Resources, res *container.Resources, host *container.HostConfig) error {
	var err error
	if r.CPUs != 0 {
		if res.NanoCPUs, err = opts.ParseCPUs(strconv.FormatFloat(r.CPUs, 'f', -1, 64)); err != nil {
			return fmt.Errorf("resources.cpus: %w", err)
		}
	}
	if r.Memory != "" {
		if res.Memory, err = units.RAMInBytes(r.Memory); err != nil {
			return fmt.Errorf("resources.memory: %w", err)
		}
	}
	if r.ShmSize != "" {
		if host.ShmSize, err = units.RAMInBytes(r.ShmSize); err != nil {
			return fmt.Errorf("resources.shm_size: %w", err)
		}
	}
	if r.GPUs != "" {
		var gpus opts.GpuOpts
		if err := gpus.Set(r.GPUs); err != nil {
			return fmt.Errorf("resources.gpus: %w", err)
		}
		res.DeviceRequests = gpus.Value()
	}
	return nil
}

func pullImage(ctx context.Context, api Launcher, ref string, o LaunchOptions) error {
	auth, err := o.Auth(ref)
	if err != nil {
		return fmt.Errorf("find credentials: %w", err)
	}
	body, err := api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	defer body.Close()
	return engine.ReadStream(body, o.Progress)
}

// provideImage pulls the image as the policy says, and looks at it.
func provideImage(ctx context.Context, api Launcher, ws *workspace.Workspace, o LaunchOptions) (image.InspectResponse, error) {
	var none image.InspectResponse
	policy := ws.Pull
	if o.Pull != "" {
		policy = o.Pull
	}
	if policy != workspace.PullAlways {
		img, err := api.ImageInspect(ctx, ws.Image)
		if err == nil {
			return img, nil
		}
		if !cerrdefs.IsNotFound(err) {
			return none, fmt.Errorf("look for image %q: %w", ws.Image, err)
		}
		if policy == workspace.PullNever {
			return none, fmt.Errorf("image %q is not on this engine, and the pull policy is never: pull it, or give --pull missing", ws.Image)
		}
	}
	pull := o.PullImage
	if pull == nil {
		pull = func(ctx context.Context, ref string) error { return pullImage(ctx, api, ref, o) }
	}
	if err := pull(ctx, ws.Image); err != nil {
		return none, fmt.Errorf("pull image %q: %w", ws.Image, err)
	}
	img, err := api.ImageInspect(ctx, ws.Image)
	if err != nil {
		return none, fmt.Errorf("look at image %q, which was just pulled: %w", ws.Image, err)
	}
	return img, nil
}
