package deploy

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/dial"
)

// fakeEngine keeps containers, images and volumes by name, as an engine does, and
// takes its time for each request.
type fakeEngine struct {
	API // what is not asked here

	mu         sync.Mutex
	containers map[string]*container.InspectResponse
	images     map[string]bool
	volumes    map[string]volume.Volume
	count      int
	// broken is the socket without which a container does not start.
	broken string
}

func newEngine() *fakeEngine {
	return &fakeEngine{containers: map[string]*container.InspectResponse{}, images: map[string]bool{}, volumes: map[string]volume.Volume{}}
}

// enter is the beginning of every request.
func (e *fakeEngine) enter() (leave func()) {
	time.Sleep(10 * time.Millisecond)
	e.mu.Lock()
	return e.mu.Unlock
}

func (e *fakeEngine) find(nameOrID string) (*container.InspectResponse, error) {
	for name, c := range e.containers {
		if name == nameOrID || c.ID == nameOrID {
			return c, nil
		}
	}
	return nil, cerrdefs.ErrNotFound
}

func (e *fakeEngine) Info(context.Context) (system.Info, error) {
	return system.Info{OSType: "linux", Architecture: "x86_64", SystemTime: time.Now().Format(time.RFC3339Nano)}, nil
}

func (e *fakeEngine) VolumeInspect(_ context.Context, name string) (volume.Volume, error) {
	defer e.enter()()
	v, ok := e.volumes[name]
	if !ok {
		return v, cerrdefs.ErrNotFound
	}
	return v, nil
}

func (e *fakeEngine) VolumeCreate(_ context.Context, o volume.CreateOptions) (volume.Volume, error) {
	defer e.enter()()
	if _, ok := e.volumes[o.Name]; !ok {
		e.volumes[o.Name] = volume.Volume{Name: o.Name, Labels: o.Labels, CreatedAt: time.Now().Format(time.RFC3339)}
	}
	return e.volumes[o.Name], nil
}

func (e *fakeEngine) VolumeList(_ context.Context, o volume.ListOptions) (volume.ListResponse, error) {
	defer e.enter()()
	var out volume.ListResponse
	for _, v := range e.volumes {
		if o.Filters.MatchKVList("label", v.Labels) {
			out.Volumes = append(out.Volumes, &v)
		}
	}
	return out, nil
}

func (e *fakeEngine) VolumeRemove(_ context.Context, name string, _ bool) error {
	defer e.enter()()
	delete(e.volumes, name)
	return nil
}

func (e *fakeEngine) ImageInspect(_ context.Context, ref string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	defer e.enter()()
	if !e.images[ref] {
		return image.InspectResponse{}, cerrdefs.ErrNotFound
	}
	return image.InspectResponse{}, nil
}

func (e *fakeEngine) ImageImport(_ context.Context, source image.ImportSource, ref string, _ image.ImportOptions) (io.ReadCloser, error) {
	if _, err := io.Copy(io.Discard, source.Source); err != nil {
		return nil, err
	}
	defer e.enter()()
	e.images[ref] = true
	return io.NopCloser(strings.NewReader("")), nil
}

func (e *fakeEngine) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	defer e.enter()()
	var out []image.Summary
	for ref := range e.images {
		out = append(out, image.Summary{RepoTags: []string{ref}})
	}
	return out, nil
}

func (e *fakeEngine) ImageRemove(_ context.Context, ref string, _ image.RemoveOptions) ([]image.DeleteResponse, error) {
	defer e.enter()()
	delete(e.images, ref)
	return nil, nil
}

func (e *fakeEngine) ContainerCreate(_ context.Context, config *container.Config, _ *container.HostConfig, _ *network.NetworkingConfig, _ *ocispec.Platform, name string) (container.CreateResponse, error) {
	defer e.enter()()
	if e.containers[name] != nil {
		return container.CreateResponse{}, cerrdefs.ErrConflict
	}
	e.count++
	id := strings.Repeat("c", e.count)
	e.containers[name] = &container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: id, Name: "/" + name, State: &container.State{}}, Config: config,
	}
	return container.CreateResponse{ID: id}, nil
}

// ContainerList is asked for far ends, which there are none of.
func (e *fakeEngine) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	defer e.enter()()
	return nil, nil
}

func (e *fakeEngine) ContainerInspect(_ context.Context, id string) (container.InspectResponse, error) {
	defer e.enter()()
	c, err := e.find(id)
	if err != nil {
		return container.InspectResponse{}, err
	}
	base, state := *c.ContainerJSONBase, *c.State
	base.State = &state
	return container.InspectResponse{ContainerJSONBase: &base, Config: c.Config}, nil
}

func (e *fakeEngine) ContainerStart(_ context.Context, id string, _ container.StartOptions) error {
	defer e.enter()()
	c, err := e.find(id)
	if err == nil && e.broken != "" && c.Config.Labels[labelSocket] == e.broken {
		return cerrdefs.ErrInvalidArgument
	}
	if err == nil {
		c.State.Running = true
	}
	return err
}

func (e *fakeEngine) ContainerStop(_ context.Context, id string, _ container.StopOptions) error {
	time.Sleep(20 * time.Second) // what it is at comes to an end
	defer e.enter()()
	c, err := e.find(id)
	if err == nil {
		c.State.Running = false
	}
	return err
}

func (e *fakeEngine) ContainerRename(_ context.Context, id, name string) error {
	defer e.enter()()
	c, err := e.find(id)
	if err != nil {
		return err
	}
	if e.containers[name] != nil {
		return cerrdefs.ErrConflict
	}
	delete(e.containers, strings.TrimPrefix(c.Name, "/"))
	c.Name, e.containers[name] = "/"+name, c
	return nil
}

func (e *fakeEngine) ContainerRemove(_ context.Context, id string, _ container.RemoveOptions) error {
	defer e.enter()()
	c, err := e.find(id)
	if err == nil {
		delete(e.containers, strings.TrimPrefix(c.Name, "/"))
	}
	return err
}

// ready is what the helper answers.
func (e *fakeEngine) ready(context.Context) error {
	defer e.enter()()
	if c := e.containers[dial.Volume]; c == nil || !c.State.Running {
		return cerrdefs.ErrUnavailable
	}
	return nil
}

// options are those of a plugin whose helper's program has a digest.
func (e *fakeEngine) options(user, digest string) Options {
	return Options{
		User: user, Version: digest, Socket: "/run/docker.sock", Settings: map[string]string{}, Ready: e.ready, Report: func(string) {},
		Binary: func(string) (Binary, error) {
			return Binary{ReadCloser: io.NopCloser(strings.NewReader("program")), Size: 7, Digest: digest}, nil
		},
	}
}

// check wants the one helper of an image, which runs, and nothing beside it.
func (e *fakeEngine) check(t *testing.T, digest string, settings map[string]string) {
	t.Helper()
	c := e.containers[dial.Volume]
	if len(e.containers) != 1 || c == nil || !c.State.Running || c.Config.Image != repository+":"+digest {
		t.Fatalf("the containers are %v", e.containers)
	}
	got := map[string]string{}
	if err := json.Unmarshal([]byte(c.Config.Labels[labelSettings]), &got); err != nil || !maps.Equal(got, settings) {
		t.Errorf("its settings are %v, want %v: %v", got, settings, err)
	}
	if len(e.volumes) != 1 || len(e.images) != 1 {
		t.Errorf("left are volumes %v and images %v", e.volumes, e.images)
	}
}
