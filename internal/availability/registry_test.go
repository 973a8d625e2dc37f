package availability

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

var (
	errDown = errors.New(`dial "https://reg.example/v2/": dial tcp 192.0.2.1:443: connect: connection refused`)
	errBusy = errors.New("toomanyrequests: You have reached your pull rate limit")
)

// many are workspaces of n images of a registry.
func many(host string, n int) []*workspace.Workspace {
	list := make([]*workspace.Workspace, n)
	for i := range list {
		list[i] = container(fmt.Sprintf("%s-%d", host, i), fmt.Sprintf("%s/x%d:1", host, i))
	}
	return list
}

func TestARegistryGetsSoManyRequestsAMinute(t *testing.T) {
	for _, perMinute := range []int{1, 2, 7, 20} {
		t.Run(fmt.Sprint(perMinute), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				list := append(many("reg.example", 100), many("other.example", 3)...)
				for i := range 100 {
					f.setRemote(fmt.Sprintf("reg.example/x%d:1", i), remote{digest: hex(7)})
				}
				w := run(t, f, Options{PerMinute: perMinute}, list...)
				if n := len(f.requests("other")); perMinute == 20 && n != 3 {
					t.Errorf("%d requests to the other registry, want 3: one does not wait for the other", n)
				}
				time.Sleep(2 * time.Minute * time.Duration(100/perMinute+1))
				at := f.requests("reg.example")
				for i := range at {
					if j := i + perMinute; j < len(at) && at[j].Sub(at[i]) < time.Minute {
						t.Fatalf("%d requests within %s", perMinute+1, at[j].Sub(at[i]))
					}
				}
				for _, ws := range list[:100] {
					expect(t, w, ws.Name, Pullable, "")
				}
				s := w.Stats().Registries
				if i := slices.IndexFunc(s, func(r RegistryStats) bool { return r.Host == "reg.example" }); s[i].Requests != int64(len(at)) || !s[i].Asked.Equal(at[len(at)-1]) || s[i].Err != "" {
					t.Errorf("got %+v, want %d requests, the last at %s", s[i], len(at), at[len(at)-1])
				}
			})
		})
	}
}

func TestARegistryThatDoesNotAnswerIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		err         error
		reason      string
		first, last time.Duration
		most        int
	}{
		"unreachable":        {errDown, "cannot be reached", firstWait / 2, longestWait * 3 / 2, 20},
		"too many requests":  {errBusy, "takes no more requests", firstBusy / 2, longestBusy * 3 / 2, 6},
		"with a time to ask": {errors.New("toomanyrequests: retry-after: 2h, allowed: 1/minute"), "takes no more requests", 2 * time.Hour, longestBusy*3/2 + 2*time.Hour, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				for i := range 50 {
					f.setRemote(fmt.Sprintf("reg.example/x%d:1", i), remote{err: c.err})
				}
				w := run(t, f, Options{}, append(many("reg.example", 50), container("other", "other.example/x"))...)
				expect(t, w, "other", Missing, "")
				for i := range 50 {
					// Those that were not asked for themselves say so, too.
					expect(t, w, fmt.Sprintf("reg.example-%d", i), Unknown, c.reason)
				}
				if r := w.Stats().Registries[1]; r.Host != "reg.example" || r.Err == "" || time.Until(r.Next) < c.first-2*time.Second {
					t.Errorf("got %+v, want the error and not to ask before %s", r, c.first)
				}
				time.Sleep(3 * time.Hour)
				at := f.requests("reg.example")
				if len(at) > c.most || len(at) < 2 && c.first < 2*time.Hour {
					t.Errorf("%d requests in 3 hours to a registry that does not answer", len(at))
				}
				for i := 1; i < len(at); i++ {
					if gap := at[i].Sub(at[i-1]); gap < c.first || gap > c.last+time.Second {
						t.Errorf("request %d came after %s, want %s to %s", i, gap, c.first, c.last)
					}
				}
				for i := range 50 {
					f.setRemote(fmt.Sprintf("reg.example/x%d:1", i), remote{digest: hex(7)})
				}
				time.Sleep(c.last + 10*time.Minute)
				expect(t, w, "reg.example-7", Pullable, "")
				if r := w.Stats().Registries[1]; r.Err != "" {
					t.Errorf("got %+v, want no error any more", r)
				}
			})
		})
	}
}

func TestAnUnreachableRegistryMakesNothingWorse(t *testing.T) {
	for name, err := range map[string]error{"down": errDown, "busy": errBusy, "no name": cerrdefs.ErrInvalidArgument} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.put("reg.example/have:1", hex(1), hex(7))
				f.put("reg.example/old:1", hex(2), hex(7))
				refs := map[string]string{"have": hex(7), "old": hex(8), "pull": hex(9)}
				var list []*workspace.Workspace
				for name, digest := range refs {
					f.setRemote("reg.example/"+name+":1", remote{digest: digest})
					list = append(list, container(name, "reg.example/"+name+":1"))
				}
				w := run(t, f, Options{}, append(list, container("gone", "reg.example/gone:1"))...)
				time.Sleep(2 * time.Hour)
				states := func() {
					t.Helper()
					expect(t, w, "have", Available, "")
					expect(t, w, "old", Outdated, "")
					expect(t, w, "pull", Pullable, "")
					expect(t, w, "gone", Missing, "")
				}
				states()
				for name := range refs {
					f.setRemote("reg.example/"+name+":1", remote{err: err})
				}
				f.setRemote("reg.example/gone:1", remote{err: err})
				asked := len(f.requests(""))
				time.Sleep(72 * time.Hour)
				if len(f.requests("")) == asked {
					t.Fatal("registries were not asked again")
				}
				states()
			})
		})
	}
}

