package availability

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/opencontainers/go-digest"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// shop is an engine with two images and registries that answer by name.
type shop struct{}

const id1, id2 = "sha256:1111111111111111111111111111111111111111111111111111111111111111", "sha256:2222222222222222222222222222222222222222222222222222222222222222"

func (shop) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return []image.Summary{
		{ID: id1, RepoTags: []string{"firefox:latest", "quay.io/me/x:1"}, RepoDigests: []string{"quay.io/me/x@" + id2}, Created: 1700000000, Size: 5},
		{ID: id2, RepoTags: []string{"<none>:<none>"}},
	}, nil
}

func (shop) DistributionInspect(_ context.Context, ref, _ string) (registry.DistributionInspect, error) {
	found := registry.DistributionInspect{}
	found.Descriptor.Digest = digest.Digest(id2)
	switch {
	case strings.Contains(ref, "there"):
		return found, nil
	case strings.Contains(ref, "closed"):
		return found, errors.New("no basic auth credentials")
	case strings.Contains(ref, "down"):
		return found, errors.New("connection refused")
	}
	return found, fmt.Errorf("manifest unknown: %w", cerrdefs.ErrNotFound)
}

func TestCheck(t *testing.T) {
	snapshot := func(id, digest string) *workspace.Snapshot { return &workspace.Snapshot{ImageID: id, Digest: digest} }
	for name, c := range map[string]struct {
		ws     workspace.Workspace
		want   State
		reason string
	}{
		"by name":                           {workspace.Workspace{Image: "firefox"}, Available, ""},
		"by full name":                      {workspace.Workspace{Image: "docker.io/library/firefox:latest"}, Available, ""},
		"by digest":                         {workspace.Workspace{Image: "quay.io/me/x@" + id2}, Available, ""},
		"by id":                             {workspace.Workspace{Image: id2}, Available, ""},
		"an id that is not there":           {workspace.Workspace{Image: strings.ReplaceAll(id2, "2", "3")}, Missing, "not on this engine"},
		"the very image of the snapshot":    {workspace.Workspace{Image: "firefox", Snapshot: snapshot(id1, "")}, Available, ""},
		"a snapshot whose name was moved":   {workspace.Workspace{Image: "firefox", Snapshot: snapshot(id2, "")}, Missing, "the name belongs to another image on this engine"},
		"in the registry":                   {workspace.Workspace{Image: "there/x"}, Pullable, "not on this engine"},
		"the snapshot's digest in registry": {workspace.Workspace{Image: "there/x", Snapshot: snapshot(id1, id2)}, Pullable, ""},
		"another digest in the registry":    {workspace.Workspace{Image: "there/x", Snapshot: snapshot(id1, id1)}, Missing, "another image in registry docker.io"},
		"nowhere":                           {workspace.Workspace{Image: "gone/x"}, Missing, "nor in registry docker.io"},
		"no access":                         {workspace.Workspace{Image: "closed.example/x"}, Unknown, "docker login closed.example"},
		"registry down":                     {workspace.Workspace{Image: "down.example/x"}, Unknown, "registry down.example cannot be reached"},
		"a server":                          {workspace.Workspace{Type: workspace.TypeServer, URL: "rdp://x"}, Available, ""},
		"credentials that cannot be read":   {workspace.Workspace{Image: "locked.example/x"}, Unknown, "no credentials for locked.example: locked"},
	} {
		t.Run(name, func(t *testing.T) {
			ws := c.ws
			ws.Name = "w"
			if ws.Type == "" {
				ws.Type = workspace.TypeContainer
			}
			auth := func(ref string) (string, error) {
				if strings.HasPrefix(ref, "locked") {
					return "", errors.New("locked")
				}
				return "", nil
			}
			got, err := Check(t.Context(), shop{}, auth, []*workspace.Workspace{&ws})
			if err != nil {
				t.Fatal(err)
			}
			if got["w"].State != c.want || !strings.Contains(got["w"].Reason, c.reason) {
				t.Errorf("got %s (%s), want %s (%s)", got["w"].State, got["w"].Reason, c.want, c.reason)
			}
		})
	}
}

func TestCheckOfManyWorkspaces(t *testing.T) {
	// Decided and undecided ones alternate: answers of registries arrive while
	// the list is still gone through.
	var list []*workspace.Workspace
	for i := range 2000 {
		list = append(list, &workspace.Workspace{Name: fmt.Sprint(i), Type: workspace.TypeContainer, Image: []string{"firefox", "there/x"}[i%2]})
	}
	auth := func(string) (string, error) { return "", nil }
	got, err := Check(t.Context(), shop{}, auth, list)
	if err != nil || len(got) != len(list) {
		t.Fatalf("got %d states and %v, want %d", len(got), err, len(list))
	}
	for i, ws := range list {
		if want := []State{Available, Pullable}[i%2]; got[ws.Name].State != want {
			t.Errorf("%s is %s, want %s", ws.Image, got[ws.Name].State, want)
		}
	}
}
