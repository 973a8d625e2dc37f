package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// Tidier is what is asked of the engine to tidy up after a snapshot.
type Tidier interface {
	session.Lister
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
	ContainerUnpause(ctx context.Context, container string) error
	ContainerRemove(ctx context.Context, container string, options container.RemoveOptions) error
	Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error)
	ImageInspect(ctx context.Context, image string, opts ...client.ImageInspectOption) (image.InspectResponse, error)
	ImageRemove(ctx context.Context, image string, options image.RemoveOptions) ([]image.DeleteResponse, error)
}

// TidyOptions say how far Tidy goes.
type TidyOptions struct {
	// Patience is how long a commit that the engine may still be at is waited
	// for.
	Patience time.Duration
	// Committing is set when the engine was committing as the snapshot died, and
	// is one that goes on with a commit nobody waits for.
	Committing bool
	// Report receives a line for each thing done; nil discards them.
	Report func(string)
}

// Tidy removes what a snapshot has left that did not come to its end: its
// temporary container and images. A session that the engine paused for it is
// resumed. An image that has its name stays.
func Tidy(ctx context.Context, api Tidier, dead lock.Holder, o TidyOptions) error {
	if o.Report == nil {
		o.Report = func(string) {}
	}
	if err := resume(ctx, api, dead, o); err != nil {
		return err
	}
	own := filters.NewArgs(filters.Arg("label", LabelSnapshot+".id="+dead.Run))
	containers, err := api.ContainerList(ctx, container.ListOptions{All: true, Filters: own})
	if err != nil {
		return fmt.Errorf("look for what a snapshot left: %w", err)
	}
	for _, c := range containers {
		// A session launched from the image carries its labels too.
		if !slices.Contains(c.Names, "/"+helperName(dead.Run)) {
			continue
		}
		err := api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !cerrdefs.IsNotFound(err) {
			return fmt.Errorf("remove the temporary container %s: %w", c.ID, err)
		}
		o.Report("removed a temporary container")
	}
	return removeImages(ctx, api, dead, own, o)
}

func removeImages(ctx context.Context, api Tidier, dead lock.Holder, own filters.Args, o TidyOptions) error {
	remove := func(id string) error {
		_, err := api.ImageRemove(ctx, id, image.RemoveOptions{PruneChildren: false})
		if err != nil && !cerrdefs.IsNotFound(err) {
			return fmt.Errorf("remove the temporary image %s: %w; remove it with `docker rmi %s`", id, err, id)
		}
		return nil
	}
	if err := remove(carrier + ":" + dead.Run); err != nil {
		return err
	}
	own.Add("dangling", "true")
	for {
		images, err := api.ImageList(ctx, image.ListOptions{Filters: own})
		if err != nil {
			return fmt.Errorf("look for what a snapshot left: %w", err)
		}
		var errs []error
		for _, img := range images {
			errs = append(errs, remove(img.ID))
		}
		if err := errors.Join(errs...); err != nil || len(images) == 0 {
			return err
		}
		o.Report("removed a temporary image")
		// One that was the parent of another is listed only now.
	}
}

// resume waits for the commit of a dead snapshot to end, which engines do not
// all give up, and resumes the session if it was running before and is not.
func resume(ctx context.Context, api Tidier, dead lock.Holder, o TidyOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var commits <-chan events.Message
	var failed <-chan error
	if o.Committing {
		commits, failed = api.Events(ctx, events.ListOptions{
			Since: strconv.FormatInt(dead.Since.Unix(), 10),
			Filters: filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)),
				filters.Arg("container", dead.Key), filters.Arg("event", string(events.ActionCommit))),
		})
	}
	deadline := time.NewTimer(o.Patience)
	defer deadline.Stop()
	ticker := time.NewTicker(time.Second / 4)
	defer ticker.Stop()
	told := false
	for {
		c, err := api.ContainerInspect(ctx, dead.Key)
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("inspect the session of a snapshot that was killed: %w", err)
		}
		paused := c.State != nil && c.State.Paused && dead.Note == string(session.Running)
		if !paused && !o.Committing {
			return nil
		}
		if paused && !told {
			told = true
			o.Report("the engine is still writing an image: waiting for it")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return fmt.Errorf("follow a commit on the engine: %w", err)
		case m := <-commits:
			if img, err := api.ImageInspect(ctx, m.Actor.Attributes["imageID"]); err == nil && img.Config != nil && img.Config.Labels[LabelSnapshot+".id"] == dead.Run {
				o.Committing = false
			}
		case <-ticker.C:
		case <-deadline.C:
			if !paused {
				return nil
			}
			if err := api.ContainerUnpause(ctx, dead.Key); err != nil {
				return fmt.Errorf("resume the session of a snapshot that was killed: %w; resume it with `docker unpause %s`", err, dead.Key)
			}
			o.Report("resumed the session")
			return nil
		}
	}
}
