package snapshot

import (
	"context"
	"fmt"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/push"
)

// push sends the image to its registry. A failure or an interrupt is kept for
// the end: the image and its registration stand without it.
func (j *job) push(ctx context.Context) error {
	pusher := j.Pusher
	pusher.API, pusher.Now = j.API, j.Now
	pusher.Report = func(e push.Event) {
		event := PushEvent(e, j.Now())
		if event.Type == Warning {
			j.result.Warnings = append(j.result.Warnings, event.Message)
		}
		if j.Sink != nil {
			j.Sink(event)
		}
	}
	var pushed push.Result
	pushed, j.pushErr = pusher.Push(ctx, push.Request{
		Ref: j.plan.ref, Auth: j.auth, ImageID: j.result.ImageID, Workspace: j.result.Workspace,
	})
	j.result.Digest, j.result.Verified = pushed.Digest, pushed.Verified
	if j.pushErr == nil && j.result.Workspace != "" {
		if _, err := push.SetDigest(context.WithoutCancel(ctx), j.Catalog, j.plan.ref, j.result.ImageID, pushed.Digest, j.result.Workspace); err != nil {
			return fmt.Errorf("image %q is pushed as %s, but its workspace has not got the digest: %w", j.result.Image, pushed.Digest, err)
		}
	}
	return nil
}

// PushEvent is what a push reports as an event of the step push.
func PushEvent(e push.Event, now time.Time) Event {
	event := Event{Time: now, Step: StepPush, Type: Progress, Layer: e.Layer}
	switch {
	case e.Info != "":
		event.Type, event.Message = Info, e.Info
	case e.Warning != "":
		event.Type, event.Message = Warning, e.Warning
	}
	return event
}

// keepWorkspace notes in the record of a failed push which registration is to
// get the digest once it is resumed.
func (j *job) keepWorkspace() {
	if j.pushErr == nil {
		return
	}
	if err := j.Pusher.Records.SetWorkspace(j.plan.engine.ID, j.plan.ref, j.result.Workspace); err != nil {
		j.warn("%s", err)
	}
}
