package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// Tidier is what is asked of the engine to tidy up after a snapshot.
type Tidier interface {
	session.Lister
	engine.InfoClient
	ContainerInspect(ctx context.Context, container string) (container.InspectResponse, error)
	ContainerUnpause(ctx context.Context, container string) error
	ContainerRemove(ctx context.Context, container string, options container.RemoveOptions) error
	Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error)
	ImageInspect(ctx context.Context, image string, opts ...client.ImageInspectOption) (image.InspectResponse, error)
	ImageRemove(ctx context.Context, image string, options image.RemoveOptions) ([]image.DeleteResponse, error)
	ImageTag(ctx context.Context, image, ref string) error
}

// TidyOptions say how far Tidy goes.
type TidyOptions struct {
	// Patience is how long a commit that the engine may still be at is waited
	// for.
	Patience time.Duration
	// Unseen is how long one is waited for that does not show, as the session
	// does not stand still for it, on top of the time that its size takes.
	Unseen time.Duration
	// Late is how long after the snapshot's death the engine may still carry out
	// a request of it; 0 if it had answered all.
	Late time.Duration
	// Sure fails where it cannot be told whether the engine is still at a commit;
	// without it what has not come by then is left.
	Sure bool
	// Report receives a line for each thing done; nil discards them.
	Report func(string)
}

// Late is TidyOptions.Late for a snapshot that was killed: ample time for an
// engine to load a configuration, or remove an image.
const Late = 2 * time.Second

// Tidy removes what a snapshot has left that did not come to its end: its
// temporary container and images. A session that was paused for it is resumed.
// An image that has its name stays.
func Tidy(ctx context.Context, api Tidier, dead lock.Holder, o TidyOptions) error {
	if o.Report == nil {
		o.Report = func(string) {}
	}
	unsure := resume(ctx, api, dead, o)
	if unsure != nil && (!errors.Is(unsure, errUnsure) || o.Sure) {
		return unsure
	}
	end := time.Now().Add(busy)
	for again := false; ; again = true {
		err := sweep(ctx, api, dead, o)
		switch {
		case o.Late == 0, engine.ConnectionLost(err):
			return err
		case err == nil && again, err != nil && time.Now().After(end):
			return err
		}
		timer := time.NewTimer(o.Late)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		case <-timer.C:
		}
	}
}

// busy is how long an engine may refuse to remove what a dead snapshot's last
// request still uses.
const busy = time.Minute

// sweep removes the containers and images of a dead snapshot that are there.
func sweep(ctx context.Context, api Tidier, dead lock.Holder, o TidyOptions) error {
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
	// What is left beside an image that has its name is somebody's who made it
	// of that one: images inherit labels.
	all, err := api.ImageList(ctx, image.ListOptions{Filters: own})
	if err != nil {
		return fmt.Errorf("look for what a snapshot left: %w", err)
	}
	own.Add("dangling", "true")
	if slices.ContainsFunc(all, named) {
		return removeDangling(ctx, api, own, all, carrier+":"+dead.Run, remove)
	}
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

// removeDangling removes the entries without a name of images that have one. A
// containerd store keeps both where whoever asked for the name was gone before the
// image had it: the next name takes that entry's place.
func removeDangling(ctx context.Context, api Tidier, own filters.Args, all []image.Summary, ref string, remove func(string) error) error {
	images, err := api.ImageList(ctx, image.ListOptions{Filters: own})
	if err != nil {
		return fmt.Errorf("look for what a snapshot left: %w", err)
	}
	for _, img := range images {
		if !slices.ContainsFunc(all, func(other image.Summary) bool { return other.ID == img.ID && named(other) }) {
			continue
		}
		if err := api.ImageTag(ctx, img.ID, ref); err != nil {
			return fmt.Errorf("tidy up the names of image %s: %w", img.ID, err)
		}
		if err := remove(ref); err != nil {
			return err
		}
	}
	return nil
}

func named(img image.Summary) bool {
	return slices.ContainsFunc(img.RepoTags, func(tag string) bool { return tag != "<none>:<none>" })
}

// resume waits for the commit of a dead snapshot to end, which engines do not
// all give up, and sees to it that the session runs again which was held still
// for it. One that somebody else has paused since stays so.
func resume(ctx context.Context, api Tidier, dead lock.Holder, o TidyOptions) error {
	n := parseNote(dead.Note)
	if !n.pausing && !n.committing && !n.holding {
		return nil
	}
	c, err := api.ContainerInspect(ctx, dead.Key)
	if cerrdefs.IsNotFound(err) || err == nil && startedSince(c.State, dead.Since) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("inspect the session of a snapshot that was killed: %w", err)
	}
	if n.holding {
		if err := unpauseAfter(ctx, api, dead, o); err != nil {
			return err
		}
	}
	if !n.pausing && !n.committing {
		return nil
	}
	if restarted, err := restartedSince(ctx, api, dead); err != nil || restarted {
		return err
	}
	return awaitCommit(ctx, api, dead, n, o)
}

