package lifetime

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func idleFor(d time.Duration) workspace.Lifetime {
	return workspace.Lifetime{Idle: workspace.Duration(d)}
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