func TestANameNobodyTakesDoesNotHoldUpItsRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		list := many("reg.example", 10)
		for i := range list {
			f.setRemote(fmt.Sprintf("reg.example/x%d:1", i), remote{digest: hex(7)})
		}
		f.setRemote("reg.example/x3:1", remote{err: fmt.Errorf("unsupported manifest: %w", cerrdefs.ErrInvalidArgument)})
		w := run(t, f, Options{}, list...)
		for i := range list {
			if i != 3 {
				expect(t, w, list[i].Name, Pullable, "")
			}
		}
		expect(t, w, list[3].Name, Unknown, "does not say")
		time.Sleep(time.Hour)
		if n := len(f.requests("reg.example/x3:1")); n < 2 || n > 12 {
			t.Errorf("%d requests in an hour", n)
		}
	})
}

func TestOutdatedImages(t *testing.T) {
	const recheck = 12 * time.Hour
	const ref = "docker.io/me/firefox:1"
	start := func(t *testing.T, f *fake, ws *workspace.Workspace) *Watcher {
		w := run(t, f, Options{}, ws)
		time.Sleep(recheck / 10)
		synctest.Wait()
		return w
	}
	tests := map[string]func(t *testing.T, f *fake){
		"are those whose tag moved in the registry, until they are pulled": func(t *testing.T, f *fake) {
			f.setRemote(ref, remote{digest: hex(10)})
			w := start(t, f, container("a", "me/firefox:1"))
			expect(t, w, "a", Available, "")
			f.setRemote(ref, remote{digest: hex(11)})
			time.Sleep(2 * recheck)
			got := expect(t, w, "a", Outdated, "registry docker.io has another image of that name")
			if got.ImageID != hex(1) || got.Checked.IsZero() {
				t.Errorf("got %+v, want its image and when it was checked", got)
			}
			f.put("me/firefox:1", hex(2), hex(11))
			synctest.Wait()
			expect(t, w, "a", Available, "")
		},
		"are not those pulled after the tag moved again": func(t *testing.T, f *fake) {
			f.setRemote(ref, remote{digest: hex(11)})
			w := start(t, f, container("a", "me/firefox:1"))
			expect(t, w, "a", Outdated, "")
			asked := len(f.requests(ref))
			f.setRemote(ref, remote{digest: hex(12), takes: time.Second})
			f.put("me/firefox:1", hex(3), hex(12))
			synctest.Wait()
			expect(t, w, "a", Available, "")
			settle()
			settle()
			if n := len(f.requests(ref)); n != asked+1 {
				t.Errorf("%d requests, want one that asks of the new image", n-asked)
			}
			expect(t, w, "a", Available, "")
		},
		"are found after a push of another image that no list saw": func(t *testing.T, f *fake) {
			f.setRemote(ref, remote{digest: hex(10)})
			w := start(t, f, container("a", "me/firefox:1"))
			for _, actor := range []string{"me/firefox:1", "me/firefox"} {
				f.push(ref, hex(11), actor)
				settle()
				expect(t, w, "a", Outdated, "")
				f.put("me/firefox:1", hex(1), hex(11))
				f.setRemote(ref, remote{digest: hex(11)})
				settle()
				expect(t, w, "a", Available, "")
				f.put("me/firefox:1", hex(2), hex(12))
				f.push(ref, hex(12), actor)
				settle()
			}
			asked := len(f.requests(ref))
			f.push("docker.io/me/firefox:2", hex(13), "me/firefox:2")
			settle()
			if n := len(f.requests(ref)); n != asked {
				t.Errorf("%d requests after the push of another tag", n-asked)
			}
		},
		"are found though another workspace of the name misses its own": func(t *testing.T, f *fake) {
			f.setRemote(ref, remote{digest: hex(11)})
			f.setRemote("docker.io/me/later:1", remote{digest: hex(11)})
			w := start(t, f, snapshotOf("s", "me/later:1", hex(9)))
			expect(t, w, "s", Pullable, "")
			f.put("me/later:1", hex(1), hex(10))
			w.SetWorkspaces([]*workspace.Workspace{snapshotOf("s", "me/later:1", hex(9)), container("a", "me/later:1")})
			settle()
			expect(t, w, "a", Outdated, "")
			expect(t, w, "s", Pullable, "belongs to another image on this engine")
		},
		"are found where ids are digests, though another repository is named with it": func(t *testing.T, f *fake) {
			f.with(func() { f.pulled[hex(20)] = []string{"docker.io/me/former@" + hex(20)} })
			f.put("me/firefox:1", hex(20), "")
			f.setRemote(ref, remote{digest: hex(21)})
			w := start(t, f, container("a", "me/firefox:1"))
			w.SetWorkspaces([]*workspace.Workspace{container("a", "me/firefox:1"), container("b", "me/firefox@"+hex(20))})
			expect(t, w, "a", Outdated, "")
			expect(t, w, "b", Available, "")
			f.push(ref, hex(20), "me/firefox:1")
			settle()
			expect(t, w, "a", Available, "")
		},
		"are no longer outdated when the registry loses the tag": func(t *testing.T, f *fake) {
			f.setRemote(ref, remote{digest: hex(11)})
			w := start(t, f, container("a", "me/firefox:1"))
			expect(t, w, "a", Outdated, "")
			f.setRemote(ref, remote{err: cerrdefs.ErrNotFound})
			time.Sleep(2 * recheck)
			expect(t, w, "a", Available, "")
		},
		"are pullable once they are deleted": func(t *testing.T, f *fake) {
			f.setRemote(ref, remote{digest: hex(11)})
			w := start(t, f, container("a", "me/firefox:1"))
			expect(t, w, "a", Outdated, "")
			f.drop("me/firefox:1")
			synctest.Wait()
			expect(t, w, "a", Pullable, "")
		},
		"are never snapshots": func(t *testing.T, f *fake) {
			f.setRemote(ref, remote{digest: hex(11)})
			w := start(t, f, snapshotOf("a", "me/firefox:1", hex(1)))
			expect(t, w, "a", Available, "")
			if n := len(f.requests("")); n != 0 {
				t.Errorf("%d requests", n)
			}
		},
		"are never named by digest": func(t *testing.T, f *fake) {
			w := start(t, f, container("a", "me/firefox@"+hex(10)))
			expect(t, w, "a", Available, "")
			if n := len(f.requests("")); n != 0 {
				t.Errorf("%d requests", n)
			}
		},
		"are never those built here": func(t *testing.T, f *fake) {
			f.put("me/built:1", hex(5), "")
			f.setRemote("docker.io/me/built:1", remote{digest: hex(11)})
			w := start(t, f, container("a", "me/built:1"))
			expect(t, w, "a", Available, "")
			if n := len(f.requests("")); n != 0 {
				t.Errorf("%d requests", n)
			}
		},
		"are not asked for more often than said": func(t *testing.T, f *fake) {
			f.setRemote(ref, remote{digest: hex(10)})
			start(t, f, container("a", "me/firefox:1"))
			time.Sleep(30 * 24 * time.Hour)
			if n := len(f.requests("")); n < 50 || n > 70 {
				t.Errorf("%d requests in 30 days, want about 60", n)
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.put("me/firefox:1", hex(1), hex(10))
				test(t, f)
			})
		})
	}
}

func TestImagesThatAreNotThereAreAskedForFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		list := many("reg.example", 200)
		for i := range list {
			f.put(fmt.Sprintf("reg.example/x%d:1", i), hex(i), hex(1000+i))
		}
		w := run(t, f, Options{PerMinute: 2, Recheck: time.Minute}, list...)
		time.Sleep(time.Hour)
		// All 200 are overdue.
		f.setRemote("reg.example/new:1", remote{digest: hex(7)})
		w.SetWorkspaces(append(list, container("new", "reg.example/new:1")))
		time.Sleep(time.Minute + time.Second)
		expect(t, w, "new", Pullable, "")
	})
}

func TestRegistriesAreAskedForAnImageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		disabled := container("c", "reg.example/x")
		disabled.Enabled = false
		w := run(t, f, Options{}, container("a", "reg.example/x"), container("b", "reg.example/x:latest"), disabled)
		expect(t, w, "a", Missing, "")
		expect(t, w, "b", Missing, "")
		expect(t, w, "c", Unknown, "disabled")
		if n := len(f.requests("")); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestAnEngineThatIsAwayIsNotTheRegistrysFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.setRemote("reg.example/x:1", remote{takes: 5 * time.Second, err: errDownEngine{}})
		w := run(t, f, Options{}, container("a", "reg.example/x:1"))
		time.Sleep(5 * time.Second)
		if r := w.Stats().Registries[0]; r.Err != "" || r.Next.After(time.Now()) {
			t.Errorf("got %+v", r)
		}
		f.setRemote("reg.example/x:1", remote{digest: hex(7)})
		time.Sleep(engineWait)
		settle()
		expect(t, w, "a", Pullable, "")
	})
}

// errDownEngine is how the client says that the engine went away.
type errDownEngine struct{}

func (errDownEngine) Error() string { return "error during connect: EOF" }
func (errDownEngine) Unwrap() error { return io.EOF }

func TestRequestsToSilentRegistriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.setRemote("reg.example/x:1", remote{takes: time.Hour})
		w := run(t, f, Options{}, container("a", "reg.example/x:1"))
		time.Sleep(patience)
		expect(t, w, "a", Unknown, "registry reg.example cannot be reached in time")
	})
}
