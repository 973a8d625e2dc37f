package lifetime

import (
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Step is what is to be done about an expiry.
type Step string

// The steps.
const (
	// Renew begins a new term: the session goes on after its limit ended.
	Renew Step = "renew"
	// Pass lets the end of the limit go by: there is nothing to do about it.
	Pass Step = "pass"
	// Warn tells that the session is about to expire.
	Warn Step = "warn"
	// Act does what the workspace says.
	Act Step = "act"
)

// Action is one step, to be noted with Entry.Note once it is taken.
type Action struct {
	Step Step
	Expiry
	// Term is when a new term begins, for Renew.
	Term time.Time
}

// Decide says what is to be done now about the lifetimes of a session: one
// step at most for each reason, the one that is due first coming first. With
// nothing to do it says when to decide again; zero means not before something
// changes. After steps were taken, decide again.
func Decide(now time.Time, f Facts, l workspace.Lifetime, e Entry) ([]Action, time.Time) {
	var actions []Action
	var next time.Time
	add := func(a Action, at time.Time) {
		if a.Step != "" {
			actions = append(actions, a)
		}
		next = soonest(next, at)
	}
	if l.Limit > 0 {
		add(decideLimit(now, f, l, e))
	}
	if x, ok := idleExpiry(f, l, e); ok {
		add(decideStep(now, x, l, e.Idle))
	}
	if len(actions) == 2 && actions[1].Due.Before(actions[0].Due) {
		actions[0], actions[1] = actions[1], actions[0]
	}
	return actions, next
}

func limitExpiry(f Facts, l workspace.Lifetime, e Entry) (x Expiry, passed bool) {
	begin := f.Created
	if !e.Term.IsZero() {
		begin = e.Term
	}
	x = Expiry{Limit, latest(begin.Add(time.Duration(l.Limit)), e.Extended)}
	return x, !e.Passed.IsZero() && !x.Due.After(e.Passed)
}

func idleExpiry(f Facts, l workspace.Lifetime, e Entry) (Expiry, bool) {
	if l.Idle <= 0 || f.State != session.Running || f.IdleSince.IsZero() {
		return Expiry{}, false
	}
	return Expiry{Idle, latest(f.IdleSince.Add(time.Duration(l.Idle)), e.Awake)}, true
}

func decideLimit(now time.Time, f Facts, l workspace.Lifetime, e Entry) (Action, time.Time) {
	x, passed := limitExpiry(f, l, e)
	switch {
	case passed && concerns(verb(l), f.State):
		return Action{Step: Renew, Expiry: x, Term: now}, time.Time{}
	case passed:
		return Action{}, time.Time{}
	case f.State == session.Running && f.Started.After(x.Due):
		// Nobody watched when it was started again.
		return Action{Step: Renew, Expiry: x, Term: f.Started}, time.Time{}
	case concerns(verb(l), f.State):
		return decideStep(now, x, l, e.Limit)
	case now.Before(x.Due):
		return Action{}, x.Due
	}
	return Action{Step: Pass, Expiry: x}, time.Time{}
}

// decideStep is for an expiry that something is to be done about.
func decideStep(now time.Time, x Expiry, l workspace.Lifetime, p Progress) (Action, time.Time) {
	if !p.Due.Equal(x.Due) {
		p = Progress{}
	}
	ahead := lead(whole(l, x.Reason))
	if p.Warned.IsZero() {
		if at := x.Due.Add(-ahead); now.Before(at) {
			return Action{}, at
		}
		return Action{Step: Warn, Expiry: x}, time.Time{}
	}
	if ready := latest(x.Due, p.Warned.Add(ahead), p.Retry); now.Before(ready) {
		return Action{}, ready
	}
	return Action{Step: Act, Expiry: x}, time.Time{}
}

// upcoming is the expiry that a session reaches first, and when something is
// done about it at the earliest.
func upcoming(now time.Time, f Facts, l workspace.Lifetime, e Entry) (Expiry, time.Time, bool) {
	var first Expiry
	var ends time.Time
	consider := func(x Expiry) {
		warned, retry := now, time.Time{}
		if p := *e.progress(x.Reason); p.Due.Equal(x.Due) && !p.Warned.IsZero() {
			warned, retry = p.Warned, p.Retry
		}
		at := latest(now, x.Due, warned.Add(lead(whole(l, x.Reason))), retry)
		if ends.IsZero() || at.Before(ends) {
			first, ends = x, at
		}
	}
	if x, passed := limitExpiry(f, l, e); l.Limit > 0 && !passed && concerns(verb(l), f.State) {
		consider(x)
	}
	if x, ok := idleExpiry(f, l, e); ok {
		consider(x)
	}
	return first, ends, !ends.IsZero()
}
