// Package keeper carries out what the lifetimes of sessions ask for.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/docker-kasm/docker-kasm/helper/job"
	"github.com/docker-kasm/docker-kasm/helper/shelf"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/lifetime"
	"github.com/docker-kasm/docker-kasm/internal/lock"
	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/task"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Owner is who tasks are begun by that a lifetime asks for.
const Owner = "lifetime"

// Keeper acts on sessions of the engine's catalog. It is a lifetime.Actor and
// lifetime.Workspaces.
type Keeper struct {
	Engine *client.Client
	Shelf  *shelf.Shelf
	Jobs   *job.Jobs
	Log    *slog.Logger
}

// Sessions are what a Keeper acts on: those that were launched from the engine's
// catalog, as one in a user's may have the same name.
func (k *Keeper) Sessions() lifetime.Engine { return shared{lifetime.FromAPI(k.Engine)} }

type shared struct{ lifetime.Engine }

func (s shared) List(ctx context.Context) ([]session.Session, error) {
	all, err := s.Engine.List(ctx)
	var list []session.Session
	for _, one := range all {
		if one.Scope == session.ScopeEngine {
			list = append(list, one)
		}
	}
	return list, err
}

// Lifetime returns that of a workspace.
func (k *Keeper) Lifetime(name string) (workspace.Lifetime, bool) {
	ws := k.workspace(name)
	if ws == nil {
		return workspace.Lifetime{}, false
	}
	return ws.Lifetime, true
}

func (k *Keeper) workspace(name string) *workspace.Workspace {
	if e, err := k.Shelf.Get(name); err == nil {
		return e.Workspace
	}
	return nil
}

// leave fails while somebody makes a snapshot of a session: it is left alone until
// that is done. Who was warned of an expiry may keep what is there that way.
func (k *Keeper) leave(ctx context.Context, s session.Session) error {
	holders, err := lock.List(ctx, k.Engine, s.ID)
	if err != nil {
		return err
	}
	if by, held := lock.HeldBy(holders, s.ID); held {
		return fmt.Errorf("a snapshot of session %q is under way, made by %s", s.Name, by.Owner)
	}
	return nil
}

// Stop stops a session, after its workspace's before_stop hook.
func (k *Keeper) Stop(ctx context.Context, s session.Session) error {
	if err := k.leave(ctx, s); err != nil {
		return err
	}
	options := session.StopOptions{Warn: func(err error) { k.Log.Warn("before_stop hook", "session", s.Name, "error", err) }}
	if ws := k.workspace(s.Workspace); ws != nil {
		options.Hook = session.Hook{
			Name: "before_stop", Command: ws.Hooks.BeforeStop, Timeout: time.Duration(ws.Hooks.Timeout), Output: logWriter{k.Log, s.Name},
		}
	}
	return session.StopSession(ctx, k.Engine, s, options)
}

type logWriter struct {
	log     *slog.Logger
	session string
}

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Info("hook", "session", w.session, "output", string(p))
	return len(p), nil
}

// Pause pauses a session.
func (k *Keeper) Pause(ctx context.Context, s session.Session) error {
	if err := k.leave(ctx, s); err != nil {
		return err
	}
	return session.PauseSession(ctx, k.Engine, s)
}

// Delete deletes a session.
func (k *Keeper) Delete(ctx context.Context, s session.Session) error {
	if err := k.leave(ctx, s); err != nil {
		return err
	}
	return session.DeleteSession(ctx, k.Engine, s, session.DeleteOptions{})
}

// Snapshot makes a snapshot of a session.
func (k *Keeper) Snapshot(ctx context.Context, s session.Session) error {
	return k.snapshot(ctx, helperapi.Snapshot{Session: s.ID})
}

// SnapshotAndDelete deletes a session once its snapshot holds all of it.
func (k *Keeper) SnapshotAndDelete(ctx context.Context, s session.Session) error {
	return k.snapshot(ctx, helperapi.Snapshot{Session: s.ID, Delete: true})
}

// snapshot begins a task, so that it is seen and has a log, and waits for its end.
func (k *Keeper) snapshot(ctx context.Context, wanted helperapi.Snapshot) error {
	changes := k.Jobs.Tasks.Subscribe()
	defer changes.Close()
	t, err := k.Jobs.Submit(ctx, Owner, helperapi.NewTask{Snapshot: &wanted})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = k.Jobs.Tasks.Cancel(t.ID) })
	defer stop()
	for {
		if t, err = k.Jobs.Tasks.Get(t.ID); err != nil {
			return err
		}
		if t.State == task.Done {
			return nil
		}
		if t.State.Ended() || t.State == task.Waiting {
			return errors.Join(fmt.Errorf("snapshot: %s (task %s)", t.Reason, t.ID), ctx.Err())
		}
		// Seen through after ctx has ended as well: the session is then as it was.
		if _, err := changes.Next(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// Watch calls changed whenever a session may have begun or ended, until ctx ends.
func (k *Keeper) Watch(ctx context.Context, changed func()) {
	const again = 5 * time.Second
	for {
		messages, failed := k.Engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
			filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", session.LabelSession),
			filters.Arg("event", string(events.ActionStart)), filters.Arg("event", string(events.ActionUnPause)),
			filters.Arg("event", string(events.ActionPause)), filters.Arg("event", string(events.ActionDie)),
			filters.Arg("event", string(events.ActionDestroy)),
		)})
		changed() // for what happened before
		for open := true; open; {
			select {
			case <-messages:
				changed()
			case err := <-failed:
				k.Log.Debug("the engine's events ended", "error", err)
				open = false
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(again):
		}
	}
}
