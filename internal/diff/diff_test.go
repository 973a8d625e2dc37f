package diff

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/docker-kasm/docker-kasm/internal/session"
)

func add(path string, size int64) entry { return entry{path: path, kind: Added, size: size} }

func TestCollapse(t *testing.T) {
	dir := func(path string, kind Kind) entry { return entry{path: path, kind: kind, dir: true} }
	for name, c := range map[string]struct {
		entries []entry
		want    []string
	}{
		"nothing": {nil, nil},
		"what was added whole is one row": {
			[]entry{dir("/opt", Added), dir("/opt/app", Added), add("/opt/app/a", 10), add("/opt/app/b", 20)},
			[]string{"/opt/ added 2 30"},
		},
		"a large file stands out among small ones": {
			[]entry{dir("/root", Changed), add("/root/big", 1000), add("/root/s1", 1), add("/root/s2", 2)},
			[]string{"/root/big added 1 1000", "/root/ added 2 3"},
		},
		"the rest of a directory is told apart by kind": {
			[]entry{
				dir("/etc", Changed), add("/etc/new", 1), {path: "/etc/old", kind: Changed, size: 2}, {path: "/etc/gone", kind: Deleted},
				dir("/srv", Changed), add("/srv/big", 1000),
			},
			[]string{"/srv/big added 1 1000", "/etc/ changed 1 2", "/etc/ added 1 1", "/etc/ deleted 1 0"},
		},
		"a directory that replaces another is not one row with what was deleted in it": {
			[]entry{dir("/a", Added), add("/a/x", 5), {path: "/a/y", kind: Deleted}},
			[]string{"/a/x added 1 5", "/a/ deleted 1 0"},
		},
		"unknown sizes stay unknown": {
			[]entry{add("/a/x", Unknown), add("/b/x", 5), add("/b/y", Unknown)},
			[]string{"/b/x added 1 5", "/b/ added 1 -1", "/a/x added 1 -1"},
		},
		"only a directory's own change": {[]entry{dir("/tmp", Changed)}, []string{"/tmp/ changed 0 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range collapse(c.entries) {
				got = append(got, fmt.Sprint(r.Path, " ", r.Kind, " ", r.Files, " ", r.Size))
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestRowsHoldEveryPathOnce compares sums of random trees before and after.
func TestRowsHoldEveryPathOnce(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var entries []entry
		var files int
		var size int64
		var grow func(path string, depth int)
		grow = func(path string, depth int) {
			for i := range r.IntN(6) {
				e := entry{path: fmt.Sprintf("%s/%d", path, i), kind: []Kind{Added, Changed, Deleted}[r.IntN(3)]}
				if depth < 4 && r.IntN(2) == 0 {
					e.dir, e.kind = true, []Kind{Added, Changed}[r.IntN(2)]
					entries = append(entries, e)
					grow(e.path, depth+1)
					continue
				}
				if e.kind != Deleted {
					e.size = r.Int64N(1 << r.IntN(30))
				}
				files++
				size += e.size
				entries = append(entries, e)
			}
		}
		grow("", 0)
		for name, rows := range map[string][]Row{"collapsed": collapse(entries), "all": each(entries)} {
			var gotFiles int
			var gotSize int64
			seen := map[string]bool{}
			for _, row := range rows {
				gotFiles += row.Files
				gotSize += max(row.Size, 0)
				if key := row.Path + string(row.Kind); seen[key] {
					t.Errorf("seed %d: %s has %s twice", seed, name, key)
				} else {
					seen[key] = true
				}
			}
			if gotFiles != files || gotSize != size {
				t.Errorf("seed %d: %s hold %d files of %d bytes instead of %d of %d", seed, name, gotFiles, gotSize, files, size)
			}
		}
	}
}

func TestLeftovers(t *testing.T) {
	var changes []container.FilesystemChange
	stays := []string{"/tmp/.X1-lock", "/tmp/.X11-unix/X1", "/tmp/.ICE-unix/77", "/run/sshd.pid", "/var/run/a/b.pid", "/home/u/.config/chromium/SingletonLock"}
	for _, p := range append([]string{"/tmp/.X11-unix", "/tmp/work", "/srv/a.pid", "/tmp/.X-lock", "/home/u/lock"}, stays...) {
		changes = append(changes, container.FilesystemChange{Kind: container.ChangeAdd, Path: p})
	}
	changes = append(changes, container.FilesystemChange{Kind: container.ChangeDelete, Path: "/run/old.pid"})
	slices.Sort(stays)
	if got := Leftovers(changes); !slices.Equal(got, stays) {
		t.Errorf("got %q", got)
	}
	if got := leftovers([]entry{{path: "/run/dbus/socket", kind: Added, socket: true}, {path: "/srv/socket", kind: Added, socket: true}}); !slices.Equal(got, []string{"/run/dbus/socket"}) {
		t.Errorf("got %q", got)
	}
}

func TestNamesOfOneFileAreCountedOnce(t *testing.T) {
	entries := []entry{add("/a", Unknown), add("/b", Unknown), add("/c", Unknown), add("/d", Unknown), add("/d/e", Unknown)}
	apply(entries, map[string]file{
		"/a": {size: 7, links: 2, inode: "9"}, "/b": {size: 7, links: 2, inode: "9"}, "/c": {size: 7, links: 1, inode: "9"}, "/d/e": {size: 1, links: 1},
	})
	var got []int64
	for _, e := range entries {
		got = append(got, e.size)
	}
	if want := []int64{7, 0, 7, 0, 1}; !slices.Equal(got, want) || !entries[3].dir {
		t.Errorf("sizes %v, not %v", got, want)
	}
}

type statOnly struct {
	API
	sizes map[string]int64
	err   error
}

func (s statOnly) ContainerStatPath(_ context.Context, _, path string) (container.PathStat, error) {
	if size, ok := s.sizes[path]; ok {
		return container.PathStat{Size: size}, nil
	}
	return container.PathStat{}, s.err
}

func TestStoppedSessionsAreMeasuredPathByPath(t *testing.T) {
	changes := []container.FilesystemChange{{Path: "/a", Kind: container.ChangeAdd}, {Path: "/gone", Kind: container.ChangeAdd}, {Path: "/x", Kind: container.ChangeDelete}}
	m := measurer{api: statOnly{sizes: map[string]int64{"/a": 5}, err: cerrdefs.ErrNotFound}, session: session.Session{State: session.Stopped}}
	entries, err := m.measure(t.Context(), changes, DefaultBudget)
	if err != nil || entries[0].size != 5 || entries[1].size != Unknown || entries[2].size != 0 {
		t.Errorf("%+v, %v", entries, err)
	}
	m.api = statOnly{err: errors.New("engine is gone")}
	if _, err := m.measure(t.Context(), changes, DefaultBudget); err == nil || !strings.Contains(err.Error(), "engine is gone") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.measure(ctx, changes, DefaultBudget); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseStat(f *testing.F) {
	for _, line := range []string{"81a4 12 1 99 /root/a b", "41ed 4096 3 1 /", "c1ed 0 1 5 /run/s", "stat: can't stat '/x'", "ffff 9999999999999999999 1 1 /", "81a4 -1 1 1 /a"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		path, got, ok := parseStat(line)
		if !ok {
			return
		}
		if got.size < 0 || !strings.HasSuffix(line, path) || got.mode&^(os.ModeDir|os.ModeSocket) != 0 {
			t.Errorf("%q: %q %+v", line, path, got)
		}
	})
}
