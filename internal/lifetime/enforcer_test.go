package lifetime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

func idleFor(d time.Duration) workspace.Lifetime {
	return workspace.Lifetime{Idle: workspace.Duration(d)}
}

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

func TestFailureIsTriedAgainWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		w.failing = errBusy
		e, stop := w.run()
		defer stop()
		after(8*h + 10*m)
		if at, why, ok := e.Status(id(1)); !ok || !at.Equal(w.began.Add(8*h+15*m)) || why != "limit of 8h, could not stop: tries 4" {
			t.Errorf("status: %s, %q, %v", at, why, ok)
		}
		if last := w.events[len(w.events)-1]; !strings.Contains(last.Reason, errBusy.Error()) || !last.Expires.Equal(w.began.Add(8*h+15*m)) {
			t.Errorf("got %+v", last)
		}
		w.expect("events", w.told(), "warning 7h55m", "failed 8h", "failed 8h1m", "failed 8h3m", "failed 8h7m")
		w.set(nil, func() { w.failing = nil })
		after(h)
		w.expect("events", w.told(), "expired 8h15m")
		w.acted()
		after(99 * h)
		w.expect("done", w.acted())
	})
}

func TestFailureIsNotHurriedByRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		w.failing = errBusy
		_, stop := w.run()
		after(8*h + 8*m)
		for range 5 {
			stop()
			_, stop = w.run()
			after(m)
		}
		defer stop()
		w.expect("events", w.told(), "warning 7h55m", "failed 8h", "failed 8h1m", "failed 8h3m", "failed 8h7m")
	})
}

func TestNothingIsDeletedWithoutItsSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(with(limited(8*h), "delete")))
		w.failSnapshot = errors.New("no space left on device")
		_, stop := w.run()
		after(30 * h)
		stop()
		_, stop = w.run()
		defer stop()
		after(30 * h)
		if len(w.sessions) != 1 || w.sessions[0].State != session.Running {
			t.Fatalf("sessions: %+v", w.sessions)
		}
		if done := w.acted(); len(done) < 100 || slices.ContainsFunc(done, func(s string) bool { return s != "failed snapshot s1" }) {
			t.Errorf("done: %q", done)
		}
		w.set(nil, func() { w.failSnapshot = nil })
		after(h)
		w.expect("done", w.acted(), "snapshot s1", "delete s1")
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

func TestExtend(t *testing.T) {
	for name, c := range map[string]struct {
		at, by, until time.Duration
		want          []string
	}{
		"before the warning": {h, 2 * h, 10 * h, []string{"extended 1h", "warning 9h55m", "expired 10h"}},
		"after the warning":  {8*h - m, 2 * h, 10 * h, []string{"warning 7h55m", "extended 7h59m", "warning 9h55m", "expired 10h"}},
		"by very little":     {8*h - m, m, 8*h + m, []string{"warning 7h55m", "extended 7h59m", "warning 7h59m1s", "expired 8h4m1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, limited(8*h))
				e, stop := w.run()
				after(c.at)
				until, err := e.Extend(context.Background(), id(1), c.by)
				if err != nil || !until.Equal(w.began.Add(c.until)) {
					t.Errorf("until %s, %v", until, err)
				}
				if at, why, ok := e.Status(id(1)); !ok || at.Before(until) || why != "limit of 8h, extended" {
					t.Errorf("status: %s, %q, %v", at, why, ok)
				}
				after(2 * time.Second)
				stop() // it outlives the helper
				_, stop = w.run()
				defer stop()
				after(20 * h)
				w.expect("events", w.told(), c.want...)
				w.expect("done", w.acted(), "stop s1")
			})
		})
	}
}

func TestExtendAfterTheExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		e, stop := w.run()
		defer stop()
		after(9 * h)
		until, err := e.Extend(context.Background(), id(1), 2*h)
		if err != nil || !until.Equal(w.began.Add(11*h)) {
			t.Errorf("until %s, %v", until, err)
		}
		w.state(e, session.Running)
		after(20 * h)
		w.expect("events", w.told(), "warning 7h55m", "expired 8h", "extended 9h", "warning 10h55m", "expired 11h")
	})
}

func TestExtendBreaksASnapshotOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(with(limited(8*h), "delete")))
		w.snapshotTime = 20 * m
		e, stop := w.run()
		defer stop()
		after(8*h + 10*m)
		if until, err := e.Extend(context.Background(), id(1), h); err != nil || !until.Equal(w.began.Add(9*h+10*m)) {
			t.Errorf("until %s, %v", until, err)
		}
		after(30 * m)
		w.expect("done", w.acted())
		w.expect("events", w.told(), "warning 7h55m", "extended 8h10m")
		after(h)
		w.expect("done", w.acted(), "snapshot s1", "delete s1")
	})
}

func TestExtendRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, workspace.Lifetime{})
		e, stop := w.run()
		defer stop()
		var none *session.NotFoundError
		if _, err := e.Extend(context.Background(), id(9), h); !errors.As(err, &none) {
			t.Errorf("no session: %v", err)
		}
		if _, err := e.Extend(context.Background(), id(1), h); err == nil || !strings.Contains(err.Error(), `workspace "w"`) {
			t.Errorf("no lifetime: %v", err)
		}
		w.set(e, func() { w.spaces["w"] = limited(8 * h) })
		after(m)
		for _, by := range []time.Duration{0, -h, 1 << 62} {
			if _, err := e.Extend(context.Background(), id(1), by); err == nil {
				t.Errorf("extended by %s", by)
			}
		}
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Extend(context.Background(), id(1), h); err == nil {
			t.Error("an extension that cannot be written is reported as done")
		}
		after(m)
		if at, _, ok := e.Status(id(1)); !ok || !at.Equal(w.began.Add(8*h)) {
			t.Errorf("and is in force: %s, %v", at, ok)
		}
	})
}

func TestClockThatJumpsAheadWarnsFirst(t *testing.T) {
	for name, c := range map[string]struct {
		at   time.Duration
		want []string
	}{
		"before the warning": {h, []string{"warning 25h1m", "expired 25h6m"}},
		"after the warning":  {8*h - 4*m, []string{"warning 7h55m", "expired 32h"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, limited(8*h))
				_, stop := w.run()
				defer stop()
				after(c.at)
				w.set(nil, func() { w.offset = 24 * h })
				after(h)
				w.expect("events", w.told(), c.want...)
			})
		})
	}
}

func TestClockThatGoesBackRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		w.offset = 24 * h // the session's creation is of before
		_, stop := w.run()
		after(h)
		w.expect("ahead", w.told(), "warning 24h", "expired 24h5m")
		w.set(nil, func() { w.offset = 0 })
		after(3 * h)
		stop()
		_, stop = w.run()
		defer stop()
		after(12 * h)
		w.expect("back", w.told())
		w.expect("done", w.acted(), "stop s1")
	})
}

func TestClockThatGoesBackAfterTheWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		_, stop := w.run()
		defer stop()
		after(8*h - 2*m)
		w.set(nil, func() { w.offset = -h })
		after(3 * h)
		w.expect("events", w.told(), "warning 7h55m", "expired 8h")
	})
}

func TestClockThatGoesBackWhileNoHelperRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		_, stop := w.run()
		after(h)
		w.set(nil, func() { w.offset = 24 * h })
		after(2 * m)
		stop()
		w.set(nil, func() { w.offset = 0 })
		_, stop = w.run()
		defer stop()
		after(10 * h)
		w.expect("events", w.told(), "warning 25h1m", "expired 8h")
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

func TestSessionGoneMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(limited(8*h)))
		w.snapshotTime = 10 * m
		e, stop := w.run()
		defer stop()
		after(8*h + m)
		w.set(e, func() { w.remove(id(1)) })
		after(h)
		w.expect("events", w.told(), "warning 7h55m")
		if entries, err := OpenStore(filepath.Join(w.dir, "lifetimes.json")).Load(); err != nil || len(entries) != 0 {
			t.Errorf("still remembered: %v, %v", entries, err)
		}
		if _, _, ok := e.Status(id(1)); ok {
			t.Error("still expires")
		}
	})
}

func TestSessionThatOthersStoppedIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(limited(8*h)))
		w.snapshotTime = 10 * m
		e, stop := w.run()
		defer stop()
		after(8*h + m)
		w.state(e, session.Stopped)
		after(h)
		w.expect("events", w.told(), "warning 7h55m")
		w.expect("done", w.acted(), "snapshot s1")
	})
}

func TestListOfBeforeTheExpiryIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(limited(8*h)))
		w.snapshotTime = 5 * time.Second
		e, stop := w.run()
		defer stop()
		after(8*h + 2*time.Second)
		w.set(e, func() { w.listTime = 10 * time.Second })
		after(m) // a list says that it runs, which it did until it was stopped
		w.set(nil, func() { w.listTime = 0 })
		after(4 * h)
		w.state(e, session.Running)
		after(8*h - 10*m)
		w.expect("events", w.told(), "warning 7h55m", "expired 8h0m5s")
		after(h)
		w.expect("done", w.acted(), "snapshot s1", "stop s1", "snapshot s1", "stop s1")
	})
}

func TestEngineThatIsDownIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		_, stop := w.run()
		defer stop()
		after(8*h - m)
		w.set(nil, func() { w.down = errBusy })
		after(h)
		w.expect("events", w.told(), "warning 7h55m")
		w.set(nil, func() { w.down = nil })
		after(15 * time.Second)
		w.expect("done", w.acted(), "stop s1")
	})
}

func TestHelperThatEndsInASnapshotGoesOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(with(limited(8*h), "delete")))
		w.snapshotTime = m
		_, stop := w.run()
		after(8*h + 30*time.Second)
		stop()
		_, stop = w.run()
		defer stop()
		after(2 * h)
		w.expect("events", w.told(), "warning 7h55m", "expired 8h1m30s")
		w.expect("done", w.acted(), "snapshot s1", "delete s1")
	})
}

func TestWhatHooksUseIsNoActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(with(idleFor(h), "delete")))
		w.hook = Usage{h, 1 << 30}
		w.failSnapshot = errBusy
		_, stop := w.run()
		defer stop()
		after(h + 10*m)
		w.expect("events", w.told(), "warning 55m", "failed 1h", "failed 1h1m", "failed 1h3m", "failed 1h7m")
	})
}

func TestIdleSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, idleFor(h))
		_, stop := w.run()
		defer stop()
		after(2 * h)
		w.expect("events", w.told(), "warning 55m", "expired 1h")
		if w.looks > 70 {
			t.Errorf("looked %d times in an hour", w.looks)
		}
	})
}

func TestActivityBeginsTheIdleTimeAnew(t *testing.T) {
	for name, use := range map[string]Usage{"CPU": {CPU: time.Minute}, "network": {Network: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, idleFor(h))
				_, stop := w.run()
				defer stop()
				for range 5 { // each time after the warning, and once in the last moment
					after(59*m + 50*time.Second)
					w.set(nil, func() {
						u := w.usage[id(1)]
						w.usage[id(1)] = Usage{u.CPU + use.CPU, u.Network + use.Network}
					})
				}
				w.expect("done", w.acted())
				after(2 * h)
				w.expect("done", w.acted(), "stop s1")
			})
		})
	}
}

func TestIdleTimeOfWhatStandsStillDoesNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, idleFor(h))
		e, stop := w.run()
		defer stop()
		after(50*m + 30*time.Second)
		w.state(e, session.Paused)
		after(10*h + 15*time.Second)
		w.state(e, session.Running)
		after(50 * m)
		w.expect("events", w.told())
		after(15 * m)
		w.expect("events", w.told(), "warning 11h45m45s", "expired 11h50m45s")
	})
}

func TestIdleTimeOutlivesTheHelper(t *testing.T) {
	for name, c := range map[string]struct {
		use  Usage
		want []string
	}{
		"unused":                   {Usage{}, []string{"warning 55m", "expired 1h"}},
		"used":                     {Usage{Network: 1 << 20}, []string{"warning 1h35m", "expired 1h40m"}},
		"started anew, and unused": {Usage{CPU: -time.Minute}, []string{"warning 1h35m", "expired 1h40m"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, idleFor(h))
				w.usage[id(1)] = Usage{CPU: h}
				_, stop := w.run()
				after(30 * m)
				stop()
				after(10 * m)
				w.usage[id(1)] = Usage{h + c.use.CPU, c.use.Network}
				_, stop = w.run()
				defer stop()
				after(2 * h)
				w.expect("events", w.told(), c.want...)
			})
		})
	}
}

func TestClockThatJumpsIsNoIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, idleFor(h))
		_, stop := w.run()
		defer stop()
		after(30 * m)
		w.set(nil, func() { w.offset = 24 * h })
		after(24 * m)
		w.expect("events", w.told())
		after(h)
		w.expect("events", w.told(), "warning 24h55m", "expired 25h")
	})
}

func TestNothingIsDoneAboutUsageThatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, idleFor(h))
		e, stop := w.run()
		defer stop()
		after(57 * m)
		w.set(e, func() { w.deaf = errBusy })
		after(h)
		w.expect("events", w.told(), "warning 55m")
		if len(w.warnings) == 0 {
			t.Error("nobody was told")
		}
		w.set(e, func() {
			w.deaf = nil
			w.usage[id(1)] = Usage{Network: 1 << 30}
		})
		after(30 * m)
		w.expect("events", w.told())
	})
}

func TestExtensionKeepsAnIdleSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := idleFor(h)
		l.Limit = workspace.Duration(8 * h)
		w := newWorld(t, l)
		e, stop := w.run()
		defer stop()
		after(58 * m)
		until, err := e.Extend(context.Background(), id(1), 3*h)
		if err != nil || !until.Equal(w.began.Add(3*h+58*m)) {
			t.Errorf("until %s, %v", until, err)
		}
		after(8 * h)
		w.expect("events", w.told(), "warning 55m", "extended 58m", "warning 3h53m", "expired 3h58m")
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

func TestStoreThatCannotBeWrittenStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limited(8*h))
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
		_, stop := w.run()
		defer stop()
		after(20 * h)
		w.expect("events", w.told(), "warning 7h55m", "expired 8h")
		w.expect("done", w.acted(), "stop s1")
		if len(w.warnings) == 0 {
			t.Error("nobody was told")
		}
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
