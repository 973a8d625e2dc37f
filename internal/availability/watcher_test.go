package availability

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/events"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

func TestStatesOfTheFirstList(t *testing.T) {
	disabled := container("disabled", "there/x")
	disabled.Enabled = false
	server := &workspace.Workspace{Name: "server", Type: workspace.TypeServer, URL: "rdp://x"}
	for name, c := range map[string]struct {
		ws      *workspace.Workspace
		offline bool
		want    State
		reason  string
	}{
		"on the engine":             {container("w", "firefox"), false, Available, ""},
		"by id":                     {container("w", hex(1)), false, Available, ""},
		"an id that is not there":   {container("w", hex(9)), false, Missing, "not on this engine"},
		"the snapshot itself":       {snapshotOf("w", "firefox", hex(1)), false, Available, ""},
		"another than the snapshot": {snapshotOf("w", "firefox", hex(2)), false, Missing, "belongs to another image on this engine, nor in registry"},
		"in the registry":           {container("w", "there/x"), false, Pullable, "not on this engine"},
		"nowhere":                   {container("w", "gone/x"), false, Missing, "nor in registry docker.io"},
		"no access":                 {container("w", "closed.example/x"), false, Unknown, "docker login closed.example"},
		"registry down":             {container("w", "down.example/x"), false, Unknown, "registry down.example cannot be reached"},
		"registry busy":             {container("w", "busy.example/x"), false, Unknown, "registry busy.example takes no more requests"},
		"registry silent":           {container("w", "slow.example/x"), false, Unknown, "not been asked yet"},
		"credentials locked":        {container("w", "locked.example/x"), false, Unknown, "no credentials for locked.example: locked"},
		"not a name":                {container("w", "UPPER/x"), false, Unknown, "upper-case"},
		"a disabled workspace":      {disabled, false, Unknown, "registries are not asked"},
		"without network":           {container("w", "there/x"), true, Unknown, "registries are not asked"},
		"without network, there":    {container("w", "firefox"), true, Available, ""},
		"a server":                  {server, false, Available, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.put("firefox:latest", hex(1), "")
				f.setRemote("docker.io/there/x:latest", remote{digest: hex(7)})
				f.setRemote("closed.example/x:latest", remote{err: errors.New("no basic auth credentials")})
				f.setRemote("down.example/x:latest", remote{err: errors.New("dial tcp: connection refused")})
				f.setRemote("busy.example/x:latest", remote{err: errors.New("toomanyrequests: access denied until later")})
				f.setRemote("slow.example/x:latest", remote{takes: time.Hour})
				auth := func(ref string) (string, error) {
					if ref == "locked.example/x" {
						return "", errors.New("locked")
					}
					return "", nil
				}
				w := run(t, f, Options{Auth: auth, Offline: c.offline}, c.ws)
				got := expect(t, w, c.ws.Name, c.want, c.reason)
				if got.Since.IsZero() || time.Since(got.Since) > 2*time.Second {
					t.Errorf("since %s, want the time of the start", got.Since)
				}
				if c.offline && len(f.requests("")) > 0 {
					t.Error("a registry was asked")
				}
			})
		})
	}
}

func TestNothingIsKnownBeforeTheEngineAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put("firefox:latest", hex(1), "")
		f.cut()
		w := run(t, f, Options{}, container("a", "firefox"))
		expect(t, w, "a", Unknown, "the engine has not answered yet")
		if s := w.Stats(); s.Connected || s.Err == "" || s.Lists != 0 {
			t.Errorf("got %+v", s)
		}
		f.up(false)
		time.Sleep(2 * longestRetry)
		expect(t, w, "a", Available, "")
	})
}

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
		if n := f.listed() - before; n < 8 || n > 11 {
			t.Errorf("%d lists of a second in 30 seconds, want 10", n)
		}
	})
}

func TestIdleCostDoesNotDependOnWorkspaces(t *testing.T) {
	idle := func(n int) (calls int64) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			var list []*workspace.Workspace
			for i := range n {
				name := fmt.Sprintf("w%d", i)
				f.put(name+":latest", hex(i), "")
				list = append(list, container(name, name))
			}
			w := run(t, f, Options{}, list...)
			time.Sleep(time.Hour)
			calls = w.Stats().Calls
		})
		return calls
	}
	if one, thousand := idle(1), idle(1000); one != thousand || one > 70 {
		t.Errorf("%d calls an hour with one workspace and %d with a thousand", one, thousand)
	}
}

func TestPullingLastsUntilItsOutcomeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.setRemote("docker.io/library/firefox:latest", remote{digest: hex(7)})
		w := run(t, f, Options{}, container("a", "firefox"), container("b", "docker.io/library/firefox:latest"))
		changes := w.Subscribe(t.Context(), 10)
		first, second := w.Pulling("firefox"), w.Pulling("library/firefox:latest")
		expect(t, w, "a", Pulling, "")
		expect(t, w, "b", Pulling, "")
		first()
		first()
		settle()
		expect(t, w, "a", Pulling, "")
		f.with(func() { f.lose = true })
		f.put("firefox:latest", hex(1), hex(7))
		second()
		synctest.Wait()
		got := expect(t, w, "a", Available, "")
		if got.ImageID != hex(1) {
			t.Errorf("got image %s", got.ImageID)
		}
		for len(changes) > 0 {
			if c := <-changes; c.New.State != Pulling && c.New.State != Available {
				t.Errorf("in between %s was %s", c.Name, c.New.State)
			}
		}
		// A pull that ends while the engine is away is over, too.
		done := w.Pulling("firefox")
		f.cut()
		settle()
		expect(t, w, "a", Pulling, "")
		done()
		expect(t, w, "a", Available, "")
		// So is one that ended just before, and that no list has told of.
		f.up(false)
		time.Sleep(2 * longestRetry)
		done = w.Pulling("firefox")
		f.with(func() { f.takes = time.Hour })
		settle()
		done()
		settle()
		expect(t, w, "a", Pulling, "")
		f.cut()
		synctest.Wait()
		expect(t, w, "a", Available, "")
	})
}

func TestAFailedPullGivesTheStateBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.setRemote("docker.io/library/firefox:latest", remote{digest: hex(7)})
		w := run(t, f, Options{}, container("a", "firefox"))
		done := w.Pulling("firefox")
		time.Sleep(time.Hour)
		expect(t, w, "a", Pulling, "")
		done()
		settle()
		got := expect(t, w, "a", Pullable, "")
		if time.Since(got.Since) > 2*time.Second {
			t.Errorf("pullable since %s, want since the pull ended", got.Since)
		}
	})
}

func TestWorkspacesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put("firefox:latest", hex(1), "")
		f.put("chrome:latest", hex(2), "")
		w := run(t, f, Options{Relist: time.Hour}, container("a", "firefox"), container("b", "chrome"))
		since := expect(t, w, "b", Available, "").Since
		changes := w.Subscribe(t.Context(), 10)
		// An image that came without any event is found for a workspace that is new.
		f.with(func() { f.lose = true })
		f.put("built:latest", hex(3), "")
		w.SetWorkspaces([]*workspace.Workspace{container("b", "firefox"), container("c", "chrome"), container("d", "built")})
		settle()
		if _, ok := w.Status("a"); ok || len(w.All()) != 3 {
			t.Errorf("got %v, want a to be gone", w.All())
		}
		got := expect(t, w, "b", Available, "")
		if got.ImageID != hex(1) || !got.Since.Equal(since) {
			t.Errorf("got %+v, want the new image and the state since %s", got, since)
		}
		expect(t, w, "c", Available, "")
		expect(t, w, "d", Available, "")
		seen := map[string]Change{}
		for len(changes) > 0 {
			c := <-changes
			seen[c.Name] = c
		}
		if a := seen["a"]; a.Old != Available || a.New.State != "" {
			t.Errorf("got %+v, want a to be told as gone", a)
		}
		if c := seen["c"]; c.Old != "" || c.New.State != Available {
			t.Errorf("got %+v, want c to be told as new", c)
		}
	})
}

func TestASlowReaderIsToldThatItMissedSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := run(t, f, Options{Offline: true}, container("a", "firefox"))
		ctx, cancel := context.WithCancel(t.Context())
		slow, quick := w.Subscribe(t.Context(), 2), w.Subscribe(ctx, 10)
		for range 2 {
			f.put("firefox:latest", hex(1), "")
			settle()
			f.drop("firefox:latest")
			settle()
		}
		var states []State
		for c := range slow {
			states = append(states, c.New.State)
		}
		if len(states) != 2 || states[0] != Available || states[1] != Unknown {
			t.Errorf("the slow reader got %v, want the first two changes", states)
		}
		if len(quick) != 4 {
			t.Errorf("the other got %d changes, want all 4", len(quick))
		}
		cancel()
		synctest.Wait()
		for range quick {
			continue // until it is closed
		}
	})
}

func TestAnImageThatWasHereMeanwhileIsAskedForAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := run(t, f, Options{}, container("w", "me/x"))
		expect(t, w, "w", Missing, "nor in registry docker.io")
		f.put("me/x:latest", hex(1), "")
		settle()
		expect(t, w, "w", Available, "")
		// Pushed from here.
		f.setRemote("docker.io/me/x:latest", remote{digest: hex(7)})
		f.drop("me/x:latest")
		settle()
		expect(t, w, "w", Pullable, "not on this engine")
	})
}

func TestAPushThatNoListSawIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := run(t, f, Options{}, container("w", "me/x"))
		expect(t, w, "w", Missing, "nor in registry docker.io")
		f.push("docker.io/me/x:latest", hex(7), "me/x:latest")
		settle()
		expect(t, w, "w", Pullable, "not on this engine")
	})
}

func TestAPushDuringARequestIsAskedForAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.setRemote("docker.io/me/x:latest", remote{err: cerrdefs.ErrNotFound, takes: time.Minute / 6})
		w := run(t, f, Options{}, container("w", "me/x"))
		f.push("docker.io/me/x:latest", hex(7), "me/x:latest")
		time.Sleep(time.Minute)
		expect(t, w, "w", Pullable, "not on this engine")
	})
}
