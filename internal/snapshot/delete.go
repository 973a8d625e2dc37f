package snapshot

import (
	"context"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/mount"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// hold holds the session still until it is deleted, or the snapshot has failed:
// what it would write after the commit would be lost.
func (j *job) hold(ctx context.Context) error {
	if err := j.tell(ctx, func(n *note) { n.holding = true }); err != nil {
		return err
	}
	// An engine pauses even if nobody waits for it any more.
	if err := j.API.ContainerPause(context.WithoutCancel(ctx), j.plan.session.ID); err != nil {
		return fmt.Errorf("hold session %q still: %w", j.plan.session.Name, err)
	}
	return nil
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

// delete deletes the session whose image has its name and registration. Its
// anonymous volumes stay: their content is in no image.
func (j *job) delete(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, m := range j.plan.container.Mounts {
		if m.Type == mount.TypeVolume && anonymous.MatchString(m.Name) {
			j.result.KeptVolumes = append(j.result.KeptVolumes, m.Name)
			j.info("kept: the content of %s, volume %s; remove it with `docker volume rm %s`", m.Destination, m.Name, m.Name)
		}
	}
	if err := session.DeleteSession(ctx, j.API, j.plan.session, session.DeleteOptions{KeepVolumes: true}); err != nil {
		return err
	}
	j.deleted = true
	return nil
}
