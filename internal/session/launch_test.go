package session

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func TestKasmImagesGetATmpfsUnlessTheWorkspaceSpeaksOfTmp(t *testing.T) {
	const added = "/tmp:mode=1777,exec"
	kasm := map[string]string{labelKasmImage: "true"}
	for name, c := range map[string]struct {
		run    workspace.Run
		labels map[string]string
		want   []string
	}{
		"nothing said":           {workspace.Run{}, kasm, []string{added}},
		"no Kasm image":          {workspace.Run{}, map[string]string{labelKasmImage: "false"}, nil},
		"no labels":              {workspace.Run{}, nil, nil},
		"another tmpfs":          {workspace.Run{Tmpfs: []string{"/scratch"}}, kasm, []string{"/scratch", added}},
		"none at all":            {workspace.Run{Tmpfs: []string{}}, kasm, []string{}},
		"its own":                {workspace.Run{Tmpfs: []string{"/tmp"}}, kasm, []string{"/tmp"}},
		"its own, with options":  {workspace.Run{Tmpfs: []string{"/tmp/:size=1m"}}, kasm, []string{"/tmp/:size=1m"}},
		"a named volume":         {workspace.Run{Volumes: []string{"scratch:/tmp"}}, kasm, nil},
		"a bind":                 {workspace.Run{Volumes: []string{"/srv/tmp:/tmp/:ro"}}, kasm, nil},
		"a bind from a drive":    {workspace.Run{Volumes: []string{`C:\tmp:/tmp`}}, kasm, nil},
		"an anonymous volume":    {workspace.Run{Volumes: []string{"/tmp"}}, kasm, nil},
		"a bind of the host's":   {workspace.Run{Volumes: []string{"/tmp:/host-tmp"}}, kasm, []string{added}},
		"a volume further below": {workspace.Run{Volumes: []string{"x:/tmp/.X11-unix"}}, kasm, []string{added}},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(c.run.Tmpfs)
			got := WithTmp(c.run, c.labels)
			if !slices.Equal(got.Tmpfs, c.want) || (got.Tmpfs == nil) != (c.want == nil) {
				t.Errorf("got %q, want %q", got.Tmpfs, c.want)
			}
			if again := WithTmp(got, c.labels); !slices.Equal(again.Tmpfs, got.Tmpfs) {
				t.Errorf("a second time gives %q", again.Tmpfs)
			}
			if !slices.Equal(c.run.Tmpfs, before) {
				t.Errorf("the workspace's own list became %q", c.run.Tmpfs)
			}
		})
	}
}

// launcher is an engine with one image, that makes containers as engines do: with all
// labels of the image that are not given.
type launcher struct {
	Launcher
	labels map[string]string
	made   container.Summary
}

func (l *launcher) ImageInspect(context.Context, string, ...client.ImageInspectOption) (image.InspectResponse, error) {
	data, err := json.Marshal(map[string]any{"Id": "sha256:image", "Config": map[string]any{"Labels": l.labels}})
	if err != nil {
		return image.InspectResponse{}, err
	}
	var img image.InspectResponse
	return img, json.Unmarshal(data, &img)
}

func (l *launcher) ContainerCreate(_ context.Context, config *container.Config, _ *container.HostConfig, _ *network.NetworkingConfig, _ *ocispec.Platform, name string) (container.CreateResponse, error) {
	labels := maps.Clone(l.labels)
	maps.Copy(labels, config.Labels)
	l.made = container.Summary{ID: "made", Names: []string{"/" + name}, ImageID: "sha256:image", Labels: labels, State: container.StateRunning}
	return container.CreateResponse{ID: l.made.ID}, nil
}

func (*launcher) ContainerStart(context.Context, string, container.StartOptions) error { return nil }

func (l *launcher) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return []container.Summary{l.made}, nil
}

func TestALaunchInheritsNothingOfTheSessionThatItsImageWasMadeOf(t *testing.T) {
	api := &launcher{labels: map[string]string{
		LabelSession: "0123456789abcdef", LabelName: "old", LabelWorkspace: "old", LabelScope: ScopeEngine, LabelUser: "alice",
		LabelExpires: "2024-05-06T07:08:09Z", LabelRemove: "true", LabelOpen: "https://localhost:{6901}/", "maintainer": "bob",
	}}
	ws := &workspace.Workspace{Name: "w", Type: workspace.TypeContainer, Image: "committed", Enabled: true}
	launched, err := Launch(t.Context(), api, ws, LaunchOptions{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	s := launched.Session
	if s.Remove || s.Scope != "" || s.User != "" || s.Open != "" || !s.Expires.IsZero() {
		t.Errorf("inherited of another session: %+v", s)
	}
	if s.Kind != Managed || s.Workspace != "w" || s.Labels["maintainer"] != "bob" {
		t.Errorf("not as launched: %+v", s)
	}
}
