package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"

	"github.com/docker-kasm/docker-kasm/internal/engine"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// hold holds a running session still until it is deleted, or the snapshot has
// failed: what it would write to its disk after the commit would be lost.
func (j *job) hold(ctx context.Context) error {
	var err error
	if j.since, err = j.clock.justNow(ctx, j.API); err != nil {
		return err
	}
	if err := j.lookAgain(ctx); err != nil || j.plan.session.State != session.Running {
		return err
	}
	if err := j.tell(ctx, func(n *note) { n.holding = true }); err != nil {
		return err
	}
	// An engine pauses even if nobody waits for it any more.
	err = j.API.ContainerPause(context.WithoutCancel(ctx), j.plan.session.ID)
	if err == nil {
		return nil
	}
	name := j.plan.session.Name
	if !engine.ConnectionLost(err) {
		err = errors.Join(err, j.tell(context.WithoutCancel(ctx), func(n *note) { n.holding = false }))
	}
	return fmt.Errorf("hold session %q still: %w; stop it first with `docker kasm stop %s`", name, err, name)
}

// letGo ends what hold began, where the session was not deleted.
func (j *job) letGo(ctx context.Context) error {
	if j.note.holding && !j.deleted {
		if err := j.resume(ctx); err != nil {
			return err
		}
	}
	return j.unlock()
}

// resume resumes the session if it stands still.
func (j *job) resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	if _, err := unpause(ctx, j.API, j.plan.session.ID); err != nil {
		name := j.plan.session.Name
		return fmt.Errorf("see to it that session %q runs again: %w; resume it with `docker kasm start %s`", name, err, name)
	}
	return nil
}

// unpause resumes a container that stands still, and tells whether it did. One
// that is gone does not.
func unpause(ctx context.Context, api Tidier, id string) (bool, error) {
	paused := func() (bool, error) {
		c, err := api.ContainerInspect(ctx, id)
		if cerrdefs.IsNotFound(err) {
			return false, nil
		}
		return err == nil && c.State != nil && c.State.Paused, err
	}
	if still, err := paused(); err != nil || !still {
		return false, err
	}
	err := api.ContainerUnpause(ctx, id)
	if err != nil {
		// Somebody else may have been faster.
		if still, lookErr := paused(); lookErr == nil && !still {
			return false, nil
		}
	}
	return err == nil, err
}

// delete deletes the session whose image has its name and registration, unless
// somebody has gone on with it since the commit. Its anonymous volumes stay:
// their content is in no image.
func (j *job) delete(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// An engine deletes even if nobody waits for it any more.
	ctx = context.WithoutCancel(ctx)
	p := j.plan
	c, err := j.API.ContainerInspect(ctx, p.session.ID)
	if err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("inspect session %q: %w", p.session.Name, err)
	}
	there := err == nil
	resumed := there && (c.State == nil || c.State.Running && !c.State.Paused || c.State.StartedAt != p.container.State.StartedAt)
	if there && !resumed {
		if resumed, err = j.wasResumed(ctx); err != nil {
			return err
		}
	}
	if resumed {
		return errors.Join(
			fmt.Errorf("session %q was resumed meanwhile: what it holds now is not in the image %s", p.session.Name, j.result.Image),
			j.tell(ctx, func(n *note) { n.holding = false }), // whoever resumed it sees to it
		)
	}
	if err := session.DeleteSession(ctx, j.API, p.session, session.DeleteOptions{KeepVolumes: true}); err != nil {
		return err
	}
	j.deleted = true
	for _, m := range p.container.Mounts {
		if m.Type == mount.TypeVolume && anonymous.MatchString(m.Name) {
			j.result.KeptVolumes = append(j.result.KeptVolumes, m.Name)
			j.info("kept: the content of %s, volume %s; remove it with `docker volume rm %s`", m.Destination, m.Name, m.Name)
		}
	}
	return nil
}

// wasResumed tells whether somebody has resumed the session since it was held still,
// or since it was found paused. It may stand still again.
func (j *job) wasResumed(ctx context.Context) (bool, error) {
	now, err := engineTime(ctx, j.API)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, ended := j.API.Events(ctx, events.ListOptions{Since: j.since, Until: now, Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)), filters.Arg("container", j.plan.session.ID),
		filters.Arg("event", string(events.ActionPause)), filters.Arg("event", string(events.ActionUnPause)),
	)})
	// What was before it was held still is in the image.
	still := !j.note.holding
	for {
		select {
		case m := <-messages:
			if m.Action == events.ActionUnPause && still {
				return true, nil
			}
			still = still || m.Action == events.ActionPause
		case err := <-ended:
			if !errors.Is(err, io.EOF) {
				return false, fmt.Errorf("ask the engine whether session %q was resumed: %w", j.plan.session.Name, err)
			}
			return false, nil
		}
	}
}
