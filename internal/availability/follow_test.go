package availability

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/events"
)

func TestEventsChangeStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := run(t, f, Options{}, container("a", "firefox"), snapshotOf("s", "me/snap:1", hex(2)))
		expect(t, w, "a", Missing, "")
		// After a quiet time an event is followed at once: no time passes.
		f.put("firefox:latest", hex(1), "")
		synctest.Wait()
		got := expect(t, w, "a", Available, "")
		if got.ImageID != hex(1) || got.Size != 7 || !got.Since.Equal(time.Now()) {
			t.Errorf("got %+v", got)
		}
		settle()
		f.put("me/snap:1", hex(3), "")
		synctest.Wait()
		expect(t, w, "s", Missing, "belongs to another image on this engine")
		settle()
		f.put("me/snap:1", hex(2), "")
		synctest.Wait()
		expect(t, w, "s", Available, "")
		settle()
		f.drop("firefox:latest")
		synctest.Wait()
		expect(t, w, "a", Missing, "")
		if s := w.Stats(); s.Events != 5 || !s.LastEvent.Before(time.Now().Add(-71*time.Hour)) {
			t.Errorf("got %+v, want 5 events and the last one by the engine's clock", s)
		}
	})
}

func TestACommitIsAnEventOfAContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := run(t, f, Options{Offline: true}, container("a", hex(4)))
		expect(t, w, "a", Missing, "")
		f.with(func() {
			f.tags["<none>:<none>"] = hex(4)
			f.emit(events.ContainerEventType, events.ActionCreate, "c")
		})
		settle()
		expect(t, w, "a", Missing, "")
		f.with(func() { f.emit(events.ContainerEventType, events.ActionCommit, "c") })
		settle()
		expect(t, w, "a", Available, "")
	})
}

func TestNothingIsLostBetweenSubscriptionAndList(t *testing.T) {
	t.Run("after the list was made", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.listing = sync.OnceFunc(func() {
				f.put("firefox:latest", hex(1), "")
				time.Sleep(100 * time.Millisecond)
			})
			w := run(t, f, Options{Relist: time.Hour}, container("a", "firefox"))
			expect(t, w, "a", Available, "")
		})
	})
	t.Run("before the subscription holds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.gap = 50 * time.Millisecond
			time.AfterFunc(20*time.Millisecond, func() { f.put("firefox:latest", hex(1), "") })
			w := run(t, f, Options{Relist: time.Hour}, container("a", "firefox"))
			expect(t, w, "a", Available, "")
		})
	})
}

func TestAReplayedEventIsNotAppliedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := run(t, f, Options{Relist: time.Hour, Offline: true}, container("a", "firefox"))
		f.put("firefox:latest", hex(1), "")
		settle()
		lists := f.listed()
		f.cut()
		f.up(false)
		time.Sleep(2 * longestRetry)
		synctest.Wait()
		at := f.log[0].TimeNano
		if want := fmt.Sprintf("%d.%09d", at/1e9, at%1e9); len(f.since) != 2 || f.since[1] != want {
			t.Errorf("subscribed since %v, want the second since %s", f.since, want)
		}
		if s := w.Stats(); s.Events != 1 || f.listed() != lists+1 {
			t.Errorf("%d events and %d lists, want 1 and %d", s.Events, f.listed(), lists+1)
		}
	})
}

func TestAClockSetBackHidesNoEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.last = time.Now() // 72 hours before its own time
		w := run(t, f, Options{Relist: time.Hour, Offline: true}, container("a", "firefox"))
		f.put("other:latest", hex(2), "")
		settle()
		f.cut()
		f.with(func() {
			f.last, f.gap = time.Time{}, 50*time.Millisecond
			f.listing = sync.OnceFunc(func() {
				time.AfterFunc(20*time.Millisecond, func() { f.put("firefox:latest", hex(1), "") })
			})
		})
		f.up(true)
		time.Sleep(2 * longestRetry)
		expect(t, w, "a", Available, "")
	})
}

func TestTheEngineGoesAndComesBack(t *testing.T) {
	for name, restarted := range map[string]bool{"the connection is lost": false, "the engine is restarted": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.put("firefox:latest", hex(1), "")
				f.setRemote("docker.io/library/chrome:latest", remote{digest: hex(7)})
				w := run(t, f, Options{Relist: time.Hour}, container("a", "firefox"), container("b", "chrome"))
				f.cut()
				time.Sleep(time.Hour)
				expect(t, w, "a", Available, "")
				expect(t, w, "b", Pullable, "")
				if s := w.Stats(); s.Connected || s.Err == "" {
					t.Errorf("got %+v, want it not connected, with the reason", s)
				}
				if n := w.Stats().Calls; n > 1000 {
					t.Errorf("%d requests to an engine that is away for an hour", n)
				}
				f.drop("firefox:latest")
				f.put("chrome:latest", hex(2), "")
				f.up(restarted)
				time.Sleep(2 * longestRetry)
				expect(t, w, "a", Missing, "")
				expect(t, w, "b", Available, "")
				if s := w.Stats(); !s.Connected || s.Err != "" {
					t.Errorf("got %+v, want it connected", s)
				}
			})
		})
	}
}

func TestLostEventsAreMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := run(t, f, Options{Offline: true}, container("a", "firefox"))
		f.with(func() { f.lose = true })
		f.put("firefox:latest", hex(1), "")
		settle()
		expect(t, w, "a", Unknown, "")
		time.Sleep(time.Minute)
		expect(t, w, "a", Available, "")
	})
}

func TestAStormOfEventsCostsAFewLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := run(t, f, Options{Offline: true}, container("a", "firefox"))
		before := f.listed()
		for i := range 5000 {
			f.put(fmt.Sprintf("x:%d", i%10), hex(i), "")
			time.Sleep(time.Millisecond)
		}
		f.put("firefox:latest", hex(1), "")
		time.Sleep(quiet)
		synctest.Wait()
		expect(t, w, "a", Available, "")
		if n := f.listed() - before; n > 5*4+2 {
			t.Errorf("%d lists in 5 seconds", n)
		}
	})
}

func TestASlowListIsFollowedByRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.listing = func() { time.Sleep(time.Second) }
		run(t, f, Options{Offline: true})
		before := f.listed()
		for i := range 300 {
			f.put("x:1", hex(i), "")
			time.Sleep(100 * time.Millisecond)
		}
		if n := f.listed() - before; n < 13 || n > 16 {
			t.Errorf("%d lists of a second in 30 seconds, want 15", n)
		}
	})
}
