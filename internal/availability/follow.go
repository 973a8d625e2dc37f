package availability

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/docker-kasm/docker-kasm/internal/engine"
)

// Events do not carry enough to keep an index up to date: an untag names the
// image and not the tag on some engines, a load names no tags, and a pull or a
// push gives an image digests that no event has. So an event only says that the
// images changed, and the engine is asked for the list: at once after a quiet
// time, and later so seldom that a storm of events costs a few lists a second.
// Nothing is asked per workspace, and what one event told wrongly or not at all,
// the next list mends.
const (
	// quiet is the shortest time between the beginnings of two lists; a list
	// that takes longer is followed by as long a rest, so that a change waits for
	// three lists at the most.
	quiet = 250 * time.Millisecond
	// enginePatience bounds a request to the engine.
	enginePatience = time.Minute
	// The engine is tried again after firstRetry, doubled each time up to
	// longestRetry. Half of each is left to chance.
	firstRetry, longestRetry = 200 * time.Millisecond, 10 * time.Second
)

// follow keeps to the engine until ctx ends.
func (w *Watcher) follow(ctx context.Context) {
	retry := exponential(firstRetry, longestRetry)
	for ctx.Err() == nil {
		err := w.connection(ctx, retry.Reset)
		if ctx.Err() != nil {
			return
		}
		w.disconnected(err)
		select {
		case <-ctx.Done():
		case <-time.After(retry.NextBackOff()):
		}
	}
}

// connection subscribes to the engine's events, and then lists its images, so
// that nothing happens unseen between. It returns why it ended; healthy is
// called after each list.
func (w *Watcher) connection(ctx context.Context, healthy func()) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	messages, errs, err := w.subscribe(ctx, cancel)
	if err != nil {
		return err
	}
	type listed struct {
		number int64
		took   time.Duration
		images []image.Summary
		err    error
	}
	var (
		lists   = make(chan listed, 1)
		timer   = time.NewTimer(0)
		began   time.Time
		rest    time.Duration
		listing bool
		changed bool
	)
	defer timer.Stop()
	// The list is asked for beside, so that events are taken meanwhile: an engine
	// drops those that nobody takes.
	list := func() {
		began, listing, changed = time.Now(), true, false
		number := w.beginList()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, enginePatience)
			defer cancel()
			got := listed{number: number}
			got.images, got.err = w.engine.ImageList(ctx, image.ListOptions{})
			got.took = time.Since(began)
			lists <- got
		})
	}
	// change is called when the images may have changed since the last list began.
	change := func() {
		changed = true
		if !listing {
			timer.Reset(time.Until(began.Add(rest)))
		}
	}
	for {
		select {
		case <-timer.C:
			list()
		case got := <-lists:
			if got.err != nil {
				return fmt.Errorf("list images: %w", got.err)
			}
			healthy()
			listing, rest = false, max(quiet, 2*got.took)
			w.endList(got.number, got.images)
			if timer.Reset(w.options.Relist); changed {
				change()
			}
		case message := <-messages:
			if w.note(message) {
				change()
			}
		case <-w.relist:
			change()
		case err, ok := <-errs:
			if !ok {
				err = io.EOF
			}
			return fmt.Errorf("follow the engine's events: %w", err)
		}
	}
}

// subscribe asks for events. Engines answer a subscription before it holds, and
// replay what happened from `since` on. So it begins with the last event seen, or
// with the engine's time from before it was asked for, whichever was earlier: its
// clock may have been set back.
func (w *Watcher) subscribe(ctx context.Context, cancel func()) (<-chan events.Message, <-chan error, error) {
	guard := time.AfterFunc(enginePatience, cancel)
	defer guard.Stop()
	info, err := w.engine.Info(ctx)
	if err != nil {
		if !guard.Stop() {
			err = fmt.Errorf("no answer within %s", enginePatience)
		}
		return nil, nil, fmt.Errorf("ask the engine for its time: %w", err)
	}
	// An engine that does not tell its time replays all that it remembers.
	since := int64(0)
	if now, err := time.Parse(time.RFC3339Nano, info.SystemTime); err == nil {
		since = now.UnixNano()
	}
	w.mu.Lock()
	if last := w.stats.lastEvent; last != 0 {
		since = min(since, last)
	}
	w.mu.Unlock()
	messages, errs := w.engine.Events(ctx, events.ListOptions{
		Since: engine.Stamp(time.Unix(0, since)),
		Filters: filters.NewArgs(
			filters.Arg("type", string(events.ImageEventType)),
			// Engines before 27 tell of a commit without a tag by this one only.
			filters.Arg("type", string(events.ContainerEventType)),
			filters.Arg("event", string(events.ActionCommit)),
			filters.Arg("event", string(events.ActionCreate)),
			filters.Arg("event", string(events.ActionDelete)),
			filters.Arg("event", string(events.ActionImport)),
			filters.Arg("event", string(events.ActionLoad)),
			filters.Arg("event", string(events.ActionPrune)),
			filters.Arg("event", string(events.ActionPull)),
			filters.Arg("event", string(events.ActionPush)),
			filters.Arg("event", string(events.ActionTag)),
			filters.Arg("event", string(events.ActionUnTag)),
		),
	})
	return messages, errs, nil
}

// note tells whether an event says something new about images.
func (w *Watcher) note(m events.Message) bool {
	if m.Type != events.ImageEventType && m.Action != events.ActionCommit {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.seen.add(m) {
		return false
	}
	w.stats.events++
	w.stats.lastEvent = m.TimeNano
	if m.Action == events.ActionPush || m.Action == events.ActionPull {
		w.transferred(m.Actor.ID)
	}
	return true
}

// transferred has registries asked anew for what was pushed or pulled under a
// name: that has happened before the next list of images, and maybe to another
// image than that list has. w.mu is held.
func (w *Watcher) transferred(name string) {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return
	}
	for _, t := range w.targets {
		// A push of all tags names the repository only.
		if t.ref == ref.String() || reference.IsNameOnly(ref) && t.repository == ref.Name() {
			t.renew()
		}
	}
}

func (w *Watcher) beginList() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.lists++
	return w.stats.lists
}

func (w *Watcher) endList(number int64, list []image.Summary) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.stats.connected, w.stats.lastList, w.stats.err = true, now, ""
	w.stats.images = len(list)
	w.images = w.names.index(list)
	w.endPulls(number)
	w.evaluate(now)
}

// disconnected keeps all states but those of pulls that ended: nobody can tell
// how before the engine is back.
func (w *Watcher) disconnected(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.connected, w.stats.err = false, err.Error()
	w.endPulls(w.stats.lists + 1)
	w.evaluate(time.Now())
}

// seen remembers events: those at the very time of `since` are replayed. It holds
// twice as many as an engine can replay.
type seen struct {
	known map[event]struct{}
	order []event
	next  int
}

type event struct {
	timeNano   int64
	kind       events.Type
	action     events.Action
	id, object string
}

const remembered = 512

// add returns false for an event that it knows.
func (s *seen) add(m events.Message) bool {
	e := event{timeNano: m.TimeNano, kind: m.Type, action: m.Action, id: m.Actor.ID, object: m.Actor.Attributes["name"]}
	if _, ok := s.known[e]; ok {
		return false
	}
	if s.known == nil {
		s.known, s.order = make(map[event]struct{}, remembered), make([]event, remembered)
	}
	delete(s.known, s.order[s.next])
	s.known[e], s.order[s.next] = struct{}{}, e
	s.next = (s.next + 1) % remembered
	return true
}
