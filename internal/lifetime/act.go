package lifetime

import (
	"context"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

const (
	// actsAtOnce bounds the sessions that are acted on at a time, and
	// snapshotsAtOnce those of them of which a snapshot is made: those keep the
	// engine's disk busy, and must not hold up the others.
	actsAtOnce      = 8
	snapshotsAtOnce = 2
	// actTime is what may be taken for anything but a snapshot.
	actTime = 5 * time.Minute
)

// act is what is being done with a session that has expired.
type act struct {
	candidate
	// snapshot is set where a snapshot comes first.
	snapshot bool
	ctx      context.Context
	cancel   context.CancelFunc
	// done is closed once it has ended and that is noted.
	done chan struct{}
}

// begin notes that a session is acted on, if there is a free place; else it is
// decided about again once there is one. The lock is held.
func (r *round) begin(ctx context.Context, c candidate) {
	entry := r.entries[c.s.ID]
	snapshot := c.l.SnapshotFirst && !entry.progress(c.Reason).Snapshot
	snapshots := 0
	for _, a := range r.acts {
		if a.snapshot {
			snapshots++
		}
	}
	if len(r.acts) >= actsAtOnce || snapshot && snapshots >= snapshotsAtOnce {
		return
	}
	entry.Note(c.Action, r.now)
	r.put(c.s.ID, entry)
	a := &act{candidate: c, snapshot: snapshot, done: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(ctx)
	r.acts[c.s.ID] = a
	r.begun = append(r.begun, a)
}

// do acts on a session and notes what came of it.
func (e *Enforcer) do(a *act) {
	err := e.expire(a)
	e.mu.Lock()
	entry := e.entries[a.s.ID]
	var event Event
	var state *session.StateError
	switch {
	case err == nil:
		entry.Done(a.Expiry)
		event = e.event(a.s, Expired, fmt.Sprintf("%s: %s", why(a.Expiry, a.l, entry), past(verb(a.l))), a.Due)
	case a.ctx.Err() != nil:
		entry.undo(a.Reason)
	case cerrdefs.IsNotFound(err), errors.As(err, &state):
		// It has changed meanwhile; what it is now is decided about anew.
	default:
		retry := entry.fail(a.Reason, e.clock.now())
		event = e.event(a.s, Failed, fmt.Sprintf("%s, but: %s; tried again at %s",
			why(a.Expiry, a.l, entry), err, retry.Format(time.RFC3339)), retry)
	}
	if last := e.seen[a.s.ID]; last != nil {
		// What hooks used is no activity of anyone.
		last.fresh = true
	}
	if _, known := e.entries[a.s.ID]; known {
		e.put(a.s.ID, entry)
	}
	delete(e.acts, a.s.ID)
	saveErr := e.saveLocked()
	e.mu.Unlock()

	a.cancel()
	if saveErr != nil {
		e.o.Warn(saveErr)
	}
	if event.Type != "" {
		e.o.Events(event)
	}
	close(a.done)
	e.Poke()
}

func (e *Enforcer) expire(a *act) error {
	what := verb(a.l)
	if a.ctx.Err() != nil {
		return a.ctx.Err()
	}
	if a.l.SnapshotFirst && what == workspace.OnExpiryDelete {
		return e.o.Actor.SnapshotAndDelete(a.ctx, a.s)
	}
	if a.snapshot {
		if err := e.o.Actor.Snapshot(a.ctx, a.s); err != nil {
			return err
		}
		e.noteSnapshot(a)
	}
	ctx, cancel := context.WithTimeout(a.ctx, actTime)
	defer cancel()
	switch err := ctx.Err(); {
	case err != nil:
		return err
	case what == workspace.OnExpiryDelete:
		return e.o.Actor.Delete(ctx, a.s)
	case what == workspace.OnExpiryPause:
		return e.o.Actor.Pause(ctx, a.s)
	}
	return e.o.Actor.Stop(ctx, a.s)
}

// noteSnapshot keeps what follows from asking for another snapshot.
func (e *Enforcer) noteSnapshot(a *act) {
	e.mu.Lock()
	a.snapshot = false // the place is free for another
	if entry, ok := e.entries[a.s.ID]; ok {
		entry.progress(a.Reason).Snapshot = true
		e.put(a.s.ID, entry)
	}
	err := e.saveLocked()
	e.mu.Unlock()
	if err != nil {
		e.o.Warn(err)
	}
}
