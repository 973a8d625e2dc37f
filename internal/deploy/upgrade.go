package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/dial"
)

// former is the name of the container that an upgrade takes the place of, until
// the new one answers.
const former = dial.Volume + "-former"

// Upgrade puts this plugin's helper in the place of the one that is there, with
// its data and its settings but for those that are given. Should the new one not
// come up, the former is put back. It returns whether there was something to do.
func Upgrade(ctx context.Context, api API, o Options) (bool, error) {
	state, err := Look(ctx, api)
	if err != nil {
		return false, err
	}
	switch {
	case state.Kind == dial.Service:
		return false, ErrService
	case state.Container == nil && state.Kind == "":
		return false, dial.ErrNone
	case state.Container == nil:
		return Install(ctx, api, o)
	}
	if o.Socket == "" {
		o.Socket = state.Container.Config.Labels[labelSocket]
	}
	old := state.Container.ID
	// The image is sent before the helper is stopped: that can take long.
	info, err := api.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("ask the engine for its platform: %w", err)
	}
	ref, err := ensureImage(ctx, api, o, info)
	if err != nil {
		return false, err
	}
	if len(o.Args) == 0 {
		o.Args = args(state.Container)
	}
	if now := state.Container.Config; now.Image == ref && now.Labels[labelSocket] == o.Socket && slices.Equal(args(state.Container), o.Args) {
		return Install(ctx, api, o)
	}
	// One of an upgrade that was killed, which is to be had no more.
	if err := remove(ctx, api, former); err != nil {
		return false, err
	}
	if err := api.ContainerStop(ctx, old, container.StopOptions{}); err != nil {
		return false, fmt.Errorf("stop the helper: %w", err)
	}
	// From here on it is seen through, so that there is a helper at its end.
	through := context.WithoutCancel(ctx)
	back := func(err error) (bool, error) {
		return false, errors.Join(err, putBack(through, api, o, old))
	}
	if err := api.ContainerRename(through, old, former); err != nil {
		return back(fmt.Errorf("put the helper's container aside: %w", err))
	}
	made, err := create(through, api, o, dial.Volume)
	if err != nil {
		return back(err)
	}
	if err := start(through, api, o); err != nil {
		if made != "" {
			err = errors.Join(err, remove(through, api, made))
		}
		return back(err)
	}
	return true, errors.Join(remove(through, api, old), removeImages(through, api, ref))
}

// args are the arguments that a helper was given besides the usual ones.
func args(c *container.InspectResponse) []string {
	return c.Config.Cmd[min(len(usual()), len(c.Config.Cmd)):]
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
