package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/dial"
)

// former is the name of the container that an upgrade takes the place of, until
// the new one answers.
const former = dial.Volume + "-former"

// Upgrade puts this plugin's helper in the place of the one that is there, with
// its data and its settings but for those that are given. Should the new one not
// come up, the former is put back. It returns whether there was something to do.
// Of several at once, each waits for the one before it.
func Upgrade(ctx context.Context, api API, o Options) (bool, error) {
	return inTurn(ctx, api, o.User, o.Report, func(ctx context.Context) (bool, error) { return upgrade(ctx, api, o) })
}

func upgrade(ctx context.Context, api API, o Options) (bool, error) {
	state, err := Look(ctx, api)
	if err != nil {
		return false, err
	}
	if state.Container == nil && state.Kind != dial.Service {
		// One that an upgrade has put aside which was killed.
		if err := api.ContainerRename(ctx, former, dial.Volume); err != nil && !cerrdefs.IsNotFound(err) {
			return false, fmt.Errorf("take up the former helper: %w", err)
		}
		if state, err = Look(ctx, api); err != nil {
			return false, err
		}
	}
	switch {
	case state.Kind == dial.Service:
		return false, ErrService
	case state.Container == nil && state.Kind == "":
		return false, dial.ErrNone
	case state.Container == nil:
		return install(ctx, api, o)
	}
	now := state.Container.Config
	if o.Socket == "" {
		o.Socket = now.Labels[labelSocket]
	}
	kept := settings(now)
	maps.Copy(kept, o.Settings)
	o.Settings = kept
	// The image is sent before the helper is stopped: that can take long.
	info, err := api.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("ask the engine for its platform: %w", err)
	}
	ref, err := ensureImage(ctx, api, o, info)
	if err != nil {
		return false, err
	}
	if now.Image == ref && now.Labels[labelSocket] == o.Socket && maps.Equal(settings(now), o.Settings) {
		return install(ctx, api, o)
	}
	// From here on it is seen through, so that there is a helper at its end.
	return replace(context.WithoutCancel(ctx), api, o, state.Container.ID, ref)
}

// settings are those that a helper was set up with.
func settings(c *container.Config) map[string]string {
	out := map[string]string{}
	// One that cannot be read has none that could be kept.
	_ = json.Unmarshal([]byte(c.Labels[labelSettings]), &out)
	return out
}

// replace puts a new helper in the place of the container old.
func replace(ctx context.Context, api API, o Options, old, ref string) (bool, error) {
	back := func(err error) (bool, error) {
		return false, errors.Join(err, putBack(ctx, api, o, old))
	}
	if err := remove(ctx, api, former); err != nil {
		return false, err
	}
	if err := api.ContainerStop(ctx, old, container.StopOptions{}); err != nil {
		return back(fmt.Errorf("stop the helper: %w", err))
	}
	if err := api.ContainerRename(ctx, old, former); err != nil {
		return back(fmt.Errorf("put the helper's container aside: %w", err))
	}
	made, err := create(ctx, api, o, dial.Volume)
	if err != nil {
		return back(err)
	}
	if made == "" {
		// Not by a command that takes turns: it is theirs to see that it runs.
		return false, errors.New("container " + dial.Volume + " was made by somebody else meanwhile: look at `docker kasm helper status`, and upgrade again")
	}
	if err := start(ctx, api, o); err != nil {
		return back(errors.Join(err, remove(ctx, api, made)))
	}
	err = remove(ctx, api, old)
	_, left := removeImages(ctx, api, ref)
	return true, errors.Join(err, left)
}

// putBack lets the former helper go on.
func putBack(ctx context.Context, api API, o Options, old string) error {
	c, err := api.ContainerInspect(ctx, old)
	if err != nil {
		return fmt.Errorf("go on with the former helper: %w", err)
	}
	if c.Name != "/"+dial.Volume {
		if err := api.ContainerRename(ctx, old, dial.Volume); err != nil {
			return fmt.Errorf("go on with the former helper: %w", err)
		}
	}
	if err := start(ctx, api, o); err != nil {
		return fmt.Errorf("go on with the former helper: %w", err)
	}
	o.Report("the former helper goes on")
	return nil
}
