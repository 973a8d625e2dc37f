package lifetime

import "time"

// Entry is what has to be remembered of a session: the engine does not know it.
// Its zero value is that of a session nothing was done about.
type Entry struct {
	// Term is when the limit began to count anew, zero while it counts from the
	// creation.
	Term time.Time `json:"Term,omitzero"`
	// Extended is what the limit does not end before.
	Extended time.Time `json:"Extended,omitzero"`
	// Awake is what the idle time does not end before.
	Awake time.Time `json:"Awake,omitzero"`
	// Passed is the end of the limit that was last acted on, or let go by.
	Passed time.Time `json:"Passed,omitzero"`
	// Limit and Idle are how far the expiries have come.
	Limit Progress `json:"Limit,omitzero"`
	Idle  Progress `json:"Idle,omitzero"`
	// Rest is the idle time that is under way, nil while the session is active.
	Rest *Rest `json:"Rest,omitempty"`
}

// Progress is how far one expiry has come.
type Progress struct {
	// Due says which expiry it is.
	Due time.Time `json:"Due,omitzero"`
	// Warned is when its warning went out.
	Warned time.Time `json:"Warned,omitzero"`
	// Tries counts the tries begun to act on it, the last of which may be under
	// way; before Retry there is no other.
	Tries int       `json:"Tries,omitempty"`
	Retry time.Time `json:"Retry,omitzero"`
	// Snapshot is set once the snapshot is made that comes first.
	Snapshot bool `json:"Snapshot,omitempty"`
}

// Rest is an idle time: its begin, and the usage counters then.
type Rest struct {
	Since time.Time `json:"Since"`
	Usage Usage     `json:"Usage"`
}

func (e *Entry) progress(r Reason) *Progress {
	if r == Idle {
		return &e.Idle
	}
	return &e.Limit
}

// Note notes that a step is taken. An Act is noted before it is done, so that a
// helper that is killed by it does not repeat it at once, and again with Done.
func (e *Entry) Note(a Action, now time.Time) {
	p := e.progress(a.Reason)
	switch a.Step {
	case Renew:
		e.Term, e.Extended, e.Passed, e.Limit = a.Term, time.Time{}, time.Time{}, Progress{}
	case Pass:
		e.Passed, e.Limit = a.Due, Progress{}
	case Warn:
		*p = Progress{Due: a.Due, Warned: now}
	case Act:
		p.Tries++
		p.Retry = now.Add(backoff(p.Tries))
	}
}

// Done notes that an expiry was acted on.
func (e *Entry) Done(x Expiry) {
	*e.progress(x.Reason) = Progress{}
	if x.Reason == Idle {
		e.Rest, e.Awake = nil, time.Time{}
		return
	}
	e.Passed = x.Due
}

// fail notes that the last try has failed, and returns when the next one is: it was
// noted from when that began, which may have been long ago.
func (e *Entry) fail(r Reason, now time.Time) time.Time {
	p := e.progress(r)
	p.Retry = now.Add(backoff(p.Tries))
	return p.Retry
}

// undo takes back the note of an act that was broken off.
func (e *Entry) undo(r Reason) {
	p := e.progress(r)
	p.Tries = max(0, p.Tries-1)
	p.Retry = time.Time{}
}

// extend puts every expiry off by a duration: the end of the limit from where
// it is, or from now if it is over, the idle one from now.
func (e *Entry) extend(now, limitEnd time.Time, by time.Duration) {
	if !limitEnd.IsZero() {
		e.Extended = latest(limitEnd, now).Add(by)
	}
	e.Awake = now.Add(by)
	e.Rest = nil
	e.Limit, e.Idle = Progress{}, Progress{}
}

// shift keeps what was measured in step with an engine's clock that has jumped.
// Times that follow from the engine's own, such as the end of a limit, stay.
func (e *Entry) shift(jump time.Duration) {
	move := func(times ...*time.Time) {
		for _, t := range times {
			if !t.IsZero() {
				*t = t.Add(jump)
			}
		}
	}
	move(&e.Awake, &e.Limit.Warned, &e.Limit.Retry, &e.Idle.Due, &e.Idle.Warned, &e.Idle.Retry)
	if e.Rest != nil {
		e.Rest = &Rest{Since: e.Rest.Since.Add(jump), Usage: e.Rest.Usage}
	}
}

// settle is for what an earlier run has left, by a clock that may have gone
// back since: nothing was observed in the future.
func (e *Entry) settle(now time.Time) {
	for _, p := range []*Progress{&e.Limit, &e.Idle} {
		if p.Warned.After(now) {
			p.Warned = now
		}
		if wait := now.Add(longestRetry); p.Retry.After(wait) {
			p.Retry = wait
		}
	}
	if e.Rest != nil && e.Rest.Since.After(now) {
		e.Rest = nil
	}
}
