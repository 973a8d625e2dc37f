// Package deploy sets the helper up in a container of an engine.
package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/dial"
	"github.com/docker-kasm/docker-kasm/internal/forward"
)

// labelVersion is on the helper's container and image: the plugin's version that
// set it up. labelSocket is where it was told to find the engine.
const (
	labelVersion = dial.LabelKind + ".version"
	labelSocket  = dial.LabelKind + ".engine"
	// labelSettings holds Options.Settings, as JSON.
	labelSettings = dial.LabelKind + ".settings"
)

const (
	// repository is the name of the helper's images, whose tags tell what is in
	// them.
	repository = dial.Volume
	data       = dial.Data
)

// API is what is asked of the engine.
type API interface {
	dial.API
	Info(ctx context.Context) (system.Info, error)
	ImageInspect(ctx context.Context, image string, opts ...client.ImageInspectOption) (image.InspectResponse, error)
	ImageImport(ctx context.Context, source image.ImportSource, ref string, options image.ImportOptions) (io.ReadCloser, error)
	ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error)
	ImageRemove(ctx context.Context, image string, options image.RemoveOptions) ([]image.DeleteResponse, error)
	VolumeCreate(ctx context.Context, options volume.CreateOptions) (volume.Volume, error)
	VolumeList(ctx context.Context, options volume.ListOptions) (volume.ListResponse, error)
	VolumeRemove(ctx context.Context, volumeID string, force bool) error
	ContainerCreate(ctx context.Context, config *container.Config, hostConfig *container.HostConfig, networkingConfig *network.NetworkingConfig, platform *ocispec.Platform, name string) (container.CreateResponse, error)
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
	ContainerStart(ctx context.Context, container string, options container.StartOptions) error
	ContainerStop(ctx context.Context, container string, options container.StopOptions) error
	ContainerRename(ctx context.Context, container, newContainerName string) error
	forward.Sweeper
	ContainerLogs(ctx context.Context, container string, options container.LogsOptions) (io.ReadCloser, error)
}

// Options say how the helper is set up.
type Options struct {
	// Binary opens the helper's program for a platform such as linux/amd64.
	Binary func(platform string) (Binary, error)
	// Version is that of the plugin.
	Version string
	// User is who does it, for others to read who have to wait.
	User string
	// Socket is the engine's socket on its host, "" for the former one, or what
	// FindSocket returns.
	Socket     string
	FindSocket func(ctx context.Context) (string, error)
	// Settings are further flags of `kasm-helper serve` with their values.
	Settings map[string]string
	// Ready tells whether the helper answers, once its container runs.
	Ready func(ctx context.Context) error
	// Report receives a line for each thing done.
	Report func(string)
}

// Binary is the helper's program.
type Binary struct {
	io.ReadCloser
	// Size is in bytes, Digest the SHA-256 in hex.
	Size   int64
	Digest string
}

// State is what there is of a helper on an engine.
type State struct {
	// Kind is dial.Container or dial.Service, "" without a helper.
	Kind string
	// Container is the helper's container, nil if there is none.
	Container *container.InspectResponse
}

// Version is the plugin's that set the container up, "" if unknown.
func (s State) Version() string {
	if s.Container == nil || s.Container.Config == nil {
		return ""
	}
	return s.Container.Config.Labels[labelVersion]
}

// Look tells what there is of a helper on an engine.
func Look(ctx context.Context, api API) (State, error) {
	var s State
	mark, err := api.VolumeInspect(ctx, dial.Volume)
	if err != nil && !cerrdefs.IsNotFound(err) {
		return s, fmt.Errorf("look for the helper: %w", err)
	}
	s.Kind = mark.Labels[dial.LabelKind]
	c, err := api.ContainerInspect(ctx, dial.Volume)
	if cerrdefs.IsNotFound(err) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("look for the helper: %w", err)
	}
	if c.Config == nil || c.Config.Labels[dial.LabelKind] == "" {
		return s, fmt.Errorf("container %s is in the way, which no `docker kasm helper install` has made: remove or rename it", dial.Volume)
	}
	s.Container = &c
	return s, nil
}

// ErrService means that the engine's helper is a service on its host, which is
// looked after there.
var ErrService = errors.New("the helper of this engine is a service on its host: look after it there, with systemctl; if it is there no more, `docker volume rm " + dial.Volume + "` lets the engine forget it")

// Install sets the helper up, unless it is there, and waits until it answers. It
// returns whether there was something to do. Of several that do it at once, all
// end with the one helper.
func Install(ctx context.Context, api API, o Options) (bool, error) {
	return inTurn(ctx, api, o.User, o.Report, func(ctx context.Context) (bool, error) { return install(ctx, api, o) })
}

