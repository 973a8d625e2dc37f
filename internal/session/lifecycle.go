package session

import (
	"context"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// Controller is what is asked of the engine to change a session's state.
type Controller interface {
	ContainerStart(ctx context.Context, container string, options container.StartOptions) error
	ContainerStop(ctx context.Context, container string, options container.StopOptions) error
	ContainerPause(ctx context.Context, container string) error
	ContainerUnpause(ctx context.Context, container string) error
	Hooker
}

// Deleter is what is asked of the engine to delete a session.
type Deleter interface {
	ContainerRemove(ctx context.Context, container string, options container.RemoveOptions) error
	ContainerWait(ctx context.Context, container string, condition container.WaitCondition) (<-chan container.WaitResponse, <-chan error)
}

// DeleteOptions say what goes with a session.
type DeleteOptions struct {
	// KeepVolumes keeps its anonymous volumes, too.
	KeepVolumes bool
}

// StopOptions say how a session is stopped.
type StopOptions struct {
	// Timeout is the time in seconds the session gets to end by itself; nil
	// means the engine's default.
	Timeout *int
	// Hook is run in the session first, when it is running and Hook is not empty.
	Hook Hook
	// Warn receives the error of a hook that failed; nil discards it.
	Warn func(error)
}

// StopSession stops s. A paused session is resumed first, so that it can shut down
// cleanly, and paused again where that is interrupted; a hook that fails is warned of
// but does not keep it running.
func StopSession(ctx context.Context, api Controller, s Session, opts StopOptions) error {
	if err := s.Check(Stop); err != nil {
		return err
	}
	if s.State == Paused {
		if err := api.ContainerUnpause(ctx, s.ID); err != nil {
			return errors.Join(fmt.Errorf("resume session %q before it is stopped: %w", s.Name, err), pauseAgain(ctx, api, s))
		}
	}
	err := opts.Hook.Run(ctx, api, s)
	if ctx.Err() != nil {
		return errors.Join(fmt.Errorf("session %q is not stopped: %w", s.Name, ctx.Err()), pauseAgain(ctx, api, s))
	}
	if err != nil && opts.Warn != nil {
		opts.Warn(err)
	}
	if err := api.ContainerStop(ctx, s.ID, container.StopOptions{Timeout: opts.Timeout}); err != nil {
		return fmt.Errorf("stop session %q: %w", s.Name, err)
	}
	return nil
}

// pauseAgain pauses a session that was resumed to be stopped, after an interrupt. An
// engine resumes it even if nobody waits for that any more.
func pauseAgain(ctx context.Context, api Controller, s Session) error {
	if s.State != Paused || ctx.Err() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	// A conflict is that it is paused, or does not run.
	if err := api.ContainerPause(ctx, s.ID); err != nil && !cerrdefs.IsConflict(err) && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("session %q was paused, and may go on: %w; pause it with `docker kasm session pause %s`", s.Name, err, s.Name)
	}
	return nil
}

// PauseSession freezes s: disk, processes and memory stay as they are.
func PauseSession(ctx context.Context, api Controller, s Session) error {
	if err := s.Check(Pause); err != nil {
		return err
	}
	if err := api.ContainerPause(ctx, s.ID); err != nil {
		return fmt.Errorf("pause session %q: %w", s.Name, err)
	}
	return nil
}

// StartSession resumes a paused session and starts any other.
func StartSession(ctx context.Context, api Controller, s Session) error {
	if err := s.Check(Start); err != nil {
		return err
	}
	if s.State == Paused {
		if err := api.ContainerUnpause(ctx, s.ID); err != nil {
			return fmt.Errorf("resume session %q: %w", s.Name, err)
		}
		return nil
	}
	if err := api.ContainerStart(ctx, s.ID, container.StartOptions{}); err != nil {
		return fmt.Errorf("start session %q: %w", s.Name, err)
	}
	return nil
}

// DeleteSession removes s and its anonymous volumes; named volumes stay. What
// is already gone, or being removed by someone else, counts as deleted once it
// is gone.
func DeleteSession(ctx context.Context, api Deleter, s Session, o DeleteOptions) error {
	err := api.ContainerRemove(ctx, s.ID, container.RemoveOptions{Force: true, RemoveVolumes: !o.KeepVolumes})
	switch {
	case err == nil, cerrdefs.IsNotFound(err):
		return nil
	case cerrdefs.IsConflict(err):
		// "removal of container … is already in progress"
		return awaitGone(ctx, api, s, err)
	}
	return fmt.Errorf("delete session %q: %w", s.Name, err)
}

// AwaitRemoved waits until the engine has deleted s, which was launched to be
// deleted once it stops, and was stopped.
func AwaitRemoved(ctx context.Context, api Deleter, s Session) error {
	return awaitGone(ctx, api, s, errors.New("it has stopped, but the engine does not delete it"))
}

func awaitGone(ctx context.Context, api Deleter, s Session, conflict error) error {
	done, failed := api.ContainerWait(ctx, s.ID, container.WaitConditionRemoved)
	select {
	case res := <-done:
		if res.Error != nil {
			return fmt.Errorf("delete session %q: %w: %s", s.Name, conflict, res.Error.Message)
		}
		return nil
	case err := <-failed:
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("delete session %q: %w", s.Name, err)
	}
}
