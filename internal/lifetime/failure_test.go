package lifetime

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

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

func TestFailureThatTakesLongIsNotTriedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, snapshotFirst(limited(8*h)))
		w.snapshotTime, w.failSnapshot = 40*m, errors.New("no space left on device")
		e, stop := w.run()
		defer stop()
		after(8*h + 40*m + 30*time.Second)
		last := w.events[len(w.events)-1]
		if want := w.began.Add(8*h + 41*m); !last.Expires.Equal(want) {
			t.Errorf("tried again at %s, want %s", last.Expires, want)
		}
		if at, _, ok := e.Status(id(1)); !ok || !at.Equal(w.began.Add(8*h+41*m)) {
			t.Errorf("status: %s, %v", at, ok)
		}
		after(2 * h)
		w.expect("events", w.told(), "warning 7h55m", "failed 8h40m", "failed 9h21m", "failed 10h3m")
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
