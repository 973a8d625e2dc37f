// Package availability tells whether the images of workspaces can be launched.
package availability

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// State says whether a workspace can be launched now.
type State string

const (
	// Available means: the engine has the image; of a snapshot, the very one made.
	Available State = "available"
	// Outdated means: the engine has an image of that name, and the registry has
	// another one for the same tag. It can be launched. Only a [Watcher] tells.
	Outdated State = "outdated"
	// Pulling means: the image is being pulled. ImageID is set if there is one on
	// the engine meanwhile, that can be launched. Only a [Watcher] tells.
	Pulling State = "pulling"
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
			mu.Lock() // requests for those before may be answered already
			out[ws.Name] = status
			mu.Unlock()
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			remote := remoteStatus(ctx, api, auth, ws, status)
			mu.Lock()
			defer mu.Unlock()
			out[ws.Name] = remote
		})
	}
	wg.Wait()
	return out, ctx.Err()
}
