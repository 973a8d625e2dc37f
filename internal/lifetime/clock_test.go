package lifetime

import (
	"testing"
	"testing/synctest"
	"time"
)

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
