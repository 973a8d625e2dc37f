package lifetime

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Engine is what is asked of the engine.
type Engine interface {
	// Now is the time by the engine's clock.
	Now(ctx context.Context) (time.Time, error)
	// List returns all sessions, whatever their state.
	List(ctx context.Context) ([]session.Session, error)
	// Started is when a container was last started; asked for only where the
	// end of a limit is found to be past.
	Started(ctx context.Context, id string) (time.Time, error)
	// Usage is asked for every minute, of running sessions whose workspace sets
	// an idle time.
	Usage(ctx context.Context, id string) (Usage, error)
}

// Workspaces is what is asked of the catalog.
type Workspaces interface {
	// Lifetime returns that of a workspace; false if there is no such workspace
	// or its file cannot be read, and its sessions are then left alone. It is
	// asked often, and has to answer at once.
	Lifetime(name string) (workspace.Lifetime, bool)
}

// Actor does what is done with sessions that have expired. Each call returns
// when it is done, or soon after ctx has ended, with the session then as it was
// where that is still possible. A session that is gone, or in a state that the
// verb does not apply to, is an error of errdefs' class NotFound, or a
// *session.StateError. One of which somebody else makes a snapshot is left alone, with
// any other error.
type Actor interface {
	Stop(ctx context.Context, s session.Session) error
	Pause(ctx context.Context, s session.Session) error
	// Delete deletes without a snapshot.
	Delete(ctx context.Context, s session.Session) error
	// Snapshot makes a snapshot; the session goes on.
	Snapshot(ctx context.Context, s session.Session) error
	// SnapshotAndDelete deletes a session once its snapshot holds all that was
	// written, as `session rm --snapshot` does. On an error it is not deleted,
	// and goes on.
	SnapshotAndDelete(ctx context.Context, s session.Session) error
}

const (
	// heartbeat is how often the clock is looked at while a session can expire.
	heartbeat = lookEvery
	// idleHeartbeat is how often sessions are listed while none can.
	idleHeartbeat = 10 * time.Minute
	// engineDown is the wait after the engine did not answer.
	engineDown = 10 * time.Second
	// pokeGap keeps a burst of pokes to one list call.
	pokeGap = time.Second
	// jumpFrom is how far the engine's clock has to be off the passing of time
	// to have been set: less may be the time that the engine took to tell it.
	jumpFrom = 2 * time.Second
)

// Options are what an Enforcer works with. All are needed but Events and Warn.
type Options struct {
	Engine     Engine
	Workspaces Workspaces
	Actor      Actor
	Store      *Store
	// Events receives what happens; it must return soon.
	Events func(Event)
	// Warn receives what went wrong beside the sessions themselves.
	Warn func(error)
}

// Enforcer ends sessions whose lifetime is over.
type Enforcer struct {
	o    Options
	poke chan struct{}
	work sync.WaitGroup

	mu      sync.Mutex
	entries map[string]Entry
	dirty   bool
	// acts are those under way, by container id.
	acts map[string]*act
	// seen is the last look at each running session with an idle time.
	seen   map[string]*look
	status map[string]status
	clock  clock
}

// clock is the engine's time at a local one, zero before it was first asked.
type clock struct{ engine, local time.Time }

func (c clock) now() time.Time { return c.engine.Add(time.Since(c.local)) }

// New returns an Enforcer with what the store holds. A store that cannot be
// read is reported to Warn, and does not keep it from starting.
func New(o Options) *Enforcer {
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	entries, err := o.Store.Load()
	if err != nil {
		o.Warn(err)
	}
	return &Enforcer{
		o: o, poke: make(chan struct{}, 1), entries: entries, acts: map[string]*act{},
		seen: map[string]*look{}, status: map[string]status{},
	}
}

// Poke has the sessions looked at soon: one was started, paused or deleted, or
// a workspace has changed.
func (e *Enforcer) Poke() {
	select {
	case e.poke <- struct{}{}:
	default:
	}
}

// Run enforces until ctx ends, and returns once what was under way has ended.
func (e *Enforcer) Run(ctx context.Context) {
	defer e.work.Wait()
	for {
		wait, err := e.pass(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			e.o.Warn(fmt.Errorf("enforce the lifetimes of sessions: %w", err))
			wait = engineDown
		}
		if !e.sleep(ctx, wait) {
			return
		}
	}
}

// sleep waits for a time or a poke, and tells whether to go on.
func (e *Enforcer) sleep(ctx context.Context, wait time.Duration) bool {
	gap := time.NewTimer(min(wait, pokeGap))
	defer gap.Stop()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-gap.C:
	}
	select {
	case <-ctx.Done():
		return false
	case <-e.poke:
	case <-timer.C:
	}
	return true
}

// pass looks at all sessions once, and returns how long to sleep.
func (e *Enforcer) pass(ctx context.Context) (time.Duration, error) {
	// What ends from here on may be listed as it was before.
	before := e.underWay()
	if err := e.readClock(ctx); err != nil {
		return 0, err
	}
	list, err := e.o.Engine.List(ctx)
	if err != nil {
		return 0, err
	}
	r := &round{Enforcer: e, skip: before}
	r.look(ctx, list)
	r.askStarted(ctx, list)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	e.mu.Lock()
	r.now = e.clock.now()
	r.decide(ctx, list)
	e.mu.Unlock()

	// Told before it is saved: should the helper be killed in between, it is
	// told once more rather than never.
	for _, event := range r.events {
		e.o.Events(event)
	}
	e.save()
	for _, a := range r.begun {
		e.work.Go(func() { e.do(a) })
	}
	if !r.enforcing {
		return idleHeartbeat, nil
	}
	wait := heartbeat
	if !r.next.IsZero() {
		wait = min(wait, max(0, r.next.Sub(r.now)))
	}
	return wait, nil
}

func (e *Enforcer) underWay() map[string]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids := make(map[string]bool, len(e.acts))
	for id := range e.acts {
		ids[id] = true
	}
	return ids
}

// readClock asks for the engine's time, and follows its clock where that jumped.
func (e *Enforcer) readClock(ctx context.Context) error {
	now, err := e.o.Engine.Now(ctx)
	if err != nil {
		return err
	}
	told := clock{engine: now.Round(0).UTC(), local: time.Now()}
	e.mu.Lock()
	defer e.mu.Unlock()
	first := e.clock.engine.IsZero()
	jump := told.engine.Sub(e.clock.engine.Add(told.local.Sub(e.clock.local)))
	switch {
	case first:
		for id, entry := range e.entries {
			entry.settle(told.engine)
			e.put(id, entry)
		}
	case jump >= jumpFrom || jump <= -jumpFrom:
		for id, entry := range e.entries {
			entry.shift(jump)
			e.put(id, entry)
		}
	}
	e.clock = told
	return nil
}

// save writes the entries if they have changed. What cannot be written is
// tried again with the next change, or pass.
func (e *Enforcer) save() {
	e.mu.Lock()
	err := e.saveLocked()
	e.mu.Unlock()
	if err != nil {
		e.o.Warn(err)
	}
}

func (e *Enforcer) saveLocked() error {
	if !e.dirty {
		return nil
	}
	if err := e.o.Store.Save(e.entries); err != nil {
		return err
	}
	e.dirty = false
	return nil
}

// put notes an entry; the lock is held.
func (e *Enforcer) put(id string, entry Entry) {
	old, known := e.entries[id]
	empty := entry == (Entry{})
	if reflect.DeepEqual(old, entry) && known != empty {
		return
	}
	e.dirty = e.dirty || known || !empty
	if empty {
		delete(e.entries, id)
		return
	}
	e.entries[id] = entry
}
