package availability

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
)

// TestQuietWatcherKnowsWhatCheckFinds lets images, workspaces, pulls and the
// engine itself come and go at random. Set SEED to repeat a run.
func TestQuietWatcherKnowsWhatCheckFinds(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SEED=%d", seed)
	synctest.Test(t, func(t *testing.T) { property(t, rand.New(rand.NewPCG(seed, 0))) })
}

const (
	propertyWorkspaces = 1000
	propertySteps      = 3000
)

func property(t *testing.T, r *rand.Rand) {
	f := newFake()
	f.gap = 5 * time.Millisecond
	list := make([]*workspace.Workspace, propertyWorkspaces)
	for i := range list {
		list[i] = randomWorkspace(r, i)
	}
	f.setRemote("down.example", remote{err: errDown})
	f.setRemote("closed.example", remote{err: errors.New("no basic auth credentials")})
	var tags []string
	for i := range 300 {
		for _, host := range propertyHosts {
			tag := fmt.Sprintf("%sx%d:1", host, i)
			tags = append(tags, tag)
			ref, err := imageref.ParseTagged(tag)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(host, "down") && !strings.HasPrefix(host, "closed") && r.IntN(3) > 0 {
				f.setRemote(ref.String(), remote{digest: digestOf(r.IntN(600)), takes: time.Duration(r.IntN(2000)) * time.Millisecond})
			}
		}
	}
	for range 1000 {
		randomImage(r, f, tags)
	}
	w := run(t, f, Options{PerMinute: 200, Relist: time.Hour}, list...)
	var pulls []func()
	for range propertySteps {
		switch n := r.IntN(1000); {
		case n < 3:
			f.cut()
		case n < 50:
			f.up(r.IntN(2) == 0)
		case n < 55:
			f.with(func() { f.lose = !f.lose })
		case n < 60:
			w.SetWorkspaces(list[:r.IntN(len(list))])
		case n < 80:
			pulls = append(pulls, w.Pulling(tags[r.IntN(len(tags))]))
		case n < 100 && len(pulls) > 0:
			pulls[r.IntN(len(pulls))]()
		default:
			randomImage(r, f, tags)
		}
		if r.IntN(4) == 0 {
			time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
		}
	}
	f.up(false)
	f.with(func() { f.lose = false })
	for _, done := range pulls {
		done()
	}
	w.SetWorkspaces(list)
	time.Sleep(2 * time.Hour)
	synctest.Wait()

	fresh, err := Check(t.Context(), f, nil, list)
	if err != nil {
		t.Fatal(err)
	}
	all, counts := w.All(), map[State]int{}
	for _, ws := range list {
		want := expected(f, ws, fresh[ws.Name])
		got := all[ws.Name]
		counts[got.State]++
		if got.State != want || got.ImageID != fresh[ws.Name].ImageID {
			t.Errorf("%s (%s) is %s (%s) with image %q, want %s with %q", ws.Name, ws.Image, got.State, got.Reason, got.ImageID, want, fresh[ws.Name].ImageID)
		}
	}
	for _, state := range []State{Available, Outdated, Pullable, Missing, Unknown} {
		if counts[state] == 0 {
			t.Errorf("no workspace is %s: the test does not test it", state)
		}
	}
	t.Logf("%v, %+v", counts, w.Stats())
}

var propertyHosts = []string{"me/", "reg.example/", "other.example:5000/", "down.example/", "closed.example/"}

func digestOf(image int) string { return hex(1_000_000 + image) }

func randomWorkspace(r *rand.Rand, i int) *workspace.Workspace {
	name := propertyHosts[r.IntN(len(propertyHosts))] + fmt.Sprintf("x%d", r.IntN(300))
	ws := container(fmt.Sprintf("w%d", i), name+":1")
	ws.Enabled = r.IntN(10) > 0
	switch r.IntN(10) {
	case 0:
		ws.Image = hex(r.IntN(600))
	case 1:
		ws.Image = name + "@" + digestOf(r.IntN(600))
	case 2:
		ws.Snapshot = &workspace.Snapshot{ImageID: hex(r.IntN(600))}
	case 3:
		ws.Snapshot = &workspace.Snapshot{ImageID: hex(r.IntN(600)), Digest: digestOf(r.IntN(600))}
	}
	return ws
}

func randomImage(r *rand.Rand, f *fake, tags []string) {
	tag, id := tags[r.IntN(len(tags))], r.IntN(600)
	switch r.IntN(5) {
	case 0, 1:
		f.put(tag, hex(id), digestOf(id))
	case 2:
		f.put(tag, hex(id), "")
	default:
		f.mu.Lock()
		_, there := f.tags[tag]
		f.mu.Unlock()
		if there {
			f.drop(tag)
		}
	}
}

// expected is the state by what the fake has, where a watcher tells more than Check.
func expected(f *fake, ws *workspace.Workspace, fresh Status) State {
	if !ws.Enabled && fresh.State != Available {
		if strings.HasPrefix(ws.Image, "sha256:") {
			return Missing
		}
		return Unknown
	}
	if !ws.Enabled || fresh.State != Available || ws.Snapshot != nil || !strings.HasSuffix(ws.Image, ":1") {
		return fresh.State
	}
	ref, err := imageref.Parse(ws.Image)
	if err != nil {
		return fresh.State
	}
	there, pulled := f.remote[ref.String()], f.pulled[fresh.ImageID]
	known := slices.ContainsFunc(pulled, func(p string) bool { return strings.HasPrefix(p, ref.Name()+"@") })
	if there.digest == "" || !known || slices.Contains(pulled, ref.Name()+"@"+there.digest) {
		return Available
	}
	return Outdated
}
