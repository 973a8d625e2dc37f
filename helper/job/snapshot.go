package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/docker-kasm/docker-kasm/internal/change"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/push"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/snapshot"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func changes(lines []string) (change.Set, error) {
	var set change.Set
	for _, line := range lines {
		parsed, err := change.Parse("change", line)
		if err != nil {
			return nil, err
		}
		set = append(set, parsed...)
	}
	return set, nil
}

func request(s helperapi.Snapshot, session string) (snapshot.Request, error) {
	set, err := changes(s.Changes)
	return snapshot.Request{
		Session: session, Reference: s.Reference, Registry: s.Registry, Prefix: s.Prefix, Changes: set,
		Author: s.Author, Message: s.Message, NoPause: s.NoPause, Push: s.Push, NoRegister: s.NoRegister,
		FriendlyName: s.FriendlyName, KeepEnv: s.KeepEnv, KeepLabels: s.KeepLabels,
		IncludeMounts: s.IncludeMounts, Flatten: s.Flatten, NoWait: s.NoWait, Delete: s.Delete,
	}, err
}

// snapshot makes a snapshot, or goes on with one whose image is there already.
func (j *Jobs) snapshot(ctx context.Context, run *task.Run) error {
	t := run.Task()
	var asked helperapi.Snapshot
	if err := json.Unmarshal(t.Request, &asked); err != nil {
		return fmt.Errorf("read what was asked for: %w", err)
	}
	var before checkpoint
	if len(t.Checkpoint) > 0 {
		if err := json.Unmarshal(t.Checkpoint, &before); err != nil {
			return fmt.Errorf("read how far it came: %w", err)
		}
	}
	there, err := j.named(ctx, before)
	if err != nil {
		return err
	}
	if there {
		return j.goOn(ctx, run, asked, before)
	}
	// By its id: the name may be another's by now.
	req, err := request(asked, t.Key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pipeline := &snapshot.Pipeline{
		API: j.Engine, Catalog: withParent{j.Catalog, j, run, asked}, Roster: j.known(&asked), Auth: asker(run), Pusher: j.pusher(run),
		RegisterFirst: true, RegisterFlags: " --scope engine", LockDir: j.Locks,
		Now: func() time.Time { return time.Now().In(time.FixedZone("", asked.UTCOffset)) },
		Sink: func(e snapshot.Event) {
			if err := report(run, e); err != nil {
				// What cannot be journalled must not be done.
				cancel(err)
			}
		},
		Stepped: func(r snapshot.Result, pending []byte) {
			if err := keep(run, checkpoint{Result: r, Pending: string(pending)}); err != nil {
				cancel(err)
			}
		},
		Naming: func(r snapshot.Result, pending []byte) error {
			return keepCheckpoint(run, checkpoint{Result: r, Pending: string(pending), Naming: true})
		},
	}
	result, err := pipeline.Run(ctx, req)
	var interrupt *snapshot.InterruptError
	switch cause := context.Cause(ctx); {
	case err == nil, cause == nil, errors.Is(cause, context.Canceled):
	case errors.Is(cause, task.ErrCancelled), errors.Is(cause, task.ErrShutdown):
		// The task tells why and in which step it ended.
		if errors.As(err, &interrupt) {
			interrupt.Step = ""
		}
	default:
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return errors.Join(shorten(err), keepResult(run, result))
}

// checkpoint is from where the next attempt at a snapshot goes on: with its push,
// and before that with Pending, the file of a workspace that is not registered,
// without the values of its environment.
type checkpoint struct {
	snapshot.Result
	Pending string `json:"Pending,omitempty"`
	// Naming is set while it is not known whether the image has got its name.
	Naming bool `json:"Naming,omitempty"`
}

// named tells whether the image of the attempt before has its name. One that was
// not given it is gone: what tidied up after that attempt has removed it.
func (j *Jobs) named(ctx context.Context, before checkpoint) (bool, error) {
	if before.ImageID == "" || !before.Naming {
		return before.ImageID != "", nil
	}
	img, err := j.Engine.ImageInspect(ctx, before.Image)
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for image %q of the attempt before: %w", before.Image, err)
	}
	return img.ID == before.ImageID, nil
}

// shorten leaves out what only a user at a terminal can follow.
func shorten(err error) error {
	var pushed *snapshot.PushError
	if errors.As(err, &pushed) {
		return fmt.Errorf("push image %q: %s; the image and its workspace are kept: retry the task", pushed.Image, push.Reason(pushed.Err))
	}
	return err
}

// keep journals what a snapshot has come to: for whoever looks, and for the next
// attempt.
func keep(run *task.Run, c checkpoint) error {
	if c.ImageID != "" {
		if err := keepCheckpoint(run, c); err != nil {
			return err
		}
	}
	return keepResult(run, c.Result)
}

func keepCheckpoint(run *task.Run, c checkpoint) error {
	if c.Pending != "" {
		pending, err := withoutValues([]byte(c.Pending))
		if err != nil {
			return err
		}
		c.Pending = string(pending)
	}
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("keep how far the snapshot came: %w", err)
	}
	return run.Checkpoint(data)
}

func keepResult(run *task.Run, r snapshot.Result) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep what the snapshot came to: %w", err)
	}
	return run.SetResult(data)
}

