package lifetime

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// Whatever happens, in whatever order: nothing is done twice about one expiry,
// or before its warning has been out for as long as it has to, or much later
// than that while a helper runs and nothing fails.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { whatever(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

// watch checks every event against the rules, with a memory of its own.
type watch struct {
	w *world
	l workspace.Lifetime
	// warned is when a reason was last warned of, by the local clock.
	warned map[string]time.Time
	// expired are the instants that were acted on, of a session and reason.
	expired map[string]bool
	// calm is since when nothing disturbs, zero while something does.
	calm time.Time
}

func (c *watch) event(e Event) {
	reason := Limit
	if len(e.Reason) > 4 && e.Reason[:4] == "idle" {
		reason = Idle
	}
	key := e.Session + string(reason)
	ahead := lead(whole(c.l, reason))
	switch e.Type {
	case Warning:
		c.warned[key] = time.Now()
	case Expired:
		instant := key + e.Expires.String()
		if c.expired[instant] {
			c.w.t.Errorf("acted twice on %+v", e)
		}
		c.expired[instant] = true
		if out := time.Since(c.warned[key]); c.warned[key].IsZero() || out < ahead-jumpFrom {
			c.w.t.Errorf("acted after a warning of %s: %+v", out, e)
		}
		bound := ahead + heartbeat + pokeGap + c.w.snapshotTime
		if late := c.w.now().Sub(e.Expires); late > bound && !c.calm.IsZero() && time.Since(c.calm) > longestRetry+bound {
			c.w.t.Errorf("acted %s too late: %+v", late, e)
		}
	case Extended, Failed:
	}
}

func upTo(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

func whatever(t *testing.T, r *rand.Rand) {
	l := workspace.Lifetime{
		Limit: workspace.Duration(upTo(r, 8*h) + m), OnExpiry: []string{"stop", "pause", "delete"}[r.IntN(3)], SnapshotFirst: r.IntN(2) == 0,
	}
	if r.IntN(2) == 0 {
		l.Idle = workspace.Duration(upTo(r, 2*h) + m)
	}
	w := newWorld(t, l)
	w.add(2)
	check := &watch{w: w, l: l, warned: map[string]time.Time{}, expired: map[string]bool{}, calm: time.Now()}
	w.onEvent = check.event
	w.snapshotTime = upTo(r, 2*m)
	w.offset = upTo(r, 48*h) - 24*h
	e, stop := w.run()
	disturb := func(f func()) {
		w.set(nil, func() {
			f()
			check.calm = time.Now()
		})
	}
	for range 40 {
		after(upTo(r, 2*h))
		switch r.IntN(10) {
		case 0: // a restart, at once or later
			stop()
			after(upTo(r, 3*h) * time.Duration(r.IntN(2)))
			disturb(func() {})
			e, stop = w.run()
		case 1:
			if n := byte(r.IntN(2) + 1); slices.ContainsFunc(w.sessions, func(s session.Session) bool { return s.ID == id(n) }) {
				if _, err := e.Extend(context.Background(), id(n), upTo(r, 5*h)+1); err != nil && w.down == nil {
					// It may have been deleted while it was asked for.
					t.Logf("extend: %v", err)
				}
			}
		case 2: // the clock is set; seen before the helper may end
			disturb(func() { w.offset += upTo(r, 48*h) - 24*h })
			after(heartbeat + pokeGap + looksTime)
		case 3, 4: // something fails for a while
			disturb(func() { w.failing, w.failSnapshot = errBusy, errBusy })
			after(upTo(r, 3*h))
			disturb(func() { w.failing, w.failSnapshot = nil, nil })
		case 5:
			disturb(func() { w.down = errBusy })
			after(upTo(r, h))
			disturb(func() { w.down = nil })
		case 6, 7: // someone goes on with what was stopped or paused
			w.set(e, func() {
				for i := range w.sessions {
					w.sessions[i].State = session.Running
					w.started[w.sessions[i].ID] = w.now()
				}
				check.calm = time.Now()
			})
		case 8:
			w.set(e, func() {
				for i := range w.sessions {
					w.sessions[i].State = []session.State{session.Stopped, session.Paused}[r.IntN(2)]
				}
			})
		case 9:
			w.set(nil, func() {
				u := w.usage[id(1)]
				w.usage[id(1)] = Usage{u.CPU + upTo(r, 20*time.Second), u.Network + r.Uint64N(1<<20)}
			})
		}
	}
	// In the end all expire: with the clock at most two days behind where it was
	// once, and what extensions and failures add.
	after(time.Duration(l.Limit) + 72*h)
	stop()
	for _, s := range w.sessions {
		if verb := verb(l); concerns(verb, s.State) {
			t.Errorf("session %s is still %s, long after all its lifetimes", s.Name, s.State)
		}
	}
}
