package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/runspec"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Launcher is what is asked of the engine to launch a session.
type Launcher interface {
	Lister
	ContainerCreate(ctx context.Context, config *container.Config, hostConfig *container.HostConfig, networkingConfig *network.NetworkingConfig, platform *ocispec.Platform, containerName string) (container.CreateResponse, error)
	ContainerStart(ctx context.Context, container string, options container.StartOptions) error
	Deleter
	ImageInspect(ctx context.Context, image string, opts ...client.ImageInspectOption) (image.InspectResponse, error)
	ImagePull(ctx context.Context, ref string, options image.PullOptions) (io.ReadCloser, error)
}

// LaunchOptions are the parts of a launch that the workspace does not decide.
type LaunchOptions struct {
	// Name of the container; "" makes one from the workspace's.
	Name string
	// Overrides come on top of the workspace's settings.
	Overrides Overrides
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
	// Password was made for the user KasmUser, "" if none was. It is in the
	// session's environment, too.
	Password string
}

// Launch starts a session of ws. It fails whole: when its container cannot be
// started, or ctx ends before it is, it is removed again.
func Launch(ctx context.Context, api Launcher, ws *workspace.Workspace, o LaunchOptions) (Launched, error) {
	if ws.Type != workspace.TypeContainer {
		return Launched{}, fmt.Errorf("workspace %q is a %s, not a container: open %s", ws.Name, ws.Type, ws.URL)
	}
	if err := Launchable(ws); err != nil {
		return Launched{}, err
	}
	out, err := launch(ctx, api, ws, o)
	if err != nil {
		return out, fmt.Errorf("launch workspace %q: %w", ws.Name, err)
	}
	return out, nil
}

func launch(ctx context.Context, api Launcher, ws *workspace.Workspace, o LaunchOptions) (Launched, error) {
	ws, env, err := o.Overrides.apply(ws)
	if err != nil {
		return Launched{}, err
	}
	made, err := newPlan(ws)
	if err != nil {
		return Launched{}, err
	}
	id, err := roster.NewID()
	if err != nil {
		return Launched{}, err
	}
	name := o.Name
	if name == "" {
		name = ws.Name + "-" + id[:6]
	}
	made.config.Labels = sessionLabels(ws, o, id, name)
	img, err := provideImage(ctx, api, ws, o)
	if err != nil {
		return Launched{}, err
	}
	var out Launched
	if img.Config != nil {
		made.host.Tmpfs = tmpfs(WithTmp(ws.Run, img.Config.Labels))
		disinherit(made.config.Labels, img.Config.Labels)
		env, out.Password = withPasswords(env, img.Config.Env, img.Config.Labels)
	}
	made.config.Env = env
	created, err := create(ctx, api, made, name)
	out.Warnings = created.Warnings
	if err != nil {
		return out, explain(err)
	}
	if err := api.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil || ctx.Err() != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		} else {
			err = explain(fmt.Errorf("start its container: %w", err))
		}
		return out, errors.Join(err, undo(ctx, api, created.ID, name))
	}
	// It is launched: an interrupt from here on must not hide which one it is.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	found, err := List(ctx, api, ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("id", created.ID))})
	switch {
	case err != nil:
		return out, fmt.Errorf("look at the session just launched as %q: %w", name, err)
	case len(found) == 0 && ws.Run.Remove:
		return out, fmt.Errorf("session %q has ended already, and is deleted because of --rm: launch it without to see why", name)
	case len(found) == 0:
		return out, fmt.Errorf("session %q was launched, and is gone already", name)
	}
	out.Session = found[0]
	return out, nil
}

// tidyTime is what the engine gets to answer about a container, and to remove
// it, whatever happens meanwhile.
const tidyTime = 30 * time.Second

// create makes the container. A request that is broken off may be carried out
// all the same, so an interrupt is heeded after the engine's answer.
func create(ctx context.Context, api Launcher, p plan, name string) (container.CreateResponse, error) {
	type answer struct {
		created container.CreateResponse
		err     error
	}
	done := make(chan answer, 1)
	through, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		created, err := api.ContainerCreate(through, p.config, p.host, p.networks, nil, name)
		done <- answer{created, err}
	}()
	var got answer
	select {
	case got = <-done:
	case <-ctx.Done():
		select {
		case got = <-done:
		case <-time.After(tidyTime):
			return container.CreateResponse{}, fmt.Errorf("%w; the engine does not say whether container %q is made: `docker rm -f %s` removes it", ctx.Err(), name, name)
		}
	}
	switch {
	case got.err != nil && ctx.Err() != nil:
		return got.created, ctx.Err()
	case got.err != nil && cerrdefs.IsConflict(got.err):
		return got.created, fmt.Errorf("a container named %q is already there: choose another --name", name)
	case got.err != nil:
		return got.created, fmt.Errorf("create its container: %w", got.err)
	case ctx.Err() != nil:
		return got.created, errors.Join(ctx.Err(), undo(ctx, api, got.created.ID, name))
	}
	return got.created, nil
}

