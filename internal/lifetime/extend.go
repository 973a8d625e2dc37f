package lifetime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

// longestExtension is what an extension can be of, at most.
const longestExtension = 366 * 24 * time.Hour

// Extend puts the expiries of a session, by its container id, off: the end of
// its limit by a duration, counted from now if it is past, and that of its idle
// time to no earlier than a duration from now. It returns when the session now
// expires at the earliest, once that is written to the store. What is being
// done with a session that has expired is broken off where that is possible.
func (e *Enforcer) Extend(ctx context.Context, id string, by time.Duration) (time.Time, error) {
	if by <= 0 || by > longestExtension {
		return time.Time{}, fmt.Errorf("extend session %s by %s: give a duration above zero, and of a year at most", id, by)
	}
	for {
		if err := e.breakOff(ctx, id); err != nil {
			return time.Time{}, fmt.Errorf("extend session %s: %w", id, err)
		}
		if err := e.readClock(ctx); err != nil {
			return time.Time{}, fmt.Errorf("extend session %s: %w", id, err)
		}
		list, err := e.o.Engine.List(ctx)
		if err != nil {
			return time.Time{}, fmt.Errorf("extend session %s: %w", id, err)
		}
		i := slices.IndexFunc(list, func(s session.Session) bool { return s.ID == id })
		if i < 0 {
			return time.Time{}, &session.NotFoundError{Name: id}
		}
		if until, done, err := e.extend(list[i], by); done {
			if err == nil {
				e.Poke()
			}
			return until, err
		}
	}
}

// extend tells with done that the session was not being acted on.
func (e *Enforcer) extend(s session.Session, by time.Duration) (until time.Time, done bool, err error) {
	l, ok := e.lifetime(s)
	if !ok {
		return time.Time{}, true, fmt.Errorf("session %q has no lifetime to extend: its workspace %q sets none", s.Name, s.Workspace)
	}
	e.mu.Lock()
	if e.acts[s.ID] != nil {
		e.mu.Unlock()
		return time.Time{}, false, nil
	}
	old, now := e.entries[s.ID], e.clock.now()
	entry := old
	var end time.Time
	f := Facts{State: s.State, Created: s.Created}
	if l.Limit > 0 {
		x, _ := limitExpiry(f, l, entry)
		end = x.Due
	}
	entry.extend(now, end, by)
	e.put(s.ID, entry)
	if err := e.saveLocked(); err != nil {
		e.put(s.ID, old)
		e.mu.Unlock()
		return time.Time{}, true, fmt.Errorf("extend session %q: %w", s.Name, err)
	}
	until = entry.Extended
	if l.Idle > 0 {
		until = entry.Awake // no later than the end of the limit
	}
	e.setStatus(s, f, l, entry)
	event := e.event(s, Extended, "extended by "+short(by), until)
	e.mu.Unlock()
	e.o.Events(event)
	return until, true, nil
}

// breakOff ends what is being done with a session, and waits for its end.
func (e *Enforcer) breakOff(ctx context.Context, id string) error {
	e.mu.Lock()
	a := e.acts[id]
	e.mu.Unlock()
	if a == nil {
		return nil
	}
	a.cancel()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
