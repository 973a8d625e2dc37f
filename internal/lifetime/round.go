package lifetime

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

const (
	// looksAtOnce bounds the looks under way, looksTime all of a round.
	looksAtOnce = 8
	looksTime   = 20 * time.Second
)

// round is one look at all sessions: what was found, and what comes of it.
type round struct {
	*Enforcer
	now time.Time
	// skip are the sessions that this round cannot decide about.
	skip map[string]bool
	// looks are those that succeeded, started the answers that were asked for.
	looks   map[string]look
	started map[string]time.Time

	events []Event
	begun  []*act
	next   time.Time
	// enforcing is set when a session has a lifetime.
	enforcing bool
}

func (e *Enforcer) lifetime(s session.Session) (workspace.Lifetime, bool) {
	if s.Workspace == "" {
		return workspace.Lifetime{}, false
	}
	l, ok := e.o.Workspaces.Lifetime(s.Workspace)
	return l, ok && (l.Limit > 0 || l.Idle > 0)
}

// look looks at what sessions use, of those whose idle time is to be measured.
func (r *round) look(ctx context.Context, list []session.Session) {
	ctx, cancel := context.WithTimeout(ctx, looksTime)
	defer cancel()
	var (
		mu    sync.Mutex
		errs  []error
		wg    sync.WaitGroup
		slots = make(chan struct{}, looksAtOnce)
	)
	r.looks = map[string]look{}
	for _, s := range list {
		if !r.wantsLook(s) {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			usage, err := r.o.Engine.Usage(ctx, s.ID)
			r.mu.Lock()
			is := look{at: time.Now(), now: r.clock.now(), usage: usage}
			r.mu.Unlock()
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				r.looks[s.ID] = is
			} else if !cerrdefs.IsNotFound(err) {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil && !errors.Is(err, context.Canceled) {
		r.o.Warn(err)
	}
}

// wantsLook tells whether a look is due: every minute, and before anything is
// done because of the last ones.
func (r *round) wantsLook(s session.Session) bool {
	l, ok := r.lifetime(s)
	if !ok || l.Idle <= 0 || s.State != session.Running || r.skip[s.ID] {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.seen[s.ID]
	if last == nil || time.Since(last.at) > lookEvery-time.Second {
		return true
	}
	rest := r.entries[s.ID].Rest
	return rest != nil && !r.clock.now().Before(rest.Since.Add(time.Duration(l.Idle)))
}

// askStarted asks when sessions were started whose limit has ended unnoticed.
func (r *round) askStarted(ctx context.Context, list []session.Session) {
	r.started = map[string]time.Time{}
	for _, s := range list {
		l, ok := r.lifetime(s)
		if !ok || l.Limit <= 0 || s.State != session.Running || r.skip[s.ID] {
			continue
		}
		r.mu.Lock()
		entry, now := r.entries[s.ID], r.clock.now()
		r.mu.Unlock()
		x, passed := limitExpiry(Facts{Created: s.Created}, l, entry)
		if passed || now.Before(x.Due) || entry.Limit.Due.Equal(x.Due) {
			continue
		}
		at, err := r.o.Engine.Started(ctx, s.ID)
		if err != nil {
			r.skip[s.ID] = true
			if !cerrdefs.IsNotFound(err) && ctx.Err() == nil {
				r.o.Warn(err)
			}
			continue
		}
		r.started[s.ID] = at
	}
}

// candidate is a session that something is to be done with now.
type candidate struct {
	s session.Session
	l workspace.Lifetime
	Action
}

// decide decides about every session; the lock is held.
func (r *round) decide(ctx context.Context, list []session.Session) {
	there := make(map[string]bool, len(list))
	var due []candidate
	for _, s := range list {
		there[s.ID] = true
		if r.acts[s.ID] != nil || r.skip[s.ID] {
			r.enforcing = true
			continue
		}
		l, ok := r.lifetime(s)
		if !ok {
			delete(r.status, s.ID)
			continue
		}
		r.enforcing = true
		due = append(due, r.session(s, l)...)
	}
	for id := range r.entries {
		if !there[id] && r.acts[id] == nil {
			r.put(id, Entry{})
		}
	}
	for id := range r.status {
		if !there[id] {
			delete(r.status, id)
		}
	}
	for id := range r.seen {
		if !there[id] {
			delete(r.seen, id)
		}
	}
	// What waits longest is first to get a free place.
	slices.SortStableFunc(due, func(a, b candidate) int { return a.Due.Compare(b.Due) })
	for _, c := range due {
		r.begin(ctx, c)
	}
}

// session decides about one session until nothing is left but to act.
func (r *round) session(s session.Session, l workspace.Lifetime) []candidate {
	entry := r.entries[s.ID]
	f := Facts{State: s.State, Created: s.Created, Started: r.started[s.ID], IdleSince: r.observe(&entry, s, l)}
	var due []candidate
	for len(due) == 0 {
		actions, next := Decide(r.now, f, l, entry)
		r.next = soonest(r.next, next)
		noted := false
		for _, a := range actions {
			if a.Step == Act {
				continue
			}
			noted = true
			entry.Note(a, r.now)
			if a.Step == Warn {
				ends := latest(a.Due, r.now.Add(lead(whole(l, a.Reason))))
				r.events = append(r.events, r.event(s, Warning, why(a.Expiry, l, entry), ends))
			}
		}
		if noted {
			continue
		}
		if len(actions) > 0 {
			due = append(due, candidate{s, l, actions[0]})
		}
		break
	}
	r.put(s.ID, entry)
	r.setStatus(s, f, l, entry)
	return due
}

// observe notes what the round's look at a session has shown, and returns since
// when it is idle, zero if it is not or if that cannot be told.
func (r *round) observe(entry *Entry, s session.Session, l workspace.Lifetime) time.Time {
	if l.Idle <= 0 || s.State != session.Running {
		delete(r.seen, s.ID)
		entry.Rest, entry.Idle = nil, Progress{}
		return time.Time{}
	}
	if is, ok := r.looks[s.ID]; ok {
		entry.observe(r.seen[s.ID], is)
		r.seen[s.ID] = &is
	}
	last := r.seen[s.ID]
	if entry.Rest == nil || last == nil || time.Since(last.at) > lookEvery {
		return time.Time{}
	}
	return entry.Rest.Since
}