// undo removes a container that did not come to be a session.
func undo(ctx context.Context, api Launcher, id, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if err := DeleteSession(ctx, api, Session{ID: id, Name: name}, DeleteOptions{}); err != nil {
		return fmt.Errorf("its container is left, `docker rm -f %s` removes it: %w", name, err)
	}
	return nil
}

// explain says what can be done about what engines say in their own words.
func explain(err error) error {
	text := err.Error()
	for _, known := range []struct{ words, hint string }{
		{"port is already allocated", "publish it on another port of the host with --publish, or on any one"},
		{"address already in use", "publish it on another port of the host with --publish, or on any one"},
		{"could not select device driver", "this engine offers no such GPU; --gpus '' launches without"},
		{"no known GPU vendor found", "this engine offers no such GPU; --gpus '' launches without"},
		{"No such image", "the image was removed meanwhile: launch it again"},
	} {
		if strings.Contains(text, known.words) {
			return fmt.Errorf("%w: %s", err, known.hint)
		}
	}
	if missingNetwork.MatchString(text) {
		return fmt.Errorf("%w: `docker network ls` lists those there are, and --network chooses one", err)
	}
	return err
}

var missingNetwork = regexp.MustCompile(`network \S+ not found`)

// Launchable fails where ws is disabled.
func Launchable(ws *workspace.Workspace) error {
	if ws.Enabled {
		return nil
	}
	return fmt.Errorf("workspace %q is disabled: `docker kasm workspace update --set enabled=true %s` enables it", ws.Name, ws.Name)
}

func sessionLabels(ws *workspace.Workspace, o LaunchOptions, id, name string) map[string]string {
	labels := map[string]string{LabelSession: id, LabelName: name, LabelWorkspace: ws.Name}
	if ws.Scope == ScopeEngine {
		labels[LabelScope] = ScopeEngine
	}
	if o.User != "" {
		labels[LabelUser] = o.User
	}
	if ws.Run.Remove {
		labels[LabelRemove] = "true"
	}
	if ws.Run.Open != "" {
		labels[LabelOpen] = ws.Run.Open
	}
	if limit := time.Duration(ws.Lifetime.Limit); limit > 0 {
		labels[LabelExpires] = o.Now.Add(limit).UTC().Format(time.RFC3339)
	}
	return labels
}

// disinherit blanks what an image says about a session that it was made of by a plain
// `docker commit`: an engine adds all labels of an image that are not given. What is
// deleted once it stops, and whose the workspace is, is to be told by this launch only.
func disinherit(labels, ofImage map[string]string) {
	for name := range ofImage {
		if _, given := labels[name]; !given && strings.HasPrefix(name, LabelSession+".") {
			labels[name] = ""
		}
	}
}

// plan is what the engine is asked to create.
type plan struct {
	config   *container.Config
	host     *container.HostConfig
	networks *network.NetworkingConfig
}

// newPlan turns the workspace's settings into what the engine takes.
func newPlan(ws *workspace.Workspace) (plan, error) {
	exposed, bindings, err := runspec.Ports(ws.Run.Ports)
	if err != nil {
		return plan{}, fmt.Errorf("run.ports: %w", err)
	}
	p := plan{
		config: &container.Config{Image: ws.Image, ExposedPorts: exposed, Volumes: map[string]struct{}{}},
		host:   &container.HostConfig{PortBindings: bindings, Tmpfs: tmpfs(ws.Run), AutoRemove: ws.Run.Remove},
	}
	for _, text := range ws.Run.Volumes {
		volume, err := runspec.ParseVolume(text)
		switch {
		case strings.HasPrefix(text, "."):
			return plan{}, fmt.Errorf("run.volumes: %q: give an absolute path or a volume's name", text)
		case err != nil:
			return plan{}, fmt.Errorf("run.volumes: %w", err)
		case volume.Source != "":
			p.host.Binds = append(p.host.Binds, text)
		default:
			p.config.Volumes[volume.Target] = struct{}{}
		}
	}
	if p.host.NetworkMode, p.networks, err = runspec.Networks(ws.Run.Networks); err != nil {
		return plan{}, fmt.Errorf("run.networks: %w", err)
	}
	return p, limits(ws.Resources, p.host)
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

func limits(r workspace.Resources, host *container.HostConfig) error {
	var err error
	if host.NanoCPUs, err = runspec.CPUs(r.CPUsText()); err != nil {
		return fmt.Errorf("resources.cpus: %w", err)
	}
	if r.Memory != "" {
		if host.Memory, err = runspec.Size(r.Memory); err != nil {
			return fmt.Errorf("resources.memory: %w", err)
		}
	}
	if r.ShmSize != "" {
		if host.ShmSize, err = runspec.Size(r.ShmSize); err != nil {
			return fmt.Errorf("resources.shm_size: %w", err)
		}
	}
	if host.DeviceRequests, err = runspec.GPUs(r.GPUs); err != nil {
		return fmt.Errorf("resources.gpus: %w", err)
	}
	if host.Ulimits, err = runspec.Ulimits(r.Ulimits); err != nil {
		return fmt.Errorf("resources.ulimits: %w", err)
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
