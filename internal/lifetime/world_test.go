package lifetime

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// world is an engine with sessions, a catalog, and the helper's folder.
type world struct {
	t     *testing.T
	dir   string
	began time.Time

	mu       sync.Mutex
	sessions []session.Session
	started  map[string]time.Time
	usage    map[string]Usage
	looks    int
	spaces   map[string]workspace.Lifetime
	// offset is how far the engine's clock is ahead.
	offset time.Duration
	// down, failing and failSnapshot are what the calls fail with.
	down, failing, failSnapshot error
	// deaf is what looks at the usage fail with.
	deaf error
	// snapshotTime is what a snapshot takes, listTime what the way of a list does.
	snapshotTime, listTime time.Duration
	// hook is what a snapshot's hook uses.
	hook     Usage
	done     []string
	events   []Event
	warnings []error
	onEvent  func(Event)
}

var errBusy = errors.New("device or resource busy")

// newWorld has one workspace, w, and one running session of it, id(1).
func newWorld(t *testing.T, l workspace.Lifetime) *world {
	w := &world{
		t: t, dir: t.TempDir(), began: time.Now().UTC(), started: map[string]time.Time{}, usage: map[string]Usage{},
		spaces: map[string]workspace.Lifetime{"w": l},
	}
	w.add(1)
	return w
}

func (w *world) add(n byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions = append(w.sessions, session.Session{
		ID: id(n), Name: fmt.Sprint("s", n), Workspace: "w", State: session.Running, Created: w.now(),
	})
	w.started[id(n)] = w.now()
}

func (w *world) now() time.Time { return time.Now().Add(w.offset).UTC() }

func (w *world) Now(context.Context) (time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now(), w.down
}

func (w *world) List(context.Context) ([]session.Session, error) {
	w.mu.Lock()
	list, err, way := slices.Clone(w.sessions), w.down, w.listTime
	w.mu.Unlock()
	time.Sleep(way)
	return list, err
}

func (w *world) Started(_ context.Context, id string) (time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.started[id], w.down
}

func (w *world) Usage(_ context.Context, id string) (Usage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	return w.usage[id], errors.Join(w.down, w.deaf)
}

func (w *world) Lifetime(name string) (workspace.Lifetime, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, ok := w.spaces[name]
	return l, ok
}

func (w *world) act(ctx context.Context, verb string, s session.Session, f func(*session.Session)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.sessions, func(o session.Session) bool { return o.ID == s.ID })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case i < 0:
		return cerrdefs.ErrNotFound
	case w.failing != nil:
		w.done = append(w.done, "failed "+verb+" "+s.Name)
		return w.failing
	case verb != "delete" && w.sessions[i].Check(session.Stop) != nil:
		return w.sessions[i].Check(session.Stop)
	}
	w.done = append(w.done, verb+" "+s.Name)
	f(&w.sessions[i])
	return nil
}

func (w *world) Stop(ctx context.Context, s session.Session) error {
	return w.act(ctx, "stop", s, func(s *session.Session) { s.State = session.Stopped })
}

func (w *world) Pause(ctx context.Context, s session.Session) error {
	return w.act(ctx, "pause", s, func(s *session.Session) { s.State = session.Paused })
}

func (w *world) Delete(ctx context.Context, s session.Session) error {
	return w.act(ctx, "delete", s, func(s *session.Session) { w.remove(s.ID) })
}

// remove is called with the lock held.
func (w *world) remove(id string) {
	w.sessions = slices.DeleteFunc(w.sessions, func(s session.Session) bool { return s.ID == id })
}

func (w *world) Snapshot(ctx context.Context, s session.Session) error {
	select {
	case <-time.After(w.snapshotTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.usage[s.ID]
	w.usage[s.ID] = Usage{u.CPU + w.hook.CPU, u.Network + w.hook.Network}
	if w.failSnapshot != nil {
		w.done = append(w.done, "failed snapshot "+s.Name)
		return w.failSnapshot
	}
	w.done = append(w.done, "snapshot "+s.Name)
	return nil
}

func (w *world) SnapshotAndDelete(ctx context.Context, s session.Session) error {
	if err := w.Snapshot(ctx, s); err != nil {
		return err
	}
	return w.Delete(ctx, s)
}

// set changes the world and pokes the helper, as its watcher does.
func (w *world) set(e *Enforcer, f func()) {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	if e != nil {
		e.Poke()
	}
}

// state sets that of id(1); what runs has been started now.
func (w *world) state(e *Enforcer, s session.State) {
	w.set(e, func() {
		if s == session.Running && w.sessions[0].State != session.Paused {
			w.started[w.sessions[0].ID] = w.now()
		}
		w.sessions[0].State = s
	})
}

// run starts a helper; the function it returns ends it.
func (w *world) run() (*Enforcer, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	e := New(Options{
		Engine: w, Workspaces: w, Actor: w, Store: OpenStore(filepath.Join(w.dir, "lifetimes.json")),
		Events: func(e Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
			if w.onEvent != nil {
				w.onEvent(e)
			}
		},
		Warn: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.warnings = append(w.warnings, err)
		},
	})
	ended := make(chan struct{})
	go func() {
		e.Run(ctx)
		close(ended)
	}()
	return e, func() {
		cancel()
		<-ended
	}
}

// told lists the events since the last call: type, and minutes since the
// world began by the engine's clock.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.events {
		out = append(out, fmt.Sprintf("%s %s", e.Type, short(e.Time.Sub(w.began).Round(time.Second))))
	}
	w.events = nil
	return out
}

// acted lists what was done since the last call.
func (w *world) acted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.done
	w.done = nil
	return out
}

func (w *world) expect(what string, got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}
