package session

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

// Watcher is what is asked of the engine to follow its sessions.
type Watcher interface {
	Lister
	engine.InfoClient
	Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error)
}

// News is what [Watch] has to tell: a list, or why there is none.
type News struct {
	// Sessions is the list as [List] returns it, if Err is nil.
	Sessions []Session
	// Unread is the error of records that cannot be read, nil if all can.
	Unread error
	// Err tells that the engine is not followed for now. It is tried again.
	Err error
}

const (
	// quiet is the shortest time between the beginnings of two lists; a list that
	// takes longer is followed by twice its time of rest. So a storm of events
	// costs a few lists a second, and a slow engine fewer.
	quiet = 250 * time.Millisecond
	// patience bounds a request to the engine.
	patience = time.Minute
	// The engine is tried again after firstRetry, doubled each time up to
	// longestRetry. Half of each is left to chance.
	firstRetry, longestRetry = 200 * time.Millisecond, 10 * time.Second
	// firstLook is after how long a list that is behind what events told is asked
	// for again, doubled each time up to longestLook, at most looks times.
	firstLook, longestLook, looks = 100 * time.Millisecond, 2 * time.Second, 8
)

// Watch lists the sessions, and again whenever the engine or records, nil if there
// are none, tells that one of them may be another, until ctx ends. It fails if it
// cannot begin; an engine that goes away later is waited for. tell is called by one
// goroutine at a time; while it takes its time nothing is lost, and no list is made.
func Watch(ctx context.Context, api Watcher, opts ListOptions, records <-chan struct{}, tell func(News)) error {
	w := &watch{api: api, opts: opts, records: records, tell: tell, changed: make(chan struct{}, 1), expected: map[string]*expectation{}}
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry), backoff.WithMultiplier(2), backoff.WithMaxInterval(longestRetry), backoff.WithMaxElapsedTime(0))
	for {
		err := w.connection(ctx, retry.Reset)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !w.begun {
			return err
		}
		tell(News{Err: err})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retry.NextBackOff()):
		}
	}
}

type watch struct {
	api     Watcher
	opts    ListOptions
	records <-chan struct{}
	tell    func(News)
	changed chan struct{}
	// begun is set once there was a list.
	begun bool

	mu sync.Mutex
	// last is the time of the last event by the engine's clock, in nanoseconds.
	last     int64
	expected map[string]*expectation
}

// expectation is what the last event about a container said. Engines answer lists
// from a copy that they renew after they have told of some events: of an exit,
// only once its mounts are gone.
type expectation struct {
	action events.Action
	looks  int
}

// connection subscribes to events, and then lists, so that nothing happens unseen
// between. It returns why it ended; healthy is called after each list.
func (w *watch) connection(ctx context.Context, healthy func()) error {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	messages, errs, err := w.subscribe(ctx, cancel)
	if err != nil {
		return err
	}
	// Events are taken at once: an engine drops those that nobody takes.
	lost := make(chan error, 1)
	reading.Go(func() { lost <- w.read(ctx, messages, errs) })
	unread := 0
	for {
		began := time.Now()
		news, err := w.list(ctx)
		if err != nil {
			return err
		}
		healthy()
		w.begun = true
		w.tell(news)
		rest := max(quiet, 3*time.Since(began))
		after := w.behind(news.Sessions)
		if news.Unread == nil {
			unread = 0
		} else if unread < looks {
			// No event tells that a helper answers again.
			wait := min(firstLook<<unread, longestLook)
			if unread++; after == 0 || wait < after {
				after = wait
			}
		}
		var again <-chan time.Time
		if after > 0 {
			again = time.After(after)
		}
		select {
		case err := <-lost:
			return err
		case <-w.changed:
			unread = 0
		case <-w.records:
			unread = 0
		case <-again:
		}
		select {
		case err := <-lost:
			return err
		case <-time.After(time.Until(began.Add(rest))):
		}
		select {
		case <-w.changed: // the next list will show it
		default:
		}
		select {
		case <-w.records: // that too
		default:
		}
	}
}

func (w *watch) list(ctx context.Context) (News, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	list, err := List(ctx, w.api, w.opts)
	// Records that cannot be read take nothing from the others.
	if Unread(err) {
		return News{Sessions: list, Unread: err}, nil
	}
	return News{Sessions: list}, err
}

// subscribe asks for events. Engines answer a subscription before it holds, and
// replay what happened from `since` on. So it begins with the last event seen, or
// with the engine's time from before it was asked for, whichever was earlier: its
// clock may have been set back.
func (w *watch) subscribe(ctx context.Context, cancel func()) (<-chan events.Message, <-chan error, error) {
	guard := time.AfterFunc(patience, cancel)
	defer guard.Stop()
	now, err := engine.Time(ctx, w.api)
	if err != nil {
		if !guard.Stop() {
			err = fmt.Errorf("%w: no answer within %s", err, patience)
		}
		return nil, nil, err
	}
	since := now.UnixNano()
	w.mu.Lock()
	if w.last != 0 {
		since = min(since, w.last)
	}
	w.mu.Unlock()
	filter := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)))
	for _, action := range []events.Action{
		events.ActionCreate, events.ActionStart, events.ActionRestart, events.ActionDie, events.ActionStop, events.ActionPause,
		events.ActionUnPause, events.ActionRename, events.ActionDestroy, events.ActionHealthStatus,
	} {
		filter.Add("event", string(action))
	}
	messages, errs := w.api.Events(ctx, events.ListOptions{
		Since: engine.Stamp(time.Unix(0, since)), Filters: filter,
	})
	return messages, errs, nil
}

// read takes events until there are no more, and returns why.
func (w *watch) read(ctx context.Context, messages <-chan events.Message, errs <-chan error) error {
	for {
		select {
		case m := <-messages:
			w.note(m)
		case err, ok := <-errs:
			if !ok {
				err = io.EOF
			}
			return fmt.Errorf("follow the engine's events: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// note remembers what an event says, unless it is one that is replayed.
func (w *watch) note(m events.Message) {
	w.mu.Lock()
	if m.TimeNano >= w.last {
		w.last = m.TimeNano
		w.expected[m.Actor.ID] = &expectation{action: m.Action}
	}
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default: // one is on its way
	}
}

// behind returns after how long to list again because this list does not show what
// events told before, and 0 if it does.
func (w *watch) behind(list []Session) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.expected) == 0 {
		return 0
	}
	byID := make(map[string]*Session, len(list))
	for i := range list {
		byID[list[i].ID] = &list[i]
	}
	var after time.Duration
	for id, e := range w.expected {
		// Something may keep the engine from what it has told: a session that is
		// started again at once, for one.
		if !contradicts(byID[id], e.action) || e.looks == looks {
			delete(w.expected, id)
			continue
		}
		wait := min(firstLook<<e.looks, longestLook)
		if e.looks++; after == 0 || wait < after {
			after = wait
		}
	}
	return after
}

// contradicts tells whether an entry of a list, nil if there is none, shows what
// was before an event.
func contradicts(s *Session, action events.Action) bool {
	if s == nil {
		return false // or it is not among those listed
	}
	switch action {
	case events.ActionDie, events.ActionStop:
		return s.State == Paused || s.State == Running && !strings.HasPrefix(s.Status, "Restarting")
	case events.ActionStart, events.ActionRestart:
		return s.State != Running && s.State != Paused
	case events.ActionPause:
		return s.State == Running
	case events.ActionUnPause:
		return s.State == Paused
	case events.ActionDestroy:
		return true
	default:
		return false
	}
}
