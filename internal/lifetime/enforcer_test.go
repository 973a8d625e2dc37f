package lifetime

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

const (
	m = time.Minute
	h = time.Hour
)

func snapshotFirst(l workspace.Lifetime) workspace.Lifetime {
	l.SnapshotFirst = true
	return l
}

// after lets time pass, and all that it brings happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestWarningThenExpiry(t *testing.T) {
	for verb, done := range map[string]string{"": "stop s1", "stop": "stop s1", "pause": "pause s1", "delete": "delete s1"} {
		t.Run(done+" for "+verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, with(limited(8*h), verb))
				e, stop := w.run()
				defer stop()
				after(m)
				if at, why, ok := e.Status(id(1)); !ok || !at.Equal(w.began.Add(8*h)) || why != "limit of 8h" {
					t.Errorf("status: %s, %q, %v", at, why, ok)
				}
				after(8*h - 6*m - 2*time.Second)
				w.expect("before", w.told())
				after(8 * h)
				w.expect("events", w.told(), "warning 7h55m", "expired 8h")
				w.expect("done", w.acted(), done)
				if at, _, ok := e.Status(id(1)); ok {
					t.Errorf("expires once more, %s", at)
				}
				if w.looks != 0 {
					t.Errorf("looked %d times at what a session without an idle time uses", w.looks)
				}
			})
		})
	}
}

func TestEventSaysWhatWhyAndWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(h))
		_, stop := w.run()
		defer stop()
		after(h - 5*m)
		want := Event{
			Time: w.began.Add(h - 5*m), Session: id(1), Name: "s1", Workspace: "w",
			Type: Warning, Reason: "limit of 1h", Expires: w.began.Add(h),
		}
		if len(w.events) != 1 || w.events[0] != want {
			t.Errorf("got %+v, want %+v", w.events, want)
		}
	})
}

func TestRestartBetweenWarningAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		_, stop := w.run()
		after(8*h - 3*m)
		stop()
		after(m)
		_, stop = w.run()
		defer stop()
		after(h)
		w.expect("events", w.told(), "warning 7h55m", "expired 8h")
		w.expect("done", w.acted(), "stop s1")
	})
}

func TestRestartPastTheExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		_, stop := w.run()
		after(8*h - 3*m)
		stop()
		after(h)
		_, stop = w.run()
		defer stop()
		after(h)
		w.expect("events", w.told(), "warning 7h55m", "expired 8h57m")
		w.expect("done", w.acted(), "stop s1")
	})
}

func TestExpiryThatNobodyWarnedOfIsWarnedOfFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		after(20 * h)
		_, stop := w.run()
		defer stop()
		after(h)
		w.expect("events", w.told(), "warning 20h", "expired 20h5m")
		w.expect("done", w.acted(), "stop s1")
	})
}

func TestStartedAgainGetsTheLimitAnew(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, with(limited(8*h), "pause"))
				e, stop := w.run()
				after(9 * h)
				if restart {
					stop()
					e, stop = w.run()
				}
				w.expect("first", w.told(), "warning 7h55m", "expired 8h")
				after(h + 30*time.Second)
				w.state(e, session.Running)
				after(8*h - 6*m)
				w.expect("meanwhile", w.told())
				after(h)
				w.expect("second", w.told(), "warning 17h55m30s", "expired 18h0m30s")
				w.expect("done", w.acted(), "pause s1", "pause s1")
				stop()
			})
		})
	}
}

func TestStartedWhileNobodyWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		w.state(nil, session.Stopped)
		after(20 * h)
		w.state(nil, session.Running)
		after(h)
		_, stop := w.run()
		defer stop()
		after(12 * h)
		w.expect("events", w.told(), "warning 27h55m", "expired 28h")
	})
}

func TestStoppedSessionLetsItsLimitPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		e, stop := w.run()
		defer stop()
		after(h)
		w.state(e, session.Stopped)
		after(9*h + 30*time.Second)
		w.expect("events", w.told())
		w.state(e, session.Running)
		after(8*h - m)
		w.expect("events", w.told(), "warning 17h55m30s")
		after(m)
		w.expect("events", w.told(), "expired 18h0m30s")
	})
}

func TestSnapshotComesFirstAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(limited(8*h)))
		w.failing = errBusy
		_, stop := w.run()
		after(8*h + 2*m)
		stop()
		w.failing = nil
		_, stop = w.run()
		defer stop()
		after(h)
		w.expect("done", w.acted(), "snapshot s1", "failed stop s1", "failed stop s1", "stop s1")
	})
}

func TestManyExpireTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(limited(8*h)))
		w.snapshotTime = 30 * time.Second
		for n := range byte(199) {
			w.add(n + 2)
		}
		_, stop := w.run()
		defer stop()
		after(12 * h)
		done := w.acted()
		slices.Sort(done)
		if len(done) != 400 || len(slices.Compact(done)) != 400 {
			t.Errorf("%d done, %d of them different", len(done), len(slices.Compact(done)))
		}
		counts := map[EventType]int{}
		for _, e := range w.events {
			counts[e.Type]++
		}
		if counts[Warning] != 200 || counts[Expired] != 200 || counts[Failed] != 0 {
			t.Errorf("events: %v", counts)
		}
	})
}

func TestWorkspaceThatIsGoneLeavesItsSessionsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		e, stop := w.run()
		defer stop()
		if _, err := e.Extend(context.Background(), id(1), h); err != nil {
			t.Fatal(err)
		}
		after(h)
		w.set(e, func() { delete(w.spaces, "w") })
		after(20 * h)
		w.expect("done", w.acted())
		w.set(e, func() { w.spaces["w"] = limited(24 * h) })
		after(10 * h)
		w.expect("events", w.told(), "extended 0s", "warning 23h55m", "expired 24h")
	})
}

func TestOnlyTheStoreIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, idleFor(h))
		e, stop := w.run()
		if _, err := e.Extend(context.Background(), id(1), h); err != nil {
			t.Fatal(err)
		}
		after(5 * h)
		stop()
		w.expect("files", files(t, w.dir), "lifetimes.json")
	})
}

func TestNothingToEnforceAsksLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, workspace.Lifetime{})
		_, stop := w.run()
		after(24 * h)
		stop()
		w.expect("files", files(t, w.dir))
	})
}
