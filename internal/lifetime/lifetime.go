// Package lifetime ends sessions whose time is over: those that have lasted as
// long as their workspace allows, and those that nobody uses.
//
// # Limit
//
// The limit counts from the creation of the session's container. Stopping and
// pausing do not hold it up. An extension puts its end off. A session that is
// started or resumed after its limit ended gets the whole limit again, counted
// from then.
//
// # Idle
//
// A session is idle while, from one look to the next (about a minute), its
// processes use less than a twentieth of one processor and its networks carry
// less than 2 KiB a minute, which is what a network does by itself. It expires
// when it was so for the whole idle time. What this does not see: someone who
// reads a page that stands still, disk traffic, and the traffic of a session
// without a network of its own. A session that is paused or stopped is not
// idle; once it runs again, its idle time begins anew.
//
// # Clocks
//
// All times are the engine's. Nothing is done about an expiry before its
// warning has been out for five minutes, or a tenth of the limit or idle time
// where that is shorter, measured so that no change of the engine's clock
// counts: a clock that jumps a day ahead brings a warning, and only then the
// end. A clock that goes back repeats nothing. How long a warning of an earlier
// run has been out is taken from the engine's clock.
//
// # Failures
//
// What fails is tried again, after a minute first and half an hour at most, counted
// from when it has failed. Where a snapshot comes first and fails, the session is left
// as it is; so is one of which somebody makes a snapshot meanwhile.
package lifetime

import (
	"strings"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Reason says which of its lifetimes a session has come to the end of.
type Reason string

// The reasons for an expiry.
const (
	Limit Reason = "limit"
	Idle  Reason = "idle"
)

// Expiry is one end of a session's lifetime.
type Expiry struct {
	Reason Reason
	// Due is the instant it is reached. Two expiries of a session and reason
	// are the same when theirs is.
	Due time.Time
}

// Facts are what is known of a session at one moment.
type Facts struct {
	State session.State
	// Created is when its container was created.
	Created time.Time
	// Started is when it was last started, zero if not known.
	Started time.Time
	// IdleSince is since when it has been idle, zero while it is not, or while
	// that is not known.
	IdleSince time.Time
}

const (
	// longestLead is how long before an expiry its warning comes, at most.
	longestLead = 5 * time.Minute
	// firstRetry is doubled for every failure that follows, up to longestRetry.
	firstRetry   = time.Minute
	longestRetry = 30 * time.Minute
)

// lead is how long a warning has to be out, given the whole lifetime.
func lead(whole time.Duration) time.Duration { return min(longestLead, whole/10) }

// whole is the lifetime that ends with an expiry.
func whole(l workspace.Lifetime, r Reason) time.Duration {
	if r == Idle {
		return time.Duration(l.Idle)
	}
	return time.Duration(l.Limit)
}

// backoff is how long to wait after so many failures.
func backoff(failures int) time.Duration {
	wait := firstRetry
	for ; failures > 1 && wait < longestRetry; failures-- {
		wait *= 2
	}
	return min(wait, longestRetry)
}

// verb is what is done with a session of l that has expired.
func verb(l workspace.Lifetime) string {
	if l.OnExpiry == "" {
		return workspace.OnExpiryStop
	}
	return l.OnExpiry
}

// concerns tells whether an expiry changes anything about a session in state s.
func concerns(verb string, s session.State) bool {
	switch s {
	case session.Running:
		return true
	case session.Paused:
		return verb != workspace.OnExpiryPause
	case session.Created, session.Stopped, session.Failed:
		return verb == workspace.OnExpiryDelete
	case session.Deleting, session.External:
	}
	return false
}

func latest(times ...time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}

// soonest is the earlier of two times of which zero means never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// short writes a duration as people do: 8h, not 8h0m0s.
func short(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
