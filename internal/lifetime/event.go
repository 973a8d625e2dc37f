package lifetime

import (
	"fmt"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// EventType says what has happened.
type EventType string

// The types of events.
const (
	// Warning comes before an expiry, once for each.
	Warning EventType = "warning"
	// Expired means that the session is stopped, paused or deleted.
	Expired EventType = "expired"
	// Extended means that someone has put its expiries off.
	Extended EventType = "extended"
	// Failed means that the session should have been, and is as it was.
	Failed EventType = "failed"
)

// Event is something that has happened to a session's lifetime.
type Event struct {
	// Time is by the engine's clock.
	Time time.Time `json:"Time"`
	// Session is the container's id, Name its name.
	Session   string    `json:"Session"`
	Name      string    `json:"Name"`
	Workspace string    `json:"Workspace"`
	Type      EventType `json:"Type"`
	// Reason says why, in a few words.
	Reason string `json:"Reason"`
	// Expires is when the session is acted on at the earliest; for Expired when
	// it was due, for Failed when it is tried again.
	Expires time.Time `json:"Expires,omitzero"`
}

// event is one that happens now; the lock is held.
func (e *Enforcer) event(s session.Session, t EventType, reason string, expires time.Time) Event {
	return Event{
		Time: e.clock.now(), Session: s.ID, Name: s.Name, Workspace: s.Workspace,
		Type: t, Reason: reason, Expires: expires,
	}
}

// status is what the next expiry of a session is.
type status struct {
	expires time.Time
	why     string
}

// Status returns when a session, by its container id, is acted on at the
// earliest, by the engine's clock, and why. It is false while no expiry is in
// sight: it has no limit, and is not idle or is not running.
func (e *Enforcer) Status(id string) (expires time.Time, reason string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.status[id]
	return s.expires, s.why, ok
}

// setStatus is called with the lock held.
func (e *Enforcer) setStatus(s session.Session, f Facts, l workspace.Lifetime, entry Entry) {
	x, ends, ok := upcoming(e.clock.now(), f, l, entry)
	if !ok {
		delete(e.status, s.ID)
		return
	}
	reason := why(x, l, entry)
	if p := entry.progress(x.Reason); p.Due.Equal(x.Due) && p.Tries > 0 {
		reason += fmt.Sprintf(", could not %s: tries %d", verb(l), p.Tries)
	}
	e.status[s.ID] = status{ends, reason}
}

// why names an expiry in a few words.
func why(x Expiry, l workspace.Lifetime, entry Entry) string {
	length := short(whole(l, x.Reason))
	switch {
	case x.Reason == Idle:
		return "idle for " + length
	case x.Due.Equal(entry.Extended):
		return "limit of " + length + ", extended"
	}
	return "limit of " + length
}

// past is what has been done.
func past(verb string) string {
	return map[string]string{
		workspace.OnExpiryStop: "stopped", workspace.OnExpiryPause: "paused", workspace.OnExpiryDelete: "deleted",
	}[verb]
}
