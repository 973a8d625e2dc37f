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
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// commit has the engine write the session's files as an untagged image. The
// engine pauses a running session meanwhile and resumes it itself, so that it
// goes on even if this process is killed.
func (j *job) commit(ctx context.Context) error {
	if !j.plan.exported {
		err := j.commitSession(ctx)
		switch {
		case err == nil:
			return j.shape(ctx)
		case ctx.Err() != nil, engine.ConnectionLost(err), j.plan.layers <= maxLayers:
			return err
		case !j.req.Flatten:
			return fmt.Errorf("%w; it would have %d layers: make one of them with --flatten", err, j.plan.layers)
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

	id, err := j.requestCommit(ctx, j.plan.session.ID, pause, container.CommitOptions{
		Comment: j.req.Message, Author: j.req.Author, Changes: j.req.Changes.Lines(), Pause: !j.req.NoPause, Config: &j.plan.base,
	})
	j.replace(id)
	if engine.ConnectionLost(err) {
		// Whether the session runs again is seen to once the engine answers.
		return err
	}
	if stillErr := j.ensureRunning(ctx, pause); stillErr != nil {
		return stillErr
	}
	if err != nil {
		return err
	}
	if still, ok := watch.result(); ok {
		j.result.StoodStill = still
		j.info("the session stood still for %s", still.Round(time.Millisecond))
	}
	return nil
}

// willPause tells whether the engine will pause the session. It is asked only
// now, under the lock: another snapshot may have held the session still before.
func (j *job) willPause(ctx context.Context) (bool, error) {
	c, err := j.API.ContainerInspect(ctx, j.plan.session.ID)
	if err != nil {
		return false, fmt.Errorf("inspect session %q: %w", j.plan.session.Name, err)
	}
	return !j.req.NoPause && c.State != nil && c.State.Running && !c.State.Paused, nil
}

// requestCommit returns the new image's id. Engines with a graphdriver finish
// a commit whose client went away: after an interrupt their answer is awaited,
// so that the image can be found and removed. pause tells that the container
// stands still meanwhile.
func (j *job) requestCommit(ctx context.Context, of string, pause bool, options container.CommitOptions) (string, error) {
	type answer struct {
		id  string
		err error
	}
	callCtx := ctx
	if j.plan.engine.Store == engine.Graphdriver {
		callCtx = context.WithoutCancel(ctx)
	}
	if j.plan.engine.Store == engine.Graphdriver {
		kind := committing
		if pause {
			kind = pausing
		}
		if err := j.noteCommit(ctx, kind); err != nil {
			return "", err
		}
		defer func() {
			if !j.unanswered {
				// Should this fail, only a dead snapshot's commit is waited for in vain.
				_ = j.noteCommit(context.WithoutCancel(ctx), "")
			}
		}()
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
		j.info("interrupted: waiting for the engine to end the commit, so that nothing is left behind")
		got = <-done
	}
	if ctx.Err() != nil {
		return got.id, ctx.Err()
	}
	if got.err != nil {
		if engine.ConnectionLost(got.err) {
			j.unanswered = j.plan.engine.Store == engine.Graphdriver
			return got.id, fmt.Errorf("commit session %q: the connection to the engine was lost: %w", j.plan.session.Name, got.err)
		}
		return got.id, fmt.Errorf("commit session %q: %w", j.plan.session.Name, got.err)
	}
	return got.id, nil
}

// ensureRunning makes sure that a session which was running is so again, for
// another client's pause or commit may have crossed ours.
func (j *job) ensureRunning(ctx context.Context, paused bool) error {
	if !paused {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	name := j.plan.session.Name
	c, err := j.API.ContainerInspect(ctx, j.plan.session.ID)
	if cerrdefs.IsNotFound(err) {
		return nil // deleted meanwhile: there is nothing to resume
	}
	if err != nil {
		return fmt.Errorf("check that session %q runs again: %w", name, err)
	}
	if c.State == nil || !c.State.Paused {
		return nil
	}
	if err := j.API.ContainerUnpause(ctx, j.plan.session.ID); err != nil {
		return fmt.Errorf("session %q is still paused and could not be resumed: %w; resume it with `docker kasm start %s`", name, err, name)
	}
	return nil
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