// eventsKept is how many events an engine keeps, in memory (moby
// daemon/events/events.go).
const eventsKept = 256

// restartedSince tells whether the engine was started after a lock was last
// renewed: it is at no commit of that time any longer, and knows nothing any more
// of how the lock's volume was made.
func restartedSince(ctx context.Context, api Tidier, dead lock.Holder) (bool, error) {
	now, err := engineTime(ctx, api)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, ended := api.Events(ctx, events.ListOptions{Since: strconv.FormatInt(dead.Since.Unix(), 10), Until: now})
	for count := 0; ; {
		select {
		case m := <-messages:
			if m.Type == events.VolumeEventType && m.Action == events.ActionCreate && m.Actor.ID == dead.Volume() {
				return false, nil
			}
			count++
		case err := <-ended:
			if !errors.Is(err, io.EOF) {
				return false, fmt.Errorf("ask the engine what it has done: %w", err)
			}
			// Of more than it keeps, it has forgotten some.
			return count < eventsKept, nil
		}
	}
}

// startedSince tells whether a container was started after a lock was last
// renewed, whose time is cut to seconds: what was noted there is of the past.
func startedSince(s *container.State, renewed time.Time) bool {
	if s == nil {
		return false
	}
	started, err := time.Parse(time.RFC3339Nano, s.StartedAt)
	return err == nil && started.After(renewed.Add(time.Second))
}

// errUnsure says that an engine may still be at a commit that shows in nothing.
var errUnsure = errors.New("the engine may still be at the commit")

func awaitCommit(ctx context.Context, api Tidier, dead lock.Holder, n note, o TidyOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Not only the session is committed: so is the container for its mounts.
	messages, failed := api.Events(ctx, events.ListOptions{
		Since: strconv.FormatInt(dead.Since.Unix(), 10),
		Filters: filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)),
			filters.Arg("event", string(events.ActionCommit)), filters.Arg("event", string(events.ActionUnPause))),
	})
	o.Unseen += n.within
	if n.pausing {
		// One that the session stands still for shows by that.
		o.Unseen = Late
	}
	deadline, unseen := time.NewTimer(o.Patience+n.within), time.NewTimer(o.Unseen)
	defer deadline.Stop()
	defer unseen.Stop()
	ticker := time.NewTicker(time.Second / 4)
	defer ticker.Stop()
	// standing is set until the engine has resumed the session, atCommit while it
	// may be at the commit without that being seen.
	standing, atCommit, told := n.pausing, true, false
	for {
		c, err := api.ContainerInspect(ctx, dead.Key)
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("inspect the session of a snapshot that was killed: %w", err)
		}
		if c.State != nil && !c.State.Running && (n.state == session.Running || n.state == session.Paused) {
			// An engine that was started again stops its containers, and is at
			// no commit any longer.
			atCommit = false
		}
		paused := standing && c.State != nil && c.State.Paused
		if !paused && !atCommit {
			return nil
		}
		if !told {
			told = true
			o.Report("the engine is still writing an image: waiting for it")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return fmt.Errorf("follow a commit on the engine: %w", err)
		case m := <-messages:
			switch {
			case m.Action == events.ActionUnPause && m.Actor.ID == dead.Key && n.pausing && m.Time > dead.Since.Unix():
				// The engine does so once its commit has ended.
				standing, atCommit = false, false
			case m.Action == events.ActionCommit && made(ctx, api, m, dead.Run):
				atCommit = false
			}
		case <-unseen.C:
			if !n.pausing {
				return errUnsure
			}
			atCommit = false
		case <-ticker.C:
		case <-deadline.C:
			if paused {
				if err := unpauseAfter(ctx, api, dead, o); err != nil {
					return err
				}
			}
			return errUnsure
		}
	}
}

// made tells whether a commit is that of a run.
func made(ctx context.Context, api Tidier, commit events.Message, run string) bool {
	img, err := api.ImageInspect(ctx, commit.Actor.Attributes["imageID"])
	return err == nil && img.Config != nil && img.Config.Labels[LabelSnapshot+".id"] == run
}

// unpauseAfter resumes the session of a dead snapshot if it stands still.
func unpauseAfter(ctx context.Context, api Tidier, dead lock.Holder, o TidyOptions) error {
	resumed, err := unpause(ctx, api, dead.Key)
	if err != nil {
		return fmt.Errorf("resume the session of a snapshot that was killed: %w; resume it with `docker unpause %s`", err, dead.Key)
	}
	if resumed {
		o.Report("resumed the session")
	}
	return nil
}