func install(ctx context.Context, api API, o Options) (bool, error) {
	state, err := Look(ctx, api)
	if err != nil {
		return false, err
	}
	if state.Kind == dial.Service {
		return false, ErrService
	}
	made := ""
	if state.Container == nil {
		if o.Socket == "" {
			if o.Socket, err = o.FindSocket(ctx); err != nil {
				return false, err
			}
		}
		if made, err = create(ctx, api, o, dial.Volume); err != nil {
			return false, err
		}
	}
	running := state.Container != nil && state.Container.State != nil && state.Container.State.Running
	if err := start(ctx, api, o); err != nil {
		if made != "" {
			// A helper that cannot run is not to be started again and again.
			err = errors.Join(err, remove(context.WithoutCancel(ctx), api, made))
		}
		return false, err
	}
	if made != "" {
		// One that an upgrade has put aside which was killed.
		return true, remove(ctx, api, former)
	}
	return !running, nil
}

func start(ctx context.Context, api API, o Options) error {
	if err := api.ContainerStart(ctx, dial.Volume, container.StartOptions{}); err != nil {
		return fmt.Errorf("start the helper: %w", err)
	}
	return await(ctx, api, o)
}

// create makes the container, and whatever it needs. It returns the id, "" if
// there is one by now.
func create(ctx context.Context, api API, o Options, name string) (string, error) {
	info, err := api.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the engine for its platform: %w", err)
	}
	ref, err := ensureImage(ctx, api, o, info)
	if err != nil {
		return "", err
	}
	made, err := api.VolumeCreate(ctx, volume.CreateOptions{Name: dial.Volume, Labels: map[string]string{dial.LabelKind: dial.Container}})
	if err != nil {
		return "", fmt.Errorf("make the helper's volume: %w", err)
	}
	if made.Labels[dial.LabelKind] != dial.Container {
		return "", fmt.Errorf("volume %s is in the way, which no `docker kasm helper install` has made: remove it with `docker volume rm %s`", dial.Volume, dial.Volume)
	}
	config, host, err := spec(o, info, ref)
	if err != nil {
		return "", err
	}
	c, err := api.ContainerCreate(ctx, config, host, nil, nil, name)
	if cerrdefs.IsConflict(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("make the helper's container: %w", err)
	}
	return c.ID, nil
}

// engine is where the helper in its container finds the engine.
const engine = "/run/docker.sock"

// spec is how the helper's container is run: it reaches the engine by its socket,
// its data by a volume, and nothing else.
func spec(o Options, info system.Info, ref string) (*container.Config, *container.HostConfig, error) {
	settings, err := json.Marshal(o.Settings)
	if err != nil {
		return nil, nil, fmt.Errorf("keep the helper's settings: %w", err)
	}
	args := []string{"serve", "--announce=false", "--data", data, "--host", "unix://" + engine}
	for _, flag := range slices.Sorted(maps.Keys(o.Settings)) {
		args = append(args, "--"+flag+"="+o.Settings[flag])
	}
	// Ample time for a snapshot that is interrupted to tidy up, in seconds.
	yes, stopTimeout := true, 90
	config := &container.Config{
		Image: ref,
		// Its locks are known by it as the helper's, also after an upgrade.
		Hostname:    dial.Volume,
		StopTimeout: &stopTimeout,
		Cmd:         args,
		Labels: map[string]string{
			dial.LabelKind: dial.Container, labelVersion: o.Version, labelSocket: o.Socket, labelSettings: string(settings),
		},
	}
	host := &container.HostConfig{
		NetworkMode:    network.NetworkNone,
		ReadonlyRootfs: true,
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges"},
		Init:           &yes,
		// One that is to stay away unless it was stopped is not started any more by
		// an engine that was killed: that takes its own stop of leftovers for a
		// user's (moby daemon/kill.go, HasBeenManuallyStopped).
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
		Mounts: []mount.Mount{
			{Type: mount.TypeBind, Source: o.Socket, Target: engine},
			{Type: mount.TypeVolume, Source: dial.Volume, Target: data},
			{Type: mount.TypeTmpfs, Target: "/run/docker-kasm", TmpfsOptions: &mount.TmpfsOptions{Mode: 0o750, SizeBytes: 1 << 20}},
		},
	}
	for _, option := range info.SecurityOptions {
		switch {
		case strings.HasPrefix(option, "name=userns"):
			// The engine's socket belongs to the real root.
			host.UsernsMode = "host"
			// Its volume to the root of containers.
			host.CapAdd = append(host.CapAdd, "DAC_OVERRIDE")
		case strings.HasPrefix(option, "name=selinux"):
			// Containers may not use the engine's socket else.
			host.SecurityOpt = append(host.SecurityOpt, "label=disable")
		}
	}
	return config, host, nil
}

