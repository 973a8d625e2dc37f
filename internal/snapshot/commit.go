package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// commit has the engine write the session's files as an untagged image. The
// engine pauses a running session meanwhile and resumes it itself, so that it
// goes on even if this process is killed; one that is to be deleted is held
// still until it is.
func (j *job) commit(ctx context.Context) error {
	if j.req.Delete {
		if err := j.hold(ctx); err != nil {
			return err
		}
	}
	if !j.plan.exported {
		err := j.commitSession(ctx)
		switch {
		case err == nil:
			return j.shape(ctx)
		case ctx.Err() != nil, engine.ConnectionLost(err), j.plan.layers <= maxLayers:
			return err
		case !j.req.Flatten:
			return fmt.Errorf("%w; it would have %d layers: `docker kasm commit --flatten` makes one of them", err, j.plan.layers)
		}
		j.plan.exported = true
	}
	if j.plan.session.State == session.Running {
		j.warn("the engine takes no further layer, so the files were read without holding the session still: pause it first where that matters")
	}
	if err := j.flatten(ctx); err != nil || len(j.plan.mounts) == 0 {
		return err
	}
	if err := j.addMounts(ctx); err != nil {
		return err
	}
	return j.flatten(ctx)
}

// shape gives the committed image the layers that were asked for.
func (j *job) shape(ctx context.Context) error {
	if err := j.readCommitted(ctx); err != nil {
		return err
	}
	if err := j.addMounts(ctx); err != nil {
		return err
	}
	if j.req.Flatten {
		return j.flatten(ctx)
	}
	return nil
}

func (j *job) commitSession(ctx context.Context) error {
	pause, err := j.willPause(ctx)
	if err != nil {
		return err
	}
	watch, err := j.watchPause(ctx, pause)
	if err != nil {
		return err
	}
	defer watch.stop()

	id, err := j.requestCommit(ctx, j.plan.session.ID, j.result.SizeWritten, pause, container.CommitOptions{
		Comment: j.req.Message, Author: j.req.Author, Changes: j.req.Changes.Lines(), Pause: !j.req.NoPause, Config: &j.plan.base,
	})
	j.replace(id)
	if j.unanswered {
		// Whether the session runs again is seen to once the engine answers.
		return err
	}
	if stillErr := j.afterPause(ctx, pause, watch, err == nil); stillErr != nil {
		return stillErr
	}
	return err
}

// afterPause reports how long the session stood still, and makes sure that it
// runs again.
func (j *job) afterPause(ctx context.Context, pause bool, watch pauseWatch, committed bool) error {
	if !pause {
		return nil
	}
	still := watch.result()
	if still.resumed {
		j.result.StoodStill = still.time
		if committed {
			j.info("the session stood still for %s", still.time.Round(time.Millisecond))
		}
		if committed && still.early {
			j.warn("another let the session go on before its files were written: what it wrote meanwhile may be in the image in part")
		}
		return nil // whoever pauses it from here on means it
	}
	if committed && still.known && !still.paused {
		// moby daemon/commit.go goes on where a pause fails.
		j.warn("the engine could not hold the session still: what it wrote meanwhile may be in the image in part")
	}
	if errors.Is(context.Cause(ctx), lock.ErrLost) {
		return nil // another snapshot may hold it still by now
	}
	return j.resume(ctx)
}

// willPause tells whether the engine will pause the session. It is asked again:
// the hook, or the user, may have done something about it.
func (j *job) willPause(ctx context.Context) (bool, error) {
	if err := j.lookAgain(ctx); err != nil {
		return false, err
	}
	return !j.req.NoPause && j.plan.session.State == session.Running, nil
}

// requestCommit returns the new image's id. Engines with a graphdriver finish
// a commit whose client went away: after an interrupt their answer is awaited,
// so that the image can be found and removed. size is how many bytes there are
// to write; pause tells that the engine will hold the session still meanwhile.
func (j *job) requestCommit(ctx context.Context, of string, size int64, pause bool, options container.CommitOptions) (string, error) {
	type answer struct {
		id  string
		err error
	}
	finishes := j.plan.engine.Store == engine.Graphdriver
	callCtx := ctx
	if finishes {
		callCtx = context.WithoutCancel(ctx)
	}
	if pause || finishes {
		if err := j.tell(ctx, func(n *note) {
			n.state, n.pausing, n.committing, n.within = j.plan.session.State, pause, !pause, within(size)
		}); err != nil {
			return "", err
		}
		defer func() {
			if !j.unanswered {
				// Should this fail, only a dead snapshot's commit is waited for in vain.
				_ = j.tell(context.WithoutCancel(ctx), func(n *note) { n.pausing, n.committing, n.within = false, false, 0 })
			}
		}()
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	done := make(chan answer, 1)
	go func() {
		res, err := j.API.ContainerCommit(callCtx, of, options)
		done <- answer{res.ID, err}
	}()
	var got answer
	select {
	case got = <-done:
	case <-ctx.Done():
		j.info("waiting for the engine to end the commit, so that nothing is left behind")
		got = <-done
	}
	j.unanswered = engine.ConnectionLost(got.err)
	if ctx.Err() != nil {
		return got.id, ctx.Err()
	}
	if got.err != nil {
		if j.unanswered {
			return got.id, fmt.Errorf("commit session %q: the connection to the engine was lost: %w", j.plan.session.Name, got.err)
		}
		return got.id, fmt.Errorf("commit session %q: %w", j.plan.session.Name, got.err)
	}
	return got.id, nil
}

// replace makes id the image the next step works on; "" changes nothing. The
// former ones go with dropFormer.
func (j *job) replace(id string) {
	if id == "" || id == j.image {
		return
	}
	if j.image != "" {
		j.former = append(j.former, j.image)
	}
	j.image = id
}

// dropFormer removes the images that another has taken the place of, the newest
// first, as an older one can be its parent.
func (j *job) dropFormer(ctx context.Context) error {
	var errs []error
	for len(j.former) > 0 {
		last := len(j.former) - 1
		if j.former[last] != j.image {
			errs = append(errs, j.removeImage(ctx, j.former[last]))
		}
		j.former = j.former[:last]
	}
	return errors.Join(errs...)
}

// removeImage removes an untagged image of ours and keeps its parents.
func (j *job) removeImage(ctx context.Context, id string) error {
	_, err := j.API.ImageRemove(ctx, id, image.RemoveOptions{PruneChildren: false})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("remove the temporary image %s: %w; remove it with `docker rmi %s`", id, err, id)
	}
	return nil
}

// tidyTimeout bounds what is done after an error or an interrupt.
const tidyTimeout = time.Minute
