// Package availability tells whether the images of workspaces can be launched.
package availability

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// State says whether a workspace can be launched now.
type State string

const (
	// Available means: the engine has the image; of a snapshot, the very one made.
	Available State = "available"
	// Pullable means: only the registry has it.
	Pullable State = "pullable"
	// Missing means: neither engine nor registry have it.
	Missing State = "missing"
	// Unknown means: the registry would not or could not say; Reason tells.
	Unknown State = "unknown"
)

// Status is the availability of one workspace.
type Status struct {
	State State
	// Reason explains a state that is not Available, in a few words.
	Reason string
	// ImageID, Created and Size (in bytes) describe the image on the engine;
	// zero when it is not there.
	ImageID string
	Created time.Time
	Size    int64
}

// API is what is asked of the engine.
type API interface {
	ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error)
	DistributionInspect(ctx context.Context, image, encodedRegistryAuth string) (registry.DistributionInspect, error)
}

const (
	// atOnce bounds the requests to registries under way.
	atOnce = 8
	// patience bounds one of them.
	patience = 15 * time.Second
)

// Check returns the status of each workspace, by its name. It lists the
// engine's images once and asks registries only for what is not among them.
// auth returns the encoded credentials for an image reference.
func Check(ctx context.Context, api API, auth func(ref string) (string, error), list []*workspace.Workspace) (map[string]Status, error) {
	images, err := api.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	local := index(images)
	out := make(map[string]Status, len(list))
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		slots = make(chan struct{}, atOnce)
	)
	for _, ws := range list {
		status, decided := local.status(ws)
		if decided {
			out[ws.Name] = status
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			remote := askRegistry(ctx, api, auth, ws, status)
			mu.Lock()
			defer mu.Unlock()
			out[ws.Name] = remote
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

// images are the engine's images by full reference and by id.
type images struct {
	byName map[string]image.Summary
	byID   map[string]image.Summary
}

func index(list []image.Summary) images {
	idx := images{byName: map[string]image.Summary{}, byID: map[string]image.Summary{}}
	for _, img := range list {
		idx.byID[img.ID] = img
		for _, name := range append(append([]string{}, img.RepoTags...), img.RepoDigests...) {
			if key, ok := fullName(name); ok {
				idx.byName[key] = img
			}
		}
	}
	return idx
}

func fullName(name string) (string, bool) {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", false
	}
	return reference.TagNameOnly(ref).String(), true
}

// status decides what the engine's own images can decide.
func (idx images) status(ws *workspace.Workspace) (Status, bool) {
	if ws.Type != workspace.TypeContainer {
		return Status{State: Available}, true
	}
	img, ok := idx.find(ws.Image)
	if ok && (ws.Snapshot == nil || ws.Snapshot.ImageID == "" || ws.Snapshot.ImageID == img.ID) {
		return Status{State: Available, ImageID: img.ID, Created: time.Unix(img.Created, 0), Size: img.Size}, true
	}
	reason := "not on this engine"
	if ok {
		reason = "the name belongs to another image on this engine"
	}
	if strings.HasPrefix(ws.Image, "sha256:") {
		return Status{State: Missing, Reason: reason}, true
	}
	return Status{State: Missing, Reason: reason}, false
}

func (idx images) find(name string) (image.Summary, bool) {
	if img, ok := idx.byID[name]; ok {
		return img, true
	}
	key, ok := fullName(name)
	if !ok {
		return image.Summary{}, false
	}
	img, ok := idx.byName[key]
	return img, ok
}

func askRegistry(ctx context.Context, api API, auth func(string) (string, error), ws *workspace.Workspace, local Status) Status {
	ref, err := imageref.Parse(ws.Image)
	if err != nil {
		return Status{State: Unknown, Reason: err.Error()}
	}
	host := imageref.Host(ref)
	encoded, err := auth(ws.Image)
	if err != nil {
		return Status{State: Unknown, Reason: fmt.Sprintf("no credentials for %s: %s", host, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := api.DistributionInspect(ctx, reference.TagNameOnly(ref).String(), encoded)
	switch engine.ClassifyRegistryError(err) {
	case engine.Present:
		if s := ws.Snapshot; s != nil && s.Digest != "" && s.Digest != found.Descriptor.Digest.String() {
			return Status{State: Missing, Reason: fmt.Sprintf("the name belongs to another image in registry %s", host)}
		}
		return Status{State: Pullable, Reason: local.Reason}
	case engine.Absent:
		return Status{State: Missing, Reason: fmt.Sprintf("%s, nor in registry %s", local.Reason, host)}
	case engine.Denied:
		return Status{State: Unknown, Reason: fmt.Sprintf("missing, or no access to registry %s: docker login %s", host, host)}
	case engine.Unreachable:
	}
	return Status{State: Unknown, Reason: fmt.Sprintf("registry %s cannot be reached", host)}
}