// report passes an event of the pipeline on to the task's journal.
func report(run *task.Run, e snapshot.Event) error {
	switch e.Type {
	case snapshot.Started:
		return run.Step(string(e.Step))
	case snapshot.Info:
		run.Log(task.Info, e.Message)
	case snapshot.Warning:
		run.Log(task.Warning, e.Message)
	case snapshot.Progress:
		if e.Layer != nil {
			layers(run)(*e.Layer)
		}
	case snapshot.Done, snapshot.FailedStep:
		// A failure is the reason that the task ends with.
	}
	return nil
}

func (j *Jobs) pusher(run *task.Run) push.Pusher {
	return push.Pusher{
		API: j.Engine, Records: j.Records, Retries: push.DefaultRetries, Now: time.Now,
		Report: func(e push.Event) { _ = report(run, snapshot.PushEvent(e, time.Now())) },
	}
}

// goOn does what is left of a snapshot whose image has its name.
func (j *Jobs) goOn(ctx context.Context, run *task.Run, asked helperapi.Snapshot, before checkpoint) error {
	result := before.Result
	run.Log(task.Info, fmt.Sprintf("image %s is there from an earlier attempt", result.Image))
	ref, err := imageref.ParseTagged(result.Image)
	if err != nil {
		return err
	}
	if result.Workspace == "" && before.Pending != "" {
		if result.Workspace, err = j.register(ctx, run, asked, before); err != nil {
			return fmt.Errorf("the image %s is there, but its workspace is not registered: %w", result.Image, err)
		}
		if err := keep(run, checkpoint{Result: result}); err != nil {
			return err
		}
	}
	if asked.Push || asked.Registry != "" {
		if err := j.pushAgain(ctx, run, ref, &result); err != nil {
			return err
		}
	}
	if err := keep(run, checkpoint{Result: result}); err != nil {
		return err
	}
	if !asked.Delete {
		return nil
	}
	_, err = session.Find(ctx, j.Engine, run.Task().Key, session.AnyContainer())
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	// What was written to it since is in no image.
	return errors.Join(fmt.Errorf("the session is kept as %s, but not deleted: delete it with `docker kasm rm %s`", result.Image, run.Task().Subject), err)
}

func (j *Jobs) pushAgain(ctx context.Context, run *task.Run, ref reference.NamedTagged, result *snapshot.Result) error {
	if err := run.Step(string(snapshot.StepPush)); err != nil {
		return err
	}
	if result.Digest != "" {
		if _, err := push.SetDigest(ctx, j.Catalog, ref, result.ImageID, result.Digest, result.Workspace); err != nil {
			return fmt.Errorf("image %q is pushed as %s, but its workspace has not got the digest: %w", result.Image, result.Digest, err)
		}
		return nil
	}
	img, err := j.Engine.ImageInspect(ctx, ref.String())
	if err != nil {
		return fmt.Errorf("look for image %q: %w", result.Image, err)
	}
	if img.ID != result.ImageID {
		return fmt.Errorf("%s names another image by now than the one that was made, %s: give that its name again with `docker tag`, and retry", result.Image, result.ImageID)
	}
	pusher := j.pusher(run)
	out, err := pusher.Resume(ctx, ref, asker(run), j.Catalog)
	if err != nil {
		return err
	}
	result.Digest, result.Verified = out.Digest, out.Verified
	return nil
}

// register adds the workspace of an image, unless the attempt before came to that
// and could not say so any more.
func (j *Jobs) register(ctx context.Context, run *task.Run, asked helperapi.Snapshot, before checkpoint) (string, error) {
	if err := run.Step(string(snapshot.StepRegister)); err != nil {
		return "", err
	}
	list, err := j.Catalog.List(ctx)
	if err != nil && len(list) == 0 {
		return "", err
	}
	for _, ws := range list {
		if ws.Snapshot != nil && ws.Snapshot.ImageID == before.ImageID && ws.Image == before.Image {
			return ws.Name, nil
		}
	}
	ref, err := imageref.ParseTagged(before.Image)
	if err != nil {
		return "", err
	}
	ws, err := j.withValues(ctx, run, asked, imageref.WorkspaceName(ref), []byte(before.Pending))
	if err != nil {
		return "", err
	}
	text, err := workspace.Encode(ws)
	if err != nil {
		return "", err
	}
	for {
		name, err := j.Catalog.UniqueName(ctx, imageref.WorkspaceName(ref))
		if err != nil {
			return "", err
		}
		_, err = j.Catalog.CreateRaw(ctx, name, text)
		// Another snapshot may have taken the name since it was found free.
		if !errors.Is(err, workspace.ErrExists) {
			return name, err
		}
	}
}

// withParent is a catalog that also has the session's workspace, which came with
// the request.
type withParent struct {
	snapshot.Catalog
	jobs  *Jobs
	run   *task.Run
	asked helperapi.Snapshot
}

// GetIn reads a workspace: for a session of a user's catalog that of the request.
func (c withParent) GetIn(ctx context.Context, scope, name string) (*workspace.Workspace, error) {
	if parent := c.asked.Parent; parent != nil && scope != session.ScopeEngine && parent.Name == name {
		return c.jobs.withValues(ctx, c.run, c.asked, name, []byte(parent.Text))
	}
	return c.Catalog.GetIn(ctx, scope, name)
}