// await waits until the helper answers, or its container gives up.
func await(ctx context.Context, api API, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	before := -1
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		asked, stop := context.WithTimeout(ctx, 10*time.Second)
		err := o.Ready(asked)
		stop()
		if err == nil {
			return nil
		}
		c, inspectErr := api.ContainerInspect(ctx, dial.Volume)
		if inspectErr == nil && before < 0 {
			before = c.RestartCount
		}
		if inspectErr == nil && c.State != nil && (c.RestartCount > before+1 || !c.State.Running && !c.State.Restarting) {
			return fmt.Errorf("the helper ended with exit code %d: %s", c.State.ExitCode, lastLog(ctx, api))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the helper: %w", err)
		case <-time.After(wait):
		}
	}
}

// UninstallOptions say how the helper is removed.
type UninstallOptions struct {
	// Purge removes its data as well.
	Purge bool
	// User and Report are as those of Options.
	User   string
	Report func(string)
}

// Uninstall removes the helper's container and images. It returns whether there was
// a helper: without one, ports may have been forwarded with an image.
func Uninstall(ctx context.Context, api API, o UninstallOptions) (bool, error) {
	return inTurn(ctx, api, o.User, o.Report, func(ctx context.Context) (bool, error) { return uninstall(ctx, api, o) })
}

func uninstall(ctx context.Context, api API, o UninstallOptions) (bool, error) {
	state, err := Look(ctx, api)
	if err != nil {
		return false, err
	}
	forward.Sweep(ctx, api)
	if state.Kind == dial.Service || state.Kind == "" && state.Container == nil {
		// Ports are forwarded with the image as well, where there is no helper in a
		// container.
		err := dial.ErrNone
		if state.Kind == dial.Service {
			err = ErrService
		}
		removed, failed := removeImages(ctx, api, "")
		if removed > 0 {
			o.Report("removed the image by which ports of sessions are forwarded")
			if failed == nil && state.Kind == "" {
				return false, nil
			}
		}
		return false, errors.Join(failed, err)
	}
	// One that an upgrade has left which was killed.
	if err := remove(ctx, api, former); err != nil {
		return false, err
	}
	if state.Container != nil {
		// So that what it is at comes to an orderly end.
		if err := api.ContainerStop(ctx, dial.Volume, container.StopOptions{}); err != nil && !cerrdefs.IsNotFound(err) {
			return true, fmt.Errorf("stop the helper: %w", err)
		}
		if err := remove(ctx, api, dial.Volume); err != nil {
			return false, err
		}
	}
	_, err = removeImages(ctx, api, "")
	errs := []error{err}
	if o.Purge {
		if err := api.VolumeRemove(ctx, dial.Volume, false); err != nil && !cerrdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove the helper's data: %w", err))
		}
	}
	return true, errors.Join(errs...)
}

func remove(ctx context.Context, api API, id string) error {
	err := api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("remove the helper's container: %w", err)
	}
	return nil
}

// removeImages removes the helper's images but for one, which may be "" for all, and
// tells how many were.
func removeImages(ctx context.Context, api API, but string) (int, error) {
	images, err := api.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", dial.LabelKind))})
	if err != nil {
		return 0, fmt.Errorf("look for the helper's images: %w", err)
	}
	removed := 0
	var errs []error
	for _, img := range images {
		for _, tag := range img.RepoTags {
			if !strings.HasPrefix(tag, repository+":") || tag == but {
				continue
			}
			_, err := api.ImageRemove(ctx, tag, image.RemoveOptions{})
			switch {
			case err == nil:
				removed++
			case cerrdefs.IsConflict(err) && but != "":
				// A port is being forwarded with it: the next upgrade removes it.
			case cerrdefs.IsConflict(err):
				errs = append(errs, fmt.Errorf("remove the helper's image %s: %w; once no `docker kasm open` forwards a port with it, `docker kasm helper uninstall` removes it", tag, err))
			case !cerrdefs.IsNotFound(err):
				errs = append(errs, fmt.Errorf("remove the helper's image %s: %w", tag, err))
			}
		}
	}
	return removed, errors.Join(errs...)
}
