package availability

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	cerrdefs "github.com/containerd/errdefs"

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
